#!/bin/bash
# A copy on another host: made, written, read alone, cut off, full, and under another host key. A real sshd on loopback.
# shellcheck source=/dev/null disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

[ -x /usr/sbin/sshd ] || { echo "no sshd on this machine"; exit 77; }
export HOME=$work/home TWOFOLD_CONFIG=$work/conf TWOFOLD_STATE=$work/state
mkdir -p "$HOME" "$work/there" "$work/sshd"
[ "$(id -u)" -ne 0 ] || mkdir -p /run/sshd
port=$((20000 + $$ % 20000))
user=$(id -un)

sshd_pid=""
start_sshd() {
    /usr/sbin/sshd -D -f "$work/sshd/config" -E "$work/sshd/log" &
    sshd_pid=$!
    for _ in $(seq 100); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
        sleep 0.05
    done
    fail "sshd did not start: $(tail -3 "$work/sshd/log")"
}
cut_links() {
    local pid
    for pid in $(pgrep -P "$sshd_pid"); do kill -KILL "$pid" 2>/dev/null; done
}
stop_sshd() {
    [ -n "$sshd_pid" ] || return 0
    cut_links
    kill "$sshd_pid" 2>/dev/null
    wait "$sshd_pid" 2>/dev/null
    sshd_pid=""
}
trap stop_sshd EXIT

ssh-keygen -q -t ed25519 -N '' -f "$work/sshd/host"
touch "$work/sshd/authorized"
cat >"$work/sshd/config" <<EOF
Port $port
ListenAddress 127.0.0.1
HostKey $work/sshd/host
PidFile none
AuthorizedKeysFile $work/sshd/authorized
UsePAM no
StrictModes no
PermitRootLogin yes
Subsystem sftp /usr/lib/openssh/sftp-server
EOF
start_sshd
url=sftp://$user@127.0.0.1:$port$work/there/copy
host_key=$(cut -d' ' -f1,2 "$work/sshd/host.pub")
echo 'correct horse Battery 1' >"$work/pw"
chmod 600 "$work/pw"
mkdir -p "$work/src"
head -c 3000000 /dev/urandom >"$work/src/large"
for i in $(seq 20); do echo "file $i" >"$work/src/$i"; done
init=("$t" init --vault v --copy here="$work/here" --copy far="$url" --passphrase-file "$work/pw")

say "--- a host that nobody vouched for, then a key that is not let in"
expect 5 "${init[@]}"
said "nobody has said that the host key SHA256:"
expect 5 "${init[@]}" --host-key "$host_key"
said "does not let \"$user\" in"
said "authorized_keys"
key=$(grep -oE 'restrict ssh-ed25519 [A-Za-z0-9+/=]+' "$work/.err" | head -1)
[ -n "$key" ] || fail "the line for authorized_keys was not shown"
echo "$key" >"$work/sshd/authorized"

say "--- init, backup, status, scrub"
expect 0 "${init[@]}" --host-key "$host_key"
grep -qE "host-key: \"?ssh-ed25519" "$work/conf/vaults/v.yaml" || fail "the host key is not pinned: $(cat "$work/conf/vaults/v.yaml")"
grep -q "identity: " "$work/conf/vaults/v.yaml" || fail "the key's file is not named"
[ "$(stat -c %a "$work/conf/keys/v-far.ssh")" = 600 ] || fail "the private key can be read by others"
expect 0 "$t" policy add p --files "$work/src"
expect 0 "$t" backup p
expect 0,3 "$t" status
expect 0 "$t" scrub --read-data=100%
diff -r "$work/here" "$work/there/copy" >/dev/null || fail "the copies differ"

say "--- everything lost but the copy far away"
mkdir -p "$HOME/.ssh"
echo "[127.0.0.1]:$port $host_key" >"$HOME/.ssh/known_hosts"
cp "$work/conf/keys/v-far.ssh" "$HOME/.ssh/id_ed25519"
expect 0 env TWOFOLD_CONFIG="$work/none" TWOFOLD_STATE="$work/none2" "$t" restore --copy "$url" --policy p \
    --passphrase-file "$work/pw" --to "$work/back"
