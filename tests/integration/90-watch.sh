#!/bin/bash
# 90-watch.sh - what is wrong is told to people, by real channels: SMTP without and with STARTTLS and a login, webhooks (JSON, WeCom,
# DingTalk), a command, the console; told again until acknowledged, to B when A says nothing, by telephone when nothing else works
# (PY-AB, PY-DB-2). A dead scheduler and a catalog that cannot be read are told, too. The page and the metrics can be read.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
python=/usr/bin/python3 # Debian's own: it has aiosmtpd
"$python" -c 'import aiosmtpd' 2>/dev/null || {
    echo "python3-aiosmtpd is missing"
    exit 77
}
export no_proxy=127.0.0.1,localhost NO_PROXY=127.0.0.1,localhost
"$python" "$here/sinks.py" "$work" >"$work/sinks.log" 2>&1 &
sinks=$!
trap 'kill $sinks 2>/dev/null' EXIT
for _ in $(seq 300); do
    [ ! -e "$work/ports" ] || break
    kill -0 $sinks 2>/dev/null || break
    sleep 0.1
done
[ -e "$work/ports" ] || { cat "$work/sinks.log"; fail "the servers do not start"; finish; }
plain="" secure="" silent="" web=""
eval "$(cat "$work/ports")"
echo ok >"$work/behave"
touch "$work/mail" "$work/hooks"
export SSL_CERT_FILE=$work/crt.pem TWOFOLD_CHANNEL_TIMEOUT_MS=5000

