# sent.sh - a server whose files the agent cannot read, for it is nobody's. After lib.sh, pg.sh and wal.sh.
# shellcheck shell=bash disable=SC2034,SC2154
one=$work/one
pg_new one
install -d -o postgres -g postgres -m 700 "$work/space" "$work/etc"
mv "$one/data/pg_ident.conf" "$work/etc/ident.conf"
echo "ident_file = '$work/etc/ident.conf'" >>"$one/data/postgresql.conf"
pg_start "$one" || finish
pg_sql "$one" "CREATE TABLESPACE fast LOCATION '$work/space'"
pg_sql "$one" "CREATE TABLE t TABLESPACE fast AS SELECT i, repeat('x', 100) AS x FROM generate_series(1, 20000) i"
pg_sql "$one" "CREATE TABLE big AS SELECT i, md5(i::text) AS x FROM generate_series(1, 200000) i"
pg_sql "$one" "CREATE ROLE backup LOGIN"

root_t=$t
install -d -o nobody "$work/v" "$work/v/home" "$work/bin"
cp "$(dirname "$t")/twofold-agent" "$t" "$work/bin/"
cat >"$work/t" <<SCRIPT
#!/bin/sh
exec setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME="$work/v/home" "$work/bin/$(basename "$t")" "\$@"
SCRIPT
chmod 755 "$work/t"
t=$work/t
vault=$work/v
export TWOFOLD_CONFIG=$work/v/c TWOFOLD_STATE=$work/v/s
a=$work/v/a b=$work/v/b pass=$work/v/pass
printf 'Correct-Horse-Battery-9\n' >"$pass"
chown nobody "$pass"
chmod 600 "$pass"
setpriv --reuid=nobody --clear-groups test -r "$one/data/PG_VERSION" && fail "the data folder can be read"
expect 0 "$t" --yes init --vault main --copy "a=$a" --copy "b=$b" --passphrase-file "$pass" --keep-recovery-key
# as_root COMMAND…: restores by root, so that files get their owner; what is the vault's stays nobody's.
as_root() {
    local rc=0
    "$root_t" "$@" || rc=$?
    chown -R nobody "$work/v"
    return $rc
}
no_scratch() { # WHEN
    [ -z "$(find "$work/v/s" -name 'postgresql-scratch-*' -print -quit)" ] || fail "$1: a scratch folder stayed"
}
# sent NAME DIR [REST]: a policy for the server in DIR.
sent() { printf 'postgresql: { conninfo: "host=%s user=backup", access: replication%s }\n' "$2" "${3:-}" >"$work/v/c/policies/$1.yaml"; }
