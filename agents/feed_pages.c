/* feed_pages.c - a file that is rewritten in place, read in regions and pages: docs/design.md, "Pages". The manual is agents/feed.h. */
#include "agents/feed_impl.h"
#include "agents/shift.h"
#include "lib/base/bytes.h"
#include "lib/base/i18n.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define LITERAL_BYTES \
    (128u << 10) /* of a chunk of changed pages: a restore keeps one of each night at hand */
#define MAX_REGION_PIECES 256
#define REGION_ROOM \
    (MAX_REGION_PIECES + 8) /* where literals go from one chunk into the next there are some more */
#define MAX_REGION_CHUNKS 40 /* a region that would lie in more is written whole again */

struct pages { /* one file being read */
    struct feed *f;
    const struct feed_pages *o;
    int fd;
    uint64_t size; /* to be read; less when it turns out to be shorter */
    bool sparse;
    struct base_file *base; /* NULL: nothing is known of the file, or not any more */
    struct shift *shift;    /* NULL: what lies elsewhere is not looked for */
    uint64_t sums_at;       /* in the new state, of the file; 0: they are not kept */
    struct chunk_buf *buf;  /* for the bytes of a region; NULL: it was handed on */
    uint64_t fresh;         /* bytes that went into new chunks */
    /* the region: */
    bool has_data;                          /* a piece that is not a hole was given */
    bool has_holes, hole[MAX_REGION_PAGES]; /* whole pages that the file system has not */
    struct piece plan[MAX_REGION_PIECES];
    size_t n_plan, planned, fresh_planned; /* pieces; bytes of the region; of these new ones */
    struct anchor_sums anchors;
};
/* A piece of a plan whose bytes are those of the region from `off` on. */
#define PLAN_LITERAL 0

/* --- where the bytes of a region go --------------------------------------------------------------- */
/* first: of a region. Only holes go on from one region into the next. */
static void add(struct pages *g, const struct piece *pc, bool first)
{
    g->has_data = g->has_data || pc->seq != PIECE_HOLE;
    feed_add_piece(g->f, pc, pc->seq == PIECE_HOLE || !first);
}

static void take_base(struct pages *g, const struct base_region *r)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct extent *x = &r->x[i];
        struct piece pc = { .len = x->len,
                            .seq = x->hole ? PIECE_HOLE : PIECE_KNOWN,
                            .off = x->off,
                            .chunk = x->chunk };
        add(g, &pc, i == 0);
    }
}

static int put_literal(struct pages *g, const uint8_t *p, size_t n, bool first, struct err *e)
{
    struct feed *f = g->f;
    g->fresh += n;
    while (n > 0) {
        if (!f->literals && !(f->literals = pipeline_buffer(f->p, e)))
            return -e->code;
        struct chunk_buf *b = f->literals;
        size_t part = LITERAL_BYTES - b->len < n ? LITERAL_BYTES - b->len : n;
        struct piece pc = { .len = part, .seq = b->seq, .off = (uint32_t)b->len };
        memcpy(b->p + b->len, p, part);
        b->len += part;
        p += part;
        n -= part;
        add(g, &pc, first);
        first = false;
        if (b->len == LITERAL_BYTES && feed_cut_chunk(f, b->seq, e) < 0)
            return -e->code;
    }
    return 0;
}

static int put_whole(struct pages *g, size_t n, struct err *e)
{
    struct chunk_buf *b = g->buf;
    if (n < LITERAL_BYTES) /* the end of a file */
        return put_literal(g, b->p, n, true, e);
    pipeline_renumber(g->f->p, b); /* it may have served for thousands of regions */
    struct piece pc = { .len = n, .seq = b->seq };
    add(g, &pc, true);
    b->len = n;
    g->fresh += n;
    g->buf = NULL;
    return feed_submit(g->f, b, e);
}

/* --- what has changed in a region ------------------------------------------------------------------ */
static bool plan(struct pages *g, const struct piece *pc)
{
    struct piece *last = g->n_plan > 0 ? &g->plan[g->n_plan - 1] : NULL;
    g->planned += pc->len;
    if (last && last->seq == pc->seq &&
        (pc->seq == PIECE_HOLE || last->off + last->len == pc->off) &&
        (pc->seq != PIECE_KNOWN || id_eq(&last->chunk, &pc->chunk))) {
        last->len += pc->len;
        return true;
    }
    if (g->n_plan == MAX_REGION_PIECES)
        return false;
    g->plan[g->n_plan++] = *pc;
    return true;
}

