#!/bin/bash
# 50-fork.sh - two orchestrators write to one vault without knowing of each other: both states are seen, the next writer merges
# them, nothing is lost (docs/format.md, rules 6 and 7). And a copy that was away for long is behind, not a fork.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

src=$work/src
small_tree "$src" 50 30
new_vault "$work/v"
policy_add tree --files "$src"
expect 0 "$t" backup tree
cp -a "$work/v/c" "$work/c2" # a second orchestrator: the same keys and vault, a state of its own
mkdir "$work/s2"
second() { # status, command
    TWOFOLD_CONFIG=$work/c2 TWOFOLD_STATE=$work/s2 expect "$1" "$t" "${@:2}"
}
count_snapshots() { "$t" --json snapshots 2>/dev/null | grep -c '"type":"snapshot"'; }

# keep NAME: the source as it is now, and the snapshot that has it.
declare -A kept
keep() {
    cp -a "$src" "$work/kept-$1"
    kept[$1]=$(json snapshot backup)
}
# all_kept [OPTION…]: every snapshot that was ever made gives its tree back.
all_kept() {
    local name
    for name in "${!kept[@]}"; do
        clean "$work/out"
        expect 0 "$t" restore tree --snapshot "${kept[$name]:0:16}" --to "$work/out" "$@" &&
            same_tree "$work/kept-$name" "$work/out$src"
    done
}

# --- the second one is refused until it is told to take over -------------------------------------------------------------------
second 5 backup tree && said 'take-over'
second 0 snapshots # looking is allowed
second 0 restore tree --to "$work/looked" && same_tree "$src" "$work/looked$src"

# --- each writes while one copy is hidden from it -----------------------------------------------------------------------------------
mv "$b" "$b.hidden"
echo one >"$src/one" && head -c 100000 /dev/urandom >"$src/random1"
expect 3 "$t" --json backup tree && keep one
mv "$a" "$a.hidden" && mv "$b.hidden" "$b"
rm "$src/one" "$src/random1" && echo two >"$src/two" && head -c 100000 /dev/urandom >"$src/random2"
second 3 --json backup tree --take-over && keep two
mv "$a.hidden" "$a"
[ "$(find "$a/heads" "$b/heads" -name '0000000000000002-*' | wc -l)" -eq 2 ] || fail "these are not two heads of one generation"

expect 3 "$t" status && said 'FORK|fork'
expect 0 "$t" snapshots && said 'fork'
[ "$(count_snapshots)" -eq 3 ] || fail "$(count_snapshots) snapshots instead of 3"
all_kept
before=$(fingerprint "$a" "$b")
expect 5 "$t" backup tree
second 5 backup tree
[ "$before" = "$(fingerprint "$a" "$b")" ] || fail "a refused backup wrote"
expect 0,4 "$t" scrub --read-data=100%

echo three >"$src/three"
expect 0 "$t" --json backup tree --take-over && keep three
expect 0 "$t" status && not_said 'FORK|fork'
[ "$(count_snapshots)" -eq 4 ] || fail "$(count_snapshots) snapshots instead of 4"
expect 0 "$t" scrub --read-data=100%
all_kept --from a
all_kept --from b
second 5 backup tree
sleep 1 # a run that fails in the second of the newest whole backup counts as the later one
expect 0 "$t" backup tree # without being told again
expect 0 "$t" replicate

# --- merged by replicate, with a policy that only one of them has --------------------------------------------------------------------
mkdir "$work/more" && echo more >"$work/more/file"
mv "$b" "$b.hidden"
echo four >"$src/four"
expect 3 "$t" --json backup tree && keep four
mv "$a" "$a.hidden" && mv "$b.hidden" "$b"
second 0 policy add more --files "$work/more"
second 3 backup more --take-over
mv "$a.hidden" "$a"
second 0 replicate --take-over
second 0 status
expect 0 "$t" snapshots && said ' more '
all_kept --from a
all_kept --from b
second 0 restore more --from a --to "$work/more-back" && same_tree "$work/more" "$work/more-back$work/more"
expect 5 "$t" backup tree
expect 0 "$t" backup tree --take-over

# --- both at the very same time -----------------------------------------------------------------------------------------------------------
for i in 1 2 3; do
    echo "$i" >"$src/race"
    n=$(count_snapshots)
    (TWOFOLD_CONFIG=$work/c2 TWOFOLD_STATE=$work/s2 exec "$t" backup tree --take-over >"$work/race2" 2>&1) &
    "$t" backup tree --take-over >"$work/race1" 2>&1
    one=$?
    wait $!
    two=$?
    for rc in $one $two; do
        case $rc in 0 | 1 | 3) ;; *) fail "a race ends with $rc: $(cat "$work/race1" "$work/race2")" ;; esac
    done
    good=$(grep -cl 'snapshot .*, whole' "$work/race1" "$work/race2" | wc -l)
    [ "$(count_snapshots)" -eq $((n + good)) ] || fail "$good runs said that they saved something, $((n + good)) snapshots should be there: $(count_snapshots)"
    expect 0 "$t" backup tree --take-over
    expect 0 "$t" status
done
expect 0 "$t" scrub --read-data=100%
all_kept --from a
all_kept --from b

# --- a copy that was away for 70 generations is behind, not a fork -----------------------------------------------------------------------------
rounds=70
tiny=$work/tiny
mkdir "$tiny"
new_vault "$work/r"
policy_add tiny --files "$tiny"
policy_says tiny
echo 0 >"$tiny/n"
expect 0 "$t" backup tiny
cp -a "$b" "$work/b.forked"
mv "$b" "$b.away"
for ((i = 1; i <= rounds; i++)); do
    echo $i >"$tiny/n"
    expect 3 "$TWOFOLD_FAST" --quiet backup tiny || break
done
mv "$b.away" "$b"
expect 3 "$t" status && said "b +behind by $rounds" && not_said 'FORK|fork'
expect 0 "$t" replicate
expect 0 "$t" status
expect 0 "$t" restore tiny --from b --to "$work/tiny-back" && same_tree "$tiny" "$work/tiny-back$tiny"
expect 0 "$t" scrub --read-data=100%
# But what somebody else wrote on it meanwhile is one, after whatever time.
cp -a "$work/r/c" "$work/c3" && mkdir "$work/s3"
mv "$a" "$a.hidden" && mv "$b" "$b.hidden" && cp -a "$work/b.forked" "$b"
echo foreign >"$tiny/foreign"
TWOFOLD_CONFIG=$work/c3 TWOFOLD_STATE=$work/s3 expect 3 "$t" --json backup tiny --take-over
foreign=$(json snapshot backup)
rm "$tiny/foreign"
mv "$a.hidden" "$a"
expect 3 "$t" status && said 'FORK|fork'
expect 0 "$t" backup tiny --take-over
expect 0 "$t" status
expect 0 "$t" restore tiny --from a --snapshot "${foreign:0:16}" --to "$work/foreign" && [ "$(cat "$work/foreign$tiny/foreign")" = foreign ] ||
    fail "what the other orchestrator wrote is lost"
finish
