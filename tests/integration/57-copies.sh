#!/bin/bash
# 57-copies.sh - copies are added to a vault that exists and taken out of it again; carried ones have their register of media.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

src=$work/src
small_tree "$src" 57 40
grow() { head -c 100000 /dev/urandom >"$src/$1"; }
new_vault "$work/v"
conf=$TWOFOLD_CONFIG/vaults/main.yaml
policy_add tree --files "$src"
expect 0 "$t" backup tree

# --- a third copy: made, filled, as good as the others; nothing else in the file has changed -------------------------------------
cp "$conf" before.yaml
expect 0 "$t" copy add "vault-3=$work/v/third" --limit 1GiB && said 'is made' && said 'twofold replicate --copy vault-3'
diff before.yaml "$conf" | grep -q '^<' && fail "copy add changed lines of the configuration"
[ "$(diff before.yaml "$conf" | grep -c '^>')" = 3 ] || fail "copy add wrote more than three lines"
expect 0 "$t" copy list && said "^vault-3 +$work/v/third \(not seen yet"
expect 3 "$t" status
expect 0 "$t" replicate --copy vault-3 && said 'copy "vault-3": complete \([1-9]'
expect 0 "$t" status
expect 0 "$t" scrub vault-3 --read-data=100%
expect 0 "$t" restore --copy "$work/v/third" --policy tree --to "$work/out" --passphrase-file "$pass"
same_tree "$src" "$work/out$src"
clean "$work/out"

# --- what is refused leaves everything as it is ---------------------------------------------------------------------------------------
cp "$conf" before.yaml
mkdir -p "$work/full/x" "$work/other-place"
expect 1 "$t" copy add "full=$work/full" && said 'not empty'
expect 2 "$t" copy add "vault-3=$work/v/fourth" && said 'two copies have the place name'
expect 2 "$t" copy add "again=$work/v/third" && said 'the same'
expect 2 "$t" copy add "in=$work/v/third/inner" && said 'lies in'
expect 2 "$t" copy add "b b=$work/v/x"
expect 2 "$t" copy add "s=s3://bucket/x" && said 'not supported yet'
expect 2 "$t" copy add "s=sftp://u:word@h/x" && said 'password'
expect 2 "$t" copy add nothing
expect 2 "$t" copy add
expect 2 "$t" copy remove nowhere
expect 2 "$t" copy trust a && said 'not on another host'
expect 2 "$t" copy move a
cmp -s before.yaml "$conf" || fail "a refused command changed the configuration"
[ ! -e "$work/v/fourth" ] && [ ! -e "$work/v/x" ] || fail "a refused command made a folder"

# --- removed, and taken back as it was -------------------------------------------------------------------------------------------------
before=$(fingerprint "$work/v/third")
expect 0 "$t" copy remove vault-3 && said 'Its data are still there'
[ "$before" = "$(fingerprint "$work/v/third")" ] || fail "copy remove touched the data"
expect 0 "$t" status && not_said 'vault-3'
grow one
expect 0 "$t" backup tree
expect 0 "$t" copy add "back=$work/v/third" && said 'was there already'
expect 0 "$t" backup tree && said 'copy "back": complete \(caught up'
expect 2 "$t" copy add "again=$work/v/third"
# The one that alone has all backups stays, until somebody insists.
mv "$work/v/a" "$work/v/a.away" && mv "$work/v/third" "$work/v/third.away"
grow two
expect 3 "$t" backup tree
mv "$work/v/a.away" "$work/v/a" && mv "$work/v/third.away" "$work/v/third"
expect 5 "$t" copy remove b && said 'no other copy is known to have all'
expect 0 "$t" replicate
expect 0 "$t" copy remove b
expect 2 "$t" copy remove a && said 'at least two copies'
expect 0 "$t" status
restore_same "$src" tree

# --- a carried one, and where it is ---------------------------------------------------------------------------------------------------------
if [ "$(stat -c %d "$work")" != "$(stat -c %d /)" ]; then
    expect 0 "$t" copy add "safe=$work/v/safe" --every 14d --not-deletable
    expect 0 "$t" replicate --copy safe && said 'may be carried away'
else
    skip_part "a carried copy is not made on the system's own disk"
    expect 5 "$t" copy add "safe=$work/v/safe" --rotating && said 'own disk'
    expect 0 "$t" copy add "safe=$work/v/safe" --every 14d --not-deletable --force
    expect 0 "$t" replicate --copy safe
fi
grep -A4 'place: safe' "$conf" | tr -s '\n ' ' ' | grep -q 'presence: rotating every: 14d deletable: false' ||
    fail "the configuration does not say that it is carried"
mkdir "$work/v/disk" && mv "$work/v/safe" "$work/v/disk/safe"
expect 0 "$t" backup tree && said 'copy "safe": carried away'
expect 0 "$t" media list && said 'safe: nothing is noted yet'
expect 2 "$t" media move safe && said 'where is it now'
expect 2 "$t" media move nowhere --where here
expect 0 "$t" media move safe --where '银行保险箱 12' --who 'Zhang San' --note 'with seal 0815' && said '银行保险箱 12'
expect 0 "$t" media label safe 'TWOFOLD-A' && said '"TWOFOLD-A", 银行保险箱 12'
expect 0 "$t" media move safe --where 'machine room' --who 'Li Si'
expect 0 "$t" media list && said 'safe: "TWOFOLD-A", machine room; Li Si' && not_said 'nothing is noted'
expect 0 "$t" media show safe && said 'Zhang San' && said 'seal 0815'
[ "$(wc -l <.out)" = 3 ] || fail "the history does not have three entries"
expect 0 "$t" --json media list
[ "$(json where medium)/$(json who medium)/$(json label medium)" = 'machine room/Li Si/TWOFOLD-A' ] || fail "media list in JSON"
expect 0 "$t" status && said 'safe +carried' && said 'machine room'

finish
