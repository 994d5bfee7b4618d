#!/bin/bash
# 58-evidence.sh - a tampered web site and an infected host (XJ-5.1, SMX-10.2): what was changed is listed, also where size and time were put
# back; what is there is kept as evidence, held, never latest, and pushes no good backup out; the good state comes back.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

www=$work/www
mkdir -p "$www/news"
seq 1000 >"$www/index.html"
seq 200 >"$www/news/1.html"
seq 300 >"$www/news/2.html"
echo logo >"$www/logo.png"
new_vault "$work/v"
policy_add web --files "$www"
policy_says web 'retention: { last: 1 }'
expect 0 "$t" backup web
cp -a "$www" "$work/good"
good=$("$t" --json snapshots web | python3 -c 'import json,sys; print(json.loads(sys.stdin.readline())["id"])')

# --- tampered: the same size and time; a shell; a page that is gone; a mode -----------------------------------------------------
python3 - "$www/index.html" <<'P'
import os, sys
st = os.stat(sys.argv[1])
data = open(sys.argv[1], "rb").read().replace(b"\n500\n", b"\nPWN\n")
open(sys.argv[1], "wb").write(data)
os.utime(sys.argv[1], ns=(st.st_atime_ns, st.st_mtime_ns))
P
[ "$(stat -c '%s %Y' "$www/index.html")" = "$(stat -c '%s %Y' "$work/good/index.html")" ] || fail "size or time give it away"
echo '<?php' >"$www/news/shell.php"
rm "$www/news/2.html"
chmod 777 "$www/logo.png"
cp -a "$www" "$work/tampered"
changes() { grep -E '^[ADMmT] ' "$work/.out" | sed "s|$www||" | sort; }
expected="A /news/shell.php
D /news/2.html
M /index.html
m /logo.png (mode)
m /news (mtime)"
expect 0 "$t" diff latest live
[ "$(changes)" = "$expected" ] || { fail "not what was changed:"; changes; }

# --- evidence ------------------------------------------------------------------------------------------------------------------------
expect 0 "$t" backup web --quarantine --hold "incident 7: the front page was tampered with" && said 'in QUARANTINE' && said 'is held'
evidence=$("$t" --json snapshots web | python3 -c 'import json,sys; print([o["id"] for o in map(json.loads, sys.stdin) if o.get("quarantine")][0])')
expect 0 "$t" hold list && said "^${evidence:0:8} .* web: incident 7: the front page was tampered with"
expect 0 "$t" diff latest live # latest is the good one still
[ "$(changes)" = "$expected" ] || fail "the evidence became the latest one"
expect 0 "$t" diff "${good:0:12}" "${evidence:0:12}"
[ "$(changes)" = "$expected" ] || { fail "the evidence is not what was there:"; changes; }
expect 0 "$t" restore web --snapshot "${evidence:0:12}" --to "$work/seen"
same_tree "$work/tampered" "$work/seen$www"
expect 0 "$t" prune && expect 0 "$t" prune
for id in $good $evidence; do
    "$t" snapshots web 2>/dev/null | grep -q "^${id:0:8} " || fail "a prune dropped ${id:0:8}"
done
# More of the suspect host: its line in the retention is its own, and the good one stays.
expect 0 "$t" backup web --quarantine && expect 0 "$t" backup web --quarantine && expect 0 "$t" prune
"$t" snapshots web 2>/dev/null | grep -q "^${good:0:8} .* whole " || fail "backups of a suspect host pushed the good one out"
[ "$("$t" snapshots web 2>/dev/null | grep -c ' quarantine ')" = 2 ] || fail "not the evidence and the newest of the suspect ones: $("$t" snapshots web)"

# --- and back ----------------------------------------------------------------------------------------------------------------------------
expect 0 "$t" restore web --to "$work/back"
same_tree "$work/good" "$work/back$www"
expect 0 "$t" restore web --in-place --changed-only --set-aside && said "set aside"
[ "$(changes)" = "$expected" ] || { fail "not what is put back:"; changes; }
rm -rf "$www"/.twofold-*
touch -r "$work/good" "$www"
same_tree "$work/good" "$www"
expect 0 "$t" diff latest live
[ -z "$(changes)" ] || { fail "not as it was:"; changes; }
expect 0 "$t" backup web && said 'whole'
finish
