#!/bin/bash
# The catalog beside the copies: what commands leave in it, what happens when it is damaged, gone or cannot be written, what comes
# back from a copy, with the configuration and without, and what the audit trail shows of who touched it.
. "$TWOFOLD_SRC/tests/integration/lib.sh"

export TWOFOLD_CONFIG=$work/c TWOFOLD_STATE=$work/s
echo 'Correct-Horse-9-Battery' >pw
chmod 600 pw
db=$work/s/catalog.db
mkdir src && echo one >src/f

# rows FILE QUERY: through Python, since a machine need not have sqlite3.
rows() { /usr/bin/python3 -c 'import sqlite3, sys
for r in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]): print(*r)' "$1" "$2"; }
change() { /usr/bin/python3 -c 'import sqlite3, sys
d = sqlite3.connect(sys.argv[1]); d.executescript(sys.argv[2]); d.commit()' "$1" "$2"; }
is() { [ "$1" = "$2" ] || fail "$3: \"$1\" instead of \"$2\""; }
unlock='DROP TRIGGER IF EXISTS audit_stays; DROP TRIGGER IF EXISTS audit_keeps;'

expect 0 "$t" --yes init --vault main --copy "a=$work/a" --copy "b=$work/b" --passphrase-file pw
expect 0 "$t" policy add etc --files "$work/src"

say "- commands leave what they did"
expect 0 "$t" backup etc
expect 0 "$t" scrub
expect 0 "$t" restore etc --to "$work/out" --passphrase-file pw
expect 2 "$t" backup
expect 0 "$t" status
is "$(rows "$db" "SELECT kind, policy, vault, exit_status, ended_s > 0 FROM runs ORDER BY id" | tr '\n' ';')" \
    "backup etc main 0 1;scrub  main 0 1;restore etc main 0 1;" "runs"
is "$(rows "$db" "SELECT action, result FROM audit ORDER BY seq" | tr '\n' ';')" \
    "init exit 0;policy exit 0;backup exit 0;scrub exit 0;restore begun;restore exit 0;" "audit trail"
is "$(rows "$db" "SELECT policy, host <> '', files, state, good, generation FROM snapshots")" "etc 1 1 1 1 1" "snapshot"
is "$(rows "$db" "SELECT place, state, generation FROM copies ORDER BY place" | tr '\n' ';')" "a current 1;b current 1;" "copies"

say "- a copy that is away, and what failed"
mv b b.away
expect 3 "$t" backup etc --job 7
is "$(rows "$db" "SELECT job, exit_status, error_code, copies_reached, copies_wanted FROM runs ORDER BY id DESC LIMIT 1")" \
    "7 3 partial 1 2" "degraded run"
is "$(rows "$db" "SELECT state, generation, current_s > 0, why <> '' FROM copies WHERE place = 'b'")" "away 1 1 1" "copy b"
is "$(rows "$db" "SELECT who, detail FROM audit ORDER BY seq DESC LIMIT 1")" "twofoldd job 7" "who"
mv a a.away
expect 1 "$t" backup etc
is "$(rows "$db" "SELECT exit_status, error_code FROM runs ORDER BY id DESC LIMIT 1")" "1 unreachable" "failed run"
is "$(rows "$db" "SELECT DISTINCT state FROM copies")" "away" "both copies"
mv a.away a
mv b.away b
expect 0 "$t" replicate
is "$(rows "$db" "SELECT place, state, generation FROM copies ORDER BY place" | tr '\n' ';')" "a current 2;b current 2;" "copies"
expect 2 "$t" --job x backup etc

say "- secrets are not in it"
expect 1,2,3,5 "$t" restore etc --to "$work/o2" --copy sftp://u:hunter2@127.0.0.1:9/x --passphrase-file pw
rows "$db" "SELECT object FROM audit" | grep -q hunter2 && fail "a password is in the audit trail"
rows "$db" "SELECT object FROM audit" | grep -q 'sftp://u:\*\*\*@127.0.0.1:9/x' || fail "the URL is not in the audit trail"

say "- every copy holds an export, and the trail is compared with it"
expect 0 "$t" catalog export
for c in a b; do
    [ "$(find $c/catalog -type f | wc -l)" = 2 ] || fail "copy $c: $(ls $c/catalog)"
    for f in "$c"/catalog/*; do
        is "$(sha256sum <"$f" | cut -c1-64)" "${f##*-}" "hash of $f"
    done
done
expect 0 "$t" audit verify
said 'rows, unbroken'
said 'nothing was cut off'
cp "$db" good.db
change "$db" "$unlock UPDATE audit SET who = 'nobody' WHERE seq = 4"
expect 4 "$t" audit verify
said 'row 4 of the audit trail was changed'
cp good.db "$db"
change "$db" "$unlock DELETE FROM audit WHERE seq > 6"
expect 4 "$t" audit verify
said 'was cut off: it ends with row 6'
expect 4 "$t" audit verify --copy "$work/b"
cp good.db "$db"
# The chain made anew by somebody who knows how: only the copies know better.
/usr/bin/python3 - "$db" "$unlock" <<'PY' || fail "the forger failed"
import hashlib, sqlite3, sys
d = sqlite3.connect(sys.argv[1])
d.executescript(sys.argv[2])
def vi(n):
    o = b''
    while n >= 128:
        o, n = o + bytes([n & 127 | 128]), n >> 7
    return o + bytes([n])
d.execute("UPDATE audit SET who = 'somebody else' WHERE seq = 2")
h = d.execute("SELECT hash FROM audit_start").fetchone()[0]
for r in d.execute("SELECT seq, at_s, who, action, object, result, detail FROM audit ORDER BY seq").fetchall():
    b = [x.encode() for x in r[2:]]
    h = hashlib.sha256(b'twofold v1 audit' + h + vi(r[0]) + vi(r[1] << 1) + b''.join(vi(len(x)) + x for x in b)).digest()
    d.execute("UPDATE audit SET hash = ? WHERE seq = ?", (h, r[0]))
d.commit()
PY
expect 4 "$t" audit verify
said 'is not the one that copy "[ab]" knows'
expect 0 "$t" audit list --copy "$work/a"
said 'restore etc --to'
not_said 'somebody else'
cp good.db "$db"
expect 0 "$t" audit verify
expect 0 "$t" audit list --since -1h --who root
expect 0 "$t" audit export
said '"hash":"[0-9a-f]{64}"'

say "- a damaged catalog stops no backup, and is kept"
change "$db" "INSERT INTO media(vault, place, label, location, who, note, at_s) VALUES ('main', 'b', 'D1', 'safe 2', 'li', '', 5)"
expect 0 "$t" catalog export
runs=$(rows "$db" "SELECT kind, policy, started_s, exit_status FROM runs ORDER BY id")
/usr/bin/python3 -c 'import sys
f = open(sys.argv[1], "r+b"); f.seek(4096); f.write(b"x" * 9000)' "$db"
expect 0 "$t" backup etc
said 'not recorded in the catalog'
expect 4 "$t" audit verify
if "$t" prune --help >/dev/null 2>&1; then
    expect 5 "$t" prune --vault main
    said 'takes something away for good'
fi
expect 4 "$t" catalog check
said 'twofold catalog rebuild'
expect 0 "$t" catalog rebuild
said 'the damaged one is kept as'
[ "$(find s -name 'catalog.db.bad-*Z' | wc -l)" = 1 ] || fail "the damaged catalog was not kept: $(ls s)"
is "$(rows "$db" "SELECT kind, policy, started_s, exit_status FROM runs ORDER BY id")" "$runs" "runs after the rebuild"
is "$(rows "$db" "SELECT label, location FROM media")" "D1 safe 2" "media"
is "$(rows "$db" "SELECT count(*) FROM snapshots")" 3 "snapshots: also the one that was not recorded"
expect 0 "$t" audit verify
expect 0 "$t" catalog check
expect 1 "$t" catalog rebuild
said 'there is a catalog, and it is whole'

say "- gone altogether: from a copy, and on a bare machine with the passphrase"
expect 0 "$t" catalog export
before=$(rows "$db" "SELECT kind, policy, started_s, exit_status, files FROM runs ORDER BY id")
trail=$(rows "$db" "SELECT seq, action, hex(hash) FROM audit ORDER BY seq DESC LIMIT 1 OFFSET 1")
rm -f "$db"*
expect 0 "$t" catalog rebuild --copy "$work/b"
is "$(rows "$db" "SELECT kind, policy, started_s, exit_status, files FROM runs ORDER BY id")" "$before" "runs"
rows "$db" "SELECT seq, action, hex(hash) FROM audit" | grep -qF "$trail" || fail "the trail did not come back"
expect 0 "$t" audit verify
expect 5 env TWOFOLD_CONFIG="$work/none" TWOFOLD_STATE="$work/s2" "$t" catalog rebuild --copy "$work/b"
expect 0 env TWOFOLD_CONFIG="$work/none" TWOFOLD_STATE="$work/s2" "$t" catalog rebuild --copy "$work/b" --passphrase-file pw
is "$(rows s2/catalog.db "SELECT count(*) FROM snapshots")" 3 "snapshots"
is "$(rows s2/catalog.db "SELECT kind, policy, started_s, exit_status, files FROM runs ORDER BY id")" "$before" "runs"
expect 0 env TWOFOLD_CONFIG="$work/none" TWOFOLD_STATE="$work/s2" "$t" audit list

say "- lost and begun anew without a rebuild: noticed, and both are had"
rm -f "$db"*
expect 0 "$t" backup etc
expect 4 "$t" audit verify
said 'the catalog was replaced'
expect 0 "$t" scrub # in no export yet
expect 0 "$t" catalog rebuild
is "$(rows "$db" "SELECT count(*) FROM runs")" $(($(wc -l <<<"$before") + 2)) "runs of both"
expect 0 "$t" audit verify

say "- a restore from one copy on a bare machine leaves no catalog"
expect 0 env TWOFOLD_CONFIG="$work/none" TWOFOLD_STATE="$work/s3" "$t" restore --copy "$work/a" --policy etc \
    --to "$work/o3" --passphrase-file pw
[ ! -e s3/catalog.db ] || fail "a catalog was made on a bare machine"

say "- other readers of a copy do not mind exports; scrub, repair and replicate leave them alone"
before=$(ls a/catalog)
expect 0 "$t" scrub --read-data=100%
expect 0 "$t" repair
expect 0 "$t" replicate
is "$(ls a/catalog)" "$before" "exports after scrub and repair"
if /usr/bin/python3 -c 'import cryptography, zstandard' 2>/dev/null; then
    expect 0 /usr/bin/python3 "$TWOFOLD_SRC/tests/format/reader.py" "$work/a" pw latest "$work/o4"
else
    skip_part "the independent reader: python3-cryptography or python3-zstandard is missing"
fi

say "- killed at many points, the catalog stays whole"
for i in $(seq 1 12); do
    "$t" backup etc >/dev/null 2>&1 &
    pid=$!
    /usr/bin/python3 -c "import time; time.sleep(0.02 * $i)"
    kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
done
expect 0 "$t" catalog check
expect 0 "$t" audit verify
expect 0 "$t" backup etc
finish
