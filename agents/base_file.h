/*
 * base_file.h - a file in pages as the last run left it: one region after the other, what it consists of and the sums of its pages. For
 * agents/feed_pages.c; one thread.
 */
#ifndef TWOFOLD_AGENTS_BASE_FILE_H
#define TWOFOLD_AGENTS_BASE_FILE_H

#include "agents/state.h"

struct base_region {        /* borrowed until the next call */
    const struct extent *x; /* what it consists of */
    size_t n;
    uint64_t len;
    const struct id *sum; /* NULL: all of it is a hole */
    uint64_t number;      /* in the file, from 0 on */
};

struct base_file;
/* s stands at `en`, a file in pages; both are borrowed, and nobody else moves s meanwhile. NULL: no memory. */
struct base_file *base_file_new(struct state_reader *s, const struct entry *en);
void base_file_free(struct base_file *b); /* NULL-safe */
/* A second one, from the file's beginning on; b must outlive it. NULL: no memory, or the state cannot be read. */
struct base_file *base_file_again(const struct base_file *b);
unsigned base_page_bits(const struct base_file *b);
/* The next one; false: there is no more, or the state cannot be read. */
bool base_next(struct base_file *b, struct base_region *ret);
/* The sums of its pages. False: they are lost. Right ones make the region's sum: others are never given. */
bool base_page_sums(const struct base_file *b, const struct base_region *r, struct paged_hash *h,
                    struct id *ret);
/* The anchors of n regions from the given one on. How many there are. */
size_t base_anchors(const struct base_file *b, uint64_t region, struct anchor_sums *ret, size_t n);

#endif
