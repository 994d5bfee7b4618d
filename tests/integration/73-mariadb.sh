#!/bin/bash
# 73-mariadb.sh - a MariaDB server is backed up while it is written to, and what is restored starts and is right: engines, odd names,
# partitions, a second night, in place, as part of a set.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/maria.sh"

one=$work/one
maria_new one
maria_start "$one" --log-bin=bl --server-id=7 || finish
mariadb --no-defaults -S "$one/sock" --default-character-set=utf8mb4 <<'Q' || fail "the tables cannot be made"
CREATE DATABASE app; CREATE DATABASE `odd name.x`; USE app;
CREATE TABLE ledger (id BIGINT PRIMARY KEY, at DATETIME(6), amount INT, total BIGINT) ENGINE=InnoDB;
INSERT INTO ledger VALUES (0, NOW(6), 0, 0);
CREATE TABLE big (id INT PRIMARY KEY, x VARCHAR(400), KEY (x)) ENGINE=InnoDB;
INSERT INTO big SELECT seq, CONCAT(SHA2(seq, 512), SHA2(seq + 1000000, 512)) FROM seq_1_to_12000;
CREATE TABLE m (id INT AUTO_INCREMENT PRIMARY KEY, x TEXT) ENGINE=MyISAM; INSERT INTO m SELECT seq, REPEAT('m', 100) FROM seq_1_to_1000;
CREATE TABLE a (id INT PRIMARY KEY, x TEXT) ENGINE=Aria; INSERT INTO a SELECT seq, REPEAT('a', 100) FROM seq_1_to_1000;
CREATE TABLE c (id INT NOT NULL, x VARCHAR(20) NOT NULL) ENGINE=CSV; INSERT INTO c VALUES (1, 'one');
CREATE TABLE p (id INT PRIMARY KEY, x VARCHAR(100)) PARTITION BY HASH (id) PARTITIONS 3;
INSERT INTO p SELECT seq, REPEAT('p', 50) FROM seq_1_to_3000;
CREATE TABLE z (id INT PRIMARY KEY, x TEXT) ROW_FORMAT=COMPRESSED; INSERT INTO z SELECT seq, REPEAT('z', 500) FROM seq_1_to_1000;
CREATE SEQUENCE s; CREATE VIEW v AS SELECT COUNT(*) AS n FROM p;
DELIMITER //
CREATE PROCEDURE step(IN n INT) BEGIN
    DECLARE i INT DEFAULT 0;
    WHILE i < n DO
        INSERT INTO ledger SELECT id + 1, NOW(6), 1 + id % 1000, total + 1 + id % 1000 FROM ledger ORDER BY id DESC LIMIT 1;
        SET i = i + 1;
    END WHILE;
END //
DELIMITER ;
USE `odd name.x`; CREATE TABLE `t``a/b ä#1` (i INT PRIMARY KEY); INSERT INTO `t``a/b ä#1` VALUES (1), (2);
Q
[ "$failures" = 0 ] || finish

