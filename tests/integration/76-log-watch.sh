#!/bin/bash
# 76-log-watch.sh - a log that is kept runs by itself and is seen: what is missing for it on the server is said, status, page, metrics and
# alarms tell when nobody follows it, when a copy lags and when there is a gap; what the server keeps for us has a limit.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"

one=$work/one
pg_new one
pg_start "$one" "-c max_wal_size=64MB" || finish
new_vault "$work/v"
keep=""
follow() { # [OPTION…]: in the background
    "$TWOFOLD_FAST" logs db --follow "$@" >>"$work/keep.out" 2>&1 &
    keep=$!
}
unfollow() {
    [ -z "$keep" ] || { kill "$keep" 2>/dev/null; wait "$keep"; }
    keep=""
}
end() {
    [ -z "$keep" ] || kill -KILL "$keep" 2>/dev/null
    pg_stop_all
}
trap end EXIT
until_true() { # CONDITION [SECONDS]
    local until=$((SECONDS + ${2:-20}))
    until eval "$1" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$until" ] || { fail "in vain waited for: $1"; "$t" logs db; tail -n 5 "$work/keep.out"; return 1; }
        sleep 0.2
    done
}
followed() { "$TWOFOLD_FAST" logs db && "$TWOFOLD_FAST" --json logs db | grep -q '"position": *[1-9]'; }
copy_lags() { "$TWOFOLD_FAST" --json logs db | grep -q '"place": *"'"$1"'", *"complete": *false'; }
state() { python3 - "$work/v/s/logs/db.json" "$@" <<'END'
import json, sys
name, *sets = sys.argv[1:]
o = json.load(open(name))
for s in sets:
    key, value = s.split("=")
    place, _, key = key.rpartition(".")
    for target in ([c for c in o["copies"] if c["place"] == place] if place else [o]):
        target[key] = target[key] + int(value) if value[0] in "+-" else json.loads(value)
json.dump(o, open(name, "w"))
END
}
slot() { pg_sql "$one" "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'twofold'"; }
fill() { # N: so many segments
    local i
    for ((i = 0; i < $1; i++)); do pg_sql "$one" "SELECT txid_current(); SELECT pg_switch_wal()" >/dev/null; done
    pg_sql "$one" "CHECKPOINT"
}

# --- turned on: what is missing on the server is said, with the statement ------------------------------------------------------------------
pg_sql "$one" "CREATE ROLE clerk LOGIN"
expect 3 "$t" policy add db --postgresql "host=$one user=clerk" --logs 1s --slot twofold --schedule none
said 'ALTER ROLE "?clerk"? REPLICATION;' && said "max_slot_wal_keep_size = '20GB'"
grep -qE '^  logs: "?1s"?$' "$work/v/c/policies/db.yaml" || fail "the policy does not say logs: 1s"
pg_sql "$one" "ALTER ROLE clerk REPLICATION; GRANT pg_read_all_settings, pg_read_all_stats TO clerk;
    GRANT EXECUTE ON FUNCTION $(pg_since 15 && echo 'pg_backup_start(text, boolean), pg_backup_stop(boolean)' ||
        echo 'pg_start_backup(text, boolean, boolean), pg_stop_backup(boolean, boolean)') TO clerk;" >/dev/null
pg_sql "$one" "SELECT pg_create_physical_replication_slot('other' || g) FROM generate_series(1, 9) g" >/dev/null
expect 3 "$t" policy add full --postgresql "host=$one user=clerk" --logs 5s && said 'max_replication_slots = 10'
pg_sql "$one" "SELECT pg_drop_replication_slot('other' || g) FROM generate_series(1, 9) g" >/dev/null
rm "$work/v/c/policies/full.yaml"
expect 0 "$t" policy add well --postgresql "host=$one user=clerk" --logs 5s && not_said 'cannot be backed up|REPLICATION' && said 'Next: twofold schedule apply'
rm "$work/v/c/policies/well.yaml"
expect 2 "$t" policy add bad --postgresql "host=$one" --logs soon && said 'up to an hour'
expect 2 "$t" policy add bad --logs 5s --postgresql "host=$one" && said 'PostgreSQL'
expect 0 "$t" policy lint

# --- nobody follows it yet -----------------------------------------------------------------------------------------------------------------
expect 3 "$t" logs && said 'db +NOT FOLLOWED yet' && said 'schedule apply'
expect 3 "$t" logs db
expect 0 "$t" backup db
expect 3 "$t" status && said 'log: +NOT FOLLOWED yet' && said 'next: twofold logs db --follow'
expect 2 "$t" logs db --restart

