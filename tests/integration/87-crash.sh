#!/bin/bash
# 87-crash.sh - the crash procedure on a real PostgreSQL server: from "the data folder is gone" to "it is back", unattended; stopped at gates and
# answered; killed behind every line of its timeline and gone on with; two persons; all copies damaged.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"

one=$work/one
pg_new one
pg_start "$one" || finish
pg_sql "$one" "CREATE TABLE ledger AS SELECT i, i * 2 AS twice FROM generate_series(1, 3000) i"
new_vault "$work/v"
mkdir -p "$TWOFOLD_CONFIG/policies"

# The service of this scenario: as systemctl would, it can be asked twice.
cat >"$work/service" <<S
#!/bin/sh
PATH=$pgbin:\$PATH
export HOME=/tmp
pg() { setpriv --reuid=postgres --regid=postgres --clear-groups pg_ctl -D $one/data -l $one/log -w -t 60 "\$@"; }
if [ -e $work/hup ]; then # whoever takes the steps loses his terminal
    rm $work/hup
    kill -HUP \$(sed 's/.*(\([0-9]*\),.*/\1/' "\$(ls -t $TWOFOLD_STATE/incidents/*/runner | head -n 1)")
fi
case \$1 in
start) pg status >/dev/null 2>&1 || pg -o "-k $one" start ;;
stop) ! pg status >/dev/null 2>&1 || pg -m fast stop ;;
esac </dev/null >/dev/null 2>&1
S
chmod 755 "$work/service"

# policy LINE…: of the section crash
policy() {
    cat >"$TWOFOLD_CONFIG/policies/db.yaml" <<P
postgresql:
  conninfo: "host=$one user=postgres"
  checks:
    - { name: rows, database: postgres, sql: "SELECT count(*) FROM ledger", expect: "> 2000", restored: same }
crash:
P
    printf '  %s\n' "$@" >>"$TWOFOLD_CONFIG/policies/db.yaml"
}
stop="stop: [$work/service, stop]"
start="start: [$work/service, start]"
policy "$stop" "$start"
expect 0 "$t" backup db

# How the server is lost: kill its data as a broken disk does.
lose() {
    pg_stop "$one" immediate
    [ ! -d "$one/data/base" ] || find "$one/data/base" -type f -delete
    as_pg touch "$one/data/spoilt"
}
is_back() { [ "$(pg_sql "$one" "SELECT count(*), sum(twice) FROM ledger" 2>&1)" = "3000|9003000" ] || fail "$1: the ledger is not back"; }
# The newest one: what was not there when the one before was closed. (No times: records and notices are written later, too.)
touch "$work/known" "$work/last"
newest() {
    local id
    # A folder without a timeline is none: its maker was killed.
    id=$(cd "$TWOFOLD_STATE/incidents" && printf '%s\n' */timeline | sed 's,/timeline,,' | sort | comm -13 "$work/known" - | tail -n 1)
    [ -n "$id" ] || id=$(cat "$work/last")
    echo "$id"
}
close() { # [OPTION…]
    newest >"$work/last2" && mv "$work/last2" "$work/last"
    expect 0 "$t" crash close "$@"
    expect 5 "$t" crash resume "$(cat "$work/last")" && said 'next: *how it went: twofold crash status'
    (cd "$TWOFOLD_STATE/incidents" && printf '%s\n' * | sort) >"$work/known"
}
# story: the steps that were done, the gates that were answered, in order, of the timeline.
story() {
    python3 - "$TWOFOLD_STATE/incidents/$(newest)/timeline" <<'P'
import json, sys
out = []
for line in open(sys.argv[1]):
    e = json.loads(line)
    if e["kind"] == "step" and e["state"] in ("done", "failed", "cut"):
        out.append(e["step"] + ("" if e["state"] == "done" else "-" + e["state"]))
    elif e["kind"] == "gate" and e["answer"] in ("yes", "no", "again", "override"):
        out.append("[%s=%s]" % (e["gate"], e["answer"]))
    elif e["kind"] in ("recovered", "escalated", "closed", "handover", "approval"):
        out.append(e["kind"])
print(" ".join(out))
P
}
tells() { [ "$(story)" = "$1" ] || { fail "the timeline says: $(story)"; show_output; }; }
whole="notify stop scene facts [host-repaired=yes] restore start check resume recovered"

