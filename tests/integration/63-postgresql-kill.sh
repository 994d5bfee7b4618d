#!/bin/bash
# 63-postgresql-kill.sh - the agent is killed at one step after the other while a cluster is put in the place of a damaged one: what is
# there then never starts as something half; and the same command, once more, ends well.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"

one=$work/one
pg_new one
install -d -o postgres -m 700 "$work/space"
pg_start "$one" || finish
pg_sql "$one" "CREATE TABLESPACE fast LOCATION '$work/space'"
pg_sql "$one" "CREATE TABLE t TABLESPACE fast AS SELECT i FROM generate_series(1, 1000) i"
pg_sql "$one" "CREATE TABLE marker AS SELECT 'saved'::text AS word"
new_vault "$work/v"
policy_add db --postgresql "host=$one user=postgres" --schedule none
expect 0 "$t" backup db
pg_sql "$one" "UPDATE marker SET word = 'later'; DELETE FROM t"
pg_stop "$one"

word() { pg_sql "$one" "SELECT word || ' ' || (SELECT count(*) FROM t) FROM marker"; }

TWOFOLD_FAULT=count:$work/steps TWOFOLD_FAULT_PROGRAM=twofold-agent expect 0 "$t" restore db --in-place
steps=$(cat "$work/steps")
if [ "${steps:-0}" -lt 100 ]; then
    skip_part "kills (a build without fault points)"
    finish
fi
pg_start "$one" && [ "$(word)" = "saved 1000" ] || fail "not restored: $(word)"
pg_sql "$one" "UPDATE marker SET word = 'later'; DELETE FROM t"
pg_stop "$one"

# The driver's own steps are the last ones; those before are the files', and have scenarios of their own.
killed=0 refused=0
for back in $(if [ -n "$sweep_full" ]; then seq 1 90; else echo 2 9 17 24 31 38 46 55 70; fi); do
    { TWOFOLD_FAULT=kill@$((steps - back)) TWOFOLD_FAULT_PROGRAM=twofold-agent expect 0,1 "$t" restore db --in-place; } 2>/dev/null
    [ "$status" = 0 ] || killed=$((killed + 1))
    if [ -e "$one/data/global/pg_control" ]; then
        pg_start "$one" && now=$(word)
        case $now in
        "later 0" | "saved 1000") ;;
        *) fail "killed $back steps before the end: a server starts on \"$now\"" ;;
        esac
        pg_stop "$one"
    else
        refused=$((refused + 1))
    fi
    expect 0 "$t" restore db --in-place
    pg_start "$one" && [ "$(word)" = "saved 1000" ] || fail "killed $back steps before the end, then restored: $(word)"
    pg_sql "$one" "UPDATE marker SET word = 'later'; DELETE FROM t"
    pg_stop "$one"
    rm -rf "$one"/data/.twofold-before-* "$work"/space/.twofold-before-*
done
[ "$killed" -ge 5 ] && [ "$refused" -ge 1 ] || fail "nothing was killed in the middle ($killed, $refused)"
finish
