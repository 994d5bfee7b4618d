#!/bin/bash
# demo.sh - the main job on real files, in build/demo: two copies, a backup, damage to one copy, a restore that is compared
# byte by byte with the source, then a restore from the other copy alone, scrub and repair. The files that it backs up are
# only read. Exit status 0 only when everything that was compared is the same.
# Environment: TWOFOLD and AGENT, the programs (default: build/twofold, and the agent beside it).
set -u
export LC_ALL=C.UTF-8
umask 077 # what is restored may be secret
cd "$(dirname "$0")/.." || exit 1

TWOFOLD=$(realpath -m "${TWOFOLD:-build/twofold}")
demo=$(dirname "$TWOFOLD")/demo
shown=${demo#"$PWD"/} # as it is printed
out=$demo/.out
restored=$demo/restored
PRINTED_COLUMNS=80
MAX_SHOWN_LINES=24
MAX_DAMAGED_PACKS=8 # a restore does not name more than some 20 damaged chunks

# --- telling -------------------------------------------------------------------------------------------------------
wrap() { fold -s -w $((PRINTED_COLUMNS - 4)) | sed 's/ *$//; s/^/    /'; }

step() { printf '\n== %s\n' "$*"; }

say() { echo "$*" | fold -s -w $PRINTED_COLUMNS | sed 's/ *$//'; }

# Output as it is, but for 64-digit names and the folder of the demo, which are shortened.
show() {
    local lines
    lines=$(wc -l <"$1")
    sed -E "s|$demo|$shown|g; s/([0-9a-f]{12})[0-9a-f]{52}/\1.../g" "$1" | head -n $MAX_SHOWN_LINES | wrap
    [ "$lines" -le $MAX_SHOWN_LINES ] || echo "    ... and $((lines - MAX_SHOWN_LINES)) lines more"
}

fail() {
    printf '\nDEMO FAILED: %s\n' "$*"
    exit 1
}

show_command() { # words that the shell would take apart are quoted
    local word line=''
    for word in "$@"; do
        case $word in *[!A-Za-z0-9_./=:,%@+-]*) word="'$word'" ;; esac
        line+=" ${word//"$demo"/$shown}"
    done
    echo "\$$line" | fold -s -w $((PRINTED_COLUMNS - 6)) | sed 's/ *$/ \\/; $s/ \\$//; 2,$s/^/    /'
}

# run STATUSES ARGUMENTS…: shows the command, runs twofold, shows what it says. Any other exit status ends the demo.
# Sets status; $out keeps the output.
run() {
    local expected=$1
    shift
    show_command twofold "$@"
    status=0
    "$TWOFOLD" "$@" >"$out" 2>&1 </dev/null || status=$?
    show "$out"
    [ $status -eq 0 ] || echo "    (exit status $status)"
    case ,$expected, in
    *,$status,*) ;;
    *) fail "twofold $1 ended with exit status $status instead of ${expected//,/ or }" ;;
    esac
}

# --- preparations ----------------------------------------------------------------------------------------------------
# A restored tree may hold folders without write permission and, as root, immutable files.
remove_last_demo() {
    [ -e "$demo" ] || return 0
    [ -e "$demo/this-is-a-demo" ] || fail "$shown is there, but not from an earlier demo of this user; remove it by hand"
    chmod -R u+rwX "$demo" 2>/dev/null
    rm -rf --one-file-system "$demo" 2>/dev/null
    if [ -e "$demo" ]; then
        chattr -R -i -a "$demo" 2>/dev/null
        rm -rf --one-file-system "$demo"
    fi
    [ ! -e "$demo" ] || fail "$shown cannot be removed; did another user make it? Remove it by hand"
}

make_data() {
    mkdir -p "$demo/data/notes" || fail "$demo/data cannot be made"
    sqlite3 "$demo/data/orders.sqlite" >/dev/null <<'SQL' || fail "sqlite3 could not make a database"
PRAGMA journal_mode = DELETE;
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT NOT NULL, cents INTEGER NOT NULL);
CREATE TABLE scans (id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL REFERENCES orders (id), page BLOB NOT NULL);
CREATE INDEX orders_by_customer ON orders (customer);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
    INSERT INTO orders SELECT i, 'customer ' || (i * 7919 % 997), abs(random() % 1000000) FROM n;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
    INSERT INTO scans SELECT i, i * 50, randomblob(120000) FROM n;
SQL
    echo "a file with a line" >"$demo/data/notes/plain"
    : >"$demo/data/notes/empty"
    ln "$demo/data/notes/plain" "$demo/data/notes/hard-link"
    ln -s plain "$demo/data/notes/symbolic-link"
    truncate -s 64M "$demo/data/notes/sparse"
    echo end >>"$demo/data/notes/sparse"
}

