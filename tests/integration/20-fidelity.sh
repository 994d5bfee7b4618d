#!/bin/bash
# 20-fidelity.sh - everything that a file can be is the same after a backup and a restore: as rsync, getfattr, getfacl and lsattr
# see it, and as compare.py does. On a file system of its own (ext4 in a file), where it may be mounted; as root.
# shellcheck disable=SC2154
# shellcheck disable=SC2034 # lib.sh reads it
SCENARIO_ON_DISK=1
. "$TWOFOLD_SRC/tests/integration/lib.sh"
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 77; }

# --- a file system that knows all of it ---------------------------------------------------------------------------------
disk=$work/disk
mkdir "$disk"
kind=folder
truncate -s 400M "$work/image"
for try in ext4 xfs btrfs; do
    command -v mkfs.$try >/dev/null || continue
    case $try in ext4) options=(-q -F -I 256 -b 4096) ;; xfs) options=(-q -m bigtime=1) ;; *) options=(-q) ;; esac
    mkfs.$try "${options[@]}" "$work/image" >/dev/null 2>&1 || continue
    mount -o loop,acl,user_xattr "$work/image" "$disk" 2>/dev/null || mount -o loop "$work/image" "$disk" 2>/dev/null || continue
    kind=$try
    break
done
[ $kind != folder ] || skip_part "no file system can be mounted from a file: what this one does not know is not tested"
say "on $kind"
src=$disk/src
mkdir "$src"

# --- a tree with everything ------------------------------------------------------------------------------------------------
try() { # what cannot be made here is not tested, and said
    local what=$1
    shift
    "$@" 2>/dev/null || skip_part "$what"
}
python3 - "$src" <<'P'
import os, socket, stat, sys
os.umask(0o022)
os.chdir(sys.argv[1])
def put(name, data=b"content\n"):
    with open(name, "wb") as f:
        f.write(data)
    return name
for i, mode in enumerate([0o644, 0o4755, 0o2755, 0o6711, 0o1777, 0o000, 0o7777, 0o400]):
    os.chmod(put(b"mode%d" % i), mode)
for i, mode in enumerate([0o755, 0o1777, 0o2775, 0o700, 0o555]):
    os.mkdir(b"dir%d" % i); put(b"dir%d/in" % i); os.chmod(b"dir%d" % i, mode)
for i, (u, g) in enumerate([(1, 2), (65534, 65534), (4294967294, 4294967294), (1000, 0), (0, 1000)]):
    os.chown(put(b"owner%d" % i), u, g)
os.chown(put(b"owner-suid"), 1000, 1000); os.chmod(b"owner-suid", 0o6755)
put(b"empty-file", b""); os.mkdir(b"empty-folder")
for name in [b"new\nline", b"\xff\xfe\x80", b"tab\there", b" ", b"-rf", b"back\\slash", b"a" * 255, "名".encode(), b"\x01\x7f", b"..."]:
    put(name)
os.mkfifo(b"fifo"); os.link(b"fifo", b"fifo2")
os.mknod(b"char", stat.S_IFCHR | 0o600, os.makedev(1, 3)); os.link(b"char", b"char2")
os.mknod(b"block", stat.S_IFBLK | 0o660, os.makedev(7, 300)); os.mknod(b"big-device", stat.S_IFCHR | 0o600, os.makedev(4095, 1048575))
os.symlink(b"nowhere", b"link"); os.link(b"link", b"link2", follow_symlinks=False)
os.symlink(b"x" * 4000, b"long-link"); os.symlink(b"\xff\n", b"odd-link"); os.lchown(b"link", 5, 6)
os.mkdir(b"hard"); put(b"hard/one", os.urandom(100000))
for i in range(20): os.link(b"hard/one", b"hard/other%d" % i)
os.link(b"hard/one", b"empty-folder/../zz-last")
s = socket.socket(socket.AF_UNIX); s.bind("socket")
with open(b"sparse-1T", "wb") as f:
    f.write(b"begin"); f.truncate(1 << 40); f.seek((1 << 39) + 12345); f.write(b"middle" * 1000); f.seek((1 << 40) - 3); f.write(b"end")
with open(b"sparse-all", "wb") as f: f.truncate(10 << 20)
with open(b"sparse-end", "wb") as f: f.write(b"x" * 4096); f.truncate(5 << 20)
with open(b"sparse-many", "wb") as f:
    for i in range(300): f.seek(i * 16384); f.write(b"%d" % i)
