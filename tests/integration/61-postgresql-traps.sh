#!/bin/bash
# 61-postgresql-traps.sh - what could make a restore of a PostgreSQL cluster wrong or harmful: links in its folders, what lies in
# the target from before, settings of the original that reach out of the restored folder.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"

one=$work/one
pg_new one
echo "autovacuum = off" >>"$one/data/postgresql.conf"
pg_start "$one" || finish
pg_sql "$one" "CREATE DATABASE app"
pg_sql "$one" "CREATE TABLE t (i int PRIMARY KEY)" app
pg_sql "$one" "INSERT INTO t SELECT generate_series(1, 10000)" app
pg_sql "$one" "DELETE FROM t WHERE i <= 5000" app
new_vault "$work/v"
policy_add db --postgresql "host=$one user=postgres" --schedule none

# --- what was moved to another disk and linked would not be in a backup ------------------------------------------------
install -d -o postgres -m 700 "$work/disk2"
oid=$(pg_sql "$one" "SELECT oid FROM pg_database WHERE datname = 'app'")
# move_away PATH: below the data folder.
move_away() {
    pg_stop "$one"
    mv "$one/data/$1" "$work/disk2/${1##*/}"
    ln -s "$work/disk2/${1##*/}" "$one/data/$1"
    pg_start "$one"
}
move_back() {
    pg_stop "$one"
    rm "$one/data/$1"
    mv "$work/disk2/${1##*/}" "$one/data/$1"
}
for path in "base/$oid" global pg_xact "$(pg_sql "$one" "SELECT pg_relation_filepath('t')" app)"; do
    move_away "$path"
    expect 1,5 "$t" backup db && said "data/$path is a link: what it leads to would not be in the backup" && said "next: stop the server"
    move_back "$path"
    pg_start "$one"
done
# These are as they should be: the log on a disk of its own, a file of the administrator's.
move_away pg_wal
ln -s "$work/disk2" "$one/data/log"
ln -s /etc/hostname "$one/data/server.crt"
expect 0 "$t" --json backup db
[ "$(json state)" = whole ] || fail "a link that may be there: $(json state)"
move_back pg_wal
rm "$one/data/log"
pg_start "$one"

# --- a link in what was restored leads to no other place: the files there stay as they are -----------------------------------
mkdir "$work/victim" && cp "$one/data/PG_VERSION" "$work/victim/1249" && chown -R postgres "$work/victim"
TWOFOLD_FAULT=count:$work/steps TWOFOLD_FAULT_PROGRAM=twofold-agent expect 0 "$t" restore db --to "$work/r"
steps=$(cat "$work/steps" 2>/dev/null)
if [ "${steps:-0}" -gt 100 ]; then
    for trap in base/77777 pg_wal pg_tblspc/x global/pg_filenode.map2 PG_VERSION2; do
        rm -rf "$work/r"
        TWOFOLD_FAULT=kill@$((steps / 2)) TWOFOLD_FAULT_PROGRAM=twofold-agent expect 1 "$t" restore db --to "$work/r"
        as_root=$work/r/postgresql/data/$trap
        mkdir -p "${as_root%/*}" && ln -s "$work/victim" "$as_root"
        expect 5 "$t" restore db --to "$work/r" --verify && said "postgresql/data/$trap is a link: a server would work on what it leads to"
        [ "$(ls -A "$work/victim")" = 1249 ] || fail "$trap: something was written there: $(ls -A "$work/victim")"
        [ ! -e "$work/r/postgresql/data/global/pg_control" ] || fail "$trap: a server would start"
    done
else
    skip_part "links in what was restored (a build without fault points)"
fi

# --- nor is it read: the folder's user may have put a pipe or a link where the agent looks ------------------------------------
pid=$one/data/postmaster.pid
echo 1 >"$work/secret" && chmod 600 "$work/secret"
pg_stop "$one"
for trap in pipe link second; do
    case $trap in
        pipe) mkfifo "$pid" ;;
        link) ln -s "$work/secret" "$pid" ;;
        second) ln "$work/secret" "$pid" ;;
    esac
    expect 5 timeout 30 "$t" restore db --in-place && said "(read|open) .postmaster.pid"
    rm "$pid"
