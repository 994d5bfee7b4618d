#!/bin/bash
# 45-prune.sh - retention and prune: what goes and what stays, killed at many points, beside a running backup, with clocks that
# are wrong, and with a carried copy that comes back after several prunes. After each every kept backup restores from each copy
# alone, and a scrub that reads everything finds nothing. TWOFOLD_SWEEP=full tries every step.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

fast=$TWOFOLD_FAST
src=$work/src
day=86400

# night N: a backup of N nights ago; what it holds is kept in $work/states/N (hard links: files are replaced, never rewritten).
night() {
    TWOFOLD_FAULT=clock-$(($1 * day)) expect 0 "$t" --quiet backup "${2:-tree}"
    rm -rf "$work/states/$1"
    mkdir -p "$work/states"
    cp -a --reflink=auto "$src" "$work/states/$1"
}

change() { # SEED: two files are replaced, one comes, one goes
    head -c 400000 /dev/urandom >"$src/.big" && mv "$src/.big" "$src/big$(($1 % 3))"
    head -c 3000 /dev/urandom >"$src/.small" && mv "$src/.small" "$src/small$1"
    rm -f "$src/small$(($1 + 4))"
}

fresh() {
    rm -rf "$work/v"
    cp -a "$work/$1" "$work/v"
}

count_of() { find "$1" -type f | wc -l; }

ids() { # POLICY: the ids of its snapshots, oldest first
    "$fast" --json snapshots "$1" 2>/dev/null | python3 -c '
import json, sys
for line in sys.stdin:
    o = json.loads(line)
    if o.get("type") == "snapshot":
        print(o["id"][:12])'
}

