#!/bin/bash
# 46-prune-beside.sh - prune beside what else runs and happens: backups that were told of chunks on their way out, a base that may
# not go, a restore from the state of before, agents whose clocks lie, this machine's clock set back and forward, a fork, damage,
# and a carried copy that comes back after several prunes.
# long
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

fast=$TWOFOLD_FAST
src=$work/src two=$work/two
day=86400

snapshots_of() { "$fast" --json snapshots "$1" 2>/dev/null | grep -c '"type":"snapshot"'; }

fresh() {
    rm -rf "$work/v"
    cp -a "$work/$1" "$work/v"
}

# newest_everywhere SOURCE POLICY: the newest backup, from each copy alone.
newest_everywhere() {
    local before=$failures place
    for place in a b; do
        clean "$work/out"
        expect 0 "$fast" restore "$2" --from $place --to "$work/out" && same_tree "$1" "$work/out$1"
    done
    expect 0 "$fast" scrub --read-data=100%
    [ "$before" -eq "$failures" ] || say "    after: $what"
}

# until COMMAND…: waits for up to 20 s until it succeeds.
until_so() {
    local _
    for _ in $(seq 400); do
        "$@" && return 0
        sleep 0.05
    done
    fail "this never came: $*"
    return 1
}
is_stopped() { grep -q '^State:.*T' "/proc/$1/status" 2>/dev/null || [ ! -e "/proc/$1" ]; }

is_free() { # DATABASE: no transaction, not even one that only reads
    python3 -c '
import sqlite3, sys
try:
    sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None).executescript("BEGIN EXCLUSIVE; ROLLBACK")
except sqlite3.OperationalError:
    sys.exit(1)' "$1"
}
# stopped N PROGRAM COMMAND…: starts it, waits until it stops before step N; sets `pid`. Output: .bg.
stopped() {
    TWOFOLD_FAULT=stop@$1 TWOFOLD_FAULT_PROGRAM=$2 "$t" "${@:3}" >"$work/.bg" 2>&1 </dev/null &
    pid=$!
    until_so is_stopped "$pid"
}
# goes_on STATUS[,STATUS…]: it goes on, and ends with one of these.
goes_on() {
    local rc=0
    kill -CONT "$pid" 2>/dev/null
    wait "$pid" || rc=$?
    case ,$1, in *,$rc,*) return 0 ;; esac
    fail "exit status $rc instead of $1 of what was stopped ($what)"
    sed 's/^/    /' "$work/.bg" | tail -n 20
}
# meanwhile COMMAND…: in the background, until it ends or waits for the lock that the stopped one holds; sets `other`.
meanwhile() {
    local _
    "$@" >"$work/.other" 2>&1 </dev/null &
    other=$!
    for _ in $(seq 24); do
        [ -e "/proc/$other" ] || return 0
        sleep 0.05
    done
}
steps_of() { # COMMAND…: sets steps
    rm -f "$work/steps"
    TWOFOLD_FAULT=count:$work/steps TWOFOLD_FAULT_PROGRAM=twofold expect 0 "$t" "$@"
    steps=$(cat "$work/steps")
}
points() { # FROM TO HOW-MANY
    python3 -c '
import sys
a, n, k = map(int, sys.argv[1:])
print(*sorted({max(1, min(n, round(a + i * (n - a) / (k - 1)))) for i in range(k)}))' "$@"
}

# --- the ground: "tree" has had a large file that no newer backup has ------------------------------------------------------
small_tree "$src" 46 20
mkdir "$two"
echo two >"$two/a"
head -c 3000000 /dev/urandom >"$work/shared"
new_vault "$work/v"
policy_add tree --files "$src"
policy_add two --files "$two"
policy_says two
policy_says tree
expect 0 "$t" backup two
cp "$work/shared" "$src/shared"
for night in 4 3 2; do
    echo "$night" >"$src/night"
    head -c 300000 /dev/urandom >"$src/random"
    TWOFOLD_FAULT=clock-$((night * day)) expect 0 "$t" backup tree
    rm -f "$src/shared"
