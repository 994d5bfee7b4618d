#!/bin/bash
# 30-damage.sh - damaged copies: random objects of every kind flipped, cut, deleted, swapped; old copies put back; forged heads.
# What can be restored is restored right, what cannot is named, and nothing wrong ever gets a file's name.
# Case: Pack damaged in one copy (docs/lessons): the chunk comes from the other one, and a restore goes on past a lost one.
# long
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

seed=${SEED:-$((0x2f01d))}
trials=${TRIALS:-${sweep_full:+400}}
trials=${trials:-16}
say "seed $seed, $trials trials"

src=$work/src
small_tree "$src" 30 100
new_vault "$work/v"
policy_add tree --files "$src"
expect 0 "$t" backup tree
cp -a "$work/v" "$work/v1" # one generation
echo changed >"$src/second" && head -c 200000 /dev/urandom >"$src/random"
expect 0 "$t" backup tree
cp -a "$work/v" "$work/v2" # two

fresh() { # the vault as it was
    rm -rf "$work/v"
    cp -a "$work/v2" "$work/v"
}

damage() { python3 "$here/damage.py" "$@" >>"$work/.damage" || fail "damage.py $*"; }

# restore_partly: a restore that may lose files must name each, and have no wrong one. $1: exit statuses.
restore_partly() {
    local log
    clean "$work/out"
    expect "$1" "$t" restore tree --to "$work/out" || return 1
    cp "$work/.err" "$work/named"
    log=$(python3 "$here/partial.py" "$src" "$work/out$src" "$work/named") || {
        fail "a partial restore: $log"
        return 1
    }
    lost=$log
}

whole_again() {
    expect 0 "$t" restore tree --to "$work/out" || return 1
    same_tree "$src" "$work/out$src"
}

# --- one copy, any object, any damage: the restore is the same ------------------------------------------------------
n=0
for ((i = 0; i < trials; i++)); do
    for kind in vault recovery keys packs index snapshots lists heads; do
        [ $(((i + n++) % 4)) -eq 0 ] || [ -n "$sweep_full" ] || continue
        fresh
        : >"$work/.damage"
        how=$(python3 -c "import random; r = random.Random($seed * 1000 + $i * 10 + $n); print(r.choice(['flip', 'cut', 'delete', 'swap', 'grow', 'empty', 'zero']))")
        damage "$how" "$kind" $((seed + i)) "$a"
        # Without the cache, too: everything is read from the copies then.
        [ $((i % 2)) -eq 0 ] || rm -f "$work"/v/s/*/index.db
        clean "$work/out"
        before=$failures
        whole_again
        [ "$before" -eq "$failures" ] || say "    after: $(cat "$work/.damage")"
    done
done

# The same, from the copy alone that is healthy, and with what is damaged named by the other.
fresh
damage flip packs $seed "$a"
clean "$work/out"
expect 0,4 "$t" restore tree --from a --to "$work/out" || :
fresh

# --- everything of one kind in one copy --------------------------------------------------------------------------------
for kind in keys packs index snapshots lists heads; do
    fresh
    rm -f "$work"/v/s/*/index.db
    find "$a/$kind" -type f -delete
    clean "$work/out"
    before=$failures
    whole_again
    [ "$before" -eq "$failures" ] || say "    after: all $kind deleted in a"
done

# --- in both copies, but not the same chunk -------------------------------------------------------------------------------
for ((i = 0; i < (trials + 3) / 4; i++)); do
    fresh
    : >"$work/.damage"
    damage disjoint packs $((seed + i)) "$a" "$b"
    clean "$work/out"
    before=$failures
    whole_again
    [ "$before" -eq "$failures" ] || say "    after: $(cat "$work/.damage")"
done

# --- the same chunk in both: the rest is restored, what is lost is named ------------------------------------------------------
some=0
for ((i = 0; i < (trials + 1) / 2; i++)); do
    fresh
    : >"$work/.damage"
    damage same packs $((seed + i)) "$a" "$b"
    before=$failures
    restore_partly 0,4
    if [ "$status" -eq 4 ]; then
        some=$((some + 1))
        [ "$lost" -gt 0 ] 2>/dev/null || [ "$before" -ne "$failures" ] || fail "exit status 4, but nothing is lost"
    elif [ "$lost" != 0 ]; then
        fail "exit status 0 with $lost files lost"
    fi
    [ "$before" -eq "$failures" ] || say "    after: $(cat "$work/.damage")"
done
say "$some times files were lost"
[ "$some" -gt 0 ] || fail "no trial lost anything: this tests nothing"

