#!/bin/bash
# 94-drill.sh - drills: one that is passed measures and clears up; one that must fail for a reason fails for that reason, by name, and leaves
# nothing behind; what a killed one left goes with the next. On PostgreSQL and on files (PY-8.3).
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"

one=$work/one scratch=$work/scratch
pg_new one --wal-segsize=1
pg_start "$one" || finish
pg_sql "$one" "CREATE DATABASE shop"
pg_sql "$one" "CREATE TABLE accounts AS SELECT i AS id, 10 AS amount FROM generate_series(1, 5000) i" shop
src=$work/src
small_tree "$src" 94 40
new_vault "$work/v"
mkdir -p "$TWOFOLD_CONFIG/policies"
# db_policy LINE…: the policy of the database, with these lines at its end
db_policy() {
    cat >"$TWOFOLD_CONFIG/policies/db.yaml" <<P
postgresql:
  conninfo: "host=$one user=postgres"
  checks:
    - { name: sum, database: shop, sql: "$question", restored: same }
P
    printf '%s\n' "$@" >>"$TWOFOLD_CONFIG/policies/db.yaml"
}
question="SELECT sum(amount) FROM accounts"
to="drill: { every: 30d, to: $scratch }"
db_policy "$to" "rto: 10m"
policy_add files --files "$src"
expect 0 "$t" backup db files

# drill STATUS REASONS[|REASONS] POLICY [OPTION…]: that is its exit status, and these are the reasons, exactly; nothing is left.
drill() {
    local want=$1 reasons=$2 got
    shift 2
    expect "$want" "$t" --json drill "$@" || return 1
    got=$(json reasons drill | tr -d '" ')
    case "|$reasons|" in *"|$got|"*) ;; *) false ;; esac || { fail "drill $*: reasons $got instead of $reasons"; show_output; }
    [ ! -e "$scratch" ] || fail "drill $*: something is left: $(find "$scratch" | head -n 5)"
}
# result KEY: of the facts of the newest drill's last step.
result() {
    python3 - "$TWOFOLD_STATE" "$1" <<'P'
import glob, json, os, sys
newest = max(glob.glob(sys.argv[1] + "/incidents/drill-*/timeline"), key=os.path.getmtime)
lines = [json.loads(line) for line in open(newest)]
print([e for e in lines if e.get("step") == "drill"][-1]["facts"][sys.argv[2]])
P
}

# --- passed: a database, from all copies, from one, without one; files -------------------------------------------------------------
live=$(fingerprint "$one/data/global" "$src")
drill 0 '[]' db
[ "$(json checks drill)" -ge 2 ] && [ "$(json rto_ms drill)" -gt 0 ] && [ "$(result rpo_s)" -ge 0 ] || fail "not measured: $(cat "$work/.out")"
drill 0 '[]' db --from b
drill 0 '[]' db --lose a
drill 0 '[]' files --to "$scratch"
# What cannot be asked for is no drill that has failed.
expect 1 "$t" drill files --to "$scratch" --at 2020-01-01 && not_said 'FAILED'
expect 2 "$t" drill db --lose a --lose b && said 'one copy'
[ "$(find "$TWOFOLD_STATE/incidents" -name 'drill-*' | wc -l)" = 4 ] || fail "a drill was noted that never began"
expect 0 "$t" drill files --to "$scratch" --keep && said 'kept:' && said 'passed'
same_tree "$src" "$(echo "$scratch"/drill-files-*)/attempt-1$src"
[ "$(find "$a/records" -type f | wc -l)" -ge 5 ] && [ "$(find "$b/records" -type f | wc -l)" -ge 5 ] || fail "the copies have no records of the drills"
expect 0 "$t" report drill "$(basename "$(echo "$scratch"/drill-files-*)")" --lang zh --format text && said '应急预案演练记录表'
expect 0 "$t" report drill files && said "$(basename "$(echo "$scratch"/drill-files-*)")" # the newest one of it
expect 5 "$t" report summary && said 'is a drill'
if [ -n "${SCENARIO_NAMESPACE:-}" ]; then # whatever somebody has mounted there is not the drill's
    mkdir "$work/lives" "$(echo "$scratch"/drill-files-*)/mounted" && echo precious >"$work/lives/file"
    mount --bind "$work/lives" "$(echo "$scratch"/drill-files-*)/mounted"
    expect 5 "$t" drill --clean && said 'something is mounted on'
    [ -e "$work/lives/file" ] || fail "--clean has emptied what was mounted there"
    umount "$(echo "$scratch"/drill-files-*)/mounted"
