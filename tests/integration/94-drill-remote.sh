#!/bin/bash
# 94-drill-remote.sh - a drill on another host: only where that host allows it; what was restored there is compared there and taken away again.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/lab.sh"
lab_begin
lab_host orch
lab_host spare
lab_trust orch spare
lab_install spare
on() { lab_on orch "$t" "$@"; }
small_tree "$work/src" 95 40
mkdir "$work/src/deep" && chmod 500 "$work/src/deep"
new_vault "$work/v"
policy_add tree --files "$work/src"
echo 'drill: { on: spare, to: /srv/drill }' >>"$work/v/c/policies/tree.yaml"
expect 0 "$t" backup tree
left() { lab_on spare find /srv/drill -mindepth 1 2>/dev/null | head -n 3; }

expect 0 on --yes agent enrol spare --allow /etc --allow-restore /srv/elsewhere
expect 1,5 on drill tree && said 'is not on the allow-list|nothing could be restored'
expect 0 on --yes agent enrol spare --allow /etc --allow-restore /srv/drill
expect 0 on drill tree && said 'passed'
[ -z "$(left)" ] || fail "left on the other host: $(left)"
expect 0 on drill tree --keep && said 'kept:'
kept=$(lab_on spare sh -c 'echo /srv/drill/drill-tree-*')
lab_on spare test -d "$kept/attempt-1$work/src/deep" || fail "nothing was restored there: $kept"

# Only what a drill made, and only there, is ever taken away.
lab_on spare sh -c "mkdir -p /srv/drill/keep /srv/other; echo x >/srv/drill/keep/x; ln -s /srv/drill/keep $kept/attempt-1/link"
expect 0 on drill --clean && said '1 drill cleared up'
[ "$(lab_on spare find /srv/drill -type f)" = /srv/drill/keep/x ] || fail "not what was there before: $(left)"
lab_on spare rm -r /srv/drill/keep

[ "$(grep -lc '"kind":"closed"' "$TWOFOLD_STATE"/incidents/drill-*/timeline | wc -l)" = "$(find "$TWOFOLD_STATE/incidents" -name 'drill-*' | wc -l)" ] || fail "a drill is open"
finish
