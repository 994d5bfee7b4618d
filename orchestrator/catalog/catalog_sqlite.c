/* catalog_sqlite.c - the catalog's database in one file of SQLite: rollback journal, full sync, one writer at a time; see sql.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/catalog/sql.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUSY_MS 20000
#define MAX_STATEMENTS 128

/* Statements are known by the address of their text, which is static. */
struct prepared {
    const char *sql;
    sqlite3_stmt *stmt;
};
struct database {
    sqlite3 *db;
    struct prepared prepared[MAX_STATEMENTS];
};

static int db_err(struct database *d, struct err *e)
{
    int code = d->db ? sqlite3_errcode(d->db) : SQLITE_NOMEM;
    const char *file = d->db ? sqlite3_db_filename(d->db, "main") : NULL;
    enum err_code c = code == SQLITE_FULL                               ? ERR_NOSPACE
                      : code == SQLITE_READONLY                         ? ERR_READONLY
                      : code == SQLITE_BUSY || code == SQLITE_LOCKED    ? ERR_BUSY
                      : code == SQLITE_NOMEM                            ? ERR_NOMEM
                      : code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? ERR_DAMAGED
                      : code == SQLITE_PERM || code == SQLITE_CANTOPEN  ? ERR_REFUSED
                      : code == SQLITE_CONSTRAINT                       ? ERR_EXISTS
                                                                        : ERR_IO;
    err_set(e, c, "%s", d->db ? sqlite3_errmsg(d->db) : _("no memory"));
    return file && *file ? err_wrap(e, "%s", file) : -(int)c;
}

static int exec(struct database *d, const char *sql, struct err *e)
{
    return sqlite3_exec(d->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_err(d, e);
}

static int sqlite_begin(void *db, struct err *e)
{
    return exec(db, "BEGIN IMMEDIATE", e);
}

static int sqlite_commit(void *db, struct err *e)
{
    return exec(db, "COMMIT", e);
}

static void sqlite_rollback(void *db)
{
    struct database *d = db;
    if (!sqlite3_get_autocommit(d->db))
        sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
}

/* --- statements ---------------------------------------------------------------------------------------------- */
static sqlite3_stmt **place_of(struct database *d, const char *sql)
{
    size_t at = ((uintptr_t)sql >> 3) % MAX_STATEMENTS, first = at;
    while (d->prepared[at].sql && d->prepared[at].sql != sql) {
        at = (at + 1) % MAX_STATEMENTS;
        if (at == first)
            break; /* full: another one makes room */
    }
    if (d->prepared[at].sql != sql) {
        sqlite3_finalize(d->prepared[at].stmt);
        d->prepared[at] = (struct prepared){ .sql = sql };
    }
    return &d->prepared[at].stmt;
}

static int prepare(struct database *d, const char *sql, sqlite3_stmt **ret, struct err *e)
{
    sqlite3_stmt **s = place_of(d, sql);
    if (!*s && sqlite3_prepare_v3(d->db, sql, -1, SQLITE_PREPARE_PERSISTENT, s, NULL) != SQLITE_OK)
        return db_err(d, e);
    *ret = *s;
    return 0;
}

static void bind(sqlite3_stmt *s, const struct sql_value *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int at = (int)i + 1;
        if (v[i].type == SQL_NUMBER)
            sqlite3_bind_int64(s, at, v[i].number);
        else if (v[i].type == SQL_STRING)
            sqlite3_bind_text(s, at, v[i].p, (int)v[i].n, SQLITE_STATIC);
        else if (v[i].type == SQL_BLOB)
            sqlite3_bind_blob(s, at, v[i].p, (int)v[i].n, SQLITE_STATIC);
        else
            sqlite3_bind_null(s, at);
    }
}

static void take_row(sqlite3_stmt *s, struct sql_rows *rows)
{
    int n = sqlite3_column_count(s);
    for (int i = 0; i < n; i++) {
        switch (sqlite3_column_type(s, i)) {
        case SQLITE_INTEGER:
            sql_put_int(rows, sqlite3_column_int64(s, i));
            break;
        case SQLITE_TEXT: {
            const char *p = (const char *)sqlite3_column_text(s, i);
            sql_put_text(rows, p, p ? strnlen(p, (size_t)sqlite3_column_bytes(s, i)) : 0);
            break;
        }
        case SQLITE_BLOB: {
            const void *p = sqlite3_column_blob(s, i);
            sql_put_bytes(rows, p, (size_t)sqlite3_column_bytes(s, i));
            break;
        }
        default:
            sql_put_null(rows);
        }
    }
    rows->n++;
}

static int sqlite_run(void *db, const char *sql, const struct sql_value *v, size_t n,
                      struct sql_rows *rows, struct err *e)
{
    struct database *d = db;
    sqlite3_stmt *s = NULL;
    int rc = prepare(d, sql, &s, e), step;
    if (rc < 0)
        return rc;
    bind(s, v, n);
    int before = sqlite3_total_changes(d->db);
    while ((step = sqlite3_step(s)) == SQLITE_ROW)
        if (rows)
            take_row(s, rows);
    if (step != SQLITE_DONE)
        rc = db_err(d, e);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return rc < 0 ? rc : sqlite3_total_changes(d->db) - before;
}

