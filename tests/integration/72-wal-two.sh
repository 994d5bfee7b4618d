#!/bin/bash
# 72-wal-two.sh - two orchestrators want to keep the log of one database in the same copies, each by a slot of its own, while rows are written:
# the second is refused, until somebody says that the vault is its own; then the first one ends, and nothing is lost or mixed. A name that
# somebody made up in a copy ends nobody's.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/wal.sh"

one=$work/one
pg_new one --wal-segsize=1
pg_start "$one" || finish
make_ledger "$one"
new_vault "$work/v"
db_policy db "$one"
cp -a "$work/v/c" "$work/second"
printf '  slot: second\n' >>"$work/second/policies/db.yaml"
as_first() { export TWOFOLD_CONFIG=$work/v/c TWOFOLD_STATE=$work/v/s; }
as_second() { export TWOFOLD_CONFIG=$work/second TWOFOLD_STATE=$work/state2; }
rows() { pg_sql "$one" "SELECT max(id) FROM ledger"; }
comes_back() { # WHAT: what is restored ends where the ledger ends now
    clean "$work/r"
    expect 0 "$t" restore db --to "$work/r"
    ledger_is "$work/r" "$(rows)" "$1"
}

# The claim is in one copy only; who reaches but the other one is refused by whose vault it is.
expect 0 "$t" backup db
mv "$b" "$b.hidden"
follow db
caught_up "$one" db
unfollow
mv "$a" "$a.hidden"
mv "$b.hidden" "$b"
as_second
expect 5 "$t" logs db --follow && said 'another orchestrator keeps this log' && said 'next: .*backup db --take-over'
as_first
mv "$a.hidden" "$a"

follow db
caught_up "$one" db
expect 0 "$t" backup db
load "$one" 60

# --- the second is refused: beside the first, and when that is dead ---------------------------------------------------------------------
as_second
expect 5 "$t" logs db --follow && said 'another orchestrator keeps this log' && said 'next: .*backup db --take-over'
as_first
kill -KILL "$keeper"
wait "$keeper" 2>/dev/null
as_second
expect 5 "$t" logs db --follow && said 'another orchestrator keeps this log'
as_first
follow db # its own claim is no obstacle
unload
caught_up "$one" db
comes_back "after the first orchestrator's keeper was killed"

# --- an empty file that has the name of the next claim, in one copy ----------------------------------------------------------------------
made_up() { # COPY
    local folder last
    folder=$(echo "$work/v/$1"/logs/*/keeper)
    last=$(find "$folder" -type f -printf '%f\n' | sort | tail -n 1)
    : >"$folder/$(printf %016d $((10#$last + 1)))"
}
made_up b
add_rows "$one" 10
caught_up "$one" db
kill -0 "$keeper" 2>/dev/null || fail "an empty file ended the keeper: $(cat "$work/.keep")"
unfollow
follow db
add_rows "$one" 10
caught_up "$one" db
comes_back "with an empty file for a claim"

# --- taken over while both would write ------------------------------------------------------------------------------------------------------
load "$one" 60
sleep 0.5
first=$keeper
as_second
expect 0 "$t" backup db --take-over
kill -0 "$first" 2>/dev/null || fail "the first keeper ended before its log was taken over: $(cat "$work/.keep")"
mv "$work/.keep" "$work/.keep1"
follow db
rc=0
wait "$first" || rc=$?
[ "$rc" -eq 5 ] && grep -q 'another orchestrator keeps this log by now' "$work/.keep1" || fail "the first keeper ended with $rc: $(cat "$work/.keep1")"
sleep 1
unload
caught_up "$one" db
grep -q 'begins anew' "$work/.keep" && fail "the log was broken off: $(cat "$work/.keep")"
comes_back "after the log was taken over"
expect 0 "$t" scrub --read-data=100%
as_first
expect 5 "$t" logs db --follow && said 'another orchestrator keeps this log'
as_second

# --- and back, the second one being dead -------------------------------------------------------------------------------------------------------
kill -KILL "$keeper"
wait "$keeper" 2>/dev/null
add_rows "$one" 100
as_first
expect 0 "$t" backup db --take-over
follow db
add_rows "$one" 100
caught_up "$one" db
comes_back "after it was taken back"
expect 0 "$t" scrub --read-data=100%
unfollow
finish