# The recovery kit has more than fifty lines: only warnings are shown.
make_vault() {
    local arguments=(--vault main --copy "machine-room=$demo/machine-room" --copy "building-2=$demo/building-2"
        --passphrase-file "$demo/passphrase" --kit "$demo/kit.txt")
    echo "Demo-$(od -An -N 15 -tx1 /dev/urandom | tr -d ' \n')" >"$demo/passphrase"
    show_command twofold init "${arguments[@]}"
    "$TWOFOLD" init "${arguments[@]}" >"$out" 2>&1 </dev/null || {
        show "$out"
        fail "the vault could not be made"
    }
    grep '^twofold: ' "$out" >"$demo/.warnings"
    show "$demo/.warnings"
}

# --- damage ------------------------------------------------------------------------------------------------------------
flip_bytes() { # FILE OFFSET: eight bytes become what they were not
    local hex bytes=''
    for hex in $(od -An -v -tx1 -j "$2" -N 8 "$1"); do
        bytes+=$(printf '\\x%02x' $((0x$hex ^ 0xff)))
    done
    printf '%b' "$bytes" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

damage_copy() {
    local pack size at before
    damaged_packs=() damaged_at=()
    while IFS= read -r pack; do
        size=$(stat -c %s "$pack")
        at=$((size / 4))
        before=$(sha256sum <"$pack")
        flip_bytes "$pack" $at || fail "$pack could not be damaged"
        [ "$before" != "$(sha256sum <"$pack")" ] || fail "$pack was not damaged"
        damaged_packs+=("${pack##*/}")
        damaged_at+=("$at")
        printf '    pack %.12s...  8 of its %d bytes flipped, at %d\n' "${pack##*/}" "$size" "$at"
    done < <(find "$demo/machine-room/packs" -type f | sort | head -n $MAX_DAMAGED_PACKS)
    [ ${#damaged_packs[@]} -gt 0 ] || fail "there are no packs in $shown/machine-room"
}

# The chunks that the restore found damaged in copy 1, and which of the damaged places that were.
show_fallback() {
    local i pack len off found seen=0
    sed -nE 's|^packs/../([0-9a-f]{64}): copy "machine-room": ([0-9]+) bytes at ([0-9]+) .*|\1 \2 \3|p' "$out" |
        sort -u >"$demo/.fallback"
    echo "    damaged chunk in copy 1 (machine-room)           came from"
    for i in "${!damaged_packs[@]}"; do
        found=''
        while read -r pack len off; do
            if [ "$pack" = "${damaged_packs[i]}" ] && [ "${damaged_at[i]}" -ge "$off" ] &&
                [ "${damaged_at[i]}" -lt $((off + len)) ]; then
                printf '    pack %.12s... %8d bytes at %-9d  copy 2 (building-2)\n' "$pack" "$len" "$off"
                found=yes
            fi
        done <"$demo/.fallback"
        if [ -n "$found" ]; then
            seen=$((seen + 1))
        else # of a file that vanished while it was read, say
            printf '    pack %.12s... was not read there: no file needs that chunk\n' "${damaged_packs[i]}"
        fi
    done
    from_first=$(sed -nE 's/^ *copy "machine-room": ([0-9]+) chunks.*/\1/p' "$out")
    from_second=$(sed -nE 's/^ *copy "building-2": ([0-9]+) chunks.*/\1/p' "$out")
    [ $seen -gt 0 ] || fail "the restore met no damage: this proves nothing"
    [ "${from_second:-0}" -ge $seen ] || fail "copy 2 gave ${from_second:-no} chunks, but $seen were damaged in copy 1"
}

# --- comparison ----------------------------------------------------------------------------------------------------------
declare -A named=() changed=() left_out=() different=()

# Paths that the backup named (it could not read them, or they are sockets), and what has changed since it began.
collect_exceptions() {
    local line path
    while IFS= read -r line; do
        [[ $line != /*": "* ]] || named[${line%%": "*}]=1
    done <"$demo/.backup"
    while IFS= read -r -d '' path; do
        changed[$path]=1
    done < <(find "${sources[@]}" -cnewer "$demo/.stamp" -print0 2>/dev/null)
}

was_named() { # it, or a folder that it is in
    local path=$1
    while [ -n "$path" ]; do
        [ -z "${named[$path]+x}" ] || return 0
        path=${path%/*}
    done
    return 1
}

# judge PATH [FOLDER]: a difference at PATH; FOLDER when it is only on one side.
judge() {
    if was_named "$1" || [ -n "${changed[$1]+x}" ] || { [ -n "${2:-}" ] && [ -n "${changed[$2]+x}" ]; }; then
        left_out[$1]=1
    elif [ -z "${different[$1]+x}" ]; then
        echo "    NOT THE SAME: $1"
        different[$1]=1
    fi
}

# One line of diff -rq.
judge_line() {
    local line=$1 folder both
    case $line in
    "Only in "*": "*)
        folder=${line#Only in }
        folder=${folder%": "*}
        folder=${folder#"$restored"}
        judge "$folder/${line##*": "}" "$folder"
        ;;
    "Files "*" differ" | "Symbolic links "*" differ")
        both=${line#Files }
        both=${both#Symbolic links }
        both=${both% differ} # "PATH and RESTORED/PATH"
        judge "${both:0:$(((${#both} - 5 - ${#restored}) / 2))}"
        ;;
    "File "*" is a fifo while file "*" is a fifo") ;;
    "File "*" is a "*" while file "*)
        both=${line#File }
        judge "${both%%" is a "*}"
        ;;
    "diff: "*": "*)
        both=${line#diff: }
        judge "${both%": "*}"
        ;;
    *) judge "$line" ;;
    esac
}

compare_content() { # SOURCE
    local line status=0
    diff -rq --no-dereference "$1" "$restored$1" >"$demo/.diff" 2>&1 || status=$?
    [ $status -le 2 ] || fail "diff could not be run"
    while IFS= read -r line; do
        judge_line "$line"
    done <"$demo/.diff"
    find "$restored$1" -type f -printf '%s\n' |
        awk -v name="${1/#$demo/$shown}" '{ n++; s += $1 } END { printf "    %-40s %6d files, %8.1f MiB\n", name, n, s / 1048576 }'
}

# Kind, mode, time, size or target, and as root the owner, of every name below a folder. The path comes last.
describe() {
    local rest='%y %m %T@'
    [ "$(id -u)" -ne 0 ] || rest+=' %U:%G'
    (cd "$1" && find . \( -type f -printf "$rest %s\t%P\n" \) -o -printf "$rest %l\t%P\n") 2>/dev/null | sort
}

compare_metadata() { # SOURCE
    local line path
    describe "$1" >"$demo/.was"
    describe "$restored$1" >"$demo/.is"
    diff "$demo/.was" "$demo/.is" | grep '^[<>]' >"$demo/.diff"
    while IFS= read -r line; do
        path=$1/${line#*$'\t'}
        path=${path%/}
        judge "$path" "${path%/*}"
    done <"$demo/.diff"
    names=$((names + $(wc -l <"$demo/.is")))
}

compare_all() {
    local dir
    names=0
    collect_exceptions
    echo '$ diff -rq --no-dereference SOURCE RESTORED'
    for dir in "${sources[@]}"; do
        compare_content "$dir"
        compare_metadata "$dir"
    done
    [ ${#different[@]} -eq 0 ] || fail "${#different[@]} names are not the same"
    say "Every byte is the same, and so are kind, mode, $([ "$(id -u)" -ne 0 ] || echo "owner, ")time and size of $names names."
    [ ${#left_out[@]} -eq 0 ] ||
        say "${#left_out[@]} were left out: the backup could not read them, or they have changed since it began."
}

rows() { sqlite3 -readonly "$1" 'SELECT * FROM orders ORDER BY id; SELECT id, order_id, hex(page) FROM scans ORDER BY id;'; }

compare_database() { # RESTORED
    local live=$demo/data/orders.sqlite
    cmp "$live" "$1" || fail "the database file is not the same"
    [ "$(sqlite3 -readonly "$1" 'PRAGMA integrity_check')" = ok ] || fail "the restored database is damaged"
    rows "$live" >"$demo/.rows-live" && rows "$1" >"$demo/.rows-back" || fail "sqlite3 could not read the rows"
    cmp "$demo/.rows-live" "$demo/.rows-back" || fail "the rows are not the same"
    db_rows=$(wc -l <"$demo/.rows-back")
    rm -f "$demo/.rows-live" "$demo/.rows-back"
    [ "$db_rows" -eq 20400 ] || fail "the database has $db_rows rows instead of 20400"
    echo "    the database: cmp: the same; integrity_check: ok; $db_rows rows: the same"
}

# --- the story --------------------------------------------------------------------------------------------------------------
[ -x "$TWOFOLD" ] || fail "$TWOFOLD is not there; run make first"
command -v sqlite3 >/dev/null || fail "sqlite3 is not there; run scripts/deps.sh demo"
unset TWOFOLD_PASSPHRASE_FILE TWOFOLD_FAULT CREDENTIALS_DIRECTORY LANGUAGE
[ -z "${AGENT:-}" ] || export TWOFOLD_AGENT=$AGENT
remove_last_demo
mkdir -p "$demo" && : >"$demo/this-is-a-demo" || exit 1
export TWOFOLD_CONFIG=$demo/config TWOFOLD_STATE=$demo/state

say "Twofold: a demonstration with this machine's own files, in the folder $shown."
say "What is indented is what the programs say; 64-digit names are shortened."
if [ "$(id -u)" -ne 0 ]; then
    echo
    say "You are not root: some files in /etc cannot be read. Twofold names each of them, saves the rest, and says so by \
exit status 3. That is expected here; the comparison leaves these files out."
fi

step "1. Something to back up"
make_data
sources=()
for dir in /etc /usr/share/doc; do
    [ ! -d $dir ] || sources+=("$dir")
done
sources+=("$demo/data")
say "/etc, /usr/share/doc and $shown/data: an SQLite database ($(($(stat -c %s "$demo/data/orders.sqlite") >> 20)) MiB, just \
made and closed), hard and symbolic links, a sparse file."

step "2. A vault with two copies"
say "In real life the two folders are on disks in two buildings. Here both are on one disk, and Twofold says that this is \
not enough."
make_vault
say "It prints a recovery kit for the safe; this one is in $shown/kit.txt."
run 0 policy add everything --files "${sources[@]}"

step "3. A backup to both copies"
touch "$demo/.stamp"
run 0,3 backup everything
backup_status=$status
cp "$out" "$demo/.backup"
[ "$(grep -cE '^ *copy "(machine-room|building-2)": complete' "$out")" -eq 2 ] || fail "a copy lacks the backup"
[ "$backup_status" -eq 0 ] ||
    say "Exit status 3: done, but not all of it. What is named above could not be read, or changed while it was read."

step "4. Copy 1 is damaged"
damage_copy

step "5. A restore, all the same"
say "Each chunk is read from copy 1 and checked; where it is not what was written, copy 2 is asked."
run 0,3 restore everything --to "$restored" --passphrase-file "$demo/passphrase"
echo
show_fallback
say "(In the counts a chunk that was asked for twice counts twice.)"

step "6. Is it the same?"
compare_all
compare_database "$restored$demo/data/orders.sqlite"
# What is damaged is remembered until it is mended; a partial backup is said too.
run 3 status

step "7. Everything is lost but copy 2 and the passphrase"
say "No configuration, no state, no copy 1: all that is needed is in the copy."
(
    export TWOFOLD_CONFIG=$demo/nothing TWOFOLD_STATE=$demo/nothing
    run 0,3 restore --copy "$demo/building-2" --policy everything --to "$demo/elsewhere" \
        --passphrase-file "$demo/passphrase" "$demo/data/orders.sqlite"
) || exit 1
compare_database "$demo/elsewhere$demo/data/orders.sqlite"

step "8. Find the damage and mend it"
run 4 scrub --read-data=100%
say "Exit status 4: damage found. Neither scrub nor repair needs the passphrase."
run 0 repair
[ "$(grep -cE '^copy "machine-room": packs/.*: mended' "$out")" -eq ${#damaged_packs[@]} ] ||
    fail "not every damaged pack was mended"
run 0 scrub --read-data=100%
diff -rq "$demo/machine-room/packs" "$demo/building-2/packs" >/dev/null || fail "the packs of the two copies differ"
run "$backup_status" status

step "Summary"
files=$(find "$restored" -type f | wc -l)
say "$files files were restored while ${#damaged_packs[@]} packs of copy 1 were damaged: $from_first chunks from copy 1, \
$from_second from copy 2. Every byte is the same as in the source\
$([ ${#left_out[@]} -eq 0 ] || echo " (${#left_out[@]} names left out)"), and the database has all of its $db_rows rows. \
Copy 2 alone gives the same. Copy 1 is whole again."
[ "$backup_status" -eq 0 ] || say "The backup is partial (exit status 3), as said above."
echo
say "To look around:"
show_command export "TWOFOLD_CONFIG=$TWOFOLD_CONFIG" "TWOFOLD_STATE=$TWOFOLD_STATE"
show_command "${TWOFOLD/#"$PWD"\//}" ls latest /etc --passphrase-file "$demo/passphrase"
rm -f "$demo"/.[a-z]*
exit 0
