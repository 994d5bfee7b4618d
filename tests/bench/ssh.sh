#!/bin/bash
# ssh.sh - the same backup with a local agent and over both SSH transports, on hosts in namespaces of this machine (both ends
# of a connection share its processors). Writes docs/performance-ssh.md. Run it as root, on an idle machine:
#     make && tests/bench/ssh.sh
#   BENCH_SSH_MIB=N       half as much as is backed up: so much that compresses, and so much that does not (512)
#   BENCH_ROUNDS=N        medians of so many (3)
#   BENCH_SSH_REPORT=FILE  "-" prints it
# shellcheck disable=SC2154 # t, work: from lib.sh
set -eu
TWOFOLD_SRC=$(cd "$(dirname "$0")/../.." && pwd)
case $0 in /*) ;; *) exec "$TWOFOLD_SRC/tests/bench/ssh.sh" ;; esac # it starts itself again, elsewhere
TWOFOLD=${TWOFOLD:-$TWOFOLD_SRC/build/twofold}
AGENT=${AGENT:-$TWOFOLD_SRC/build/twofold-agent}
BENCH_DIR=${BENCH_DIR:-$TWOFOLD_SRC/build/bench}
report=${BENCH_SSH_REPORT:-$TWOFOLD_SRC/docs/performance-ssh.md}
mib=${BENCH_SSH_MIB:-512} rounds=${BENCH_ROUNDS:-3} bar=1.4
export TWOFOLD_SRC TWOFOLD AGENT SCENARIO_ON_DISK=1
mkdir -p "$BENCH_DIR/ssh"
cd "$BENCH_DIR/ssh"
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/lab.sh"
set +e
# Processor time of everything, the other host's too, where control groups of version 1 are there to count it.
group=/sys/fs/cgroup/cpuacct/twofold-bench.$$
rmdir /sys/fs/cgroup/cpuacct/twofold-bench.* 2>/dev/null # of runs that have ended
mkdir "$group" 2>/dev/null && echo $$ >"$group/cgroup.procs" 2>/dev/null || group=""
used_ms() { if [ -n "$group" ]; then echo $(($(cat "$group/cpuacct.usage") / 1000000)); else echo 0; fi; }
lab_begin
lab_host orch
lab_host db1
lab_trust orch db1
lab_install db1
on() { lab_on orch "$t" "$@"; }
data=$work/data
clean "$data" "$work/v"
mkdir -p "$data"
tar -C /usr -cf - share lib 2>/dev/null | head -c $((mib << 20)) >"$data/compresses"
head -c $((mib << 20)) /dev/urandom >"$data/random"
sync

measure() { # local|openssh|libssh2: seconds of a first backup to two copies
    local agent=db1 began used
    clean "$work/v"
    new_vault "$work/v" >/dev/null
    if [ "$1" = local ]; then agent=local; else on --yes agent enrol db1 --transport "$1" >/dev/null 2>&1; fi
    "$t" policy add data --files "$data" --agent $agent >/dev/null
    # One stream is read whatever the agent; each must find the source equally warm.
    cat "$data"/* >/dev/null
    lab_on db1 cat "$data/random" "$data/compresses" >/dev/null
    lab_on db1 rm -rf /var/lib/twofold/agent
    sync # what the one before wrote is not this one's to wait for
    used=$(used_ms)
    began=${EPOCHREALTIME/./}
    on --quiet backup data >&2 || { echo "the backup over $1 failed" >&2; exit 1; }
    echo $(((${EPOCHREALTIME/./} - began) / 1000)) $(($(used_ms) - used))
}

before=$(cut -d' ' -f1 /proc/loadavg)
for transport in local openssh libssh2; do : >"$work/$transport.ms"; done
orders=("local openssh libssh2" "openssh libssh2 local" "libssh2 local openssh")
for round in $(seq "$rounds"); do
    for transport in ${orders[round % 3]}; do measure "$transport" >>"$work/$transport.ms"; done
done
median() { cut -d' ' -f"${2:-1}" "$work/$1.ms" | sort -n | sed -n "$(((rounds + 1) / 2))p"; }
l=$(median local) o=$(median openssh) s=$(median libssh2)
ratio() { awk -v a="$1" -v b="${2:-$l}" 'BEGIN { printf "%.2f", a / (b ? b : 1) }'; }
seconds() { awk -v a="$1" 'BEGIN { printf "%.2f", a / 1000 }'; }
each() { paste -d' ' "$work/$1.ms" "$work/local.ms" | awk '{ printf "%s%.2f", (NR > 1 ? ", " : ""), $1 / $3 }'; }
row() { # NAME, transport, ms
    local cpu
    cpu=$(median "$2" 2)
    echo "| $1 | $(seconds "$3") | $(rate "$3") | $(ratio "$3") | $(seconds "$cpu") | $(ratio "$cpu" "$(median local 2)") | $4 |"
}
verdict() { awk -v r="$1" -v b=$bar 'BEGIN { print (r <= b ? "met" : "MISSED") }'; }
rate() { awk -v ms="$1" -v m="$mib" 'BEGIN { printf "%.0f", 2 * m * 1.048576 * 1000 / ms }'; }
out() { if [ "$report" = - ]; then cat; else cat >"$report"; fi; }
out <<END
# Agents over SSH, measured

By tests/bench/ssh.sh: the first backup of ${mib} MiB that compress and ${mib} MiB that do not, to two copies in folders, with an agent on
this host and with one on a host in a network namespace beside it, so that both ends of the connection share the same
processors. Medians of $rounds round(s), $(nproc) processors, $(date +%F), load of the machine before and after: $before,
$(cut -d' ' -f1 /proc/loadavg).

| agent | seconds | MB/s | to the local agent | processor time, both ends, s | to the local agent | bar |
|---|---|---|---|---|---|---|
$(row local local "$l" "")
$(row OpenSSH openssh "$o" "≤ $bar: $(verdict "$(ratio "$o")")")
$(row libssh2 libssh2 "$s" "≤ $bar: $(verdict "$(ratio "$s")")")

Round by round, to the local agent of the same round: OpenSSH $(each openssh); libssh2 $(each libssh2).

**The default is OpenSSH**: it is the faster one. And it has ciphers that authenticate as they encrypt (AES-GCM, ChaCha20-Poly1305), so that it reaches a
server that was hardened to them, while libssh2 as Debian 12 has it knows AES-CTR with a separate MAC and no more; it gets its security fixes
from the distribution, at once. libssh2 runs in a child that can do nothing but carry bytes
(twofold-ssh), and is for hosts where no OpenSSH client can be installed, or where what parses a
server's answers should have no rights at all.
END
[ "$report" = - ] || cat "$report"
clean "$data" "$work/v"
