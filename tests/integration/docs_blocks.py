#!/usr/bin/env python3
"""The commands that a page of the documentation shows, for 98-docs.sh.

A comment <!-- run: GROUP[ on HOST][, what happened before][, status N] --> stands before an indented block that is to be run as it is;
blocks of one group follow each other on the same hosts. Printed, for each block, in the order of the page: a line
"#block<TAB>GROUP<TAB>HOST<TAB>BEFORE<TAB>STATUS<TAB>LINE", then the commands. Usage: docs_blocks.py PAGE"""
import re
import sys

directive = re.compile(r"^<!-- run: (\w+)(?: on (\w+))?((?:, [^,>]+)*) -->$")
lines = open(sys.argv[1], encoding="utf-8").read().split("\n")
for number, line in enumerate(lines):
    if line.startswith("<!-- run"):
        found = directive.match(line)
        if not found:
            sys.exit(f"{sys.argv[1]}:{number + 1}: cannot read this: {line}")
        group, host, rest = found.groups()
        before, status = "", "0"
        for part in rest.split(", ")[1:]:
            if part.startswith("status "):
                status = part[len("status "):]
            else:
                before = part
        block = []
        for text in lines[number + 1:]:
            if text.startswith("    "):
                block.append(text[4:])
            elif text or block:
                break
        if not block:
            sys.exit(f"{sys.argv[1]}:{number + 1}: no block follows")
        print("#block", group, host or "orch", before, status, number + 1, sep="\t")
        print("\n".join(block))
