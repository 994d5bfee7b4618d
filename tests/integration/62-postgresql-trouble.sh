#!/bin/bash
# 62-postgresql-trouble.sh - what befalls a backup of a PostgreSQL server: missing rights, another folder, damaged pages, tables that go
# while they are read, a server or an agent that is killed, a target that is full.
# long
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"

one=$work/one
pg_new one
! pg_since 14 || echo "idle_session_timeout = 500ms" >>"$one/data/postgresql.conf" # a backup's session is idle for longer
pg_start "$one" || finish
pg_sql "$one" "CREATE TABLE big AS SELECT i, md5(i::text) AS x FROM generate_series(1, 200000) i"
pg_sql "$one" "CREATE TABLE gone AS SELECT i, md5((i + 7)::text) AS x FROM generate_series(1, 300000) i"
pg_sql "$one" "CREATE ROLE backup LOGIN"
new_vault "$work/v"

# --- rights: each that is missing is named with its statement, and these statements are enough ------------------------
expect 3 "$t" policy add small --postgresql "host=$one user=backup" --schedule none
backup_start=$(pg_since 15 && echo pg_backup_start || echo pg_start_backup)
for right in "GRANT EXECUTE ON FUNCTION $backup_start" 'GRANT pg_read_all_settings TO "backup"' 'ALTER ROLE "backup" REPLICATION'; do
    said "$right"
done
said "cannot be backed up before"
expect 1,5 "$t" backup small && said "GRANT pg_read_all_settings"
grep -ohE '(GRANT|ALTER ROLE) [^;]*;' "$work/.err" "$work/.out" >/dev/null
expect 3 "$t" policy add again --postgresql "host=$one user=backup" --schedule none
grep -ohE '(GRANT|ALTER ROLE) [^;]*;' "$work/.err" "$work/.out" | sort -u >"$work/grants.sql"
[ "$(wc -l <"$work/grants.sql")" -ge 3 ] || fail "fewer statements than rights"
as_pg psql -X -q -v ON_ERROR_STOP=1 -h "$one" -U postgres -d postgres -f "$work/grants.sql" >/dev/null 2>"$work/psql" || fail "the statements: $(cat "$work/psql")"
expect 0 "$t" policy add full --postgresql "host=$one user=backup" --schedule none && not_said "cannot be backed up"
expect 0 "$t" --json backup full && [ "$(json state)" = whole ] || fail "the granted rights are not enough"
expect 0 "$t" policy show full && said "conninfo: host=$one user=backup"
expect 0 "$t" policy list && said "full: postgresql"
expect 0 "$t" policy lint

# --- a password, which only root can read
pg_sql "$one" "SET password_encryption = 'scram-sha-256'; ALTER ROLE backup PASSWORD 'Horse-9'"
sed -i '1i local all backup scram-sha-256' "$one/data/pg_hba.conf"
pg_sql "$one" "SELECT pg_reload_conf()" >/dev/null
mkdir -m 700 "$work/home"
expect 1,5 env HOME="$work/home" "$t" backup full && said "password|authentication"
(umask 077 && echo "*:*:*:backup:Horse-9" >"$work/home/.pgpass")
expect 0 env HOME="$work/home" "$t" backup full
(umask 077 && echo "*:*:*:backup:Horse-8" >"$work/home/.pgpass")
expect 1,5 env HOME="$work/home" "$t" backup full && said "password authentication failed"

expect 0,3 "$t" policy add secret --postgresql "host=$one user=backup password=Horse-9" --schedule none
[ "$(stat -c %a "$work/v/c/policies/secret.yaml")" = 600 ] || fail "others can read the file with a password in it"
rm "$work/v/c/policies/secret.yaml"

# --- a place that is not the server's -----------------------------------------------------------------------------------
pg_new other
printf 'postgresql: { conninfo: "host=%s user=postgres", data: %s }\n' "$one" "$work/other/data" >"$work/v/c/policies/wrong.yaml"
expect 2 "$t" backup wrong && said "the folder of another server"
printf 'postgresql: { conninfo: "host=%s/nowhere user=postgres password=Hunter2-Secret" }\n' "$one" >"$work/v/c/policies/away.yaml"
expect 1 "$t" backup away && said "is the server running" && said 'password=\*\*\*' && not_said "Hunter2"
expect 0 "$t" policy show away && said 'password=\*\*\*' && not_said "Hunter2"
printf 'postgresql: { conninfo: "host=%s password=Hunter2 Secret" }\n' "$one" >"$work/v/c/policies/away.yaml"
expect 2 "$t" backup away && said '"conninfo" cannot be read' && not_said "Secret"
printf 'postgresql: { conninfo: "host=%s user=nobody" }\n' "$one" >"$work/v/c/policies/who.yaml"
expect 1,5 "$t" backup who && said 'role "nobody" does not exist'

