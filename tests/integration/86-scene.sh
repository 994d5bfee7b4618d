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
[ -z "$(ls "$one/data" "$one/space" | grep -v ':$' | tr -d '\n')" ] || fail "something stays: $(ls "$one/data" "$one/space")"
[ -f "$one/data/.twofold-scene-one/global/pg_control" ] || fail "the scene is not whole"
find "$one" -path '*twofold-scene*' -type f -printf '%P %s %T@\n' | sort >"$work/scene"
expect 0 host scene db one
[ "$(place 1 moved)" = False ] || fail "the scene was set aside twice"
expect 0 "$t" restore db --in-place --no-logs
find "$one" -path '*twofold-scene*' -type f -printf '%P %s %T@\n' | sort | cmp -s - "$work/scene" || fail "a restore has changed the scene"
pg_start "$one" && [ "$(pg_sql "$one" "SELECT n FROM elsewhere")" = 7 ] || fail "what came back is not whole"
finish
