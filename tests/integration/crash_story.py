#!/usr/bin/env python3
"""What a timeline tells, held against what happened.

    crash_story.py story TIMELINE                    the steps that ended, the gates that were answered, the ends, in their order, in a line
    crash_story.py get TIMELINE EXPRESSION           of the names below
    crash_story.py tells TIMELINE EXPRESSION…        each must be true; those that are not are printed, exit status 1
    crash_story.py papers TIMELINE PAPER…            each paper (JSON) says what the timeline says
    crash_story.py says PAPER FIELD TEXT             the text is in that field

Names: E (the lines), opened, recovered, loss, driver (of the loss), restores (facts of the restores that ended), tried (these with their outcome),
copies (what each gave in the newest one, by place), by (who left lines, in order), ago(line) (seconds since its time).
"""
import hashlib
import json
import re
import sys
import time


def read(path):
    """The chain is checked on the way, as timeline.h has it."""
    lines, prev = [], "0" * 64
    with open(path, "rb") as f:
        for number, raw in enumerate(f, 1):
            raw = raw.rstrip(b"\n")
            e = json.loads(raw)
            body = raw[:raw.rindex(b',"sum":')]
            assert e["seq"] == number and e["prev"] == prev, "line %d does not follow the one before" % number
            assert e["sum"] == hashlib.sha256(body).hexdigest(), "line %d is not what its sum says" % number
            assert not lines or e["at"] >= lines[-1]["at"], "line %d is from before the one before" % number
            prev = hashlib.sha256(raw).hexdigest()
            lines.append(e)
    return lines


def ended(e):
    return e["kind"] == "step" and e["state"] in ("done", "failed", "cut")


def story(lines):
    out = []
    for e in lines:
        if ended(e):
            out.append(e["step"] + ("" if e["state"] == "done" else "-" + e["state"]))
        elif e["kind"] == "gate" and e["answer"] in ("yes", "no", "again", "override"):
            out.append("[%s=%s]" % (e["gate"], e["answer"]))
        elif e["kind"] in ("recovered", "escalated", "closed", "handover", "approval"):
            out.append(e["kind"])
    return " ".join(out)


class Names(dict):
    def __init__(self, lines):
        super().__init__()
        tried = [e for e in lines if ended(e) and e["step"] == "restore"]
        last = {k: next((e for e in reversed(lines) if e["kind"] == k), None) for k in ("recovered", "loss", "escalated", "handover")}
        self.update(last, E=lines, opened=lines[0], tried=tried, restores=[e["facts"] for e in tried],
                    driver=(last["loss"] or {}).get("driver"), story=story(lines),
                    copies={c["place"]: c for c in tried[-1]["facts"]["copies"]} if tried else {},
                    by=list(dict.fromkeys(e["by"] for e in lines)), ago=lambda e: time.time() - e["at"],
                    step=lambda name: [e for e in lines if ended(e) and e["step"] == name],
                    notices=lambda kind: [e for e in lines if e["kind"] == "notice" and e.get("notice") == kind])


def tells(names, wanted):
    wrong = 0
    for expression in wanted:
        try:
            value = eval(expression, dict(names))
        except Exception as e:  # a timeline that does not even have it
            value = repr(e)
            ok = False
        else:
            ok = bool(value)
        if not ok:
            wrong += 1
            words = set(re.findall(r"[a-z_]+", expression)) & set(names) - {"E", "step", "ago", "notices"}
            print("not so: %s (%s)" % (expression, value))
            for word in sorted(words):
                print("    %s: %s" % (word, json.dumps(names[word])[:1500]))
    if wrong:
        print("    story: %s" % names["story"])
    return wrong


# --- papers --------------------------------------------------------------------------------------------------

def fields(paper):
    found = {}
    for block in paper["blocks"]:
        for row in block.get("rows", ()):
            for cell in row["cells"]:
                for line in cell["lines"]:
                    if "field" in line:
                        found.setdefault(line["field"], []).append(None if line["blank"] else line["text"])
    return found


def table(paper, heading):
    """The rows of the table below that heading, as lists of texts."""
    for before, block in zip(paper["blocks"], paper["blocks"][1:]):
        if before.get("kind") == "heading" and before["text"] == heading and block["kind"] == "table":
            return [[" ".join(line["text"] for line in cell["lines"]) for cell in row["cells"]]
                    for row in block["rows"] if not row["head"]]
    return None


def minute(at):
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(at))


def stamp(at):
    return time.strftime("%m-%d %H:%M", time.gmtime(at))


