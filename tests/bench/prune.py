#!/usr/bin/env python3
"""prune.py - drops half of 60 backups, and measures what that takes beside restic's `forget --prune`.

The tree is a copy of real files (BENCH_PRUNE_FROM, /usr/share by default). Each night 100 of its files get other content, 30
come and 30 go. Twofold keeps two copies at once; restic two repositories, of which each is pruned. Twofold frees space with the
prune after the one that drops, so both are run and counted. The bar is 0.3 of restic's time, for the same two copies.
Usage: TWOFOLD=build/twofold AGENT=build/twofold-agent [PEERS_ROOT=DIR] tests/bench/prune.py
"""
import json
import os
import random
import shutil
import subprocess
import time

from bench import BENCH, Restic, Twofold, say
from measure import tree_bytes

NIGHTS = int(os.environ.get('BENCH_NIGHTS', '60'))
SOURCE = os.environ.get('BENCH_PRUNE_FROM', '/usr/share')
CHANGED, COME = 100, 30
MAX_CONTENT = 1 << 20


class Night:
    """The same changes for every tool: from a seed, and files in order of their names."""

    def __init__(self, tree):
        self.tree = tree
        self.files = sorted(os.path.join(d, f) for d, _, names in os.walk(tree) for f in names
                            if os.path.isfile(os.path.join(d, f)) and not os.path.islink(os.path.join(d, f)))

    def put(self, path, content):
        with open(path + '.new', 'wb') as f:
            f.write(content)
        os.rename(path + '.new', path)

    def change(self, night):
        rnd = random.Random(night)
        for path in rnd.sample(self.files, CHANGED):
            self.put(path, rnd.randbytes(min(os.path.getsize(path), MAX_CONTENT)))
        for i in range(COME):
            self.put(f'{self.tree}/new-{night}-{i}', rnd.randbytes(rnd.randrange(1000, 200000)))
            gone = f'{self.tree}/new-{night - 10}-{i}'
            if os.path.exists(gone):
                os.unlink(gone)


def timed(tool, *commands):
    begin = time.monotonic()
    tool.call(*commands)
    return time.monotonic() - begin


def nights_of(tool):
    tree = f'{BENCH}/data/prune'
    shutil.rmtree(tree, ignore_errors=True)
    os.makedirs(tree)
    subprocess.run(['cp', '-a', SOURCE, tree], check=False)
    tool.begin(tree)
    nights = Night(tree)
    for n in range(NIGHTS):
        nights.change(n)
        tool.call(*tool.backup(tree))
        if n % 10 == 9:
            say(f'{tool.name}: {n + 1} backups')


def stored(tool):
    return tree_bytes(tool.a) + tree_bytes(tool.b)


def prune_twofold():
    tool = Twofold()
    nights_of(tool)
    policy = tool.dir + '/c/policies/bench.yaml'
    with open(policy, encoding='utf-8') as f:
        text = f.read()
    lines, inside = [], False
    for line in text.split('\n'):
        inside = line.startswith('retention:') or (inside and line[:1] in (' ', '\t'))
        if not inside:
            lines.append(line)
    with open(policy, 'w', encoding='utf-8') as f:
        f.write('\n'.join(lines) + f'\nretention: {{ last: {NIGHTS // 2} }}\n')
    before = stored(tool)
    first = timed(tool, [tool.program, '--json', 'prune'])
    second = timed(tool, [tool.program, '--json', 'prune'])
    after = stored(tool)
    tool.call([tool.program, '--quiet', 'scrub', '--read-data=100%'])
    tool.end()
    return {'first': first, 'second': second, 'seconds': first + second, 'before': before, 'after': after}


def prune_restic():
    tool = Restic()
    if not tool.version():
        return None
    nights_of(tool)
    before = stored(tool)
    seconds = timed(tool, *[tool.cmd('restic', '-r', tool.outside(repo), 'forget', '-q', '--keep-last', str(NIGHTS // 2),
                                     '--prune') for repo in (tool.a, tool.b)])
    after = stored(tool)
    tool.end()
    return {'seconds': seconds, 'before': before, 'after': after, 'version': tool.version()}


def main():
    os.makedirs(BENCH, exist_ok=True)
    results = {'nights': NIGHTS, 'source': SOURCE, 'Twofold': prune_twofold(), 'restic': prune_restic()}
    print(json.dumps(results, indent=1))
    ours, theirs = results['Twofold'], results['restic']
    gib = 1 << 30
    print(f"Twofold: {ours['first']:.2f} s and {ours['second']:.2f} s, {ours['before'] / gib:.2f} to {ours['after'] / gib:.2f} GiB")
    if theirs:
        print(f"restic:  {theirs['seconds']:.2f} s, {theirs['before'] / gib:.2f} to {theirs['after'] / gib:.2f} GiB; "
              f"ratio {ours['seconds'] / theirs['seconds']:.2f} (bar 0.30)")
    else:
        print('restic is not here (PEERS_ROOT)')


if __name__ == '__main__':
    main()
