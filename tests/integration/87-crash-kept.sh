#!/bin/bash
# 87-crash-kept.sh - what a crash procedure must not do: bring back what an attacker wrote where only the time of the crash is known; take away the
# server's own files that a restore with --delta was changing when it was cut off; give up because folders are nested deep;
# leave out what survived on the host because the copies were away; count as lost what was never written.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/wal.sh"

one=$work/one
pg_new one --wal-segsize=1
pg_start "$one" || finish
make_ledger "$one"
add_rows "$one" 100
new_vault "$work/v"
cat >"$work/service" <<S
#!/bin/sh
PATH=$pgbin:\$PATH
export HOME=/tmp
pg() { setpriv --reuid=postgres --regid=postgres --clear-groups pg_ctl -D $one/data -l $one/log -w -t 60 "\$@"; }
case \$1 in
start) pg status >/dev/null 2>&1 || pg -o "-k $one" start ;;
stop) ! pg status >/dev/null 2>&1 || pg -m fast stop ;;
esac </dev/null >/dev/null 2>&1
S
chmod 755 "$work/service"
db_policy db "$one" "crash:" "  stop: [$work/service, stop]" "  start: [$work/service, start]"

# --- an attack of which only the time of the crash is known ------------------------------------------------------------------
expect 0 "$t" --json backup db
first=$(json snapshot)
follow db
add_rows "$one" 100
sleep 2.2 # it comes back to the second before
crashed=$(date -u '+%Y-%m-%d %H:%M:%S')
sleep 1.1
pg_sql "$one" "UPDATE ledger SET amount = -666 WHERE id = 5"
pg_sql "$one" "SELECT pg_switch_wal()" >/dev/null
caught_up "$one" db
unfollow
expect 3 "$t" --yes crash db --cause attack --crashed-at "$crashed" --answer isolated=yes
expect 0 "$t" --yes crash resume --answer source-found=yes
[ "$(pg_sql "$one" "SELECT max(id), min(amount) FROM ledger WHERE id > 0")" = "200|5" ] || fail "what an attacker wrote is back, or more is gone: $(pg_sql "$one" "SELECT max(id), min(amount) FROM ledger WHERE id > 0")"
expect 0 "$t" crash close

# --- copies that are away until the restore: what survived of the log on the host alone is not left out for it ----------------
expect 0 "$t" backup db
follow db
add_rows "$one" 100
caught_up "$one" db
unfollow
add_rows "$one" 100
pg_stop "$one" immediate
mv "$a" "$a.away"
mv "$b" "$b.away"
expect 3 "$t" crash db --answer host-repaired=yes && said 'where it lies is not known' && said 'copies=again'
mv "$a.away" "$a"
mv "$b.away" "$b"
expect 0 "$t" crash resume --answer copies=again && said 'RECOVERED'
[ "$(pg_sql "$one" "SELECT max(id) FROM ledger")" = 400 ] || fail "what was committed last is not back: $(pg_sql "$one" "SELECT max(id) FROM ledger")"
expect 0 "$t" crash close

# --- nothing was written for a while before it: that is no loss ------------------------------------------------------------------
expect 0 "$t" backup db
add_rows "$one" 1
committed=$(date +%s)
sleep 4
follow db
caught_up "$one" db
sleep 1.5
unfollow
crashed=$(date -u '+%Y-%m-%d %H:%M:%S')
# Had whoever followed far to go yet, what came last would be of long before it came.
cp "$TWOFOLD_STATE/logs/db.json" "$work/state"
python3 - "$TWOFOLD_STATE/logs/db.json" <<'P'
import json, sys
state = json.load(open(sys.argv[1]))
for one in state if isinstance(state, list) else [state]:
    one["head"] += 64 << 20
json.dump(state, open(sys.argv[1], "w"))
P
expect 0 "$t" --json drill db
[ "$(json recovered_to drill)" -le "$committed" ] || fail "what is of before is told as new: $(json recovered_to drill), $committed"
cp "$work/state" "$TWOFOLD_STATE/logs/db.json"
# A log that is damaged in every copy is no drill that was passed, though all comes well as far as it comes.
for copy in "$a" "$b"; do
    cp -a "$copy/logs" "$copy.logs"
    find "$copy/logs" -name '0*-0*' -type f -exec sh -c 'for f; do printf XXXXXXXX | dd of="$f" bs=1 seek=$(($(stat -c %s "$f") / 2)) conv=notrunc status=none; done' - {} +
done
expect 4 "$t" --json drill db
[[ $(json reasons drill) == *log-broken* && $(json reasons drill) == *copy-damaged* ]] || fail "a drill with a damaged log: $(json reasons drill)"
for copy in "$a" "$b"; do clean "$copy/logs" && mv "$copy.logs" "$copy/logs"; done
pg_stop "$one" immediate
expect 0 "$t" --yes crash db --crashed-at "$crashed" && said 'at most|nothing that was written until'
id=$(sed -n 's/^INCIDENT \([^ ]*\).*/\1/p' "$work/.out")
gap=$(sed -n 's/.*"kind":"loss".*"gap_s":\([0-9]*\).*/\1/p' "$TWOFOLD_STATE/incidents/$id/timeline")
[ "$gap" -le 2 ] || fail "a quiet database is told to have lost $gap s"
expect 0 "$t" crash close