done
policy_says tree 'retention: { last: 1 }'
mv "$work/v" "$work/ground"

# --- a backup of "two" stores what only the dropped backups of "tree" had -----------------------------------------------------
cp "$work/shared" "$two/shared"
fresh ground
steps_of backup two
for n in $(points 3 "$steps" 4); do
    what="backup stopped at $n of $steps, pruned twice meanwhile"
    fresh ground
    stopped "$n" twofold backup two
    meanwhile sh -c "$fast prune && $fast prune"
    goes_on 0
    wait "$other" || fail "prune: $? ($what): $(cat "$work/.other")"
    newest_everywhere "$two" two
    expect 0 "$t" prune
    expect 0 "$t" prune
    newest_everywhere "$two" two
    [ "$(snapshots_of tree)" -eq 1 ] || fail "$(snapshots_of tree) backups of tree are left"
done
fresh ground
steps_of prune
for n in $(points 3 "$steps" 5); do
    what="prune stopped at $n of $steps, a backup meanwhile"
    fresh ground
    stopped "$n" twofold prune
    meanwhile "$t" backup two
    goes_on 0
    wait "$other" || fail "backup: $? ($what): $(cat "$work/.other")"
    newest_everywhere "$two" two
    expect 0 "$t" prune
    expect 0 "$t" prune
    newest_everywhere "$two" two
    newest_everywhere "$src" tree
done

# --- while prune weighs and moves, another job sees fewer copies, and the shared cache with it ---------------------------------
rm -rf "$work/v"
new_vault "$work/v"
mkdir "$work/many"
policy_add many --files "$work/many"
policy_says many 'retention: { last: 1 }'
echo first >"$work/many/first"
expect 0 "$t" backup many
mv "$b" "$b.away"
python3 -c '
import random, sys
r = random.Random(46)
for i in range(24):
    open("%s/%02d" % (sys.argv[1], i), "wb").write(r.randbytes(1200000))' "$work/many"
expect 3 "$t" backup many
rm "$work"/many/0[89] "$work"/many/[12]*
expect 3 "$t" backup many
mv "$b.away" "$b" # it is behind
mv "$work/v" "$work/flaps"
fresh flaps
steps_of prune
refused=0
for n in $(points 6 "$steps" 16); do
    what="prune stopped at $n of $steps, meanwhile a job that sees only the older copy"
    fresh flaps
    stopped "$n" twofold prune
    flock -n "$vault"/s/*/lock true && is_free "$vault"/s/*/index.db && {
        mv "$a" "$a.away"
        expect 0,3,5 timeout 30 "$fast" replicate
        mv "$a.away" "$a"
    }
    goes_on 0,5
    grep -q 'saw fewer copies' "$work/.bg" && refused=$((refused + 1))
    expect 0,3 "$t" replicate
    newest_everywhere "$work/many" many
done
[ "$refused" -gt 0 ] || fail "no prune met a cache that had changed"

