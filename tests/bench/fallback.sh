#!/bin/bash
# fallback.sh - restores out of copies that are damaged, gone, cut off, hanging or slow: how much longer they take than healthy ones, and when their
# first file is there. Copies in folders and over SFTP, on hosts in namespaces of this machine with a real sshd; files of /usr and a
# PostgreSQL cluster. Writes docs/performance-crash.md. Run it as root, on an idle machine, or: BENCH_FALLBACK=1 make bench
#     make && tests/bench/fallback.sh
#   BENCH_DIR=DIR            on a real disk, some 12 GB (build/bench)
#   BENCH_ROUNDS=N           medians of so many (5)
#   BENCH_FALLBACK_FILES="…"    what is backed up ("/usr/share /usr/lib")
#   BENCH_FALLBACK_SCALE=N      of pgbench (50)
#   BENCH_FALLBACK_PARTS="…"    files, database, detection (all)
#   BENCH_FALLBACK_WARM=1    caches are not dropped before each restore (others work on this machine)
#   BENCH_FALLBACK_REPORT=FILE  "-" prints it
# shellcheck disable=SC2154 # t, work: from lib.sh
set -eu
TWOFOLD_SRC=$(cd "$(dirname "$0")/../.." && pwd)
case $0 in /*) ;; *) exec "$TWOFOLD_SRC/tests/bench/fallback.sh" ;; esac # it starts itself again, elsewhere
TWOFOLD=${TWOFOLD:-$TWOFOLD_SRC/build/twofold}
AGENT=${AGENT:-$TWOFOLD_SRC/build/twofold-agent}
BENCH_DIR=${BENCH_DIR:-$TWOFOLD_SRC/build/bench}
report=${BENCH_FALLBACK_REPORT:-$TWOFOLD_SRC/docs/performance-crash.md}
rounds=${BENCH_ROUNDS:-5} scale=${BENCH_FALLBACK_SCALE:-50} places=100
parts=${BENCH_FALLBACK_PARTS:-files database detection}
read -ra sources <<<"${BENCH_FALLBACK_FILES:-/usr/share /usr/lib}"
export TWOFOLD_SRC TWOFOLD AGENT SCENARIO_ON_DISK=1
mkdir -p "$BENCH_DIR/fallback"
cd "$BENCH_DIR/fallback"
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/lab.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
set +e
group=/sys/fs/cgroup/cpuacct/twofold-bench.$$ # processor time of everything, the other hosts' too
mkdir "$group" 2>/dev/null && echo $$ >"$group/cgroup.procs" 2>/dev/null || group=""
used_ms() { if [ -n "$group" ]; then echo $(($(cat "$group/cpuacct.usage") / 1000000)); else echo 0; fi; }
now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
trap 'pg_stop_all 2>/dev/null; lab_end' EXIT
lab_begin
trap 'pg_stop_all 2>/dev/null; rm -rf --one-file-system "${work:?}"/[!l]* "$work"/.[a-z]*; lab_end' EXIT
for host in orch far near; do lab_host $host; done
lab_trust orch far
lab_trust orch near
on() { lab_on orch "$t" "$@"; }
before=$(cut -d' ' -f1 /proc/loadavg)
rows=$work/rows
: >"$rows"
clean "$work"/v-*

# vault NAME folder|sftp: copies a and b in $work/v-NAME, which all hosts see.
vault() {
    local url_a url_b id=()
    use "$1"
    rm -rf --one-file-system "$dir"
    mkdir -p "$dir"
    url_a=$dir/a url_b=$dir/b
    [ "$2" = folder ] || { url_a=sftp://root@far$dir/a url_b=sftp://root@near$dir/b id=(--identity /root/.ssh/id_ed25519); }
    printf 'Correct-Horse-Battery-9\n' >"$dir/pass"
    chmod 600 "$dir/pass"
    must on --yes init --vault main --copy "a=$url_a" "${id[@]}" --copy "b=$url_b" "${id[@]}" --passphrase-file "$dir/pass" --keep-recovery-key
}
use() { dir=$work/v-$1 && export TWOFOLD_CONFIG=$dir/c TWOFOLD_STATE=$dir/s; }
must() { "$@" >"$work/.out" 2>"$work/.err" </dev/null || { echo "failed: $*" >&2; tail -n 20 "$work/.out" "$work/.err" >&2; exit 1; }; }
# flip COPY SEED: one byte in each of $places places of its packs.
flip() {
    python3 - "$1" "$2" "$places" <<'END'
import os, random, sys
packs = sorted(os.path.join(d, f) for d, _, fs in os.walk(sys.argv[1] + "/packs") for f in fs)
sizes = [os.path.getsize(p) for p in packs]
rng = random.Random(int(sys.argv[2]))
for _ in range(int(sys.argv[3])):
    path = rng.choices(packs, sizes)[0]
    with open(path, "r+b") as f:
        f.seek(rng.randrange(max(1, os.path.getsize(path) - 5000)))
        byte = f.read(1)
        f.seek(-1, 1)
        f.write(bytes([byte[0] ^ 0x55]))
END
}
# What was written must not be written back in the middle of the next measurement; both sides find the copies cold.
settle() {
    rm -rf --one-file-system "$work/out"
    sync
    [ -n "${BENCH_FALLBACK_WARM:-}" ] || echo 3 >/proc/sys/vm/drop_caches 2>/dev/null
}
# timed NAME RESTORE OPTION…: "ms cpu-ms" goes to NAME.ms.
timed() {
    local name=$1 began used
    shift
    settle
    used=$(used_ms) began=$(now_ms)
    must on --quiet restore "$@" --to "$work/out"
    echo $(($(now_ms) - began)) $(($(used_ms) - used)) >>"$work/$name.ms"
}
median() { cut -d' ' -f"${2:-1}" "$work/$1.ms" | sort -n | sed -n "$((($(wc -l <"$work/$1.ms") + 1) / 2))p"; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / (b ? b : 1) }'; }
seconds() { awk -v a="$1" 'BEGIN { printf "%.1f", a / 1000 }'; }
# The median of the ratios of each round's two, which the machine's other work meets alike.
paired() { paste -d' ' "$work/$1.ms" "$work/$2.ms" | awk -v k="${3:-1}" '{ print $(k) / ($(k + 2) ? $(k + 2) : 1) }' | sort -n | sed -n "$(((rounds + 1) / 2))p"; }

# compare_damaged LABEL VAULT POLICY [OPTION…]: healthy and damaged in turns.
compare_damaged() {
    local label=$1 name=$2 policy=$3 round way r c
    shift 3
    use "$name"
    cp -a "$dir/a" "$dir/a.damaged"
    flip "$dir/a.damaged" 1
    mv "$dir/a" "$dir/a.healthy"
    rm -f "$work/healthy.ms" "$work/damaged.ms"
    for round in $(seq "$rounds"); do
        for way in $([ $((round % 2)) = 0 ] && echo damaged healthy || echo healthy damaged); do
            mv "$dir/a.$way" "$dir/a"
            timed "$way" "$policy" "$@"
            mv "$dir/a" "$dir/a.$way"
            [ "$way" = healthy ] || grep -c 'not those that were written' "$work/.err" >"$work/found"
        done
    done
    mv "$dir/a.healthy" "$dir/a"
    rm -rf "$dir/a.damaged"
    r=$(paired damaged healthy) c=$(paired damaged healthy 2)
    printf '| %s | %s | %s | %.2f | %s | %s | %.2f | %s |\n' "$label" "$(seconds "$(median healthy)")" "$(seconds "$(median damaged)")" "$r" \
        "$(seconds "$(median healthy 2)")" "$(seconds "$(median damaged 2)")" "$c" \
        "$(awk -v r="$r" 'BEGIN { print (r <= 1.1 ? "met" : "MISSED") }')" | tee -a "$rows" >&2
}

if [[ " $parts " == *" files "* ]]; then
    for kind in folder sftp; do
        vault "files-$kind" $kind
        must on policy add tree "${sources[@]/#/--files=}"
        must on --quiet backup tree
        compare_damaged "files, $kind" "files-$kind" tree
        clean "$work/v-files-$kind"
    done
fi
if [[ " $parts " == *" database "* ]]; then
    pg_new pg
    sed -i 's/^shared_buffers.*/shared_buffers = 256MB/' "$work/pg/data/postgresql.conf"
    pg_start "$work/pg"
    as_pg pgbench -h "$work/pg" -U postgres -i -s "$scale" -q postgres >/dev/null 2>&1
    for kind in folder sftp; do
        vault "db-$kind" $kind
        must on policy add db --postgresql "host=$work/pg user=postgres"
        must on --quiet backup db
        compare_damaged "PostgreSQL, --verify, $kind" "db-$kind" db --verify
        clean "$work/v-db-$kind"
    done
