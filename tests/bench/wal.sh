#!/bin/bash
# wal.sh - a PostgreSQL server's log that is kept in two copies while pgbench writes: what it costs a commit, how fast it can be taken beside
# how fast it is made, and how far the copies lag. Prints a table in Markdown; docs/performance-postgresql.md has one. As root.
#
#   BENCH_DIR=DIR      on a real disk, some 12 GB (build/bench-wal)
#   BENCH_SCALE=N      of pgbench (50)
#   BENCH_COPIES=DIR   where the copies lie (BENCH_DIR): on the server's own disk, or, as they should, on another
#   BENCH_SECONDS=N    of each run of pgbench (20)
#   BENCH_ROUNDS=N     pairs of runs, without and with; medians are reported (3)
#   PGBIN=DIR          the server's programs
set -eu
src=$(cd "$(dirname "$0")/../.." && pwd)
TWOFOLD=${TWOFOLD:-$src/build/twofold}
dir=${BENCH_DIR:-$src/build/bench-wal}
scale=${BENCH_SCALE:-50} seconds=${BENCH_SECONDS:-20} rounds=${BENCH_ROUNDS:-3}
pgbin=${PGBIN:-$(find /usr/lib/postgresql/*/bin -maxdepth 0 | sort -V | tail -n 1)}
[ "$(id -u)" -eq 0 ] || { echo "wal.sh: it takes root" >&2; exit 1; }
[ ! -e "$dir" ] || { echo "wal.sh: $dir is there already" >&2; exit 1; }
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
copies=$(mktemp -d "${BENCH_COPIES:-$dir}/copies.XXXXXX")
chmod 755 "$dir"
export TWOFOLD_CONFIG=$dir/c TWOFOLD_STATE=$dir/s LC_ALL=C.UTF-8
unset TWOFOLD_PASSPHRASE_FILE CREDENTIALS_DIRECTORY
keeper=""
as_pg() { setpriv --reuid=postgres --regid=postgres --clear-groups env HOME=/tmp PATH="$pgbin:$PATH" "$@"; }
ends() {
    [ -z "$keeper" ] || kill "$keeper" 2>/dev/null || :
    as_pg pg_ctl -D "$dir/pg/data" -m immediate stop >/dev/null 2>&1 || :
    rm -rf --one-file-system "$dir" "$copies"
}
trap ends EXIT
install -d -o postgres -g postgres "$dir/pg"
as_pg initdb -D "$dir/pg/data" -k -A trust -U postgres -E UTF8 --locale=C.UTF-8 >/dev/null
cat >>"$dir/pg/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$dir/pg'
shared_buffers = 512MB
max_wal_size = 8GB
checkpoint_timeout = 1h
autovacuum = off
CONF
as_pg pg_ctl -D "$dir/pg/data" -l "$dir/pg/log" -w start >/dev/null
as_pg pgbench -h "$dir/pg" -U postgres -i -s "$scale" -q postgres >/dev/null 2>&1
sql() { as_pg psql -X -qAt -h "$dir/pg" -U postgres -d postgres -c "$1"; }
sql CHECKPOINT
printf 'Correct-Horse-Battery-9\n' >"$dir/pass"
chmod 600 "$dir/pass"
"$TWOFOLD" --yes init --vault main --copy "a=$copies/a" --copy "b=$copies/b" --passphrase-file "$dir/pass" --keep-recovery-key >/dev/null
mkdir -p "$dir/c/policies"
printf 'postgresql:\n  conninfo: "host=%s user=postgres"\n  logs: 5s\n' "$dir/pg" >"$dir/c/policies/db.yaml"
follow() {
    "$TWOFOLD" logs db --follow >"$dir/keep" 2>&1 &
    keeper=$!
}
unfollow() {
    kill "$keeper"
    wait "$keeper" || { cat "$dir/keep" >&2; exit 1; }
    keeper=""
}
of_log() { "$TWOFOLD" --json logs db 2>/dev/null | python3 -c 'import json, sys
for o in map(json.loads, sys.stdin):
    if o.get("type") == "log": print(o[sys.argv[1]])' "$1"; }
position() { sql "SELECT pg_current_wal_flush_lsn() - '0/0'"; }
# caught_up [BYTES]: all is in the copies, but for so many: the last of what is written waits for more, up to the 5 s of `logs:`.
caught_up() {
    local want
    want=$(($(position) - ${1:-0}))
    while [ "$(of_log position)" -lt "$want" ]; do sleep 0.05; done
}
# bench OUT [OPTION…]: one run; "tps latency-ms" as a line of OUT.
bench() {
    local out=$1
    shift
    as_pg pgbench -h "$dir/pg" -U postgres -n -c 4 -T "$seconds" "$@" postgres 2>&1 |
        awk '/latency average/ { l = $4 } /^tps/ { print $3, l }' >>"$out"
}
median() { awk -v k="$2" '{ print $k }' "$1" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
follow
caught_up
unfollow

tail=$((1 << 20)) paced=1000
# --- how fast it is made, and how fast it is taken -----------------------------------------------------------------------------
from=$(position)
begin=$(date +%s.%N)
bench "$dir/made"
made_s=$(echo "$(date +%s.%N) - $begin" | bc)
bytes=$(($(position) - from))
begin=$(date +%s.%N)
follow
caught_up $tail
taken_s=$(echo "$(date +%s.%N) - $begin" | bc)
caught_up

# --- what it costs, and how far it lags -------------------------------------------------------------------------------------------
lags=$dir/lags
for _ in $(seq "$rounds"); do
    unfollow
    bench "$dir/without"
    bench "$dir/paced-without" -R "$paced"
    follow
    caught_up
    bench "$dir/with" &
    run=$!
    while kill -0 "$run" 2>/dev/null; do
        python3 -c 'import sys, time; print(max(0, time.time() - int(sys.argv[1]) / 1e9))' "$(of_log time_ns)" >>"$lags"
        sleep 1
    done
    wait "$run"
    bench "$dir/paced-with" -R "$paced"
done
caught_up
objects=$(of_log objects)
kept=$(of_log bytes)
unfollow

mb() { python3 -c 'import sys; print("%.1f" % (float(sys.argv[1]) / 1e6))' "$1"; }
python3 - "$bytes" "$made_s" "$taken_s" "$(median "$dir/without" 1)" "$(median "$dir/with" 1)" "$(median "$dir/without" 2)" \
    "$(median "$dir/with" 2)" "$(median "$dir/paced-without" 2)" "$(median "$dir/paced-with" 2)" "$paced" "$(median "$lags" 1)" "$(sort -n "$lags" | tail -n 1)" "$objects" "$(mb "$kept")" <<'P'
import sys
n, made, taken, tps0, tps1, ms0, ms1, paced0, paced1, paced, lag, worst = map(float, sys.argv[1:13])
rate0, rate1 = n / made / 1e6, (n - (1 << 20)) / taken / 1e6
met = lambda ok: "met" if ok else "not met"
print("| | without | with the log kept | ratio | bar |\n|---|---|---|---|---|")
print("| log written by pgbench, log taken into two copies | %.1f MB/s | %.1f MB/s | %.1f | ≥ 2: %s |" % (rate0, rate1, rate1 / rate0, met(rate1 >= 2 * rate0)))
print("| transactions a second | %.0f | %.0f | %.2f | – |" % (tps0, tps1, tps1 / tps0))
print("| latency, pgbench as fast as it can | %.3f ms | %.3f ms | %.2f | – |" % (ms0, ms1, ms1 / ms0))
print("| latency at %.0f transactions a second | %.3f ms | %.3f ms | %.2f | 1, about: %s |" % (paced, paced0, paced1, paced1 / paced0, met(paced1 <= 1.05 * paced0)))
print("\nLag of the copies under that load: median %.1f s, at most %.1f s. In the end %s objects, %s MB." % (lag, worst, sys.argv[13], sys.argv[14]))
P
