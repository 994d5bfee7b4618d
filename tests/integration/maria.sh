# maria.sh - MariaDB servers of a scenario's own: on sockets in its folder, as the user mysql, never one of the system's. After lib.sh.
# shellcheck shell=bash disable=SC2034,SC2154
if [ "$(id -u)" -ne 0 ] || [ ! -x /usr/sbin/mariadbd ] || [ ! -x /usr/bin/mariadb-backup ] || ! id mysql >/dev/null 2>&1; then
    say "not tested here: it takes root and a MariaDB server (Debian: mariadb-server mariadb-backup)"
    exit 77
fi
maria_started=()
as_mysql() { setpriv --reuid=mysql --regid=mysql --clear-groups env -u TMPDIR HOME=/tmp "$@"; }

# A server's options where a scenario gives no others; small, and without waiting for the disk. Many servers at once exhaust the kernel's
# asynchronous I/O.
maria_options=(--skip-networking --innodb-buffer-pool-size=16M --innodb-log-file-size=32M --innodb-flush-log-at-trx-commit=0
    --skip-innodb-doublewrite --loose-performance-schema=OFF --max-connections=30 --skip-log-error --innodb-use-native-aio=0)

# maria_new NAME [OPTION…]: a data folder in $work/NAME/data; not started.
maria_new() {
    local dir=$work/$1
    shift
    install -d -o mysql -g mysql -m 755 "$dir"
    env -u TMPDIR mariadb-install-db --no-defaults --user=mysql --datadir="$dir/data" --skip-test-db --innodb-log-file-size=32M --innodb-use-native-aio=0 \
        --auth-root-authentication-method=socket "$@" >"$dir/install.log" 2>&1 || fail "mariadb-install-db: $(grep -i error "$dir/install.log" | tail -n 5)"
}

# maria_start DIR [OPTION…]: the server on DIR/data, its socket is DIR/sock.
maria_start() {
    local dir=$1 i
    shift
    setpriv --reuid=mysql --regid=mysql --clear-groups env -u TMPDIR mariadbd --no-defaults --datadir="$dir/data" --socket="$dir/sock" --pid-file="$dir/pid" \
        "${maria_options[@]}" "$@" >>"$dir/log" 2>&1 &
    local pid=$!
    disown "$pid"
    echo "$pid" >"$dir/child"
    maria_started+=("$dir")
    for ((i = 0; i < 600; i++)); do
        [ -S "$dir/sock" ] && mariadb --no-defaults -S "$dir/sock" -e "SELECT 1" >/dev/null 2>&1 && return 0
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    fail "the server in $dir does not start"
    grep -iE "error|warning" "$dir/log" | tail -n 8 | sed 's/^/    /'
    return 1
}

# maria_stop DIR [SIGNAL]
maria_stop() {
    local pid i
    pid=$(cat "$1/child" 2>/dev/null) || return 0
    kill "-${2:-TERM}" "$pid" 2>/dev/null
    for ((i = 0; i < 1200; i++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    rm -f "$1/child" "$1/sock"
}

# maria_sql DIR SQL [DATABASE]
maria_sql() { mariadb --no-defaults -S "$1/sock" -N -B --default-character-set=utf8mb4 ${3:+-D "$3"} -e "$2"; }

maria_stop_all() {
    local dir
    for dir in "${maria_started[@]}"; do
        [ ! -f "$dir/child" ] || maria_stop "$dir" KILL
    done
}
trap maria_stop_all EXIT