diff -r "$work/src" "$work/back$work/src" >/dev/null || fail "the restore from far away differs"

say "--- another copy there, added to the vault that exists, and the key of its host pinned anew"
add=("$t" copy add more="${url%/copy}/more" --limit 200MiB)
expect 5 "${add[@]}" --host-key "$host_key" && said "authorized_keys"
key=$(grep -oE 'restrict ssh-ed25519 [A-Za-z0-9+/=]+' "$work/.err" | head -1)
echo "$key" >>"$work/sshd/authorized"
expect 0 "${add[@]}" --host-key "$host_key"
expect 0 "$t" replicate --copy more && said 'copy "more": complete \([1-9]'
expect 0 "$t" scrub more --read-data=100%
for part in keys packs index snapshots lists; do
    diff -r "$work/here/$part" "$work/there/more/$part" >/dev/null || fail "the added copy differs in $part"
done
sed -i "/place: more/,/limit/ { /host-key/d }" "$work/conf/vaults/v.yaml"
expect 0 "$t" policy lint && said 'host of the copy "more" is not known by its key: twofold copy trust more'
expect 5 "$t" copy trust more --fingerprint SHA256:0000 && said 'shows the host key SHA256:.*, not SHA256:0000'
expect 0 "$t" copy trust more --fingerprint "$(ssh-keygen -lf "$work/sshd/host.pub" | cut -d' ' -f2)"
expect 0 "$t" policy lint && not_said 'is not known by its key'
expect 0 "$t" copy remove more && said 'Its data are still there: sftp'

say "--- the link is cut again and again while a backup runs"
head -c 60000000 /dev/urandom >"$work/src/more"
"$t" backup p >"$work/.out" 2>"$work/.err" </dev/null &
job=$!
for _ in 1 2 3 4; do
    sleep 0.4
    cut_links
done
wait "$job"
rc=$?
[ "$rc" -eq 0 ] || { fail "the backup ended with $rc"; show_output; }
expect 0 "$t" scrub --read-data=100%

say "--- the host is away: the run goes on without it, and is caught up"
stop_sshd
echo again >"$work/src/new"
expect 3 "$t" backup p
start_sshd
expect 0 "$t" replicate
diff -rq -x tmp "$work/here" "$work/there/copy" || fail "the copies differ after replicate"

say "--- another host key is refused, and both are named, until it is trusted"
stop_sshd
rm -f "$work/sshd/host" "$work/sshd/host.pub"
ssh-keygen -q -t ed25519 -N '' -f "$work/sshd/host"
start_sshd
echo yet again >"$work/src/new"
expect 3 "$t" backup p
said "its host key is SHA256:.* but SHA256:.* is pinned"
expect 0 "$t" copy trust far --host-key "$(cut -d' ' -f1,2 "$work/sshd/host.pub")"
expect 0 "$t" replicate
stop_sshd

if [ -n "${SCENARIO_NAMESPACE:-}" ] && mkdir -p "$work/small" &&
    mount -t tmpfs -o size=3m small "$work/small" 2>/dev/null; then
    say "--- the disk there is full"
    start_sshd
    host_key=$(cut -d' ' -f1,2 "$work/sshd/host.pub")
    expect 0 "$t" init --vault w --copy here="$work/here2" --copy far="${url%/there/copy}/small/copy" \
        --passphrase-file "$work/pw" --host-key "$host_key" --identity "$HOME/.ssh/id_ed25519"
    expect 0 "$t" policy add q --vault w --files "$work/src/large" --files "$work/src/more"
    expect 3 "$t" backup q
    said "is full"
    expect 0 "$t" scrub --vault w --read-data=100% || :
else
    skip_part "a full disk (no mount namespace)"
fi
finish
