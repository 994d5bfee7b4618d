#!/bin/bash
# Policies by command and by hand: what `policy add` writes reads back as it was asked for and passes lint; lint names file,
# line and duty, in text and in JSON.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

new_vault "$work/v"
conf=$TWOFOLD_CONFIG

# --- policy add: defaults, every option, mistakes
policy_add etc --files /etc --exclude '*.tmp' && said 'Written: .*/policies/etc.yaml'
expect 0 "$t" --json policy show etc
[ "$(json schedule)" = '*-*-* 02:00:00' ] || fail "no schedule of its own: $(json schedule)"
[ "$(json retention)" = '{"last": 0, "hourly": 0, "daily": 7, "weekly": 5, "monthly": 12, "yearly": 0, "within_s": 259200}' ] ||
    fail "not the usual retention: $(json retention)"
mkdir -p "$work/here/x" && cd "$work/here" || exit 1
policy_add full --files x --files /usr --one-file-system --class logs --schedule 'Mon..Fri 20:30' --window 20:00-23:30 \
    --priority 80 --retries 1 --limit 512KiB --rpo 4d --rto 90m --notify operator --notify office-head --keep-within 200d \
    --keep-daily 9 --keep-last 2 --vault main /opt
cd "$work" || exit 1
expect 0 "$t" --json policy show full
python3 - "$work/.out" "$work/here/x" <<'END' || fail "policy show full: not as asked for"
import json, sys
o = json.loads(open(sys.argv[1]).readline())
want = {"vault": "main", "agent": "local", "paths": [sys.argv[2], "/usr", "/opt"], "one_file_system": True, "class": "logs",
        "schedule": "Mon..Fri 20:30", "window": "20:00-23:30", "priority": 80, "retries": 1, "limit_bytes_s": 524288,
        "rpo_s": 345600, "rto_s": 5400, "notify": ["operator", "office-head"], "retention": {"last": 2, "hourly": 0,
        "daily": 9, "weekly": 0, "monthly": 0, "yearly": 0, "within_s": 17280000}}
for key, value in want.items():
    if o[key] != value:
        sys.exit(f"{key}: {o[key]} instead of {value}")
END
policy_add hand --files /etc --schedule none
expect 0 "$t" --json policy show hand
[ "$(json schedule)" = None ] || fail "--schedule none: $(json schedule)"
policy_add logs --files /var/log --class logs
expect 0 "$t" --json policy show logs
json retention | grep -q '"daily": 0.*"within_s": 15897600' || fail "logs are not kept for 184 days: $(json retention)"
for wrong in '--class secrets' '--schedule now;reboot' '--window night' '--limit 5MB' '--keep-daily many' '--keep-within 2w' \
    '--rto soon' '--priority 101' '--retries -1' '--notify a/b' '--agent ../x'; do
    # shellcheck disable=SC2086 # two words
    expect 2 "$t" policy add wrong --files /etc $wrong && [ -s "$work/.err" ]
    [ ! -e "$conf/policies/wrong.yaml" ] || fail "$wrong: something was written"
done
expect 2 "$t" policy add away --files /srv --agent db1 && said 'no agent "db1"' && said 'agent enrol'
# Of a host elsewhere only whole paths mean something, and they are not looked for here.
key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
mkdir -p "$conf/agents" && printf 'host: db1.example\nhost-key: %s\n' "$key" >"$conf/agents/db1.yaml"
expect 2 "$t" policy add away --files srv --agent db1 && said 'not on the agent'
policy_add away --files /nowhere/at/all --agent db1 && not_said 'is not there'

# --- lint: file and line, duty, and the same in JSON
expect 2 "$t" policy lint
said "policies/full.yaml:[0-9]+: error: there is no role \"operator\".*\[PY-AB\]$"
said "policies/hand.yaml: warning: it has no schedule.*\[SMX-6\]$"
said "agents/db1.yaml: warning: the private key of the agent"
not_said "policies/(etc|logs|away).yaml"
expect 2 "$t" --json policy lint
python3 - "$work/.out" <<'END' || fail "lint in JSON"
import json, sys
found = [o for o in map(json.loads, open(sys.argv[1])) if o.get("type") == "finding"]
assert {"note", "warning", "error"} == {o["level"] for o in found}, found
assert all(o["error"] == (o["level"] == "error") and isinstance(o["line"], int) for o in found)
hand = [o for o in found if o["file"].endswith("/hand.yaml")]
assert [o["duty"] for o in hand] == ["SMX-6"], hand
END
# Mistakes that would only show at night
sed -i 's/^schedule: .*/schedule: "every night"/' "$conf/policies/etc.yaml"
if command -v systemd-analyze >/dev/null; then
    expect 2 "$t" policy lint && said 'etc.yaml:[0-9]+: error: systemd does not understand the schedule'
else
    skip_part "calendar expressions (no systemd-analyze)"
fi
chmod 644 "$conf/keys/main.op"
expect 2 "$t" policy lint && said 'error: others may read the operational key: chmod 600'
chmod 600 "$conf/keys/main.op"

finish
