#!/usr/bin/env python3
"""compare.py [--no-root] [--ignore=WORD,…] A B - are two trees the same in everything that a backup keeps?

Every field of lstat that can be restored (times in nanoseconds), symlink targets, extended attributes (bytes, of symlinks
too), inode flags (FS_IOC_GETFLAGS), content, where the holes are, and which names are hard links of one another. Reads with
system calls alone, nothing of the product. Prints each difference; exit status 1 when there are any. Words to ignore: flags, holes,
owner, xattrs, blocks. Sockets are not kept by a backup: they are passed over in A."""
import array
import errno
import fcntl
import os
import stat
import sys

FS_IOC_GETFLAGS = 0x80086601
# What chattr can set and a backup restores: s u c S i a d A D j t T C P and the like; not e (extents), I (index), N, V, E.
FLAGS_KEPT = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x20 | 0x40 | 0x80 | 0x10000 | 0x800000
ignore = set()
with_root = True
problems = 0


def differ(path, what, one, two):
    global problems
    problems += 1
    if problems <= 50:
        print("%r: %s: %r is now %r" % (path, what, one, two))


def inode_flags(path, mode):
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return 0
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        buf = array.array("L", [0])
        fcntl.ioctl(fd, FS_IOC_GETFLAGS, buf, True)
        return buf[0] & 0xFFFFFFFF & FLAGS_KEPT
    except OSError as e:
        return 0 if e.errno in (errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL) else None
    finally:
        os.close(fd)


def xattrs(path):
    found = {}
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return found
    for name in names:
        found[name] = os.getxattr(path, name, follow_symlinks=False)
    return found


def data_map(fd, size):
    """The extents that hold data, as the file system tells them; (offset, end)."""
    out, at = [], 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as e:
            if e.errno == errno.ENXIO:
                break
            raise
        end = os.lseek(fd, start, os.SEEK_HOLE)
        out.append((start, end))
        at = end
    return out


def union(one, two):
    """The stretches where either has data."""
    out = []
    for start, end in sorted(one + two):
        if out and start <= out[-1][1]:
            out[-1][1] = max(out[-1][1], end)
        else:
            out.append([start, end])
    return out


def same_content(path, a, b, size):
    fa, fb = os.open(a, os.O_RDONLY | os.O_NOFOLLOW), os.open(b, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        ma, mb = data_map(fa, size), data_map(fb, size)
        for start, end in union(ma, mb):
            at = start
            while at < end:
                n = min(1 << 20, end - at)
                if os.pread(fa, n, at) != os.pread(fb, n, at):
                    differ(path, "content near byte %d" % at, "", "")
                    return
                at += n
        # Holes may be found or made where zeros were (both read the same); what is not allowed is that a hole
        # becomes a stretch of stored zeros.
        if "holes" not in ignore:
            held = sum(e - s for s, e in ma)
            holds = sum(e - s for s, e in mb)
            if holds > held + 65536 or (held < size and holds >= size and size > 65536):
                differ(path, "bytes that are not holes", held, holds)
    finally:
        os.close(fa)
        os.close(fb)


def compare_one(path, a, b):
    try:
        sa = os.lstat(a)
        sb = os.lstat(b)
    except OSError as e:
        differ(path, "is missing", "there", e.strerror)
        return None
    if stat.S_IFMT(sa.st_mode) != stat.S_IFMT(sb.st_mode):
        differ(path, "type", oct(sa.st_mode), oct(sb.st_mode))
        return None
    if not stat.S_ISLNK(sa.st_mode) and sa.st_mode != sb.st_mode:
        differ(path, "mode", oct(sa.st_mode), oct(sb.st_mode))
    if "owner" not in ignore and (sa.st_uid, sa.st_gid) != (sb.st_uid, sb.st_gid):
        differ(path, "owner", (sa.st_uid, sa.st_gid), (sb.st_uid, sb.st_gid))
    if sa.st_mtime_ns != sb.st_mtime_ns:
        differ(path, "time", sa.st_mtime_ns, sb.st_mtime_ns)
    if "xattrs" not in ignore and xattrs(a) != xattrs(b):
        differ(path, "extended attributes", xattrs(a), xattrs(b))
    if "flags" not in ignore and inode_flags(a, sa.st_mode) != inode_flags(b, sb.st_mode):
        differ(path, "inode flags", inode_flags(a, sa.st_mode), inode_flags(b, sb.st_mode))
    if stat.S_ISLNK(sa.st_mode) and os.readlink(a) != os.readlink(b):
        differ(path, "target", os.readlink(a), os.readlink(b))
    if (stat.S_ISCHR(sa.st_mode) or stat.S_ISBLK(sa.st_mode)) and sa.st_rdev != sb.st_rdev:
        differ(path, "device", sa.st_rdev, sb.st_rdev)
    if stat.S_ISREG(sa.st_mode):
        if sa.st_size != sb.st_size:
            differ(path, "size", sa.st_size, sb.st_size)
        else:
            same_content(path, a, b, sa.st_size)
    if not stat.S_ISDIR(sa.st_mode) and sa.st_nlink > 1:
        return (sa.st_dev, sa.st_ino), (sb.st_dev, sb.st_ino)
    return None


def walk(shown, a, b, links):
    """a and b are descriptors of folders; names are taken relative to them, so that depth does not matter."""
    na = {os.fsencode(n) for n in os.listdir(a)}
    nb = {os.fsencode(n) for n in os.listdir(b)}
    for name in sorted(na | nb):
        path = shown + b"/" + name
        pa, pb = b"/proc/self/fd/%d/" % a + name, b"/proc/self/fd/%d/" % b + name
        if name in na and name not in nb and stat.S_ISSOCK(os.lstat(pa).st_mode):
            continue
        if name not in na:
            differ(path, "is new", None, "there")
            continue
        pair = compare_one(path, pa, pb)
        if pair:
            links.setdefault(pair[0], set()).add(pair[1])
            links.setdefault(("back",) + pair[1], set()).add(pair[0])
        if name in nb and stat.S_ISDIR(os.lstat(pa).st_mode) and stat.S_ISDIR(os.lstat(pb).st_mode):
            da = os.open(pa, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            db = os.open(pb, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            walk(path, da, db, links)
            os.close(da)
            os.close(db)


def main():
    global with_root
    sys.setrecursionlimit(20000)
    trees = []
    for arg in sys.argv[1:]:
        if arg == "--no-root":
            with_root = False
        elif arg.startswith("--ignore="):
            ignore.update(arg[9:].split(","))
        else:
            trees.append(os.fsencode(arg))
    a, b = trees
    if with_root:
        compare_one(b".", a, b)
    links = {}
    if os.path.isdir(a) and not os.path.islink(a) and os.path.isdir(b):
        walk(b"", os.open(a, os.O_RDONLY | os.O_DIRECTORY), os.open(b, os.O_RDONLY | os.O_DIRECTORY), links)
    for one, others in links.items():
        if len(others) > 1:
            differ(b"hard links", "of one file are now of several", one, others)
    if problems:
        print("%d differences" % problems)
    return 1 if problems else 0


sys.exit(main())
