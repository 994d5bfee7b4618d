#!/bin/bash
# 74-mariadb-log-trouble.sh - what happens to a MariaDB server's log while it is kept: kills of the server, the agent and the keeper, logs that are
# dropped, reset, damaged, encrypted, or not there at all. What can go on goes on without a gap; what cannot is named, and never restored over.
# long
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/maria.sh"
. "$TWOFOLD_SRC/tests/integration/binlog.sh"

one=$work/one
maria_new one
new_vault "$work/v"
mkdir -p "$work/v/c/policies"
log_options+=(--max-allowed-packet=64M)
began() { "$t" --json logs db >"$work/.out" 2>/dev/null; json began_s log; }
# goes_on: no other epoch than before.
goes_on() { [ "$(began)" = "$epoch" ] || fail "the log began anew ($1): $(cat "$work/.keep")"; }
comes_to() { # STATUS ROW WHAT [OPTION…]
    local status=$1 row=$2 what=$3
    shift 3
    clean "$work/r"
    expect "$status" "$t" restore db --to "$work/r" "$@" && ledger_is "$work/r" "$row" "$what"
}

# --- servers of which no log can be followed, and what they lack, with the statement -----------------------------------------
maria_start "$one" || finish
expect 3 "$t" policy add none --mariadb="$one/sock" --logs 1s --schedule none && said "writes no binary log" && said "log_bin = binlog, server_id = 1"
follow none
keeper_ends "writes no binary log"
maria_stop "$one"
maria_start "$one" --log-bin=bl --server-id=7 --binlog-format=STATEMENT || finish
follow none
keeper_ends "binlog_format is STATEMENT"
maria_stop "$one"
maria_start "$one" --log-bin=bl --server-id=7 --binlog-ignore-db=scratch || finish
rm "$work/v/c/policies/none.yaml"
expect 3 "$t" policy add none --mariadb="$one/sock" --logs 1s --schedule none && said "binlog_ignore_db: scratch" && said "binlog_format is MIXED"
rm "$work/v/c/policies/none.yaml"
maria_stop "$one"
maria_start "$one" "${log_options[@]}" || finish
make_ledger "$one"
maria_sql "$one" "CREATE USER b@localhost IDENTIFIED BY 'right-Pw-1'; GRANT RELOAD, PROCESS, BINLOG MONITOR ON *.* TO b@localhost"
printf '[client]\nuser=b\npassword=right-Pw-1\n' >"$work/b.cnf"
chmod 600 "$work/b.cnf"
expect 3 "$t" policy add db --mariadb="$one/sock" --defaults-file "$work/b.cnf" --logs 1s --schedule none && said "GRANT REPLICATION SLAVE ON \*\.\* TO .b.@.localhost."
follow db
keeper_ends "lacks the right to follow"
maria_sql "$one" "GRANT REPLICATION SLAVE ON *.* TO b@localhost"

# --- the server is killed; the keeper, the agent ----------------------------------------------------------------------------------
follow db
expect 0 "$t" backup db
load "$one"
sleep 1
caught_up "$one" db
epoch=$(began)
maria_stop "$one"
keeper_ends "has ended the stream|server is running|is the server running"
maria_start "$one" "${log_options[@]}" || finish
follow db
sleep 1
caught_up "$one" db
goes_on "the server was restarted"
maria_stop "$one" KILL
keeper_ends "has ended the stream|server is running|is the server running"
unload
# It died within an event: what is there of it does not count.
last=$(basename "$(tail -n 1 "$one/data/bl.index")")
head -c 60 "$one/data/$last" | tail -c 40 >>"$one/data/$last"
maria_start "$one" "${log_options[@]}" || finish
add_rows "$one" 5
follow db
caught_up "$one" db
goes_on "the server was killed"
comes_to 0 "$(last_id "$one")" "after the server was killed"
load "$one"
for _ in 1 2 3; do
    sleep 0.4
    agent=$(pgrep -P "$keeper" -f twofold-agent | head -n 1)
    case $_ in
    2) kill -9 "$agent" ;;
    *) kill -9 "$keeper" "$agent" ;;
    esac
    wait "$keeper" 2>/dev/null
    maria_sql "$one" "FLUSH BINARY LOGS"
    follow db
