#!/bin/bash
# 75-log-care.sh - the objects of a database's log on the copies: a copy that was away gets what it lacks, two that lack something of each
# other's both end complete, damage is found, named and mended, a hole in every copy is named, and prune takes away what no backup can
# use: not more, not on a copy that is away, not while one is held, and nothing that a keeper puts together beside it.
# long
# shellcheck disable=SC2154,SC2119
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/wal.sh"

day=86400
one=$work/one
pg_new one --wal-segsize=1
pg_start "$one" || finish
make_ledger "$one"
new_vault "$work/v"
db_policy db "$one" 'retention: { last: 1 }'

objects() { (cd "$1/logs" 2>/dev/null && find . -type f ! -path '*/keeper/*' | sort); }
nth() { objects "$1" | sed -n "$2p"; } # COPY N
count() { objects "$1" | wc -l; }
late() { TWOFOLD_FAULT=clock+600 expect "$@"; } # what came just now may be on its way: scrub asks for a minute's age
pieces() { # COPY: the numbers of the pieces that it has, whatever objects they lie in
    objects "$1" | python3 -c '
import sys
have = sorted(tuple(map(int, line.split("/")[-1].split("-")[:2])) for line in sys.stdin)
at, spans = 0, []
for first, last in have:
    if spans and first <= spans[-1][1] + 1:
        spans[-1][1] = max(spans[-1][1], last)
    else:
        spans.append([first, last])
print(spans)'
}
same_objects() { [ "$(pieces "$a")" = "$(pieces "$b")" ] || fail "the copies hold different pieces: $1: $(pieces "$a") $(pieces "$b")"; }
rows() { # N: each is committed in an object of its own
    local _
    for _ in $(seq "$1"); do
        add_rows "$one" 3
        caught_up "$one" db
    done
}
spoil() { # FILE
    python3 -c '
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(-9, 2)
    c = f.read(1)[0]
    f.seek(-9, 2)
    f.write(bytes([c ^ 1]))' "$1"
}
restored_from() { # COPY WHAT: all that was written comes back from it
    clean "$work/r"
    expect 0 "$t" restore db --from "$1" --to "$work/r" && ledger_is "$work/r" "$(pg_sql "$one" "SELECT max(id) FROM ledger")" "$2"
}

follow db
rows 1
expect 0 "$t" --json backup db
base=$(json snapshot)
rows 5
unfollow

# --- a copy that was away --------------------------------------------------------------------------------------------------------
mv "$b" "$b.away"
follow db
rows 3
unfollow
mv "$b.away" "$b"
late 3 "$t" scrub && said 'copy "b": lacks [0-9]+ objects? .* of logs that others have' && said 'twofold replicate'
expect 0 "$t" --json replicate
[ "$(json objects copy_logs)" -ge 1 ] || fail "replicate brought nothing of the log"
late 0 "$t" scrub --read-data=100% && said 'logs: checked'
restored_from b "after it was away"

# --- each lacks something of the other's -------------------------------------------------------------------------------------------
cp -a "$work/v" "$work/whole"
fresh() { rm -rf "$work/v" && cp -a "$work/whole" "$work/v"; }
rm "$a/logs/$(nth "$a" 2)" "$b/logs/$(nth "$b" 4)"
late 3 "$t" scrub && said 'copy "a": lacks 1 object ' && said 'copy "b": lacks 1 object '
expect 0 "$t" replicate && said 'copy "a": 1 object of logs brought' && said 'copy "b": 1 object of logs brought'
same_objects "after replicate"
late 0 "$t" scrub

# --- damage ------------------------------------------------------------------------------------------------------------------------
bad=$(nth "$a" 3)
spoil "$a/logs/$bad"
: >"$b/logs/$(nth "$b" 2)"
late 4 "$t" scrub --read-data=100% && said "copy \"a\": logs/${bad#./}: DAMAGED" && said 'copy "b": .*: DAMAGED' && said 'twofold repair'
expect 3,4 "$t" status && said 'damaged object'
clean "$work/r"
expect 0,3,4 "$t" restore db --to "$work/r" --verify
ledger_is "$work/r" "$(pg_sql "$one" "SELECT max(id) FROM ledger")" "around the damage"
late 0 "$t" repair && said "copy \"a\": logs/${bad#./}: mended" && said 'mended 2 objects'
[ "$(find "$a/aside" -type f | wc -l)" -eq 1 ] || fail "the damaged bytes were not set aside"
late 0 "$t" scrub --read-data=100%
same_objects "after repair"
expect 0,3 "$t" status && not_said 'damaged object'
# The one that holds more is damaged, its parts are whole: nothing of it is missing.
# In every copy: it is said, nothing is made up, and a restore stops before it.
spoil "$a/logs/$bad"
spoil "$b/logs/$bad"
late 4 "$t" scrub --read-data=100% && said 'MISSING in every copy: pieces [0-9]+ to [0-9]+, from [0-9A-F]+/[0-9A-F]+ .* to '
late 4 "$t" repair --read-data=100% && said 'NOT mended'
expect 3,4 "$t" status && said 'damaged object'
fresh
late 0 "$t" scrub --read-data=100%

