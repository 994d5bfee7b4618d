#!/bin/bash
# 73-mariadb-statements.sh - binary logs are done again as they were done: in the original's time zone, with its settings, also what stands behind a
# time that is none; what they answer holds nothing up, and what they bring as files stays nowhere. They come from a host that may have been in other
# hands: they read no file of the host that they are replayed on.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/maria.sh"
zone=Asia/Shanghai
[ -f "/usr/share/zoneinfo/$zone" ] || { say "not tested here: it takes time zones (Debian: tzdata)"; exit 77; }

one=$work/one
maria_new one
TZ=$zone maria_start "$one" --log-bin=bl --server-id=7 --div-precision-increment=12 --default-week-format=3 --default-storage-engine=Aria \
    --group-concat-max-len=1000 --binlog-format=STATEMENT || finish
long=$(printf 'd%.0s' {1..60})
{
    echo "CREATE DATABASE app; USE app; CREATE TABLE n (id INT PRIMARY KEY, at DATETIME, d DECIMAL(30,20), w INT) ENGINE=InnoDB;"
    echo "CREATE TABLE loaded (id INT PRIMARY KEY, t TEXT); CREATE TABLE loot (t TEXT); CREATE DATABASE $long;"
    for ((i = 100; i < 160; i++)); do echo "CREATE TABLE $long.${long}_$i (i INT) ENGINE=MyISAM;"; done
} | mariadb --no-defaults -S "$one/sock" || fail "the tables cannot be made"
new_vault "$work/v"
mkdir -p "$work/v/c/policies"
policy() { # EXPECTATION
    printf 'mariadb:\n  server: "%s"\n  checks:\n    - { name: rows, database: app, sql: "SELECT COUNT(*) FROM n", expect: "%s", restored: same }\n' \
        "$one/sock" "$1" >"$work/v/c/policies/db.yaml"
}
policy ">= 0"
# Without the right to look at the server's process the agent knows only how far its zone is from UTC; the next one knows its name.
zone_of() {
    rm -rf "$work/facts"
    "$t" restore db --to "$work/facts" /mariadb/facts.json >/dev/null 2>&1
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["zone"]["name"])' "$work/facts/mariadb/facts.json"
}
expect 0 setpriv --bounding-set=-all,+dac_read_search,+setuid,+setgid "$t" backup db
[ "$(zone_of)" = "<+0800>-08:00" ] || fail "the zone is $(zone_of)"
seq 1 100 | sed 's/$/\tsecret word/' >"$one/in.txt"
chmod 644 "$one/in.txt"
all=$(for ((i = 100; i < 160; i++)); do printf '%s' ",$long.${long}_$i"; done)
{
    echo "USE app; INSERT INTO n VALUES (1, NOW(), 1 / 3, WEEK('2027-01-02')); CREATE TABLE e (i INT);"
    echo "LOAD DATA INFILE '$one/in.txt' INTO TABLE loaded;"
    for ((i = 0; i < 100; i++)); do echo "ANALYZE TABLE ${all#,};"; done
    # A time of next year, then of now again.
    echo "SET TIMESTAMP = UNIX_TIMESTAMP() + 31536000; INSERT INTO n VALUES (2, '2020-01-01', 0, 0); SET TIMESTAMP = DEFAULT;"
    echo "INSERT INTO n VALUES (3, NOW(), 2 / 7, 0); INSERT INTO n VALUES (4, NOW(), 0, 0);"
} | mariadb --no-defaults -S "$one/sock" >/dev/null || fail "the rows cannot be made"
sleep 1.1
moment=$(date -u +%Y-%m-%dT%H:%M:%SZ)
sleep 1.1
maria_sql "$one" "INSERT INTO app.n VALUES (9, NOW(), 0, 0)"
expect 0 "$t" backup db
[ "$(zone_of)" = "$zone" ] || fail "the zone is $(zone_of)"
ask="SELECT * FROM app.n WHERE id < 9; SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_NAME = 'e'; SELECT COUNT(*), SUM(LENGTH(t)) FROM app.loaded"
wanted=$(maria_sql "$one" "$ask")
rows() { # NAME: what is in the data folder of that restore
    install -d -o mysql "$work/s-$1" && ln -sfn "$work/$1/mariadb/data" "$work/s-$1/data"
    maria_start "$work/s-$1" >&2 && maria_sql "$work/s-$1" "$2"
    maria_stop "$work/s-$1"
}
# find_load: content of tables that lies around
find_load() { find /tmp "$TMPDIR" -maxdepth 2 -name 'SQL_LOAD*' -newer "$one/in.txt" 2>/dev/null; }
expect 3 timeout -k 5 60 "$t" restore db --to "$work/r" --at "$moment" --verify && said "times in the binary logs do not follow each other" &&
    said "with 1 transactions of a later time; 0 of an earlier time" && said "tables are right" && said "rows.*4"