fi

# --- how long until the next copy is read -----------------------------------------------------------------------------
details=$work/details
: >"$details"
# first_byte: waits until the restore has written something, for 60 s; sets `first`.
first_byte() {
    until [ -n "$(find "$work/out" -type f -size +0 ! -name .twofold-restore -print -quit 2>/dev/null)" ]; do
        [ $(($(now_ms) - began)) -lt 60000 ] || break
        sleep 0.01
    done
    first=$(($(now_ms) - began))
}
# detect NAME LABEL [WHEN]: a restore of what is small, while copy 1 is what it is. WHEN: a command, run when the first file is there.
detect() {
    local name=$1 label=$2 when=${3:-:} began first rc=0
    settle
    began=$(now_ms)
    on --quiet restore small --to "$work/out" >"$work/.out" 2>"$work/.err" </dev/null &
    local job=$!
    first_byte
    eval "$when"
    wait $job || rc=$?
    total=$(($(now_ms) - began))
    [ $rc -eq 0 ] || { echo "$label: exit status $rc" >&2; tail -n 5 "$work/.err" >&2; exit 1; }
    diff -r --no-dereference "$work/small" "$work/out$work/small" >/dev/null || { echo "$label: not the same" >&2; exit 1; }
    echo "$first $total" >>"$work/$name.ms"
}
# row NAME LABEL BASE: against a restore from the second copy alone.
row() {
    local f o bf bo
    f=$(median "$1") o=$(median "$1" 2) bf=$(median "$3") bo=$(median "$3" 2)
    printf '| %s | %s | %s | %s | %s |\n' "$2" "$(seconds "$f")" "$(seconds "$o")" "$(seconds $((o - bo)))" \
        "$(awk -v a=$((f - bf)) -v b=$((o - bo)) 'BEGIN { print (a <= 5000 && b <= 5000 ? "met" : "MISSED") }')" | tee -a "$details" >&2
}
each_round() { for _ in $(seq $(((rounds + 1) / 2))); do "$@"; done; }
if [[ " $parts " == *" detection "* ]]; then
    mkdir -p "$work/small"
    for i in $(seq 48); do head -c 4000000 /dev/urandom >"$work/small/$i"; done
    # copy 1 in a folder: a file system of its own, that can fail
    vault small-folder folder
    must on policy add small --files "$work/small"
    must on --quiet backup small
    mv "$dir/a" "$dir/a.kept"
    each_round detect base-folder "second copy alone"
    row base-folder "folder: not there" base-folder
    mkdir "$dir/a"
    each_round detect empty "folder: emptied, or not mounted"
    row empty "folder: emptied, or not mounted" base-folder
    rmdir "$dir/a" && cp -a "$dir/a.kept" "$dir/a"
    removed_in_middle() { detect removed "removed in the middle" 'mv "$dir/a" "$dir/a.moved"' && mv "$dir/a.moved" "$dir/a"; }
    each_round removed_in_middle
    row removed "folder: removed in the middle" base-folder
    # The disk's end is gone: the kernel reads errors.
    truncate -s 400M "$dir/disk" && mkfs.ext4 -q -F "$dir/disk" && mkdir "$dir/m" && mount -o loop "$dir/disk" "$dir/m" && cp -a "$dir/a/." "$dir/m/" && sync
    rm -rf "$dir/a" "$dir/a.kept" && mkdir "$dir/a" && umount "$dir/m"
    broken() {
        cp --sparse=always "$dir/disk" "$dir/disk.bad"
        lab_on orch mount -o loop,ro "$dir/disk.bad" "$dir/a" || return 1
        truncate -s 16M "$dir/disk.bad"
        detect errors "I/O errors"
        lab_on orch umount -l "$dir/a"
    }
    each_round broken && row errors "folder: the disk reports errors" base-folder
    clean "$work/v-small-folder"

    vault small-sftp sftp
    must on policy add small --files "$work/small"
    must on --quiet backup small
    mv "$dir/a" "$dir/a.kept"
    each_round detect base-sftp "second copy alone"
    row base-sftp "SFTP: its folder is not there" base-sftp
    mv "$dir/a.kept" "$dir/a"
    drop() { lab_on far nft -f - <<<'table inet silent { chain in { type filter hook input priority 0; policy drop; }; chain out { type filter hook output priority 0; policy drop; }; }'; }
    undrop() { lab_on far nft delete table inet silent 2>/dev/null; }
    # Connections that hang in the middle of a measurement are gone before the next one.
    recover() { lab_on far sh -c 'pkill -KILL -f "sshd: root"; true' >/dev/null 2>&1; }
    stop_listening() { lab_on far sh -c 'kill $(cat /run/sshd.pid); sleep 0.2' 2>/dev/null; }
    stop_listening
    each_round detect refused "refused"
    row refused "SFTP: connections are refused" base-sftp
    # One that greets, and says no more.
    lab_on far python3 -c '
