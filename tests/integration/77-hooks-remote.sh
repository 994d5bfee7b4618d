#!/bin/bash
# 77-hooks-remote.sh - commands around a run on another host: only those that it allows, whole lines of them; and they end when the link dies.
# timeout: 180
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/lab.sh"
export TWOFOLD_LINK_DEADLINE_S=4
lab_begin
lab_host orch
lab_host db1
lab_trust orch db1
lab_install db1
on() { lab_on orch "$t" "$@"; }
lab_on db1 sh -c 'mkdir -p /srv/data; head -c 6000000 /dev/urandom >/srv/data/random
for name in freeze thaw; do
    printf "#!/bin/sh\necho \"$name \$TWOFOLD_PHASE \$TWOFOLD_RESULT \$*\" >>/root/log\n" >/usr/local/sbin/$name
    chmod 755 /usr/local/sbin/$name
done'
logged() {
    lab_on db1 cat /root/log >"$work/.log" 2>/dev/null
    printf '%s\n' "$@" | cmp -s - "$work/.log" || fail "in the log: $(tr '\n' ';' <"$work/.log") instead of: $*"
}
new_vault "$work/v"
expect 0 on --yes agent enrol db1 --allow /srv
policy_add data --files /srv/data --agent db1
cat >>"$work/v/c/policies/data.yaml" <<'Y'
hooks:
  before: [/usr/local/sbin/freeze, --now]
  after: [/usr/local/sbin/thaw]
Y

# --- what the host allows ---------------------------------------------------------------------------------------------
expect 5 on backup data
said '"/usr/local/sbin/freeze --now" is not on the allow-list' && said 'allow: commands:'
expect 0 on --yes agent enrol db1 --allow-command "/usr/local/sbin/freeze" --allow-command "/usr/local/sbin/thaw"
expect 5 on backup data && said '"/usr/local/sbin/freeze --now" is not on the allow-list'
expect 0 on --yes agent enrol db1 --allow-command "/usr/local/sbin/freeze --now"
expect 5 on backup data && said '"/usr/local/sbin/thaw" is not on the allow-list'
lab_on db1 test ! -e /root/log || fail "run though it is not allowed"
expect 0 on --yes agent enrol db1 --allow-command "/usr/local/sbin/freeze --now" --allow-command "/usr/local/sbin/thaw"
expect 0 on agent check db1 && said 'may be run: .*/usr/local/sbin/freeze --now'
expect 0 on backup data
logged 'freeze before begun --now' 'thaw after captured '

# --- the link dies while everything stands still -----------------------------------------------------------------------
lab_on db1 sh -c 'rm /root/log; head -c 64000000 /dev/urandom >/srv/data/random'
lab_slow db1 16mbit
sent=$(lab_sent db1)
on backup data >"$work/run.out" 2>"$work/run.err" &
run=$!
arrived() { [ $(($(lab_sent db1) - sent)) -gt 1000000 ]; }
lab_until arrived 20 || fail "nothing comes"
logged 'freeze before begun --now'
lab_cut db1
lab_until 'grep -q "trying again in\|going on with" "$work/run.err"' 30 || fail "no second try"
lab_join db1
lab_fast db1
wait "$run" || fail "the second try failed: $(cat "$work/run.err")"
logged 'freeze before begun --now' 'thaw after failed ' 'freeze before begun --now' 'thaw after captured '

# --- the host goes down, and comes back -----------------------------------------------------------------------------------
lab_on db1 sh -c 'rm /root/log; printf "touch /root/stuck; [ -e /root/go-on ] || sleep 300\n" >>/usr/local/sbin/freeze'
on backup data >"$work/run.out" 2>"$work/run.err" &
run=$!
lab_until 'lab_on db1 test -e /root/stuck' || fail "not begun"
lab_kill db1 # power
lab_kill_program orch twofold TERM
wait "$run"
lab_boot db1
logged 'freeze before begun --now'
lab_on db1 touch /root/go-on
expect 0 on backup data
said 'was cut off'
logged 'freeze before begun --now' 'thaw after unknown ' 'freeze before begun --now' 'thaw after captured '

# --- what was left, but is not allowed any more -----------------------------------------------------------------------------
lab_on db1 sh -c 'rm -f /root/log /root/stuck /root/go-on'
on backup data >"$work/run.out" 2>"$work/run.err" &
run=$!
lab_until 'lab_on db1 test -e /root/stuck' || fail "not begun"
lab_kill db1
lab_kill_program orch twofold TERM
wait "$run"
lab_boot db1
lab_on db1 touch /root/go-on
lab_on db1 sed -i '/sbin\/thaw/d' /etc/twofold/agent.yaml
sed -i '/^hooks:/,$d' "$work/v/c/policies/data.yaml"
expect 3 on backup data
said 'not on the allow-list' && said 'fails now, too'
logged 'freeze before begun --now'
finish
