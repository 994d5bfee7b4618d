#!/bin/bash
# 67-pages.sh - files in pages from end to end: what a night of changes adds, restores of every night, in place and as an archive, compared with what
# is there, repaired, read by the reader that was written from the page about the format alone.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

src=$work/src
mkdir "$src"
new_vault "$work/v"
policy_add vm --files "$src"
sed -i 's|^  one-file-system:.*|&\n  delta: pages|' "$vault/c/policies/vm.yaml"
expect 0 "$t" policy lint
python3 - "$src" <<'P'
import os, random, sys
r = random.Random(7)
with open(sys.argv[1] + "/disk.img", "wb") as f:
    f.write(r.randbytes(9 << 20))
    f.seek(40 << 20)
    f.write(r.randbytes((1 << 20) + 3333))
    f.truncate((60 << 20) + 5)
with open(sys.argv[1] + "/small", "wb") as f:
    f.write(r.randbytes(5000))
P
sleep 2.1
size() { du -sb "$a/packs" | cut -f 1; }
expect 0 "$t" --json backup vm
ids=("$(json snapshot)")
cp -a --sparse=always "$src" "$work/night0"
for night in 1 2 3; do
    python3 - "$src/disk.img" $night <<'P'
import random, sys
r = random.Random(int(sys.argv[2]))
with open(sys.argv[1], "r+b") as f:
    for _ in range(40):
        f.seek(r.randrange(9 << 20))
        f.write(r.randbytes(30))
    f.seek((41 << 20) + r.randrange(5 << 20)) # into the hole
    f.write(b"x" * 100)
P
    before=$(size)
    expect 0 "$t" --json backup vm
    ids+=("$(json snapshot)")
    added=$(($(size) - before))
    [ "$added" -lt 400000 ] || fail "a night of 40 changed pages added $added bytes"
    cp -a --sparse=always "$src" "$work/night$night"
done

for night in 0 1 2 3; do
    clean "$work/out"
    expect 0 "$t" restore vm --snapshot "${ids[$night]}" --to "$work/out" && same_tree "$work/night$night" "$work/out$src"
done
[ "$(du -s --block-size=1M "$work/out$src/disk.img" | cut -f 1)" -lt 30 ] || fail "the holes are gone"
expect 0 "$t" diff latest live && not_said disk
printf 'y' | dd of="$src/disk.img" bs=1 seek=5000000 conv=notrunc status=none
touch -r "$work/night3/disk.img" "$src/disk.img"
expect 0,1 "$t" diff latest live && said 'disk\.img'
printf 'y' | dd of="$work/out$src/disk.img" bs=1 seek=5000000 conv=notrunc status=none
expect 0 "$t" restore vm --to "$work/out" --overwrite && same_tree "$work/night3" "$work/out$src"
"$t" export latest >"$work/x.tar" 2>/dev/null && mkdir "$work/tar" && tar -C "$work/tar" -xf "$work/x.tar" && cmp "$work/tar$src/disk.img" "$work/night3/disk.img" ||
    fail "the archive differs"
/usr/bin/python3 "$TWOFOLD_SRC/tests/format/reader.py" "$a" "$work/v/pass" latest "$work/read" >"$work/reader.out" 2>&1 || fail "the reader: $(tail -n 2 "$work/reader.out")"
cmp "$work/read$src/disk.img" "$work/night3/disk.img" || fail "the reader's file differs"

# --- onto what is there: only the regions that differ are fetched and written, and the result is that of a full restore ---
spoil() { # SEED: bytes here and there, a hole that is filled, data that became a hole; times and mode, too
    python3 - "$work/out$src/disk.img" "$1" <<'P'
import os, random, sys
r = random.Random(int(sys.argv[2]))
with open(sys.argv[1], "r+b") as f:
    for at in (3 << 20, (8 << 20) + 5, 20 << 20, 40 << 20):
        f.seek(at)
        f.write(r.randbytes(20))
    f.seek(5 << 20)
os.system("fallocate -p -o %d -l %d %s" % (5 << 20, 1 << 20, sys.argv[1]))
os.chmod(sys.argv[1], 0o600)
P
}
clean "$work/out"
expect 0 "$t" restore vm --to "$work/out"
chunks() { sed -nE 's/.*copy "a": ([0-9]+) chunks.*/\1/p' "$work/.out"; }
full=$(chunks)
spoil 1
printf 'other' >"$work/out$src/small"
expect 1 "$t" restore vm --to "$work/out" # not without a word
expect 0 "$t" restore vm --to "$work/out" --delta && same_tree "$work/night3" "$work/out$src"
[ "$(chunks)" -lt "$full" ] || fail "as many chunks as for a full restore: $(chunks) of $full"
expect 0 "$t" restore vm --to "$work/out" --delta && said 'there already: 2' && same_tree "$work/night3" "$work/out$src"
for size in 5000000 90000000 0; do # shorter, longer, empty
    truncate -s "$size" "$work/out$src/disk.img"
    expect 0 "$t" restore vm --to "$work/out" --delta && same_tree "$work/night3" "$work/out$src"
