#!/bin/bash
# 66-postgresql-replication-trouble.sh - what befalls a backup for which the server sends its files: damaged pages, an agent or a server that is
# killed, what comes and goes meanwhile, a scratch folder that is full, a log that is gone.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/wal.sh"
. "$TWOFOLD_SRC/tests/integration/sent.sh"
pg_sql "$one" "ALTER ROLE backup REPLICATION; GRANT pg_read_all_settings, pg_read_all_stats TO backup"
mkdir -p "$work/v/c/policies"
sent db "$one"

# --- a page that is damaged: found, named, the backup kept and marked ---------------------------------------------------------
file=$(pg_sql "$one" "SELECT pg_relation_filepath('big')")
pg_stop "$one"
cp -p "$one/data/$file" "$work/sound"
printf 'damage' | dd of="$one/data/$file" bs=1 seek=$((5 * 8192 + 4000)) conv=notrunc status=none
pg_start "$one"
for run in first second; do
    expect 3 "$t" --json backup db && said "page 5 is damaged in the database itself" && said "$file" && not_said "page 6"
    [ "$(json state)" = partial ] || fail "$run: the backup of a damaged page is not marked"
done
expect 0,3 as_root restore db --to "$work/damaged"
cmp -s "$one/data/$file" "$work/damaged/postgresql/data/$file" || fail "the damaged file is not as it was"
pg_stop "$one"
cp -p "$work/sound" "$one/data/$file"
pg_start "$one"
expect 0 "$t" --json backup db && [ "$(json state)" = whole ] || fail "the mended table still counts as damaged"

# --- what was moved to another disk and linked is not sent: no backup that calls itself whole ----------------------------------
install -d -o postgres -m 700 "$work/disk2"
for path in "$file" pg_xact; do
    pg_stop "$one"
    mv "$one/data/$path" "$work/disk2/moved" && ln -s "$work/disk2/moved" "$one/data/$path"
    pg_start "$one"
    expect 1,5 "$t" backup db && said "$path" && said "if that is a link: what it leads to would not be in the backup"
    pg_stop "$one"
    rm "$one/data/$path" && mv "$work/disk2/moved" "$one/data/$path"
    pg_start "$one"
done
no_scratch "a link"
ln -s "$work/disk2" "$one/data/log"
pg_sql "$one" "ALTER ROLE backup SET client_min_messages = error"
expect 0 "$t" --json backup db && said './log' && [ "$(json state)" = whole ] || fail "an administrator's link: $(json state)"
rm "$one/data/log"

# --- the server's clock is not that of this host: the end of a backup is by the server's ---------------------------------------
pg_sql "$one" "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS \$\$ SELECT pg_catalog.clock_timestamp() + interval '90 s' \$\$"
pg_sql "$one" "ALTER ROLE backup SET search_path = public, pg_catalog"
expect 0 "$t" backup db && said "differ by 9[0-9] s"
expect 0 "$t" policy add clock --postgresql "host=$one user=backup" --access replication --schedule none && said "differ by 9[0-9] s"
"$t" export latest /postgresql/facts.json 2>/dev/null | tar -xO postgresql/facts.json >"$work/facts.json"
python3 - "$work/facts.json" <<'P' || fail "the end is not by the server's clock"
import json, sys
f = json.load(open(sys.argv[1]))
assert 89 < f["stopped_at_us"] / 1e6 - f["stopped_at"] < 92
P
pg_sql "$one" "DROP FUNCTION public.clock_timestamp()"
expect 0 "$t" backup db && not_said "differ by"

# --- a password in conninfo is in no message -----------------------------------------------------------------------------------
for there in 5432 1; do
    printf 'postgresql: { conninfo: "host=%s port=%s user=nobody password=Gehe1m", access: replication }\n' "$one" "$there" >"$work/v/c/policies/secret.yaml"
    expect 1,5 "$t" backup secret && not_said "Gehe1m"
    "$t" check secret >"$work/.out" 2>"$work/.err"
    not_said "Gehe1m"
done
rm "$work/v/c/policies/secret.yaml"

# --- under way --------------------------------------------------------------------------------------------------------------------
sent way "$one"
TWOFOLD_FAULT=count:$work/v/steps TWOFOLD_FAULT_PROGRAM=twofold-agent expect 0 "$t" backup way
steps=$(cat "$work/v/steps" 2>/dev/null)
if [ "${steps:-0}" -lt 1000 ]; then
    skip_part "what happens under way (a build without fault points)"
    finish
fi
# stopped: the agent stands still while the server sends its files.
stopped() {
    TWOFOLD_FAULT=stop@400 TWOFOLD_FAULT_PROGRAM=twofold-agent "$t" backup way >"$work/way.out" 2>&1 </dev/null &
    way=$!
    for _ in $(seq 200); do
        agent=$(pgrep -P "$way" -f twofold-agent | head -n 1)
        [ -n "$agent" ] && grep -q '^State:.*T' "/proc/$agent/status" 2>/dev/null && break
        sleep 0.05
    done
    [ -n "$(find "$work/v/s" -path '*postgresql-scratch-*/base/*' -print -quit)" ] || fail "no files have come"
}
goes_on() { kill -CONT "$agent"; }
alone() {
    for _ in $(seq 200); do
        [ "$(pg_sql "$one" "SELECT (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'twofold') + (SELECT count(*) FROM pg_replication_slots)")" = 0 ] && return
        sleep 0.05
    done
    fail "$1: a session or a slot stayed"
}
newest() { "$t" snapshots way 2>/dev/null | awk '$2 == "way" { id = $1 } END { print id }'; }
had=$(newest)

