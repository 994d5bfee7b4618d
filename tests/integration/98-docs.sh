#!/bin/bash
# 98-docs.sh - what README and docs/operations.md tell people to type is typed: on hosts of their own, with the programs installed, as
# root. The Chinese README shows the same commands.
# timeout: 300
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/lab.sh"
lab_begin

new_host() {
    local program
    lab_host "$1"
    for program in "$(dirname "$TWOFOLD")"/twofold "$(dirname "$TWOFOLD")"/twofold[-d]*; do
        [ ! -f "$program" ] || lab_on "$1" install -m 755 "$program" /usr/local/bin/
    done
    lab_on "$1" sh -c "install -d /usr/local/lib/systemd/system && install -m 644 '$TWOFOLD_SRC'/systemd/*.* /usr/local/lib/systemd/system/"
    lab_on "$1" sh -c 'printf "#!/bin/sh\nexec \"\$@\"\n" >/usr/local/bin/sudo; chmod 755 /usr/local/bin/sudo
        rm -rf /etc/twofold /var/lib/twofold /backup /mnt; mkdir -p /backup /mnt/b /mnt/c
        printf "Correct-Horse-Battery-9\n" >/root/pass; chmod 600 /root/pass'
}

# What a page says has happened before a block.
happened() { # HOST WHAT
    case $2 in
    '') ;;
    'the orchestrator is gone') lab_on "$1" rm -rf /etc/twofold /var/lib/twofold ;;
    'the second copy is gone') lab_on "$1" rm -rf /mnt/b ;;
    'a PostgreSQL server runs')
        lab_on "$1" sh -c "install -d -o postgres -g postgres /run/postgresql /srv/pg && cd / &&
            setpriv --reuid=postgres --regid=postgres --clear-groups sh -c 'PATH=\$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1):\$PATH
                initdb -D /srv/pg/data -k -A trust -U postgres && pg_ctl -D /srv/pg/data -l /srv/pg/log -w -o \"-k /run/postgresql -c listen_addresses=\" start' &&
            twofold --yes init --vault main --copy here=/backup/a --copy there=/mnt/b --passphrase-file /root/pass --keep-recovery-key" >"$work/hook" 2>&1 ||
            fail "$2: $(tail -n 3 "$work/hook")" ;;
    'the service of db runs') # as systemd would start it
        lab_on "$1" sh -c 'twofold logs db --follow --restart >/tmp/logs 2>&1 &'
        lab_until "lab_on '$1' twofold logs >/dev/null 2>&1" 20 || fail "$2: not so" ;;
    *) fail "nobody knows what this means: $2" ;;
    esac
}

run_page() { # PAGE
    local host before status line command
    declare -A seen=()
    python3 "$here/docs_blocks.py" "$TWOFOLD_SRC/$1" >"$work/blocks" || fail "$1: $(tail -n 1 "$work/blocks")"
    grep -q '^#block' "$work/blocks" || fail "$1 shows nothing that is run"
    while IFS= read -r command <&3; do
        case $command in
        '#block'*)
            IFS='|' read -r _ _ host before status line < <(tr '\t' '|' <<<"$command")
            if [ -z "${seen[$host]:-}" ]; then
                new_host "$host$((++hosts))"
                lab_trust "$host$hosts" db1
                seen[$host]=$host$hosts
            fi
            happened "${seen[$host]}" "$before" ;;
        '') ;;
        *)
            command=${command%%    #*} # a remark for people
            say "$1:$line: $command"
            expect "$status" lab_on "${seen[$host]}" bash -c "cd /root; $command" || return ;;
        esac
    done 3<"$work/blocks"
}
# The two READMEs show the same commands; only the remarks differ.
commands_of() { python3 "$here/docs_blocks.py" "$TWOFOLD_SRC/$1" | sed -e 's/    *#.*//; s/  # .*//; s/ *$//' -e 's/^\(#block.*\)\t[0-9]*$/\1/'; }
diff <(commands_of README.md) <(commands_of README.zh-CN.md) || fail "README.zh-CN.md shows other commands than README.md"
diff <(grep -o '^| [0-9]* |' "$TWOFOLD_SRC/README.md") <(grep -o '^| [0-9]* |' "$TWOFOLD_SRC/README.zh-CN.md") ||
    fail "README.zh-CN.md names other exit statuses"

hosts=0
new_host db1 # the second host of README, which people may log in to
run_page README.md
run_page docs/operations.md
finish
