#!/bin/bash
# 87-crash-away.sh - what one copy has damaged may be whole in another one that cannot be reached: that is asked about, of the list of files, too, and
# no older backup is taken for it.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

src=$work/web
small_tree "$src" 7
new_vault "$work/v"
policy_add web --files "$src" --schedule none
expect 0 "$t" backup web
find "$a" -path '*pack*' -type f | while read -r pack; do
    dd if=/dev/urandom of="$pack" bs=1 seek=100 count=$(($(stat -c %s "$pack") - 100)) conv=notrunc status=none
done
cp -a "$src" "$work/was"
mv "$b" "$b.away"
clean "$src"
mkdir "$src"
expect 3 "$t" crash web --answer host-repaired=yes && said 'reachable=yes' && not_said 'ESCALATED'
mv "$b.away" "$b"
expect 0,4 "$t" --yes crash resume --answer reachable=yes && said 'RECOVERED'
same_tree "$work/was" "$src"
finish
