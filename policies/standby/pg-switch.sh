#!/bin/sh
# pg-switch.sh - clients come to this host from now on. Refused by a server that takes no writes.
#
#     switch: [/usr/local/sbin/pg-switch.sh]
set -eu
# shellcheck source=policies/standby/pg-lib.sh
. "$(dirname "$(readlink -f "$0")")/pg-lib.sh"
alone
[ "$(in_recovery || echo unknown)" = f ] || die "the server here is not known to take writes"
take_address
echo "clients come to this host${address:+, at ${address%/*}}"
