#!/bin/bash
# 73-mariadb-moment.sh - a MariaDB server comes back to any moment that its binary logs were kept: a ledger is exact to the second. What is missing
# of the logs is named, and never restored over.
# long
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/maria.sh"

one=$work/one
maria_new one
maria_start "$one" --log-bin=bl --server-id=7 --max-binlog-size=192K || finish
mariadb --no-defaults -S "$one/sock" <<'Q' || fail "the tables cannot be made"
CREATE DATABASE app; USE app;
CREATE TABLE ledger (id BIGINT PRIMARY KEY, at DATETIME(6), amount INT, total BIGINT);
INSERT INTO ledger VALUES (0, NOW(6), 0, 0);
CREATE TABLE m (i INT) ENGINE=MyISAM;
Q
[ "$failures" = 0 ] || finish
# Each row by a statement of its own: the log has whole seconds, and the rows the moment at which their statement was begun.
load() {
    (while :; do for ((i = 0; i < 40; i++)); do
        echo "INSERT INTO ledger SELECT id + 1, NOW(6), 1 + id % 1000, total + 1 + id % 1000 FROM ledger ORDER BY id DESC LIMIT 1;"
    done; sleep 0.1; done | mariadb --no-defaults -S "$one/sock" -D app -n) >/dev/null 2>&1 &
    load=$!
}
new_vault "$work/v"
policy_add db --mariadb="$one/sock" --schedule none && said "binary logs, [0-9]+ MiB, are kept"
load
expect 0 "$t" backup db
maria_sql "$one" "CREATE USER later@localhost IDENTIFIED BY 'x'; GRANT SELECT ON app.* TO later@localhost; INSERT INTO app.m VALUES (1), (2)"
moments=()
for wait in 1.2 2.3; do
    sleep "$wait"
    moments+=("$(date -u +%Y-%m-%dT%H:%M:%SZ)")
done
sleep 1.1
expect 0 "$t" --json backup db
expect 0 "$t" ls latest
[ "$(grep -c "^/mariadb/binlog/bl\.0" "$work/.out")" -ge 3 ] || fail "the binary logs are not in the backup: $(grep binlog "$work/.out")"
sleep 1.1
after=$(date -u +%Y-%m-%dT%H:%M:%SZ)
sleep 1.1
kill "$load"
wait "$load" 2>/dev/null

# exact DIR MOMENT: the rows that were begun before that second are there, and none else.
exact() {
    local want got
    want=$(maria_sql "$one" "SELECT MAX(id), COUNT(*), SUM(amount) FROM app.ledger WHERE at < '${2%Z}'")
    got=$(maria_sql "$1" "SELECT MAX(id), COUNT(*), SUM(amount) FROM app.ledger")
    [ "$want" = "$got" ] || fail "$1: not as of $2: $got instead of $want"
    [ "$(maria_sql "$1" "SELECT COUNT(*) FROM (SELECT id, total, amount, LAG(total) OVER (ORDER BY id) AS t FROM app.ledger) l WHERE t IS NOT NULL AND total <> t + amount")" = 0 ] ||
        fail "$1: the ledger has wrong totals"
}
look() { # NAME MOMENT
    mkdir -p "$work/s-$1" && chown mysql "$work/s-$1" && ln -s "$work/$1/mariadb/data" "$work/s-$1/data"
    maria_start "$work/s-$1" || return
    exact "$work/s-$1" "$2"
    [ "$(maria_sql "$work/s-$1" "SELECT COUNT(*) FROM mysql.global_priv WHERE User = 'later'; SELECT COUNT(*) FROM app.m" | xargs)" = "1 2" ] ||
        fail "$1: accounts or other engines' rows are not there"
    maria_stop "$work/s-$1"
}
n=0
for moment in "${moments[@]}"; do
    n=$((n + 1))
    verify=()
    [ "$n" != 2 ] || verify=(--verify)
    expect 0 "$t" restore db --to "$work/m$n" --at "$moment" "${verify[@]}" && said "replayed: binary logs bl\.0.* what was begun before ${moment%Z}Z" &&
        look "m$n" "$moment"
    [ "$n" != 2 ] || said "tables are right"
    [ ! -e "$work/m$n/mariadb/replayed/binlog" ] || fail "the logs stayed"
