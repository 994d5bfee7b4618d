#!/bin/bash
# 17-examples.sh - the example configuration (policies/examples) is one that lint has nothing to say about, once its hosts, disks and
# keys are there; and that it is lint that says so.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

conf=$work/conf
cp -R "$TWOFOLD_SRC/policies/examples" "$conf" && rm "$conf/README.md"
export TWOFOLD_CONFIG=$conf TWOFOLD_STATE=$work/state

# As it is: no mistakes, only what is not there on this machine.
expect 0 "$t" policy lint && not_said ': error: ' && said 'is not there: /backup/twofold'

# What the bureau has and this machine has not.
mkdir -p keys srv/documents srv/budget srv/network-configs srv/secret home www backup media "$conf/keys"
for key in main-building-2.ssh agent-web-1.ssh main.op secret.op mail; do
    printf 'key\n' >"$conf/keys/$key" && chmod 600 "$conf/keys/$key"
done
sed -i -e "s|/etc/twofold/keys/mail|$conf/keys/mail|; s|/usr/local/bin/send-sms|/bin/true|" "$conf/twofold.yaml"
sed -i "s|^reviewed: .*|reviewed: $(date -d yesterday +%F)|" "$conf/contacts.yaml"
sed -i "s|^years: .*|years: [$(date +%Y)]|" "$conf/holidays.yaml"
sed -i "s|: /backup/twofold|: $work/backup|; s|: /media/secret-a|: $work/media|" "$conf"/vaults/*.yaml
sed -i "s|- /srv|- $work/srv|; s|- /home|- $work/home|; s|- /var/log|- $work/www|" "$conf"/policies/*.yaml
sed -i 's|/usr/local/sbin/budgetctl|/bin/true|' "$conf/policies/budget.yaml"
chmod 640 "$conf/twofold.yaml"
expect 0 "$t" policy lint
[ "$(cat .out)" = 'No mistakes.' ] || { fail "lint has something to say about the examples" && cat .out; }
expect 0 "$t" policy list
[ "$(wc -l <.out)" -eq "$(ls "$conf"/policies/*.yaml | wc -l)" ] || fail "not every policy is listed"
expect 0 "$t" copy list --vault main && said '^safe .*carried, every 7 days.*not deletable'

# It is not silent because it is blind.
sed -i 's/^notify: .*/notify: [nobody]/' "$conf/policies/web.yaml"
sed -i 's/^vault: .*/vault: main/' "$conf/policies/secret.yaml"
sed -i 's/within: .*/within: 30d/' "$conf/policies/logs.yaml"
expect 2 "$t" policy lint
said 'web.yaml:[0-9]+: error: .*\[PY-AB\]' && said 'secret.yaml:[0-9]+: error: .*\[LY\]' && said 'logs.yaml:[0-9]+: error: .*\[JZ-5.4\]'

# The manual of the configuration names every key that the loaders take.
for key in $(grep -ohE '(YAML_TEXT(_OPT)?|CYAML_FIELD_[A-Z_]+)\("[a-z-]+"' "$TWOFOLD_SRC"/policies/*.c | cut -d'"' -f2 | sort -u); do
    grep -qF "\`$key\`" "$TWOFOLD_SRC/docs/configuration.md" || fail "docs/configuration.md does not name the key $key"
done

finish