fi
expect 0 "$t" drill --clean && said '1 drill cleared up'
[ ! -e "$scratch" ] || fail "--clean left something"
[ "$live" = "$(fingerprint "$one/data/global" "$src")" ] || fail "a drill touched what lives"
expect 0,3 "$t" status && said 'last drill: +[0-9]+ s ago: restored in'
# What the watch has marked as settled is known all the same.
expect 0,3 "$t" alarms check
find "$TWOFOLD_STATE/incidents" -name settled | grep -q . || fail "no drill is settled"
sleep 1.1
expect 0,3 "$t" status && said 'last drill: +[1-9][0-9]* s ago: restored in'
expect 0 "$t" drill db --if-due && said 'the next drill of "db" is due on'

# --- failed, each for its reason ----------------------------------------------------------------------------------------------------
# A copy is damaged: from it alone nothing comes; beside the other one all comes, and the drill has failed all the same.
cp -a "$a" "$work/a.good"
for seed in 1 2 3 4 5 6 7 8; do python3 "$here/damage.py" flip packs $seed "$a" >/dev/null; done
drill 4 '[copy-damaged,in-part]|[copy-damaged,not-restored]' db --from a # as the damage hits
drill 4 '[copy-damaged]' db
said 'a copy is damaged'
clean "$a" && mv "$work/a.good" "$a"

# A question has another answer than when it was backed up.
question="SELECT sum(amount) + 1 FROM accounts"
db_policy "$to"
drill 4 '[check-false]' db
said 'but it was 50000 when it was backed up'

# The server's program does not start.
if [ -n "${SCENARIO_NAMESPACE:-}" ]; then
    printf '#!/bin/sh\necho "cannot start today" >&2\nexit 1\n' >"$work/postgres"
    chmod 755 "$work/postgres"
    mount --bind "$work/postgres" "$(realpath "$pg_usual/postgres")"
    question="SELECT sum(amount) FROM accounts"
    db_policy "$to"
    drill 1 '[not-started]' db
    umount "$(realpath "$pg_usual/postgres")"
else
    skip_part "a server that does not start (it takes a mount namespace)"
fi

# Too slow; too much would be lost.
question="SELECT sum(amount) FROM accounts, pg_sleep(1.2)"
db_policy "$to" "rto: 1s"
drill 1 '[over-rto]' db
question="SELECT sum(amount) FROM accounts"
db_policy "drill: { to: $scratch, max-rpo: 1s }"
drill 1 '[over-rpo]' db
[ "$(result rpo_s)" -ge 2 ] || fail "the loss is $(result rpo_s) s"

expect 0,3 "$t" alarms check
expect 3 "$t" status && said 'last drill: +FAILED' && said 'too much would be lost' && said 'next: twofold drill db'
expect 0 "$t" page --out - && said 'Last drill">FAILED'

# Nothing to restore from: no copy is there.
mv "$a" "$a.away" && mv "$b" "$b.away"
drill 1 '[not-restored]' db
mv "$a.away" "$a" && mv "$b.away" "$b"

# --- where it must not lie ----------------------------------------------------------------------------------------------------------------
for folder in "$src/x" "$a/x" "$one/data" "$one/data/base/x"; do
    expect 5 "$t" drill files --to "$folder" && said 'scratch folder'
done
# Nor in a folder that somebody else has made where everybody may, or behind such a link: it could be exchanged under the drill.
if [ "$(id -u)" -eq 0 ] && id nobody >/dev/null 2>&1; then
    mkdir -m 1777 "$work/everybody" && mkdir -m 755 "$work/own"
    mkdir "$work/everybody/theirs" && chown nobody "$work/everybody/theirs"
    ln -s "$work/own" "$work/everybody/link" && chown -h nobody "$work/everybody/link"
    for folder in theirs link; do
        expect 5 "$t" drill files --to "$work/everybody/$folder" && said 'can write it' && said 'name another one'
        [ -z "$(find "$work/own" "$work/everybody/theirs" -name '*drill*')" ] || fail "a drill began in a folder of somebody else's"
    done
    drill 0 '[]' files --to "$work/everybody/new"
