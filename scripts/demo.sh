#!/bin/bash
# The main job on real files, told step by step: two copies, damage to one of them, and everything back.
# Run it by `make demo`. All that it makes lies in build/demo (DEMO_DIR), anew each time; the files it
# backs up are only read. Exit status 0: every comparison held.
set -euo pipefail

src=$(cd "$(dirname "$0")/.." && pwd)
twofold=${TWOFOLD:-$src/build/twofold}
export TWOFOLD_AGENT=${AGENT:-$src/build/twofold-agent}
dir=${DEMO_DIR:-$src/build/demo}
export LC_ALL=C.UTF-8
unset TWOFOLD_PASSPHRASE_FILE CREDENTIALS_DIRECTORY TWOFOLD_FAULT

# --- telling --------------------------------------------------------------------------------------
width=78
paragraph() { printf '%s\n' "$*" | fold -s -w "$width"; }
title() { printf '\n=== %s\n\n' "$*"; }
good() { printf '  [ok]  %s\n' "$*"; }
bad() {
    printf '  [BAD] %s\n' "$*"
    failures=$((failures + 1))
}
failures=0
program_log=$dir/log

# Of long lists the beginning and the end.
shorten() {
    awk 'NR <= 10 { print; next } { rest[NR] = $0 }
         END { from = NR < 20 ? 11 : NR - 7
               if (from > 11) print "    ... (" from - 11 " more lines)"
               for (i = from; i <= NR; i++) print rest[i] }'
}

# run STATUS[,STATUS…] ARGUMENTS…: shows a twofold command and what it prints; any other status ends it.
run() {
    local want=$1 status=0 shown=""
    shift
    shown="twofold $*"
    shown=${shown//$dir\//}
    printf '$ %s\n' "$shown" | fold -s -w "$width"
    (cd "$dir" && "$twofold" "$@") >"$program_log" 2>&1 || status=$?
    sed "s|$dir/||g" "$program_log" | fold -s -w $((width - 4)) | sed 's/^/    /' | shorten
    last=$status
    case ,$want, in
    *,$status,*) printf '    (exit status %d)\n\n' "$status" ;;
    *)
        printf '\nThis was not expected: exit status %d instead of %s.\n' "$status" "$want" >&2
        exit 1
        ;;
    esac
}

# --- the files -------------------------------------------------------------------------------------
make_database() {
    sqlite3 "$1" <<'SQL'
CREATE TABLE payment(id INTEGER PRIMARY KEY, payee TEXT, cents INTEGER, made_on TEXT);
CREATE INDEX payment_by_payee ON payment(payee);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
INSERT INTO payment SELECT i, 'payee ' || (i * 7919 % 1000), i * 104729 % 5000000,
                           date('2026-01-01', '+' || (i % 300) || ' days') FROM n;
SQL
}

# What this user may not read cannot be in the backup: as root that is nothing.
list_unreadable() {
    find "${roots[@]}" \( ! -type l ! -readable -o -type d ! -executable \) -prune -print 2>/dev/null |
        sort || :
}

# Everything but the content: kind, mode, owner, size and time of each name, and where links lead.
describe() {
    local base=$1 format='%P %y %m %T@' root
    [ "$(id -u)" -ne 0 ] || format+=' %U %G'
    for root in "${roots[@]}"; do
        find "$base$root" \( -type f -printf "$root/$format %s\n" \) -o \
            \( -printf "$root/$format %l\n" \) 2>/dev/null || :
    done | sort
}

# --- comparing ---------------------------------------------------------------------------------------
# Only what could not be read may be missing.
compare_content() {
    local root
    for root in "${roots[@]}"; do
        diff -r --no-dereference "$root" "$restored$root" 2>&1 || :
    done >"$dir/differences"
    while IFS= read -r path; do
        printf 'Only in %s: %s\n' "${path%/*}" "${path##*/}"
        printf 'diff: %s: Permission denied\n' "$path"
        printf 'diff: %s%s: Permission denied\n' "$restored" "$path"
    done <"$dir/unreadable" >"$dir/excused"
    grep -vxFf "$dir/excused" "$dir/differences" >"$dir/left" || :
    files=$(find "${roots[@]/#/$restored}" -type f | wc -l)
    if [ -s "$dir/left" ]; then
        bad "these differ from the originals:"
        head -n 10 "$dir/left"
    else
        good "$files files are the same, byte for byte (diff -r)"
    fi
}

