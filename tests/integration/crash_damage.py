#!/usr/bin/env python3
"""Damages chunks of a snapshot in two copies of a vault, each exactly where it is meant to be, and takes that back.

    crash_damage.py many     COPY OTHER PASSPHRASEFILE SNAPSHOT JOURNAL [SEED]   every second chunk (a hundred at most), in COPY alone
    crash_damage.py disjoint COPY OTHER PASSPHRASEFILE SNAPSHOT JOURNAL [SEED]   every chunk, by turns here and there
    crash_damage.py same     COPY OTHER PASSPHRASEFILE SNAPSHOT JOURNAL [SEED]   one that no other snapshot has, in both
    crash_damage.py log      COPY OTHER PASSPHRASEFILE POLICY   JOURNAL FROM     an object of a database's log, behind that position, in both
    crash_damage.py mend     JOURNAL

Prints a JSON object: what was damaged. Where a chunk lies is read as docs/format.md says (tests/format/reader.py), not asked of Twofold.
"""
import json
import os
import random
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "format"))
import reader  # noqa: E402

MANY = 100


class Damage:
    def __init__(self, journal):
        self.path, self.places = journal, []
        if os.path.exists(journal):
            with open(journal) as f:
                self.places = json.load(f)

    def spoil(self, copy, name, offset, length, rng):
        """Overwrites up to 64 bytes in the middle of that place."""
        n = min(64, max(1, length // 2))
        at = offset + (length - n) // 2
        path = os.path.join(copy, name)
        with open(path, "r+b") as f:
            f.seek(at)
            was = f.read(n)
            f.seek(at)
            f.write(bytes(b ^ rng.randrange(1, 256) for b in was))
        self.places.append([path, at, was.hex()])

    def save(self):
        with open(self.path, "w") as f:
            json.dump(self.places, f)

    def mend(self):
        mended = 0
        for path, at, was in reversed(self.places):
            if os.path.exists(path):
                with open(path, "r+b") as f:
                    f.seek(at)
                    f.write(bytes.fromhex(was))
                mended += 1
        os.unlink(self.path)
        return {"mended": mended}


def chunks_of(vault, listed):
    """Its chunks in the order of its files, by where they lie."""
    used = set()
    for _ in reader.entries(vault, vault.read_snapshot(listed), used):
        pass
    return used


def place(vault, chunk):
    pack, _, offset, length = vault.index[chunk][0][:4]
    return "packs/%s/%s" % (pack.hex()[:2], pack.hex()), offset, length


def damage_chunks(how, vault, copies, wanted, damage, rng):
    listed = vault.choose(wanted)
    chunks = sorted(chunks_of(vault, listed), key=lambda c: place(vault, c))
    hit = [[], []]
    if how == "many":
        hit[0] = rng.sample(chunks, min(MANY, (len(chunks) + 1) // 2))
    elif how == "disjoint":
        hit = [chunks[0::2], chunks[1::2]]
    else:
        others = set()
        for snaps in vault.lists.values():
            for ref, snap in snaps.items():
                if ref != listed["ref"][0]:
                    others |= chunks_of(vault, snap)
        own = [c for c in chunks if c not in others]
        reader.need(own, "no chunk is this snapshot's alone")
        hit = [[max(own, key=lambda c: place(vault, c)[2])]] * 2
    for copy, some in zip(copies, hit):
        for chunk in some:
            damage.spoil(copy, *place(vault, chunk), rng)
    return {"snapshot": listed["ref"][0].hex(), "chunks": len(chunks), "hit": [len(h) for h in hit]}


def damage_log(vault, copies, stream_of, behind, damage, rng):
    """The first object all of whose pieces begin behind that position, and all others that hold its first piece."""
    for stream, objects in sorted(vault.list_logs().items()):
        known = {}
        for o in sorted(objects):
            source, pieces = vault.read_log(stream, *o)
            known.update((p["seq"], p) for p in pieces)
        if source.decode().split("/")[0] != stream_of:
            continue
        starts = [o for o in sorted(objects) if known[o[0]]["kind"] == reader.LOG_BYTES and known[o[0]]["start"] > behind]
        reader.need(starts, "no object of the log begins behind %d" % behind)
        number = starts[0][0]
        hit = [o for o in objects if o[0] <= number <= o[1]]
        held = set(n for o in objects if o not in hit for n in range(o[0], o[1] + 1))
        for copy in copies:
            for o in hit:
                name = "logs/%s/%s" % (stream, o[2])
                damage.spoil(copy, name, 0, os.path.getsize(os.path.join(copy, name)), rng)
                damage.spoil(copy, name, 20, 40, rng)
        last = min(known)
        while last + 1 in held:
            last += 1
        return {"objects": len(hit), "of": len(objects), "end": known[last]["end"], "timeline": known[last]["timeline"]}
    raise reader.Damaged("no log of " + stream_of)


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "mend":
        print(json.dumps(Damage(sys.argv[2]).mend()))
        return
    how, one, other, passfile, what, journal = sys.argv[1:7]
    more = sys.argv[7] if len(sys.argv) > 7 else "1"
    with open(passfile, "rb") as f:
        vault = reader.Vault(one, f.read().rstrip(b"\r\n"))
    damage, rng = Damage(journal), random.Random("%s %s" % (how, more))
    if how == "log":
        said = damage_log(vault, (one, other), what, int(more), damage, rng)
    else:
        said = damage_chunks(how, vault, (one, other), what, damage, rng)
    damage.save()
    print(json.dumps(said))


if __name__ == "__main__":
    main()
