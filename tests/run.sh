#!/bin/bash
# Runs test programs and scenarios, each in a temporary folder of its own and with a time limit, and
# counts single tests. Called by `make test`; by hand:
#     TWOFOLD=build/asan/twofold AGENT=build/asan/twofold-agent tests/run.sh build/asan/tests/unit/test_bytes
#
# What it is given may be
#   test_*   a cmocka program; it is told to speak TAP, and each of its tests counts
#   fuzz_*   a fuzz target; its corpus (tests/fuzz/corpus/<name without fuzz_>) and mutations: one test
#   *.sh     a scenario; one test. Exit 77 skips it, and its last line of output is the reason.
# They see TWOFOLD, AGENT, TWOFOLD_SSH and TWOFOLD_PAPER (with sanitizers and fault points), TWOFOLD_FAST and AGENT_FAST
# (optimised), TWOFOLD_SRC (this tree), TEST_PROGRAMS (folder of the test programs) and TMPDIR.
# C programs start in the root of the tree, scenarios in their TMPDIR. A report of a sanitizer, from
# whatever process, fails the test; so does a file that a C program leaves in TMPDIR.
#
# JOBS (default 3: much of the time they wait) run at once; TEST_TIMEOUT in seconds (default 600,
# scenarios may say "# timeout: 900" in their first ten lines). Those that say "# long" there are begun
# first, so that none of them is left running alone at the end. The last line is "N passed, N failed, N
# skipped".
set -eu
cd "$(dirname "$0")/.."
TWOFOLD_SRC=$PWD
JOBS=${JOBS:-3}
FUZZ_ITERATIONS=${FUZZ_ITERATIONS:-20000}

work=$(mktemp -d "${TMPDIR:-/tmp}/tft.XXXXXX") # short: sockets in there have 108 bytes for their path
chmod 755 "$work"
mkdir -m 1777 "$work/reports"
crashes=$PWD/build/crashes # inputs that a fuzz target died of
mkdir -p "$crashes"
trap 'stop_all; chmod -R u+rwx "$work" 2>/dev/null || :; rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM HUP

stop_all() {
    local pid
    for pid in $(jobs -p); do kill -TERM "$pid" 2>/dev/null || :; done
    wait
}

# --- the surroundings that every test sees -----------------------------------------------------------
for name in TWOFOLD AGENT TWOFOLD_FAST AGENT_FAST TEST_PROGRAMS; do
    [ -z "${!name:-}" ] || export "$name=$(realpath -m "${!name}")"
done
[ -z "${TWOFOLD:-}" ] || export TWOFOLD_SSH=${TWOFOLD_SSH:-${TWOFOLD%/*}/twofold-ssh} TWOFOLD_PAPER=${TWOFOLD_PAPER:-${TWOFOLD%/*}/twofold-paper}
unset LANGUAGE LC_MESSAGES TWOFOLD_CONFIG TWOFOLD_STATE TWOFOLD_FAULT TWOFOLD_LOCALEDIR TWOFOLD_PASSPHRASE_FILE \
    XDG_CONFIG_HOME XDG_STATE_HOME MAKEFLAGS MFLAGS MAKELEVEL
export TWOFOLD_SRC LC_ALL=C.UTF-8 TZ=UTC CMOCKA_MESSAGE_OUTPUT=TAP

# Scenarios start python3 some thousand times: where it is a version manager's script that looks for the real one, they get that one.
python=$(python3 -c 'import sys; print(sys.executable)' 2>/dev/null) || python=""
[ -z "$python" ] || [ "$(command -v python3)" = "$python" ] || PATH=${python%/*}:$PATH

# Sanitizers need room that strong address randomisation may take (gcc before 14 on kernels with
# vm.mmap_rnd_bits = 32), and their leak check needs ptrace, which a container may forbid.
launcher=()
leaks=1
probe_sanitizers() {
    printf 'int main(void) { return 0; }\n' >"$work/probe.c"
    "${CC:-gcc}" -fsanitize=address "$work/probe.c" -o "$work/probe" 2>/dev/null || return 0
    if [ "$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 0)" -gt 28 ] &&
        setarch -R true 2>/dev/null; then
        launcher=(setarch -R)
    fi
    if ! ASAN_OPTIONS=detect_leaks=1 "${launcher[@]}" "$work/probe" >/dev/null 2>&1 &&
        ASAN_OPTIONS=detect_leaks=0 "${launcher[@]}" "$work/probe" >/dev/null 2>&1; then
        leaks=0
        echo "note: the leak check does not work here (ptrace is forbidden?): it is off"
    fi
    rm -f "$work/probe" "$work/probe.c"
}

sanitizer_options() { # where reports go
    local common=exitcode=99:log_path=$1
    export ASAN_OPTIONS=$common:detect_leaks=$leaks:handle_segv=2:handle_sigbus=2:handle_sigfpe=2
    ASAN_OPTIONS+=:detect_stack_use_after_return=1:strict_string_checks=1:max_allocation_size_mb=1024
    export UBSAN_OPTIONS=$common:print_stacktrace=1 LSAN_OPTIONS=print_suppressions=0
}

# --- one test ----------------------------------------------------------------------------------------
# Reads TAP (cmocka's dialect) and prints: passed failed skipped. A test that was planned and never
# came has failed; test 0 is the setup or teardown of a group.
count_tap() {
    awk '/^1\.\.[0-9]+/       { planned += substr($1, 4) }
         /^not ok .*# *SKIP/  { skipped++; seen++; next }
         /^ok .*# *SKIP/      { skipped++; seen++; next }
         /^not ok 0 /         { group++; next }
         /^not ok /           { failed++; seen++; next }
         /^ok /               { passed++; seen++ }
         END { if (planned > seen) failed += planned - seen
               else if (group) failed++
               print passed + 0, failed + 0, skipped + 0 }' "$1"
}

time_limit() {
    local limit=
    case $1 in
    *.sh) limit=$(head -n 10 "$1" | sed -n 's/^# timeout: \([0-9]*\).*/\1/p') ;;
    esac
    echo "${TEST_TIMEOUT:-${limit:-600}}"
}

# Starts the test in a process group of its own (timeout does that), waits, and ends what is left of
# the group. The tests get back the signals that a shell takes from its background jobs.
start_and_wait() { # program, folder, output
    local program=$1 tmp=$2 output=$3 where=$TWOFOLD_SRC arguments=() pid rc=0 corpus
    case $program in
    *.sh) where=$tmp ;;
    */fuzz_*)
        arguments=(-n "$FUZZ_ITERATIONS")
        corpus=tests/fuzz/corpus/${program##*/fuzz_}
        [ ! -d "$corpus" ] || arguments+=("$corpus") ;;
    esac
    program=$(realpath "$program")
    (cd "$where" && TMPDIR=$tmp HOME=$tmp TWOFOLD_CRASHES=$crashes exec "${launcher[@]}" \
        env --default-signal=INT,QUIT,TERM timeout -k 10 "$(time_limit "$program")" \
        "$program" "${arguments[@]}") >"$output" 2>&1 </dev/null &
    pid=$!
    trap 'kill -TERM -- -$pid 2>/dev/null; exit 1' TERM INT HUP
    wait $pid || rc=$?
    kill -KILL -- "-$pid" 2>/dev/null || :
    return $rc
}

