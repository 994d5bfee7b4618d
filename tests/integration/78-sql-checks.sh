#!/bin/bash
# 78-sql-checks.sh - the policy's questions to a PostgreSQL server: asked live, at a backup, and of what was restored beside what was
# written down; what is not right is said, and a question may do nothing but read.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"

one=$work/one
pg_new one --wal-segsize=1
pg_start "$one" || finish
pg_sql "$one" "CREATE DATABASE shop"
pg_sql "$one" "CREATE TABLE accounts AS SELECT i AS id, 10 AS amount FROM generate_series(1, 50) i" shop
new_vault "$work/v"
mkdir -p "$work/v/c/policies"
policy() { # the checks, as lines
    {
        printf 'postgresql:\n  conninfo: "host=%s user=postgres"\n  checks:\n' "$one"
        cat
    } >"$work/v/c/policies/db.yaml"
}
good='    - { name: accounts, database: shop, sql: SELECT count(*) FROM accounts, expect: "> 0", restored: at-least }
    - { name: sum, database: shop, sql: SELECT sum(amount) FROM accounts, restored: same }
    - { name: version, sql: SHOW server_version_num, expect: ">= 120000" }'

# --- mistakes in the policy ----------------------------------------------------------------------------------------
while IFS='|' read -r line text; do
    policy <<<"    - $line"
    expect 2 "$t" policy lint && said "$text" && said 'db.yaml:[45]'
done <<'M'
{ sql: SELECT 1 }|a check has no "name"
{ name: a }|check "a" asks nothing
{ name: a, sql: SELECT 1, expect: "> many" }|cannot be held against an answer
{ name: a, sql: SELECT 1, restored: more }|not one of its values
{ name: a, sql: SELECT 1, answer: 1 }|answer
M

# --- live ---------------------------------------------------------------------------------------------------------------
policy <<<"$good"
expect 0 "$t" policy lint
expect 0 "$t" check db && said 'check "accounts": 50' && said 'all is as the policy expects'
expect 0 "$t" --json check db && [ "$(json right check)" = True ] || fail "not right: $(cat "$work/.out")"
pg_sql "$one" "BEGIN; CREATE TABLE kept AS TABLE accounts; DELETE FROM accounts; COMMIT" shop
expect 4 "$t" check db && said 'check "accounts": 0, but > 0 is expected' && said 'next:'
expect 3 "$t" --json backup db && said 'accounts' && [ "$(json state backup)" = partial ] || fail "a backup that fails a check is $(json state backup)"
pg_sql "$one" "INSERT INTO accounts TABLE kept" shop
pg_sql "$one" "ALTER TABLE accounts RENAME TO gone" shop
expect 4 "$t" check db && said 'has no answer'
pg_sql "$one" "ALTER TABLE gone RENAME TO accounts" shop
mkdir "$work/files"
policy_add plain --files "$work/files"
expect 2 "$t" check plain && said 'files only'
expect 2 "$t" check
expect 1,2 "$t" check nobody

# --- of what was restored --------------------------------------------------------------------------------------------------
expect 0 "$t" --json backup db
[ "$(json state backup)" = whole ] || fail "not whole"
expect 0 "$t" restore db --to "$work/r" --verify && said 'verified: check "accounts": 50 \(when it was backed up: 50\)' &&
    said 'verified: check "sum": 500'
# another expectation now than then: what was restored is held against it
policy <<<"${good/> 0/> 60}"
clean "$work/r"
expect 4 "$t" restore db --to "$work/r" --verify && said 'check "accounts": 50, but > 60 is expected' && said 'not right on what was restored'
policy <<<'    - { name: sum, database: shop, sql: SELECT sum(amount) - 1 FROM accounts, restored: same }'
clean "$work/r"
expect 4 "$t" restore db --to "$work/r" --verify && said 'but it was 500 when it was backed up'
clean "$work/r"
expect 0 "$t" restore db --to "$work/r" # without a server nobody asks

# --- a question may only read, and one statement is all ------------------------------------------------------------------------
policy <<'P'
    - { name: writes, database: shop, sql: "DELETE FROM accounts RETURNING id" }
    - { name: two, database: shop, sql: "SELECT 1; DELETE FROM accounts" }
P
expect 4 "$t" check db && said 'read-only transaction' && said 'check "two" has no answer'
[ "$(pg_sql "$one" 'SELECT count(*) FROM accounts' shop)" = 50 ] || fail "a question changed the data"
finish
