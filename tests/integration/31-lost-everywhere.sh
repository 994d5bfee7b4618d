#!/bin/bash
# 31-lost-everywhere.sh - a chunk that is damaged in every copy: whoever finds it (a restore, a scrub) remembers it, so that the next backup
# stores it again instead of building on it; a chunk of which one copy still has the bytes is not taken for lost.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

# spoil COPY…: bytes in the middle of every large pack of these copies, at the same places.
spoil() {
    local copy f at
    for copy in "$@"; do
        while read -r f; do
            for at in 100000 1500000 3000000; do printf '\377\376\375' | dd of="$f" bs=1 seek=$at conv=notrunc status=none; done
        done < <(find "$work/v/$copy/packs" -type f -size +1M)
    done
}
begin() {
    rm -rf "${work:?}/v"
    new_vault "$work/v"
    policy_add tree --files "$work/src"
    expect 0 "$t" backup tree
}
mkdir "$work/src"
for i in 1 2 3 4; do head -c 1000000 /dev/urandom >"$work/src/f$i"; done
sleep 2.1

begin # found by a restore
spoil a b
expect 4 "$t" restore tree --to "$work/out"
expect 0 "$t" --json backup tree
clean "$work/out"
expect 0 "$t" restore tree --to "$work/out" && same_tree "$work/src" "$work/out$work/src"

begin # found by a scrub
spoil a b
expect 4 "$t" scrub --read-data=100% && said 'lost in every copy' && said 'next backup stores them again'
expect 0 "$t" backup tree
clean "$work/out"
expect 0 "$t" restore tree --to "$work/out" && same_tree "$work/src" "$work/out$work/src"

begin # in one copy only: nothing is lost, nothing is stored twice
spoil a
expect 4 "$t" scrub --read-data=100% && not_said 'lost in every copy'
expect 0 "$t" backup tree --full
[ "$(du -sb "$work/v/b/packs" | cut -f 1)" -lt 4300000 ] || fail "what one copy still has was stored again"
expect 0 "$t" repair
clean "$work/out"
expect 0 "$t" restore tree --from a --to "$work/out" && same_tree "$work/src" "$work/out$work/src"
finish
