/* chunkdb.c - the SQLite cache of the index, and the facts beside it; see chunkdb.h. Rollback journal, full sync. */
#include "restore/chunkdb_impl.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BUSY_MS 120000    /* dozens of processes may wait for each other's short transactions */
#define CACHE_KIB "-2000" /* shared: the system's page cache holds the rest, once for all */
#define PRIVATE_CACHE_KIB "-8000"
#define SCHEMA_VERSION 2

static const char *const sql_of[S_COUNT] = {
    [S_FIND] =
        "SELECT p.id, p.len, c.off, c.len, k.id, c.counter, c.hash FROM chunks c JOIN packs p ON p.ord = c.pack "
        "JOIN keys k ON k.ord = c.key WHERE c.id = ?1 AND p.committed = 1 ORDER BY p.ord DESC LIMIT 8",
    [S_HAS] = "SELECT p.committed FROM chunks c JOIN packs p ON p.ord = c.pack WHERE c.id = ?1 AND "
              "(p.committed = 0 AND p.session = ?2 OR p.committed = 1 AND "
              "NOT EXISTS (SELECT 1 FROM facts.lost WHERE id = ?1)) LIMIT 1",
    [S_DOOMED] = "SELECT session FROM doomed WHERE id = ?1",
    [S_DOOM] = "INSERT OR IGNORE INTO doomed VALUES (?1, ?2)",
    [S_PIN] = "INSERT OR IGNORE INTO temp.pinned VALUES (?1)",
    [S_PINNED] = "SELECT 1 FROM temp.pinned WHERE id = ?1",
    [S_PROMISED] = "SELECT 1 FROM temp.promised WHERE id = ?1",
    [S_PROMISE] = "INSERT OR IGNORE INTO temp.promised VALUES (?1, 0)",
    [S_KEEP] = "UPDATE temp.promised SET come = 1 WHERE id = ?1 AND come = 0",
    [S_ADD_PACK] =
        "INSERT INTO packs(id, len, obj, committed, session) VALUES (?1, ?2, ?3, ?3 <> 0, ?4) "
        "ON CONFLICT(id) DO UPDATE SET obj = excluded.obj, committed = excluded.committed RETURNING ord",
    [S_ADD_CHUNK] = "INSERT OR IGNORE INTO chunks VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [S_ADD_KEY] = "INSERT OR IGNORE INTO keys(id) VALUES (?1)",
    [S_KEY_ORD] = "SELECT ord FROM keys WHERE id = ?1",
    [S_META_GET] = "SELECT value FROM facts.meta WHERE key = ?1",
    [S_META_SET] = "INSERT OR REPLACE INTO facts.meta VALUES (?1, ?2)",
    [S_LOST] = "INSERT OR IGNORE INTO facts.lost VALUES (?1)",
};

int cdb_err(struct chunkdb *db, struct err *e)
{
    int code = sqlite3_errcode(db->db);
    enum err_code c = code == SQLITE_FULL       ? ERR_NOSPACE
                      : code == SQLITE_READONLY ? ERR_READONLY
                      : code == SQLITE_BUSY     ? ERR_BUSY
                      : code == SQLITE_NOMEM    ? ERR_NOMEM
                                                : ERR_IO;
    err_set(e, c, "%s", sqlite3_errmsg(db->db));
    return err_wrap(e, _("index cache %s"), sqlite3_db_filename(db->db, "main"));
}