fi
if [ -n "${SCENARIO_NAMESPACE:-}" ]; then
    mkdir "$work/small" && mount -t tmpfs -o size=8m small "$work/small"
    expect 1 "$t" drill db --to "$work/small/x" && said 'are needed' && [ -z "$(ls -A "$work/small")" ] || fail "a drill began where there is no room"
    umount "$work/small"
fi
expect 2 "$t" drill files --from a --lose b && said 'exclude each other'
expect 2 "$t" drill files --lose c && said 'no copy "c"'

# --- the newest backup cannot be had: an older one would do, and that is said ---------------------------------------------------------------
seq 2000 | sha256sum >"$src/new" && seq 100000 >"$src/newer"
cp -a "$a" "$work/a.old"
expect 0 "$t" backup files
for pack in $(cd "$a/packs" && find . -type f | sort | comm -23 - <(cd "$work/a.old/packs" && find . -type f | sort)); do
    printf 'not what was written' | dd of="$a/packs/$pack" bs=1 seek=200 conv=notrunc status=none
done
drill 4 '[copy-damaged,older]' files --from a --to "$scratch"
[ "$(json attempts drill)" = 2 ] || fail "not the second attempt"
expect 0 "$t" repair
live=$(fingerprint "$one/data/global" "$src")

# --- ended by a signal: nothing is left, and it counts as none ------------------------------------------------------------------------------------------
question="SELECT sum(amount) FROM accounts, pg_sleep(30)"
db_policy "$to"
"$t" drill db >"$work/stopped" 2>&1 &
pid=$!
for _ in $(seq 200); do
    ! pgrep -f "postgres.*$scratch" >/dev/null || break
    sleep 0.1
done
kill -TERM $pid
rc=0
wait $pid || rc=$?
[ $rc = 130 ] && [ ! -e "$scratch" ] || fail "interrupted: exit status $rc, $(cat "$work/stopped") $(find "$scratch" 2>/dev/null | head -n 3)"
question="SELECT sum(amount) FROM accounts"

# --- killed: the next one clears up --------------------------------------------------------------------------------------------------------
drills() { grep -lc '"kind":"closed"' "$TWOFOLD_STATE"/incidents/drill-*/timeline | wc -l; }
all() { find "$TWOFOLD_STATE/incidents" -name 'drill-*' | wc -l; }
question="SELECT sum(amount) FROM accounts, pg_sleep(30)"
db_policy "$to"
"$t" drill db >"$work/killed" 2>&1 &
pid=$!
for _ in $(seq 200); do
    ! pgrep -f "postgres.*$scratch" >/dev/null || break
    sleep 0.1
done
pgrep -f "postgres.*$scratch" >/dev/null || fail "no server of a drill runs: $(cat "$work/killed")"
expect 5 "$t" drill db && said 'busy|another|takes its steps'
kill -KILL $pid
wait $pid 2>/dev/null
for _ in $(seq 300); do
    pgrep -f "postgres.*$scratch" >/dev/null || break
    sleep 0.1
done
! pgrep -f "postgres.*$scratch" >/dev/null || fail "the server of a killed drill lives on"
[ -e "$scratch" ] || fail "it was killed too late"
question="SELECT sum(amount) FROM accounts"
db_policy "$to"
drill 0 '[]' db
[ "$(drills)" = "$(all)" ] || fail "a drill that was killed is open"
grep -q '"stopped"' "$TWOFOLD_STATE"/incidents/drill-db-*/timeline || fail "it is not written down that one was stopped"

# At every so many steps on the disk.
steps=$(TWOFOLD_FAULT=count:$work/steps TWOFOLD_FAULT_PROGRAM=twofold "$t" drill files --to "$scratch" >/dev/null 2>&1; cat "$work/steps" 2>/dev/null || echo 0)
if [ "${steps:-0}" -gt 0 ]; then
    at=1
    while [ $at -le "$steps" ]; do
        { TWOFOLD_FAULT=kill@$at TWOFOLD_FAULT_PROGRAM=twofold "$t" drill files --to "$scratch" >/dev/null 2>&1; } 2>/dev/null
        at=$((at + 5 + steps / 6))
    done
    expect 0 "$t" drill --clean
    [ ! -e "$scratch" ] || fail "--clean left something of killed drills: $(find "$scratch" | head -n 3)"
    [ "$(drills)" = "$(all)" ] || fail "drills that were killed are open"
else
    skip_part "kills at each step (no fault points)"
fi
[ "$live" = "$(fingerprint "$one/data/global" "$src")" ] || fail "a drill touched what lives"
finish