# --- the base of a backup that runs ----------------------------------------------------------------------------------------------
what="the base of a running backup"
has_offered() { # and holds neither the vault's lock nor a transaction
    [ -n "$(find "$vault"/s/*/sessions -name '*.offers' -size +0)" ] && is_free "$vault"/s/*/index.db && is_free "$vault"/s/*/facts.db &&
        flock -n "$vault"/s/*/lock true
}
for n in $(seq 6 2 40); do
    fresh ground
    stopped "$n" twofold backup tree
    has_offered && break
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null
done
expect 0 "$t" --json prune
[ "$(json snapshots_dropped prune)" = 0 ] || fail "a snapshot went that a backup may build on"
expect 0 "$t" prune --dry-run
said 'a backup that is running may build on it'
goes_on 0
grep -q 'read again' "$work/.bg" && fail "the backup had to read everything again"
newest_everywhere "$src" tree
expect 0 "$t" --json prune
[ "$(json snapshots_dropped prune)" = 3 ] || fail "dropped: $(json snapshots_dropped prune)"

# --- a restore from the state of before, while two prunes go by -----------------------------------------------------------------
what="a restore of a dropped backup"
fresh ground
oldest=$("$fast" --json snapshots tree 2>/dev/null | sed -n 's/.*"id":"\([0-9a-f]*\)".*/\1/p' | head -n 1)
clean "$work/out"
TWOFOLD_FAULT=stop@12 TWOFOLD_FAULT_PROGRAM=twofold-agent "$t" restore tree --snapshot "${oldest:0:16}" --to "$work/out" \
    >"$work/.bg" 2>&1 </dev/null &
pid=$!
agent_stopped() {
    local p
    for p in $(pgrep -P "$pid"); do is_stopped "$p" && agent=$p && return 0; done
    return 1
}
until_so agent_stopped
expect 0 "$t" prune
expect 0 "$t" --json prune
[ "$(json bytes copy)" = 0 ] || fail "deleted under a restore: $(json bytes copy) bytes"
[[ "$(json waits_for prune)" == restore* ]] || fail "it does not say for whom it waits: $(json waits_for prune)"
kill -CONT "$agent"
goes_on 0
cmp "$work/shared" "$work/out$src/shared" || fail "the restored file is another"
expect 0 "$t" --json prune
[ "$(json bytes copy)" -gt 3000000 ] || fail "it waits still: $(json bytes copy)"

# --- clocks ------------------------------------------------------------------------------------------------------------------------
what="agents' clocks"
rm -rf "$work/v"
new_vault "$work/v"
policy_add tree --files "$src"
policy_says tree
for years in 10 -20 5 0; do
    echo "$years" >"$src/years"
    TWOFOLD_FAULT=clock$(printf '%+d' $((years * 365 * day))) TWOFOLD_FAULT_PROGRAM=twofold-agent expect 0 "$t" backup tree
done
policy_says tree 'retention: { last: 2 }'
expect 0 "$t" --json prune
[ "$(json snapshots_dropped prune)" = 2 ] || fail "dropped: $(json snapshots_dropped prune)"
newest_everywhere "$src" tree
what="this machine's clock"
expect 0 "$t" --json snapshots tree
TWOFOLD_FAULT=clock-$((3 * day)) expect 5 "$t" prune && said 'behind'
TWOFOLD_FAULT=clock+$((30 * day)) expect 5 "$t" prune && said 'clock'
TWOFOLD_FAULT=clock+$((30 * day)) expect 0 "$t" prune --dry-run && said 'clock'
[ "$(snapshots_of tree)" -eq 2 ] || fail "something went with a wrong clock"
TWOFOLD_FAULT=clock+$((30 * day)) expect 0 "$t" prune --clock-is-right
expect 5 "$t" prune && said 'behind'
expect 0 "$t" prune --clock-is-right
expect 0 "$t" prune
# A backup received in the future stays, and pushes nothing out.
TWOFOLD_FAULT=clock+$((400 * day)) expect 0 "$t" backup tree
policy_says tree 'retention: { within: 30d }'
TWOFOLD_FAULT=clock+$((400 * day)) expect 5 "$t" prune && said 'jumped|clock'
expect 5 "$t" prune && said 'behind'
expect 0 "$t" prune --clock-is-right
[ "$(snapshots_of tree)" -eq 3 ] || fail "$(snapshots_of tree) backups instead of 3"
expect 0 "$t" prune

# --- a carried copy comes back after several prunes --------------------------------------------------------------------------------
what="a copy that was carried away"
fresh ground
sed -i "s|^\( *\)url: $b\$|&\n\1presence: rotating|" "$vault/c/vaults/main.yaml"
grep -q rotating "$vault/c/vaults/main.yaml" || fail "the vault's configuration is not as expected"
mv "$b" "$b.away"
for night in 1 2 3; do
    echo "again $night" >"$src/night"
    head -c 500000 /dev/urandom >"$src/random"
    expect 0,3 "$t" backup tree
    expect 0 "$t" prune
done
expect 0 "$t" --json prune
[ -n "$(comm -13 <(cd "$a/packs" && find . -type f | sort) <(cd "$b.away/packs" && find . -type f | sort))" ] ||
    fail "nothing went from the copy that is here"
mv "$b.away" "$b"
expect 0 "$t" --json prune # catches it up, and deletes there what was noted meanwhile
newest_everywhere "$src" tree
expect 0 "$t" prune
[ "$(cd "$a" && find packs index keys snapshots -type f | sort)" = "$(cd "$b" && find packs index keys snapshots -type f | sort)" ] ||
    fail "the copies hold different objects"
expect 0 "$t" status

# --- a fork: nothing is deleted until it is merged --------------------------------------------------------------------------------------
what="a fork"
fresh ground
cp -a "$vault/c" "$work/c2"
mkdir -p "$work/s2"
expect 0 "$t" prune # something waits to be deleted
mv "$b" "$b.hidden"
echo one >"$src/one"
expect 3 "$t" backup tree
mv "$b.hidden" "$b" && mv "$a" "$a.hidden"
echo other >"$src/other"
TWOFOLD_CONFIG=$work/c2 TWOFOLD_STATE=$work/s2 expect 3 "$t" backup tree --take-over
mv "$a.hidden" "$a"
before=$(fingerprint "$a" "$b")
expect 5 "$t" prune
[ "$before" = "$(fingerprint "$a" "$b")" ] || fail "prune wrote on a fork"
expect 0 "$t" replicate --take-over
expect 0 "$t" prune
expect 0 "$t" prune
newest_everywhere "$src" tree
rm -f "$src/one" "$src/other"

# --- ... and one that comes to light, and is merged, while prune deletes -------------------------------------------------------------------
what="a fork that is merged while prune deletes"
fresh ground
cp -a "$vault/c" "$work/c3"
mkdir "$work/s3"
third() { TWOFOLD_CONFIG=$work/c3 TWOFOLD_STATE=$work/s3 expect "$@"; }
mv "$a" "$a.hidden"
cp "$work/shared" "$src/shared" # what prune is about to drop is needed again, as only copy b knows
third 3 "$t" backup tree --take-over
cp -a "$src" "$work/merged"
mv "$a.hidden" "$a" && mv "$b" "$b.hidden"
rm "$src/shared"
expect 3 "$t" prune
cp -a "$vault" "$work/pruned-once"
rm -f "$work/steps"
TWOFOLD_FAULT=count:$work/steps TWOFOLD_FAULT_PROGRAM=twofold expect 3 "$t" --json prune
steps=$(cat "$work/steps")
deleted=$(python3 -c '
import json, sys
print(sum(o["objects"] for o in map(json.loads, open(sys.argv[1])) if o["type"] == "copy"))' "$work/.out")
[ "$deleted" -gt 4 ] || fail "there was nothing to delete"
for n in $((steps - deleted)) $((steps - deleted / 2)) $((steps - deleted / 4)); do
    fresh pruned-once
    rm -rf "$work/s3.now" && cp -a "$work/s3" "$work/s3.now"
    stopped "$n" twofold prune
    mv "$b.hidden" "$b"
    TWOFOLD_CONFIG=$work/c3 TWOFOLD_STATE=$work/s3.now expect 0 "$t" replicate --take-over
    sleep 2
    goes_on 3,5
    grep -q 'another orchestrator' "$work/.bg" || fail "not told that another has written, at $n of $steps"
    expect 0 "$t" replicate --take-over
    expect 0,4 "$fast" --json scrub # the one whose deletion was under way when it was stopped
    [ "$(json findings scrub)" -le 1 ] || fail "more is gone than the one that was being deleted"
    expect 0 "$t" repair
    for place in a b; do
        clean "$work/out"
        expect 0 "$fast" restore tree --from $place --to "$work/out" && same_tree "$work/merged" "$work/out$src"
    done
    expect 0 "$fast" scrub --read-data=100%
done

# --- a pack that would be moved is damaged in every copy, and one that is damaged in one ----------------------------------------------------
what="damage"
rm -rf "$work/v"
new_vault "$work/v"
mkdir "$work/d"
policy_add d --files "$work/d"
policy_says d
python3 -c '
import random, sys
r = random.Random(9)
for i in range(12):
    open("%s/%02d" % (sys.argv[1], i), "wb").write(r.randbytes(1200000))' "$work/d"
expect 0 "$t" backup d
rm "$work"/d/0[2-9] "$work"/d/1*
expect 0 "$t" backup d
policy_says d 'retention: { last: 1 }'
cp -a "$work/v" "$work/whole"
spoil() { # COPY…: a byte in each 64 KiB of every pack
    find "${@/%//packs}" -type f -print0 | xargs -0 python3 -c '
import sys
for name in sys.argv[1:]:
    with open(name, "r+b") as f:
        for at in range(5, 10000000, 65536):
            f.seek(at)
            c = f.read(1)
            if not c:
                break
            f.seek(at)
            f.write(bytes([c[0] ^ 1]))'
}
spoil "$a"
expect 0 "$t" --json prune
[ "$(json packs_moved prune)" -ge 1 ] || fail "nothing was moved"
expect 0 "$t" prune
expect 0 "$t" repair --read-data=100%
newest_everywhere "$work/d" d
fresh whole
spoil "$a" "$b"
expect 4 "$t" prune && said 'stays as it is' && said 'damaged in every copy'
[ "$(snapshots_of d)" -eq 1 ] || fail "the backup did not go"
expect 0,3,4 "$t" prune --dry-run

# --- a head that names too little: scrub starts from what the backups need, too ------------------------------------------------------
what="a pack that no index names"
fresh whole
expect 0 "$t" --json scrub --read-data=100%
[ "$(json not_whole scrub)" = 0 ] || fail "not whole: $(json not_whole scrub)"
expect 0 "$TEST_PROGRAMS/integration/prog_forget_pack"
expect 4 "$t" scrub --read-data=100% && said 'NOT WHOLE: [0-9]+ of the [0-9]+ chunks' && said 'back up anew'
expect 4 "$t" --json scrub
[ "$(json not_whole scrub)" -ge 1 ] || fail "not whole: $(json not_whole scrub)"
expect 0,1 "$t" backup d # the first one may find that what it builds on is gone; the next reads everything
expect 0 "$t" backup d
clean "$work/out"
expect 0 "$t" restore d --to "$work/out" && same_tree "$work/d" "$work/out$work/d"

# --- what repairs set aside -----------------------------------------------------------------------------------------------------------
what="aside"
fresh whole
python3 "$here/damage.py" flip packs 1 "$a" >/dev/null
expect 4 "$t" scrub --read-data=100%
expect 0 "$t" repair
[ "$(find "$a/aside" -type f | wc -l)" -eq 1 ] || fail "the repair has set nothing aside"
expect 0 "$t" prune
[ "$(find "$a/aside" -type f | wc -l)" -eq 1 ] || fail "it went at once"
TWOFOLD_FAULT=clock+$((31 * day)) expect 0 "$t" prune --dry-run --clock-is-right && said 'repairs'
TWOFOLD_FAULT=clock+$((31 * day)) expect 0 "$t" prune --clock-is-right
[ "$(find "$a/aside" -type f | wc -l)" -eq 0 ] || fail "what was set aside 31 days ago is still there"
finish
