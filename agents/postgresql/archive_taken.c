/* archive_taken.c - see archive_taken.h. A line for each: name, number of the piece, SHA-256. Lines are only added; what a crash cut off
 * is no line. */
#include "agents/postgresql/archive_taken.h"
#include "lib/base/bytes.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 48
#define KEPT 4096u /* the newest; the server hands over again what it handed over last */
#define MAX_BYTES (4u << 20)

struct entry {
    char name[NAME_BYTES];
    uint64_t seq;
    struct id sum;
};
struct archive_taken {
    char *path;
    int fd;
    struct entry v[2 * KEPT];
    size_t n;
};

static void remember(struct archive_taken *t, const struct entry *x)
{
    if (t->n == 2 * (size_t)KEPT) {
        memmove(t->v, t->v + KEPT, KEPT * sizeof *t->v);
        t->n = KEPT;
    }
    t->v[t->n++] = *x;
}

static void put_line(struct wbuf *w, const struct entry *x)
{
    char line[160], hex[ID_HEX_BYTES];
    int n = snprintf(line, sizeof line, "%s %" PRIu64 " %s\n", x->name, x->seq,
                     id_hex(&x->sum, hex));
    wb_bytes(w, line, (size_t)n);
}

static bool read_line(const char *line, struct entry *x)
{
    size_t n = strcspn(line, " ");
    char *end = NULL;
    *x = (struct entry){ 0 };
    if (n == 0 || n >= sizeof x->name || !line[n])
        return false;
    memcpy(x->name, line, n);
    x->seq = strtoull(line + n + 1, &end, 10);
    return end > line + n + 1 && *end == ' ' && id_parse(end + 1, &x->sum);
}

static int read_all(struct archive_taken *t, uint64_t last_seq, struct err *e)
{
    uint8_t *text = NULL;
    size_t n = 0;
    struct err why = ERR_INIT;
    int rc = sys_read_file(AT_FDCWD, t->path, MAX_BYTES, &text, &n, &why);
    if (rc == -ERR_ABSENT)
        return 0;
    if (rc < 0) {
        *e = why;
        return rc;
    }
    for (char *line = (char *)text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        struct entry x;
        *end = '\0';
        if (read_line(line, &x) && x.seq <= last_seq)
            remember(t, &x);
    }
    free(text);
    return 0;
}

/* Anew, with the newest. */
static int rewrite(struct archive_taken *t, struct err *e)
{
    struct wbuf w = WBUF_INIT;
    size_t from = t->n > KEPT ? t->n - KEPT : 0;
    for (size_t i = from; i < t->n; i++)
        put_line(&w, &t->v[i]);
    sys_close_quiet(t->fd);
    t->fd = -1;
    int rc = w.failed
                 ? err_set(e, ERR_NOMEM, _("no memory"))
                 : sys_write_file(AT_FDCWD, t->path, w.p ? (const char *)w.p : "", w.len, 0600, e);
    wbuf_free(&w);
    if (rc == 0)
        rc = t->fd = sys_openat(AT_FDCWD, t->path, O_WRONLY | O_APPEND, 0, e);
    return rc < 0 ? err_wrap(e, "%s", t->path) : 0;
}

int archive_taken_open(const char *path, uint64_t last_seq, struct archive_taken **ret,
                       struct err *e)
{
    struct archive_taken *t = calloc(1, sizeof *t);
    if (t)
        t->path = strdup(path);
    if (!t || !t->path) {
        free(t);
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    t->fd = -1;
    int rc = read_all(t, last_seq, e);
    if (rc == 0)
        rc = rewrite(t, e);
    if (rc < 0)
        archive_taken_free(t);
    else
        *ret = t;
    return rc;
}

void archive_taken_free(struct archive_taken *t)
{
    if (!t)
        return;
    sys_close_quiet(t->fd);
    free(t->path);
    free(t);
}

int archive_taken_add(struct archive_taken *t, const char *name, uint64_t seq, const struct id *sum,
                      struct err *e)
{
    struct entry x = { .seq = seq, .sum = *sum };
    struct wbuf w = WBUF_INIT;
    bool full = t->n == 2 * (size_t)KEPT;
    snprintf(x.name, sizeof x.name, "%s", name);
    remember(t, &x);
    if (full)
        return rewrite(t, e);
    put_line(&w, &x);
    int rc = w.failed ? err_set(e, ERR_NOMEM, _("no memory")) : sys_write(t->fd, w.p, w.len, e);
    wbuf_free(&w);
    if (rc == 0)
        rc = sys_fsync(t->fd, e);
    return rc < 0 ? err_wrap(e, "%s", t->path) : 0;
}

bool archive_taken_knows(const struct archive_taken *t, const char *name)
{
    for (size_t i = t->n; i-- > 0;)
        if (strcmp(t->v[i].name, name) == 0)
            return true;
    return false;
}

bool archive_taken_has(const struct archive_taken *t, const char *name, const struct id *sum,
                       uint64_t *ret_seq)
{
    for (size_t i = t->n; i-- > 0;)
        if (strcmp(t->v[i].name, name) == 0) {
            *ret_seq = t->v[i].seq;
            return id_eq(&t->v[i].sum, sum); /* the last time counts */
        }
    return false;
}