/* All that is not planned yet, up to `to`, is new. */
static bool plan_new(struct pages *g, size_t to)
{
    struct piece pc = { .len = to - g->planned, .seq = PLAN_LITERAL, .off = (uint32_t)g->planned };
    g->fresh_planned += pc.len;
    return pc.len == 0 || plan(g, &pc);
}

/* What comes next is [from, to) of what a region was. */
static bool plan_same(struct pages *g, const struct base_region *r, size_t from, size_t to)
{
    size_t at = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < r->n && at < to; at += r->x[i++].len) {
        const struct extent *x = &r->x[i];
        size_t a = from > at ? from : at, z = to < at + x->len ? to : at + (size_t)x->len;
        struct piece pc = { .len = z - a,
                            .seq = x->hole ? PIECE_HOLE : PIECE_KNOWN,
                            .off = x->hole ? 0 : x->off + (uint32_t)(a - at),
                            .chunk = x->chunk };
        if (a < z)
            ok = plan(g, &pc);
    }
    return ok;
}

static bool few_chunks(const struct pages *g)
{
    const struct id *ids[MAX_REGION_CHUNKS];
    size_t n = 1; /* the literals' */
    for (size_t i = 0; i < g->n_plan; i++) {
        size_t k = 1;
        if (g->plan[i].seq != PIECE_KNOWN)
            continue;
        while (k < n && !id_eq(ids[k], &g->plan[i].chunk))
            k++;
        if (k == MAX_REGION_CHUNKS)
            return false;
        if (k == n)
            ids[n++] = &g->plan[i].chunk;
    }
    return true;
}

enum page_kind { PAGE_NEW, PAGE_SAME, PAGE_HOLE };
static enum page_kind kind_of(const struct pages *g, size_t page, size_t old)
{
    const struct feed *f = g->f;
    if (g->has_holes && g->hole[page])
        return PAGE_HOLE;
    return page < old && id_eq(&f->page_sums[0][page], &f->page_sums[1][page]) ? PAGE_SAME
                                                                               : PAGE_NEW;
}

/* sink of shift_match */
static bool plan_shifted(void *ctx, size_t at, size_t n, const struct base_region *was, size_t from)
{
    struct pages *g = ctx;
    return plan_new(g, at) && plan_same(g, was, from, from + n);
}

/* What of n bytes is new, page by page, what lies where it lay or, where shifts is set, elsewhere, and what is a hole. was: NULL, or
 * page_sums[1] are its. False: too much is new, or it would be in too many pieces. */
static bool plan_region(struct pages *g, const struct base_region *was, size_t n, bool shifts)
{
    const struct shift_sink sink = { .same = plan_shifted, .ctx = g };
    size_t page = (size_t)1 << g->o->page_bits, pages = paged_pages(n, g->o->page_bits);
    size_t old = was ? paged_pages((size_t)was->len, g->o->page_bits) : 0;
    g->n_plan = g->planned = g->fresh_planned = 0;
    for (size_t i = 0, end; i < pages; i = end) {
        enum page_kind kind = kind_of(g, i, old);
        for (end = i + 1; end < pages && kind_of(g, end, old) == kind;)
            end++;
        size_t from = i * page, to = end * page < n ? end * page : n;
        bool ok = true;
        if (kind == PAGE_SAME)
            ok = plan_same(g, was, from, to);
        else if (kind == PAGE_HOLE)
            ok = plan(g, &(struct piece){ .len = to - from, .seq = PIECE_HOLE });
        else
            ok = (!shifts || shift_match(g->shift, from, to, &sink)) && plan_new(g, to);
        if (!ok)
            return false;
    }
    return (g->fresh_planned <= n / 2 || g->has_holes) && few_chunks(g);
}

static int carry_out(struct pages *g, struct err *e)
{
    for (size_t i = 0; i < g->n_plan; i++) {
        const struct piece *pc = &g->plan[i];
        bool literal = pc->seq == PLAN_LITERAL;
        if (!literal)
            add(g, pc, i == 0);
        else if (put_literal(g, g->buf->p + pc->off, (size_t)pc->len, i == 0, e) < 0)
            return -e->code;
    }
    return 0;
}

