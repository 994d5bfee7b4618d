/* jobs.c - the queue; see catalog.h. A job runs under the lease "job/ID"; whoever lost that can change nothing of it. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/catalog/inner.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const kinds[JOB_KINDS] = { "backup",    "scrub", "prune",
                                              "replicate", "page",  "drill" };
static const char *const states[JOB_STATES] = { "queued",   "running", "done",
                                                "degraded", "failed",  "cancelled" };

const char *job_kind_name(enum job_kind k)
{
    return (unsigned)k < JOB_KINDS ? kinds[k] : "?";
}

bool job_kind_parse(const char *name, enum job_kind *ret)
{
    for (int k = 0; k < JOB_KINDS; k++)
        if (strcmp(kinds[k], name) == 0) {
            *ret = (enum job_kind)k;
            return true;
        }
    return false;
}

const char *job_state_name(enum job_state s)
{
    return (unsigned)s < JOB_STATES ? states[s] : "?";
}

static void lease_name(uint64_t id, char out[32])
{
    snprintf(out, 32, "job/%" PRIu64, id);
}

/* --- in ------------------------------------------------------------------------------------------------------------- */
static int insert_job(struct catalog *c, const struct job *j, int64_t now_s, uint64_t *ret_id,
                      struct err *e)
{
    int64_t id = 0;
    int rc = sql_one(
        &c->sql, e, 0, &id,
        "INSERT INTO jobs(kind, target, slot, state, vault, agent, priority, tries, max_tries, queued_s,"
        " not_before_s, not_after_s, started_s, ended_s, exit_status, error, error_code, epoch, pause) "
        "VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, 0, ?7, ?8, ?9, ?10, 0, 0, 0, '', '', 0, 0) "
        "ON CONFLICT(kind, target, slot) DO NOTHING RETURNING id",
        SQL_TEXT(job_kind_name(j->kind)), SQL_TEXT(j->target), SQL_TEXT(j->slot),
        SQL_TEXT(j->vault), SQL_TEXT(j->agent), SQL_INT(j->priority),
        SQL_INT(j->max_tries ? j->max_tries : 1), SQL_INT(now_s), SQL_INT(j->not_before_s),
        SQL_INT(j->not_after_s));
    if (rc == 0 && id != 0) {
        *ret_id = (uint64_t)id;
        return 1;
    }
    if (rc == 0)
        rc = sql_one(&c->sql, e, 0, &id,
                     "SELECT id FROM jobs WHERE kind = ?1 AND target = ?2 AND slot = ?3",
                     SQL_TEXT(job_kind_name(j->kind)), SQL_TEXT(j->target), SQL_TEXT(j->slot));
    if (rc == 0)
        *ret_id = (uint64_t)id;
    return rc;
}

int catalog_enqueue(struct catalog *c, const struct job *j, uint64_t *ret_id, struct err *e)
{
    uint64_t id = 0;
    if ((unsigned)j->kind >= JOB_KINDS || !j->slot || !*j->slot)
        return err_set(e, ERR_USAGE, _("a job needs a kind and a slot"));
    int rc = sql_begin(&c->sql, e);
    if (rc < 0)
        return rc;
    rc = insert_job(c, j, j->queued_s ? j->queued_s : sys_realtime_s(), &id, e);
    rc = sql_finish(&c->sql, rc, e);
    if (rc >= 0 && ret_id)
        *ret_id = id;
    return rc;
}

/* --- looking ---------------------------------------------------------------------------------------------------------- */
#define JOB_COLUMNS                                                                                     \
    "id, kind, target, slot, state, vault, agent, priority, tries, max_tries, queued_s, not_before_s, " \
    "not_after_s, started_s, ended_s, exit_status, error, error_code, epoch, pause"

static void read_job(struct rbuf *r, struct job *j)
{
    j->id = (uint64_t)sql_int(r);
    if (!job_kind_parse(sql_str(r), &j->kind))
        j->kind = JOB_KINDS; /* of a newer program: shown, not run */
    j->target = sql_str(r);
    j->slot = sql_str(r);
    j->state = (enum job_state)sql_int(r);
    j->vault = sql_str(r);
    j->agent = sql_str(r);
    j->priority = (unsigned)sql_int(r);
    j->tries = (unsigned)sql_int(r);
    j->max_tries = (unsigned)sql_int(r);
    j->queued_s = sql_int(r);
    j->not_before_s = sql_int(r);
    j->not_after_s = sql_int(r);
    j->started_s = sql_int(r);
    j->ended_s = sql_int(r);
    j->exit_status = (int)sql_int(r);
    j->error = sql_str(r);
    j->error_code = sql_str(r);
    j->epoch = (uint64_t)sql_int(r);
    j->pause = sql_int(r) != 0;
}

