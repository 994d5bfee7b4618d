#!/bin/bash
# 91-units.sh - the unit files and the timers that `schedule apply` makes, judged by systemd's own tools; calendar expressions with a
# mistake; what changed, what is gone, what a person added.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

command -v systemd-analyze >/dev/null || { echo "systemd-analyze is not here"; exit 77; }
root=$work/root
units=$root/etc/systemd/system
mkdir -p "$root/lib/systemd/system"
cp "$TWOFOLD_SRC"/systemd/* "$root/lib/systemd/system/"
apply() { expect 0 "$t" schedule apply --root "$root" "$@"; }

# --- the files as they are shipped: exposure below 2.5 -----------------------------------------------------------------------------
# (twofold-check and twofold-tell run a site's own command and wall(1), twofold-drill@ starts databases as their users, and say so.)
for unit in twofoldd twofold-backup@ twofold-scrub@ twofold-prune@ twofold-page twofold-logs@; do
    expect 0 systemd-analyze security --no-pager --offline=true --threshold=24 "$TWOFOLD_SRC/systemd/$unit.service"
done
# Verified where all that they name exists: this machine's root, with the programs beside.
[ -z "${SCENARIO_NAMESPACE:-}" ] || {
    mkdir -p "$work/bin" "$work/verify"
    cp "$TWOFOLD_SRC"/systemd/* "$work/verify/"
    sed -i "s|^ExecStart=twofoldd|ExecStart=${t%/*}/twofoldd|; s|^ExecStart=twofold |ExecStart=$t |; s|^ExecStopPost=twofold-agent|ExecStopPost=${t%/*}/twofold-agent|; /^Documentation=/d" "$work"/verify/*.service "$work"/verify/*.timer
    for unit in twofoldd.service twofold-backup@x.service twofold-backup@x.timer twofold-scrub@x.timer twofold-prune@x.timer twofold-page.timer twofold-check.timer twofold-logs@x.service twofold-drill@x.service twofold-drill@x.timer; do
        expect 0 systemd-analyze verify --man=no "$work/verify/$unit" && not_said "^(twofold|$work)"
    done
}

# --- from policies to timers ----------------------------------------------------------------------------------------------------------
new_vault "$work/v"
mkdir "$work/src"
for name in etc home-2 by.hand; do policy_add $name --files "$work/src"; done
schedule() { sed -i '/^schedule:/d' "$TWOFOLD_CONFIG/policies/$1.yaml"; [ -z "${2:-}" ] || printf 'schedule: "%s"\n' "$2" >>"$TWOFOLD_CONFIG/policies/$1.yaml"; }
schedule by.hand
schedule etc '*-*-* 02:00:00'
schedule home-2 'Mon..Fri 20:30'
apply --dry-run && said 'new: .*twofold-backup@etc'
[ ! -e "$root/etc" ] || fail "--dry-run wrote something"
apply && said 'new: .*twofold-backup@home-2\.timer' && not_said 'by.hand'
grep -qx 'OnCalendar=Mon..Fri 20:30' "$units/twofold-backup@home-2.timer.d/schedule.conf" || fail "the schedule is not there"
[ "$(readlink "$units/timers.target.wants/twofold-scrub@main.timer")" = /lib/systemd/system/twofold-scrub@.timer ] || fail "no timer for scrub"
[ -L "$units/timers.target.wants/twofold-prune@main.timer" ] || fail "no timer for prune"
[ -L "$units/timers.target.wants/twofold-check.timer" ] || fail "nothing notices when twofoldd is dead"
[ ! -e "$units/timers.target.wants/twofold-page.timer" ] || fail "a page that nobody asked for"
grep -qxF "ReadWritePaths=-\"$a\"" "$units/twofoldd.service.d/copies.conf" || fail "twofoldd may not write to the copies"
before=$(fingerprint "$root/etc")
apply && said 'as the policies say'
[ "$before" = "$(fingerprint "$root/etc")" ] || fail "the second time changed something"

# systemd reads what was made: the drop-in takes the default's place.
schedule_seen() { systemd-analyze --root="$root" cat-config "systemd/system/twofold-backup@$1.timer" 2>/dev/null | sed -n 's/^OnCalendar=//p' | tail -n 1; }
[ "$(schedule_seen etc)" = '*-*-* 02:00:00' ] || [ -z "$(schedule_seen etc)" ] || fail "systemd sees: $(schedule_seen etc)"
expect 0 "$t" --json schedule list
[ "$(grep -c '"kind": *"backup"' "$work/.out")" = 2 ] || fail "the list has not two backups"
next=$(python3 -c '
import json, sys
for line in open(sys.argv[1]):
    o = json.loads(line)
    if o.get("target") == "etc": print(o["next"])' "$work/.out")
expected=$(TZ=UTC date -d "$(systemd-analyze calendar '*-*-* 02:00:00' | sed -n 's/.*Next elapse: [A-Z][a-z]* //p')" +%s)
[ "$next" = "$expected" ] || fail "next is $next, and systemd says $expected"
TZ=Asia/Shanghai expect 0 "$t" schedule list && said 'backup +etc +next 20..-..-..T02:00:00\+08:00'

# --- changed, gone, mistaken, somebody else's --------------------------------------------------------------------------------------------
printf 'page: %s/page/status.html\n' "$work" >"$TWOFOLD_CONFIG/twofold.yaml"
schedule etc '*-*-* 03:15:00'
schedule home-2
printf '[Timer]\nRandomizedDelaySec=5m\n' >"$units/twofold-backup@home-2.timer.d/own.conf"
apply && said 'changed: .*backup@etc' && said 'gone: .*backup@home-2' && said 'new: .*twofold-page.timer'
[ ! -e "$units/timers.target.wants/twofold-backup@home-2.timer" ] || fail "the timer of a policy without a schedule is still enabled"
[ -e "$units/twofold-backup@home-2.timer.d/own.conf" ] || fail "a person's file went"
grep -qxF "ReadWritePaths=-\"$work/page\"" "$units/twofoldd.service.d/copies.conf" || fail "the page cannot be written"
rm "$TWOFOLD_CONFIG/policies/etc.yaml" && apply && said 'gone: .*backup@etc'
[ ! -e "$units/twofold-backup@etc.timer.d" ] || fail "an empty folder stays"

before=$(fingerprint "$root/etc")
schedule home-2 '*-*-* 25:00:00'
line=$(grep -n '^schedule:' "$TWOFOLD_CONFIG/policies/home-2.yaml" | cut -d: -f1)
expect 2 "$t" schedule apply --root "$root" && said "policies/home-2.yaml, line $line" && said '25:00:00'
schedule home-2 '*-*-* 02:00:00'
printf 'nonsense: 1\n' >>"$TWOFOLD_CONFIG/policies/by.hand.yaml"
expect 2 "$t" schedule apply --root "$root" && said 'by.hand'
[ "$before" = "$(fingerprint "$root/etc")" ] || fail "a mistake in one policy took away timers of others"
sed -i '/^nonsense/d' "$TWOFOLD_CONFIG/policies/by.hand.yaml"
mkdir -p "$units/twofold-backup@home-2.timer.d" && echo '[Timer]' >"$units/twofold-backup@home-2.timer.d/schedule.conf"
expect 1 "$t" schedule apply --root "$root" && said 'somebody else'
rm -r "${root:?}/lib"
expect 1 "$t" schedule apply --root "$root" && said 'not installed'
expect 2 "$t" schedule
expect 2 "$t" schedule apply more

# --- drills: a timer for policies that ask for them -------------------------------------------------------------------------------------------
mkdir -p "$root/lib/systemd/system" && cp "$TWOFOLD_SRC"/systemd/* "$root/lib/systemd/system/"
rm "$units/twofold-backup@home-2.timer.d/schedule.conf"
apply && not_said 'drill@'
printf 'drill:\n  every: 90d\n  schedule: "Sun *-*-* 03:00"\n' >>"$TWOFOLD_CONFIG/policies/home-2.yaml"
apply && said 'new: .*twofold-drill@home-2\.timer' && said 'drill +home-2 +next'
grep -qx 'OnCalendar=Sun \*-\*-\* 03:00' "$units/twofold-drill@home-2.timer.d/schedule.conf" || fail "the drill's schedule is not there"
[ -L "$units/timers.target.wants/twofold-drill@home-2.timer" ] || fail "no timer for the drill"
sed -i 's/03:00/33:00/' "$TWOFOLD_CONFIG/policies/home-2.yaml"
expect 2 "$t" schedule apply --root "$root" && said 'policies/home-2.yaml' && said '33:00'
sed -i '/^drill:/,$d' "$TWOFOLD_CONFIG/policies/home-2.yaml"
apply && said 'gone: .*twofold-drill@home-2'
[ ! -e "$units/twofold-drill@home-2.timer.d" ] || fail "an empty folder of a drill's timer stays"
expect 2 "$t" enqueue drill home-2 && said 'a drill is not queued' && said 'twofold drill home-2'
rm -r "${root:?}/lib"

# --- a database whose log is kept: a service of its own -----------------------------------------------------------------------------------
mkdir -p "$root/lib/systemd/system" && cp "$TWOFOLD_SRC"/systemd/* "$root/lib/systemd/system/"
printf 'postgresql:\n  conninfo: "host=%s user=nobody"\n  logs: 5s\n' "$work" >"$TWOFOLD_CONFIG/policies/db.yaml"
apply && said 'new: .*multi-user.target.wants/twofold-logs@db\.service' && said 'logs +db +all the time'
[ "$(readlink "$units/multi-user.target.wants/twofold-logs@db.service")" = /lib/systemd/system/twofold-logs@.service ] || fail "no service follows the log"
grep -qxF "ReadWritePaths=-\"$a\"" "$units/twofold-logs@.service.d/copies.conf" || fail "the one who follows may not write to the copies"
apply && said 'as the policies say'
expect 0 "$t" schedule list && said 'logs +db +all the time.*NOT ENABLED'
ln -s nowhere "$units/multi-user.target.wants/other.service"
sed -i '/logs:/d' "$TWOFOLD_CONFIG/policies/db.yaml"
apply && said 'gone: .*twofold-logs@db\.service'
[ ! -L "$units/multi-user.target.wants/twofold-logs@db.service" ] || fail "the log of a policy that does not ask is followed"
[ -L "$units/multi-user.target.wants/other.service" ] && [ -L "$units/multi-user.target.wants/twofoldd.service" ] || fail "another service went"
rm "$TWOFOLD_CONFIG/policies/db.yaml"

# --- the slot of a timer is its calendar time, however late it fires ---------------------------------------------------------------------------
slot() { expect 0 "$t" --json enqueue backup home-2 --slot auto && json slot queued; }
TZ=Asia/Shanghai
for spec in '*-*-* 02:00:00' 'Mon *-*-* 00:00:00' '*-*-01 12:34:56' '*-01-01 00:00:00' 'hourly'; do
    schedule home-2 "$spec"
    got=$(TZ=Asia/Shanghai slot)
    next=$(TZ=Asia/Shanghai systemd-analyze calendar --base-time="@$(date -d "$got" +%s)" --iterations=2 "$spec" | sed -n 's/.*Next elapse: [A-Z][a-z]* //p')
    [ "$(date -d "$got" +%s)" -le "$(date +%s)" ] || fail "$spec: the slot $got lies ahead"
    [ "$(TZ=Asia/Shanghai date -d "${next% *}" +%s)" -gt "$(($(date +%s) - 60))" ] || fail "$spec: $next lies between the slot $got and now"
done
TZ=UTC
finish