class Paper:
    def __init__(self, path, lines):
        with open(path) as f:
            self.paper = json.load(f)
        self.name, self.wrong = self.paper["form"], 0
        m = re.search(r"no\. (\S+)/(\S+)/(\d+)  after line (\d+)", self.paper["foot"])
        self.need(m, "its foot says which it is: " + self.paper["foot"])
        self.after = int(m.group(4)) if m else len(lines)
        self.lines = lines[:self.after]  # what was known when it was written
        self.fields = fields(self.paper)
        noted = [e for e in lines if e["kind"] == "report" and e["form"] == self.name and
                 e["sha256"] == hashlib.sha256(open(path, "rb").read()).hexdigest()]
        self.need(len(noted) == 1 and m and noted[0]["number"] == int(m.group(3)), "the timeline notes it, with its number and its sum")

    def need(self, ok, what):
        if not ok:
            self.wrong += 1
            print("paper %s: not so: %s" % (self.name, what))

    def says(self, field, text):
        told = (self.fields.get(field) or [None])[0]
        self.need(told is not None and text in told, '%s has "%s", but it says: %s' % (field, text, told))

    def blank(self, field):
        self.need(field not in self.fields or self.fields[field][0] is None, "%s is blank, but it says: %s" % (field, self.fields.get(field)))

    def check(self):
        names = Names(self.lines)
        began = max(e["crashed"] for e in self.lines if "crashed" in e) or names["opened"]["at"]
        if "started" in self.fields:
            self.says("started", minute(began))
        if names["recovered"]:
            if "recovered" in self.fields:
                self.says("recovered", minute(names["recovered"]["at"]))
            self.says("consequence" if "consequence" in self.fields else "result", "n service again")
        else:
            self.blank("recovered")
            self.need("n service again" not in json.dumps(self.fields.get("consequence", "")), "nothing says that it is back")
        if names["loss"] and "consequence" in self.fields:
            self.says("consequence", "recovered up to " + minute(names["loss"]["recovered_to"]))
            nothing = names["loss"]["gap_s"] == 0 and "nothing that was written before is missing" in self.fields["consequence"][0]
            self.need(nothing or re.search(r"written in the (\d+) s after|written in the \d+ min", self.fields["consequence"][0]) is not None and
                      (names["loss"]["gap_s"] >= 60 or "in the %d s after" % names["loss"]["gap_s"] in self.fields["consequence"][0]),
                      "the loss is %d s: %s" % (names["loss"]["gap_s"], self.fields["consequence"][0]))
        for field in ("overview", "course"):
            if field in self.fields:
                self.check_course(field)
        self.check_restores(names)
        self.check_copies(names)
        return self.wrong

    def check_course(self, field):
        """Every line of it stands, at that minute, on the timeline, in the same order."""
        stamps = [line[:11] for line in self.fields[field][0].split("\n") if re.match(r"\d\d-\d\d \d\d:\d\d  ", line)]
        there = iter([stamp(e["at"]) for e in self.lines])
        self.need(stamps and all(s in there for s in stamps), "the times of %s are the timeline's: %s" % (field, stamps))
        self.need(stamps and stamps[0] == stamp(self.lines[0]["at"]), "%s begins with the opening" % field)

    def check_restores(self, names):
        rows = table(self.paper, "Attempts to restore")
        if rows is None:
            return
        tried = [e for e in names["tried"] if e["state"] != "cut"]
        want = [[str(e["attempt"]), stamp(e["at"]), e["facts"]["snapshot"][:12], e["facts"]["from"] or "any",
                 "restored" if e["state"] == "done" else "failed"] for e in tried]
        rows = [r for r in rows if len(r) == 6]
        told = [r[:2] + [r[2].split()[0]] + r[3:5] for r in rows]
        self.need(told == want, "the attempts are\n    %s\n  not\n    %s" % (want, told))
        for e, row in zip(tried, rows):
            gave = ", ".join('"%s"' % c["place"] for c in e["facts"]["copies"] if c["chunks"])
            said = [e["text"]]
            if e["state"] == "done":
                said += [", from " + gave] + ['of "%s" %d chunks were damaged or missing' % (c["place"], c["bad"])
                                              for c in e["facts"]["copies"] if c["bad"]]
            self.need(all(t in row[5] for t in said) and (e["state"] == "failed" or len(row[5]) == len(said[0] + said[1]) + sum(2 + len(t) for t in said[2:])),
                      "of attempt %d is said %s, not: %s" % (e["attempt"], said, row[5]))

    def check_copies(self, names):
        rows = table(self.paper, "What each copy gave")
        if rows is None:
            return
        want = [[c["place"], str(c["chunks"]), str(c["bad"])] for c in names["copies"].values()]
        self.need([r[:3] for r in rows if len(r) == 4] == want, "the copies gave %s, not %s" % (want, rows))


def main():
    how = sys.argv[1]
    if how == "says":
        with open(sys.argv[2]) as f:
            told = fields(json.load(f)).get(sys.argv[3], [None])[0]
        if told is None or sys.argv[4] not in told:
            print("%s says: %s" % (sys.argv[3], told))
            sys.exit(1)
        return
    lines = read(sys.argv[2])
    if how == "story":
        print(story(lines))
    elif how == "get":
        value = eval(sys.argv[3], dict(Names(lines)))
        print(value if not isinstance(value, (dict, list)) else json.dumps(value))
    elif how == "tells":
        sys.exit(1 if tells(Names(lines), sys.argv[3:]) else 0)
    else:
        sys.exit(1 if sum(Paper(p, lines).check() for p in sys.argv[3:]) else 0)


if __name__ == "__main__":
    main()
