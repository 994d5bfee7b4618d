/* base_file.c - see agents/base_file.h. */
#include "agents/base_file.h"

#include <stdlib.h>

struct base_file {
    struct state_reader *s;
    struct state_reader *own; /* s, where it is ours */
    struct state_place begin; /* of the file */
    const struct entry *en;   /* the part that we are in */
    unsigned page_bits;
    uint64_t page_sums_at;
    size_t at, next_sum;  /* in the part */
    uint64_t in_extent;   /* of a hole over several regions: how much of it is behind us */
    uint64_t next_number; /* of a region */
    struct extent x[MAX_PART_EXTENTS];
};

struct base_file *base_file_new(struct state_reader *s, const struct entry *en)
{
    struct base_file *b = malloc(sizeof *b);
    if (!b)
        return NULL;
    b->s = s;
    b->own = NULL;
    b->begin = state_place(s);
    b->en = en;
    b->page_bits = en->page_bits;
    b->page_sums_at = en->page_sums_at;
    b->at = b->next_sum = 0;
    b->in_extent = b->next_number = 0;
    return b;
}

struct base_file *base_file_again(const struct base_file *b)
{
    const struct entry *en;
    struct state_reader *s = state_again(b->s, b->begin, &en);
    struct base_file *again = s ? base_file_new(s, en) : NULL;
    if (!again) {
        state_close(s);
        return NULL;
    }
    again->own = s;
    return again;
}

void base_file_free(struct base_file *b)
{
    if (b)
        state_close(b->own);
    free(b);
}

unsigned base_page_bits(const struct base_file *b)
{
    return b->page_bits;
}

/* Parts are whole regions, so this is only asked for where one begins. */
static bool next_part(struct base_file *b)
{
    while (b->en && b->at == b->en->n_extents) {
        b->en = b->en->flags & ENTRY_HAS_MORE ? state_more(b->s) : NULL;
        b->at = b->next_sum = 0;
    }
    return b->en;
}

bool base_next(struct base_file *b, struct base_region *ret)
{
    struct base_region r = { .x = b->x, .number = b->next_number++ };
    bool data = false;
    if (!next_part(b))
        return false;
    while (r.len < REGION_BYTES && b->at < b->en->n_extents) {
        const struct extent *x = &b->en->extents[b->at];
        uint64_t left = x->len - b->in_extent, room = REGION_BYTES - r.len;
        struct extent *to = &b->x[r.n++];
        *to = *x;
        to->len = left < room ? left : room;
        to->off = x->hole ? 0 : x->off + (uint32_t)b->in_extent;
        data = data || !x->hole;
        r.len += to->len;
        b->in_extent += to->len;
        if (b->in_extent == x->len) {
            b->in_extent = 0;
            b->at++;
        }
    }
    r.sum = data ? &b->en->sums[b->next_sum++] : NULL;
    *ret = r;
    return true;
}

bool base_page_sums(const struct base_file *b, const struct base_region *r, struct paged_hash *h,
                    struct id *ret)
{
    struct id sum;
    size_t n = paged_pages((size_t)r->len, b->page_bits);
    uint64_t before = r->number * (REGION_BYTES >> b->page_bits) * sizeof *ret;
    if (!r->sum || b->page_sums_at == 0 || !state_page_sums(b->s, b->page_sums_at + before, ret, n))
        return false;
    paged_region_sum(h, ret, n, &sum);
    return id_eq(&sum, r->sum);
}

size_t base_anchors(const struct base_file *b, uint64_t region, struct anchor_sums *ret, size_t n)
{
    return b->page_sums_at > 0 ? state_anchors(b->s, b->page_sums_at, region, ret, n) : 0;
}
