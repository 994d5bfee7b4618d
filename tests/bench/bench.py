"""The measurements of bench.sh (which says what the variables mean).

Every tool backs the same tree up to two copies, encrypted, at zstd level 3, then again unchanged, then restores it from one
copy with a cold cache. A round does this with one tool after the other, step by step, the order turned round in every
second round; reported are medians. Wall time is that of the whole processes. What else the machine does shows
in the times: only ratios of one run mean anything.
"""
import json
import os
import random
import shlex
import shutil
import statistics
import subprocess
import sys
import time

from measure import drop_caches, measure, tree_bytes
from report import write_report

HERE = os.path.dirname(os.path.abspath(__file__))
BENCH = os.path.abspath(os.environ.get('BENCH_DIR', HERE + '/../../build/bench'))
os.environ.setdefault('TWOFOLD', HERE + '/../../build/twofold')
if os.environ.get('AGENT'):
    os.environ['TWOFOLD_AGENT'] = os.environ['AGENT']
PEERS_ROOT = os.environ.get('PEERS_ROOT', '')
ROUNDS = int(os.environ.get('BENCH_ROUNDS', '3'))
CASES = os.environ.get('BENCH_CASES', 'mixed small').split()
MIXED_FROM = ('/usr/share', '/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib/python3', '/usr/include')
FILES_IN_FOLDER = 100
SECRET = 'Bench-only-secret-7'


# --- the data ----------------------------------------------------------------------------------------------
def make_mixed(to):
    """Real files: programs, libraries, text, pictures, things that are compressed already."""
    os.makedirs(to)
    for part in MIXED_FROM:
        if os.path.isdir(part):
            subprocess.run(['cp', '-a', '--parents', part.lstrip('/'), to], cwd='/', check=True)


