# lab.sh - hosts on this machine, for scenarios: source it after lib.sh.
# shellcheck shell=bash disable=SC2034,SC2154
#
# A host is a process tree with namespaces of its own (network, mounts, processes, name): an overlay over this machine's root
# whose changes lie in a tmpfs, an address in 10.77.0.0/24, a real sshd on port 22 with its own host key, users root and
# twofold (uid 990, /home/twofold) whom a key may let in. Hosts meet at a bridge in a network namespace that holds nothing
# else; there is no way out. Nothing has a name outside, so that several runs do not meet, and everything is gone when the
# processes are. $work is the same folder on all hosts and here; so are the programs and the sources.
#
#     lab_begin                        # or the scenario ends as skipped, with the reason
#     lab_host orch; lab_host db1      # 0.3 s each
#     lab_trust orch db1               # root of orch may log in to db1 as root, and knows its host key
#     lab_on orch ssh db1 true         # a command on a host; exit status and streams are the command's
#     lab_cut db1; lab_join db1        # its link
#     lab_slow db1 8mbit; lab_fast db1
#     lab_quota db1 100000             # its link dies by itself, so many bytes from now
#     lab_kill db1; lab_boot db1       # power off and on; its disk stays
#     lab_end                          # also by itself when the scenario ends
lab=$work/lab
declare -A lab_pid lab_number
lab_count=0
lab_switch=""

lab_skip() {
    echo "no hosts in namespaces here: $*"
    exit 77
}

lab_begin() {
    local program
    [ "$(id -u)" -eq 0 ] || lab_skip "not root"
    for program in ip tc nft unshare nsenter ssh ssh-keygen python3; do
        command -v "$program" >/dev/null || lab_skip "$program is not installed"
    done
    [ -x /usr/sbin/sshd ] || lab_skip "sshd is not installed"
    [ -n "${SCENARIO_NAMESPACE:-}" ] || lab_skip "no mount namespaces"
    unshare -n -p -m -u -i --fork true 2>/dev/null || lab_skip "namespaces are forbidden"
    [ "$(nsenter -t $$ -m -- stat -c %d:%i /)" = "$(stat -c %d:%i /)" ] || lab_skip "this is a chroot, which namespaces do not know of"
    mkdir -p "$lab"
    mount -t tmpfs -o mode=755 lab "$lab" 2>/dev/null || lab_skip "no tmpfs"
    mkdir "$lab/try.up" "$lab/try.work" "$lab/try"
    mount -t overlay -o "lowerdir=/,upperdir=$lab/try.up,workdir=$lab/try.work" lab "$lab/try" 2>/dev/null ||
        lab_skip "no overlay file system"
    umount "$lab/try"
    trap lab_end EXIT
    unshare -n sleep infinity &
    lab_switch=$!
    lab_until 'lab_in_other_network "$lab_switch"' || lab_skip "no network namespace"
    lab_at_switch ip link add name bridge type bridge 2>/dev/null || lab_skip "no bridge"
    lab_at_switch ip link set bridge up
    printf '127.0.0.1 localhost\n' >"$lab/hosts"
    ssh-keygen -q -t ed25519 -N '' -C lab -f "$lab/key"
}

# lab_until CONDITION [SECONDS]: evaluates it until it is true, for 10 s or so many.
lab_until() {
    local end=$((SECONDS + ${2:-10}))
    until eval "$1"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.01
    done
}

