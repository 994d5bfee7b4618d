"""Turns the measurements of bench.py into docs/performance.md."""
import datetime
import os
import platform

HEAD = '''# Performance

Measured by `make bench` (tests/bench/), which says how; repeat it on your own machine. Two encrypted copies of every
backup, zstd level 3, as the plans ask: Twofold writes both at once; restic backs up to the first and copies to the
second; Borg backs up twice. *limit* is what the machine can do with standard parts that neither deduplicate nor index
nor check: `tar | zstd -3 -T0 | openssl | tee`. Ratios are Twofold to restic; less is better everywhere.

'''

STEPS = (('first', 'first run'), ('unchanged', 'nothing changed'), ('restore', 'restore of one copy'))

# case, what, limit of it, and the function that says it (None: not measured)
BARS = (
    ('mixed', 'first run: time, to restic', 0.45, lambda r: r.ratio('mixed', 'first', 'wall')),
    ('mixed', 'first run: stored bytes, to restic', 1.0, lambda r: r.ratio('mixed', 'first', 'stored')),
    ('mixed', 'restore: time, to restic', 0.85, lambda r: r.ratio('mixed', 'restore', 'wall')),
    ('mixed', 'two copies against one: processor time', 1.15, lambda r: r.two_to_one('mixed')),
    ('small', 'first run: time, to restic', 0.35, lambda r: r.ratio('small', 'first', 'wall')),
    ('small', 'first run: stored bytes, to restic', 0.65, lambda r: r.ratio('small', 'first', 'stored')),
    ('small', 'nothing changed: time, to restic', 0.3, lambda r: r.ratio('small', 'unchanged', 'wall')),
    ('small', 'restore: time, to restic', 0.5, lambda r: r.ratio('small', 'restore', 'wall')),
    ('small', 'two copies against one: processor time', 1.15, lambda r: r.two_to_one('small')),
    ('small', 'manifest: bytes a file', 100, lambda r: r.manifest()),
    ('small', 'peak memory, all processes: MiB', 160, lambda r: r.peak('small')),
    ('million', 'peak memory, to that of 200,000 files', 1.2, lambda r: r.peak_growth()),
)


class Results:
    def __init__(self, rows, middle):
        self.rows, self.middle = rows, middle

    def values(self, case, step, key, tool='Twofold'):
        return [r[key] for r in self.rows if (r['case'], r['step'], r['tool']) == (case, step, tool) and key in r]

    def get(self, case, step, key, tool='Twofold'):
        v = self.values(case, step, key, tool)
        return self.middle(v) if v else None

    def ratio(self, case, step, key):
        mine, theirs = self.get(case, step, key), self.get(case, step, key, 'restic')
        return mine / theirs if mine is not None and theirs else None

    def two_to_one(self, case):
        one, two = self.get(case, 'one copy', 'cpu'), self.get(case, 'two copies', 'cpu')
        return two / one if one and two is not None else None

    def manifest(self):
        added, files = self.get('small', 'touched', 'added'), self.get('small', 'touched', 'files')
        return added / files if files else None

    def peak(self, case):
        v = [x for step, _ in STEPS for x in self.values(case, step, 'pss')]
        return max(v) / 2**20 if v else None

    def peak_growth(self):
        small, million = self.peak('small'), self.peak('million')
        return million / small if small and million else None


def number(x):
    if x is None:
        return '–'
    return f'{x:,.0f}' if x >= 100 else f'{x:.1f}' if x >= 10 else f'{x:.2f}'


def table(columns, lines):
    text = '| ' + ' | '.join(columns) + ' |\n|' + '---|' * len(columns) + '\n'
    return text + ''.join('| ' + ' | '.join(line) + ' |\n' for line in lines) + '\n'


def machine():
    model, memory = platform.machine(), ''
    with open('/proc/cpuinfo', encoding='utf-8') as f:
        names = [line.split(':', 1)[1].strip() for line in f if line.startswith('model name')]
    with open('/proc/meminfo', encoding='ascii') as f:
        memory = f'{int(f.readline().split()[1]) / 2**20:.0f} GiB'
    return f'{os.cpu_count()} × {names[0] if names else model}, {memory} of memory, Linux {platform.release()}'


def heading(facts):
    text = f'- Date: {datetime.date.today().isoformat()}. Machine: {machine()}.\n'
    text += '- Versions: ' + '; '.join(f'{n}: {v}' if n not in v.lower() else v for n, v in facts['versions'].items()) + '.\n'
    text += f'- Medians of {facts["rounds"]} round(s), one tool after the other in each. '
    text += 'Load of the machine before and after: {:.1f}, {:.1f}.\n'.format(*facts['load'])
    for m in facts['missing']:
        text += f'- {m} was not installed and is missing below.\n'
    return text + (f'- {facts["note"]}\n' if facts['note'] else '') + '\n'


def case_table(r, case, tools):
    lines = []
    for step, label in STEPS:
        for key, unit in (('wall', 'time, s'), ('cpu', 'processor time, s')):
            cells = [number(r.get(case, step, key, t)) for t in tools]
            lines.append([f'{label}: {unit}'] + cells + [number(r.ratio(case, step, key))])
        mib = [r.get(case, step, 'pss', t) for t in tools]
        lines.append([f'{label}: peak memory, MiB'] + [number(x and x / 2**20) for x in mib] + [number(r.ratio(case, step, 'pss'))])
        if step == 'first':
            mb = [r.get(case, step, 'stored', t) for t in tools]
            lines.append(['stored in each copy, MB'] + [number(x and x / 1e6) for x in mb] +
                         [number(r.ratio(case, step, 'stored'))])
    return table(['what'] + tools + ['ratio'], lines)


def own_table(r, case):
    lines = []
    for step, label in STEPS:
        lines.append([label] + [number(r.get(case, step, k)) for k in ('wall', 'cpu')] +
                     [number((r.get(case, step, 'pss') or 0) / 2**20)])
    return table(['what', 'time, s', 'processor time, s', 'peak memory, MiB'], lines)


def bars(r):
    lines = []
    for case, what, limit, value in BARS:
        x = value(r)
        lines.append([case, what, number(x), f'≤ {limit:g}', 'not measured' if x is None else 'met' if x <= limit else '**not met**'])
    return table(['data', 'what', 'measured', 'bar', ''], lines)


def write_report(facts, rows, path, middle):
    r = Results(rows, middle)
    tools = [t for t in ('Twofold', 'restic', 'Borg', 'limit') if t in facts['versions']]
    text = HEAD + heading(facts) + '## The bars\n\n' + bars(r)
    for case, size in facts['sources'].items():
        text += f'## {case}: {size["files"]:,} files, {size["bytes"] / 1e9:.2f} GB\n\n' + case_table(r, case, tools)
        cold = all(r.values(case, 'restore', 'cold'))
        text += f'Restores: with a {"cold" if cold else "WARM (not root)"} cache.'
        one, two = r.get(case, 'one copy', 'cpu'), r.get(case, 'two copies', 'cpu')
        if one and two:
            text += f' First run to one copy: {number(one)} s of processor time; to two: {number(two)} s.'
        text += '\n\n'
    if r.values('million', 'first', 'wall'):
        text += '## million: 1,000,000 small files\n\n' + own_table(r, 'million')
    if path == '-':
        print(text)
        return
    with open(path, 'w', encoding='utf-8') as f:
        f.write(text.rstrip('\n') + '\n')
