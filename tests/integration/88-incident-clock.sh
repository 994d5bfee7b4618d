#!/bin/bash
# 88-incident-clock.sh - an incident under its clock, through 13 hours: subordinate units are told to hold their uploads and to resume them, each
# duty's roles are reminded and told when it is overdue, each once, by twofoldd and `alarms check` at the same time; and its record survives the loss
# of everything but one copy.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
python=/usr/bin/python3 # Debian's own: it has aiosmtpd
"$python" -c 'import aiosmtpd' 2>/dev/null || {
    echo "python3-aiosmtpd is missing"
    exit 77
}
"$python" "$here/sinks.py" "$work" >"$work/sinks.log" 2>&1 &
sinks=$!
trap 'kill $sinks 2>/dev/null' EXIT
for _ in $(seq 300); do
    [ ! -e "$work/ports" ] || break
    kill -0 $sinks 2>/dev/null || break
    sleep 0.1
done
[ -e "$work/ports" ] || { cat "$work/sinks.log"; fail "the servers do not start"; finish; }
plain=""
eval "$(cat "$work/ports")"
echo ok >"$work/behave"
touch "$work/mail"
export TWOFOLD_NOTICE_RETRY_S=0 TZ=UTC LANGUAGE=en

src=$work/src
small_tree "$src" 90 20
new_vault "$work/v"
policy_add etc --files "$src"
sed -i '/^notify:/d; /^schedule:/d' "$work/v/c/policies/etc.yaml"
printf '#!/bin/sh\n[ "$1" != 102 ] || { echo no credit; exit 3; }\n{ echo "to $1"; cat; echo; } >>%s/sms\n' "$work" >"$work/send"
chmod 755 "$work/send"
cat >"$work/v/c/twofold.yaml" <<S
site: Bureau
language: en
notify:
  mail: { url: "smtp://127.0.0.1:$plain", from: twofold@bureau.example, tls: none }
  command: [$work/send]
incident: { first-report: 5m }
S
cat >"$work/v/c/contacts.yaml" <<S
reviewed: $(date +%F)
roles:
  operator: { a: { name: Chen, mail: chen@bureau.example } }
  security-officer: { a: { name: Wang, mail: wang@bureau.example } }
  office-head: { a: { name: Zhang, mail: zhang@bureau.example }, b: { name: Sun } }
units:
  - { name: County, mail: county@bureau.example, phone: "101" }
  - { name: Village, contact: Zhou }
  - { name: Town, contact: Qian, phone: "102" }
S
expect 0 "$t" backup etc

