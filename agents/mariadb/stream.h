/*
 * stream.h - a server's binary logs as a replica is sent them: the bytes of one file after the other, from each one's beginning, as it writes
 * them. What is only said on the way (where a file begins, beats) is taken out, so the bytes are those of the server's own files, but for the
 * mark "in use" in a file's first event, which is not set; encrypted logs come readable.
 *
 *     my_link_open(server, &l, e)
 *     my_stream_open(server, "bl.000007", &s, e)
 *     my_stream_next(s, &part, e) … until PART_NONE, then wait for my_stream_fd(s)
 */
#ifndef TWOFOLD_AGENTS_MARIADB_STREAM_H
#define TWOFOLD_AGENTS_MARIADB_STREAM_H

#include "agents/mariadb/server.h"

#define MAX_BINLOG_NAME 512
#define BINLOG_MAGIC \
    "\xfe"           \
    "bin"
#define BINLOG_MAGIC_BYTES 4
#define EVENT_HEAD_BYTES 19
#define EVENT_SUM_BYTES 4

/* --- questions, one after the other, in a session that stays open */
struct my_link;
int my_link_open(const struct my_server *s, struct my_link **ret, struct err *e);
/* As my_query: rows for my_fields, owned. */
int my_link_query(struct my_link *l, const char *sql, char **ret, struct err *e);
void my_link_free(struct my_link *l); /* NULL-safe */

/* --- names of binary logs: BASE.NUMBER */
/* 0: it is none. */
uint32_t my_log_number(const char *name);
/* Of the same series? */
bool my_log_base_same(const char *name, const char *other);

/* --- the stream */
struct my_stream;
enum my_part_kind {
    PART_NONE,  /* nothing is there now */
    PART_FILE,  /* a file begins: name */
    PART_BYTES, /* what comes next of it: p, n */
    PART_END,   /* the server has ended the stream */
};
struct my_part { /* borrowed until the next call */
    enum my_part_kind kind;
    const char *name;
    const uint8_t *p;
    size_t n;
};
int my_stream_open(const struct my_server *s, const char *file, struct my_stream **ret,
                   struct err *e);
int my_stream_fd(const struct my_stream *s);
/* Where the last event ends that has come whole. */
uint64_t my_stream_at(const struct my_stream *s);
/* Does not wait. -ERR_ABSENT: the server has not got that file; -ERR_NOT_WHOLE: the file ends within an event, which has not come: it is that
 * of a server that died; -ERR_DAMAGED: an event has not the sum that stands in it. */
int my_stream_next(struct my_stream *s, struct my_part *ret, struct err *e);
void my_stream_free(struct my_stream *s); /* NULL-safe */

#endif
