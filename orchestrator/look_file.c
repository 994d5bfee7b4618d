/* look_file.c - the content of one small file of a backup; see look.h. */
#include "lib/base/i18n.h"
#include "lib/crypto/crypto.h"
#include "orchestrator/look.h"

#include <stdlib.h>
#include <string.h>

struct reading {
    struct view *view;
    size_t max;
    struct wbuf content;
    struct err *e;
    int rc;
    bool found;
    struct err away; /* of a part of the list that a copy may have which cannot be reached */
};

static int read_extent(struct reading *r, const struct extent *x, struct wbuf *chunk)
{
    if (x->hole) {
        uint8_t *p = wb_grow(&r->content, (size_t)x->len);
        if (p)
            memset(p, 0, (size_t)x->len);
        return 0;
    }
    wbuf_reset(chunk);
    int rc = r->view->src.get(r->view->src.ctx, &x->chunk, chunk, r->e);
    if (rc < 0)
        return rc;
    if (x->off > chunk->len || x->len > chunk->len - x->off)
        return err_set(r->e, ERR_DAMAGED, _("an extent leads out of its chunk"));
    wb_bytes(&r->content, chunk->p + x->off, (size_t)x->len);
    return 0;
}

static int read_entry(void *ctx, const struct entry *en)
{
    struct reading *r = ctx;
    struct wbuf chunk = WBUF_INIT;
    struct id hash;
    if (en->type != ENTRY_FILE)
        return 0;
    r->found = true;
    if (en->size > r->max || en->flags & (ENTRY_HAS_MORE | ENTRY_SPARSE | ENTRY_PAGED))
        r->rc = err_set(r->e, ERR_LIMIT, _("it is longer than %zu bytes"), r->max);
    for (size_t i = 0; r->rc == 0 && i < en->n_extents; i++)
        r->rc = read_extent(r, &en->extents[i], &chunk);
    wbuf_free(&chunk);
    wb_u8(&r->content, 0);
    if (r->rc == 0 && r->content.failed)
        r->rc = err_set(r->e, ERR_NOMEM, _("no memory"));
    if (r->rc == 0 && en->size > 0) {
        sha256_of(r->content.p, r->content.len - 1, &hash);
        if (r->content.len - 1 != en->size || !id_eq(&hash, &en->hash))
            r->rc = err_set(r->e, ERR_DAMAGED, _("its bytes are not the right ones"));
    }
    return 1;
}

static void note_gap(void *ctx, const struct err *why)
{
    struct reading *r = ctx;
    if (why->code == ERR_UNREACHABLE)
        r->away = *why;
}

int look_read_file(struct view *view, const char *path, size_t max, char **ret, size_t *ret_len,
                   struct err *e)
{
    char *only = (char *)path;
    struct select sel = { .paths = &only, .n_paths = 1 };
    struct reading r = { .view = view, .max = max, .e = e };
    uint64_t gaps = 0;
    int rc = reader_each(&view->src, view->body, &sel, read_entry, note_gap, &r, &gaps, e);
    if (rc >= 0)
        rc = r.rc;
    if (rc == 0 && !r.found && r.away.code != ERR_NONE) {
        if (e)
            *e = r.away;
        rc = -ERR_UNREACHABLE;
    } else if (rc == 0 && !r.found) {
        rc = gaps ? err_set(e, ERR_DAMAGED,
                            _("the part of the backup's list that it stands in cannot be read"))
                  : err_set(e, ERR_ABSENT, _("it is not in the backup"));
    }
    if (rc < 0) {
        wbuf_free(&r.content);
        return rc;
    }
    *ret = (char *)r.content.p;
    *ret_len = r.content.len - 1;
    return 0;
}
