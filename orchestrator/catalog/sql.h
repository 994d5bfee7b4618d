/*
 * sql.h - what the catalog asks of a database: static statements with values, rows back, transactions, and schema steps.
 * A driver implements struct sql_ops: SQLite's is catalog_sqlite.c; PostgreSQL's will stand beside it. The statements lie
 * with the functions that use them (jobs.c, runs.c …) and keep to what both understand: numbered parameters (?1, which a
 * driver may rewrite), BIGINT and TEXT, ON CONFLICT, RETURNING, partial indexes, recursive queries. What they do not share
 * stands in braces and is filled in by the driver, in schema steps only:
 *     {serial}              a primary key that numbers itself, never again with a number that was used
 *     {bytes}               the type of bytes
 *     {append-only TABLE}   a whole statement: whatever would change or take a row of it fails
 *
 *     int rc = sql_begin(db, e);
 *     if (rc == 0)
 *         rc = sql_do(db, e, "UPDATE facts SET value = ?2 WHERE key = ?1", SQL_TEXT(key), SQL_TEXT(value));
 *     return sql_finish(db, rc, e);                commits, or takes it back where rc < 0
 *
 * All rows of a query are brought to memory before the first is looked at, so whoever reads them may use the database.
 */
#ifndef TWOFOLD_ORCHESTRATOR_CATALOG_SQL_H
#define TWOFOLD_ORCHESTRATOR_CATALOG_SQL_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"

enum sql_type { SQL_NULL, SQL_NUMBER, SQL_STRING, SQL_BLOB };
struct sql_value {
    enum sql_type type;
    int64_t number;
    const void *p; /* borrowed */
    size_t n;
};
/* NULL is "". Longer ones than MAX_CATALOG_TEXT are cut between two characters. */
struct sql_value sql_text(const char *s);
#define SQL_INT(x) ((struct sql_value){ .type = SQL_NUMBER, .number = (int64_t)(x) })
#define SQL_TEXT(s) sql_text(s)
#define SQL_ID(id) ((struct sql_value){ .type = SQL_BLOB, .p = (id)->b, .n = ID_BYTES })
#define SQL_VALUES(...) ((const struct sql_value[]){ __VA_ARGS__ })
#define SQL_COUNT(...) (sizeof SQL_VALUES(__VA_ARGS__) / sizeof(struct sql_value))

/* Rows in memory. */
struct sql_rows {
    struct wbuf w;
    size_t n;
};
#define SQL_ROWS_INIT ((struct sql_rows){ .w = WBUF_INIT })
void sql_rows_free(struct sql_rows *rows);
/* Columns are read one after the other, row by row, from sql_reader(). What is of another type reads as 0, "" or zeros. */
struct rbuf sql_reader(const struct sql_rows *rows);
int64_t sql_int(struct rbuf *r);
const char *sql_str(struct rbuf *r); /* borrowed from the rows */
void sql_id(struct rbuf *r, struct id *ret);

struct sql_ops {
    int (*begin)(void *db, struct err *e); /* for writing: waits for other writers */
    int (*commit)(void *db, struct err *e);
    void (*rollback)(void *db);
    /* One static statement (a driver may know it by its address), its rows added to `rows` (NULL: it has none). Returns how
     * many rows it changed. */
    int (*run)(void *db, const char *sql, const struct sql_value *v, size_t n,
               struct sql_rows *rows, struct err *e);
    int (*define)(void *db, const char *step, struct err *e); /* statements of a schema step */
    /* The version of the schema; 0: an empty database. */
    int (*version)(void *db, int64_t *ret, struct err *e);
    int (*check)(void *db, struct err *e);   /* every page and index: -ERR_DAMAGED */
    int (*changed)(void *db, uint64_t *ret); /* a number that changes when others write */
    void (*close)(void *db);
};

struct sql {
    const struct sql_ops *ops;
    void *db;
    unsigned depth; /* of transactions: those within one are part of it */
};
int sql_begin(struct sql *s, struct err *e);
/* rc >= 0: commits, and returns rc; else takes back what was done since sql_begin, and returns rc. Within another
 * transaction only that one's end decides. */
int sql_finish(struct sql *s, int rc, struct err *e);
int sql_run(struct sql *s, struct sql_rows *rows, const char *sql, const struct sql_value *v,
            size_t n, struct err *e);
#define sql_do(s, e, sql, ...) \
    sql_run(s, NULL, sql, SQL_VALUES(__VA_ARGS__), SQL_COUNT(__VA_ARGS__), e)
#define sql_query(s, rows, e, sql, ...) \
    sql_run(s, rows, sql, SQL_VALUES(__VA_ARGS__), SQL_COUNT(__VA_ARGS__), e)
/* The number in the first column of the first row, or `none`. */
int sql_number(struct sql *s, const char *sql, const struct sql_value *v, size_t n, int64_t none,
               int64_t *ret, struct err *e);
#define sql_one(s, e, none, ret, sql, ...) \
    sql_number(s, sql, SQL_VALUES(__VA_ARGS__), SQL_COUNT(__VA_ARGS__), none, ret, e)

/* --- for drivers ------------------------------------------------------------------------------------------ */
void sql_put_null(struct sql_rows *rows);
void sql_put_int(struct sql_rows *rows, int64_t v);
void sql_put_text(struct sql_rows *rows, const char *p, size_t n);
void sql_put_bytes(struct sql_rows *rows, const void *p, size_t n);

/* SQLite in a file. `make`: it is made when it is not there (mode 0600). -ERR_ABSENT, -ERR_DAMAGED. */
int sql_open_sqlite(const char *path, bool make, struct sql *ret, struct err *e);
void sql_close(struct sql *s);

#endif
