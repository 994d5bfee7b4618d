#!/bin/sh
# pg-reseed.sh - this server is made anew from the other one, which takes writes, and follows it from then on. What lay in `data` is set aside beside
# it, never deleted: there must be room for both, in a folder that the server's user may write. Tablespaces would need --tablespace-mapping below.
#
#     reseed: [/usr/local/sbin/pg-reseed.sh]
set -eu
# shellcheck source=policies/standby/pg-lib.sh
. "$(dirname "$(readlink -f "$0")")/pg-lib.sh"
alone
follows() { [ "$(sql "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'" 2>/dev/null)" = 1 ]; }

# Made on the disk below, it would disappear as soon as the old one is mounted again.
[ -z "${data_on-}" ] || seen

if running; then
    [ "$(in_recovery || echo unknown)" = t ] || die "the server here is not known to only read: fence it first"
    if follows; then
        echo "it follows the other one; $("$folder/pg-position.sh")"
        exit 0
    fi
fi
[ "$(as_server timeout 20 psql -X -qAt -d "$other replication=true" -c "SHOW transaction_read_only")" = off ] ||
    die "the other server cannot be asked, or takes no writes itself"

# A copy that a kill cut short is begun anew; one that is whole is used.
new=$data.new
if [ ! -f "$new/standby.signal" ] || [ ! -f "$new.whole" ]; then
    as_server rm -rf "$new" "$new.whole"
    as_server mkdir -m 700 "$new"
    as_server "$bin/pg_basebackup" -D "$new" -R -X stream -c fast -d "$other" || die "the copy of the other server failed"
    for file in $keep; do
        [ ! -f "$data/$file" ] || as_server cp -p "$data/$file" "$new/$file"
    done
    as_server touch "$new.whole"
    as_server sync "$new.whole" "$new"
fi
if running; then stop 9>&-; fi
! running || die "the server here does not stop"
if [ -e "$data" ]; then
    as_server mv -T "$data" "$data.before-$(date -u +%Y%m%dT%H%M%SZ)"
fi
as_server mv -T "$new" "$data"
as_server rm -f "$new.whole"
as_server sync "$(dirname "$data")"
start_reader
until_true 120 follows || die "it was made anew, and does not follow the other server: see its log"
echo "it follows the other one; $("$folder/pg-position.sh")"
