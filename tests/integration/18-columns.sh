#!/bin/bash
# 18-columns.sh - what a terminal of 80 columns shows, in English and in Chinese: every help, and on a terminal also results, errors and
# warnings, are broken between words; a command to be copied stays in one line. A script gets every line whole.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
unset LANGUAGE LC_MESSAGES
t=${TWOFOLD_FAST:-$t} # it is about texts
languages=(C.UTF-8)
if localedef -i zh_CN -f UTF-8 --no-archive "$work/zh_CN.UTF-8" >/dev/null 2>&1; then
    echo 'leak:argz_add_sep' >"$work/not-ours" # the C library forgets a list that it makes of LOCPATH
    languages+=(zh_CN.UTF-8)
else
    skip_part "Chinese: no localedef"
fi
in_language() { # LANGUAGE COMMAND…
    env LC_ALL="$1" LOCPATH="$work" \
        "LSAN_OPTIONS=${LSAN_OPTIONS:+$LSAN_OPTIONS:}suppressions=$work/not-ours:print_suppressions=0" "${@:2}"
}

cat >"$work/fits.py" <<'EOF2'
# fits.py STATUS WHAT [COMMAND…]: the command, on a terminal of 80 columns (else: standard input), ends so and fits.
import fcntl, os, pty, re, struct, sys, termios, unicodedata
want, what, argv = sys.argv[1], sys.argv[2], sys.argv[3:]
rc, out = 0, b""
if argv:
    pid, fd = pty.fork()
    if pid == 0:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        os.execvp(argv[0], argv)
    while True:
        try:
            got = os.read(fd, 65536)
        except OSError:
            break
        if not got:
            break
        out += got
    rc = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
else:
    out = sys.stdin.buffer.read()
text = re.sub(r"\x1b\[[0-9]*[AJK]", "", out.decode()).replace("\r", "")
bad = 0 if str(rc) in want.split(",") else 1
if bad:
    print("FAILED: exit status", rc, "instead of", want + ":", what)
for line in text.split("\n"):
    width = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)
    # Nothing can be done about a word, such as a path or a hash, that is wider than a line.
    if width > 80 and max(map(len, line.split())) < 60:
        print("FAILED:", width, "columns:", what + ":", line)
        bad = 1
if not text.strip():
    print("FAILED: nothing was said:", what)
    bad = 1
if bad:
    print(text)
open(os.environ["SAID"], "w").write(text)
sys.exit(bad)
EOF2
export SAID=$work/.out
: >"$work/.err"
on_terminal() { # STATUS ARGUMENTS…: in all languages
    local language
    for language in "${languages[@]}"; do
        in_language "$language" python3 -X utf8 "$work/fits.py" "$1" "$language: twofold ${*:2}" "$t" "${@:2}" ||
            failures=$((failures + 1))
    done
}

# --- helps, which are no wider in a file either -----------------------------------------------------------------------------
for language in "${languages[@]}"; do
    in_language "$language" "$t" help >"$work/help"
    {
        cat "$work/help"
        for command in $(sed -n 's/^  \([a-z]\{2,\}\) .*/\1/p' "$work/help"); do
            in_language "$language" "$t" "$command" --help
        done
        in_language "$language" "${t}d" --help
    } >"$work/helps"
    [ "$(grep -c '^twofold' "$work/helps")" -ge 30 ] || fail "not all helps"
    python3 -X utf8 "$work/fits.py" 0 "$language: --help" <"$work/helps" || failures=$((failures + 1))
done
expect 0 "$t" init --help
said '^    --not-deletable       whoever steals' # an entry below another one is not taken for its second line

# --- results, errors and warnings on a terminal -----------------------------------------------------------------------------------
on_terminal 0 status
on_terminal 2 restore
on_terminal 2 stauts
on_terminal 2 init --vault main --copy /backup/a --copy /mnt/b
on_terminal 1,2 restore etc --to "$work/r"
new_vault "$work/v"
on_terminal 0 status
mkdir "$work/src"
echo 1 >"$work/src/f"
policy_add src --files "$work/src"
policy_add gone --files /nowhere-at-all
on_terminal 1 backup gone
on_terminal 0 backup src
on_terminal 3 status
on_terminal 0 policy lint
on_terminal 0 enqueue backup src
on_terminal 0 jobs
on_terminal 0 prune --dry-run
printf 'wrong\n' >"$work/wrong"
on_terminal 5 ls latest --copy "$a" --passphrase-file "$work/wrong"
mv "$b" "$work/v/elsewhere"
on_terminal 3 backup src
on_terminal 3 scrub
on_terminal 3 status
on_terminal 3 replicate
said 'twofold replicate$'

# A command to be copied is not broken where it fits into a line of its own.
python3 -X utf8 "$work/fits.py" 1 line "$t" --vault x backup gone >/dev/null
languages=(C.UTF-8)
on_terminal 3 status gone
said '^ +twofold backup gone$|: twofold backup gone$'

# --- for a script a line is a line -------------------------------------------------------------------------------------------------
expect 3 "$t" replicate
[ "$(wc -l <"$work/.err")" -eq 4 ] || fail "a warning and an error are not four lines" # away; what, why, next
finish