compare_rest() {
    describe "" >"$dir/was"
    describe "$restored" >"$dir/is"
    while IFS= read -r path; do
        grep -vF "$path " "$dir/was" >"$dir/was.new" || :
        mv "$dir/was.new" "$dir/was"
        grep -vF "$path " "$dir/is" >"$dir/is.new" || :
        mv "$dir/is.new" "$dir/is"
    done <"$dir/unreadable"
    if diff "$dir/was" "$dir/is" >"$dir/left"; then
        good "$(wc -l <"$dir/is") names have the same kind, mode, ${owner}size, time and link"
    else
        bad "kind, mode, ${owner}size, time or link differ:"
        head -n 10 "$dir/left"
    fi
}

compare_database() {
    local one=$1 what=$2 rows
    if cmp "$database" "$one" && [ "$(sqlite3 "$one" 'PRAGMA integrity_check')" = ok ]; then
        rows=$(sqlite3 "$one" 'SELECT count(*) FROM payment')
        good "$what: same bytes (cmp), whole (SQLite), $rows payments"
    else
        bad "$what is not the database that was backed up"
    fi
}

# --- damage -------------------------------------------------------------------------------------------
# A disk that goes bad: noise over 256 bytes in many places of what copy 1 keeps.
spoil() {
    local pack bytes at places=0
    while IFS= read -r pack; do
        bytes=$(stat -c %s "$pack")
        for ((at = 20000; at < bytes - 20000; at += bytes / 12 + 1)); do
            dd if=/dev/urandom of="$pack" bs=1 count=256 seek="$at" conv=notrunc status=none
            places=$((places + 1))
        done
    done < <(find "$dir/copy1/packs" -type f)
    echo "256 bytes of noise were written over $places places of the packs of copy 1."
}

# --- the demonstration --------------------------------------------------------------------------------
for program in "$twofold" "$TWOFOLD_AGENT" "$(command -v sqlite3 || echo sqlite3)"; do
    [ -x "$program" ] || { echo "demo.sh: $program is not there; run: make demo" >&2; exit 1; }
done
case $dir in *' '* | *$'\n'*) echo "demo.sh: no spaces in DEMO_DIR, please" >&2; exit 2 ;; esac
if [ -e "$dir" ] && [ ! -e "$dir/this-is-a-demo" ] && [ -n "$(ls -A "$dir")" ]; then
    echo "demo.sh: $dir is not empty and not of an earlier demo; name another: DEMO_DIR=…" >&2
    exit 2
fi
chmod -R u+rwX "$dir" 2>/dev/null || :
rm -rf "$dir"
mkdir -p "$dir/office"
dir=$(cd "$dir" && pwd -P)
program_log=$dir/log
: >"$dir/this-is-a-demo"
export TWOFOLD_CONFIG=$dir/config TWOFOLD_STATE=$dir/state
restored=$dir/restored
database=$dir/office/payments.db
partial=0 owner="owner, "
make_database "$database"
roots=(/etc)
[ ! -d /usr/share/doc ] || roots+=(/usr/share/doc)
roots+=("$dir/office")
list_unreadable >"$dir/unreadable"
[ "$(id -u)" -eq 0 ] || owner=""
[ ! -s "$dir/unreadable" ] || partial=3

paragraph "Twofold keeps every backup at least twice and restores from what is left. This \
shows it on real files of this machine. Everything lies in $dir."

