#!/bin/bash
# 72-wal-doubt.sh - a kept log that is not what it should be: names that nobody sealed, objects that are gone or spoilt, numbers that might be used
# twice; and moments that are hard to come to: long before their log was had, at the end of what is kept, behind a tablespace that was made
# or a setting that was raised since the backup.
# long
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/wal.sh"

one=$work/one
pg_new one --wal-segsize=1
pg_start "$one" || finish
make_ledger "$one"
new_vault "$work/v"
db_policy db "$one"
follow db
expect 0 "$t" backup db
add_rows "$one" 10
caught_up "$one" db
unfollow
rows() { pg_sql "$one" "SELECT max(id) FROM ledger"; }
comes_to() { # STATUS ROW [OPTION…]
    local status=$1 row=$2
    shift 2
    clean "$work/r"
    expect "$status" "$t" restore db --to "$work/r" "$@"
    ledger_is "$work/r" "$row" "$what${1:+, $*}"
}
stream=$(ls "$a/logs")

# --- a name that nobody sealed --------------------------------------------------------------------------------------------
what="a made-up name"
bogus=0000000000000001-9999999999999999-$(printf 'ab%.0s' {1..32})
echo x >"$b/logs/$stream/$bogus"
comes_to 0 10 --verify
follow db
add_rows "$one" 1
caught_up "$one" db
"$t" --json logs db >"$work/.out"
grep -q '"complete":true.*"complete":true' "$work/.out" || fail "a made-up name keeps a copy out: $(cat "$work/.out")"
unfollow
rm "$b/logs/$stream/$bogus"
comes_to 0 11 --from a
comes_to 0 11 --from b

# --- the newest object is spoilt in the only copy that has it ------------------------------------------------------------------
what="a spoilt newest object"
mv "$b" "$b.away"
follow db
add_rows "$one" 5
caught_up "$one" db
unfollow
mv "$b.away" "$b"
newest=$(find "$a/logs/$stream" -maxdepth 1 -type f -printf "%f\n" | sort | tail -n 1)
cp "$a/logs/$stream/$newest" "$work/kept"
printf 'ZZZZ' | dd of="$a/logs/$stream/$newest" bs=1 seek=60 conv=notrunc 2>/dev/null
comes_to 3 11 && said 'was followed up to'
follow db
add_rows "$one" 1
caught_up "$one" db
unfollow
cp "$work/kept" "$a/logs/$stream/$newest"
comes_to 0 "$(rows)"

# --- a keeper is killed between two copies, and the one that has more is away when the next one comes --------------------------------
what="a number that might be used twice"
before=$(find "$a/logs/$stream" -maxdepth 1 -type f -printf "%f\n" | sort | tail -n 1)
cp "$work/v/s/logs/db.json" "$work/state"
follow db
add_rows "$one" 1
for _ in $(seq 50); do
    after=$(find "$a/logs/$stream" -maxdepth 1 -type f -printf "%f\n" | sort | tail -n 1)
    [ "$after" != "$before" ] && break
    sleep 0.1
done
kill -KILL "$keeper"
wait "$keeper" 2>/dev/null
keeper=""
sleep 0.5
for name in "$a/logs/$stream"/[0-9]*; do
    name=${name##*/}
    [[ $name > $before ]] || continue
    rm -f "$b/logs/$stream/$name"
    [ "$name" = "$after" ] || rm "$a/logs/$stream/$name"
done
cp "$work/state" "$work/v/s/logs/db.json"
mv "$a" "$a.away"
add_rows "$one" 300
follow db
caught_up "$one" db
unfollow
mv "$a.away" "$a"
comes_to 0 "$(rows)"
follow db
for _ in $(seq 18); do
    add_rows "$one" 3
    caught_up "$one" db
done
unfollow
comes_to 0 "$(rows)" --from a
comes_to 0 "$(rows)" --from b

# --- the log of a time when nobody followed comes late ---------------------------------------------------------------------------------
what="log that was had late"
add_rows "$one" 2000
sleep 1.1
moment=$(pg_sql "$one" "SELECT clock_timestamp()") then=$(rows)
sleep 1.1
add_rows "$one" 2000
TWOFOLD_FAULT=clock+3600 TWOFOLD_FAULT_PROGRAM=twofold-agent follow db
caught_up "$one" db
unfollow
comes_to 0 "$then" --at "$moment" --verify

# --- the position that is shown as the end --------------------------------------------------------------------------------------------------
what="the end of what is kept"
"$t" --json logs db >"$work/.out"
position=$(json position log)
comes_to 0 "$(rows)" --lsn "$(printf '%X/%X' $((position >> 32)) $((position & 0xffffffff)))" --verify

# --- settings that were raised since the backup ------------------------------------------------------------------------------------------------
what="max_connections raised"
pg_sql "$one" "ALTER SYSTEM SET max_connections = 60"
pg_stop "$one"
pg_start "$one"
follow db
add_rows "$one" 5
caught_up "$one" db
comes_to 0 "$(rows)" --verify

# --- a tablespace was made since: to replay that would empty the live one ---------------------------------------------------------------------------
what="a tablespace made since"
install -d -o postgres -m 700 "$work/space"
last=$(rows)
pg_sql "$one" "CREATE TABLESPACE later LOCATION '$work/space'"
pg_sql "$one" "CREATE TABLE live TABLESPACE later AS SELECT i FROM generate_series(1, 5000) i"
add_rows "$one" 5
caught_up "$one" db
pg_sql "$one" CHECKPOINT
comes_to 3 "$last" --verify && said 'a tablespace was made at'
[ "$(pg_sql "$one" "SELECT count(*), sum(i) FROM live")" = "5000|12502500" ] || fail "the live tablespace was touched"
expect 0 "$t" backup db
add_rows "$one" 5
caught_up "$one" db
comes_to 0 "$(rows)"
unfollow

# --- gone in every copy: the policy and this machine know that there was one ----------------------------------------------------------------------------
what="the log is gone"
last=$(rows)
mv "$a/logs" "$a/gone" && mv "$b/logs" "$b/gone"
clean "$work/r"
expect 3 "$t" restore db --to "$work/r" && said 'does not go on'
mv "$a/gone" "$a/logs" && mv "$b/gone" "$b/logs"
comes_to 0 "$last"
finish
