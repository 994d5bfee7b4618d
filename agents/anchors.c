/* anchors.c - see agents/anchors.h. */
#include "agents/anchors.h"
#include "lib/base/bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* librsync.h wants these before it. */
#include <librsync.h>

#define STRONG_BYTES 32
#define HEAD_BYTES 12 /* of a signature: magic, length of a block, of a strong sum */
#define MAX_ANCHORS ((size_t)MAX_ANCHOR_REGIONS * REGION_ANCHORS)
#define SLOTS (2 * MAX_ANCHORS) /* a power of two */

struct anchors {
    uint8_t blocks[REGION_ANCHORS * ANCHOR_BYTES]; /* one behind the other, for librsync */
    uint8_t sums[HEAD_BYTES + REGION_ANCHORS * ANCHOR_SUM_BYTES];
    uint8_t delta[2 * ANCHOR_REACH];
    rs_signature_t *index;
    struct wbuf signature; /* from which it is made: each weak sum once */
    uint64_t where[MAX_ANCHORS];
    size_t n;
    uint32_t slots[SLOTS]; /* by weak sum: number of an anchor + 1, or 0 */
};

_Static_assert((SLOTS & (SLOTS - 1)) == 0, "slots are found by a mask");
_Static_assert(ANCHOR_SUM_BYTES == 4 + STRONG_BYTES, "a sum in a signature");

struct anchors *anchors_new(void)
{
    rs_trace_to(NULL); /* a library does not print */
    return calloc(1, sizeof(struct anchors));
}

static void drop_index(struct anchors *a)
{
    if (a->index)
        rs_free_sumset(a->index);
    a->index = NULL;
}

void anchors_free(struct anchors *a)
{
    if (!a)
        return;
    drop_index(a);
    wbuf_free(&a->signature);
    free(a);
}

/* The whole job, in memory. How many bytes came out, or -1. */
static ptrdiff_t run(rs_job_t *job, const uint8_t *in, size_t n, uint8_t *out, size_t room)
{
    if (!job)
        return -1;
    rs_buffers_t b = { .next_in = (char *)in,
                       .avail_in = n,
                       .eof_in = 1,
                       .next_out = (char *)out,
                       .avail_out = room };
    rs_result r = rs_job_iter(job, &b);
    rs_job_free(job);
    return r == RS_DONE ? (ptrdiff_t)(room - b.avail_out) : -1;
}

/* --- making ------------------------------------------------------------------------------------- */
size_t anchors_in(size_t region_bytes)
{
    return region_bytes < ANCHOR_BYTES ? 0 : (region_bytes - ANCHOR_BYTES) / ANCHOR_STEP + 1;
}

void anchors_make(struct anchors *a, const uint8_t *p, size_t n, const bool keep[REGION_ANCHORS],
                  struct anchor_sums *s)
{
    size_t has = anchors_in(n), made = 0;
    for (size_t i = 0; i < has; i++)
        if (!keep[i])
            memcpy(a->blocks + made++ * ANCHOR_BYTES, p + i * ANCHOR_STEP, ANCHOR_BYTES);
    ptrdiff_t got = 0;
    if (made > 0)
        got = run(rs_sig_begin(ANCHOR_BYTES, STRONG_BYTES, RS_RK_BLAKE2_SIG_MAGIC), a->blocks,
                  made * ANCHOR_BYTES, a->sums, sizeof a->sums);
    bool ok = got == (ptrdiff_t)(HEAD_BYTES + made * ANCHOR_SUM_BYTES);
    const uint8_t *from = a->sums + HEAD_BYTES;
    for (size_t i = 0; i < REGION_ANCHORS; i++) {
        if (i < has && keep[i])
            continue;
        memset(s->b[i], 0, ANCHOR_SUM_BYTES);
        if (i < has && ok) {
            memcpy(s->b[i], from, ANCHOR_SUM_BYTES);
            from += ANCHOR_SUM_BYTES;
        }
    }
}

/* --- the index ---------------------------------------------------------------------------------- */
static void put_be32(struct wbuf *w, uint32_t v)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        wb_u8(w, (uint8_t)(v >> shift));
}

