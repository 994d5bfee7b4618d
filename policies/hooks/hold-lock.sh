#!/bin/sh
# hold-lock.sh - for programs that hold a lock on a file (flock) while they write: it is held from before the backup to its end.
#
#     hooks:
#       before: [/usr/local/sbin/hold-lock.sh, before, /run/budget/lock]
#       after: [/usr/local/sbin/hold-lock.sh, after, /run/budget/lock]
set -eu
phase=$1
lock=$(realpath "$2")
holder=$lock.twofold # its process number

# Only the process that has this very file open there: the number may have become another's.
thaw() {
    [ -s "$holder" ] || return 0
    pid=$(cat "$holder")
    if [ "$(readlink "/proc/$pid/fd/9" 2>/dev/null || :)" = "$lock" ]; then
        kill "$pid"
        while [ -e "/proc/$pid" ]; do sleep 0.02; done
    fi
    rm -f "$holder"
}

case $phase in
before)
    thaw
    exec 9>>"$lock"
    flock -w 60 9 || {
        echo "$lock is held by another program" >&2
        exit 1
    }
    sleep infinity >/dev/null 2>&1 &
    echo $! >"$holder"
    ;;
after) thaw ;;
*) exit 2 ;;
esac
