#!/bin/bash
# 61-postgresql.sh - a PostgreSQL server is backed up while it is written to, and what is restored starts and is right: tablespaces,
# unlogged tables, configuration from outside, remapping, in place, as part of a set.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"

one=$work/one
pg_new one
install -d -o postgres -m 700 "$work/space" "$work/space2"
mv "$one/data/pg_ident.conf" "$one/ident.conf"
echo "ident_file = '$one/ident.conf'" >>"$one/data/postgresql.conf"
pg_start "$one" || finish
as_pg pgbench -h "$one" -U postgres -i -s 3 -q postgres >/dev/null 2>&1
pg_sql "$one" "CREATE TABLESPACE fast LOCATION '$work/space'"
pg_sql "$one" "CREATE TABLE t TABLESPACE fast AS SELECT i, repeat('x', 100) AS x FROM generate_series(1, 20000) i"
pg_sql "$one" "CREATE UNLOGGED TABLE u AS SELECT generate_series(1, 50000) i"
pg_sql "$one" "CREATE TABLE ledger (id bigint PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), amount int, total bigint)"
pg_sql "$one" "INSERT INTO ledger VALUES (0, default, 0, 0)"
unlogged=$(pg_sql "$one" "SELECT pg_relation_filepath('u')")

# Each row goes on from the one before: any that is missing or torn shows.
cat >"$work/ledger.sql" <<'Q'
\set amount random(1, 1000)
INSERT INTO ledger SELECT id + 1, clock_timestamp(), :amount, total + :amount FROM ledger ORDER BY id DESC LIMIT 1;
Q
load() {
    as_pg pgbench -h "$one" -U postgres -n -f "$work/ledger.sql" -T 300 -c 1 postgres >/dev/null 2>&1 &
    load1=$!
    as_pg pgbench -h "$one" -U postgres -n -T 300 -c 3 postgres >/dev/null 2>&1 &
    load2=$!
}
unload() {
    kill "$load1" "$load2" 2>/dev/null
    wait "$load1" "$load2" 2>/dev/null
}

# same_books DIR LEAST: the ledger in the server there is whole, and has at least the row LEAST.
same_books() {
    [ "$(pg_sql "$1" "SELECT count(*) FROM (SELECT id, total, amount, lag(total) OVER w AS t, lag(id) OVER w AS i
        FROM ledger WINDOW w AS (ORDER BY id)) l WHERE i IS NOT NULL AND (id <> i + 1 OR total <> t + amount)")" = 0 ] ||
        fail "$1: the ledger has gaps or wrong totals"
    [ "$(pg_sql "$1" "SELECT max(id) FROM ledger")" -ge "$2" ] || fail "$1: the ledger ends too early"
    [ "$(pg_sql "$1" "SELECT count(*), sum(i) FROM t")" = "20000|200010000" ] || fail "$1: the table in the tablespace differs"
    [ "$(pg_sql "$1" "SELECT count(*) FROM u")" = 0 ] || fail "$1: the unlogged table has rows"
    [ "$(pg_sql "$1" "SELECT (SELECT sum(abalance) FROM pgbench_accounts) - (SELECT sum(delta) FROM pgbench_history)")" = 0 ] ||
        fail "$1: pgbench's sums differ"
}

new_vault "$work/v"
mkdir -p "$work/v/c/policies"
printf 'postgresql:\n  conninfo: "host=%s user=postgres"\n' "$one" >"$work/v/c/policies/db.yaml"
expect 0 "$t" policy lint

# --- while it is written to -----------------------------------------------------------------------------------
load
until [ "$(pg_sql "$one" "SELECT count(*) FROM ledger")" -gt 50 ]; do :; done
before=$(pg_sql "$one" "SELECT max(id) FROM ledger")
expect 0 "$t" --json backup db
[ "$(json state)" = whole ] || fail "a busy server's backup is not whole: $(json state)"
later=$(pg_sql "$one" "SELECT max(id) FROM ledger")
expect 0 "$t" --json backup db
expect 0 "$t" snapshots
[ "$(pg_sql "$one" "SELECT count(*) FROM pg_replication_slots")" = 0 ] || fail "a replication slot stayed"

# --- what is in it, and what is not ------------------------------------------------------------------------------
expect 0 "$t" ls latest
for name in label/pg_control config/pg_ident.conf facts.json label/backup_label label/tablespace_map wal/0000; do
    grep -q "^/postgresql/$name" "$work/.out" || fail "$name is not in the backup"
done
for name in data/pg_wal data/postmaster.pid data/pg_stat_tmp/. data/pg_replslot/. "data/$unlogged\$" 'data/.*pgsql_tmp' pg_internal.init; do
    grep -q "^/postgresql/.*$name" "$work/.out" && fail "$name is in the backup"
