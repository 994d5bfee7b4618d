#!/bin/bash
# 72-wal-archive-trouble.sh - a log that comes by archive_command, when things go wrong: what the command does with files that are there, a full
# folder, a gap made by hand, files of others, cut off and compressed ones, a server that was put back; and the change from a slot and back.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/wal.sh"

one=$work/one q=$work/q
agent=$work/bin/twofold-agent # the server's user runs it, and the tree may lie where that one does not get to
install -d "$work/bin" && cp "$(dirname "$t")/twofold-agent" "$agent"

# --- the command -------------------------------------------------------------------------------------------------------------------
mkdir "$work/c"
name=000000010000000000000007
head -c 1048576 /dev/urandom >"$work/s"
cp "$work/s" "$work/s2" && printf x | dd of="$work/s2" bs=1 seek=700000 conv=notrunc 2>/dev/null
expect 0 "$agent" archive "$work/c" "$work/s" $name && cmp -s "$work/s" "$work/c/$name" || fail "it did not archive"
expect 0 "$agent" archive "$work/c" "$work/s" $name # the server asks again
expect 1 "$agent" archive "$work/c" "$work/s2" $name && said 'other content' && said 'next'
cmp -s "$work/s" "$work/c/$name" || fail "what was there was overwritten"
for other in 00000002.history $name.partial $name.00000028.backup; do
    expect 0 "$agent" archive "$work/c" "$work/s" "$other"
done
for bad in x ../$name $name.gz "$name " 00000001; do
    expect 1 "$agent" archive "$work/c" "$work/s" "$bad" && said 'no name of a file'
done
expect 1 "$agent" archive "$work/none" "$work/s" $name && said 'install -d'
expect 1 "$agent" archive "$work/c" "$work/none" 000000010000000000000008
[ "$(find "$work/c" -type f | wc -l)" = 4 ] || fail "something stayed: $(ls -A "$work/c")"
printf half >"$work/c/.000000010000000000000008.new" # of one that was killed
expect 0 "$agent" archive "$work/c" "$work/s" 000000010000000000000008 && cmp -s "$work/s" "$work/c/000000010000000000000008" || fail "what a killed one left is in the way"
(
    exec 9>"$work/c/.000000010000000000000009.new"
    flock 9
    expect 1 "$agent" archive "$work/c" "$work/s" 000000010000000000000009 && said 'another process'
    exit "$failures"
) || fail "two at once"
rm "$work/c/.000000010000000000000009.new"
[ -z "$(find "$work/c" -name '.*.new')" ] || fail "a file that is not done stayed"
if mount -t tmpfs -o size=1500k none "$work/c" 2>/dev/null; then
    expect 0 "$agent" archive "$work/c" "$work/s" $name
    expect 1 "$agent" archive "$work/c" "$work/s2" 000000010000000000000008 && said '[Nn]o space'
    [ "$(find "$work/c" -type f | wc -l)" = 1 ] || fail "half a file stayed"
    umount "$work/c"
else
    skip_part "a full disk under the command"
fi
# Killed at each step: it is there whole, or not at all.
TWOFOLD_FAULT=count:$work/steps TWOFOLD_FAULT_PROGRAM=twofold-agent expect 0 "$agent" archive "$work/c" "$work/s" 00000001000000000000000A
for n in $(seq "$(cat "$work/steps")"); do
    rm -f "$work/c/00000001000000000000000B"
    TWOFOLD_FAULT=kill@$n TWOFOLD_FAULT_PROGRAM=twofold-agent expect 137 "$agent" archive "$work/c" "$work/s" 00000001000000000000000B
    [ ! -e "$work/c/00000001000000000000000B" ] || cmp -s "$work/s" "$work/c/00000001000000000000000B" || fail "killed at $n: half a file under its name"
    expect 0 "$agent" archive "$work/c" "$work/s" 00000001000000000000000B
done

