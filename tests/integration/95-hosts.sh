#!/bin/bash
# 95-hosts.sh - the whole of it on four hosts: an orchestrator, a file server with an agent, two storage hosts with SFTP copies. A storage
# host fills up, one is cut off, both are; the orchestrator loses its power in the middle of a run; nothing is lost, everything is
# said, and either copy alone restores.
# long
# timeout: 400
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/lab.sh"
lab_begin

orch() { lab_on orch "$@"; }
lab_host orch
lab_host file1
lab_host store1
lab_host store2
lab_install file1
for program in "$(dirname "$TWOFOLD")"/twofold "$(dirname "$TWOFOLD")"/twofold[-d]*; do
    [ ! -f "$program" ] || orch install -m 755 "$program" /usr/local/bin/
done
lab_trust orch file1
for host in store1 store2; do
    lab_trust orch $host twofold
    lab_on $host sh -c 'mkdir -p /srv/disk && mount -t tmpfs -o size=64m disk /srv/disk && chown twofold: /srv/disk'
done
orch sh -c 'rm -rf /etc/twofold /var/lib/twofold; printf "Correct-Horse-Battery-9\n" >/root/pass; chmod 600 /root/pass'
small_tree "$work/tree" 95 80
lab_on file1 sh -c "mkdir -p /srv && cp -a '$work/tree' /srv/data"
more_data() { # NAME MB: fresh bytes that do not compress
    lab_on file1 sh -c "head -c ${2}M /dev/urandom >/srv/data/$1"
}
more_data first 6

# --- two copies on two hosts, a source on a third
say "$SECONDS s: two copies on two hosts, a source on a third"
pass=--passphrase-file=/root/pass
url1=sftp://twofold@store1/srv/disk/vault url2=sftp://twofold@store2/srv/disk/vault
id="--identity /root/.ssh/id_ed25519"
# shellcheck disable=SC2086 # two words
expect 0 orch twofold --yes init --vault main --copy machine-room=$url1 $id --copy building-2=$url2 $id $pass --keep-recovery-key
expect 0 orch twofold --yes agent enrol file1 --allow /srv
expect 0 orch twofold policy add data --agent file1 --files /srv/data
expect 0 orch twofold policy lint
expect 0 orch twofold backup data
expect 0 orch twofold status --live
restored() { # restores with these options; the result is what is on file1 now
    orch rm -rf "$work/back"
    expect 0 orch twofold restore data --to "$work/back" "$@" || return
    lab_on file1 tar --format=pax -C /srv -cf - data | (rm -rf "$work/now" && mkdir "$work/now" && tar --format=pax -C "$work/now" -xpf -)
    same_tree "$work/now/data" "$work/back/srv/data"
}
restored
restored --from building-2

# --- a storage host is full: the run goes on with the other, and says so; room again, and it is caught up
say "$SECONDS s: a storage host is full: the run goes on with the other, and says so; room again, and it is caught up"
lab_on store2 sh -c 'head -c 60M /dev/zero >/srv/disk/filler 2>/dev/null; true'
more_data second 8
expect 3 orch twofold backup data
said 'building-2'; say "$SECONDS"
expect 3 orch twofold status
restored --from machine-room
lab_on store2 rm /srv/disk/filler
expect 0 orch twofold replicate
expect 0 orch twofold status --live
restored --from building-2

# --- a storage host cannot be reached; then neither
say "$SECONDS s: a storage host cannot be reached; then neither"
lab_cut store1
more_data third 2
expect 3 orch twofold backup data
said 'machine-room'; say "$SECONDS"
restored
lab_cut store2
more_data fourth 2
expect 1 orch twofold backup data
said 'why:'
expect 3 orch twofold status --live
lab_join store1
lab_join store2
expect 0 orch twofold backup data
restored --from machine-room
restored --from building-2

# --- the orchestrator's power goes in the middle of a run over a slow link; afterwards the run goes on where it was
say "$SECONDS s: the orchestrator's power goes in the middle of a run over a slow link; afterwards the run goes on where it was"
more_data fifth 24
lab_slow store2 40mbit
lab_slow store1 40mbit
orch twofold backup data >"$work/.out" 2>"$work/.err" &
running=$!
lab_until '[ "$(lab_on store1 sh -c "find /srv/disk/vault/packs -type f | wc -l")" -gt "${packs:=$(lab_on store1 sh -c "find /srv/disk/vault/packs -type f | wc -l")}" ]' 40 ||
    say "no new pack came in time; it is killed all the same"
lab_kill orch
wait "$running" 2>/dev/null
lab_boot orch
lab_fast store1
lab_fast store2
expect 0 orch twofold backup data
expect 0 orch twofold status --live
restored --from machine-room
restored --from building-2
expect 0 orch twofold scrub --read-data=100%

# --- nothing is left but the file server and one copy
say "$SECONDS s: nothing is left but the file server and one copy"
lab_kill orch
lab_cut store1
lab_on file1 install -m 755 "$TWOFOLD" "$(dirname "$TWOFOLD")/twofold-ssh" /usr/local/bin/
lab_on file1 sh -c 'cat >/root/key && chmod 600 /root/key' <"$lab/key"
printf 'Correct-Horse-Battery-9\n' | lab_on file1 sh -c 'cat >/root/pass; chmod 600 /root/pass'
expect 0 lab_on file1 twofold restore --copy $url2 --identity /root/key --host-key "$(lab_host_key store2)" \
    --policy data --to /srv/again $pass
lab_on file1 tar --format=pax -C /srv/again/srv -cf - data | (rm -rf "$work/again" && mkdir "$work/again" && tar --format=pax -C "$work/again" -xpf -)
same_tree "$work/now/data" "$work/again/data"
finish