done
# In the middle of a large event: pieces of it are durable.
mariadb --no-defaults -S "$one/sock" -D app --max-allowed-packet=64M -e "INSERT INTO big (body) SELECT REPEAT(MD5(RAND()), 600000); UPDATE big SET sum = MD5(body)" || fail "the large row"
sleep "0.$((RANDOM % 4))"
kill -9 "$(pgrep -P "$keeper" -f twofold-agent | head -n 1)"
wait "$keeper" 2>/dev/null
follow db
unload
caught_up "$one" db
goes_on "kills"
comes_to 0 "$(last_id "$one")" "after kills"
check_big() { [ "$(maria_sql "$restored" "SELECT COUNT(*) FROM app.big WHERE sum = MD5(body)")" = 1 ] || fail "the large row is not right"; }
with_restored "$work/r" check_big

# --- it drops what nobody has: a gap, which is named ---------------------------------------------------------------------------
expect 0 "$t" backup db # without the large row's history
moved=$(last_id "$one")
sleep 1.1
moment=$(date -u +%Y-%m-%dT%H:%M:%SZ)
sleep 1.1
add_rows "$one" 1
caught_up "$one" db
unfollow
before_gap=$(last_id "$one")
maria_sql "$one" "FLUSH BINARY LOGS"
add_rows "$one" 5
maria_sql "$one" "FLUSH BINARY LOGS"
last=$(maria_sql "$one" "SHOW MASTER STATUS" | cut -f 1)
maria_sql "$one" "PURGE BINARY LOGS TO '$last'"
follow db
caught_up "$one" db
grep -q "does not go on: the server has dropped what came next; it begins anew with bl.[0-9]*: to restore what comes now, a backup is needed" "$work/.keep" || fail "not said: $(cat "$work/.keep")"
[ "$(began)" != "$epoch" ] || fail "the log did not begin anew"
comes_to 3 "$before_gap" "before the gap"
said "does not go on: what comes behind bl\.[0-9]+, position [0-9]+, is not kept: there is a gap"
comes_to 0 "$moved" "a moment before the gap" --at "$moment"
expect 0 "$t" backup db
add_rows "$one" 5
caught_up "$one" db
comes_to 0 "$(last_id "$one")" "a backup from behind the gap"

# --- RESET MASTER, and as many files as before; while it is followed, and while nobody does ------------------------------------------
reset() {
    local last
    last=$(maria_sql "$one" "SHOW MASTER STATUS" | cut -f 1)
    maria_sql "$one" "RESET MASTER"
    add_rows "$one" 3
    until [ "$(maria_sql "$one" "SHOW MASTER STATUS" | cut -f 1)" \> "$last" ]; do maria_sql "$one" "FLUSH BINARY LOGS"; done
    add_rows "$one" 3
}
began_anew() { grep -c "the server's logs were reset, or it was put back; it begins anew with bl.000001" "$work/.keep"; }
before=$(last_id "$one")
unfollow
reset
follow db
caught_up "$one" db
grep -qE "does not go on: the server('s logs were reset, or it was put back| has less of that file than was kept)" "$work/.keep" || fail "not said: $(cat "$work/.keep")"
comes_to 3 "$before" "before it was reset"
expect 0 "$t" backup db
maria_sql "$one" "RESET MASTER"
add_rows "$one" 2
# The server may have ended the stream by then.
for _ in $(seq 100); do
    kill -0 "$keeper" 2>/dev/null || break
    [ "$(began_anew)" = 0 ] || break
    sleep 0.1
done
kill -0 "$keeper" 2>/dev/null || follow db
caught_up "$one" db
comes_to 3 $((before + 6)) "before it was reset while it was followed"
said "another life of the server"
expect 0 "$t" backup db
add_rows "$one" 4
caught_up "$one" db
comes_to 0 "$(last_id "$one")" "after that"
# Its first file: the new one has the same name, and is shorter.
before=$(last_id "$one") times=$(began_anew)
maria_sql "$one" "RESET MASTER"
add_rows "$one" 1
for _ in $(seq 100); do
    [ "$(began_anew)" = "$times" ] || break
    sleep 0.1
