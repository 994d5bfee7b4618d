#!/bin/bash
# 74-mariadb-remote.sh - a MariaDB server on another host: backed up, restored and verified there, within what that host allows; its log is followed
# over a link that is cut.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/maria.sh"
. "$TWOFOLD_SRC/tests/integration/lab.sh"
lab_begin
trap 'status=$?; maria_stop_all; (exit "$status"); lab_end' EXIT
lab_host orch
lab_host db1
lab_trust orch db1
lab_install db1
on() { lab_on orch "$t" "$@"; }

one=$work/one
maria_new one
maria_start "$one" --log-bin=bl --server-id=7 --binlog-format=ROW --max-binlog-size=1M || finish
maria_sql "$one" "CREATE DATABASE app; USE app; CREATE TABLE t (i INT PRIMARY KEY); INSERT INTO t SELECT seq FROM seq_1_to_1000"
new_vault "$work/v"
expect 0 on --yes agent enrol db1 --allow /srv --allow-restore /srv/back
expect 3 on policy add db --agent db1 --mariadb="$one/sock" --schedule none
said 'not on the allow-list' && said 'allow: sources:'
expect 5 on backup db && said 'not on the allow-list'
expect 0 on --yes agent enrol db1 --allow-source "mariadb $one/sock"
said "databases: mariadb $one/sock"
expect 0 on --json backup db && [ "$(json state)" = whole ] || fail "not whole"
expect 0 on --json backup db && [ "$(json bytes_stored)" -lt 900000 ] || fail "all was stored again: $(json bytes_stored)"
# What reads, writes and runs is that host's to allow.
for setting in "scratch: /srv/elsewhere" "defaults-file: /srv/my.cnf" "binaries: /usr/bin" "data: /var/lib" "user: root"; do
    printf 'agent: db1\nmariadb:\n  server: "%s"\n  %s\n' "$one/sock" "$setting" >"$work/v/c/policies/other.yaml"
    expect 5 on backup other && said 'not on the allow-list'
done
rm "$work/v/c/policies/other.yaml"
expect 5 on restore db --on db1 --to /srv/back/x --verify && said 'allow: commands:'
expect 5 on restore db --on db1 --in-place && said 'not on the allow-list'
expect 0 on restore db --on db1 --to /srv/back/plain && said 'the data folder: /srv/back/plain/mariadb/data'
expect 0 on --yes agent enrol db1 --allow-command mariadb
expect 0 on agent check db1 && said 'may be run: mariadb'
expect 0 on restore db --on db1 --to /srv/back/x --verify && said 'tables are right'
lab_on db1 test -f /srv/back/x/mariadb/data/ibdata1 || fail "it is not on db1"

# --- its log, over a link that is cut while more than a file of it is written ---------------------------------------------------
sed -i '/^  server:/a\  logs: 1s' "$work/v/c/policies/db.yaml"
follow_there() {
    lab_on orch env TWOFOLD_LINK_DEADLINE_S=4 "$t" logs db --follow >"$work/.keep" 2>&1 </dev/null &
    keeper=$!
}
rows_kept() { # all that the server has written
    local file at _
    read -r file at _ < <(maria_sql "$one" "SHOW MASTER STATUS")
    lab_until 'on --json logs db >"$work/.out" 2>/dev/null; [ "$(json timeline log) $(json position log)" = "'"$((10#${file##*.})) $at"'" ]' 30 ||
        fail "the log is not kept: $(cat "$work/.keep")"
}
follow_there
expect 0 on backup db
maria_sql "$one" "USE app; INSERT INTO t SELECT seq FROM seq_1001_to_1010"
rows_kept
lab_cut db1
maria_sql "$one" "USE app; CREATE TABLE app.w (b LONGBLOB); INSERT INTO app.w SELECT REPEAT(MD5(seq), 10000) FROM seq_1_to_6; INSERT INTO app.t SELECT seq FROM seq_1011_to_2000"
wait "$keeper" && fail "the keeper ended well though the link was cut"
grep -q 'agent "db1"' "$work/.keep" || fail "not told whose link was cut: $(cat "$work/.keep")"
lab_join db1
lab_until 'follow_there; sleep 2; kill -0 "$keeper" 2>/dev/null' 30
rows_kept
grep -q 'it begins anew with' "$work/.keep" && fail "a cut link broke the log off"
expect 0 on restore db --on db1 --to /srv/back/y --verify && said 'its log: replayed from' && said 'tables are right'
expect 0 on restore db --to "$work/there" && said 'its log: replayed from'
kill "$keeper"
wait "$keeper"
install -d -o mysql "$work/restored" && ln -s "$work/there/mariadb/data" "$work/restored/data"
maria_start "$work/restored" --skip-log-bin
[ "$(maria_sql "$work/restored" "SELECT COUNT(*), MAX(i) FROM app.t" | xargs)" = "2000 2000" ] || fail "rows are missing"
finish