import socket, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("", 22)); s.listen(50)
kept = []
while True:
    c = s.accept()[0]; c.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"); kept.append(c)' &
    greeter=$!
    sleep 0.5
    each_round detect greets "greets and hangs"
    row greets "SFTP: hangs after its greeting" base-sftp
    lab_on far sh -c 'pkill -KILL -f SSH-2.0-OpenSSH_9.2'
    kill $greeter 2>/dev/null
    wait $greeter 2>/dev/null
    lab_sshd far
    drop
    each_round detect dropped "no answer"
    row dropped "SFTP: no answer at all (packets are dropped)" base-sftp
    undrop
    lab_cut far
    each_round detect cut "link down"
    row cut "SFTP: its link is down" base-sftp
    lab_join far
    sleep 1
    cut_in_middle() { detect middle "dropped in the middle" drop; undrop; recover; }
    each_round cut_in_middle
    row middle "SFTP: no answer from the middle on" base-sftp
    frozen_in_middle() { detect frozen "frozen in the middle" 'lab_kill_program far sshd STOP'; lab_kill_program far sshd CONT; recover; }
    each_round frozen_in_middle
    row frozen "SFTP: its server is frozen in the middle" base-sftp
    lab_slow far 1mbit
    each_round detect slow "slow"
    lab_fast far
    row slow "SFTP: a line of 1 Mbit/s" base-sftp
    clean "$work/v-small-sftp"
