/* litter.c - notes of what nobody reaches; see litter.h. */
#include "orchestrator/prune/litter.h"
#include "lib/base/i18n.h"
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BUSY_MS 60000

static const char schema[] =
    "PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL;"
    "CREATE TABLE IF NOT EXISTS litter(type INTEGER NOT NULL, id BLOB NOT NULL, len INTEGER NOT NULL,"
    " generation INTEGER NOT NULL, since INTEGER NOT NULL, named INTEGER NOT NULL, run INTEGER NOT NULL,"
    " PRIMARY KEY(type, id)) WITHOUT ROWID;";

struct litter {
    sqlite3 *db; /* NULL: no file, and none is made */
    char path[4096];
    struct litter_note *notes;
    size_t n;
};

static int failed(struct litter *l, struct err *e)
{
    int code = l->db ? sqlite3_errcode(l->db) : SQLITE_NOMEM;
    err_set(e,
            code == SQLITE_FULL       ? ERR_NOSPACE
            : code == SQLITE_READONLY ? ERR_READONLY
            : code == SQLITE_BUSY     ? ERR_BUSY
            : code == SQLITE_NOMEM    ? ERR_NOMEM
                                      : ERR_IO,
            "%s", l->db ? sqlite3_errmsg(l->db) : _("no memory"));
    return err_wrap(e, "%s", l->path);
}

static int sql(struct litter *l, const char *text, struct err *e)
{
    return sqlite3_exec(l->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : failed(l, e);
}

static int open_file(struct litter *l, bool read_only, struct err *e)
{
    int flags = read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    if (sqlite3_open_v2(l->path, &l->db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return failed(l, e);
    sqlite3_busy_timeout(l->db, BUSY_MS);
    return read_only ? 0 : sql(l, schema, e);
}

/* A damaged file is no loss but of time: what it said is found anew. */
int litter_open(const char *state_dir, bool read_only, struct litter **ret, struct err *e)
{
    struct litter *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(e, ERR_NOMEM, _("no memory"));
    snprintf(l->path, sizeof l->path, "%s/litter.db", state_dir);
    int rc = read_only && access(l->path, F_OK) != 0 ? 0 : open_file(l, read_only, e);
    int code = rc < 0 && l->db ? sqlite3_errcode(l->db) : SQLITE_OK;
    if ((code == SQLITE_CORRUPT || code == SQLITE_NOTADB) && !read_only) {
        sqlite3_close_v2(l->db);
        l->db = NULL;
        rc = unlink(l->path) == 0 ? open_file(l, false, e) : err_sys(e, "%s", l->path);
    }
    if (rc < 0) {
        litter_close(l);
        return rc;
    }
    *ret = l;
    return 0;
}

void litter_close(struct litter *l)
{
    if (!l)
        return;
    sqlite3_close_v2(l->db);
    free(l->notes);
    free(l);
}

static int read_row(struct litter *l, sqlite3_stmt *s, size_t *cap)
{
    if (l->n == *cap) {
        size_t want = *cap ? 2 * *cap : 256;
        struct litter_note *grown = realloc(l->notes, want * sizeof *grown);
        if (!grown)
            return -1;
        l->notes = grown;
        *cap = want;
    }
    struct litter_note *n = &l->notes[l->n];
    if (sqlite3_column_bytes(s, 1) != ID_BYTES)
        return 0;
    *n = (struct litter_note){ .type = (enum object_type)sqlite3_column_int(s, 0),
                               .generation = (uint64_t)sqlite3_column_int64(s, 3),
                               .since_s = sqlite3_column_int64(s, 4),
                               .named = sqlite3_column_int(s, 5) != 0,
                               .run = (uint64_t)sqlite3_column_int64(s, 6) };
    memcpy(n->ref.id.b, sqlite3_column_blob(s, 1), ID_BYTES);
    n->ref.len = (uint64_t)sqlite3_column_int64(s, 2);
    l->n++;
    return 0;
}

int litter_all(struct litter *l, const struct litter_note **ret, size_t *ret_n, struct err *e)
{
    sqlite3_stmt *s = NULL;
    size_t cap = 0;
    free(l->notes);
    l->notes = NULL;
    l->n = 0;
    *ret = NULL;
    *ret_n = 0;
    if (!l->db)
        return 0;
    if (sqlite3_prepare_v2(l->db,
                           "SELECT type, id, len, generation, since, named, run FROM litter "
                           "ORDER BY type, id",
                           -1, &s, NULL) != SQLITE_OK)
        return failed(l, e);
    int got, rc = 0;
    while (rc == 0 && (got = sqlite3_step(s)) == SQLITE_ROW)
        rc = read_row(l, s, &cap) < 0 ? err_set(e, ERR_NOMEM, _("no memory")) : 0;
    if (rc == 0 && got != SQLITE_DONE)
        rc = failed(l, e);
    sqlite3_finalize(s);
    *ret = l->notes;
    *ret_n = l->n;
    return rc;
}

int litter_begin(struct litter *l, struct err *e)
{
    return sql(l, "BEGIN IMMEDIATE", e);
}

int litter_finish(struct litter *l, int rc, struct err *e)
{
    if (rc == 0)
        rc = sql(l, "COMMIT", e);
    if (rc < 0)
        sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

static int run_once(struct litter *l, const char *text, const struct litter_note *n, struct err *e)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(l->db, text, -1, &s, NULL) != SQLITE_OK)
        return failed(l, e);
    sqlite3_bind_int(s, 1, (int)n->type);
    sqlite3_bind_blob(s, 2, n->ref.id.b, ID_BYTES, SQLITE_STATIC);
    sqlite3_bind_int64(s, 3, (int64_t)n->ref.len);
    sqlite3_bind_int64(s, 4, (int64_t)n->generation);
    sqlite3_bind_int64(s, 5, n->since_s);
    sqlite3_bind_int(s, 6, n->named);
    sqlite3_bind_int64(s, 7, (int64_t)n->run);
    int rc = sqlite3_step(s) == SQLITE_DONE ? 0 : failed(l, e);
    sqlite3_finalize(s);
    return rc;
}

int litter_put(struct litter *l, const struct litter_note *n, struct err *e)
{
    return run_once(l, "INSERT OR REPLACE INTO litter VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", n, e);
}

int litter_drop(struct litter *l, enum object_type type, const struct id *id, struct err *e)
{
    struct litter_note n = { .type = type, .ref = { .id = *id } };
    return run_once(l, "DELETE FROM litter WHERE type = ?1 AND id = ?2", &n, e);
}

int litter_date(struct litter *l, uint64_t run, uint64_t generation, struct err *e)
{
    struct litter_note n = { .run = run, .generation = generation };
    return run_once(l, "UPDATE litter SET generation = ?4 WHERE run = ?7", &n, e);
}