# --- a hole, in the middle and at the end ---------------------------------------------------------------------------------------------
for n in 3 "$(count "$a")"; do
    gone=$(nth "$a" "$n")
    rm "$a/logs/$gone" "$b/logs/$gone"
    late 4 "$t" --json scrub
    [ "$(json holes scrub_logs)" = 1 ] || fail "holes: $(json holes scrub_logs)"
    [ "$(json source hole)" = db/postgresql ] || fail "the stream is not named"
    expect 3,4 "$t" status && said 'damaged object'
    mv "$b" "$b.away" # one that is away may have it
    late 3 "$t" scrub && said 'one that is away may have them'
    mv "$b.away" "$b"
    late 4 "$t" repair
    fresh
done
late 0 "$t" scrub
expect 0,3 "$t" status && not_said 'damaged object'

# --- prune ----------------------------------------------------------------------------------------------------------------------------
soon() { TWOFOLD_FAULT=clock+$((3 * day)) expect "$@"; }
before=$(objects "$a") before_b=$(objects "$b")
soon 0 "$t" prune --dry-run && not_said 'older than its oldest'
soon 0 "$t" --json backup db
soon 0 "$t" prune --dry-run && not_said 'older than its oldest' # the first backup is there
expect 0 "$t" hold add "${base:0:16}" --why test
soon 0 "$t" prune
soon 0 "$t" prune && not_said 'older than its oldest'
[ "$before" = "$(objects "$a")" ] || fail "something went that a held backup needs"
expect 0 "$t" hold remove "${base:0:16}"
soon 0 "$t" prune && not_said 'older than its oldest' # it drops the backup; what that needed goes by the next
cp -a "$work/v" "$work/dropped"
policy_says db 'class: logs' 'retention: { last: 1 }' # nothing under 92 days
soon 0 "$t" prune --dry-run && not_said 'older than its oldest'
policy_says db 'retention: { last: 1 }'
soon 0 "$t" prune --dry-run && said 'log of "db/postgresql": [0-9]+ objects .* are older than its oldest backup' && said 'logs: .* would be freed now'
[ "$before" = "$(objects "$a")" ] || fail "a dry run deleted something"
mv "$b" "$b.away"
soon 3 "$t" prune
mv "$b.away" "$b"
[ "$(count "$a")" -eq 1 ] || fail "$(count "$a") objects are left instead of the last one"
[ "$before_b" = "$(objects "$b")" ] || fail "something went from a copy that was away"
soon 0 "$t" replicate && not_said 'of logs brought'
[ "$(count "$a")" -eq 1 ] || fail "what was pruned came back"
soon 0 "$t" scrub --read-data=100%
soon 0 "$t" prune && said 'copy "b": logs: .* freed'
same_objects "after prune"
# The stream goes on where it was.
TWOFOLD_FAULT=clock+$((3 * day)) follow db
rows 2
unfollow
same_objects "of what came after"
soon 0 "$t" scrub --read-data=100%

# --- prune beside a keeper that puts objects together -----------------------------------------------------------------------------------
stopped() { grep -q '^State:.*T' "/proc/$keeper/status" 2>/dev/null; }
for n in 30 45 60 75; do
    rm -rf "$work/v" && cp -a "$work/dropped" "$work/v"
    TWOFOLD_FAULT=stop@$n TWOFOLD_FAULT_PROGRAM=twofold follow db
    for _ in $(seq 100); do
        stopped && break
        add_rows "$one" 3
        sleep 0.1
    done
    stopped || fail "the keeper was not stopped at $n"
    soon 0 "$t" prune --clock-is-right
    kill -CONT "$keeper"
    rows 2
    unfollow
    soon 0 "$t" scrub --read-data=100%
    soon 0 "$t" replicate
    same_objects "after a prune beside a keeper that was stopped at $n"
done

# --- a policy that is forgotten ------------------------------------------------------------------------------------------------------------
rm "$TWOFOLD_CONFIG/policies/db.yaml"
soon 0 "$t" prune --clock-is-right
[ "$(count "$a")" -ge 1 ] || fail "the log of a policy without its file went"
soon 0 "$t" prune --forget-policy db --dry-run && said 'all of it goes'
soon 0 "$t" --yes prune --forget-policy db && said 'all of it goes'
[ -z "$(find "$a/logs" "$b/logs" -type f)" ] || fail "of a forgotten policy's log something is left: $(find "$a/logs" "$b/logs" -type f)"
finish
