/* runs.c - what was done: runs, the snapshots that came of them, and the copies as they were last seen; see catalog.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/vault/objects.h"
#include "orchestrator/catalog/inner.h"

#include <inttypes.h>
#include <string.h>

/* --- runs --------------------------------------------------------------------------------------------------------------- */
#define RUN_COLUMNS                                                                                       \
    "id, job, kind, policy, vault, agent, started_s, ended_s, exit_status, error_code, error, snapshot, " \
    "snapshot_state, files, bytes, bytes_read, bytes_stored, problems, copies_reached, copies_wanted"

int catalog_run_put(struct catalog *c, const struct run *r, uint64_t *ret_id, struct err *e)
{
    int64_t id = 0;
    int rc = sql_one(
        &c->sql, e, 0, &id,
        "INSERT INTO runs(job, kind, policy, vault, agent, started_s, ended_s, exit_status, error_code, error,"
        " snapshot, snapshot_state, files, bytes, bytes_read, bytes_stored, problems, copies_reached,"
        " copies_wanted) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,"
        " ?18, ?19) RETURNING id",
        SQL_INT(r->job), SQL_TEXT(r->kind), SQL_TEXT(r->policy), SQL_TEXT(r->vault),
        SQL_TEXT(r->agent), SQL_INT(r->started_s), SQL_INT(r->ended_s), SQL_INT(r->exit_status),
        SQL_TEXT(r->error_code), SQL_TEXT(r->error), SQL_ID(&r->snapshot),
        SQL_INT(r->snapshot_state), SQL_INT(r->files), SQL_INT(r->bytes), SQL_INT(r->bytes_read),
        SQL_INT(r->bytes_stored), SQL_INT(r->problems), SQL_INT(r->copies_reached),
        SQL_INT(r->copies_wanted));
    if (rc == 0 && ret_id)
        *ret_id = (uint64_t)id;
    return rc;
}

int catalog_run_begin(struct catalog *c, const struct run *r, uint64_t *ret_id, struct err *e)
{
    struct run begun = *r;
    if (!begun.started_s)
        begun.started_s = sys_realtime_s();
    begun.ended_s = 0;
    return catalog_run_put(c, &begun, ret_id, e);
}

int catalog_run_end(struct catalog *c, uint64_t id, const struct run *r, struct err *e)
{
    int rc = sql_do(
        &c->sql, e,
        "UPDATE runs SET ended_s = ?2, exit_status = ?3, error_code = ?4, error = ?5, snapshot = ?6,"
        " snapshot_state = ?7, files = ?8, bytes = ?9, bytes_read = ?10, bytes_stored = ?11, problems = ?12,"
        " copies_reached = ?13, copies_wanted = ?14, vault = CASE WHEN ?15 = '' THEN vault ELSE ?15 END,"
        " agent = CASE WHEN ?16 = '' THEN agent ELSE ?16 END WHERE id = ?1",
        SQL_INT(id), SQL_INT(r->ended_s ? r->ended_s : sys_realtime_s()), SQL_INT(r->exit_status),
        SQL_TEXT(r->error_code), SQL_TEXT(r->error), SQL_ID(&r->snapshot),
        SQL_INT(r->snapshot_state), SQL_INT(r->files), SQL_INT(r->bytes), SQL_INT(r->bytes_read),
        SQL_INT(r->bytes_stored), SQL_INT(r->problems), SQL_INT(r->copies_reached),
        SQL_INT(r->copies_wanted), SQL_TEXT(r->vault), SQL_TEXT(r->agent));
    return rc < 0 ? rc : rc == 0 ? err_set(e, ERR_ABSENT, _("there is no run %" PRIu64), id) : 0;
}