# --- what is lost is told, also where the crash is told too early, or nothing but old files says when it was ----------------------
lost_line() { sed -n 's/^INCIDENT \([^ ]*\).*/\1/p' "$work/.out" | xargs -I{} grep '"kind":"loss"' "$TWOFOLD_STATE/incidents/{}/timeline"; }
expect 0 "$t" backup db
crashed=$(date -u '+%Y-%m-%d %H:%M:%S')
sleep 1.1
add_rows "$one" 10
pg_sql "$one" "SELECT pg_switch_wal()" >/dev/null
missing=$(pg_sql "$one" "SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
add_rows "$one" 10
pg_sql "$one" "SELECT pg_switch_wal()" >/dev/null
sleep 1.1
add_rows "$one" 10
pg_stop "$one" immediate
rm -r "$one/data/base" "$one/data/pg_wal/$missing"
expect 0 "$t" --yes crash db --crashed-at "$crashed" && said 'the log does not go on: ' && not_said 'What was written in between is kept|is missing$'
[[ $(lost_line) == *'"after_crash":false'* && $(lost_line) != *'"gap_s":0,'* ]] || fail "a log with a gap: $(lost_line)"
expect 0 "$t" crash close
expect 0 "$t" backup db
sleep 1.1
add_rows "$one" 10
pg_stop "$one" immediate
find "$one/data" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec rm -r {} +
touch -d '1 year ago' "$one/data/PG_VERSION"
expect 0 "$t" --yes crash db && not_said 'nothing that was written'
[[ $(lost_line) == *'"crash_is_known":false'* && $(lost_line) != *'"gap_s":0,'* ]] || fail "old files alone: $(lost_line)"
expect 0 "$t" crash close

# --- a deep tree that a program looks at before it is put back ---------------------------------------------------------------
deep=$work/web/$(seq -s / 1 40)
mkdir -p "$deep" && echo page >"$deep/page"
printf '#!/bin/sh\ngrep -rqs page "$1"\n' >/usr/local/sbin/twofold-scan-$$ && chmod 755 /usr/local/sbin/twofold-scan-$$
trap 'rm -f /usr/local/sbin/twofold-scan-$$; stop_keeper' EXIT
policy_add web --files "$work/web" --schedule none
printf 'crash:\n  scan: [/usr/local/sbin/twofold-scan-%s]\n' $$ >>"$TWOFOLD_CONFIG/policies/web.yaml"
expect 0 "$t" backup web
rm -r "$work/web/1"
sleep 1.1
expect 0 "$t" --yes crash web --first-sign now && said 'cause: a mistake' && said 'gone back on purpose to before' && [ -f "$deep/page" ] || fail "a deep tree does not come back"
[ "$(ls -A "$work/web")" = 1 ] || fail "what was looked at is left: $(ls -A "$work/web")"
expect 0 "$t" crash close web

# --- a restore with --delta that was cut off ---------------------------------------------------------------------------------
sed -i '/logs:/d' "$TWOFOLD_CONFIG/policies/db.yaml"
pg_sql "$one" "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots" >/dev/null
expect 0 "$t" backup db
pg_stop "$one"
TWOFOLD_FAULT=count:$work/steps TWOFOLD_FAULT_PROGRAM=twofold-agent expect 0 "$t" restore db --snapshot "$first" --no-logs --in-place --delta
steps=$(cat "$work/steps" 2>/dev/null)
if [ "${steps:-0}" -lt 100 ]; then
    skip_part "what a kill leaves (a build without fault points)"
    finish
fi
pg_start "$one"
pg_sql "$one" "CREATE TABLE only_here AS SELECT generate_series(1, 5000) AS n"
pg_sql "$one" CHECKPOINT
file=$(pg_sql "$one" "SELECT pg_relation_filepath('only_here')")
pg_stop "$one"
sum=$(sha256sum <"$one/data/$file")
{ TWOFOLD_FAULT=kill@$((steps / 2)) TWOFOLD_FAULT_PROGRAM=twofold-agent expect 1 "$t" restore db --snapshot "$first" --no-logs --in-place --delta; } 2>/dev/null
[ ! -e "$one/data/$file" ] || fail "it was not killed in the middle"
expect 0 "$t" --yes crash db && said "before-lent-.* has the server's own files"
kept=""
while read -r found; do [ "$(sha256sum <"$found")" != "$sum" ] || kept=$found; done < <(find "$one/data" -name "${file##*/}")
[ -n "$kept" ] || fail "the server's own files are gone"
expect 0 "$t" crash close

# --- a restore that still works: what it has brought is not taken away under it ------------------------------------------------
pg_stop "$one"
TWOFOLD_FAULT=stop@$((steps / 2)) TWOFOLD_FAULT_PROGRAM=twofold-agent "$t" restore db --snapshot "$first" --no-logs --in-place >"$work/slow" 2>&1 &
slow=$!
stopped=""
for _ in $(seq 200); do
    stopped=$(ps -o pid=,stat= --ppid "$slow" | awk '$2 ~ /^T/ { print $1 }')
    [ -z "$stopped" ] || break
    sleep 0.05
done
[ -n "$stopped" ] || fail "the agent was not stopped"
expect 3 "$t" --yes crash db && said 'another restore works on' && not_said 'were taken away'
kill -CONT "$stopped"
wait "$slow" || fail "it was disturbed: $(tail -n 3 "$work/slow")"
finish