int cdb_run(struct chunkdb *db, const char *sql, struct err *e)
{
    return sqlite3_exec(db->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : cdb_err(db, e);
}

static const char pragmas[] =
    "PRAGMA page_size=8192; PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL; PRAGMA temp_store=FILE;";

/* packs.obj 0: pending; committed 0: no head names it yet, whether an index object was written (probation) or not. */
static const char schema[] =
    "CREATE TABLE IF NOT EXISTS objects(ord INTEGER PRIMARY KEY, id BLOB UNIQUE NOT NULL, committed INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS packs(ord INTEGER PRIMARY KEY, id BLOB UNIQUE NOT NULL, len INTEGER NOT NULL,"
    " obj INTEGER NOT NULL, committed INTEGER NOT NULL, session INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS runs(session INTEGER PRIMARY KEY, source TEXT, begun INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS doomed(id BLOB NOT NULL, session INTEGER NOT NULL, PRIMARY KEY(id, session)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS keys(ord INTEGER PRIMARY KEY, id BLOB UNIQUE NOT NULL);"
    "CREATE TABLE IF NOT EXISTS chunks(id BLOB NOT NULL, pack INTEGER NOT NULL, off INTEGER NOT NULL,"
    " len INTEGER NOT NULL, key INTEGER NOT NULL, counter INTEGER NOT NULL, hash BLOB NOT NULL,"
    " PRIMARY KEY(id, pack)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS chunks_by_pack ON chunks(pack, off);"
    "CREATE INDEX IF NOT EXISTS packs_by_obj ON packs(obj);";

static const char temp_schema[] =
    "CREATE TEMP TABLE promised(id BLOB PRIMARY KEY, come INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TEMP TABLE pinned(id BLOB PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TEMP TABLE wanted(id BLOB PRIMARY KEY);"
    "PRAGMA temp.cache_size=-500;";

static const char facts_schema[] =
    "PRAGMA facts.journal_mode=DELETE; PRAGMA facts.synchronous=FULL;"
    "CREATE TABLE IF NOT EXISTS facts.meta(key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS facts.lost(id BLOB PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS facts.lost_index(id BLOB PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS facts.pending_keys(id BLOB PRIMARY KEY, session INTEGER NOT NULL, key BLOB NOT NULL,"
    " object BLOB NOT NULL, len INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS facts.damage(place TEXT, name TEXT, why TEXT, PRIMARY KEY(place, name)) WITHOUT ROWID;";

/* SQLite would make it readable for all. */
static int make_private(const char *path, struct err *e)
{
    int fd = path ? sys_openat(AT_FDCWD, path, O_RDONLY | O_CREAT, 0600, e) : -1;
    if (path && fd < 0)
        return fd;
    sys_close_quiet(fd);
    return 0;
}

static int open_index(const char *path, struct chunkdb *db, bool *ret_old, struct err *e)
{
    int made = make_private(path, e);
    if (made < 0)
        return made;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path ? path : "", &db->db, flags, NULL) != SQLITE_OK)
        return cdb_err(db, e);
    sqlite3_busy_timeout(db->db, BUSY_MS);
    int rc = cdb_run(db, pragmas, e);
    if (rc == 0)
        rc = cdb_run(
            db, path ? "PRAGMA cache_size=" CACHE_KIB : "PRAGMA cache_size=" PRIVATE_CACHE_KIB, e);
    int64_t version = rc == 0 ? cdb_int(db, "PRAGMA user_version", NULL, e) : 0;
    int64_t tables = rc == 0 ? cdb_int(db, "SELECT count(*) FROM sqlite_schema", NULL, e) : 0;
    if (rc == 0 && (version < 0 || tables < 0))
        rc = version < 0 ? (int)version : (int)tables;
    *ret_old = rc == 0 && tables > 0 && version != SCHEMA_VERSION;
    if (rc < 0 || *ret_old)
        return rc;
    char set[64];
    snprintf(set, sizeof set, "PRAGMA user_version=%d", SCHEMA_VERSION);
    if (tables == 0)
        rc = cdb_run(db, schema, e);
    if (rc == 0 && tables == 0)
        rc = cdb_run(db, set, e);
    return rc < 0 ? rc : cdb_run(db, temp_schema, e);
}

static int attach_facts(const char *path, struct chunkdb *db, struct err *e)
{
    sqlite3_stmt *s = NULL;
    int made = make_private(path, e);
    if (made < 0)
        return made;
    if (sqlite3_prepare_v2(db->db, "ATTACH DATABASE ?1 AS facts", -1, &s, NULL) != SQLITE_OK)
        return cdb_err(db, e);
    sqlite3_bind_text(s, 1, path ? path : ":memory:", -1, SQLITE_STATIC);
    int rc = sqlite3_step(s) == SQLITE_DONE ? 0 : cdb_err(db, e);
    sqlite3_finalize(s);
    return rc < 0 ? rc : cdb_run(db, facts_schema, e);
}

static void close_all(struct chunkdb *db)
{
    for (int i = 0; i < S_COUNT; i++) {
        sqlite3_finalize(db->stmt[i]);
        db->stmt[i] = NULL;
    }
    sqlite3_close_v2(db->db);
    db->db = NULL;
}