stopped # the agent dies
kill -9 "$agent"
wait "$way" && fail "a backup without its agent succeeded"
alone "agent killed"
[ "$(newest)" = "$had" ] || fail "half a backup is a snapshot"
[ -n "$(find "$work/v/s" -name 'postgresql-scratch-*' -type d -print -quit)" ] || fail "nothing was there to clear away"
expect 0 "$t" backup way
no_scratch "the run after a killed one"
for step in 20 90 2000; do # and at other steps, the capture among them
    TWOFOLD_FAULT=kill@$step TWOFOLD_FAULT_PROGRAM=twofold-agent expect 1 "$t" backup way
done
expect 0 "$t" --json backup way && [ "$(json state)" = whole ]
no_scratch "the run after those that were killed"

stopped # a tablespace comes
install -d -o postgres "$work/new-space"
pg_sql "$one" "CREATE TABLESPACE fresh LOCATION '$work/new-space'"
goes_on
wait "$way" && fail "a backup whose log makes a tablespace at the original's place"
grep -q 'tablespace "fresh" was made while the backup ran' "$work/way.out" || fail "it is not said why: $(tail -n 3 "$work/way.out")"
stopped # and goes
pg_sql "$one" "DROP TABLESPACE fresh"
goes_on
wait "$way" || fail "a tablespace that went: $(tail -n 3 "$work/way.out")"
stopped # tables come and go
pg_sql "$one" "CREATE TABLE come AS SELECT generate_series(1, 1000) i; DROP TABLE t"
pg_sql "$one" "VACUUM FULL pg_class"
goes_on
wait "$way" || fail "a table that went: $(tail -n 3 "$work/way.out")"
expect 0 as_root restore way --to "$work/moved" --verify && said "all page checksums are right"

stopped # the server dies
kill -9 "$(head -n 1 "$one/data/postmaster.pid")"
goes_on
wait "$way" && fail "a backup of a server that died succeeded"
grep -q "the server has ended" "$work/way.out" || fail "it is not said why: $(tail -n 3 "$work/way.out")"
no_scratch "the server killed"
for _ in $(seq 40); do # its children notice by themselves
    rm -f "$one/data/postmaster.pid" "$one/.s.PGSQL.5432.lock"
    as_pg pg_ctl -D "$one/data" -l "$one/log" -w -t 60 -o "-k $one" start >"$one/ctl.log" 2>&1 && break
    sleep 0.5
done
expect 0 "$t" --json backup way && [ "$(json state)" = whole ]

# --- the scratch folder: too small, full on the way, not there, everybody's ----------------------------------------------------------
if [ -n "${SCENARIO_NAMESPACE:-}" ]; then
    mkdir "$work/small" && mount -t tmpfs -o size=30m,uid=65534,mode=700 small "$work/small"
    sent small "$one" ", scratch: $work/small"
    expect 1 "$t" backup small && said "MiB are needed" && said "scratch: below postgresql"
    expect 0 "$t" policy lint
    mount -o remount,size=600m "$work/small"
    expect 0 "$t" backup small
    [ "$(ls "$work/small")" = postgresql-scratch.lock ] || fail "something stayed in the scratch folder: $(ls "$work/small")"
    TWOFOLD_FAULT=stop@400 TWOFOLD_FAULT_PROGRAM=twofold-agent "$t" backup small >"$work/way.out" 2>&1 </dev/null &
    way=$!
    for _ in $(seq 200); do
        agent=$(pgrep -P "$way" -f twofold-agent | head -n 1)
        [ -n "$agent" ] && grep -q '^State:.*T' "/proc/$agent/status" 2>/dev/null && break
        sleep 0.05
    done
    dd if=/dev/zero of="$work/small/filler" bs=1M status=none 2>/dev/null
    goes_on
    wait "$way" && fail "a backup without room succeeded"
    grep -q "[Nn]o space" "$work/way.out" && grep -q "scratch: below postgresql" "$work/way.out" || fail "it is not said why: $(tail -n 3 "$work/way.out")"
    [ "$(ls "$work/small")" = "$(printf 'filler\npostgresql-scratch.lock')" ] || fail "something stayed in the full scratch folder: $(ls "$work/small")"
else
    skip_part "a full scratch folder"
fi
sent small "$one" ", scratch: $work/nowhere"
expect 1 "$t" backup small && said "make the folder of scratch:"
install -d -m 777 "$work/open"
sent small "$one" ", scratch: $work/open"
expect 1,5 "$t" backup small && said "everybody may write"
sent small "$one" ", data: $one/data"
expect 2 "$t" backup small && said "no files are read"

# --- the server lets nobody have its files; the log goes before it is sent -----------------------------------------------------------
pg_stop "$one"
pg_start "$one" "-c max_wal_senders=0 -c wal_level=replica"
expect 1,5 "$t" backup way && said "max_wal_senders"
expect 3 "$t" policy add way2 --postgresql "host=$one user=backup" --access replication --schedule none && said "max_wal_senders"
pg_stop "$one"
pg_start "$one" "-c max_replication_slots=0"
expect 0 "$t" backup way && said "no replication slot keeps the log"
stopped
segment=$(pg_sql "$one" "SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
pg_sql "$one" "CREATE TABLE more AS SELECT 1 AS i; SELECT pg_switch_wal()" >/dev/null
mv "$one/data/pg_wal/$segment" "$work/taken"
goes_on
wait "$way" && fail "a backup without its log succeeded"
grep -q "WAL\|log" "$work/way.out" || fail "it is not said why: $(tail -n 3 "$work/way.out")"
mv "$work/taken" "$one/data/pg_wal/$segment"
finish
