#!/bin/bash
# Packages for Debian from what `make all` has built: build/deb/twofold_VERSION_ARCH.deb (orchestrator, scheduler) and
# twofold-agent_VERSION_ARCH.deb (what a host with data needs). Called by `make deb`. The same sources give the same bytes.
# Usage: scripts/deb.sh [BUILD [FOLDER]]         (default: build, build/deb)   VERSION=… overrides the tree's
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}
version=${VERSION:-$(cat VERSION)}
arch=$(dpkg --print-architecture)
out=$(realpath -m "${2:-$build/deb}")
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y VERSION)}
export SOURCE_DATE_EPOCH

rm -rf "$out"
mkdir -p "$out/all"
make -s install DESTDIR="$out/all" PREFIX=/usr BUILD="$build"

# What both need goes with the agent, on which the other depends.
take() { # take PACKAGE PATTERN…: moves files of the common tree
    local package=$1 pattern path
    shift
    for pattern in "$@"; do
        for path in "$out"/all/$pattern; do
            [ -e "$path" ] || continue
            mkdir -p "$out/$package/$(dirname "${path#"$out"/all/}")"
            mv "$path" "$out/$package/${path#"$out"/all/}"
        done
    done
}
take twofold-agent usr/bin/twofold-agent 'usr/share/man/man[0-9]/twofold-agent.*' usr/share/locale
mv "$out/all" "$out/twofold"

finish() { # finish PACKAGE DEPENDS DESCRIPTION
    local package=$1 depends=$2 text=$3 root=$out/$1 doc=$out/$1/usr/share/doc/$1 script
    mkdir -p "$root/DEBIAN" "$doc"
    install -m 644 LICENSE "$doc/copyright"
    install -m 644 packaging/README.Debian "$doc/README.Debian"
    find "$root/usr/bin" -type f -exec sh -c \
        'head -c 4 "$1" | grep -q ELF && strip --strip-unneeded --remove-section=.comment "$1"' _ {} \;
    find "$root/usr/share/man" -type f -name '*.[0-9]' -exec gzip -9n {} + 2>/dev/null || :
    for script in postinst prerm postrm; do
        [ ! -e "packaging/$package.$script" ] ||
            install -m 755 "packaging/$package.$script" "$root/DEBIAN/$script"
    done
    # The libraries, by their symbols. The tool wants a source package's control file; a minimal one will do.
    mkdir -p "$out/shlibs/debian"
    printf 'Source: twofold\n\nPackage: %s\nArchitecture: any\n' "$package" >"$out/shlibs/debian/control"
    mapfile -t elf < <(find "$root/usr/bin" -type f -exec sh -c 'head -c 4 "$1" | grep -q ELF' _ {} \; -print)
    libs=$(cd "$out/shlibs" && dpkg-shlibdeps -O "${elf[@]}" 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
    cat >"$root/DEBIAN/control" <<CONTROL
Package: $package
Version: $version
Architecture: $arch
Maintainer: Twofold developers <twofold@localhost>
Installed-Size: $(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f1)
Depends: $libs${depends:+, $depends}
$([ "$package" != twofold ] || printf 'Recommends: openssh-client, fonts-wqy-zenhei\nSuggests: bash-completion\n')
Section: admin
Priority: optional
Description: $text
CONTROL
    sed -i '/^$/d' "$root/DEBIAN/control"
    (cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 -r md5sum >DEBIAN/md5sums)
    chmod -R u+rwX,go+rX,go-w "$root"
    dpkg-deb --root-owner-group --build "$root" "$out/${package}_${version}_$arch.deb" >/dev/null
    echo "$out/${package}_${version}_$arch.deb"
}
finish twofold-agent "" "two backups in two places: the part on hosts with data
 Reads files into sealed chunks for an orchestrator, and writes them back. It is started over SSH with
 a forced command, holds no credential of a copy, and cannot read or delete what was backed up before."
finish twofold "twofold-agent (= $version), init-system-helpers" "two backups in two places: the orchestrator
 Backs up hosts to two or more compressed, encrypted copies at once, watches how old they are, scrubs
 and mends them, and restores from whichever copy is whole: chunk by chunk, without being asked."
rm -rf "$out/shlibs"
