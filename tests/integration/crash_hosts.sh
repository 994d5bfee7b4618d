# crash_hosts.sh - a site of six hosts of the lab for crashes told from beginning to end: an orchestrator, a PostgreSQL, a MariaDB and a web host, two
# storage hosts; writers whose every acknowledged commit is written down outside; damage to copies that can be taken back. After lib.sh, pg.sh,
# maria.sh, lab.sh.
# shellcheck shell=bash disable=SC2034,SC2154
# Real programs, but without sanitizers where no fault is put in: other scenarios have these steps under them, and here it is hosts that are tried.
programs=${hosts_programs:-$(dirname "${TWOFOLD_FAST:-$TWOFOLD}")}
hosts_agent=$programs/twofold-agent
state=$lab/orch/up/var/lib/twofold # of the orchestrator, as it is seen from here
orch() { lab_on orch env TWOFOLD_LINK_DEADLINE_S=4 "$@"; }
on() { orch twofold "$@"; }

# --- hosts ------------------------------------------------------------------------------------------------------------------
hosts_orch() {
    local program
    lab_host orch
    for program in twofold twofoldd twofold-ssh twofold-agent twofold-paper; do
        lab_on orch install -m 755 "$programs/$program" /usr/local/bin/
    done
    printf "Correct-Horse-Battery-9\n" >"$work/pass"
    lab_on orch sh -c 'rm -rf /etc/twofold /var/lib/twofold; printf "Correct-Horse-Battery-9\n" >/root/pass; chmod 600 /root/pass
        echo "li:x:4001:4001::/:/bin/sh" >>/etc/passwd'
}
hosts_store() { # NAME
    lab_host "$1"
    lab_on "$1" install -d -o twofold -g twofold /srv/disk
    lab_trust orch "$1" twofold
}
hosts_source() { # NAME
    lab_host "$1"
    lab_trust orch "$1"
    lab_on "$1" install -m 755 "$hosts_agent" /usr/local/bin/twofold-agent
}
hosts_vault() {
    local id="--identity /root/.ssh/id_ed25519"
    # shellcheck disable=SC2086 # two words
    expect 0 on --yes init --vault main --copy "machine-room=sftp://twofold@store1/srv/disk/vault" $id \
        --copy "building-2=sftp://twofold@store2/srv/disk/vault" $id --passphrase-file=/root/pass --keep-recovery-key
    orch sh -c 'mkdir -p /etc/twofold/policies; cat >/usr/local/sbin/sms; chmod 755 /usr/local/sbin/sms' <<'S'
#!/bin/sh
{ echo "to $1"; cat; echo; } >>/var/log/sms
S
    orch sh -c 'cat >/etc/twofold/twofold.yaml' <<'Y'
site: Bureau
language: en
notify: { command: [/usr/local/sbin/sms] }
forms: { unit: "Finance Bureau", telephone: "0393-5550000", place: "machine room 2" }
Y
    orch sh -c 'cat >/etc/twofold/contacts.yaml' <<Y
reviewed: $(date +%F)
roles:
  operator: { a: { name: Chen, phone: "13800000003" } }
  security-officer: { a: { name: Wang, phone: "13800000001" } }
  vendor: { a: { name: "Support desk", unit: "Vendor Ltd.", phone: "400-5550199" } }
  superior-unit: { a: { name: "Duty office", phone: "0371-5550120" } }
units:
  - { name: County, phone: "0393-5550131" }
Y
}
policy() { orch sh -c "cat >/etc/twofold/policies/$1.yaml"; }

hosts_begin() {
    lab_begin
    trap 'status=$?; rm -f "$work"/writing.*; (exit "$status"); lab_end' EXIT # writers end, or they hold the output open
    hosts_orch
    hosts_store store1
    hosts_store store2
    hosts_vault
}

# --- PostgreSQL, on a host of that name --------------------------------------------------------------------------------------------
on_pg() { lab_on "$pg" setpriv --reuid=postgres --regid=postgres --clear-groups env HOME=/tmp PATH="$pgbin:${pg_clients:-$pgbin}:$PATH" "$@"; }
db_sql() { on_pg psql -X -qAt -v ON_ERROR_STOP=1 -h /srv/pg -U postgres -c "$1"; }
hosts_pg() { # NAME
    pg=$1
    hosts_source "$1"
    pg_programs_on "$1"
    lab_on "$1" install -d -o postgres -g postgres -m 755 /srv/pg
    on_pg initdb -D /srv/pg/data -k -A trust -U postgres -E UTF8 --locale=C.UTF-8 --wal-segsize=1 >"$work/initdb.log" 2>&1 || fail "initdb: $(tail -n 3 "$work/initdb.log")"
    on_pg sh -c 'cat >>/srv/pg/data/postgresql.conf' <<'C'
listen_addresses = ''
unix_socket_directories = '/srv/pg'
shared_buffers = 16MB
max_connections = 30
fsync = off
C
    lab_on "$1" sh -c 'cat >/usr/local/sbin/pg-service; chmod 755 /usr/local/sbin/pg-service' <<S
#!/bin/sh
pg() { setpriv --reuid=postgres --regid=postgres --clear-groups env HOME=/tmp $pgbin/pg_ctl -D /srv/pg/data -l /srv/pg/log -w -t 60 "\$@"; }
case \$1 in
start) pg status || pg start ;;
stop)
    ! pg status || pg -m fast stop
    ! pkill -QUIT -x postgres || while pgrep -x postgres; do sleep 0.05; done ;; # also where its files are gone