done
grep -q "^/postgresql/data/${unlogged}_init" "$work/.out" || fail "the unlogged table's init fork is not in the backup"
expect 0 "$t" find "${unlogged##*/}_init" && said "/postgresql/data/"
expect 0 "$t" export latest /postgresql/facts.json && tar -xOf "$work/.out" postgresql/facts.json >"$work/facts.json"
python3 - "$work/facts.json" "$(pg_sql "$one" "SELECT system_identifier FROM pg_control_system()")" <<'P' || fail "facts.json is not right"
import json, sys
f = json.load(open(sys.argv[1]))
lsn = lambda s: int(s.split("/")[0], 16) << 32 | int(s.split("/")[1], 16)
assert f["system_identifier"] == sys.argv[2] and f["timeline"] == 1 and f["data_checksums"] is True
assert lsn(f["start_lsn"]) < lsn(f["stop_lsn"]) and f["pages_wrong"] == 0
assert [s["name"] for s in f["tablespaces"]] == ["fast"]
assert {d["name"] for d in f["databases"]} >= {"postgres", "template1"} and all(int(d["bytes"]) > 1000000 for d in f["databases"])
P
expect 1,2 "$t" diff latest live && said "no files that could be compared"

# --- restored while the original goes on -----------------------------------------------------------------------------
ids=$("$t" snapshots db 2>/dev/null | awk '$2 == "db" { print $1 }')
expect 0 "$t" restore db --snapshot "$(head -n 1 <<<"$ids")" --from b --to "$work/first" --verify &&
    said "verified: a server recovered to" && said "all page checksums are right" && said "2 databases can be entered"
expect 0 "$t" restore db --to "$work/second" --tablespace "fast=$work/space2"
unload
last=$(pg_sql "$one" "SELECT max(id) FROM ledger")
amcheck=$(pg_sql "$one" "SELECT name FROM pg_available_extensions WHERE name = 'amcheck'")
pg_since 14 || amcheck=""
[ -n "$amcheck" ] || skip_part "pg_amcheck (from PostgreSQL 14 on, with its extension)"
for place in first second; do
    x=$work/$place/postgresql
    mkdir -p "$work/s-$place" && chown postgres "$work/s-$place"
    ln -s "$x/data" "$work/s-$place/data"
    pg_start "$work/s-$place" && {
        same_books "$work/s-$place" "$([ $place = first ] && echo "$before" || echo "$later")"
        [ "$(pg_sql "$work/s-$place" "SELECT max(id) < $last FROM ledger")" = t ] || fail "$place: it is the original"
        if [ -n "$amcheck" ]; then
            as_pg pg_amcheck -h "$work/s-$place" -U postgres -a --install-missing >"$work/am" 2>&1 || fail "pg_amcheck: $(head -n 5 "$work/am")"
        fi
        pg_stop "$work/s-$place"
        as_pg "$pgbin/pg_checksums" --check -D "$x/data" >/dev/null 2>"$work/sums" || fail "pg_checksums: $(cat "$work/sums")"
    }
    [ "$(stat -c %a-%U "$x/data")" = 700-postgres ] || fail "$place: mode or owner of the data folder"
done
[ -d "$work/first/postgresql/data-spaces" ] || fail "the tablespace is not below the target"
[ -n "$(ls "$work/space2")" ] && [ ! -e "$work/second/postgresql/data-spaces" ] || fail "the tablespace was not remapped"
(
    export TWOFOLD_CONFIG=$work/no-config TWOFOLD_STATE=$work/no-state HOME=$work/no-home
    expect 0 "$t" restore --copy "$b" --policy db --to "$work/alone" --passphrase-file "$pass" --verify && said "verified: a server recovered"
    exit "$failures"
) || fail "from nothing but one copy"
expect 2 "$t" restore db --to "$work/third" --tablespace "slow=$work/space3" && said "no tablespace"
expect 2 "$t" restore db --to "$work/third" --in-place

# --- in place ---------------------------------------------------------------------------------------------------------
expect 1,5 "$t" restore db --in-place && said "a server \(process [0-9]+\) works on"
pg_sql "$one" "SELECT 1" >/dev/null || fail "the server was disturbed"
pg_sql "$one" "DROP TABLE ledger; DELETE FROM t"
pg_stop "$one"
# A folder that has something else in it, whatever the backup says of where it was.
mv "$one/data" "$one/data.away"
mkdir "$one/data" && echo "not a database" >"$one/data/notes"
expect 5 "$t" restore db --in-place && said "$one/data has no database in it"
[ "$(ls -A "$one/data")" = notes ] || fail "something was put beside, or moved: $(ls -A "$one/data")"
rm "$one/data/notes"
# What a fence of a standby's policy leaves where the folder was taken away is nothing else, and is not in force for what is restored.
chown postgres "$one/data" && chmod 700 "$one/data" && : >"$one/data/standby.signal"
expect 0 "$t" restore db --in-place && said "in place: $one/data"
[ -f "$one/data/PG_VERSION" ] && [ ! -e "$one/data/standby.signal" ] && [ -f "$(echo "$one"/data/.twofold-before-*/standby.signal)" ] ||
    fail "a server that is fenced was restored: $(ls -A "$one/data")"