done
[ -z "$(find "$one/data" -maxdepth 1 -name '.twofold*')" ] || fail "something was put in place of a folder with a trap"
pg_start "$one"

# --- over a restore that was used: nothing of that comes among what is restored ------------------------------------------------
old_rows() {
    pg_sql "$1" "SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT count(*) FROM t WHERE i <= 5000" app
}
expect 0 "$t" restore db --to "$work/again"
install -d -o postgres "$work/used" && ln -s "$work/again/postgresql/data" "$work/used/data"
pg_start "$work/used" "-c unix_socket_directories=$work/used"
pg_sql "$work/used" "VACUUM t" app # a map that says that all may see the pages
pg_sql "$work/used" "CREATE TABLE later AS SELECT 1" app
pg_sql "$work/used" "CHECKPOINT" app
expect 5 "$t" restore db --to "$work/again" --overwrite && said "a server \(process [0-9]+\) works on"
[ "$(pg_sql "$work/used" "SELECT count(*) FROM later" app)" = 1 ] || fail "a server that runs was disturbed"
pg_stop "$work/used"
touch "$work/again/postgresql/data/standby.signal"
expect 0 "$t" restore db --to "$work/again" --overwrite && said "set aside in $work/again/.twofold-aside"
[ ! -e "$work/again/postgresql/data/standby.signal" ] || fail "a file of the used cluster stayed"
[ -f "$(echo "$work"/again/.twofold-aside-*/postgresql/data/standby.signal)" ] || fail "what was there is gone"
pg_start "$work/used" "-c unix_socket_directories=$work/used" && {
    [ "$(old_rows "$work/used")" = 0 ] || fail "rows that were deleted before the backup are back"
    pg_stop "$work/used"
}
# A file of the same name as the backup's folder is in the way as any other.
rm -r "$work/again" && mkdir "$work/again" && echo note >"$work/again/postgresql"
expect 0 "$t" restore db --to "$work/again" --overwrite
[ "$(cat "$work"/again/.twofold-aside-*/postgresql)" = note ] && [ -d "$work/again/postgresql/data" ] || fail "a file in the way"

# --- a tablespace is never restored over one of a cluster ---------------------------------------------------------------------
install -d -o postgres "$work/ssd" "$work/new"
pg_sql "$one" "CREATE TABLESPACE fast LOCATION '$work/ssd'"
pg_sql "$one" "CREATE TABLE in_fast TABLESPACE fast AS SELECT generate_series(1, 100) i"
pg_sql "$one" "CHECKPOINT"
expect 0 "$t" backup db
there=$(fingerprint "$work/ssd" | cat)
expect 5 "$t" restore db --to "$work/over1" --tablespace "fast=$work/ssd" --overwrite && said "a tablespace of a cluster lies in $work/ssd already"
[ "$(fingerprint "$work/ssd" | cat)" = "$there" ] || fail "the tablespace of a cluster that runs was changed"
mkdir "$work/new/mail" && echo mail >"$work/new/mail/box"
expect 0 "$t" restore db --to "$work/over2" --tablespace "fast=$work/new" --overwrite --verify
[ "$(cat "$work/new/mail/box")" = mail ] || fail "what lies beside the tablespace"
# --- --verify obeys nothing that the original says -------------------------------------------------------------------------
install -d -o postgres "$work/home"
echo precious >"$work/home/file" && chown postgres "$work/home/file"
pg_sql "$one" "ALTER SYSTEM SET external_pid_file = '$work/home/file'"
pg_sql "$one" "ALTER SYSTEM SET log_statement = 'all'"
expect 0 "$t" backup db
expect 0 "$t" restore db --to "$work/obeys" --verify && said "all page checksums are right"
[ "$(cat "$work/home/file")" = precious ] || fail "a file was written where the original's settings say"
grep -q "^external_pid_file" "$work/obeys/postgresql/data/postgresql.auto.conf" && grep -q recovery_target "$work/obeys/postgresql/data/postgresql.auto.conf" ||
    fail "the original's settings are not in what was restored"
