#!/bin/bash
# 92-systemd.sh - a host that boots a real systemd: `schedule apply`, a timer that fires, twofoldd under its hardened unit runs the backup
# and says what it does; it is watched by the watchdog; without it the timer's service runs the backup itself.
# long
# shellcheck disable=SC2154,SC2034,SC2016
. "$TWOFOLD_SRC/tests/integration/lib.sh"

skip() { echo "no host with systemd here: $*"; exit 77; }
[ "$(id -u)" -eq 0 ] && [ -n "${SCENARIO_NAMESPACE:-}" ] || skip "not root, or no mount namespaces"
for program in systemd-nspawn nsenter /lib/systemd/systemd systemd-analyze; do
    command -v "$program" >/dev/null || skip "$program is not installed"
done
host=$work/host
root=$host/root
name=twofold$$
mkdir -p "$host"
mount -t tmpfs -o mode=755 host "$host" || skip "no tmpfs"
mkdir "$host/up" "$host/work" "$root"
mount -t overlay -o "lowerdir=/,upperdir=$host/up,workdir=$host/work" host "$root" || skip "no overlay file system"

# This machine's programs and libraries, none of its services, and ours installed.
rm -rf "$root"/etc/systemd/system "$root"/etc/twofold "$root"/var/lib/twofold "$root"/var/log/journal "$root"/var/lib/systemd/timers
mkdir -p "$root/etc/systemd/system" "$root/usr/local/lib/systemd/system" "$root/backup" "$root/srv/data" "$root/home/somebody"
: >"$root/etc/machine-id"
for program in twofold twofoldd twofold-agent twofold-ssh; do
    [ ! -e "${TWOFOLD_FAST%/*}/$program" ] || install -m 755 "${TWOFOLD_FAST%/*}/$program" "$root/usr/local/bin/$program"
