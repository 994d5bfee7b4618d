/*
 * source.h - where a reader of snapshots gets opened chunks from. The orchestrator's implementation falls
 * back over the copies (orchestrator/fetch.h); tests use a table in memory.
 */
#ifndef TWOFOLD_RESTORE_SOURCE_H
#define TWOFOLD_RESTORE_SOURCE_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct chunk_source {
    /* Replaces out's content by the chunk's plaintext. -ERR_DAMAGED: damaged or absent in every copy;
     * -ERR_UNREACHABLE: a copy that may have it is away. */
    int (*get)(void *ctx, const struct id *id, struct wbuf *out, struct err *e);
    void *ctx;
};

#endif
