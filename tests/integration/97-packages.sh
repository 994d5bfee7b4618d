#!/bin/bash
# The packages in a clean Debian root: built twice alike, installed from the offline bundle with the link down, used,
# upgraded, removed and purged. Nothing that a person made is lost; nothing of ours stays.
# long
# timeout: 600
# shellcheck disable=SC2154 # work, t: from lib.sh
export SCENARIO_ON_DISK=1
. "$TWOFOLD_SRC/tests/integration/lib.sh"

[ -n "${SCENARIO_NAMESPACE:-}" ] || { echo "needs root and a mount namespace"; exit 77; }
for tool in debootstrap dpkg-deb dpkg-scanpackages unshare chroot; do
    command -v "$tool" >/dev/null || { echo "$tool is not here"; exit 77; }
done
cache=${TWOFOLD_TEST_CACHE:-/var/cache/twofold-tests}
base=$cache/minbase

# The base is made once; whoever comes at the same time waits.
make_base() {
    local mirror
    mkdir -p "$cache"
    exec 9>"$cache/minbase.lock"
    flock 9
    [ ! -e "$base/.complete" ] || return 0
    rm -rf --one-file-system "$base"
    mirror=$(apt-get indextargets --format '$(SITE)' 2>/dev/null | grep -m1 -E '/debian/?$')
    debootstrap --variant=minbase bookworm "$base" ${mirror:+"$mirror"} >"$work/debootstrap.log" 2>&1 || return 1
    touch "$base/.complete"
}
make_base || { tail -n 1 "$work/debootstrap.log"; echo "debootstrap cannot reach a mirror here"; exit 77; }
exec 9>&-

root=$work/root
mkdir "$work/upper" "$work/ovl" "$root"
mount -t tmpfs -o mode=755 upper "$work/ovl" && mkdir "$work/ovl/up" "$work/ovl/work" &&
    mount -t overlay -o "lowerdir=$base,upperdir=$work/ovl/up,workdir=$work/ovl/work" root "$root" ||
    { echo "no overlay file system here"; exit 77; }
mount -t proc proc "$root/proc"

# In the clean root, without any network.
inside() { unshare -n chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/root "$@"; }
files_inside() {
    (cd "$root" && find bin etc lib opt root sbin srv usr var -xdev \( -path var/lib/apt -o -path var/cache -o -path var/log -o \
        -path var/lib/dpkg -o -path 'etc/ld.so.cache' \) -prune -o ! -type d -print | sort)
}

# --- built twice, with another version the second time
version=$(cat "$TWOFOLD_SRC/VERSION")
built=$(dirname "$TWOFOLD_FAST")
pack() { (cd "$TWOFOLD_SRC" && unset TWOFOLD AGENT && VERSION=$2 scripts/deb.sh "$built" "$1"); }
expect 0 pack "$work/one" "$version"
expect 0 pack "$work/again" "$version"
(cd "$work/one" && sha256sum ./*.deb) >"$work/sums"
(cd "$work/again" && sha256sum --quiet -c "$work/sums") || fail "the same sources gave other packages"
DPKG_DEB_COMPRESSOR_TYPE=none expect 0 pack "$work/two" "$version+1" # quicker
expect 0 "$TWOFOLD_SRC/scripts/offline-bundle.sh" "$work/one" "$work/bundle.tar" || {
    skip_part "the offline bundle: $(tail -n 1 "$work/.err")"
    finish
}

# --- the bundle, with the link down
before=$(files_inside)
tar -C "$root/root" -xf "$work/bundle.tar"
bundle=/root/twofold-offline-$version
expect 0 inside "$bundle/install.sh"
expect 0 inside twofold version
said "$version"
expect 0 inside twofold-agent --version
expect 0 inside test -f /usr/share/doc/twofold/copyright
expect 0 inside stat -c %a /etc/twofold
said '^700$'
for tool in $(cd "$root/usr/bin" && ls twofold*); do
    ldd "$root/usr/bin/$tool" 2>&1 | grep -q 'not found' && expect 0 inside ldd "/usr/bin/$tool" && not_said 'not found'
done

# --- a damaged bundle installs nothing
cp -r "$root$bundle" "$root/root/bad"
printf x >>"$root/root/bad/pool/twofold-agent_${version}_$(dpkg --print-architecture).deb"
expect 4 inside /root/bad/install.sh
said 'damaged'
rm -r "$root/root/bad"

# --- used, upgraded, used
printf 'Correct-Horse-Battery-9\n' >"$root/root/pass"
chmod 600 "$root/root/pass"
expect 0 inside twofold --yes init --vault main --copy a=/backup/a --copy b=/backup2/b --passphrase-file /root/pass
expect 0 inside twofold policy add etc --files /etc
expect 0 inside twofold backup etc
keys=$(fingerprint "$root/etc/twofold")
cp "$work"/two/*.deb "$root/root/"
expect 0 inside sh -c 'dpkg -i /root/*.deb'
[ "$(inside dpkg-query -W -f '${Version}' twofold)" = "$version+1" ] || fail "the newer version is not the installed one"
[ "$(fingerprint "$root/etc/twofold")" = "$keys" ] || fail "the upgrade changed /etc/twofold"
expect 0 inside twofold backup etc
expect 0 inside twofold restore etc --to /root/back --passphrase-file /root/pass /etc/hostname
cmp "$root/etc/hostname" "$root/root/back/etc/hostname" || fail "the restored file differs"

# --- removed and purged: keys, policies and copies stay, programs and units do not
expect 0 inside dpkg -r twofold twofold-agent
expect 1 inside sh -c 'command -v twofold >/dev/null || exit 1'
[ "$(fingerprint "$root/etc/twofold")" = "$keys" ] || fail "removing changed /etc/twofold"
expect 0 inside dpkg -P twofold twofold-agent
said '/etc/twofold stays'
[ "$(fingerprint "$root/etc/twofold")" = "$keys" ] || fail "the purge changed /etc/twofold"
left=$(comm -13 <(echo "$before") <(files_inside) |
    grep -vE '^(root/|etc/twofold/|var/lib/twofold/|backup)' | grep -E 'twofold')
[ -z "$left" ] || fail "the purge left: $left"

# --- and back: what stayed works at once
expect 0 inside sh -c 'dpkg -i /root/*.deb'
expect 0 inside twofold backup etc
umount "$root/proc"
finish
