/* problems.c - see agents/problems.h. */
#include "agents/problems.h"
#include "lib/base/i18n.h"

#include <stdlib.h>

#define MAX_KEPT_BYTES (1u << 20)

struct problems {
    struct wire *w;
    struct wbuf path, frame;
    uint64_t count, notes;
    struct body_problem *kept;
    size_t n_kept, kept_bytes;
};

struct problems *problems_new(struct wire *w)
{
    struct problems *p = calloc(1, sizeof *p);
    if (p)
        p->w = w;
    return p;
}

void problems_free(struct problems *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n_kept; i++) {
        free(p->kept[i].path);
        free(p->kept[i].text);
    }
    free(p->kept);
    wbuf_free(&p->path);
    wbuf_free(&p->frame);
    free(p);
}

static int keep(struct problems *p, const char *text, struct err *e)
{
    if (p->n_kept == MAX_KEPT_PROBLEMS || p->kept_bytes + p->path.len > MAX_KEPT_BYTES)
        return 0;
    if (!p->kept && !(p->kept = calloc(MAX_KEPT_PROBLEMS, sizeof *p->kept)))
        return err_set(e, ERR_NOMEM, _("no memory"));
    struct body_problem b = { .path = malloc(p->path.len + 1),
                              .text = strdup(text),
                              .path_len = p->path.len };
    if (!b.path || !b.text) {
        free(b.path);
        free(b.text);
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    memcpy(b.path, p->path.p, p->path.len);
    b.path[p->path.len] = '\0';
    p->kept[p->n_kept++] = b;
    p->kept_bytes += p->path.len;
    return 0;
}

static int send_note(struct problems *p, bool problem, const char *text, struct err *e)
{
    struct msg_note m = { .problem = problem,
                          .path = (const char *)p->path.p,
                          .path_len = p->path.len,
                          .text = text,
                          .text_len = strnlen(text, MAX_FRAME_TEXT) };
    wbuf_reset(&p->frame);
    msg_note_write(&p->frame, &m);
    return wire_send(p->w, FRAME_NOTE, &p->frame, NULL, 0, e);
}

int problems_add(struct problems *p, bool problem, const char *path, size_t len, const char *text,
                 struct err *e)
{
    uint64_t *n = problem ? &p->count : &p->notes;
    wbuf_reset(&p->path);
    wb_u8(&p->path, '/');
    wb_bytes(&p->path, path, len < MAX_PATH_BYTES ? len : MAX_PATH_BYTES - 1);
    if (p->path.failed)
        return err_set(e, ERR_NOMEM, _("no memory"));
    int rc = problem ? keep(p, text, e) : 0;
    return rc == 0 && (*n)++ < MAX_NOTES_SENT ? send_note(p, problem, text, e) : rc;
}

uint64_t problems_count(const struct problems *p)
{
    return p->count;
}

void problems_kept(const struct problems *p, struct snapshot_body *b)
{
    b->problems = p->kept;
    b->n_problems = p->n_kept;
}
