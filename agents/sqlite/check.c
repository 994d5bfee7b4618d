/* check.c - see agents/sqlite/inner.h. What is read here may come from anybody: nothing in its schema is trusted. */
#include "agents/sqlite/inner.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_A_TICK 100000 /* of SQLite's machine */
#define MAX_CHECK_MS (UINT64_C(3600) * 1000)
#define MAX_FINDINGS 5

int sl_no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

int sl_error(struct err *e, enum err_code code, sqlite3 *db)
{
    return err_set(e, code, "%s", db ? sqlite3_errmsg(db) : "SQLite");
}

const char *sl_check_name(enum sl_check c)
{
    return c == SL_CHECK_FULL ? "integrity_check" : "quick_check";
}

/* "file:PATH?immutable=1", with what means something in an address written as %XX. */
static char *alone_uri(const char *path)
{
    static const char tail[] = "?immutable=1", hex[] = "0123456789ABCDEF";
    char *out = malloc(5 + 3 * strlen(path) + sizeof tail), *p = out;
    if (!out)
        return NULL;
    p = stpcpy(p, "file:");
    for (const unsigned char *c = (const unsigned char *)path; *c; c++) {
        if (*c == '/' || (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') ||
            (*c >= 'A' && *c <= 'Z')) {
            *p++ = (char)*c;
            continue;
        }
        *p++ = '%';
        *p++ = hex[*c >> 4];
        *p++ = hex[*c & 15];
    }
    stpcpy(p, tail);
    return out;
}

int sl_open_alone(const char *path, sqlite3 **ret, struct err *e)
{
    char *uri = alone_uri(path);
    sqlite3 *db = NULL;
    if (!uri)
        return sl_no_memory(e);
    int r = sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX,
                            NULL);
    free(uri);
    if (r != SQLITE_OK) {
        sl_error(e, r == SQLITE_NOMEM ? ERR_NOMEM : ERR_IO, db);
        (void)sqlite3_close(db);
        return err_wrap(e, "%s", path);
    }
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    (void)sqlite3_exec(db, "PRAGMA cell_size_check = on", NULL, NULL, NULL);
    *ret = db;
    return 0;
}

int sl_int(sqlite3 *db, const char *sql, int64_t *ret, struct err *e)
{
    sqlite3_stmt *q = NULL;
    int r = sqlite3_prepare_v2(db, sql, -1, &q, NULL);
    if (r == SQLITE_OK && (r = sqlite3_step(q)) == SQLITE_ROW) {
        *ret = sqlite3_column_int64(q, 0);
        r = SQLITE_OK;
    } else if (r == SQLITE_DONE) {
        r = SQLITE_ERROR;
    }
    if (r != SQLITE_OK)
        sl_error(e, ERR_IO, db);
    (void)sqlite3_finalize(q);
    return r == SQLITE_OK ? 0 : -ERR_IO;
}

/* --- the check ---------------------------------------------------------------------------------- */
struct watch {
    int (*tick)(void *ctx, struct err *e);
    void *ctx;
    struct err *e;
    uint64_t until_ms;
    bool late, stopped;
};

static int watch_steps(void *ctx)
{
    struct watch *w = ctx;
    w->stopped = sys_interrupted() || (w->tick && w->tick(w->ctx, w->e) < 0);
    w->late = sys_monotonic_ms() > w->until_ms;
    return w->stopped || w->late;
}

static void find(struct sl_file *f, const char *text)
{
    size_t n = strlen(f->verdict);
    snprintf(f->verdict + n, sizeof f->verdict - n, "%s%s", n ? "; " : "", text ? text : "?");
}