# The other objects in both: an error that says so, or an older state; never a crash, never wrong bytes.
for kind in keys index snapshots lists heads; do
    fresh
    rm -f "$work"/v/s/*/index.db
    : >"$work/.damage"
    damage flip-newest $kind $seed "$a" "$b"
    before=$failures
    clean "$work/out"
    expect 0,1,3,4,6 "$t" restore tree --to "$work/out" # an older backup may be what is restored
    if [ "$status" -ne 0 ]; then
        grep -q 'why:' "$work/.err" || fail "no reason was given"
    fi
    if [ -d "$work/out$src" ]; then
        while IFS= read -r -d '' f; do
            [ -e "$src/$f" ] && cmp -s "$src/$f" "$work/out$src/$f" || fail "a wrong file: $f"
        done < <(cd "$work/out$src" && find . -type f -print0)
    fi
    expect 0,1,3,4 "$t" status
    [ "$before" -eq "$failures" ] || say "    after: $(cat "$work/.damage")"
done

# A lost keys object costs what it sealed and nothing else, and the next backup stores that again.
fresh
first=$("$t" --json snapshots | python3 -c 'import json,sys; print([json.loads(l)["id"] for l in sys.stdin if "\"snapshot\"" in l][0])')
damage flip-newest keys $seed "$a" "$b"
clean "$work/out"
expect 4 "$t" restore tree --to "$work/out"
expect 0 "$t" restore tree --snapshot "${first:0:12}" --to "$work/first"
expect 3 "$t" status && said 'data keys'
expect 0 "$t" backup tree
clean "$work/out"
whole_again
# A damaged snapshot is one error, of one program, and the older one is still there.
fresh
damage flip-newest snapshots $seed "$a" "$b"
clean "$work/out" "$work/first"
expect 4 "$t" restore tree --to "$work/out" && said 'snapshots/' && not_said 'twofold-agent'
expect 0 "$t" restore tree --snapshot "${first:0:12}" --to "$work/first"
expect 0 "$t" backup tree
clean "$work/out"
whole_again

# --- rolled back: an older copy of a is put back ---------------------------------------------------------------------------------
fresh
rm -rf "$a" && cp -a "$work/v1/a" "$a"
expect 3 "$t" status && said 'a +rolled back'
expect 0 "$t" restore tree --to "$work/rolled" && said 'shows an older state' && same_tree "$src" "$work/rolled$src"
expect 0 "$t" replicate && said 'copy "a": complete'
expect 0 "$t" status && not_said 'rolled'
expect 0 "$t" restore tree --from a --to "$work/rolled-a" && same_tree "$src" "$work/rolled-a$src"
# A backup heals it as well.
fresh
rm -rf "$a" && cp -a "$work/v1/a" "$a"
expect 0 "$t" backup tree && said 'copy "a": complete'
expect 0 "$t" status && not_said 'rolled'
# All copies: nobody can tell what is missing; the writer refuses until a person has looked.
fresh
rm -rf "$a" "$b" && cp -a "$work/v1/a" "$a" && cp -a "$work/v1/b" "$b"
expect 3 "$t" status && said 'rolled back'
before=$(fingerprint "$a" "$b")
expect 4,5 "$t" backup tree && said 'older state'
expect 4,5 "$t" replicate
[ "$before" = "$(fingerprint "$a" "$b")" ] || fail "a refused backup wrote to the copies"
expect 0 "$t" backup tree --take-over
expect 0 "$t" status
expect 0 "$t" restore tree --to "$work/taken" && same_tree "$src" "$work/taken$src"

# --- forged heads ------------------------------------------------------------------------------------------------------------------------
mkdir -p "$work/other" && saved="$TWOFOLD_CONFIG $TWOFOLD_STATE $a $b $pass"
new_vault "$work/other"
policy_add tree --files "$src/empty"
expect 0 "$t" backup tree
foreign=$(find "$work/other/a/heads" -type f | head -n 1)
read -r TWOFOLD_CONFIG TWOFOLD_STATE a b pass <<<"$saved"
export TWOFOLD_CONFIG TWOFOLD_STATE
for forgery in random foreign bits resigned renamed; do
    fresh
    python3 "$here/damage.py" "forge-$forgery" heads $seed "$a" "$foreign" >"$work/.damage" || fail "damage.py"
    grep -q '^skip' "$work/.damage" && { skip_part "$(cat "$work/.damage")"; continue; }
    before=$failures
    expect 3 "$t" status && said 'a +.*damaged head'
    clean "$work/out"
    whole_again
    clean "$work/out"
    expect 0,4 "$t" restore tree --from a --to "$work/out" && same_tree "$src" "$work/out$src"
    expect 0,3 "$t" backup tree
    clean "$work/out"
    whole_again
    [ "$before" -eq "$failures" ] || say "    after: $(cat "$work/.damage")"
done
finish
