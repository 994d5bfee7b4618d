#!/bin/bash
# 72-wal-lives.sh - the lives that servers lead, as a kept log sees them: switched over, failed over while nobody followed, put back by a snapshot
# of the machine and by our own restores, two that both took themselves for the primary, a standby as the source. A restore comes to what
# the moment that is asked for was on the branch that counts, or says that it cannot.
# long
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/wal.sh"

# begin NAME: a server, a vault and a policy of its own, backed up while it is followed.
begin() {
    what=$1 one=$work/$1/one two=$work/$1/two
    mkdir -p "$work/$1"
    pg_new "$1/one" --wal-segsize=1
    echo "fsync = on" >>"$one/data/postgresql.conf"
    pg_start "$one"
    make_ledger "$one"
    new_vault "$work/$1/v"
    db_policy db "$one"
    follow db
    expect 0 "$t" backup db
    add_rows "$one" 10
    caught_up "$one" db
}
rows() { pg_sql "$1" "SELECT max(id) FROM ledger"; }
now() { pg_sql "$1" "SELECT clock_timestamp()"; }
standby() {
    pg_standby "$one" "$two"
    pg_start "$two"
    lab_wait "$two"
}
lab_wait() { # until the standby has all that the primary has
    local lsn _
    lsn=$(pg_sql "$one" "SELECT pg_current_wal_flush_lsn()")
    for _ in $(seq 100); do
        [ "$(pg_sql "$1" "SELECT pg_last_wal_replay_lsn() >= '$lsn'")" = t ] && return
        sleep 0.1
    done
    fail "the standby lags ($what)"
}
promote() { as_pg pg_ctl -D "$two/data" -w promote >/dev/null; }
# comes_to STATUS LEAST [OPTION…]: a restore ends at this row.
comes_to() {
    local status=$1 row=$2
    shift 2
    clean "$work/r"
    expect "$status" "$t" restore db --to "$work/r" "$@"
    ledger_is "$work/r" "$row" "$what${1:+, $*}"
}
ended() { # the keeper, by itself
    wait "$keeper" 2>/dev/null
    keeper=""
}
over() {
    [ -z "$keeper" ] || unfollow
    pg_stop "$one" immediate 2>/dev/null
    [ ! -f "$two/data/postmaster.pid" ] || pg_stop "$two" immediate
    clean "$work/$what" "$work/r" "$work/earlier"
}

# --- switched over: all of the old timeline is kept, and nothing more comes on it -----------------------------------------
begin switchover
standby
pg_stop "$one"
ended
promote
add_rows "$two" 5
db_policy db "$two"
follow db
caught_up "$two" db
comes_to 0 "$(rows "$two")" --verify && said 'on timeline 2'
over

# --- failed over while nobody followed, to a server that has removed the old timeline's log ------------------------------------
begin recycled
standby
unfollow
for _ in 1 2 3; do
    add_rows "$one" 3000
    pg_sql "$one" "SELECT pg_switch_wal()" >/dev/null
done
pg_sql "$one" CHECKPOINT
lab_wait "$two"
pg_stop "$one" immediate
promote
for _ in 1 2 3; do
    add_rows "$two" 3000
    pg_sql "$two" "SELECT pg_switch_wal(); CHECKPOINT" >/dev/null
done
db_policy db "$two"
follow db
add_rows "$two" 5
caught_up "$two" db
grep -q 'begins anew' "$work/.keep" || fail "a gap is not told: $(cat "$work/.keep")"
comes_to 3 10 && said 'gap'
expect 0 "$t" backup db
add_rows "$two" 5
caught_up "$two" db
comes_to 0 "$(rows "$two")" --verify
over

# --- a number of a timeline is left out --------------------------------------------------------------------------------------------
begin skipped
standby
caught_up "$one" db # or what comes next is on the old timeline's segments, which the new primary recycles
unfollow
add_rows "$one" 5
lab_wait "$two"
printf '1\t0/A00000\tno recovery target specified\n' >"$two/data/pg_wal/00000002.history"
chown postgres: "$two/data/pg_wal/00000002.history"
pg_stop "$one"
promote
add_rows "$two" 50
db_policy db "$two"
follow db
caught_up "$two" db
comes_to 0 65 --verify && said 'on timeline 3'
over

