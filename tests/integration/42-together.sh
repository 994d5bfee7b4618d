#!/bin/bash
# 42-together.sh - many processes of one orchestrator on one vault: backups of several policies at once, beside replicate, scrub
# and restore; one of them killed at points all over its run, the commit above all. Whoever lives commits, every snapshot
# restores, and a killed run goes on where it was.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

fast=$TWOFOLD_FAST
n_policies=6
new_vault "$work/v"
for ((i = 1; i <= n_policies; i++)); do
    small_tree "$work/src$i" "$((420 + i))" 25
    policy_add "p$i" --files "$work/src$i"
done
mkdir "$work/big"
python3 -c '
import random, sys
r = random.Random(42)
for i in range(24):
    open("%s/%d" % (sys.argv[1], i), "wb").write(r.randbytes(5000000))' "$work/big"
policy_add big --files "$work/big"
expect 0 "$t" snapshots # makes the vault's state
state_dir=$(dirname "$(find "$work/v/s" -name facts.db)")
sessions=$state_dir/sessions
newest() { basename "$(find "$1/heads" -type f | sort | tail -n 1)"; }

# together NAME=COMMAND…: all at once; sets rc[NAME].
declare -A rc
together() {
    local part name pids=()
    for part; do
        name=${part%%=*}
        (eval "${part#*=}" >"$work/out-$name" 2>&1 </dev/null) 2>/dev/null &
        pids+=("$name $!")
    done
    for part in "${pids[@]}"; do
        wait "${part#* }" 2>/dev/null
        rc[${part% *}]=$?
    done
}
ended() { # NAME STATUS
    [ "${rc[$1]}" -eq "$2" ] && return 0
    fail "$1 ended with ${rc[$1]} instead of $2"
    sed 's/^/    /' "$work/out-$1" | tail -n 12
}
all_well() {
    expect 0 "$fast" status && not_said 'FORK|fork|behind'
    expect 0 "$fast" scrub --read-data=100%
    [ "$(newest "$a")" = "$(newest "$b")" ] || fail "the copies have different heads"
    [ -z "$(ls "$sessions")" ] || fail "a session was left: $(ls "$sessions")"
}

# --- all at once, one killed in the middle, others looking on -----------------------------------------------------------------
rm -f "$work/steps"
cp -a "$work/v" "$work/v0"
TWOFOLD_FAULT=count:$work/steps TWOFOLD_FAULT_PROGRAM=twofold expect 0 "$t" backup big
total=$(du -sb "$a/packs" | cut -f1)
steps=$(cat "$work/steps")
rm -rf "$work/v" && mv "$work/v0" "$work/v"
runs=("big=TWOFOLD_FAULT=kill@$((steps * 7 / 10)) TWOFOLD_FAULT_PROGRAM=twofold exec $t backup big")
for ((i = 1; i <= n_policies; i++)); do runs+=("p$i=exec $t --json backup p$i"); done
together "${runs[@]}" "looks=exec $t snapshots" "scrub=exec $t scrub"
ended big 137
for ((i = 1; i <= n_policies; i++)); do ended "p$i" 0; done
ended scrub 0
expect 3 "$t" status && said 'big: NOTHING YET' && not_said 'FORK|fork|behind'
[ "$("$t" --json snapshots | grep -c '"type":"snapshot"')" -eq $n_policies ] || fail "not every policy has its snapshot"
for ((i = 1; i <= n_policies; i++)); do restore_same "$work/src$i" "p$i" --from "$([ $((i % 2)) = 0 ] && echo a || echo b)"; done

# What it had stored nobody else took, and it is not stored again, though others run meanwhile.
others=0
for ((i = 1; i <= n_policies; i++)); do
    others=$((others + $(grep -o '"bytes_stored": *[0-9]*' "$work/out-p$i" | tail -n 1 | tr -dc 0-9)))
done
kept=$(($(du -sb "$a/packs" | cut -f1) - others))
echo more >"$work/src1/more"
together "big=exec $t --json backup big" "p1=exec $t backup p1" "p2=exec $t backup p2" "r=exec $t replicate" \
    "x=exec $fast restore p3 --to $work/beside"
