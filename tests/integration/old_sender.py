"""old_sender.py DIR REAL: stands before the PostgreSQL server whose socket is in REAL, with a socket in DIR, and speaks as one of version 14 does
when it sends its files: the old words of BASE_BACKUP, and an archive after the other instead of one stream of messages. Everything else goes
through. Tablespaces get the name of version 14's folder."""
import os, socket, struct, sys, threading

PORT = ".s.PGSQL.5432"
OLD = b"BASE_BACKUP LABEL 'twofold' PROGRESS FAST WAL NOWAIT TABLESPACE_MAP\0"
NEW = b"BASE_BACKUP (LABEL 'twofold', PROGRESS, CHECKPOINT 'fast', WAL, WAIT false, TABLESPACE_MAP)\0"


def exactly(s, n):
    out = b""
    while len(out) < n:
        part = s.recv(n - len(out))
        if not part:
            raise EOFError
        out += part
    return out


def message(s):
    kind = exactly(s, 1)
    (n,) = struct.unpack("!I", exactly(s, 4))
    return kind, exactly(s, n - 4)


def put(s, kind, body):
    s.sendall(kind + struct.pack("!I", len(body) + 4) + body)


def renamed(tar):
    """The archive of a tablespace with the folder of version 14, and without the zeros at its end."""
    out, at = b"", 0
    while at < len(tar) and tar[at]:
        head = bytearray(tar[at : at + 512])
        size = int(bytes(head[124:135]), 8)
        if head.startswith(b"PG_15_"):
            head[0:6] = b"PG_14_"
            head[148:156] = b"        "
            head[148:156] = b"%06o\0 " % sum(head)
        whole = 512 + (size + 511) // 512 * 512
        out += bytes(head) + tar[at + 512 : at + whole]
        at += whole
    return out


def up(client, server):
    (n,) = struct.unpack("!I", exactly(client, 4))
    server.sendall(struct.pack("!I", n) + exactly(client, n - 4))
    if n == 8:  # a question about encryption: the answer is one byte, then it begins
        return up(client, server)
    while True:
        kind, body = message(client)
        if kind == b"Q" and body.startswith(b"BASE_BACKUP"):
            if body != OLD:
                print("not the old words:", body, file=sys.stderr, flush=True)
            body = NEW
        put(server, kind, body)


def down(server, client):
    begun, space, kept = None, b"", False

    def end():
        nonlocal space
        if kept:
            put(client, b"d", renamed(space))
            space = b""
        put(client, b"c", b"")

    opened = False
    while True:
        kind, body = message(server)
        if kind == b"S" and body.startswith(b"server_version\0"):
            body = b"server_version\x0014.9\0"
        if kind == b"H":
            begun = body
        elif kind == b"d" and begun is not None:
            if body[:1] == b"n":
                if opened:
                    end()
                put(client, b"H", begun)
                opened, kept = True, not body[1:].startswith(b"base.tar")
            elif body[:1] == b"d" and kept:
                space += body[1:]
            elif body[:1] == b"d":
                put(client, b"d", body[1:])
        elif kind == b"c":
            end()
            begun, opened = None, False
        else:
            put(client, kind, body)


def run(work, a, b):
    try:
        work(a, b)
    except (EOFError, OSError):
        pass
    for s in (a, b):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


listener = socket.socket(socket.AF_UNIX)
listener.bind(os.path.join(sys.argv[1], PORT))
os.chmod(os.path.join(sys.argv[1], PORT), 0o777)
listener.listen(10)
while True:
    client, _ = listener.accept()
    server = socket.socket(socket.AF_UNIX)
    server.connect(os.path.join(sys.argv[2], PORT))
    threading.Thread(target=run, args=(up, client, server), daemon=True).start()
    threading.Thread(target=run, args=(down, server, client), daemon=True).start()
