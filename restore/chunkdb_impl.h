/* chunkdb_impl.h - what chunkdb.c, chunkdb_sessions.c and chunkdb_facts.c share; nobody else includes it. */
#ifndef TWOFOLD_RESTORE_CHUNKDB_IMPL_H
#define TWOFOLD_RESTORE_CHUNKDB_IMPL_H

#include "restore/chunkdb.h"
#include <sqlite3.h>

enum stmt_name {
    S_FIND,
    S_HAS,
    S_DOOMED,
    S_DOOM,
    S_PIN,
    S_PINNED,
    S_PROMISED,
    S_PROMISE,
    S_KEEP,
    S_ADD_PACK,
    S_ADD_CHUNK,
    S_ADD_KEY,
    S_KEY_ORD,
    S_META_GET,
    S_META_SET,
    S_LOST,
    S_COUNT
};
struct chunkdb {
    sqlite3 *db;
    sqlite3_stmt *stmt[S_COUNT];
    int64_t session;
    struct chunkdb_who who;
};

int cdb_err(struct chunkdb *db, struct err *e); /* of the last call */
int cdb_run(struct chunkdb *db, const char *sql, struct err *e);
/* A transaction that writes the cache, and may then write the facts. cdb_finish commits it, or undoes it where rc says that it
 * failed; returns rc or why it could not be committed. */
int cdb_begin(struct chunkdb *db, struct err *e);
int cdb_finish(struct chunkdb *db, int rc, struct err *e);
/* Steps a statement that yields at most one row; 1: a row, 0: none. The caller resets; cdb_step_once does. */
int cdb_step(struct chunkdb *db, sqlite3_stmt *s, struct err *e);
int cdb_step_once(struct chunkdb *db, sqlite3_stmt *s, struct err *e);
void cdb_bind_id(sqlite3_stmt *s, int at, const struct id *id);
bool cdb_column_id(sqlite3_stmt *s, int at, struct id *out);
/* Runs a query with one id and returns the integer of its first row, 0 when there is none. */
int64_t cdb_int(struct chunkdb *db, const char *sql, const struct id *id, struct err *e);
/* Runs a statement with an id (may be NULL) and, where it is not negative, a number. */
int cdb_exec(struct chunkdb *db, const char *sql, const struct id *id, int64_t n, struct err *e);
int cdb_add_pack(struct chunkdb *db, const struct index_pack *p, int64_t obj, struct err *e);
/* Rows of (id, length, committed). */
int cdb_each_pack(struct chunkdb *db, const char *sql, const struct id *id, chunkdb_pack_fn *fn,
                  void *ctx, struct err *e);

#endif
