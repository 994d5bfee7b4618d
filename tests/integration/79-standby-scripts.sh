#!/bin/bash
# 79-standby-scripts.sh - the scripts of policies/standby/ on two real servers: taken over after a crash under load, made anew, changed back under
# load, and every commit that was acknowledged is there. Each is refused out of turn and may be run again.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/lab.sh"
. "$TWOFOLD_SRC/tests/integration/standby.sh"
lab_begin
for host in app db1 db2; do
    lab_host $host
done
pair_begin
clients_begin

# Out of turn: a server that takes writes is not made anew, one that only reads gets no address.
expect 1 pair_do db1 reseed && said 'fence it first'
expect 1 pair_do db2 switch && said 'not known to take writes'
expect 1 pair_do db1 fence ask && said 'makes it take writes'
expect 0 pair_do db2 fence ask && said 'only reads'

# The crash, the take-over.
lab_on db1 pkill -KILL -x postgres
expect 1 pair_do db1 fence ask
expect 0 pair_do db1 fence && said 'does not run'
expect 0 pair_do db1 position && said '^[0-9A-F]+/[0-9A-F]+@1 last-commit=[0-9]+$'
old=$(cat "$work/.out")
expect 0 pair_do db2 position && said '@1 last-commit='
before=$(cat "$work/.out")
expect 0 pair_do db2 promote && said 'takes writes; .*@2'
expect 0 pair_do db2 promote && said 'takes writes'
expect 0 pair_do db2 switch
more_written 10
say "fenced at $old, promoted at $before"
[ "$(pair_sql db2 "SELECT '${old%%@*}'::pg_lsn - '${before%%@*}'::pg_lsn <= 0 OR count(*) = 0 FROM ledger")" = t ] || say "the old one had more, that nobody was told of"
# Whoever starts the old one gets one that only reads.
pair_start db1
expect 0 pair_do db1 fence ask && said 'runs, and only reads'

# Made anew from the one that serves.
expect 0 pair_do db1 reseed && said 'follows the other one; .*@2'
expect 0 pair_do db1 reseed && said 'follows the other one'
lab_on db1 sh -c 'ls -d /srv/pg/data.before-*' >/dev/null || fail "what lay there is not kept"
more_written 10

# Changed back: stopped in peace, the other one has all of it.
expect 0 pair_do db2 fence
expect 0 pair_do db2 position
stopped=$(cut -d' ' -f1 "$work/.out")
expect 0 pair_do db1 position
[ "$stopped" = "$(cut -d' ' -f1 "$work/.out")" ] || fail "db2 ended at $stopped, and db1 has $(cat "$work/.out")"
expect 0 pair_do db1 promote && said '@3'
expect 0 pair_do db1 switch
more_written 10
expect 0 pair_do db2 reseed && said '@3'
expect 0 pair_do db1 sync && said 'wait for db2'
more_written 10
clients_end
ledger_exact db1
[ "$(pair_sql db1 "SELECT sync_state FROM pg_stat_replication")" = sync ] || fail "commits do not wait"

# One that hangs, and whose folder is gone, is found all the same.
lab_on db1 sh -c "kill -STOP \$(head -n 1 $pair_data/postmaster.pid) && mv $pair_data /srv/pg/moved"
expect 0 pair_do db1 fence && said 'does not run'
[ -z "$(lab_on db1 pgrep -x postgres)" ] || fail "it still runs"
finish
