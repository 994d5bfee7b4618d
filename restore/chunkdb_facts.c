/* chunkdb_facts.c - small facts and noted damage; see chunkdb.h. */
#include "restore/chunkdb_impl.h"

int chunkdb_get_meta(struct chunkdb *db, const char *key, void *ret, size_t max, struct err *e)
{
    sqlite3_stmt *s = db->stmt[S_META_GET];
    sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
    int rc = cdb_step(db, s, e);
    if (rc > 0) {
        size_t n = (size_t)sqlite3_column_bytes(s, 0);
        rc = n <= max ? (int)n : 0;
        if (rc > 0)
            memcpy(ret, sqlite3_column_blob(s, 0), n);
    }
    sqlite3_reset(s);
    return rc;
}

int chunkdb_set_meta(struct chunkdb *db, const char *key, const void *p, size_t n, struct err *e)
{
    sqlite3_stmt *s = db->stmt[S_META_SET];
    sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
    sqlite3_bind_blob(s, 2, p, (int)n, SQLITE_STATIC);
    int rc = cdb_step_once(db, s, e);
    return rc < 0 ? rc : 0;
}

static int damage_row(struct chunkdb *db, const char *sql, const char *place, const char *name,
                      const char *why, struct err *e)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db->db, sql, -1, &s, NULL) != SQLITE_OK)
        return cdb_err(db, e);
    sqlite3_bind_text(s, 1, place, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 2, name, -1, SQLITE_STATIC);
    if (why)
        sqlite3_bind_text(s, 3, why, -1, SQLITE_STATIC);
    int rc = cdb_step(db, s, e);
    sqlite3_finalize(s);
    return rc < 0 ? rc : 0;
}

int chunkdb_note_damage(struct chunkdb *db, const char *place, const char *name, const char *why,
                        struct err *e)
{
    return damage_row(db, "INSERT OR REPLACE INTO facts.damage VALUES (?1, ?2, ?3)", place, name,
                      why, e);
}

int chunkdb_clear_damage(struct chunkdb *db, const char *place, const char *name, struct err *e)
{
    return damage_row(db, "DELETE FROM facts.damage WHERE place = ?1 AND name = ?2", place, name,
                      NULL, e);
}

int chunkdb_each_damage(struct chunkdb *db, chunkdb_damage_fn *fn, void *ctx, struct err *e)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db->db, "SELECT place, name, why FROM facts.damage ORDER BY place, name",
                           -1, &s, NULL) != SQLITE_OK)
        return cdb_err(db, e);
    int rc;
    while ((rc = cdb_step(db, s, e)) > 0) {
        const char *text[3];
        for (int i = 0; i < 3; i++)
            text[i] = sqlite3_column_text(s, i) ? (const char *)sqlite3_column_text(s, i) : "";
        rc = fn(ctx, text[0], text[1], text[2], e);
        if (rc != 0)
            break;
    }
    sqlite3_finalize(s);
    return rc;
}