static void read_run(struct rbuf *r, struct run *run)
{
    run->id = (uint64_t)sql_int(r);
    run->job = (uint64_t)sql_int(r);
    run->kind = sql_str(r);
    run->policy = sql_str(r);
    run->vault = sql_str(r);
    run->agent = sql_str(r);
    run->started_s = sql_int(r);
    run->ended_s = sql_int(r);
    run->exit_status = (int)sql_int(r);
    run->error_code = sql_str(r);
    run->error = sql_str(r);
    sql_id(r, &run->snapshot);
    run->snapshot_state = (unsigned)sql_int(r);
    run->files = (uint64_t)sql_int(r);
    run->bytes = (uint64_t)sql_int(r);
    run->bytes_read = (uint64_t)sql_int(r);
    run->bytes_stored = (uint64_t)sql_int(r);
    run->problems = (uint64_t)sql_int(r);
    run->copies_reached = (unsigned)sql_int(r);
    run->copies_wanted = (unsigned)sql_int(r);
}

static int each_run(struct sql_rows *rows, int rc, catalog_run_fn *fn, void *ctx)
{
    struct rbuf r = sql_reader(rows);
    for (size_t i = 0; rc >= 0 && i < rows->n; i++) {
        struct run run;
        read_run(&r, &run);
        if ((rc = fn(ctx, &run)) != 0)
            break;
    }
    sql_rows_free(rows);
    return rc;
}

int catalog_runs(struct catalog *c, const char *policy, size_t limit, catalog_run_fn *fn, void *ctx,
                 struct err *e)
{
    struct sql_rows rows = SQL_ROWS_INIT;
    int rc = policy ? sql_query(&c->sql, &rows, e,
                                "SELECT " RUN_COLUMNS
                                " FROM runs WHERE policy = ?1 ORDER BY id DESC LIMIT ?2",
                                SQL_TEXT(policy), CATALOG_LIMIT(limit))
                    : sql_query(&c->sql, &rows, e,
                                "SELECT " RUN_COLUMNS " FROM runs ORDER BY id DESC LIMIT ?1",
                                CATALOG_LIMIT(limit));
    return each_run(&rows, rc, fn, ctx);
}

int catalog_last_runs(struct catalog *c, const char *kind, catalog_run_fn *fn, void *ctx,
                      struct err *e)
{
    struct sql_rows rows = SQL_ROWS_INIT;
    /* From policy to policy along the index, so that a year of runs is not looked at. */
    int rc = sql_query(
        &c->sql, &rows, e,
        "WITH RECURSIVE each(policy) AS (SELECT min(policy) FROM runs WHERE kind = ?1 UNION ALL "
        "SELECT (SELECT min(policy) FROM runs WHERE kind = ?1 AND policy > each.policy) FROM each "
        "WHERE each.policy IS NOT NULL) SELECT " RUN_COLUMNS
        " FROM runs WHERE id IN (SELECT (SELECT max(id) FROM runs WHERE kind = ?1 AND policy = each.policy) "
        "FROM each WHERE each.policy IS NOT NULL) ORDER BY policy",
        SQL_TEXT(kind));
    return each_run(&rows, rc, fn, ctx);
}

/* --- snapshots ------------------------------------------------------------------------------------------------------------ */
#define SNAPSHOT_COLUMNS                                                                            \
    "s.id, s.vault, s.policy, s.source, s.host, s.received_s, s.state, s.flags, s.files, s.bytes, " \
    "s.bytes_stored, s.problems, s.generation, CASE WHEN h.snapshot IS NULL THEN 0 ELSE 1 END, coalesce(h.why, '')"
#define SNAPSHOT_TABLES " FROM snapshots s LEFT JOIN holds h ON h.snapshot = s.id "

int catalog_snapshot_put(struct catalog *c, const struct snapshot_row *s, struct err *e)
{
    bool good = s->state == SNAPSHOT_WHOLE && !(s->flags & SNAPSHOT_QUARANTINE);
    int rc = sql_do(
        &c->sql, e,
        "INSERT INTO snapshots(id, vault, policy, source, host, received_s, state, flags, good, files, bytes,"
        " bytes_stored, problems, generation) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
        " ?14) ON CONFLICT(id) DO UPDATE SET vault = excluded.vault, received_s = excluded.received_s,"
        " state = excluded.state, flags = excluded.flags, good = excluded.good, generation ="
        " CASE WHEN excluded.generation = 0 THEN snapshots.generation ELSE excluded.generation END",
        SQL_ID(&s->id), SQL_TEXT(s->vault), SQL_TEXT(s->policy), SQL_TEXT(s->source),
        SQL_TEXT(s->host), SQL_INT(s->received_s), SQL_INT(s->state), SQL_INT(s->flags),
        SQL_INT(good), SQL_INT(s->files), SQL_INT(s->bytes), SQL_INT(s->bytes_stored),
        SQL_INT(s->problems), SQL_INT(s->generation));
    return rc < 0 ? rc : 0;
}

