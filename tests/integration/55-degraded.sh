#!/bin/bash
# 55-degraded.sh - a copy is full, read-only, away, another's, or fails midway: the run goes on with the others, says so (exit status 3),
# and the copy is caught up later. Case: a second target that works when the first is full or away (docs/lessons).
# long
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

src=$work/src
small_tree "$src" 55 50
may_mount=
mkdir "$work/probe" && mount -t tmpfs probe "$work/probe" 2>/dev/null && umount "$work/probe" && may_mount=1

# grow NAME: something new in the source.
grow() { head -c "${2:-200000}" /dev/urandom >"$src/$1"; }

# degraded PLACE: the run that just ended did everything but this copy, and the other one is whole.
degraded() {
    local bad=$1 good=a
    [ "$bad" = b ] || good=b
    said "copy \"$bad\": LACKS" && said "copy \"$good\": complete" && said 'stored .* in 1 of 2 copies'
    expect 3 "$t" status && said "^ *$bad +" && not_said "^ *$good +(behind|away)"
    clean "$work/out"
    expect 0 "$t" restore tree --from "$good" --to "$work/out" && same_tree "$src" "$work/out$src"
    clean "$work/out"
    expect 0 "$t" restore tree --to "$work/out" && same_tree "$src" "$work/out$src"
}

well() {
    local place
    expect 0 "$t" status
    expect 0 "$t" scrub --read-data=100%
    for place in a b; do
        clean "$work/out"
        expect 0 "$t" restore tree --from $place --to "$work/out" && same_tree "$src" "$work/out$src"
    done
}

new_vault "$work/v"
policy_add tree --files "$src"
expect 0 "$t" backup tree

# --- away, and an empty mount point in its place --------------------------------------------------------------------------
for place in a b; do
    grow "away-$place"
    mv "$work/v/$place" "$work/v/$place.away"
    expect 3 "$t" backup tree && degraded $place
    [ ! -e "$work/v/$place" ] || fail "a folder was made where the disk should be"
    mkdir "$work/v/$place" # the mount point without its disk
    grow "empty-$place"
    expect 3 "$t" backup tree && degraded $place
    [ -z "$(ls -A "$work/v/$place")" ] || fail "something was written into an empty mount point"
    expect 3 "$t" replicate && said "copy \"$place\": still behind"
    rmdir "$work/v/$place" && mv "$work/v/$place.away" "$work/v/$place"
    expect 3 "$t" status && said "$place +behind by 2"
    expect 0 "$t" replicate && said "copy \"$place\": complete \([1-9]"
    well
done

# --- another vault's disk is mounted there ----------------------------------------------------------------------------------
saved="$TWOFOLD_CONFIG $TWOFOLD_STATE $a $b $pass"
new_vault "$work/other"
read -r TWOFOLD_CONFIG TWOFOLD_STATE a b pass <<<"$saved"
export TWOFOLD_CONFIG TWOFOLD_STATE
mv "$b" "$b.away" && cp -a "$work/other/b" "$b"
before=$(fingerprint "$b")
grow wrong
expect 3 "$t" backup tree && degraded b && [ "$before" = "$(fingerprint "$b")" ] || fail "another vault was written to"
rm -rf "$b" && mv "$b.away" "$b"
expect 0 "$t" backup tree && said 'copy "b": complete \(caught up: [1-9]' # the next backup heals, too
well

# --- both away ---------------------------------------------------------------------------------------------------------------------
grow both
mv "$a" "$a.away" && mv "$b" "$b.away"
before=$(fingerprint "$a.away" "$b.away")
expect 1 "$t" backup tree && said 'mounted|reach'
expect 1,3 "$t" status
expect 1 "$t" replicate
expect 1 "$t" restore tree --to "$work/nothing"
[ ! -e "$work/nothing" ] || fail "a restore without copies made a target"
[ "$before" = "$(fingerprint "$a.away" "$b.away")" ] || fail "a copy changed"
mv "$a.away" "$a" && mv "$b.away" "$b"
expect 0 "$t" backup tree
well

# --- fewer copies than the vault wants at least -------------------------------------------------------------------------------------
cp "$TWOFOLD_CONFIG/vaults/main.yaml" "$work/main.yaml"
sed -i 's/^min-copies: .*/min-copies: 2/' "$TWOFOLD_CONFIG/vaults/main.yaml"
mv "$b" "$b.away"
grow least
expect 1 "$t" backup tree && said '1 of at least 2'
mv "$b.away" "$b"
expect 0 "$t" backup tree
cp "$work/main.yaml" "$TWOFOLD_CONFIG/vaults/main.yaml"
well

# --- what can only be tried with mounts ------------------------------------------------------------------------------------------------
if [ -z "$may_mount" ]; then
    skip_part "full and read-only disks: nothing can be mounted"
    finish
fi

for place in a b; do # a full disk, midway in the run
    rm -rf "$work/f"
    mkdir -p "$work/f/$place" && mount -t tmpfs -o size=16m small "$work/f/$place"
    rm -f "$src"/big*
    new_vault "$work/f"
    policy_add tree --files "$src"
    expect 0 "$t" backup tree
    for i in 1 2 3 4; do grow big$i 8000000; done
    sleep 1.1 # what the copies have is known by the second
    expect 3 "$t" backup tree && said "$place\".*[Nn]o space|[Nn]o space.*$place" && said 'next: make room there: twofold prune' &&
        degraded $place
    expect 3 "$t" status && said 'why:  No space left' && said 'Policy tree: IN ONE PLACE ONLY'
    # What was whole there before still is.
    clean "$work/out"
    expect 0 "$t" restore --copy "$work/f/$place" --policy tree --to "$work/out" --passphrase-file "$pass"
    [ ! -e "$work/out$src/big1" ] && [ -e "$work/out$src/empty" ] || fail "the full copy's own state is not the older one"
    expect 3 "$t" replicate
    mount -o remount,size=200m "$work/f/$place"
    expect 0 "$t" replicate
    well
    umount "$work/f/$place"
done
rm -rf "$work/f"
rm -f "$src"/big*
a=$work/v/a b=$work/v/b pass=$work/v/pass
export TWOFOLD_CONFIG=$work/v/c TWOFOLD_STATE=$work/v/s

read_only() { mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"; }
for place in a b; do # read-only
    read_only "$work/v/$place"
    grow "ro-$place"
    expect 3 "$t" backup tree && degraded $place
    umount "$work/v/$place"
    expect 0 "$t" backup tree
    well
done
for part in packs index snapshots lists heads tmp; do # one that fails when the run is under way
    read_only "$b/$part"
    grow "part-$part"
    expect 3 "$t" backup tree && degraded b
    umount "$b/$part"
    expect 0 "$t" replicate
    well
done

# --- the orchestrator's own disk is full --------------------------------------------------------------------------------------------------
mkdir "$work/s2" && mount -t tmpfs -o size=3m state "$work/s2" && cp -a "$work/v/s/." "$work/s2/"
grow state 9000000
TWOFOLD_STATE=$work/s2 expect 1 "$t" backup tree && said '[Nn]o space|full'
umount "$work/s2"
expect 0 "$t" backup tree
well
finish
