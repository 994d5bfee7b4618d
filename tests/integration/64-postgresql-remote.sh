#!/bin/bash
# 64-postgresql-remote.sh - a PostgreSQL server on another host: backed up, restored and verified there, within what that host allows.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/lab.sh"
lab_begin
trap 'status=$?; pg_stop_all; (exit "$status"); lab_end' EXIT
lab_host orch
lab_host db1
lab_trust orch db1
lab_install db1
on() { lab_on orch "$t" "$@"; }

one=$work/one
pg_new one
pg_start "$one" || finish
pg_sql "$one" "CREATE TABLE t AS SELECT i FROM generate_series(1, 1000) i"
new_vault "$work/v"
expect 0 on --yes agent enrol db1 --allow /srv --allow-restore /srv/back
expect 3 on policy add db --agent db1 --postgresql "host=$one user=postgres" --schedule none
said 'not on the allow-list' && said 'allow: sources:'
expect 5 on backup db && said 'not on the allow-list'
expect 0 on --yes agent enrol db1 --allow-source "postgresql host=$one user=postgres"
said "databases: postgresql host=$one user=postgres"
expect 0 on --json backup db && [ "$(json state)" = whole ] || fail "not whole"
expect 0 on --json backup db && [ "$(json bytes_stored)" -lt 400000 ] || fail "all was stored again: $(json bytes_stored)"
expect 5 on restore db --on db1 --to /srv/back/x --verify && said 'allow: commands:'
expect 5 on restore db --on db1 --in-place && said 'not on the allow-list'
expect 0 on --yes agent enrol db1 --allow-command postgres
expect 0 on agent check db1 && said 'may be run: postgres'
expect 0 on restore db --on db1 --to /srv/back/x --verify && said 'verified: a server recovered' && said 'all page checksums are right'
lab_on db1 test -f /srv/back/x/postgresql/data/PG_VERSION || fail "it is not on db1"
expect 0 on restore db --to "$work/here" --verify && said 'verified: a server recovered'

finish
