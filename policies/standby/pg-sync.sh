#!/bin/sh
# pg-sync.sh - commits wait from now on until the other server, which follows, has them (`sync`; empty: they do not wait, and nothing is done).
#
#     sync: [/usr/local/sbin/pg-sync.sh]
set -eu
# shellcheck source=policies/standby/pg-lib.sh
. "$(dirname "$(readlink -f "$0")")/pg-lib.sh"
alone
[ -n "$sync" ] || { echo "commits do not wait for the other server"; exit 0; }
there() { [ "$(sql "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND application_name = '$sync'")" = 1 ]; }
until_true 60 there || die "no standby that calls itself $sync follows"
sql "ALTER SYSTEM SET synchronous_standby_names = '\"$sync\"'"
sql "SELECT pg_reload_conf()" >/dev/null
echo "commits wait for $sync"
