#!/bin/bash
# 56-rotating.sh - disks that are carried away and back (presence: rotating): a run without them is not degraded, they are known again
# by the vault's id, caught up when they are back, and a wrong disk in their place is not written to.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

src=$work/src
small_tree "$src" 56 40
grow() { head -c "${2:-100000}" /dev/urandom >"$src/$1"; }
row() { # row STATE-PATTERN: what the catalog's copy of "safe" is in status
    expect "$1" "$t" status && said "^ *safe +$2"
}

# A disk is a folder that is mounted on its mount point; without the right to mount, one that is moved there.
mkdir -p "$work/disk1" "$work/disk2" "$work/v/safe" "$work/v/vault2"
may_mount=
mount --bind "$work/disk1" "$work/v/safe" 2>/dev/null && umount "$work/v/safe" && may_mount=1
insert() {
    if [ -n "$may_mount" ]; then mount --bind "$1" "$2"; else rmdir "$2" && mv "$1" "$2"; fi || fail "insert $1"
}
eject() {
    if [ -n "$may_mount" ]; then umount "$2"; else mv "$2" "$1" && mkdir "$2"; fi || fail "eject $2"
}

# --- made with its disk in place -------------------------------------------------------------------------------------------------
insert "$work/disk1" "$work/v/safe"
new_vault "$work/v" --copy "safe=$work/v/safe" --every 7d --not-deletable
grep -A4 'place: safe' "$TWOFOLD_CONFIG/vaults/main.yaml" | tr -s '\n ' ' ' |
    grep -q 'presence: rotating every: 7d deletable: false' || fail "init did not write down that it is carried"
policy_add tree --files "$src"
expect 0 "$t" backup tree && said 'copy "safe": complete'
row 0 current

# --- carried away: not degraded, not missed, not written into its mount point ---------------------------------------------------------
eject "$work/disk1" "$work/v/safe"
for i in 1 2; do
    grow "away$i"
    expect 0 "$t" backup tree && said 'copy "safe": carried away' && not_said 'cannot be reached|LACKS'
done
[ -z "$(ls -A "$work/v/safe")" ] || fail "something was written into an empty mount point"
expect 0 "$t" --json backup tree
python3 - "$work/.out" <<'END' || fail "backup in JSON"
import json, sys
o = [o for o in map(json.loads, open(sys.argv[1])) if o.get("type") == "backup"][-1]
assert [(c["place"], c["complete"], c["carried"]) for c in o["copies"]] == \
    [("a", True, False), ("b", True, False), ("safe", False, True)], o["copies"]
END
expect 0 "$t" replicate && said 'copy "safe": carried away'
expect 0 "$t" scrub --read-data=100%
expect 0 "$t" status && said '^ *safe +carried' && not_said 'safe.*away:'
expect 3 "$t" replicate --copy safe && said 'mount its disk, then run: twofold replicate --copy safe'
# A mount point that is gone altogether is the same; something else in its place is not.
rmdir "$work/v/safe"
expect 0 "$t" backup tree && said 'copy "safe": carried away'
touch "$work/v/safe"
expect 3 "$t" backup tree && said 'copy "safe": LACKS'
rm "$work/v/safe"
mkdir "$work/v/safe"
# Another copy that is away is missed as ever.
mv "$b" "$b.away"
grow also
expect 3 "$t" backup tree && said 'copy "b": LACKS' && said 'copy "safe": carried away'
mv "$b.away" "$b"
expect 0 "$t" replicate --copy b && said 'copy "b": complete' && not_said 'safe'

# --- back: known again, caught up, complete -----------------------------------------------------------------------------------------------
insert "$work/disk1" "$work/v/safe"
expect 2 "$t" replicate --copy nowhere && said 'nowhere'
expect 0 "$t" replicate --copy safe && said 'copy "safe": complete \([1-9][0-9]* objects' && said 'may be carried away'
expect 0 "$t" --json replicate --copy safe
[ "$(json may_go carry)" = True ] || fail "may_go: $(json may_go carry)"
row 0 current
expect 0 "$t" scrub safe --read-data=100%
expect 0 "$t" restore tree --from safe --to "$work/out" && same_tree "$src" "$work/out$src"
clean "$work/out"
# A backup brings it up to date as well, and it is as good as any other.
eject "$work/disk1" "$work/v/safe"
grow again
expect 0 "$t" backup tree
insert "$work/disk1" "$work/v/safe"
expect 0 "$t" backup tree && said 'copy "safe": complete \(caught up'
expect 0 "$t" restore tree --from safe --to "$work/out" && same_tree "$src" "$work/out$src"
clean "$work/out"

# --- the disk of another vault, or one that nobody can read, in its place --------------------------------------------------------------------
eject "$work/disk1" "$work/v/safe"
saved="$TWOFOLD_CONFIG $TWOFOLD_STATE $a $b $pass"
new_vault "$work/other"
read -r TWOFOLD_CONFIG TWOFOLD_STATE a b pass <<<"$saved"
export TWOFOLD_CONFIG TWOFOLD_STATE
cp -a "$work/other/b/." "$work/disk2"
insert "$work/disk2" "$work/v/safe"
before=$(fingerprint "$work/v/safe")
grow wrong
expect 3 "$t" backup tree && said 'copy "safe": LACKS this backup: .*another vault'
[ "$before" = "$(fingerprint "$work/v/safe")" ] || fail "another vault's disk was written to"
expect 3 "$t" status && said '^ *safe +wrong'
eject "$work/disk2" "$work/v/safe"
expect 0 "$t" backup tree

finish