explain() { # exit status
    case $1 in
    0 | [1-9] | [1-8]?) ;;
    99) echo "a sanitizer ended it" ;;
    124 | 137) echo "killed, or over its time limit" ;;
    *) [ "$1" -le 128 ] || echo "ended by signal $(($1 - 128))" ;;
    esac
}

run_one() { # number, program
    local number=$1 program=$2 name tmp=$work/$1 output=$work/$1.out rc=0 began=${EPOCHREALTIME/./}
    local passed=0 failed=0 skipped=0 remark="" reports
    name=${program#*tests/}
    mkdir -m 755 "$tmp"
    sanitizer_options "$work/reports/$number"
    start_and_wait "$program" "$tmp" "$output" || rc=$?

    case $program in
    *.sh | */fuzz_*)
        case $rc in
        0) passed=1 ;;
        77) skipped=1 remark=$(tail -n 1 "$output") ;;
        *) failed=1 remark="exit status $rc" ;;
        esac ;;
    *)
        read -r passed failed skipped < <(count_tap "$output")
        [ "$skipped" -eq 0 ] || remark="skipped: $(sed -n 's/^.*# *SKIP *//p' "$output" | paste -sd' ')"
        if [ $rc -ne 0 ] && [ "$failed" -eq 0 ]; then
            failed=1 remark="exit status $rc"
        elif [ $((passed + failed + skipped)) -eq 0 ]; then
            failed=1 remark="no test in it"
        elif [ "$failed" -eq 0 ] && [ -n "$(ls -A "$tmp")" ]; then
            failed=1 remark="files left in TMPDIR: $(find "$tmp" -mindepth 1 -printf '%P ' -quit)"
        fi ;;
    esac
    reports=$(cat "$work/reports/$number".* 2>/dev/null | head -n 200) || :
    if [ -n "$reports" ] && [ "$failed" -eq 0 ]; then
        case $program in *.sh) passed=0 skipped=0 ;; esac
        failed=1 remark="a sanitizer's report"
    fi
    [ "$failed" -eq 0 ] || remark="$remark $(explain $rc)"
    echo "$passed $failed $skipped" >"$work/$number.count"
    {
        flock 9
        tell "$name" $(((${EPOCHREALTIME/./} - began) / 100000)) "$remark"
        if [ "$failed" -gt 0 ]; then
            sed 's/^/    | /' "$output" | tail -n 200
            [ -z "$reports" ] || sed 's/^/    | /' <<<"$reports"
        fi
    } 9>>"$work/lock"
    chmod -R u+rwx "$tmp" 2>/dev/null || :
    rm -rf --one-file-system "$tmp" "$output"
}

tell() { # name, tenths of seconds, remark; and the counts of run_one
    local verdict="ok  "
    [ "$skipped" -eq 0 ] || [ "$passed" -gt 0 ] || verdict=skip
    [ "$failed" -eq 0 ] || verdict=FAIL
    printf '%s  %-40s %3d tests %5d.%d s  %s\n' "$verdict" "$1" $((passed + failed + skipped)) \
        $(($2 / 10)) $(($2 % 10)) "$3"
}

# --- all of them ---------------------------------------------------------------------------------------
is_long() {
    case $1 in
    *.sh) head -n 10 "$1" | grep -qx '# long' ;;
    *) false ;;
    esac
}

probe_sanitizers
number=0 long=() others=()
for program in "$@"; do
    if is_long "$program"; then long+=("$program"); else others+=("$program"); fi
done
for program in "${long[@]}" "${others[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$JOBS" ]; do wait -n || :; done
    number=$((number + 1))
    run_one $number "$program" &
done
wait

total=$(for n in $(seq $number); do cat "$work/$n.count" 2>/dev/null || echo "0 1 0"; done |
    awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }')
read -r passed failed skipped <<<"$total"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
