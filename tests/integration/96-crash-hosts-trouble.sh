#!/bin/bash
# 96-crash-hosts-trouble.sh - what comes between a crash and its end, on real hosts: the link to the database's host is down in the middle of the restore; the
# storage host is; the operator's program is killed, and another person goes on; the orchestrator is rebooted. Nothing is repeated, nothing is
# skipped, and the ledger has every commit that was acknowledged. TWOFOLD_SWEEP=full kills behind every line of the timeline, too.
# long
# timeout: 400
# shellcheck disable=SC2154,SC2034
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/maria.sh"
. "$TWOFOLD_SRC/tests/integration/lab.sh"
. "$TWOFOLD_SRC/tests/integration/crash_hosts.sh"
hosts_begin
hosts_pg pg
db_sql "CREATE TABLE filler AS SELECT i, md5(i::text) || md5((-i)::text) || md5((i + 7)::text) AS text FROM generate_series(1, 60000) i"
daemon() { # the scheduler, as at boot: it looks at duties, too
    orch twofoldd 2>>"$work/daemon.log" </dev/null &
    lab_until 'grep -q "twofoldd: ready" "$work/daemon.log"' 20 || fail "twofoldd does not start: $(tail -n 3 "$work/daemon.log")"
}
daemon
expect 0 on backup pg
keep pg
write_to pg

# The server dies and loses its tables; its log survives on the host.
lose() {
    more_acked pg 20
    end_writes pg
    crashed=$(date +%s)
    lab_on pg sh -c 'pkill -QUIT -x postgres; while pgrep -x postgres; do sleep 0.05; done; rm -r /srv/pg/data/base' >/dev/null
}
# crash COMMAND…: in the background, over a slow link, until data flow in the restore.
crash() {
    lab_slow pg 6mbit
    orch "$@" >"$work/.out" 2>"$work/.err" </dev/null &
    crashing=$!
    local sent
    lab_until 'in_restore' 60 || fail "there is no restore: $(cat "$work/.err")"
    sent=$(lab_sent orch)
    lab_until '[ "$(lab_sent orch)" -gt $((sent + 700000)) ]' 30 || fail "nothing is sent"
}
in_restore() { tail -n 1 "$(timeline pg)" 2>/dev/null | grep -q '"step":"restore".*"state":"intent"'; }
ends() { # STATUS
    local rc=0
    wait "$crashing" || rc=$?
    case ,$1, in *,$rc,*) ;; *) fail "exit status $rc instead of $1"; show_output ;; esac
}
# all_back EXPRESSION…: what was acknowledged is there, everything was done once but what was cut off, and the papers say what happened.
all_back() {
    ends_at pg "$(acked pg)" $(($(acked pg) + 1))
    tells pg "opened['crashed'] == $crashed" "recovered" "restores[-1]['end'] == 'whole' and tried[-1]['state'] == 'done'" "loss['gap_s'] == max(0, $crashed - loss['recovered_to'])" \
        "all(len([1 for e in E if e['kind'] == 'step' and e['step'] == s and e['state'] == 'intent']) == 1 for s in ('notify', 'stop', 'scene', 'facts', 'start', 'check', 'resume'))" \
        "len({r['snapshot'] for r in restores}) == 1" "[n['to'] for n in notices('hold-uploads')] == [n['to'] for n in notices('resume-uploads')] == ['County']" "$@"
    papers pg incident summary handling
    expect 0 on crash close pg
    goes_on pg
}

# --- h: the link to the database's host is cut in the middle of the restore, longer than anybody waits for an answer -------------------------------
say "$SECONDS s: the link is cut in the middle of the restore"
lose
crash twofold --yes crash pg --crashed-at "@$crashed"
lab_cut pg
lab_until '! in_restore || ! kill -0 $crashing 2>/dev/null' 30 || fail "a link that is cut is not noticed"
lab_join pg
lab_fast pg
ends 0,3
[ "$(told pg 'recovered is None')" = False ] || expect 0 on --yes crash resume pg --answer reachable=yes
all_back "'restore-cut' in story or 'restore-failed' in story" "any(r['end'] in ('away', 'broken', 'stopped') for r in restores)"

