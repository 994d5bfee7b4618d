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

struct wal_commit {  /* the end of a transaction, or a named point */
    uint64_t end;    /* the position behind its record */
    int64_t time_us; /* since 1970 */
    bool is_point;
    char point[WAL_POINT_BYTES + 1]; /* its name */
};
typedef void wal_commit_fn(void *ctx, const struct wal_commit *c);

struct wal_reader {
    wal_commit_fn *fn; /* set by the caller before the first byte */
    void *ctx;
    uint64_t at;  /* the position of the next byte */
    uint64_t end; /* behind the last whole record */
    /* its own */
    bool lost; /* until the next page */
    uint8_t page[40];
    size_t page_have, page_want;
    uint8_t head[WAL_HEAD_BYTES + WAL_POINT_BYTES + 16];
    size_t have;   /* of the record, in all */
    uint32_t want; /* its length; 0: none is begun */
    uint32_t skip; /* bytes of a record whose beginning was not seen */
};
#define WAL_PAGE_BYTES 8192u

/* `at` is the beginning of a page. */
void wal_reader_begin(struct wal_reader *r, uint64_t at);
/* Bytes in their order. */
void wal_reader_feed(struct wal_reader *r, const uint8_t *p, size_t n);

#endif