# --- configuration that is elsewhere, and what it includes ---------------------------------------------------------------
mkdir -p "$work/etc/conf.d"
cp "$one/data/postgresql.conf" "$work/etc/postgresql.conf"
printf "include_dir = 'conf.d'\ninclude '%s/far.conf'\ndata_directory = '%s'\nhba_file = '%s/pg_hba.conf'\nident_file = '%s/pg_ident.conf'\n" \
    "$work" "$one/data" "$one/data" "$one/data" >>"$work/etc/postgresql.conf"
echo "work_mem = 5MB" >"$work/etc/conf.d/tuning.conf"
echo "maintenance_work_mem = 70MB" >"$work/far.conf"
chmod -R a+rX "$work/etc" "$work/far.conf"
pg_stop "$one"
pg_start "$one" "-c config_file=$work/etc/postgresql.conf -c unix_socket_directories=$one"
printf 'postgresql: { conninfo: "host=%s user=postgres" }\n' "$one" >"$work/v/c/policies/conf.yaml"
expect 0 "$t" backup conf
expect 0 "$t" restore conf --to "$work/conf" /postgresql/config
cmp -s "$work/etc/conf.d/tuning.conf" "$work/conf/postgresql/config/conf.d/tuning.conf" || fail "what the configuration includes is not there"
cmp -s "$work/far.conf" "$work/conf/postgresql/config$work/far.conf" || fail "what it includes from elsewhere is not there"

# --- a server whose process cannot be seen from here is not taken for stopped -------------------------------------------
cp -p "$one/data/postmaster.pid" "$work/pid"
sed -i '1s/.*/4194301/' "$one/data/postmaster.pid"
expect 1,5 "$t" restore conf --in-place && said "works on"
[ "$(pg_sql "$one" "SELECT 1")" = 1 ] || fail "a server that runs was touched"
cp -p "$work/pid" "$one/data/postmaster.pid"
pg_stop "$one"
pg_start "$one"

# --- a page that is damaged: found, named, the backup kept and marked, each time --------------------------------------------
printf 'postgresql: { conninfo: "host=%s user=postgres" }\n' "$one" >"$work/v/c/policies/db.yaml"
file=$(pg_sql "$one" "SELECT pg_relation_filepath('big')")
pg_stop "$one"
cp -p "$one/data/$file" "$work/sound"
printf 'damage' | dd of="$one/data/$file" bs=1 seek=$((5 * 8192 + 4000)) conv=notrunc status=none
pg_start "$one"
for run in first second; do
    expect 3 "$t" --json backup db && said "page 5 is damaged in the database itself" && said "$file"
    [ "$(json state)" = partial ] || fail "$run: the backup of a damaged page is not marked"
done
head -c 8192 /dev/zero | tr '\0' '\377' | dd of="$one/data/$file" bs=8192 seek=6 conv=notrunc status=none # looks newer than the backup
sleep 2.1
for run in first second third; do
    expect 3 "$t" --json backup db && said "page 6 is damaged in the database itself"
    [ "$(json state)" = partial ] || fail "$run: the backup of a page of rubbish is not marked"
done
expect 0,3 "$t" restore db --snapshot "$("$t" snapshots db 2>/dev/null | awk '$2 == "db" { id = $1 } END { print id }')" --to "$work/damaged" --verify
said "checksums of pages are wrong" || said "page sums"
cmp -s "$one/data/$file" "$work/damaged/postgresql/data/$file" || fail "the damaged file is not as it was"
pg_stop "$one"
cp -p "$work/sound" "$one/data/$file"
pg_start "$one"
expect 0 "$t" --json backup db && [ "$(json state)" = whole ] || fail "the mended table still counts as damaged"

