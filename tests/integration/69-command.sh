#!/bin/bash
# 69-command.sh - what programs dump: pg_dump and mariadb-dump there and back while others write; programs that fail in the middle, never end, say too
# much or nothing; driver files that are wrong, or somebody else's; nothing of a dump on a disk.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/maria.sh"
trap 'status=$?; [ -z "${load:-}" ] || kill "$load"; pg_stop_all; maria_stop_all; exit $status' EXIT

new_vault "$work/v"
drivers=$vault/c/drivers
mkdir -p "$drivers"
shipped=$TWOFOLD_SRC/policies/drivers
policy() { printf 'command: { drivers: [%s] }\n' "$2" >"$vault/c/policies/$1.yaml"; }
mkdir -p "$vault/c/policies"
# driver NAME LINE…
driver() { printf '%s\n' "${@:2}" >"$drivers/$1.yaml"; }
heads() { "$t" snapshots "$1" 2>/dev/null | grep -c " $1 "; }

# --- programs of all kinds --------------------------------------------------------------------------------------------
driver echo 'dump: [echo, "$(touch owned); `id`; a  b", ">", x]' 'file: a file.txt'
policy p echo
SECRET=hidden expect 0 "$t" --json backup p && [ "$(json state)" = whole ] || fail "echo is not whole"
expect 0 "$t" restore p --to "$work/echo" && said 'the dump of echo; --load=echo would load it'
[ "$(cat "$work/echo/command/dumps/echo/a file.txt")" = '$(touch owned); `id`; a  b > x' ] || fail "a shell was between"
[ "$(stat -c %a "$work/echo/command/dumps/echo/a file.txt")" = 600 ] || fail "others may read a dump"
driver env 'dump: [/bin/sh, -c, "env; id -un; pwd; ls -l /proc/self/fd"]' 'user: nobody' 'environment: [ONE=1, HOME=/nowhere]'
policy e env
SECRET=hidden expect 0 "$t" backup e && expect 0 "$t" restore e --to "$work/env"
dump=$work/env/command/dumps/env/dump
grep -q '^ONE=1' "$dump" && grep -q '^HOME=/nowhere' "$dump" && grep -q '^nobody' "$dump" && grep -q '^TWOFOLD_DRIVER=env' "$dump" || fail "environment or user: $(cat "$dump")"
grep -qE 'SECRET|TWOFOLD_CONFIG' "$dump" && fail "our environment is given away"
[ "$(grep -c -- '->' "$dump")" -le 4 ] || fail "descriptors are given away: $(cat "$dump")"

before=$(heads p)
bad() { # NAME PATTERN DRIVER-LINE…: such a program ends the run, and nothing is kept of it
    driver "$1" "${@:3}"
    policy p "$1"
    expect 1,3 "$t" backup p && said "$2" && said 'next:'
    [ "$(heads p)" = "$before" ] || fail "$1: a snapshot was made of it"
}
bad half 'it failed with the exit status 3: disk gone' 'dump: [/bin/sh, -c, "seq 1 700000; echo disk gone >&2; exit 3"]'
bad killed 'it was killed by signal 9' 'dump: [/bin/sh, -c, "seq 1 700000; kill -9 $$"]'
bad empty 'wrote only 0 bytes: .*nothing' 'dump: [/bin/sh, -c, "echo nothing >&2"]'
bad short 'wrote only 6 bytes' 'dump: [echo, short]' 'min-bytes: 1KiB'
bad nobody 'there is no program "no-such-program"' 'dump: [no-such-program]'
bad slow 'it did not end within 2 s, and was killed' 'dump: [/bin/sh, -c, "seq 1 1000; trap : TERM; sleep 7654 & sleep 7653"]' 'time-limit: 2s'
bad endless 'it did not end within 2 s, and was killed' 'dump: [/bin/sh, -c, "yes endless"]' 'time-limit: 2s'
pgrep -f 'sleep 765[34]' >/dev/null && fail "the group was not killed"
bad loud 'exit status 1: \[31mred\?' 'dump: [/bin/sh, -c, "head -c 20000000 /dev/zero >&2; printf \"\\033[31mred\\377\\n\" >&2; exit 1"]'
[ "$(wc -c <"$work/.err")" -lt 5000 ] || fail "too much is told"
grep -q "$(printf '\033')" "$work/.err" && fail "control characters of the program reach the terminal"
# --- a program that loads nothing, or not all, is not one that has loaded it
driver deaf 'dump: [/bin/sh, -c, "seq 1 1000000"]' 'restore: [/bin/true]'
policy deaf deaf
expect 0 "$t" check deaf && said 'has no "check": nothing was asked of it'
expect 0 "$t" backup deaf
expect 1 "$t" restore deaf --to "$work/deaf" --load deaf && said 'has read nothing of the dump' && not_said 'was loaded'
driver deaf 'dump: [/bin/sh, -c, "seq 1 1000000"]' 'restore: [head, -c, "65536"]'
expect 3 "$t" restore deaf --to "$work/deaf2" --load deaf && said 'read only [0-9]+ of 6888896 bytes' && not_said 'was loaded'
driver deaf 'dump: [/bin/sh, -c, "seq 1 1000000"]' "restore: [/bin/sh, -c, \"cat | wc -c >$work/taken\"]"
expect 0 "$t" restore deaf --to "$work/deaf3" --load deaf && said 'deaf: the dump was loaded'
[ "$(cat "$work/taken")" = 6888896 ] || fail "the program did not get the dump"
# --- a program that somebody else can exchange is not run as root
if [ "$(id -u)" -eq 0 ]; then
    install -d -o nobody "$work/joe"
    printf '#!/bin/sh\necho dump\ntouch %s\n' "$work/joe/ran" >"$work/joe/dump" && chmod 755 "$work/joe/dump"
    driver theirs "dump: [$work/joe/dump]"
    policy p theirs
    expect 1,5 "$t" backup p && said "others than root and the agent" && said "$work/joe"
    [ ! -e "$work/joe/ran" ] || fail "it was run"
    driver theirs "dump: [$work/joe/dump]" 'user: nobody'
    expect 0 "$t" backup p
