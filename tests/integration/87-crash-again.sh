#!/bin/bash
# 87-crash-again.sh - a server that crashes again and again before anybody has kept its log or made a backup: each life goes on in a timeline of its own,
# in the same segment, and what was committed in all of them comes back from the scene; then its log is followed over them all.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/wal.sh"

one=$work/one
pg_new one --wal-segsize=1
pg_start "$one" || finish
make_ledger "$one"
new_vault "$work/v"
cat >"$work/service" <<S
#!/bin/sh
pg() { setpriv --reuid=postgres --regid=postgres --clear-groups env HOME=/tmp $pgbin/pg_ctl -D $one/data -l $one/log -w -t 60 "\$@"; }
case \$1 in
start) pg status >/dev/null 2>&1 || pg -o "-k $one" start ;;
stop) ! pg status >/dev/null 2>&1 || pg -m fast stop ;;
esac </dev/null >/dev/null 2>&1
S
chmod 755 "$work/service"
db_policy db "$one" "crash:" "  stop: [$work/service, stop]" "  start: [$work/service, start]"
follow db
expect 0 "$t" backup db
add_rows "$one" 100
caught_up "$one" db
unfollow
all=100

# again WHAT…: so many more rows, and a crash that takes these parts of the data folder.
again() {
    add_rows "$one" 37
    all=$((all + 37))
    pg_stop "$one" immediate
    (cd "$one/data" && rm -r "$@")
    expect 0 "$t" --yes crash db && said 'RECOVERED'
    expect 0 "$t" crash close
    [ "$(pg_sql "$one" "SELECT max(id), count(*) FROM ledger" 2>&1)" = "$all|$((all + 1))" ] ||
        fail "without $*: the ledger ends at $(pg_sql "$one" "SELECT max(id) FROM ledger" 2>&1) instead of $all"
}
again base
again base
again base global # no pg_control tells which timeline was the last one

# --- followed over all of them; and over one more, from what is not the first ------------------------------------------------------
for _ in 1 2; do
    follow db
    caught_up "$one" db
    unfollow
    again base
done
follow db
caught_up "$one" db
unfollow
expect 0 "$t" restore db --to "$work/r" --verify --from b && said 'its log'
ledger_is "$work/r" "$all" "all that was kept of six lives"

# --- the last life's history is lost, and with it the way to what was committed in it: that is said, by pg_control or without one ----
again base
kept=$all
add_rows "$one" 37
pg_sql "$one" CHECKPOINT >/dev/null
add_rows "$one" 37
pg_stop "$one" immediate
mkdir -p "$work/spoil/global"
cp -a "$one/data/pg_wal" "$work/spoil"
cp "$one/data/global/pg_control" "$work/spoil/global"
rm "$(find "$work/spoil/pg_wal" -name '*.history' | sort | tail -n 1)"
for text in 'damaged or missing behind' 'cannot be read behind'; do
    clean "$work/r"
    expect 3 "$t" restore db --to "$work/r" --salvage "$work/spoil" && said "$text"
    ledger_is "$work/r" "$kept" "the history of the last timeline is lost"
    rm -f "$work/spoil/global/pg_control"
done
finish
