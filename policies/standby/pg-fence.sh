#!/bin/sh
# pg-fence.sh - this server takes no more writes: it is marked as one that only reads (so also after a reboot, or when somebody starts it), gives
# up the address of the service, and is stopped. Stopped in peace it first sends its standby all that it has; one that does not stop is killed.
#
#     fence: [/usr/local/sbin/pg-fence.sh]
#     fenced: [/usr/local/sbin/pg-fence.sh, ask]     status 0: it is proven that it takes no writes
set -eu
# shellcheck source=policies/standby/pg-lib.sh
. "$(dirname "$(readlink -f "$0")")/pg-lib.sh"

none() { ! running; }

ask() {
    seen
    [ -f "$data/standby.signal" ] || die "$data has no standby.signal: whoever starts the server makes it take writes"
    if ! running; then
        echo "it does not run, and would only read"
    elif [ "$(in_recovery || echo unknown)" = t ]; then
        echo "it runs, and only reads"
    else
        die "it runs, and is not known to only read"
    fi
    ! has_address || die "the service's address ${address:-} is still on this host"
}

end_processes() { # SIGNAL SECONDS
    for pid in $(processes); do kill "-$1" "$pid" 2>/dev/null || :; done
    until_true "$2" none
}

case ${1:-do} in
do)
    alone
    mark || echo "it could not be marked as one that only reads" >&2
    drop_address || echo "the address could not be taken away" >&2
    if running; then
        stop 9>&- || :
        none || end_processes QUIT 5 || end_processes KILL 10 || die "processes of the server cannot be ended: $(processes | xargs)"
    fi
    ask
    ;;
ask) ask ;;
*) exit 2 ;;
esac
