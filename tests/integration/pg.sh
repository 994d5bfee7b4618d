# pg.sh - PostgreSQL servers of a scenario's own: on sockets in its folder, as the user postgres, never one of the system's. After lib.sh.
# shellcheck shell=bash disable=SC2034,SC2154
pgbin=${PGBIN:-$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)}
if [ "$(id -u)" -ne 0 ] || [ ! -x "$pgbin/postgres" ] || ! id postgres >/dev/null 2>&1; then
    say "not tested here: it takes root and a PostgreSQL server (Debian: postgresql-15)"
    exit 77
fi
pg_started=()
as_pg() { setpriv --reuid=postgres --regid=postgres --clear-groups env HOME=/tmp PATH="$pgbin:$PATH" "$@"; }

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

pg_stop_all() {
    local dir
    for dir in "${pg_started[@]}"; do
        [ ! -f "$dir/data/postmaster.pid" ] || pg_stop "$dir" immediate
    done
}
trap pg_stop_all EXIT
