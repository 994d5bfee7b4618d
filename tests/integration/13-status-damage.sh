#!/bin/bash
# 13-status-damage.sh - damage that a restore or a scrub has met is shown by status until it is mended or gone, and a vault
# object that somebody else has signed is seen without the recovery key.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

src=$work/src
small_tree "$src" 13 60
new_vault "$work/v"
mv "$work/v/c/keys/main.recovery" "$work/kept.recovery" # nothing below but the restore needs it
policy_add tree --files "$src"
expect 0 "$t" backup tree
expect 0 "$t" status

damaged_objects() { # PLACE: what --json says
    "$t" --json status 2>/dev/null | python3 -c '
import json, sys
for line in sys.stdin:
    o = json.loads(line)
    if o.get("type") == "status" and o["copy"] == sys.argv[1]:
        print(o["damaged_objects"], o["copy_state"], o["copy_bad"])' "$1"
}
shows() { # PLACE "N STATE BAD"
    local is
    is=$(damaged_objects "$1")
    [ "$is" = "$2" ] || fail "copy $1: \"$is\" instead of \"$2\""
}

# --- a restore meets it, takes the other copy, and remembers -------------------------------------------------------
pack=$(find "$a/packs" -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)
printf damaged | dd of="$pack" conv=notrunc status=none
shows a "0 current False" # nobody has looked yet
expect 0 "$t" restore tree --to "$work/out" --passphrase-file "$pass"
same_tree "$src" "$work/out$src"
expect 3 "$t" status && said 'a +1 damaged object' && said 'next: mend them: twofold repair'
said "why:  packs/" && said 'b +current'
shows a "1 damaged True"
shows b "0 current False"
expect 0 "$t" repair && said 'mended 1 object,'
expect 0 "$t" status && said 'a +current'
shows a "0 current False"

# --- what is not there any more needs no mending ------------------------------------------------------------------------
head=$(find "$a/heads" -type f | tail -n 1)
junk=$a/heads/$(printf '%016d-%064d' 9 7)
cp "$head" "$junk"
expect 4 "$t" scrub && said 'heads/0000000000000009.*DAMAGED'
expect 3 "$t" status && said 'a +1 damaged head'
rm "$junk"
expect 3 "$t" status && said 'a +1 damaged object'
expect 0 "$t" scrub
expect 0 "$t" status

# --- missing, then brought back by repair, and by replicate where the copy is behind as well -------------------------------
rm "$pack"
expect 4 "$t" scrub a
expect 3 "$t" status && said 'a +1 damaged object' && said 'there is no such object'
expect 0 "$t" repair a
expect 0 "$t" status
rm "$pack"
expect 4 "$t" scrub a
rm "$a"/heads/*
expect 3 "$t" status && shows a "1 rolled-back True"
expect 0 "$t" replicate && said 'copy "a": complete'
expect 0 "$t" status

# --- what every copy has lost: no advice that runs in a circle, and nothing that is called good ------------------------------
for pack in $(cd "$a" && find packs -type f -size +1k); do
    for copy in "$a" "$b"; do printf damaged | dd of="$copy/$pack" bs=1 seek=500 conv=notrunc status=none; done
done
expect 4 "$t" scrub --read-data=100%
expect 3 "$t" status && said 'Policy tree: IN NO PLACE FOR CERTAIN' && not_said 'Policy tree: good' && said 'what every copy has lost'
clean "$work/out"
expect 4 "$t" restore tree --to "$work/out" --passphrase-file "$pass" && said 'restored snapshot .* IN PART to'
new_vault "$work/v2" && a=$work/v2/a b=$work/v2/b
policy_add tree --files "$src"
expect 0 "$t" backup tree

# --- a vault object with a root key of somebody's own ----------------------------------------------------------------------------
forge='
import sys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
path = sys.argv[1]
old = open(path, "rb").read()
key = Ed25519PrivateKey.generate()
root = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
body = old[:112] + root + old[144:-64]  # the same vault id, recovery and signing key
open(path, "wb").write(body + key.sign(b"twofold v1 signature" + old[16:48] + body))'
if python3 -c 'import cryptography' 2>/dev/null; then
    python3 -c "$forge" "$a/vault/00000001" || fail "forging the vault object"
    expect 3 "$t" status && said 'a +damaged' && said 'names keys that are not'
    expect 4 "$t" scrub && said 'vault/00000001.*DAMAGED'
    expect 0 "$t" repair
    cmp "$a/vault/00000001" "$b/vault/00000001" || fail "not the true vault object"
    expect 0 "$t" status
else
    skip_part "a forged vault object: python3-cryptography is missing"
fi
finish