title "1. A vault with two copies"
(umask 077 && echo 'Demo-Only-Passphrase-1' >"$dir/passphrase")
paragraph "Here the two copies are two folders. In earnest they are in two places: a disk in \
the machine room and one in another building."
echo
run 0 --yes init --vault demo --copy "copy1=$dir/copy1" --copy "copy2=$dir/copy2" \
    --passphrase-file "$dir/passphrase" --kit "$dir/recovery-kit.txt"

title "2. What is backed up"
paragraph "${roots[*]/$dir\//}: $(find "${roots[@]}" -type f 2>/dev/null | wc -l) files, among \
them an SQLite database with 20,000 payments (office/payments.db)."
echo
run 0 policy add office --files "${roots[@]}"

title "3. The backup, to both copies at once"
if [ "$partial" -ne 0 ]; then
    paragraph "You are not root, and $(wc -l <"$dir/unreadable") files or folders may not be read by \
you. Twofold names each, saves the rest and ends with status 3: done, but not all of it. \
That is expected here."
    echo
fi
run "$partial" backup office
paragraph "One more payment is made. Of all files only the database is read again:"
echo
sqlite3 "$database" "INSERT INTO payment VALUES (20001, 'the last one', 100, '2026-11-20')"
run "$partial" backup office

title "4. A disk goes bad"
spoil

title "5. Restore"
paragraph "Each piece is asked of copy 1 first, and checked. What is damaged there comes from \
copy 2."
echo
run 0,3 restore office --to "$restored" --passphrase-file "$dir/passphrase"
if [ "$last" -eq 3 ]; then
    if [ "$(id -u)" -eq 0 ]; then
        bad "as root everything should have been restored"
    else
        paragraph "Status 3: only root can give files back to their owners. Their content is whole."
    fi
fi
from_copy1=$(sed -n 's/^  copy "copy1": \([0-9]*\) chunks.*/\1/p' "$program_log")
damaged=$(sed -n 's/^  copy "copy1": .* and \([0-9]*\) that were.*/\1/p' "$program_log")
from_copy2=$(sed -n 's/^  copy "copy2": \([0-9]*\) chunks.*/\1/p' "$program_log")

title "6. Is it the same?"
compare_content
compare_rest
compare_database "$restored$database" "payments.db"
if [ "${damaged:-0}" -gt 0 ] && [ "${from_copy2:-0}" -gt 0 ]; then
    good "${from_copy1:-0} chunks came from copy 1; $damaged were damaged there, copy 2 gave $from_copy2"
else
    bad "the damage was not met: this proves nothing"
fi

title "7. The whole machine room is gone"
paragraph "No configuration, no state, no copy 1: only copy 2 and the passphrase."
echo
TWOFOLD_CONFIG=$dir/nothing TWOFOLD_STATE=$dir/nothing \
    run 0,3 restore --copy "$dir/copy2" --policy office --to "$dir/elsewhere" \
    --passphrase-file "$dir/passphrase" "$database"
compare_database "$dir/elsewhere$database" "payments.db from copy 2"

title "8. Copy 1 is mended"
run 4 scrub --read-data=100%
run 0 repair
run 0 scrub --read-data=100%
good "copy 1 is whole again; what was damaged is kept in copy1/aside"
echo
[ "$partial" -eq 0 ] || paragraph "As long as you may not read all of /etc, there is no whole backup:"
run 0,3 status

title "Summary"
rm -f "$dir"/{differences,excused,left,was,is,unreadable,log}
if [ "$failures" -ne 0 ]; then
    echo "$failures comparisons did not hold. This must not happen: please report it."
    exit 1
fi
cat <<END
$files files of this machine were backed up to two copies and restored, though
one of the copies was damaged: ${from_copy1:-0} chunks from copy 1, $from_copy2 from copy 2.
All comparisons held.

Look around, in $(basename "$dir"):
  restored/          what came back, under its whole paths
  copy1/ copy2/      the copies: each alone restores everything
  recovery-kit.txt   what would lie printed in a safe
  config/            the configuration, made to be read

  cd $dir
  export TWOFOLD_CONFIG=\$PWD/config TWOFOLD_STATE=\$PWD/state
  $twofold status
END
