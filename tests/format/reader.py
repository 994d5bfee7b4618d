#!/usr/bin/python3
"""Restores a snapshot from one copy of a vault, written from docs/format.md alone.

    reader.py COPYDIR PASSPHRASEFILE [SNAPSHOT|latest|logs|records] OUTDIR

With "logs" it takes the databases' logs out instead: OUTDIR/SOURCE/EPOCH-TIMELINE-START holds the bytes of the log from the
position START (hexadecimal) on, as far as they go on without a gap, OUTDIR/SOURCE/EPOCH-TIMELINE.history a timeline's history.
With "records" it takes the records of incidents out: OUTDIR/INCIDENT/LINES/timeline and the papers beside it, of each that no other replaces.

It shares no code with Twofold: where the two disagree, the page is wrong, or one of them is. Everything that
the page lets a reader check is checked; the first thing that is not as it must be ends it with exit status 1.
Files, folders, symbolic and hard links and fifos are made, devices are named and left out.
Needs python3-cryptography and python3-zstandard.
"""
import hashlib
import hmac
import json
import os
import re
import stat
import struct
import sys

import zstandard
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

MAX_OBJECT = 64 << 20
MAX_PACK = 256 << 20
MAX_CHUNK = 8 << 20
MAX_PATH = 1 << 20
MAX_NAME = 255
MAX_XATTRS = 1 << 20
MAX_FILE = 1 << 60
MAX_PART_EXTENTS = 2048
ZEROS = bytes(32)
VAULT, RECOVERY, KEYS, INDEX, SNAPSHOT, LIST, REACH, HEAD, PACK = range(1, 10)
RECORD = 10
LOG = 11
SIGNED = (VAULT, SNAPSHOT, HEAD, RECORD, LOG)
LOG_BYTES, LOG_HISTORY = 1, 2
MAX_LOG_TABLE, MAX_LOG_BODY, MAX_LOG_PIECE = 8 << 20, 48 << 20, 4 << 20
MAX_SEQ = 10**16 - 1
FILE, DIR, SYMLINK, HARDLINK, FIFO, CHAR, BLOCK, SOCKET, MORE = range(1, 10)
F_XATTRS, F_FFLAGS, F_MORE, F_LINKED, F_SAME, F_SPARSE, F_ABOVE, F_PAGED = (1 << i for i in range(8))
REGION = 1 << 20


class Damaged(Exception):
    pass


def need(ok, what):
    if not ok:
        raise Damaged(what)


def sha256(b):
    return hashlib.sha256(b).digest()


# --- encoding ---------------------------------------------------------------------------------------

class Buf:
    """Bytes that are read from the front."""

    def __init__(self, b):
        self.b, self.at = b, 0

    def left(self):
        return len(self.b) - self.at

    def take(self, n):
        need(n <= self.left(), "too short")
        self.at += n
        return self.b[self.at - n:self.at]

    def u8(self):
        return self.take(1)[0]

    def u32(self):
        return struct.unpack("<I", self.take(4))[0]

    def u64(self):
        return struct.unpack("<Q", self.take(8))[0]

    def id(self):
        return self.take(32)

    def varint(self, most=(1 << 64) - 1):
        v = 0
        for i in range(10):
            b = self.u8()
            v |= (b & 0x7f) << 7 * i
            if not b & 0x80:
                need(i == 0 or b != 0, "a varint that is not in shortest form")
                need(v <= most, "a number over its bound")
                return v
        raise Damaged("a varint of more than 10 bytes")

    def zigzag(self):
        v = self.varint()
        return (v >> 1) ^ -(v & 1)

    def blob(self, most):
        return self.take(self.varint(most))

    def name(self):
        return self.blob(MAX_NAME)

    def ids(self, n=None):
        return [self.id() for _ in range(self.varint(MAX_OBJECT) if n is None else n)]

    def refs(self):
        """varint n, each: id, varint length"""
        return [(self.id(), self.varint()) for _ in range(self.varint(MAX_OBJECT))]

    def end(self):
        need(self.left() == 0, "bytes left over")


def varint(v):
    out = bytearray()
    while v >= 0x80:
        out.append(v & 0x7f | 0x80)
        v >>= 7
    return bytes(out) + bytes([v])


def blob(b):
    return varint(len(b)) + b


# --- cryptography -----------------------------------------------------------------------------------

def hkdf(salt, ikm, info, n=32):
    return HKDF(hashes.SHA256(), n, salt, info).derive(ikm)


def aead_open(key, nonce, aad, sealed, what):
    try:
        return AESGCM(key).decrypt(nonce, sealed, aad)
    except InvalidTag:
        raise Damaged(what + " is not authentic") from None