[ ! -e "$work/obeys/postgresql/postgresql.auto.conf" ] || fail "settings lie beside"
pg_sql "$one" "ALTER SYSTEM RESET ALL"
# Where its programs are not, that is said before anything is brought.
expect 1,5 "$t" restore db --to "$work/nowhere" --verify=/nowhere && said 'no server of version'
[ ! -e "$work/nowhere" ] || fail "something was restored"
# A library that came with it, named by a database's own settings; files that belong to nobody who has a database here.
pg_stop "$one"
if command -v gcc >/dev/null && [ -n "${SCENARIO_NAMESPACE:-}" ]; then
    printf '#include <fcntl.h>\n#include <unistd.h>\nchar Pg_magic_func;\nstatic void __attribute__((constructor)) run(void) { close(open("%s", O_CREAT | O_WRONLY, 0666)); }\n' \
        "$work/home/loaded" >"$work/evil.c"
    chmod 777 "$work/home"
    gcc -shared -fPIC -o "$one/data/evil.so" "$work/evil.c" && chown postgres "$one/data/evil.so"
    pg_start "$one"
    pg_sql "$one" "ALTER DATABASE app SET session_preload_libraries = '$work/library/postgresql/data/evil.so'"
    expect 0 "$t" backup db
    expect 0,4,5,1 "$t" restore db --to "$work/library" --verify
    [ -f "$work/library/postgresql/data/evil.so" ] || fail "the library is not there: nothing is tested"
    [ ! -e "$work/home/loaded" ] || fail "code out of a backup was run"
    pg_sql "$one" "ALTER DATABASE app RESET ALL"
    pg_stop "$one"
    rm "$one/data/evil.so"
else
    skip_part "a library in a backup (it takes gcc and a mount namespace)"
fi
pg_start "$one"

# --- files of an account that has no database here: looked at as the one that has, and given back ------------------------------
(
    as_pg() { setpriv --reuid=daemon --regid=disk --clear-groups env HOME=/tmp PATH="$pgbin:$PATH" "$@"; }
    install -d -o daemon -g disk "$work/two"
    as_pg initdb -D "$work/two/data" -k -A trust -U postgres -E UTF8 --locale=C.UTF-8 >"$work/two/initdb.log" 2>&1
    printf "listen_addresses = ''\nunix_socket_directories = '%s'\nfsync = off\n" "$work/two" >>"$work/two/data/postgresql.conf"
    pg_start "$work/two" || exit 1
    policy_add two --postgresql "host=$work/two user=postgres" --schedule none
    expect 0 "$t" backup two
    pg_stop "$work/two"
    expect 0 "$t" restore two --to "$work/theirs" --verify && said "verified: a server recovered"
    [ "$(find "$work/theirs/postgresql/data" -not \( -user daemon -a -group disk \) | wc -l)" = 0 ] || fail "files changed hands"
    exit "$failures"
) || fail "files of another account"

# --- a moment of which no log is kept is not taken for the backup before it -----------------------------------------------------
sleep 1.1
pg_sql "$one" "CREATE TABLE since (i int)"
moment=$(date -u +%Y-%m-%dT%H:%M:%SZ)
expect 3 "$t" restore db --to "$work/older" --at "$moment" && said "no log of it is kept: this is the backup of"
pg_stop "$one"
expect 2 "$t" restore db --in-place --at "$moment" && said "would put back an older state" && said "next: .*--no-logs"
[ -z "$(find "$one/data" -maxdepth 1 -name '.twofold*')" ] || fail "something was put in place"
pg_start "$one"

# --- a cluster without the database "postgres" ------------------------------------------------------------------------------
pg_sql "$one" "DROP DATABASE postgres" app
printf 'postgresql: { conninfo: "host=%s user=postgres dbname=app" }\n' "$one" >"$vault/c/policies/db.yaml"
expect 0 "$t" backup db
expect 0 timeout 60 "$t" restore db --to "$work/without" --verify && said "verified: 2 databases can be entered"
finish
