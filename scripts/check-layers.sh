#!/bin/bash
# Keeps the dependencies pointing one way (docs/design.md, "Layout"):
#     lib <- policies <- agents, restore <- orchestrator;    in lib: base <- crypto <- codec <- the rest; ssh <- store
# and sees that includes are written from the root and that every header compiles alone.
# Usage: scripts/check-layers.sh [FOLDER]        (the tree to check; default: this one)
set -eu
cd "${1:-$(dirname "$0")/..}"
export LC_ALL=C

# The folders that a file of this one may include, as an extended regular expression.
allowed() {
    case $1 in
    lib/base) echo 'lib/base' ;;
    lib/crypto) echo 'lib/base|lib/crypto' ;;
    lib/store) echo 'lib/base|lib/crypto|lib/codec|lib/ssh|lib/store' ;;
    lib/*) echo "lib/base|lib/crypto|lib/codec|$1" ;;
    policies) echo 'lib/[^/]*|policies' ;;
    agents | restore) echo "lib/[^/]*|policies|$1" ;;
    orchestrator) echo 'lib/[^/]*|policies|agents|restore|orchestrator' ;;
    tests) echo 'lib/[^/]*|policies|agents|restore|orchestrator|tests' ;;
    *) echo 'nothing' ;;
    esac
}

# Every include in the tree as "file:line:name"; the name keeps its < or ".
includes() {
    local folder folders=()
    for folder in lib policies agents restore orchestrator tests; do
        [ ! -d "$folder" ] || folders+=("$folder")
    done
    grep -rnoE --include='*.[ch]' '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<][^">]*' "${folders[@]}" |
        sed -E 's/:[^:]*include[[:space:]]*/:/'
}

check_includes() {
    local file line name layer bad=0
    while IFS=: read -r file line name; do
        layer=${file%%/*}
        [ "$layer" != lib ] || layer=$(cut -d/ -f1-2 <<<"$file")
        case $name in
        *..*) echo "$file:$line: an include with \"..\": ${name#?}" && bad=1 ;;
        '<lib/'* | '<policies/'* | '<agents/'* | '<restore/'* | '<orchestrator/'*)
            echo "$file:$line: our own headers are included with quotes: ${name#?}" && bad=1 ;;
        '"'*)
            name=${name#?}
            if [ ! -f "$name" ]; then
                echo "$file:$line: no such file, counted from the root: $name" && bad=1
            elif ! grep -qE "^($(allowed "$layer"))/" <<<"$name"; then
                echo "$file:$line: $layer must not use $name" && bad=1
            fi ;;
        esac
    done < <(includes)
    return $bad
}

check_headers() {
    # shellcheck disable=SC2046,SC2086 # flags, several words, as CC may be
    find lib policies agents restore orchestrator tests -name '*.h' -print0 2>/dev/null |
        xargs -0 -r -P "$(nproc)" -I{} ${CC:-gcc} -std=c17 -D_GNU_SOURCE -I. -Wall \
            $(pkg-config --cflags libcyaml libarchive jansson libpq libmariadb 2>/dev/null) -fsyntax-only -x c {}
}

status=0
check_includes >&2 || status=1
check_headers || { status=1; echo "a header does not compile alone (see above)" >&2; }
exit $status
