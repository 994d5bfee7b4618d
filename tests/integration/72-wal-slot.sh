#!/bin/bash
# 72-wal-slot.sh - a server gives up the slot that keeps its log for us, while nobody follows: because it kept too much, or (from 18 on) was idle for
# too long. That is said, the log begins anew by itself, and after the next backup all is well.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/wal.sh"
pg_since 13 || { say "not tested here: PostgreSQL 12 gives no slot up"; exit 77; }

one=$work/one
pg_new one --wal-segsize=1
echo "max_wal_size = 2MB
min_wal_size = 2MB" >>"$one/data/postgresql.conf"
pg_start "$one" || finish
make_ledger "$one"
new_vault "$work/v"
db_policy db "$one"
follow db
expect 0 "$t" backup db
add_rows "$one" 10
caught_up "$one" db
unfollow
state_of_slot() { pg_sql "$one" "SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'twofold'"; }
setting() { pg_sql "$one" "ALTER SYSTEM SET $1" && pg_sql "$one" "SELECT pg_reload_conf()" >/dev/null; }
# given_up WHY: what is restored ends where the log did, with a gap; from the next backup on it is whole again.
given_up() {
    local last
    last=$(pg_sql "$one" "SELECT max(id) FROM ledger")
    [ "$(state_of_slot)" = lost ] || fail "$1: the slot is $(state_of_slot)"
    setting "$2"
    add_rows "$one" 5
    follow db
    caught_up "$one" db
    [ "$(state_of_slot)" = reserved ] || fail "$1: the slot was not made anew: $(state_of_slot)"
    expect 0 "$t" backup db
    add_rows "$one" 7
    caught_up "$one" db
    unfollow
    clean "$work/r"
    expect 0 "$t" restore db --to "$work/r" --verify
    ledger_is "$work/r" $((last + 12)) "$1"
}

setting "max_slot_wal_keep_size = '2MB'"
for _ in 1 2 3 4 5 6 7 8; do pg_sql "$one" "SELECT txid_current(); SELECT pg_switch_wal()" >/dev/null; done
pg_sql "$one" CHECKPOINT
given_up "too much kept" "max_slot_wal_keep_size = '-1'"
grep -q 'begins anew' "$work/.keep" || fail "not told that the log begins anew: $(cat "$work/.keep")"

if pg_since 18; then
    setting "idle_replication_slot_timeout = '1s'"
    sleep 1.5
    pg_sql "$one" CHECKPOINT
    given_up "idle for too long" "idle_replication_slot_timeout = 0"
else
    skip_part "a slot that was idle for too long (from PostgreSQL 18 on)"
fi
finish
