#!/bin/bash
# 86-scene-mariadb.sh - a MariaDB server's data folder is set aside, and its binary logs that nobody had kept yet come back from there; what is spoilt of them,
# or another server's, does not.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/maria.sh"
. "$TWOFOLD_SRC/tests/integration/binlog.sh"

host() { TWOFOLD_AGENT=$(dirname "$t")/twofold-agent "$TEST_PROGRAMS/integration/prog_host" "$@"; }
fact() { json facts restore | python3 -c 'import json, sys; print(json.load(sys.stdin)["recovered"][0].get(sys.argv[1]))' "$1"; }
one=$work/one
maria_new one
maria_start "$one" "${log_options[@]}" || finish
make_ledger "$one"
new_vault "$work/v"
policy_add db --mariadb="$one/sock" --logs 1s --schedule none
follow db
add_rows "$one" 50
expect 0 "$t" backup db
add_rows "$one" 50
caught_up "$one" db
unfollow
kept=$(last_id "$one")
add_rows "$one" 2500 # several files
all=$(last_id "$one")
expect 0 host facts db && said '"running": true' && said 'mariadbd fits the backup'
expect 1,5 host scene db one && said 'works on'
maria_stop "$one" KILL
files=$(cd "$one/data" && find . -type f | sort)
for step in 1 2 3; do
    TWOFOLD_FAULT=kill@$step TWOFOLD_FAULT_PROGRAM=twofold-agent expect 0,1 host scene db one 2>/dev/null
done
expect 0 host scene db one
scene=$one/data.twofold-scene-one
[ "$(cd "$scene" && find . -type f ! -name '.twofold-*' | sort)" = "$files" ] && [ -z "$(ls -A "$one/data")" ] || fail "the scene is not what was there"
expect 0 host scene db one && said '"moved": false'

# What comes back, from FOLDER: restored elsewhere, with that many rows at least and at most, and that exit status.
from() {
    clean "$work/r"
    expect "$4" "$t" --json restore db --to "$work/r" ${1:+--salvage "$1"} || return
    check_between() {
        local got
        got=$(ledger_of "$restored")
        [ "${got##* }" = 0 ] && [ "${got%% *}" -ge "$1" ] && [ "${got%% *}" -le "$2" ] || fail "$3: $got instead of $1 to $2"
    }
    with_restored "$work/r" check_between "$2" "$3" "$5"
}
from "" "$kept" "$kept" 0 "what was kept"
spoil=$work/spoil
again() { clean "$spoil" && mkdir "$spoil" && cp "$scene"/bl.0* "$spoil"; }
again
middle=$(cd "$spoil" && find . -name 'bl.0*' | sort | tail -n 2 | head -n 1)
last=$(cd "$spoil" && find . -name 'bl.0*' | sort | tail -n 1)
printf X | dd of="$spoil/$middle" bs=1 seek=100000 conv=notrunc status=none
from "$spoil" "$kept" $((all - 1)) 3 "a flipped byte" && said 'damaged behind'
again
truncate -s -20 "$spoil/$last"
from "$spoil" $((all - 2)) "$all" 0 "a torn end"
again
rm "$spoil/$middle"
from "$spoil" "$kept" $((all - 1)) 3 "a lost file" && said 'is missing, and later ones are there'
again
for file in "$spoil"/bl.0*; do printf 'ABCDEFGH' | dd of="$file" bs=1 seek=4 conv=notrunc status=none; done
from "$spoil" "$kept" "$kept" 3 "another server's log" && said "not that of this server's life"

# In place, all of it, looked at.
expect 0 "$t" --json restore db --in-place --verify --salvage "mariadb=$scene"
[ "$(fact gap)" = "" ] && [ "$(fact last_commit_at)" -gt 0 ] || fail "what was recovered is not told: $(json facts restore)"
[ -f "$scene/ibdata1" ] || fail "the restore has moved the scene"
maria_start "$one" "${log_options[@]}" && [ "$(last_id "$one")" = "$all" ] || fail "not all that was committed is back: $(last_id "$one") of $all"

# The data folder is gone.
maria_stop "$one" KILL
clean "$one/data"
expect 0 host scene db two && said 'was not there: it is made'
expect 0 "$t" restore db --in-place --verify
maria_start "$one" "${log_options[@]}" && [ "$(last_id "$one")" = "$kept" ] || fail "what was gone is not back"

# Its files, then the folder, are deleted under a server, which goes on answering: nothing else may be put in its place.
find "$one/data" -mindepth 1 -delete
expect 1,5 host scene db three && said 'works on'
rmdir "$one/data"
expect 1,5 host scene db three && said 'works on'
[ ! -e "$one/data" ] || fail "a folder was made where a server works"
maria_stop "$one" KILL
expect 0 host scene db three && said 'was not there: it is made'

# A backup that ends so near to its file's beginning that this is of what tells the server's life, and a server that had no time to close the file.
maria_new two
maria_start "$work/two" "${log_options[@]}" || finish
make_ledger "$work/two"
maria_sql "$work/two" "FLUSH BINARY LOGS"
policy_add near --mariadb="$work/two/sock" --logs 1s --schedule none
add_rows "$work/two" 2
expect 0 "$t" backup near
add_rows "$work/two" 50
maria_stop "$work/two" KILL
clean "$spoil" && mkdir "$spoil" && cp "$work/two/data"/bl.0* "$spoil"
clean "$work/r"
expect 0 "$t" restore near --to "$work/r" --salvage "$spoil"
ledger_is "$work/r" 52 "a backup near to its file's beginning"
finish