load() {
    (while :; do maria_sql "$one" "CALL app.step(200)" || exit; done) >/dev/null 2>&1 &
    load1=$!
    (for ((i = 0; ; i++)); do maria_sql "$one" "UPDATE app.p SET x = REPEAT('q', $((i % 90))) WHERE id % 7 = $((i % 7)); CREATE TABLE app.tmp$i (i INT);
        INSERT INTO app.m VALUES (NULL, 'x'); DROP TABLE app.tmp$i" || exit; done) >/dev/null 2>&1 &
    load2=$!
}
unload() {
    kill "$load1" "$load2" 2>/dev/null
    wait "$load1" "$load2" 2>/dev/null
}

# same_books DIR LEAST: the ledger in the server there is whole, and has at least the row LEAST.
same_books() {
    [ "$(maria_sql "$1" "SELECT COUNT(*) FROM (SELECT id, total, amount, LAG(total) OVER (ORDER BY id) AS t, LAG(id) OVER (ORDER BY id) AS i
        FROM app.ledger) l WHERE i IS NOT NULL AND (id <> i + 1 OR total <> t + amount)")" = 0 ] || fail "$1: the ledger has gaps or wrong totals"
    [ "$(maria_sql "$1" "SELECT MAX(id) FROM app.ledger")" -ge "$2" ] || fail "$1: the ledger ends too early"
    [ "$(maria_sql "$1" "SELECT COUNT(*), SUM(CRC32(x)) FROM app.big")" = "$big" ] || fail "$1: the large table differs"
    [ "$(maria_sql "$1" "SELECT COUNT(*) FROM app.a; SELECT * FROM app.v; SELECT x FROM app.c; SELECT COUNT(*) FROM app.z;
        SELECT SUM(i) FROM \`odd name.x\`.\`t\`\`a/b ä#1\`" | xargs)" = "1000 3000 one 1000 3" ] || fail "$1: other tables differ"
}
big=$(maria_sql "$one" "SELECT COUNT(*), SUM(CRC32(x)) FROM app.big")

new_vault "$work/v"
policy_add db --mariadb="$one/sock" --schedule none && said "MariaDB 1.*, connected as .root." && not_said "lacks rights"
expect 0 "$t" policy lint

# --- while it is written to -----------------------------------------------------------------------------------
load
for ((i = 0; i < 200; i++)); do [ "$(maria_sql "$one" "SELECT MAX(id) FROM app.ledger")" -le 50 ] || break; done
before=$(maria_sql "$one" "SELECT MAX(id) FROM app.ledger")
expect 0 "$t" --json backup db
[ "$(json state)" = whole ] || fail "a busy server's backup is not whole: $(json state)"
first=$(json bytes_stored)
[ ! -e "$work/v/s/agent/mariadb/twofold-mariadb" ] || fail "the scratch folder stayed"
later=$(maria_sql "$one" "SELECT MAX(id) FROM app.ledger")
expect 0 "$t" --json backup db
second=$(json bytes_stored)
say "stored: $first bytes in the first night, $second in the second, of $(json bytes)"
[ "$second" -lt $((first / 3)) ] || fail "the second night stored $second bytes of $(json bytes); the first $first"

# --- what is in it, and what is not ------------------------------------------------------------------------------
expect 0 "$t" ls latest
for name in backup/ibdata1 backup/app/big.ibd backup/app/p#P#p1.ibd backup/app/m.MYD backup/app/a.MAD backup/app/c.CSV backup/mysql/ facts.json; do
    grep -q "^/mariadb/$name" "$work/.out" || fail "$name is not in the backup"
done
grep -q "^/mariadb/binlog/bl\.000001" "$work/.out" || fail "the closed binary log is not in the backup"
[ "$(grep -c "^/mariadb/binlog/bl\.0000" "$work/.out")" = 2 ] || fail "other binary logs than the two closed ones"
expect 0 "$t" export latest /mariadb/facts.json && tar -xOf "$work/.out" mariadb/facts.json >"$work/facts.json"
python3 - "$work/facts.json" "$(maria_sql "$one" "SHOW VARIABLES LIKE 'server_uid'" | cut -f 2)" <<'P' || fail "facts.json is not right"
import json, sys
f = json.load(open(sys.argv[1]))
assert f["server_uid"] == sys.argv[2] and f["server_id"] == "7" and f["server_version"].startswith("1") and f["pages_wrong"] == 0
assert f["binlog"]["file"].startswith("bl.0") and int(f["binlog"]["position"]) > 0 and f["binlog"]["gtid"].startswith("0-7-")
assert int(f["last_lsn"]) >= int(f["from_lsn"]) > 0 and f["folders"] == {} and f["settings"]["innodb_page_size"] == "16384"
assert {d["name"] for d in f["databases"]} >= {"app", "mysql", "odd name.x"} and all(int(d["bytes"]) > 0 for d in f["databases"])
P

# --- restored while the original goes on -----------------------------------------------------------------------------
ids=$("$t" snapshots db 2>/dev/null | awk '$2 == "db" { print $1 }')
expect 0 "$t" restore db --snapshot "$(head -n 1 <<<"$ids")" --from b --to "$work/first" --verify &&
    said "tables are right \(CHECK TABLE EXTENDED\)" && said "binary log: bl\.0.*GTID 0-7-"
expect 0 "$t" restore db --to "$work/second"
unload
last=$(maria_sql "$one" "SELECT MAX(id) FROM app.ledger")
for place in first second; do
    x=$work/$place/mariadb
    [ "$(stat -c %a-%U "$x/data")" = 700-mysql ] || fail "$place: mode or owner of the data folder: $(stat -c %a-%U "$x/data")"
    [ -z "$(find "$x/data" ! -user mysql)" ] || fail "$place: files of others: $(find "$x/data" ! -user mysql | head -n 3)"
    [ "$(ls -A "$x")" = "$(printf 'data\nfacts.json')" ] || fail "$place: something is left: $(ls -A "$x")"
    mkdir -p "$work/s-$place" && chown mysql "$work/s-$place"
    ln -s "$x/data" "$work/s-$place/data"
    maria_start "$work/s-$place" && {
        same_books "$work/s-$place" "$([ $place = first ] && echo "$before" || echo "$later")"
        [ "$(maria_sql "$work/s-$place" "SELECT MAX(id) < $last FROM app.ledger")" = 1 ] || fail "$place: it is the original"
        [ "$(maria_sql "$work/s-$place" "SELECT COUNT(*) FROM mysql.global_priv WHERE User = 'root'")" = 1 ] || fail "$place: no accounts"
        maria_sql "$work/s-$place" "CHECK TABLE app.ledger EXTENDED; CHECK TABLE app.big EXTENDED; CHECK TABLE app.m EXTENDED;
            CHECK TABLE app.a EXTENDED; CHECK TABLE app.p EXTENDED" >"$work/check"
        [ "$(grep -c "status.OK" "$work/check")" = 5 ] || fail "$place: CHECK TABLE: $(cat "$work/check")"
        maria_stop "$work/s-$place"
    }
done
(
    export TWOFOLD_CONFIG=$work/no-config TWOFOLD_STATE=$work/no-state HOME=$work/no-home
    expect 0 "$t" restore --copy "$b" --policy db --to "$work/alone" --passphrase-file "$pass" && said "the data folder: $work/alone/mariadb/data"
    exit "$failures"
) || fail "from nothing but one copy"
expect 2 "$t" restore db --to "$work/third" --tablespace "slow=$work/space3" && said "no tablespace"

# --- in place ---------------------------------------------------------------------------------------------------------
expect 1,5 "$t" restore db --in-place && said "a server \(process [0-9]+\) works on"
maria_sql "$one" "SELECT 1" >/dev/null || fail "the server was disturbed"
maria_sql "$one" "DROP TABLE app.ledger; DELETE FROM app.big"
maria_stop "$one"
expect 0 "$t" restore db --in-place && said "what was in $one/data is in $one/data.twofold-before-"
maria_start "$one" --log-bin=bl --server-id=7 && same_books "$one" "$later"
[ -z "$(find "$one/data" -name "*twofold*")" ] || fail "something of the restore is in the data folder"
[ -e "$(echo "$one"/data.twofold-before-*/app/big.ibd)" ] || fail "what was there is gone"
expect 0 "$t" backup db
maria_stop "$one"

# --- a set ----------------------------------------------------------------------------------------------------------------
maria_start "$one"
small_tree "$work/tree" 73 20
set_policy() { # SQL
    printf 'files: { paths: ["%s", /etc/hostname] }\nmariadb:\n  server: "%s"\n  checks:\n    - { name: rows of big, database: app, sql: "%s", expect: "= 12000", restored: same }\n' \
        "$work/tree" "$one/sock" "$1" >"$work/v/c/policies/set.yaml"
}
set_policy "DELETE FROM big"
expect 4 "$t" check set && said "rows of big.*READ ONLY"
set_policy "SELECT 12000; SET SESSION TRANSACTION READ WRITE; CREATE TABLE made (i INT)"
expect 4 "$t" check set && said "rows of big.*the server says: ERROR 1064"
set_policy "SELECT 12000\\nsystem touch $work/made"
expect 4 "$t" check set
[ -z "$(maria_sql "$one" "SHOW TABLES FROM app LIKE 'made'")" ] && [ ! -e "$work/made" ] || fail "a check did more than to ask"
set_policy "SELECT COUNT(*) FROM big;"
expect 0 "$t" check set && said "rows of big"
expect 0 "$t" backup set
maria_sql "$one" "DELETE FROM app.big WHERE id = 7"
expect 4 "$t" check set && said "rows of big"
expect 0 "$t" restore set --to "$work/set" --verify && said "verified: .*rows of big" && same_tree "$work/tree" "$work/set$work/tree"
[ -f "$work/set/etc/hostname" ] && [ -f "$work/set/mariadb/data/ibdata1" ] || fail "the set is not whole"
expect 0 "$t" restore set --to "$work/raw" /mariadb
[ -f "$work/raw/mariadb/backup/ibdata1" ] && [ ! -e "$work/raw/mariadb/data" ] || fail "the files as they are"
finish
