#!/bin/bash
# 59-next-run.sh - status says what keeps the next run from coming: a policy that is held back, a schedule that means nothing, a state
# folder that was lost, a scheduler that was stopped; and a replicate that is interrupted says that it was.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

src=$work/src
small_tree "$src" 59 20
new_vault "$work/v"
policy_add good --files "$src"
policy_add other --files "$src"
expect 0 "$t" backup good other
expect 0 "$t" status --all && said 'Policy good: good'
runs() { # how many policies have a next run
    "$t" --json status 2>/dev/null | python3 -c '
import json, sys
print(len({o["policy"] for o in map(json.loads, sys.stdin) if o.get("next_run_s")}))'
}
know_calendar=1
command -v systemd-analyze >/dev/null || know_calendar=""

# --- held back ---------------------------------------------------------------------------------------------------------------
expect 0 "$t" pause good
expect 3 "$t" status && said 'it is held back' && said 'next: twofold resume good' && said 'next run: +NONE'
"$t" --json status 2>/dev/null | grep '"policy":"good"' | grep -q '"held":true' || fail "--json does not say it"
expect 0 "$t" resume good
expect 0 "$t" status

# --- a schedule that means nothing hides no other ---------------------------------------------------------------------------
if [ "$know_calendar" ]; then
    [ "$(runs)" -eq 2 ] || fail "$(runs) policies have a next run instead of 2"
    sed -i 's/^schedule:.*/schedule: "every day at 2"/' "$vault/c/policies/good.yaml"
    expect 3 "$t" status && said 'does not understand its schedule' && said '"every day at'
    grep -q 'Failed to parse' "$work/.err" && fail "systemd's own words are shown"
    [ "$(runs)" -eq 1 ] || fail "$(runs) policies have a next run instead of 1"
    sed -i 's/^schedule:.*/schedule: "*-*-* 02:00:00"/' "$vault/c/policies/good.yaml"
    expect 0 "$t" status
else
    skip_part "schedules: systemd-analyze is missing"
fi

# --- the state folder is lost -------------------------------------------------------------------------------------------------
mv "$vault/s" "$vault/s.lost"
expect 3 "$t" status && said 'backups from here are refused' && said 'twofold backup POLICY --take-over'
expect 0 "$t" catalog rebuild && said 'twofold backup POLICY --take-over'
expect 5 "$t" backup good && said 'take-over'
expect 0 "$t" backup good --take-over
expect 0 "$t" status

# --- the configuration is lost --------------------------------------------------------------------------------------------------
TWOFOLD_CONFIG=$work/none expect 0 "$t" status && said 'No vault yet' && said 'twofold adopt'

# --- a place whose parent is not there: a slip, or a disk that is not mounted --------------------------------------------------
TWOFOLD_CONFIG=$work/c2 TWOFOLD_STATE=$work/s2 expect 0 "$t" --yes init --vault v2 --copy "x=$work/x" --copy "y=$work/no/such" --passphrase-file "$pass"
said "copy \"y\": there is no folder $work/no: is its disk mounted" && ! grep -q '"x": there is no folder' "$work/.err" || fail "the wrong places are doubted"

# --- an interrupted replicate ---------------------------------------------------------------------------------------------------
mv "$b" "$b.away"
head -c 8000000 /dev/urandom >"$src/large"
expect 3 "$t" backup good
mv "$b.away" "$b"
sed -i "s|^\( *\)url: \"\{0,1\}$b\"\{0,1\}\$|&\n\1limit: 1MiB|" "$vault/c/vaults/main.yaml"
grep -q limit: "$vault/c/vaults/main.yaml" || fail "the vault's configuration is not as expected"
"$t" replicate >"$work/.out" 2>"$work/.err" </dev/null &
pid=$!
sleep 2
kill -TERM "$pid"
rc=0
wait "$pid" || rc=$?
[ "$rc" -eq 130 ] || { fail "an interrupted replicate ended with $rc"; show_output; }
said 'run it again to go on'
sed -i '/limit: 1MiB/d' "$vault/c/vaults/main.yaml"
expect 0 "$t" replicate
expect 0 "$t" status
finish
