#!/bin/bash
# 79-standby-apart.sh - commits that do not wait for the standby, and hosts that cannot be reached: what was lost is stated, nothing is promoted
# beside a server that may take writes, a way back that cannot be finished is given up.
# long
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/lab.sh"
. "$TWOFOLD_SRC/tests/integration/standby.sh"
pair_sync="" # commits do not wait
pair_stop_s=1
lab_begin
for host in app db1 db2; do
    lab_host $host
done
pair_begin
new_vault "$work/v"
pair_policy
follows() { [ "$(pair_sql "$1" "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'" 2>/dev/null)" = 1 ]; }

# --- the primary loses its standby, commits more, and dies -------------------------------------------------------------
pair_sql db1 "INSERT INTO ledger VALUES (1, 1)"
lab_until '[ "$(pair_sql db2 "SELECT count(*) FROM ledger")" = 1 ]' || fail "db2 does not follow"
lab_on db2 nft -f - <<<'table inet apart { chain in { type filter hook input priority 0; tcp sport 5432 drop; }; }'
pair_sql db1 "INSERT INTO ledger VALUES (1, 2)"
lab_on db1 sh -c 'kill $(cat /run/sshd.pid)'
# It cannot be asked, so a person is: --yes does not answer for one.
expect 3 on --yes crash db && said 'Is it certain that the old server takes no more writes'
[ "$(pair_sql db2 "SELECT pg_is_in_recovery()")" = t ] || fail "promoted beside a server that may take writes"
# The word, while it is not so: as soon as it can be asked it counts no more.
lab_sshd db1
lab_on db1 sh -c 'mv /usr/local/sbin/pg-fence.sh /usr/local/sbin/held; printf "#!/bin/sh\nexit 1\n" >/usr/local/sbin/pg-fence.sh; chmod 755 /usr/local/sbin/pg-fence.sh'
expect 3 on crash resume db --answer fenced=yes && said 'on "db1": it ended with status 1'
[ "$(pair_sql db2 "SELECT pg_is_in_recovery()")" = t ] || fail "promoted beside a server that says that it takes writes"
lab_on db1 mv /usr/local/sbin/held /usr/local/sbin/pg-fence.sh
lab_on db1 sh -c 'kill $(cat /run/sshd.pid); pkill -KILL -x postgres' # it is off
expect 3 on crash resume db --answer promoted=again
lab_on db2 nft delete table inet apart
[ "$(pair_sql db2 "SELECT pg_is_in_recovery()")" = f ] || fail "not promoted"
grep -q '"kind":"loss".*is not known' <(timeline) || fail "what was lost is known: $(timeline | grep '"loss"')"
expect 0,3 on status && said 'stated, not asked'

# --- it comes back, as it was: it is fenced before anything else, and tells what it had ------------------------------------------
lab_sshd db1
pair_start db1
[ "$(pair_sql db1 "SELECT pg_is_in_recovery()")" = f ] || fail "it came back as one that only reads, though nobody had fenced it"
expect 3 on crash resume db --answer host-repaired=yes && said 'Is this a quiet time'
grep -q '"kind":"loss".*bytes between is not on the standby' <(timeline) || fail "the loss is not stated: $(timeline | grep '"loss"')"
follows db1 || fail "db1 does not follow"
expect 0,3 on status && not_said 'stated, not asked'
pair_sql db2 "INSERT INTO ledger VALUES (1, 3)"

# --- it is said to be lost, and is not: it is asked before anything is stopped, and what it has is not touched ------------------------------
lab_on db2 sh -c 'kill $(cat /run/sshd.pid)'
expect 3 on --yes crash db --new --no-standby && said 'standby-off=yes' && not_said 'Stop the service'
lab_sshd db2
lost=$(basename "$(grep -l standby_lost "$vault"/s/incidents/*/timeline | xargs dirname)")
expect 3 on crash resume "$lost" --answer standby-off=again && said 'serves, by an earlier incident' && not_said 'standby-off=yes' && not_said 'Stop the service'
[ "$(pair_sql db2 "SELECT pg_is_in_recovery()")" = f ] || fail "the standby that serves was fenced"
expect 0 on crash close "$lost" --why "it serves"

# --- a way back that cannot be finished -----------------------------------------------------------------------------------------------
cat >>"$work/v/c/policies/db.yaml" <<'CONF'
  limits: { standby: 4s }
CONF
# The primary follows no more once it was asked whether it is ready: its position stays behind.
lab_on db2 sh -c 'mv /usr/local/sbin/pg-fence.sh /usr/local/sbin/fence; printf "#!/bin/sh\n[ \"\${1:-do}\" = ask ] || { nft -f /root/apart; psql -h /srv/pg -U postgres -qc \"INSERT INTO ledger VALUES (1, 4)\" postgres; }\nexec /usr/local/sbin/fence \"\$@\"\n" >/usr/local/sbin/pg-fence.sh; chmod 755 /usr/local/sbin/pg-fence.sh
    echo "table inet apart { chain out { type filter hook output priority 0; tcp sport 5432 drop; }; }" >/root/apart'
expect 3 on crash failback db
grep -q 'bytes are missing' <(timeline) || fail "it was not compared: $(timeline | grep compare)"
[ "$(pair_sql db1 "SELECT pg_is_in_recovery()")" = t ] || fail "promoted without all that the standby had"
lab_on db2 sh -c 'nft delete table inet apart; mv /usr/local/sbin/fence /usr/local/sbin/pg-fence.sh'
expect 2 on crash failback db --state failback-compare && said 'needs a reason'
expect 0 on crash failback db --undo && said 'the standby serves on'
[ "$(pair_sql db2 "SELECT pg_is_in_recovery()")" = f ] || fail "the standby does not serve on"
pair_sql db2 "INSERT INTO ledger VALUES (1, 5)"
lab_on app bash -c "echo >/dev/tcp/$service/5432" || fail "nobody has the address"
# Nobody is asked to go on with it by itself.
expect 3 on crash resume db && said 'Is this a quiet time'
expect 0 on --yes crash failback db
[ "$(pair_sql db1 "SELECT string_agg(n::text, ' ' ORDER BY n) FROM ledger")" = "1 3 4 5" ] ||
    fail "db1 has $(pair_sql db1 "SELECT string_agg(n::text, ' ' ORDER BY n) FROM ledger")"
lab_until 'follows db2' || fail "db2 does not follow"
expect 0 on crash close

# --- a standby that is given up, and cannot be asked: a person's word counts until it can be, and it is asked before the host's own server is started ---
expect 0 on backup db
lab_on db1 pkill -KILL -x postgres
lab_on db2 sh -c 'mv /usr/local/sbin/pg-promote.sh /usr/local/sbin/held; printf "#!/bin/sh\n/usr/local/sbin/held\nexit 1\n" >/usr/local/sbin/pg-promote.sh; chmod 755 /usr/local/sbin/pg-promote.sh'
expect 3 on crash db && said 'promoted=no'
[ "$(pair_sql db2 "SELECT pg_is_in_recovery()")" = f ] || fail "db2 was not promoted"
lab_on db2 sh -c 'kill $(cat /run/sshd.pid)'
expect 3 on crash resume db --answer promoted=no && said 'certain that the standby takes no writes' && said 'standby-off=yes'
expect 3 on --yes crash resume db && said 'standby-off=yes'
expect 3 on crash resume db --answer standby-off=yes && said 'stopped=yes'
lab_sshd db2 # the word was wrong
lab_on db2 sh -c 'mv /usr/local/sbin/pg-fence.sh /usr/local/sbin/fence; printf "#!/bin/sh\nexit 1\n" >/usr/local/sbin/pg-fence.sh; chmod 755 /usr/local/sbin/pg-fence.sh'
expect 3 on crash resume db --answer stopped=yes --answer host-repaired=yes && said 'standby-off=again' && not_said 'standby-off=yes'
lab_on db2 mv /usr/local/sbin/fence /usr/local/sbin/pg-fence.sh
[ "$(pair_sql db2 "SELECT pg_is_in_recovery()")" = f ] || fail "db2 is fenced already"
expect 3 on crash resume db --answer standby-off=again && said 'started=yes'
lab_on db2 test -e $pair_data/standby.signal || fail "the host's own server was to be started beside a standby that takes writes"
pair_sql db2 "SELECT 1" >/dev/null 2>&1 && [ "$(pair_sql db2 "SELECT pg_is_in_recovery()")" != t ] && fail "db2 takes writes"
pair_start db1
expect 0 on crash resume db --answer started=yes && said 'RECOVERED'
[ "$(pair_sql db1 "SELECT string_agg(n::text, ' ' ORDER BY n) FROM ledger")" = "1 3 4 5" ] ||
    fail "db1 has $(pair_sql db1 "SELECT string_agg(n::text, ' ' ORDER BY n) FROM ledger")"
finish
