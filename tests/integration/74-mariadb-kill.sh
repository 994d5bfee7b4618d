#!/bin/bash
# 74-mariadb-kill.sh - the agent is killed at one step after the other while a data folder is put in the place of another: the server then starts
# on a whole one, the old or the new; and the same command, once more, ends well. The server is killed in the middle of a copy.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/maria.sh"

one=$work/one
maria_new one
maria_start "$one" || finish
maria_sql "$one" "CREATE DATABASE app; USE app; CREATE TABLE app.marker (word VARCHAR(20)); INSERT INTO app.marker VALUES ('saved');
    CREATE TABLE app.t (i INT PRIMARY KEY); INSERT INTO app.t SELECT seq FROM seq_1_to_1000"
new_vault "$work/v"
policy_add db --mariadb="$one/sock" --schedule none
expect 0 "$t" backup db

# --- the server is killed while its files are copied -------------------------------------------------------------
mkdir "$work/tools"
ln -s /usr/bin/mariadb "$work/tools/"
printf '#!/bin/bash\ncase " $* " in *" --backup "*) exec /usr/bin/mariadb-backup "$@" --throttle=1 ;; esac\nexec /usr/bin/mariadb-backup "$@"\n' >"$work/tools/mariadb-backup"
chmod +x "$work/tools/mariadb-backup"
policy_add slow --mariadb="$one/sock" --binaries "$work/tools" --schedule none
"$t" backup slow >"$work/slow.out" 2>&1 &
job=$!
scratch=$work/v/s/agent/mariadb/twofold-mariadb
for ((i = 0; i < 400; i++)); do [ -s "$scratch/backup/ibdata1" ] && break; sleep 0.05; done
[ -s "$scratch/backup/ibdata1" ] || fail "no copy is being made"
maria_stop "$one" KILL
wait "$job" && fail "a copy of a killed server is a backup"
grep -q "mariadb-backup failed: …" "$work/slow.out" || fail "not said: $(cat "$work/slow.out")"
[ ! -e "$scratch" ] || fail "the scratch folder stayed"
[ "$("$t" snapshots slow 2>/dev/null | awk '$2 == "slow"' | wc -l)" = 0 ] || fail "there is a snapshot of it"
maria_start "$one" || finish

# --- the agent is killed while they are copied: the copy ends, too -------------------------------------------------
"$t" backup slow >"$work/slow.out" 2>&1 &
job=$!
for ((i = 0; i < 400; i++)); do [ -s "$scratch/backup/ibdata1" ] && break; sleep 0.05; done
agent=$(pgrep -P "$job" -f twofold-agent | head -n 1)
copier=$(pgrep -P "${agent:-0}" -f mariadb-backup | head -n 1)
[ -n "$copier" ] || fail "no copy is being made"
kill -9 "$agent"
wait "$job" && fail "a killed agent is no failure"
for ((i = 0; i < 100; i++)); do [ -e "/proc/$copier" ] || break; sleep 0.05; done
[ ! -e "/proc/$copier" ] || fail "mariadb-backup goes on"
[ -e "$scratch/backup" ] || fail "the killed run left nothing"
expect 0 "$t" backup db
[ ! -e "$scratch" ] || fail "what the killed run left is still there"

# --- a restore in place ------------------------------------------------------------------------------------------------
word() { maria_sql "$one" "SELECT CONCAT(word, ' ', (SELECT COUNT(*) FROM app.t)) FROM app.marker"; }
spoil() {
    maria_sql "$one" "UPDATE app.marker SET word = 'later'; DELETE FROM app.t"
    maria_stop "$one"
}
spoil
TWOFOLD_FAULT=count:$work/steps TWOFOLD_FAULT_PROGRAM=twofold-agent expect 0 "$t" restore db --in-place
steps=$(cat "$work/steps")
if [ "${steps:-0}" -lt 100 ]; then
    skip_part "kills (a build without fault points)"
    finish
fi
maria_start "$one" && [ "$(word)" = "saved 1000" ] || fail "not restored: $(word)"
spoil
killed=0 old=0 new=0
for back in $(if [ -n "$sweep_full" ]; then seq 0 40; else echo 0 1 2 3 4 5 7 12; fi); do
    { TWOFOLD_FAULT=kill@$((steps - back)) TWOFOLD_FAULT_PROGRAM=twofold-agent expect 0,1 "$t" restore db --in-place; } 2>/dev/null
    [ "$status" = 0 ] || killed=$((killed + 1))
    maria_start "$one" || break
    now=$(word)
    case $now in
    "later 0") old=$((old + 1)) ;;
    "saved 1000") new=$((new + 1)) ;;
    *) fail "killed $back steps before the end: a server starts on \"$now\"" ;;
    esac
    maria_stop "$one"
    expect 0 "$t" restore db --in-place
    maria_start "$one" && [ "$(word)" = "saved 1000" ] || fail "killed $back steps before the end, then restored: $(word)"
    spoil
    rm -rf "$one"/data.twofold-before-*
done
say "killed $killed times: $old times on the old folder, $new times on the new one"
[ "$killed" -ge 5 ] && [ "$old" -ge 1 ] && [ "$new" -ge 1 ] || fail "nothing was killed in the middle ($killed: $old, $new)"

# --- and to a folder of its own -----------------------------------------------------------------------------------------
TWOFOLD_FAULT=count:$work/steps TWOFOLD_FAULT_PROGRAM=twofold-agent expect 0 "$t" restore db --to "$work/aside"
steps=$(cat "$work/steps")
for back in 1 4 9 20; do
    rm -rf "$work/killed"
    { TWOFOLD_FAULT=kill@$((steps - back)) TWOFOLD_FAULT_PROGRAM=twofold-agent expect 0,1 "$t" restore db --to "$work/killed"; } 2>/dev/null
    expect 0 "$t" restore db --to "$work/killed" --verify && said "tables are right"
done
finish