/* --- the schema ----------------------------------------------------------------------------------------------- */
/* What stands in braces in a step. */
static void fill_in(const char *word, size_t n, struct wbuf *out)
{
    static const char append[] = "append-only ";
    char text[512];
    if (n == 6 && memcmp(word, "serial", n) == 0) {
        snprintf(text, sizeof text, "INTEGER PRIMARY KEY AUTOINCREMENT");
    } else if (n == 5 && memcmp(word, "bytes", n) == 0) {
        snprintf(text, sizeof text, "BLOB");
    } else {
        size_t skip = n > sizeof append - 1 ? sizeof append - 1 : n;
        int len = (int)(n - skip);
        const char *t = word + skip;
        snprintf(text, sizeof text,
                 "CREATE TRIGGER %.*s_stays BEFORE UPDATE ON %.*s BEGIN "
                 "SELECT RAISE(ABORT, '%.*s is append-only'); END;"
                 "CREATE TRIGGER %.*s_keeps BEFORE DELETE ON %.*s BEGIN "
                 "SELECT RAISE(ABORT, '%.*s is append-only'); END",
                 len, t, len, t, len, t, len, t, len, t, len, t);
    }
    wb_bytes(out, text, strlen(text));
}

static int sqlite_define(void *db, const char *step, struct err *e)
{
    struct wbuf sql = WBUF_INIT;
    while (*step) {
        size_t plain = strcspn(step, "{");
        wb_bytes(&sql, step, plain);
        step += plain;
        if (*step) {
            size_t n = strcspn(++step, "}");
            fill_in(step, n, &sql);
            step += n + (step[n] != '\0');
        }
    }
    wb_u8(&sql, 0);
    int rc = sql.failed ? err_set(e, ERR_NOMEM, _("no memory")) : exec(db, (const char *)sql.p, e);
    wbuf_free(&sql);
    return rc;
}

static int number_of(struct database *d, const char *sql, int64_t *ret, struct err *e)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(d->db, sql, -1, &s, NULL) != SQLITE_OK)
        return db_err(d, e);
    int rc = sqlite3_step(s) == SQLITE_ROW ? 0 : db_err(d, e);
    if (rc == 0)
        *ret = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return rc;
}

static int sqlite_version(void *db, int64_t *ret, struct err *e)
{
    int64_t tables = 0, known = 0;
    int rc = number_of(db, "SELECT count(*) FROM sqlite_schema", &tables, e);
    if (rc == 0 && tables > 0)
        rc = number_of(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version'",
                       &known, e);
    if (rc == 0 && tables > 0 && !known)
        return err_set(e, ERR_DAMAGED, _("it is a database, but not a catalog"));
    *ret = 0;
    return rc == 0 && known
               ? number_of(db, "SELECT coalesce(max(version), 0) FROM schema_version", ret, e)
               : rc;
}

static int sqlite_check(void *db, struct err *e)
{
    struct database *d = db;
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(d->db, "PRAGMA quick_check(1)", -1, &s, NULL) != SQLITE_OK)
        return db_err(d, e);
    int rc = sqlite3_step(s) == SQLITE_ROW ? 0 : db_err(d, e);
    const char *said = rc == 0 ? (const char *)sqlite3_column_text(s, 0) : NULL;
    if (rc == 0 && (!said || strcmp(said, "ok") != 0)) {
        err_set(e, ERR_DAMAGED, "%s", said ? said : "?");
        rc = err_wrap(e, "%s", sqlite3_db_filename(d->db, "main"));
    }
    sqlite3_finalize(s);
    return rc;
}

static int sqlite_changed(void *db, uint64_t *ret)
{
    int64_t v = 0;
    int rc = number_of(db, "PRAGMA data_version", &v, NULL);
    *ret = (uint64_t)v;
    return rc;
}

static void sqlite_close(void *db)
{
    struct database *d = db;
    for (size_t i = 0; i < MAX_STATEMENTS; i++)
        sqlite3_finalize(d->prepared[i].stmt);
    sqlite3_close_v2(d->db);
    free(d);
}

static const struct sql_ops ops = {
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .run = sqlite_run,
    .define = sqlite_define,
    .version = sqlite_version,
    .check = sqlite_check,
    .changed = sqlite_changed,
    .close = sqlite_close,
};

/* SQLite would make it readable for all. */
static int make_file(const char *path, bool make, struct err *e)
{
    int fd = sys_openat(AT_FDCWD, path, O_RDONLY | (make ? O_CREAT : 0), 0600, e);
    if (fd < 0)
        return fd;
    sys_close_quiet(fd);
    return 0;
}

static int open_file(struct database *d, const char *path, struct err *e)
{
    /* Reading, too, may have to take back what a killed writer began; a file that is not ours to write is only read. */
    int flags = access(path, W_OK) == 0 ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
    if (sqlite3_open_v2(path, &d->db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return db_err(d, e);
    sqlite3_busy_timeout(d->db, BUSY_MS);
    sqlite3_extended_result_codes(d->db, 0);
    return exec(d,
                "PRAGMA journal_mode=TRUNCATE; PRAGMA synchronous=FULL; PRAGMA foreign_keys=OFF;"
                "PRAGMA cache_size=-4000; PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;",
                e);
}

int sql_open_sqlite(const char *path, bool make, struct sql *ret, struct err *e)
{
    int rc = make_file(path, make, e);
    if (rc < 0)
        return rc;
    struct database *d = calloc(1, sizeof *d);
    if (!d)
        return err_set(e, ERR_NOMEM, _("no memory"));
    rc = open_file(d, path, e);
    if (rc < 0) {
        sqlite_close(d);
        return rc;
    }
    *ret = (struct sql){ .ops = &ops, .db = d };
    return 0;
}
