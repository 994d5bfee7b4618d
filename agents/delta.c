/* delta.c - see agents/delta.h. Two regions are looked at at a time, one by another thread. */
#include "agents/delta.h"
#include "agents/beside.h"
#include "lib/base/bytes.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <unistd.h>

#define AT_ONCE 2

struct region {
    uint64_t off;
    size_t len; /* 0: there is no more */
    bool data;  /* not one hole */
    struct id sum;
    struct extent x[MAX_PART_EXTENTS];
    size_t n;
    /* what is there: */
    int fd;
    unsigned page_bits;
    struct paged_hash *hash;
    uint8_t *bytes; /* REGION_BYTES */
    bool same;
};

struct delta {
    struct run *r;
    unsigned page_bits;
    struct parts parts;
    size_t next_sum;
    struct extent x; /* of which `rest` bytes are to come */
    uint64_t rest, off;
    struct region *region[AT_ONCE];
};

/* --- the snapshot's regions ------------------------------------------------------------------- */
/* 1: d->x is an extent of which something is left; 0: the end. */
static int need_extent(struct delta *d, struct err *e)
{
    uint64_t off;
    size_t before = d->parts.i;
    if (d->rest > 0)
        return 1;
    int rc = parts_next(&d->parts, &d->x, &off, e);
    if (rc != 0)
        return rc == FAILED_HERE ? -ERR_DAMAGED : rc;
    if (d->parts.i <= before) /* a new part */
        d->next_sum = 0;
    /* A continuation at the beginning of a leaf is not held against the file that it continues. */
    if (d->x.len > 0 && !(d->parts.en->flags & ENTRY_PAGED))
        return err_set(e, ERR_DAMAGED, _("a continuation of another kind"));
    d->rest = d->x.len;
    return d->rest > 0;
}

static int next_region(struct delta *d, struct region *g, struct err *e)
{
    int rc = 1;
    g->off = d->off;
    g->len = g->n = 0;
    g->data = false;
    while (g->len < REGION_BYTES && (rc = need_extent(d, e)) == 1) {
        size_t room = REGION_BYTES - g->len, part = d->rest < room ? (size_t)d->rest : room;
        bool no_sum = !d->x.hole && !g->data && d->next_sum == d->parts.en->n_sums;
        if (no_sum || g->n == MAX_PART_EXTENTS)
            return err_set(e, ERR_DAMAGED, _("a file in pages that is not in regions"));
        if (!d->x.hole && !g->data) {
            g->sum = d->parts.en->sums[d->next_sum++];
            g->data = true;
        }
        g->x[g->n] = d->x;
        g->x[g->n].off = d->x.off + (uint32_t)(d->x.hole ? 0 : d->x.len - d->rest);
        g->x[g->n++].len = part;
        g->len += part;
        d->rest -= part;
    }
    d->off += g->len;
    return rc < 0 ? rc : 0;
}

/* --- what is there ---------------------------------------------------------------------------- */
static void sum_of(struct region *g, struct id *ret)
{
    struct id pages[MAX_REGION_PAGES];
    paged_sums(g->hash, g->page_bits, g->bytes, g->len, pages);
    paged_region_sum(g->hash, pages, paged_pages(g->len, g->page_bits), ret);
}

static int look(void *ctx, struct err *e)
{
    struct region *g = ctx;
    struct id sum;
    g->same = false;
    if (g->len == 0)
        return 0;
    if (!g->data) { /* nothing there either? */
        off_t at = lseek(g->fd, (off_t)g->off, SEEK_DATA);
        g->same = at < 0 ? errno == ENXIO : (uint64_t)at >= g->off + g->len;
        if (g->same)
            return 0;
    }
    (void)e; /* what cannot be read is written again */
    if (sys_pread(g->fd, g->bytes, g->len, g->off, NULL) != (ssize_t)g->len)
        return 0;
    sum_of(g, &sum);
    g->same = g->data ? id_eq(&sum, &g->sum) : bytes_all_zero(g->bytes, g->len);
    return 0;
}

/* --- what differs ----------------------------------------------------------------------------- */
static int fetch_region(struct run *r, struct region *g, struct err *e)
{
    size_t at = 0;
    for (size_t i = 0; i < g->n; at += g->x[i++].len) {
        const struct extent *x = &g->x[i];
        struct piece *piece;
        if (x->hole) {
            memset(g->bytes + at, 0, x->len);
            continue;
        }
        int rc = fetch_get(r->fetch, &x->chunk, &piece, e);
        if (rc != 0)
            return rc == FETCH_GONE ? FAILED_HERE : rc;
        bool fits = x->off <= piece_len(piece) && x->len <= piece_len(piece) - x->off;
        if (fits)
            memcpy(g->bytes + at, piece_bytes(piece) + x->off, x->len);
        fetch_put(r->fetch, piece);
        if (!fits) {
            err_set(e, ERR_DAMAGED, _("a piece of its content is shorter than the snapshot says"));
            return FAILED_HERE;
        }
    }
    return 0;
}

