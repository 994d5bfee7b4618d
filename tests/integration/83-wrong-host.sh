#!/bin/bash
# What answers is not what was enrolled: another host key, no agent, another version, a shell that talks, an agent that breaks the
# protocol. Each is a clear error at once, over both transports, and nothing of it is believed.
# timeout: 300
. "$TWOFOLD_SRC/tests/integration/lib.sh"
. "$TWOFOLD_SRC/tests/integration/lab.sh"
export TWOFOLD_LINK_DEADLINE_S=6
lab_begin
lab_host orch
lab_host db1
lab_trust orch db1
lab_install db1
on() { lab_on orch "$t" "$@"; }
new_vault "$work/v"
lab_on db1 mkdir -p /srv/data
transports=openssh
[ ! -x "${t%/*}/twofold-ssh" ] || transports="openssh libssh2"
real=/usr/local/bin/twofold-agent

# A stand-in for the agent: frames as protocol.md has them, whatever the case wants.
cat >"$work/liar.py" <<'END'
import struct, sys, time
case = sys.argv[1]
out = sys.stdout.buffer
def frame(kind, payload):
    out.write(struct.pack("<IB", len(payload), kind) + payload)
    out.flush()
def hello(lo, hi):
    frame(1, b"twofold" + struct.pack("<HH", lo, hi) + b"\x039.9" + b"\x03db1")
if case == "version":
    hello(7, 9)
    time.sleep(1)
elif case == "noise":
    out.write(b"Welcome to db1!\n" * 100)
elif case == "huge":
    hello(1, 1)
    out.write(struct.pack("<IB", 0xFFFFFFFF, 33) + b"x" * 100000)
elif case == "order":
    hello(1, 1)
    frame(33, b"\0" * 64)          # PUT of what nobody asked for
    time.sleep(1)
elif case == "key":
    hello(1, 1)
    frame(34, b"\1" * 32 + b"\x51" + b"\2" * 81)  # a data key of the wrong length
    time.sleep(1)
elif case == "escape":
    hello(1, 1)
    frame(2, b"\x05" + b"\x04\x1b[2J" + b"\x06ha\x07\x1b]0" + b"\x00")
out.flush()
END

for transport in $transports; do
    say "over $transport"
    lab_on db1 install -m 755 "$AGENT" $real
    expect 0 on --yes agent enrol db1 --transport "$transport"
    [ -e "$vault/c/policies/data.yaml" ] || policy_add data --files /srv/data --agent db1
    expect 0 on backup data

    # --- what plays the agent ---------------------------------------------------------------------------
    lie() { lab_on db1 sh -c "rm -f $real; printf '#!/bin/sh\n%s\n' \"\$1\" >$real; chmod 755 $real" sh "$1"; }
    lie "exec python3 $work/liar.py version"
    expect 1 on backup data
    said 'speaks protocol 7 to 9'
    said 'upgrade twofold on this host'
    not_said 'trying again'
    lie "exec python3 $work/liar.py noise"
    expect 1 on backup data
    said 'not a message of the protocol'
    said 'prints text into the stream'
    for case in huge order key; do
        lie "exec python3 $work/liar.py $case"
        expect 1 on backup data
        said 'not a message of the protocol|not asked for|malformed'
    done
    lie "exec python3 $work/liar.py escape"
    lab_on orch "$t" backup data >"$work/.out" 2>"$work/.err"
    grep -q "$(printf '\033')" "$work/.err" "$work/.out" && fail "a host drives our terminal"
    lie "head -c 3000000 /dev/zero | tr '\\\\0' x >&2; exec $AGENT \"\$@\""
    expect 0 on backup data
    lab_on db1 rm $real
    expect 1 on backup data
    said 'no twofold-agent on db1'
    expect 1 on agent check db1
    lab_on db1 install -m 755 "$AGENT" $real
    lab_on db1 sh -c 'echo "echo Hello from the shell" >/root/.bashrc'
    expect 1 on backup data
    said 'prints text into the stream'
    lab_on db1 rm /root/.bashrc
    expect 0 on backup data

    # --- another host key: refused at once, both keys shown, and the way back is an enrolment -----------------
    old=$(lab_on db1 ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f2)
    lab_new_host_key db1
    new=$(lab_on db1 ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f2)
    expect 5 on backup data
    grep -qF "$old" "$work/.err" && grep -qF "$new" "$work/.err" || fail "the two fingerprints are not shown"
    said 'twofold agent enrol db1'
    not_said 'trying again'
    expect 5 on --yes agent enrol db1 # the operator knows another one
    expect 0 on agent enrol db1 --fingerprint "$new"
    expect 0 on backup data
    lab_on orch rm /root/.ssh/known_hosts
    lab_knows orch db1
done
[ "$(on --json snapshots | grep -c '"type": *"snapshot"')" -gt 0 ] || fail "no snapshots"
finish
