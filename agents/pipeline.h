/*
 * pipeline.h - what becomes of a chunk: hash → ask (HAVE) → where it is absent compress and seal → send
 * (PUT). One thread fills buffers and submits them; workers do the rest; a receiver takes the answers. The
 * memory for chunks in flight is a fixed pool, which is also what holds the filling thread back.
 *
 *     pipeline_new(&opts, &p, e)             sends DATAKEY, starts the threads
 *     b = pipeline_buffer(p, e)              waits for a free one; fill b->p, set b->len
 *     pipeline_submit(p, b)                  b belongs to the pipeline now; b->seq names the chunk
 *     pipeline_is_hashed / _wait_hashed      then pipeline_id(p, seq) is its id
 *     pipeline_finish(p, e)                  every chunk is there or was sent
 *     pipeline_committed(p, &id, e)          after the SNAPSHOT frame: waits for the answer
 *     pipeline_free(p)                       in any state; stops the threads
 *
 * The first failure anywhere (a broken link, CANCEL, an error of the peer) makes every call fail with it.
 * Ids are kept for the last PIPELINE_WINDOW chunks.
 */
#ifndef TWOFOLD_AGENTS_PIPELINE_H
#define TWOFOLD_AGENTS_PIPELINE_H

#include "lib/vault/chunk.h"
#include "lib/wire/wire.h"

#define PIPELINE_BUFFER_BYTES \
    ((2u << 20) + (64u << 10)) /* the longest chunk; behind the start of any, room for a page */
#define PIPELINE_BUFFERS 11
#define PIPELINE_WINDOW 16384u
#define PIPELINE_MAX_WORKERS 8

struct pipeline_opts {
    struct wire *w; /* borrowed; nobody else may receive from it */
    struct id vault_id;
    const uint8_t *recovery_pk, *dedup_key; /* copied */
    int level;                              /* zstd's */
    unsigned workers; /* 0: as many as there are processors, at most PIPELINE_MAX_WORKERS */
};

struct chunk_buf {
    uint8_t *p;
    size_t len, cap;
    uint64_t seq;
    /* the pipeline's own: */
    struct chunk_buf *next;
    struct id id;
    bool pooled;
};

struct pipeline;
int pipeline_new(const struct pipeline_opts *o, struct pipeline **ret, struct err *e);
void pipeline_free(struct pipeline *p); /* NULL-safe */

/* NULL: the run has failed. The buffer has PIPELINE_BUFFER_BYTES, len 0 and a new seq. */
struct chunk_buf *pipeline_buffer(struct pipeline *p, struct err *e);
/* One outside of the pool for a chunk of n bytes, should it be longer than those (a leaf with huge attributes). */
struct chunk_buf *pipeline_buffer_of(struct pipeline *p, size_t n, struct err *e);
void pipeline_submit(struct pipeline *p, struct chunk_buf *b); /* b->len > 0 */
/* A new seq for an empty buffer that was held for long: ids are kept for PIPELINE_WINDOW seqs, so one that is far behind the others when it is
 * submitted would be taken for another's. */
void pipeline_renumber(struct pipeline *p, struct chunk_buf *b);
/* Gives a buffer back unused; its seq is never hashed. */
void pipeline_discard(struct pipeline *p, struct chunk_buf *b);

bool pipeline_is_hashed(const struct pipeline *p, uint64_t seq); /* cheap */
int pipeline_wait_hashed(struct pipeline *p, uint64_t seq, struct err *e);
const struct id *pipeline_id(const struct pipeline *p,
                             uint64_t seq); /* of a hashed chunk in the window */

/* Plaintext of the chunks sent so far. */
uint64_t pipeline_bytes_sent(const struct pipeline *p);

int pipeline_finish(struct pipeline *p, struct err *e);
int pipeline_committed(struct pipeline *p, struct id *ret, struct err *e);
/* The box for the body; after pipeline_finish. */
struct chunk_box *pipeline_box(struct pipeline *p);
/* 0, or the failure that has happened. Cheap enough for every file. */
int pipeline_check(struct pipeline *p, struct err *e);
/* Makes a failure of the caller's known to all threads (they stop). */
void pipeline_fail(struct pipeline *p, const struct err *e);

#endif
