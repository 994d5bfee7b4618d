# pg-lib.sh - what the scripts beside it share. Each works alone (a lock), and may be run again after it was cut off anywhere.
# What lies in the server's folders is touched as its user only, who could have put a link there. `here`, `other` … are of pg-standby.conf.
# shellcheck shell=sh disable=SC2154
folder=$(dirname "$(readlink -f "$0")")
# shellcheck source=policies/standby/pg-standby.conf
. "$folder/pg-standby.conf"
export LC_ALL=C PGCONNECT_TIMEOUT=5 PATH="$bin:$PATH"
umask 077

die() {
    echo "$*" >&2
    exit 1
}
# Nobody else sees its processes and its files, and would find that there are none.
[ "$(id -u)" -eq 0 ] || [ "$(id -un)" = "$user" ] || die "it must be run by root or $user, not $(id -un)"

as_server() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups env HOME="$(getent passwd "$user" | cut -d: -f6)" "$@"
    else
        "$@"
    fi
}

sql() { as_server timeout "${2:-20}" psql -X -qAt -v ON_ERROR_STOP=1 -d "$here dbname=postgres" -c "$1"; }

# One of these scripts at a time; another one is waited for.
alone() {
    locks=$HOME
    [ "$(id -u)" -ne 0 ] || locks=/run
    exec 9>>"$locks/twofold-standby-$(printf %s "$data" | cksum | cut -d' ' -f1)"
    flock -w 600 9 || die "another command has worked on $data for ten minutes"
}

# The processes of the server of `data`, also when that folder was renamed or deleted under it.
processes() {
    for p in /proc/[0-9]*; do
        case $(readlink "$p/exe" 2>/dev/null) in */postgres | */postgres\ \(deleted\)) ;; *) continue ;; esac
        case $(readlink "$p/cwd" 2>/dev/null) in "$real" | "$real (deleted)") echo "${p#/proc/}" ;; *)
            tr '\0' '\n' <"$p/cmdline" 2>/dev/null | grep -qxF -e "$data" -e "$real" -e "-D$data" && echo "${p#/proc/}" ;;
        esac
    done
    :
}
real=$(readlink -m "$data")

running() { [ -n "$(processes)" ]; }

# t: it follows another one and takes no writes; f: it takes writes. Fails when it cannot be asked, also when it is another server that answers.
in_recovery() {
    answer=$(sql "SELECT pg_is_in_recovery(), current_setting('data_directory')") || return 1
    [ "$(readlink -m "${answer#*|}")" = "$real" ] || {
        echo "the server that answers ($here) is that of ${answer#*|}, not of $data" >&2
        return 1
    }
    echo "${answer%%|*}"
}

# The file system of `data` is there: else that nothing is found in it says nothing.
seen() {
    if [ -z "${data_on-}" ]; then
        [ -f "$data/PG_VERSION" ] || die "there is no server's data in $data, and nobody knows whether its file system is mounted: mount it; where it is, and the data \
are gone, write its mount point (data_on=) into $folder/pg-standby.conf; or turn this host off"
        return 0
    fi
    case $real/ in "${data_on%/}"/*) ;; *) die "$data is not below data_on=$data_on: mend $folder/pg-standby.conf" ;; esac
    mountpoint -q "$data_on" || die "no file system is mounted on $data_on, so nobody sees what is in $data: mount it, or turn this host off"
}

# Anything that starts this server from now on starts it as one that only reads, until it is promoted; also one whose folder was taken away, and comes back.
mark() {
    (seen) || return 1
    [ -d "$data" ] || as_server mkdir -m 700 "$data" || return 1
    [ -f "$data/standby.signal" ] || as_server touch "$data/standby.signal" || return 1
    as_server sync "$data/standby.signal" "$data" "$(dirname "$data")"
}

# Starts it, but never as one that takes writes.
start_reader() {
    [ -f "$data/standby.signal" ] || die "$data/standby.signal is not there, so the server would take writes: it is not started"
    running || { start 9>&- || die "the server does not start: see its log"; }
    until_true 60 answers || die "the server does not answer"
}
answers() { sql "SELECT 1" >/dev/null 2>&1; }

# until_true SECONDS COMMAND…
until_true() {
    end=$(($(date +%s) + $1))
    shift
    until "$@"; do
        [ "$(date +%s)" -lt "$end" ] || return 1
        sleep 0.2
    done
}
