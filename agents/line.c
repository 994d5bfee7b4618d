/* line.c - see agents/line.h. */
#include "agents/line.h"
#include "lib/base/i18n.h"

#include <stdalign.h>
#include <stdlib.h>

#define BLOCK_BYTES ((size_t)128 << 10)
#define ALIGN alignof(max_align_t)

struct line_block {
    struct line_block *next;
    size_t cap, from, to; /* what waits lies in [from, to) */
    alignas(max_align_t) uint8_t bytes[];
};

void line_init(struct line *l)
{
    *l = (struct line){ 0 };
}

void line_done(struct line *l)
{
    for (struct line_block *b; (b = l->head);) {
        l->head = b->next;
        free(b);
    }
    free(l->spare);
    line_init(l);
}

size_t line_bytes(const struct line *l)
{
    return l->bytes;
}

static struct line_block *new_block(struct line *l, size_t need)
{
    struct line_block *b = l->spare;
    if (b && need <= BLOCK_BYTES) {
        l->spare = NULL;
    } else {
        size_t cap = need > BLOCK_BYTES ? need : BLOCK_BYTES;
        b = malloc(sizeof *b + cap);
        if (!b)
            return NULL;
        b->cap = cap;
    }
    b->next = NULL;
    b->from = b->to = 0;
    return b;
}

static size_t aligned(size_t n)
{
    return (n + ALIGN - 1) & ~(ALIGN - 1);
}

static size_t size_of(const struct entry *en, const struct piece *pieces, size_t n)
{
    size_t total = aligned(sizeof(struct waiting));
    total += aligned(pieces ? n * sizeof *pieces : en->n_extents * sizeof *en->extents);
    total += aligned(en->n_sums * sizeof *en->sums);
    total += aligned(en->n_xattrs * sizeof *en->xattrs);
    for (size_t i = 0; i < en->n_xattrs; i++)
        total += en->xattrs[i].name_len + 1 + en->xattrs[i].len;
    return aligned(total + en->path_len + en->target_len);
}

static void *put(uint8_t **at, const void *p, size_t n)
{
    void *to = *at;
    if (n > 0)
        memcpy(to, p, n);
    *at += n;
    return to;
}

static void *put_aligned(uint8_t **at, const void *p, size_t n)
{
    void *to = put(at, p, n);
    *at += aligned(n) - n;
    return to;
}

/* Copies all that the entry points to behind it. */
static void fill(struct waiting *w, const struct entry *en, const struct piece *pieces, size_t n)
{
    uint8_t *at = (uint8_t *)w + aligned(sizeof *w);
    w->en = *en;
    w->n_pieces = n;
    w->pieces = NULL;
    if (pieces)
        w->pieces = put_aligned(&at, pieces, n * sizeof *pieces);
    else
        w->en.extents = put_aligned(&at, en->extents, en->n_extents * sizeof *en->extents);
    w->en.sums = put_aligned(&at, en->sums, en->n_sums * sizeof *en->sums);
    struct xattr *xattrs = put_aligned(&at, en->xattrs, en->n_xattrs * sizeof *en->xattrs);
    w->en.xattrs = xattrs;
    for (size_t i = 0; i < en->n_xattrs; i++) {
        xattrs[i].name = put(&at, en->xattrs[i].name, en->xattrs[i].name_len);
        *at++ = '\0';
        xattrs[i].value = put(&at, en->xattrs[i].value, en->xattrs[i].len);
    }
    w->en.path = put(&at, en->path, en->path_len);
    w->en.target = put(&at, en->target, en->target_len);
}

int line_push(struct line *l, const struct entry *en, const struct piece *pieces, size_t n,
              struct err *e)
{
    size_t need = size_of(en, pieces, n);
    struct line_block *b = l->tail;
    if (!b || b->cap - b->to < need) {
        b = new_block(l, need);
        if (!b)
            return err_set(e, ERR_NOMEM, _("no memory"));
        if (l->tail)
            l->tail->next = b;
        else
            l->head = b;
        l->tail = b;
    }
    struct waiting *w = (struct waiting *)(void *)(b->bytes + b->to);
    fill(w, en, pieces, n);
    w->bytes = need;
    b->to += need;
    l->bytes += need;
    return 0;
}

struct waiting *line_front(const struct line *l)
{
    struct line_block *b = l->head;
    return b ? (struct waiting *)(void *)(b->bytes + b->from) : NULL;
}

void line_pop(struct line *l)
{
    struct line_block *b = l->head;
    size_t n = line_front(l)->bytes;
    b->from += n;
    l->bytes -= n;
    if (b->from < b->to)
        return;
    l->head = b->next;
    if (!l->head)
        l->tail = NULL;
    if (!l->spare && b->cap == BLOCK_BYTES)
        l->spare = b;
    else
        free(b);
}
