# binlog.sh - a MariaDB server whose log is kept, and a ledger of which each row goes on from the one before. After lib.sh and maria.sh.
# shellcheck shell=bash disable=SC2034,SC2154
. "$TWOFOLD_SRC/tests/integration/keeper.sh"
loading=""
log_options=(--log-bin=bl --server-id=7 --max-binlog-size=192K --binlog-format=ROW --innodb-flush-log-at-trx-commit=1)

make_ledger() { # DIR
    mariadb --no-defaults -S "$1/sock" <<'Q' || fail "the tables cannot be made"
CREATE DATABASE app; USE app;
CREATE TABLE ledger (id BIGINT PRIMARY KEY, at DATETIME(6), amount INT, total BIGINT);
INSERT INTO ledger VALUES (0, NOW(6), 0, 0);
CREATE TABLE big (id INT PRIMARY KEY AUTO_INCREMENT, sum CHAR(32), body LONGBLOB) DEFAULT CHARSET utf8mb4;
Q
}
# Each row by a statement of its own: the log has whole seconds, and the rows the moment at which their statement was begun.
load() { # DIR
    touch "$work/.loading"
    (while [ -e "$work/.loading" ]; do for ((i = 0; i < 40; i++)); do
        echo "INSERT INTO ledger SELECT id + 1, NOW(6), 1 + id % 1000, total + 1 + id % 1000 FROM ledger ORDER BY id DESC LIMIT 1;"
    done; sleep 0.1; done | mariadb --no-defaults -S "$1/sock" -D app -n) >/dev/null 2>&1 &
    loading=$!
}
unload() {
    rm -f "$work/.loading"
    [ -z "$loading" ] || wait "$loading" 2>/dev/null
    loading=""
}
add_rows() { # DIR N
    local i
    for ((i = 0; i < $2; i++)); do
        echo "INSERT INTO ledger SELECT id + 1, NOW(6), 5, total + 5 FROM ledger ORDER BY id DESC LIMIT 1;"
    done | mariadb --no-defaults -S "$1/sock" -D app
}
last_id() { maria_sql "$1" "SELECT MAX(id) FROM app.ledger"; }

# caught_up DIR POLICY: waits until all that the server has written by now is in the copies.
caught_up() {
    local file at _ number timeline=None position=0
    read -r file at _ < <(maria_sql "$1" "SHOW MASTER STATUS")
    number=$((10#${file##*.}))
    for _ in $(seq 300); do
        "$t" --json logs "$2" >"$work/.out" 2>/dev/null
        timeline=$(json timeline log) position=$(json position log)
        if [ "$timeline" = "$number" ] && [ "$position" -ge "$at" ]; then
            return 0
        elif [ "$timeline" != None ] && [ "$timeline" -gt "$number" ]; then
            # It has gone on since; or that is of the server's life before.
            read -r file _ < <(maria_sql "$1" "SHOW MASTER STATUS")
            [ "$((10#${file##*.}))" -lt "$timeline" ] || return 0
        fi
        sleep 0.1
    done
    fail "the log is not kept: $timeline $position of $file $at"
    sed 's/^/    /' "$work/.keep"
}

# with_restored DIR COMMAND…: a server on DIR/mariadb/data, in $restored, for this command.
restored=$work/restored
with_restored() {
    local dir=$1
    shift
    rm -rf "$restored"
    install -d -o mysql "$restored"
    ln -s "$dir/mariadb/data" "$restored/data"
    maria_start "$restored" --skip-log-bin || return
    "$@"
    maria_stop "$restored"
}
ledger_of() { maria_sql "$1" "SELECT MAX(id), COUNT(*), SUM(amount), (SELECT COUNT(*) FROM (SELECT total, amount, LAG(total) OVER (ORDER BY id) AS t FROM app.ledger) l
    WHERE t IS NOT NULL AND total <> t + amount) FROM app.ledger ${2:-}" | xargs; }
# ledger_until DIR SERVER MOMENT: what was begun before that second is there, and nothing else.
check_until() {
    local want got
    want=$(maria_sql "$1" "SELECT MAX(id), COUNT(*), SUM(amount) FROM app.ledger WHERE at < '${2%Z}'" | xargs)
    got=$(ledger_of "$restored")
    [ "$got" = "$want 0" ] || fail "not as of $2: $got instead of $want 0"
}
ledger_until() { with_restored "$1" check_until "$2" "$3"; }
check_last() {
    local got
    got=$(ledger_of "$restored")
    [ "${got%% *}" = "$1" ] && [ "${got##* }" = 0 ] || fail "the ledger ends otherwise: $got instead of $1 ($2)"
}
ledger_is() { with_restored "$1" check_last "$2" "$3"; } # DIR ID WHAT

stop_all() {
    unload
    [ -z "$keeper" ] || kill "$keeper" 2>/dev/null
    maria_stop_all
}
trap stop_all EXIT
