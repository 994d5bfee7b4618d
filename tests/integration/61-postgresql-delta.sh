#!/bin/bash
# 61-postgresql-delta.sh - restore --delta of a PostgreSQL cluster: what a server has made of an earlier restore, or of the original, becomes what
# the backup has, and little of it is written; nothing that the server made since stays among it; killed anywhere, the same command ends well, and
# another one is not misled.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"

one=$work/one
pg_new one
echo "autovacuum = off" >>"$one/data/postgresql.conf"
pg_start "$one" || finish
pg_sql "$one" "CREATE TABLE t (i int PRIMARY KEY, x text)"
pg_sql "$one" "INSERT INTO t SELECT i, encode(sha512((i || 'a')::bytea), 'hex') || encode(sha512((i || 'b')::bytea), 'hex') FROM generate_series(1, 10000) i"
pg_sql "$one" "CREATE TABLE big AS SELECT i, encode(sha512((i || 'c')::bytea), 'hex') || encode(sha512((i || 'd')::bytea), 'hex') AS x FROM generate_series(1, 60000) i"
pg_sql "$one" "VACUUM big"
pg_sql "$one" "DELETE FROM t WHERE i <= 5000"
pg_sql "$one" "CREATE TABLE marker AS SELECT 'saved'::text AS word"
new_vault "$work/v"
policy_add db --postgresql "host=$one user=postgres" --schedule none
expect 0 "$t" backup db
sums() { pg_sql "$1" "SELECT count(*), sum(hashtext(x)::bigint), (SELECT word FROM marker), (SELECT sum(hashtext(x)::bigint) FROM big) FROM t"; }
want=$(sums "$one")

old_rows() { # by the map that says which pages all may see
    pg_sql "$1" "SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT count(*) FROM t WHERE i <= 5000"
}
use() { # DIR: what a server that is used makes of it; then a few pages are spoilt
    pg_sql "$1" "VACUUM t"
    pg_sql "$1" "CREATE TABLE later AS SELECT generate_series(1, 5000) AS i; UPDATE marker SET word = 'later'; DELETE FROM t WHERE i BETWEEN 9000 AND 9100"
    pg_sql "$1" "UPDATE big SET i = i WHERE i IN (100, 30000)"
    pg_sql "$1" "VACUUM t"
    file=$(pg_sql "$1" "SELECT pg_relation_filepath('big')")
    pg_stop "$1"
    dd if=/dev/urandom of="$1/data/$file" bs=8192 seek=100 count=3 conv=notrunc 2>/dev/null
    : >"$1/data/standby.signal"
}
is_as_saved() { # DIR WHAT
    pg_start "$1" "-c unix_socket_directories=$1" || return
    [ "$(sums "$1")" = "$want" ] || fail "$2: $(sums "$1") instead of $want"
    [ "$(old_rows "$1")" = 0 ] || fail "$2: rows that were deleted are back"
    pg_sql "$1" "SELECT 1 FROM pg_class WHERE relname = 'later'" | grep -q . && fail "$2: a table that the backup has not"
    [ "$(pg_sql "$1" "SELECT pg_is_in_recovery()")" = f ] || fail "$2: it does not end its recovery"
}

# --- onto a restore that was used ------------------------------------------------------------------------------------------
expect 0 "$t" --json restore db --to "$work/r"
whole=$(json bytes)
install -d -o postgres "$work/two" && ln -s "$work/r/postgresql/data" "$work/two/data"
pg_start "$work/two" "-c unix_socket_directories=$work/two"
expect 5 "$t" restore db --to "$work/r" --delta && said 'a server \(process [0-9]+\) works on'
use "$work/two"
expect 0 "$t" --json restore db --to "$work/r" --delta --verify
few=$(json bytes)
say "written: $few bytes of $whole"
[ "${few:-$whole}" -lt $((whole / 2)) ] || fail "--delta wrote $few of $whole bytes"
[ ! -e "$work/r/postgresql/data/standby.signal" ] || fail "what the backup has not stayed"
find "$work/r"/.twofold-extra-* -name standby.signal | grep -q . || fail "what the backup has not was not set aside"
is_as_saved "$work/two" "onto a restore that was used"