/* Where holes cannot be made, zeros are as good. */
static int put_hole(struct region *g, uint64_t off, size_t at, size_t n, struct err *e)
{
    int how = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    if (sys_fault_step() == 0 && fallocate(g->fd, how, (off_t)off, (off_t)n) == 0)
        return 0;
    return run_judge(sys_pwrite(g->fd, g->bytes + at, n, off, e));
}

static int mend(struct run *r, struct region *g, struct err *e)
{
    struct id sum;
    int rc = fetch_region(r, g, e);
    if (rc != 0)
        return rc;
    sum_of(g, &sum);
    if (g->data && !id_eq(&sum, &g->sum)) {
        err_set(e, ERR_DAMAGED, _("its content is not what was saved"));
        return FAILED_HERE;
    }
    size_t at = 0;
    for (size_t i = 0; rc == 0 && i < g->n; at += g->x[i++].len) {
        uint64_t off = g->off + at;
        size_t n = (size_t)g->x[i].len;
        rc = g->x[i].hole ? put_hole(g, off, at, n, e)
                          : run_judge(sys_pwrite(g->fd, g->bytes + at, n, off, e));
    }
    return rc;
}

/* --- the whole -------------------------------------------------------------------------------- */
static int each_pair(struct delta *d, struct paged_hash *whole, uint64_t *ret_written,
                     struct err *e)
{
    struct err late = ERR_INIT;
    int rc = next_region(d, d->region[0], e);
    if (rc == 0)
        rc = next_region(d, d->region[1], e);
    if (rc < 0)
        return rc == -ERR_DAMAGED ? FAILED_HERE : rc;
    beside_run(d->r->beside, look, d->region[1]);
    rc = look(d->region[0], e);
    int other = beside_wait(d->r->beside, &late);
    if (rc == 0 && other != 0 && e)
        *e = late;
    rc = rc ? rc : other;
    for (size_t i = 0; rc == 0 && i < AT_ONCE && d->region[i]->len > 0; i++) {
        struct region *g = d->region[i];
        if (g->data)
            paged_hash_region(whole, &g->sum);
        else
            paged_hash_zeros(whole, g->len);
        d->r->rep.n.bytes_read += g->len;
        if (g->same)
            continue;
        rc = mend(d->r, g, e);
        *ret_written += g->len;
        d->r->rep.n.bytes += g->len;
    }
    return rc == 0 ? run_check(d->r, e) : rc;
}

static void delta_free(struct delta *d)
{
    for (size_t i = 0; d && i < AT_ONCE; i++) {
        if (d->region[i]) {
            paged_hash_free(d->region[i]->hash);
            free(d->region[i]->bytes);
        }
        free(d->region[i]);
    }
    free(d);
}

static struct delta *delta_new(struct run *r, struct entries *walk, struct entry *en, int fd)
{
    struct delta *d = calloc(1, sizeof *d);
    for (size_t i = 0; d && i < AT_ONCE; i++) {
        struct region *g = d->region[i] = calloc(1, sizeof *g);
        if (!g || !(g->bytes = malloc(REGION_BYTES)) || !(g->hash = paged_hash_new())) {
            delta_free(d);
            return NULL;
        }
        g->fd = fd;
        g->page_bits = en->page_bits;
    }
    if (d) {
        d->r = r;
        d->page_bits = en->page_bits;
        d->parts = parts_of(walk, en);
    }
    return d;
}

static int set_size(int fd, uint64_t size, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && (uint64_t)st.st_size == size)
        return 0;
    if (sys_fault_step() < 0 || ftruncate(fd, (off_t)size) < 0)
        return run_judge(err_sys(e, _("write")));
    return 0;
}

int delta_content(struct run *r, struct entries *walk, struct entry *en, int fd,
                  uint64_t *ret_written, struct err *e)
{
    struct id want = en->hash, have;
    uint64_t size = en->size;
    struct delta *d = delta_new(r, walk, en, fd);
    *ret_written = 0;
    if (!d)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    int rc = set_size(fd, size, e);
    paged_hash_begin(r->with.paged, d->page_bits);
    while (rc == 0 && d->off < size) {
        uint64_t before = d->off;
        rc = each_pair(d, r->with.paged, ret_written, e);
        if (rc == 0 && d->off == before)
            break;
    }
    bool complete = d->off == size;
    delta_free(d);
    if (rc != 0)
        return rc;
    paged_hash_final(r->with.paged, &have);
    if (complete && id_eq(&have, &want))
        return 0;
    err_set(e, ERR_DAMAGED, _("its content is not what was saved"));
    return FAILED_HERE;
}