put(b"zeros", bytes(3 << 20)); put(b"random", os.urandom(3 << 20)); put(b"text", b"the same line\n" * 100000)
# Deeper than a path may be long: made step by step.
top = os.open(".", os.O_RDONLY)
for i in range(25):
    os.mkdir(b"deep-" + b"d" * 245); os.chdir(b"deep-" + b"d" * 245)
put(b"at the bottom"); os.symlink(b"/", b"link at the bottom")
os.fchdir(top)
for i, n in enumerate([1, 999999999, 123456789]):
    os.utime(put(b"time%d" % i), ns=(0, 1700000000 * 10**9 + n))
os.utime(b"link", ns=(0, 1500000000 * 10**9 + 7), follow_symlinks=False)
for name, year in [(b"time-1960", -315619200), (b"time-2300", 10413792000), (b"time-epoch", 0), (b"time-2038", 2147483648)]:
    os.utime(put(name), ns=(0, year * 10**9 + 5))
os.utime(b"fifo", ns=(0, 1234567890123456789)); os.utime(b"char", ns=(0, 1234567890123456789))
for i in range(6): os.utime(b"dir%d" % i if i < 5 else b"hard", ns=(0, 1600000000123456789 + i))
P
setfattr -n user.text -v value "$src/text" && setfattr -n user.binary -v 0x00ff0a00 "$src/text" &&
    setfattr -n user.empty "$src/text" && setfattr -n user.on-dir -v d "$src/dir0" || skip_part "user attributes"
setfattr -n user.big -v "0x$(head -c 1500 /dev/zero | tr '\0' 'x' | od -An -v -tx1 | tr -d ' \n')" "$src/random" || skip_part "a large attribute"
try "trusted attributes" setfattr -n trusted.overlay.opaque -v y "$src/dir1"
try "trusted attributes of links" setfattr -h -n trusted.of-link -v y "$src/link"
try "security attributes" setfattr -n security.test -v 0x0001 "$src/mode0"
try "security attributes of devices" setfattr -h -n security.test -v dev "$src/char"
try "ACLs" setfacl -m u:1234:rw,g:77:r,m::rw "$src/mode0"
try "default ACLs" setfacl -d -m u:1234:rwx,g:77:rx,o::- "$src/dir2"
try "ACLs of a folder" setfacl -m u:4321:rx "$src/dir3"
try "file capabilities" setcap cap_net_raw,cap_net_admin+ep "$src/mode1"
echo i >"$src/immutable" && echo a >"$src/append" && echo d >"$src/nodump" && mkdir "$src/immutable-dir" && echo x >"$src/immutable-dir/x"
touch -d '2001-02-03 04:05:06.789' "$src/immutable" "$src/append" "$src/immutable-dir"
try "chattr +i" chattr +i "$src/immutable"
try "chattr +a" chattr +a "$src/append"
try "chattr +d" chattr +d "$src/nodump"
try "chattr +AS" chattr +AS "$src/text"
try "chattr +i of a folder" chattr +i "$src/immutable-dir"
touch -d '2010-10-10 10:10:10.101010101' "$src"

# --- there and back -----------------------------------------------------------------------------------------------------------
new_vault "$work/v"
policy_add all --files "$src"
expect 0 "$t" backup all && said 'socket'
expect 0 "$t" restore all --to "$disk/back" --strip-source && not_said 'could not'
back=$disk/back
same_tree "$src" "$back"
# The same by others. What rsync prints is a difference (but for the socket).
rsync -aHAXn --numeric-ids --checksum --delete --itemize-changes --exclude=/socket --exclude='sparse-1T' --exclude='deep-*' "$src/" "$back/" >"$work/rsync" 2>&1
[ ! -s "$work/rsync" ] || { fail "rsync sees differences"; head "$work/rsync"; }
by_others() { # folder, output
    (cd "$1" && find . -mindepth 1 ! -path '*deep-*' ! -type s -print0 | sort -z >"$work/names"
        echo "--- attributes"; xargs -0 getfattr -d -m - -h -e hex -- <"$work/names" 2>/dev/null
        echo "--- ACLs"; find . ! -path '*deep-*' ! -type s ! -type l -print0 | sort -z | xargs -0 getfacl -pn -- 2>/dev/null
        echo "--- flags"; find . ! -path '*deep-*' \( -type f -o -type d \) -print0 | sort -z | xargs -0 lsattr -d -- 2>/dev/null
        echo "--- capabilities"; getcap -r . 2>/dev/null | sort
        echo "--- stat"; xargs -0 stat -c '%N %f %h %u %g %t %T %s %y' -- <"$work/names" | sed "s/ [0-9]* \([0-9-]* [0-9:.]* +0000\)$/ \1/" | sort) >"$2"
}
by_others "$src" "$work/one"
by_others "$back" "$work/two"
# Sizes of folders are the file system's business.
diff <(sed -E 's/^(.*) (4[0-9a-f]{3}) .* ([0-9]+ [0-9]+ 0 0) .*(20..-)/\1 \2 \3 \4/' "$work/one") <(sed -E 's/^(.*) (4[0-9a-f]{3}) .* ([0-9]+ [0-9]+ 0 0) .*(20..-)/\1 \2 \3 \4/' "$work/two") >"$work/diff" ||
    { fail "others see differences"; head -n 20 "$work/diff"; }
