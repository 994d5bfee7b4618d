#!/bin/bash
# 19-papers.sh - twofold report: drafts and papers that are noted on the timeline, their numbers, which one a file is, answers, the evidence for
# an examiner, and papers without a catalog.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
export TWOFOLD_CONFIG=$work/etc TWOFOLD_STATE=$work/state
mkdir -p "$work/etc" "$work/state" "$work/out"
cp "$TWOFOLD_SRC/policies/examples/contacts.yaml" "$work/etc/"
cat >"$work/etc/twofold.yaml" <<'YAML'
site: "Finance bureau & co"
forms:
  telephone: "0393-5550100"
  scoring:
    - { item: "backup", points: "10" }
YAML
out=$work/out

# --- usage ---------------------------------------------------------------------------------------------------------------------
expect 2 "$t" report
said "which paper\? incident, daily"
expect 2 "$t" report contacts extra
expect 2 "$t" report contacts --lang fr
expect 2 "$t" report contacts --format odt
said "formats: text, html, pdf, docx, json"
expect 2 "$t" report annual 26
expect 2 "$t" report contacts --set nothing
expect 2 "$t" report contacts --set nofield=x
said "no form has a field .nofield."
expect 2 "$t" report contacts --evidence "$out/e"
expect 2 "$t" report incident
said "no incident"

# --- an incident, its drafts and its numbers ----------------------------------------------------------------------------------------
id=$("$TEST_PROGRAMS/integration/prog_story" "$work/state" billing)
[ -n "$id" ] || fail "no incident was made"
lines() { wc -l <"$work/state/incidents/$id/timeline"; }
before=$(lines)
expect 0 "$t" report incident billing --lang zh
said "草稿"
said "（第 3 次）"
said "地点：________（待填写）"
expect 0 "$t" report incident "$id" --lang en --set "place=machine room"
said "Place: machine room"
[ "$(lines)" = "$before" ] || fail "a draft was noted"

for format in pdf docx html txt json; do
    expect 0 "$t" report incident "$id" --lang zh --number 3 --output "$out/third.$format"
    said "noted on the timeline of $id as number 3"
done
said "still blank: reporter, reporter-contact"
expect 0 "$t" report incident "$id" --output "$out/fourth.html"
said "as number 4"
[ "$(lines)" = $((before + 6)) ] || fail "six papers and $(($(lines) - before)) lines"
grep -q "草稿" "$out/third.html" && fail "a paper that was written says that it is a draft"
pdftotext "$out/third.pdf" - | grep -q "0393-5550100" || fail "the PDF lacks the telephone"
python3 -c 'import sys, zipfile; sys.exit("网络与信息安全事件情况报告书".encode() not in zipfile.ZipFile(sys.argv[1]).read("word/document.xml"))' \
    "$out/third.docx" || fail "the DOCX lacks its title"
[ "$(stat -c %a "$out/third.pdf")" = 600 ] || fail "others may read the paper"
expect 1 "$t" report incident "$id" --output "$out/third.pdf"
said "There is such a file|there is such a file"
expect 1 "$t" report incident "$id" --output "$out/no/such/folder.pdf" && said 'make its folder first'
expect 2 "$t" report incident "$id" --output "$out/third.xyz" && said 'formats: text, html'
expect 5 "$t" report drill billing --output "$out/drill.html" && said 'is no drill'
[ "$(lines)" = $((before + 6)) ] || fail "a paper that was not written was noted"

# --- which one is it? -----------------------------------------------------------------------------------------------------------------
expect 0 "$t" report verify "$out/third.docx"
said "report \"incident\" .*number 3, of incident $id"
expect 0 "$t" --json report verify "$out/fourth.html"
said '"number": ?4'
sed 's/bureau/Bureau/' "$out/fourth.html" >"$out/changed.html"
expect 4 "$t" report verify "$out/changed.html"
said "no timeline of this machine notes this file"
expect 0 "$t" --json report incident "$id"
python3 -c 'import json, sys; o = json.loads(open(sys.argv[1]).read()); assert o["paper"]["form"] == "incident" and o["paper"]["number"]' \
    "$work/.out" || fail "--json is not one object"

