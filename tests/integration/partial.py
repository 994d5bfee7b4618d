#!/usr/bin/env python3
"""partial.py SOURCE RESTORED NAMED - a restore that lost something: what is there must be right to the byte, and what is not
there must be named in the file NAMED (stderr of the restore). Prints how many files are lost; exit status 1 and why when it
is not so."""
import os
import re
import sys

source, restored = os.fsencode(sys.argv[1]), os.fsencode(sys.argv[2])
named = open(sys.argv[3], "rb").read()
lost = 0


def unescape(text):
    return re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m.group(1), 8)]), text)


def order(path):
    """Entries are sorted with "/" below every other byte (docs/format.md, "Manifest")."""
    return path.lstrip(b"/").replace(b"/", b"\0")


# Where a part of the list of files itself is lost, nobody knows the names: the gap is named.
gaps = [(order(unescape(m.group(1))), order(unescape(m.group(2) or b"\xff")))
        for m in re.finditer(rb'the list of files from "([^"]*)" (?:up to "([^"]*)"|on) is lost', named)]


def is_named(path):
    """The last component, as far as it is printed as it is; or the gap that it lies in."""
    if any(first <= order(path) < end for first, end in gaps):
        return True
    name = max(re.split(rb"[^\x21-\x7e]|['\\\"]", os.path.basename(path)), key=len)
    return name in named


for base, folders, files in os.walk(source):
    there = os.path.join(restored, os.path.relpath(base, source))
    for name in files:
        a, b = os.path.join(base, name), os.path.join(there, name)
        if not os.path.lexists(b):
            lost += 1
            if not is_named(a):
                sys.exit("%r is missing and not named" % a)
        elif os.path.islink(a):
            if not os.path.islink(b) or os.readlink(a) != os.readlink(b):
                sys.exit("%r is not the same link" % a)
        elif os.path.isfile(a) and open(a, "rb").read() != open(b, "rb").read():
            sys.exit("%r has wrong bytes" % b)
for base, folders, files in os.walk(restored):
    there = os.path.join(source, os.path.relpath(base, restored))
    for name in files + folders:
        if not os.path.lexists(os.path.join(there, name)):
            sys.exit("%r was never in the source" % os.path.join(base, name))
print(lost)
