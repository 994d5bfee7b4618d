#!/bin/sh
# pg-promote.sh - this server takes writes from now on. Commits wait for no other server until pg-sync.sh says so.
# Only for a server that was a standby or was fenced; run again it finds that all is done.
#
#     promote: [/usr/local/sbin/pg-promote.sh]
set -eu
# shellcheck source=policies/standby/pg-lib.sh
. "$(dirname "$(readlink -f "$0")")/pg-lib.sh"
alone
if ! running; then
    [ -f "$data/PG_VERSION" ] || die "there is no server's data in $data"
    start_reader
fi
case $(in_recovery) in
t)
    sql "ALTER SYSTEM SET synchronous_standby_names = ''"
    sql "SELECT pg_reload_conf()" >/dev/null
    [ "$(sql "SELECT pg_promote(true, 300)" 320)" = t ] || die "it was not promoted within five minutes"
    ;;
f) ;;
*) die "the server cannot be asked what it is" ;;
esac
writes() { [ "$(in_recovery)" = f ]; }
until_true 20 writes || die "it still only reads"
echo "it takes writes; $("$folder/pg-position.sh")"
