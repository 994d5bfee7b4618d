/*
 * main.c - twofold-paper: reads a paper as JSON from its standard input and writes it as PDF to its standard output, or, where that
 * cannot be, {"code", "why", "next"}. It is started by twofold (render.c), reads nothing but fonts, and ends.
 */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "restore/report/render.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 120000
#define MAX_PAPER_JSON ((size_t)512 << 20)
#define PIECE ((size_t)64 << 10)

#ifdef TWOFOLD_FAULTS
/* What the libraries keep until the end is theirs. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libcairo.so\nleak:libfontconfig.so\nleak:libpango\nleak:libglib-2.0.so\n";
}
#endif

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
    int rc = read_input(&in, e);
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
        fprintf(stderr, _("%s is started by twofold, not by hand\n"), argv[0]);
        return 2;
    }
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