# --- a tablespace that the server has and the agent does not see: no backup without it --------------------------------------
install -d -o postgres "$work/apart"
pg_sql "$one" "CREATE TABLESPACE apart LOCATION '$work/apart'"
pg_sql "$one" "CREATE TABLE in_apart TABLESPACE apart AS SELECT generate_series(1, 1000) i"
pg_sql "$one" "CHECKPOINT"
expect 0 "$t" backup db
mv "$work/apart" "$work/apart.away"
expect 1 "$t" backup db && said 'tablespace "apart" is not to be seen at' && said "mounted"
install -d -o postgres "$work/apart" # a mount point without its mount
expect 1 "$t" backup db && said 'tablespace "apart" is not to be seen at'
rmdir "$work/apart"
mv "$work/apart.away" "$work/apart"
expect 0 "$t" --json backup db && [ "$(json state)" = whole ] || fail "the tablespace that is back"
pg_sql "$one" "DROP TABLE in_apart"
pg_sql "$one" "DROP TABLESPACE apart"

# --- a standby ----------------------------------------------------------------------------------------------------------
pg_standby "$one" "$work/two"
pg_start "$work/two" "-c unix_socket_directories=$work/two" && {
    as_pg pgbench -h "$one" -U postgres -i -s 1 -q postgres >/dev/null 2>&1
    as_pg pgbench -h "$one" -U postgres -n -T 60 -c 2 postgres >/dev/null 2>&1 &
    writer=$!
    rows=$(pg_sql "$one" "SELECT count(*) FROM big")
    for _ in $(seq 100); do
        [ "$(pg_sql "$work/two" "SELECT to_regclass('pgbench_history') IS NOT NULL")" = t ] && break
        sleep 0.1
    done
    printf 'postgresql: { conninfo: "host=%s user=postgres" }\n' "$work/two" >"$work/v/c/policies/standby.yaml"
    expect 0 "$t" --json backup standby && [ "$(json state)" = whole ] || fail "a standby cannot be backed up"
    printf 'postgresql: { conninfo: "host=%s user=postgres", data: %s }\n' "$one" "$work/two/data" >"$work/v/c/policies/mixed.yaml"
    expect 2 "$t" backup mixed && said "another server runs"
    kill "$writer"
    wait "$writer" 2>/dev/null
    expect 0 "$t" restore standby --to "$work/from-standby" --verify && said "verified: a server recovered"
    install -d -o postgres "$work/fs" && ln -s "$work/from-standby/postgresql/data" "$work/fs/data"
    pg_start "$work/fs" && [ "$(pg_sql "$work/fs" "SELECT (SELECT count(*) FROM big), (SELECT sum(abalance) FROM pgbench_accounts) -
        (SELECT coalesce(sum(delta), 0) FROM pgbench_history), pg_is_in_recovery()")" = "$rows|0|f" ] || fail "what came from the standby differs"
    pg_stop "$work/fs"
    pg_stop "$work/two"
}

# --- under way: slowly, so that there is time ----------------------------------------------------------------------------------
slow() {
    pg_sql "$one" "UPDATE big SET x = md5(x || random()::text)"
    pg_sql "$one" "CHECKPOINT"
    printf 'limit: 10MiB\npostgresql: { conninfo: "host=%s user=postgres" }\n' "$one" >"$work/v/c/policies/slow$1.yaml"
    "$t" backup "slow$1" >"$work/slow.out" 2>&1 </dev/null &
    slow=$!
    for _ in $(seq 600); do
        [ "$(pg_sql "$one" "SELECT count(*) FROM pg_replication_slots WHERE temporary")" = 1 ] && sleep 0.2 && return
        sleep 0.02
    done
    fail "no backup is under way"
}
sessions() { pg_sql "$one" "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'twofold'"; }
alone() {
    for _ in $(seq 200); do
        [ "$(sessions)" = 0 ] && [ "$(pg_sql "$one" "SELECT count(*) FROM pg_replication_slots")" = 0 ] && return
        sleep 0.05
    done
    fail "$1: a session or a slot stayed"
}

slow 1 # tables come and go
pg_sql "$one" "DROP TABLE gone; CREATE TABLE fresh AS SELECT generate_series(1, 1000) i; TRUNCATE big"
pg_sql "$one" "VACUUM FULL pg_class"
wait "$slow" || fail "a table that went: $(tail -n 4 "$work/slow.out")"
expect 0 "$t" restore slow1 --to "$work/moved" --verify && said "all page checksums are right"
mkdir "$work/m" && chown postgres "$work/m" && ln -s "$work/moved/postgresql/data" "$work/m/data"
pg_start "$work/m" && [ "$(pg_sql "$work/m" "SELECT (SELECT count(*) FROM fresh), (SELECT count(*) FROM big), to_regclass('gone') IS NULL")" = "1000|0|t" ] ||
    fail "what was done while it was read is not restored"
