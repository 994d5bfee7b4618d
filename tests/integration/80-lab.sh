#!/bin/bash
# The hosts of lab.sh are what the scenarios with several hosts take them for: separate, reachable, to be cut and killed.
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/lab.sh"
lab_begin
began=${EPOCHREALTIME/./}
lab_host orch
lab_host db1
say "two hosts in $(((${EPOCHREALTIME/./} - began) / 1000)) ms"

lab_on db1 sh -c 'mkdir -p /etc/twofold /srv; echo here >/etc/twofold/x; echo data >/srv/y; [ "$(cat /proc/sys/kernel/hostname)" = db1 ]' || fail "db1 is no host"
[ ! -e /etc/twofold/x ] && [ ! -e /srv/y ] || fail "what a host writes is seen outside"
lab_on orch test ! -e /etc/twofold/x || fail "what a host writes is seen on another"
[ "$(lab_on db1 sh -c 'ls -d /proc/[0-9]* | wc -l')" -lt 15 ] || fail "a host sees the processes of others"

lab_trust orch db1
lab_trust orch db1 twofold
[ "$(lab_on orch ssh -o BatchMode=yes db1 hostname)" = db1 ] || fail "no login as root"
[ "$(lab_on orch ssh -o BatchMode=yes twofold@db1 id -un)" = twofold ] || fail "no login as twofold"

lab_cut db1
expect 255 lab_on orch ssh -o BatchMode=yes -o ConnectTimeout=1 db1 true
lab_join db1
lab_until 'lab_on orch ssh -o BatchMode=yes -o ConnectTimeout=1 db1 true 2>/dev/null' || fail "not back after the cut"

lab_slow db1 8mbit
began=${EPOCHREALTIME/./}
lab_on orch ssh -o BatchMode=yes db1 head -c 1000000 /dev/zero | cksum >/dev/null
[ $((${EPOCHREALTIME/./} - began)) -gt 700000 ] || fail "a megabyte at 8 Mbit/s in less than 0.7 s"
lab_fast db1

lab_kill db1
lab_boot db1
[ "$(lab_on orch ssh -o BatchMode=yes db1 cat /srv/y)" = data ] || fail "not back after power off and on"
lab_new_host_key db1
expect 255 lab_on orch ssh -o BatchMode=yes db1 true
said 'IDENTIFICATION HAS CHANGED'
finish
