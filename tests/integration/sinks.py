"""sinks.py DIR - the servers that messages are sent to, on loopback: SMTP without and with STARTTLS and a login, one that takes a
connection and says nothing, and HTTP for webhooks. Their ports are written to DIR/ports once all listen; what arrives goes to
DIR/mail and DIR/hooks, one JSON object a line. The file DIR/behave says how HTTP answers: "ok", "500", "refuse", "hang"; or, as who wants to
do harm, "redirect" (to a file), "redirect-on" (to itself), "endless" (a body), "headers" (without end), "drip" (a byte now and then), "escape"."""
import base64
import email
import email.header
import hashlib
import hmac
import http.server
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

where = sys.argv[1]


def note(name, obj):
    with open(os.path.join(where, name), "a", encoding="utf-8") as f:
        f.write(json.dumps(obj, ensure_ascii=False) + "\n")


class Box:
    def __init__(self, kind):
        self.kind = kind

    async def handle_DATA(self, server, session, envelope):
        m = email.message_from_bytes(envelope.content)
        subject = str(email.header.make_header(email.header.decode_header(m["Subject"])))
        text = next(part for part in m.walk() if not part.is_multipart())
        envelope.content.split(b"\r\n\r\n")[0].decode("ascii")  # headers are ASCII, or this fails
        note("mail", {"kind": self.kind, "to": envelope.rcpt_tos, "from": envelope.mail_from, "subject": subject,
                      "widest": max(len(line) for line in ("Subject: " + m["Subject"]).splitlines()), "date": m["Date"], "id": m["Message-ID"],
                      "tls": session.ssl is not None, "login": bool(getattr(session, "authenticated", False)),
                      "body": text.get_payload(decode=True).decode(text.get_content_charset()), "type": text.get_content_type()})
        return "250 taken"


def login(server, session, envelope, mechanism, data):
    good = data.login == b"backup" and data.password == "Pass wörd 9".encode()
    return AuthResult(success=good)


def harm(hook, behave):
    """True: answered."""
    port = hook.server.server_port
    try:
        if behave in ("redirect", "redirect-on"):
            hook.send_response(307)
            hook.send_header("Location", "file:///etc/passwd" if behave == "redirect" else f"http://127.0.0.1:{port}/elsewhere")
            hook.end_headers()
        elif behave == "escape":
            hook.send_response(200)
            hook.end_headers()
            hook.wfile.write(json.dumps({"errcode": 7, "errmsg": "\x1b[2J\u202enot \n  why:  all well " + "中" * 300}).encode())
        elif behave in ("endless", "headers", "drip"):
            hook.send_response(200)
            if behave == "endless":
                hook.end_headers()
            while True:
                hook.wfile.write(b" " if behave == "drip" else b"X-%d: " % time.monotonic_ns() + b"x" * 8000 + b"\r\n")
                hook.wfile.flush()
                if behave == "drip":
                    time.sleep(0.1)
        else:
            return False
    except OSError:
        pass
    return True


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        url = urllib.parse.urlparse(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        with open(os.path.join(where, "behave")) as f:
            behave = f.read().strip()
        signed = None
        if "sign" in query:
            text = query["timestamp"] + "\nSECdingtalk"
            want = base64.b64encode(hmac.new(b"SECdingtalk", text.encode(), hashlib.sha256).digest()).decode()
            signed = query["sign"] == want and abs(time.time() * 1000 - int(query["timestamp"])) < 60000
        if "X-Twofold-Signature" in self.headers:
            want = "sha256=" + hmac.new(b"json-secret", body, hashlib.sha256).hexdigest()
            signed = self.headers["X-Twofold-Signature"] == want
        note("hooks", {"path": url.path, "query": query, "signed": signed, "behave": behave, "json": json.loads(body)})
        if behave == "hang":
            time.sleep(30)
        if harm(self, behave):
            return
        answer = {"errcode": 310000, "errmsg": "keywords not in content"} if behave == "refuse" else {"errcode": 0, "errmsg": "ok"}
        self.send_response(500 if behave == "500" else 200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *args):
        pass


def main():
    key, crt = os.path.join(where, "key.pem"), os.path.join(where, "crt.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
                    "-out", crt, "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                   check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(crt, key)

    def free_port():
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            return s.getsockname()[1]

    plain = Controller(Box("plain"), hostname="127.0.0.1", port=free_port())
    plain.start()
    secure = Controller(Box("secure"), hostname="127.0.0.1", port=free_port(), tls_context=tls, require_starttls=True,
                        authenticator=login, auth_required=True)
    secure.start()
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    silent.listen(16)
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    with open(os.path.join(where, "ports.new"), "w") as f:
        f.write(f"plain={plain.port} secure={secure.port} silent={silent.getsockname()[1]} web={web.server_port}\n")
    os.rename(os.path.join(where, "ports.new"), os.path.join(where, "ports"))
    while os.getppid() != 1:
        time.sleep(0.5)
    os._exit(0)


main()
