#!/bin/bash
# 96-crash-hosts.sh - crashes told from beginning to end on six hosts: a PostgreSQL data folder deleted, MariaDB's pages overwritten, a web site tampered
# with; a copy damaged in many chunks, gone, both damaged. What comes back is held against a ledger of acknowledged commits, the timeline and
# the papers against what happened.
# long
# timeout: 400
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/pg.sh"
. "$TWOFOLD_SRC/tests/integration/maria.sh"
. "$TWOFOLD_SRC/tests/integration/lab.sh"
. "$TWOFOLD_SRC/tests/integration/crash_hosts.sh"
hosts_begin
hosts_pg pg
hosts_maria maria
hosts_web web
snapshot_of() { # POLICY: its newest
    on --json snapshots "$1" >"$work/.snapshots" 2>/dev/null
    python3 -c 'import json, sys
print(max((o["received"], o["id"]) for o in map(json.loads, open(sys.argv[1])) if o.get("type") == "snapshot")[1])' "$work/.snapshots"
}
keep pg
keep maria
write_to pg
write_to maria
expect 0 on backup pg maria web

# --- a: the data folder of PostgreSQL is deleted; for two seconds nobody had kept its log -----------------------------------------------------
say "$SECONDS s: a PostgreSQL data folder is deleted"
more_acked pg 20
unkeep pg
kept=$(kept pg)
sleep 1.2
crashed=$(date +%s)
lab_on pg find /srv/pg/data -mindepth 1 -delete
expect 3 on crash pg --crashed-at "@$crashed" && said 'host-repaired=yes'
end_writes pg
papers pg incident
paper_says pg incident measures "being handled"
expect 0 on --yes crash resume pg && said 'RECOVERED'
now=$(date +%s)
# shellcheck disable=SC2046 # one row, or two
ends_at pg $(upto pg 0 "${kept#* }")
[ "$last" -lt "$(acked pg)" ] || fail "nothing was written that nobody kept"
at=$(at_of pg "$last")
tells pg "story == '$whole'" "opened['crashed'] == $crashed <= opened['at'] <= recovered['at'] <= $now" \
    "len(restores) == 1 and restores[0]['end'] in ('whole', 'problems') and restores[0]['chunks_lost'] == 0" \
    "copies['machine-room']['chunks'] > 8 and all(c['bad'] == 0 for c in copies.values())" \
    "int($at) <= loss['recovered_to'] <= $(at_of pg $((last + 1)))" "loss['gap_s'] == $crashed - loss['recovered_to'] >= 1" "loss['crash_is_known']" \
    "[n['to'] for n in notices('hold-uploads')] == [n['to'] for n in notices('resume-uploads')] == ['County']"
papers pg incident summary handling
expect 0 on crash close pg
goes_on pg
keep pg

# --- b, c: pages of MariaDB are overwritten while it runs, and a hundred chunks of one copy are damaged ------------------------------------------
say "$SECONDS s: MariaDB's pages are overwritten, one copy is damaged in many chunks"
damage many "$(snapshot_of maria)"
more_acked maria 20
unkeep maria
sleep 0.3
end_writes maria
crashed=$(date +%s)
lab_on maria python3 - <<'P'
import glob, os, random
rng = random.Random(96)
for path in glob.glob("/srv/maria/data/*/*.ibd") + glob.glob("/srv/maria/data/ib*"):
    pages = os.path.getsize(path) // 16384
    with open(path, "r+b") as f:
        for page in rng.sample(range(pages), min(pages, 40)):
            f.seek(page * 16384 + rng.randrange(8000))
            f.write(rng.randbytes(4000))
P
lab_on maria pkill -KILL -x mariadbd
expect 0 on --yes crash maria --crashed-at "@$crashed" && said 'pieces DAMAGED' && said 'RECOVERED'
ends_at maria "$(acked maria)" $(($(acked maria) + 1)) # its binary logs lie in the scene: all is back, kept or not
at=$(at_of maria "$last")
tells maria "story == '$whole'" "opened['crashed'] == $crashed" "len(restores) == 1 and restores[0]['end'] in ('whole', 'problems')" \
    "restores[0]['snapshot'] == '$(damaged 'o["snapshot"]')'" "copies['machine-room']['bad'] == $(damaged 'o["hit"][0]')" \
    "copies['machine-room']['chunks'] > 0 and copies['building-2']['chunks'] >= copies['machine-room']['bad']" "copies['building-2']['bad'] == 0" \
    "int($at) <= loss['recovered_to'] <= $crashed + 1" "loss['gap_s'] == max(0, $crashed - loss['recovered_to'])"
papers maria incident summary handling
expect 0 on crash close maria
mend
goes_on maria
keep maria
expect 0 on backup maria # its life is a new one

# --- d: one copy is gone; the log that survived on the host brings all back --------------------------------------------------------------------
say "$SECONDS s: one copy is gone"
more_acked pg 20
unkeep pg
sleep 0.3
end_writes pg
lab_on pg pkill -QUIT -x postgres
lab_on pg sh -c 'rm -r /srv/pg/data/base /srv/pg/data/global'
lab_on store1 mv /srv/disk/vault /srv/disk/away
expect 0 on --yes crash pg && said 'copy "machine-room": not used'
lab_on store1 mv /srv/disk/away /srv/disk/vault
ends_at pg "$(acked pg)" $(($(acked pg) + 1))
at=$(at_of pg "$last")
tells pg "story == '$whole'" "not copies['machine-room']['used'] and copies['machine-room']['chunks'] == 0" "copies['building-2']['used'] and copies['building-2']['chunks'] > 8" \
    "int($at) <= loss['recovered_to'] <= opened['at']"
papers pg incident summary handling
expect 0 on crash close pg
goes_on pg
keep pg

