/*
 * feed.h - reading files into chunks. The contents of consecutive files make one stream that is cut by
 * what is in it (lib/codec/cdc.h); small files share chunks, a file of FEED_OWN_BYTES or more has chunks
 * of its own. Holes are never read. For one thread.
 *
 * A file that is rewritten in place can be read in pages instead (feed_read_pages): each region of it (lib/vault/paged.h) is what it was in
 * the last run, or that but for some pages or for where it lies, or a chunk of its own. Changed pages of all files are gathered in chunks.
 */
#ifndef TWOFOLD_AGENTS_FEED_H
#define TWOFOLD_AGENTS_FEED_H

#include "agents/base_file.h"
#include "agents/pipeline.h"
#include "agents/scan.h"
#include "agents/source.h"
#include "agents/spool.h"
#include "lib/vault/manifest.h"

#define FEED_OWN_BYTES (1u << 20)

/* A part of a file: where its bytes went. */
#define PIECE_HOLE UINT64_MAX
#define PIECE_KNOWN (UINT64_MAX - 1)
struct piece {
    uint64_t len, seq; /* the chunk's; or PIECE_HOLE, or PIECE_KNOWN: a chunk that the vault has */
    uint32_t off;
    struct id chunk; /* PIECE_KNOWN */
};
static inline bool piece_waits(const struct piece *pc) /* its chunk has no id before it is hashed */
{
    return pc->seq < PIECE_KNOWN;
}

struct feed_result {
    int sys; /* 0, or the errno that ended reading: nothing else is valid */
    bool sparse;
    uint64_t size;         /* what was read, holes included */
    struct id hash;        /* undefined when size is 0 */
    unsigned page_bits;    /* 0: not in pages */
    uint64_t fresh;        /* in pages, of a file with a base: bytes that are not the base's */
    uint64_t page_sums_at; /* in the state that is being written; 0: they are not kept */
};

/* Its extents come in parts, each at most MAX_PART_EXTENTS; all is borrowed until the next call for the feed. */
struct feed_part {
    const struct piece *pieces; /* NULL: `extents` are final */
    const struct extent *extents;
    size_t n;
    const struct id *sums; /* struct entry */
    size_t n_sums;
    bool last;
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
/* The next part of the file that was read; an empty one has one, too. 1, 0: no more. */
int feed_next_part(struct feed *f, struct feed_part *ret, struct err *e);

struct feed_pages {
    unsigned page_bits;
    struct base_file *base;    /* the file in the last run, or NULL */
    struct state_writer *next; /* for the sums of its pages; may be NULL */
    bool shifts;               /* data in it may come to lie elsewhere: agents/shift.h */
};
/* The same in pages. What it has of the base must be in the vault. */
int feed_read_pages(struct feed *f, int fd, const struct scan_stat *st, const struct feed_pages *o,
                    struct feed_result *ret, struct err *e);

/* What the next file is checked with while it is read, and its path; NULL: nothing. Borrowed until the next call. */
void feed_set_check(struct feed *f, struct page_check *check, const char *path, size_t len);
/* Reads the regular file behind fd, st->size bytes of it (less when it turns out to be shorter). Negative
 * only when the run cannot go on. */
int feed_read(struct feed *f, int fd, const struct scan_stat *st, struct feed_result *ret,
              struct err *e);
/* Reads what `read` gives (struct source_root), to its end; ret->sys stays 0. */
int feed_read_stream(struct feed *f, ssize_t (*read)(void *ctx, void *p, size_t n, struct err *e),
                     void *ctx, struct feed_result *ret, struct err *e);
/* Ends the chunk being filled, should there be one. */
int feed_cut(struct feed *f, struct err *e);
/* The same, when that is this chunk: it is not hashed before. */
int feed_cut_chunk(struct feed *f, uint64_t seq, struct err *e);
/* Bytes read from files so far. */
uint64_t feed_bytes_read(const struct feed *f);
/* Bytes of chunks that were not there and have been sent so far: some that were submitted are still on their way. */
uint64_t feed_bytes_sent(const struct feed *f);

#endif
