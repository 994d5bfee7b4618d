#!/usr/bin/env python3
"""pages.py - a file that is rewritten in place (a database, a disk image): 2 GiB of 8 KiB pages, of which 1 % get other content each night, two
copies, beside restic. Measures the first run, nights, what they add to a copy, and restores of the first and of the last night.

Usage: TWOFOLD=build/twofold AGENT=build/twofold-agent [PEERS_ROOT=DIR] [BENCH_NIGHTS=30] tests/bench/pages.py
Bars: first run 0.7 of restic's time; a night 13 MB a copy and 0.35 of restic's time; 30 nights 450 MB; a restore after them 1.5 of the first's time.
"""
import json
import os
import random
import shutil
import statistics
import subprocess
import time

from bench import BENCH, Restic, Twofold, say
from measure import tree_bytes

NIGHTS = int(os.environ.get('BENCH_NIGHTS', '30'))
PEER_NIGHTS = min(NIGHTS, int(os.environ.get('BENCH_PEER_NIGHTS', '3')))
PAGES = int(os.environ.get('BENCH_PAGES', '262144'))
PAGE = 8192


class Pages(Twofold):
    def init(self, source):
        super().init(source)
        path = self.dir + '/c/policies/bench.yaml'
        text = open(path, encoding='utf-8').read()
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text.replace('  one-file-system:', '  delta: pages\n  one-file-system:', 1))


def make(path):
    """Half of each page is noise, half text."""
    rnd = random.Random(20261120)
    text = open('/usr/include/stdio.h', 'rb').read() * 2
    with open(path, 'wb') as f:
        for i in range(PAGES):
            k = rnd.randrange(len(text) - 4200)
            f.write(i.to_bytes(8, 'big') + rnd.randbytes(3992) + text[k:k + 4192])


def dirty(path, night):
    rnd = random.Random(night)
    with open(path, 'r+b') as f:
        for i in rnd.sample(range(PAGES), PAGES // 100):
            f.seek(i * PAGE + 100)
            f.write(rnd.randbytes(400))


def restore(tool, what, *more):
    out = f'{BENCH}/run/out'
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)
    r = tool.run([c + list(more) for c in tool.restore(out)])
    shutil.rmtree(out, ignore_errors=True)
    say(f'{tool.name}: {what}: {r["wall"]:.2f} s, {r["pss"] / 2**20:.0f} MiB')
    return r['wall']


def by_turns(tool):
    """The first night and the last, one after the other by turns: memory that was just given back costs more to fill than any of this."""
    text = subprocess.run([tool.program, '--json', 'snapshots'], env=tool.env, stdout=subprocess.PIPE, check=True).stdout.decode()
    first = next(json.loads(line)['id'] for line in text.split('\n') if '"id"' in line)
    out, walls = f'{BENCH}/run/out', {first: [], 'latest': []}
    for _ in range(5):
        for which, found in walls.items():
            os.makedirs(out)
            begin = time.monotonic()  # without a look at its memory, which takes the same two processors
            tool.call(tool.restore(out)[0] + ['--snapshot', which])
            found.append(time.monotonic() - begin)
            shutil.rmtree(out)
            say(f'Twofold: restore of {which[:8]}: {found[-1]:.2f} s')
    return tuple(statistics.median(w) for w in walls.values())


def bytes_read(tool, command):
    """The bytes that a restore reads from the copies."""
    done = subprocess.run([command[0], '--json'] + command[1:], env=tool.env, stdout=subprocess.PIPE, check=True)
    report = next(r for r in map(json.loads, done.stdout.decode().splitlines()) if r['type'] == 'restore')
    return sum(copy['bytes'] for copy in report['copies'])