int catalog_snapshot_drop(struct catalog *c, const struct id *id, struct err *e)
{
    int rc = sql_begin(&c->sql, e);
    if (rc < 0)
        return rc;
    rc = sql_do(&c->sql, e, "DELETE FROM snapshots WHERE id = ?1", SQL_ID(id));
    if (rc >= 0)
        rc = sql_do(&c->sql, e, "DELETE FROM holds WHERE snapshot = ?1", SQL_ID(id));
    rc = sql_finish(&c->sql, rc, e);
    return rc < 0 ? rc : 0;
}

static void read_snapshot(struct rbuf *r, struct snapshot_row *s)
{
    sql_id(r, &s->id);
    s->vault = sql_str(r);
    s->policy = sql_str(r);
    s->source = sql_str(r);
    s->host = sql_str(r);
    s->received_s = sql_int(r);
    s->state = (unsigned)sql_int(r);
    s->flags = (unsigned)sql_int(r);
    s->files = (uint64_t)sql_int(r);
    s->bytes = (uint64_t)sql_int(r);
    s->bytes_stored = (uint64_t)sql_int(r);
    s->problems = (uint64_t)sql_int(r);
    s->generation = (uint64_t)sql_int(r);
    s->hold = sql_int(r) != 0;
    s->hold_why = sql_str(r);
}

static int each_snapshot(struct sql_rows *rows, int rc, catalog_snapshot_fn *fn, void *ctx)
{
    struct rbuf r = sql_reader(rows);
    for (size_t i = 0; rc >= 0 && i < rows->n; i++) {
        struct snapshot_row s;
        read_snapshot(&r, &s);
        if ((rc = fn(ctx, &s)) != 0)
            break;
    }
    sql_rows_free(rows);
    return rc;
}

int catalog_snapshots(struct catalog *c, const char *vault, const char *policy, size_t limit,
                      catalog_snapshot_fn *fn, void *ctx, struct err *e)
{
    struct sql_rows rows = SQL_ROWS_INIT;
    int rc;
    if (policy)
        rc = sql_query(
            &c->sql, &rows, e,
            "SELECT " SNAPSHOT_COLUMNS SNAPSHOT_TABLES
            "WHERE s.policy = ?1 AND (?2 = '' OR s.vault = ?2) ORDER BY s.received_s DESC LIMIT ?3",
            SQL_TEXT(policy), SQL_TEXT(vault), CATALOG_LIMIT(limit));
    else if (vault)
        rc = sql_query(&c->sql, &rows, e,
                       "SELECT " SNAPSHOT_COLUMNS SNAPSHOT_TABLES
                       "WHERE s.vault = ?1 ORDER BY s.received_s DESC LIMIT ?2",
                       SQL_TEXT(vault), CATALOG_LIMIT(limit));
    else
        rc = sql_query(&c->sql, &rows, e,
                       "SELECT " SNAPSHOT_COLUMNS SNAPSHOT_TABLES
                       "ORDER BY s.received_s DESC LIMIT ?1",
                       CATALOG_LIMIT(limit));
    return each_snapshot(&rows, rc, fn, ctx);
}