fi

out() { if [ "$report" = - ]; then cat; else cat >"$report"; fi; }
out <<END
# Restores out of damaged and missing copies, measured

By tests/bench/fallback.sh, $(nproc) processors, $(date -u +%F), load of the machine before and after: $before, $(cut -d' ' -f1 /proc/loadavg).
Two copies, in folders, or over SFTP on two hosts in network namespaces of this machine, in $(stat -f -c %T "$work"); caches are
$([ -n "${BENCH_FALLBACK_WARM:-}" ] && echo left as they are || echo dropped before each restore).

## Copy 1 is damaged in $places places

One byte is flipped in each of $places random places of copy 1's packs. Healthy and damaged are measured in turns, $rounds times; the
ratios are medians of each round's. Files: ${sources[*]}; the PostgreSQL cluster is pgbench's at scale $scale, started and checked after the restore.

| | healthy, s | damaged, s | ratio | processor time, healthy, s | damaged, s | ratio | bar: ≤ 1.1 |
|---|---|---|---|---|---|---|---|
$(cat "$rows")

## Copy 1 cannot be read

A restore of $(du -sh "$work/small" 2>/dev/null | cut -f1) that do not compress; what is compared with is a restore whose copy 1 is known at once not to be there. From the command to the
first file that is written, and to its end.

| copy 1 | first byte, s | in all, s | longer than without it, s | bar: ≤ 5 s |
|---|---|---|---|---|
$(cat "$details")
END
! grep -q MISSED "$rows" "$details"