done
[ "$(began_anew)" = $((times + 1)) ] || fail "it was not said that the first file was reset: $(cat "$work/.keep")"
kill -0 "$keeper" || fail "the keeper does not go on: $(cat "$work/.keep")"
for _ in $(seq 100); do
    "$t" --json logs db >"$work/.out" 2>/dev/null
    [ "$(json position log)" != "$(maria_sql "$one" "SHOW MASTER STATUS" | cut -f 2)" ] || break
    sleep 0.1
done
comes_to 3 "$before" "before its first file was reset"
said "what comes behind bl\.000001, position [0-9]+, is not kept: there is a gap"
# The same, and nobody new gets to the server: the keeper ends with that, and the next one goes on.
add_rows "$one" 40
caught_up "$one" db
mv "$one/sock" "$one/sock.away"
mariadb --no-defaults -S "$one/sock.away" -e "RESET MASTER"
keeper_ends "Can't connect"
grep -q 'connection was closed' "$work/.keep" && fail "the agent crashed: $(cat "$work/.keep")"
mv "$one/sock.away" "$one/sock"
follow db
add_rows "$one" 3
caught_up "$one" db
expect 0 "$t" backup db
unfollow

# --- a file of the log is in no copy any more, and the one before it is as long: a gap, too. A stream of its own, of few objects ------------
newest() { find "$work/v/a/logs" -mindepth 2 -name '0*-*' -newer "$work/mark" -printf '%f\n' | cut -d - -f 2 | sort -n | tail -n 1 | sed 's/^0*//'; }
another() { maria_sql "$one" "FLUSH BINARY LOGS" && add_rows "$one" 1 && caught_up "$one" hole; }
touch "$work/mark"
expect 0 "$t" policy add hole --mariadb="$one/sock" --logs 1s --schedule none
follow hole
expect 0 "$t" backup hole
another
before=$(last_id "$one") first=$(newest)
another
last=$(newest)
another
[ "$(maria_sql "$one" "SHOW BINARY LOGS" | tail -n 3 | head -n 2 | cut -f 2 | uniq | wc -l)" = 1 ] || fail "the files are not equally long"
unfollow
# The end of each file is a piece of its own.
lost=0
find "$work/v" -path '*/logs/*/0*-*' -newer "$work/mark" >"$work/newer"
while read -r object; do
    at=$((10#$(basename "$object" | cut -d - -f 1)))
    [ "$at" -lt $((first + 2)) ] || [ "$at" -gt $((last + 1)) ] || { rm "$object"; lost=$((lost + 1)); }
done <"$work/newer"
[ "$lost" -ge 4 ] || fail "only $lost objects were lost"
clean "$work/r"
expect 3 "$t" restore hole --to "$work/r" && said "what comes behind bl\.[0-9]+, position [0-9]+, is not kept: there is a gap"
ledger_is "$work/r" "$before" "before a file that is lost"
follow db
caught_up "$one" db
unfollow

# --- an event that is damaged in the server's own file is not kept, and said --------------------------------------------------------
kept=$(last_id "$one")
file=$(maria_sql "$one" "SHOW MASTER STATUS" | cut -f 1)
add_rows "$one" 3
maria_sql "$one" "FLUSH BINARY LOGS"
python3 - "$one/data/$file" <<'P'
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(-200, 2)
    b = f.read(1)
    f.seek(-1, 1)
    f.write(bytes([b[0] ^ 1]))
P
follow db
keeper_ends "the server's own log is damaged: $file, at position [0-9]+"
clean "$work/r"
expect 0,3 "$t" restore db --to "$work/r"
check_less() {
    local got
    got=$(ledger_of "$restored")
    [ "${got##* }" = 0 ] && [ "${got%% *}" -ge "$kept" ] && [ "${got%% *}" -lt $((kept + 3)) ] || fail "with a damaged event: $got, behind $kept"
}
with_restored "$work/r" check_less
finish