ended big 0 && ended p1 0 && ended p2 0 && ended r 0 && ended x 0
stored=$(grep -o '"bytes_stored": *[0-9]*' "$work/out-big" | tail -n 1 | tr -dc 0-9)
say "killed with $kept of $total bytes in packs; the next run stored $stored"
[ "$kept" -gt $((total / 4)) ] || fail "no pack was written before the kill: this tests nothing"
[ "$stored" -le $((total - kept + 4000000)) ] || fail "packs that were there were stored again"
same_tree "$work/src3" "$work/beside$work/src3"
restore_same "$work/big" big --from b
restore_same "$work/src1" p1 --from b
all_well

# --- several in one command, and one twice ----------------------------------------------------------------------------------------
expect 0 "$t" backup p1 p2 p3
cat >"$work/slow-agent" <<END
#!/bin/sh
touch $work/started
while [ ! -e $work/may-go ]; do sleep 0.05; done
exec $AGENT "\$@"
END
chmod +x "$work/slow-agent"
(TWOFOLD_AGENT=$work/slow-agent exec "$t" backup p1 >"$work/out-first" 2>&1) &
first=$!
for ((i = 0; i < 200; i++)); do [ -e "$work/started" ] && break; sleep 0.05; done
expect 5 "$t" backup p1
said 'being done already: backup of p1 \(process [0-9]+\)'
said 'next: +wait until'
expect 0 "$t" backup p2 # the others are not held up
[ "$(find "$sessions" -type f -not -name '*.*' | wc -l)" -eq 1 ] || fail "not one session: $(ls "$sessions")"
find "$sessions" -name '*.offers' -size +0 | grep -q . || fail "the run says nowhere what its agent may build on"
touch "$work/may-go"
wait $first || fail "the first one failed: $(cat "$work/out-first")"
expect 0 "$t" backup p1 # the last run of it was good, for status

# The vault's lock is waited for.
(flock 9 && touch "$work/locked" && sleep 1.5) 9>>"$state_dir/lock" &
for ((i = 0; i < 100; i++)); do [ -e "$work/locked" ] && break; sleep 0.02; done
expect 0 "$t" backup p3
wait
all_well

# --- killed all over its commit, while another commits ------------------------------------------------------------------------------
cp -a "$work/v" "$work/v1"
for ((i = 1; i <= 2; i++)); do cp -a "$work/src$i" "$work/was$i"; done
echo 1 >"$work/src1/new" && head -c 200000 /dev/urandom >"$work/src1/random"
echo 2 >"$work/src2/new" && head -c 200000 /dev/urandom >"$work/src2/random"
rm -f "$work/steps"
TWOFOLD_FAULT=count:$work/steps TWOFOLD_FAULT_PROGRAM=twofold expect 0 "$t" backup p1
steps=$(cat "$work/steps")
say "a small backup: $steps steps"
# No two of them wait for each other in the same way each time, so the points need not be exact.
for n in $(python3 -c '
import sys
n, k = int(sys.argv[1]), int(sys.argv[2])
print(*sorted({max(1, n - round(i * n * 0.9 / k)) for i in range(k)}))' "$steps" "${sweep_full:+200}${sweep_full:-9}" 2>/dev/null ||
    seq 1 "$steps"); do
    before=$failures
    rm -rf "$work/v" && cp -a "$work/v1" "$work/v"
    together "dies=TWOFOLD_FAULT=kill@$n TWOFOLD_FAULT_PROGRAM=twofold exec $t backup p1" "lives=exec $t backup p2"
    ended lives 0
    case ${rc[dies]} in 0 | 137) ;; *) ended dies 137 ;; esac
    expect 0,3 "$fast" scrub --read-data=100%
    restore_same "$work/src2" p2
    clean "$work/out"
    expect 0 "$fast" restore p1 --to "$work/out" &&
        { python3 "$here/compare.py" "$work/was1" "$work/out$work/src1" >/dev/null 2>&1 ||
            same_tree "$work/src1" "$work/out$work/src1"; }
    expect 0 "$t" backup p1
    restore_same "$work/src1" p1 --from b
    all_well
    [ "$before" -eq "$failures" ] || say "    after: killed at $n of $steps"
done

# --- a copy that comes back while two run ----------------------------------------------------------------------------------------------
mv "$b" "$b.away"
expect 3 "$t" backup p1
echo 3 >"$work/src3/new"
expect 3 "$t" backup p3
mv "$b.away" "$b"
echo 4 >"$work/src4/new"
together "p4=exec $t backup p4" "p5=exec $t backup p5" "r=exec $t replicate"
ended p4 0 && ended p5 0 && ended r 0
restore_same "$work/src3" p3 --from b
restore_same "$work/src4" p4 --from b
all_well
finish
