#!/bin/bash
# Installs the Debian packages that a task needs, and does nothing, quickly, when they are all there.
# Usage: scripts/deps.sh [build] [demo] [test] [package] [lint]      (default: build; each of them includes it)
set -eu

build="gcc make pkg-config libc6-dev libssl-dev libzstd-dev libarchive-dev librsync-dev
    libssh2-1-dev libsqlite3-dev libcyaml-dev libyaml-dev libjansson-dev libcurl4-openssl-dev
    libsystemd-dev libseccomp-dev libpq-dev libmariadb-dev zlib1g-dev gettext
    libpango1.0-dev libcairo2-dev libfontconfig-dev"
demo="sqlite3"
tests="libcmocka-dev rsync acl attr e2fsprogs libarchive-tools tar sqlite3 python3
    python3-cryptography python3-zstandard libcap2-bin util-linux procps locales groff-base
    openssh-server openssh-client sudo btrfs-progs iproute2 nftables systemd systemd-container debootstrap
    openssl python3-aiosmtpd iputils-arping postgresql mariadb-server mariadb-backup
    fonts-wqy-zenhei poppler-utils"
package="dpkg-dev"
lint="clang-format clang-tidy cppcheck shellcheck"

wanted=$build
for group in "$@"; do
    case $group in
    build) ;;
    demo) wanted+=" $demo" ;;
    test) wanted+=" $tests $package" ;;
    package) wanted+=" $package" ;;
    lint) wanted+=" $tests $lint" ;; # headers of the tests' libraries are read, too
    *) echo "deps.sh: no such group: $group" >&2; exit 2 ;;
    esac
done

if ! command -v dpkg-query >/dev/null; then
    echo "deps.sh: not a Debian system; please install what these packages hold:" $wanted >&2
    exit 1
fi

# Names of the wanted packages that are not installed. A package may be provided by another one
# (pkg-config by pkgconf on Debian 13), hence the second look.
missing_packages() {
    local installed name
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n${db:Status-Status} ${Provides}\n' |
        sed -n 's/^installed //p' | sed 's/([^)]*)//g; s/,/ /g' | tr -s ' ' '\n' | sort -u)
    for name in $wanted; do
        grep -qxF "$name" <<<"$installed" || echo "$name"
    done
}

mapfile -t missing < <(missing_packages)
[ ${#missing[@]} -gt 0 ] || exit 0

root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
        echo "deps.sh: not root and no sudo; please install: ${missing[*]}" >&2
        exit 1
    }
    root=(sudo)
fi
apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
echo "deps.sh: installing ${missing[*]}"
"${apt[@]}" update
"${apt[@]}" install -y --no-install-recommends "${missing[@]}"
