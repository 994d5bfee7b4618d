#!/bin/bash
# 73-mariadb-log.sh - a MariaDB server's binary log is kept as it is written, byte for byte, and restores come to any moment of it: the last one,
# times by chance, a position, past what says that it is of another time; in place, too; also from one copy alone; with transactions that are larger than a packet.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/maria.sh"
. "$TWOFOLD_SRC/tests/integration/binlog.sh"

one=$work/one
maria_new one
maria_start "$one" "${log_options[@]}" --max-allowed-packet=64M || finish
make_ledger "$one"
new_vault "$work/v"
policy_add db --mariadb="$one/sock" --logs 1s --schedule none && said "sync_binlog is 0" && said "twofold schedule apply"
expect 0 "$t" policy lint
expect 3 "$t" logs db && said 'NOT FOLLOWED yet'
follow db
load "$one"
sleep 0.5
expect 0 "$t" --json backup db
[ "$(json state)" = whole ] || fail "not whole: $(json state)"
expect 0 "$t" ls latest
grep -q "^/mariadb/binlog" "$work/.out" && fail "the closed logs are in the backup, too"

# --- moments by chance, while it goes on; a transaction of three packets, a log that is closed by hand, accounts, another engine -----------
moments=()
maria_sql "$one" "SET TIMESTAMP = 2100000000; CREATE TABLE app.odd (i INT); INSERT INTO app.odd VALUES (1)" # in 2036, says the log
sleep 2.4
moments+=("$(date -u +%Y-%m-%dT%H:%M:%SZ)")
mariadb --no-defaults -S "$one/sock" -D app --max-allowed-packet=64M <<'Q' || fail "the large transaction"
BEGIN;
INSERT INTO big (body) SELECT REPEAT(MD5(RAND()), 600000);
INSERT INTO big (body) SELECT REPEAT(MD5(RAND()), 600);
UPDATE big SET sum = MD5(body);
COMMIT;
CREATE USER later@localhost IDENTIFIED BY 'x'; GRANT SELECT ON app.* TO later@localhost;
CREATE TABLE m (i INT) ENGINE=MyISAM; INSERT INTO m VALUES (1), (2);
FLUSH BINARY LOGS;
Q
sleep "1.$((RANDOM % 900))"
moments+=("$(date -u +%Y-%m-%dT%H:%M:%SZ)")
position=$(maria_sql "$one" "SHOW MASTER STATUS; SELECT MAX(id) FROM app.ledger" | xargs)
sleep 1.1
unload
caught_up "$one" db
all=$(last_id "$one")
expect 0 "$t" logs db && said 'complete up to .* in both copies' && said 'kept up to position [0-9]+ of binary log [0-9]+'
expect 0,3 "$t" status && said 'log: +complete up to [0-9]+ s(econds)? ago in both copies'

# --- what the copies have is what the server has -------------------------------------------------------------------------------
/usr/bin/python3 -B "$TWOFOLD_SRC/tests/format/reader.py" "$a" "$pass" logs "$work/read" >"$work/reader.out" 2>&1 || fail "the reader: $(tail -n 2 "$work/reader.out")"
open=$(maria_sql "$one" "SHOW MASTER STATUS" | cut -f 1)
compared=0
for file in $(maria_sql "$one" "SHOW BINARY LOGS" | cut -f 1); do
    kept="$work/read/db-mariadb/1-$((10#${file##*.}))-0000000000000000"
    cp "$one/data/$file" "$work/theirs"
    # The one that is open is marked so.
    [ "$file" != "$open" ] || printf '\0\0' | dd of="$work/theirs" bs=1 seek=21 conv=notrunc status=none
    cmp "$work/theirs" "$kept" || fail "$file is not kept as it is"
    compared=$((compared + 1))
done
[ "$compared" -ge 4 ] || fail "only $compared files were compared"
rm -rf "$work/read" "$work/theirs"

