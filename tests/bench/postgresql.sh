#!/bin/bash
# postgresql.sh - Twofold beside pgBackRest on a PostgreSQL cluster of pgbench, two copies (repositories) each: a full backup, 1,640 rows
# updated on distinct pages, nothing changed, a restore. Prints a table in Markdown; docs/performance-postgresql.md has one. As root.
#
#   BENCH_DIR=DIR      on a real disk, some 12 GB (build/bench-postgresql)
#   BENCH_SCALE=N      of pgbench (100: about 1.5 GB)
#   BENCH_ROUNDS=N     updates and restores are measured so often; medians are reported (3)
#   PEERS_ROOT=DIR     a root file system that has pgbackrest; else it is looked for in the PATH
#   PGBIN=DIR          the server's programs
set -eu
src=$(cd "$(dirname "$0")/../.." && pwd)
TWOFOLD=${TWOFOLD:-$src/build/twofold}
dir=${BENCH_DIR:-$src/build/bench-postgresql}
scale=${BENCH_SCALE:-100} rounds=${BENCH_ROUNDS:-3}
pgbin=${PGBIN:-$(find /usr/lib/postgresql/*/bin -maxdepth 0 | sort -V | tail -n 1)}
[ "$(id -u)" -eq 0 ] || { echo "postgresql.sh: it takes root" >&2; exit 1; }
if [ -z "${BENCH_NAMESPACE:-}" ]; then
    export BENCH_NAMESPACE=1
    exec unshare -m --propagation private "$0" "$@"
fi
[ ! -e "$dir" ] || { echo "postgresql.sh: $dir is there already" >&2; exit 1; }
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
chmod 755 "$dir"
export TWOFOLD_CONFIG=$dir/c TWOFOLD_STATE=$dir/s LC_ALL=C.UTF-8
unset TWOFOLD_PASSPHRASE_FILE CREDENTIALS_DIRECTORY
as_pg() { setpriv --reuid=postgres --regid=postgres --clear-groups env HOME=/tmp PATH="$pgbin:$PATH" "$@"; }
stop() { as_pg pg_ctl -D "$dir/pg/data" -m immediate stop >/dev/null 2>&1 || :; }
trap 'stop; rm -rf --one-file-system "$dir"' EXIT

# --- the cluster -----------------------------------------------------------------------------------------------
install -d -o postgres -g postgres "$dir/pg" "$dir/log" "$dir/spool"
as_pg initdb -D "$dir/pg/data" -k -A trust -U postgres -E UTF8 --locale=C.UTF-8 >/dev/null
cat >>"$dir/pg/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$dir/pg'
shared_buffers = 512MB
max_wal_size = 4GB
checkpoint_timeout = 1h
autovacuum = off
archive_mode = on
archive_command = '/bin/true'
CONF
as_pg pg_ctl -D "$dir/pg/data" -l "$dir/log/pg" -w start >/dev/null
as_pg pgbench -h "$dir/pg" -U postgres -i -s "$scale" -q postgres >/dev/null 2>&1
sql() { as_pg psql -X -qAt -h "$dir/pg" -U postgres -d postgres -c "$1"; }
sql "VACUUM FREEZE" >/dev/null
sql "CHECKPOINT"

# --- pgBackRest: two repositories, as its guide sets it up ----------------------------------------------------------
mkdir -p "$dir/r1" "$dir/r2" && chown postgres "$dir/r1" "$dir/r2"
peer=()
if [ -n "${PEERS_ROOT:-}" ]; then
    mount --bind "$PEERS_ROOT" "$PEERS_ROOT"
    mkdir -p "$PEERS_ROOT$dir"
    mount --bind "$dir" "$PEERS_ROOT$dir"
    mountpoint -q "$PEERS_ROOT/proc" || mount -t proc proc "$PEERS_ROOT/proc"
    mountpoint -q "$PEERS_ROOT/dev" || mount --rbind /dev "$PEERS_ROOT/dev"
    peer=(chroot "$PEERS_ROOT")
fi
uid=$(id -u postgres) gid=$(id -g postgres)
version=$("${peer[@]}" pgbackrest version | awk '{ print $2 }')
block=""
[ "$(printf '2.46\n%s\n' "$version" | sort -V | head -n 1)" != 2.46 ] || block="repo1-bundle=y
repo2-bundle=y
repo1-block=y
repo2-block=y"
cat >"$dir/pgbackrest.conf" <<CONF
[global]
repo1-path=$dir/r1
repo2-path=$dir/r2
$block
compress-type=zst
compress-level=3
process-max=2
start-fast=y
log-level-file=off
log-level-console=warn
lock-path=$dir/spool
spool-path=$dir/spool
archive-check=n
repo1-retention-full=9
repo2-retention-full=9
[b]
pg1-path=$dir/pg/data
pg1-socket-path=$dir/pg
pg1-user=postgres
CONF
cat >"$dir/peer.sh" <<'P'
#!/bin/sh
exec pgbackrest --config="$1/pgbackrest.conf" --stanza=b "$2" $3
P
chmod 755 "$dir/peer.sh"
pgb() {
    if [ -n "${PEERS_ROOT:-}" ]; then
        chroot --userspec="$uid:$gid" "$PEERS_ROOT" "$dir/peer.sh" "$dir" "$@"
    else
        as_pg "$dir/peer.sh" "$dir" "$@"
    fi
}
pgb stanza-create "--no-online" >/dev/null

# --- Twofold: two copies ----------------------------------------------------------------------------------------------
printf 'Correct-Horse-Battery-9\n' >"$dir/pass"
chmod 600 "$dir/pass"
"$TWOFOLD" --yes --quiet init --vault main --copy "a=$dir/a" --copy "b=$dir/b" --passphrase-file "$dir/pass" --keep-recovery-key >/dev/null 2>&1
"$TWOFOLD" --quiet policy add db --postgresql "host=$dir/pg user=postgres" --schedule none >/dev/null 2>&1

# --- measuring -----------------------------------------------------------------------------------------------------------
cold() { sync; echo 3 >/proc/sys/vm/drop_caches; }
bytes() { du -sb "$@" | awk '{ n += $1 } END { print n }'; }
# timed NAME COMMAND…: its seconds to $dir/times.NAME
timed() {
    local name=$1 start end
    shift
    cold
    start=$(date +%s%N)
    "$@" >"$dir/out" 2>&1 || { cat "$dir/out" >&2; echo "postgresql.sh: $* failed" >&2; exit 1; }
    end=$(date +%s%N)
    awk "BEGIN { print ($end - $start) / 1e9 }" >>"$dir/times.$name"
}
grew() { # NAME BEFORE PATH…
    local name=$1 before=$2
    shift 2
    echo $(($(bytes "$@") - before)) >>"$dir/bytes.$name"
}
both() { # NAME TYPE: one after the other, as pgBackRest does it
    cold
    local start end n
    start=$(date +%s%N)
    for n in 1 2; do
        pgb backup "--repo=$n --type=$2 $archive" >"$dir/out" 2>&1 || { cat "$dir/out" >&2; exit 1; }
    done
    end=$(date +%s%N)
    awk "BEGIN { print ($end - $start) / 1e9 }" >>"$dir/times.$1"
}
# Rows on pages of their own, spread over the table.
update() {
    sql "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid IN
        (SELECT 1 + (i * ($scale * 100000.0 / 1640))::int FROM generate_series(0, 1639) i)"
    sql "CHECKPOINT"
}
archive="--no-archive-check"

before=$(bytes "$dir/r1"); both peer.full full; grew peer.full "$before" "$dir/r1"
before=$(bytes "$dir/a"); timed own.full "$TWOFOLD" --quiet backup db; grew own.full "$before" "$dir/a"
for _ in $(seq "$rounds"); do
    before=$(bytes "$dir/r1"); both peer.same incr; grew peer.same "$before" "$dir/r1"
    before=$(bytes "$dir/a"); timed own.same "$TWOFOLD" --quiet backup db; grew own.same "$before" "$dir/a"
done
for _ in $(seq "$rounds"); do
    update
    before=$(bytes "$dir/r1"); both peer.update incr; grew peer.update "$before" "$dir/r1"
    before=$(bytes "$dir/a"); timed own.update "$TWOFOLD" --quiet backup db; grew own.update "$before" "$dir/a"
done
for _ in $(seq "$rounds"); do
    rm -rf "$dir/back" && install -d -o postgres -g postgres -m 700 "$dir/back"
    timed peer.restore pgb restore "--repo=1 --pg1-path=$dir/back --type=none"
    rm -rf "$dir/back"
    timed own.restore "$TWOFOLD" --quiet restore db --to "$dir/back"
    rm -rf "$dir/back"
done

median() { sort -g "$1" 2>/dev/null | awk '{ v[NR] = $1 } END { print NR ? v[int((NR + 1) / 2)] : "" }'; }
row() { # LABEL NAME BAR-TIME BAR-BYTES
    local o p ob pb
    o=$(median "$dir/times.own.$2") p=$(median "$dir/times.peer.$2")
    ob=$(median "$dir/bytes.own.$2") pb=$(median "$dir/bytes.peer.$2")
    awk -v l="$1" -v o="$o" -v p="$p" -v ob="$ob" -v pb="$pb" -v bt="$3" -v bb="$4" 'BEGIN {
        printf "| %s | %.2f s | %.2f s | %.2f | %s |", l, o, p, o / p, bt
        if (ob != "") printf " %.1f MB | %.1f MB | %.2f | %s |\n", ob / 1e6, pb / 1e6, ob / pb, bb; else print " | | | |" }'
}
echo "pgbench scale $scale, $(sql "SELECT pg_size_pretty(sum(pg_database_size(oid))) FROM pg_database"), PostgreSQL $(sql "SHOW server_version"); pgBackRest $version; $(nproc) processors; medians of $rounds; cold caches"
echo
echo "| | Twofold, both copies | pgBackRest, both repositories | ratio | bar | added per copy | per repository | ratio | bar |"
echo "|---|---|---|---|---|---|---|---|---|"
row "full" full "≤ 0.8" ""
row "nothing changed" same "≤ 1" ""
row "1,640 rows on distinct pages updated" update "≤ 0.8" "≤ 0.6"
row "restore" restore "≤ 0.8" ""
