#!/bin/bash
# 79-standby.sh - a primary crashes under load, its standby takes over, the host is made anew from it, the service changes back under load; whoever
# does it is killed at each line of the timeline. No commit that was acknowledged is lost, and never do two servers take writes.
# long
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/lab.sh"
. "$TWOFOLD_SRC/tests/integration/standby.sh"
t=${TWOFOLD_FAST:-$t} # what is tested here is two servers and an order, not memory
lab_begin
for host in app db1 db2; do
    lab_host $host
done
pair_begin
new_vault "$work/v"
pair_policy
expect 0 on backup db
expect 0 on crash db --plan && said 'Have the standby take over'
expect 0 on crash db --plan --first-sign -1h && said 'Restore' && not_said 'Have the standby take over' # it has the mistake, too
clients_begin

# --- the standby takes over ------------------------------------------------------------------------------------------------
lab_on db1 pkill -KILL -x postgres
expect 1 on check db && said 'is the server running, and does "conninfo" say where' && not_said 'the connection to db1'
killed_at_each_line 3 --yes crash db
said 'quiet'
more_written 10
grep -q '"kind":"loss".*nothing is lost' <(timeline) || fail "no loss statement: $(timeline | grep '"loss"')"
expect 0 on backup db && said 'its standby "db2" serves'
expect 0,3 on status && said 'the standby runs, and the primary follows it'
expect 5 on --yes crash db --new && said 'its standby "db2" serves'
expect 5 on --yes crash db --new --no-standby && said 'the standby serves, by the incident' # it is asked, and takes writes
lab_on db2 test ! -e $pair_data/standby.signal || fail "db2 is no primary"

# --- and back --------------------------------------------------------------------------------------------------------------------
killed_at_each_line 0 --yes crash failback db
more_written 10
clients_end
ledger_exact db1
[ "$(pair_sql db1 "SELECT sync_state FROM pg_stat_replication")" = sync ] || fail "commits do not wait for db2"
expect 0 on backup db && not_said 'standby'
for step in fence promote switch reseed failback-stop failback-compare failback-promote failback-switch failback-reseed; do
    timeline | grep -q "\"step\":\"$step\".*\"state\":\"done\"" || fail "$step is not on the timeline"
done
finish