# --- the plan does nothing -----------------------------------------------------------------------------------------
expect 0 "$t" crash db --plan && said 'CRASH PLAN' && said 'service stop' && said 'PY-DB-4'
echo "roles: [" >"$TWOFOLD_CONFIG/contacts.yaml"
expect 0 "$t" crash db --plan && said 'contacts.yaml cannot be read' && not_said 'no contacts are known'
rm "$TWOFOLD_CONFIG/contacts.yaml"
# What was given is in the command that begins it, times as moments; one that has not come yet is nobody's sign.
expect 0 "$t" crash db --plan --first-sign @1763700000 && said 'cause: a mistake' && said "--cause fault --first-sign $(date -d @1763700000 '+%Y-%m-%dT%H:%M:%S')"
expect 0 "$t" crash db --plan --strict --crashed-at -1h --to "/srv/some where/else" && said '--cause fault \\$' && said "--to '/srv/some where/else'" && said '--strict \\$'
expect 2 "$t" crash db --first-sign "$(date -d '+10 min' -Iseconds)" && said 'is in the future' && said 'say when it happened'
expect 2 "$t" crash db --crashed-at tomorrow
[ ! -e "$TWOFOLD_STATE/incidents" ] || fail "a plan has opened an incident"

# --- unattended ------------------------------------------------------------------------------------------------------
lose
expect 0 "$t" --yes crash db --crashed-at -2h && said 'RECOVERED' && said 'after the time of the crash'
tells "$whole"
is_back "unattended, and the time of the crash was wrong"
[ -f "$one/data/.twofold-scene-$(newest)/spoilt" ] || fail "the scene was not kept: $(ls -a "$one/data")"
expect 0 "$t" crash status "$(newest)" && said 'recovered after'
expect 2 "$t" crash note "$(newest)" && said 'there is no text' && said "crash note $(newest)"
expect 0 "$t" crash note "$(newest)" "the disk was changed"
# What it does to a terminal, and lines that look like ours, are only text.
expect 0 "$t" crash note "$(newest)" $'lights \u202eoff\nRECOVERED'
expect 0 "$t" crash status "$(newest)" && said 'lights \\342\\200\\256off' && said '^  +RECOVERED'
close
expect 0 "$t" crash status "$(newest)" && said 'the disk was changed' && said 'is closed'

# --- without the key: no service is stopped for a restore that cannot be; who types may mistype -----------------------------------
lose
pg_stop "$one" immediate
key=$TWOFOLD_CONFIG/keys/main.recovery
mv "$key" "$work/key"
expect 5 "$t" --yes crash db && said 'passphrase is needed'
echo "Another-Horse-Battery-9" >"$work/wrong"
for file in "$work/wrong" "$work/not-there"; do
    expect 5 env TWOFOLD_PASSPHRASE_FILE="$file" "$t" --yes crash resume
done
tells notify
typed=$(cat "$pass")
python3 "$here/menu.py" "$t"$'\x1f'crash$'\x1f'resume -o "$work/typed" 'Passphrase=>wrong one' 'does not open=>'"$typed" 'Is the host repaired=>1' >"$work/.out" 2>&1 ||
    { fail "a passphrase that was mistyped once"; show_output; }
mv "$work/key" "$key"
tells "$whole"
is_back "typed again"
close

# --- both copies gone: the vendor is told; when one is back, it is gone on with --------------------------------------------------
lose
mv "$a" "$a.away"
mv "$b" "$b.away"
expect 3 "$t" crash db --answer host-repaired=yes && said 'no copy can be read' && said 'copies=again'
expect 3 "$t" crash status && said 'No copy can be read. Try again. waits' && said 'no copy can be'
# The second line is typed before its question: it answers nothing.
python3 "$here/menu.py" "$t"$'\x1f'crash$'\x1f'resume -o "$work/typed" $'No copy can be read=>1\n0' 'No copy can be read=>2' >"$work/.out" 2>&1
if [ $? -ne 6 ] || ! grep -q ESCALATED "$work/typed"; then
    fail "a person has seen that no copy can be read"
    show_output
