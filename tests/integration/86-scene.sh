#!/bin/bash
# 86-scene.sh - on a database's host: how it is, a command, the scene set aside and left alone by the restores that follow; what the
# server's log had that was not kept yet comes back from there.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/wal.sh"

host() { TWOFOLD_AGENT=$(dirname "$t")/twofold-agent "$TEST_PROGRAMS/integration/prog_host" "$@"; }
one=$work/one
# of FACT KEY: a field of a fact of the last command
of() {
    python3 -c '
import json, sys
text = open(sys.argv[3]).read()
for f in json.loads(text[text.index("{"):])["facts"]:
    if f["fact"] == sys.argv[1]:
        print(f.get(sys.argv[2]))
        break' "$1" "$2" "$work/.out"
}
# place N KEY: a field of a place of the last scene
place() {
    python3 -c '
import json, sys
text = open(sys.argv[3]).read()
print(json.loads(text[text.index("{"):])["places"][int(sys.argv[1])].get(sys.argv[2]))' "$1" "$2" "$work/.out"
}

pg_new one --wal-segsize=1
pg_start "$one" || finish
make_ledger "$one"
install -d -o postgres -m 700 "$one/space"
pg_sql "$one" "CREATE TABLESPACE far LOCATION '$one/space'"
pg_sql "$one" "CREATE TABLE elsewhere TABLESPACE far AS SELECT 7 AS n"
new_vault "$work/v"
db_policy db "$one"
expect 0 "$t" backup db

# --- how it is -----------------------------------------------------------------------------------------------------
expect 0 host facts db
[ "$(of server running)" = True ] || fail "a server runs, and it is not told"
[ "$(of programs verdict)" = good ] || fail "the server's programs are not found"
[ "$(of space verdict)" = good ] && [ "$(of space free_bytes)" -gt 0 ] || fail "no room is told of"
[ "$(of filesystem type)" = tmpfs ] || skip_part "the folder is no tmpfs"
[ "$(of clock verdict)" = good ] || fail "the clock of this very host is wrong"
expect 0 host run db one -- /bin/sh -c 'echo said; echo more >&2; exit 7' && said '"status": 7' && said 'said.nmore'
export HOST_LIMIT_S=1
expect 0 host run db one -- /bin/sleep 20 && said '"timed_out": true'

# --- the scene ------------------------------------------------------------------------------------------------------
expect 5,1 host scene db one && said 'works on'
pg_stop "$one" immediate
expect 0 host scene db one
[ "$(place 1 moved)" = True ] && [ "$(place 1 scene)" = "$one/data/.twofold-scene-one" ] || fail "the scene is not where it should be"
[ "$(place 0 place)" = "$one/space" ] || fail "the tablespace was not set aside"
[ -z "$(find "$one/data" "$one/space" -mindepth 1 -maxdepth 1 ! -name '.twofold-*')" ] || fail "something stays: $(ls "$one/data" "$one/space")"
[ -f "$one/data/.twofold-scene-one/global/pg_control" ] || fail "the scene is not whole"
find "$one" -path '*twofold-scene*' -type f -printf '%P %s %T@\n' | sort >"$work/scene"
expect 0 host scene db one
[ "$(place 1 moved)" = False ] || fail "the scene was set aside twice"
expect 0 "$t" restore db --in-place --no-logs
find "$one" -path '*twofold-scene*' -type f -printf '%P %s %T@\n' | sort | cmp -s - "$work/scene" || fail "a restore has changed the scene"
pg_start "$one" && [ "$(pg_sql "$one" "SELECT n FROM elsewhere")" = 7 ] || fail "what came back is not whole"
pg_stop "$one"

# --- its file system is not mounted: nothing is made in its place ------------------------------------------------------
mv "$one/data" "$one/away"
echo "/dev/none $one ext4 noauto 0 0" >"$work/fstab"
export TWOFOLD_FAULT=fstab:$work/fstab
expect 0 host facts db && [ "$(of filesystem verdict)" = bad ] && said "$one of /etc/fstab is not mounted"
expect 5 host scene db none && said "$one of /etc/fstab is not mounted" && [ ! -e "$one/data" ] || fail "a folder was made on the disk below"
mkdir "$one/data"
expect 5 host scene db none && said 'is not mounted'
rmdir "$one/data"
mv "$one/away" "$one/data"
expect 0 host facts db && said 'can be written' && [ "$(of filesystem verdict)" = good ] || fail "what is there is told to be missing"
unset TWOFOLD_FAULT
pg_start "$one"

