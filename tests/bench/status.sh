#!/bin/bash
# status.sh - how long `twofold status`, `--json`, page, metrics and `alarms check` take at a site of many policies (1,000; BENCH_POLICIES),
# each with a backup of its own in two copies; the bar is 0.5 s for status. Everything lies in BENCH_DIR; what is there already is used again.
# Usage: TWOFOLD=build/twofold AGENT=build/twofold-agent tests/bench/status.sh
set -eu
src=$(cd "$(dirname "$0")/../.." && pwd)
t=${TWOFOLD:-$src/build/twofold}
export TWOFOLD_AGENT=${AGENT:-$src/build/twofold-agent}
n=${BENCH_POLICIES:-1000}
dir=${BENCH_DIR:-$src/build/bench}/status-$n
export TWOFOLD_CONFIG=$dir/c TWOFOLD_STATE=$dir/s LC_ALL=C.UTF-8
if [ ! -e "$dir/ready" ]; then
    rm -rf "$dir"
    mkdir -p "$dir/src"
    echo 'Bench-Only-Secret-7' >"$dir/pass"
    chmod 600 "$dir/pass"
    echo content >"$dir/src/file"
    "$t" --yes --quiet init --vault main --copy "a=$dir/a" --copy "b=$dir/b" --passphrase-file "$dir/pass" >/dev/null 2>&1
    "$t" policy add p0000 --files "$dir/src" >/dev/null 2>&1
    names=(p0000)
    for i in $(seq 1 $((n - 1))); do
        name=$(printf 'p%04d' "$i")
        cp "$dir/c/policies/p0000.yaml" "$dir/c/policies/$name.yaml"
        names+=("$name")
    done
    "$t" --quiet backup "${names[@]}" 2>/dev/null
    touch "$dir/ready"
fi
measure() { # NAME COMMAND…: the median of five
    local name=$1 times
    shift
    times=$(for _ in 1 2 3 4 5; do
        python3 - "$@" <<'PY'
import subprocess, sys, time
t = time.monotonic()
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(f"{time.monotonic() - t:.3f}")
PY
    done | sort -n | sed -n 3p)
    printf '%-24s %s s\n' "$name" "$times"
}
echo "$n policies, medians of five:"
measure status "$t" status
measure "status --json" "$t" --json status
measure "status p0500" "$t" status p0500
measure page "$t" page --out -
measure metrics "$t" metrics
measure "alarms check" "$t" alarms check