rm -r "$one/data" && mv "$one/data.away" "$one/data"
printf 'postgresql: { conninfo: "host=%s user=postgres", data: %s }\n' "$one" "$work/elsewhere" >"$work/moved.yaml"
cp "$work/v/c/policies/db.yaml" "$work/db.yaml" && cp "$work/moved.yaml" "$work/v/c/policies/db.yaml"
expect 5 "$t" restore db --in-place && said "the policy names $work/elsewhere"
cp "$work/db.yaml" "$work/v/c/policies/db.yaml"
# A file system in the middle: nothing is begun that could not be ended.
if [ -n "${SCENARIO_NAMESPACE:-}" ]; then
    mv "$one/data/pg_wal" "$work/wal-mount"
    install -d -o postgres -m 700 "$one/data/pg_wal"
    mount --bind "$work/wal-mount" "$one/data/pg_wal"
    there=$(ls -A "$one/data" "$work/space")
    expect 5 "$t" restore db --in-place && said "$one/data/pg_wal is, or has in it, a file system of its own" && said "next: unmount it"
    [ "$(ls -A "$one/data" "$work/space")" = "$there" ] || fail "something was moved although it cannot be ended"
    umount "$one/data/pg_wal" && rmdir "$one/data/pg_wal" && mv "$work/wal-mount" "$one/data/pg_wal"
else
    skip_part "a mount point in the data folder"
fi
# What a crash of the host left: the number is somebody else's now. What lies beside the tablespace is somebody else's, too.
sleep 600 &
stranger=$!
printf '%s\n%s\n1\n5432\n%s\n' "$stranger" "$one/data" "$one" >"$one/data/postmaster.pid"
install -d -o postgres "$work/space/PG_16_202307071/5" "$work/space/mail"
echo "the other cluster's table" >"$work/space/PG_16_202307071/5/16384"
echo mail >"$work/space/mail/box"
expect 0 "$t" restore db --in-place && said "in place: $one/data" && said "what was in $one/data is in"
kill "$stranger"
[ -f "$work/space/PG_16_202307071/5/16384" ] && [ -f "$work/space/mail/box" ] || fail "what is not the cluster's was moved out of the tablespace's folder"
rm -r "$work/space/PG_16_202307071" "$work/space/mail"
pg_start "$one" && same_books "$one" "$later"
pg_stop "$one"
expect 0 "$t" restore db --in-place --snapshot "$(head -n 1 <<<"$ids")" --verify
pg_start "$one" && same_books "$one" "$before"
expect 0 "$t" backup db
[ -z "$("$t" ls latest 2>/dev/null | grep twofold-before)" ] || fail "what was set aside is backed up"

# --- a set ----------------------------------------------------------------------------------------------------------------
small_tree "$work/app" 61 20
cp -a "$work/app" "$work/app.was"
echo setting >"$work/app.conf"
printf 'files: { paths: ["%s", "%s"] }\npostgresql: { conninfo: "host=%s user=postgres" }\n' "$work/app" "$work/app.conf" "$one" >"$work/v/c/policies/set.yaml"
expect 0 "$t" backup set
expect 0 "$t" restore set --to "$work/set" --verify && same_tree "$work/app" "$work/set$work/app"
[ -f "$work/set$work/app.conf" ] && [ -f "$work/set/postgresql/data/PG_VERSION" ] || fail "the set is not whole"
pg_stop "$one"
victim=$(find "$work/app" -type f -size +1k | head -n 1)
echo tampered >"$victim" && rm "$work/app.conf"
expect 0 "$t" restore set --in-place && said "in place: $work/app$" && said "in place: $one/data"
grep -rqsx tampered "$work/app"/.twofold-aside-* || fail "what was in the way is gone"
clean "$work/app"/.twofold-aside-*
touch -r "$work/app.was" "$work/app"
same_tree "$work/app.was" "$work/app"
[ "$(cat "$work/app.conf")" = setting ] || fail "a single file was not put back"
pg_start "$one"
expect 0 "$t" diff set@now live && said "databases in the backup were not compared"
expect 0 "$t" restore set --to "$work/one-file" /postgresql/data/PG_VERSION
[ "$(cat "$work/one-file/postgresql/data/PG_VERSION")" = "$(cat "$one/data/PG_VERSION")" ] || fail "one file of the database"
printf 'files: { paths: [/postgresql/x] }\npostgresql: { conninfo: "host=%s user=postgres" }\n' "$one" >"$work/v/c/policies/clash.yaml"
expect 2 "$t" backup clash && said 'a real path with the name'
finish