esac </dev/null >/dev/null 2>&1
S
    lab_on "$1" pg-service start || fail "PostgreSQL does not start: $(lab_on "$1" tail -n 5 /srv/pg/log)"
    db_sql "CREATE TABLE fixed AS SELECT i, md5(i::text) AS sum FROM generate_series(1, 2000) i;
        CREATE TABLE ledger (id bigint PRIMARY KEY, at timestamptz, amount int, total bigint); INSERT INTO ledger VALUES (0, clock_timestamp(), 0, 0);
        CREATE VIEW breaks AS SELECT count(*) FROM (SELECT total, amount, id, lag(total) OVER w AS t, lag(id) OVER w AS i FROM ledger
            WINDOW w AS (ORDER BY id)) l WHERE id <> i + 1 OR total <> t + amount"
    expect 0 on --yes agent enrol "$1" --allow-source "postgresql host=/srv/pg user=postgres" \
        --allow-source "postgresql SELECT * FROM breaks" --allow-source "postgresql SELECT count(*) FROM fixed" --allow-restore /srv/pg --allow-command postgres \
        --allow-command "/usr/local/sbin/pg-service stop" --allow-command "/usr/local/sbin/pg-service start"
    policy "$1" <<P
agent: $1
postgresql:
  conninfo: "host=/srv/pg user=postgres"
  logs: 1s
  checks:
    - { name: goes-on, database: postgres, sql: SELECT * FROM breaks, expect: "= 0" }
    - { name: fixed, database: postgres, sql: SELECT count(*) FROM fixed, restored: same }
crash:
  stop: [/usr/local/sbin/pg-service, stop]
  start: [/usr/local/sbin/pg-service, start]
P
}

# --- MariaDB ---------------------------------------------------------------------------------------------------------------------
on_maria() { lab_on "$maria" mariadb --no-defaults -S /srv/maria/sock -N -B "$@"; }
maria_there() { on_maria -e "$1" | tr '\t' ' '; }
hosts_maria() { # NAME
    maria=$1
    hosts_source "$1"
    lab_on "$1" install -d -o mysql -g mysql -m 755 /srv/maria
    lab_on "$1" env -u TMPDIR mariadb-install-db --no-defaults --user=mysql --datadir=/srv/maria/data --skip-test-db --innodb-log-file-size=32M \
        --innodb-use-native-aio=0 --auth-root-authentication-method=socket >"$work/install.log" 2>&1 || fail "mariadb-install-db: $(tail -n 3 "$work/install.log")"
    lab_on "$1" sh -c 'cat >/usr/local/sbin/maria-service; chmod 755 /usr/local/sbin/maria-service' <<S
#!/bin/sh
asks() { mariadb --no-defaults -S /srv/maria/sock -e 'SELECT 1' >/dev/null 2>&1; }
case \$1 in
start)
    asks && exit 0
    setsid setpriv --reuid=mysql --regid=mysql --clear-groups env -u TMPDIR HOME=/tmp mariadbd --no-defaults --datadir=/srv/maria/data --socket=/srv/maria/sock \
        --pid-file=/srv/maria/pid ${maria_options[*]} --log-bin=bl --server-id=7 --max-binlog-size=64K --binlog-format=ROW --sync-binlog=1 \
        --innodb-flush-log-at-trx-commit=1 >>/srv/maria/log 2>&1 </dev/null &
    i=0
    until asks; do i=\$((i + 1)); [ \$i -lt 600 ] || exit 1; sleep 0.05; done ;;
stop)
    pid=\$(cat /srv/maria/pid 2>/dev/null) && [ "\$(cat /proc/\$pid/comm 2>/dev/null)" = mariadbd ] || exit 0
    kill \$pid
    while [ -e /proc/\$pid ]; do sleep 0.05; done ;;
esac
S
    lab_on "$1" maria-service start || fail "MariaDB does not start: $(lab_on "$1" tail -n 5 /srv/maria/log)"
    on_maria <<'Q' || fail "the tables cannot be made"
