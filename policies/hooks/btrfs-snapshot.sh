#!/bin/sh
# btrfs-snapshot.sh - a read-only snapshot of a subvolume is made before the backup and deleted after it. What the policy names is the snapshot:
#
#     files: { paths: [/srv/.budget-now] }
#     hooks:
#       before: [/usr/local/sbin/btrfs-snapshot.sh, before, /srv/budget, /srv/.budget-now]
#       after: [/usr/local/sbin/btrfs-snapshot.sh, after, /srv/budget, /srv/.budget-now]
set -eu
phase=$1 volume=$2 snapshot=$3

# What stops the programs that write there, and what sets them going again (also when they were never stopped); they stand still only for as
# long as the snapshot is being made.
freeze() { :; }
thaw() { :; }

# Nothing but a read-only snapshot is deleted, should somebody give another path.
drop() {
    [ -e "$snapshot" ] || return 0
    [ "$(btrfs property get -ts "$snapshot" ro)" = ro=true ] || {
        echo "$snapshot is no read-only snapshot, so it is not deleted" >&2
        exit 1
    }
    btrfs subvolume delete "$snapshot" >/dev/null
}

case $phase in
before)
    drop
    trap thaw EXIT
    freeze
    btrfs subvolume snapshot -r "$volume" "$snapshot" >/dev/null
    ;;
after)
    thaw
    drop
    ;;
*) exit 2 ;;
esac