static bool is_corrupt(const struct chunkdb *db)
{
    int code = db->db ? sqlite3_errcode(db->db) : 0;
    return code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
}

/* Only a cache: what is wrong with it is mended by making it anew. */
static int open_or_remake(const char *path, struct chunkdb *db, struct err *e)
{
    bool old = false;
    int rc = open_index(path, db, &old, e);
    if (path && (old || (rc < 0 && is_corrupt(db)))) {
        close_all(db);
        rc = unlink(path) == 0 ? open_index(path, db, &old, e) : err_sys(e, "%s", path);
    }
    return rc;
}

static int attach_or_set_aside(const char *path, bool *ret_lost, struct chunkdb *db, struct err *e)
{
    char bad[4096];
    int rc = attach_facts(path, db, e);
    if (rc < 0 && path && is_corrupt(db) &&
        (size_t)snprintf(bad, sizeof bad, "%s.bad", path) < sizeof bad) {
        sqlite3_exec(db->db, "DETACH DATABASE facts", NULL, NULL, NULL);
        if (rename(path, bad) == 0)
            rc = attach_facts(path, db, e);
        if (rc == 0 && ret_lost)
            *ret_lost = true;
    }
    return rc;
}

int chunkdb_open(const char *index, const char *facts, bool *ret_facts_lost, struct chunkdb **ret,
                 struct err *e)
{
    struct chunkdb *db = calloc(1, sizeof *db);
    if (!db)
        return err_set(e, ERR_NOMEM, _("no memory"));
    int rc = open_or_remake(index, db, e);
    if (rc == 0)
        rc = attach_or_set_aside(facts, ret_facts_lost, db, e);
    for (int i = 0; rc == 0 && i < S_COUNT; i++)
        if (sqlite3_prepare_v3(db->db, sql_of[i], -1, SQLITE_PREPARE_PERSISTENT, &db->stmt[i],
                               NULL) != SQLITE_OK)
            rc = cdb_err(db, e);
    if (rc < 0) {
        chunkdb_close(db);
        return rc;
    }
    *ret = db;
    return 0;
}

void chunkdb_close(struct chunkdb *db)
{
    if (!db)
        return;
    close_all(db);
    free(db);
}

void chunkdb_join(struct chunkdb *db, uint64_t session, const struct chunkdb_who *who)
{
    db->session = (int64_t)session;
    db->who = *who;
}

void cdb_bind_id(sqlite3_stmt *s, int at, const struct id *id)
{
    sqlite3_bind_blob(s, at, id->b, ID_BYTES, SQLITE_STATIC);
}

bool cdb_column_id(sqlite3_stmt *s, int at, struct id *out)
{
    if (sqlite3_column_bytes(s, at) != ID_BYTES)
        return false;
    memcpy(out->b, sqlite3_column_blob(s, at), ID_BYTES);
    return true;
}

/* Steps a statement that yields at most one row; 1: a row, 0: none. The caller resets. */
int cdb_step(struct chunkdb *db, sqlite3_stmt *s, struct err *e)
{
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        return 1;
    return rc == SQLITE_DONE ? 0 : cdb_err(db, e);
}

int cdb_step_once(struct chunkdb *db, sqlite3_stmt *s, struct err *e)
{
    int rc = cdb_step(db, s, e);
    sqlite3_reset(s);
    return rc;
}

static int key_ordinal(struct chunkdb *db, const struct id *key, int64_t *ret, struct err *e)
{
    cdb_bind_id(db->stmt[S_ADD_KEY], 1, key);
    int rc = cdb_step_once(db, db->stmt[S_ADD_KEY], e);
    if (rc < 0)
        return rc;
    cdb_bind_id(db->stmt[S_KEY_ORD], 1, key);
    rc = cdb_step(db, db->stmt[S_KEY_ORD], e);
    if (rc > 0)
        *ret = sqlite3_column_int64(db->stmt[S_KEY_ORD], 0);
    sqlite3_reset(db->stmt[S_KEY_ORD]);
    return rc < 0 ? rc : 0;
}

