# standby.sh - two PostgreSQL servers on two hosts of the lab, db1 and db2, the second a standby of the first; an address that clients use; writers
# with a ledger; and a witness who would see two servers that take writes. After lib.sh, pg.sh, lab.sh.
# shellcheck shell=bash disable=SC2034,SC2154
service=10.77.0.100
pair_data=/srv/pg/data

# pair_host NAME OTHER: the host, its half of policies/standby/.
pair_host() {
    local other=$2
    lab_on "$1" install -d -o postgres -g postgres -m 755 /srv/pg
    lab_on "$1" sh -c "cp '$TWOFOLD_SRC'/policies/standby/* /usr/local/sbin/ && cat >>/usr/local/sbin/pg-standby.conf" <<CONF
data=$pair_data
data_on=/
bin=$pgbin
here="host=/srv/pg user=postgres"
other="host=$(lab_address "$other") user=postgres application_name=$1"
sync=${pair_sync-$other}
stop_s=${pair_stop_s:-5}
address=$service/24
interface=eth0
CONF
}

on_pair() { # HOST PROGRAM…, as the server's user
    local host=$1
    shift
    lab_on "$host" setpriv --reuid=postgres --regid=postgres --clear-groups env HOME=/tmp PATH="$pgbin:$PATH" "$@"
}
pair_sql() { on_pair "$1" psql -X -qAt -v ON_ERROR_STOP=1 -h /srv/pg -U postgres -d "${3:-postgres}" -c "$2"; }
pair_do() { lab_on "$1" "/usr/local/sbin/pg-$2.sh" "${@:3}"; }

# The hosts are there: db1 serves at the address, db2 follows it.
pair_begin() {
    pair_host db1 db2
    pair_host db2 db1
    on_pair db1 initdb -D $pair_data -k -A trust -U postgres -E UTF8 --locale=C.UTF-8 >"$work/initdb.log" 2>&1 || fail "initdb: $(tail -n 3 "$work/initdb.log")"
    on_pair db1 sh -c "cat >>$pair_data/postgresql.conf" <<CONF
listen_addresses = '*'
unix_socket_directories = '/srv/pg'
shared_buffers = 16MB
fsync = off
CONF
    on_pair db1 sh -c "echo 'host all,replication all 10.77.0.0/24 trust' >>$pair_data/pg_hba.conf"
    pair_start db1
    pair_sql db1 "CREATE TABLE ledger (writer int, n int, PRIMARY KEY (writer, n)); CREATE TABLE load (i int, filler text)"
    pair_do db1 switch >/dev/null || fail "no address"
    pair_do db2 reseed >"$work/.reseed" 2>&1 || fail "no standby: $(cat "$work/.reseed")"
    pair_do db1 sync >/dev/null || fail "commits do not wait"
}
pair_start() { on_pair "$1" pg_ctl -D $pair_data -l $pair_data.log -w start >/dev/null 2>&1 || fail "the server of $1 does not start: $(lab_on "$1" tail -n 5 $pair_data.log)"; }

clients=""
clients_begin() {
    rm -f "$work/no-more"
    lab_on app python3 "$here/clients.py" $service "$(lab_address db1)" "$(lab_address db2)" "$work" >"$work/.clients" 2>&1 &
    clients=$!
    more_written 5
}
clients_end() {
    touch "$work/no-more"
    wait "$clients" || fail "the clients: $(cat "$work/.clients")"
    [ ! -e "$work/two-writable" ] || fail "two servers took writes at once"
}
acknowledged() { cat "$work"/ledger.* 2>/dev/null | wc -l; }
# So many more commits are acknowledged from now on.
more_written() {
    local from
    from=$(acknowledged)
    lab_until "[ \$(acknowledged) -ge $((from + $1)) ]" 30 || fail "nothing is written: $(cat "$work"/why.*)"
}

