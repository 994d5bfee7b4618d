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

# Whoever is not root or the server's user sees no processes; what another server says is not this one's word.
expect 1 lab_on db1 setpriv --reuid=nobody --clear-groups /usr/local/sbin/pg-fence.sh ask && said 'run by root or postgres'
on_pair db1 sh -c "initdb -D /srv/pg/other -N -A trust -U postgres && touch /srv/pg/other/standby.signal $pair_data/standby.signal &&
    pg_ctl -D /srv/pg/other -l /srv/pg/other.log -w -o \"-k /srv/pg/other -c listen_addresses= -c shared_buffers=1MB\" start" >"$work/.other" 2>&1 || fail "no other server: $(cat "$work/.other")"
lab_on db1 sh -c "cd /usr/local/sbin && cp pg-standby.conf held && printf '%s\n' 'here=\"host=/srv/pg/other user=postgres\"' address= >>pg-standby.conf"
expect 1 pair_do db1 fence ask && said 'is that of /srv/pg/other'
lab_on db1 sh -c "mv /usr/local/sbin/held /usr/local/sbin/pg-standby.conf; rm $pair_data/standby.signal"
on_pair db1 pg_ctl -D /srv/pg/other -m immediate stop >/dev/null

# One that hangs, and whose folder was taken away, is found all the same; it comes back as one that only reads.
lab_on db1 sh -c "kill -STOP \$(head -n 1 $pair_data/postmaster.pid) && mv $pair_data /srv/pg/moved"
expect 1 pair_do db1 fence ask
expect 0 pair_do db1 fence && said 'does not run'
[ -z "$(lab_on db1 pgrep -x postgres)" ] || fail "it still runs"
lab_on db1 mv -T /srv/pg/moved $pair_data 2>/dev/null && fail "it came back, and would take writes"
# Where nothing is seen nothing is proven: a file system that is not mounted may have all of it.
lab_on db1 rm -rf $pair_data
lab_on db1 sh -c "cd /usr/local/sbin && cp pg-standby.conf held && echo data_on=/srv/pg >>pg-standby.conf"
expect 1 pair_do db1 fence && said 'no file system is mounted on /srv/pg'
expect 1 pair_do db1 reseed && said 'no file system is mounted on /srv/pg'
lab_on db1 sh -c "cd /usr/local/sbin && cp held pg-standby.conf && echo data_on= >>pg-standby.conf"
expect 1 pair_do db1 fence && said 'write its mount point'
expect 1 pair_do db1 fence ask && said 'write its mount point'
[ -z "$(lab_on db1 sh -c "ls -A $pair_data" 2>/dev/null)" ] || fail "something was written where nothing is mounted"
finish