expect 1 "$t" report verify "$out/nofile" && said 'check the name: it is for a paper'

# --- without a font, without the program that draws ----------------------------------------------------------------------------------
echo '<fontconfig><dir>/nonexistent</dir></fontconfig>' >"$work/no-fonts.conf"
expect 1 env FONTCONFIG_FILE="$work/no-fonts.conf" "$t" report contacts --lang zh --output "$out/contacts.pdf"
said "apt-get install fonts-wqy-zenhei"
[ ! -e "$out/contacts.pdf" ] || fail "a PDF without letters"
expect 1 env TWOFOLD_PAPER=/nonexistent "$t" report contacts --output "$out/contacts.pdf"
if unshare --user --map-root-user true 2>/dev/null; then
    expect 5 unshare --user --map-root-user "$t" report contacts --lang en --output "$out/contacts.pdf"
    said "no paper is drawn as root"
    [ ! -e "$out/contacts.pdf" ] || fail "a PDF that root drew"
else
    skip_part "no user namespaces"
fi
expect 0 env TWOFOLD_PAPER=/nonexistent "$t" report contacts --lang en --output "$out/contacts.docx"

# --- papers about the site, without a catalog, and with one ---------------------------------------------------------------------------
for form in contacts evacuation duties status training scoring; do
    expect 0 "$t" report $form --lang zh
    said "Finance bureau & co|培训时间"
done
expect 0 "$t" report annual --lang zh --format json
said "$id"
expect 0 "$t" report annual 2001 --lang en
said "no incident is recorded for this year"
expect 0 "$t" report scoring --evidence "$out/evidence" --lang zh
[ -s "$out/evidence/scoring.docx" ] && [ -s "$out/evidence/$id/timeline" ] && [ -s "$out/evidence/$id/incident.html" ] ||
    fail "the evidence is not whole: $(cd "$out/evidence" && find . -type f | tr '\n' ' ')"
cmp "$out/evidence/$id/timeline" "$work/state/incidents/$id/timeline" || fail "the evidence has another timeline"
expect 1 "$t" report scoring --evidence "$out/evidence"

# --- killed between file and note: the paper can be written again under another name, and nothing is noted twice ------------------------
n=1
until env TWOFOLD_FAULT="kill@$n" "$t" report incident "$id" --output "$out/k$n.html" || [ "$n" -gt 60 ]; do
    n=$((n + 1))
done >/dev/null 2>&1
[ "$n" -gt 4 ] && [ "$n" -le 60 ] || fail "it was through before step $n"
expect 0 "$t" report incident "$id" --output "$out/last.html"
cat >"$work/noted.py" <<'PYTHON'
import hashlib, json, sys
noted = [json.loads(line) for line in open(sys.argv[1])]
reports = [o for o in noted if o["kind"] == "report" and "path" in o]
for o in reports:
    assert hashlib.sha256(open(o["path"], "rb").read()).hexdigest() == o["sha256"], o
assert len({o["path"] for o in reports}) == len(reports)
numbers = [o["number"] for o in reports]
assert numbers == sorted(numbers), numbers
print(len(reports), "noted, all as they were written")
PYTHON
expect 0 python3 "$work/noted.py" "$work/state/incidents/$id/timeline"

# --- two at once ---------------------------------------------------------------------------------------------------------------------
for k in 1 2 3 4; do # at once, each has a number of its own
    "$t" report daily "$id" --lang en --output "$out/daily$k.html" >/dev/null 2>"$work/daily$k" &
done
wait
[ "$(sed -n 's|.*/daily/\([0-9]*\) .*|\1|p' "$out"/daily?.html | sort | tr -d '\n')" = 1234 ] || fail "numbers of papers written at once: $(grep -ho '/daily/[0-9]*' "$out"/daily?.html; cat "$work"/daily?)"
finish