int catalog_newest(struct catalog *c, catalog_snapshot_fn *fn, void *ctx, struct err *e)
{
    struct sql_rows rows = SQL_ROWS_INIT;
    int rc = sql_query(
        &c->sql, &rows, e,
        "WITH RECURSIVE each(policy) AS (SELECT min(policy) FROM snapshots WHERE good = 1 UNION ALL "
        "SELECT (SELECT min(policy) FROM snapshots WHERE good = 1 AND policy > each.policy) FROM each "
        "WHERE each.policy IS NOT NULL) SELECT " SNAPSHOT_COLUMNS SNAPSHOT_TABLES
        "WHERE s.id IN (SELECT (SELECT n.id FROM snapshots n WHERE n.good = 1 AND n.policy = each.policy "
        "ORDER BY n.received_s DESC LIMIT 1) FROM each WHERE each.policy IS NOT NULL) ORDER BY s.policy");
    return each_snapshot(&rows, rc, fn, ctx);
}

/* --- holds ------------------------------------------------------------------------------------------------------------------ */
int catalog_hold_put(struct catalog *c, const struct hold *h, struct err *e)
{
    int rc = sql_do(
        &c->sql, e,
        "INSERT INTO holds(snapshot, vault, why, who, at_s) VALUES (?1, ?2, ?3, ?4, ?5) "
        "ON CONFLICT(snapshot) DO UPDATE SET why = excluded.why, who = excluded.who, at_s = excluded.at_s",
        SQL_ID(&h->snapshot), SQL_TEXT(h->vault), SQL_TEXT(h->why), SQL_TEXT(h->who),
        SQL_INT(h->at_s));
    return rc < 0 ? rc : 0;
}

int catalog_hold(struct catalog *c, const char *vault, const struct id *snapshot, bool hold,
                 const char *why, const char *who, struct err *e)
{
    struct hold h = {
        .snapshot = *snapshot, .vault = vault, .why = why, .who = who, .at_s = sys_realtime_s()
    };
    if (hold)
        return catalog_hold_put(c, &h, e);
    int rc = sql_do(&c->sql, e, "DELETE FROM holds WHERE snapshot = ?1", SQL_ID(snapshot));
    return rc < 0 ? rc : rc == 0 ? err_set(e, ERR_ABSENT, _("this snapshot is not held")) : 0;
}

int catalog_holds(struct catalog *c, const char *vault, catalog_hold_fn *fn, void *ctx,
                  struct err *e)
{
    struct sql_rows rows = SQL_ROWS_INIT;
    int rc = sql_query(
        &c->sql, &rows, e,
        "SELECT snapshot, vault, why, who, at_s FROM holds WHERE ?1 = '' OR vault = ?1 ORDER BY at_s, snapshot",
        SQL_TEXT(vault));
    struct rbuf r = sql_reader(&rows);
    for (size_t i = 0; rc >= 0 && i < rows.n; i++) {
        struct hold h;
        sql_id(&r, &h.snapshot);
        h.vault = sql_str(&r);
        h.why = sql_str(&r);
        h.who = sql_str(&r);
        h.at_s = sql_int(&r);
        if ((rc = fn(ctx, &h)) != 0)
            break;
    }
    sql_rows_free(&rows);
    return rc;
}

/* --- copies ------------------------------------------------------------------------------------------------------------------- */
int catalog_copy_put(struct catalog *c, const struct copy_row *r, struct err *e)
{
    bool current = r->state && strcmp(r->state, "current") == 0;
    int64_t current_s = r->current_s ? r->current_s : current ? r->seen_s : 0;
    int rc = sql_do(
        &c->sql, e,
        "INSERT INTO copies(vault, place, state, generation, seen_s, current_s, free_bytes, total_bytes, damaged,"
        " why) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT(vault, place) DO UPDATE SET"
        " state = excluded.state, why = excluded.why, damaged = excluded.damaged,"
        " generation = CASE WHEN excluded.generation = 0 THEN copies.generation ELSE excluded.generation END,"
        " seen_s = CASE WHEN excluded.seen_s = 0 THEN copies.seen_s ELSE excluded.seen_s END,"
        " current_s = CASE WHEN excluded.current_s = 0 THEN copies.current_s ELSE excluded.current_s END,"
        " free_bytes = CASE WHEN excluded.total_bytes = 0 THEN copies.free_bytes ELSE excluded.free_bytes END,"
        " total_bytes = CASE WHEN excluded.total_bytes = 0 THEN copies.total_bytes ELSE excluded.total_bytes END",
        SQL_TEXT(r->vault), SQL_TEXT(r->place), SQL_TEXT(r->state), SQL_INT(r->generation),
        SQL_INT(r->seen_s), SQL_INT(current_s), SQL_INT(r->free_bytes), SQL_INT(r->total_bytes),
        SQL_INT(r->damaged_objects), SQL_TEXT(r->why));
    return rc < 0 ? rc : 0;
}

