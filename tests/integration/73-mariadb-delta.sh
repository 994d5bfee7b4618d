#!/bin/bash
# 73-mariadb-delta.sh - restore --delta of a MariaDB server: what a server has made of an earlier restore, or of the original, becomes what the
# backup has; nothing that the server made since stays; killed anywhere, the same command ends well.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/maria.sh"

one=$work/one
maria_new one
maria_start "$one" || finish
maria_sql "$one" "CREATE DATABASE app; CREATE TABLE app.t (i INT PRIMARY KEY, x VARCHAR(300)); CREATE TABLE app.marker AS SELECT 'saved' AS word;
    INSERT INTO app.t SELECT seq, CONCAT(SHA2(seq, 512), SHA2(-seq, 512)) FROM app.seq_1_to_40000; CREATE TABLE app.a (i INT) ENGINE=Aria; INSERT INTO app.a VALUES (1)"
new_vault "$work/v"
policy_add db --mariadb="$one/sock" --schedule none
expect 0 "$t" backup db
sums() { maria_sql "$1" "SELECT COUNT(*), SUM(CRC32(x)), (SELECT word FROM app.marker), (SELECT SUM(i) FROM app.a) FROM app.t" | xargs; }
want=$(sums "$one")

use() { # DIR: what a server that is used makes of it; then something is spoilt
    maria_sql "$1" "UPDATE app.marker SET word = 'later'; DELETE FROM app.t WHERE i BETWEEN 900 AND 999; CREATE TABLE app.later (i INT); INSERT INTO app.a VALUES (2)"
    maria_stop "$1"
    dd if=/dev/urandom of="$1/data/app/t.ibd" bs=16384 seek=100 count=2 conv=notrunc 2>/dev/null
}
is_as_saved() { # DIR WHAT
    maria_start "$1" || return
    [ "$(sums "$1")" = "$want" ] || fail "$2: $(sums "$1") instead of $want"
    [ "$(maria_sql "$1" "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'later'")" = 0 ] || fail "$2: a table that the backup has not"
    [ ! -e "$1/data/app/later.ibd" ] || fail "$2: a file that the backup has not"
    maria_sql "$1" "CHECK TABLE app.t, app.a, app.marker EXTENDED" | grep -qv 'status.*OK' && fail "$2: CHECK TABLE: $(maria_sql "$1" "CHECK TABLE app.t, app.a, app.marker EXTENDED")"
}

# --- onto a restore that was used ------------------------------------------------------------------------------------------
expect 0 "$t" --json restore db --to "$work/r"
whole=$(json bytes)
maria_stop "$one"
install -d -o mysql "$work/two" && ln -s "$work/r/mariadb/data" "$work/two/data"
maria_start "$work/two" || finish
expect 5 "$t" restore db --to "$work/r" --delta && said 'a server \(process [0-9]+\) works on'
use "$work/two"
expect 0 "$t" --json restore db --to "$work/r" --delta --verify
few=$(json bytes)
say "written: $few bytes of $whole"
[ "${few:-$whole}" -lt $((whole / 2)) ] || fail "--delta wrote $few of $whole bytes"
is_as_saved "$work/two" "onto a restore that was used"
maria_stop "$work/two"

# --- in place: the original's own files are mended ------------------------------------------------------------------------------
maria_start "$one" && use "$one"
TWOFOLD_FAULT=count:$work/steps TWOFOLD_FAULT_PROGRAM=twofold-agent expect 0 "$t" restore db --in-place --delta
said 'what the backup does not have of .* is below .*\.twofold-before-'
is_as_saved "$one" "in place"

# --- killed --------------------------------------------------------------------------------------------------------------------
steps=$(cat "$work/steps" 2>/dev/null)
if [ "${steps:-0}" -lt 100 ]; then
    skip_part "kills (a build without fault points)"
    finish
fi
killed=0 started=0
for at in $(if [ -n "$sweep_full" ]; then seq 20 7 "$steps"; else echo 40 80 120 $((steps / 3)) $((steps / 2)) $((steps * 3 / 4)); fi); do
    use "$one"
    { TWOFOLD_FAULT=kill@$at TWOFOLD_FAULT_PROGRAM=twofold-agent expect 0,1 "$t" restore db --in-place --delta; } 2>/dev/null
    [ "$status" = 0 ] || killed=$((killed + 1))
    if [ "$status" != 0 ] && [ ! -e "$one/data/mysql" ]; then # a unit that restarts the server: it leaves files of its own there
        setpriv --reuid=mysql --regid=mysql --clear-groups env -u TMPDIR timeout 20 mariadbd --no-defaults --datadir="$one/data" --socket="$one/sock" --skip-networking \
            >"$one/started" 2>&1 && fail "killed at step $at of $steps: a server starts on what is left"
        [ ! -e "$one/data/aria_log_control" ] || started=1
    fi
    # by turns the same command, and one without --delta
    if [ $((killed % 2)) = 0 ]; then expect 0 "$t" restore db --in-place; else expect 0 "$t" restore db --in-place --delta; fi
    is_as_saved "$one" "killed at step $at of $steps"
    find "$one" "$one/data" -maxdepth 1 -name '*.twofold-*' -exec rm -rf {} + 2>/dev/null
done
[ "$started" = 1 ] || fail "no server was started on what a kill left"
[ "$killed" -ge 3 ] || fail "too little was killed in the middle ($killed; $steps steps)"
finish
