#!/bin/bash
# 86-scene-remote.sh - what a crash procedure has done on another host goes by that host's own lists: how it is, commands, the scene, a restore in place
# with what survived; a command ends with the link.
# timeout: 180
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/wal.sh"
. "$TWOFOLD_SRC/tests/integration/lab.sh"
export TWOFOLD_LINK_DEADLINE_S=4
lab_begin
trap 'status=$?; pg_stop_all; (exit "$status"); lab_end' EXIT
lab_host orch
lab_host db1
lab_trust orch db1
lab_install db1
pg_programs_on db1
on() { lab_on orch "$t" "$@"; }
host() { lab_on orch env TWOFOLD_AGENT="$(dirname "$t")/twofold-agent" HOST_ON=db1 HOST_LIMIT_S="${limit:-20}" "$TEST_PROGRAMS/integration/prog_host" "$@"; }

one=$work/one
pg_new one --wal-segsize=1
pg_start "$one" || finish
make_ledger "$one"
new_vault "$work/v"
expect 0 on --yes agent enrol db1 --allow /srv --allow-restore /srv/back --allow-source "postgresql host=$one user=postgres"
db_policy db "$one"
sed -i '/logs:/d' "$TWOFOLD_CONFIG/policies/db.yaml"
echo "agent: db1" >>"$TWOFOLD_CONFIG/policies/db.yaml"
expect 0 on backup db
add_rows "$one" 500
all=$(pg_sql "$one" "SELECT max(id) FROM ledger")
pg_stop "$one" immediate

# --- what is not on a list ------------------------------------------------------------------------------------------
expect 0 host facts db && said '"fact": "memory"'
grep -q '"fact": "space"' "$work/.out" && fail "a place is shown that is on no list"
expect 5 host scene db one && said 'allow: restore:'
expect 5 host clear db && said 'allow: restore:'
expect 5 host run db one -- /bin/sh -c 'touch /root/run' && said '"/bin/sh -c .touch /root/run." is not on the allow-list'
expect 5 on restore db --on db1 --in-place && said 'not on the allow-list'
[ -f "$one/data/global/pg_control" ] && ! lab_on db1 test -e /root/run || fail "something was done that is not allowed"

# --- what is ----------------------------------------------------------------------------------------------------------
expect 0 on --yes agent enrol db1 --allow-restore "$one" --allow-source "postgresql host=$one user=postgres" --allow-command postgres \
    --allow-command "/bin/sh -c 'touch /root/run'" --allow-command "/bin/sleep 61"
expect 0 host run db one -- /bin/sh -c 'touch /root/run' && said '"status": 0'
lab_on db1 test -e /root/run || fail "it was not run on that host"
expect 5 host run db one -- /bin/sh -c 'touch /root/run2' && said 'not on the allow-list'
expect 0 host facts db && said '"fact": "space"' && said '"running": false'
expect 0 host scene db one && said '"moved": true'
scene=$one/data/.twofold-scene-one
expect 5 on restore db --on db1 --in-place --salvage /etc && said 'not on the allow-list'
expect 0 on --json restore db --on db1 --in-place --verify --salvage "$scene"
pg_start "$one" && [ "$(pg_sql "$one" "SELECT max(id) FROM ledger")" = "$all" ] || fail "not all that survived is back"

# --- a command ends with the link -----------------------------------------------------------------------------------------
limit=100
host run db one -- /bin/sleep 61 >"$work/run.out" 2>&1 &
run=$!
sleeping() { lab_on db1 sh -c 'grep -lsa "[s]leep.61" /proc/[0-9]*/cmdline' | grep -q .; }
lab_until sleeping 20 || fail "the command does not run"
lab_cut db1
wait "$run" && fail "a command on a host that cannot be heard ended well"
lab_join db1
lab_until '! sleeping' 40 || fail "the command goes on without anybody"
finish
