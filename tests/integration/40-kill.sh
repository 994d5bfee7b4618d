#!/bin/bash
# 40-kill.sh - power cuts and full disks at every step of a backup, a replicate and a repair: what the copies show afterwards is
# true, the next run succeeds, and no exit status 0 hides that something is not well.
# TWOFOLD_SWEEP=full tries every step.
# long
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

fast=$TWOFOLD_FAST
src=$work/src
small_tree "$src" 40 40
new_vault "$work/v"
policy_add tree --files "$src"
expect 0 "$t" backup tree
cp -a "$src" "$work/src1"
head -c 300000 /dev/urandom >"$src/new-random" && echo changed >"$src/new" && mkdir "$src/newdir" && mv "$src/new" "$src/newdir"
cp -a "$src" "$work/src2"
cp -a "$work/v" "$work/v1" # the second backup is what is broken off

fresh() {
    rm -rf "$work/v"
    cp -a "$work/$1" "$work/v"
}

# count VAULT PROGRAM COMMAND…: sets steps.
count() {
    fresh "$1"
    rm -f "$work/steps"
    TWOFOLD_FAULT=count:$work/steps TWOFOLD_FAULT_PROGRAM=$2 expect 0,3,4 "$t" "${@:3}"
    steps=$(cat "$work/steps" 2>/dev/null || echo 0)
    say "$2 in ${*:3}: $steps steps"
    [ "$steps" -gt 0 ] || fail "no step was counted"
}

# points STEPS HOW-MANY: the steps to try; always the first and the last ones.
points() {
    if [ -n "$sweep_full" ]; then
        seq 1 "$1"
    else
        python3 -c '
import sys
n, k = int(sys.argv[1]), int(sys.argv[2])
print(*sorted({max(1, min(n, round(1 + i * (n - 1) / (k - 1)))) for i in range(k)}))' "$1" "$2"
    fi
}

# What a restore gives is one of the two states, whole.
old_or_new() {
    clean "$work/out"
    expect 0 "$fast" restore tree --to "$work/out" || return 1
    python3 "$here/compare.py" "$work/src1" "$work/out$src" >/dev/null 2>&1 ||
        same_tree "$work/src2" "$work/out$src"
}

all_well() {
    expect 0 "$fast" status
    expect 0 "$fast" scrub --read-data=100%
    local place
    for place in a b; do
        clean "$work/out"
        expect 0 "$fast" restore tree --from $place --to "$work/out" && same_tree "$src" "$work/out$src"
    done
}

# broken_off WHAT: after the kill. A copy whose head says that it has everything must have it.
after_kill() {
    local before=$failures
    expect 0,3 "$fast" status
    expect 0,3 "$fast" scrub --read-data=100%
    old_or_new
    [ "$before" -eq "$failures" ] || say "    after: $1"
}

next_run() {
    local before=$failures
    expect 0 "$t" "${@:2}"
    all_well
    [ "$before" -eq "$failures" ] || say "    after: $1, then ${*:2}"
}

# --- killed during a backup -----------------------------------------------------------------------------------------
for program in twofold twofold-agent; do
    count v1 $program backup tree
    many=$([ $program = twofold ] && echo 12 || echo 4)
    for n in $(points "$steps" "$many"); do
        fresh v1
        TWOFOLD_FAULT=kill@$n TWOFOLD_FAULT_PROGRAM=$program expect 0,1,137 "$t" backup tree
        after_kill "$program killed at $n"
        next_run "$program killed at $n" backup tree
    done
done

# --- killed during a replicate ------------------------------------------------------------------------------------------
fresh v1
mv "$b" "$b.away"
expect 3 "$t" backup tree
mv "$b.away" "$b"
cp -a "$work/v" "$work/behind"
count behind twofold replicate
for n in $(points "$steps" 6); do
    fresh behind
    TWOFOLD_FAULT=kill@$n TWOFOLD_FAULT_PROGRAM=twofold expect 0,137 "$t" replicate
    after_kill "replicate killed at $n"
    next_run "replicate killed at $n" replicate
done

# --- killed during a repair ------------------------------------------------------------------------------------------------
fresh v1
expect 0 "$t" backup tree
cp -a "$work/v" "$work/good"
python3 "$here/damage.py" flip packs 1 "$a" >/dev/null
python3 "$here/damage.py" delete packs 5 "$b" >/dev/null
python3 "$here/damage.py" cut snapshots 2 "$a" >/dev/null
python3 "$here/damage.py" flip lists 3 "$b" >/dev/null
cp -a "$work/v" "$work/damaged"
expect 4 "$t" scrub --read-data=100%
# All of it is read: by itself repair mends what was noted, and looks into but a share of the packs.
count damaged twofold repair --read-data=100%
for n in $(points "$steps" 6); do
    fresh damaged
    TWOFOLD_FAULT=kill@$n TWOFOLD_FAULT_PROGRAM=twofold expect 0,137 "$t" repair --read-data=100%
    old_or_new
    expect 0,4 "$t" scrub --read-data=100%
    next_run "repair killed at $n" repair --read-data=100%
done

# --- a call that fails -----------------------------------------------------------------------------------------------------
# failing VAULT PROGRAM ERRNO POINTS COMMAND…
failing() {
    local n before
    count "$1" "$2" "${@:5}"
    for n in $(points "$steps" "$4"); do
        fresh "$1"
        before=$failures
        TWOFOLD_FAULT=fail@$n:$3 TWOFOLD_FAULT_PROGRAM=$2 expect 0,1,3,4,5 "$t" "${@:5}"
        if [ "$status" -eq 0 ]; then
            all_well
        else
            grep -q 'why:' "$work/.err" || fail "exit status $status without a reason"
            old_or_new
        fi
        next_run "$2 $3 at $n" "${@:5}"
        [ "$before" -eq "$failures" ] || say "    after: $2 $3 at $n in ${*:5}"
    done
}
failing v1 twofold ENOSPC 7 backup tree
failing v1 twofold EIO 6 backup tree
failing v1 twofold-agent EIO 3 backup tree
failing behind twofold ENOSPC 4 replicate
failing damaged twofold ENOSPC 5 repair --read-data=100%

# --- packs that were closed before the kill are not stored again ----------------------------------------------------------------
big=$work/big
mkdir "$big"
python3 -c '
import random, sys
r = random.Random(7)
for i in range(20):
    open("%s/%d" % (sys.argv[1], i), "wb").write(r.randbytes(5000000))' "$big"
fresh v1
policy_add big --files "$big"
cp -a "$work/v" "$work/v-big"
count v-big twofold backup big
total=$(du -sb "$a/packs" | cut -f1)
fresh v-big
rm -rf "$work/.before"
TWOFOLD_FAULT=kill@$((steps * 7 / 10)) TWOFOLD_FAULT_PROGRAM=twofold expect 137 "$t" backup big
kept=$(du -sb "$a/packs" | cut -f1)
expect 0 "$t" --json backup big
stored=$(json bytes_stored backup)
say "killed with $kept of $total bytes in packs; the next run stored $stored"
[ "$kept" -gt $((total / 3)) ] || fail "no pack was written before the kill: this tests nothing"
[ "$stored" -le $((total - kept + 4000000)) ] || fail "packs that were there were stored again"
clean "$work/out"
expect 0 "$fast" restore big --from b --to "$work/out" && same_tree "$big" "$work/out$big"
expect 0 "$fast" scrub --read-data=100%
finish
