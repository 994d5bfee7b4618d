/*
 * log_sink.h - where a driver puts what a database writes into its log (agents/source.h: follow). Pieces are sealed here and sent to the
 * orchestrator, which says when they are durable in the copies; until then the database must keep them.
 *
 *     log_sink_put(k, LOG_BYTES, timeline, from, p, n, e);      at most MAX_LOG_PIECE bytes
 *     log_sink_wait(k, server_fd, 1000, &ready, e);             until the server or the orchestrator has something to say
 *     log_sink_durable(k, &timeline, &position);                what the server need not keep any more
 *
 * All is the driver's thread's; one of the sink's own listens to the orchestrator.
 */
#ifndef TWOFOLD_AGENTS_LOG_SINK_H
#define TWOFOLD_AGENTS_LOG_SINK_H

#include "agents/log_frames.h"

#define LOG_SINK_ROOM (64u << 20) /* bytes that may be on their way */
#define LOG_SINK_PIECES 8192u     /* and pieces */
#define LOG_SINK_REPLY_MS \
    (10u * 60 * 1000) /* the orchestrator makes nothing durable for so long: it is of no use */

struct log_sink;
/* Sends the data key; start: as msg_logs has it. */
int log_sink_new(struct wire *w, const struct msg_backup *m, const struct msg_logs *start,
                 struct log_sink **ret, struct err *e);
void log_sink_free(struct log_sink *k); /* NULL-safe */

/* Which database it is; before the first piece. */
void log_sink_system(struct log_sink *k, uint64_t system);
/* What comes next does not go on where the stream ended. Before the first piece, or between two. */
void log_sink_break(struct log_sink *k);
int log_sink_put(struct log_sink *k, enum log_kind kind, uint32_t timeline, uint64_t start,
                 const void *p, size_t n, struct err *e);
/* Is so much on its way that nothing should be added? */
bool log_sink_full(struct log_sink *k);
/* Until fd (-1: none) can be read, or news came, or ms have passed. -ERR_INTERRUPTED: by a signal, or the orchestrator is through. */
int log_sink_wait(struct log_sink *k, int fd, unsigned ms, bool *ret_readable, struct err *e);
/* The end of what is durable; false: nothing is yet. */
bool log_sink_durable(struct log_sink *k, uint32_t *ret_timeline, uint64_t *ret_position);
/* Numbers of the last piece that was put, and of the last that is durable: until the first, the last of the stream before. */
uint64_t log_sink_seq(const struct log_sink *k);
uint64_t log_sink_durable_seq(struct log_sink *k);
/* What tells this stream from any other. */
void log_sink_owner(const struct log_sink *k, struct id *ret);
/* How far the server itself is; told once a second. */
int log_sink_head(struct log_sink *k, uint32_t timeline, uint64_t position, struct err *e);

#endif
