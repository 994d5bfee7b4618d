#!/bin/bash
# 86-files.sh - files in place: a tampered site is compared, kept as evidence, and only what differs is put back, the scene set aside; a scan that finds
# something ends it before; a set of files and SQLite goes back as one.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

host() { TWOFOLD_AGENT=$(dirname "$t")/twofold-agent "$TEST_PROGRAMS/integration/prog_host" "$@"; }
site=$work/srv/www conf=$work/srv/site.conf
new_vault "$work/v"
mkdir -p "$work/srv"
small_tree "$site" 86 40
echo "port 80" >"$conf"
echo beside >"$work/srv/neighbour"
policy_add web --files "$site" --files "$conf"
expect 0 "$t" --json backup web
cp -a "$work/srv" "$work/was"
page=$(cd "$site" && find . -type f -links 1 -size +2k | sort | head -n 1)
gone=$(cd "$site" && find . -regex '\./[a-z0-9/]*' -type f -links 1 ! -path "$page" | sort | tail -n 1)
[ -n "$gone" ] || fail "no file to take away"

# tamper: changes a page, takes one away, leaves a shell behind, and the configuration
tamper() {
    echo '<script>' >>"$site/$page"
    rm -f "$site/$gone"
    echo 'system($_GET["c"])' >"$site/shell.php"
    echo "port 81" >"$conf"
    touch -d 2020-01-01 "$work/srv"
}
# the_scene: no part of it is lost
the_scene() {
    grep -rqs '<script>' "$site"/.twofold-* || fail "the page that was tampered with is gone"
    grep -qs 'port 81' "$work/srv"/.twofold-aside-*/site.conf || fail "the configuration that was tampered with is gone"
    [ "$(stat -c %a "$site"/.twofold-* | sort -u)" = 700 ] || fail "others may read what was set aside"
}
# whole: as it was at the backup, but for what was set aside
whole() {
    clean "$site"/.twofold-* "$work/srv"/.twofold-*
    touch -r "$work/was/www" "$site"
    same_tree "$work/was/www" "$site" && [ "$(cat "$conf")" = "port 80" ] || fail "it is not as it was"
}

tamper
expect 0,1 "$t" diff latest live && said '^M .*site.conf' && said '^A .*shell.php'
expect 0,3 "$t" --json backup web --quarantine
evidence=$(json snapshot)
expect 0 "$t" --json restore web --in-place --changed-only
[ "$(json facts restore | python3 -c 'import json, sys
print(sorted(c["change"] for c in json.load(sys.stdin)["changed"] if c["change"] != "m"))')" = "['A', 'D', 'M', 'M']" ] || fail "what was changed: $(json facts restore)"
[ "$(json set_aside restore)" -eq 2 ] || fail "set aside: $(json set_aside restore)"
[ -f "$site/shell.php" ] || fail "what the backup does not have was not asked for"
the_scene
expect 0 "$t" restore web --in-place --changed-only --set-aside && said '^A .*shell.php'
[ ! -e "$site/shell.php" ] && grep -rqs system "$site"/.twofold-extra-* || fail "what the backup does not have is not set aside"
[ "$(stat -c %a "$work/srv")" = 755 ] && [ "$(cat "$work/srv/neighbour")" = beside ] || fail "what lies around it was changed"
expect 0 "$t" restore web --in-place --changed-only && not_said 'twofold-(aside|extra)' # nor are they a change
clean "$site"/.twofold-* "$work/srv"/.twofold-*
expect 0 "$t" restore web --in-place --changed-only && said 'nothing differs there'
whole
expect 0 "$t" restore web --snapshot "${evidence:0:16}" --to "$work/evidence" && grep -q system "$work/evidence$site/shell.php" || fail "the evidence is not in the backup"

# What bears a name like ours is passed over only when it is exactly one, and told; all of it goes when all that is extra does.
mkdir "$site/.twofold-extra-x" "$site/.twofold-extra-20260101T000000Z"
echo 'system($_GET["c"])' | tee "$site/.twofold-extra-x/shell.php" >"$site/.twofold-extra-20260101T000000Z/shell.php"
expect 0 "$t" restore web --in-place --changed-only && said '^A .*extra-x/shell.php' && said 'passed over: 1 folder'
expect 0 "$t" restore web --in-place --changed-only --set-aside && said '^A .*Z/shell.php'
[ "$(find "$site" -maxdepth 1 -name '.twofold-*' | wc -l)" = 1 ] && [ "$(find "$site" -name shell.php | wc -l)" = 2 ] || fail "they stay, or are gone"
clean "$site"/.twofold-*

# One page, and all of it without a comparison.
tamper
expect 0 "$t" restore web --in-place "$site/${page#./}" && grep -q '<script>' "$site/$page" && fail "the page was not put back"
[ -f "$site/shell.php" ] && [ ! -e "$site/$gone" ] || fail "more than the page was put back"
expect 0 "$t" restore web --in-place --set-aside
the_scene
whole
expect 2 "$t" restore web --in-place /etc/hostname && said 'none of these paths'

# A scan comes before anything is put back.
tamper
before=$(find "$work/srv" -type f -exec sha256sum {} + | sort)
expect 4 host attempt web latest -- /bin/sh -c 'echo "a virus in $0"; exit 1' && said 'a virus in'
[ "$(find "$work/srv" -type f ! -path '*/.twofold-restore-*' -exec sha256sum {} + | sort)" = "$before" ] || fail "something was put back"
expect 0 host attempt web latest -- /bin/true
[ -z "$(find "$work/srv" -name '.twofold-restore-*')" ] || fail "what was looked at is still there"
clean "$site/shell.php"
whole

# A root that the policy does not name any more stays.
sed -i "s|$conf|$work/srv/other.conf|" "$TWOFOLD_CONFIG/policies/web.yaml"
expect 5 "$t" restore web --in-place && said 'does not name now'
finish
