#!/bin/bash
# 74-mariadb-trouble.sh - what goes wrong at a MariaDB server's backup is said, with what to do; nothing half is taken for a backup, and nothing
# stays: rights, passwords, a full scratch folder, kills, damaged pages, tables that lie elsewhere, encryption.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/maria.sh"

one=$work/one
maria_new one
maria_start "$one" --log-bin=bl --server-id=7 || finish
maria_sql "$one" "CREATE DATABASE app; USE app; CREATE TABLE app.t (id INT PRIMARY KEY, x VARCHAR(300));
    INSERT INTO app.t SELECT seq, REPEAT('t', 200) FROM seq_1_to_20000; CREATE TABLE app.u (id INT PRIMARY KEY); INSERT INTO app.u VALUES (1)"
[ "$(maria_sql "$one" "SELECT COUNT(*) FROM app.t")" = 20000 ] || finish
new_vault "$work/v"
mkdir -p "$work/v/c/policies"
scratch=$work/v/s/agent/mariadb

# policy NAME LINE…: a policy of the server with these settings beside.
policy() {
    local name=$1
    shift
    {
        printf 'mariadb:\n  server: "%s"\n' "$one/sock"
        printf '  %s\n' "$@"
    } >"$work/v/c/policies/$name.yaml"
}
no_snapshot() {
    [ "$("$t" snapshots "$1" 2>/dev/null | awk -v p="$1" '$2 == p' | wc -l)" = "${2:-0}" ] || fail "$1: other snapshots than ${2:-0}"
    [ ! -e "$scratch/twofold-mariadb" ] || fail "$1: the scratch folder stayed"
}

# --- rights, one by one ------------------------------------------------------------------------------------------
printf '[client]\nuser=b\npassword=wrong-Pw-1\n' >"$work/b.cnf"
chmod 600 "$work/b.cnf"
maria_sql "$one" "CREATE USER b@localhost IDENTIFIED BY 'right-Pw-1'"
policy limited "defaults-file: $work/b.cnf"
expect 5 "$t" backup limited && said "Access denied for user 'b'" && said "defaults-file"
sed -i s/wrong/right/ "$work/b.cnf"
for right in RELOAD PROCESS "BINLOG MONITOR"; do
    maria_sql "$one" "GRANT RELOAD, PROCESS, BINLOG MONITOR ON *.* TO b@localhost; REVOKE $right ON *.* FROM b@localhost"
    expect 5 "$t" backup limited && said "GRANT $right ON \*\.\* TO .b.@.localhost." && not_said "right-Pw-1"
    statement=$(grep -oE "GRANT $right ON .*" "$work/.err" | head -n 1)
    rm -f "$work/v/c/policies/probed.yaml"
    expect 0,3,5 "$t" policy add probed --mariadb="$one/sock" --defaults-file "$work/b.cnf" --schedule none && said "GRANT $right ON \*\.\* TO"
    no_snapshot limited
    maria_sql "$one" "$statement" || fail "the statement does not work: $statement"
done
expect 0 "$t" backup limited
rm -f "$work/v/c/policies/probed.yaml"
expect 0 "$t" policy add probed --mariadb="$one/sock" --defaults-file "$work/b.cnf" --schedule none && said "connected as .b.@.localhost." && not_said "GRANT"
maria_sql "$one" "DROP USER b@localhost"
expect 5 "$t" backup limited && said "Access denied"

# --- servers and folders that are not there -------------------------------------------------------------------------
policy away
sed -i "s|$one/sock|$work/nobody/sock|" "$work/v/c/policies/away.yaml"
expect 1 "$t" backup away && said "is the server running, and does .server. below mariadb"
policy elsewhere "data: $work/nowhere"
expect 1,5 "$t" backup elsewhere && said "write data: below mariadb"
cp -a "$one/data" "$work/copy"
policy elsewhere "data: $work/copy"
expect 2 "$t" backup elsewhere && said "no server works on the data folder $work/copy"
install -d -o mysql "$work/other" && mv "$work/copy" "$work/other/data"
rm "$work/other/data/aria_log_control" "$work/other/data"/aria_log.*
maria_start "$work/other" && {
    policy elsewhere "data: $work/other/data"
    expect 2 "$t" backup elsewhere && said "another server runs than the one that"
    maria_stop "$work/other" KILL
}
if mkdir "$work/bound" && mount --bind "$one/data" "$work/bound" 2>/dev/null; then
    policy elsewhere "data: $work/bound"
    expect 0 "$t" backup elsewhere
    umount "$work/bound"