# --- what the server had acknowledged, and nobody had kept yet --------------------------------------------------------
# fact KEY: of what was recovered
fact() { json facts restore | python3 -c 'import json, sys; print(json.load(sys.stdin)["recovered"][0].get(sys.argv[1]))' "$1"; }
# crash NAME ROWS: that many more rows, then the server is gone and its scene set aside
crash() {
    add_rows "$one" "$2"
    all=$(pg_sql "$one" "SELECT max(id) FROM ledger")
    pg_stop "$one" immediate
    expect 0 host scene db "$1"
    scene=$one/data/.twofold-scene-$1
}
# back WANTED WHAT: the server that was restored in place has so many rows
back() {
    pg_start "$one" || return
    local got
    got=$(pg_sql "$one" "SELECT max(id) || ' ' || count(*) FROM ledger")
    [ "$got" = "$1 $(($1 + 1))" ] || fail "$2: rows $got instead of $1 $(($1 + 1))"
}
follow db
expect 0 "$t" backup db
add_rows "$one" 100
caught_up "$one" db
unfollow
pg_sql "$one" "INSERT INTO elsewhere SELECT generate_series(1, 5000)"
crash two 3000
expect 0 "$t" --json restore db --in-place --no-logs
expect 0 "$t" --json restore db --in-place
kept=$(fact position)
old=$(find "$one/space/PG_"* -type f -exec sha256sum {} + | sort)
expect 0 "$t" --json restore db --in-place --verify --salvage "postgresql=$scene"
[ "$(fact gap)" = "" ] || fail "something is said to be lost: $(fact gap)"
[ "$(fact position)" != "$kept" ] && [ "$(fact last_commit_at)" != 0.0 ] || fail "the end of the log is not told"
before=$(ls -d "$one/space/.twofold-before-"* | tail -n 1)
[ "$(cd "$before" && find PG_* -type f -exec sha256sum {} + | sed "s|  |  $one/space/|" | sort)" = "$old" ] || fail "the verification has changed the tablespace that was there"
back "$all" "all that was acknowledged"
[ "$(pg_sql "$one" "SELECT count(*) FROM elsewhere")" = 5001 ] || fail "the tablespace is not as it was"

# --- a log that nobody keeps: what survived goes on from the backup's end ------------------------------------------------
db_policy alone "$one"
sed -i '/logs:/d' "$TWOFOLD_CONFIG/policies/alone.yaml"
pg_sql "$one" "DROP TABLE elsewhere"
pg_sql "$one" "DROP TABLESPACE far"
expect 0 "$t" backup alone
least=$(pg_sql "$one" "SELECT max(id) FROM ledger")
for _ in $(seq 12); do add_rows "$one" 1500; done
all=$(pg_sql "$one" "SELECT max(id) FROM ledger")
pg_stop "$one" immediate

# A kill at any step leaves what the next call goes on with.
before=$(cd "$one/data" && find . -path ./.twofold-\* -prune -o -type f -print | sort)
for step in 1 2 5 11 17; do
    TWOFOLD_FAULT=kill@$step TWOFOLD_FAULT_PROGRAM=twofold-agent expect 0,1 host scene alone three 2>/dev/null
    [ ! -e "$one/data/global/pg_control" ] || [ -e "$one/data/PG_VERSION" ] || fail "a server could start on what is half there"
done
expect 0 host scene alone three
scene=$one/data/.twofold-scene-three
[ "$(cd "$scene" && find . -type f ! -name '.twofold-*' | sort)" = "$before" ] || fail "the scene is not what was there"

# from FOLDER LEAST MOST STATUS WHAT: restored elsewhere with what survived there
from() {
    clean "$work/r"
    expect "$4" "$t" --json restore alone --to "$work/r" --salvage "$1" || return
    ledger_between "$work/r" "$2" "$3" "$5"
}
from "$scene" "$all" "$all" 0 "no log is kept"
# Segments of the scene, to be spoilt.
spoil=$work/spoil
again() { clean "$spoil" && mkdir -p "$spoil/global" && cp -a "$scene/pg_wal" "$spoil" && cp "$scene/global/pg_control" "$spoil/global"; }
written() { # in their order: the segments that the server wrote since the backup
    python3 -c '
import os, struct, sys
for name in sorted(n for n in os.listdir(sys.argv[1]) if len(n) == 24):
    at, = struct.unpack_from("<Q", open(os.path.join(sys.argv[1], name), "rb").read(16), 8)
    if at == int(name[8:16], 16) * (1 << 32) + int(name[16:], 16) * (1 << 20):
        print(name)' "$spoil/pg_wal"
}
again
last=$(written | tail -n 1) middle=$(written | tail -n 3 | head -n 1)
printf 'XXXX' | dd of="$spoil/pg_wal/$middle" bs=1 seek=500000 conv=notrunc 2>/dev/null
from "$spoil" "$least" $((all - 1)) 3 "a flipped byte" && said 'damaged or missing behind'
again
rm "$spoil/pg_wal/$middle"
from "$spoil" "$least" $((all - 1)) 3 "a lost segment" && said 'damaged or missing behind'
again
end=$(python3 -c 'import sys; d = open(sys.argv[1], "rb").read(); print(len(d.rstrip(b"\0")))' "$spoil/pg_wal/$last")
truncate -s $((end - 30)) "$spoil/pg_wal/$last"
from "$spoil" "$least" "$all" 0 "a torn end"
again
pg_new two --wal-segsize=1
pg_start "$work/two" && as_pg pgbench -h "$work/two" -U postgres -i -s 1 -q postgres >/dev/null 2>&1
pg_stop "$work/two"
foreign=$(cd "$work/two/data/pg_wal" && find . -name '0000*' -type f | sort | head -n 1)
cp "$work/two/data/pg_wal/$foreign" "$spoil/pg_wal/$middle"
from "$spoil" "$least" $((all - 1)) 3 "another server's segment"
clean "$spoil/pg_wal" && cp -a "$work/two/data/pg_wal" "$spoil/pg_wal"
from "$spoil" "$least" "$least" 3 "another server's log" && said 'what survived of the log'
finish
