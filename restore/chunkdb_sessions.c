/* chunkdb_sessions.c - what belongs to a session: pending packs and keys, pins, doomed chunks; see chunkdb.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "restore/chunkdb_impl.h"
#include "restore/presence.h"
#include <stdio.h>
#include <stdlib.h>

#define ABANDONED_S 86400 /* whoever wanted to go on with a dead run would have */

static bool is_live(const struct chunkdb *db, int64_t session)
{
    return session == db->session ||
           (session != 0 && db->who.live && db->who.live(db->who.ctx, (uint64_t)session));
}

/* Under whose source, and since when; for those who come after. */
static int note_run(struct chunkdb *db, struct err *e)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db->db, "INSERT OR IGNORE INTO runs VALUES (?1, ?2, ?3)", -1, &s,
                           NULL) != SQLITE_OK)
        return cdb_err(db, e);
    sqlite3_bind_int64(s, 1, db->session);
    sqlite3_bind_text(s, 2, db->who.source, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 3, sys_realtime_s());
    int rc = cdb_step(db, s, e);
    sqlite3_finalize(s);
    return rc;
}

int chunkdb_add_pending(struct chunkdb *db, const struct index_pack *p, struct err *e)
{
    int rc = cdb_begin(db, e);
    if (rc < 0)
        return rc;
    rc = note_run(db, e);
    return cdb_finish(db, rc < 0 ? rc : cdb_add_pack(db, p, 0, e), e);
}

int chunkdb_drop_pack(struct chunkdb *db, const struct id *pack, struct err *e)
{
    int rc = cdb_begin(db, e);
    if (rc < 0)
        return rc;
    /* Never one that meanwhile has become the vault's. */
    rc = cdb_exec(db,
                  "DELETE FROM chunks WHERE pack = "
                  "(SELECT ord FROM packs WHERE id = ?1 AND committed = 0 AND session = ?2)",
                  pack, db->session, e);
    if (rc == 0)
        rc = cdb_exec(db, "DELETE FROM packs WHERE id = ?1 AND committed = 0 AND session = ?2",
                      pack, db->session, e);
    return cdb_finish(db, rc, e);
}

/* --- what dead sessions left ---------------------------------------------------------------------------------------- */
/* Runs a statement with up to three numbers and a text; the integer of its first row, 0 when there is none. */
static int64_t with_numbers(struct chunkdb *db, const char *sql, int64_t a, int64_t b,
                            const char *text, struct err *e)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db->db, sql, -1, &s, NULL) != SQLITE_OK)
        return cdb_err(db, e);
    sqlite3_bind_int64(s, 1, a);
    sqlite3_bind_int64(s, 2, b);
    sqlite3_bind_text(s, 3, text, -1, SQLITE_STATIC);
    int rc = cdb_step(db, s, e);
    int64_t v = rc > 0 ? sqlite3_column_int64(s, 0) : rc;
    sqlite3_finalize(s);
    return v;
}

/* Whoever comes first gets all that one session left; its keys with it. Returns how many packs. */
static int64_t take_over(struct chunkdb *db, int64_t dead, struct err *e)
{
    int64_t rc = cdb_begin(db, e), n = 0;
    if (rc < 0)
        return rc;
    rc = with_numbers(db, "UPDATE packs SET session = ?2 WHERE obj = 0 AND session = ?1", dead,
                      db->session, NULL, e);
    n = sqlite3_changes(db->db);
    if (rc == 0 && n > 0)
        rc = with_numbers(db, "UPDATE facts.pending_keys SET session = ?2 WHERE session = ?1", dead,
                          db->session, NULL, e);
    if (rc == 0 && n > 0)
        rc = note_run(db, e);
    rc = cdb_finish(db, (int)rc, e);
    return rc < 0 ? rc : n;
}

/* Nothing of it is pending: its keys and its name go too. */
static int forget_dead(struct chunkdb *db, int64_t dead, struct err *e)
{
    int64_t rc = cdb_begin(db, e);
    if (rc < 0)
        return (int)rc;
    rc = with_numbers(db, "DELETE FROM facts.pending_keys WHERE session = ?1", dead, 0, NULL, e);
    if (rc == 0)
        rc = with_numbers(db, "DELETE FROM runs WHERE session = ?1", dead, 0, NULL, e);
    if (rc == 0)
        rc = with_numbers(db, "DELETE FROM doomed WHERE session = ?1", dead, 0, NULL, e);
    return cdb_finish(db, (int)rc, e);
}

static int64_t settle_dead(struct chunkdb *db, int64_t dead, int64_t now_s, struct err *e)
{
    int64_t n = with_numbers(db, "SELECT count(*) FROM packs WHERE committed = 0 AND session = ?1",
                             dead, 0, NULL, e);
    if (n <= 0)
        return n < 0 ? n : forget_dead(db, dead, e);
    int64_t ours = with_numbers(
        db, "SELECT count(*) FROM runs WHERE session = ?1 AND source IS NOT ?3 AND begun > ?2",
        dead, now_s - ABANDONED_S, db->who.source, e);
    return ours < 0 ? ours : ours > 0 ? 0 : take_over(db, dead, e);
}