# --- restores ---------------------------------------------------------------------------------------------------------------
expect 0 "$t" restore db --to "$work/r" --verify --from a && said "its log: replayed from the backup's end to bl\.0" && said "tables are right"
check_all() {
    check_last "$all" "the last moment"
    [ "$(maria_sql "$restored" "SELECT COUNT(*) FROM app.big WHERE sum = MD5(body); SELECT MAX(LENGTH(body)) FROM app.big; SELECT COUNT(*) FROM mysql.global_priv WHERE User = 'later'; SELECT COUNT(*) FROM app.m" | xargs)" = "2 19200000 1 2" ] ||
        fail "large rows, accounts or other engines' rows are not there"
}
with_restored "$work/r" check_all
[ ! -e "$work/r/mariadb/.twofold-binlog" ] || fail "the logs stayed"
clean "$work/r"
expect 0 "$t" restore db --to "$work/r" --at "${moments[1]}"
ledger_until "$work/r" "$one" "${moments[1]}"
read -r file at id <<<"$position"
clean "$work/r"
expect 0 "$t" restore db --to "$work/r" --position "$file:$at"
check_near() {
    local got
    got=$(ledger_of "$restored")
    [ "${got##* }" = 0 ] && [ "${got%% *}" -ge $((id - 5)) ] && [ "${got%% *}" -le $((id + 5)) ] || fail "the position: $got instead of about $id"
}
with_restored "$work/r" check_near
clean "$work/r"
expect 0 "$t" restore db --to "$work/r" --no-logs && not_said 'its log'

# --- what is asked for wrongly, or is not there --------------------------------------------------------------------
clean "$work/r"
expect 1,4 "$t" restore db --to "$work/r" --position "${file%.*}.900000:4" && said 'is kept up to .* only'
[ ! -e "$work/r/mariadb/.twofold-replaying" ] || fail "it was replayed"
clean "$work/r"
expect 2 "$t" restore db --to "$work/r" --position nonsense && said 'no position'
clean "$work/r"
expect 1 "$t" restore db --to "$work/r" --position "${file%.*}.000001:4" && said 'take an earlier one'
clean "$work/r"
expect 3 "$t" restore db --to "$work/r" --at '2037-01-01' --from b && said 'known up to'
ledger_is "$work/r" "$all" "a moment that has not come"
unfollow

# --- in place: the moment, too ----------------------------------------------------------------------------------------
want=$(maria_sql "$one" "SELECT MAX(id), COUNT(*), SUM(amount) FROM app.ledger WHERE at < '${moments[0]%Z}'" | xargs)
maria_stop "$one"
expect 0 "$t" restore db --in-place --at "${moments[0]}" && said "its log: replayed" && said "is in $one/data.twofold-before-"
maria_start "$one" "${log_options[@]}"
[ "$(ledger_of "$one")" = "$want 0" ] || fail "in place: $(ledger_of "$one") instead of $want 0"

# --- it is another life now: the log begins anew, an alarm says so, and a backup is needed --------------------------------
add_rows "$one" 3
follow db
caught_up "$one" db
grep -q 'it begins anew with bl.000001: to restore what comes now, a backup is needed' "$work/.keep" || fail "not said: $(cat "$work/.keep")"
clean "$work/r"
expect 3 "$t" restore db --to "$work/r" && said 'another life of the server|there is a gap'
ledger_is "$work/r" "$all" "the end of the old life"
expect 0 "$t" backup db
add_rows "$one" 4
caught_up "$one" db
unfollow

# --- while nobody follows, one session's time is an hour ahead: what was committed behind it, before the moment, is in all the same -------
maria_sql "$one" "SET TIMESTAMP = UNIX_TIMESTAMP() + 3600; INSERT INTO app.odd VALUES (3)"
add_rows "$one" 2
sleep 1.1
moment=$(date -u +%Y-%m-%dT%H:%M:%SZ) until=$(last_id "$one")
sleep 1.1
add_rows "$one" 2
follow db
caught_up "$one" db
unfollow
clean "$work/r"
expect 3 "$t" restore db --to "$work/r" --at "$moment" && said "times in the binary logs do not follow each other .* with 1 transactions of a later time; 0 of an earlier"
check_ahead() {
    check_last "$until" "the new life, behind a time that had not come"
    [ "$(maria_sql "$restored" "SELECT COUNT(*) FROM app.odd WHERE i = 3")" = 1 ] || fail "what has such a time is not there"
}
with_restored "$work/r" check_ahead
grep -rlE 'ledger|later' "$a/logs" "$b/logs" && fail "a copy shows what is in the log"
finish
