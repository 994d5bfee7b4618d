#!/bin/bash
# 65-postgresql-replication.sh - a PostgreSQL server whose files the agent cannot read: the server sends them. What is restored is what a
# backup of the files gives; its rights, its log, a standby, an older server.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/wal.sh"
. "$TWOFOLD_SRC/tests/integration/sent.sh"
as_pg pgbench -h "$one" -U postgres -i -s 3 -q postgres >/dev/null 2>&1
pg_sql "$one" "CREATE UNLOGGED TABLE u AS SELECT generate_series(1, 50000) i"
make_ledger "$one"
unlogged=$(pg_sql "$one" "SELECT pg_relation_filepath('u')")

# --- what is missing is said, with the statement that grants it --------------------------------------------------------
expect 3 "$t" policy add seen --postgresql "host=$one user=backup" --schedule none
pg_sql "$one" "GRANT pg_read_all_settings TO backup"
expect 3 "$t" policy add seen2 --postgresql "host=$one user=backup" --schedule none && said 'cannot read' && said '--access replication'
pg_sql "$one" "REVOKE pg_read_all_settings FROM backup"
expect 2 "$t" policy add none --postgresql "host=$one user=backup" --access magic && said 'write "files" or "replication"'
expect 2 "$t" policy add none --files /etc --access replication && said 'belongs to a PostgreSQL server'
expect 3 "$t" policy add sent --postgresql "host=$one user=backup" --access replication --schedule none
not_said 'pg_backup_start'
expect 1,5 "$t" backup sent && said "GRANT pg_read_all_settings"
expect 3 "$t" policy add again --postgresql "host=$one user=backup" --access replication --schedule none
grep -ohE '(GRANT|ALTER ROLE) [^;]*;' "$work/.err" "$work/.out" | sort -u >"$work/grants.sql"
as_pg psql -X -q -v ON_ERROR_STOP=1 -h "$one" -U postgres -d postgres -f "$work/grants.sql" >/dev/null 2>"$work/psql" || fail "the statements: $(cat "$work/psql")"
grep -q REPLICATION "$work/grants.sql" || fail "the attribute is not named: $(cat "$work/grants.sql")"
expect 0 "$t" policy add db --postgresql "host=$one user=backup" --access replication --schedule none && not_said "cannot be backed up"
expect 0 "$t" policy lint
said=$(pg_sql "$one" "SELECT count(*) FROM pg_replication_slots")
[ "$said" = 0 ] || fail "a probe leaves a slot"

# --- while it is written to ---------------------------------------------------------------------------------------------
load "$one" 300
until [ "$(pg_sql "$one" "SELECT count(*) FROM ledger")" -gt 50 ]; do :; done
before=$(pg_sql "$one" "SELECT max(id) FROM ledger")
expect 0 "$t" --json backup db
[ "$(json state)" = whole ] || fail "a busy server's backup is not whole: $(json state)"
later=$(pg_sql "$one" "SELECT max(id) FROM ledger")
expect 0 "$t" --json backup db
unload
last=$(pg_sql "$one" "SELECT max(id) FROM ledger")
[ "$(pg_sql "$one" "SELECT count(*) FROM pg_replication_slots")" = 0 ] || fail "a replication slot stayed"
no_scratch "after a backup"
expect 0 "$t" ls latest
for name in label/pg_control facts.json label/backup_label label/tablespace_map wal/0000; do
    grep -q "^/postgresql/$name" "$work/.out" || fail "$name is not in the backup"
done
for name in data/pg_wal data/backup_label data/postmaster.pid "data/$unlogged\$" 'data/.*pgsql_tmp' pg_internal.init; do
    grep -q "^/postgresql/.*$name" "$work/.out" && fail "$name is in the backup"
done
first=$("$t" snapshots db 2>/dev/null | awk '$2 == "db" { print $1; exit }')
expect 0 as_root restore db --snapshot "$first" --from b --to "$work/first" --verify &&
    said "verified: a server recovered to" && said "all page checksums are right"
