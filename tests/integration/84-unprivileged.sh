#!/bin/bash
# An agent that is not root: it reads what its user may; with the capability to read, or by a rule of sudo for this one command,
# it reads everything. An installation over another account than the agent's.
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/lab.sh"
export TWOFOLD_LINK_DEADLINE_S=20
lab_begin
lab_host orch
lab_host db1
lab_trust orch db1
lab_install db1
on() { lab_on orch "$t" "$@"; }
new_vault "$work/v"
lab_on db1 sh -c 'mkdir -p /srv/data/closed; echo open >/srv/data/open; echo secret >/srv/data/closed/secret; chmod 700 /srv/data/closed; chmod 755 /srv /srv/data'

expect 1 on --yes agent enrol db1 --user nobody-of-that-name --login root@db1
said 'there is no user'
expect 0 on --yes agent enrol db1 --user twofold --login root@db1 --allow /srv
policy_add data --files /srv/data --agent db1
lab_on db1 test -e /root/.ssh/authorized_keys || fail "root's keys are gone"
[ "$(lab_on db1 stat -c '%U %a' /home/twofold/.ssh/authorized_keys)" = "twofold 600" ] || fail "whose keys are these?"
[ "$(lab_on db1 stat -c '%U %a' /etc/twofold/agent.yaml)" = "root 644" ] || fail "the rules are not root's"
expect 0 on agent check db1
said 'runs as twofold and cannot read'
expect 3 on backup data
said 'closed'

# --- the capability ------------------------------------------------------------------------------------
lab_on db1 sh -c 'mv /usr/local/bin/twofold-agent /usr/bin/twofold-agent
    install -o root -g twofold -m 750 /usr/bin/twofold-agent /usr/local/bin/twofold-agent
    setcap cap_dac_read_search+ep /usr/local/bin/twofold-agent' || fail "setcap"
expect 0 on agent check db1
said 'runs as twofold and can read everything'
expect 0 on backup data
expect 0 on restore data --to "$work/back"
[ "$(cat "$work/back/srv/data/closed/secret")" = secret ] || fail "not what was there"
expect 3 on agent revoke db1 # it may not write root's file: that is said, and without the key it is worth nothing
said 'agent.yaml'
lab_on db1 grep -q twofold: /home/twofold/.ssh/authorized_keys && fail "the line is still there"

# --- over the agent's own account, with a file of its own --------------------------------------------------
lab_trust orch db1 twofold
expect 0 on --yes agent enrol db1 --user twofold --login twofold@db1 --allow /srv
lab_on db1 test -e /home/twofold/.config/twofold/agent.yaml || fail "no file of its own"
expect 0 on backup data
expect 5 on --yes agent enrol db1 --user root --login twofold@db1
said 'sudo|root'

# --- sudo -------------------------------------------------------------------------------------------------------
if command -v sudo >/dev/null; then
    lab_on db1 setcap -r /usr/local/bin/twofold-agent
    lab_on db1 chmod 755 /usr/local/bin/twofold-agent
    expect 0 on --yes agent enrol db1 --user twofold --login root@db1 --allow /srv --sudo
    lab_on db1 visudo -cq || fail "sudo does not like its rule"
    expect 0 on agent check db1
    said 'runs as root and can read everything'
    expect 0 on backup data
    lab_as db1 twofold sudo -n id >/dev/null 2>&1 && fail "the rule allows more than the agent"
    lab_as db1 twofold sudo -n /usr/local/bin/twofold-agent enrol </dev/null >/dev/null 2>&1 && fail "the rule allows an enrolment"
    expect 0 on agent revoke db1
    lab_on db1 sh -c '[ -z "$(ls /etc/sudoers.d | grep twofold)" ]' || fail "the rule is still there"
else
    skip_part "sudo is not installed"
fi
finish