done
expect 0 "$t" restore vm --snapshot "${ids[0]}" --to "$work/out" --delta && same_tree "$work/night0" "$work/out$src" # back to an older night
ln "$work/out$src/disk.img" "$work/kept" # another name of it is not ours to change
expect 0 "$t" restore vm --to "$work/out" --delta && same_tree "$work/night3" "$work/out$src"
cmp -s "$work/kept" "$work/night0/disk.img" || fail "another name of the file was changed"
rm "$work/kept"
for n in 3 5 8 13 21 34; do # killed, and run again
    spoil "$n"
    { TWOFOLD_FAULT=kill@$n TWOFOLD_FAULT_PROGRAM=twofold-agent "$t" restore vm --to "$work/out" --delta >/dev/null 2>&1; } 2>/dev/null
    expect 0 "$t" restore vm --to "$work/out" --delta && same_tree "$work/night3" "$work/out$src"
done
rm -rf "$work/out"/.twofold-aside-*

# --- what the backup does not have ---------------------------------------------------------------------------------------
sed -i 's|^  exclude:.*|  exclude: ["*.tmp"]|' "$vault/c/policies/vm.yaml"
expect 0 "$t" policy lint
mkdir -p "$work/out$src/new/deep"
echo 1 >"$work/out$src/new/deep/one" && echo 2 >"$work/out$src/two" && echo 3 >"$work/out$src/left.tmp" && echo 4 >"$work/out/beside"
expect 0 "$t" --json restore vm --to "$work/out" --delta && [ "$(json extra) $(json extra_set_aside)" = "4 0" ] || fail "extra: $(json extra) $(json extra_set_aside)"
expect 0 "$t" restore vm --to "$work/out" --delta && said '4 things that the backup does not have are there' && said '[-]-set-aside'
[ -e "$work/out$src/two" ] || fail "an extra file is gone, and nobody asked for that"
expect 2 "$t" restore vm --to "$work/out" --set-aside
expect 2 "$t" restore vm --to "$work/out" --delta --set-aside "$src/disk.img" && said 'only a part'
expect 2 "$t" restore --copy "$work/v/a" --policy vm --to "$work/out" --delta --set-aside && said 'needs the policy'
expect 0 "$t" restore vm --to "$work/out" --delta --set-aside && said '4 things that the backup does not have are set aside in .*/\.twofold-extra-' &&
    said 'two.*not in the backup: set aside'
[ -e "$work/out$src/left.tmp" ] && rm "$work/out$src/left.tmp" || fail "what the policy leaves out was set aside"
[ -e "$work/out/beside" ] || fail "what is beside the folders of the backup was set aside"
[ "$(cat "$work/out/.twofold-extra-"*"$src/new/deep/one")" = 1 ] || fail "not set aside: $(ls -d "$work/out"/.t*)"
expect 0 "$t" restore vm --to "$work/out" --delta && not_said 'does not have' && same_tree "$work/night3" "$work/out$src"

# --- a piece that is damaged everywhere: the file is not restored wrong, and the next backup has it again -----------------
for copy in a b; do
    find "$work/v/$copy/packs" -type f -size +1M -exec sh -c 'printf "\377\376" | dd of="$1" bs=1 seek=3000000 conv=notrunc status=none' - {} \;
done
clean "$work/out"
expect 4 "$t" restore vm --to "$work/out"
[ ! -e "$work/out$src/disk.img" ] || fail "a file with wrong bytes was put in place"
printf 'z' | dd of="$src/disk.img" bs=1 seek=7000000 conv=notrunc status=none
expect 0 "$t" backup vm
clean "$work/out"
expect 0 "$t" restore vm --to "$work/out" && same_tree "$src" "$work/out$src"
finish