ledger_between "$work/first" "$before" "$later" "under load"
expect 0 as_root restore db --to "$work/second"
ledger_between "$work/second" "$later" "$last" "under load, the second night"
[ "$(with_server "$work/second" "SELECT (SELECT sum(i) FROM t), (SELECT count(*) FROM u), (SELECT count(*) FROM big)")" = "200010000|0|200000" ] ||
    fail "tables differ"

# --- the same as a backup of the files, of a server that stands still -----------------------------------------------------
pg_sql "$one" "ALTER SYSTEM SET autovacuum = off"
pg_sql "$one" "SELECT pg_reload_conf()" >/dev/null
until [ "$(pg_sql "$one" "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'autovacuum%'")" = 0 ]; do sleep 0.1; done
pg_sql "$one" "CHECKPOINT"
printf 'postgresql: { conninfo: "host=%s user=postgres" }\n' "$one" >"$work/v/c/policies/files.yaml"
expect 0 as_root backup files
expect 0 "$t" --json backup db && [ "$(json bytes_stored)" -lt 1500000 ] || fail "what the backup of the files has is stored again: $(json bytes_stored)"
pg_dumpall() { as_pg "$pgbin/pg_dumpall" -h "$1" -U postgres --no-unlogged-table-data | grep -v '^\\\(un\)\?restrict'; }
pg_dumpall "$one" >"$work/dump.one"
expect 0 as_root restore files --to "$work/by-files"
expect 0 as_root restore db --to "$work/by-sending"
listing() { # names, types, modes, owners, sizes; not those that lie in pg_wal
    (cd "$1/postgresql" && find data data-spaces -path data/pg_wal -prune -o -printf '%p %y %m %U %G %s\n' | sed 's/ d \(.*\) [0-9]*$/ d \1/' | grep -v 'postgresql.auto.conf\|backup_label\|tablespace_map\|pg_tblspc/\|^data-spaces d' | sort)
}
diff <(listing "$work/by-files") <(listing "$work/by-sending") >"$work/diff" || fail "other files than by a backup of the files: $(head -n 5 "$work/diff")"
(cd "$work/by-files/postgresql/data/base" && find . -type f -exec sha256sum {} + | sort) >"$work/sums.files"
(cd "$work/by-sending/postgresql/data/base" && sha256sum -c --quiet "$work/sums.files" >"$work/diff" 2>&1) || fail "other content: $(head -n 3 "$work/diff")"
install -d -o postgres "$work/sv" && ln -s "$work/by-sending/postgresql/data" "$work/sv/data"
pg_start "$work/sv" && {
    pg_dumpall "$work/sv" >"$work/dump.two"
    diff "$work/dump.one" <(sed "s,$work/by-sending/postgresql/data-spaces/[0-9]*,$work/space," "$work/dump.two") >"$work/diff" ||
        fail "a dump shows something else: $(head -n 6 "$work/diff")"
    pg_stop "$work/sv"
}

# --- its log on top of such a backup ---------------------------------------------------------------------------------------
sed -i 's/^  # logs:.*/  logs: 1s/' "$work/v/c/policies/db.yaml"
follow db
load "$one" 60
sleep 0.5
expect 0 "$t" backup db
until [ "$(pg_sql "$one" "SELECT max(id) FROM ledger")" -gt $((last + 200)) ]; do sleep 0.1; done
moment=$(pg_sql "$one" "SELECT clock_timestamp()")
sleep 0.3
unload
caught_up "$one" db
there=$(pg_sql "$one" "SELECT max(id) FROM ledger WHERE at <= '$moment'")
end=$(pg_sql "$one" "SELECT max(id) FROM ledger")
unfollow
expect 0 as_root restore db --at "$moment" --to "$work/at" && said "the last transaction"
ledger_between "$work/at" $((there - 1)) $((there + 1)) "at a moment"
expect 0 as_root restore db --to "$work/newest" --verify
ledger_is "$work/newest" "$end" "to the end of the log"
sed -i 's/^  logs: 1s/  # logs: 5s/' "$work/v/c/policies/db.yaml"
pg_sql "$one" "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots" >/dev/null