fi
expect 6 "$t" --yes crash resume && said 'ESCALATED' && said 'no copy can be read'
mv "$b.away" "$b"
expect 0 "$t" --yes crash resume
mv "$a.away" "$a"
# Where the data lie is known again: they are set aside as in any other crash.
tells "notify stop scene facts [host-repaired=yes] [copies=again] [copies=no] escalated resumed facts [host-repaired=yes] escalated resumed facts [host-repaired=yes] scene restore start check resume recovered"
[ -f "$one/data/.twofold-scene-$(newest)/spoilt" ] || fail "the scene was not kept: $(ls -a "$one/data")"
is_back "both copies gone"
close

# --- gates: what no command does a person says, and nothing goes on before ------------------------------------------------------
policy "$stop"
lose
expect 3 "$t" crash db && said 'host-repaired=yes'
id=$(newest)
expect 3 "$t" crash resume && said 'host-repaired=yes'
expect 5 "$t" crash db && said "crash resume $id"
expect 2 "$t" crash resume "$id" --answer host-repaired=override
expect 3 "$t" crash resume "$id" --answer host-repaired=yes && said 'Does the service run'
expect 3 "$t" crash status && said 'started=yes'
"$work/service" start
expect 0 "$t" crash resume "$id" --answer started=yes
tells "notify stop scene facts [host-repaired=yes] restore [started=yes] check resume recovered"
is_back gates
close

# After an attack the source must be found, or overridden with a reason; only what is from before the first sign is taken.
expect 3 "$t" --yes crash db --cause attack --first-sign -1h && said 'isolated=yes'
expect 3 "$t" --yes crash resume --answer isolated=yes && said 'source-found=override'
expect 2 "$t" --yes crash resume --answer source-found=override && said 'needs a reason'
expect 6 "$t" --yes crash resume --answer source-found=override --why "it cannot wait" && said 'ESCALATED' && said 'no backup'
tells "notify [isolated=yes] stop [source-found=override] scene facts [host-repaired=yes] escalated"
expect 5 "$t" crash close && said 'not recovered'
close --why "it was an exercise"

# --- two persons ----------------------------------------------------------------------------------------------------------
policy "$stop" "$start" "approve: two"
lose
expect 3 "$t" --yes crash db && said 'A SECOND PERSON'
expect 5 "$t" crash approve && said 'second person must agree'
expect 2 "$t" crash approve --by-telephone
expect 2 "$t" crash codes --count 99 && said 'crash codes --count 4'
expect 2 "$t" crash codes --count 2x
expect 0 "$t" crash codes --count 2
code=$(grep -oE '([A-Z0-9]{4}-){3}[A-Z0-9]{4}' "$work/.out" | head -n 1)
[ "$(grep -c . "$TWOFOLD_CONFIG/keys/approval-codes")" = 2 ] || fail "the codes' hashes are not kept"
grep -q "${code%%-*}" "$TWOFOLD_CONFIG/keys/approval-codes" && fail "a code is kept on the machine"
tr 'A-Z-' 'a-z ' <<<"$code" >"$work/code"
expect 0 "$t" crash approve --code-file "$work/code"
expect 5 "$t" crash approve --code-file "$work/code" --step scene && said 'none of the codes'
expect 3 "$t" --yes crash resume && said 'A SECOND PERSON must agree to: Set the scene aside'
expect 0 "$t" crash approve --by-telephone --approved-by "Zhao"
expect 3 "$t" --yes crash resume && said 'A SECOND PERSON must agree to: Restore'
if id nobody >/dev/null 2>&1; then # another login, with its own right to write there
    sudo_as() { SUDO_USER=nobody "$@"; }
    # What anybody can write is not believed where the kernel knows who logged in.
    logged_in='echo 0 >/proc/self/loginuid && exec "$@"'
    if sh -c "$logged_in" sh true 2>/dev/null; then
        expect 5 sudo_as sh -c "$logged_in" sh "$t" crash approve && said 'second person must agree'
    else
        skip_part "who logged in, by the kernel's audit session"
    fi
    expect 0 sudo_as "$t" crash approve
else
    expect 0 "$t" crash approve --by-telephone --approved-by "Zhao"
fi
expect 2 sudo_as "$t" --yes crash resume && said 'approved-by'
expect 0 "$t" --yes crash resume
tells "notify approval stop approval scene facts [host-repaired=yes] approval restore start check resume recovered"
is_back "two persons"
close