int chunkdb_adopt_dead(struct chunkdb *db, int64_t now_s, struct err *e)
{
    int64_t *sessions = NULL, rc = 0, taken = 0;
    size_t n = 0;
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db->db,
                           "SELECT session FROM packs WHERE committed = 0 UNION "
                           "SELECT session FROM facts.pending_keys UNION SELECT session FROM runs "
                           "UNION SELECT session FROM doomed",
                           -1, &s, NULL) != SQLITE_OK)
        return cdb_err(db, e);
    while ((rc = cdb_step(db, s, e)) > 0) {
        int64_t *grown = realloc(sessions, (n + 1) * sizeof *grown);
        if (!grown) {
            rc = err_set(e, ERR_NOMEM, _("no memory"));
            break;
        }
        sessions = grown;
        sessions[n++] = sqlite3_column_int64(s, 0);
    }
    sqlite3_finalize(s);
    for (size_t i = 0; rc >= 0 && i < n; i++) {
        rc = is_live(db, sessions[i]) ? 0 : settle_dead(db, sessions[i], now_s, e);
        taken += rc > 0 ? rc : 0;
    }
    free(sessions);
    return (int)(rc < 0 ? rc : taken);
}

int chunkdb_each_own(struct chunkdb *db, chunkdb_pack_fn *fn, void *ctx, struct err *e)
{
    char sql[120];
    snprintf(sql, sizeof sql,
             "SELECT id, len, 0 FROM packs WHERE obj = 0 AND session = %lld ORDER BY ord",
             (long long)db->session);
    return cdb_each_pack(db, sql, NULL, fn, ctx, e);
}

/* --- data keys that no head names yet ----------------------------------------------------------------------------- */
int chunkdb_add_pending_key(struct chunkdb *db, const struct data_key *k,
                            const struct object_ref *ref, struct err *e)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db->db,
                           "INSERT OR REPLACE INTO facts.pending_keys VALUES (?1, ?2, ?3, ?4, ?5)",
                           -1, &s, NULL) != SQLITE_OK)
        return cdb_err(db, e);
    cdb_bind_id(s, 1, &k->id);
    sqlite3_bind_int64(s, 2, db->session);
    sqlite3_bind_blob(s, 3, k, sizeof *k, SQLITE_STATIC);
    cdb_bind_id(s, 4, &ref->id);
    sqlite3_bind_int64(s, 5, (int64_t)ref->len);
    int rc = cdb_step(db, s, e);
    sqlite3_finalize(s);
    return rc;
}

int chunkdb_each_pending_key(struct chunkdb *db, chunkdb_key_fn *fn, void *ctx, struct err *e)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db->db, "SELECT session, key, object, len FROM facts.pending_keys", -1,
                           &s, NULL) != SQLITE_OK)
        return cdb_err(db, e);
    int rc;
    while ((rc = cdb_step(db, s, e)) > 0) {
        struct object_ref ref = { .len = (uint64_t)sqlite3_column_int64(s, 3) };
        struct data_key k;
        if (sqlite3_column_bytes(s, 1) != sizeof k || !cdb_column_id(s, 2, &ref.id))
            continue;
        memcpy(&k, sqlite3_column_blob(s, 1), sizeof k);
        rc = fn(ctx, sqlite3_column_int64(s, 0) == db->session, &k, &ref, e);
        if (rc != 0)
            break;
    }
    sqlite3_finalize(s);
    return rc;
}

int chunkdb_forget_own_keys(struct chunkdb *db, struct err *e)
{
    return (int)with_numbers(db, "DELETE FROM facts.pending_keys WHERE session = ?1", db->session,
                             0, NULL, e);
}

/* --- chunks that are about to go ---------------------------------------------------------------------------------- */
int chunkdb_doom(struct chunkdb *db, const struct id *ids, size_t n, struct err *e)
{
    sqlite3_stmt *s = db->stmt[S_DOOM];
    int rc = cdb_begin(db, e);
    if (rc < 0)
        return rc;
    sqlite3_bind_int64(s, 2, db->session);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        cdb_bind_id(s, 1, &ids[i]);
        rc = cdb_step_once(db, s, e);
    }
    return cdb_finish(db, rc, e);
}

int chunkdb_undoom_all(struct chunkdb *db, uint64_t session, struct err *e)
{
    return (int)with_numbers(db, "DELETE FROM doomed WHERE session = ?1", (int64_t)session, 0, NULL,
                             e);
}

int chunkdb_is_doomed(struct chunkdb *db, const struct id *id, struct err *e)
{
    sqlite3_stmt *s = db->stmt[S_DOOMED];
    cdb_bind_id(s, 1, id);
    int rc;
    bool doomed = false;
    while (!doomed && (rc = cdb_step(db, s, e)) > 0)
        doomed = is_live(db, sqlite3_column_int64(s, 0));
    sqlite3_reset(s);
    return doomed ? 1 : rc;
}

static int load_pin(void *ctx, uint64_t session, const struct id *id, struct err *e)
{
    struct chunkdb *db = ctx;
    (void)session;
    cdb_bind_id(db->stmt[S_PIN], 1, id);
    return cdb_step_once(db, db->stmt[S_PIN], e);
}

int chunkdb_load_pins(struct chunkdb *db, const char *sessions, struct err *e)
{
    int rc = cdb_run(db, "BEGIN; DELETE FROM temp.pinned;", e);
    if (rc == 0)
        rc = presence_each_pin(sessions, (uint64_t)db->session, load_pin, db, e);
    return cdb_finish(db, rc, e);
}

int chunkdb_is_pinned(struct chunkdb *db, const struct id *id, struct err *e)
{
    cdb_bind_id(db->stmt[S_PINNED], 1, id);
    return cdb_step_once(db, db->stmt[S_PINNED], e);
}