done
cp "$TWOFOLD_SRC"/systemd/* "$root/usr/local/lib/systemd/system/"
cat >"$root/etc/systemd/system/test.target" <<'END'
[Unit]
Requires=basic.target
After=basic.target
Wants=timers.target twofoldd.service
AllowIsolate=yes
END
ln -s test.target "$root/etc/systemd/system/default.target"
for unit in systemd-networkd systemd-resolved systemd-timesyncd systemd-udevd systemd-logind systemd-firstboot systemd-sysusers; do
    ln -s /dev/null "$root/etc/systemd/system/$unit.service"
done

# The first process of a host takes all of its cgroup: one of its own in each hierarchy.
groups=""
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup/cpu; do
    [ -w "$hierarchy/cgroup.procs" ] && [ ! -L "$hierarchy" ] && mkdir "$hierarchy/$name" 2>/dev/null || continue
    groups="$groups $hierarchy/$name"
done
boot() {
    (
        for group in $groups; do echo "$BASHPID" >"$group/cgroup.procs" 2>/dev/null || :; done
        SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 exec systemd-nspawn -q -D "$root" --boot --keep-unit --register=no -M "$name" \
            --private-network --resolv-conf=off --timezone=off --link-journal=no
    ) >"$work/boot.log" 2>&1 </dev/null &
    nspawn=$!
}
init_of_host() { cat "/proc/$nspawn/task/$nspawn/children" 2>/dev/null | tr -d ' '; }
end_host() {
    local rc=$? init
    trap - EXIT
    init=$(init_of_host)
    [ -z "$init" ] || kill -KILL "$init" 2>/dev/null
    kill -KILL "$nspawn" 2>/dev/null
    wait "$nspawn" 2>/dev/null
    for group in $groups; do until_true 'find "$group" -depth -type d -exec rmdir {} \; ; [ ! -e "$group" ]' 5; done
    exit "$rc"
}
on() { nsenter -t "$init" -m -u -i -n -p -C --wdns=/ -- env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TZ=UTC "$@"; }
until_true() { # CONDITION [SECONDS]
    local end=$((SECONDS + ${2:-30}))
    until eval "$1" 2>/dev/null; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.1
    done
}
wait_for() {
    until_true "$@" && return 0
    fail "in vain waited for: $1"
    on journalctl --no-pager -n 40 2>&1 | tail -n 40
    return 1
}
prop() { on systemctl show -P "$2" "$1"; }
jobs_in() { on twofold --json jobs --all | grep -c "\"kind\": *\"backup\".*\"state\": *\"$1\""; }

boot
trap end_host EXIT
until_true 'init=$(init_of_host) && [ -n "$init" ] && [ -S "/proc/$init/root/run/systemd/private" ]' 15 || { tail -n 3 "$work/boot.log"; skip "it does not boot"; }
until_true 'case $(on systemctl is-system-running) in running | degraded) ;; *) false ;; esac' 20 || skip "it does not come up"
say "booted: $(on systemctl is-system-running)"

# --- a vault, and a policy that runs every few seconds; files that only root's capability reads -----------------------------------------
seq 100 >"$root/home/somebody/private" && chown nobody "$root/home/somebody/private" && chmod 600 "$root/home/somebody/private"
small_tree "$root/srv/data/tree" 92 40
printf 'Correct-Horse-Battery-9\n' | on sh -c 'umask 077; cat >/root/pass; chmod 700 /home/somebody'
expect 0 on twofold --yes init --vault main --copy a=/backup/a --copy b=/backup/b --passphrase-file /root/pass --keep-recovery-key
expect 0 on twofold policy add data --files /srv/data --files /home/somebody
on sed -i '/^schedule:/d' /etc/twofold/policies/data.yaml
on sh -c 'printf "schedule: \"*:*:0/6\"\n" >>/etc/twofold/policies/data.yaml; printf "heartbeat: { every: 1s, file: /run/twofold/heartbeat }\n" >/etc/twofold/twofold.yaml'
expect 3 on twofold status && said 'no timer: nothing starts it' && said 'next: twofold schedule apply'
expect 0 on twofold schedule apply && said 'new: .*twofold-backup@data.timer'
on twofold status >"$work/.out" 2>&1
grep -q 'no timer' "$work/.out" && fail "the timer that is there is not seen"
expect 0 on twofold schedule apply && said 'as the policies say'

# --- it runs by itself ---------------------------------------------------------------------------------------------------------------------
[ "$(prop twofoldd.service ActiveState)" = active ] || { fail "twofoldd is not active"; on systemctl status --no-pager twofoldd.service | tail -n 20; }
wait_for '[ "$(jobs_in done)" -ge 2 ]'
expect 0 on systemctl status --no-pager twofoldd.service && said 'Status: "[0-9]+ running, [0-9]+ queued"'
expect 0 on systemctl list-timers --no-pager && said 'twofold-backup@data.timer' && said 'twofold-scrub@main.timer'
on twofold --json jobs --all >"$work/.out"
python3 - "$work/.out" <<'END' || fail "slots are not the calendar's, or come twice"
import json, sys
jobs = [json.loads(line) for line in open(sys.argv[1]) if line.startswith("{")]
slots = [j["slot"] for j in jobs if j["kind"] == "backup"]
sys.exit(len(slots) != len(set(slots)) or any(int(s[17:19]) % 6 or s[-1] != "Z" for s in slots))
END
wait_for '[ -s "$root/run/twofold/heartbeat" ] || on test -s /run/twofold/heartbeat'
on journalctl --no-pager -o json -u twofoldd | grep -q '"TWOFOLD_TARGET":"data"' || fail "the journal has no fields"
expect 0 on twofold restore data --to /root/out
for path in /srv/data /home/somebody; do same_tree "$root$path" "$root/root/out$path"; done

# --- the watchdog -----------------------------------------------------------------------------------------------------------------------------
on sh -c 'mkdir -p /run/systemd/system/twofoldd.service.d; printf "[Service]\nWatchdogSec=2s\nRestartSec=100ms\n" >/run/systemd/system/twofoldd.service.d/test.conf; systemctl daemon-reload; systemctl restart twofoldd.service'
before=$(prop twofoldd.service MainPID)
sleep 3 # longer than the watchdog's patience: it is fed
[ "$(prop twofoldd.service MainPID)" = "$before" ] || fail "the watchdog bit although twofoldd lives"
on kill -STOP "$before"
wait_for '[ "$(prop twofoldd.service MainPID)" != "$before" ] && [ "$(prop twofoldd.service ActiveState)" = active ]'
[ "$(prop twofoldd.service NRestarts)" -ge 1 ] || fail "not restarted by the watchdog"
n=$(jobs_in "done")
wait_for '[ "$(jobs_in done)" -gt $n ]'

# --- somebody is told: by twofoldd, from outside of its sandbox ---------------------------------------------------------------------------------
on sh -c 'cat >/usr/local/bin/say-it; chmod 755 /usr/local/bin/say-it' <<'END'
#!/bin/sh
{ cat; echo; grep NoNewPrivs /proc/self/status; } >>/var/lib/twofold/told
END
on sh -c 'printf "notify: { command: [/usr/local/bin/say-it] }\n" >>/etc/twofold/twofold.yaml
    printf "roles: { operator: { a: { name: Somebody, phone: \"112\" } } }\n" >/etc/twofold/contacts.yaml'
expect 0 on twofold policy add late --files /srv/data
on sed -i '/^schedule:/d; /^rpo:/d' /etc/twofold/policies/late.yaml
on sh -c 'echo "rpo: 1s" >>/etc/twofold/policies/late.yaml'
wait_for 'grep -q "policy late" "$root/var/lib/twofold/told"' 150 # it judges once a minute, and at first only notes the policy
grep -q 'NoNewPrivs:.0' "$root/var/lib/twofold/told" || fail "the site's command runs in the sandbox of twofoldd"
expect 0 on twofold alarms ack all --who Somebody

# --- without twofoldd ------------------------------------------------------------------------------------------------------------------------
on systemctl stop twofoldd.service
[ "$(prop twofoldd.service Result)" = success ] || fail "it did not stop well: $(prop twofoldd.service Result)"
n=$(jobs_in "done")
wait_for '[ "$(jobs_in done)" -gt $n ]'
[ "$(prop twofold-backup@data.service Result)" = success ] || fail "the timer's service: $(prop twofold-backup@data.service Result)"

# --- killed while something is frozen: systemd ends all that is left of the unit, and then what stands still is thawed ------------------------------
hook() { # NAME LINE…
    on sh -c "cat >/usr/local/bin/$1; chmod 755 /usr/local/bin/$1" < <(printf '#!/bin/sh\necho "%s begins" >>/var/lib/twofold/hooked\n' "$1"; shift; printf '%s\n' "$@")
}
hook freeze 'exec sleep 300'
hook thaw 'sleep 0.5' 'echo "thaw ends" >>/var/lib/twofold/hooked'
for policy in held frozen; do # each once: a job whose process was killed has its lease for a while
    expect 0 on twofold policy add $policy --files /srv/data --schedule none
    on sh -c "printf 'hooks: { before: [/usr/local/bin/freeze], after: [/usr/local/bin/thaw] }\\n' >>/etc/twofold/policies/$policy.yaml"
done
expect 0 on twofold policy lint
hooked=$root/var/lib/twofold/hooked
on sh -c 'printf "[Service]\nRestart=no\n" >/run/systemd/system/twofoldd.service.d/once.conf; systemctl daemon-reload; systemctl stop twofold-backup@data.timer'
for unit in twofold-backup@held.service twofoldd.service; do
    rm -f "$hooked"
    if [ "$unit" = twofoldd.service ]; then
        on systemctl start twofoldd.service
        expect 0 on twofold enqueue backup frozen
    else
        on systemctl start --no-block "$unit"
    fi
    wait_for 'grep -q "freeze begins" "$hooked"'
    on kill -KILL "$(prop "$unit" MainPID)"
    wait_for 'grep -q "thaw ends" "$hooked" && ! ls "$root"/var/lib/twofold/agent/*.hooks'
    on twofold cancel frozen >/dev/null 2>&1
    on systemctl stop twofoldd.service "$unit"
done
on rm /etc/twofold/policies/held.yaml /etc/twofold/policies/frozen.yaml
on sh -c 'rm /run/systemd/system/twofoldd.service.d/once.conf; systemctl daemon-reload; systemctl reset-failed; systemctl start twofold-backup@data.timer'

# It is dead for long: another timer's service notices, and says so.
on rm -f /var/lib/twofold/told
on python3 -c 'import sqlite3
c = sqlite3.connect("/var/lib/twofold/catalog.db", timeout=20)
c.execute("UPDATE facts SET value = value - 4000 WHERE key = ?", ("heartbeat",))
c.commit()' || fail "the heartbeat cannot be made old"
expect 0 on systemctl start twofold-check.service
grep -q 'twofoldd' "$root/var/lib/twofold/told" || { fail "nobody was told that twofoldd is dead"; on journalctl --no-pager -u twofold-check -n 20; }

# --- a database's log: followed by a service of its own, in its sandbox, without twofoldd -------------------------------------------------------
if on sh -c 'ls /usr/lib/postgresql/*/bin/postgres && id postgres' >/dev/null 2>&1; then
    on sh -c 'install -d -o postgres -g postgres /run/postgresql /srv/pg
        cat >/etc/systemd/system/database.service; systemctl daemon-reload; systemctl start database.service' <<'END'