int cdb_add_pack(struct chunkdb *db, const struct index_pack *p, int64_t obj, struct err *e)
{
    sqlite3_stmt *s = db->stmt[S_ADD_PACK], *c = db->stmt[S_ADD_CHUNK];
    cdb_bind_id(s, 1, &p->id);
    sqlite3_bind_int64(s, 2, (int64_t)p->len);
    sqlite3_bind_int64(s, 3, obj);
    sqlite3_bind_int64(s, 4, obj ? 0 : db->session);
    int rc = cdb_step(db, s, e);
    int64_t ord = rc > 0 ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_reset(s);
    if (rc < 0)
        return rc;
    const struct pack_table *t = p->table;
    uint64_t off = 0;
    uint32_t last_key = UINT32_MAX;
    int64_t key = 0;
    for (size_t i = 0; i < t->n; i++) {
        const struct pack_chunk *pc = &t->chunks[i];
        if (pc->key != last_key && (rc = key_ordinal(db, &t->keys[pc->key], &key, e)) < 0)
            return rc;
        last_key = pc->key;
        cdb_bind_id(c, 1, &pc->id);
        sqlite3_bind_int64(c, 2, ord);
        sqlite3_bind_int64(c, 3, (int64_t)off);
        sqlite3_bind_int64(c, 4, pc->len);
        sqlite3_bind_int64(c, 5, key);
        sqlite3_bind_int64(c, 6, (int64_t)pc->counter);
        sqlite3_bind_blob(c, 7, pc->hash, SHORT_HASH_BYTES, SQLITE_STATIC);
        if ((rc = cdb_step_once(db, c, e)) < 0)
            return rc;
        off += pc->len;
    }
    return 0;
}

/* Runs a query with one id and returns the integer of its first row, 0 when there is none. */
int64_t cdb_int(struct chunkdb *db, const char *sql, const struct id *id, struct err *e)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db->db, sql, -1, &s, NULL) != SQLITE_OK)
        return cdb_err(db, e);
    if (id)
        cdb_bind_id(s, 1, id);
    int rc = cdb_step(db, s, e);
    int64_t v = rc > 0 ? sqlite3_column_int64(s, 0) : rc;
    sqlite3_finalize(s);
    return v;
}

int cdb_exec(struct chunkdb *db, const char *sql, const struct id *id, int64_t n, struct err *e)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db->db, sql, -1, &s, NULL) != SQLITE_OK)
        return cdb_err(db, e);
    if (id)
        cdb_bind_id(s, 1, id);
    if (n >= 0)
        sqlite3_bind_int64(s, 2, n);
    int rc = cdb_step(db, s, e);
    sqlite3_finalize(s);
    return rc < 0 ? rc : 0;
}

/* Begins by writing (nothing): one that has only read and then wants to write could not wait for another writer. Where both
 * files are written the cache comes first. */
