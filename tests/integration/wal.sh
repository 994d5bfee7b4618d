# wal.sh - a server whose log is kept, and a ledger of which each row goes on from the one before. After lib.sh and pg.sh.
# shellcheck shell=bash disable=SC2034,SC2154
. "$TWOFOLD_SRC/tests/integration/keeper.sh"

# db_policy NAME DIR [LINE…]: its one source is the server in DIR.
db_policy() {
    local name=$1 dir=$2
    shift 2
    mkdir -p "$TWOFOLD_CONFIG/policies"
    {
        printf 'postgresql:\n  conninfo: "host=%s user=postgres"\n  logs: 1s\n' "$dir"
        [ $# -eq 0 ] || printf '%s\n' "$@"
    } >"$TWOFOLD_CONFIG/policies/$name.yaml"
}

make_ledger() { # DIR
    pg_sql "$1" "CREATE TABLE ledger (id bigint PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), amount int, total bigint)"
    pg_sql "$1" "INSERT INTO ledger VALUES (0, default, 0, 0)"
    cat >"$work/ledger.sql" <<'Q'
\set amount random(1, 1000)
INSERT INTO ledger SELECT id + 1, clock_timestamp(), :amount, total + :amount FROM ledger ORDER BY id DESC LIMIT 1;
\sleep 2 ms
Q
}
add_rows() { # DIR N
    pg_sql "$1" "INSERT INTO ledger SELECT m.id + i, clock_timestamp(), 5, m.total + 5 * i
        FROM generate_series(1, $2) i, (SELECT id, total FROM ledger ORDER BY id DESC LIMIT 1) m"
}
load() { # DIR SECONDS
    loaded=$1
    as_pg pgbench -h "$1" -U postgres -n -f "$work/ledger.sql" -T "$2" -c 1 postgres >/dev/null 2>&1 &
    loading=$!
}
unload() { # the whole of it, and what it had begun
    pg_sql "$loaded" "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgbench'" >/dev/null
    wait "$loading" 2>/dev/null
}

# caught_up DIR POLICY: waits until all that the server has written is in the copies.
caught_up() {
    local lsn want _
    lsn=$(pg_sql "$1" "SELECT pg_current_wal_flush_lsn() - '0/0'")
    for _ in $(seq 300); do
        "$t" --json logs "$2" >"$work/.out" 2>/dev/null
        want=$(json position log)
        [ "${want:-None}" = None ] || [ "$want" -lt "$lsn" ] || return 0
        sleep 0.1
    done
    fail "the log is not kept: $want of $lsn"
    sed 's/^/    /' "$work/.keep"
}

# with_server DIR SQL: a server on what was restored below DIR, for one question; it ends its recovery first.
with_server() {
    local sock=$work/sock
    rm -rf "$sock"
    install -d -o postgres -m 700 "$sock"
    as_pg pg_ctl -D "$1/postgresql/data" -l "$sock/log" -w -t 60 -o "-k $sock -c listen_addresses= -c archive_mode=off" start >/dev/null 2>&1 || {
        echo "no server: $(tail -n 5 "$sock/log")"
        return
    }
    local _
    for _ in $(seq 100); do
        [ "$(as_pg psql -X -qAt -h "$sock" -U postgres -c 'SELECT pg_is_in_recovery()' 2>/dev/null)" = f ] && break
        sleep 0.1
    done
    as_pg psql -X -qAt -h "$sock" -U postgres -c "$2"
    as_pg pg_ctl -D "$1/postgresql/data" -w -m immediate stop >/dev/null 2>&1
}
# ledger_between DIR LEAST MOST WHAT: whole, and as long as that.
ledger_between() {
    local got
    got=$(with_server "$1" "SELECT (SELECT max(id) FROM ledger), (SELECT count(*) FROM (SELECT id, total, amount,
        lag(total) OVER w AS t, lag(id) OVER w AS i FROM ledger WINDOW w AS (ORDER BY id)) l
        WHERE i IS NOT NULL AND (id <> i + 1 OR total <> t + amount))")
    case $got in
    *'|0') [ "${got%|0}" -ge "$2" ] && [ "${got%|0}" -le "$3" ] || fail "the ledger ends at ${got%|0} instead of $2 to $3 ($4)" ;;
    *) fail "the ledger is not whole ($4): $got" ;;
    esac
}
ledger_is() { ledger_between "$1" "$2" "$2" "$3"; }

stop_keeper() {
    [ -z "$keeper" ] || kill "$keeper" 2>/dev/null
    pg_stop_all
}
trap stop_keeper EXIT
