#!/bin/bash
# 88-crash-dark.sh - the crash procedure in the dark: the orchestrator is gone, and another machine has nothing but one copy, the programs and
# the passphrase; the catalog is gone, broken or locked; a copy is away; files alone; going on elsewhere from the record in a copy.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"

one=$work/one
pg_new one
pg_start "$one" || finish
pg_sql "$one" "CREATE TABLE ledger AS SELECT i FROM generate_series(1, 2000) i"
src=$work/src
small_tree "$src" 88 40
cp -a "$src" "$work/src.right"
new_vault "$work/v"
mkdir -p "$TWOFOLD_CONFIG/policies"
printf 'postgresql:\n  conninfo: "host=%s user=postgres"\n' "$one" >"$TWOFOLD_CONFIG/policies/db.yaml"
policy_add web --files "$src"
expect 0 "$t" backup db web
is_back() { [ "$(pg_sql "$one" "SELECT count(*) FROM ledger" 2>&1)" = 2000 ] || fail "$1: the ledger is not back"; }
lose() {
    pg_stop "$one" immediate
    find "$one/data/base" -type f -delete
}

# --- files that were tampered with, unattended: the catalog is gone, or broken; a copy is away; an earlier timeline is damaged ---
tamper() {
    find "$src" -type f | sort | head -n 5 | while read -r f; do echo tampered >"$f"; done
    echo door >"$src/backdoor"
}
rm "$TWOFOLD_STATE/catalog.db"
mv "$b" "$b.away"
tamper
expect 0 "$t" --yes crash web && said 'RECOVERED' && said 'copy "b": not used'
[ -f "$src/backdoor" ] || fail "after a fault, what the backup does not have is taken away"
tidy() { # what was set aside goes, and with it the folder's new time
    rm -rf "$src/backdoor" "$src"/.twofold-*
    touch -r "$work/src.right" "$src"
}
tidy
same_tree "$work/src.right" "$src"
expect 0 "$t" crash close
for line in "$TWOFOLD_STATE"/incidents/web-*/timeline; do sed -i '3s/notify/n0tify/' "$line"; done
printf 'no catalog at all' >"$TWOFOLD_STATE/catalog.db"
tamper
sleep 1.1 # on an idle machine the backup is of this second, too
expect 3 "$t" --yes crash web --cause attack --first-sign now --answer isolated=yes
expect 3 "$t" --yes crash resume --answer isolated=yes
expect 3 "$t" --yes crash resume --answer stopped=yes && said 'source-found'
expect 0 "$t" --yes crash resume --answer source-found=override --why "only these files" && said 'RECOVERED'
[ ! -f "$src/backdoor" ] || fail "after an attack, what was put there is still there"
tidy
same_tree "$work/src.right" "$src"
expect 0 "$t" crash close
rm "$TWOFOLD_STATE/catalog.db"
mv "$b.away" "$b"

# --- a database that a program dumps is loaded again -----------------------------------------------------------------------------------
mkdir -p "$TWOFOLD_CONFIG/drivers"
printf '%s\n' "dump: [cat, $work/books]" "restore: [/bin/sh, -c, 'cat >$work/books']" "check: [test, -s, $work/books]" >"$TWOFOLD_CONFIG/drivers/books.yaml"
printf 'command: { drivers: [books] }\n' >"$TWOFOLD_CONFIG/policies/books.yaml"
seq 1000 >"$work/books"
expect 0 "$t" backup books
: >"$work/books"
expect 0 "$t" --yes crash books && said 'RECOVERED'
seq 1000 | cmp -s - "$work/books" || fail "the dump was not loaded"
expect 0 "$t" crash close

# --- the orchestrator is gone: another machine, one copy, the passphrase --------------------------------------------------------
lose
export TWOFOLD_CONFIG=$work/other/c TWOFOLD_STATE=$work/other/s
expect 3 "$t" --yes crash --copy "$b" --policy db --passphrase-file "$pass" && said 'started=yes'
pg_start "$one"
is_back "another machine"
expect 0 "$t" --yes crash resume --answer started=yes --passphrase-file "$pass" && said 'RECOVERED'
expect 0 "$t" crash close

# --- to a folder, though it cannot be put in place ----------------------------------------------------------------------------------
expect 3 "$t" --yes crash --copy "$a" --policy db --passphrase-file "$pass" --to "$work/elsewhere" && said 'started=yes'
[ -f "$work/elsewhere/postgresql/data/PG_VERSION" ] || fail "nothing was restored to the folder"
expect 0 "$t" crash close --why "tried"

# --- begun there, gone on with here: by the record in a copy ------------------------------------------------------------------------
export TWOFOLD_CONFIG=$work/v/c TWOFOLD_STATE=$work/v/s
lose
expect 3 "$t" crash db && said 'stopped=yes'
id=$(basename "$(ls -dt "$TWOFOLD_STATE"/incidents/*/ | head -n 1)")
for _ in $(seq 50); do
    [ -z "$(find "$b/records" -type f 2>/dev/null)" ] || break
    sleep 0.1
done
export TWOFOLD_CONFIG=$work/third/c TWOFOLD_STATE=$work/third/s
expect 0 "$t" crash records --adopt "$id" --copy "$b" --passphrase-file "$pass"
expect 3 "$t" --yes crash resume "$id" --copy "$b" --passphrase-file "$pass" && said 'started=yes'
pg_start "$one"
is_back "a third machine"
expect 0 "$t" --yes crash resume "$id" --copy "$b" --passphrase-file "$pass" --answer started=yes && said 'RECOVERED'
finish
