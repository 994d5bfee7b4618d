#!/bin/bash
# 58-checks.sh - the policy's checks: a backup that has too little goes to quarantine, the run has failed and says why, no restore
# takes it by itself, no retention drops a good one for it; and --as-it-is takes it as it is.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

src=$work/src
mkdir "$src"
for i in $(seq 20); do head -c 10000 /dev/urandom >"$src/f$i"; done
new_vault "$work/v"
policy_add tree --files "$src"
grep -q '^checks: { max-shrink: 50% }' "$vault/c/policies/tree.yaml" || fail "a new policy has no checks"
policy_says tree 'retention: { last: 1 }' 'checks: { min-files: 5, min-bytes: 20KiB, max-shrink: 40% }'
expect 0 "$t" policy lint
good() { "$t" --json snapshots tree 2>/dev/null | grep -c '"quarantine":false'; }

expect 0 "$t" backup tree
cp -a "$src" "$work/full"
rm "$src"/f1?
expect 1 "$t" backup tree

said 'the last good one had' && said '40% less' && said 'in quarantine' && said 'twofold backup tree --as-it-is'
rm "$src"/f[5-9] "$src"/f20
expect 1 "$t" --json backup tree && said 'at least 5'
sleep 1.1 # a failed run counts when it ended in a later second than the last good backup
expect 1 "$t" backup tree
expect 3,1 "$t" status
said 'the last run failed: backup of "tree"'

# What was good stays, and is what a restore takes.
expect 0 "$t" prune
[ "$(good)" -eq 1 ] || fail "$(good) good backups instead of 1"
expect 0 "$t" restore tree --to "$work/out" && same_tree "$work/full" "$work/out$src"

# It was meant so: from now on this is what is compared with.
policy_says tree 'retention: { last: 1 }' 'checks: { max-shrink: 40% }'
expect 1 "$t" backup tree
expect 0 "$t" backup tree --as-it-is
expect 0 "$t" backup tree
expect 0 "$t" status
clean "$work/out"
expect 0 "$t" restore tree --to "$work/out" && same_tree "$src" "$work/out$src"

# Bytes count, too; more is never too little; what is asked for as quarantine is not judged.
policy_says tree 'checks: { min-bytes: 1MiB }'
expect 1 "$t" backup tree && said 'at least 1\.0 MiB'
expect 0 "$t" backup tree --quarantine
head -c 2000000 /dev/zero >"$src/large"
expect 0 "$t" backup tree

# Nothing at all where something was is never right, whatever the policy says: a mount point without its mount.
policy_says tree 'retention: { last: 1 }'
expect 0 "$t" backup tree
mv "$src" "$work/mounted"
mkdir "$src"
for _ in 1 2; do expect 1 "$t" backup tree && said 'it has no file' && said 'is it mounted'; done
rmdir "$src"
mv "$work/mounted" "$src"
expect 0 "$t" backup tree

# Mistakes are named with their line.
for wrong in '{ max-shrink: 0% }' '{ max-shrink: 100% }' '{ max-shrink: 12 }' '{ max-shrink: -5% }' '{ min-files: many }' '{ min-bytes: 3XB }' \
    '{ min-file: 3 }' '[ 3 ]'; do
    policy_says tree "checks: $wrong"
    expect 2 "$t" policy lint && said 'tree.yaml:[0-9]+'
done
finish
