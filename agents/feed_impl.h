/* feed_impl.h - what feed.c and feed_pages.c share; the manual is agents/feed.h. */
#ifndef TWOFOLD_AGENTS_FEED_IMPL_H
#define TWOFOLD_AGENTS_FEED_IMPL_H

#include "agents/anchors.h"
#include "agents/feed.h"
#include "lib/codec/cdc.h"

#define MAX_PIECES ((size_t)2 * MAX_PART_EXTENTS)

struct feed {
    struct pipeline *p;
    struct cdc *cdc;
    struct sha256 *hash;
    struct paged_hash *paged;
    struct anchors *anchors; /* NULL: not needed yet */
    struct chunk_buf
        *buf; /* being filled with what small files hold, or a part of a large one; or NULL */
    struct chunk_buf *literals; /* being filled with pages that changed, of many files; or NULL */
    unsigned files_in_chunk;
    int (*on_chunk)(void *ctx, struct err *e);
    void *ctx;
    uint64_t bytes_read;
    struct page_check *check;
    const char *check_path;
    size_t check_path_len;
    /* the file being read: */
    struct spool *spilled; /* parts that are final: struct part_head, extents, sums */
    uint64_t n_spilled;    /* how many parts */
    uint64_t next_spilled; /* where the next one that is asked for begins */
    size_t given;          /* pieces */
    bool last_given;
    size_t n_pieces, n_sums;
    bool drop;        /* its pages were not cached before */
    uint64_t dropped; /* up to there they were dropped */
    struct piece pieces[MAX_PIECES];
    struct id sums
        [MAX_PART_EXTENTS]; /* of the regions of the pieces; none for a file that is not in pages */
    struct extent part[MAX_PART_EXTENTS];
    struct id part_sums[MAX_PART_EXTENTS];
    struct id page_sums[2][MAX_REGION_PAGES]; /* of the region: now, and in the last run */
};

/* Hands a full buffer on; whatever held it must not any more. */
int feed_submit(struct feed *f, struct chunk_buf *full, struct err *e);
/* The first n pieces, and all sums, become a part. Nothing may be half done: chunks are cut. */
int feed_spill(struct feed *f, size_t n, struct err *e);
void feed_add_piece(struct feed *f, const struct piece *pc, bool may_join);
/* At most `want` bytes to p, as whole pages where the file is checked and does not end before. As pread. */
ssize_t feed_read_part(struct feed *f, int fd, uint8_t *p, size_t want, uint64_t pos);
/* Tells the kernel how a large file is read, and whether its pages were there before us: those that were
 * not are dropped behind us, so that a backup does not push out what others work with. */
void feed_advise(struct feed *f, int fd, uint64_t size);
void feed_drop_behind(struct feed *f, int fd, uint64_t pos, bool last);
/* How much of `size` bytes the file still has. */
uint64_t feed_still_there(int fd, uint64_t size);
/* The data behind `pos`: [*ret_from, *ret_to), empty at `size` when only a hole is left. False: the file
 * system does not say. */
bool feed_next_run(int fd, uint64_t pos, uint64_t size, uint64_t *ret_from, uint64_t *ret_to);
/* Forgets the file before. */
int feed_start_file(struct feed *f, struct err *e);
#endif