# --- a standby ---------------------------------------------------------------------------------------------------------------
install -d -o postgres "$work/two" "$work/two-space"
as_pg pg_basebackup -h "$one" -U postgres -D "$work/two/data" -T "$work/space=$work/two-space" -R -c fast >/dev/null 2>"$work/base" || fail "pg_basebackup: $(cat "$work/base")"
pg_start "$work/two" "-c unix_socket_directories=$work/two" && {
    load "$one" 60
    sent standby "$work/two"
    expect 0 "$t" --json backup standby && [ "$(json state)" = whole ] || fail "a standby cannot be backed up"
    unload
    expect 0 as_root restore standby --to "$work/from-standby" --verify && said "verified: a server recovered"
    ledger_between "$work/from-standby" "$end" "$(pg_sql "$one" "SELECT max(id) FROM ledger")" "from a standby"
    pg_stop "$work/two"
}

# --- a server that sends in the old form ------------------------------------------------------------------------------------------
install -d -m 755 "$work/old"
python3 "$here/old_sender.py" "$work/old" "$one" 2>"$work/old.err" &
sender=$!
until [ -S "$work/old/.s.PGSQL.5432" ]; do sleep 0.05; done
sent old "$work/old"
pg_sql "$one" "CHECKPOINT"
expect 0 "$t" --json backup old && [ "$(json state)" = whole ]
expect 0 "$t" --json backup db
[ ! -s "$work/old.err" ] || fail "the old words: $(cat "$work/old.err")"
kill "$sender"
wait "$sender" 2>/dev/null
expect 0 as_root restore old --no-logs --to "$work/from-old"
expect 0 as_root restore db --no-logs --to "$work/from-new"
diff <(listing "$work/from-old" | sed 's/PG_14_/PG_15_/') <(listing "$work/from-new") >"$work/diff" || fail "the old form gives other files: $(head -n 5 "$work/diff")"
(cd "$work/from-new/postgresql/data/base" && find . -type f -exec sha256sum {} + | sort) >"$work/sums.new"
(cd "$work/from-old/postgresql/data/base" && sha256sum -c --quiet "$work/sums.new" >"$work/diff" 2>&1) || fail "the old form gives other content: $(head -n 3 "$work/diff")"

# --- checks, facts, in place ------------------------------------------------------------------------------------------------
sed -i '/^  conninfo:/a\  checks: [{ name: rows, database: postgres, sql: "SELECT count(*) FROM big", expect: "> 0", restored: same }]' "$work/v/c/policies/db.yaml"
expect 1,3,4,5 "$t" check db && said "permission denied"
pg_sql "$one" "GRANT SELECT ON big TO backup"
expect 0 "$t" check db
end=$(pg_sql "$one" "SELECT max(id) FROM ledger")
expect 0 "$t" backup db
expect 0 "$t" export latest /postgresql/facts.json && tar -xOf "$work/.out" postgresql/facts.json >"$work/facts.json"
python3 - "$work/facts.json" "$one/data" <<'P' || fail "facts.json is not right"
import json, sys
f = json.load(open(sys.argv[1]))
assert f["data_directory"] == sys.argv[2] and f["access"] == "replication" and f["data_checksums"] is True
assert [s["name"] for s in f["tablespaces"]] == ["fast"] and f["checks"][0]["name"] == "rows"
P
pg_sql "$one" "DROP TABLE ledger"
pg_stop "$one"
expect 0 as_root restore db --no-logs --in-place
pg_start "$one" && [ "$(pg_sql "$one" "SELECT max(id) FROM ledger")" = "$end" ] || fail "not put in place"
rm -rf "$one"/data/.twofold-before-* "$work"/space/.twofold-before-*

finish