timeline() { cat "$TWOFOLD_STATE"/incidents/*/timeline; }
# lines PATTERN: how many lines of the timeline match.
lines() { timeline | grep -cE "$1"; }
wait_for() { # PATTERN FILE-OR-timeline
    for _ in $(seq 200); do
        if [ "$2" = timeline ]; then timeline 2>/dev/null; else cat "$2" 2>/dev/null; fi | grep -qE "$1" && return 0
        sleep 0.1
    done
    fail "nothing like \"$1\" in $2"
}
mails() { grep -c "\"to\": \[\"$1@.*$2" "$work/mail"; }
at() { # SECONDS COMMAND…: with the clock so far ahead
    local ahead=$1
    shift
    TWOFOLD_FAULT=clock+$ahead "$@"
}

# --- opened: units are told, and the record is put ----------------------------------------------------------------------
rm -rf "${src:?}"/*
expect 3 "$t" crash etc && said 'CALL Village, Zhou, telephone -: hold uploads .no message' && said 'CALL Sun, office-head, telephone -: that it has crashed'
id=$(basename "$TWOFOLD_STATE"/incidents/*)
wait_for '"notice":"hold-uploads","to":"County","channel":"mail","ok":true' timeline
wait_for '"notice":"hold-uploads","to":"County","channel":"command","ok":true' timeline
wait_for 'Hold your uploads' "$work/sms"
[ "$(mails county 'Hold your uploads')" = 1 ] || fail "County was not told once by mail"
[ "$(lines '"to":"Village","channel":"none","ok":false')" = 1 ] || fail "that Village must be called is not on the timeline"
for copy in a b; do
    for _ in $(seq 200); do
        [ "$(find "$work/v/$copy/records" -type f 2>/dev/null | wc -l)" -ge 1 ] && break
        sleep 0.1
    done
    [ -d "$work/v/$copy/records" ] || fail "copy $copy has no record"
done
expect 0 "$t" crash ack Village --through phone
# Whose message failed is called: here three attempts, and no more once somebody has called.
wait_for '"notice":"hold-uploads","to":"Town","channel":"command","ok":false' timeline
expect 3 "$t" crash status && said 'CALL Town, Qian, telephone 102: hold' && said 'no credit' && not_said 'CALL Village'
expect 3 "$t" crash resume && said 'CALL Town, Qian, telephone 102: hold' # before its question
expect 0 "$t" crash ack Town --through phone
expect 3 "$t" crash status && not_said 'CALL Town'
expect 0 "$t" crash duties && said 'by: security-officer' && said 'within .*twofold report incident'
expect 0 "$t" crash duties --all && said 'tell the subordinate units' && said 'first report' && not_said OVERDUE
expect 0 "$t" status && said "INCIDENT .*$id"

# --- the clock, minute by minute: reminded, overdue, done; by two at once ---------------------------------------------------
at 160 "$t" alarms check >"$work/one" 2>&1 &
one=$!
at 160 "$t" alarms check >"$work/two" 2>&1
wait $one
[ "$(lines '"duty":"first-report","state":"reminded"')" = 1 ] || fail "first-report was reminded $(lines '"first-report","state":"reminded"') times"
[ "$(mails wang 'first report')" = 1 ] || fail "Wang was reminded $(mails wang 'first report') times of the first report"
[ "$(mails chen 'first report')" = 1 ] || fail "Chen was not reminded once"
at 310 "$t" alarms check >/dev/null 2>&1
[ "$(lines '"duty":"first-report","state":"overdue"')" = 1 ] || fail "that the first report is overdue is not on the timeline once"
[ "$(mails wang 'OVERDUE')" -ge 1 ] || fail "Wang does not hear that it is overdue"
expect 3 at 310 "$t" crash duties && said 'OVERDUE.*first report'
expect 3 at 310 "$t" status && said 'duty is OVERDUE'
at 320 "$t" alarms check | grep -q "incident $id.*duty is overdue" || fail "alarms check does not show the incident"
expect 0 "$t" report incident "$id" --number 1 --output "$work/one.txt"
expect 0 "$t" crash duties --all && said 'done .*first report'
expect 2 "$t" crash "done" level && said 'crash level'
expect 0 "$t" crash level 2 "the payroll stands still"
expect 2 "$t" crash "done" nothing && said 'those that are open'
expect 0 "$t" crash "done" superior-help --at -1m

# twofoldd and the timer at the same moment, an hour later: investigation, report 2.
at 3700 "${t%/*}/twofoldd" --config "$work/v/c" >"$work/daemon" 2>&1 &
daemon=$!
at 3700 "$t" alarms check >/dev/null 2>&1
wait_for '"duty":"investigation","state":"overdue"' timeline
for _ in 1 2 3; do at 3700 "$t" alarms check >/dev/null 2>&1; done
kill "$daemon"
wait "$daemon" 2>/dev/null
for duty in investigation report; do
    [ "$(lines "\"duty\":\"$duty\",\"state\":\"overdue\"")" = 1 ] || fail "$duty is overdue on the timeline $(lines "\"duty\":\"$duty\",\"state\":\"overdue\"") times"
done
[ "$(mails zhang 'investigation group')" -ge 1 ] || fail "the head of the office does not hear of the investigation group"

# --- back in service, and 13 hours later --------------------------------------------------------------------------------------
expect 0 "$t" --yes crash resume "$id" --answer host-repaired=yes --answer started=yes
said 'CALL Village, Zhou, telephone -: uploads may go on' && said 'twofold report summary .*--output'
wait_for '"notice":"resume-uploads","to":"County","channel":"mail","ok":true' timeline
[ "$(mails county 'You may upload again')" = 1 ] || fail "County does not hear that it may upload again"
at 43000 "$t" alarms check >/dev/null 2>&1
[ "$(lines '"duty":"summary","state":"reminded"')" = 1 ] || fail "the summary was not reminded of"
at 46800 "$t" alarms check >/dev/null 2>&1
[ "$(lines '"duty":"summary","state":"overdue"')" = 1 ] || fail "the summary is not overdue"
[ "$(lines '"duty":"report","state":"(reminded|overdue)","number":3')" = 0 ] || fail "a report is asked for after the recovery"
# On a terminal it is asked.
TWOFOLD_FAULT=clock+46800 expect 5 python3 "$here/menu.py" "$t"$'\x1f'crash$'\x1f'close$'\x1f'"$id" -o "$work/asked" 'Close it all the same=>n'
grep -q 'stays open' "$work/asked" || fail "it is not said that it stays open"
expect 0 "$t" report summary "$id" --output "$work/summary.txt"
expect 0 "$t" crash action add "a second power supply" --owner Chen --due 2030-01-31
expect 2 "$t" crash action add "nothing" && said 'owner and a date'
expect 0 "$t" crash "done" resume-uploads
expect 0 "$t" crash "done" investigation
expect 0 "$t" crash close "$id"
expect 0 "$t" crash duties --incident "$id" && said 'corrective action 1'
awk 'length($0) > 80' "$work/.out" | grep . && fail "lines of duties are wider than 80"
at 46900 "$t" alarms check >/dev/null 2>&1
[ "$("$t" alarms list --json 2>/dev/null | grep -c '"duty/')" = 0 ] || fail "alarms of done duties are open: $("$t" alarms list)"

# --- the record: all of it is in both copies, and one copy is enough --------------------------------------------------------------
for _ in $(seq 200); do
    "$t" crash records --passphrase-file "$pass" 2>/dev/null | grep -q "$id.*closed" && break
    sleep 0.1
done
expect 0 "$t" crash records && said 'records? of 1 incident'
expect 0 "$t" crash records --passphrase-file "$pass" && said "$id .*closed"
[ "$(find "$work/v/a/records" -type f | wc -l)" -le 4 ] || fail "old records are not taken away"
[ "$(cd "$work/v/a" && find records -type f | sort)" = "$(cd "$work/v/b" && find records -type f | sort)" ] || fail "the copies have different records"
expect 0 "$t" scrub && expect 0 "$t" prune --yes 2>/dev/null
rm -f "$work/v/b"/records/*
expect 3 "$t" scrub && said 'lacks records'
expect 0 "$t" replicate && expect 0 "$t" scrub
sum=$(timeline | sha256sum)
mv "$work/v/b" "$work/v/b.gone" && rm -rf "$work/v/c" "$work/v/s" "$work/one.txt"
export TWOFOLD_CONFIG=$work/n/c TWOFOLD_STATE=$work/n/s
expect 0 "$t" crash records --copy "$work/v/a" --passphrase-file "$pass" && said "$id .*closed"
expect 0 "$t" crash records --copy "$work/v/a" --passphrase-file "$pass" --adopt "$id"
[ "$(timeline | sha256sum)" = "$sum" ] || fail "the timeline that was adopted is another one"
grep -q . "$TWOFOLD_STATE/incidents/$id/files/"*one.txt || fail "the paper did not survive"
expect 0 "$t" crash status "$id" && said 'recovered after'

# Or the whole machine anew, with a copy of that copy.
cp -a "$work/v/a" "$work/v/a2"
export TWOFOLD_CONFIG=$work/m/c TWOFOLD_STATE=$work/m/s
expect 0 "$t" adopt --copy "a=$work/v/a" --copy "b=$work/v/a2" --passphrase-file "$pass" && said "incident $id: here"
[ "$(timeline | sha256sum)" = "$sum" ] || fail "the timeline that came with the vault is another one"
rm -rf "$work/m/s/incidents"
expect 0 "$t" catalog rebuild && said 'records? of 1 incident'
export TWOFOLD_CONFIG=$work/k/c TWOFOLD_STATE=$work/k/s # with nothing but a copy
expect 0 "$t" catalog rebuild --copy "$work/v/a" --passphrase-file "$pass" && said "incident $id: here"
finish
