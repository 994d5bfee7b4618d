#!/bin/bash
# 86-attempts.sh - restores in place, one after the other, until one is right: a check that fails, a page that is wrong, a scan that finds something
# end an attempt before anything is put into service, and what it left takes no room from the next one.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/wal.sh"

host() { TWOFOLD_AGENT=$(dirname "$t")/twofold-agent "$TEST_PROGRAMS/integration/prog_host" "$@"; }
# out KEY…: what the last attempt said, python's way
out() {
    python3 -c '
import json, sys
text = open(sys.argv[1]).read()
o = json.loads(text[text.index("{"):])
print(eval(sys.argv[2], {"o": o, "check": lambda n: [c["ok"] for c in o["facts"].get("check", []) if c["name"] == n]}))' "$work/.out" "$1"
}

one=$work/one
pg_new one --wal-segsize=1
pg_start "$one" || finish
make_ledger "$one"
install -d -o postgres -m 700 "$one/space"
pg_sql "$one" "CREATE TABLESPACE far LOCATION '$one/space'"
pg_sql "$one" "CREATE TABLE elsewhere TABLESPACE far AS SELECT generate_series(1, 1000) AS n"
new_vault "$work/v"
db_policy db "$one" '  checks:' '    - { name: few, sql: SELECT count(*) FROM ledger, expect: "< 500" }'
sed -i '/logs:/d' "$TWOFOLD_CONFIG/policies/db.yaml"
expect 0 "$t" policy lint
expect 0 "$t" --json backup db
good=$(json snapshot)
add_rows "$one" 2000
"$t" --json backup db >"$work/.out" 2>&1
bad=$(json snapshot)
pg_stop "$one" immediate
expect 0 host scene db one

expect 4 host attempt db "${bad:0:16}"
[ "$(out 'o["end"]')" = check-failed ] || fail "a check that fails is not told: $(out 'o["end"]')"
[ "$(out 'check("started") + check("sql")')" = "[True, False]" ] || fail "which check it was"
[ -z "$(find "$one/data" "$one/space" -mindepth 1 -maxdepth 1 ! -name '.twofold-*')" ] || fail "something was put into service"
[ -d "$one/data/.twofold-restore-${bad:0:8}" ] || fail "what was brought is not where it should be"
mkdir "$one/data/.twofold-restore-1a2b3c4" "$one/data/.twofold-restore-1a2b3c4d5" # no names of ours
expect 4 host attempt db "${bad:0:16}" && said 'of earlier attempts .* were taken away'
rmdir "$one/data/.twofold-restore-1a2b3c4" "$one/data/.twofold-restore-1a2b3c4d5" || fail "what is not ours was taken away"
[ "$(find "$one" -name '.twofold-aside*' -o -name '.twofold-before*' | wc -l)" -eq 0 ] || fail "a second attempt keeps the first one's files"

# A program that looks at it.
printf '#!/bin/sh\necho "looked at $1"\n! grep -rqs virus "$1"\n' >/usr/local/sbin/twofold-scan-$$ && chmod 755 /usr/local/sbin/twofold-scan-$$
trap 'rm -f /usr/local/sbin/twofold-scan-$$; stop_keeper' EXIT
expect 4 host attempt db "${good:0:16}" -- /bin/sh -c 'echo "found a virus"; exit 3'
[ "$(out 'o["end"]')" = check-failed ] && said 'found a virus' || fail "a scan that finds something is not told"
[ ! -d "$one/data/.twofold-restore-${bad:0:8}" ] && [ ! -d "$one/space/.twofold-restore-${bad:0:8}" ] || fail "what failed before is still there"
[ ! -e "$one/data/PG_VERSION" ] || fail "something was put into service"
expect 0 host attempt db "${good:0:16}" -- /usr/local/sbin/twofold-scan-$$
[ "$(out 'o["end"]')" = whole ] && said "looked at $one/data" || fail "the attempt that is right: $(out 'o["end"]')"
[ "$(out 'check("sums")')" = "[True]" ] || fail "sums are not told"
[ "$(find "$one" -maxdepth 3 -name '.twofold-restore-*' | wc -l)" -eq 0 ] || fail "something is left: $(find "$one" -name '.twofold-restore-*')"
pg_start "$one" && [ "$(pg_sql "$one" "SELECT (SELECT max(id) FROM ledger), (SELECT count(*) FROM elsewhere)")" = "0|1000" ] || fail "what is in service"
[ -f "$one/data/.twofold-scene-one/global/pg_control" ] || fail "the scene is gone"
pg_stop "$one"

# A page that is wrong: strictly, that is no restore.
broken=$one/data/$(pg_start "$one" && pg_sql "$one" "CREATE TABLE spoilt AS SELECT generate_series(1, 5000) AS n" && pg_sql "$one" CHECKPOINT && pg_sql "$one" "SELECT pg_relation_filepath('spoilt')")
pg_stop "$one"
printf 'XXXX' | dd of="$broken" bs=1 seek=20000 conv=notrunc 2>/dev/null
pg_start "$one"
expect 3 "$t" --json backup db
worse=$(json snapshot)
pg_stop "$one"
expect 0 host scene db two
expect 4 host attempt db "${worse:0:16}"
[ "$(out 'o["end"]')" = check-failed ] && [ "$(out 'check("sums")')" = "[False]" ] || fail "a page that is wrong is a restore: $(out 'o["end"]')"
expect 0 host attempt db "${good:0:16}"

# The data folder is gone, with the tablespace's.
clean "$one/data" "$one/space"
expect 0 host scene db three && said '"moved": false' && said 'was not there: it is made'
expect 0 host attempt db "${good:0:16}"
pg_start "$one" && [ "$(pg_sql "$one" "SELECT (SELECT max(id) FROM ledger), (SELECT count(*) FROM elsewhere)")" = "0|1000" ] || fail "what was gone is not back"
finish
