/*
 * anchors.h - how data are found that lie somewhere else in a file than they did: the signature (librsync's, BLAKE2 in full length) of a short
 * block, an anchor, every 64 KiB of the file as it was. librsync rolls over what is new; a block that it finds says by how far the data
 * shifted, at a cost of 576 bytes for each MiB that was read. That the bytes are the same is for others to prove: an anchor is a hint, and
 * a wrong one, or one that somebody else made, costs time and nothing more.
 *
 *     anchors_make(…)                         while a region is read, to be kept
 *     anchors_clear, _add…, _build            those of a stretch of the old file; the nearest first: of equal blocks the first one counts
 *     anchors_find(…)                         in bytes of the new one
 */
#ifndef TWOFOLD_AGENTS_ANCHORS_H
#define TWOFOLD_AGENTS_ANCHORS_H

#include "lib/vault/paged.h"
#include <stdbool.h>

#define ANCHOR_BYTES 2048u
#define ANCHOR_STEP (64u << 10)
#define REGION_ANCHORS (REGION_BYTES / ANCHOR_STEP)
#define ANCHOR_SUM_BYTES 36 /* as in librsync's signatures: u32 weak sum, big-endian ‖ BLAKE2 */
#define MAX_ANCHOR_REGIONS 1024
/* Bytes in which one whole anchor must lie, should they be old ones. */
#define ANCHOR_REACH (ANCHOR_STEP + ANCHOR_BYTES)
#define MAX_ANCHOR_HITS 4

/* Of one region. All zeros: there is none. */
struct anchor_sums {
    uint8_t b[REGION_ANCHORS][ANCHOR_SUM_BYTES];
};

struct anchors;
struct anchors *anchors_new(void);      /* NULL: no memory */
void anchors_free(struct anchors *a);   /* NULL-safe */
size_t anchors_in(size_t region_bytes); /* how many a region has */
/* Those of n bytes; where keep[i] is set, s->b[i] is right already. Out of memory: none. */
void anchors_make(struct anchors *a, const uint8_t *p, size_t n, const bool keep[REGION_ANCHORS],
                  struct anchor_sums *s);

void anchors_clear(struct anchors *a);
/* Of the region with this number, at most MAX_ANCHOR_REGIONS. */
void anchors_add(struct anchors *a, uint64_t region, const struct anchor_sums *s);
bool anchors_build(struct anchors *a); /* false: there are none, or no memory */

struct anchor_hit {
    size_t at;    /* in the bytes that were looked through */
    uint64_t old; /* where these lay in the old file */
};
/* In n bytes, at most ANCHOR_REACH. How many were found. */
size_t anchors_find(struct anchors *a, const uint8_t *p, size_t n,
                    struct anchor_hit ret[MAX_ANCHOR_HITS]);

#endif
