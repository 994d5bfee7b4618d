#!/bin/bash
# 10-bad-input.sh - what people get wrong at a command line: each mistake ends with its exit status (docs/cli.md), exactly
# three lines on stderr (what, why, next), nothing on stdout, and nothing written.
set -u
export TWOFOLD_CONFIG=$PWD/conf TWOFOLD_STATE=$PWD/state
unset TWOFOLD_PASSPHRASE_FILE CREDENTIALS_DIRECTORY
mkdir io
failures=0

complain() {
    echo "FAILED: $*"
    sed 's/^/    stdout: /' io/out
    sed 's/^/    stderr: /' io/err
    failures=$((failures + 1))
}

# Everything here but what the checks themselves write, and the cache of what the copies hold.
everything() {
    find . -mindepth 1 \( -path ./io -o -path ./state \) -prune -o -printf '%p %y %m %s %T@ %l\n' | sort
}

# refuse STATUS PATTERN COMMAND...: PATTERN (extended, of grep) is somewhere in the three lines. No terminal to ask on.
refuse() {
    local want=$1 pattern=$2 rc=0
    shift 2
    everything >io/before
    setsid -w "$@" >io/out 2>io/err </dev/null || rc=$?
    everything >io/after
    [ $rc -eq "$want" ] || complain "exit status $rc instead of $want: $*"
    if [ "$(wc -l <io/err)" -ne 3 ] || ! sed -n 1p io/err | grep -q '^twofold: .' ||
        ! sed -n 2p io/err | grep -q '^  why:  .' || ! sed -n 3p io/err | grep -q '^  next: .'; then
        complain "not the three lines: $*"
    fi
    grep -qE -- "$pattern" io/err || complain "\"$pattern\" is not said: $*"
    [ ! -s io/out ] || complain "something on stdout: $*"
    cmp -s io/before io/after || {
        complain "something was written: $*"
        diff io/before io/after
    }
}

t=$TWOFOLD
good='Correct-Horse-Battery-9'
printf '%s\n' "$good" >pass
printf 'Short-1\n' >short
printf 'onlylowercaselettersandnothingelse\n' >onekind
printf 'Wrong-Horse-Battery-10\n' >wrong
: >empty
chmod 600 pass short onekind wrong empty
here=$PWD

# --- the command itself -------------------------------------------------------------------------------
refuse 2 'next: twofold status' "$t" stauts
refuse 2 'next: twofold backup' "$t" bakcup etc
refuse 2 'next: twofold snapshots' "$t" list
refuse 2 'twofold help' "$t" xyzzyplugh
refuse 2 'no such global option' "$t" --nonsense status
refuse 2 '--config needs a value' "$t" status --config
refuse 2 'no such command' "$t" help nonsense
for command in init "policy add" backup status snapshots ls find diff restore export scrub repair replicate version; do
    # shellcheck disable=SC2086 # two words
    refuse 2 "next: twofold ${command%% *}" "$t" $command --nonsense
done
for command in policy backup ls find diff restore export; do
    refuse 2 "next: twofold $command" "$t" $command
done
refuse 2 'policy' "$t" policy frobnicate
refuse 2 'needs a value' "$t" ls latest --copy
# An option is written out: --host is none of restore, and must not pass for --host-key.
refuse 2 'no option --host$' "$t" restore etc --host db1 --to /srv/back
refuse 2 'no option --dry$' "$t" prune --dry
refuse 2 'no option --fro=a' "$t" restore etc --to /srv/back --fro=a

# --- no vault yet -----------------------------------------------------------------------------------------
refuse 1 'twofold init' "$t" snapshots
refuse 1 'twofold init' "$t" ls latest
refuse 2 'nope' "$t" snapshots --vault nope
refuse 1 'twofold init' "$t" policy add etc --files /etc

refuse 1 'twofold catalog rebuild' "$t" catalog check
refuse 1 'twofold catalog rebuild' "$t" audit
"$t" page --out - >io/out 2>io/err || complain "no page without a vault"
grep -q 'verdict good' io/out && complain "the page is green where nothing is backed up"

