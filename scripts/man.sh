#!/bin/bash
# Man pages from what the programs themselves say, so that the two never differ: twofold(1), a page for each of its
# commands, and one for each other program. Called by `make install` and by the tests.
# Usage: scripts/man.sh BUILD FOLDER [LANGUAGE]      (FOLDER/man1 and man8; zh_CN: in Chinese)
set -eu
build=$(realpath "$1")
out=$2
language=${3:-}
version=$(cat "$(dirname "$0")/../VERSION")
unset LANGUAGE LC_MESSAGES
export LC_ALL=C.UTF-8 TWOFOLD_LOCALEDIR="$build/locale"
[ -z "$language" ] || export LANGUAGE=$language
mkdir -p "$out/man1" "$out/man8"

# Plain text as roff that is not filled: a backslash, and a dot or quote at the start of a line, mean something there.
verbatim() { sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^\\([.']\\)/\\\\\&\\1/"; }

page() { # page NAME SECTION SUMMARY: the body comes on standard input
    printf '.TH %s %s "" "Twofold %s" "Twofold"\n.SH NAME\n%s \\- %s\n' "${1^^}" "$2" "$version" "$1" "$3"
    cat
    printf '.SH SEE ALSO\n'
}

block() { # block HEADING: a section whose lines stay as they are
    printf '.SH %s\n.nf\n' "$1"
    verbatim
    printf '.fi\n'
}

one_command() { # the help is: usage (one or more lines, the first without indentation), summary, then what there is to say
    local name=$1 help usage summary rest
    help=$("$build/twofold" "$name" --help)
    usage=$(awk 'NR > 1 && !/^        / { exit } { print }' <<<"$help")
    rest=$(awk -v skip="$(wc -l <<<"$usage")" 'NR > skip' <<<"$help")
    summary=$(sed -n '1s/^ *//p' <<<"$rest")
    {
        block SYNOPSIS <<<"$usage"
        sed 1,2d <<<"$rest" | block OPTIONS
    } | page "twofold-$name" 1 "$(verbatim <<<"$summary")" >"$out/man1/twofold-$name.1"
    echo '.BR twofold (1)' >>"$out/man1/twofold-$name.1"
}

overview=$("$build/twofold" help)
mapfile -t commands < <(sed -n 's/^  \([a-z][a-z-]*\)  *[^ ].*/\1/p' <<<"$overview")
for name in "${commands[@]}"; do one_command "$name"; done
block DESCRIPTION <<<"$overview" | page twofold 1 "two backups in two places, and the proof that each restores" >"$out/man1/twofold.1"
printf '.BR twofold\\-%s (1),\n' "${commands[@]}" | sed '$s/,$//' >>"$out/man1/twofold.1"

for program in twofold-agent:8 twofoldd:8 twofold-ssh:8 twofold-paper:8; do
    name=${program%:*} section=${program#*:}
    [ -x "$build/$name" ] || continue
    help=$("$build/$name" --help)
    block DESCRIPTION <<<"${help//$build\//}" |
        page "$name" "$section" "a part of Twofold that other parts start" >"$out/man$section/$name.$section"
    echo '.BR twofold (1)' >>"$out/man$section/$name.$section"
done
