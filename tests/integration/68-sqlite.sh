#!/bin/bash
# 68-sqlite.sh - databases of SQLite are copied while programs write to them: in both kinds of journal, restored exactly, in place, damaged,
# locked, away; what a killed agent leaves, and a scratch folder that is full.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

command -v sqlite3 >/dev/null || { say "not tested here: it takes sqlite3"; exit 77; }
db=$work/db
mkdir -p "$db/app one"
wal="$db/app one/le dger?#%41.db" roll=$db/roll.db

# make_ledger FILE JOURNAL MIB: a ledger whose every row has a running total, and so many MiB beside it.
make_ledger() {
    sqlite3 "$1" >/dev/null <<Q
PRAGMA page_size = 4096; PRAGMA journal_mode = $2; PRAGMA user_version = 42; PRAGMA application_id = 7;
CREATE TABLE ledger (id INTEGER PRIMARY KEY, amount INT, total INT);
CREATE TABLE pad (id INTEGER PRIMARY KEY, x BLOB);
INSERT INTO ledger VALUES (0, 0, 0);
INSERT INTO pad SELECT value, randomblob(900) FROM generate_series(1, $3 * 1024);
Q
}
cat >"$work/write.py" <<'P'
import random, sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
while True:
    c.execute("BEGIN IMMEDIATE")
    n, total = c.execute("SELECT id, total FROM ledger ORDER BY id DESC LIMIT 1").fetchone()
    n, a = n + 1, random.randrange(1000)
    c.execute("INSERT INTO ledger VALUES (?, ?, ?)", (n, a, total + a))
    c.execute("UPDATE pad SET x = randomblob(900) WHERE id = 1 + ? % 1000", (n,))
    c.execute("COMMIT")
    time.sleep(0.001)