pg_sql "$one" "INSERT INTO big SELECT i, md5(i::text) FROM generate_series(1, 200000) i"

slow 2 # the agent dies
agent=$(pgrep -P "$slow" -f twofold-agent | head -n 1)
kill -9 "$agent"
wait "$slow" && fail "a backup without its agent succeeded"
alone "agent killed"
expect 1,2,3 "$t" restore slow2 --to "$work/none"
expect 0 "$t" backup slow2

slow 3 # the server dies
kill -9 "$(head -n 1 "$one/data/postmaster.pid")"
wait "$slow" && fail "a backup of a server that died succeeded"
grep -q "WARNING" "$work/slow.out" && fail "the library speaks by itself: $(cat "$work/slow.out")"
grep -qE "why:|server" "$work/slow.out" || fail "it is not said why"
for _ in $(seq 40); do # its children notice by themselves
    rm -f "$one/data/postmaster.pid" "$one/.s.PGSQL.5432.lock"
    as_pg pg_ctl -D "$one/data" -l "$one/log" -w -t 60 -o "-k $one" start >"$one/ctl.log" 2>&1 && break
    sleep 0.5
done
expect 0 "$t" --json backup slow3 && [ "$(json state)" = whole ]

install -d -o postgres "$work/new-space" "$work/old-space"
pg_sql "$one" "CREATE TABLESPACE old LOCATION '$work/old-space'"
slow 5 # tablespaces come
pg_sql "$one" "CREATE TABLESPACE fresh LOCATION '$work/new-space'"
wait "$slow" && fail "a backup whose log makes a tablespace at the original's place"
grep -q 'tablespace "fresh" was made while the backup ran' "$work/slow.out" || fail "it is not said why: $(tail -n 3 "$work/slow.out")"
slow 6 # and go
pg_sql "$one" "DROP TABLESPACE old"
rm -r "$work/old-space"
wait "$slow" || fail "a tablespace that went: $(tail -n 3 "$work/slow.out")"
expect 0 "$t" restore slow6 --to "$work/dropped" --verify

# --- without slots, the log may go; without room, the restore stops --------------------------------------------------------------
pg_stop "$one"
pg_start "$one" "-c max_replication_slots=0"
expect 0 "$t" backup db && said "no replication slot keeps the log" && said "set $(pg_since 13 && echo wal_keep_size || echo wal_keep_segments)"
if [ -n "${SCENARIO_NAMESPACE:-}" ]; then
    mkdir "$work/small" && mount -t tmpfs -o size=20m small "$work/small"
    expect 1 "$t" restore db --to "$work/small/x" && said "[Nn]o space"
    mount -o remount,size=400m "$work/small"
    expect 0 "$t" restore db --to "$work/small/x" --verify && said "there already: [1-9]"
else
    skip_part "a full target"
fi
pg_stop "$one"
pg_start "$one"

# --- the log has a hole: no backup, rather than one that cannot recover -----------------------------------------------------------
slow 4
segment=$(pg_sql "$one" "SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
pg_sql "$one" "CREATE TABLE more AS SELECT 1 AS i; SELECT pg_switch_wal()" >/dev/null
head -c 16777216 /dev/zero | tee "$one/data/pg_wal/$segment" >/dev/null
wait "$slow" && fail "a backup without its log succeeded"
grep -q "segments of the log that the backup needs" "$work/slow.out" || fail "the hole is not named: $(tail -n 3 "$work/slow.out")"
expect 1,2,3 "$t" restore slow4 --to "$work/hole"

# A segment that goes while the log is read: nobody can say what was read of it.
pg_sql "$one" "CREATE TABLE noise AS SELECT g, (SELECT string_agg(decode(md5(random()::text || s || g), 'hex'), '') FROM generate_series(1, 60000) s) AS b FROM generate_series(1, 24) g"
slow 7
first=$(pg_sql "$one" "SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
pg_sql "$one" "INSERT INTO noise TABLE noise"
for _ in $(seq 600); do # until it has ended backup mode, and reads the log
    [ "$(pg_sql "$one" "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'twofold' AND query LIKE '%pg_database%'")" = 1 ] && break
    sleep 0.1
done
sleep 0.2
mv "$one/data/pg_wal/$first" "$work/taken"
wait "$slow" && fail "a backup whose log went while it was read succeeded"
grep -q "segments of the log that the backup needs 1 are not" "$work/slow.out" || fail "it is not said why: $(tail -n 3 "$work/slow.out")"
mv "$work/taken" "$one/data/pg_wal/$first"
finish