fi
policy tools "binaries: $work/nowhere"
expect 1 "$t" backup tools && said "there is no mariadb in $work/nowhere"
policy limit "time-limit: nine"
expect 2 "$t" policy lint && said "is not a length of time"
rm "$work/v/c/policies"/{limit,tools,elsewhere,away}.yaml

# --- a scratch folder that is too small, or runs full -----------------------------------------------------------------
mkdir "$work/small" "$work/tools"
if mount -t tmpfs -o size=20m,mode=755 small "$work/small" 2>/dev/null; then
    policy small "scratch: $work/small"
    expect 1 "$t" backup small && said "has room for [0-9]+ MiB, but a copy of the data takes [0-9]+ MiB" && said "scratch: below mariadb"
    no_snapshot small
    mount -o remount,size=400m "$work/small"
    expect 0 "$t" backup small
    [ ! -e "$work/small/twofold-mariadb" ] || fail "the scratch folder stayed"
    # Others write there, too.
    ln -s /usr/bin/mariadb "$work/tools/"
    cat >"$work/tools/mariadb-backup" <<S
#!/bin/bash
case " \$* " in *" --backup "*) head -c 395M /dev/zero >$work/small/others 2>/dev/null ;; esac
exec /usr/bin/mariadb-backup "\$@"
S
    chmod +x "$work/tools/mariadb-backup"
    policy small "scratch: $work/small" "binaries: $work/tools"
    expect 1 "$t" backup small && said "the scratch folder $work/small ran full"
    [ "$(ls "$work/small")" = "$(printf 'others\ntwofold-mariadb.lock')" ] || fail "the scratch folder stayed: $(ls "$work/small")"
    no_snapshot small 1
else
    skip_part "a full scratch folder (no tmpfs)"
fi

# --- mariadb-backup that hangs, fails, is too old ---------------------------------------------------------------------
tool() { # SCRIPT: what mariadb-backup does for --backup
    rm -f "$work/tools/mariadb-backup"
    ln -sf /usr/bin/mariadb "$work/tools/mariadb"
    printf '#!/bin/bash\ncase " $* " in *" --backup "*) %s ;; esac\nexec /usr/bin/mariadb-backup "$@"\n' "$1" >"$work/tools/mariadb-backup"
    chmod +x "$work/tools/mariadb-backup"
}
policy tools "binaries: $work/tools" "time-limit: 2s"
tool 'exec sleep 60'
expect 1 "$t" backup tools && said "it did not end within 2 s" && said "time-limit"
no_snapshot tools
tool 'echo "one thing is wrong" >&2; echo "and another" >&2; exit 1'
expect 1 "$t" backup tools && said "mariadb-backup failed: …one thing is wrong and another"
tool 'exit 0'
expect 1 "$t" backup tools && said "mariadb-backup failed"
printf '#!/bin/bash\necho "mariadb-backup based on MariaDB server 10.3.39-MariaDB" >&2\n' >"$work/tools/mariadb-backup"
expect 1,2 "$t" backup tools && said "is of version 10.3, but the server is of"
no_snapshot tools