[ "$(du -k "$back/sparse-1T" | cut -f1)" -lt 1000 ] || fail "the hole of a terabyte is filled"

# Again on top of it: nothing is to be done, immutable or not; and after everything was changed.
chattr -i "$back/immutable" && chattr -a "$back/append"
expect 0 "$t" restore all --to "$back" --strip-source --overwrite
same_tree "$src" "$back"
expect 0 "$t" diff latest live
[ ! -s "$work/.out" ] || { fail "diff with the live files sees differences"; head "$work/.out"; }

# --- a second run reads nothing, and notices what has changed without a new time --------------------------------------------------
# Files that were written within two seconds before a run are read once more by the next one: their times prove nothing.
for ((until = SECONDS + 20; SECONDS < until; )); do
    expect 0 "$t" --json backup all
    read=$(json bytes_read backup)
    [ "$read" -gt 0 ] || break
done
[ "$read" -eq 0 ] || fail "an unchanged tree is read again and again: $read bytes"
try "ACLs" setfacl -m u:99:r "$src/mode7"
chmod 4711 "$src/mode2"
chattr +d "$src/zeros"
setfattr -n user.new -v 1 "$src/dir0/in"
expect 0 "$t" backup all
clean "$disk/back"
expect 0 "$t" restore all --to "$back" --strip-source && same_tree "$src" "$back"
clean "$disk/back"

# --- what is left out ------------------------------------------------------------------------------------------------------------------
out=$disk/out
mkdir -p "$out"/{keep,cache,tagged/sub,mnt,notag} && echo k | tee "$out/keep/k" "$out/cache/c" "$out/tagged/t" "$out/tagged/sub/s" "$out/x.tmp" \
    "$out/keep/y.tmp" "$out/notag/n" >/dev/null
printf 'Signature: 8a477f597d28d172789f06886806bc55\n# a cache\n' >"$out/tagged/CACHEDIR.TAG"
printf 'no signature\n' >"$out/notag/CACHEDIR.TAG"
mount -t tmpfs other "$out/mnt" && echo m >"$out/mnt/m" || skip_part "a mount within the source"
policy_add less --files "$out" --exclude "$out/cache" --exclude '*.tmp' --one-file-system
expect 0 "$t" backup less
expect 0 "$t" restore less --to "$disk/less" --strip-source
(cd "$disk/less" && find . | sort) >"$work/has"
cat >"$work/should" <<'L'
.
./keep
./keep/k
./mnt
./notag
./notag/CACHEDIR.TAG
./notag/n
./tagged
./tagged/CACHEDIR.TAG
L
diff "$work/should" "$work/has" >"$work/diff" || { fail "excluded, or not"; cat "$work/diff"; }
policy_add more --files "$out"
expect 0 "$t" backup more
expect 0 "$t" restore more --to "$disk/more" --strip-source
[ "$(cat "$disk/more/mnt/m")" = k ] || [ "$(cat "$disk/more/mnt/m")" = m ] || fail "other file systems are left out unasked"
umount "$out/mnt" 2>/dev/null

# --- onto a file system that can less: everything else is there, and each loss is named -----------------------------------------------
if mkdir "$work/lesser" && mount -t ramfs lesser "$work/lesser" 2>/dev/null; then
    expect 0,3 "$t" restore all --to "$work/lesser/r" --strip-source "$src/text" "$src/mode0" "$src/immutable" "$src/hard"
    [ "$status" -eq 3 ] && said 'could not be set'
    cmp -s "$src/text" "$work/lesser/r/text" || fail "content is lost for want of attributes"
else
    skip_part "a file system without attributes"
fi

chattr -R -i -a "$src" 2>/dev/null
finish
