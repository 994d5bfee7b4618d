#!/bin/bash
# 33-cut-off.sh - a restore out of copies that hang, fail, are gone, or cut off in its middle: it waits for none while another one answers, takes
# no older state for the newest, and calls nothing lost that it only could not reach. What is damaged in every copy is named, and so is
# the older backup that is whole. Cases: error is not absence; a second target that works when the first is away (docs/lessons).
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/lab.sh"

src=$work/src
again() { # STATUS [OPTION…]: a restore to a new place
    local want=$1
    shift
    clean "$work/out"
    expect "$want" "$t" restore tree --to "$work/out" "$@"
}
whole() { again 0 && same_tree "$src" "$work/out$src"; }
# spoil COPY…: the first bytes of every chunk that lies in packs of the last backup, or somewhere in each, are others.
spoil() {
    local f at
    while read -r f; do
        for at in 1000 700000 1500000 2500000; do printf '\377\376\375' | dd of="$f" bs=1 seek=$at conv=notrunc status=none; done
    done < <(find "${@/#/$work/v/}" -path '*/packs/*' -type f -size +500k -newer "$work/mark")
}
small_tree "$src" 33 20
for i in 1 2 3; do head -c 900000 /dev/urandom >"$src/old$i"; done
new_vault "$work/v"
policy_add tree --files "$src"
expect 0 "$t" backup tree
cp -a "$src" "$work/src1"
sleep 1.1
touch "$work/mark"
head -c 900000 /dev/urandom >"$src/new"

# --- the copy that alone has the newest backup is slow: nobody takes the other's older one for the newest
mv "$b" "$b.away"
expect 3 "$t" backup tree
mv "$b.away" "$b"
TWOFOLD_STORE_FAULT="$a stat@1:3000ms" whole
expect 0 "$t" replicate
cp -a "$work/v" "$work/v2"

# --- one that hangs, from the beginning or in the middle; one that fails
TWOFOLD_STORE_FAULT="$a stat@1+:60000ms" whole && said 'copy "a" cannot be reached: it has not answered for [0-9]+ s'
TWOFOLD_STORE_FAULT="$a get@8+:60000ms" whole && said 'copy "a" has not answered in time' && said '"a" failed or did not answer in time: 1 time'
TWOFOLD_STORE_FAULT="$a get@8+:EIO" whole && said 'copy "a" cannot be read now \(.*; the others are asked'
TWOFOLD_STORE_FAULT="$b stat@1+:60000ms" again 0 --from a && same_tree "$src" "$work/out$src" && not_said 'waited for'
# Slow, and there is no other: it is waited for.
mv "$b" "$b.away"
TWOFOLD_STORE_FAULT="$a get@9:5000ms" whole && said 'copy "a" has not answered in time'

# --- damaged here, and not to be reached there: nothing is called lost, and the same command brings the rest
spoil a
again 4 && said 'it may lie|may lie in a copy that could not be reached' && said 'run the same command again' && not_said 'older backup'
mv "$b.away" "$b"
expect 0 "$t" restore tree --to "$work/out" && same_tree "$src" "$work/out$src" && said 'to mend the copies: twofold repair'
whole && said 'copy "a": [0-9]+ chunks, and [1-9][0-9]* that were DAMAGED'

# --- damaged in both, at the same places: named, and an older backup that is whole is named, too
spoil b
again 4 && said "^[^ ]*$src/new" && said 'older backup, the newest that seems whole is [0-9a-f]+ of'
older=$(grep -oE 'add --snapshot [0-9a-f]+' "$work/.err" | grep -oE '[0-9a-f]+$')
again 0 --snapshot "${older:-none}" && same_tree "$work/src1" "$work/out$src"
expect 4 "$t" scrub --read-data=100% && said 'damaged object packs/.* is needed by:' && said '1 backup of tree/files, the newest [0-9a-f]+ of'

# --- both gone
mv "$a" "$a.away" && mv "$b" "$b.away"
again 1 && said 'no copy can be read' && said 'next: '
[ ! -e "$work/out" ] || fail "a restore without copies made a target"
rm -rf "${work:?}/v" && mv "$work/v2" "$work/v"

# --- the other building is cut off in the middle of a restore: joined again, or not
(lab_begin) >"$work/.lab" 2>&1 || { skip_part "$(cat "$work/.lab")"; finish; }
lab_begin
lab_host orch
lab_host far
lab_trust orch far twofold
lab_on far sh -c 'mkdir -p /srv/disk && chown twofold: /srv/disk'
orch() { lab_on orch "$@"; }
for i in $(seq 16); do head -c 1000000 /dev/urandom >"$src/big$i"; done
export TWOFOLD_CONFIG=$work/n/c TWOFOLD_STATE=$work/n/s
near=$work/n/near
mkdir "$work/n" && cp "$work/v/pass" "$work/n/pass"
expect 0 orch "$t" --yes init --vault main --copy far=sftp://twofold@far/srv/disk/vault --identity /root/.ssh/id_ed25519 --copy near="$near" \
    --passphrase-file "$work/n/pass" --keep-recovery-key
policy_add tree --files "$src"
expect 0 orch "$t" backup tree
arrived() { [ "$(du -sk "$work/out" 2>/dev/null | cut -f 1 || echo 0)" -gt "$1" ] 2>/dev/null; }
begin() { # [NAME=VALUE…]: a restore over a slow line that is cut in its middle
    clean "$work/out"
    lab_slow far 30mbit
    orch env "$@" "$t" restore tree --to "$work/out" >"$work/run.out" 2>"$work/run.err" &
    run=$!
    lab_until 'arrived 6000' 30 || fail "nothing came"
    lab_cut far
}
ended() { # STATUS
    local rc=0
    wait "$run" || rc=$?
    cp "$work/run.out" "$work/.out"
    cp "$work/run.err" "$work/.err"
    lab_fast far
    [ "$rc" = "$1" ] || { fail "exit status $rc instead of $1"; show_output; }
}
begin A=1
ended 0 && said 'copy "far" has not answered in time' && same_tree "$src" "$work/out$src"
lab_join far
mv "$near" "$near.away" # and there is no other
begin A=1
lab_until 'grep -q "is waited for" run.err' 20 || fail "it was not noticed"
lab_join far
ended 0 && same_tree "$src" "$work/out$src"
begin TWOFOLD_OUTAGE_MS=4000
ended 4 && said 'may lie in a copy that could not be reached' && said 'run the same command again'
lab_join far
expect 0 orch "$t" restore tree --to "$work/out" && same_tree "$src" "$work/out$src"
finish
