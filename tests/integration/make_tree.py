#!/usr/bin/env python3
"""make_tree.py DIR SEED FILES - a reproducible tree: small and large, compressible and random files, holes, links, odd names."""
import os
import random
import sys

root, seed, count = sys.argv[1].encode(), int(sys.argv[2]), int(sys.argv[3])
rng = random.Random(seed)
os.makedirs(root, exist_ok=True)
folders = [root]
for i in range(max(3, count // 12)):
    d = os.path.join(rng.choice(folders), b"d%d" % i)
    os.makedirs(d, exist_ok=True)
    folders.append(d)
odd = [b" lead", b"tr ", b"new\nline", b"\xff\xfe", b"-dash", b"quote'\"", "中文".encode(), b"x" * 255]
files = []
for i in range(count):
    d = rng.choice(folders)
    name = b"f%d" % i if i >= len(odd) else odd[i]
    path = os.path.join(d, name)
    size = rng.choice([0, 1, 100, 4096, 5000, 20000, 70000, 300000])
    if i == count // 2:
        size = 3_000_000
    data = rng.randbytes(size) if rng.random() < 0.5 else (b"line %d of text\n" % rng.randrange(9)) * (size // 15 + 1)
    with open(path, "wb") as f:
        f.write(data[:size])
        if i % 17 == 3:
            f.seek(1 << 22, 1)
            f.write(b"after the hole")
    os.chmod(path, rng.choice([0o644, 0o600, 0o755, 0o400]))
    files.append(path)
for i in range(count // 15):
    os.link(rng.choice(files), os.path.join(rng.choice(folders), b"hard%d" % i))
    os.symlink(rng.choice([b"f1", b"../none", b"/etc/hosts", b"x" * 500]), os.path.join(rng.choice(folders), b"sym%d" % i))
os.mkfifo(os.path.join(root, b"fifo"))
os.mkdir(os.path.join(root, b"empty"))
base = 1_600_000_000_000_000_000
for path in files + folders:
    ns = base + rng.randrange(10 ** 17)
    os.utime(path, ns=(ns, ns), follow_symlinks=False)
