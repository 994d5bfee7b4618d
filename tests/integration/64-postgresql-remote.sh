#!/bin/bash
# 64-postgresql-remote.sh - a PostgreSQL server on another host: backed up, restored and verified there, within what that host allows.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/wal.sh"
. "$TWOFOLD_SRC/tests/integration/lab.sh"
lab_begin
trap 'status=$?; kill "$watcher" 2>/dev/null; [ "$failures" -eq 0 ] || cat "$work/slow" 2>/dev/null; pg_stop_all; (exit "$status"); lab_end' EXIT
lab_host orch
lab_host db1
# Where the hosts hang when it takes far longer than it does: told if it fails.
where_it_hangs() {
    local pid
    sleep 50
    for _ in 1 2 3; do
        echo "--- after $SECONDS s:"
        for pid in $(pgrep -f 'twofold|sshd|postgres'); do
            [ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ] || continue
            echo "$(ps -o pid=,stat=,etimes=,wchan:24= -p "$pid") $(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -c 1-100)"
            sed 's/^/        /' "/proc/$pid/stack" 2>/dev/null | head -n 4
        done
        sleep 20
    done
}
where_it_hangs >"$work/slow" 2>&1 &
watcher=$!
lab_trust orch db1
lab_install db1
pg_programs_on orch
pg_programs_on db1
on() { lab_on orch "$t" "$@"; }

one=$work/one
pg_new one
pg_start "$one" || finish
pg_sql "$one" "CREATE TABLE t AS SELECT i FROM generate_series(1, 1000) i"
new_vault "$work/v"
expect 0 on --yes agent enrol db1 --allow /srv --allow-restore /srv/back
expect 3 on policy add db --agent db1 --postgresql "host=$one user=postgres" --schedule none
said 'not on the allow-list' && said 'allow: sources:'
expect 5 on backup db && said 'not on the allow-list'
expect 0 on --yes agent enrol db1 --allow-source "postgresql host=$one user=postgres"
said "databases: postgresql host=$one user=postgres"
expect 0 on --json backup db && [ "$(json state)" = whole ] || fail "not whole"
expect 0 on --json backup db && [ "$(json bytes_stored)" -lt 400000 ] || fail "all was stored again: $(json bytes_stored)"
expect 5 on restore db --on db1 --to /srv/back/x --verify && said 'allow: commands:'
expect 5 on restore db --on db1 --in-place && said 'not on the allow-list'
expect 0 on --yes agent enrol db1 --allow-command postgres
expect 0 on agent check db1 && said 'may be run: postgres'
expect 0 on restore db --on db1 --to /srv/back/x --verify && said 'verified: a server recovered' && said 'all page checksums are right'
lab_on db1 test -f /srv/back/x/postgresql/data/PG_VERSION || fail "it is not on db1"
expect 0 on restore db --to "$work/here" --verify && said 'verified: a server recovered'

# --- its log, over a link that is cut while more than a segment is written ----------------------------------------------------
sed -i '/conninfo:/a\  logs: 1s' "$work/v/c/policies/db.yaml"
follow_there() {
    lab_on orch env TWOFOLD_LINK_DEADLINE_S=4 "$t" logs db --follow >"$work/.keep" 2>&1 </dev/null &
    keeper=$!
}
rows_kept() { # all that the server has written
    local lsn
    lsn=$(pg_sql "$one" "SELECT pg_current_wal_flush_lsn() - '0/0'")
    lab_until 'on --json logs db >"$work/.out" 2>/dev/null; [ "$(json position log)" -ge '"$lsn"' ] 2>/dev/null' 30 ||
        fail "the log is not kept: $(cat "$work/.keep")"
}
follow_there
pg_sql "$one" "INSERT INTO t SELECT 0 FROM generate_series(1, 10)"
rows_kept
lab_cut db1
pg_sql "$one" "INSERT INTO t SELECT 0 FROM generate_series(1, 300000)"
wait "$keeper" && fail "the keeper ended well though the link was cut"
grep -q 'agent "db1"' "$work/.keep" || fail "not told whose link was cut: $(cat "$work/.keep")"
lab_join db1
lab_until 'follow_there; sleep 2; kill -0 "$keeper" 2>/dev/null' 30
rows_kept
grep -q 'begins anew' "$work/.keep" && fail "a cut link broke the log off"
expect 0 on restore db --on db1 --to /srv/back/y --verify && said 'the last transaction in it ended at'
expect 0 on restore db --to "$work/there" && said 'its log'
[ "$(with_server "$work/there" 'SELECT count(*) FROM t')" = 301010 ] || fail "rows are missing"
kill "$keeper"
wait "$keeper"

finish