/* The anchors of the n bytes in the buffer: what was[] has of them, and is as it was, need not be made again. */
static void note_anchors(struct pages *g, const struct base_region *was, bool same, uint64_t number,
                         size_t n)
{
    struct feed *f = g->f;
    bool keep[REGION_ANCHORS] = { false };
    bool had = was && was->len == n && base_anchors(g->base, number, &g->anchors, 1) == 1;
    for (size_t i = 0; had && i < anchors_in(n); i++) {
        size_t page = i * ANCHOR_STEP >> g->o->page_bits;
        size_t last = (i * ANCHOR_STEP + ANCHOR_BYTES - 1) >> g->o->page_bits;
        keep[i] = !bytes_all_zero(g->anchors.b[i], ANCHOR_SUM_BYTES);
        for (; !same && keep[i] && page <= last; page++)
            keep[i] = id_eq(&f->page_sums[0][page], &f->page_sums[1][page]);
    }
    anchors_make(f->anchors, g->buf->p, n, keep, &g->anchors);
    state_put_anchors(g->o->next, g->sums_at, number, &g->anchors);
}

/* n bytes in the buffer, with their sums, are the region with this number. was: NULL, or what was there. */
static int place_region(struct pages *g, const struct base_region *was, const struct id *sum,
                        uint64_t number, size_t n, struct err *e)
{
    struct feed *f = g->f;
    struct shift_view v = { .fd = g->fd, .off = number * REGION_BYTES, .p = g->buf->p, .n = n };
    bool same = was && was->len == n && was->sum && id_eq(was->sum, sum);
    if (was && !same && !base_page_sums(g->base, was, f->paged, f->page_sums[1]))
        was = NULL;
    if (g->sums_at > 0)
        note_anchors(g, was, same, number, n);
    bool shifts = g->shift && shift_region(g->shift, &v);
    bool planned = !same && (was || shifts || g->has_holes) && plan_region(g, was, n, shifts);
    if (g->shift)
        shift_seen(g->shift, g->buf->p, n);
    if (same)
        take_base(g, was);
    else
        return planned ? carry_out(g, e) : put_whole(g, n, e);
    return 0;
}