/* The rows of the check: one "ok", or what is wrong. */
static int run_check(struct sl_file *f, sqlite3 *db)
{
    sqlite3_stmt *q = NULL;
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA %s(%d)", sl_check_name(f->check), MAX_FINDINGS);
    int r = sqlite3_prepare_v2(db, sql, -1, &q, NULL);
    while (r == SQLITE_OK && (r = sqlite3_step(q)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(q, 0);
        if (!text || strcmp(text, "ok") != 0) {
            f->result = SL_DAMAGED;
            find(f, text);
        }
        r = SQLITE_OK;
    }
    (void)sqlite3_finalize(q);
    return r == SQLITE_DONE ? SQLITE_OK : r;
}

static void ask_facts(struct sl_file *f, sqlite3 *db)
{
    struct err ignored = ERR_INIT;
    sqlite3_stmt *q = NULL;
    (void)sl_int(db, "PRAGMA user_version", &f->user_version, &ignored);
    (void)sl_int(db, "PRAGMA application_id", &f->application_id, &ignored);
    if (sqlite3_prepare_v2(db, "PRAGMA encoding", -1, &q, NULL) == SQLITE_OK &&
        sqlite3_step(q) == SQLITE_ROW && sqlite3_column_text(q, 0))
        snprintf(f->encoding, sizeof f->encoding, "%s", (const char *)sqlite3_column_text(q, 0));
    (void)sqlite3_finalize(q);
}

int sl_check(struct sl_file *f, sqlite3 *db, int (*tick)(void *ctx, struct err *e), void *ctx,
             struct err *e)
{
    struct watch w = {
        .tick = tick, .ctx = ctx, .e = e, .until_ms = sys_monotonic_ms() + MAX_CHECK_MS
    };
    f->result = SL_OK;
    f->verdict[0] = '\0';
    sqlite3_progress_handler(db, STEPS_A_TICK, watch_steps, &w);
    int r = run_check(f, db);
    if (r == SQLITE_CORRUPT || r == SQLITE_NOTADB || r == SQLITE_IOERR) {
        f->result = SL_DAMAGED;
        find(f, sqlite3_errmsg(db));
    } else if (r == SQLITE_NOMEM) {
        return sl_no_memory(e);
    } else if (w.stopped) {
        return e && e->code ? -(int)e->code
                            : err_set(e, ERR_INTERRUPTED, _("interrupted by a signal"));
    } else if (r != SQLITE_OK && f->result == SL_OK) {
        f->result = SL_UNCHECKED;
        find(f, w.late ? _("it took longer than an hour") : sqlite3_errmsg(db));
    }
    ask_facts(f, db);
    if (f->result == SL_OK && f->pages * f->page_bytes <= SL_COUNT_BYTES)
        f->tables = sl_count_rows(db);
    sqlite3_progress_handler(db, 0, NULL, NULL);
    if (w.stopped)
        return e && e->code ? -(int)e->code
                            : err_set(e, ERR_INTERRUPTED, _("interrupted by a signal"));
    return 0;
}

/* --- rows ----------------------------------------------------------------------------------------- */
static bool count_table(sqlite3 *db, const char *name, json_t *to)
{
    struct err ignored = ERR_INIT;
    int64_t rows = 0;
    char *sql = sqlite3_mprintf("SELECT count(*) FROM main.\"%w\"", name);
    bool ok = sql && sl_int(db, sql, &rows, &ignored) == 0;
    sqlite3_free(sql);
    return ok &&
           json_object_set_new(to, name, json_integer(rows)) == 0; /* or its name is no text */
}

/* Real tables alone: virtual ones (rootpage 0) take modules that we have not got. */
json_t *sl_count_rows(sqlite3 *db)
{
    static const char sql[] =
        "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0 "
        "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    json_t *all = json_object();
    sqlite3_stmt *q = NULL;
    int n = 0;
    if (all && sqlite3_prepare_v2(db, sql, -1, &q, NULL) == SQLITE_OK)
        while (n < SL_MAX_TABLES && sqlite3_step(q) == SQLITE_ROW)
            if (sqlite3_column_text(q, 0))
                n += count_table(db, (const char *)sqlite3_column_text(q, 0), all);
    (void)sqlite3_finalize(q);
    return all;
}
