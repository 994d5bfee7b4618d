#!/bin/bash
# 72-wal-archive.sh - a PostgreSQL server that lets nobody replicate: its archive_command puts its log into a folder, from which it is taken
# into the copies. Backups without a slot, restores to any moment, kills, a change of timeline.
# long
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/wal.sh"

one=$work/one two=$work/two q=$work/q
agent=$work/bin/twofold-agent # the server's user runs it, and the tree may lie where that one does not get to
install -d "$work/bin" && cp "$(dirname "$t")/twofold-agent" "$agent"
pg_new one --wal-segsize=1
cat >>"$one/data/postgresql.conf" <<C
track_commit_timestamp = on
max_wal_senders = 0
max_replication_slots = 0
max_wal_size = 4MB
min_wal_size = 2MB
fsync = on
C
pg_start "$one" || finish
pg_sql "$one" "CREATE ROLE backup LOGIN; GRANT pg_read_all_settings, pg_read_all_stats TO backup;
    GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean), pg_backup_stop(boolean) TO backup;"
new_vault "$work/v"

# --- what is missing is said, and is enough -------------------------------------------------------------------------------------
expect 2 "$t" policy add bad --archive "$q" --postgresql "host=$one" && said 'PostgreSQL'
expect 3 "$t" policy add db --postgresql "host=$one user=backup" --logs 1s --archive "$q" --schedule none
said "there is no folder $q" && said "archive_mode = on; ALTER SYSTEM SET archive_command = 'twofold-agent archive $q %p %f'" && said "archive_timeout = '60s'"
not_said 'ALTER ROLE|max_replication_slots'
expect 1 "$t" logs db --follow && said 'install -d'
install -d -o postgres -m 700 "$q"
cat >>"$one/data/postgresql.conf" <<C
archive_mode = on
archive_command = '$agent archive $q %p %f'
archive_timeout = 1
C
pg_stop "$one" && pg_start "$one"
rm "$work/v/c/policies/db.yaml"
expect 0 "$t" policy add db --postgresql "host=$one user=backup" --archive "$q" --schedule none && not_said 'cannot be backed up'
grep -qE '^  logs: "?5s"?$' "$work/v/c/policies/db.yaml" || fail "archive without logs"
expect 0 "$t" policy lint
sed -i 's/^  logs: .*/  logs: 1s/' "$work/v/c/policies/db.yaml"

# switched: what is committed now is in a segment that is over; *end* is its end.
switched() { end=$(pg_sql "$1" "SELECT ceil((pg_switch_wal() - '0/0') / 1048576.0) * 1048576"); }
# kept DIR: all of that is in the copies, and nothing of it is left in the folder.
kept() {
    local have _ n=0
    switched "$1"
    for _ in $(seq 300); do
        "$t" --json logs db >"$work/.out" 2>/dev/null
        have=$(json position log)
        n=$(find "$q" -type f | wc -l)
        [ "${have:-None}" = None ] || [ "$have" -lt "$end" ] || [ "$n" -gt 0 ] || return 0
        sleep 0.1
    done
    fail "the log is not kept: $have of $end, $n files in the folder: $(find "$q" -type f -printf '%f ')"
    sed 's/^/    /' "$work/.keep"
}

# --- backups and moments ----------------------------------------------------------------------------------------------------------
make_ledger "$one"
follow db
load "$one" 60
sleep 1
expect 0 "$t" --json backup db && not_said 'no replication slot'
[ "$(json state)" = whole ] || fail "not whole: $(json state)"
moments=()
for _ in 1 2 3; do
    sleep "0.$((RANDOM % 900 + 100))"
    moments+=("$(pg_sql "$one" "SELECT clock_timestamp()")")
done
pg_sql "$one" "SELECT pg_create_restore_point('before the change')" >/dev/null
at_point=$(pg_sql "$one" "SELECT max(id) FROM ledger")
for what in keeper agent; do # and go on
    case $what in
    keeper) kill -KILL "$keeper" ;;
    agent) kill -KILL "$(pgrep -P "$keeper" -f twofold-agent)" ;;
    esac
    wait "$keeper" 2>/dev/null && fail "the keeper ended well without its $what"
    sleep 0.5
    follow db
    sleep 1
done
unload
kept "$one"
grep -q 'begins anew' "$work/.keep" && fail "the log was broken off: $(cat "$work/.keep")"
all=$(pg_sql "$one" "SELECT max(id) FROM ledger")
expect 0 "$t" restore db --to "$work/r" --verify && said 'the last transaction in it ended at'
ledger_is "$work/r" "$all" "the last moment"
for m in "${moments[@]}"; do
    clean "$work/r"
    expect 0 "$t" restore db --to "$work/r" --at "$m"
    ledger_is "$work/r" "$(pg_sql "$one" "SELECT max(id) FROM ledger WHERE pg_xact_commit_timestamp(xmin) <= '$m'")" "$m"
done
clean "$work/r"
expect 0 "$t" restore db --to "$work/r" --point 'before the change'
ledger_between "$work/r" $((at_point - 30)) "$at_point" "the restore point"

