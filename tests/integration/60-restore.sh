#!/bin/bash
# 60-restore.sh - every way to get files back: from one place, from nothing but a copy, parts, onto what is there, after an
# interruption, against an attacker at the target, as a tar; and ls, find, diff.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

src=$work/src
small_tree "$src" 60 120
printf 'marker one\n' >"$src/known.txt"
mkdir "$src/part" && printf 'p\n' >"$src/part/p.txt" && ln "$src/part/p.txt" "$src/second-name"
new_vault "$work/v"
policy_add tree --files "$src"
expect 0 "$t" backup tree

# --- all of it; from each place ---------------------------------------------------------------------------------
restore_same "$src" tree
for place in a b; do
    expect 0 "$t" --json restore tree --from $place --to "$work/from-$place" && same_tree "$src" "$work/from-$place$src"
    other=$([ $place = a ] && echo b || echo a)
    python3 - "$place" "$other" "$work/.out" <<'P' || fail "--from $place: chunks came from elsewhere"
import json, sys
last = [json.loads(l) for l in open(sys.argv[3]) if '"restore"' in l][-1]
served = {c["place"]: c["chunks"] for c in last["copies"]}
sys.exit(not (served[sys.argv[1]] > 0 and served[sys.argv[2]] == 0))
P
done
expect 2 "$t" restore tree --from nowhere --to "$work/from-nowhere"
[ ! -e "$work/from-nowhere" ] || fail "--from nowhere made a target"

# --- from nothing but one copy ------------------------------------------------------------------------------------
(
    export TWOFOLD_CONFIG=$work/no-config TWOFOLD_STATE=$work/no-state HOME=$work/no-home
    before=$(fingerprint "$b")
    expect 0 "$t" restore --copy "$b" --policy tree --to "$work/alone" --passphrase-file "$pass" &&
        same_tree "$src" "$work/alone$src"
    expect 0 "$t" snapshots --copy "$b" --passphrase-file "$pass" && said 'tree +[0-9-]+ [0-9:]+ whole'
    cp "$a/recovery" "$work/recovery.bin"
    expect 0 "$t" restore --copy "$a" --policy tree --to "$work/alone2" --recovery-file "$work/recovery.bin" \
        --passphrase-file "$pass" "$src/known.txt"
    printf 'Wrong-Horse-Battery-10\n' >"$work/wrong" && chmod 600 "$work/wrong"
    expect 5 "$t" restore --copy "$b" --policy tree --to "$work/alone3" --passphrase-file "$work/wrong"
    [ ! -e "$work/alone3" ] || fail "a wrong passphrase made a target"
    [ "$before" = "$(fingerprint "$b")" ] || fail "a restore changed the copy"
    left=$(find "$work"/no-* ! -type d 2>/dev/null) # the folder for the agent's spool may stay
    [ -z "$left" ] || fail "a restore from a copy alone left something behind: $left"
    exit "$failures"
) || fail "from one copy alone"

# --- parts ------------------------------------------------------------------------------------------------------------
expect 0 "$t" restore tree --to "$work/one" "$src/known.txt"
[ "$(find "$work/one" -type f | wc -l)" -eq 1 ] && cmp -s "$src/known.txt" "$work/one$src/known.txt" ||
    fail "a single file: not this file and no other"
expect 0 "$t" restore tree --to "$work/second" "$src/second-name" # the first name of a hard link is not asked for
cmp -s "$src/second-name" "$work/second$src/second-name" || fail "a hard link alone was not restored"
[ ! -e "$work/second$src/part/p.txt" ] || fail "what was not asked for was restored"
expect 0 "$t" restore tree --to "$work/part" "$src/part"
same_tree "$src/part" "$work/part$src/part"
expect 0 "$t" restore tree --to "$work/stripped" --strip-source
same_tree "$src" "$work/stripped"
expect 1,2,3,4 "$t" restore tree --to "$work/none" "$src/not-there" && said "not-there"
expect 2 "$t" restore tree --to "$work/none2" relative/path