# --- a server that archives into a small folder ---------------------------------------------------------------------------------------
pg_new one --wal-segsize=1
install -d -o postgres -m 700 "$q"
cat >>"$one/data/postgresql.conf" <<C
archive_mode = on
archive_command = '$agent archive $q %p %f'
max_wal_size = 4MB
wal_keep_size = 16MB
C
pg_start "$one" || finish
make_ledger "$one"
new_vault "$work/v"
db_policy db "$one" "  archive: $q"
rows() { pg_sql "$one" "SELECT max(id) FROM ledger"; }
more() { # N: so many segments, with rows
    local i
    for ((i = 0; i < $1; i++)); do
        add_rows "$one" 10
        pg_sql "$one" "SELECT pg_switch_wal()" >/dev/null
    done
}
archived() { # all that is over
    local last _
    last=$(pg_sql "$one" "SELECT pg_walfile_name(pg_switch_wal())")
    for _ in $(seq 100); do
        [[ "$(pg_sql "$one" "SELECT last_archived_wal FROM pg_stat_archiver")" < "$last" ]] || return 0
        sleep 0.1
    done
    fail "not archived: $last"
}
files() { find "$q" -type f -name '0*' -printf '%f\n' | sort; }
empty() {
    local _
    archived
    for _ in $(seq 150); do
        [ -n "$(files)" ] || return 0
        sleep 0.1
    done
    fail "not taken: $(files | tr '\n' ' ')"
    sed 's/^/    /' "$work/.keep"
}
comes_back() {
    clean "$work/r"
    expect 0 "$t" restore db --to "$work/r"
    ledger_is "$work/r" "$(rows)" "$1"
}
told() { # TEXT: the one who follows says so, soon
    local _
    for _ in $(seq 150); do
        grep -qE "$1" "$work/.keep" && return 0
        sleep 0.1
    done
    fail "\"$1\" was not told"
    sed 's/^/    /' "$work/.keep"
}
ended() { # TEXT: it ends by itself, and says so
    local _
    for _ in $(seq 200); do
        kill -0 "$keeper" 2>/dev/null || break
        sleep 0.1
    done
    wait "$keeper" && fail "it ended well, rather than with: $1"
    keeper=""
    told "$1"
}
follow db
expect 0 "$t" backup db
more 2
empty
comes_back "by archive_command"
expect 5 "$t" logs db --follow
db_policy other "$one" "  archive: $q"
expect 5 "$t" logs other --follow && said "takes from $q already"
rm "$work/v/c/policies/other.yaml"

unfollow
if mount -t tmpfs -o size=2500k,mode=700,uid="$(id -u postgres)" none "$q" 2>/dev/null; then
    more 5
    sleep 1.5
    [ "$(pg_sql "$one" "SELECT failed_count > 0 FROM pg_stat_archiver")" = t ] || fail "the folder is not full"
    follow db
    told 'cannot archive 0'
    more 1 # it tries again at once
    empty
    grep -q 'begins anew' "$work/.keep" && fail "a full folder broke the log"
    comes_back "after the folder was full"
    unfollow
    umount "$q"
else
    skip_part "a full folder"
fi

# --- files of others, cut off, compressed -----------------------------------------------------------------------------------------------
more 3
archived
next=$(files | head -n 1)
echo mine >"$q/notes.txt"
ln -s /etc/passwd "$q/000000010000000000000F0F"
gzip -c "$q/$next" >"$q/$next.gz" && mv "$q/$next" "$work/$next"
follow db
ended "$next comes next, and is there as $next.gz only"
grep -q 'notes.txt is not taken, and stays' "$work/.keep" || fail "a file of others is not named: $(cat "$work/.keep")"
grep -q '000000010000000000000F0F is not taken' "$work/.keep" || fail "a link is not named"
expect 3 "$t" logs db && said "comes next, and is there as"
head -c 500000 "$work/$next" >"$q/$next" && touch -d '1 hour ago' "$q/$next"
follow db
ended 'it is 500000 bytes long'
head -c 1048576 /dev/zero >"$q/$next" && touch -d '1 hour ago' "$q/$next"
follow db
ended 'does not begin as a segment'
python3 - "$work/$next" "$q/$next" <<'P'
import sys
b = bytearray(open(sys.argv[1], "rb").read())
b[24] ^= 1 # of another system
open(sys.argv[2], "wb").write(b)
P
follow db
ended 'of another database system'
cp "$q/$(files | grep -v gz | sed -n 2p)" "$q/$next" && touch -d '1 hour ago' "$q/$next"
follow db
ended 'another segment than its name says'
[ "$(files | wc -l)" -ge 4 ] || fail "something was removed: $(files)"
# A history that is another's file under a second name: whoever owns the folder may not be one who may read it.
rm "$q/$next"
echo 1 >"$work/secret" && ln "$work/secret" "$q/0000000F.history"
follow db
ended '0000000F.history'
rm "$q/0000000F.history"
# What has begun to come may be unfinished: it is waited for.
head -c 500000 "$work/$next" >"$q/$next"
follow db
sleep 2
kill -0 "$keeper" 2>/dev/null || fail "a file that is being written is taken for cut off: $(cat "$work/.keep")"
rm "$q/$next.gz" "$q/000000010000000000000F0F"
cp "$work/$next" "$q/$next"
empty
[ -e "$q/notes.txt" ] || fail "a file of others was removed"
rm "$q/notes.txt"
grep -q 'begins anew' "$work/.keep" && fail "files of others broke the log"
comes_back "after files of others"

