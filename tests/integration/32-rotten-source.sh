#!/bin/bash
# 32-rotten-source.sh - an object that no copy can give whole does not keep a copy from all the rest: a new copy is completed with what there is,
# what is wrong in it is noted, told and survives no longer than it must; and after a fork with a pack that is nowhere there are backups again.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

src=$work/src
mkdir "$src"
new_vault "$work/v"
policy_add p --files "$src"
for i in 1 2 3 4 5; do
    head -c 1500000 /dev/urandom >"$src/f$i"
    expect 0 "$t" backup p
done
# The disk of b dies, a new one comes; one old pack of a has a bad byte.
rm -rf "${b:?}"
expect 0 "$t" copy add c="$work/c"
expect 0 "$t" copy remove --force b
pack=$(find "$a/packs" -type f -size +1M -printf '%T@ %p\n' | sort | head -n 1 | cut -d ' ' -f 2)
printf '\377' | dd of="$pack" bs=1 seek=1000 conv=notrunc status=none
expect 4 "$t" replicate && said 'copy "c": complete' && said '1 objects are damaged or missing in every copy that is here' && said 'twofold repair'
[ "$(find "$work/c/heads" -type f | wc -l)" -ge 1 ] || fail "the new copy has no head"
expect 3,4 "$t" restore p --from c --to "$work/some" # all but one file come from it
n=0
for i in 1 2 3 4 5; do cmp -s "$src/f$i" "$work/some$src/f$i" && n=$((n + 1)); done
[ "$n" -eq 4 ] || fail "$n of 5 files came from the new copy"
expect 4 "$t" scrub --read-data=100% && said 'copy "c"' && said 'lost in every copy'
expect 0 "$t" backup p # stores it again
rm -rf "${a:?}/packs"
clean "$work/out"
expect 0,3 "$t" restore p --to "$work/out" && same_tree "$src" "$work/out$src"

# --- a whole one is only away: nothing rotten is brought, the copy waits and is then completed right ------------------------
rm -rf "${work:?}/v" "${work:?}/c"
new_vault "$work/v"
policy_add p --files "$src"
expect 0 "$t" backup p
mv "$b" "$b.away"
pack=$(find "$a/packs" -type f -size +1M | head -n 1)
printf '\377' | dd of="$pack" bs=1 seek=1000 conv=notrunc status=none
expect 0 "$t" copy add c="$work/c"
expect 3 "$t" replicate && said 'still behind' && not_said 'copy "c": complete'
[ "$(find "$work/c/heads" -type f 2>/dev/null | wc -l)" -eq 0 ] || fail "a copy without all that another may have got a head"
mv "$b.away" "$b"
expect 0 "$t" replicate && said 'copy "c": complete'
clean "$work/out"
expect 0 "$t" restore p --from c --to "$work/out" && same_tree "$src" "$work/out$src"

# --- a fork of two orchestrators, and a pack that is nowhere any more -------------------------------------------------------
rm -rf "${work:?}/v"
new_vault "$work/v"
first() { TWOFOLD_CONFIG=$work/v/c TWOFOLD_STATE=$work/v/s "$t" "$@"; }
other() { TWOFOLD_CONFIG=$work/o/c TWOFOLD_STATE=$work/o/s "$t" "$@"; }
policy_add p --files "$src"
expect 0 "$t" backup p
expect 0 other adopt --copy a="$work/v/a" --copy b="$work/v/b" --passphrase-file "$work/v/pass" --keep-recovery-key
mkdir "$work/theirs"
expect 0 other policy add q --files "$work/theirs"
mv "$work/v/b" "$work/v/b.away"
head -c 1000000 /dev/urandom >"$src/f6"
touch "$work/then"
expect 3 first backup p
pack=$(find "$work/v/a/packs" -type f -size +500k -newer "$work/then" | head -n 1)
mv "$work/v/b.away" "$work/v/b"
mv "$work/v/a" "$work/v/a.away"
head -c 1000000 /dev/urandom >"$work/theirs/f"
expect 3 other backup q --take-over
mv "$work/v/a.away" "$work/v/a"
rm "$pack"
expect 4 first scrub --read-data=100% && said 'missing|not there|no such' && said 'lost in every copy'
expect 0 first backup p --take-over
clean "$work/out"
expect 0 first restore p --to "$work/out" && same_tree "$src" "$work/out$src"
expect 0 other backup q --take-over
clean "$work/out"
expect 0 other restore q --to "$work/out" && same_tree "$work/theirs" "$work/out$work/theirs"
finish
