#!/bin/bash
# 74-mariadb-remote.sh - a MariaDB server on another host: backed up, restored and verified there, within what that host allows.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/maria.sh"
. "$TWOFOLD_SRC/tests/integration/lab.sh"
lab_begin
trap 'status=$?; maria_stop_all; (exit "$status"); lab_end' EXIT
lab_host orch
lab_host db1
lab_trust orch db1
lab_install db1
on() { lab_on orch "$t" "$@"; }

one=$work/one
maria_new one
maria_start "$one" || finish
maria_sql "$one" "CREATE DATABASE app; USE app; CREATE TABLE t (i INT PRIMARY KEY); INSERT INTO t SELECT seq FROM seq_1_to_1000"
new_vault "$work/v"
expect 0 on --yes agent enrol db1 --allow /srv --allow-restore /srv/back
expect 3 on policy add db --agent db1 --mariadb="$one/sock" --schedule none
said 'not on the allow-list' && said 'allow: sources:'
expect 5 on backup db && said 'not on the allow-list'
expect 0 on --yes agent enrol db1 --allow-source "mariadb $one/sock"
said "databases: mariadb $one/sock"
expect 0 on --json backup db && [ "$(json state)" = whole ] || fail "not whole"
expect 0 on --json backup db && [ "$(json bytes_stored)" -lt 900000 ] || fail "all was stored again: $(json bytes_stored)"
# What reads, writes and runs is that host's to allow.
for setting in "scratch: /srv/elsewhere" "defaults-file: /srv/my.cnf" "binaries: /usr/bin" "data: /var/lib" "user: root"; do
    printf 'agent: db1\nmariadb:\n  server: "%s"\n  %s\n' "$one/sock" "$setting" >"$work/v/c/policies/other.yaml"
    expect 5 on backup other && said 'not on the allow-list'
done
rm "$work/v/c/policies/other.yaml"
expect 5 on restore db --on db1 --to /srv/back/x --verify && said 'allow: commands:'
expect 5 on restore db --on db1 --in-place && said 'not on the allow-list'
expect 0 on restore db --on db1 --to /srv/back/plain && said 'the data folder: /srv/back/plain/mariadb/data'
expect 0 on --yes agent enrol db1 --allow-command mariadb
expect 0 on agent check db1 && said 'may be run: mariadb'
expect 0 on restore db --on db1 --to /srv/back/x --verify && said 'tables are right'
lab_on db1 test -f /srv/back/x/mariadb/data/ibdata1 || fail "it is not on db1"
finish