# --- init -------------------------------------------------------------------------------------------------
init() { # STATUS PATTERN ARGUMENTS...: with a name and a good passphrase
    local want=$1 pattern=$2
    shift 2
    refuse "$want" "$pattern" "$t" init --vault main --passphrase-file pass "$@"
}
two=(--copy "a=$here/a" --copy "b=$here/b")
refuse 2 'no name' "$t" init "${two[@]}" --passphrase-file pass
refuse 2 'name of a vault' "$t" init --vault ../main "${two[@]}" --passphrase-file pass
init 2 'PY-DB-1'
init 2 'PY-DB-1' --copy "a=$here/a"
init 2 'a place and an address' --copy "$here/a" --copy "b=$here/b"
init 2 'a place and an address' --copy "a=" --copy "b=$here/b"
init 2 'place' --copy "a=$here/a" --copy "a=$here/b"
init 2 'place' --copy "a b=$here/a" --copy "b=$here/b"
init 2 'same' --copy "a=$here/a" --copy "b=$here/a"
init 2 'same' --copy "a=$here/a" --copy "b=$here/./a/"
init 2 'same' --copy "a=$here/a" --copy "b=a"
init 2 'lies in' --copy "a=$here/a" --copy "b=$here/a/b"
init 2 'lies in' --copy "a=$here/a/b/c" --copy "b=$here/a"
mkdir real
ln -s real link
init 2 'same' --copy "a=$here/real" --copy "b=$here/link"
init 2 'lies in' --copy "a=$here/real" --copy "b=$here/link/b"
init 2 'ftp://' --copy "a=$here/a" --copy "b=ftp://host/b"
init 2 '\.\.' --copy "a=$here/a" --copy "b=$here/x/../b"
mkdir full
echo x >full/file
init 1 'not empty' --copy "a=$here/a" --copy "b=$here/full"
init 1 'pass' --copy "a=$here/a" --copy "b=$here/pass"
init 1 'pass' --copy "a=$here/a" --copy "b=$here/pass/b"
init 2 'needs --recovery-file' "${two[@]}" --recovery-off-copy
init 2 'not expected' "${two[@]}" more
init 1 'there already' "${two[@]}" --kit pass
init 1 'there already' "${two[@]}" --recovery-file pass
init 1 'nowhere' "${two[@]}" --kit nowhere/kit
refuse 2 '16' "$t" init --vault main "${two[@]}" --passphrase-file short
refuse 2 'JZ-pw' "$t" init --vault main "${two[@]}" --passphrase-file onekind
refuse 5 'no passphrase in it' "$t" init --vault main "${two[@]}" --passphrase-file empty
refuse 5 'nothere' "$t" init --vault main "${two[@]}" --passphrase-file nothere
refuse 5 '--passphrase-file' "$t" init --vault main "${two[@]}"
refuse 5 'nothere' env TWOFOLD_PASSPHRASE_FILE=nothere "$t" init --vault main "${two[@]}"
nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
if [ "$(id -u)" -eq 0 ] && chmod 644 pass && "${nobody[@]}" test -x "$t" -a -r pass 2>/dev/null; then
    chmod 600 pass
    mkdir closed
    chmod 700 closed
    cp pass theirs
    chown 65534 theirs
    refuse 5 'closed' "${nobody[@]}" "$t" --config /tmp init --vault main --passphrase-file theirs \
        --copy "a=$here/closed/a" --copy "b=$here/b"
    refuse 5 "$here" "${nobody[@]}" "$t" init --vault main --passphrase-file theirs "${two[@]}"
fi
chmod 600 pass
[ ! -e state ] || complain "a refused command made the state folder"

# --- a vault; then names and keys --------------------------------------------------------------------------
"$t" init --vault main "${two[@]}" --passphrase-file pass >io/out 2>io/err || complain "init itself failed"
three=(--copy "a=$here/c" --copy "b=$here/d")
init 1 'main.yaml' "${three[@]}"
mv conf/vaults/main.yaml main.yaml
init 1 'main.op' "${three[@]}"
mv main.yaml conf/vaults/main.yaml
refuse 1 'holds a vault' "$t" init --vault other --passphrase-file pass --copy "a=$here/a" --copy "b=$here/c"
refuse 2 'main' "$t" snapshots --vault nope
"$t" init --vault other --passphrase-file pass "${three[@]}" >io/out 2>io/err || complain "the second init failed"
refuse 2 'main' "$t" snapshots
rm -r conf/vaults/other.yaml

chmod 644 conf/keys/main.op
refuse 5 'main.op' "$t" snapshots
chmod 600 conf/keys/main.op
mv conf/keys/main.op op
refuse 1 'main.op' "$t" snapshots
cp conf/keys/other.op conf/keys/main.op
refuse 5 'another vault' "$t" snapshots
echo nonsense >conf/keys/main.op
refuse 4 'main.op' "$t" snapshots
mv op conf/keys/main.op