# --- two primaries: the one that was followed is abandoned ------------------------------------------------------------------------------
begin split
standby
promote
pg_sql "$two" CHECKPOINT
add_rows "$two" 3
add_rows "$one" 100
sleep 1.1
moment=$(now "$two") then=$(rows "$two")
sleep 1.1
add_rows "$one" 100
caught_up "$one" db
unfollow
pg_stop "$one"
add_rows "$two" 1
db_policy db "$two"
follow db
for _ in $(seq 100); do # the old one had come further: positions tell nothing
    "$t" --json logs db >"$work/.out" 2>/dev/null
    [ "$(json timeline log)" = 2 ] && [ "$(json position log)" -ge "$(pg_sql "$two" "SELECT pg_current_wal_flush_lsn() - '0/0'")" ] && break
    sleep 0.1
done
comes_to 0 "$then" --at "$moment"
comes_to 0 "$(rows "$two")" --verify
over

# --- put back by a snapshot of the machine, and further than before when it is followed again ------------------------------------------------
begin overtaken
pg_stop "$one"
ended
cp -a "$one/data" "$work/earlier"
pg_start "$one"
follow db
add_rows "$one" 500
caught_up "$one" db
last=$(rows "$one")
unfollow
pg_stop "$one"
rm -rf "$one/data" && cp -a "$work/earlier" "$one/data"
pg_start "$one"
add_rows "$one" 700
expect 0 "$t" backup db # before anybody knows
backed_up=$(rows "$one")
follow db
add_rows "$one" 50
caught_up "$one" db
grep -q 'put back to an earlier state' "$work/.keep" || fail "not noticed: $(cat "$work/.keep")"
comes_to 0 "$((backed_up + 50))" --verify
first=$("$t" --json snapshots db 2>/dev/null | python3 -c 'import json, sys
print([o["id"] for o in map(json.loads, sys.stdin) if o.get("type") == "snapshot"][0][:16])')
clean "$work/r"
expect 3 "$t" restore db --to "$work/r" --snapshot "$first" --at "$(now "$one")" && said 'gap'
ledger_is "$work/r" "$last" "$what, the first life"
over

# --- put back twice by restores, so that a timeline is there twice ---------------------------------------------------------------------------
begin twice
early=$(now "$one")
sleep 1.1
add_rows "$one" 200
caught_up "$one" db
late=$(now "$one")
sleep 1.1
add_rows "$one" 1
caught_up "$one" db
unfollow
back() {
    clean "$work/r"
    expect 0 "$t" restore db --to "$work/r" --at "$1"
    pg_stop "$one"
    rm -rf "$one/data" && cp -a "$work/r/postgresql/data" "$one/data"
    pg_start "$one"
    until [ "$(pg_sql "$one" "SELECT pg_is_in_recovery()")" = f ]; do sleep 0.1; done
}
back "$late"
add_rows "$one" 5
follow db
caught_up "$one" db
comes_to 0 "$(rows "$one")"
unfollow
back "$early"
add_rows "$one" 2000
follow db
add_rows "$one" 50
caught_up "$one" db
grep -q 'begins anew' "$work/.keep" || fail "the second timeline 2 is taken for the first: $(cat "$work/.keep")"
clean "$work/r"
expect 3 "$t" restore db --to "$work/r" && said 'gap'
expect 0 "$t" backup db
add_rows "$one" 5
caught_up "$one" db
comes_to 0 "$(rows "$one")" --verify
# What an earlier restore asked for does not hold for a later one, also where the server has written its own settings anew.
pg_sql "$one" "ALTER SYSTEM SET work_mem = '8MB'"
expect 0 "$t" backup db
add_rows "$one" 5
caught_up "$one" db
comes_to 0 "$(rows "$one")" --verify
over

# --- a standby as the source: started again, it has less than it had ---------------------------------------------------------------------------
begin standby
unfollow
standby
echo "recovery_min_apply_delay = '1h'" >>"$two/data/postgresql.conf"
pg_stop "$two"
pg_start "$two"
db_policy db "$two" '  slot: two'
follow db
add_rows "$one" 10
sleep 2
pg_stop "$two"
ended
pg_start "$two"
for _ in 1 2 3; do # it ends as long as the standby is behind, or goes on; both are right
    follow db
    for _ in $(seq 50); do
        kill -0 "$keeper" 2>/dev/null || break
        sleep 0.1
    done
    kill "$keeper" 2>/dev/null
    ended
    grep -q 'begins anew' "$work/.keep" && fail "a standby that was started again broke the log off: $(cat "$work/.keep")"
done
over
finish
