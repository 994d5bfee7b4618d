/*
 * fetch_remote.h - the chunks of a snapshot, asked for over the wire, opened by worker threads,
 * and kept for a while: many small files share a chunk, and files come in the order of their
 * paths.
 *
 *     fetch_new(wire, &vault_id, &f, e);
 *     fetch_ahead(f, &id);                        soon to be needed: asks, does not wait
 *     switch (fetch_get(f, &id, &piece, e)) ...   waits; borrowed until fetch_put
 *     fetch_put(f, piece);
 *     fetch_free(f);
 *
 * One thread receives; that thread is the only one that reads from the wire while a fetch exists.
 * A chunk that does not open is sent back as BAD and comes again from the next copy, until the
 * orchestrator says that there is no other. Memory is bounded by the limits below, whatever the
 * snapshot looks like, as long as callers hold few pieces at a time. All functions may be called
 * from several threads.
 */
#ifndef TWOFOLD_AGENTS_FETCH_REMOTE_H
#define TWOFOLD_AGENTS_FETCH_REMOTE_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/base/id.h"
#include "lib/wire/wire.h"

#define FETCH_MAX_ASKED 16            /* chunks on their way ahead of need */
#define FETCH_AHEAD_BYTES (14u << 20) /* opened or on their way, not yet used */
#define FETCH_CACHE_BYTES (26u << 20) /* opened, those ahead counted in */
#define FETCH_MAX_WORKERS 4
#define FETCH_MAX_TRIES 64 /* BADs for one chunk before it counts as lost */
#define MAX_SESSION_KEYS 65536

struct fetch;
struct piece; /* one opened chunk */

int fetch_new(struct wire *w, const struct id *vault_id, struct fetch **ret, struct err *e);
/* Ends the threads. All pieces must have been put back. NULL-safe. */
void fetch_free(struct fetch *f);

enum { FETCH_GONE = 1 };
/* 0: the piece. FETCH_GONE: no copy can bring it; e says why (ERR_DAMAGED, or ERR_UNREACHABLE when
 * a copy that may have it could not be reached). Negative: the wire broke or the orchestrator gave
 * up; every further call says the same. */
int fetch_get(struct fetch *f, const struct id *id, struct piece **ret, struct err *e);
/* The piece when it is there at this moment, else NULL. */
struct piece *fetch_peek(struct fetch *f, const struct id *id);
void fetch_put(struct fetch *f, struct piece *p); /* NULL-safe */
/* The same, and it was used to its end: of what is not needed again, as it seems, it goes first, unless it is used once more. */
void fetch_put_spent(struct fetch *f, struct piece *p);
const uint8_t *piece_bytes(const struct piece *p);
size_t piece_len(const struct piece *p);
/* The pieces of a database's log that the orchestrator has (agents/log_frames.h); each is a chunk then, by its log_piece_id. All owned. */
struct log_piece;
struct msg_want_log;
struct fetch_log_result {
    struct log_piece *pieces;
    size_t n;
    char *source;     /* what they are sealed for */
    char *why;        /* why there is no more; empty: these are all that are kept */
    int64_t known_ns; /* up to then these are all that the database wrote, by its host's clock */
};
int fetch_log_list(struct fetch *f, const struct msg_want_log *want, struct fetch_log_result *ret,
                   struct err *e);
/* Waits until nothing that was asked for is on its way any more: the peer may then be left.
 * Negative as fetch_get. */
int fetch_drain(struct fetch *f, struct err *e);
/* Has the wire broken, or the orchestrator cancelled? Then every call above says why. */
bool fetch_broken(struct fetch *f);
/* Asks for a chunk that will be needed soon. false: there is no room for more now. Failures show
 * in fetch_get. */
bool fetch_ahead(struct fetch *f, const struct id *id);

#endif
