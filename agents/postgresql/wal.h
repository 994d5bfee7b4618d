/*
 * wal.h - reading the records of a server's log as far as it takes to say what was committed when: page headers, the beginning of each
 * record, and of those that end a transaction its time. The forms are those of PostgreSQL 12 to 17 (xlogrecord.h, xlog_internal.h, xact.h);
 * what is not understood is passed over, and reading goes on with the next page.
 */
#ifndef TWOFOLD_AGENTS_POSTGRESQL_WAL_H
#define TWOFOLD_AGENTS_POSTGRESQL_WAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WAL_HEAD_BYTES 64 /* of a record that are looked at */
#define WAL_POINT_BYTES 64
#define WAL_PLACE_BYTES 1024 /* MAXPGPATH */

struct wal_commit {  /* the end of a transaction, or a named point */
    uint64_t end;    /* the position behind its record */
    int64_t time_us; /* since 1970 */
    bool is_point;
    char point[WAL_POINT_BYTES + 1]; /* its name */
};
typedef void wal_commit_fn(void *ctx, const struct wal_commit *c);

/* Settings that a server in recovery must have at least so large (xl_parameter_change): they were changed here. */
#define WAL_PARAMETERS \
    5 /* max_connections, max_worker_processes, max_wal_senders, max_prepared_transactions, max_locks_per_transaction */
/* A tablespace is made here, at a place of the original's: whoever replays this record makes (and empties) that very folder. */
typedef void wal_tablespace_fn(void *ctx, uint64_t at, const char *place);
typedef void wal_parameters_fn(void *ctx, const uint32_t v[WAL_PARAMETERS]);

struct wal_reader {
    wal_commit_fn *fn;             /* set by the caller before the first byte */
    wal_parameters_fn *parameters; /* these may be NULL */
    wal_tablespace_fn *tablespace;
    void *ctx;
    /* Each record must be right: by its sum, and by what it says of the one before; each page must be of that server and no later timeline. What is
     * not, ends it: nothing behind it counts. For a log that nobody has vouched for. */
    bool strict;
    uint64_t system; /* strict: of the server */
    uint32_t timeline, segment_bytes;
    uint64_t at;   /* the position of the next byte */
    uint64_t end;  /* behind the last whole record */
    uint64_t last; /* where that record begins */
    /* its own */
    bool lost; /* until the next page */
    uint8_t page[40];
    size_t page_have, page_want;
    uint8_t head[WAL_HEAD_BYTES + WAL_PLACE_BYTES];
    size_t have;         /* of the record, in all */
    uint64_t begin;      /* where the record that is read begins */
    uint32_t want;       /* its length; 0: none is begun */
    uint32_t skip;       /* bytes of a record whose beginning was not seen */
    uint32_t sum;        /* of the record so far */
    uint64_t idle_until; /* strict: the rest of a segment that was left before its end */
    bool known;          /* strict: `last` is where the record before the next one begins */
    bool broken;         /* strict: it has ended */
    bool foreign;        /* because a page is another server's, or another timeline's */
};
/* CRC-32C, as the server reckons it; begin and end with ~0. */
uint32_t wal_sum(uint32_t sum, const uint8_t *p, size_t n);
#define WAL_PAGE_BYTES 8192u

/* `at` is the beginning of a page. What the caller sets stays. */
void wal_reader_begin(struct wal_reader *r, uint64_t at);
/* Bytes in their order. */
void wal_reader_feed(struct wal_reader *r, const uint8_t *p, size_t n);

#endif