void anchors_clear(struct anchors *a)
{
    drop_index(a);
    a->n = 0;
    memset(a->slots, 0, sizeof a->slots);
    wbuf_reset(&a->signature);
    put_be32(&a->signature, RS_RK_BLAKE2_SIG_MAGIC);
    put_be32(&a->signature, ANCHOR_BYTES);
    put_be32(&a->signature, STRONG_BYTES);
}

/* Is this weak sum new? Equal ones would make the index slow. */
static bool take_slot(struct anchors *a, const uint8_t *sum)
{
    uint32_t weak;
    memcpy(&weak, sum, sizeof weak);
    size_t i = (weak * UINT32_C(0x9e3779b1)) >> 7 & (SLOTS - 1);
    for (; a->slots[i]; i = (i + 1) & (SLOTS - 1)) {
        const uint8_t *there = a->signature.p + HEAD_BYTES +
                               (size_t)(a->slots[i] - 1) * ANCHOR_SUM_BYTES;
        if (memcmp(there, sum, sizeof weak) == 0)
            return false;
    }
    a->slots[i] = (uint32_t)a->n + 1;
    return true;
}

void anchors_add(struct anchors *a, uint64_t region, const struct anchor_sums *s)
{
    for (size_t i = 0; i < REGION_ANCHORS && a->n < MAX_ANCHORS && !a->signature.failed; i++) {
        if (bytes_all_zero(s->b[i], ANCHOR_SUM_BYTES) || !take_slot(a, s->b[i]))
            continue;
        wb_bytes(&a->signature, s->b[i], ANCHOR_SUM_BYTES);
        a->where[a->n++] = region * REGION_BYTES + i * ANCHOR_STEP;
    }
}

bool anchors_build(struct anchors *a)
{
    const struct wbuf *w = &a->signature;
    if (a->n == 0 || w->failed || a->index)
        return a->index;
    if (run(rs_loadsig_begin(&a->index), w->p, w->len, a->delta, sizeof a->delta) < 0 ||
        rs_build_hash_table(a->index) != RS_DONE)
        drop_index(a);
    return a->index;
}

/* --- looking ------------------------------------------------------------------------------------- */
static uint64_t be_number(struct rbuf *r, unsigned bytes)
{
    uint64_t v = 0;
    while (bytes-- > 0)
        v = v << 8 | rb_u8(r);
    return v;
}

/* One command of a delta (librsync, doc/format.md). False: the end. */
static bool next_command(struct rbuf *r, bool *ret_copy, uint64_t *ret_from, uint64_t *ret_len)
{
    unsigned op = rb_u8(r);
    *ret_copy = op >= 0x45 && op <= 0x54;
    if (*ret_copy) {
        *ret_from = be_number(r, 1u << (op - 0x45) / 4);
        *ret_len = be_number(r, 1u << (op - 0x45) % 4);
    } else if (op >= 0x01 && op <= 0x44) {
        *ret_len = op <= 0x40 ? op : be_number(r, 1u << (op - 0x41));
        (void)rb_bytes(r, (size_t)*ret_len);
    } else {
        return false;
    }
    return !r->bad;
}

size_t anchors_find(struct anchors *a, const uint8_t *p, size_t n,
                    struct anchor_hit ret[MAX_ANCHOR_HITS])
{
    size_t hits = 0, at = 0;
    bool copy;
    uint64_t from = 0, len;
    if (!a->index || n < ANCHOR_BYTES || n > ANCHOR_REACH)
        return 0;
    ptrdiff_t got = run(rs_delta_begin(a->index), p, n, a->delta, sizeof a->delta);
    if (got < 4) /* the magic number */
        return 0;
    struct rbuf r = rbuf_of(a->delta + 4, (size_t)got - 4);
    while (hits < MAX_ANCHOR_HITS && next_command(&r, &copy, &from, &len)) {
        /* Of several blocks in a row only the first is looked at: they lie far apart in the file. */
        if (copy && from % ANCHOR_BYTES == 0 && from / ANCHOR_BYTES < a->n)
            ret[hits++] = (struct anchor_hit){ .at = at, .old = a->where[from / ANCHOR_BYTES] };
        at += (size_t)len;
    }
    return hits;
}