# --- looking inside -----------------------------------------------------------------------------------------
look=(--passphrase-file pass)
refuse 5 'passphrase' "$t" ls latest --passphrase-file wrong
refuse 5 '--passphrase-file' "$t" ls latest
refuse 1 'twofold backup' "$t" ls latest "${look[@]}"
refuse 2 'does not name a snapshot' "$t" ls nonsense "${look[@]}"
refuse 2 'is not a time' "$t" ls etc@soon "${look[@]}"
refuse 1 'id begins with 12345678' "$t" ls 12345678 "${look[@]}"
refuse 2 'a, b' "$t" ls latest --from moon "${look[@]}"
refuse 1 'no file of that name' "$t" find '*.conf' "${look[@]}"
refuse 2 'without /' "$t" find /etc/hosts "${look[@]}"
refuse 2 'one SNAPSHOT, or two' "$t" diff a b c "${look[@]}"
refuse 1 'twofold backup' "$t" export latest "${look[@]}"
refuse 1 'snapshots www' "$t" snapshots www
refuse 1 'nothere' "$t" ls latest --recovery-file nothere "${look[@]}"
refuse 5 'this is no recovery file' "$t" ls latest --recovery-file pass "${look[@]}"
refuse 5 'pass$' "$t" snapshots --copy "$here/a" --recovery-file pass "${look[@]}"
refuse 5 'next: give the one that init has written' "$t" snapshots --copy "$here/a" --recovery-file pass "${look[@]}"
refuse 2 'why:  which policy\? Give --policy NAME' "$t" restore --copy "$here/a" --to "$here/r" "${look[@]}"
refuse 2 'next: name one of those that stand there' "$t" notify test --role nobody
refuse 5 'recovery' "$t" ls latest --recovery-file c/recovery "${look[@]}"
mkdir hollow
refuse 1 'mounted' "$t" snapshots --copy "$here/hollow" "${look[@]}"
refuse 1 'nothere' "$t" snapshots --copy "$here/nothere" "${look[@]}"
refuse 1 'no vault' "$t" snapshots --copy "$here/full" "${look[@]}"
refuse 5 'passphrase' "$t" snapshots --copy "$here/a" --passphrase-file wrong
refuse 2 'ftp' "$t" snapshots --copy ftp://host/a "${look[@]}"
refuse 2 'live' "$t" diff latest live --copy "$here/a" "${look[@]}"

# --- policies ------------------------------------------------------------------------------------------------
refuse 2 'no name' "$t" policy add --files /etc
refuse 2 'nothing to back up' "$t" policy add etc
refuse 2 'name of a policy' "$t" policy add 'e t c' --files /etc
refuse 2 '\.\.' "$t" policy add etc --files /etc/../home
refuse 2 'length of time' "$t" policy add etc --files /etc --rpo soon
refuse 2 'main' "$t" policy add etc --files /etc --vault nope
refuse 2 'agent enrol' "$t" policy add etc --files /etc --agent nope
refuse 2 'nope' "$t" policy show nope
if command -v systemd-analyze >/dev/null; then
    refuse 2 'systemd-analyze calendar' "$t" policy add etc --files /etc --schedule tomorrow-ish
    refuse 2 'never comes' "$t" policy add etc --files /etc --schedule '2020-01-01 02:00:00'
fi
"$t" policy add etc --files /etc >io/out 2>io/err || complain "policy add itself failed"
refuse 1 'etc.yaml' "$t" policy add etc --files /etc
refuse 2 'nope' "$t" backup nope
snapshots=$("$t" snapshots | wc -l)
refuse 2 'backup of "ecc"' "$t" backup etc ecc # before the first one runs
[ "$("$t" snapshots | wc -l)" = "$snapshots" ] || complain "backup of a name that is none ran the other one"
refuse 2 'nope' "$t" status nope
refuse 2 'name one of those that there are: etc; to read a backup whose policy is gone: --copy URL --policy nope' \
    "$t" restore nope --to "$here/r" "${look[@]}"
refuse 2 'those that there are: etc' "$t" enqueue backup nope
refuse 2 'those that there are: etc' "$t" pause nope
refuse 2 'agent enrol' "$t" agent check nope

# What to do next is about the mistake, never about a copy that lost something.
for command in "resume 77" "cancel 77" "pause 77"; do
    # shellcheck disable=SC2086 # two words
    refuse 2 'next: see which there are, and which there were: twofold jobs --all' "$t" $command