[Service]
Type=notify
User=postgres
Environment=PGDATA=/srv/pg/data
ExecStartPre=sh -c 'exec $(ls /usr/lib/postgresql/*/bin/initdb | tail -n 1) -A peer -U postgres'
ExecStart=sh -c 'exec $(ls /usr/lib/postgresql/*/bin/postgres | tail -n 1) -k /run/postgresql -c listen_addresses='
END
    expect 0 on twofold policy add db --postgresql "host=/run/postgresql user=postgres" --logs 1s --schedule none
    expect 3 on twofold status db && said 'log: +NOT FOLLOWED yet' && said 'next: twofold schedule apply'
    expect 0 on twofold schedule apply && said 'new: .*twofold-logs@db.service'
    on systemctl stop twofoldd.service
    wait_for 'on twofold logs >/dev/null' 30 || on systemctl status --no-pager twofold-logs@db.service
    expect 0 on twofold schedule list && said 'logs +db +all the time' && not_said 'NOT ENABLED.*db'
    before=$(prop twofold-logs@db.service MainPID)
    on kill -KILL "$before"
    wait_for '[ "$(prop twofold-logs@db.service MainPID)" != "$before" ] && [ "$(prop twofold-logs@db.service ActiveState)" = active ]'
    expect 0 on twofold backup db
    wait_for 'on twofold logs >/dev/null' 30
    # A drill by its unit: files get their owners, the database starts as its user, in a mount namespace of its own.
    for policy in db data; do
        on sh -c "echo 'drill: { to: /srv/drill }' >>/etc/twofold/policies/$policy.yaml"
        expect 0 on systemctl start twofold-drill@$policy.service || on journalctl --no-pager -u twofold-drill@$policy -n 20
        on twofold status $policy >"$work/.out" 2>&1
        said 'last drill: .* restored in'
        grep -h '"step":"restore"' "$root"/var/lib/twofold/incidents/drill-$policy-*/timeline | grep -q '"end":"whole"' || fail "the drill of $policy was not whole: $(on journalctl --no-pager -u twofold-drill@$policy -n 20)"
        [ ! -e "$root/srv/drill" ] || fail "the drill of $policy left something"
    done
    on journalctl --no-pager -u twofold-drill@db | grep 'no mount namespace' && fail "the server of a drill is not kept apart"
    expect 0 on twofold schedule apply && said 'new: .*twofold-drill@db.timer'
    on sed -i '/logs:/d' /etc/twofold/policies/db.yaml
    expect 0 on twofold schedule apply && said 'gone: .*twofold-logs@db.service'
    [ "$(prop twofold-logs@db.service ActiveState)" = inactive ] || fail "the log is followed although nobody asks any more: $(prop twofold-logs@db.service ActiveState)"
    on systemctl stop database.service
    on rm /etc/twofold/policies/db.yaml
else
    skip_part "a log under systemd: PostgreSQL is not here"
fi

# --- a policy that is gone ------------------------------------------------------------------------------------------------------------------------
on rm /etc/twofold/policies/data.yaml
expect 0 on twofold schedule apply && said 'gone: .*twofold-backup@data.timer'
[ "$(prop twofold-backup@data.timer ActiveState)" = inactive ] || fail "its timer still runs"
finish