CREATE DATABASE app; USE app;
CREATE TABLE ledger (id BIGINT PRIMARY KEY, at DATETIME(6), amount INT, total BIGINT);
INSERT INTO ledger VALUES (0, NOW(6), 0, 0);
CREATE TABLE fixed AS SELECT seq AS i, MD5(seq) AS sum FROM seq_1_to_2000;
CREATE VIEW breaks AS SELECT COUNT(*) FROM (SELECT total, amount, LAG(total) OVER (ORDER BY id) AS t FROM ledger) l WHERE total <> t + amount;
Q
    expect 0 on --yes agent enrol "$1" --allow-source "mariadb /srv/maria/sock" --allow-source "mariadb SELECT * FROM breaks" --allow-source "mariadb SELECT COUNT(*) FROM fixed" \
        --allow-restore /srv/maria --allow-command mariadb --allow-command "/usr/local/sbin/maria-service stop" --allow-command "/usr/local/sbin/maria-service start"
    policy "$1" <<P
agent: $1
mariadb:
  server: /srv/maria/sock
  logs: 1s
  checks:
    - { name: goes-on, database: app, sql: SELECT * FROM breaks, expect: "= 0" }
    - { name: fixed, database: app, sql: SELECT COUNT(*) FROM fixed, restored: same }
crash:
  stop: [/usr/local/sbin/maria-service, stop]
  start: [/usr/local/sbin/maria-service, start]
P
}

# --- files -----------------------------------------------------------------------------------------------------------------------
hosts_web() { # NAME
    hosts_source "$1"
    small_tree "$work/site" 96 60
    head -c 3000000 /dev/urandom >"$work/site/film"
    lab_on "$1" sh -c "mkdir -p /srv && cp -a '$work/site' /srv/www"
    expect 0 on --yes agent enrol "$1" --allow /srv --allow-restore /srv/www
    expect 0 on policy add "$1" --agent "$1" --files /srv/www --schedule none
}

# --- the ledger: one row after the other. Each commit that was acknowledged is a line of $work/acked.NAME: its id, its time, how far the log was ----
write_to() { # NAME
    touch "$work/writing.$1" "$work/acked.$1"
    "rows_of_$1" 2>/dev/null >>"$work/acked.$1" </dev/null &
}
pg_row="INSERT INTO ledger SELECT id + 1, clock_timestamp(), 1 + id % 997, total + 1 + id % 997 FROM ledger ORDER BY id DESC LIMIT 1 RETURNING id, extract(epoch FROM at) AS at \\gset
SELECT :id, :at, 0, pg_current_wal_flush_lsn() - '0/0';"
maria_row="SET @id = (SELECT MAX(id) + 1 FROM ledger), @at = NOW(6); INSERT INTO ledger SELECT @id, @at, 1 + id % 997, total + 1 + id % 997 FROM ledger WHERE id = @id - 1;
SELECT @id, UNIX_TIMESTAMP(@at); SHOW MASTER STATUS;"
asked() { while [ -e "$work/writing.$1" ]; do echo "$2"; sleep "$3"; done; }
rows_of_pg() { asked pg "$pg_row" 0.01 | on_pg psql -X -qAt -F ' ' -v ON_ERROR_STOP=1 -h /srv/pg -U postgres; }
rows_of_maria() { asked maria "$maria_row" 0.02 | on_maria -n -D app | awk -F '\t' '/^bl/ { sub(/.*\./, "", $1); print row, $1 + 0, $2; fflush(); next } { row = $1 " " $2 }'; }
end_writes() { rm -f "$work/writing.$1"; }
acked() { tail -n 1 "$work/acked.$1" | cut -d' ' -f"${2:-1}"; }
more_acked() { # NAME N
    local from
    from=$(wc -l <"$work/acked.$1")
    lab_until "[ \$(wc -l <'$work/acked.$1') -ge $((from + $2)) ]" 30 || fail "nothing is written to $1"
}
ledger_of_pg() { db_sql "SELECT max(id), count(*), sum(amount), (SELECT * FROM breaks), (SELECT count(*) FROM fixed) FROM ledger" | tr '|' ' '; }
ledger_of_maria() { maria_there "SELECT MAX(id), COUNT(*), SUM(amount), (SELECT * FROM app.breaks), (SELECT COUNT(*) FROM app.fixed) FROM app.ledger"; }
# ends_at NAME ID [OR ID]: its ledger is whole up to this row, $last, and has nothing behind it.
ends_at() {
    local got
    got=$("ledger_of_$1" 2>&1)
    last=${got%% *}
    case $last in "$2" | "${3:-$2}") ;; *) fail "the ledger of $1 ends at $got instead of $2${3:+ or $3}"; return ;; esac
    [ "$got" = "$last $((last + 1)) $(awk -v n="$last" 'BEGIN { for (i = 0; i < n; i++) sum += 1 + i % 997; print sum + 0 }') 0 2000" ] ||
        fail "the ledger of $1 is not whole: $got"
    say "$1: $(acked "$1") acknowledged, up to $last it is back"
}
# goes_on NAME: its service is back: what was acknowledged and is lost will be written again.
goes_on() {
    rm -f "$work/acked.$1"
    write_to "$1"
}
at_of() { awk -v id="$2" '$1 <= id { at = $2 } END { print at }' "$work/acked.$1"; } # NAME ID: when that row was written

