#!/bin/bash
# One archive for a site with no network: our packages, everything that they need beyond a minimal Debian of this
# release, fonts for Chinese pages and paper, the docs, and an installer. Called by `make offline-bundle` after `make deb`, on a
# machine that has the network: build/twofold-offline_VERSION_ARCH.tar.
# Usage: scripts/offline-bundle.sh [FOLDER WITH THE PACKAGES [ARCHIVE]]
set -eu
cd "$(dirname "$0")/.."
debs=$(realpath "${1:-build/deb}")
ours=("$debs"/twofold_*.deb "$debs"/twofold-agent_*.deb)
[ -e "${ours[0]}" ] || { echo "offline-bundle.sh: no packages in $debs: run make deb" >&2; exit 1; }
version=$(dpkg-deb -f "${ours[0]}" Version)
arch=$(dpkg-deb -f "${ours[0]}" Architecture)
archive=$(realpath -m "${2:-build/twofold-offline_${version}_$arch.tar}")
extra="fonts-wqy-zenhei openssh-client openssh-server ca-certificates"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bundle=$work/twofold-offline-$version
mkdir -p "$bundle/pool" "$work/apt/archives/partial"

# As if nothing were installed: then apt names the whole closure, whatever this machine has.
: >"$work/apt/status"
chmod 755 "$work"
# shellcheck disable=SC2086 # several packages
apt-get -q -y -o Dir::State::status="$work/apt/status" -o Dir::Cache::archives="$work/apt/archives" \
    -o APT::Sandbox::User=root -o Debug::NoLocking=1 --no-install-recommends --download-only \
    install "${ours[@]}" $extra >"$work/apt/log" 2>&1 || {
    tail -n 5 "$work/apt/log" >&2
    echo "offline-bundle.sh: the packages could not be had: run apt-get update, and see the lines above" >&2
    exit 1
}
mv "$work"/apt/archives/*.deb "$bundle/pool/"
cp "${ours[@]}" "$bundle/pool/"
(cd "$bundle" && dpkg-scanpackages -m pool >Packages 2>/dev/null)
mkdir "$bundle/docs"
cp README*.md LICENSE docs/*.md "$bundle/docs/"

cat >"$bundle/install.sh" <<'INSTALL'
#!/bin/sh
# Installs Twofold from this folder, without any network. Usage: ./install.sh [twofold | twofold-agent]
set -eu
cd "$(dirname "$0")"
what=${1:-twofold}
case $what in
twofold) what="twofold fonts-wqy-zenhei" ;;
twofold-agent) ;;
*) echo "usage: ./install.sh [twofold | twofold-agent]" >&2; exit 2 ;;
esac
[ "$(id -u)" -eq 0 ] || { echo "install.sh: run it as root" >&2; exit 5; }
sha256sum --quiet -c SHA256SUMS || {
    echo "install.sh: the bundle is damaged (see above): copy it again; nothing was installed" >&2
    exit 4
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/lists/partial"
echo "deb [trusted=yes] file:$PWD ./" >"$tmp/sources.list"
apt="apt-get -q -y -o Dir::Etc::SourceList=$tmp/sources.list -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists=$tmp/lists
    -o APT::Sandbox::User=root"
$apt update
# shellcheck disable=SC2086 # several words
DEBIAN_FRONTEND=noninteractive $apt --no-install-recommends install $what
INSTALL
chmod 755 "$bundle/install.sh"
(cd "$bundle" && find . -type f ! -name SHA256SUMS -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum >SHA256SUMS)
tar -C "$work" --owner=0 --group=0 --sort=name -cf "$archive" "twofold-offline-$version"
echo "$archive"