def make_small(to, files):
    """Files of 20 to 600 words in folders of 100."""
    rnd = random.Random(20)
    words = ('the of and a to in is was for it with as his on be at by had not are but from or have an they which one '
             'you were all her she there would their we him been has when who will no more if out so up said what '
             'its about than into them can only other time new some could these two may first then do '
             'int char void return static const struct unsigned size_t #define #include #endif /* */ { } ( ) ; == = 0 1').split()
    for i in range(files // FILES_IN_FOLDER):
        folder = f'{to}/{i % 50:02d}/{i:05d}'
        os.makedirs(folder)
        for k in range(FILES_IN_FOLDER):
            with open(f'{folder}/{k:03d}.txt', 'w', encoding='ascii') as f:
                f.write(' '.join(rnd.choices(words, k=rnd.randint(20, 600))) + f' {i * FILES_IN_FOLDER + k}\n')


MAKERS = {'mixed': make_mixed, 'small': lambda to: make_small(to, 200_000), 'million': lambda to: make_small(to, 1_000_000)}


def make_data(case):
    path = f'{BENCH}/data/{case}'
    if not os.path.exists(path):
        say(f'making the data set "{case}"')
        shutil.rmtree(path + '.new', ignore_errors=True)
        MAKERS[case](path + '.new')
        os.rename(path + '.new', path)
    return path


def count_files(path):
    return sum(len(files) for _, _, files in os.walk(path))


def warm(path):
    # Through a pipe: GNU tar reads no file at all when its output is /dev/null.
    subprocess.run(f'tar -C {shlex.quote(path)} -cf - . | cat >/dev/null', shell=True, check=False)


# --- the tools ---------------------------------------------------------------------------------------------
class Tool:
    """One way to keep two copies. Each step is a list of commands, measured as one."""
    name = ''

    def __init__(self):
        self.dir = f'{BENCH}/run/{self.name}'
        self.a, self.b = self.dir + '/a', self.dir + '/b'
        self.env = dict(os.environ)
        self.ok = (0,)

    def outside(self, path):
        """The path as the tool sees it."""
        return path

    def begin(self, source):
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)
        self.init(source)

    def init(self, source):
        pass

    def call(self, *commands):
        for c in commands:
            done = subprocess.run(c, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            if done.returncode:
                raise SystemExit(f'bench: {" ".join(c)}\n{done.stdout.decode(errors="replace")}')

    def run(self, commands):
        return measure(commands, self.env, self.ok, self.dir + '/log')

    def stored(self):
        return tree_bytes(self.a)

    def end(self):
        shutil.rmtree(self.dir, ignore_errors=True)


class Twofold(Tool):
    name = 'Twofold'
    program = os.environ['TWOFOLD']

    def __init__(self):
        super().__init__()
        self.env.update(TWOFOLD_CONFIG=self.dir + '/c', TWOFOLD_STATE=self.dir + '/s')

    def version(self):
        text = subprocess.run([self.program, 'version'], stdout=subprocess.PIPE, check=False).stdout.decode()
        return text.split('\n')[0]

    def init(self, source):
        with open(self.dir + '/pass', 'w', encoding='ascii', opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(SECRET + '\n')
        self.call([self.program, '--yes', 'init', '--vault', 'bench', '--copy', 'a=' + self.a, '--copy', 'b=' + self.b,
                   '--passphrase-file', self.dir + '/pass', '--keep-recovery-key'],
                  [self.program, 'policy', 'add', 'bench', '--files', source])

    def backup(self, source):
        return [[self.program, '--quiet', 'backup', 'bench']]

    def restore(self, to):
        return [[self.program, '--quiet', 'restore', 'bench', '--from', 'a', '--to', to]]


class Peer(Tool):
    program = ''

    def __init__(self):
        super().__init__()
        self.prefix = []
        if PEERS_ROOT:
            # In a mount namespace of its own, so that nothing stays mounted.
            os.makedirs(PEERS_ROOT + '/bench', exist_ok=True)
            self.prefix = ['unshare', '-m', 'sh', '-c', 'root=$1 dir=$2; shift 2; mount --bind "$dir" "$root/bench" && '
                           'exec chroot "$root" "$@"', 'peer', PEERS_ROOT, BENCH]
        self.home = self.outside(self.dir) + '/home'
        self.env.update(HOME=self.home, RESTIC_PASSWORD=SECRET, BORG_PASSPHRASE=SECRET,
                        BORG_RELOCATED_REPO_ACCESS_IS_OK='yes', BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK='yes')

    def outside(self, path):
        return path.replace(BENCH, '/bench', 1) if PEERS_ROOT else path

    def cmd(self, *words):
        return self.prefix + list(words)

    def version(self):
        try:
            done = subprocess.run(self.cmd(self.program, self.version_word), env=self.env, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, check=False)
        except OSError:
            return None
        return ' '.join(done.stdout.decode().split()[:2]) if done.returncode == 0 else None


class Restic(Peer):
    name = program = 'restic'
    version_word = 'version'

    def init(self, source):
        os.makedirs(self.dir + '/home')
        with open(self.dir + '/pass', 'w', encoding='ascii') as f:
            f.write(SECRET)
        self.other = ['--from-repo', self.outside(self.a), '--from-password-file', self.outside(self.dir + '/pass')]
        self.call(self.cmd('restic', '-r', self.outside(self.a), 'init'),
                  self.cmd('restic', '-r', self.outside(self.b), 'init', '--copy-chunker-params', *self.other))

    def backup(self, source):
        return [self.cmd('restic', '-r', self.outside(self.a), 'backup', '-q', self.outside(source)),
                self.cmd('restic', '-r', self.outside(self.b), 'copy', '-q', *self.other)]

    def restore(self, to):
        return [self.cmd('restic', '-r', self.outside(self.a), 'restore', '-q', 'latest', '--target', self.outside(to))]


class Borg(Peer):
    name, program = 'Borg', 'borg'
    version_word = '--version'

    def init(self, source):
        os.makedirs(self.dir + '/home')
        self.call(*[self.cmd('borg', 'init', '-e', 'repokey-blake2', self.outside(r)) for r in (self.a, self.b)])
        self.n = 0

    def backup(self, source):
        self.n += 1
        return [self.cmd('borg', 'create', '-C', 'zstd,3', f'{self.outside(r)}::run{self.n}', self.outside(source))
                for r in (self.a, self.b)]

    def restore(self, to):
        os.makedirs(to)
        return [self.cmd('sh', '-c', 'cd "$1" && exec borg extract "$2"', 'x', self.outside(to),
                         f'{self.outside(self.a)}::run{self.n}')]


class Limit(Tool):
    """What the machine could do with standard parts and no deduplication, no index, no check."""
    name = 'limit'
    steps = ('first', 'restore')

    def version(self):
        return 'tar | zstd -3 -T0 | openssl aes-256-ctr | tee'

    def init(self, source):
        os.makedirs(self.a)
        os.makedirs(self.b)

    def backup(self, source):
        return [['bash', '-c', 'set -o pipefail; tar -C "$1" -cf - . | zstd -q -3 -T0 | '
                 'openssl enc -aes-256-ctr -pass pass:x -pbkdf2 | tee "$2/x" >"$3/x"; sync -f "$2"', 'x', source, self.a, self.b]]

    def restore(self, to):
        os.makedirs(to)
        return [['bash', '-c', 'set -o pipefail; openssl enc -d -aes-256-ctr -pass pass:x -pbkdf2 -in "$1/x" | '
                 'zstd -q -dc | tar -C "$2" -xf -', 'x', self.a, to]]


# --- the run -----------------------------------------------------------------------------------------------
def say(text):
    print(f'bench: {text}', file=sys.stderr, flush=True)


def find_tools():
    tools, missing = [Twofold()], []
    for kind in (Restic, Borg):
        tool = kind()
        if tool.version():
            tools.append(tool)
        else:
            missing.append(tool.name)
            say(f'{tool.name} is not installed' + (f' in {PEERS_ROOT}' if PEERS_ROOT else ''))
    return tools + [Limit()], missing


def step(results, tool, case, name, commands, **more):
    subprocess.run(['sync'], check=True)
    m = tool.run(commands)
    m.update(more)
    results.append(dict(tool=tool.name, case=case, step=name, **m))
    say(f'{case:8} {name:10} {tool.name:8} {m["wall"]:8.2f} s  CPU {m["cpu"]:8.2f} s  peak {m["pss"] / 2**20:6.1f} MiB')


def restore_step(results, tool, case):
    out = tool.dir + '/out'
    commands = tool.restore(out)
    cold = drop_caches()
    step(results, tool, case, 'restore', commands, cold=cold)
    results[-1]['restored'] = count_files(out)


def clean_up(tools):
    """All at once and long before the next restore: ext4 is slow at making files where many were deleted in the last
    minute (it passes over their inodes one by one), and whose turn is next would pay for it."""
    for tool in tools:
        tool.end()
    subprocess.run(['sync'], check=True)


def one_round(results, tools, case, source):
    for tool in tools:
        tool.begin(source)
    warm(source)
    for tool in tools:
        step(results, tool, case, 'first', tool.backup(source))
        results[-1]['stored'] = tool.stored()
    for tool in tools:
        if tool.name != 'limit':
            step(results, tool, case, 'unchanged', tool.backup(source))
    for tool in tools:
        restore_step(results, tool, case)
    clean_up(tools)


def two_against_one(results, case, source):
    """The same first run with both copies, and with one of them away."""
    tool = Twofold()
    warm(source)
    for i in range(2 * ROUNDS):
        tool.begin(source)
        away = i % 2 == 1
        tool.ok = (3,) if away else (0,)
        if away:
            os.rename(tool.b, tool.b + '.away')
        step(results, tool, case, 'one copy' if away else 'two copies', tool.backup(source))
    tool.end()


def manifest_growth(results, case, source):
    """All files get new times and keep their content: what a run adds then is the manifest and what belongs to it."""
    tool = Twofold()
    tool.begin(source)
    tool.call(*tool.backup(source))
    before, files, now = tool.stored(), 0, time.time_ns()
    rnd = random.Random(1)
    for folder, _, names in os.walk(source):
        for n in names:
            t = now - rnd.randrange(10**15)
            os.utime(f'{folder}/{n}', ns=(t, t))
            files += 1
    step(results, tool, case, 'touched', tool.backup(source), files=files)
    results[-1]['added'] = tool.stored() - before
    tool.end()


def million(results):
    tool = Twofold()
    source = make_data('million')
    tool.begin(source)
    step(results, tool, 'million', 'first', tool.backup(source))
    results[-1]['stored'] = tool.stored()
    step(results, tool, 'million', 'unchanged', tool.backup(source))
    restore_step(results, tool, 'million')
    tool.end()


def main():
    tools, missing = find_tools()
    facts = dict(versions={t.name: t.version() for t in tools}, missing=missing, rounds=ROUNDS, sources={},
                 note=os.environ.get('BENCH_NOTE', ''), load=[os.getloadavg()[0]])
    results = []
    for case in CASES:
        source = make_data(case)
        facts['sources'][case] = dict(files=count_files(source), bytes=tree_bytes(source))
        for i in range(ROUNDS):
            one_round(results, tools if i % 2 == 0 else tools[::-1], case, source)
        two_against_one(results, case, source)
        if case == 'small':
            manifest_growth(results, case, source)
    if os.environ.get('BENCH_MILLION') == '1':
        million(results)
    facts['load'].append(os.getloadavg()[0])
    shutil.rmtree(f'{BENCH}/run', ignore_errors=True)
    with open(f'{BENCH}/results.json', 'w', encoding='utf-8') as f:
        json.dump(dict(facts=facts, results=results), f, indent=1)
    write_report(facts, results, os.environ['BENCH_REPORT'], statistics.median)


if __name__ == '__main__':
    main()
