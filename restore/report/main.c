/*
 * main.c - twofold-paper: reads a paper as JSON from its standard input and writes it as PDF to its standard output, or, where that
 * cannot be, {"code", "why", "next"}. It is started by twofold (render.c), reads nothing but fonts, and ends. What it lays out may come from
 * hosts that were broken into, so it first gives up what drawing does not need: as root the user, the groups and the network; a bound on
 * memory (not in builds with AddressSanitizer) and time; no core and no file written. (docs/security.md)
 */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "restore/report/render.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define WAIT_MS 120000
#define MAX_PAPER_JSON ((size_t)64 << 20)
#define MAX_MEMORY_BYTES ((rlim_t)4 << 30)
#define MAX_CPU_S 300
#define NOBODY 65534
#define PIECE ((size_t)64 << 10)

#ifdef TWOFOLD_FAULTS
/* What the libraries keep until the end is theirs. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libcairo.so\nleak:libfontconfig.so\nleak:libpango\nleak:libglib-2.0.so\n";
}
#endif

/* As far as this machine lets it: a container may forbid one or the other, and nothing here is needed for a right paper. But it never draws as
 * root. */
static int give_up_power(struct err *e)
{
    static const struct {
        int what;
        rlim_t max;
    } limits[] = {
        { RLIMIT_CORE, 0 },
        { RLIMIT_FSIZE, 0 }, /* of regular files: not what goes to twofold */
        { RLIMIT_CPU, MAX_CPU_S },
#ifndef __SANITIZE_ADDRESS__
        { RLIMIT_DATA, MAX_MEMORY_BYTES },
#endif
    };
    signal(SIGXFSZ, SIG_IGN); /* of fontconfig's cache */
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct rlimit l = { limits[i].max, limits[i].max };
        (void)setrlimit((__rlimit_resource_t)limits[i].what, &l);
    }
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (geteuid() != 0)
        return 0;
    (void)unshare(CLONE_NEWNET);
    if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
        setresuid(NOBODY, NOBODY, NOBODY) < 0) {
        err_set(e, ERR_REFUSED, _("no paper is drawn as root, and user %d cannot be taken: %s"),
                NOBODY, strerror(errno));
        return err_next(e, _("run it as another user, or take another format: --format docx"));
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* forgotten with the user */
#ifdef TWOFOLD_FAULTS
    prctl(PR_SET_DUMPABLE, 1); /* the look for leaks traces itself */
#endif
    return 0;
}

static int read_input(struct wbuf *ret, struct err *e)
{
    static char piece[PIECE];
    for (;;) {
        int rc = sys_wait_fd(STDIN_FILENO, POLLIN, WAIT_MS, e);
        if (rc < 0)
            return rc;
        ssize_t got = read(STDIN_FILENO, piece, sizeof piece);
        if (got == 0)
            return 0;
        if (got < 0 && errno != EINTR && errno != EAGAIN)
            return err_sys(e, "read");
        if (got > 0)
            wb_bytes(ret, piece, (size_t)got);
        if (ret->failed || ret->len > MAX_PAPER_JSON)
            return err_set(e, ERR_LIMIT, _("the paper is too large"));
    }
}

static int write_output(const uint8_t *p, size_t n)
{
    while (n > 0) {
        if (sys_wait_fd(STDOUT_FILENO, POLLOUT, WAIT_MS, NULL) < 0)
            return -1;
        ssize_t put_bytes = write(STDOUT_FILENO, p, n);
        if (put_bytes < 0 && errno != EINTR && errno != EAGAIN)
            return -1;
        p += put_bytes > 0 ? put_bytes : 0;
        n -= put_bytes > 0 ? (size_t)put_bytes : 0;
    }
    return 0;
}

static int make(struct wbuf *out, struct err *e)
{
    struct wbuf in = WBUF_INIT;
    struct document *d = NULL;
    json_error_t where;
    struct err why = ERR_INIT;
    int power = give_up_power(&why), rc = read_input(&in, e);
    if (rc == 0 && power < 0) {
        *e = why;
        rc = power;
    }
    json_t *o = rc == 0 ? json_loadb((const char *)in.p, in.len, 0, &where) : NULL;
    if (rc == 0 && !o)
        rc = err_set(e, ERR_PROTOCOL, _("this is not a paper as JSON has it"));
    wbuf_free(&in);
    if (rc == 0)
        rc = document_parse(o, &d, e);
    json_decref(o);
    if (rc == 0)
        rc = render_pdf(d, out, e);
    document_free(d);
    return rc;
}

int main(int argc, char **argv)
{
    struct wbuf out = WBUF_INIT;
    struct err e = ERR_INIT;
    i18n_init();
    if (argc > 1) {
        bool help = strcmp(argv[1], "--help") == 0;
        fprintf(help ? stdout : stderr, _("%s is started by twofold, not by hand\n"), argv[0]);
        return help ? 0 : 2;
    }
    signal(SIGPIPE, SIG_IGN);
    int rc = make(&out, &e);
    if (rc < 0) {
        json_t *o = json_pack("{s:i, s:s, s:s}", "code", (int)e.code, "why", e.why, "next", e.next);
        char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
        wbuf_free(&out);
        if (text)
            wb_bytes(&out, text, strlen(text));
        free(text);
        json_decref(o);
    }
    int written = write_output(out.p, out.len);
    wbuf_free(&out);
    return rc < 0 || written < 0 ? 1 : 0;
}
