#!/bin/sh
# pg-position.sh - how far this server's log is, whether it takes writes, follows, or is stopped: LSN@TIMELINE, and the time of the last commit where
# that is known. Of a standby: all that it has received and would keep; of a stopped server: the end of the last whole record.
#
#     position: [/usr/local/sbin/pg-position.sh]     prints "0/3000148@1 last-commit=1764149400"
set -eu
# shellcheck source=policies/standby/pg-lib.sh
. "$(dirname "$(readlink -f "$0")")/pg-lib.sh"

of_running() {
    sql "WITH l AS (SELECT CASE WHEN pg_is_in_recovery() THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
                           ELSE pg_current_wal_flush_lsn() END AS lsn,
                      (SELECT max(substr(name, 1, 8)) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}\$') AS newest)
         SELECT lsn || '@' || greatest(('x' || newest)::bit(32)::int, (SELECT timeline_id FROM pg_control_checkpoint()))
             || coalesce(' last-commit=' || floor(extract(epoch FROM pg_last_xact_replay_timestamp()))::bigint, '') FROM l"
}

control() { as_server "$bin/pg_controldata" -D "$data" | sed -n "s/^$1: *//p"; }

# From the log itself: the checkpoint that the control file knows, and what comes after it.
of_stopped() {
    [ -f "$data/PG_VERSION" ] || die "there is no server's data in $data"
    timeline=$(control "Latest checkpoint's TimeLineID")
    first=$(control "Latest checkpoint's REDO location")
    case $(control "Database cluster state") in "shut down"*) first=$(control "Latest checkpoint location") ;; esac
    as_server "$bin/pg_waldump" -p "$data/pg_wal" -t "$timeline" -s "$first" 2>/dev/null | awk '
        /lsn: / { line = $0; if ($0 ~ /desc: COMMIT /) commit = $0 }
        END {
            if (line == "") exit 1
            match(line, /len \(rec\/tot\): *[0-9]+\/ *[0-9]+/); split(substr(line, RSTART, RLENGTH), length_of, "/")
            match(line, /lsn: [0-9A-F]+\/[0-9A-F]+/); lsn = substr(line, RSTART + 5, RLENGTH - 5)
            match(commit, /COMMIT [0-9-]+ [0-9:]+/)
            print lsn, length_of[3] + 0, (RLENGTH > 0 ? substr(commit, RSTART + 7, RLENGTH - 7) : "")
        }' >"$found" || die "the log in $data/pg_wal cannot be read from $first on"
    read -r lsn bytes commit <"$found"
    end=$(record_end $(((0x${lsn%/*} << 32) + 0x${lsn#*/})) "$bytes")
    printf '%X/%X@%d' $((end >> 32)) $((end & 0xFFFFFFFF)) "$timeline"
    [ -z "$commit" ] || printf ' last-commit=%s' "$(date -u -d "$commit $(date +%z)" +%s)"
    echo
}

# Where a record ends that begins at an offset: pages begin with a header of 24 bytes, those at the start of a segment 40; the end is rounded up to 8.
record_end() {
    at=$1 left=$2
    segment=$(control "Bytes per WAL segment") page=$(control "WAL block size")
    while :; do
        if [ $((at % segment)) -eq 0 ]; then at=$((at + 40)); elif [ $((at % page)) -eq 0 ]; then at=$((at + 24)); fi
        room=$((page - at % page))
        [ "$left" -gt "$room" ] || break
        at=$((at + room)) left=$((left - room))
    done
    echo $(((at + left + 7) / 8 * 8))
}

if running; then
    of_running
else
    found=$(mktemp)
    trap 'rm -f "$found"' EXIT
    of_stopped
fi
