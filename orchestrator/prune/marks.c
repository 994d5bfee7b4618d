/* marks.c - sets of ids in a temporary database; see marks.h. */
#include "orchestrator/prune/marks.h"
#include "lib/base/i18n.h"
#include <sqlite3.h>
#include <stdlib.h>

enum statement {
    ADD_LIVE,
    IS_LIVE,
    ADD_MOVED,
    IS_MOVED,
    ADD_KEY,
    DROP_KEYS,
    NEEDS_KEY,
    STATEMENTS
};
static const char *const sql_of[STATEMENTS] = {
    [ADD_LIVE] = "INSERT OR IGNORE INTO live VALUES (?1)",
    [IS_LIVE] = "SELECT 1 FROM live WHERE id = ?1",
    [ADD_MOVED] = "INSERT OR IGNORE INTO moved VALUES (?1)",
    [IS_MOVED] = "SELECT 1 FROM moved WHERE id = ?1",
    [ADD_KEY] = "INSERT OR IGNORE INTO pack_keys VALUES (?1, ?2)",
    [DROP_KEYS] = "DELETE FROM pack_keys WHERE pack = ?2",
    [NEEDS_KEY] = "SELECT 1 FROM pack_keys WHERE id = ?1 LIMIT 1",
};
/* All of it in one transaction that never ends: nothing here outlives the process. */
static const char schema[] =
    "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-16000; BEGIN;"
    "CREATE TABLE live(id BLOB PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TABLE moved(id BLOB PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TABLE pack_keys(id BLOB NOT NULL, pack INTEGER NOT NULL, PRIMARY KEY(id, pack)) WITHOUT ROWID;"
    "CREATE INDEX keys_by_pack ON pack_keys(pack);";

struct marks {
    sqlite3 *db;
    sqlite3_stmt *stmt[STATEMENTS];
};

static int failed(struct marks *m, struct err *e)
{
    int code = m->db ? sqlite3_errcode(m->db) : SQLITE_NOMEM;
    err_set(e,
            code == SQLITE_FULL    ? ERR_NOSPACE
            : code == SQLITE_NOMEM ? ERR_NOMEM
                                   : ERR_IO,
            "%s", m->db ? sqlite3_errmsg(m->db) : _("no memory"));
    return err_wrap(e, _("temporary database"));
}

int marks_new(struct marks **ret, struct err *e)
{
    struct marks *m = calloc(1, sizeof *m);
    if (!m)
        return err_set(e, ERR_NOMEM, _("no memory"));
    int rc = sqlite3_open_v2(
        "", &m->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(m->db, schema, NULL, NULL, NULL);
    for (int i = 0; rc == SQLITE_OK && i < STATEMENTS; i++)
        rc = sqlite3_prepare_v3(m->db, sql_of[i], -1, SQLITE_PREPARE_PERSISTENT, &m->stmt[i], NULL);
    if (rc != SQLITE_OK) {
        failed(m, e);
        marks_free(m);
        return e ? -(int)e->code : -ERR_IO;
    }
    *ret = m;
    return 0;
}

void marks_free(struct marks *m)
{
    if (!m)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(m->stmt[i]);
    sqlite3_close_v2(m->db);
    free(m);
}

/* 1: a row; 0: none. */
static int run(struct marks *m, enum statement which, const struct id *id, int64_t n, struct err *e)
{
    sqlite3_stmt *s = m->stmt[which];
    if (id)
        sqlite3_bind_blob(s, 1, id->b, ID_BYTES, SQLITE_STATIC);
    if (n >= 0)
        sqlite3_bind_int64(s, 2, n);
    int got = sqlite3_step(s);
    int rc = got == SQLITE_ROW ? 1 : got == SQLITE_DONE ? 0 : failed(m, e);
    sqlite3_reset(s);
    return rc;
}

int marks_add_live(struct marks *m, const struct id *chunk, struct err *e)
{
    return run(m, ADD_LIVE, chunk, -1, e);
}

int marks_is_live(struct marks *m, const struct id *chunk, struct err *e)
{
    return run(m, IS_LIVE, chunk, -1, e);
}

int marks_add_moved(struct marks *m, const struct id *chunk, struct err *e)
{
    int rc = run(m, ADD_MOVED, chunk, -1, e);
    return rc < 0 ? rc : sqlite3_changes(m->db);
}

int marks_is_moved(struct marks *m, const struct id *chunk, struct err *e)
{
    return run(m, IS_MOVED, chunk, -1, e);
}

void marks_forget_moved(struct marks *m)
{
    sqlite3_exec(m->db, "DELETE FROM moved", NULL, NULL, NULL);
}

int marks_add_key(struct marks *m, size_t pack, const struct id *key, struct err *e)
{
    return run(m, ADD_KEY, key, (int64_t)pack, e);
}

int marks_drop_keys(struct marks *m, size_t pack, struct err *e)
{
    return run(m, DROP_KEYS, NULL, (int64_t)pack, e);
}

int marks_needs_key(struct marks *m, const struct id *key, struct err *e)
{
    return run(m, NEEDS_KEY, key, -1, e);
}