# --- followed: seen in status, page, metrics -----------------------------------------------------------------------------------------------
follow
until_true followed
expect 0 "$t" logs && said 'db +complete up to [0-9]+ s ago in both copies'
expect 5 "$t" logs db --follow && said 'another process follows'
expect 0 "$t" --json status && [ "$(json log status | python3 -c 'import json, sys; o = json.load(sys.stdin); print(o["followed"], o["well"], [c["lag_s"] for c in o["copies"]])')" = "True True [0, 0]" ] || fail "status as JSON says otherwise: $(json log status)"
expect 0 "$t" metrics && said '^twofold_log_followed\{policy="db",vault="main"\} 1$' && said '^twofold_log_copy_lag_seconds\{policy="db",vault="main",place="b"\} 0$'
# The log is newer than the backup: a notice until there is one that it goes on from.
expect 0 "$t" status && said 'log: +complete up to [0-9]+ s ago in both copies' && said 'was begun since'
sleep 1
expect 0 "$t" backup db
expect 0 "$t" status && not_said 'was begun since'
awk 'length > 80' "$work/.out" | grep . && fail "a line of status is wider than 80 columns"
expect 0 "$t" page --out "$work/page.html" && grep -q 'Logs of databases' "$work/page.html" && grep -q 'complete up to' "$work/page.html" || fail "the page has no log"
expect 0 "$t" alarms check
expect 0 "$t" alarms list && not_said 'db'

# --- a copy that is away lags; the other goes on --------------------------------------------------------------------------------------------
mv "$b" "$b.away" && mkdir "$b"
pg_sql "$one" "CREATE TABLE t AS SELECT 1"
until_true 'copy_lags b'
expect 0 "$t" logs && said 'in 1 of 2 copies'
unfollow
# As if that were so for long.
state 'running=true' 'written=+5' 'b.complete=-1000' 'b.seq=-1' 'complete=+3'
expect 0 "$t" alarms check
expect 0 "$t" alarms list && said 'copy b is 1[67] min behind with the log'
rmdir "$b" && mv "$b.away" "$b"
follow
until_true 'followed && ! copy_lags b'
expect 0 "$t" logs && said 'in both copies'
expect 0 "$t" alarms check
expect 0 "$t" alarms list && not_said 'copy b'

# --- nobody follows it any more: at once in status, an alarm after five minutes, closed when well again ---------------------------------------
unfollow
expect 3 "$t" status && said 'log: +NOT FOLLOWED; kept up to' && said 'next: twofold logs db --follow'
expect 0 "$t" alarms check && expect 0 "$t" alarms list && not_said 'db'
state 'complete=-400'
expect 0 "$t" alarms check
expect 0 "$t" alarms list && said 'WARNING' && said 'not followed for [67] min'
expect 0 "$t" metrics
said '^twofold_log_followed\{policy="db",vault="main"\} 0$'

# It goes on by itself when the server is back, and when the configuration changes.
pg_stop "$one"
follow --restart
until_true 'grep -q "server running" "$work/keep.out" || grep -q "No such file" "$work/keep.out"'
expect 3 "$t" logs && said 'nobody follows it: .'
pg_start "$one" "-c max_wal_size=64MB"
until_true followed 30
expect 0 "$t" alarms check
expect 0 "$t" alarms list && not_said 'not followed'
sed -i 's/^  # slot-limit:.*/  slot-limit: 40MiB/' "$work/v/c/policies/db.yaml"
grep -q '^  slot-limit' "$work/v/c/policies/db.yaml" || fail "no line for slot-limit in the policy"
since_now() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["since"])' "$work/v/s/logs/db.json"; }
since=$(since_now)
newer() { [ "$(since_now)" != "$since" ] && followed; }
until_true newer 15

# --- the limit: the one who follows takes nothing any more; the disk of the database does not fill ----------------------------------------------
kill -STOP "$keep"
fill 5
until_true '[ "$(slot)" = 0 ]'
kill -CONT "$keep"
until_true 'grep -q "more than slot-limit" "$work/keep.out"'
until_true 'followed && grep -q "begins anew" "$work/keep.out" && grep -q "\"epoch\": 2" "$work/v/s/logs/db.json"' 30
expect 0 "$t" alarms check && said 'nobody is told of it: there is no channel'
expect 0 "$t" alarms list && said 'WARNING' && said 'a gap in the log'
expect 3 "$t" status && said 'a gap in the log' && said 'next: twofold backup db'
expect 0 "$t" backup db
expect 0 "$t" alarms check
expect 0 "$t" alarms list && not_said 'gap'
expect 0 "$t" status
# No copy takes anything: the agent is asked to look all the same.
unfollow
[ "$(slot)" = 1 ] || fail "the slot is gone"
fill 4
expect 0 "$t" backup db && said 'the server keeps [0-9]+ MB of its log for us'
mv "$a" "$a.away" && mv "$b" "$b.away"
follow
wait "$keep" && fail "it follows without a copy"
keep=""
[ "$(slot)" = 0 ] || fail "the server still keeps its log for us"
mv "$a.away" "$a" && mv "$b.away" "$b"
finish
