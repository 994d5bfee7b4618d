/* inner.h - what the files of the catalog share. */
#ifndef TWOFOLD_ORCHESTRATOR_CATALOG_INNER_H
#define TWOFOLD_ORCHESTRATOR_CATALOG_INNER_H

#include "orchestrator/catalog/catalog.h"
#include "orchestrator/catalog/sql.h"

#include <sys/types.h>

#define CATALOG_FILE "catalog.db"

struct catalog {
    struct sql sql;
    char *path;
    dev_t device; /* of the file that was opened */
    ino_t inode;
};
/* catalog_tidy with other numbers. */
int catalog_tidy_to(struct catalog *c, uint64_t runs, uint64_t others, struct err *e);

/* Brings the schema of an open database to `version` (CATALOG_SCHEMA_NEWEST: the newest), step by step, in one transaction. An
 * empty one is made. -ERR_VERSION: it is newer than we know. */
#define CATALOG_SCHEMA_NEWEST 0
int64_t schema_newest(void);
int schema_bring_to(struct sql *s, int64_t version, struct err *e);

/* A catalog in a file of any name (catalog_open takes STATE/catalog.db). */
int catalog_open_file(const char *path, unsigned flags, struct catalog **ret, struct err *e);

/* Within a transaction that is the caller's: gives the lease to owner (-ERR_BUSY while another holds it). */
int lease_take(struct catalog *c, const char *name, const char *owner, int64_t until_s,
               uint64_t *ret_epoch, struct err *e);
/* -ERR_REFUSED unless `epoch` is the newest of that lease. */
int lease_check(struct catalog *c, const char *name, uint64_t epoch, struct err *e);

/* The hash of a row (seq included) after the one with hash `before`. -ERR_NOMEM. */
int audit_hash(const struct id *before, const struct audit_row *r, struct id *ret);
/* For a rebuild, within its transaction: a row as it was, and where the trail begins. */
int audit_put(struct catalog *c, const struct audit_row *row, const struct id *hash, struct err *e);
int audit_set_start(struct catalog *c, const struct audit_anchor *start, struct err *e);

/* The trail before row seq + 1; where it does not reach back so far, its beginning. */
int audit_start_at(struct catalog *c, uint64_t seq, struct audit_anchor *ret, struct err *e);
/* Rows from `from` on, in order, with their hashes; limit 0: none. */
int audit_walk(struct catalog *c, uint64_t from, size_t limit, catalog_audit_hashed_fn *fn,
               void *ctx, struct err *e);

/* LIMIT of a query: 0 means all. */
#define CATALOG_LIMIT(n) SQL_INT((n) ? (int64_t)(n) : INT64_MAX)

#endif