int cdb_begin(struct chunkdb *db, struct err *e)
{
    int rc = cdb_run(db, "BEGIN", e);
    if (rc == 0 && (rc = cdb_run(db, "DELETE FROM main.packs WHERE ord = -1", e)) < 0)
        sqlite3_exec(db->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

int cdb_finish(struct chunkdb *db, int rc, struct err *e)
{
    if (rc == 0)
        rc = cdb_run(db, "COMMIT", e);
    if (rc < 0)
        sqlite3_exec(db->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

struct load_ctx {
    struct chunkdb *db;
    int64_t obj;
};

static int load_pack(void *ctx, const struct index_pack *p, struct err *e)
{
    struct load_ctx *c = ctx;
    return cdb_add_pack(c->db, p, c->obj, e);
}

static int object_ordinal(struct chunkdb *db, const struct id *id, int64_t *ret, struct err *e)
{
    int rc = cdb_exec(db, "INSERT OR IGNORE INTO objects(id, committed) VALUES (?1, 0)", id, -1, e);
    if (rc == 0)
        *ret = cdb_int(db, "SELECT ord FROM objects WHERE id = ?1", id, e);
    return rc < 0 ? rc : *ret < 0 ? (int)*ret : 0;
}

/* What is loaded may come from far away: it is fetched before the cache is kept from others. */
static int load_object(struct chunkdb *db, const struct object_ref *ref, chunkdb_load_fn *load,
                       void *ctx, struct err *e)
{
    int64_t known = cdb_int(db, "SELECT ord FROM objects WHERE id = ?1", &ref->id, e);
    if (known != 0)
        return known < 0 ? (int)known : 0;
    struct wbuf plain = WBUF_INIT;
    int rc = load(ctx, ref, &plain, e);
    struct load_ctx lc = { .db = db };
    if (rc == 0 && (rc = cdb_begin(db, e)) == 0) {
        rc = object_ordinal(db, &ref->id, &lc.obj, e);
        if (rc == 0)
            rc = index_read(plain.p, plain.len, load_pack, &lc, e);
        if (rc == 0)
            rc = cdb_exec(db, "UPDATE objects SET committed = 1 WHERE id = ?1", &ref->id, -1, e);
        rc = cdb_finish(db, rc, e);
    }
    wbuf_free(&plain);
    return rc;
}

#define COMMIT_ALL                                          \
    "UPDATE objects SET committed = 1 WHERE committed = 0;" \
    "UPDATE packs SET committed = 1 WHERE obj <> 0 AND committed = 0;"

static int drop_where(struct chunkdb *db, const char *where, struct err *e)
{
    char sql[400];
    snprintf(sql, sizeof sql,
             "DELETE FROM chunks WHERE pack IN (SELECT ord FROM packs WHERE %s);"
             "DELETE FROM packs WHERE %s;",
             where, where);
    return cdb_run(db, sql, e);
}

static bool in_step(struct chunkdb *db, const struct object_ref *refs, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (cdb_int(db, "SELECT committed FROM objects WHERE id = ?1", &refs[i].id, e) <= 0)
            return false;
    return cdb_int(db, "SELECT count(*) FROM objects", NULL, e) == (int64_t)n;
}

/* What no head names: an index that was never committed gives its packs back to the pending ones. */
static int drop_unwanted(struct chunkdb *db, struct err *e)
{
    int rc = cdb_run(
        db,
        "UPDATE packs SET obj = 0, committed = 0 WHERE obj IN "
        "(SELECT ord FROM objects WHERE committed = 0 AND id NOT IN (SELECT id FROM temp.wanted))",
        e);
    if (rc == 0)
        rc = drop_where(
            db, "obj IN (SELECT ord FROM objects WHERE id NOT IN (SELECT id FROM temp.wanted))", e);
    return rc < 0
               ? rc
               : cdb_run(db, "DELETE FROM objects WHERE id NOT IN (SELECT id FROM temp.wanted)", e);
}

int chunkdb_sync(struct chunkdb *db, const struct object_ref *refs, size_t n, chunkdb_load_fn *load,
                 void *ctx, struct err *e)
{
    if (in_step(db, refs, n, e))
        return 0;
    int rc = cdb_run(db, "DELETE FROM temp.wanted", e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = cdb_exec(db, "INSERT OR IGNORE INTO temp.wanted VALUES (?1)", &refs[i].id, -1, e);
    /* First what goes, then what comes: a pack that moved from one index to another is not lost on the way. */
    if (rc == 0 && (rc = cdb_begin(db, e)) == 0)
        rc = cdb_finish(db, drop_unwanted(db, e), e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = load_object(db, &refs[i], load, ctx, e);
    if (rc == 0 && (rc = cdb_begin(db, e)) == 0)
        rc = cdb_finish(db, cdb_run(db, COMMIT_ALL, e), e);
    return rc;
}

int chunkdb_find(struct chunkdb *db, const struct id *id, struct chunk_place out[MAX_CHUNK_PLACES],
                 struct err *e)
{
    sqlite3_stmt *s = db->stmt[S_FIND];
    cdb_bind_id(s, 1, id);
    int n = 0, rc;
    while (n < MAX_CHUNK_PLACES && (rc = cdb_step(db, s, e)) > 0) {
        struct chunk_place *p = &out[n];
        if (!cdb_column_id(s, 0, &p->pack) || !cdb_column_id(s, 4, &p->key_id) ||
            sqlite3_column_bytes(s, 6) != SHORT_HASH_BYTES)
            continue;
        p->pack_len = (uint64_t)sqlite3_column_int64(s, 1);
        p->off = (uint64_t)sqlite3_column_int64(s, 2);
        p->len = (uint32_t)sqlite3_column_int64(s, 3);
        p->counter = (uint64_t)sqlite3_column_int64(s, 5);
        memcpy(p->hash, sqlite3_column_blob(s, 6), SHORT_HASH_BYTES);
        n++;
    }
    sqlite3_reset(s);
    return n < MAX_CHUNK_PLACES && rc < 0 ? rc : n;
}

int chunkdb_has(struct chunkdb *db, const struct id *id, struct err *e)
{
    sqlite3_stmt *s = db->stmt[S_HAS];
    cdb_bind_id(s, 1, id);
    sqlite3_bind_int64(s, 2, db->session);
    int rc = cdb_step(db, s, e);
    if (rc > 0)
        rc = sqlite3_column_int(s, 0) ? CHUNK_COMMITTED : CHUNK_OWN;
    sqlite3_reset(s);
    return rc;
}

int chunkdb_begin_asking(struct chunkdb *db, struct err *e)
{
    return cdb_run(db, "BEGIN", e);
}

int chunkdb_end_asking(struct chunkdb *db, int rc, struct err *e)
{
    return cdb_finish(db, rc, e);
}

int chunkdb_promise(struct chunkdb *db, const struct id *id, struct err *e)
{
    cdb_bind_id(db->stmt[S_PROMISE], 1, id);
    return cdb_step_once(db, db->stmt[S_PROMISE], e);
}

void chunkdb_forget_promises(struct chunkdb *db)
{
    sqlite3_exec(db->db, "DELETE FROM temp.promised", NULL, NULL, NULL);
}

int chunkdb_is_promised(struct chunkdb *db, const struct id *id, struct err *e)
{
    cdb_bind_id(db->stmt[S_PROMISED], 1, id);
    return cdb_step_once(db, db->stmt[S_PROMISED], e);
}

int chunkdb_keep_promise(struct chunkdb *db, const struct id *id, struct err *e)
{
    cdb_bind_id(db->stmt[S_KEEP], 1, id);
    int rc = cdb_step_once(db, db->stmt[S_KEEP], e);
    return rc < 0 ? rc : sqlite3_changes(db->db) == 1;
}

int chunkdb_mark_lost(struct chunkdb *db, const struct id *id, struct err *e)
{
    cdb_bind_id(db->stmt[S_LOST], 1, id);
    int rc = cdb_step_once(db, db->stmt[S_LOST], e);
    return rc < 0 ? rc : 0;
}

int cdb_each_pack(struct chunkdb *db, const char *sql, const struct id *id, chunkdb_pack_fn *fn,
                  void *ctx, struct err *e)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db->db, sql, -1, &s, NULL) != SQLITE_OK)
        return cdb_err(db, e);
    if (id)
        cdb_bind_id(s, 1, id);
    int rc;
    while ((rc = cdb_step(db, s, e)) > 0) {
        struct object_ref ref = { .len = (uint64_t)sqlite3_column_int64(s, 1) };
        if (!cdb_column_id(s, 0, &ref.id))
            continue;
        rc = fn(ctx, &ref, sqlite3_column_int64(s, 2) == 0, e);
        if (rc != 0)
            break;
    }
    sqlite3_finalize(s);
    return rc;
}

int chunkdb_each_pack(struct chunkdb *db, chunkdb_pack_fn *fn, void *ctx, struct err *e)
{
    return cdb_each_pack(db, "SELECT id, len, committed FROM packs ORDER BY ord", NULL, fn, ctx, e);
}

int chunkdb_index_packs(struct chunkdb *db, const struct id *index, chunkdb_pack_fn *fn, void *ctx,
                        uint64_t *ret_chunks, struct err *e)
{
    if (ret_chunks) {
        int64_t n = cdb_int(
            db,
            "SELECT count(*) FROM chunks WHERE pack IN (SELECT p.ord FROM packs p JOIN objects o "
            "ON o.ord = p.obj WHERE o.id = ?1)",
            index, e);
        if (n < 0)
            return (int)n;
        *ret_chunks = (uint64_t)n;
    }
    if (!fn)
        return 0;
    return cdb_each_pack(
        db,
        "SELECT p.id, p.len, p.committed FROM packs p JOIN objects o ON o.ord = p.obj WHERE o.id = ?1 "
        "ORDER BY p.ord",
        index, fn, ctx, e);
}

int chunkdb_pack_table(struct chunkdb *db, const struct id *pack, struct pack_table *ret,
                       struct err *e)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(
            db->db,
            "SELECT c.id, c.len, c.counter, c.hash, k.id FROM chunks c JOIN keys k ON k.ord = c.key "
            "WHERE c.pack = (SELECT ord FROM packs WHERE id = ?1) ORDER BY c.off",
            -1, &s, NULL) != SQLITE_OK)
        return cdb_err(db, e);
    pack_table_init(ret);
    cdb_bind_id(s, 1, pack);
    int rc;
    while ((rc = cdb_step(db, s, e)) > 0) {
        struct pack_chunk c = { .len = (uint32_t)sqlite3_column_int64(s, 1),
                                .counter = (uint64_t)sqlite3_column_int64(s, 2) };
        struct id key;
        if (!cdb_column_id(s, 0, &c.id) || !cdb_column_id(s, 4, &key) ||
            sqlite3_column_bytes(s, 3) != SHORT_HASH_BYTES)
            continue;
        memcpy(c.hash, sqlite3_column_blob(s, 3), SHORT_HASH_BYTES);
        if ((rc = pack_table_add(ret, &key, &c, e)) < 0)
            break;
    }
    sqlite3_finalize(s);
    if (rc < 0)
        pack_table_done(ret);
    return rc;
}

int chunkdb_adopt_index(struct chunkdb *db, const struct id *index, const struct object_ref *packs,
                        size_t n, struct err *e)
{
    int64_t obj = 0;
    int rc = cdb_begin(db, e);
    if (rc < 0)
        return rc;
    rc = object_ordinal(db, index, &obj, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = cdb_exec(db, "UPDATE packs SET obj = ?2 WHERE id = ?1", &packs[i].id, obj, e);
    /* One that was merged into others is loaded again, should no head ever name those. */
    if (rc == 0)
        rc = cdb_run(db, "DELETE FROM objects WHERE ord NOT IN (SELECT obj FROM packs)", e);
    return cdb_finish(db, rc, e);
}

int chunkdb_take_out(struct chunkdb *db, const struct id *indexes, size_t n_indexes,
                     const struct id *packs, size_t n_packs, struct err *e)
{
    int rc = n_indexes + n_packs ? cdb_begin(db, e) : 0;
    if (rc < 0 || n_indexes + n_packs == 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < n_indexes; i++)
        rc = cdb_exec(db, "DELETE FROM objects WHERE id = ?1", &indexes[i], -1, e);
    for (size_t i = 0; rc == 0 && i < n_packs; i++) {
        rc = cdb_exec(db, "DELETE FROM chunks WHERE pack = (SELECT ord FROM packs WHERE id = ?1)",
                      &packs[i], -1, e);
        if (rc == 0)
            rc = cdb_exec(db, "DELETE FROM packs WHERE id = ?1", &packs[i], -1, e);
    }
    return cdb_finish(db, rc, e);
}

int chunkdb_commit_index(struct chunkdb *db, struct err *e)
{
    int rc = cdb_begin(db, e);
    if (rc < 0)
        return rc;
    rc = cdb_run(db, "DELETE FROM facts.lost_index",
                 e); /* writes before it reads, as cdb_begin() does */
    if (rc == 0 && cdb_int(db, "SELECT count(*) FROM facts.lost", NULL, e) > 0)
        rc = cdb_run(
            db,
            "DELETE FROM facts.lost WHERE id IN (SELECT c.id FROM chunks c JOIN packs p ON p.ord = c.pack "
            "WHERE p.committed = 0 AND p.obj <> 0)",
            e);
    if (rc == 0)
        rc = cdb_run(db, COMMIT_ALL, e);
    return cdb_finish(db, rc, e);
}

int chunkdb_note_lost_index(struct chunkdb *db, const struct id *index, struct err *e)
{
    return cdb_exec(db, "INSERT OR IGNORE INTO facts.lost_index VALUES (?1)", index, -1, e);
}

int chunkdb_is_lost_index(struct chunkdb *db, const struct id *index, struct err *e)
{
    int64_t n = cdb_int(db, "SELECT count(*) FROM facts.lost_index WHERE id = ?1", index, e);
    return n < 0 ? (int)n : n > 0;
}