# --- e: both copies are damaged, in no chunk both; the data folder of MariaDB is gone ------------------------------------------------------------
say "$SECONDS s: both copies are damaged, in no chunk both"
damage disjoint "$(snapshot_of maria)"
more_acked maria 20
unkeep maria
kept=$(kept maria)
more_acked maria 10
end_writes maria
crashed=$(date +%s)
lab_on maria sh -c 'pkill -KILL -x mariadbd; rm -r /srv/maria/data'
expect 0 on --yes crash maria --crashed-at "@$crashed"
# shellcheck disable=SC2046,SC2086 # its two words
ends_at maria $(upto maria $kept)
[ "$last" -lt "$(acked maria)" ] || fail "nothing was written that nobody kept"
at=$(at_of maria "$last")
tells maria "story == '$whole'" "len(restores) == 1 and restores[0]['end'] in ('whole', 'problems') and restores[0]['snapshot'] == '$(damaged 'o["snapshot"]')'" \
    "copies['machine-room']['bad'] == $(damaged 'o["hit"][0]')" "copies['building-2']['bad'] == 0 and copies['building-2']['chunks'] == $(damaged 'o["hit"][0]')" \
    "int($at) <= loss['recovered_to'] <= $(at_of maria $((last + 1))) + 1" "loss['gap_s'] == max(0, $crashed - loss['recovered_to'])"
papers maria incident summary handling
expect 0 on crash close maria
mend

# --- f: both are damaged in the same chunk of the newest backup, and in the log: an older backup, and what that loses --------------------------
say "$SECONDS s: both copies are damaged in the same chunk"
older=$(snapshot_of pg)
db_sql "CREATE TABLE later AS SELECT i, md5(i::text) || md5((i + 1)::text) AS sum FROM generate_series(1, 8000) i"
expect 0 on backup pg
newer=$(snapshot_of pg)
more_acked pg 40
before=$(acked pg 4)
kept_up pg "$before"
more_acked pg 40
kept_up pg "$(acked pg 4)"
unkeep pg
end_writes pg
damage same "$newer"
damage log pg "$before"
crashed=$(date +%s)
lab_on pg sh -c 'pkill -QUIT -x postgres; find /srv/pg/data -mindepth 1 -delete'
expect 0,4 on --yes crash pg --crashed-at "@$crashed" && said 'recovered up to'
# shellcheck disable=SC2046
ends_at pg $(upto pg 0 "$(damaged 'o["end"]')")
at=$(at_of pg "$last")
tells pg "[r['snapshot'] for r in restores] == ['$newer', '$older']" "[e['state'] for e in tried] == ['failed', 'done']" "restores[0]['chunks_lost'] >= 1" \
    "int($at) <= loss['recovered_to'] <= int($at + 0.2)" "loss['gap_s'] == $crashed - loss['recovered_to'] >= 1"
papers pg incident summary handling
expect 0 on crash close pg
mend

# --- g, k: a web site is tampered with, and both copies are gone: the vendor is called; they come back, and so does the site ----------------------
say "$SECONDS s: a web site is tampered with, and both copies are gone"
first_sign=$(date +%s)
sleep 1
page=$(cd "$work/site" && find . -type f -links 1 -size +2k | sort | head -n 1)
lab_on web sh -c "echo '<script>' >>'/srv/www/$page'; echo door >/srv/www/shell.php"
lab_on store1 mv /srv/disk/vault /srv/disk/away
lab_on store2 sh -c 'kill "$(cat /run/sshd.pid)"; pkill -x sshd; true'
expect 3 on --yes crash web --cause attack --first-sign "@$first_sign" --answer isolated=yes --answer stopped=yes
expect 3 on --yes crash resume web --answer stopped=yes
expect 6 on --yes crash resume web --answer source-found=yes && said 'ESCALATED' && said 'Support desk, Vendor Ltd.  400-5550199' && said '0371-5550120'
tells web "story.endswith('escalated')" "[e['why'] for e in E if e['kind'] == 'escalated'] and not tried and not recovered"
papers web incident
paper_says web incident help 400-5550199
lab_until 'grep -q 400-5550199 "$lab/orch/up/var/log/sms"' || fail "the vendor was not told"
lab_on store1 mv /srv/disk/away /srv/disk/vault
lab_sshd store2
damage disjoint "$(snapshot_of web)"
expect 0 on --yes crash resume web --answer source-found=yes && said 'RECOVERED'
lab_on web sh -c "cat /srv/www/.twofold-aside-*/'$page'" | grep -q '<script>' || fail "the page that was tampered with is not kept"
lab_on web sh -c 'cat /srv/www/.twofold-extra-*/shell.php' | grep -q door || fail "what was put there is not kept"
lab_on web cp -a /srv/www "$work/now"
clean "$work"/now/.twofold-*
touch -r "$work/site" "$work/now"
same_tree "$work/site" "$work/now"
tells web "story == 'notify [isolated=yes] [stopped=yes] [source-found=yes] facts [host-repaired=yes] escalated resumed [source-found=yes] facts [host-repaired=yes] restore check resume recovered'" \
    "opened['cause'] == 'attack' and opened['first_sign'] == $first_sign" "len(restores) == 1 and restores[0]['snapshot'] == '$(damaged 'o["snapshot"]')'" \
    "copies['machine-room']['bad'] > 0 and copies['machine-room']['chunks'] > 0 and copies['building-2']['chunks'] >= copies['machine-room']['bad']" \
    "restores[0]['chunks_lost'] == 0" "len([e for e in E if e['kind'] == 'notice' and e.get('about') == 'escalated' and e['ok'] and e['to'] == 'Support desk']) == 1"
papers web incident summary handling
expect 0 on crash close web
finish
