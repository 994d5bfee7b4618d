#!/bin/bash
# 78-sqlite-checks.sh - the policy's questions to databases of SQLite: asked live, of the copies at a backup, and of what was restored beside
# what was written down; what is not right is said, and a question may do nothing but read that one file.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

db=$work/db
mkdir "$db"
sql() { # FILE SQL: changes it
    python3 -c 'import sqlite3, sys
c = sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2]); c.commit()' "$@" || fail "not done: $2"
}
sql "$db/shop.db" 'PRAGMA journal_mode = wal; PRAGMA user_version = 7; CREATE TABLE accounts (id INTEGER PRIMARY KEY, amount INT);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 50) INSERT INTO accounts SELECT i, 10 FROM n;
    CREATE VIEW spends AS SELECT * FROM accounts WHERE amount < 0'
sql "$db/other.db" 'CREATE TABLE t (x); INSERT INTO t VALUES (1)'
new_vault "$work/v"
mkdir -p "$work/v/c/policies"
policy() { # the checks, as lines
    {
        printf 'sqlite:\n  files: ["%s", "%s"]\n  check: quick\n  checks:\n' "$db/shop.db" "$db/other.db"
        cat
    } >"$work/v/c/policies/db.yaml"
}
d="database: $db/shop.db"
good="    - { name: accounts, $d, sql: SELECT count(*) FROM accounts, expect: \"> 0\", restored: at-least }
    - { name: sum, $d, sql: SELECT sum(amount) FROM accounts, restored: same }
    - { name: version, $d, sql: PRAGMA user_version, expect: 7 }
    - { name: view, $d, sql: SELECT count(*) FROM spends, expect: 0 }"

# --- mistakes in the policy ----------------------------------------------------------------------------------------
while IFS='|' read -r line text; do
    policy <<<"    - $line"
    expect 2 "$t" policy lint && said "$text" && said 'db.yaml:[56]'
done <<'M'
{ name: a, sql: SELECT 1 }|which of the files
{ name: a, sql: SELECT 1, database: /none.db }|"/none.db" is none of the files
{ name: a, database: /x }|asks nothing
M

# --- live, and at a backup ------------------------------------------------------------------------------------------------
policy <<<"$good"
expect 0 "$t" policy lint
expect 0 "$t" check db && said 'check "accounts": 50' && said 'check "version": 7' && said 'all is as the policy expects'
sql "$db/shop.db" 'CREATE TABLE kept AS SELECT * FROM accounts; DELETE FROM accounts'
expect 4 "$t" check db && said 'check "accounts": 0, but > 0 is expected'
expect 3 "$t" --json backup db && said 'accounts' && [ "$(json state backup)" = partial ] || fail "a backup that fails a check is $(json state backup)"
sql "$db/shop.db" 'INSERT INTO accounts SELECT * FROM kept; DROP TABLE kept'
expect 0 "$t" --json backup db
[ "$(json state backup)" = whole ] || fail "not whole"
expect 0 "$t" export latest /sqlite/facts.json && tar -xOf "$work/.out" sqlite/facts.json >"$work/facts.json"
python3 - "$work/facts.json" <<'P' || fail "the answers are not in facts.json"
import json, sys
f = json.load(open(sys.argv[1]))
c = {x["name"]: x for x in f["checks"]}
assert c["accounts"]["value"] == "50" and c["sum"]["value"] == "500" and c["sum"]["right"], c
assert all(x["check"] == "quick_check" for x in f["files"])
P
# a database that somebody has locked
python3 -c 'import sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute("PRAGMA locking_mode = exclusive"); c.execute("BEGIN EXCLUSIVE")
open(sys.argv[2], "w").close(); sys.stdin.read()' "$db/other.db" "$work/locked" < <(sleep 3600 & echo $! >"$work/sleeper"; wait) &
until [ -e "$work/locked" ]; do :; done
policy <<<"$good
    - { name: other, database: $db/other.db, sql: SELECT count(*) FROM t }"
expect 4 "$t" check db && said 'check "other" has no answer' && said 'check "accounts": 50'
kill "$(cat "$work/sleeper")"
wait

# --- of what was restored --------------------------------------------------------------------------------------------------
policy <<<"$good"
expect 0 "$t" restore db --to "$work/r" && not_said 'check "' # nobody asked for it
clean "$work/r"
expect 0 "$t" restore db --to "$work/r" --verify && said 'verified: check "accounts": 50 \(when it was backed up: 50\)' && said 'verified: check "sum": 500'
policy <<<"${good/> 0/> 60}"
clean "$work/r"
expect 4 "$t" restore db --to "$work/r" --verify && said 'check "accounts": 50, but > 60 is expected' && said 'not right on what was restored'
was=$(sha256sum <"$db/shop.db")
expect 4 "$t" restore db --in-place --verify && said 'nothing was put in place'
[ "$(sha256sum <"$db/shop.db")" = "$was" ] || fail "a file that is not right was put in place"
policy <<<"    - { name: sum, $d, sql: SELECT sum(amount) - 1 FROM accounts, restored: same }"
clean "$work/r"
expect 4 "$t" restore db --to "$work/r" --verify && said 'but it was 500 when it was backed up'
policy <<<"$good"
expect 0 "$t" restore db --in-place --verify && said 'verified: check "sum": 500' && said 'is in place'

# --- a question may only read, this file alone, and one statement is all ------------------------------------------------------
while IFS='|' read -r name question; do
    printf '    - { name: "%s", %s, sql: "%s" }\n' "$name" "$d" "$question"
done >"$work/bad" <<B
writes|DELETE FROM accounts RETURNING id
two|SELECT 1; DELETE FROM accounts
attaches|ATTACH '$db/other.db' AS o
temporary|CREATE TEMP TABLE x AS SELECT 1
pragma|PRAGMA user_version = 9
mode|PRAGMA journal_mode = delete
back|PRAGMA query_only = off
loads|SELECT load_extension('/tmp/x.so')
vacuums|VACUUM INTO '$work/stolen.db'
begins|BEGIN IMMEDIATE
nothing|-- nothing
B
policy <"$work/bad"
expect 4 "$t" check db
while IFS='"' read -r _ name _; do said "check \"$name\" has no answer"; done <"$work/bad"
said '11 things'
expect 3 "$t" backup db # of the copies nothing is changed either
[ ! -e "$work/stolen.db" ] || fail "a question wrote a file"
policy <<<"$good"
expect 0 "$t" check db
finish