got=$(rows r "$ask; SELECT COUNT(*) FROM app.n WHERE id = 9")
[ "$got" = "$wanted
0" ] || fail "the restored rows are other ones: $got instead of $wanted"
[ -z "$(find_load)" ] || fail "content of a table stayed: $(find_load)"

# --- a check that is not right --------------------------------------------------------------------------------------
policy "> 99"
expect 4 "$t" restore db --to "$work/wrong" --at "$moment" --verify && said "check .rows.: 4, but > 99 is expected"
[ ! -e "$work/wrong/mariadb/data" ] || fail "what is not right is called data"
policy ">= 0"

# --- a host that does not know the zone -----------------------------------------------------------------------------
if mount --bind /usr/share/zoneinfo/UTC "/usr/share/zoneinfo/$zone" 2>/dev/null; then
    expect 5 "$t" restore db --to "$work/zone" --at "$moment" && said "the time zone $zone of the original is not the same on this host" && said "tzdata"
    [ ! -e "$work/zone/mariadb/data" ] || fail "what was done in another zone is called data"
    umount "/usr/share/zoneinfo/$zone"
else
    skip_part "a host without that time zone (no mounts)"
fi

# --- a log that is not the server's any more ------------------------------------------------------------------------
printf 'only the server may read this\n' >"$work/secret"
chown mysql "$work/secret" && chmod 600 "$work/secret"
file=$(maria_sql "$one" "SHOW MASTER STATUS" | cut -f 1)
maria_sql "$one" "INSERT INTO app.loot VALUES ('$(printf 'P%.0s' {1..300})'); FLUSH BINARY LOGS"
sleep 1.1
moment=$(date -u +%Y-%m-%dT%H:%M:%SZ)
python3 - "$one/data/$file" "LOAD DATA LOCAL INFILE '$work/secret' INTO TABLE app.loot" <<'P' || fail "the log cannot be changed"
import sys, struct, zlib
path, sql = sys.argv[1], sys.argv[2].encode()
d = bytearray(open(path, "rb").read())
at, done = 4, 0
while at < len(d):
    n = struct.unpack("<I", d[at + 9:at + 13])[0]
    ev = d[at:at + n]
    i = ev.find(b"INSERT INTO app.loot VALUES ('PPP")
    if i >= 0 and ev[4] == 2:
        ev[i:n - 4] = sql.ljust(n - 4 - i)
        ev[n - 4:] = struct.pack("<I", zlib.crc32(bytes(ev[:n - 4])))
        d[at:at + n] = ev
        done += 1
    at += n
open(path, "wb").write(d)
sys.exit(done != 1)
P
sleep 1.1
expect 0 "$t" backup db
expect 4 "$t" restore db --to "$work/loot" --at "$moment" && said "the log cannot be replayed.*$work/secret"
[ ! -e "$work/loot/mariadb/data" ] || fail "a log read a file of the host: $(rows loot "SELECT t FROM app.loot")"
finish
