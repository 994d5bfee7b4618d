/*
 * feed.h - reading files into chunks. The contents of consecutive files make one stream that is cut by
 * what is in it (lib/codec/cdc.h); small files share chunks, a file of FEED_OWN_BYTES or more has chunks
 * of its own. Holes are never read. For one thread.
 */
#ifndef TWOFOLD_AGENTS_FEED_H
#define TWOFOLD_AGENTS_FEED_H

#include "agents/pipeline.h"
#include "agents/scan.h"
#include "agents/source.h"
#include "agents/spool.h"
#include "lib/vault/manifest.h"

#define FEED_OWN_BYTES (1u << 20)

/* A part of a file: where its bytes went. */
#define PIECE_HOLE UINT64_MAX
struct piece {
    uint64_t len, seq; /* PIECE_HOLE, or the chunk's */
    uint32_t off;
};

struct feed_result {
    int sys; /* 0, or the errno that ended reading: nothing else is valid */
    bool sparse;
    uint64_t size;              /* what was read, holes included */
    struct id hash;             /* undefined when size is 0 */
    const struct piece *pieces; /* the last ones; borrowed until the next call */
    size_t n_pieces;
    uint64_t n_spilled;    /* the extents before them: struct extent, in *spilled; whole parts */
    struct spool *spilled; /* borrowed */
};

struct feed_opts {
    struct pipeline *p;
    const uint8_t *cdc_key; /* copied */
    int dir_fd;             /* for what does not fit in memory */
    /* After every chunk that was submitted; may be NULL. */
    int (*on_chunk)(void *ctx, struct err *e);
    void *ctx;
};

struct feed;
int feed_new(const struct feed_opts *o, struct feed **ret, struct err *e);
void feed_free(struct feed *f); /* NULL-safe */
/* What the next file is checked with while it is read, and its path; NULL: nothing. Borrowed until the next call. */
void feed_set_check(struct feed *f, const struct page_check *check, const char *path, size_t len);
/* Reads the regular file behind fd, st->size bytes of it (less when it turns out to be shorter). Negative
 * only when the run cannot go on. */
int feed_read(struct feed *f, int fd, const struct scan_stat *st, struct feed_result *ret,
              struct err *e);
/* Ends the chunk being filled, should there be one. */
int feed_cut(struct feed *f, struct err *e);
/* Is this the chunk being filled? It is not hashed before it is cut. */
bool feed_is_open(const struct feed *f, uint64_t seq);
/* Bytes read from files so far. */
uint64_t feed_bytes_read(const struct feed *f);

#endif