# --- in place: the original's own files are mended ------------------------------------------------------------------------------
use "$one"
expect 0 "$t" --json restore db --in-place --delta
few=$(json bytes)
say "in place: $few bytes of $whole"
[ "${few:-$whole}" -lt $((whole / 2)) ] || fail "--in-place --delta wrote $few of $whole bytes"
said 'what the backup does not have of .* is below .*\.twofold-before-'
is_as_saved "$one" "in place"

# --- another database, and what is found too late -------------------------------------------------------------------------------
pg_new three && pg_start "$work/three" && pg_stop "$work/three"
install -d "$work/other/postgresql" && mv "$work/three/data" "$work/other/postgresql/data"
expect 5 "$t" restore db --to "$work/other" --delta && said 'another database lies in'
[ -e "$work/other/postgresql/data/global/pg_control" ] || fail "another database was touched"
expect 2 "$t" restore db --in-place --delta --lsn 0/1 && said 'leave --delta out'

# --- killed --------------------------------------------------------------------------------------------------------------------
use "$one"
TWOFOLD_FAULT=count:$work/steps TWOFOLD_FAULT_PROGRAM=twofold-agent expect 0 "$t" restore db --in-place --delta
steps=$(cat "$work/steps" 2>/dev/null)
is_as_saved "$one" "in place, once more"
if [ "${steps:-0}" -lt 200 ]; then
    skip_part "kills (a build without fault points)"
    finish
fi
# One that stalls keeps others out: it would go on with files of which they have made a server's.
use "$one"
TWOFOLD_FAULT=stop@$((steps / 2)) TWOFOLD_FAULT_PROGRAM=twofold-agent "$t" restore db --in-place --delta >"$work/first" 2>&1 &
first=$!
stopped=""
for _ in $(seq 200); do
    stopped=$(ps -o pid=,stat= --ppid "$first" | awk '$2 ~ /^T/ { print $1 }')
    [ -z "$stopped" ] || break
    sleep 0.05
done
[ -n "$stopped" ] || fail "the agent was not stopped"
expect 5 "$t" restore db --in-place --delta && said 'another restore works on'
expect 5 "$t" restore db --in-place && said 'another restore works on'
kill -CONT "$stopped"
wait "$first" || fail "the first one failed: $(tail -n 3 "$work/first")"
is_as_saved "$one" "beside another one"

# One without --delta breaks off, then comes one with it: what that one has brought is not of the server's own files.
use "$one"
{ TWOFOLD_FAULT=kill@$((steps / 2)) TWOFOLD_FAULT_PROGRAM=twofold-agent expect 1 "$t" restore db --in-place; } 2>/dev/null
expect 0 "$t" restore db --in-place --delta && said "the server's own files are in .*/data now" && not_said 'with --set-aside'
is_as_saved "$one" "after one without --delta"
find "$one/data" -maxdepth 1 -name '.twofold-*' -exec rm -rf {} +

killed=0
for at in $(if [ -n "$sweep_full" ]; then seq 20 7 "$steps"; else echo 24 40 60 $((steps / 3)) $((steps / 2)) $((steps - 40)) $((steps - 12)) $((steps - 4)); fi); do
    use "$one"
    { TWOFOLD_FAULT=kill@$at TWOFOLD_FAULT_PROGRAM=twofold-agent expect 0,1 "$t" restore db --in-place --delta; } 2>/dev/null
    if [ "$status" != 0 ]; then
        killed=$((killed + 1))
        [ ! -e "$one/data/global/pg_control" ] || [ -e "$one/data/standby.signal" ] || [ "$at" -gt $((steps - 15)) ] || fail "killed at step $at of $steps: a server would start on something half"
    fi
    if [ $((killed % 2)) = 0 ]; then expect 0 "$t" restore db --in-place --delta; else expect 0 "$t" restore db --in-place; fi
    is_as_saved "$one" "killed at step $at of $steps"
    find "$one/data" -maxdepth 1 -name '.twofold-*' -exec rm -rf {} +
done
[ "$killed" -ge 4 ] || fail "nothing was killed in the middle ($killed)"
finish
