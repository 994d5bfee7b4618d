#!/bin/bash
# sftp.sh - a copy over SFTP beside OpenSSH's sftp: the same sshd on loopback, the same file, in memory at both ends.
# The bars: upload at least 0.6 times, download at least 0.7 times as fast. Writes docs/performance-sftp.md; exit status 1 when a bar
# is missed. Run it on an idle machine: make all build/tests/bench/bench_sftp && tests/bench/sftp.sh
#
#   BENCH_SFTP_REPORT=FILE  "-" prints it
#   BENCH_MIB=N      size of the file (1024)
#   BENCH_ROUNDS=N   how often, in turns; medians are compared (5)
#   BENCH_PROGRAMS   folder with bench_sftp (build/tests/bench)
set -eu

src=$(cd "$(dirname "$0")/../.." && pwd)
programs=${BENCH_PROGRAMS:-$src/build/tests/bench}
mib=${BENCH_MIB:-1024}
rounds=${BENCH_ROUNDS:-5}
export TWOFOLD_SSH=${TWOFOLD_SSH:-$src/build/twofold-ssh}
for program in "$programs/bench_sftp" "$TWOFOLD_SSH"; do
    [ -x "$program" ] || { echo "sftp.sh: $program is not there: run make, and make build/tests/bench/bench_sftp" >&2; exit 2; }
done
work=$(mktemp -d /dev/shm/tf-sftp.XXXXXX)
sshd=""
trap '[ -z "$sshd" ] || kill "$sshd"; rm -rf "$work"' EXIT
[ "$(id -u)" -ne 0 ] || mkdir -p /run/sshd

port=$((30000 + $$ % 20000))
ssh-keygen -q -t ed25519 -N '' -f "$work/host"
ssh-keygen -q -t ed25519 -N '' -f "$work/id"
cat >"$work/config" <<EOF
Port $port
ListenAddress 127.0.0.1
HostKey $work/host
PidFile none
AuthorizedKeysFile $work/id.pub
UsePAM no
StrictModes no
PermitRootLogin yes
Subsystem sftp /usr/lib/openssh/sftp-server
EOF
/usr/sbin/sshd -D -f "$work/config" -E "$work/log" &
sshd=$!
for _ in $(seq 100); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    sleep 0.05
done
user=$(id -un)
key=$(cut -d' ' -f1,2 "$work/host.pub")
echo "[127.0.0.1]:$port $key" >"$work/known"
head -c $((mib << 20)) /dev/urandom >"$work/file"
client=(sftp -q -P "$port" -i "$work/id" -o "UserKnownHostsFile=$work/known" -o IdentitiesOnly=yes -b - "$user@127.0.0.1")

theirs() { # COMMAND of sftp
    local from to
    from=$(date +%s%N)
    "${client[@]}" <<<"$1" >/dev/null
    to=$(date +%s%N)
    awk -v n=$((to - from)) 'BEGIN { printf "%.3f\n", n / 1e9 }'
}
ours() { # put|get FILE
    "$programs/bench_sftp" "$1" "sftp://$user@127.0.0.1:$port$work/copy" "$work/id" "$key" "$2"
}
for _ in $(seq "$rounds"); do
    rm -rf "$work/there" "$work/back" "$work/copy"
    theirs "put $work/file $work/there" >>"$work/their-up"
    theirs "get $work/there $work/back" >>"$work/their-down"
    rm -f "$work/there" "$work/back"
    ours put "$work/file" >>"$work/our-up"
    ours get "$work/back" >>"$work/our-down"
    cmp "$work/file" "$work/back"
done
median() { sort -n "$1" | sed -n "$(((rounds + 1) / 2))p"; }
report=${BENCH_SFTP_REPORT:-$src/docs/performance-sftp.md}
[ "$report" != - ] || report=/dev/stdout
{
    cat <<EOF
# Copies over SFTP, measured

By tests/bench/sftp.sh: $mib MiB to and from an sshd on loopback, in memory at both ends, by the sftp program of OpenSSH and through Twofold's store,
in turns; connecting and, for the store, fsync are part of it. The store reads in pieces as large as a pack. Both ends share the processors, so the client's own use
of them counts: libssh2 encrypts 16 bytes a call. Medians of $rounds round(s), $(nproc) processors, $(date +%F), load $(cut -d' ' -f1 /proc/loadavg).

EOF
    awk -v tu="$(median "$work/their-up")" -v td="$(median "$work/their-down")" \
        -v ou="$(median "$work/our-up")" -v od="$(median "$work/our-down")" -v mb="$((mib * 1048576 / 1000000))" 'BEGIN {
        print "| MB/s | sftp of OpenSSH | a copy over SFTP | ratio | bar |\n|---|---|---|---|---|"
        printf "| upload | %.0f | %.0f | %.2f | 0.60: %s |\n", mb / tu, mb / ou, tu / ou, tu / ou < 0.6 ? "MISSED" : "met"
        printf "| download | %.0f | %.0f | %.2f | 0.70: %s |\n", mb / td, mb / od, td / od, td / od < 0.7 ? "MISSED" : "met"
    }'
} >"$work/report"
cat "$work/report" >"$report"
! grep -q MISSED "$work/report"
