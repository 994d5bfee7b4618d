#!/bin/bash
# The link to another host dies at several points of a backup, is slow, its agent is killed or hangs: the backup goes on and sends
# little twice, or fails with a clear error within its time.
# long
# timeout: 300
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/lab.sh"
export TWOFOLD_LINK_DEADLINE_S=4
lab_begin
lab_host orch
lab_host db1
lab_trust orch db1
lab_install db1
on() { lab_on orch "$t" "$@"; }
size=$((12 << 20))
lab_on db1 sh -c "mkdir -p /srv/data; head -c $size /dev/urandom >/srv/data/random; cp -r /etc/ssl /srv/data/"
transports=openssh
[ ! -x "${t%/*}/twofold-ssh" ] || transports="openssh libssh2"

fresh() { # a vault that has nothing, and an enrolled host
    clean "$work/v"
    new_vault "$work/v"
    expect 0 on --yes agent enrol db1 --transport "$transport"
    policy_add data --files /srv/data --agent db1
}

start_backup() {
    : >"$work/run.err"
    on backup data >"$work/run.out" 2>"$work/run.err" &
    run=$!
}
ended() { # STATUS: of the backup in the background
    local rc=0
    wait "$run" || rc=$?
    cp "$work/run.out" "$work/.out"
    cp "$work/run.err" "$work/.err"
    [ "$rc" = "$1" ] || { fail "exit status $rc instead of $1"; show_output; }
}
arrived() { # BYTES: at least so much came from the host
    [ $(($(lab_sent db1) - sent)) -gt "$1" ]
}

for transport in $transports; do
    say "over $transport"
    lab_on db1 rm -f /srv/data/more
    fresh
    # --- cut after the greeting, in the middle, before the end ------------------------------------------
    points="6000 $((size / 2)) $((size - 300000))"
    [ "$transport" = openssh ] || points=$((size / 2))
    for at in $points; do
        clean "$work/v/a" "$work/v/b" "$work/v/s"
        fresh
        sent=$(lab_sent db1)
        lab_quota db1 "$at"
        start_backup
        lab_until 'grep -q "trying again in\|going on with" "$work/run.err"' 30 || fail "no second try (cut after $at bytes)"
        lab_no_quota db1
        ended 0
        twice=$(($(lab_sent db1) - sent - size))
        say "cut after $at bytes: $twice bytes more than the data"
        [ "$twice" -lt $((3 << 20)) ] || fail "$twice bytes were sent twice"
    done
    expect 0 on restore data --to "$work/back"
    lab_on db1 cmp /srv/data/random "$work/back/srv/data/random" || fail "not the same"
    clean "$work/back"

    # --- slow ------------------------------------------------------------------------------------------------
    lab_slow db1 20mbit
    lab_on db1 sh -c 'head -c 3000000 /dev/urandom >/srv/data/more'
    expect 0 on backup data
    lab_fast db1

    # --- the agent is killed -----------------------------------------------------------------------------------
    # More than what lies between the two: what has left the agent arrives, whatever becomes of it.
    lab_on db1 sh -c 'head -c 24000000 /dev/urandom >/srv/data/more'
    lab_slow db1 40mbit
    sent=$(lab_sent db1)
    start_backup
    lab_until 'arrived 3000000'
    lab_kill_program db1 twofold-agent || fail "no agent was at work"
    ended 0
    said 'agent on db1 .*(ended before it was done|was ended by signal)'

    # --- it hangs ------------------------------------------------------------------------------------------------
    lab_on db1 sh -c 'head -c 24000000 /dev/urandom >/srv/data/more'
    sent=$(lab_sent db1)
    start_backup
    lab_until 'arrived 3000000'
    lab_kill_program db1 twofold-agent STOP
    ended 1
    said 'nothing was heard from the other side for 4000 ms'
    said 'hangs on db1'
    lab_kill_program db1 twofold-agent KILL
    lab_fast db1
    expect 0 on backup data

    # --- the host is away ------------------------------------------------------------------------------------------
    lab_cut db1
    expect 1 env TWOFOLD_LINK_DEADLINE_S=1 nsenter -t "${lab_pid[orch]}" -m -n -p -u -i --wdns=/ -- "$t" backup data
    said 'trying again in'
    said 'db1 cannot be reached|connection to db1|nobody answers'
    lab_join db1
    lab_until 'on agent check db1 >/dev/null 2>&1'
done
finish