# --- onto what is there --------------------------------------------------------------------------------------------------
mkdir -p "$work/full" && echo mine >"$work/full/mine"
before=$(fingerprint "$work/full")
for command in "restore tree" "restore tree --strip-source"; do
    # shellcheck disable=SC2086
    expect 1,5 "$t" $command --to "$work/full" && said 'not empty'
    [ "$before" = "$(fingerprint "$work/full")" ] || fail "a refused restore touched the target"
done
touch "$work/file-target"
expect 1,2,5 "$t" restore tree --to "$work/file-target"
[ -f "$work/file-target" ] || fail "a file that stood for the target is gone"

cp -a "$work/stripped" "$work/over"
echo changed >"$work/over/known.txt"                      # another content
rm -rf "$work/over/part" && echo file >"$work/over/part"  # a file where a folder was
rm "$work/over/second-name" && mkdir "$work/over/second-name" && echo inner >"$work/over/second-name/inner"
echo foreign >"$work/over/foreign"                        # not in the backup
expect 0 "$t" --json restore tree --to "$work/over" --strip-source --overwrite
aside=$(find "$work/over" -maxdepth 1 -name '.twofold-aside-*')
[ -n "$aside" ] && [ "$(cat "$aside/known.txt" 2>/dev/null)" = changed ] && [ "$(cat "$aside/part" 2>/dev/null)" = file ] &&
    [ "$(cat "$aside/second-name/inner" 2>/dev/null)" = inner ] || {
    fail "what was in the way is not set aside"
    find "$work/over" -path '*aside*' | head
}
[ "$(cat "$work/over/foreign")" = foreign ] || fail "a file that the backup does not have is gone"
rm -rf "$aside" "$work/over/foreign"
same_tree --no-root "$src" "$work/over"

# --- interrupted ----------------------------------------------------------------------------------------------------------
TWOFOLD_FAULT=count:$work/steps TWOFOLD_FAULT_PROGRAM=twofold-agent expect 0 "$t" restore tree --to "$work/counted"
steps=$(cat "$work/steps")
say "a restore has $steps steps"
[ "$steps" -gt 100 ] || fail "only $steps steps were counted"
for share in 3 20 50 80 98; do
    n=$((steps * share / 100 + 1))
    clean "$work/broken"
    TWOFOLD_FAULT=kill@$n TWOFOLD_FAULT_PROGRAM=twofold-agent expect 1 "$t" restore tree --to "$work/broken"
    expect 0 "$t" --json restore tree --to "$work/broken"
    already=$(json already restore)
    same_tree "$src" "$work/broken$src"
    [ $share -lt 80 ] || [ "$already" -gt 10 ] || fail "killed at $share %: only $already files were taken as there"
    find "$work/broken" -name '.twofold-*' | grep . && fail "killed at $share %: the second run left something behind"
done
clean "$work/broken"
TWOFOLD_FAULT=kill@$((steps / 2)) TWOFOLD_FAULT_PROGRAM=twofold-agent expect 1 "$t" restore tree --to "$work/broken"
expect 1,5 "$t" restore tree --to "$work/broken" "$src/part" # another selection is another restore

