#!/usr/bin/env python3
"""damage.py HOW KIND SEED COPY [COPY] - damages objects of a kind in a copy, and prints what it did. See 30-damage.sh."""
import hashlib
import os
import random
import struct
import sys

how, kind, seed, copy = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
other = sys.argv[5] if len(sys.argv) > 5 else None
rng = random.Random("%s %s %d" % (how, kind, seed))


def objects(root):
    top = os.path.join(root, kind)
    if os.path.isfile(top):
        return [top]
    found = []
    for base, _, files in os.walk(top):
        found += [os.path.join(base, f) for f in files]
    return sorted(found)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


def flip(path, at):
    data = bytearray(read(path))
    data[at] ^= 1 << rng.randrange(8)
    write(path, data)
    print("%s: byte %d of %d" % (path, at, len(data)))


def said(path):
    print("%s: %s" % (how, path))


def one():
    """Any of them; the biggest pack is the likeliest to matter."""
    found = objects(copy)
    return rng.choice(found)


def by_time():
    return sorted(objects(copy), key=lambda p: (os.stat(p).st_mtime_ns, p))


if how == "flip":
    path = one()
    flip(path, rng.randrange(os.path.getsize(path)))
elif how == "cut":
    path = one()
    os.truncate(path, rng.randrange(os.path.getsize(path)))
    said(path)
elif how == "grow":
    path = one()
    write(path, read(path) + rng.randbytes(100))
    said(path)
elif how == "empty":
    path = one()
    write(path, b"")
    said(path)
elif how == "zero":
    path = one()
    data = bytearray(read(path))
    at = rng.randrange(len(data)) // 512 * 512
    data[at:at + 512] = bytes(len(data[at:at + 512]))
    write(path, data)
    said(path)
elif how == "delete":
    path = one()
    os.unlink(path)
    said(path)
elif how == "swap":
    found = objects(copy)
    if len(found) < 2:
        write(found[0], rng.randbytes(os.path.getsize(found[0])))
    else:
        x, y = rng.sample(found, 2)
        data = read(x)
        write(x, read(y))
        write(y, data)
    said(" ".join(found[:2]))
elif how == "flip-newest":
    for root in (copy, other):
        newest = by_time()[-1]
        path = os.path.join(root, os.path.relpath(newest, copy))
        flip(path, os.path.getsize(path) // 2)
elif how == "disjoint":
    # Every large pack: one byte flipped in a chunk here, and one there that cannot be in the same chunk (which has at most
    # 2 MiB): in the first chunk, or in the table.
    for path in objects(copy):
        size = os.path.getsize(path)
        if size > 1000000:
            at = rng.randrange(size - 2000)
            flip(path, at)
            flip(os.path.join(other, os.path.relpath(path, copy)), 10 if at > 4 << 20 else size - 30)
elif how == "same":
    path = max(objects(copy), key=os.path.getsize) if rng.random() < 0.7 else one()
    at = rng.randrange(os.path.getsize(path))
    flip(path, at)
    twin = os.path.join(other, os.path.relpath(path, copy))
    flip(twin, at)
elif how.startswith("forge-"):
    found = objects(copy)
    newest = found[-1]
    generation = int(os.path.basename(newest)[:16])
    data = read(newest)
    if how == "forge-random":
        data = rng.randbytes(len(data))
    elif how == "forge-foreign":
        data = read(other)
    elif how == "forge-bits":
        data = bytearray(data)
        data[len(data) // 2] ^= 4
        data = bytes(data)
    elif how == "forge-renamed":
        pass  # the right bytes under a newer generation
    elif how == "forge-resigned":
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        except ImportError:
            print("skip: python3-cryptography is missing")
            sys.exit(0)
        vault_id = read(os.path.join(copy, "vault/00000001"))[16:48]
        body = data[:-64]
        data = body + Ed25519PrivateKey.generate().sign(b"twofold v1 signature" + vault_id + body)
    path = os.path.join(copy, "heads", "%016d-%s" % (generation + 1, hashlib.sha256(data).hexdigest()))
    write(path, data)
    said(path)
else:
    sys.exit("no such damage: " + how)
