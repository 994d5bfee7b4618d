#!/bin/bash
# 87-crash-away.sh - what one copy has damaged may be whole in another one that cannot be reached: that is asked about, of the list of files, too, and
# no older backup is taken for it. Nor for one that lies whole, but only in a copy that cannot be reached.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

src=$work/web
small_tree "$src" 7
new_vault "$work/v"
policy_add web --files "$src" --schedule none
expect 0 "$t" backup web
find "$a" -path '*pack*' -type f | while read -r pack; do
    head -c $(($(stat -c %s "$pack") - 100)) /dev/urandom | dd of="$pack" bs=100 seek=1 conv=notrunc status=none
done
cp -a "$src" "$work/was"
mv "$b" "$b.away"
clean "$src"
mkdir "$src"
expect 3 "$t" crash web --answer host-repaired=yes && said 'reachable=yes' && not_said 'ESCALATED'
mv "$b.away" "$b"
expect 0,4 "$t" --yes crash resume --answer reachable=yes && said 'RECOVERED'
same_tree "$work/was" "$src"

# The newest backup came into one copy alone, and that one is away when it is needed.
src=$work/shop
small_tree "$src" 8
policy_add shop --files "$src" --schedule none
expect 0,3 "$t" backup shop # the damage is healed or told; what matters is the next one
cp -a "$src" "$work/older"
mv "$b" "$b.away"
echo order >"$src/order-2"
sleep 1.1
expect 3 "$t" backup shop
cp -a "$src" "$work/newest"
mv "$b.away" "$b"
mv "$a" "$a.away"
clean "$src"
mkdir "$src"
expect 3 "$t" crash shop --answer host-repaired=yes && said 'in none of the copies' && said 'copy "a" cannot be reached' &&
    not_said 'RECOVERED'
id=$(basename "$TWOFOLD_STATE"/incidents/shop-*)
# A catalog that was lost tells of nothing; that a later state was seen is known without it.
mkdir "$work/kept"
mv "$TWOFOLD_STATE"/catalog.db* "$work/kept"
expect 3 "$t" --yes crash resume "$id" && said 'there may be a newer backup' && not_said 'RECOVERED'
test -z "$(ls -A "$src")" || fail "an older backup was taken, because the catalog is gone"
rm -f "$TWOFOLD_STATE"/catalog.db*
mv "$work"/kept/* "$TWOFOLD_STATE"
expect 3 "$t" --yes crash resume "$id" && said 'in none of the copies' && not_said 'ESCALATED'
test -z "$(ls -A "$src")" || fail "an older backup was taken for the one that is away"
mv "$a.away" "$a"
expect 0 "$t" --yes crash resume "$id" && said 'RECOVERED'
same_tree "$work/newest" "$src"

# A person may give it up.
mv "$a" "$a.away"
clean "$src"
mkdir "$src"
expect 3 "$t" crash shop --new --answer host-repaired=yes && said 'no: the backup of .* is taken instead, which is [1-9]'
id=$(sed -n 's/^INCIDENT \([^ ]*\).*/\1/p' "$work/.out")
expect 0 "$t" --yes crash resume "$id" --answer reachable=no && said 'RECOVERED' && said 'A newer backup, of' && said 'copy "a"'
same_tree "$work/older" "$src"

# A standby that is given up, and says before the host's own server is started that it takes writes: not started, whoever answers what. Once it cannot
# be asked any more, what it said last counts.
mv "$a.away" "$a"
src=$work/pair
small_tree "$src" 9
cat >"$work/pair.sh" <<SH
#!/bin/sh
said=\$(cat "$work/standby-says")
case \$1 in
fence | ask) [ "\$said" != away ] || sleep 9; [ "\$said" = fenced ] || { echo "it takes writes"; exit 1; } ;;
promote) exit 1 ;;
start) [ -e "$work/may-start" ] && : >"$work/own-server" ;;
esac
SH
chmod 755 "$work/pair.sh"
policy_add pair --files "$src" --schedule none
{
    echo 'crash:'
    printf '  %s: [%s, %s]\n' stop "$work/pair.sh" stop start "$work/pair.sh" start
    printf '  %s\n' 'limits: { standby: 1s }' 'standby:' '  on: local'
    for word in fence promote position switch; do printf '    %s: [%s, %s]\n' $word "$work/pair.sh" $word; done
    echo "    fenced: [$work/pair.sh, ask]"
} >>"$TWOFOLD_CONFIG/policies/pair.yaml"
expect 0 "$t" backup pair
echo fenced >"$work/standby-says"
expect 3 "$t" crash pair
id=$(sed -n 's/^INCIDENT \([^ ]*\).*/\1/p' "$work/.out")
expect 3 "$t" crash resume "$id" --answer promoted=no --answer host-repaired=yes && said 'started=again'
: >"$work/may-start"
echo writes >"$work/standby-says"
expect 3 "$t" crash resume "$id" --answer started=again && said 'standby-off=again' && not_said 'standby-off=yes' && not_said 'started='
expect 3 "$t" --yes crash resume "$id" && said 'standby-off=again' && not_said 'another backup'
echo away >"$work/standby-says"
expect 3 "$t" crash resume "$id" --answer started=yes --answer standby-off=again && said 'standby-off=yes'
[ ! -e "$work/own-server" ] || fail "the host's own server was started beside a standby that takes writes"
echo fenced >"$work/standby-says"
expect 0 "$t" crash resume "$id" --answer standby-off=again --answer started=again && said 'RECOVERED'
[ -e "$work/own-server" ] || fail "not started"
# It has a mistake, too.
expect 0 "$t" crash pair --cause disaster --first-sign -10min --plan && not_said 'standby take over'
finish