# --- an attacker at the target -----------------------------------------------------------------------------------------------
outside=$work/outside
mkdir -p "$outside/part" && echo precious >"$outside/known.txt" && echo precious >"$outside/part/p.txt"
before=$(fingerprint "$outside")
mkdir "$work/trap"
ln -s "$outside/part" "$work/trap/part"             # a folder that leads outside
ln "$outside/known.txt" "$work/trap/known.txt"      # another name of a file outside
ln -s "$outside/new" "$work/trap/second-name"       # a link to nothing
expect 0 "$t" restore tree --to "$work/trap" --strip-source --overwrite
[ "$(cat "$outside/known.txt" "$outside/part/p.txt")" = "precious
precious" ] && [ ! -e "$outside/new" ] || fail "a restore wrote outside of its target"
rm -rf "$work/trap"/.twofold-aside-*
[ "$before" = "$(fingerprint "$outside")" ] || fail "a restore changed something outside of its target"
same_tree --no-root "$src" "$work/trap"
# A link in the middle of the way from the target to the source's place.
mkdir "$work/trap2" && ln -s "$outside" "$work/trap2/$(cut -d/ -f2 <<<"$src")"
expect 0,1,4,5 "$t" restore tree --to "$work/trap2" --overwrite
[ "$before" = "$(fingerprint "$outside")" ] || fail "a restore followed a link on the way"
# Somebody swaps a folder for a link all the time while the restore runs.
(
    while [ ! -e "$work/stop" ]; do
        mv "$work/race$src/part" "$work/race-part" 2>/dev/null && ln -s "$outside/part" "$work/race$src/part" 2>/dev/null
        rm -f "$work/race$src/part" 2>/dev/null
        rm -rf "$work/race-part"
    done
) &
racer=$!
for _ in 1 2 3; do
    expect 0,1,3,4 "$t" restore tree --to "$work/race" --overwrite
done
touch "$work/stop"
wait $racer
[ "$before" = "$(fingerprint "$outside")" ] || fail "a restore was led outside while it ran"

# --- tar, ls, find, diff ---------------------------------------------------------------------------------------------------------
"$t" export latest >"$work/x.tar" 2>"$work/.err" || fail "export: exit status $?"
mkdir "$work/untar" && tar -C "$work/untar" --xattrs --acls -xpf "$work/x.tar" 2>"$work/.err" || fail "tar could not read it: $(cat "$work/.err")"
same_tree --ignore=flags,holes "$src" "$work/untar$src"
if command -v bsdtar >/dev/null; then
    mkdir "$work/unbsd" && bsdtar -C "$work/unbsd" -xpf "$work/x.tar" || fail "bsdtar could not read it"
    same_tree --ignore=flags,holes "$src" "$work/unbsd$src"
fi
(cd / && find "${src#/}" -print0 | sed -z 's,^,/,' | sort -z) >"$work/names"
"$t" ls -0 latest >"$work/listed" 2>"$work/.err" || fail "ls: exit status $?"
sort -z <"$work/listed" | sed -z 's,/$,,' | grep -azF "$src" | cmp -s - "$work/names" || {
    fail "ls does not list what there is"
    sort -z <"$work/listed" | diff <(tr '\0' '\n' <"$work/names") <(tr '\0' '\n') | head
}
expect 0 "$t" ls latest "$src/part" && said 'p\.txt' && not_said 'known'
expect 0 "$t" find 'know*' && said "known\.txt"
echo added >"$src/added" && rm "$src/part/p.txt" && echo other >"$src/known.txt" && chmod 700 "$src/empty"
expect 0 "$t" diff latest live && said "^A .*/added" && said "^D .*part/p\.txt" && said "^M .*known\.txt" && said "^m .*/empty"
first=$("$t" --json snapshots | python3 -c 'import json,sys; print([json.loads(l)["id"] for l in sys.stdin if "\"snapshot\"" in l][0])')
sleep 0.01 # receipt times are in nanoseconds, names of times are not needed here
expect 0 "$t" backup tree
expect 0 "$t" diff "$first" latest && said "^A .*/added" && said "^D .*part/p\.txt" && said "^M .*known\.txt"
expect 0 "$t" restore tree --snapshot "${first:0:10}" --to "$work/old" && [ "$(cat "$work/old$src/known.txt")" = "marker one" ] ||
    fail "--snapshot: not the older one"

# --- what trying a passphrase costs: the tests' own programs write vaults where it is cheap, those that are installed do not
t=$TWOFOLD_FAST
new_vault "$work/dear"
[ "$(od -An -tu1 -j10 -N1 "$a/recovery" | tr -d ' ')" = 16 ] || fail "a passphrase is not derived at the cost of 2^16"
finish
