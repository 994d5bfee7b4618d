#!/usr/bin/env python3
"""Many agents at once: how much memory their orchestrator takes (bar: 50 within 512 MiB), and that all of them commit.

Starts `twofold backup P1` … `twofold backup PN` together, each a process of its own with a local agent that stands in for one on
another host, all into one vault with two copies; samples PSS of the orchestrator processes only. Run by bench.sh with
BENCH_AGENTS=1, or by hand: TWOFOLD=build/twofold TWOFOLD_AGENT=build/twofold-agent tests/bench/bench_agents.py [N [BYTES]]
Prints one line of JSON and writes it to BENCH_DIR/agents.json; status 1 when a bar is not met.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

LIMIT_MIB = 512
SAMPLE_S = 0.02


def pss_kib(pid):
    try:
        with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as f:
            return next((int(line.split()[1]) for line in f if line.startswith('Pss:')), 0)
    except OSError:
        return 0


def make_sources(root, n, size):
    """Half of each source is its own, half is common to all: what one stores, others may find."""
    common = os.urandom(size // 2)
    for i in range(n):
        os.makedirs(f'{root}/{i}')
        for name, data in (('own', os.urandom(size // 2)), ('common', common)):
            with open(f'{root}/{i}/{name}', 'wb') as f:
                f.write(data)


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    size = int(sys.argv[2]) if len(sys.argv) > 2 else 8_000_000
    twofold = os.path.abspath(os.environ.get('TWOFOLD', 'build/twofold'))
    bench = os.environ.get('BENCH_DIR', tempfile.gettempdir())
    with tempfile.TemporaryDirectory(dir=bench, prefix='agents-') as work:
        env = dict(os.environ, TWOFOLD_CONFIG=f'{work}/c', TWOFOLD_STATE=f'{work}/s', LC_ALL='C.UTF-8')

        def call(*words):
            return subprocess.run([twofold, *words], env=env, check=True, capture_output=True, text=True).stdout

        with open(os.open(f'{work}/pass', os.O_WRONLY | os.O_CREAT, 0o600), 'w', encoding='ascii') as f:
            f.write('Bench-only-secret-7\n')
        call('--yes', 'init', '--vault', 'main', '--copy', f'a={work}/a', '--copy', f'b={work}/b',
             '--passphrase-file', f'{work}/pass', '--keep-recovery-key')
        make_sources(f'{work}/src', n, size)
        for i in range(n):
            call('policy', 'add', f'p{i}', '--files', f'{work}/src/{i}')
        began, peak, peak_one, alive_at_peak = time.monotonic(), 0, 0, 0
        runs = []
        for i in range(n):
            with open(f'{work}/out{i}', 'wb') as out:
                runs.append(subprocess.Popen([twofold, 'backup', f'p{i}'], env=env, stdout=out, stderr=out, stdin=subprocess.DEVNULL))
        while any(r.poll() is None for r in runs):
            each = [pss_kib(r.pid) for r in runs]
            if sum(each) > peak:
                peak, peak_one, alive_at_peak = sum(each), max(each), sum(k > 0 for k in each)
            time.sleep(SAMPLE_S)
        wall = time.monotonic() - began
        bad = [i for i, r in enumerate(runs) if r.returncode != 0]
        for i in bad[:3]:
            with open(f'{work}/out{i}', encoding='utf-8', errors='replace') as f:
                print(f.read(), file=sys.stderr)
        seen = call('--json', 'snapshots').count('"type":"snapshot"')
        call('scrub', '--read-data=100%')
    result = dict(agents=n, bytes_each=size, wall_s=round(wall, 2), failed=len(bad), snapshots=seen,
                  peak_pss_mib=round(peak / 1024, 1), largest_mib=round(peak_one / 1024, 1), alive_at_peak=alive_at_peak,
                  limit_mib=LIMIT_MIB)
    print(json.dumps(result))
    if 'BENCH_DIR' in os.environ:
        with open(f'{bench}/agents.json', 'w', encoding='ascii') as f:
            json.dump(result, f)
    sys.exit(0 if not bad and seen == n and peak / 1024 <= LIMIT_MIB else 1)


if __name__ == '__main__':
    main()
