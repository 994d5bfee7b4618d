#!/bin/bash
# 72-wal-trouble.sh - what happens to a log that is kept: the server, the keeper and the agent are killed, a copy goes away and comes
# back, this machine's disk is full, the server takes away what it should have kept, another server stands in its place, an object of the log is
# lost or wrong. What was acknowledged is never lost, a gap is named, and nothing is replayed across it.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/wal.sh"

one=$work/one
pg_new one --wal-segsize=1
echo "fsync = on" >>"$one/data/postgresql.conf" # or a kill could take back what was sent
pg_start "$one" || finish
make_ledger "$one"
new_vault "$work/v"
db_policy db "$one"
follow db
expect 0 "$t" backup db
rows() { pg_sql "$one" "SELECT max(id) FROM ledger"; }
# comes_back WHAT [OPTION…]: what is restored ends where the ledger ends now.
comes_back() {
    local what=$1
    shift
    clean "$work/r"
    expect 0 "$t" restore db --to "$work/r" "$@"
    ledger_is "$work/r" "$(rows)" "$what"
}

# --- kills ------------------------------------------------------------------------------------------------------------
for what in keeper agent server; do
    load "$one" 60
    sleep 0.5
    case $what in
    keeper) kill -KILL "$keeper" ;;
    agent) kill -KILL "$(pgrep -P "$keeper" -f twofold-agent)" ;;
    server) kill -KILL "$(head -n 1 "$one/data/postmaster.pid")" ;;
    esac
    wait "$keeper" 2>/dev/null && fail "the keeper ended well without its $what"
    [ $what = keeper ] || grep -q 'next:' "$work/.keep" || fail "no next step: $(cat "$work/.keep")"
    if [ $what = server ]; then
        wait "$loading"
        sleep 1
        rm -f "$one/data/postmaster.pid" "$one"/.s.PGSQL.5432* # perhaps nobody has buried it yet
        pg_start "$one"
    else
        sleep 0.3
        unload
    fi
    follow db
    caught_up "$one" db
    grep -q 'begins anew' "$work/.keep" && fail "the log was broken off after the kill of the $what"
    comes_back "after the kill of the $what"
done

# --- two at once -------------------------------------------------------------------------------------------------------
expect 5 "$t" logs db --follow && said 'another process follows this log'
db_policy other "$one"
expect 5 "$t" logs other --follow && said 'replication slot "twofold" is in use'

# --- a copy goes away and comes back ---------------------------------------------------------------------------------------
mv "$b" "$b.away"
add_rows "$one" 200
caught_up "$one" db
grep -q 'copy "b" does not take the log' "$work/.keep" || fail "not told that a copy takes nothing"
"$t" logs db >"$work/.out" 2>&1
said 'copy "b": .*behind' || fail "not shown that a copy lags"
comes_back "with a copy away" --from a
unfollow
mv "$b.away" "$b"
mv "$a" "$a.away" # the one that comes back has less than what this machine knows of
add_rows "$one" 10
follow db
sleep 2
grep -q 'begins anew' "$work/.keep" && fail "a copy that was behind broke the log"
mv "$a.away" "$a"
unfollow
follow db
add_rows "$one" 1 # only the new one can have it
caught_up "$one" db
unfollow
comes_back "after both were away" --from a
comes_back "after both were away" --from b

# --- this machine's disk is full ----------------------------------------------------------------------------------------------
if mount -t tmpfs -o size=300k none "$work/v/s/logs" 2>/dev/null; then
    follow db
    sleep 1
    head -c 400000 /dev/zero >"$work/v/s/logs/filler" 2>/dev/null
    add_rows "$one" 10
    wait "$keeper" && fail "the keeper ended well on a full disk"
    keeper=""
    grep -qi 'no space' "$work/.keep" || fail "a full disk is not named: $(cat "$work/.keep")"
    umount "$work/v/s/logs"
else
    skip_part "a full disk"
fi
follow db
caught_up "$one" db
grep -q 'begins anew' "$work/.keep" && fail "a full disk broke the log"
comes_back "after the full disk"

# --- the server takes away what comes next: a gap ------------------------------------------------------------------------------
unfollow
last=$(rows) last_at=$(date +%s)
pg_sql "$one" "SELECT pg_drop_replication_slot('twofold')" >/dev/null
for _ in 1 2 3; do
    add_rows "$one" 3000
    pg_sql "$one" "SELECT pg_switch_wal()" >/dev/null
    pg_sql "$one" CHECKPOINT
done
after_gap=$(pg_sql "$one" "SELECT clock_timestamp()")
follow db
add_rows "$one" 10
caught_up "$one" db
grep -q 'has removed what came next' "$work/.keep" && grep -q 'a backup is needed' "$work/.keep" || fail "the gap is not named: $(cat "$work/.keep")"
clean "$work/r"
expect 3 "$t" restore db --to "$work/r" --verify && said 'does not go on.*gap'
ledger_is "$work/r" "$last" "before the gap"
clean "$work/r"
expect 0 "$t" --json drill db --to "$work/r" && said 'gap' # what lies behind it would be lost, too
[ "$(json recovered_to drill)" -le "$last_at" ] || fail "a drill counts what lies behind a gap: $(cat "$work/.out")"
expect 3 "$t" restore db --to "$work/r" --at "$after_gap" && said 'gap'
expect 0 "$t" backup db
add_rows "$one" 10
caught_up "$one" db
comes_back "a backup after the gap" --verify

# --- an object is wrong in one copy, then lost in both -----------------------------------------------------------------------------
unfollow
newest=$(cd "$a" && find logs -type f ! -path '*/keeper/*' | sort | tail -n 1)
python3 - "$a/$newest" <<'P'
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(-5, 2)
    c = f.read(1)
    f.seek(-5, 2)
    f.write(bytes([c[0] ^ 1]))
P
comes_back "with a flipped bit in one copy" && said 'copy "a".*hash|DAMAGED|damaged'
rm "$a/$newest" "$b/$newest"
clean "$work/r"
expect 3 "$t" restore db --to "$work/r" && said 'was followed up to .* and the copies that answer have it up to'

# --- another server in its place, and one that was put back ---------------------------------------------------------------------------
pg_stop "$one"
cp -a "$one/data" "$work/earlier"
pg_start "$one"
follow db
add_rows "$one" 3000
caught_up "$one" db
unfollow
pg_stop "$one"
rm -rf "$one/data" && cp -a "$work/earlier" "$one/data"
pg_start "$one"
follow db
add_rows "$one" 5
caught_up "$one" db
grep -q 'put back to an earlier state' "$work/.keep" || fail "not told that the server was put back: $(cat "$work/.keep")"
unfollow
pg_stop "$one"
pg_new new --wal-segsize=1
pg_start "$work/new"
make_ledger "$work/new"
db_policy db "$work/new"
follow db
add_rows "$work/new" 5
caught_up "$work/new" db
grep -q 'another database system' "$work/.keep" || fail "not told that it is another system: $(cat "$work/.keep")"
one=$work/new
expect 0 "$t" backup db
add_rows "$one" 7
caught_up "$one" db
comes_back "another system"
finish