# every_kept NIGHT…: exactly these nights are there, and each restores from each copy alone.
every_kept() {
    local before=$failures n place list
    mapfile -t list < <(ids tree)
    [ ${#list[@]} -eq $# ] || fail "${#list[@]} snapshots instead of $#"
    for place in a b; do
        n=0
        for night in "$@"; do
            clean "$work/out"
            expect 0 "$fast" restore tree --snapshot "${list[$n]}" --from $place --to "$work/out" &&
                same_tree "$work/states/$night" "$work/out$src"
            n=$((n + 1))
        done
    done
    expect 0 "$fast" scrub --read-data=100%
    expect 0 "$fast" status
    [ "$before" -eq "$failures" ] || say "    after: $what"
}

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

# --- nine nights --------------------------------------------------------------------------------------------------------
small_tree "$src" 45 30
new_vault "$work/v"
policy_add tree --files "$src"
for n in 9 8 7 6 5 4 3 2 1; do
    change "$n"
    night "$n"
done
mv "$work/v" "$work/nine"
fresh nine

what="without a retention"
policy_says tree
expect 0 "$t" prune
said 'of [0-9]+ packs 0 are not needed'
[ "$(ids tree | wc -l)" -eq 9 ] || fail "something went without a retention"

what="dry run"
fresh nine
policy_says tree 'retention: { daily: 3 }'
before=$(fingerprint "$work/v/a" "$work/v/b")
expect 0 "$t" prune --dry-run
said 'tree: 3 backups stay, 6 go'
said 'stays .*last good one, daily '
[ "$before" = "$(fingerprint "$work/v/a" "$work/v/b")" ] || fail "a dry run has changed something"
expect 0 "$t" --json prune --dry-run
[ "$(json dropped plan)" = 6 ] || fail "the dry run says $(json dropped plan)"

# The policy's word, a hold, the floor of logs, and a policy that is gone.
what="hold"
mapfile -t all < <(ids tree)
expect 2 "$t" hold add "${all[1]}"
expect 0 "$t" hold add "${all[1]}" --why "evidence of the audit"
expect 0 "$t" hold list
said "${all[1]:0:8} .*tree: evidence of the audit"
rm -f "$work/v/s/catalog.db" "$work"/v/s/*/facts.db # neither the catalog nor what this machine knew
expect 0 "$t" hold list
said "${all[1]:0:8} .*no longer known here"
expect 0 "$t" --json prune --dry-run
[ "$(json dropped plan)" = 5 ] || fail "a held snapshot would go: $(json dropped plan)"
expect 0 "$t" hold remove "${all[1]}"
expect 0 "$t" hold list
not_said "${all[1]:0:8}"
what="logs"
policy_says tree 'retention: { last: 1 }' 'class: logs'
expect 0 "$t" --json prune --dry-run
[ "$(json dropped plan)" = 0 ] || fail "logs younger than 92 days would go"
what="a policy that is gone"
policy_says tree 'retention: { last: 1 }'
mv "$work/v/c/policies/tree.yaml" "$work/tree.yaml"
expect 0 "$t" prune --dry-run
said 'its policy is gone'
expect 5 "$t" prune --forget-policy tree
mv "$work/tree.yaml" "$work/v/c/policies/tree.yaml"
expect 5 "$t" --yes prune --forget-policy tree
rm "$work/v/c/policies/tree.yaml"
expect 0 "$t" --yes prune --forget-policy tree
[ "$(ids tree | wc -l)" -eq 0 ] || fail "a forgotten policy's backups are still there"
expect 0 "$t" prune
[ "$(count_of "$work/v/a/packs")" -eq 0 ] || fail "packs are left: $(count_of "$work/v/a/packs")"
expect 0 "$t" scrub --read-data=100%
policy_add tree --files "$src"
expect 0 "$t" backup tree
restore_same "$src" tree

# --- two phases --------------------------------------------------------------------------------------------------------------
what="two prunes"
fresh nine
policy_says tree 'retention: { daily: 3 }'
packs=$(count_of "$work/v/a/packs")
expect 0 "$t" --json prune
[ "$(json snapshots_dropped prune)" = 6 ] || fail "dropped: $(json snapshots_dropped prune)"
[ "$(json bytes copy)" = 0 ] || fail "something was deleted by the prune that dropped it"
[ "$(count_of "$work/v/a/packs")" -ge "$packs" ] || fail "a pack is gone already"
every_kept 3 2 1
cp -a "$work/v" "$work/pruned"
expect 0 "$t" --json prune
[ "$(json bytes copy)" -gt 1000000 ] || fail "the second prune freed $(json bytes copy) bytes"
[ "$(count_of "$work/v/a/packs")" -lt "$packs" ] || fail "no pack was deleted"
every_kept 3 2 1
[ "$(cd "$work/v/a" && find packs index keys snapshots -type f | sort)" = \
    "$(cd "$work/v/b" && find packs index keys snapshots -type f | sort)" ] || fail "the copies hold different objects"
expect 0 "$t" --json prune
[ "$(json committed prune)" = False ] || fail "a third prune found something to do"

# The next backup goes on from there, and again from nothing but a copy's own index.
what="a backup after it"
change 20
expect 0 "$t" backup tree
restore_same "$src" tree --from b
rm -rf "$work"/v/s/*/index.db
expect 0 "$t" prune --dry-run
expect 0 "$t" prune
restore_same "$src" tree --from a

# --- killed, and calls that fail ------------------------------------------------------------------------------------------
# kill_sweep VAULT HOW-MANY: the nights that are kept are there after every kill, and after the next two prunes.
kill_sweep() {
    fresh "$1"
    rm -f "$work/steps"
    TWOFOLD_FAULT=count:$work/steps expect 0 "$t" prune
    steps=$(cat "$work/steps")
    say "prune of $1: $steps steps"
    [ "$steps" -gt 20 ] || fail "only $steps steps were counted"
    for n in $(points "$steps" "$2"); do
        what="$1, killed at $n"
        fresh "$1"
        TWOFOLD_FAULT=kill@$n expect 0,137 "$t" prune
        expect 0,3 "$fast" scrub --read-data=100%
        clean "$work/out"
        expect 0 "$fast" restore tree --to "$work/out" && same_tree "$work/states/1" "$work/out$src"
        expect 0 "$t" prune
        expect 0 "$t" prune
        [ "$(count_of "$work/v/a/packs")" -lt "$packs" ] || fail "nothing was deleted in the end"
        if [ $((n % 2)) -eq 0 ] || [ -n "$sweep_full" ]; then
            every_kept 3 2 1
        else
            expect 0 "$fast" scrub --read-data=100%
        fi
    done
}
fresh nine
policy_says tree 'retention: { daily: 3 }'
mv "$work/v" "$work/full"
kill_sweep full 9
kill_sweep pruned 6
for errno in ENOSPC EIO; do
    fresh full
    TWOFOLD_FAULT=count:$work/steps expect 0 "$t" prune
    for n in $(points "$(cat "$work/steps")" 4); do
        what="$errno at $n"
        fresh full
        TWOFOLD_FAULT=fail@$n:$errno expect 0,1,3,4,5 "$t" prune
        [ "$status" -eq 0 ] || grep -q 'why:' "$work/.err" || fail "exit status $status without a reason"
        expect 0 "$t" prune
        expect 0 "$t" prune
        expect 0 "$fast" scrub --read-data=100%
        clean "$work/out"
        expect 0 "$fast" restore tree --from b --to "$work/out" && same_tree "$work/states/1" "$work/out$src"
    done
done
finish
