#!/bin/bash
# 15-adopt.sh - the orchestrator is gone with its configuration, keys and state: another machine takes the vault over from its copies
# and the passphrase (PY-disaster), and goes on; wrong ones are refused, a kill leaves nothing half.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

src=$work/src
small_tree "$src" 15 60
new_vault "$work/v"
policy_add data --files "$src"
expect 0 "$t" backup data
cp -R "$vault/c/policies" "$work/policies"
rm -rf "$vault/c" "$vault/s"

adopt() { "$t" adopt --passphrase-file "$pass" "$@"; }

# --- what is refused, and leaves nothing
expect 2 adopt
said '--copy PLACE=URL'
expect 2 adopt --copy "a=$a" && said 'next: is only one copy left\? Copy its folder to a second disk'
said 'PY-DB-1|two'
printf 'Wrong-Horse-Battery-99\n' >"$work/wrong"
chmod 600 "$work/wrong"
expect 5 "$t" adopt --passphrase-file "$work/wrong" --copy "a=$a" --copy "b=$b"
TWOFOLD_CONFIG=$work/c2 TWOFOLD_STATE=$work/s2 expect 0 "$t" --yes init --vault other --copy "x=$work/x" --copy "y=$work/y" \
    --passphrase-file "$pass"
expect 5 adopt --copy "a=$a" --copy "x=$work/x"
said 'another vault'
[ ! -e "$vault/c/vaults/main.yaml" ] && [ ! -e "$vault/c/keys/main.op" ] || fail "a refused adoption left something"

# --- killed at every step: either all of it is there, or the next one goes through
for step in 1 2 3 4 5 6 7 8 9 10 11 12; do
    rm -rf "$vault/c"
    { TWOFOLD_FAULT=kill@$step adopt --copy "a=$a" --copy "b=$b" --keep-recovery-key >/dev/null 2>&1; } 2>/dev/null
    if [ -e "$vault/c/vaults/main.yaml" ]; then
        expect 0 "$t" status --vault main
        break
    fi
    expect 0 adopt --copy "a=$a" --copy "b=$b"
done
[ "$step" -gt 1 ] || fail "the kill did not come"

# --- taken over: the old writer is known, so the first backup must say that it is gone for good
rm -rf "$vault/c" "$vault/s"
expect 0 adopt --copy "machine-room=$b" --copy "building-2=$a"
said 'knows the vault "main"'
expect 0 stat -c %a "$vault/c/keys/main.op"
said '^600$'
expect 1,5 adopt --copy "machine-room=$b" --copy "building-2=$a"
said 'already'
cp -R "$work/policies" "$vault/c/"
expect 0 "$t" snapshots
said 'data'
expect 5 "$t" backup data
said 'another orchestrator'
expect 0 "$t" backup data --take-over
expect 0 "$t" backup data
restore_same "$src" data --passphrase-file "$pass"
expect 0 "$t" scrub --read-data=100%
finish