def raw_public(key):
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def hpke_open(secret, info, aad, sealed):
    """RFC 9180, base mode, DHKEM(X25519, HKDF-SHA256) 0x20, HKDF-SHA256 1, AES-256-GCM 2."""
    def extract(salt, suite, label, ikm):
        return hmac.new(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, hashlib.sha256).digest()

    def expand(prk, suite, label, info_, n):
        out, block, i = b"", b"", 1
        full = struct.pack(">H", n) + b"HPKE-v1" + suite + label + info_
        while len(out) < n:
            block = hmac.new(prk, block + full + bytes([i]), hashlib.sha256).digest()
            out, i = out + block, i + 1
        return out[:n]

    need(len(sealed) >= 48, "too short for HPKE")
    enc, ct = sealed[:32], sealed[32:]
    key = X25519PrivateKey.from_private_bytes(secret)
    dh = key.exchange(X25519PublicKey.from_public_bytes(enc))
    kem = b"KEM" + struct.pack(">H", 0x20)
    eae = extract(b"", kem, b"eae_prk", dh)
    shared = expand(eae, kem, b"shared_secret", enc + raw_public(key), 32)
    suite = b"HPKE" + struct.pack(">HHH", 0x20, 1, 2)
    context = b"\0" + extract(b"", suite, b"psk_id_hash", b"") + extract(b"", suite, b"info_hash", info)
    prk = extract(shared, suite, b"secret", b"")
    return aead_open(expand(prk, suite, b"key", context, 32), expand(prk, suite, b"base_nonce", context, 12),
                     aad, ct, "what HPKE sealed")


def check_header(b, kind):
    """The flags follow from the type: only signed objects have bit 0, the others are reserved."""
    need(b[:4] == b"TWF1", "not an object of a vault")
    need(b[4] == kind, "an object of another type (%d)" % b[4])
    need(b[5] == 1 and b[6] == 1, "another format version or suite")
    need(b[7] == (1 if kind in SIGNED else 0), "wrong flags")
    return b[:8]


# --- the vault --------------------------------------------------------------------------------------