static int each_job(const struct sql_rows *rows, catalog_job_fn *fn, void *ctx)
{
    struct rbuf r = sql_reader(rows);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < rows->n; i++) {
        struct job j;
        read_job(&r, &j);
        rc = fn(ctx, &j);
    }
    return rc;
}

int catalog_jobs(struct catalog *c, unsigned wanted, size_t limit, catalog_job_fn *fn, void *ctx,
                 struct err *e)
{
    struct sql_rows rows = SQL_ROWS_INIT;
    int rc = 0;
    int64_t in[JOB_STATES];
    for (int s = 0; s < JOB_STATES; s++)
        in[s] = wanted & (1u << s) && s != JOB_QUEUED ? s : -1;
    if (wanted & (1u << JOB_QUEUED))
        rc = sql_query(&c->sql, &rows, e,
                       "SELECT " JOB_COLUMNS
                       " FROM jobs WHERE state = 0 ORDER BY priority DESC, queued_s, id LIMIT ?1",
                       CATALOG_LIMIT(limit));
    if (rc >= 0 && wanted & ~(1u << JOB_QUEUED) && (limit == 0 || rows.n < limit))
        rc = sql_query(&c->sql, &rows, e,
                       "SELECT " JOB_COLUMNS
                       " FROM jobs WHERE state IN (?1, ?2, ?3, ?4, ?5) ORDER BY id DESC LIMIT ?6",
                       SQL_INT(in[JOB_RUNNING]), SQL_INT(in[JOB_DONE]), SQL_INT(in[JOB_DEGRADED]),
                       SQL_INT(in[JOB_FAILED]), SQL_INT(in[JOB_CANCELLED]),
                       CATALOG_LIMIT(limit ? limit - rows.n : 0));
    if (rc >= 0)
        rc = each_job(&rows, fn, ctx);
    sql_rows_free(&rows);
    return rc;
}

static int no_such_job(uint64_t id, struct err *e)
{
    err_set(e, ERR_NAME, _("there is no job %" PRIu64), id);
    return err_next(e, _("see which there are, and which there were: twofold jobs --all"));
}

int catalog_job(struct catalog *c, uint64_t id, catalog_job_fn *fn, void *ctx, struct err *e)
{
    struct sql_rows rows = SQL_ROWS_INIT;
    int rc = sql_query(&c->sql, &rows, e, "SELECT " JOB_COLUMNS " FROM jobs WHERE id = ?1",
                       SQL_INT(id));
    if (rc >= 0)
        rc = rows.n ? each_job(&rows, fn, ctx) : no_such_job(id, e);
    sql_rows_free(&rows);
    return rc;
}

/* --- from state to state ------------------------------------------------------------------------------------------------ */
static int start_job(struct catalog *c, uint64_t id, const char *owner, int64_t until_s,
                     uint64_t *ret_epoch, struct err *e)
{
    char name[32];
    int64_t state = -1;
    lease_name(id, name);
    int rc = sql_one(&c->sql, e, -1, &state, "SELECT state FROM jobs WHERE id = ?1", SQL_INT(id));
    if (rc < 0)
        return rc;
    if (state < 0)
        return no_such_job(id, e);
    if (state != JOB_QUEUED)
        return err_set(e, ERR_BUSY, _("job %" PRIu64 " is not queued; it is %s"), id,
                       job_state_name((enum job_state)state));
    /* Its last holder, if any, has lost it, however long its lease would have gone. */
    rc = sql_do(&c->sql, e, "UPDATE leases SET owner = '' WHERE name = ?1", SQL_TEXT(name));
    if (rc >= 0)
        rc = lease_take(c, name, owner, until_s, ret_epoch, e);
    if (rc == 0)
        rc = sql_do(
            &c->sql, e,
            "UPDATE jobs SET state = 1, tries = tries + 1, started_s = ?2, ended_s = 0, epoch = ?3 WHERE id = ?1",
            SQL_INT(id), SQL_INT(sys_realtime_s()), SQL_INT(*ret_epoch));
    return rc < 0 ? rc : 0;
}

int catalog_job_start(struct catalog *c, uint64_t id, const char *owner, int64_t lease_until_s,
                      uint64_t *ret_epoch, struct err *e)
{
    uint64_t epoch = 0;
    int rc = sql_begin(&c->sql, e);
    if (rc < 0)
        return rc;
    rc = sql_finish(&c->sql, start_job(c, id, owner, lease_until_s, &epoch, e), e);
    if (rc == 0)
        *ret_epoch = epoch;
    return rc;
}

int catalog_job_renew(struct catalog *c, uint64_t id, uint64_t epoch, int64_t until_s,
                      struct err *e)
{
    char name[32];
    lease_name(id, name);
    return catalog_lease_renew(c, name, epoch, until_s, e);
}