# --- i: the operator's program is killed in the middle of the restore; another person goes on, and says who agreed -------------------------------------
say "$SECONDS s: the program is killed, another person goes on"
keep pg
more_acked pg 5
lose
crash twofold --yes crash pg --crashed-at "@$crashed"
lab_on orch pkill -KILL -f '^twofold --yes crash pg' || fail "there was nothing to kill"
wait "$crashing" 2>/dev/null
lab_fast pg
li() { # COMMAND…: by a person who logged in as li
    orch sh -c 'echo 4001 >/proc/self/loginuid; SUDO_USER=li exec "$@"' sh twofold "$@" 2>&1
}
expect 2 li --yes crash resume pg && said 'approved-by'
expect 0 li --yes crash resume pg --approved-by "Zhao Li"
all_back "story == '${whole/ restore/ handover restore}'" "handover['from'] == 'root' and handover['to'] == 'li (as root)' and handover['approver'] == 'Zhao Li'" \
    "{e['by'] for e in E if e['kind'] == 'step' and e['seq'] < handover['seq']} == {'root'}" \
    "{e['by'] for e in E if e['kind'] in ('step', 'loss', 'recovered') and e['seq'] > handover['seq']} == {'li (as root)'}"
paper_says pg handling participants "li (as root)"
paper_says pg summary measures "Zhao Li"

# --- j: the orchestrator loses its power in the middle of the restore, and is booted again ---------------------------------------------------------------
say "$SECONDS s: the orchestrator is rebooted"
lose
crash twofold --yes crash pg --crashed-at "@$crashed"
lab_kill orch
wait "$crashing" 2>/dev/null
lab_boot orch
lab_fast pg
: >"$work/daemon.log"
daemon
expect 3 on crash status && said 'Next: a backup is chosen and restored'
expect 0 on --yes crash resume pg
all_back "story == '$whole'" "len([e for e in E if e['kind'] == 'step' and e['step'] == 'restore' and e['state'] == 'intent']) == 2"
expect 0 on enqueue backup pg --wait # the scheduler goes on, too
keep pg

# --- the storage host of the first copy is cut off in the middle of the restore: the rest comes from the second ---------------------------------------------
say "$SECONDS s: the link to the first copy is cut in the middle of the restore"
lose
lab_quota store1 400000
expect 0 on --yes crash pg --crashed-at "@$crashed"
lab_no_quota store1
all_back "story == '$whole'" "copies['building-2']['chunks'] > 0" "restores[0]['chunks_lost'] == 0"

# --- killed behind every kind of line, and in the middle of every step ----------------------------------------------------------------------------------
newest_line() { tail -n 1 "$(timeline pg)" | sed -E 's/.*"(step|gate|kind)":"([a-z-]*)".*"(state|answer)":"([a-z-]*)".*/\2 \4/'; }
killed_everywhere() {
    local line pid kills=0 tries rc=1 command=(crash pg --crashed-at "@$crashed") open
    declare -A seen
    open=$(timeline pg)
    for ((tries = 0; tries < 60 && rc != 0; tries++)); do
        orch twofold --yes "${command[@]}" >"$work/.out" 2>"$work/.err" </dev/null &
        pid=$!
        while kill -0 "$pid" 2>/dev/null; do
            line=$(newest_line)
            if [ "$(timeline pg)" != "$open" ] && [ -z "${seen[$line]:-}" ]; then
                seen[$line]=1
                [ $((kills % 2)) -eq 0 ] || sleep 0.4
                ! lab_on orch pkill -KILL -f '^twofold --yes crash' || { kills=$((kills + 1)) && break; }
            fi
        done
        wait "$pid" 2>/dev/null
        rc=$?
        [ "$(timeline pg)" = "$open" ] || command=(crash resume pg)
        # What is tried once more by itself is asked about afterwards.
        # shellcheck disable=SC2207 # two words
        [ "$rc" != 3 ] || command=(crash resume pg $(grep -oE -- '--answer [a-z-]+=(again|yes)' "$work/.out" | head -n 1))
    done
    [ "$rc" -eq 0 ] || { fail "no end of it: $rc"; show_output; }
    say "killed $kills times, at: $(printf '%.30s; ' "${!seen[@]}")"
    [ "$kills" -ge 8 ] || fail "killed $kills times only"
}
if [ -n "$sweep_full" ]; then
    say "$SECONDS s: killed everywhere"
    lose
    killed_everywhere
    ends_at pg "$(acked pg)" $(($(acked pg) + 1))
    tells pg "recovered" "tried[-1]['state'] == 'done'" "all(any(e['state'] == 'done' for e in step(s)) for s in ('notify', 'stop', 'scene', 'facts', 'start', 'check', 'resume'))" \
        "len(notices('hold-uploads')) == 1 and len(notices('resume-uploads')) == 1"
    papers pg incident summary handling
fi
finish
