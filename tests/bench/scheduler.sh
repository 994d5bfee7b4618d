#!/bin/bash
# scheduler.sh - what an idle twofoldd costs with 1,000 policies, all of them backed up: its processor time over 30 s, in percent of a
# core, and its memory. Prints a line of JSON.   tests/bench/scheduler.sh [POLICIES [SECONDS]]
set -eu
src=$(cd "$(dirname "$0")/../.." && pwd)
TWOFOLD=${TWOFOLD:-$src/build/twofold}
policies=${1:-1000} seconds=${2:-30}
dir=$(mktemp -d)
daemon=""
trap '[ -z "$daemon" ] || kill "$daemon" 2>/dev/null; rm -rf "$dir"' EXIT
export TWOFOLD_CONFIG=$dir/c TWOFOLD_STATE=$dir/s LC_ALL=C.UTF-8
unset TWOFOLD_PASSPHRASE_FILE CREDENTIALS_DIRECTORY

printf 'Correct-Horse-Battery-9\n' >"$dir/pass"
chmod 600 "$dir/pass"
mkdir "$dir/data" && seq 1000 >"$dir/data/numbers"
"$TWOFOLD" --yes --quiet init --vault main --copy "a=$dir/a" --copy "b=$dir/b" --passphrase-file "$dir/pass" --keep-recovery-key >/dev/null 2>&1
"$TWOFOLD" --quiet policy add p0001 --files "$dir/data" >/dev/null
"$TWOFOLD" --quiet backup p0001
for ((i = 2; i <= policies; i++)); do cp "$dir/c/policies/p0001.yaml" "$dir/c/policies/p$(printf %04d "$i").yaml"; done
python3 - "$dir/s/catalog.db" "$policies" <<'END'
import sqlite3, sys
c = sqlite3.connect(sys.argv[1])
for table in ("runs", "snapshots"):
    names = [r[1] for r in c.execute(f"PRAGMA table_info({table})")]
    row = dict(zip(names, c.execute(f"SELECT * FROM {table} WHERE policy = 'p0001' LIMIT 1").fetchone()))
    for i in range(2, int(sys.argv[2]) + 1):
        new = dict(row, policy=f"p{i:04d}")
        if table == "runs":
            new.pop("id")
        for key in ("snapshot", "id"):
            if key in new and isinstance(new[key], (bytes, str)):
                new[key] = new[key][:-4] + (i.to_bytes(4, "big") if isinstance(new[key], bytes) else f"{i:04x}")
        if "source" in new:
            new["source"] = f"p{i:04d}/files"
        c.execute(f"INSERT INTO {table}({', '.join(new)}) VALUES ({', '.join('?' * len(new))})", list(new.values()))
c.commit()
END
printf 'heartbeat: { every: 10s, file: %s/heartbeat }\n' "$dir" >"$dir/c/twofold.yaml"
"${TWOFOLD%/*}/twofoldd" 2>"$dir/log" &
daemon=$!
until grep -q "twofoldd: ready" "$dir/log"; do sleep 0.1; done
sleep 8 # the first looks are over
ticks() { awk '{ print $14 + $15 + $16 + $17 }' "/proc/$daemon/stat"; }
before=$(ticks)
sleep "$seconds"
used=$(($(ticks) - before))
awk -v used="$used" -v hz="$(getconf CLK_TCK)" -v s="$seconds" -v n="$policies" \
    -v rss="$(awk '/VmHWM/ { print $2 }' "/proc/$daemon/status")" \
    'BEGIN { printf "{\"policies\": %d, \"seconds\": %d, \"cpu_percent\": %.2f, \"peak_kib\": %d}\n", n, s, 100 * used / hz / s, rss }'
