#!/bin/bash
# 90-scheduler.sh - twofoldd with real processes: what is queued runs, once, within limits and windows; what fails is tried again; kills,
# a locked catalog and a stopped daemon neither lose a job nor run it twice.
# shellcheck disable=SC2154,SC2034 # from lib.sh; SC2016: for lab-like conditions
# shellcheck disable=SC2016
. "$TWOFOLD_SRC/tests/integration/lib.sh"

daemon_program=${t%/*}/twofoldd
src=$work/src
gate=$work/gate  # while it is there jobs wait at it
trace=$work/trace # a line for each job that was started: its process
log=$work/log
heartbeat=$work/heartbeat
daemon=""
trap 'rm -f "$gate"; [ -z "$daemon" ] || kill -KILL "$daemon" 2>/dev/null' EXIT

# Jobs run with the optimised program, behind a gate.
cat >"$work/program" <<END
#!/bin/sh
echo \$\$ >>"$trace"
trap 'echo paused >>"$trace.signals"' USR1
trap 'echo resumed >>"$trace.signals"' USR2
while [ -e "$gate" ]; do sleep 0.05; done
exec "$TWOFOLD_FAST" "\$@"
END
chmod 755 "$work/program"
export TWOFOLD_PROGRAM=$work/program

until_true() { # CONDITION [SECONDS]
    local end=$((SECONDS + ${2:-20}))
    until eval "$1"; do
        [ "$SECONDS" -lt "$end" ] || { fail "in vain waited for: $1"; tail -n 15 "$log"; "$t" jobs --all; return 1; }
        sleep 0.05
    done
}
begin_daemon() { # [LEASE]; its log begins anew
    : >"$log"
    "$daemon_program" --lease "${1:-4}" --grace 10 2>"$log" &
    daemon=$!
    until_true 'grep -q "twofoldd: ready" "$log"'
}
end_daemon() { # [SIGNAL]
    local rc=0
    kill "-${1:-TERM}" "$daemon"
    { wait "$daemon" || rc=$?; } 2>/dev/null
    daemon=""
    case ${1:-TERM}-$rc in TERM-0 | KILL-137) ;; *) fail "twofoldd ended with $rc after ${1:-TERM}"; cat "$log" ;; esac
}
catalog() { sqlite3 -cmd '.timeout 20000' "$TWOFOLD_STATE/catalog.db" "$1"; }
newest() { catalog "SELECT max(id) FROM jobs WHERE target = '$1' AND kind = '${2:-backup}'"; }
of_job() { catalog "SELECT $2 FROM jobs WHERE id = $1"; } # ID COLUMN
in_state() { [ "$(of_job "$1" state)" = "$2" ]; }
queued=0 running=1 done=2 degraded=3 failed=4 cancelled=5
at_once() { catalog "UPDATE jobs SET not_before_s = 0 WHERE id = $1"; } # no test waits for a minute to pass
started() { wc -l 2>/dev/null <"$trace" || echo 0; }
snapshots() { "$t" --json snapshots "$1" 2>/dev/null | grep -c '"type": *"snapshot"'; }
enqueue() { expect 0 "$t" enqueue backup "$@"; }

new_vault "$work/v"
for i in 1 2 3 4; do
    mkdir -p "$src/$i" && seq $((i * 1000)) >"$src/$i/numbers"
    policy_add "p$i" --files "$src/$i"
done
settings() { printf 'jobs: %s\nheartbeat: { every: 1s, file: %s }\n' "$1" "$heartbeat" >"$TWOFOLD_CONFIG/twofold.yaml"; }
settings 2
: >"$trace"

# --- what is queued runs, and twice is once ----------------------------------------------------------------------------------
begin_daemon
expect 5 "$daemon_program" && said 'another twofoldd'
enqueue p1 --slot one --wait
[ "$(snapshots p1)" = 1 ] || fail "the backup is not there"
for _ in 1 2 3 4 5; do "$t" enqueue backup p1 --slot two >/dev/null 2>&1 & pids="${pids:-} $!"; done
# shellcheck disable=SC2086 # several
wait $pids
enqueue p1 --slot two --wait
enqueue p1 --slot two && said 'already'
[ "$(snapshots p1)" = 2 ] || fail "one slot gave $(($(snapshots p1) - 1)) runs"
expect 0 "$t" jobs && said 'nothing'
expect 2 "$t" enqueue backup p9
expect 2 "$t" enqueue nonsense
[ "$(catalog "SELECT count(*) FROM runs WHERE job > 0 AND kind = 'backup'")" = 2 ] || fail "runs are not tied to their jobs"

# --- limits --------------------------------------------------------------------------------------------------------------------
touch "$gate"
before=$(started)
for i in 1 2 3 4; do enqueue "p$i"; done
until_true '[ "$(started)" -ge $((before + 2)) ]'
until_true '[ "$(catalog "SELECT count(*) FROM jobs WHERE state = 1")" = 2 ]'
enqueue p4 # supersedes the one that waits
sleep 1 # what must not happen has no sign to wait for
[ "$(started)" = $((before + 2)) ] || fail "$(($(started) - before)) jobs at once, with jobs: 2"
expect 0 "$t" jobs && said 'running' && said 'queued'
rm "$gate"
for i in 1 2 3 4; do until_true "in_state \$(newest p$i) $done"; done
[ "$(started)" = $((before + 4)) ] || fail "$(($(started) - before)) runs instead of 4"

# --- it fails, and is tried again ------------------------------------------------------------------------------------------------
mv "$a" "$a.away" && mv "$b" "$b.away"
enqueue p1
id=$(newest p1)
until_true "in_state $id $queued && [ \"\$(of_job $id tries)\" = 1 ]"
[ "$(of_job "$id" error_code)" = unreachable ] || fail "the error is not kept: $(of_job "$id" error_code)"
wait_s=$(($(of_job "$id" not_before_s) - $(date +%s)))
[ "$wait_s" -ge 40 ] && [ "$wait_s" -le 75 ] || fail "tried again in $wait_s s instead of about a minute"
mv "$a.away" "$a" && mv "$b.away" "$b"
at_once "$id"
until_true "in_state $id $done"
[ "$(of_job "$id" tries)" = 2 ] || fail "it took $(of_job "$id" tries) tries"

# --- degraded: the copy is caught up later ------------------------------------------------------------------------------------------
mv "$b" "$b.away"
enqueue p2
id=$(newest p2)
until_true "in_state $id $degraded"
until_true '[ -n "$(newest main replicate)" ]'
id=$(newest main replicate)
until_true "[ \"\$(of_job $id tries)\" -ge 1 ] && in_state $id $queued"
mv "$b.away" "$b"
at_once "$id"
until_true "in_state $id $done"
expect 0 "$t" replicate && said 'copy "b": complete \(0 objects'

# --- a job's process is killed -------------------------------------------------------------------------------------------------------
touch "$gate"
before=$(started)
enqueue p3
id=$(newest p3)
until_true '[ "$(started)" -gt $before ]'
kill -KILL "$(tail -n 1 "$trace")"
until_true "in_state $id $queued && [ \"\$(of_job $id tries)\" = 1 ]"
of_job "$id" error | grep -q 'signal 9' || fail "not said: killed ($(of_job "$id" error))"
rm "$gate"
at_once "$id"
until_true "in_state $id $done"

# --- twofoldd is killed: its jobs die with it, and come back once ------------------------------------------------------------------------
end_daemon
begin_daemon 60 # nobody waits for so long a lease here: the new one knows that the old one is dead
before_snapshots=$(snapshots p4)
touch "$gate"
before=$(started)
enqueue p4
id=$(newest p4)
until_true '[ "$(started)" -gt $before ]'
child=$(tail -n 1 "$trace")
end_daemon KILL
until_true '[ ! -e /proc/$child ] || grep -q "^State:.Z" /proc/$child/status'
begin_daemon
until_true '[ "$(started)" -gt $((before + 1)) ]'
grep -q 'lost its process' "$log" || fail "not said: a job had lost its process"
rm "$gate"
until_true "in_state $id $done"
[ "$(of_job "$id" tries)" = 2 ] && [ "$(started)" = $((before + 2)) ] || fail "$(of_job "$id" tries) tries, $(($(started) - before)) processes"
[ "$(snapshots p4)" = $((before_snapshots + 1)) ] || fail "it ran twice"

# The same for a job that another process ran: after its lease, not before.
touch "$gate"
before=$(started)
end_daemon
"$t" enqueue backup p4 --slot alone --or-run >/dev/null 2>&1 &
other=$!
until_true '[ "$(started)" -gt $before ]'
id=$(newest p4)
{ kill -KILL $other && wait $other; } 2>/dev/null
begin_daemon
sleep 1.5 # longer than it takes to look for such jobs
in_state "$id" $running || fail "a job was taken over before its lease ran out"
catalog "UPDATE leases SET until_s = 1 WHERE name = 'job/$id'"
until_true '[ "$(started)" -gt $((before + 1)) ]'
rm "$gate"
until_true "in_state $id $done"

# --- it is stopped: what runs is queued again, without having used a try ----------------------------------------------------------------------
touch "$gate"
before=$(started)
enqueue p4
id=$(newest p4)
until_true '[ "$(started)" -gt $before ]'
end_daemon
in_state "$id" $queued && [ "$(of_job "$id" tries)" = 0 ] && [ "$(of_job "$id" error_code)" = interrupted ] ||
    fail "after a stop: state $(of_job "$id" state), $(of_job "$id" tries) tries, $(of_job "$id" error_code)"
rm "$gate"

# --- twofoldd is down --------------------------------------------------------------------------------------------------------------------------
expect 0 "$t" backup p1
enqueue p1 --slot three && said 'does not run'
enqueue p1 --slot three --or-run
in_state "$(newest p1)" $done || fail "not run by the timer's service"
n=$(snapshots p1)
enqueue p1 --slot three --or-run && said 'already'
[ "$(snapshots p1)" = "$n" ] || fail "it ran again"
enqueue p1 --slot auto --or-run
mv "$TWOFOLD_STATE/catalog.db" "$work/saved.db" && printf nonsense >"$TWOFOLD_STATE/catalog.db"
expect 0 "$t" enqueue backup p1 --or-run && said 'runs all the same'
rm "$TWOFOLD_STATE/catalog.db" && mv "$work/saved.db" "$TWOFOLD_STATE/catalog.db"
begin_daemon
until_true "in_state $id $done" # what was queued before

# --- the catalog is locked for longer than a lease -----------------------------------------------------------------------------------------------
touch "$gate"
before=$(started)
enqueue p2
id=$(newest p2)
until_true '[ "$(started)" -gt $before ]'
python3 - "$TWOFOLD_STATE/catalog.db" <<'END'
import sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
c.execute("BEGIN EXCLUSIVE")
time.sleep(6)
c.execute("ROLLBACK")
END
rm "$gate"
until_true "in_state $id $done"
[ "$(of_job "$id" tries)" = 1 ] && [ "$(started)" = $((before + 1)) ] || fail "a locked catalog made it run twice"

# --- windows, and a changed configuration ------------------------------------------------------------------------------------------------------------
cp "$TWOFOLD_CONFIG/policies/p3.yaml" "$work/p3.yaml"
printf 'window: "%s-%s"\n' "$(date -d '+2 hours' +%H:%M)" "$(date -d '+3 hours' +%H:%M)" >>"$TWOFOLD_CONFIG/policies/p3.yaml"
enqueue p3
id=$(newest p3)
enqueue p2 --wait # after it has looked at both
in_state "$id" $queued || fail "a job began outside its window"
cp "$work/p3.yaml" "$TWOFOLD_CONFIG/policies/p3.yaml"
printf 'nonsense: [\n' >"$TWOFOLD_CONFIG/policies/broken.yaml"
kill -HUP "$daemon"
until_true "in_state $id $done"
grep -q 'left out.*broken' "$log" || fail "a broken policy is not said"
rm "$TWOFOLD_CONFIG/policies/broken.yaml"

# --- pause, resume, cancel ----------------------------------------------------------------------------------------------------------------------------
expect 0 "$t" pause p1
enqueue p1
id=$(newest p1)
enqueue p2 --wait
in_state "$id" $queued || fail "a job of a policy that is held back began"
expect 0 "$t" jobs && said 'held back'
expect 0 "$t" resume p1
until_true "in_state $id $done"
touch "$gate"
before=$(started)
enqueue p1
id=$(newest p1)
until_true '[ "$(started)" -gt $before ]'
expect 0 "$t" pause "$id" # what runs is told by a signal, if it understands it
until_true 'grep -q paused "$trace.signals"'
expect 0 "$t" jobs && said 'paused'
expect 0 "$t" resume "$id"
until_true 'grep -q resumed "$trace.signals"'
expect 0 "$t" cancel "$id"
until_true "in_state $id $cancelled"
expect 5 "$t" cancel "$id"
rm "$gate"
expect 2 "$t" pause 99999

# --- signs of life ---------------------------------------------------------------------------------------------------------------------------------------
until_true '[ "$heartbeat" -nt "$trace" ]'
kill -STOP "$daemon"
until_true 'grep -q "^State:.T" /proc/$daemon/status'
stamp=$(stat -c %Y.%Z "$heartbeat")
sleep 2.2 # more than two beats
[ "$(stat -c %Y.%Z "$heartbeat")" = "$stamp" ] || fail "a stopped daemon has a heartbeat"
kill -CONT "$daemon"
until_true '[ "$(stat -c %Y.%Z "$heartbeat")" != "$stamp" ]'

# The same by an address: it is asked for, its secret stands in no arguments, and one that does not answer is said once.
python3 -c '
import http.server, os, sys
class Beats(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        open(sys.argv[1] + "/beats", "a").write(self.path + "\n")
        self.send_response(302 if os.path.exists(sys.argv[1] + "/elsewhere") else 204)
        self.send_header("Location", "/other")
        self.end_headers()
    def log_message(self, *args):
        pass
web = http.server.HTTPServer(("127.0.0.1", 0), Beats)
open(sys.argv[1] + "/port", "w").write(str(web.server_port))
web.serve_forever()' "$work" &
web=$!
until_true '[ -s "$work/port" ]'
printf 'jobs: 2\nheartbeat: { every: 1s, file: %s, url: "http://127.0.0.1:%s/beat?secret-4711" }\n' "$heartbeat" "$(cat "$work/port")" \
    >"$TWOFOLD_CONFIG/twofold.yaml"
end_daemon
begin_daemon
until_true '[ "$(grep -c "^/beat?secret-4711$" "$work/beats")" -ge 2 ]'
for _ in $(seq 20); do
    tr '\0' ' ' </proc/"$daemon"/cmdline | grep -q secret && fail "the address is in the arguments"
    for child in $(pgrep -P "$daemon"); do
        tr '\0' ' ' 2>/dev/null <"/proc/$child/cmdline" | grep -q secret && fail "the address is in a child's arguments"
    done
    sleep 0.05
done
touch "$work/elsewhere" # who sends us elsewhere has not heard it
until_true 'grep -q "does not answer" "$log"'
grep -q other "$work/beats" && fail "the heartbeat went where it was sent"
kill "$web"
wait "$web" 2>/dev/null
sleep 2.2
[ "$(grep -c 'does not answer' "$log")" -eq 1 ] || fail "said $(grep -c 'does not answer' "$log") times that nobody answers"
settings 2
end_daemon
begin_daemon

# --- a carried copy has come ----------------------------------------------------------------------------------------------------------------------------------
end_daemon
sed -i 's|^\( *\)- place: b$|&\n\1  presence: rotating|' "$TWOFOLD_CONFIG/vaults/main.yaml"
mv "$b" "$b.away"
seq 5 >"$src/1/more"
expect 0,3 "$t" backup p1
last=$(newest main replicate)
begin_daemon
sleep 0.3
[ "$(newest main replicate)" = "$last" ] || fail "a copy that is away was caught up"
end_daemon
mv "$b.away" "$b"
begin_daemon
until_true '[ "$(newest main replicate)" != "$last" ]'
until_true "in_state \$(newest main replicate) $done"
end_daemon
finish
