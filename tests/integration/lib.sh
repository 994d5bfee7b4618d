# lib.sh - what the scenarios share; a scenario starts with: . "$TWOFOLD_SRC/tests/integration/lib.sh"
# shellcheck shell=bash disable=SC2034
# It moves into a mount namespace of its own (as root), so that what it mounts is gone when it ends, and works in a
# folder of its own below TMPDIR. $work is on a tmpfs when there may be one: what is tested there is programs, not disks.
set -u
export LC_ALL=C.UTF-8 TZ=UTC
umask 022
if [ -z "${SCENARIO_NAMESPACE:-}" ] && [ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null; then
    export SCENARIO_NAMESPACE=1
    exec unshare -m --propagation private "$0" "$@"
fi
here=$TWOFOLD_SRC/tests/integration
work=$PWD/w
mkdir -p "$work"
if [ -n "${SCENARIO_NAMESPACE:-}" ] && [ -z "${SCENARIO_ON_DISK:-}" ]; then
    mount -t tmpfs -o mode=755 scenario "$work" 2>/dev/null || :
fi
cd "$work" || exit 1
t=$TWOFOLD
failures=0
skipped=""
unset TWOFOLD_PASSPHRASE_FILE CREDENTIALS_DIRECTORY TWOFOLD_FAULT TWOFOLD_FAULT_PROGRAM TWOFOLD_AGENT
sweep_full=""
[ "${TWOFOLD_SWEEP:-}" != full ] || sweep_full=1

say() { echo "$*"; }

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
    if [ "$failures" -ge 20 ]; then
        echo "too many failures: given up"
        exit 1
    fi
}

# What a scenario cannot do here is said, not passed over.
skip_part() {
    echo "not tested here: $*"
    skipped="$skipped; $*"
}

finish() {
    [ "$failures" -eq 0 ] || exit 1
    echo "all well${skipped:+ (not tested here${skipped#;})}"
    exit 0
}

show_output() {
    sed 's/^/    stdout: /' "$work/.out" | tail -n 30
    sed 's/^/    stderr: /' "$work/.err" | tail -n 30
}

# expect STATUS[,STATUS…] COMMAND…: the exit status is one of these. Output: $work/.out and .err. Returns 1 when not.
expect() {
    local want=$1 rc=0
    shift
    { "$@" >"$work/.out" 2>"$work/.err" </dev/null || rc=$?; } 2>/dev/null # the shell need not say that it was killed
    status=$rc
    case ,$want, in *,$rc,*) return 0 ;; esac
    fail "exit status $rc instead of $want: ${*/#$t/twofold}"
    show_output
    return 1
}

# said PATTERN: the last command said so (extended expression), on stdout or stderr.
said() {
    grep -qE -- "$1" "$work/.out" "$work/.err" && return 0
    fail "\"$1\" was not said"
    show_output
    return 1
}

not_said() {
    grep -qE -- "$1" "$work/.out" "$work/.err" || return 0
    fail "\"$1\" was said"
    show_output
    return 1
}

# json KEY [TYPE]: the value of a key in the last object (of this type) that the last command printed with --json.
json() {
    python3 -c '
import json, sys
key, kind = sys.argv[1], sys.argv[2]
value = None
for line in open(sys.argv[3], errors="surrogateescape"):
    if line.startswith("{"):
        o = json.loads(line)
        if (not kind or o.get("type") == kind) and key in o:
            value = o[key]
print(value if not isinstance(value, (dict, list)) else json.dumps(value))' "$1" "${2:-}" "$work/.out"
}

# new_vault DIR [OPTION…]: DIR/c is the configuration, DIR/s the state, DIR/a and DIR/b the copies. Becomes the current one.
new_vault() {
    local dir=$1
    shift
    mkdir -p "$dir"
    vault=$dir
    export TWOFOLD_CONFIG=$dir/c TWOFOLD_STATE=$dir/s
    a=$dir/a b=$dir/b
    printf 'Correct-Horse-Battery-9\n' >"$dir/pass"
    chmod 600 "$dir/pass"
    pass=$dir/pass
    expect 0 "$t" --yes init --vault main --copy "a=$a" --copy "b=$b" --passphrase-file "$pass" --keep-recovery-key "$@"
}

policy_add() { expect 0 "$t" policy add "$@"; }

# policy_says NAME LINE…: these lines at the end of the policy, instead of its retention and class.
policy_says() {
    python3 -c '
import re, sys
text = open(sys.argv[1]).read()
text = re.sub(r"(?m)^(retention|class|checks):.*\n(?:[ \t]+.*\n)*", "", text)
open(sys.argv[1], "w").write(text + "".join(line + "\n" for line in sys.argv[2:]))' "$vault/c/policies/$1.yaml" "${@:2}"
}

# small_tree DIR SEED [FILES]: reproducible files, folders, links; chunks of many kinds.
small_tree() {
    python3 "$here/make_tree.py" "$1" "$2" "${3:-120}"
}

# same_tree A B: everything that a backup keeps is the same. Options of compare.py may follow.
same_tree() {
    local one=$1 two=$2
    shift 2
    python3 "$here/compare.py" "$@" "$one" "$two" >"$work/.cmp" 2>&1 && return 0
    fail "not the same: $one and $two"
    sed 's/^/    /' "$work/.cmp" | head -n 20
    return 1
}

# restore_same SOURCE POLICY [OPTION…]: a restore into a new folder gives SOURCE back.
restore_same() {
    local source=$1 policy=$2
    shift 2
    clean "$work/.restored"
    expect 0 "$t" restore "$policy" --to "$work/.restored" "$@" || return 1
    same_tree "$source" "$work/.restored$source"
}

clean() {
    local dir
    for dir in "$@"; do
        [ ! -e "$dir" ] || { chattr -R -i -a "$dir" 2>/dev/null; rm -rf --one-file-system "$dir"; }
    done
}

# A fingerprint of everything below the folders: names, types, sizes, times, content.
fingerprint() {
    (for dir in "$@"; do
        find "$dir" -printf '%p %y %m %U %s %T@ %l\n' 2>/dev/null | sort
        find "$dir" -type f -exec sha256sum {} + 2>/dev/null | sort
    done) | sha256sum
}

# Sets the array zh to what runs a command in Chinese: with the system's locale, or with one made here. Ends the scenario (skipped) where
# neither can be.
find_chinese() {
    zh=(env LC_ALL=zh_CN.UTF-8)
    ! locale -a 2>/dev/null | grep -qix 'zh_CN\.utf-\?8' || return 0
    command -v localedef >/dev/null || {
        echo "no zh_CN.UTF-8, and no localedef to make it"
        exit 77
    }
    mkdir "$work/locale"
    localedef -i zh_CN -f UTF-8 --no-archive "$work/locale/zh_CN.UTF-8" >"$work/.out" 2>&1 || {
        echo "localedef cannot make zh_CN.UTF-8 (package locales?): $(head -n 1 "$work/.out")"
        exit 77
    }
    # The C library forgets a list that it makes of LOCPATH; that is not our leak.
    echo 'leak:argz_add_sep' >"$work/not-ours"
    zh+=("LOCPATH=$work/locale" "LSAN_OPTIONS=${LSAN_OPTIONS:+$LSAN_OPTIONS:}suppressions=$work/not-ours:print_suppressions=0")
}
