"""menu.py - drives the menu on a real terminal (a pty) of 80 x 24, as a person would: reads what is on the screen, types numbers.

    menu.py PROGRAM [-o FILE] STEP...

STEP is "TEXT=>ANSWER": wait until it asks (the last line is a prompt, which ends with a blank) and TEXT, a regular expression, is on the
page since the last answer; then type ANSWER and Enter, or the key ^C or ^D. "~TEXT=>ANSWER" answers whatever comes before with Enter. What it shows is kept; a line wider than 80 columns (a Chinese character takes two), or more
lines at once than 24, is a failure. Ends when the program has; its exit status is ours, 99 when it does not do what was waited for.
"""
import fcntl, os, pty, re, select, signal, struct, sys, termios, time, unicodedata

COLUMNS, LINES, WAIT_S = 80, 24, 30
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
CLEAR = "\x1b[H\x1b[2J"


def width(line):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def start(program):
    pid, fd = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        os.execv(program[0], program)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    return pid, fd


class Screen:
    def __init__(self, fd):
        self.fd, self.all, self.new = fd, "", ""
        self.raw = b""

    def read(self, deadline):
        """More of what it shows; False: it has ended."""
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.fd], [], [], left)[0]:
            raise TimeoutError
        try:
            part = os.read(self.fd, 65536)
        except OSError:
            return False
        self.raw += part
        try:
            text, self.raw = self.raw.decode("utf-8"), b""
        except UnicodeDecodeError as e:
            text, self.raw = self.raw[: e.start].decode("utf-8"), self.raw[e.start :]
        self.all += text
        self.new += text
        return bool(part)


    def asks(self, text):
        page = self.new.split(CLEAR)[-1]
        return page.endswith(" ") and re.search(text, page, re.S) is not None


def check(shown):
    bad = []
    for page in shown.split(CLEAR):
        lines = ESCAPES.sub("", page).replace("\r\n", "\n").split("\n")
        lines = [line.split("\r")[-1] for line in lines]
        bad += ["wider than %d: %s" % (COLUMNS, line) for line in lines if width(line) > COLUMNS]
        menu = [i for i, line in enumerate(lines) if re.match(r" +0  ", line)]
        if menu and len(lines) > LINES:
            bad.append("%d lines at once:\n%s" % (len(lines), page))
    return bad


def main():
    args, out = sys.argv[1:], None
    program = args.pop(0).split("\x1f")
    if args and args[0] == "-o":
        out = args[1]
        args = args[2:]
    pid, fd = start(program)
    screen, status = Screen(fd), 0
    for step in args:
        text, _, answer = step.partition("=>")
        deadline = time.monotonic() + WAIT_S
        skips = text.startswith("~")
        text = text[skips:]
        try:
            while not screen.asks(text):
                if skips and screen.asks(""):
                    screen.new = ""
                    os.write(fd, b"\n")
                if not screen.read(deadline):
                    break
        except TimeoutError:
            pass
        if not screen.asks(text):
            print("never on the screen: %s\nbut:\n%s" % (text, screen.new))
            os.kill(pid, signal.SIGKILL)
            status = 99
            break
        screen.new = ""
        keys = {"^C": b"\x03", "^D": b"\x04"}.get(answer, answer.encode() + b"\n")
        os.write(fd, keys)
    try:
        while screen.read(time.monotonic() + WAIT_S):
            pass
    except TimeoutError:
        print("does not end; on the screen:\n%s" % screen.new)
        os.kill(pid, signal.SIGKILL)
        status = 99
    _, ended = os.waitpid(pid, 0)
    if out:
        with open(out, "w", encoding="utf-8") as f:
            f.write(screen.all)
    bad = check(screen.all)
    print("\n".join(bad))
    sys.exit(98 if bad else status or os.waitstatus_to_exitcode(ended) & 0xFF)


main()
