#!/bin/bash
# bench.sh - measures Twofold beside what people would take instead, and writes docs/performance.md.
# Run it by `make bench`, as root where caches are to be cold. Everything it makes lies in BENCH_DIR.
#
#   BENCH_DIR=DIR      data sets and vaults (build/bench; some 12 GB, on a real disk)
#   PEERS_ROOT=DIR     a root file system that has restic and borg; else they are looked for in the PATH
#   BENCH_ROUNDS=N     how often everything is measured; medians are reported (3)
#   BENCH_CASES=…      "mixed small" by default
#   BENCH_MILLION=1    also 1,000,000 files: memory must not grow with them
#   BENCH_AGENTS=1     first, 50 agents at once: the memory of their orchestrator (bench_agents.py)
#   BENCH_FALLBACK=1   first, restores out of damaged and missing copies (fallback.sh)
#   BENCH_REPORT=FILE  docs/performance.md by default; "-" prints it
#   BENCH_NOTE=TEXT    a sentence about this run for the report
set -eu

src=$(cd "$(dirname "$0")/../.." && pwd)
TWOFOLD=${TWOFOLD:-$src/build/twofold}
TWOFOLD_AGENT=${AGENT:-$src/build/twofold-agent}
BENCH_DIR=${BENCH_DIR:-$src/build/bench}
BENCH_REPORT=${BENCH_REPORT:-$src/docs/performance.md}
for program in "$TWOFOLD" "$TWOFOLD_AGENT"; do
    [ -x "$program" ] || { echo "bench.sh: $program is not there: run make" >&2; exit 1; }
done
mkdir -p "$BENCH_DIR"
BENCH_DIR=$(cd "$BENCH_DIR" && pwd)
exec 9>"$BENCH_DIR/lock"
flock -n 9 || { echo "bench.sh: another run works in $BENCH_DIR" >&2; exit 1; }
[ "$(id -u)" -eq 0 ] || echo "bench.sh: not root: caches stay warm, and no other root is entered" >&2
export TWOFOLD TWOFOLD_AGENT BENCH_DIR BENCH_REPORT LC_ALL=C.UTF-8
unset TWOFOLD_CONFIG TWOFOLD_STATE TWOFOLD_PASSPHRASE_FILE TWOFOLD_FAULT CREDENTIALS_DIRECTORY
[ "${BENCH_AGENTS:-}" != 1 ] || python3 "$src/tests/bench/bench_agents.py"
[ "${BENCH_FALLBACK:-}" != 1 ] || "$src/tests/bench/fallback.sh"
PYTHONDONTWRITEBYTECODE=1 exec python3 "$src/tests/bench/bench.py"
