#!/bin/bash
# 51-put-back.sh - an orchestrator that is put back to an earlier state together with the copies beside it (a snapshot of its virtual machine),
# while a carried disk has newer backups: they are not taken for old ones, however many backups come before the disk is back.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
boot=/proc/sys/kernel/random/boot_id
cp $boot "$work/boot"
mount --bind "$work/boot" $boot 2>/dev/null || { say "not tested here: it takes a mount namespace" && exit 77; }

mkdir "$work/src"
new_vault "$work/v"
expect 0 "$t" copy add --rotating --force usb="$work/usb"
policy_add p --files "$work/src"
policy_says p 'retention: { last: 300 }'
backup() { echo "$1" >"$work/src/f" && expect 0 "$t" backup p; }
backup one
backup two
for part in s a b; do cp -a "$work/v/$part" "$work/save-$part"; done
for i in 1 2 3; do backup "precious $i"; done
mv "$work/usb" "$work/usb.away"
for part in s a b; do rm -rf "${work:?}/v/$part" && cp -a "$work/save-$part" "$work/v/$part"; done
tr '0-9a-f' '1-9a-f0' <"$work/boot" >"$work/next" && cat "$work/next" >"$work/boot" # another start of the machine; the same file
for i in $(seq 68); do backup "after $i"; done
mv "$work/usb.away" "$work/usb"
expect 0,3 "$t" replicate
found=0
for id in $("$t" --json snapshots p | sed -n 's/.*"id":"\([0-9a-f]*\)".*/\1/p'); do
    clean "$work/out"
    "$t" restore p --snapshot "$id" --to "$work/out" >/dev/null 2>&1
    grep -q precious "$work/out$work/src/f" 2>/dev/null && found=$((found + 1))
done
[ "$found" -eq 3 ] || fail "$found of 3 backups that only the carried disk had can be restored"
finish