done
refuse 2 'next: the numbers stand in: twofold alarms' "$t" alarms ack 77
refuse 2 'next: the numbers stand in: twofold alarms' "$t" alarms show 77
refuse 2 'next: the numbers stand in: twofold alarms' "$t" alarms called 77 Li --reached
cp conf/policies/etc.yaml etc.yaml
sed 's|- /etc$|- /nowhere-at-all|' etc.yaml >conf/policies/etc.yaml
rc=0
"$t" backup etc >io/out 2>io/err || rc=$?
[ $rc -eq 1 ] && grep -q 'next: is all of it mounted? Else correct the paths' io/err || complain "no path is there"
mkdir kept
echo 1 >kept/file
sed "s|- /etc$|- $here/kept|" etc.yaml >conf/policies/etc.yaml
"$t" backup etc >io/out 2>io/err || complain "backup itself failed"
refuse 1 'is the folder above it there, and mounted' "$t" restore etc --to /proc/nowhere/x "${look[@]}"
rc=0
"$t" restore etc --to "$here/r" /nowhere-at-all "${look[@]}" >io/out 2>io/err || rc=$?
[ $rc -eq 1 ] && grep -q 'next: see what it holds: twofold ls' io/err || complain "a file that is not in the backup"
[ ! -e r ] || complain "a target was left though nothing was restored"
"$t" restore etc --to "$here/r" "$here/kept/file" "${look[@]}" >io/out 2>io/err && rm -r r ||
    complain "the right path is refused after a wrong one"
refuse 2 'next: restore its files into a folder' "$t" restore etc --to "$here/r" --verify "${look[@]}"
refuse 2 'no backups of a policy "gone"' "$t" prune --forget-policy gone
refuse 5 'still there' "$t" --yes prune --forget-policy etc
rc=0
"$t" status >io/out 2>io/err || rc=$?
[ $rc -eq 0 ] || complain "a slip at prune is told as a failed prune"
cp etc.yaml conf/policies/etc.yaml

# A record of what began says how it ended, also when it was a slip; what there is none of is said.
"$t" restore >io/out 2>io/err
"$t" audit list >io/out
tail -n 2 io/out | head -n 1 | grep -q 'restore: begun$' && tail -n 1 io/out | grep -q 'restore: exit 2$' ||
    complain "an open end in the audit trail"
"$t" agent list >io/out 2>io/err
grep -q 'twofold agent enrol NAME' io/out || complain "agent list says nothing"
"$t" hold list >io/out 2>io/err
grep -q 'twofold hold add SNAPSHOT' io/out || complain "hold list says nothing"
printf 'vault: main\nfiles:\n  paths:\n    - /etc\n    - relative/path\n' >conf/policies/bad.yaml
refuse 2 'bad.yaml, line 5' "$t" policy show bad
refuse 2 'bad.yaml, line 5' "$t" backup bad
printf 'vault: main\nfiles:\n  pahts: [/etc]\n' >conf/policies/bad.yaml
refuse 2 'bad.yaml, line 3' "$t" policy show bad
printf 'rpo: soon\nfiles:\n  paths: [/etc]\n' >conf/policies/bad.yaml
refuse 2 'bad.yaml, line 1' "$t" policy show bad

# lint names all mistakes on stdout, and ends like an error
rc=0
"$t" policy lint >io/out 2>io/err || rc=$?
[ $rc -eq 2 ] || complain "policy lint: exit status $rc"
[ "$(wc -l <io/err)" -eq 3 ] || complain "policy lint: not three lines"
grep -q 'bad.yaml:1: error: ' io/out || complain "policy lint: the mistake is not named"
grep -q 'PY-DB-1' io/out || complain "policy lint: two copies on one device are not named"

# --- with --json: one object on stdout, nothing on stderr -------------------------------------------------------
rc=0
"$t" --json snapshots www >io/out 2>io/err || rc=$?
[ $rc -eq 1 ] || complain "--json: exit status $rc"
[ ! -s io/err ] || complain "--json: something on stderr"
[ "$(wc -l <io/out)" -eq 1 ] || complain "--json: not one line"
grep -q '^{.*"type":"error".*"code":"absent".*}$' io/out || complain "--json: not the error"

# --- results that cannot be written are no results --------------------------------------------------------------
if [ -c /dev/full ]; then
    rc=0
    "$t" version >/dev/full 2>io/err || rc=$?
    [ $rc -eq 1 ] && [ "$(wc -l <io/err)" -eq 3 ] || complain "a full disk under stdout: exit status $rc"
fi

[ $failures -eq 0 ] || {
    echo "$failures failures"
    exit 1
}