done
expect 0 "$t" restore db --to "$work/alone" --at "${moments[0]}" --no-logs && not_said "replayed"

# --- a moment that the logs do not reach ---------------------------------------------------------------------------
expect 3 "$t" restore db --to "$work/beyond" --at "$after" && said "the kept binary logs end at .*: what was done from then to $after is lost"
[ -f "$work/beyond/mariadb/data/ibdata1" ] || fail "what there is was not restored"

# --- a gap, and logs that were reset ----------------------------------------------------------------------------------
maria_stop "$one"
maria_start "$one" --log-bin=bl --server-id=7 --max-binlog-size=192K
load
sleep 1.5
cut=$(date -u +%Y-%m-%dT%H:%M:%SZ)
sleep 1.5
kill "$load"
wait "$load" 2>/dev/null
maria_sql "$one" "FLUSH BINARY LOGS"
middle=$(maria_sql "$one" "SHOW BINARY LOGS" | tail -n 3 | head -n 1 | cut -f 1)
mv "$one/data/$middle" "$work/middle"
expect 0 "$t" backup db
expect 1,3,4 "$t" restore db --to "$work/gap" --at "$cut" && said "$middle is not in any backup: there is a gap" && said "no-logs"
[ ! -e "$work/gap" ] || fail "a gap is found after everything was brought"
mv "$work/middle" "$one/data/$middle"
expect 0 "$t" backup db
sleep 1.1
last=$(maria_sql "$one" "SHOW MASTER STATUS" | cut -f 1)
maria_sql "$one" "RESET MASTER"
until [ "$(maria_sql "$one" "SHOW MASTER STATUS" | cut -f 1)" \> "$last" ]; do maria_sql "$one" "FLUSH BINARY LOGS"; done
sleep 1.1
moment=$(date -u +%Y-%m-%dT%H:%M:%SZ)
sleep 1.1
expect 0 "$t" backup db
expect 1,3,4 "$t" restore db --to "$work/reset" --at "$moment" && said "bl\.0.* is not the one that the backup ended in: the server's logs were reset"
[ ! -e "$work/reset/mariadb/data" ] || fail "a folder with another's logs is called data"

# --- none are kept --------------------------------------------------------------------------------------------------------
printf 'mariadb:\n  server: "%s"\n  binlog: none\n' "$one/sock" >"$work/v/c/policies/none.yaml"
expect 0 "$t" backup none
expect 0 "$t" ls latest
grep -q "^/mariadb/binlog" "$work/.out" && fail "binary logs are kept"
sleep 1.1
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
expect 3 "$t" restore none --to "$work/none" --at "$now" --verify && said "no binary logs are kept: this is the backup of" && said "tables are right"
[ -f "$work/none/mariadb/data/ibdata1" ] || fail "nothing was restored"
expect 0 "$t" restore none --to "$work/none2" --at "$now" --no-logs && not_said "binary logs are kept"
printf 'mariadb:\n  server: "%s"\n  binlog: none\n  checks:\n    - { name: rows, database: app, sql: "SELECT COUNT(*) FROM ledger", expect: "= -1" }\n' "$one/sock" >"$work/v/c/policies/none.yaml"
expect 4 "$t" restore none --to "$work/none3" --at "$now" --verify && said "check .rows."

# --- what cannot be done is said before anything is ---------------------------------------------------------------------------
mkdir "$work/some"
for tool in mariadb-backup mariadb; do ln -s "/usr/bin/$tool" "$work/some/"; done
for what in "--verify=$work/some" "--at $now --verify=$work/some"; do
    # shellcheck disable=SC2086
    expect 1 "$t" restore db --to "$work/late" $what && said "there is no mariadbd in $work/some"
    [ ! -e "$work/late" ] || fail "$what: it was told too late"
done
maria_stop "$one"
before=$(stat -c %i "$one/data")
expect 2 "$t" restore db --at "${moments[0]}" --in-place && said "replays no binary logs" && said "no-logs"
[ "$(stat -c %i "$one/data")" = "$before" ] || fail "an older state was put in place"
expect 0 "$t" restore db --at "${moments[0]}" --in-place --no-logs && said "it has the binary logs since the backup, which may be in no other place"
[ "$(stat -c %i "$one/data")" != "$before" ] || fail "nothing was put in place"
finish
