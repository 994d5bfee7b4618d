#!/bin/bash
# 77-hooks-set.sh - software and its database as a set of one moment: an application writes a file and a row under one lock, and what is restored
# matches; the commands come before backup mode and after it. And a snapshot of a btrfs subvolume.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
hooks=$TWOFOLD_SRC/policies/hooks
one=$work/one
pg_new one
pg_start "$one" || finish
pg_sql "$one" "CREATE TABLE filed (n bigint PRIMARY KEY); CREATE TABLE marks (phase text)"
new_vault "$work/v"
mkdir -p "$work/app/documents" "$work/v/c/policies" "$work/bin"
install -m 755 "$hooks/hold-lock.sh" "$hooks/btrfs-snapshot.sh" "$work/bin/"

# The application: a document and its row, under its lock. Any moment between the two shows.
cat >"$work/app.py" <<'P'
import fcntl, os, subprocess, sys
work, pg, psql = sys.argv[1:]
lock = open(work + "/lock", "a")
db = subprocess.Popen(psql.split() + ["-h", pg, "-U", "postgres", "-d", "postgres", "-X", "-qAt"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
n = 0
while not os.path.exists(work + "/end"):
    fcntl.flock(lock, fcntl.LOCK_EX)
    n += 1
    with open("%s/app/documents/%06d" % (work, n), "w") as f:
        f.write("document %d\n" % n)
    db.stdin.write(b"INSERT INTO filed VALUES (%d); SELECT 1;\n" % n)
    db.stdin.flush()
    db.stdout.readline()
    fcntl.flock(lock, fcntl.LOCK_UN)
db.stdin.close()
db.wait()
P
: >"$work/lock"
python3 "$work/app.py" "$work" "$one" "$(command -v psql)" &
app=$!

# Around the lock: when the database is in backup mode, a session of the agent's holds a slot.
cat >"$work/bin/around" <<S
#!/bin/bash
slots() { setpriv --reuid=postgres --clear-groups --regid=postgres psql -X -qAt -h "$one" -U postgres -d postgres -c "\$1"; }
[ "\$1" = after ] || "$work/bin/hold-lock.sh" before "$work/lock" || exit 1
echo "\$1 \$(slots 'SELECT count(*) FROM pg_replication_slots')" >>"$work/order"
case \$1 in
before) touch "$work/app/frozen"; slots "INSERT INTO marks VALUES ('frozen')" ;;
after) rm -f "$work/app/frozen"; slots "DELETE FROM marks"; "$work/bin/hold-lock.sh" after "$work/lock" ;;
esac
S
chmod 755 "$work/bin/around"
cat >"$work/v/c/policies/set.yaml" <<Y
files: { paths: ["$work/app"] }
postgresql: { conninfo: "host=$one user=postgres" }
hooks: { before: [$work/bin/around, before], after: [$work/bin/around, after], time-limit: 1m }
Y
expect 0 "$t" policy lint
until [ "$(pg_sql "$one" "SELECT count(*) FROM filed")" -gt 20 ]; do :; done
for _ in 1 2; do
    expect 0 "$t" --json backup set
    [ "$(json state)" = whole ] || fail "not whole"
    is=$(pg_sql "$one" "SELECT max(n) FROM filed")
    until [ "$(pg_sql "$one" "SELECT max(n) FROM filed")" -gt $((is + 20)) ]; do :; done # it goes on
done
printf 'before 0\nafter 0\nbefore 0\nafter 0\n' | cmp - "$work/order" || fail "order: $(cat "$work/order")"
[ ! -e "$work/app/frozen" ] || fail "not thawed"
touch "$work/end"
wait "$app"

n=0
for id in $("$t" snapshots set 2>/dev/null | awk '$2 == "set" { print $1 }'); do
    n=$((n + 1))
    expect 0 "$t" restore set --snapshot "$id" --to "$work/back$n"
    [ -e "$work/back$n$work/app/frozen" ] || fail "read before the first command, or after the second one"
    mkdir -p "$work/s$n" && chown postgres "$work/s$n"
    ln -s "$work/back$n/postgresql/data" "$work/s$n/data"
    pg_start "$work/s$n" || continue
    [ "$(pg_sql "$work/s$n" "SELECT phase FROM marks")" = frozen ] || fail "the database is not of that moment"
    rows=$(pg_sql "$work/s$n" "SELECT count(*) || ' ' || max(n) FROM filed")
    files=$(find "$work/back$n$work/app/documents" -type f | wc -l)
    say "restored: $files documents, rows: $rows"
    [ "$rows" = "$files $files" ] || fail "$files documents, but rows (number, last): $rows"
    [ "$(cat "$work/back$n$work/app/documents/$(printf %06d "$files")")" = "document $files" ] || fail "the last document is torn"
    pg_stop "$work/s$n"
done
[ "$n" = 2 ] || fail "$n backups instead of 2"

# --- btrfs ----------------------------------------------------------------------------------------------------------------
truncate -s 160M "$work/disk" && mkdir "$work/b"
if ! mkfs.btrfs -q "$work/disk" >/dev/null 2>&1 || ! mount -o loop "$work/disk" "$work/b" 2>/dev/null; then
    skip_part "a snapshot of btrfs: no such file system on a loop device here"
    finish
fi
btrfs subvolume create "$work/b/data" >/dev/null
small_tree "$work/b/data/tree" 5 30
sleep 2.1 # what is younger than two seconds is read again
cat >"$work/v/c/policies/b.yaml" <<Y
files: { paths: ["$work/b/now"] }
hooks:
  before: [$work/bin/btrfs-snapshot.sh, before, $work/b/data, $work/b/now]
  after: [$work/bin/btrfs-snapshot.sh, after, $work/b/data, $work/b/now]
Y
for _ in 1 2; do
    expect 0 "$t" --json backup b
    [ "$(json state)" = whole ] || fail "not whole"
    [ ! -e "$work/b/now" ] || fail "the snapshot is still there"
done
[ "$(json bytes_read)" -lt 1000 ] || fail "a snapshot of what is unchanged was read again: $(json bytes_read)"
expect 0 "$t" restore b --to "$work/bb" && same_tree "$work/b/data/tree" "$work/bb$work/b/now/tree"
btrfs subvolume snapshot -r "$work/b/data" "$work/b/now" >/dev/null # as a run that was cut off leaves it
expect 0 "$t" backup b
[ ! -e "$work/b/now" ] || fail "the snapshot is still there"
mkdir "$work/b/now" && touch "$work/b/now/mine"
expect 1 "$t" backup b && said 'no read-only snapshot'
[ -e "$work/b/now/mine" ] || fail "something else than a snapshot was deleted"
umount "$work/b"
finish