def delta(tool, path):
    """One percent of the regions of what was restored is damaged; then it is made right in place."""
    out = f'{BENCH}/run/out'
    os.makedirs(out)
    full = bytes_read(tool, tool.restore(out)[0])
    target = out + path
    walls, parts = [], []
    for turn in range(5):
        rnd = random.Random(turn)
        with open(target, 'r+b') as f:
            for region in rnd.sample(range(PAGES * PAGE >> 20), (PAGES * PAGE >> 20) // 100):
                f.seek((region << 20) + rnd.randrange(1 << 20))
                f.write(rnd.randbytes(1))
        os.sync()
        begin = time.monotonic()
        read = bytes_read(tool, tool.restore(out)[0] + ['--delta'])
        walls.append(time.monotonic() - begin)
        parts.append(read / full)
        say(f'Twofold: 1 % of the regions made right: {walls[-1]:.2f} s, {read / 1e6:.1f} MB read of {full / 1e6:.1f}, {100 * parts[-1]:.2f} %')
    if subprocess.run(['cmp', target, path], check=False).returncode:
        raise SystemExit('bench: the result of --delta differs')
    shutil.rmtree(out)
    return statistics.median(walls), max(parts)


def nights(tool, source, path, n):
    shutil.copyfile(f'{BENCH}/pages.seed', path)
    tool.begin(source)
    os.sync()
    got = {}
    r = tool.run(tool.backup(source))
    got['first'], got['size'], got['pss'] = r['wall'], tool.stored(), r['pss']
    say(f'{tool.name}: first run: {r["wall"]:.2f} s, {got["size"] / 1e6:.0f} MB, {r["pss"] / 2**20:.0f} MiB')
    walls, added = [], []
    for night in range(1, n + 1):
        dirty(path, night)
        os.sync()
        before = tool.stored()
        r = tool.run(tool.backup(source))
        walls.append(r['wall'])
        added.append(tool.stored() - before)
        say(f'{tool.name}: night {night}: {r["wall"]:.2f} s, {added[-1] / 1e6:.1f} MB, {r["pss"] / 2**20:.0f} MiB')
    got.update(night=statistics.median(walls), added=statistics.median(added), worst=max(added), all=sum(added))
    if tool.name != 'Twofold':
        got['restore_last'] = statistics.median(restore(tool, 'restore of the last') for _ in range(3))
    else:
        got['restore'], got['restore_last'] = by_turns(tool)
        got['delta'], got['delta_read'] = delta(tool, path)
    tool.end()
    return got


def main():
    source = f'{BENCH}/pages'
    os.makedirs(source, exist_ok=True)
    if not os.path.exists(f'{BENCH}/pages.seed'):
        make(f'{BENCH}/pages.seed')
    path = source + '/table.dat'
    peer = nights(Restic(), source, path, PEER_NIGHTS)
    own = nights(Pages(), source, path, NIGHTS)
    shutil.rmtree(source)
    os.unlink(f'{BENCH}/pages.seed')
    print('| | Twofold | restic | ratio | bar |\n|---|---|---|---|---|')
    print(f'| first run, s | {own["first"]:.2f} | {peer["first"]:.2f} | {own["first"] / peer["first"]:.2f} | 0.7 |')
    print(f'| a night, s | {own["night"]:.2f} | {peer["night"]:.2f} | {own["night"] / peer["night"]:.2f} | 0.35 |')
    print(f'| a night adds, MB a copy | {own["added"] / 1e6:.1f} | {peer["added"] / 1e6:.1f} | {own["added"] / peer["added"]:.3f} | 13 MB |')
    print(f'| the worst night, MB a copy | {own["worst"] / 1e6:.1f} | {peer["worst"] / 1e6:.1f} | | |')
    print(f'| {NIGHTS} nights, MB a copy | {own["all"] / 1e6:.0f} | | | 450 MB |')
    print(f'| restore of the first, s | {own["restore"]:.2f} | | | |')
    print(f'| restore of the last, s | {own["restore_last"]:.2f} | {peer["restore_last"]:.2f} | {own["restore_last"] / own["restore"]:.2f} of the first\'s | 1.5 |')
    print(f'| 1 % of the regions made right by --delta, s | {own["delta"]:.2f} | | {own["delta"] / own["restore_last"]:.2f} of a restore | 0.4 |')
    print(f'| bytes that this reads from the copy, at most | | | {own["delta_read"]:.3f} of a restore\'s | 0.05 |')
    print(f'| memory of a run, MiB | {own["pss"] / 2**20:.0f} | {peer["pss"] / 2**20:.0f} | | |')


if __name__ == '__main__':
    main()