static int end_job(struct catalog *c, uint64_t id, uint64_t epoch, const struct job *result,
                   struct err *e)
{
    char name[32];
    lease_name(id, name);
    int rc = lease_check(c, name, epoch, e);
    if (rc == 0)
        rc = sql_do(
            &c->sql, e,
            "UPDATE jobs SET state = ?3, exit_status = ?4, error_code = ?5, error = ?6, not_before_s = ?7, "
            "ended_s = ?8, pause = 0, tries = tries - (?3 = 0 AND tries > 0 AND ?5 IN ('busy', 'interrupted')) WHERE id = ?1 AND epoch = ?2 AND state = 1",
            SQL_INT(id), SQL_INT(epoch), SQL_INT(result->state), SQL_INT(result->exit_status),
            SQL_TEXT(result->error_code), SQL_TEXT(result->error), SQL_INT(result->not_before_s),
            SQL_INT(sys_realtime_s()));
    if (rc == 0)
        return err_set(e, ERR_REFUSED, _("job %" PRIu64 " does not run"), id);
    if (rc > 0)
        rc = sql_do(&c->sql, e, "UPDATE leases SET owner = '', until_s = 0 WHERE name = ?1",
                    SQL_TEXT(name));
    return rc < 0 ? rc : 0;
}

int catalog_job_end(struct catalog *c, uint64_t id, uint64_t epoch, enum job_state state,
                    int exit_status, const char *error_code, const char *error, int64_t retry_at_s,
                    struct err *e)
{
    struct job result = { .state = state,
                          .exit_status = exit_status,
                          .error_code = error_code,
                          .error = error,
                          .not_before_s = state == JOB_QUEUED ? retry_at_s : 0 };
    if (state == JOB_RUNNING || (unsigned)state >= JOB_STATES)
        return err_set(e, ERR_USAGE, _("a job does not end like that"));
    int rc = sql_begin(&c->sql, e);
    return rc < 0 ? rc : sql_finish(&c->sql, end_job(c, id, epoch, &result, e), e);
}

int catalog_job_pause(struct catalog *c, uint64_t id, bool pause, struct err *e)
{
    int rc = sql_do(&c->sql, e, "UPDATE jobs SET pause = ?2 WHERE id = ?1 AND state IN (0, 1)",
                    SQL_INT(id), SQL_INT(pause));
    if (rc != 0)
        return rc < 0 ? rc : 0;
    err_set(e, ERR_ABSENT, _("no job %" PRIu64 " is queued or runs"), id);
    return err_next(e, _("see what runs and what waits: twofold jobs"));
}

int catalog_job_cancel(struct catalog *c, uint64_t id, struct err *e)
{
    int rc = sql_do(&c->sql, e,
                    "UPDATE jobs SET state = 5, ended_s = ?2 WHERE id = ?1 AND state = 0",
                    SQL_INT(id), SQL_INT(sys_realtime_s()));
    return rc < 0 ? rc : rc == 0 ? err_set(e, ERR_BUSY, _("job %" PRIu64 " is not queued"), id) : 0;
}

/* Their leases get a higher epoch at once: a process that was only slow cannot end what is queued again. */
static int recover_jobs(struct catalog *c, int64_t now_s, struct err *e)
{
    int rc = sql_do(
        &c->sql, e,
        "UPDATE leases SET owner = '', epoch = epoch + 1 WHERE until_s <= ?1 AND name IN "
        "(SELECT 'job/' || id FROM jobs WHERE state = 1)",
        SQL_INT(now_s));
    if (rc < 0)
        return rc;
    return sql_do(
        &c->sql, e,
        "UPDATE jobs SET state = CASE WHEN tries < max_tries THEN 0 ELSE 4 END, exit_status = 1, "
        "error_code = 'failed', error = ?2, ended_s = ?1, not_before_s = 0 WHERE state = 1 AND NOT EXISTS "
        "(SELECT 1 FROM leases WHERE name = 'job/' || jobs.id AND epoch = jobs.epoch AND owner <> '')",
        SQL_INT(now_s), SQL_TEXT(_("its process died")));
}

int catalog_jobs_recover(struct catalog *c, int64_t now_s, struct err *e)
{
    int64_t late = 0;
    /* Mostly there are none, and then nothing is written. */
    int rc = sql_one(
        &c->sql, e, 0, &late,
        "SELECT 1 FROM jobs WHERE state = 1 AND NOT EXISTS (SELECT 1 FROM leases WHERE "
        "name = 'job/' || jobs.id AND epoch = jobs.epoch AND owner <> '' AND until_s > ?1) LIMIT 1",
        SQL_INT(now_s));
    if (rc < 0 || !late)
        return rc;
    rc = sql_begin(&c->sql, e);
    return rc < 0 ? rc : sql_finish(&c->sql, recover_jobs(c, now_s, e), e);
}