P
writers=()
load() {
    for file; do
        python3 "$work/write.py" "$file" &
        writers+=($!)
    done
}
unload() {
    [ ${#writers[@]} -eq 0 ] || { kill "${writers[@]}"; wait "${writers[@]}"; } 2>/dev/null
    writers=()
}
trap unload EXIT
last() { sqlite3 -cmd '.timeout 60000' "$1" 'SELECT max(id) FROM ledger'; }

# same_books FILE LEAST MOST: a file that is whole, alone, with every row up to one between these.
same_books() {
    [ "$(sqlite3 "$1" 'PRAGMA integrity_check')" = ok ] || fail "$1: integrity_check"
    [ "$(sqlite3 "$1" 'SELECT count(*) FROM (SELECT id, total, amount, lag(total) OVER w AS t, lag(id) OVER w AS i FROM ledger
        WINDOW w AS (ORDER BY id)) WHERE i IS NOT NULL AND (id <> i + 1 OR total <> t + amount)')" = 0 ] ||
        fail "$1: the ledger has gaps or wrong totals"
    local n
    n=$(last "$1")
    [ "$n" -ge "$2" ] && [ "$n" -le "$3" ] || fail "$1: the last row is $n, not from $2 to $3"
}

new_vault "$work/v"
make_ledger "$wal" wal 12
make_ledger "$roll" delete 30
chmod 640 "$wal" && chown 12345:54321 "$roll" 2>/dev/null
setfattr -n user.note -v kept "$roll" 2>/dev/null && attrs=1 || attrs=""

# --- the policy -------------------------------------------------------------------------------------------------
policy_add app --sqlite "$wal" --sqlite "$roll" --schedule none && said 'in WAL mode' && said 'may have to wait'
expect 3 "$t" policy add gone --sqlite "$db/none.db" --schedule none && said 'No such file'
expect 0 "$t" policy lint
expect 0 "$t" policy show app && said 'files: .*roll.db'
rm "$vault/c/policies/gone.yaml"

# --- while they are written to --------------------------------------------------------------------------------------
load "$wal" "$roll" "$roll"
until [ "$(last "$wal")" -gt 30 ] && [ "$(last "$roll")" -gt 30 ]; do :; done
from_wal=$(last "$wal") from_roll=$(last "$roll")
expect 0 "$t" --json backup app
first=$(json snapshot) to_wal=$(last "$wal") to_roll=$(last "$roll")
[ "$(json state)" = whole ] || fail "a busy database's backup is not whole: $(json state)"
unload
expect 0 "$t" export latest /sqlite/facts.json && tar -xOf "$work/.out" sqlite/facts.json >"$work/facts.json"
python3 - "$work/facts.json" "$wal" "$roll" <<'P' || fail "facts.json is not right"
import json, sys
f = {x["path"]: x for x in json.load(open(sys.argv[1]))["files"]}
w, r = f[sys.argv[2]], f[sys.argv[3]]
for x in w, r:
    assert x["page_size"] == 4096 and x["bytes"] == 4096 * x["pages"] and x["user_version"] == 42 and x["application_id"] == 7
    assert x["check"] == "integrity_check" and x["result"] == "ok" and x["encoding"] == "UTF-8" and x["schema_version"] > 1
assert w["journal"] == "wal" and w["restarts"] == 0 and r["journal"] == "rollback"
assert 1 <= r["restarts"] <= 4, r["restarts"]
assert w["tables"]["pad"] == 12 * 1024 and w["tables"]["ledger"] > 30
P
expect 0 "$t" restore app --to "$work/out" && said 'integrity_check: ok; 2 tables, [0-9]+ rows, as in the backup'
out=$work/out/sqlite/files
same_books "$out$wal" "$from_wal" "$to_wal"
same_books "$out$roll" "$from_roll" "$to_roll"
for file in "$wal" "$roll"; do
    [ "$(stat -c '%a %u %g %s' "$out$file")" = "$(stat -c '%a %u %g' "$file") $(stat -c %s "$out$file")" ] || fail "$file: owner or mode"
    python3 -c 'import os, sys; sys.exit(os.stat(sys.argv[1]).st_mtime_ns > os.stat(sys.argv[2]).st_mtime_ns)' "$out$file" "$file" || fail "$file: time"
done
[ -z "$attrs" ] || [ "$(getfattr --only-values -n user.note "$out$roll")" = kept ] || fail "the attribute is gone"
[ "$(find "$out" -type f | wc -l)" = 2 ] || fail "something lies beside what was restored: $(find "$out" -type f)"
[ -z "$(find "$vault/s" -name '*scratch-*' -o -name '*.db' -path '*scratch*')" ] || fail "the scratch folder stayed"

# --- a night of few changes -------------------------------------------------------------------------------------------
size() { du -sb "$a/packs" | cut -f 1; }
sqlite3 "$roll" 'UPDATE pad SET x = randomblob(900) WHERE id % 1000 = 1'
before=$(size)
expect 0 "$t" backup app
[ $(($(size) - before)) -lt 3000000 ] || fail "30 changed pages added $(($(size) - before)) bytes"
clean "$work/out"
expect 0 "$t" restore app --to "$work/out" --from b && cmp <(sqlite3 "$roll" .dump) <(sqlite3 "$out$roll" .dump)
expect 0 "$t" restore app --snapshot "$first" --to "$work/out1" && same_books "$work/out1/sqlite/files$roll" "$from_roll" "$to_roll"
(
    export TWOFOLD_CONFIG=$work/no-config TWOFOLD_STATE=$work/no-state HOME=$work/no-home
    expect 0 "$t" restore --copy "$b" --policy app --to "$work/alone" --passphrase-file "$pass" && said 'integrity_check: ok'
    exit "$failures"
) || fail "from nothing but one copy"

# --- what is wrong with one is said, and the others are kept -----------------------------------------------------------------
says() { printf 'sqlite:\n  wait: %ss\n  files: [%s]\n' "$2" "$(printf '"%s", ' "${@:3}")" >"$vault/c/policies/$1.yaml"; }
echo "not a database at all, but long enough to look like one: $(seq 1 500)" >"$db/text.db"
cp "$roll" "$db/hurt.db"
printf '%4096s' x | dd of="$db/hurt.db" bs=4096 seek=500 conv=notrunc status=none
mkfifo "$db/pipe.db"
says mixed 1 "$roll" "$db/text.db" "$db/none.db" "$db/hurt.db" "$db/pipe.db"
expect 3 "$t" --json backup mixed
said 'text.db.*it is no database of SQLite' && said 'none.db.*No such file' && said 'hurt.db.*the database is damaged; stored as it is' && said 'pipe.db.*not a file'
[ "$(json state)" = partial ] || fail "a damaged database's backup is not marked"
expect 3 "$t" restore mixed --to "$work/mixed" && said 'was damaged already when it was backed up' && said 'roll.db.*integrity_check: ok'
cmp "$db/hurt.db" "$work/mixed/sqlite/files$db/hurt.db" >/dev/null || cmp <(tail -c +101 "$db/hurt.db") <(tail -c +101 "$work/mixed/sqlite/files$db/hurt.db") ||
    fail "the damaged file is not stored as it was"
says alone 1 "$db/text.db"
expect 4,1 "$t" backup alone && said 'it is no database of SQLite' && said 'next: correct files:'
says alone 1 "$db/none.db"
expect 1 "$t" backup alone && said 'No such file'

# A restored file that is not what was backed up is noticed, whoever wrote it.
python3 - "$roll" <<'P' &
import sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(600)
P
writers+=($!)
until ! sqlite3 "$roll" 'SELECT 1 FROM ledger' >/dev/null 2>&1; do :; done
says alone 1 "$roll"
expect 1,5 "$t" backup alone && said 'another program has it locked, for more than 1 s' && said 'next: let that program end'
expect 3 "$t" policy add busy --sqlite "$roll" --schedule none --retries 0 && said 'has it locked' && rm -f "$vault/c/policies/busy.yaml"

# --- an agent that is killed while it copies leaves nothing for long ------------------------------------------------------------
says killed 300 "$wal" "$roll"
"$t" backup killed >"$work/.killed" 2>&1 &
job=$!
scratch=""
until [ -n "$scratch" ] || ! kill -0 $job 2>/dev/null; do scratch=$(find "$vault/s" -path '*sqlite-scratch-*' -name 0.db -size +8M); done
[ -n "$scratch" ] || fail "no copy was made: $(cat "$work/.killed")"
agent=$(fuser "${scratch%/*}/lock" 2>/dev/null | tr -d ' ')
kill -9 "${agent:-$job}"
wait $job 2>/dev/null
[ -e "$scratch" ] || fail "nothing was left, so nothing is tested"
unload
expect 0 "$t" backup killed
[ -z "$(find "$vault/s" -path '*sqlite-scratch-*')" ] || fail "what the killed agent left is still there"

# --- a program that died in a transaction: what it had begun is undone, as by any reader ------------------------------------------
cp "$roll" "$db/hot.db"
python3 - "$db/hot.db" <<'P'
import os, signal, sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("PRAGMA cache_size = 10")
c.execute("BEGIN")
c.execute("UPDATE pad SET x = zeroblob(900)")
os.kill(os.getpid(), signal.SIGKILL)
P
[ -s "$db/hot.db-journal" ] || fail "no journal was left"
says hot 5 "$db/hot.db"
expect 0 "$t" backup hot
expect 0 "$t" restore hot --to "$work/hot" && cmp <(sqlite3 "$roll" .dump) <(sqlite3 "$work/hot/sqlite/files$db/hot.db" .dump)

# --- no room for the copy -----------------------------------------------------------------------------------------------------------
if [ -n "${SCENARIO_NAMESPACE:-}" ] && mount -t tmpfs -o size=40m scratch "$vault/s/agent" 2>/dev/null; then
    says alone 5 "$roll"
    expect 1 "$t" backup alone && said 'MiB are needed for a moment' && said 'next: make room there'
    [ -z "$(find "$vault/s" -path '*sqlite-scratch-*')" ] || fail "the scratch folder stayed"
    umount "$vault/s/agent"
else
    skip_part "a full scratch folder (it takes a mount)"
fi

# --- over an earlier restore that somebody has worked on: no old log comes beside a new file -----------------------------------------
expect 0 "$t" backup app
clean "$work/again"
expect 0 "$t" restore app --to "$work/again"
again=$work/again/sqlite/files
python3 - "$again$wal" <<'P'
import os, sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("PRAGMA wal_autocheckpoint = 0")
c.execute("UPDATE ledger SET total = -1")
os._exit(0) # the log stays beside the file
P
[ -s "$again$wal-wal" ] || fail "no log beside the restored file: nothing is tested"
hold() { # FILE: opened, and held so until $holder is killed
    : >"$work/open"
    python3 -c 'import sys, time; f = open(sys.argv[1]); print("open", flush=True); time.sleep(600)' "$1" >"$work/open" &
    holder=$!
    writers+=("$holder")
    until grep -q open "$work/open" || ! kill -0 "$holder" 2>/dev/null; do :; done
}
let_go() {
    kill "$holder"
    wait "$holder" 2>/dev/null
}
hold "$again$roll"
expect 1,5 "$t" restore app --to "$work/again" --overwrite && said 'a program \(process [0-9]+\) has roll.db open'
let_go
expect 0 "$t" restore app --to "$work/again" --overwrite && said "set aside in $work/again/.twofold-aside"
[ ! -e "$again$wal-wal" ] && [ "$(sqlite3 "$again$wal" .dump | sha256sum)" = "$(sqlite3 "$wal" .dump | sha256sum)" ] ||
    fail "an old log was replayed on the restored file"
[ -s "$(echo "$work"/again/.twofold-aside-*/sqlite/files)$wal-wal" ] || fail "what was there is gone"

# --- a program of another user, which an agent that is not root does not see ----------------------------------------------------------
if [ "$(id -u)" -eq 0 ]; then
    nobody() { setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME="$work/nv" TWOFOLD_CONFIG="$work/nv/c" TWOFOLD_STATE="$work/nv/s" "$@"; }
    install -d -o nobody "$work/nv" "$work/nv/app"
    install -d "$work/bin" && cp "$(dirname "$t")/twofold-agent" "$t" "$work/bin/" # the tree may lie where nobody gets to
    its=$work/bin/$(basename "$t")
    install -m 600 -o nobody "$pass" "$work/nv/pass"
    nobody sqlite3 "$work/nv/app/app.db" 'PRAGMA journal_mode = wal; CREATE TABLE t (i INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)' >/dev/null
    expect 0 nobody "$its" --yes init --vault main --copy "a=$work/nv/a" --copy "b=$work/nv/b" --passphrase-file "$work/nv/pass" --keep-recovery-key
    expect 0 nobody "$its" policy add app --sqlite "$work/nv/app/app.db" --schedule none
    expect 0 nobody "$its" backup app
    : >"$work/open"
    python3 -c '
import sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("INSERT INTO t VALUES (2)")
print("open", flush=True)
time.sleep(600)' "$work/nv/app/app.db" >"$work/open" &
    holder=$!
    writers+=("$holder")
    until grep -q open "$work/open" || ! kill -0 "$holder" 2>/dev/null; do :; done
    expect 1,5 nobody "$its" restore app --in-place && said 'has .*app.db open'
    let_go
    expect 0 nobody "$its" restore app --in-place && said 'whether programs of other users have .*app.db open cannot be seen'
else
    skip_part "a program of another user (it takes root)"
fi

# --- in place ---------------------------------------------------------------------------------------------------------------------------
expect 0 "$t" backup app
whole_wal=$(sqlite3 "$wal" .dump | sha256sum) whole_roll=$(sqlite3 "$roll" .dump | sha256sum)
spoil() {
    sqlite3 "$wal" 'PRAGMA wal_autocheckpoint = 0; DELETE FROM ledger' >/dev/null
    python3 - "$wal" "$roll" <<'P'
import os, sqlite3, sys
w = sqlite3.connect(sys.argv[1], isolation_level=None)
w.execute("PRAGMA wal_autocheckpoint = 0")
w.execute("DELETE FROM pad WHERE id > 10")
sqlite3.connect(sys.argv[2], isolation_level=None).execute("DROP TABLE ledger")
os._exit(0) # the log stays beside the file
P
}
spoil
[ -s "$wal-wal" ] || fail "no log beside the file: nothing is tested"
sqlite3 "$roll" "SELECT 1; SELECT 1 FROM pad; .shell echo open; sleep 600" >"$work/open" 2>&1 &
holder=$!
python3 -c 'import sys, time; f = open(sys.argv[1]); print("open", flush=True); time.sleep(600)' "$roll" >"$work/open" &
writers+=($!)
kill $holder 2>/dev/null
wait $holder 2>/dev/null
until grep -q open "$work/open"; do :; done
was=$(fingerprint "$db")
expect 1,5 "$t" restore app --in-place && said 'a program \(process [0-9]+\) has .*roll.db open' && said 'next: stop that program'
[ "$(fingerprint "$db" | cat)" = "$was" ] || fail "a refused restore changed something"
unload
# Which files are replaced, the policy says; never the backup, which a host sent.
cp "$vault/c/policies/app.yaml" "$work/app.yaml"
printf 'sqlite: { files: ["%s"] }\n' "$wal" >"$vault/c/policies/app.yaml"
was=$(fingerprint "$db")
expect 5 "$t" restore app --in-place && said "roll.db, which the policy does not name now"
[ "$(fingerprint "$db" | cat)" = "$was" ] || fail "a file was replaced that the policy does not name"
cp "$work/app.yaml" "$vault/c/policies/app.yaml"
expect 0 "$t" restore app --in-place && said 'is in place; what was there is in'
[ "$(sqlite3 "$wal" .dump | sha256sum)" = "$whole_wal" ] && [ "$(sqlite3 "$roll" .dump | sha256sum)" = "$whole_roll" ] || fail "not restored in place"
aside=$(ls -d "$db/app one"/.twofold-before-*)
[ "$(sqlite3 "$aside/${wal##*/}" 'SELECT count(*) FROM pad')" = 10 ] || fail "what was set aside lacks its log"
[ -z "$(find "$db" -name '.twofold-restore-*')" ] || fail "a folder of the restore stayed"

TWOFOLD_FAULT=count:$work/steps TWOFOLD_FAULT_PROGRAM=twofold-agent expect 0 "$t" restore app --in-place
steps=$(cat "$work/steps" 2>/dev/null)
if [ "${steps:-0}" -lt 20 ]; then
    skip_part "kills (a build without fault points)"
    finish
fi
killed=0
for back in $(if [ -n "$sweep_full" ]; then seq 1 "$steps"; else echo 3 6 9 12 15 18 21 24 27; fi); do
    rm -rf "$db"/.twofold-before-* "$db/app one"/.twofold-before-*
    spoil
    TWOFOLD_FAULT=kill@$((steps - back)) TWOFOLD_FAULT_PROGRAM=twofold-agent expect 0,1 "$t" restore app --in-place
    [ "$status" = 0 ] || killed=$((killed + 1))
    # Whatever lies there is the old or the new one, whole, or nothing; and the old one is here or set aside.
    for file in "$wal" "$roll"; do
        [ ! -e "$file" ] || [ "$(cp "$file"* "$work/look/" 2>/dev/null; sqlite3 "$file" 'PRAGMA integrity_check')" = ok ] || fail "killed $back steps before the end: $file is not whole"
    done
    expect 0 "$t" restore app --in-place
    [ "$(sqlite3 "$wal" .dump | sha256sum)" = "$whole_wal" ] && [ "$(sqlite3 "$roll" .dump | sha256sum)" = "$whole_roll" ] ||
        fail "killed $back steps before the end, then restored: not the same"
    [ "$(for x in "$db/app one"/.twofold-before-*/*.db; do sqlite3 "$x" 'SELECT count(*) FROM pad' 2>/dev/null; done | grep -cx 10)" -ge 1 ] ||
        fail "killed $back steps before the end: what was there is lost"
done
[ "$killed" -ge 5 ] || fail "nothing was killed in the middle ($killed)"
finish