int catalog_copy_drop(struct catalog *c, const char *vault, const char *place, struct err *e)
{
    int rc = sql_do(&c->sql, e, "DELETE FROM copies WHERE vault = ?1 AND place = ?2",
                    SQL_TEXT(vault), SQL_TEXT(place));
    return rc < 0 ? rc : 0;
}

int catalog_copies(struct catalog *c, const char *vault, catalog_copy_fn *fn, void *ctx,
                   struct err *e)
{
    struct sql_rows rows = SQL_ROWS_INIT;
    int rc = sql_query(
        &c->sql, &rows, e,
        "SELECT vault, place, state, generation, seen_s, current_s, free_bytes, total_bytes, damaged, why "
        "FROM copies WHERE ?1 = '' OR vault = ?1 ORDER BY vault, place",
        SQL_TEXT(vault));
    struct rbuf r = sql_reader(&rows);
    for (size_t i = 0; rc >= 0 && i < rows.n; i++) {
        struct copy_row row;
        row.vault = sql_str(&r);
        row.place = sql_str(&r);
        row.state = sql_str(&r);
        row.generation = (uint64_t)sql_int(&r);
        row.seen_s = sql_int(&r);
        row.current_s = sql_int(&r);
        row.free_bytes = (uint64_t)sql_int(&r);
        row.total_bytes = (uint64_t)sql_int(&r);
        row.damaged_objects = (uint64_t)sql_int(&r);
        row.why = sql_str(&r);
        if ((rc = fn(ctx, &row)) != 0)
            break;
    }
    sql_rows_free(&rows);
    return rc;
}

/* --- media --------------------------------------------------------------------------------------------------------------------- */
int catalog_medium_put(struct catalog *c, const struct medium *m, struct err *e)
{
    int rc = sql_do(
        &c->sql, e,
        "INSERT INTO media(vault, place, label, location, who, note, at_s) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        SQL_TEXT(m->vault), SQL_TEXT(m->place), SQL_TEXT(m->label), SQL_TEXT(m->where),
        SQL_TEXT(m->who), SQL_TEXT(m->note), SQL_INT(m->at_s ? m->at_s : sys_realtime_s()));
    return rc < 0 ? rc : 0;
}

int catalog_media(struct catalog *c, const char *place, bool history, catalog_medium_fn *fn,
                  void *ctx, struct err *e)
{
    struct sql_rows rows = SQL_ROWS_INIT;
    int rc = sql_query(
        &c->sql, &rows, e,
        "SELECT vault, place, label, location, who, note, at_s FROM media m WHERE (?1 = '' OR place = ?1) "
        "AND (?2 = 1 OR NOT EXISTS (SELECT 1 FROM media n WHERE n.place = m.place AND n.vault = m.vault "
        "AND n.label = m.label AND n.id > m.id)) ORDER BY id DESC",
        SQL_TEXT(place), SQL_INT(history));
    struct rbuf r = sql_reader(&rows);
    for (size_t i = 0; rc >= 0 && i < rows.n; i++) {
        struct medium m;
        m.vault = sql_str(&r);
        m.place = sql_str(&r);
        m.label = sql_str(&r);
        m.where = sql_str(&r);
        m.who = sql_str(&r);
        m.note = sql_str(&r);
        m.at_s = sql_int(&r);
        if ((rc = fn(ctx, &m)) != 0)
            break;
    }
    sql_rows_free(&rows);
    return rc;
}