# --- the site -------------------------------------------------------------------------------------------------------
src=$work/src
small_tree "$src" 90 20
new_vault "$work/v"
policy_add etc --files "$src"
sed -i '/^notify:/d; /^schedule:/d' "$work/v/c/policies/etc.yaml" # by hand, until its scheduler is to be dead
echo 'notify: [operator]' >>"$work/v/c/policies/etc.yaml"
expect 0 "$t" backup etc
mkdir "$work/bin"
cat >"$work/bin/sms" <<EOF2
#!/bin/sh
{ echo "number \$*"; cat; echo; env; } >>"$work/sms.out"
EOF2
cat >"$work/bin/wall" <<EOF2
#!/bin/sh
cat >>"$work/wall.out"
EOF2
chmod +x "$work/bin/sms" "$work/bin/wall"
export PATH=$work/bin:$PATH
printf 'Pass wörd 9\n' >"$work/mail.pass"
echo json-secret >"$work/json.secret"
echo SECdingtalk >"$work/ding.secret"
echo wecom-key-0123456789 >"$work/wecom.secret"
chmod 600 "$work"/*.pass "$work"/*.secret

settings() { # MAIL-URL TLS MORE-MAIL
    cat >"$work/v/c/twofold.yaml" <<EOF2
site: 财政局信息中心
language: en
notify:
  repeat: 30m
  mail:
    url: "$1"
    from: twofold@example.org
    tls: $2
$3
  webhooks:
    - { name: robot, url: "http://127.0.0.1:$web/json", shape: json, secret-file: $work/json.secret }
    - { name: group, url: "http://127.0.0.1:$web/wecom", shape: wecom, secret-file: $work/wecom.secret }
    - { name: ding, url: "http://127.0.0.1:$web/ding?access_token=TOKEN-9876543210", shape: dingtalk, secret-file: $work/ding.secret }
  command: [$work/bin/sms, --to]
  console: true
EOF2
}
cat >"$work/v/c/contacts.yaml" <<'EOF2'
reviewed: TODAY
review-every: 3650d
roles:
  operator:
    a: { name: "Zhang Wei", phone: "13800000001", mail: "a@example.org", webhook: robot }
    b: { name: "Li Na", phone: "13800000002", mail: "b@example.org" }
  office-head:
    a: { name: "Wang Fang", mail: "head@example.org" }
EOF2
sed -i "s/TODAY/$(date +%F)/" "$work/v/c/contacts.yaml"
login="    user: backup
    password-file: $work/mail.pass"

last() { # FILE EXPRESSION: of the objects there, as python sees them (list o)
    python3 -X utf8 -c '
import json, sys
o = [json.loads(l) for l in open(sys.argv[1], encoding="utf-8")]
print(eval(sys.argv[2]))' "$work/$1" "$2"
}
is() { # FILE EXPRESSION VALUE
    local got
    got=$(last "$1" "$2")
    [ "$got" = "$3" ] || fail "$1: $2 is \"$got\" instead of \"$3\""
}
reset() { : >"$work/mail"; : >"$work/hooks"; rm -f "$work/sms.out" "$work/wall.out"; }

# --- a test really sends ------------------------------------------------------------------------------------------------
settings "smtp://localhost:$secure" required "$login"
reset
expect 0 "$t" notify test --role operator
is mail 'len(o)' 2
is mail 'all(m["tls"] and m["login"] for m in o)' True
is mail 'sorted(m["to"][0] for m in o)' "['a@example.org', 'b@example.org']"
is mail 'o[0]["subject"]' '[财政局信息中心] A test: nothing has happened'
is mail 'o[0]["type"], o[0]["widest"] <= 78, o[0]["date"] is not None' "('text/plain', True, True)"
is mail '"财政局信息中心" in o[0]["body"] and "operator" in o[0]["body"]' True
is hooks 'sorted(h["path"] for h in o)' "['/ding', '/json', '/wecom']"
is hooks '[h["signed"] for h in o if h["path"] != "/wecom"]' '[True, True]'
is hooks '[h["query"]["key"] for h in o if h["path"] == "/wecom"]' "['wecom-key-0123456789']"
is hooks '[h["json"]["state"] for h in o if h["path"] == "/json"]' "['test']"
is hooks '["财政局" in h["json"]["text"]["content"] for h in o if h["path"] != "/json"]' '[True, True]'
grep -q 'number --to 13800000001' "$work/sms.out" && grep -q '财政局信息中心' "$work/sms.out" || fail "the command was not given the text"
grep -q '^TWOFOLD_CONFIG' "$work/sms.out" && fail "the command's environment is not its own"
grep -q '财政局信息中心' "$work/wall.out" || fail "nothing on the console"
expect 0 "$t" notify test --channel console
said 'sent +console all'
grep -q . "$work/mail" && [ "$(wc -l <"$work/mail")" -eq 2 ] || fail "--channel is not kept to"

# --- without TLS, a wrong password, no TLS where it is required -----------------------------------------------------------
settings "smtp://127.0.0.1:$plain" none ""
expect 0 "$t" notify test --channel mail && is mail '(o[-1]["kind"], o[-1]["tls"])' "('plain', False)"
settings "smtp://127.0.0.1:$plain" required ""
expect 1 "$t" notify test --channel mail && said 'FAILED +mail a@example.org'
echo wrong >"$work/mail.pass"
settings "smtp://localhost:$secure" required "$login"
expect 1 "$t" notify test --channel mail && said 'FAILED' && not_said 'wrong'
printf 'Pass wörd 9\n' >"$work/mail.pass"
chmod 644 "$work/mail.pass"
expect 1 "$t" notify test --channel mail && said 'next: chmod 600'
chmod 600 "$work/mail.pass"
expect 0 "$t" notify test --channel mail
SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt expect 1 "$t" notify test --channel mail

# --- webhooks that refuse, break or hang; 200 is not enough ------------------------------------------------------------------
echo refuse >"$work/behave"
expect 3 "$t" notify test --channel webhook
said 'FAILED +webhook group' && said 'errcode 310000: keywords not in content' && said 'sent +webhook robot'
not_said 'TOKEN-9876543210|wecom-key|SECdingtalk'
echo 500 >"$work/behave"
expect 1 "$t" notify test --channel webhook && said 'HTTP status 500'
echo hang >"$work/behave"
TWOFOLD_CHANNEL_TIMEOUT_MS=500 expect 1 "$t" notify test --channel webhook && said 'no answer in time'
# One that wants to do harm: no redirection is followed, nothing is read without end, and what it says does nothing to the terminal.
for behave in redirect redirect-on endless headers drip; do
    echo $behave >"$work/behave"
    case $behave in redirect*) wait_ms=5000 ;; *) wait_ms=500 ;; esac
    TWOFOLD_CHANNEL_TIMEOUT_MS=$wait_ms expect 1 "$t" notify test --channel webhook
    case $behave in redirect*) said 'HTTP status 307' ;; esac
    not_said 'TOKEN-9876543210|wecom-key|SECdingtalk|root:'
done
grep -q elsewhere "$work/hooks" && fail "a webhook was followed to where it sent us"
echo escape >"$work/behave"
expect 3 "$t" notify test --channel webhook && said 'it refused: errcode 7' && not_said $'\x1b|\u202e|^  why:  all well'
iconv -f UTF-8 -t UTF-8 "$work/.out" >"$work/utf8" 2>&1 || fail "an answer was cut within a character"
echo ok >"$work/behave"
printf '#!/bin/sh\necho no credit\nexit 7\n' >"$work/bin/sms.bad"
printf '#!/bin/sh\nsleep 60\n' >"$work/bin/sms.slow"
chmod +x "$work/bin/sms.bad" "$work/bin/sms.slow"
sed -i 's,bin/sms\>,&.bad,' "$work/v/c/twofold.yaml"
expect 1 "$t" notify test --channel command && said 'exit status 7: no credit'
sed -i 's,bin/sms.bad,bin/sms.slow,' "$work/v/c/twofold.yaml"
TWOFOLD_CHANNEL_TIMEOUT_MS=500 expect 1 "$t" notify test --channel command && said 'not ended in time'
expect 2 "$t" notify test --role nobody && said 'no role'
expect 2 "$t" notify test --channel pigeon
expect 2 "$t" notify

# --- an alarm: told, told again, to B, acknowledged, well again ---------------------------------------------------------------
settings "smtp://localhost:$secure" required "$login"
reset
now=$(date +%s)
at() { # MINUTES-FROM-NOW COMMAND…
    local m=$1
    shift
    TWOFOLD_NOW=$((now + m * 60)) "$@"
}
at 0 expect 0 "$t" alarms check && said 'open: 0'
is mail 'len(o)' 0
due=$((27 * 60))
at $due expect 0 "$t" alarms check && said 'open: 1, new: 1'
is mail '[m["to"] for m in o]' "[['a@example.org']]"
is mail '"policy etc" in o[0]["subject"] and "WARNING" in o[0]["subject"] and "twofold backup etc" in o[0]["body"]' True
is hooks '[h["json"]["alarms"][0]["key"] for h in o if h["path"] == "/json"]' "['rpo/etc']"
grep -q 13800000001 "$work/sms.out" || fail "A's telephone was not told"
at $((due + 29)) expect 0 "$t" alarms check && said 'messages sent: 0'
at $((due + 31)) expect 0 "$t" alarms check
is mail 'sorted(m["to"][0] for m in o)' "['a@example.org', 'a@example.org', 'b@example.org']"
at $((due + 62)) expect 0 "$t" alarms check
is mail '"head@example.org" in [m["to"][0] for m in o]' True
expect 0 "$t" alarms && said 'not acknowledged'
expect 3 env TWOFOLD_NOW=$((now + due * 60)) "$t" status && said '1 alarm is not acknowledged'
id=$("$t" --json alarms | python3 -c 'import json,sys; print(json.loads(sys.stdin.readline())["id"])')
expect 0 "$t" alarms calls "$id" && said '\[ \] operator +A +Zhang Wei +13800000001'
expect 0 "$t" alarms called "$id" "Zhang Wei" --no-answer
expect 0 "$t" alarms called "$id" "Li Na" --reached
expect 0 "$t" alarms calls "$id" && said '\[-\] .*Zhang Wei' && said '\[x\] .*Li Na'
expect 0 "$t" alarms ack "$id" --who "Li Na" --through phone && said 'acknowledged by Li Na, through phone'
expect 0 "$t" alarms ack "$id" --who "Somebody Else"
expect 0 "$t" alarms && said 'acknowledged by Li Na'
n=$(wc -l <"$work/mail")
at $((due + 300)) expect 0 "$t" alarms check
# It is worse by now? Not yet: twice the RPO is 52 h.
[ "$(wc -l <"$work/mail")" -eq "$n" ] || fail "told again after it was acknowledged"
at $((53 * 60)) expect 0 "$t" alarms check
[ "$(wc -l <"$work/mail")" -gt "$n" ] || fail "it became worse, and nobody was told"
is mail '"CRITICAL" in o[-1]["subject"]' True
expect 0 "$t" alarms show "$id" && said 'mail a@example.org: told' && said 'call Li Na: told'
reset
expect 0 "$t" alarms check && said 'open: 0, new: 0, well again: 1' # by the real clock the backup is young
is mail 'all("WELL AGAIN" in m["subject"] for m in o) and len(o) >= 3' True
n=$(wc -l <"$work/mail")
expect 0 "$t" alarms check
[ "$(wc -l <"$work/mail")" -eq "$n" ] || fail "the recovery was told twice"
expect 0 "$t" alarms && said 'No alarm is open'
expect 0 "$t" alarms --all && said 'well again'
expect 2 "$t" alarms ack 9999
expect 2 "$t" alarms ack
expect 2 "$t" alarms ack x
expect 2 "$t" alarms pray

# --- nobody can be reached: nothing is lost, it is tried again, and a hanging server does not hold the others up -------------------
settings "smtp://127.0.0.1:$silent" none ""
echo hang >"$work/behave"
reset
later=$((200 * 60))
from=$SECONDS
TWOFOLD_CHANNEL_TIMEOUT_MS=700 at $later expect 3 "$t" alarms check && said 'not told: mail' && said 'failed: [1-9]'
[ $((SECONDS - from)) -lt 25 ] || fail "dead servers held it up for $((SECONDS - from)) s"
grep -q 'policy etc' "$work/wall.out" || fail "the console waited for the mail server"
id=$("$t" --json alarms | python3 -c 'import json,sys; print(json.loads(sys.stdin.readline())["id"])')
expect 0 "$t" alarms show "$id" && said 'mail a@example.org: NOT TOLD'
echo ok >"$work/behave"
settings "smtp://localhost:$secure" required "$login"
at $((later + 2)) expect 0 "$t" alarms check
is mail '[m["to"][0] for m in o]' "['a@example.org']"
expect 0 "$t" alarms check

# --- the scheduler is dead, and says nothing itself -----------------------------------------------------------------------------------
echo 'schedule: "*-*-* 02:00:00"' >>"$work/v/c/policies/etc.yaml"
sqlite3 "$work/v/s/catalog.db" "INSERT OR REPLACE INTO facts VALUES('heartbeat', '$((now - 4000))')"
reset
expect 0 "$t" alarms check && said 'new: 1'
is mail '"twofoldd" in o[0]["subject"] and "CRITICAL" in o[0]["subject"]' True
expect 3 "$t" status && said 'NO SIGN OF LIFE' && said 'All|The policy is backed up'
sqlite3 "$work/v/s/catalog.db" "UPDATE facts SET value = '$(($(date +%s) + 5))' WHERE key = 'heartbeat'"
expect 0 "$t" alarms check && said 'well again: 1'
expect 0 "$t" status && said 'Scheduler: STOPPED' # a fresh sign of life, and nobody at the bell
mkfifo -m 600 "$work/v/s/twofoldd.bell"
sleep 60 3<>"$work/v/s/twofoldd.bell" &
bell=$!
expect 0 "$t" status && said 'Scheduler: alive'
kill "$bell"
if command -v systemd-analyze >/dev/null; then said 'next run: +20..-..-.. 02:00'; fi

# --- a file with a mistake: said, and what was wrong stays so -------------------------------------------------------------------------------
cp "$work/v/c/policies/etc.yaml" "$work/kept.yaml"
at $due expect 0 "$t" alarms check && said 'new: 2' # the scheduler is silent by then, too
echo 'rpo: [' >"$work/v/c/policies/etc.yaml"
at $due expect 0 "$t" alarms check && said 'open: 3, new: 1, well again: 0'
mv "$work/kept.yaml" "$work/v/c/policies/etc.yaml"
expect 0 "$t" alarms check && said 'open: 0'

# --- the page, in both languages; nothing in it can be more than text ---------------------------------------------------------------------
sed -i "s,^site: .*,site: '<script>alert(1)</script> \&amp; \"x\"'," "$work/v/c/twofold.yaml"
mv "$b" "$b.away"
cat >"$work/page_check.py" <<'EOF2'
import sys
from html.parser import HTMLParser

class Check(HTMLParser):
    void = {"meta", "br", "hr", "img", "link", "input"}
    def __init__(self):
        super().__init__()
        self.stack, self.text, self.tags, self.lang = [], [], set(), None
    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        for name, value in attrs:
            assert name not in ("src", "href", "onclick", "action"), name
            if tag == "html" and name == "lang":
                self.lang = value
        if tag not in self.void:
            self.stack.append(tag)
    def handle_endtag(self, tag):
        assert self.stack and self.stack[-1] == tag, (tag, self.stack)
        self.stack.pop()
    def handle_data(self, data):
        if self.stack and self.stack[-1] != "style":
            self.text.append(data)

c = Check()
c.feed(open(sys.argv[1], encoding="utf-8").read())
assert c.stack == [], c.stack
assert "script" not in c.tags
text = " ".join(c.text)
assert "<script>alert(1)</script> &amp; \"x\"" in text, text[:300]
for word in sys.argv[2:]:
    assert word in text, word
EOF2
for lang in en zh; do
    expect 0 "$t" page --lang $lang --out "$work/page.$lang.html"
    expect 0 python3 -X utf8 "$work/page_check.py" "$work/page.$lang.html" etc "$work/v/b"
done
[ "$(stat -c %a "$work/page.en.html")" = 644 ] || fail "the page cannot be read"
expect 0 python3 -X utf8 "$work/page_check.py" "$work/page.en.html" "needs attention" "Places"
expect 0 "$t" page && [ -s "$work/v/s/status.html" ]
expect 2 "$t" page --lang fr
mv "$b.away" "$b"

# --- metrics ------------------------------------------------------------------------------------------------------------------------------
cat >"$work/metrics.py" <<'EOF2'
import re, sys
families, seen, last = {}, set(), None
for line in open(sys.argv[1], encoding="utf-8"):
    line = line.rstrip("\n")
    m = re.fullmatch(r"# (HELP|TYPE) ([a-z_:][a-z0-9_:]*) (.+)", line)
    if m:
        families.setdefault(m[2], {})[m[1]] = m[3]
        assert m[1] != "TYPE" or m[3] in ("gauge", "counter"), line
        continue
    m = re.fullmatch(r'([a-z_:][a-z0-9_:]*)(\{(?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)+\})? (-?[0-9.e+]+)', line)
    assert m, line
    assert m[1] in families and len(families[m[1]]) == 2, line
    assert m[1].startswith("twofold_"), line
    assert (m[1], m[2]) not in seen, line
    assert last == m[1] or all(n != m[1] for n, _ in seen), "a family in two parts: " + line
    seen.add((m[1], m[2]))
    last = m[1]
names = {n for n, _ in seen}
for want in ("twofold_policy_last_whole_timestamp_seconds", "twofold_copy_free_bytes", "twofold_findings", "twofold_policy_overdue"):
    assert want in names, want
EOF2
expect 0 "$t" metrics --out "$work/m.prom"
expect 0 python3 -X utf8 "$work/metrics.py" "$work/m.prom"
"$t" metrics >"$work/m2.prom" || fail "metrics on standard output"
expect 0 python3 -X utf8 "$work/metrics.py" "$work/m2.prom"

# --- the catalog itself cannot be read: that is told, and status goes on with the copies -----------------------------------------------------
reset
printf 'this is no database, and it is long enough to be looked at' >"$work/v/s/catalog.db"
expect 1,4 "$t" alarms check
is mail '"the catalog cannot be used" in o[0]["subject"] and len(o) == 2' True
expect 0 "$t" status && said 'the catalog cannot be read' && said 'Policy etc: good'
finish
