#!/bin/bash
# An operator lets the orchestrator into another host: enrolment, nightly backup, restore there and here, check, re-enrolment,
# revocation; and what is refused.
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/lab.sh"
export TWOFOLD_LINK_DEADLINE_S=20
lab_begin
lab_host orch
lab_host db1
lab_trust orch db1
lab_install db1
on() { lab_on orch "$t" "$@"; }

policy_of() { # NAME FILES
    policy_add "$1" --files "$2" --agent db1
}

new_vault "$work/v"
small_tree "$work/tree" 1 40
lab_on db1 cp -a "$work/tree" /srv/data
fingerprint=$(lab_on db1 ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f2)

expect 0 on agent list
said 'No agent yet'

# --- enrolment ---------------------------------------------------------------------------------------
lab_on orch rm /root/.ssh/known_hosts
expect 5 on agent enrol db1
said 'nobody has said that the host key SHA256:'
expect 5 on agent enrol db1 --fingerprint SHA256:AAAA
said 'not SHA256:AAAA'
[ ! -e "$vault/c/agents/db1.yaml" ] || fail "refused, and enrolled"
lab_knows orch db1
expect 5 on agent enrol db1 # nobody was asked
expect 0 on --yes --json agent enrol db1 --allow /srv --allow-restore /srv/back
said 'taken from your known_hosts'
[ "$(json fingerprint agent)" = "$fingerprint" ] || fail "another fingerprint"
[ "$(json rotation agent)" = 1 ] || fail "the rotation is not 1"
[ "$(json from agent)" = "$(lab_address orch)" ] || fail "not the address of orch"
[ "$(stat -c %a "$vault/c/keys/agent-db1.ssh")" = 600 ] || fail "mode of the key"
lab_on db1 grep -q "^restrict,from=\"$(lab_address orch)\",command=\"/usr/local/bin/twofold-agent serve " /root/.ssh/authorized_keys ||
    fail "no forced command"
[ "$(lab_on db1 grep -c twofold: /root/.ssh/authorized_keys)" = 1 ] || fail "not one line"
expect 0 on agent check db1
said 'runs as root and can read everything'
said 'may be backed up: /srv$'
expect 0 on agent list
said 'db1 .*last seen 20'

# --- backup, restore, comparison ---------------------------------------------------------------------
policy_of data /srv/data
expect 0 on backup data
expect 0 on --json backup data
[ "$(json bytes_stored backup)" -lt 20000 ] || fail "an unchanged tree was stored again"
expect 0 on restore data --to "$work/here"
same_tree "$work/tree" "$work/here/srv/data"
expect 0 on restore data --to /srv/back/one --on db1
lab_on db1 cp -a /srv/back/one "$work/there"
same_tree "$work/tree" "$work/there/srv/data"
[ ! -e /srv/back ] || fail "restored on the wrong host"
expect 0 on diff latest live
[ ! -s "$work/.out" ] || fail "a difference where there is none"
lab_on db1 sh -c 'echo more >/srv/data/new-file'
expect 0 on diff latest live
said '/srv/data/new-file'

# --- what the host does not allow ---------------------------------------------------------------------
policy_of etc /etc
expect 5 on backup etc
said '"/etc" is not on the allow-list'
lab_on db1 ln -s /etc /srv/way
policy_of way /srv/way/ssh
expect 5 on backup way
said '"/srv/way/ssh" leads to "/etc/ssh", which is not on the allow-list'
expect 5 on restore data --to /etc/x --on db1
said 'not on the allow-list'
lab_on db1 mkdir -p /srv/back
lab_on db1 ln -s /etc /srv/back/way
expect 5 on restore data --to /srv/back/way/x --on db1
said 'leads to "/etc/x"'
expect 5 on restore data --to /srv/back/../x --on db1
lab_on db1 test ! -e /etc/x || fail "written where nothing may be written"
key=$vault/c/keys/agent-db1.ssh
direct() { lab_on orch ssh -F none -o BatchMode=yes -i "$key" -o IdentitiesOnly=yes "$@"; }
expect 5 direct root@db1 cat /etc/shadow
said 'may start the agent and nothing else'
expect 255 direct -N -L 9999:localhost:22 -o ExitOnForwardFailure=yes -W localhost:22 root@db1
lab_host other
lab_knows other db1
expect 255 lab_on other ssh -F none -o BatchMode=yes -i "$key" -o IdentitiesOnly=yes root@db1 status
said 'Permission denied'

# another vault, of which nobody told the host
first=$vault
new_vault "$work/v2"
mkdir -p "$work/v2/c/agents"
cp "$first/c/agents/db1.yaml" "$work/v2/c/agents/"
cp "$first/c/keys/agent-db1.ssh" "$work/v2/c/keys/"
policy_of data /srv/data
expect 5 on backup data
said 'no pinned recovery key for that vault'
export TWOFOLD_CONFIG=$first/c TWOFOLD_STATE=$first/s
lab_on db1 chmod 666 /etc/twofold/agent.yaml
expect 5 on backup data
said 'others than root'
lab_on db1 chmod 644 /etc/twofold/agent.yaml

# --- once more, and out ---------------------------------------------------------------------------------
cp "$key" "$work/old-key"
expect 0 on --json agent enrol db1
[ "$(json rotation agent)" = 2 ] || fail "the rotation is not 2"
[ "$(lab_on db1 grep -c twofold: /root/.ssh/authorized_keys)" = 1 ] || fail "the old line stayed"
expect 255 lab_on orch ssh -F none -o BatchMode=yes -i "$work/old-key" -o IdentitiesOnly=yes root@db1 status
expect 0 on agent check db1
said 'may be backed up: /srv$'
not_said 'backed up: /$'
expect 0 on backup data
expect 0 on restore data --to "$work/here2"
cp "$key" "$work/old-key"
expect 0 on agent revoke db1
[ ! -e "$key" ] || fail "the key is still here"
lab_on db1 grep -q twofold: /root/.ssh/authorized_keys && fail "the line is still there"
lab_on db1 grep -q 'name:' /etc/twofold/agent.yaml && fail "the rules are still there"
expect 255 lab_on orch ssh -F none -o BatchMode=yes -i "$work/old-key" -o IdentitiesOnly=yes root@db1 status
expect 5 on backup data
said 'it was revoked'
expect 0 on --json agent list
[ "$(json revoked agent)" = True ] || fail "not shown as revoked"
expect 0 on --json agent enrol db1
[ "$(json rotation agent)" = 4 ] || fail "the rotation went back"
expect 0 on agent check db1
said 'may be backed up: /$'
lab_cut db1
export TWOFOLD_LINK_DEADLINE_S=2
expect 3 on agent revoke db1
said 'could not be removed'
lab_join db1 # there is no key any more with which it could be tried again
expect 3 on agent revoke db1
said 'the key to log in there was removed before'
expect 5 on agent check db1
said 'next: let it in again: twofold agent enrol db1'
finish
