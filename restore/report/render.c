/* render.c - the formats by name, what the renderers share, and the way to twofold-paper. See render.h. */
#include "restore/report/render.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAPER_PROGRAM "twofold-paper"
#define PAPER_WAIT_MS 120000 /* without a byte */
#define PAPER_REAP_MS 10000
#define PAPER_PIECE ((size_t)64 << 10)
#define MAX_PAPER_BYTES ((size_t)512 << 20)

static const char *const names[PAPER_FORMATS] = { "text", "html", "pdf", "docx", "json" };

const char *paper_format_name(enum paper_format f)
{
    return names[f];
}

bool paper_format_parse(const char *name, enum paper_format *ret)
{
    for (unsigned i = 0; i < PAPER_FORMATS; i++)
        if (strcmp(name, names[i]) == 0) {
            *ret = (enum paper_format)i;
            return true;
        }
    if (strcmp(name, "txt") != 0)
        return false;
    *ret = PAPER_TEXT;
    return true;
}

void put(struct wbuf *out, const char *text)
{
    wb_bytes(out, text, strlen(text));
}

void putf(struct wbuf *out, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0) {
        out->failed = true;
        return;
    }
    wb_bytes(out, text, (size_t)n);
    free(text);
}

void put_xml(struct wbuf *out, const char *text, const char *newline)
{
    for (const char *p = text; *p; p++)
        switch (*p) {
        case '&':
            put(out, "&amp;");
            break;
        case '<':
            put(out, "&lt;");
            break;
        case '>':
            put(out, "&gt;");
            break;
        case '"':
            put(out, "&quot;");
            break;
        case '\'':
            put(out, "&#39;");
            break;
        case '\n':
            put(out, newline);
            break;
        default:
            wb_u8(out, (uint8_t)*p);
        }
}

static int render_json(const struct document *d, struct wbuf *out, struct err *e)
{
    json_t *o = document_json(d);
    char *text = o ? json_dumps(o, JSON_INDENT(1)) : NULL;
    json_decref(o);
    if (!text)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    put(out, text);
    put(out, "\n");
    free(text);
    return 0;
}

/* --- PDF: by the program that draws it ------------------------------------------------------------------------------------ */
static int send_paper(int fd, const char *p, size_t n, struct err *e)
{
    while (n > 0) {
        int rc = sys_wait_fd(fd, POLLOUT, PAPER_WAIT_MS, e);
        if (rc < 0)
            return rc;
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR && errno != EAGAIN)
            return err_sys(e, _("hand the paper to %s"), PAPER_PROGRAM);
        p += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
    }
    return shutdown(fd, SHUT_WR) < 0 ? err_sys(e, _("hand the paper to %s"), PAPER_PROGRAM) : 0;
}

static int take_paper(int fd, struct wbuf *ret, struct err *e)
{
    char *piece = malloc(PAPER_PIECE);
    ssize_t got = 1;
    int rc = piece ? 0 : err_set(e, ERR_NOMEM, _("out of memory"));
    while (rc == 0 && got != 0) {
        rc = sys_wait_fd(fd, POLLIN, PAPER_WAIT_MS, e);
        got = rc == 0 ? read(fd, piece, PAPER_PIECE) : 0;
        if (got < 0 && errno != EINTR && errno != EAGAIN)
            rc = err_sys(e, _("take the paper from %s"), PAPER_PROGRAM);
        else if (got > 0)
            wb_bytes(ret, piece, (size_t)got);
        if (rc == 0 && ret->len > MAX_PAPER_BYTES)
            rc = err_set(e, ERR_LIMIT, _("the paper is larger than %zu bytes"), MAX_PAPER_BYTES);
    }
    free(piece);
    return rc;
}

/* What came instead of a file: why not, as JSON. */
static int read_refusal(const struct wbuf *w, struct err *e)
{
    json_t *o = json_loadb((const char *)w->p, w->len, 0, NULL);
    const char *why = json_string_value(json_object_get(o, "why"));
    const char *next = json_string_value(json_object_get(o, "next"));
    json_int_t code = json_integer_value(json_object_get(o, "code"));
    int rc = why && code > ERR_NONE && code < ERR_CODES
                 ? err_set(e, (enum err_code)code, "%s", why)
                 : err_set(e, ERR_FAILED, _("%s ended without a paper"), PAPER_PROGRAM);
    if (next && *next)
        err_next(e, "%s", next);
    json_decref(o);
    return rc;
}

static int render_by_program(const struct document *d, struct wbuf *out, struct err *e)
{
    char path[PATH_MAX];
    const char *const argv[] = { path, NULL };
    struct wbuf paper = WBUF_INIT;
    pid_t pid;
    int status = 0, rc = sys_program_path(PAPER_PROGRAM, "TWOFOLD_PAPER", path, e);
    json_t *o = rc == 0 ? document_json(d) : NULL;
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    if (rc == 0 && !text)
        rc = err_set(e, ERR_NOMEM, _("out of memory"));
    int fd = rc == 0 ? sys_spawn(argv, -1, &pid, e) : rc;
    if (fd < 0) {
        free(text);
        return err_wrap(e, "PDF");
    }
    rc = send_paper(fd, text, strlen(text), e);
    free(text);
    if (rc == 0 || e->code == ERR_IO) /* it may have said why it does not listen */
        rc = take_paper(fd, &paper, e);
    sys_close_quiet(fd);
    int reaped = sys_reap(pid, rc == 0 ? PAPER_REAP_MS : 0, &status, NULL);
    if (rc == 0 && paper.failed)
        rc = err_set(e, ERR_NOMEM, _("out of memory"));
    else if (rc == 0 && (paper.len < 5 || memcmp(paper.p, "%PDF-", 5) != 0))
        rc = read_refusal(&paper, e);
    else if (rc == 0 && (reaped < 0 || status != 0))
        rc = err_set(e, ERR_FAILED, _("%s did not end well"), PAPER_PROGRAM);
    if (rc == 0)
        wb_bytes(out, paper.p, paper.len);
    wbuf_free(&paper);
    return rc < 0 ? err_wrap(e, "PDF") : 0;
}

int render(const struct document *d, enum paper_format f, struct wbuf *out, struct err *e)
{
    struct err ignored = ERR_INIT;
    e = e ? e : &ignored;
    int rc = document_check(d, e);
    if (rc < 0)
        return rc;
    if (f == PAPER_TEXT)
        render_text(d, out);
    else if (f == PAPER_HTML)
        render_html(d, out);
    else if (f == PAPER_PDF)
        rc = render_by_program(d, out, e);
    else if (f == PAPER_DOCX)
        rc = render_docx(d, out, e);
    else
        rc = render_json(d, out, e);
    return rc == 0 && out->failed ? err_set(e, ERR_NOMEM, _("out of memory")) : rc;
}
