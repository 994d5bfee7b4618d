#!/bin/bash
# 11-init-faults.sh - `twofold init` when a step of it fails or the machine stops: each step that touches a disk fails once,
# and then nothing at all is left; each is the last before a kill, and then there is no vault or a good one.
# timeout: 900
set -u
export TWOFOLD_CONFIG=$PWD/site/conf TWOFOLD_STATE=$PWD/site/state
printf 'Correct-Horse-Battery-9\n' >pass
chmod 600 pass
failures=0

complain() {
    echo "FAILED: $*"
    cat out err
    failures=$((failures + 1))
}

init() {
    "$TWOFOLD" init --vault main --passphrase-file pass --keep-recovery-key --kit "$PWD/site/kit" \
        --recovery-file "$PWD/site/recovery" --copy "a=$PWD/site/deep/down/a" --copy "b=$PWD/site/b" \
        >out 2>err </dev/null
}

start() {
    rm -rf site
    mkdir site site/b # one folder is there, the other is to be made
}

start
TWOFOLD_FAULT=count:$PWD/steps init || complain "init without a fault: $?"
steps=$(cat steps)
[ "$steps" -gt 20 ] || complain "only $steps steps"
for file in conf/keys/main.op conf/keys/main.recovery kit recovery; do
    [ "$(stat -c %a "site/$file")" = 600 ] || complain "others can read $file"
done
cmp site/recovery site/b/recovery || complain "the recovery file is not the one on the copies"
cmp site/b/vault/00000001 site/deep/down/a/vault/00000001 || complain "the copies are not the same"

for ((n = 1; n <= steps; n++)); do
    start
    rc=0
    TWOFOLD_FAULT=fail@$n:ENOSPC init || rc=$?
    if [ $rc -eq 0 ]; then
        [ -e site/conf/vaults/main.yaml ] || complain "step $n: success without a configuration"
    else
        [ "$(find site -mindepth 1)" = site/b ] ||
            complain "step $n failed, and left: $(find site -mindepth 1 | paste -sd' ')"
        [ "$(grep -vc '^twofold: warning' err)" -eq 3 ] || complain "step $n: not three lines"
    fi
done

for ((n = 1; n <= steps; n += 3)); do
    start
    rc=0
    { TWOFOLD_FAULT=kill@$n init; } 2>/dev/null || rc=$?
    [ $rc -eq 137 ] || complain "step $n: exit status $rc instead of a kill"
    [ -e site/conf/vaults/main.yaml ] || continue
    rc=0
    "$TWOFOLD" ls latest >out 2>err || rc=$?
    # The vault can be opened, with the recovery key that was kept, and is empty.
    { [ $rc -eq 1 ] && grep -q 'no backup yet' err; } || complain "killed at step $n: half a vault"
done

[ $failures -eq 0 ] || exit 1