/* --- reading --------------------------------------------------------------------------------------- */
/* How many bytes there were; -1 with errno. */
static ssize_t read_region(struct pages *g, uint64_t off, size_t want)
{
    size_t got = 0;
    while (got < want) {
        ssize_t n = feed_read_part(g->f, g->fd, g->buf->p + got, want - got, off + got);
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

static int check_pages(struct feed *f, int fd, uint64_t off, uint8_t *p, size_t n, struct err *e)
{
    struct page_check *c = f->check;
    return c ? c->check(c->ctx, f->check_path, f->check_path_len, fd, off, p, n, e) : 0;
}

/* Which pages of the n bytes that were read from `off` on are not there on the disk. */
static void find_holes(struct pages *g, uint64_t off, size_t n)
{
    uint64_t from, to = off, end = off + n;
    size_t page = (size_t)1 << g->o->page_bits;
    g->has_holes = false;
    while (g->sparse && to < end) {
        uint64_t at = to;
        if (!feed_next_run(g->fd, at, end, &from, &to) || from < at || to < from)
            return;
        for (size_t i = (size_t)(at - off + page - 1) / page; (i + 1) * page <= from - off; i++) {
            if (!g->has_holes)
                memset(g->hole, 0, sizeof g->hole);
            g->hole[i] = bytes_all_zero(g->buf->p + i * page, page);
            g->has_holes = g->has_holes || g->hole[i];
        }
    }
}

/* Room for the pieces of a region, and a buffer. */
static int make_room(struct pages *g, struct err *e)
{
    struct feed *f = g->f;
    if (f->n_pieces + REGION_ROOM > MAX_PART_EXTENTS && feed_spill(f, f->n_pieces, e) < 0)
        return -e->code;
    if (!g->buf && !(g->buf = pipeline_buffer(f->p, e)))
        return -e->code;
    return 0;
}

/* One region from *off on. *ret_sys: an errno, or 0. */
static int one_region(struct pages *g, uint64_t *off, int *ret_sys, struct err *e)
{
    struct feed *f = g->f;
    struct base_region was;
    struct id sum;
    uint64_t number = *off / REGION_BYTES;
    size_t want = g->size - *off < REGION_BYTES ? (size_t)(g->size - *off) : REGION_BYTES;
    if (make_room(g, e) < 0)
        return -e->code;
    assert(g->buf);
    ssize_t n = read_region(g, *off, want);
    *ret_sys = n < 0 ? errno : 0;
    if (n < (ssize_t)want) /* it became shorter */
        g->size = *off + (n < 0 ? 0 : (uint64_t)n);
    if (n <= 0)
        return 0;
    if (check_pages(f, g->fd, *off, g->buf->p, (size_t)n, e) < 0)
        return -e->code;
    size_t pages = paged_pages((size_t)n, g->o->page_bits);
    paged_sums(f->paged, g->o->page_bits, g->buf->p, (size_t)n, f->page_sums[0]);
    paged_region_sum(f->paged, f->page_sums[0], pages, &sum);
    paged_hash_region(f->paged, &sum);
    if (g->o->next)
        state_add_page_sums(g->o->next, f->page_sums[0], pages);
    f->bytes_read += (uint64_t)n;
    find_holes(g, *off, (size_t)n);
    *off += (uint64_t)n;
    g->has_data = false;
    bool known = g->base && base_next(g->base, &was);
    int rc = place_region(g, known ? &was : NULL, &sum, number, (size_t)n, e);
    if (g->has_data)
        f->sums[f->n_sums++] = sum;
    return rc;
}

/* Whole regions in a hole from `off` on, or all up to the end. */
static uint64_t hole_at(struct pages *g, uint64_t off)
{
    uint64_t from = off, to;
    if (!g->sparse || !feed_next_run(g->fd, off, g->size, &from, &to) || from < off)
        return 0;
    if (from < g->size)
        return (from - off) / REGION_BYTES * REGION_BYTES;
    uint64_t there = feed_still_there(g->fd, g->size); /* or is it no file any more? */
    g->size = there > off ? there : off;
    return g->size - off;
}

static int skip_hole(struct pages *g, uint64_t n, struct err *e)
{
    struct piece pc = { .len = n, .seq = PIECE_HOLE };
    struct base_region was;
    if (make_room(g, e) < 0)
        return -e->code;
    feed_add_piece(g->f, &pc, true);
    paged_hash_zeros(g->f->paged, n);
    if (g->o->next)
        state_skip_page_sums(g->o->next, (n + REGION_BYTES - 1) / REGION_BYTES *
                                             (REGION_BYTES >> g->o->page_bits));
    for (uint64_t at = 0; g->base && at < n && base_next(g->base, &was);)
        at += REGION_BYTES;
    if (g->shift)
        shift_seen(g->shift, NULL, 0);
    return 0;
}

static int read_all(struct pages *g, struct feed_result *ret, struct err *e)
{
    uint64_t off = 0;
    int rc = 0;
    while (rc == 0 && off < g->size && ret->sys == 0) {
        uint64_t hole = hole_at(g, off);
        if (hole > 0)
            rc = skip_hole(g, hole, e);
        off += hole;
        if (rc == 0 && hole == 0)
            rc = one_region(g, &off, &ret->sys, e);
        feed_drop_behind(g->f, g->fd, off, false);
    }
    ret->size = off;
    return rc;
}

static int begin_shift(struct pages *g, uint64_t sums_at, struct err *e)
{
    struct feed *f = g->f;
    if (!g->o->shifts || f->check)
        return 0;
    if (!f->anchors && !(f->anchors = anchors_new()))
        return err_set(e, ERR_NOMEM, _("no memory"));
    struct shift_opts o = { .base = g->base, .anchors = f->anchors, .hash = f->paged };
    g->sums_at = sums_at;
    if (g->base && !(g->shift = shift_new(&o)))
        return err_set(e, ERR_NOMEM, _("no memory"));
    return 0;
}

int feed_read_pages(struct feed *f, int fd, const struct scan_stat *st, const struct feed_pages *o,
                    struct feed_result *ret, struct err *e)
{
    struct pages *g = calloc(1, sizeof *g);
    *ret = (struct feed_result){ .page_bits = o->page_bits };
    if (!g)
        return err_set(e, ERR_NOMEM, _("no memory"));
    g->f = f;
    g->o = o;
    g->fd = fd;
    g->size = st->size;
    g->sparse = !f->check && st->blocks * 512 < st->size;
    g->base = o->base && base_page_bits(o->base) == o->page_bits ? o->base : NULL;
    int rc = feed_start_file(f, e);
    if (rc == 0 && feed_cut(f, e) < 0)
        rc = -(int)e->code;
    ret->page_sums_at = o->next ? state_page_sums_at(o->next) : 0;
    if (rc == 0 && begin_shift(g, ret->page_sums_at, e) < 0)
        rc = -(int)e->code;
    feed_advise(f, fd, st->size);
    paged_hash_begin(f->paged, o->page_bits);
    if (rc == 0)
        rc = read_all(g, ret, e);
    feed_drop_behind(f, fd, st->size, true);
    if (g->buf)
        pipeline_discard(f->p, g->buf);
    ret->fresh = g->base ? g->fresh : 0;
    shift_free(g->shift);
    free(g);
    if (rc < 0)
        return rc;
    if (!o->next || state_page_sums_at(o->next) == 0) /* they could not be kept */
        ret->page_sums_at = 0;
    if (ret->size > 0)
        paged_hash_final(f->paged, &ret->hash);
    return 0;
}