class Vault:
    def __init__(self, folder, passphrase):
        self.folder = folder
        self.read_recovery(passphrase)
        self.read_vault_objects()
        self.heads = self.read_heads()
        self.tips = self.find_tips()
        need(self.tips, "this copy has no head: nothing was ever committed to it")
        self.keys, self.index, self.lists = {}, {}, {}
        self.packs_checked = {}
        for head in self.tips:  # several: a fork, read as the union
            for ref in head["keys"]:
                self.read_keys(ref)
            for ref in head["index"]:
                self.read_index(ref)
            for source, ref in head["lists"]:
                self.read_list(source, ref)

    def read(self, name, most=MAX_OBJECT):
        with open(os.path.join(self.folder, name), "rb") as f:
            b = f.read(most + 1)
        need(len(b) <= most, name + " is too long")
        return b

    def read_named(self, folder, ref):
        """An object whose name is its hash, of the length that was said."""
        b = self.read(folder + "/" + ref[0].hex())
        need(len(b) == ref[1], "%s/%s has another length than was said" % (folder, ref[0].hex()))
        need(sha256(b) == ref[0], "%s/%s is not what its name says" % (folder, ref[0].hex()))
        return b

    def read_recovery(self, passphrase):
        b = Buf(self.read("recovery"))
        header = check_header(b.take(8), RECOVERY)
        slots = b.u8()
        need(1 <= slots <= 16, "wrong number of slots")
        payload = None
        for _ in range(slots):
            kind, log2n, salt, sealed = b.u8(), b.u8(), b.take(32), b.take(113)
            need(10 <= log2n <= 16 and kind in (1, 2), "a slot of an unknown kind")
            key = Scrypt(salt, 32, 1 << log2n, 8, 1).derive(passphrase)
            try:
                payload = payload or AESGCM(key).decrypt(
                    bytes(12), sealed, header + bytes([kind, log2n]) + salt)
            except InvalidTag:
                pass
        b.end()
        need(payload, "the passphrase opens no slot of the recovery file")
        p = Buf(payload)
        need(p.u8() == 1, "another suite")
        self.id, self.recovery_sk, self.fingerprint = p.id(), p.take(32), p.take(32)
        p.end()

    def verify(self, b, keys):
        for key in keys:
            try:
                Ed25519PublicKey.from_public_bytes(key).verify(b[-64:], b"twofold v1 signature" + self.id + b[:-64])
                return
            except InvalidSignature:
                pass
        raise Damaged("a signature does not hold")

    def read_vault_objects(self):
        """All generations, each signed by the root key that the recovery key makes, and naming the one before."""
        names = sorted(n for n in os.listdir(os.path.join(self.folder, "vault")) if re.fullmatch(r"\d{8}", n))
        own = raw_public(X25519PrivateKey.from_private_bytes(self.recovery_sk))
        root = raw_public(Ed25519PrivateKey.from_private_bytes(hkdf(self.id, self.recovery_sk, b"twofold v1 root")))
        need(sha256(root) == self.fingerprint, "the recovery file's fingerprint is another key's")
        need(names, "no vault object")
        self.ops, self.sign_pks, before = [], [], ZEROS  # newest first
        for i, name in enumerate(names):
            raw = self.read("vault/" + name)
            b = Buf(raw[:-64])
            check_header(b.take(8), VAULT)
            generation = b.u64()
            need(generation == int(name) == i + 1, "vault/%s is another generation's" % name)
            need(b.id() == self.id, "vault/%s is another vault's" % name)
            recovery_pk, sign_pk, root_pk, previous = b.take(32), b.take(32), b.take(32), b.id()
            b.u64()
            sealed = b.blob(MAX_OBJECT)
            b.end()
            need(root_pk == root and recovery_pk == own, "vault/%s is not the recovery key's" % name)
            self.verify(raw, [root])
            need(previous == before, "vault/%s follows another one" % name)
            before = sha256(raw)
            p = Buf(hpke_open(self.recovery_sk, b"twofold v1 vault keys", self.id + struct.pack("<Q", generation), sealed))
            self.ops.insert(0, p.take(32))
            need(raw_public(Ed25519PrivateKey.from_private_bytes(p.take(32))) == sign_pk, "another signing key is sealed")
            self.sign_pks.insert(0, sign_pk)
            self.name = p.blob(MAX_NAME).decode()
            p.end()

    def open_envelope(self, b, kind):
        header = check_header(b[:8], kind)
        need(len(b) >= 8 + 32 + 16 + (64 if kind in SIGNED else 0), "too short")
        if kind in SIGNED:
            self.verify(b, self.sign_pks[:1] if kind == HEAD else self.sign_pks)
            b = b[:-64]
        salt = b[8:40]
        for op in self.ops:
            key = hkdf(salt, op, b"twofold v1 object" + bytes([kind]) + self.id)
            try:
                return Buf(aead_open(key, bytes(12), header + salt + self.id, b[40:], "an object of type %d" % kind))
            except Damaged:
                if op is self.ops[-1]:
                    raise

    # --- heads, lists, keys, index

    def read_heads(self):
        heads = {}
        folder = os.path.join(self.folder, "heads")
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            m = re.fullmatch(r"(\d{16})-([0-9a-f]{64})", name)
            if not m:
                continue
            raw = self.read("heads/" + name)
            need(sha256(raw).hex() == m.group(2), "heads/%s is not what its name says" % name)
            b = self.open_envelope(raw, HEAD)
            h = {"generation": b.u64(), "writer": b.id(), "epoch": b.u64(), "written": b.zigzag(),
                 "vault generation": b.u64()}
            need(h["generation"] == int(m.group(1)), "heads/%s is of another generation" % name)
            h["parents"] = [(b.u64(), b.id()) for _ in range(b.varint(8))]
            h["ancestors"] = [(b.u64(), b.id()) for _ in range(b.varint(64))]
            h["chains"] = [(b.id(), b.u64(), b.u64()) for _ in range(b.varint(1024))]
            generations = [g for g, _ in h["ancestors"]]
            need(all(g < h["generation"] for g in generations), "an ancestor that is not older")
            need(generations == sorted(generations, reverse=True), "ancestors that are not newest first")
            need(all(p in h["ancestors"] for p in h["parents"]), "a parent that is no ancestor")
            h["lists"] = [(b.name(), (b.id(), b.varint())) for _ in range(b.varint(MAX_OBJECT))]
            sources = [s for s, _ in h["lists"]]
            need(sources == sorted(set(sources)), "lists that are not sorted by source, one for each")
            h["index"], h["keys"], h["bases"] = b.refs(), b.refs(), b.refs()
            need(b.varint() == 0, "extensions that this reader does not know")
            b.end()
            heads[sha256(raw)] = h
        return heads

    @staticmethod
    def supersedes(by, i, h):
        """Rule 6."""
        if any(i == a for _, a in by["ancestors"]):
            return True
        return (len(by["ancestors"]) == 64 and by["ancestors"][-1][0] > h["generation"] and
                any(c[:2] == (h["writer"], h["epoch"]) and c[2] >= h["generation"] for c in by["chains"]))

    def find_tips(self):
        return [h for i, h in self.heads.items()
                if not any(self.supersedes(by, i, h) for by in self.heads.values())]

    def read_keys(self, ref):
        b = self.open_envelope(self.read_named("keys", ref), KEYS)
        for _ in range(b.varint(MAX_OBJECT)):
            key_id, sealed = b.id(), b.blob(80)
            self.keys.setdefault(key_id, []).append(sealed)
        b.end()

    def data_key(self, key_id):
        need(key_id in self.keys, "no data key " + key_id.hex())
        opened = self.keys[key_id]
        if isinstance(opened[0], bytes) and len(opened[0]) != 32:
            opened = [hpke_open(self.recovery_sk, b"twofold v1 data key", self.id + key_id, s) for s in set(opened)]
            need(len(set(opened)) == 1, "two data keys of one id")
            self.keys[key_id] = opened
        return opened[0]

    @staticmethod
    def read_chunk_rows(b, keys):
        """Rows (chunk id, offset, length, key id, counter, hash), and where they end in the pack."""
        rows, offset = [], 0
        for _ in range(b.varint(MAX_OBJECT)):
            chunk, length, key, counter = b.id(), b.varint(MAX_CHUNK + 21), b.varint(), b.varint()
            need(key < len(keys), "a chunk without a key")
            rows.append((chunk, offset, length, keys[key], counter, b.take(16)))
            offset += length
        return rows, offset

    def read_index(self, ref):
        b = self.open_envelope(self.read_named("index", ref), INDEX)
        keys = b.ids()
        for _ in range(b.varint(MAX_OBJECT)):
            pack, length = b.id(), b.varint(MAX_PACK)
            rows, _ = self.read_chunk_rows(b, keys)
            for row in rows:
                self.index.setdefault(row[0], []).append((pack, length) + row[1:])
        b.end()

    def read_list(self, source, ref):
        b, before = self.open_envelope(self.read_named("lists", ref), LIST), None
        need(b.name() == source, "a list of another source")
        for _ in range(b.varint(MAX_OBJECT)):
            snap = {"source": source, "ref": (b.id(), b.varint()), "received": b.zigzag(), "state": b.u8(),
                    "flags": b.u8(), "reach": (b.id(), b.varint())}
            now = (snap["received"], snap["ref"][0])
            need(before is None or before < now, "snapshots out of order")
            before = now
            self.lists.setdefault(source, {})[snap["ref"][0]] = snap
        b.end()

    # --- chunks

    def check_pack(self, pack, length):
        """The pack's hash, and that its own table says what the index says."""
        if pack in self.packs_checked:
            return self.packs_checked[pack]
        name = "packs/%s/%s" % (pack.hex()[:2], pack.hex())
        b = self.read(name, MAX_PACK)
        need(len(b) == length and sha256(b) == pack, name + " is not what its name says")
        need(b[-4:] == b"TWFP", name + " has no trailer")
        size = struct.unpack("<I", b[-8:-4])[0]
        need(size <= len(b) - 8, name + " has no table")
        table = self.open_envelope(b[len(b) - 8 - size:-8], PACK)
        rows, end = self.read_chunk_rows(table, table.ids())
        table.end()
        need(end == len(b) - 8 - size, name + ": the lengths do not add up")
        self.packs_checked = {pack: (b, set(rows))}  # only the last one is kept
        return self.packs_checked[pack]

    def chunk(self, chunk_id):
        need(chunk_id in self.index, "chunk %s is in no index" % chunk_id.hex())
        pack, pack_len, offset, length, key_id, counter, short = self.index[chunk_id][0]
        raw, rows = self.check_pack(pack, pack_len)
        need((chunk_id, offset, length, key_id, counter, short) in rows, "index and pack differ")
        sealed = raw[offset:offset + length]
        need(sha256(sealed)[:16] == short, "chunk %s has another hash" % chunk_id.hex())
        return self.open_chunk(chunk_id, key_id, counter, sealed, MAX_CHUNK)

    def open_chunk(self, chunk_id, key_id, counter, sealed, most):
        length = len(sealed)
        aad = b"twofold v1 chunk" + self.id + chunk_id + key_id + struct.pack("<I", length)
        inner = Buf(aead_open(self.data_key(key_id), struct.pack("<IQ", 0, counter), aad, sealed,
                              "chunk " + chunk_id.hex()))
        codec, size = inner.u8(), inner.u32()
        need(codec in (0, 1) and 0 < size <= most, "bad inside of a chunk")
        data = inner.take(inner.left())
        if codec == 1:
            params = zstandard.get_frame_parameters(data)
            need(params.content_size in (size, zstandard.CONTENTSIZE_UNKNOWN), "a zstd frame of another length")
            d = zstandard.ZstdDecompressor().decompressobj()
            plain = d.decompress(data)
            need(d.unused_data == b"", "bytes behind a zstd frame")
            data = plain
        need(len(data) == size, "a chunk of another length than stated")
        return data

    # --- logs

    def list_logs(self):
        """By stream the objects that are there: first piece, last piece, name."""
        streams = {}
        folder = os.path.join(self.folder, "logs")
        for stream in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            if not re.fullmatch(r"[0-9a-f]{16}", stream):
                continue
            for name in os.listdir(os.path.join(folder, stream)):
                m = re.fullmatch(r"(\d{16})-(\d{16})-[0-9a-f]{64}", name)
                if m and 0 < int(m[1]) <= int(m[2]):
                    streams.setdefault(stream, []).append((int(m[1]), int(m[2]), name))
        return streams

    def read_log(self, stream, first, last, name):
        """The source, and each piece: its number, what it is, and its plaintext."""
        raw = self.read("logs/%s/%s" % (stream, name))
        need(sha256(raw).hex() == name[-64:], name + " is not what its name says")
        b = Buf(raw)
        t = self.open_envelope(b.take(b.u32()), LOG)
        need(t.u8() == 1, "a table of another form")
        source = t.name()
        t.zigzag()
        body_hash, keys, pieces = t.id(), [], []
        for _ in range(t.varint(256)):
            key_id, sealed = t.id(), t.take(80)
            self.keys.setdefault(key_id, []).append(sealed)
            keys.append(key_id)
        body = b.take(b.left())
        need(len(body) <= MAX_LOG_BODY and sha256(body) == body_hash, name + ": its pieces are not its table's")
        own = hkdf(b"", self.ops[0], b"twofold v1 log stream" + self.id + blob(source), 8)
        need(own.hex() == stream, name + " is of another stream")
        for _ in range(t.varint(65536)):
            at = t.at
            p = {"seq": t.varint(MAX_SEQ), "epoch": t.varint(MAX_SEQ), "kind": t.u8(), "system": t.u64(),
                 "timeline": t.varint(0xffffffff), "start": t.varint()}
            span, _, p["len"] = t.varint(MAX_LOG_PIECE), t.zigzag(), t.varint(MAX_LOG_PIECE)
            p["end"] = p["start"] + span
            p["mark"] = t.take(16)
            need(p["kind"] in (LOG_BYTES, LOG_HISTORY) and p["len"] > 0, "a piece of an unknown kind")
            need(span == (p["len"] if p["kind"] == LOG_BYTES else 0), "a piece of another length than stated")
            need(p["seq"] == (pieces[-1][0]["seq"] + 1 if pieces else first), "numbers that do not follow")
            p["id"] = sha256(b"twofold v1 log piece" + self.id + blob(source) + t.b[at:t.at])
            key, counter, length = t.varint(), t.varint(), t.varint(MAX_LOG_PIECE + 21)
            need(key < len(keys), "a piece without a key")
            pieces.append((p, keys[key], counter, length))
        t.end()
        need(pieces and pieces[-1][0]["seq"] == last, name + " ends elsewhere")
        need(sum(x[3] for x in pieces) == len(body), name + ": lengths that do not add up")
        b = Buf(body)
        for p, key_id, counter, length in pieces:
            p["data"] = self.open_chunk(p["id"], key_id, counter, b.take(length), MAX_LOG_PIECE)
            need(len(p["data"]) == p["len"], "a piece of another length than stated")
            need(p["mark"] in (bytes(16), sha256(p["data"][-8192:])[:16]), "a mark of other bytes")
        return source, [x[0] for x in pieces]

    # --- records

    def read_record(self, name):
        """The head, and in it the timeline and the papers."""
        raw = self.read("records/" + name)
        need(sha256(raw).hex() == name, name + " is not what its name says")
        plain = self.open_envelope(raw, RECORD)
        need(plain.u8() == 1, "a record of another form")
        flags = plain.u8()
        need(flags < 4, "unknown flags of a record")
        r = {"name": name, "drill": bool(flags & 1), "ended": bool(flags & 2), "incident": plain.blob(96).decode("ascii")}
        need(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", r["incident"]), "not the name of an incident")
        r["lines"], r["last"], r["written"] = plain.varint(), plain.id(), plain.zigzag()
        r["earlier"] = [(plain.varint(), plain.id()) for _ in range(plain.varint(128))]
        counts = [r["lines"]] + [n for n, _ in r["earlier"]]
        need(all(a > b for a, b in zip(counts, counts[1:])), "earlier records are not earlier")
        sealed = plain.take(plain.left())
        head = bytes(plain.b[:len(plain.b) - len(sealed)])
        packed = Buf(hpke_open(self.recovery_sk, b"twofold v1 record", self.id + sha256(head), sealed))
        codec, size = packed.u8(), packed.u32()
        need(codec < 2 and size <= 48 << 20, "another codec, or too long")
        data = packed.take(packed.left())
        if codec == 1:
            d = zstandard.ZstdDecompressor().decompressobj()
            data = d.decompress(data)
            need(d.unused_data == b"", "bytes behind a zstd frame")
        need(len(data) == size, "a record of another length than stated")
        content = Buf(data)
        r["timeline"] = content.blob(48 << 20)
        r["papers"] = [(content.blob(200).decode(), content.blob(48 << 20)) for _ in range(content.varint(64))]
        content.end()
        need(all(n and not n.startswith(".") and "/" not in n and "\0" not in n for n, _ in r["papers"]), "a paper's name")
        self.check_timeline(r)
        return r

    @staticmethod
    def check_timeline(r):
        lines = bytes(r["timeline"]).split(b"\n")
        need(lines.pop() == b"" and len(lines) == r["lines"], "not as many lines as stated")
        before = bytes(32)
        for i, line in enumerate(lines):
            o = json.loads(line)
            body, mark, rest = line.rpartition(b',"sum":"')
            need(mark and rest == sha256(body).hex().encode() + b'"}', "line %d was changed" % (i + 1))
            need(o["seq"] == i + 1 and o["prev"] == before.hex(), "line %d does not follow" % (i + 1))
            need(i or o["kind"] == "opened", "it does not begin with the opening")
            before = sha256(line)
        need(before == r["last"], "another last line than stated")

    def records(self):
        folder = os.path.join(self.folder, "records")
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        all_ = [self.read_record(n) for n in names if re.fullmatch(r"[0-9a-f]{64}", n)]

        def replaced(r):
            return any(o["incident"] == r["incident"] and ((r["lines"], r["last"]) in o["earlier"] or
                       (o["lines"], o["last"]) == (r["lines"], r["last"]) and o["name"] < r["name"]) for o in all_)
        return [r for r in all_ if not replaced(r)], len(all_)

    def log_pieces(self, stream, objects):
        """All pieces of a stream once, from the objects that reach farthest."""
        want = min(o[0] for o in objects)
        while True:
            holding = [o for o in objects if o[0] <= want <= o[1]]
            later = [o[0] for o in objects if o[0] > want]
            if not holding and not later:
                return
            if not holding:
                print("pieces %d to %d are not here" % (want, min(later) - 1))
                want = min(later)
                continue
            best = max(holding, key=lambda o: o[1])
            source, pieces = self.read_log(stream, *best)
            for p in pieces[want - best[0]:]:
                yield source, p
            want = best[1] + 1

    # --- snapshots

    def choose(self, wanted):
        snaps = [s for source in self.lists.values() for s in source.values()]
        if wanted == "latest":
            good = [s for s in snaps if not s["flags"] & 1]
            need(good, "no snapshot")
            return max(good, key=lambda s: (s["state"] == 1, s["received"]))
        found = [s for s in snaps if s["ref"][0].hex().startswith(wanted)]
        need(len(found) == 1, "%d snapshots begin with %s" % (len(found), wanted))
        return found[0]

    def read_reach(self, ref):
        """The chunks that a snapshot reaches, resolved over its bases, and the depth."""
        b = self.open_envelope(self.read_named("lists", ref), REACH)
        base, depth, add, drop = b.id(), b.u8(), b.ids(), b.ids()
        b.end()
        for ids in (add, drop):
            need(all(x < y for x, y in zip(ids, ids[1:])), "a list that is not sorted")
        need(not set(add) & set(drop), "an id that is added and dropped")
        if base == ZEROS:
            need(depth == 0 and not drop, "a reach list without a base that builds on one")
            return set(add), 0
        lengths = {s["reach"][0]: s["reach"][1] for l in self.lists.values() for s in l.values()}
        lengths.update(r for h in self.tips for r in h["bases"])
        need(base in lengths, "a reach list whose base is not reached")
        need(1 <= depth <= 8, "a reach list of that depth")
        below, below_depth = self.read_reach((base, lengths[base]))
        need(depth == below_depth + 1, "a reach list of a wrong depth")
        need(set(drop) <= below, "a reach list that does not fit its base")
        return below - set(drop) | set(add), depth

    def read_snapshot(self, snap):
        b = self.open_envelope(self.read_named("snapshots", snap["ref"]), SNAPSHOT)
        s = {"state": b.u8(), "flags": b.u8(), "policy": b.name(), "source": b.name(), "host": b.name(),
             "kind": b.name(), "base": b.id(), "started": b.zigzag(), "ended": b.zigzag(), "received": b.zigzag()}
        for what in ("files", "folders", "others", "bytes", "read", "stored", "problems"):
            s[what] = b.varint()
        s["reach"], key_id, counter, sealed = b.id(), b.id(), b.varint(), b.blob(MAX_OBJECT)
        b.end()
        need(s["state"] in (1, 2), "a snapshot in an unknown state")
        for what in ("source", "state", "flags", "received"):
            need(s[what] == snap[what], "list and snapshot differ: " + what)
        need(s["reach"] == snap["reach"][0], "list and snapshot differ: reach list")
        aad = b"twofold v1 body" + self.id + key_id + blob(s["policy"]) + blob(s["source"]) + blob(s["host"])
        p = Buf(aead_open(self.data_key(key_id), struct.pack("<IQ", 1, counter), aad, sealed, "a snapshot's body"))
        need(p.u8() == 1, "another version of the body")
        s["roots"] = [p.blob(MAX_PATH) for _ in range(p.varint(MAX_OBJECT))]
        s["index"] = [(p.id(), p.blob(MAX_PATH)) for _ in range(p.varint(MAX_OBJECT))]
        s["entries"] = p.varint()
        s["kept problems"] = [(p.blob(MAX_PATH), p.blob(MAX_OBJECT)) for _ in range(p.varint(MAX_OBJECT))]
        p.end()
        return s


# --- the manifest -----------------------------------------------------------------------------------

def order(path):
    """Paths compare bytewise with '/' below every other byte."""
    return path.split(b"/")


def check_path(path):
    need(0 < len(path) <= MAX_PATH and b"\0" not in path, "a bad path")
    need(not any(c in (b"", b".", b"..") for c in path.split(b"/")), "a bad path")


class Leaf:
    """Iterates over the entries of one leaf, as dictionaries."""

    def __init__(self, data):
        b = Buf(data)
        need(b.take(2) == b"L\1", "not a leaf")
        self.b, self.chunks = b, b.ids()
        self.n = b.varint(MAX_CHUNK)
        self.follow = None  # (ordinal, offset) behind the last extent that was no hole

    def extents(self):
        b, out = self.b, []
        for _ in range(b.varint(MAX_PART_EXTENTS)):
            v = b.varint(MAX_FILE << 2 | 3)
            length = v >> 2
            need(length > 0, "an empty extent")
            if v & 1:
                need(not v & 2, "a hole that follows")
                self.follow = None
                out.append((length, None, 0))
                continue
            if v & 2:
                need(self.follow, "an extent that follows nothing")
                ordinal, offset = self.follow
            else:
                ordinal, offset = b.varint(), b.varint(MAX_CHUNK)
                need(ordinal < len(self.chunks), "an extent without a chunk")
            out.append((length, self.chunks[ordinal], offset))
            self.follow = (ordinal, offset + length)
        return out

    def sums(self, en):
        """The sums of the regions of this part that are not one hole."""
        if not en["flags"] & F_PAGED:
            return
        at, regions = 0, []
        for length, chunk, _ in en["extents"]:
            if chunk is not None:
                need(at // REGION == (at + length - 1) // REGION, "an extent in two regions")
                if at // REGION not in regions[-1:]:
                    regions.append(at // REGION)
            at += length
        need(not en["flags"] & F_MORE or at % REGION == 0, "a part that is not whole regions")
        en["regions"] = (at + REGION - 1) // REGION
        en["sums"] = {region: self.b.id() for region in regions}

    def __iter__(self):
        b, path, mode, mtime = self.b, b"", None, 0
        for i in range(self.n):
            shared, rest = b.varint(len(path)), b.blob(MAX_PATH)
            before, path = path, path[:shared] + rest
            en = {"path": path, "type": b.u8(), "flags": b.varint(255)}
            check_path(path)
            if en["type"] == MORE:
                need(i == 0 or path == before, "a continuation of nothing")
                en["extents"] = self.extents()
                self.sums(en)
                yield en
                continue
            need(i == 0 or order(before) < order(path), "paths out of order")
            if not en["flags"] & F_SAME:
                mode = (b.varint(0o7777), b.varint(0xffffffff), b.varint(0xffffffff))
            need(mode, "an entry without an owner")
            mtime = (mtime + b.zigzag() + (1 << 63)) % (1 << 64) - (1 << 63)
            en["mode"], en["uid"], en["gid"] = mode
            en["mtime"] = (mtime, b.varint(999999999))
            if en["flags"] & F_FFLAGS:
                b.varint(0xffffffff)
            en["xattrs"] = []
            if en["flags"] & F_XATTRS:
                en["xattrs"] = [(b.blob(MAX_XATTRS), b.blob(MAX_XATTRS)) for _ in range(b.varint(MAX_XATTRS))]
            self.by_type(en)
            yield en
        b.end()

    def by_type(self, en):
        b, kind = self.b, en["type"]
        if kind == FILE:
            en["size"], en["extents"] = b.varint(MAX_FILE), []
            if en["size"]:
                en["sha256"] = b.id()
                en["page"] = b.u8() if en["flags"] & F_PAGED else 0
                en["extents"] = self.extents()
                self.sums(en)
        elif kind in (SYMLINK, HARDLINK):
            en["target"] = b.blob(MAX_PATH)
            if kind == HARDLINK:
                check_path(en["target"])
        elif kind in (CHAR, BLOCK):
            en["device"] = (b.varint(), b.varint())
        else:
            need(kind in (DIR, FIFO), "an entry of type %d" % kind)


def entries(vault, snap, used):
    """All entries in order; further parts of a file are joined to it."""
    count, held, last = 0, None, None
    for chunk_id, first in snap["index"]:
        used.add(chunk_id)
        b = Buf(vault.chunk(chunk_id))
        while b.left():
            leaf_id, n, leaf_first = b.id(), b.varint(), b.blob(MAX_PATH)
            need(first is None or leaf_first == first, "an index chunk that begins elsewhere")
            first = None
            used.add(leaf_id)
            leaf = Leaf(vault.chunk(leaf_id))
            need(leaf.n == n > 0, "a leaf with another number of entries")
            used.update(leaf.chunks)
            named = set()
            for i, en in enumerate(leaf):
                need(i > 0 or en["path"] == leaf_first, "a leaf that begins elsewhere")
                named.update(c for _, c, _ in en.get("extents", ()) if c)
                count += 1
                if en["type"] == MORE:
                    need(held and held["path"] == en["path"], "a continuation of nothing")
                    held["extents"] += en["extents"]
                    need((held["flags"] ^ en["flags"]) & F_PAGED == 0, "a continuation of another kind")
                    if en["flags"] & F_PAGED:
                        held["sums"].update((held["regions"] + i, s) for i, s in en["sums"].items())
                        held["regions"] += en["regions"]
                else:
                    need(held is None, "a file whose continuation is missing")
                    need(last is None or order(last) < order(en["path"]), "paths out of order")
                    held, last = en, en["path"]
                if not en["flags"] & F_MORE:
                    yield held
                    held = None
            need(named == set(leaf.chunks), "a leaf that names chunks it does not use")
    need(held is None, "a file whose continuation is missing")
    need(count == snap["entries"], "%d entries, not %d" % (count, snap["entries"]))


# --- restoring --------------------------------------------------------------------------------------

class Target:
    def __init__(self, vault, out):
        self.vault, self.out, self.folders = vault, os.fsencode(out), []
        self.cache = {}

    def path(self, path):
        """Where it goes; no folder on the way may be anything but a folder."""
        full = self.out
        for part in path.split(b"/")[:-1]:
            full = os.path.join(full, part)
            if not os.path.lexists(full):
                os.mkdir(full, 0o700)
            need(stat.S_ISDIR(os.lstat(full).st_mode), "an entry below something that is no folder")
        return os.path.join(self.out, path)

    def data(self, chunk_id):
        if chunk_id not in self.cache:
            if len(self.cache) > 16:
                self.cache.clear()
            self.cache[chunk_id] = self.vault.chunk(chunk_id)
        return self.cache[chunk_id]

    def write_file(self, en, full):
        need(sum(e[0] for e in en["extents"]) == en["size"], "extents that do not cover the file")
        h, at, run_end, sparse = hashlib.sha256(), 0, -1, en["flags"] & F_SPARSE
        with open(full, "xb") as f:
            for i, (length, chunk, offset) in enumerate(en["extents"]):
                if chunk is None:
                    need(sparse or en["flags"] & F_PAGED, "a hole in a file that is not sparse")
                elif sparse and run_end != at:
                    run = 0
                    for n, c, _ in en["extents"][i:]:
                        if c is None:
                            break
                        run += n
                    h.update(struct.pack("<QQ", at, run))
                if chunk is not None:
                    data = self.data(chunk)[offset:offset + length]
                    need(len(data) == length, "an extent beyond its chunk")
                    h.update(data)
                    f.seek(at)
                    f.write(data)
                    run_end = at + length
                at += length
            f.truncate(en["size"])
        if en["flags"] & F_PAGED:
            need(self.paged_hash(en, full) == en["sha256"], "its content has another hash")
        else:
            need(not en["size"] or h.digest() == en["sha256"], "its content has another hash")

    @staticmethod
    def paged_hash(en, full):
        need(9 <= en["page"] <= 16, "pages of an impossible size")
        page, all_sums = 1 << en["page"], b""
        with open(full, "rb") as f:
            for i, region in enumerate(iter(lambda: f.read(REGION), b"")):
                one = sha256(b"".join(sha256(region[j:j + page]) for j in range(0, len(region), page)))
                need(en["sums"].get(i, one) == one, "a region has another sum")
                need(i in en["sums"] or not any(region), "a region without a sum that is no hole")
                all_sums += one
        return sha256(all_sums)

    def set_meta(self, en, full):
        if os.geteuid() == 0:
            os.chown(full, en["uid"], en["gid"], follow_symlinks=False)
        if en["type"] != SYMLINK:
            os.chmod(full, en["mode"])
        for name, value in en["xattrs"]:
            try:
                os.setxattr(full, name, value, follow_symlinks=False)
            except OSError as e:
                print("%s: %s: %s" % (os.fsdecode(full), os.fsdecode(name), e.strerror), file=sys.stderr)
        ns = en["mtime"][0] * 10**9 + en["mtime"][1]
        os.utime(full, ns=(ns, ns), follow_symlinks=False)

    def add(self, en):
        full, kind = self.path(en["path"]), en["type"]
        if kind == DIR:
            if not os.path.lexists(full):
                os.mkdir(full, 0o700)
            self.folders.append((en, full))
            return
        if kind == HARDLINK:
            source = self.path(en["target"])
            need(order(en["target"]) < order(en["path"]), "a hard link to what comes later")
            os.link(source, full, follow_symlinks=False)
            return
        if kind == FILE:
            self.write_file(en, full)
        elif kind == SYMLINK:
            os.symlink(en["target"], full)
        elif kind == FIFO:
            os.mkfifo(full)
        else:
            print("%s: a device is left out" % os.fsdecode(en["path"]), file=sys.stderr)
            return
        self.set_meta(en, full)

    def finish(self):
        for en, full in reversed(self.folders):
            self.set_meta(en, full)


def take_logs(vault, out):
    for stream, objects in vault.list_logs().items():
        f, before, n = None, None, 0
        for source, p in vault.log_pieces(stream, objects):
            folder = os.path.join(out, source.decode().replace("/", "-"))
            os.makedirs(folder, exist_ok=True)
            n += 1
            where = "%d-%d" % (p["epoch"], p["timeline"])
            if p["kind"] == LOG_HISTORY:
                with open(os.path.join(folder, where + ".history"), "xb") as h:
                    h.write(p["data"])
                before = None
                continue
            if before != (p["system"], where, p["start"]):
                if f:
                    f.close()
                f = open(os.path.join(folder, "%s-%016x" % (where, p["start"])), "xb")
            f.write(p["data"])
            before = (p["system"], where, p["end"])
        if f:
            f.close()
        print("stream %s of %s: %d pieces in %d objects" % (stream, source.decode(), n, len(objects)))


def take_records(vault, out):
    found, n = vault.records()
    for r in found:
        folder = os.path.join(out, r["incident"], str(r["lines"]))
        os.makedirs(folder, exist_ok=True)
        for name, data in [("timeline", r["timeline"])] + r["papers"]:
            with open(os.path.join(folder, name), "xb") as f:
                f.write(data)
        print("record of %s%s: %d lines, %d papers" % (r["incident"], " (ended)" if r["ended"] else "",
                                                       r["lines"], len(r["papers"])))
    print("%d of %d records count" % (len(found), n))


def main():
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    wanted = sys.argv[3] if len(sys.argv) == 5 else "latest"
    with open(sys.argv[2], "rb") as f:
        passphrase = f.read().rstrip(b"\r\n")
    vault = Vault(sys.argv[1], passphrase)
    if wanted == "logs":
        take_logs(vault, sys.argv[-1])
        return
    if wanted == "records":
        take_records(vault, sys.argv[-1])
        return
    listed = vault.choose(wanted)
    snap = vault.read_snapshot(listed)
    os.makedirs(sys.argv[-1], exist_ok=True)
    target = Target(vault, sys.argv[-1])
    used, files, size = set(), 0, 0
    for en in entries(vault, snap, used):
        try:
            target.add(en)
        except Damaged as e:
            raise Damaged("%s: %s" % (os.fsdecode(en["path"]), e)) from None
        files += en["type"] == FILE
        size += en.get("size", 0)
    target.finish()
    reach, _ = vault.read_reach(listed["reach"])
    need(used == reach, "the reach list has %d chunks, the snapshot uses %d" % (len(reach), len(used)))
    print("vault %s, snapshot %s of %s: %d files, %d bytes" % (
        vault.name, listed["ref"][0].hex()[:16], listed["source"].decode(), files, size))


if __name__ == "__main__":
    try:
        main()
    except (Damaged, OSError) as e:
        sys.exit("reader.py: %s" % e)
