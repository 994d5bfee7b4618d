#!/bin/bash
# 87-crash-remote.sh - the crash procedure on another host: only what that host allows is run there; the host was installed anew and shows another
# key, until somebody has compared it.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/lab.sh"
lab_begin
trap 'status=$?; pg_stop_all; (exit "$status"); lab_end' EXIT
lab_host orch
lab_host db1
lab_trust orch db1
lab_install db1
pg_programs_on db1
on() { lab_on orch "$t" "$@"; }

one=$work/one
pg_new one
pg_start "$one" || finish
pg_sql "$one" "CREATE TABLE ledger AS SELECT i FROM generate_series(1, 2000) i"
cat >"$work/service" <<S
#!/bin/sh
pg() { setpriv --reuid=postgres --regid=postgres --clear-groups env HOME=/tmp $pgbin/pg_ctl -D $one/data -l $one/log -w -t 60 "\$@"; }
case \$1 in
start) pg status >/dev/null 2>&1 || pg -o "-k $one" start ;;
stop) ! pg status >/dev/null 2>&1 || pg -m fast stop ;;
esac </dev/null >/dev/null 2>&1
S
chmod 755 "$work/service"
new_vault "$work/v"
mkdir -p "$TWOFOLD_CONFIG/policies"
cat >"$TWOFOLD_CONFIG/policies/db.yaml" <<P
agent: db1
postgresql: { conninfo: "host=$one user=postgres" }
crash:
  stop: [$work/service, stop]
  start: [$work/service, start]
P
expect 0 on --yes agent enrol db1 --allow-source "postgresql host=$one user=postgres" --allow-command postgres --allow-restore "$one"
expect 0 on backup db
lose() {
    as_pg pg_ctl -D "$one/data" -m immediate stop >/dev/null 2>&1
    [ ! -d "$one/data/base" ] || find "$one/data/base" -type f -delete
}
is_back() { [ "$(pg_sql "$one" "SELECT count(*) FROM ledger" 2>&1)" = 2000 ] || fail "$1: the ledger is not back"; }

# --- only what that host allows: a person does it, or the host's owner allows it -----------------------------------------------
lose
expect 3 on crash db && said "$work/service stop" && said 'stopped=yes' && said 'commands'
expect 0 on --yes agent enrol db1 --allow-command "$work/service stop" --allow-command "$work/service start"
expect 3 on --yes crash resume --answer stopped=again && said '"postgres" is not on the allow-list' && said 'restore-again=yes'
expect 0 on --yes agent enrol db1 --allow-command postgres --allow-command "$work/service stop" --allow-command "$work/service start"
expect 0 on --yes crash resume --answer restore-again=yes && said 'RECOVERED'
is_back allowed
expect 0 on crash close

# --- the host was installed anew -----------------------------------------------------------------------------------------------
lose
lab_new_host_key db1
expect 3 on --yes crash db && said 'host key of db1' && said 'twofold agent enrol db1'
expect 3 on --yes crash resume
lab_trust orch db1
expect 0 on --yes agent enrol db1 --allow-source "postgresql host=$one user=postgres" --allow-command postgres --allow-restore "$one" \
    --allow-command "$work/service stop" --allow-command "$work/service start"
expect 0 on crash note "the key of db1 was compared at its console, by Wang"
expect 0 on --yes crash resume --answer stopped=again && said 'RECOVERED'
is_back "installed anew"
expect 0 on crash close

finish