# upto NAME PART POSITION: the newest row that had been acknowledged when the log was there. Where it is a little further, the next one may be in it, too:
# what is written down of a row is where the log was when somebody had asked, and it may have begun another file.
upto() { awk -v part="$2" -v at="$3" '$3 < part || ($3 == part && $4 <= at) { id = $1; exact = $3 == part && $4 == at } END { print id + 0, exact ? "" : id + 1 }' "$work/acked.$1"; }
# kept NAME: "PART POSITION" up to which the log lies in copies.
kept() {
    on --json logs "$1" >"$work/.logs" 2>/dev/null
    python3 - "$work/.logs" <<'P'
import json, sys
for line in open(sys.argv[1]):
    o = json.loads(line)
    if o.get("type") == "log":
        print(o["timeline"], o["position"])
P
}
kept_up() { # NAME POSITION
    lab_until '[ "$(kept "'"$1"'" | cut -d" " -f2)" -ge '"$2"' ] 2>/dev/null' 60 || fail "the log of $1 is not kept: $(cat "$work/.keep.$1")"
}

keep() { # NAME: its log is followed, as its service would
    orch twofold logs "$1" --follow >"$work/.keep.$1" 2>&1 </dev/null &
    keeper[$1]=$!
}
declare -A keeper
unkeep() { # NAME: at once, as when it is killed
    lab_on orch pkill -KILL -f "^twofold logs $1 --follow" || fail "the log of $1 was not followed: $(cat "$work/.keep.$1")"
    wait "${keeper[$1]}" 2>/dev/null
}

# --- copies ------------------------------------------------------------------------------------------------------------------------
vault_of() { echo "/proc/${lab_pid[$1]}/root/srv/disk/vault"; }
damage() { # HOW SNAPSHOT [MORE]: what it says is in .damage
    /usr/bin/python3 "$here/crash_damage.py" "$1" "$(vault_of store1)" "$(vault_of store2)" "$work/pass" "$2" "$work/.journal" "${3:-1}" >"$work/.damage" 2>&1 ||
        { fail "no damage: $(tail -n 3 "$work/.damage")"; return 1; }
    say "damaged: $1: $(cat "$work/.damage")"
}
damaged() { python3 -c 'import json, sys; print(eval(sys.argv[2], {"o": json.load(open(sys.argv[1]))}))' "$work/.damage" "$1"; }
mend() { /usr/bin/python3 "$here/crash_damage.py" mend "$work/.journal" >"$work/.damage" 2>&1 || fail "it cannot be mended: $(tail -n 3 "$work/.damage")"; }

# --- what happened ------------------------------------------------------------------------------------------------------------------
# timeline POLICY: of its newest incident.
timeline() { ls -d "$state/incidents/$1"-* 2>/dev/null | while read -r d; do echo "$(head -n 1 "$d/timeline" | sed 's/.*"at":\([0-9]*\).*/\1/') $d/timeline"; done | sort -n | tail -n 1 | cut -d' ' -f2; }
tells() { # POLICY EXPRESSION…
    local name=$1
    shift
    python3 "$here/crash_story.py" tells "$(timeline "$name")" "$@" || fail "the timeline of $name says otherwise"
}
told() { python3 "$here/crash_story.py" get "$(timeline "$1")" "$2"; }
papers() { # POLICY FORM…: written, and held against the timeline
    local name=$1 form files=()
    shift
    for form in "$@"; do
        written=$((${written:-0} + 1))
        expect 0 on report "$form" "$name" --format json --output "/root/$written.json"
        cp "$lab/orch/up/root/$written.json" "$work/paper.$name.$form"
        files+=("$work/paper.$name.$form")
    done
    python3 "$here/crash_story.py" papers "$(timeline "$name")" "${files[@]}" || fail "a paper of $name says otherwise"
}
# paper_says POLICY FORM FIELD TEXT
paper_says() { python3 "$here/crash_story.py" says "$work/paper.$1.$2" "$3" "$4" || fail "the paper $2 of $1 says otherwise"; }
whole="notify stop scene facts [host-repaired=yes] restore start check resume recovered"