# ledger_exact HOST: it has every commit that was acknowledged.
ledger_exact() {
    cat "$work"/ledger.* | sort >"$work/.acknowledged"
    pair_sql "$1" "SELECT writer || ' ' || n FROM ledger" | sort >"$work/.there"
    local lost
    lost=$(comm -23 "$work/.acknowledged" "$work/.there" | wc -l)
    [ "$lost" -eq 0 ] || fail "$1 lacks $lost of $(wc -l <"$work/.acknowledged") acknowledged commits: $(comm -23 "$work/.acknowledged" "$work/.there" | head -n 5 | xargs)"
    say "$(wc -l <"$work/.acknowledged") acknowledged, $(wc -l <"$work/.there") there"
}

# pair_policy: the two hosts are agents of app's, and the policy `db` has their commands. After pair_begin.
pair_policy() {
    local host line commands source="host=/srv/pg user=postgres"
    for host in db1 db2; do
        commands=(--allow-command postgres --allow-restore /srv/pg) # for a restore where the standby is given up
        for line in "fence.sh" "fence.sh ask" promote.sh position.sh switch.sh reseed.sh sync.sh; do
            commands+=(--allow-command "/usr/local/sbin/pg-$line")
        done
        lab_trust app $host
        lab_install $host
        expect 0 on --yes agent enrol $host --allow-source "postgresql $source" --allow /srv "${commands[@]}"
    done
    expect 0 on policy add db --agent db1 --postgresql "$source" --schedule none
    cat >>"$vault/c/policies/db.yaml" <<'CONF'
crash:
  standby:
    on: db2
    fence: [/usr/local/sbin/pg-fence.sh]
    fenced: [/usr/local/sbin/pg-fence.sh, ask]
    promote: [/usr/local/sbin/pg-promote.sh]
    position: [/usr/local/sbin/pg-position.sh]
    switch: [/usr/local/sbin/pg-switch.sh]
    reseed: [/usr/local/sbin/pg-reseed.sh]
    sync: [/usr/local/sbin/pg-sync.sh]
CONF
    expect 0 on policy lint
}
on() { lab_on app env TWOFOLD_LINK_DEADLINE_S=12 "$t" "$@"; }
timeline() { cat "$vault"/s/incidents/db-*/timeline; }
timeline_lines() { timeline 2>/dev/null | wc -l; }

# What the newest line is: "promote intent"; of what is no step its kind.
newest_line() { timeline 2>/dev/null | tail -n 1 | sed -E 's/.*"kind":"([a-z]*)".*/\1 &/; s/^step .*"step":"([a-z-]*)".*"state":"([a-z]*)".*/\1 \2/; s/^([a-z-]* ?[a-z]*).*/\1/'; }

# killed_at_each_line STATUS COMMAND…: the command is killed once at each kind of line, at its intents by turns in the middle of what it does, and
# run again, until it ends by itself.
killed_at_each_line() {
    local want=$1 line pid rc kills=0
    declare -A seen
    shift
    while :; do
        on "$@" >"$work/.out" 2>"$work/.err" </dev/null &
        pid=$!
        while kill -0 "$pid" 2>/dev/null; do
            line=$(newest_line)
            if [ -n "$line" ] && [ -z "${seen[$line]:-}" ]; then
                seen[$line]=1
                [ $((kills % 2)) -eq 0 ] || sleep 0.4
                lab_on app pkill -KILL -x twofold 2>/dev/null && kills=$((kills + 1))
                break
            fi
            sleep 0.02
        done
        wait "$pid" 2>/dev/null
        rc=$?
        [ $rc -ge 128 ] || break
        [ "${*: -1}" != db ] || [ "$#" -ne 3 ] || set -- --yes crash resume db
        [ "$kills" -lt 80 ] || { fail "no end of it"; return; }
    done
    [ "$rc" -eq "$want" ] || { fail "exit status $rc instead of $want: twofold $*"; show_output; }
    say "killed $kills times, at ${!seen[*]}"
}