fi
driver chatty 'dump: [/bin/sh, -c, "seq 1 1000; head -c 5000000 /dev/zero >&2; echo a word of warning >&2"]'
policy p chatty
expect 0 "$t" backup p && said 'a word of warning'

# --- driver files -----------------------------------------------------------------------------------------------------------
policy x '../echo' && expect 2 "$t" policy lint && said 'cannot be the name of a driver file'
policy x none && expect 1 "$t" backup x && said 'No such file' && said 'next: copy one of the driver files'
driver wrong 'dump: echo' && policy x wrong && expect 2 "$t" backup x && said 'wrong.yaml, line 1'
driver wrong 'dump: [echo]' 'dmup: [x]' && expect 2 "$t" backup x && said 'wrong.yaml, line 2'
driver wrong 'dump: [echo]' 'user: no-such-user' && expect 2 "$t" backup x && said 'no user "no-such-user"'
driver wrong 'dump: [echo]' 'file: ../x' && expect 2 "$t" backup x && said 'not the name of a file'
driver wrong 'restore: [cat]' && expect 2 "$t" backup x && said 'has no "dump"'
driver wrong 'dump: [echo, x]' && chmod 666 "$drivers/wrong.yaml" && expect 5 "$t" backup x && said 'others than root and the agent'
chmod 644 "$drivers/wrong.yaml" && chmod 777 "$drivers" && expect 5 "$t" backup x && said 'others than root and the agent'
chmod 755 "$drivers"
rm "$vault/c/policies/x.yaml"
for file in "$shipped"/*.yaml; do
    sed '/^user:/d' "$file" >"$drivers/s-$(basename "$file")"
    expect 0,3 "$t" policy add "s-$(basename "$file" .yaml)" --command "s-$(basename "$file" .yaml)" --schedule none
    not_said 'yaml, line'
    if grep -q 'NOT VERIFIED' "$file"; then
        grep -q '^tried: no' "$file" || fail "$file does not say that it was never tried"
        [ "$(basename "$file")" != ldap.yaml ] || said 'was never tried by its authors'
    fi
    rm -f "$vault/c/policies/s-$(basename "$file")"
done

# --- nothing of a dump is on a disk, and a night's change is small; logs ------------------------------------------------------------
mkdir "$work/archive" && echo one >"$work/archive/log.1"
cat >"$work/big.py" <<'P'
import random, sys
r = random.Random(5)
data = bytearray(r.randbytes(48 << 20))
edit = open(sys.argv[1]).read()
data[20 << 20:20 << 20] = edit.encode()
sys.stdout.buffer.write(data)
P
echo first >"$work/edit"
driver big "dump: [$(command -v python3 | xargs readlink -f), $work/big.py, $work/edit]" "logs: $work/archive" 'environment: ["PATH='"$PATH"'"]'
policy big big
small=""
if [ -n "${SCENARIO_NAMESPACE:-}" ] && mount -t tmpfs -o size=24m small "$vault/s/agent" 2>/dev/null; then small=1; else skip_part "that nothing is on a disk (it takes a mount)"; fi
size() { du -sb "$a/packs" | cut -f 1; }
expect 0 "$t" backup big
first=$(size)
echo "a longer second text" >"$work/edit"
echo two >"$work/archive/log.2"
expect 0 "$t" backup big
[ $(($(size) - first)) -lt 6000000 ] || fail "a small change added $(($(size) - first)) bytes"
[ -z "$small" ] || umount "$vault/s/agent"
expect 0 "$t" restore big --to "$work/big"
cmp <(python3 "$work/big.py" "$work/edit") "$work/big/command/dumps/big/dump" || fail "the dump differs"
[ "$(cat "$work/big/command/logs/big/"*)" = "$(printf 'one\ntwo')" ] || fail "the logs are not there"

# --- an agent that is killed takes the program with it ---------------------------------------------------------------------------------
driver hang 'dump: [sleep, "8642"]'
policy hang hang
"$t" backup hang >/dev/null 2>&1 &
job=$!
until child=$(pgrep -f '/sleep 8642$'); do kill -0 $job || break; done
agent=$(awk '/^PPid/ { print $2 }' "/proc/$child/status")
kill -9 "$agent"
wait $job 2>/dev/null
for _ in $(seq 100); do pgrep -f '/sleep 8642$' >/dev/null || break; sleep 0.05; done
pgrep -f '/sleep 8642$' >/dev/null && fail "the program outlived the agent"

# --- PostgreSQL ------------------------------------------------------------------------------------------------------------------------
one=$work/one
pg_new one
pg_start "$one" || finish
pg_sql "$one" "CREATE DATABASE budget"
pg_sql "$one" "CREATE TABLE ledger (id bigint PRIMARY KEY, amount int, total bigint)" budget
pg_sql "$one" "INSERT INTO ledger VALUES (0, 0, 0)" budget
pg_sql "$one" "CREATE TABLE t AS SELECT i, md5(i::text) AS x FROM generate_series(1, 60000) i; CREATE INDEX ON t (x)" budget
pg_sql "$one" "CREATE ROLE clerk; GRANT SELECT ON t TO clerk" budget
cat >"$work/ledger.sql" <<'Q'
\set amount random(1, 1000)
INSERT INTO ledger SELECT id + 1, :amount, total + :amount FROM ledger ORDER BY id DESC LIMIT 1;
Q
for name in pg-dump pg-dumpall; do
    sed "s|PGHOST=/run/postgresql|PGHOST=$one, \"PATH=$pgbin:/usr/bin:/bin\"|" "$shipped/$name.yaml" >"$drivers/$name.yaml"
done
expect 0 "$t" policy add pg --command pg-dump --command pg-dumpall --schedule none
as_pg pgbench -h "$one" -U postgres -n -f "$work/ledger.sql" -T 300 -c 1 budget >/dev/null 2>&1 &
load=$!
until [ "$(pg_sql "$one" "SELECT count(*) FROM ledger" budget)" -gt 50 ]; do :; done
from=$(pg_sql "$one" "SELECT max(id) FROM ledger" budget)
expect 0 "$t" --json backup pg
to=$(pg_sql "$one" "SELECT max(id) FROM ledger" budget)
kill $load
wait $load 2>/dev/null
load=""
table=$(pg_sql "$one" "SELECT count(*), md5(string_agg(x, ',' ORDER BY i)) FROM t" budget)
pg_sql "$one" "DROP TABLE t, ledger; CREATE TABLE other (i int); DROP ROLE clerk" budget
expect 2 "$t" restore pg --in-place
expect 1,2 "$t" restore pg --to "$work/pg0" --load other && said 'No such file|has no dump'
expect 0 "$t" restore pg --to "$work/pg" --load pg-dumpall --load pg-dump && said 'pg-dump: the dump was loaded' && said 'pg-dump: its check ended well'
[ "$(pg_sql "$one" "SELECT count(*), md5(string_agg(x, ',' ORDER BY i)) FROM t" budget)" = "$table" ] || fail "the table is not what it was"
[ "$(pg_sql "$one" "SELECT has_table_privilege('clerk', 't', 'select')" budget)" = t ] || fail "the role or its right is not there"
[ "$(pg_sql "$one" "SELECT count(*) FROM (SELECT id, total, amount, lag(total) OVER w AS t, lag(id) OVER w AS i
    FROM ledger WINDOW w AS (ORDER BY id)) l WHERE i IS NOT NULL AND (id <> i + 1 OR total <> t + amount)" budget)" = 0 ] || fail "the ledger has gaps or wrong totals"
now=$(pg_sql "$one" "SELECT max(id) FROM ledger" budget)
[ "$now" -ge "$from" ] && [ "$now" -le "$to" ] || fail "the ledger ends at $now, not from $from to $to"
pg_sql "$one" "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'budget'; " >/dev/null
pg_stop "$one"
expect 1 "$t" backup pg && said 'it failed with the exit status 1: pg_dump: error: connection to server'
expect 1 "$t" restore pg --to "$work/pg2" --load pg-dump && said 'it failed with the exit status 1: pg_restore: error: connection'
expect 3 "$t" policy add pg2 --command pg-dump --schedule none && said 'psql: it failed'

# --- MariaDB ---------------------------------------------------------------------------------------------------------------------------
my=$work/my
maria_new my
maria_start "$my" || finish
maria_sql "$my" "CREATE DATABASE budget"
maria_sql "$my" "CREATE TABLE ledger (id BIGINT PRIMARY KEY, amount INT, total BIGINT) ENGINE=InnoDB; INSERT INTO ledger VALUES (0, 0, 0);
    CREATE TABLE t (i INT PRIMARY KEY, x VARBINARY(40)); INSERT INTO t SELECT seq, UNHEX(MD5(seq)) FROM seq_1_to_30000;
    CREATE PROCEDURE twice(IN n INT) SELECT 2 * n" budget
sed -e "s|^user: .*||; s|\[mariadb-dump, |[mariadb-dump, --no-defaults, -S, $my/sock, |; s|\[mariadb, |[mariadb, --no-defaults, -S, $my/sock, |" "$shipped/mariadb-dump.yaml" >"$drivers/maria.yaml"
expect 0 "$t" policy add my --command maria --schedule none
(while maria_sql "$my" "INSERT INTO ledger SELECT id + 1, 7, total + 7 FROM ledger ORDER BY id DESC LIMIT 1" budget; do :; done) >/dev/null 2>&1 &
load=$!
until [ "$(maria_sql "$my" "SELECT count(*) FROM ledger" budget)" -gt 10 ]; do :; done
from=$(maria_sql "$my" "SELECT max(id) FROM ledger" budget)
expect 0 "$t" backup my
to=$(maria_sql "$my" "SELECT max(id) FROM ledger" budget)
kill $load
wait $load 2>/dev/null
load=""
table=$(maria_sql "$my" "CHECKSUM TABLE t EXTENDED" budget)
maria_sql "$my" "DROP TABLE t, ledger; DROP PROCEDURE twice" budget
expect 0 "$t" restore my --to "$work/my-out" --from b --load maria && said 'maria: the dump was loaded'
[ "$(maria_sql "$my" "CHECKSUM TABLE t EXTENDED" budget)" = "$table" ] || fail "the table is not what it was"
[ "$(maria_sql "$my" "CALL twice(21)" budget)" = 42 ] || fail "the procedure is not there"
now=$(maria_sql "$my" "SELECT max(id) FROM ledger" budget)
[ "$now" -ge "$from" ] && [ "$now" -le "$to" ] && [ "$(maria_sql "$my" "SELECT total FROM ledger WHERE id = $now" budget)" = $((7 * now)) ] || fail "the ledger is not whole"
# A dump from a host in other hands runs no programs here.
printf '%s\n' "\\! touch $work/ran" "system touch $work/ran" 'SELECT 1;' >"$work/trap.sql"
{
    echo "dump: [/bin/cat, $work/trap.sql]"
    grep '^restore:' "$drivers/maria.yaml"
    echo 'file: trap.sql'
} >"$drivers/trap.yaml"
expect 0,3 "$t" policy add trap --command trap --schedule none
expect 0 "$t" backup trap
expect 0,1,3,4,5 "$t" restore trap --to "$work/trap" --load trap
[ -s "$(find "$work/trap" -name trap.sql)" ] || fail "the dump is not there: nothing is tested"
[ ! -e "$work/ran" ] || fail "a dump ran a program"
finish
