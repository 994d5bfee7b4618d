#!/bin/sh
# lvm-snapshot.sh - a snapshot of a logical volume is made and mounted before the backup, and removed after it. What the policy names is the folder
# where it is mounted. NOT VERIFIED: no device mapper where the tests run; try it by hand first.
#
#     files: { paths: [/run/twofold-budget] }
#     hooks:
#       before: [/usr/local/sbin/lvm-snapshot.sh, before, vg0/budget, 5G, /run/twofold-budget]
#       after: [/usr/local/sbin/lvm-snapshot.sh, after, vg0/budget, 5G, /run/twofold-budget]
#
# The size is room for what is overwritten in the volume meanwhile; a snapshot that is full is lost, and the backup says that it cannot read it.
set -eu
phase=$1 volume=$2 size=$3 folder=$4
snapshot=${volume%/*}/twofold-${volume##*/}
options=ro # xfs: ro,nouuid

freeze() { :; } # as in btrfs-snapshot.sh; LVM freezes the file system itself for that moment
thaw() { :; }

drop() {
    if mountpoint -q "$folder"; then umount "$folder"; fi
    if lvs --noheadings "$snapshot" >/dev/null 2>&1; then lvremove --yes "$snapshot" >/dev/null; fi
}

case $phase in
before)
    drop
    trap thaw EXIT
    freeze
    lvcreate --quiet --snapshot --size "$size" --name "${snapshot##*/}" "$volume" >/dev/null
    thaw
    trap - EXIT
    mkdir -p "$folder"
    mount -o "$options" "/dev/$snapshot" "$folder"
    ;;
after)
    thaw
    drop
    ;;
*) exit 2 ;;
esac