lab_in_other_network() { [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
lab_at_switch() { nsenter -t "$lab_switch" -n -- "$@"; }
lab_address() { echo "10.77.0.${lab_number[$1]}"; }

# lab_host NAME: a new host, booted. Names have 1 to 14 letters and digits.
lab_host() {
    local name=$1 up=$lab/$1/up
    lab_count=$((lab_count + 1))
    lab_number[$name]=$((10 + lab_count))
    mkdir -p "$lab/$name/root" "$lab/$name/work" "$up/root/.ssh" "$up/home/twofold/.ssh" "$up/etc/ssh" "$up/etc/sudoers.d"
    chmod 700 "$up/root" "$up/root/.ssh" "$up/home/twofold/.ssh"
    chown -R 990:990 "$up/home/twofold"
    printf '%s %s\n' "$(lab_address "$name")" "$name" >>"$lab/hosts"
    printf '%s\n' "$name" >"$up/etc/hostname"
    lab_users "$up/etc"
    ssh-keygen -q -t ed25519 -N '' -C "$name" -f "$up/etc/ssh/ssh_host_ed25519_key"
    lab_sshd_config >"$up/etc/ssh/sshd_config"
    lab_boot "$name"
}

lab_users() { # etc
    { grep -v '^twofold:' /etc/passwd; echo 'twofold:x:990:990::/home/twofold:/bin/bash'; } >"$1/passwd"
    { grep -v '^twofold:' /etc/group; echo 'twofold:x:990:'; } >"$1/group"
    { sed -e '/^twofold:/d' -e 's/^root:[^:]*:/root:*:/' /etc/shadow; echo 'twofold:*:19000:0:99999:7:::'; } >"$1/shadow"
    chmod 640 "$1/shadow"
}

# What the tests' programs need to know (where sanitizers report to) reaches them through sshd, too.
lab_sshd_config() {
    local name set=""
    for name in ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS LC_ALL TZ; do
        [ -z "${!name:-}" ] || set="$set \"$name=${!name}\""
    done
    cat <<END
Port 22
ListenAddress 0.0.0.0
HostKey /etc/ssh/ssh_host_ed25519_key
PidFile /run/sshd.pid
AuthorizedKeysFile .ssh/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
PrintLastLog no
MaxStartups 100
MaxSessions 100
LogLevel VERBOSE
Subsystem sftp internal-sftp
${set:+SetEnv$set}
END
}

# What the hosts have in common with this side.
lab_shared() {
    local path
    for path in "$work" "$TWOFOLD_SRC" "$TWOFOLD" "$AGENT" "${TWOFOLD_FAST:-}" "${AGENT_FAST:-}" "${TEST_PROGRAMS:-}"; do
        [ ! -f "$path" ] || path=${path%/*}
        [ ! -d "$path" ] || echo "$path"
    done
    path=$(sed -n 's/.*log_path=\([^:]*\)\/[^/:]*.*/\1/p' <<<"${ASAN_OPTIONS:-}")
    [ ! -d "$path" ] || echo "$path"
}

# Runs as the first process of a host, with `lab_*` of this file.
lab_init() {
    local name=$1 root=$lab/$1/root path
    mount -t overlay -o "lowerdir=/,upperdir=$lab/$name/up,workdir=$lab/$name/work" lab "$root"
    mount -t proc proc "$root/proc"
    mount -t sysfs sysfs "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs -o mode=755 run "$root/run"
    while read -r path; do
        mkdir -p "$root$path"
        mount --bind "$path" "$root$path"
    done
    mount --bind "$lab/hosts" "$root/etc/hosts"
    mkdir "$root/run/sshd" "$root/run/old"
    cd "$root" || exit 1
    pivot_root . run/old
    umount -l /run/old
    rmdir /run/old
    echo "$name" >/proc/sys/kernel/hostname
    ip link set lo up
    : >/run/booted
    trap 'exit 0' TERM
    while :; do # as the first process it reaps what is left behind
        sleep 1000 &
        wait $!
    done
}
export -f lab_init

lab_boot() {
    local name=$1 outer init=""
    lab_shared >"$lab/$name/shared"
    lab=$lab unshare -m -n -p -u -i --fork --kill-child --propagation private \
        bash -c 'lab_init "$1"' "$name" "$name" <"$lab/$name/shared" >"$lab/$name/boot.log" 2>&1 &
    outer=$!
    lab_until "init=\$(cat /proc/$outer/task/$outer/children 2>/dev/null); [ -n \"\$init\" ] && [ -e /proc/\${init% }/root/run/booted ]" ||
        { cat "$lab/$name/boot.log"; lab_skip "a host does not come up"; }
    lab_pid[$name]=${init% }
    lab_at_switch ip link add name "$name" type veth \
        peer name eth0 address "02:00:00:00:00:${lab_number[$name]}" netns "${lab_pid[$name]}"
    lab_at_switch ip link set "$name" master bridge up
    lab_on "$name" ip addr add "$(lab_address "$name")/24" dev eth0
    lab_on "$name" ip link set eth0 up
    lab_sshd "$name" >>"$lab/$name/boot.log" 2>&1
}

# lab_sshd NAME: starts its sshd. Log: $lab/NAME/up/var/log/sshd.log.
lab_sshd() {
    lab_on "$1" sh -c 'rm -f /run/sshd.pid; /usr/sbin/sshd -E /var/log/sshd.log'
    lab_until "[ -s /proc/${lab_pid[$1]}/root/run/sshd.pid ]" || fail "the sshd of $1 does not start"
}

# lab_on NAME COMMAND…: there, as root. A bare program name of ours is found, too (twofold, twofold-agent).
lab_on() {
    local name=$1
    shift
    nsenter -t "${lab_pid[$name]}" -m -n -p -u -i --wdns=/ -- env HOME=/root USER=root LOGNAME=root SHELL=/bin/bash \
        PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# lab_as NAME USER COMMAND…: as an unprivileged user.
lab_as() {
    local name=$1 user=$2
    shift 2
    lab_on "$name" setpriv --reuid "$user" --regid "$user" --init-groups env "HOME=/home/$user" "USER=$user" "$@"
}

# lab_install NAME: twofold-agent is in its PATH, as from a package. (No symbolic link: that program looks beside itself.)
lab_install() {
    lab_on "$1" install -m 755 "$AGENT" /usr/local/bin/twofold-agent
}

# lab_trust FROM TO [USER]: root of FROM may log in to TO as USER (root) with ~/.ssh/id_ed25519, and knows TO's host key.
lab_trust() {
    local from=$1 to=$2 user=${3:-root} home=/root
    [ "$user" = root ] || home=/home/$user
    lab_on "$from" sh -c "cat > /root/.ssh/id_ed25519; chmod 600 /root/.ssh/id_ed25519" <"$lab/key"
    lab_on "$to" sh -c "umask 077; cat >> $home/.ssh/authorized_keys; chown -R $user: $home/.ssh" <"$lab/key.pub"
    lab_knows "$from" "$to"
}

# lab_knows FROM TO: TO's host key stands in FROM's ~/.ssh/known_hosts.
lab_knows() {
    lab_on "$1" sh -c 'cat >> /root/.ssh/known_hosts' <<<"$2,$(lab_address "$2") $(lab_host_key "$2")"
}

lab_host_key() { lab_on "$1" cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub; }

# lab_new_host_key NAME: as after a new installation, or with somebody else in its place.
lab_new_host_key() {
    lab_on "$1" sh -c 'rm /etc/ssh/ssh_host_ed25519_key*; ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key
        pid=$(cat /run/sshd.pid); kill "$pid"; while kill -0 "$pid" 2>/dev/null; do sleep 0.01; done'
    lab_sshd "$1"
}

lab_cut() { lab_at_switch ip link set "$1" down; }
lab_join() { lab_at_switch ip link set "$1" up; }

# lab_slow NAME RATE: both ways ("8mbit"); lab_fast NAME ends it.
lab_slow() {
    lab_at_switch tc qdisc replace dev "$1" root tbf rate "$2" burst 64kb latency 50ms
    lab_on "$1" tc qdisc replace dev eth0 root tbf rate "$2" burst 64kb latency 50ms
}
lab_fast() {
    lab_at_switch tc qdisc del dev "$1" root 2>/dev/null
    lab_on "$1" tc qdisc del dev eth0 root 2>/dev/null
}

# lab_quota NAME BYTES: that many more bytes leave the host, and then nothing; lab_no_quota NAME ends it. lab_sent NAME: bytes so far.
lab_quota() {
    lab_on "$1" nft -f - <<<"table inet lab { chain out { type filter hook output priority 0; oif eth0 quota over $2 bytes drop; }; }"
}
lab_no_quota() { lab_on "$1" nft delete table inet lab 2>/dev/null; }
lab_sent() { lab_on "$1" cat /sys/class/net/eth0/statistics/tx_bytes; }

# lab_kill NAME: all its processes at once; like a power cut, nothing is said to the other side.
lab_kill() {
    lab_cut "$1"
    kill -KILL "${lab_pid[$1]}"
    lab_until "[ ! -e /proc/${lab_pid[$1]} ] || grep -q '^State:.Z' /proc/${lab_pid[$1]}/status"
    lab_at_switch ip link del "$1" 2>/dev/null
    unset "lab_pid[$1]"
}

# lab_kill_program NAME PROGRAM [SIGNAL]: its processes of this name (the first 15 letters count); fails when there is none.
lab_kill_program() { lab_on "$1" pkill "-${3:-KILL}" -x "${2:0:15}"; }

lab_end() {
    local rc=$? name
    trap - EXIT
    for name in "${!lab_pid[@]}"; do
        kill -KILL "${lab_pid[$name]}" 2>/dev/null
    done
    [ -z "$lab_switch" ] || kill -KILL "$lab_switch" 2>/dev/null
    wait 2>/dev/null
    umount -l "$lab" 2>/dev/null
    exit "$rc"
}