# Nothing has been committed since: it is complete, whatever else the server writes, and stays so over a restart.
sleep 1.2
unfollow
pg_sql "$one" "CHECKPOINT"
follow db
sleep 6
expect 0 "$t" --json logs db && [ "$(json lag_s log)" -le 4 ] || fail "a quiet server's log lags after a restart: $(json lag_s log)"
clean "$work/r"
expect 0 "$t" restore db --to "$work/r" --at now && not_said 'known up to'
# What is no transaction in the segment that is begun, by chance at once: the server's archive_timeout shows that there is none.
as_pg psql -X -qAt -h "$one" -U postgres -c "INSERT INTO ledger SELECT id + 1, clock_timestamp(), 5, total + 5 FROM ledger ORDER BY id DESC LIMIT 1" -c "SELECT pg_switch_wal()" -c CHECKPOINT >/dev/null
sleep 9
expect 0 "$t" --json logs db && [ "$(json lag_s log)" -le 4 ] || fail "a quiet server's log lags for a record of its own: $(json lag_s log)"

# --- the server is killed, and what it archived is taken without it ------------------------------------------------------------------
unfollow
load "$one" 60
add_rows "$one" 3000
pg_sql "$one" "SELECT pg_switch_wal()" >/dev/null
sleep 0.5
kill -KILL "$(head -n 1 "$one/data/postmaster.pid")"
wait "$loading"
sleep 1
rm -f "$one/data/postmaster.pid" "$one"/.s.PGSQL.5432*
[ -n "$(find "$q" -type f)" ] || fail "nothing was archived"
follow db
wait "$keeper" && fail "the keeper ended well without a server"
keeper=""
[ -z "$(find "$q" -type f -not -name '*.new')" ] || fail "what was archived was not taken without the server: $(ls "$q") $(cat "$work/.keep")"
pg_start "$one"
follow db
kept "$one"
grep -q 'begins anew' "$work/.keep" && fail "the log was broken off by the server's end: $(cat "$work/.keep")"
clean "$work/r"
expect 0 "$t" restore db --to "$work/r"
ledger_is "$work/r" "$(pg_sql "$one" "SELECT max(id) FROM ledger")" "after the server's end"

# --- a long backup without a slot: what the server throws away meanwhile is in the folder -----------------------------------------------
pg_sql "$one" "CREATE TABLE big AS SELECT i, md5(i::text) x FROM generate_series(1, 60000) i"
printf 'limit: 512KiB\n' | cat - "$work/v/c/policies/db.yaml" >"$work/v/c/policies/.x" && mv "$work/v/c/policies/.x" "$work/v/c/policies/db.yaml"
"$t" --json backup db >"$work/.slow" 2>&1 </dev/null &
slow=$!
for _ in $(seq 200); do
    [ "$(pg_sql "$one" "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%sourcefile%' AND application_name = 'twofold'")" = 0 ] || break
    sleep 0.05
done
sleep 0.5
reader=$(pgrep -P "$slow" -f twofold-agent | head -n 1)
kill -STOP "$reader" # it lasts as long as what comes now
first=$(pg_sql "$one" "SELECT pg_walfile_name(redo_lsn) FROM pg_control_checkpoint()")
for _ in 1 2 3 4 5 6 7 8; do
    add_rows "$one" 3000
    pg_sql "$one" "SELECT pg_switch_wal(); CHECKPOINT" >/dev/null
done
kill -0 "$slow" 2>/dev/null || fail "the backup was too fast for this: $(cat "$work/.slow")"
[ ! -e "$one/data/pg_wal/$first" ] || say "note: the server still has $first"
[ -e "$q/$first" ] || fail "$first was removed from the folder though a backup needs it"
kill -CONT "$reader"
wait "$slow" || fail "a backup whose log was archived meanwhile: $(cat "$work/.slow")"
cp "$work/.slow" "$work/.out"
[ "$(json state)" = whole ] || fail "not whole: $(json state)"
kept "$one"
clean "$work/r"
expect 0 "$t" restore db --to "$work/r" --verify
ledger_is "$work/r" "$(pg_sql "$one" "SELECT max(id) FROM ledger")" "a backup without a slot"
clean "$work/r"
expect 0 "$t" restore db --to "$work/r" --no-logs --verify

# --- another timeline: the standby takes over ------------------------------------------------------------------------------------------
add_rows "$one" 5
unfollow
pg_stop "$one"
install -d -o postgres -m 755 "$two" && cp -a "$one/data" "$two/data"
touch "$two/data/standby.signal" && chown postgres "$two/data/standby.signal"
sed -i "s|$one|$two|" "$two/data/postgresql.conf"
pg_start "$two"
before=$(pg_sql "$two" "SELECT max(id) FROM ledger")
before_switch=$(pg_sql "$two" "SELECT clock_timestamp()")
sleep 0.2
as_pg pg_ctl -D "$two/data" -w promote >/dev/null
sed -i "s|host=$one|host=$two|" "$work/v/c/policies/db.yaml"
follow db
add_rows "$two" 7
kept "$two"
grep -q 'begins anew' "$work/.keep" && fail "the log was broken off by the promotion: $(cat "$work/.keep")"
clean "$work/r"
expect 0 "$t" restore db --to "$work/r" --verify && said 'on timeline 2'
ledger_is "$work/r" $((before + 7)) "the end of the second timeline"
clean "$work/r"
expect 0 "$t" restore db --to "$work/r" --at "$before_switch"
ledger_is "$work/r" "$before" "before the promotion"
expect 0 "$t" backup db
unfollow
expect 0 "$t" scrub --read-data=100%
finish
