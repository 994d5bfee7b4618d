"""Runs commands and measures them: wall time, processor time, and the peak of memory.

Memory is the sum of the proportional set sizes (PSS) of all processes that belong to the command, sampled every 50 ms:
what is shared is counted once, what several processes need at the same time adds up.
"""
import os
import subprocess
import threading
import time

SAMPLE_SECONDS = 0.05


def children_of(pid):
    found = []
    try:
        for task in os.listdir(f'/proc/{pid}/task'):
            with open(f'/proc/{pid}/task/{task}/children', encoding='ascii') as f:
                found += [int(x) for x in f.read().split()]
    except OSError:
        pass  # it has just ended
    return found


def pss_of_tree(pid):
    total, todo = 0, [pid]
    while todo:
        p = todo.pop()
        todo += children_of(p)
        try:
            with open(f'/proc/{p}/smaps_rollup', encoding='ascii') as f:
                for line in f:
                    if line.startswith('Pss:'):
                        total += int(line.split()[1]) * 1024
                        break
        except OSError:
            pass
    return total


class Sampler(threading.Thread):
    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.stop = pid, 0, threading.Event()

    def run(self):
        while not self.stop.is_set():
            self.peak = max(self.peak, pss_of_tree(self.pid))
            self.stop.wait(SAMPLE_SECONDS)


def one(command, env, ok, log):
    begin = time.monotonic()
    with open(log, 'ab') as out:
        p = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    sampler = Sampler(p.pid)
    sampler.start()
    _, status, usage = os.wait4(p.pid, 0)
    wall = time.monotonic() - begin
    sampler.stop.set()
    sampler.join()
    p.returncode = code = os.waitstatus_to_exitcode(status)
    if code not in ok:
        with open(log, encoding='utf-8', errors='replace') as f:
            raise SystemExit(f'bench: exit status {code}: {" ".join(command)}\n' + f.read()[-2000:])
    return dict(wall=wall, cpu=usage.ru_utime + usage.ru_stime, pss=sampler.peak)


def measure(commands, env, ok, log):
    """The commands one after the other, as one: times added up, the highest peak."""
    parts = [one(c, env, ok, log) for c in commands]
    return dict(wall=round(sum(p['wall'] for p in parts), 3), cpu=round(sum(p['cpu'] for p in parts), 3),
                pss=max(p['pss'] for p in parts))


def drop_caches():
    """True when the caches are cold now."""
    subprocess.run(['sync'], check=True)
    try:
        with open('/proc/sys/vm/drop_caches', 'w', encoding='ascii') as f:
            f.write('3')
    except OSError:
        return False
    return True


def tree_bytes(path):
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(f'{folder}/{name}').st_size
            except OSError:
                pass
    return total
