#!/bin/bash
# 73-mariadb-elsewhere.sh - MariaDB servers of other kinds: files outside of the data folder, encrypted tables and logs, database folders that
# are links, pages of another size, a password over TCP; and another host's agent with its rules.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/maria.sh"

# --- files elsewhere, encryption ---------------------------------------------------------------------------------
two=$work/two
install -d -o mysql -m 755 "$two" "$two/undo" "$two/home" "$two/redo" "$two/aria" "$two/keys" "$two/link"
printf '1;a7addd9adea9978fda19f21e6be987880e68ac92632ca052e5bb42b1a506939a\n' >"$two/keys/file"
chown mysql "$two/keys/file" && chmod 600 "$two/keys/file"
encrypt=(--plugin-load-add=file_key_management --file-key-management-filename="$two/keys/file" --innodb-encrypt-tables=ON --innodb-encrypt-log=ON
    --aria-encrypt-tables=ON)
folders=(--innodb-undo-tablespaces=2 --innodb-undo-directory="$two/undo" --innodb-data-home-dir="$two/home"
    --innodb-log-group-home-dir="$two/redo" --aria-log-dir-path="$two/aria")
maria_new two "${encrypt[@]}" "${folders[@]}" --innodb-page-size=8k
maria_start "$two" "${encrypt[@]}" "${folders[@]}" --innodb-page-size=8k --innodb-encrypt-tables=ON --log-bin=bl --server-id=8 || finish
mv "$two/link" "$two/linked" && ln -s "$two/linked" "$two/data/linked"
maria_sql "$two" "CREATE TABLE linked.t (id INT PRIMARY KEY); INSERT INTO linked.t VALUES (41); CREATE DATABASE e; USE e;
    CREATE TABLE e.t (id INT PRIMARY KEY, x TEXT) ENCRYPTED=YES; INSERT INTO e.t SELECT seq, 'the secret of the table' FROM seq_1_to_5000;
    CREATE TABLE e.a (id INT PRIMARY KEY, x TEXT) ENGINE=Aria; INSERT INTO e.a VALUES (1, 'the secret of the table')" || fail "no tables"
{ [ -f "$two/undo/undo001" ] && [ -f "$two/home/ibdata1" ] && [ -f "$two/redo/ib_logfile0" ] && [ -f "$two/aria/aria_log_control" ]; } || fail "the files are not elsewhere"

new_vault "$work/v"
policy_add enc --mariadb="$two/sock" --schedule none
expect 0 "$t" --json backup enc
[ "$(json state)" = whole ] || fail "the backup is $(json state)"
expect 0 "$t" ls latest
for name in ibdata1 undo001 undo002 aria_log_control 'linked/t\.' 'e/t\.'; do
    grep -q "^/mariadb/backup/$name" "$work/.out" || fail "$name is not in the backup"
done
before=$(fingerprint "$two/undo" "$two/home" "$two/redo")
maria_sql "$two" "INSERT INTO e.t VALUES (6000, 'later')"
maria_stop "$two"
expect 5 "$t" restore enc --in-place && said "outside of its data folder"
[ ! -e "$(echo "$two"/data/.twofold*)" ] || fail "something was brought all the same"
before=$(fingerprint "$two/undo" "$two/home" "$two/redo" "$two/aria" "$two/data")
expect 0 "$t" restore enc --to "$work/enc" --verify && said "tables are right" && said "no server on it with the original's setting innodb_undo_directory"
[ "$before" = "$(fingerprint "$two/undo" "$two/home" "$two/redo" "$two/aria" "$two/data")" ] || fail "the original's files were touched"
grep -qa "the secret of the table" "$work/enc/mariadb/data/e/t.ibd" && fail "the tables are not encrypted"
mkdir "$work/s-enc" && chown mysql "$work/s-enc" && ln -s "$work/enc/mariadb/data" "$work/s-enc/data"
maria_start "$work/s-enc" "${encrypt[@]}" --innodb-page-size=8k --innodb-undo-tablespaces=2 && {
    [ "$(maria_sql "$work/s-enc" "SELECT COUNT(*), MAX(id) FROM e.t; SELECT * FROM linked.t; SELECT id FROM e.a" | xargs)" = "5000 5000 41 1" ] ||
        fail "the restored tables differ"
    maria_stop "$work/s-enc"
}
mv "$two/keys/file" "$two/keys/away"
expect 4 "$t" restore enc --to "$work/no-key" && said "mariadb-backup --prepare failed" && said "key"
[ ! -e "$work/no-key/mariadb/data" ] || fail "what could not be prepared is called data"
mv "$two/keys/away" "$two/keys/file"
expect 0 "$t" restore enc --to "$work/no-key"
[ -f "$work/no-key/mariadb/data/ibdata1" ] || fail "the same command did not continue"

# --- over TCP, with a password in a file ----------------------------------------------------------------------------
one=$work/one
maria_new one
port=$((20000 + $$ % 20000))
maria_options=("${maria_options[@]/--skip-networking/--bind-address=127.0.0.1}")
maria_start "$one" --port="$port" || finish
maria_sql "$one" "CREATE USER 'far'@'127.0.0.1' IDENTIFIED BY 'right-Pw-2'; CREATE DATABASE app; CREATE TABLE app.t (i INT PRIMARY KEY); INSERT INTO app.t VALUES (5)"
printf '[client]\npassword=right-Pw-2\n' >"$work/far.cnf"
chmod 600 "$work/far.cnf"
expect 0,3,5 "$t" policy add far --mariadb="127.0.0.1:$port" --user far --defaults-file "$work/far.cnf" --schedule none &&
    said "GRANT RELOAD, PROCESS, BINLOG MONITOR ON \*\.\* TO .far.@.127.0.0.1." && said "keeps no binary log"
maria_sql "$one" "GRANT RELOAD, PROCESS, BINLOG MONITOR ON *.* TO 'far'@'127.0.0.1'"
expect 0 "$t" backup far
[ -z "$(grep -rl right-Pw-2 "$work/v" 2>/dev/null)" ] || fail "the password was stored"
expect 0 "$t" restore far --to "$work/far" --verify && said "tables are right"
# A folder of programs.
mkdir "$work/tools"
ln -s /usr/bin/mariadb /usr/bin/mariadb-backup /usr/sbin/mariadbd "$work/tools/"
rm "$work/v/c/policies/far.yaml"
policy_add far --mariadb="127.0.0.1:$port" --user far --defaults-file "$work/far.cnf" --binaries "$work/tools" --schedule none
expect 0 "$t" backup far
expect 0 "$t" restore far --to "$work/far2" "--verify=$work/tools" && said "tables are right"
rm "$work/tools/mariadb-backup"
expect 1 "$t" restore far --to "$work/far3" && said "there is no mariadb-backup in $work/tools"
[ ! -e "$work/far3/mariadb" ] || fail "files were brought that cannot be prepared"
maria_stop "$one"
finish
