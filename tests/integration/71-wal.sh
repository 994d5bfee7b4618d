#!/bin/bash
# 71-wal.sh - a PostgreSQL server's log is kept as it is written, and restores come to any moment of it: the last one, times by chance, a
# position, a restore point, before and after a change of timeline; also from one copy alone.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/wal.sh"

one=$work/one two=$work/two
pg_new one --wal-segsize=1
echo "track_commit_timestamp = on" >>"$one/data/postgresql.conf"
pg_start "$one" || finish
make_ledger "$one"
new_vault "$work/v"
db_policy db "$one"
expect 0 "$t" policy lint

expect 3 "$t" logs db && said 'NOT FOLLOWED yet'
follow db
load "$one" 12
sleep 1
expect 0 "$t" --json backup db
base=$(json snapshot)
[ "$(json state)" = whole ] || fail "not whole: $(json state)"

# --- moments by chance, while it goes on -------------------------------------------------------------------------
moments=()
for _ in 1 2 3 4; do
    sleep "0.$((RANDOM % 900 + 100))"
    moments+=("$(pg_sql "$one" "SELECT clock_timestamp()")")
done
pg_sql "$one" "SELECT pg_create_restore_point('before the change')" >/dev/null
at_point=$(pg_sql "$one" "SELECT max(id) FROM ledger")
sleep 1
lsn=$(pg_sql "$one" "SELECT pg_current_wal_flush_lsn()")
at_lsn=$(pg_sql "$one" "SELECT max(id) FROM ledger")
unload
caught_up "$one" db
all=$(pg_sql "$one" "SELECT max(id) FROM ledger")

expect 0 "$t" restore db --to "$work/r" --verify && said 'the last transaction in it ended at'
ledger_is "$work/r" "$all" "the last moment"
for m in "${moments[@]}"; do
    clean "$work/r"
    expect 0 "$t" restore db --to "$work/r" --at "$m" --verify
    ledger_is "$work/r" "$(pg_sql "$one" "SELECT max(id) FROM ledger WHERE pg_xact_commit_timestamp(xmin) <= '$m'")" "$m"
done
clean "$work/r"
expect 0 "$t" restore db --to "$work/r" --lsn "$lsn" --verify
ledger_between "$work/r" $((at_lsn - 30)) $((at_lsn + 1)) "the position $lsn"
clean "$work/r"
expect 0 "$t" restore db --to "$work/r" --point 'before the change'
ledger_between "$work/r" $((at_point - 30)) "$at_point" "the restore point"
clean "$work/r"
expect 0 "$t" restore db --to "$work/r" --snapshot "${base:0:16}" && not_said 'its log'
clean "$work/r"
expect 0 "$t" restore db --to "$work/r" --no-logs && not_said 'its log'

# --- what is asked for wrongly, or is not there --------------------------------------------------------------------
# shellcheck disable=SC2043
for _ in once; do # so that a part can be left
    clean "$work/r"
    expect 1,4 "$t" restore db --to "$work/r" --point nowhere && said 'no restore point "nowhere"'
    clean "$work/r"
    expect 1,4 "$t" restore db --to "$work/r" --lsn FFFF/0 && said 'is kept up to .* only'
    clean "$work/r"
    expect 2 "$t" restore db --to "$work/r" --lsn nonsense && said 'no position'
    expect 2 "$t" restore db --to "$work/r" --lsn 0/1 --at now && said 'give one'
    clean "$work/r"
    expect 1 "$t" restore db --to "$work/r" --at "$(pg_sql "$one" "SELECT to_timestamp(0)")"
    # in the second in which the backup ended, and before it did
    clean "$work/r"
    expect 0 "$t" restore db --snapshot "${base:0:16}" --to "$work/r" /postgresql/facts.json
    early=$(python3 -c 'import json, sys
from datetime import datetime, timezone
us = json.load(open(sys.argv[1]))["stopped_at_us"] - 1
print(datetime.fromtimestamp(us // 1000000, timezone.utc).strftime("%Y-%m-%d %H:%M:%S") + ".%06d" % (us % 1000000))' "$work/r/postgresql/facts.json")
    clean "$work/r"
    expect 1 "$t" restore db --snapshot "${base:0:16}" --to "$work/r" --at "$early" && said 'the backup ends later than'
    # a moment when nobody listened
    clean "$work/r"
    expect 3 "$t" restore db --to "$work/r" --at '2099-01-01' && said 'known up to'
    ledger_is "$work/r" "$all" "a moment that has not come"
done

# --- another timeline: the standby takes over --------------------------------------------------------------------------
pg_standby "$one" "$two"
pg_start "$two"
pg_sql "$one" "INSERT INTO ledger SELECT id + 1, clock_timestamp(), 7, total + 7 FROM ledger ORDER BY id DESC LIMIT 1"
caught_up "$one" db
unfollow
before_switch=$(pg_sql "$one" "SELECT clock_timestamp()")
pg_stop "$one"
sleep 0.5
as_pg pg_ctl -D "$two/data" -w promote >/dev/null
pg_sql "$two" "INSERT INTO ledger SELECT id + 1, clock_timestamp(), 8, total + 8 FROM ledger ORDER BY id DESC LIMIT 1"
db_policy db "$two"
follow db
caught_up "$two" db
[ "$(pg_sql "$two" "SELECT timeline_id FROM pg_control_checkpoint()")" -eq 2 ] || pg_sql "$two" CHECKPOINT
clean "$work/r"
expect 0 "$t" restore db --to "$work/r" --verify && said 'on timeline 2'
ledger_is "$work/r" $((all + 2)) "the end of the second timeline"
clean "$work/r"
expect 0 "$t" restore db --to "$work/r" --at "$before_switch" --verify
ledger_is "$work/r" $((all + 1)) "a moment before the change of timelines"

# --- a backup of the new timeline, and from one copy alone ------------------------------------------------------------------
expect 0 "$t" backup db
pg_sql "$two" "INSERT INTO ledger SELECT id + 1, clock_timestamp(), 9, total + 9 FROM ledger ORDER BY id DESC LIMIT 1"
caught_up "$two" db
unfollow
expect 3 "$t" logs db && said 'NOT FOLLOWED; kept up to'
for place in a b; do
    clean "$work/r"
    expect 0 "$t" restore db --to "$work/r" --from $place
    ledger_is "$work/r" $((all + 3)) "copy $place"
done
mv "$work/v/c" "$work/v/c.gone"
clean "$work/r"
expect 0 "$t" restore --copy "$b" --policy db --to "$work/r" --passphrase-file "$pass"
ledger_is "$work/r" $((all + 3)) "nothing but one copy"
mv "$work/v/c.gone" "$work/v/c"

# --- what lies in a copy tells nothing -------------------------------------------------------------------------------------
grep -rlE 'ledger|postgres|before the change' "$a/logs" "$b/logs" && fail "a copy shows what is in the log"
[ "$(cd "$a/logs" && find . -type f | sort)" = "$(cd "$b/logs" && find . -type f | sort)" ] || fail "the copies hold different objects of the log"
finish
