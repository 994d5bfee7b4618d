/*
 * content.h - the content of a file of a snapshot: its extents over all parts of its entry, and
 * the hash over them (docs/format.md, "Manifest": that of a SPARSE file is over its runs, that of a
 * PAGED one over the sums of its regions).
 *
 * Returns as in restore_run.h: 0, FAILED_HERE with e, negative.
 */
#ifndef TWOFOLD_AGENTS_CONTENT_H
#define TWOFOLD_AGENTS_CONTENT_H

#include "agents/entries.h"
#include "lib/crypto/crypto.h"

/* Extents one after the other. `en` is the file's entry and is overwritten by its continuations. */
struct parts {
    struct entries *walk; /* borrowed; not needed for a file of one part */
    struct entry *en;     /* borrowed */
    size_t i;
    uint64_t off; /* where the next extent begins */
    bool end;
};
struct parts parts_of(struct entries *walk, struct entry *en);
/* *ret_len 0: the end. */
int parts_next(struct parts *p, struct extent *ret, uint64_t *ret_off, struct err *e);

/* Maximal runs of extents that are not holes. */
struct runs {
    struct entry en;
    struct parts parts;
};
/* walk: over everything, for nobody else's use meanwhile; looked at only for a file of several
 * parts. */
int runs_begin(struct runs *u, struct entries *walk, const struct entry *en, struct err *e);
/* *ret_len 0: no more. */
int runs_next(struct runs *u, uint64_t *ret_off, uint64_t *ret_len, struct err *e);

struct hashers {
    struct sha256 *sha;
    struct paged_hash *paged;
};
struct content_hash {
    struct hashers with; /* borrowed */
    bool sparse, paged;
    struct runs runs;
    uint64_t left; /* of the run */
};
int content_hash_begin(struct content_hash *h, const struct hashers *with,
                       struct entries *runs_walk, const struct entry *en, struct err *e);
int content_hash_data(struct content_hash *h, uint64_t off, const void *p, size_t n, struct err *e);
void content_hash_hole(struct content_hash *h, uint64_t n);
void content_hash_final(struct content_hash *h, struct id *ret);

/* Does the open file have this content? Its size must be right already. *ret_read counts up by
 * what was read. FAILED_HERE: it could not be read, or the snapshot's list is lost. */
struct disk_check {
    struct hashers with;
    struct entries *runs_walk;
    uint8_t *io;                         /* IO_BYTES */
    bool (*stop)(void *ctx, uint64_t n); /* after each piece; true: give up (FAILED_HERE) */
    void *ctx;
};
int content_on_disk(const struct disk_check *c, int fd, const struct entry *en, bool *ret_same,
                    struct err *e);

#endif
