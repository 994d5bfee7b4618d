#!/bin/bash
# A running backup stands still and goes on; bounds on its speed; its agent comes behind the host's own work.
# shellcheck source=/dev/null disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

export HOME=$work/home TWOFOLD_CONFIG=$work/conf TWOFOLD_STATE=$work/state
mkdir -p "$HOME" "$work/src"
echo 'correct horse Battery 1' >"$work/pw"
chmod 600 "$work/pw"
head -c 6000000 /dev/urandom >"$work/src/large"
expect 0 "$t" init --vault v --copy a="$work/a" --copy b="$work/b" --passphrase-file "$work/pw"
expect 0 "$t" policy add p --files "$work/src" --limit 2MiB

stored() { du -sb "$work/a" | cut -f1; }

say "--- a bound on a policy's speed, and a pause in the middle"
began=${EPOCHREALTIME/./}
"$t" backup p >"$work/.out" 2>"$work/.err" </dev/null &
job=$!
agent=""
for _ in $(seq 100); do
    agent=$(pgrep -P "$job" -f twofold-agent | head -1)
    [ -n "$agent" ] && [ "$(awk '{ print $19 }' "/proc/$agent/stat" 2>/dev/null)" = 10 ] && break
    sleep 0.05
done
[ -n "$agent" ] || fail "no agent was seen"
[ "$(awk '{ print $19 }' "/proc/$agent/stat" 2>/dev/null)" = 10 ] || fail "the agent is not nice"
sleep 0.5
kill -USR1 "$job"
paused=""
for _ in $(seq 100); do
    grep -q "paused" "$work/.err" && paused=1 && break
    sleep 0.05
done
[ -n "$paused" ] || fail "it did not say that it is paused"
sleep 1.5
kill -0 "$job" 2>/dev/null || fail "it ended while it was paused"
before=$(stored)
sleep 2
[ "$(stored)" = "$before" ] || fail "something was stored while it was paused"
kill -USR2 "$job"
wait "$job" || { fail "the backup that was paused ended with $?"; show_output; }
took=$(((${EPOCHREALTIME/./} - began) / 1000))
[ "$took" -ge 5500 ] || fail "it took only $took ms: 6 MB at 2 MiB/s and 3.5 s of pause"
expect 0 "$t" scrub --read-data=100%
[ -f "$work/state/limits/policy-p" ] || fail "the bound is not shared by a file"

say "--- interrupted while it stands still"
head -c 6000000 /dev/urandom >"$work/src/large"
"$t" backup p >"$work/.out" 2>"$work/.err" </dev/null &
job=$!
sleep 0.7
kill -USR1 "$job"
for _ in $(seq 100); do
    grep -q "paused" "$work/.err" && break
    sleep 0.05
done
kill -TERM "$job"
wait "$job"
[ $? -eq 130 ] || { fail "interrupted while paused: another status than 130"; show_output; }

say "--- a bound on a copy's speed"
sed -i '0,/    url: .*\/a$/s//&\n    limit: 2MiB/' "$work/conf/vaults/v.yaml"
grep -q "limit: 2MiB" "$work/conf/vaults/v.yaml" || fail "the vault's file is not as expected"
sed -i '/^limit:/d' "$work/conf/policies/p.yaml"
began=${EPOCHREALTIME/./}
expect 0 "$t" backup p
took=$(((${EPOCHREALTIME/./} - began) / 1000))
[ "$took" -ge 2000 ] || fail "6 MB to a copy at 2 MiB/s took only $took ms"
expect 0 "$t" status
finish