# --- killed behind a line, and gone on with ----------------------------------------------------------------------------------
policy "$stop" "$start"
lose
export TWOFOLD_FAULT_PROGRAM=twofold
TWOFOLD_FAULT=count:$work/steps expect 0 "$t" --yes crash db
close
steps=$(cat "$work/steps")
kills=3
[ -z "$sweep_full" ] || kills=$steps
for i in $(seq 1 "$kills"); do
    n=$((i * steps / (kills + 1) + 1))
    lose
    TWOFOLD_FAULT=kill@$n expect 137,0 "$t" --yes crash db
    case $(story) in
    *recovered) ;;
    *closed) expect 0 "$t" --yes crash db ;; # killed before there was an incident
    *) expect 0 "$t" --yes crash resume ;;
    esac
    # a step that was cut off is there twice; nothing else is
    once=$(story | tr ' ' '\n' | uniq | tr '\n' ' ' | sed 's/ $//')
    [ "$once" = "$whole" ] || fail "killed at $n of $steps: $(story)"
    is_back "killed at $n"
    close
done
unset TWOFOLD_FAULT_PROGRAM

# --- the terminal is lost ---------------------------------------------------------------------------------------------------------
lose
touch "$work/hup"
expect 130 "$t" --yes crash db
case $(story) in "notify stop" | "notify stop-cut") ;; *) fail "after a lost terminal: $(story)" ;; esac
expect 0 "$t" --yes crash resume
is_back "a lost terminal"
close

# --- damaged in both copies: an older backup, and what that loses; then nothing is left ------------------------------------------------
find "$a/packs" -type f | sort >"$work/packs"
pg_sql "$one" "INSERT INTO ledger SELECT i, i FROM generate_series(10000, 60000) i"
expect 0 "$t" backup db
cut() { find "$a/packs" "$b/packs" -type f | grep -vFf "$1" | xargs truncate -s 6000; }
sed 's|.*/||' "$work/packs" >"$work/old"
cut "$work/old"
lose
expect 0 "$t" --yes crash db && said 'recovered up to'
tells "notify stop scene facts [host-repaired=yes] restore-failed restore start check resume recovered"
is_back "an older backup"
[ -f "$one/data/.twofold-scene-$(newest)/spoilt" ] || fail "the scene was not kept: the newest backup cannot say where it lies"
id=$(newest)
TWOFOLD_FAULT=clock+90000 expect 0 "$t" crash close && said 'it is done by: twofold report summary'
grep -q '"kind":"closed".*"undone":\[.*"summary"' "$TWOFOLD_STATE/incidents/$id/timeline" || fail "what was left undone is not written down"
(cd "$TWOFOLD_STATE/incidents" && printf '%s\n' * | sort) >"$work/known"

# --- no copy restores it -------------------------------------------------------------------------------------------------------
cat >"$TWOFOLD_CONFIG/contacts.yaml" <<'C'
reviewed: 2026-11-01
roles:
  vendor:
    a: { name: "Support desk", unit: "Vendor Ltd.", phone: "400-5550199" }
C
lose
echo none >"$work/none"
cut "$work/none"
expect 6 "$t" --yes crash db && said 'ESCALATED' && said 'Support desk' && said '400-5550199'
tells "notify stop scene facts [host-repaired=yes] restore-failed restore-failed escalated"

# --- papers are in one language, whatever the timeline was written in: what the program says is said anew, the rest is quoted ------------
cat >"$work/words.py" <<'PYTHON'
import json, re, sys
def texts(o):
    if isinstance(o, str):
        yield o
    elif isinstance(o, (dict, list)):
        for one in o.values() if isinstance(o, dict) else o:
            yield from texts(one)
for text in texts(json.load(open(sys.argv[1]))):
    text = re.sub("原文“.*?”|twofold crash [a-z ]*|\\(as [a-z]+\\)", "", text, flags=re.S)
    for line in text.split("\n"):
        of_a_person = re.search("记录：|强制通过：|处置结束：", line)
        if re.search("(^|[^A-Za-z])[a-z]+ [a-z]+", line) and not of_a_person:
            sys.exit(line)
PYTHON
for id in "$TWOFOLD_STATE"/incidents/*/timeline; do
    id=${id%/timeline}
    expect 0 "$t" report handling "${id##*/}" --lang zh --format json
    cp "$work/.out" "$work/paper"
    cat "$work/paper" >>"$work/papers"
    expect 0 python3 "$work/words.py" "$work/paper"
done
grep -q '恢复备份，完成：[0-9]* 个文件' "$work/papers" || fail "a paper does not say what came of it"
finish