# --- a link in the place of a database's folder: what prepares the copy would write into the folder that it names -------
install -d -o mysql "$work/victim" && cp -a "$one/data/app" "$work/victim/app"
sums=$(cd "$work/victim/app" && sha256sum ./*)
tool "/usr/bin/mariadb-backup \"\$@\" || exit; rm -r $scratch/twofold-mariadb/backup/app; ln -s $work/victim/app $scratch/twofold-mariadb/backup/app; exit 0"
policy linked "binaries: $work/tools"
expect 0,3 "$t" backup linked
expect 4 "$t" restore linked --to "$work/linked" --verify && said "/mariadb/backup/app: a symbolic link where a database's own files are"
[ ! -e "$work/linked/mariadb/data" ] && [ ! -L "$work/linked/mariadb/backup/app" ] || fail "a backup with a link was prepared"
[ "$(cd "$work/victim/app" && sha256sum ./*)" = "$sums" ] || fail "files outside of the target were changed"
policy db
expect 0 "$t" backup db
mkdir -p "$work/before/mariadb/backup" && ln -s "$work/victim/app" "$work/before/mariadb/backup/other"
expect 0,3 "$t" restore db --to "$work/before" --overwrite && said "set aside in"
[ -f "$work/before/mariadb/data/ibdata1" ] && [ ! -e "$work/before/mariadb/data/other" ] || fail "what lay there from before is in the data folder"
[ "$(cd "$work/victim/app" && sha256sum ./*)" = "$sums" ] || fail "files outside of the target were changed"
rm -rf "$work/victim" "$work/linked" "$work/before"

# --- kills: the agent's, the server's -----------------------------------------------------------------------------------
policy db
tool "touch $work/at-work; exec sleep 300"
policy tools "binaries: $work/tools"
"$t" backup tools >"$work/killed.out" 2>&1 &
job=$!
for ((i = 0; i < 200; i++)); do [ -e "$work/at-work" ] && break; sleep 0.05; done
[ -e "$scratch/twofold-mariadb" ] || fail "nothing is at work"
expect 5 "$t" backup db && said "another backup uses the scratch folder"
agent=$(pgrep -P "$job" -f twofold-agent | head -n 1)
kill -9 "$agent"
wait "$job" && fail "a killed agent is no failure"
[ -e "$scratch/twofold-mariadb" ] || say "(a killed agent leaves nothing)"
expect 0 "$t" backup db
no_snapshot tools
[ ! -e "$scratch/twofold-mariadb" ] || fail "what the killed run left is still there"
# The server is killed while the copy is being made.
tool "kill -9 $(cat "$one/child"); sleep 0.2"
expect 1 "$t" backup tools && said "mariadb-backup failed"
no_snapshot tools
maria_stop "$one" KILL
maria_start "$one" --log-bin=bl --server-id=7 || finish
expect 0 "$t" backup db

# --- what lies elsewhere ------------------------------------------------------------------------------------------------
install -d -o mysql "$work/remote"
maria_sql "$one" "CREATE TABLE app.r (id INT PRIMARY KEY) DATA DIRECTORY = '$work/remote'"
expect 2 "$t" backup db && said "app/r.isl lies outside of the data folder"
maria_sql "$one" "DROP TABLE app.r"
touch "$one/data/app/strange.mrn"
expect 3 "$t" --json backup db && said "mariadb-backup takes no files of this kind"
rm "$one/data/app/strange.mrn"
# A link of the server's user to what only root reads would bring that into the backup, and to that user at a restore.
printf 'only root may read this\n' >"$work/root-only" && chmod 600 "$work/root-only" && mkdir -m 700 "$work/root-folder"
for name in app/x.TRG ibdata2; do
    as_mysql ln -s "$work/root-only" "$one/data/$name"
    expect 2 "$t" backup db && said "${name#*/} is a link to what does not belong to the server's user"
    rm "$one/data/$name"
done
as_mysql ln -s "$work/root-folder" "$one/data/other"
expect 2 "$t" backup db && said "other is a link to what does not belong to the server's user"
rm "$one/data/other"
cp "$work/root-only" "$work/own.TRG" && chown mysql "$work/own.TRG" && as_mysql ln -s "$work/own.TRG" "$one/data/app/x.TRG"
expect 0 "$t" backup db
rm "$one/data/app/x.TRG"

# --- damaged pages --------------------------------------------------------------------------------------------------------
maria_sql "$one" "FLUSH TABLES app.t FOR EXPORT; UNLOCK TABLES"
python3 - "$one/data/app/t.ibd" <<'P'
import sys
with open(sys.argv[1], "r+b") as f:
    for page in (7, 9):
        f.seek(page * 16384 + 5000)
        f.write(b"X" * 64)
P
expect 3 "$t" --json backup db && said "/mariadb/backup/app/t.ibd" && said "damaged pages in the server's own file, stored as they are: 7 9"
[ "$(json state)" = partial ] || fail "a backup with damaged pages is $(json state)"
id=$(json snapshot)
expect 0 "$t" restore db --to "$work/whole" --verify && said "is newer, but not whole" && said "tables are right"
expect 3 "$t" restore db --snapshot "$id" --to "$work/damaged" --verify && said "damaged in the server's own files are still: app/t [0-9]+ 7 9" &&
    said "table app.t is not right" && not_said "app.u is not right" && said "2 things are not as they were"

# --- where no database is, but a folder "mysql", as in /etc and /var/lib: the place comes from the backup, and may be any -----------------
maria_stop "$one"
mv "$one/data" "$one/real"
mkdir -p "$one/data/mysql" "$one/data/ssh"
echo secret >"$one/data/shadow"
echo '[client]' >"$one/data/mysql/my.cnf"
ln -s "$one/real/ibdata1" "$one/data/mysql.ibd"
for how in --delta --verify; do
    expect 1,5 "$t" restore db --in-place "$how" && said "$one/data has no database in it, but something else: it is not replaced"
    [ "$(cat "$one/data/shadow")" = secret ] && [ -e "$one/data/mysql/my.cnf" ] || fail "what is no database was replaced ($how)"
done
finish
