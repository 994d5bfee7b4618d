# pg.sh - PostgreSQL servers of a scenario's own: on sockets in its folder, as the user postgres, never one of the system's. After lib.sh.
# PGBIN=DIR: the server's programs, of any version (make test T=postgresql PGBIN=/opt/postgresql/16/bin); what is not in it (psql) is the system's.
# shellcheck shell=bash disable=SC2034,SC2154
pgbin=${PGBIN:-$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)}
if [ "$(id -u)" -ne 0 ] || [ ! -x "$pgbin/postgres" ] || ! id postgres >/dev/null 2>&1; then
    say "not tested here: it takes root and a PostgreSQL server (Debian: postgresql-15)"
    exit 77
fi
pg_version=$("$pgbin/postgres" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
say "PostgreSQL $pg_version: $pgbin"

# Programs of PGBIN stand for this scenario, too, where packages put them: that is where a restore looks for them.
pg_usual=/usr/lib/postgresql/$pg_version/bin
if [ -n "${PGBIN:-}" ] && [ "$(realpath -m "$pg_usual")" != "$(realpath "$pgbin")" ]; then
    [ -n "${SCENARIO_NAMESPACE:-}" ] || { say "not tested here: PGBIN takes a mount namespace"; exit 77; }
    pg_places=$(mktemp -d)
    mount -t tmpfs -o mode=755 programs "$pg_places"
    for place in /usr/lib/postgresql/*/; do
        name=$(basename "$place")
        [ ! -d "$place" ] || [ "$name" = "$pg_version" ] || { mkdir "$pg_places/$name" && mount --bind "$place" "$pg_places/$name"; }
    done
    mkdir "$pg_places/$pg_version"
    ln -s "$(realpath "$pgbin")" "$pg_places/$pg_version/bin"
    mkdir -p /usr/lib/postgresql
    mount --rbind "$pg_places" /usr/lib/postgresql
fi
# On a host of the lab, which does not see what is mounted here.
pg_programs_on() {
    [ -z "${PGBIN:-}" ] || lab_on "$1" sh -c "[ -e $pg_usual/postgres ] || { mkdir -p ${pg_usual%/bin} && ln -s $(realpath "$pgbin") $pg_usual; }"
}
pg_since() { [ "$pg_version" -ge "$1" ]; } # a server of this version or a later one
pg_started=()
pg_clients=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1) # for what PGBIN has not
as_pg() { setpriv --reuid=postgres --regid=postgres --clear-groups env HOME=/tmp PATH="$pgbin:${pg_clients:-$pgbin}:$PATH" "$@"; }

# pg_new NAME [INITDB OPTION…]: a cluster in $work/NAME/data, its socket in $work/NAME, checksums on; not started.
pg_new() {
    local dir=$work/$1
    shift
    install -d -o postgres -g postgres -m 755 "$dir"
    as_pg initdb -D "$dir/data" -k -A trust -U postgres -E UTF8 --locale=C.UTF-8 "$@" >"$dir/initdb.log" 2>&1 ||
        fail "initdb: $(tail -n 3 "$dir/initdb.log")"
    cat >>"$dir/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$dir'
shared_buffers = 16MB
max_connections = 30
fsync = off
log_line_prefix = '%m '
CONF
}

# pg_start DIR [OPTION…]: the cluster in DIR/data.
pg_start() {
    local dir=$1
    shift
    as_pg pg_ctl -D "$dir/data" -l "$dir/log" -w -t 60 -o "-k $dir $*" start >"$dir/ctl.log" 2>&1 || {
        fail "the server in $dir does not start"
        tail -n 15 "$dir/log" | sed 's/^/    /'
        return 1
    }
    pg_started+=("$dir")
}

pg_stop() { as_pg pg_ctl -D "$1/data" -w -t 60 -m "${2:-fast}" stop >>"$1/ctl.log" 2>&1; }

# pg_sql DIR SQL [DATABASE]
pg_sql() { as_pg psql -X -qAt -v ON_ERROR_STOP=1 -h "$1" -U postgres -d "${3:-postgres}" -c "$2"; }

# pg_standby PRIMARY DIR: a copy of it in DIR/data that follows it when it is started. (The client may be of a later version, and write
# what the server's own does not know.)
pg_standby() {
    install -d -o postgres -m 755 "$2"
    as_pg pg_basebackup -h "$1" -U postgres -D "$2/data" -R -c fast >/dev/null 2>"$2/base" || { fail "pg_basebackup: $(cat "$2/base")"; return 1; }
    echo "primary_conninfo = 'host=$1 user=postgres'" >>"$2/data/postgresql.auto.conf"
}

pg_stop_all() {
    local dir
    for dir in "${pg_started[@]}"; do
        [ ! -f "$dir/data/postmaster.pid" ] || pg_stop "$dir" immediate
    done
}
trap pg_stop_all EXIT