# --- archived again, after it was taken: the same is well -----------------------------------------------------------------------------------
cp "$work/$next" "$q/$next"
for _ in $(seq 50); do [ -e "$q/$next" ] || break; sleep 0.1; done
[ ! -e "$q/$next" ] || fail "what was archived again stays"
unfollow
cp "$work/$next" "$q/$next"
follow db
for _ in $(seq 50); do [ -e "$q/$next" ] || break; sleep 0.1; done
[ ! -e "$q/$next" ] || fail "what was archived again stays over a restart"
grep -q 'begins anew' "$work/.keep" && fail "a file that was archived again broke the log"
unfollow

# --- a gap ----------------------------------------------------------------------------------------------------------------------------------------
last=$(rows)
more 3
archived
gone=$(files | head -n 1)
rm "$q/$gone"
follow db
told "$gone has not come, and .* has" && told 'a backup is needed'
empty
clean "$work/r"
expect 3 "$t" restore db --to "$work/r" && said 'does not go on.*gap'
ledger_is "$work/r" "$last" "before the gap"
expect 0 "$t" backup db
more 1
empty
comes_back "a backup after the gap"

# --- a server that was put back ----------------------------------------------------------------------------------------------------------------------
unfollow
pg_stop "$one"
cp -a "$one/data" "$work/earlier"
pg_start "$one"
follow db
more 2
empty
unfollow
pg_stop "$one" immediate
rm -rf "$one/data" && cp -a "$work/earlier" "$one/data"
pg_start "$one"
follow db
more 4
told 'put back to an earlier state' && told 'a backup is needed'
empty
expect 0 "$t" backup db
more 1
empty
comes_back "after it was put back"
unfollow

# --- from a slot to the folder and back -----------------------------------------------------------------------------------------------------------------
db_policy turn "$one" "  slot: turn"
sed -i '/archive:/d' "$work/v/c/policies/turn.yaml"
follow turn
told 'nobody takes from the folder that archive_command fills'
expect 0 "$t" backup turn
add_rows "$one" 20
caught_up "$one" turn
slots() { pg_sql "$one" "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'turn'"; }
[ "$(slots)" = 1 ] || fail "no slot"
archived
caught_up "$one" turn
unfollow
touch "$work/turned"
db_policy turn "$one" "  slot: turn" "  archive: $q"
follow turn
told 'replication slot "turn", by which it was followed before, is given up'
[ "$(slots)" = 0 ] || fail "the slot stayed"
told 'are from before its log was taken from there'
[ -n "$(files)" ] || fail "what nobody knows to be kept was removed"
for name in $(files); do
    [ "$q/$name" -nt "$work/turned" ] || rm "$q/$name"
done
more 2
empty
grep -q 'begins anew' "$work/.keep" && fail "the change from a slot to a folder broke the log: $(cat "$work/.keep")"
clean "$work/r"
expect 0 "$t" restore turn --to "$work/r"
ledger_is "$work/r" "$(rows)" "over the change from a slot to a folder"
unfollow
# A slot of that name that another made is not ours.
pg_sql "$one" "SELECT pg_create_physical_replication_slot('turn')" >/dev/null
follow turn
told "if nobody else does: SELECT pg_drop_replication_slot"
[ "$(slots)" = 1 ] || fail "another's slot was dropped"
unfollow
db_policy turn "$one" "  slot: turn"
expect 2 "$t" logs turn --follow && said 'another made it, and has not used it'
[ "$(slots)" = 1 ] || fail "another's slot was dropped by one who follows"
pg_sql "$one" "SELECT pg_drop_replication_slot('turn')" >/dev/null
follow turn # the server still has the end of what is kept
caught_up "$one" turn
grep -q 'begins anew' "$work/.keep" && fail "the change from a folder to a slot broke the log: $(cat "$work/.keep")"
clean "$work/r"
expect 0 "$t" restore turn --to "$work/r"
ledger_is "$work/r" "$(rows)" "over the change back"
finish
