/* alarms.c - what somebody has to be told, whether they were, and who said that they know; see catalog.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/catalog/inner.h"

#include <inttypes.h>

static int insert_alarm(struct catalog *c, const struct alarm *a, int64_t *ret_id, struct err *e)
{
    return sql_one(
        &c->sql, e, 0, ret_id,
        "INSERT INTO alarms(key, level, duty, text, next, roles, raised_s, cleared_s, told_s, told, acked_s,"
        " acked_by, acked_through) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0, 0, 0, '', '') RETURNING id",
        SQL_TEXT(a->key), SQL_INT(a->level), SQL_TEXT(a->duty), SQL_TEXT(a->text),
        SQL_TEXT(a->next), SQL_TEXT(a->roles),
        SQL_INT(a->raised_s ? a->raised_s : sys_realtime_s()));
}

/* Whoever knew of a warning does not know of what has become of it: a higher level is told, and acknowledged, anew. */
static int update_alarm(struct catalog *c, int64_t id, const struct alarm *a, struct err *e)
{
    return sql_do(&c->sql, e,
                  "UPDATE alarms SET acked_s = CASE WHEN ?2 > level THEN 0 ELSE acked_s END,"
                  " acked_by = CASE WHEN ?2 > level THEN '' ELSE acked_by END,"
                  " acked_through = CASE WHEN ?2 > level THEN '' ELSE acked_through END,"
                  " told_s = CASE WHEN ?2 > level THEN 0 ELSE told_s END,"
                  " level = ?2, duty = ?3, text = ?4, next = ?5, roles = ?6 WHERE id = ?1",
                  SQL_INT(id), SQL_INT(a->level), SQL_TEXT(a->duty), SQL_TEXT(a->text),
                  SQL_TEXT(a->next), SQL_TEXT(a->roles));
}

static int raise_alarm(struct catalog *c, const struct alarm *a, int64_t *ret_id, struct err *e)
{
    int64_t id = 0;
    int rc = sql_one(&c->sql, e, 0, &id, "SELECT id FROM alarms WHERE key = ?1 AND cleared_s = 0",
                     SQL_TEXT(a->key));
    if (rc == 0 && id)
        rc = update_alarm(c, id, a, e);
    else if (rc == 0 && (rc = insert_alarm(c, a, ret_id, e)) == 0)
        return 1;
    *ret_id = id;
    return rc < 0 ? rc : 0;
}

int catalog_alarm_raise(struct catalog *c, const struct alarm *a, uint64_t *ret_id, struct err *e)
{
    int64_t id = 0;
    int rc = sql_begin(&c->sql, e);
    if (rc < 0)
        return rc;
    rc = sql_finish(&c->sql, raise_alarm(c, a, &id, e), e);
    if (rc >= 0 && ret_id)
        *ret_id = (uint64_t)id;
    return rc;
}

int catalog_alarm_clear(struct catalog *c, const char *key, int64_t now_s, struct err *e)
{
    return sql_do(&c->sql, e, "UPDATE alarms SET cleared_s = ?2 WHERE key = ?1 AND cleared_s = 0",
                  SQL_TEXT(key), SQL_INT(now_s ? now_s : sys_realtime_s()));
}

int catalog_alarm_put(struct catalog *c, const struct alarm *a, struct err *e)
{
    int rc = sql_do(
        &c->sql, e,
        "INSERT INTO alarms(key, level, duty, text, next, roles, raised_s, cleared_s, told_s, told, acked_s,"
        " acked_by, acked_through) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        SQL_TEXT(a->key), SQL_INT(a->level), SQL_TEXT(a->duty), SQL_TEXT(a->text),
        SQL_TEXT(a->next), SQL_TEXT(a->roles), SQL_INT(a->raised_s), SQL_INT(a->cleared_s),
        SQL_INT(a->told_s), SQL_INT(a->told), SQL_INT(a->acked_s), SQL_TEXT(a->acked_by),
        SQL_TEXT(a->acked_through));
    return rc < 0 ? rc : 0;
}

static int no_such_alarm(uint64_t id, struct err *e)
{
    err_set(e, ERR_NAME, _("there is no alarm %" PRIu64), id);
    return err_next(e, _("the numbers stand in: twofold alarms"));
}

int catalog_alarm_told(struct catalog *c, uint64_t id, const char *channel, const char *to, bool ok,
                       const char *detail, int64_t now_s, struct err *e)
{
    int rc = sql_begin(&c->sql, e);
    if (rc < 0)
        return rc;
    rc = sql_do(
        &c->sql, e,
        "INSERT INTO tellings(alarm, at_s, channel, recipient, ok, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        SQL_INT(id), SQL_INT(now_s), SQL_TEXT(channel), SQL_TEXT(to), SQL_INT(ok),
        SQL_TEXT(detail));
    if (rc >= 0)
        rc = sql_do(
            &c->sql, e,
            "UPDATE alarms SET told_s = CASE WHEN ?3 = 1 THEN ?2 ELSE told_s END, told = told + ?3 WHERE id = ?1",
            SQL_INT(id), SQL_INT(now_s), SQL_INT(ok));
    if (rc == 0)
        rc = no_such_alarm(id, e);
    rc = sql_finish(&c->sql, rc, e);
    return rc < 0 ? rc : 0;
}

int catalog_alarm_ack(struct catalog *c, uint64_t id, const char *who, const char *through,
                      int64_t now_s, struct err *e)
{
    int64_t acked = 0;
    int rc = sql_do(
        &c->sql, e,
        "UPDATE alarms SET acked_s = ?2, acked_by = ?3, acked_through = ?4 WHERE id = ?1 AND acked_s = 0",
        SQL_INT(id), SQL_INT(now_s), SQL_TEXT(who), SQL_TEXT(through));
    if (rc == 0) /* the first who said so stands */
        rc = sql_one(&c->sql, e, -1, &acked, "SELECT acked_s FROM alarms WHERE id = ?1",
                     SQL_INT(id));
    return rc < 0 ? rc : acked < 0 ? no_such_alarm(id, e) : 0;
}

#define ALARM_COLUMNS \
    "id, key, level, duty, text, next, roles, raised_s, cleared_s, told_s, told, acked_s, acked_by, acked_through"

static void read_alarm(struct rbuf *r, struct alarm *a)
{
    a->id = (uint64_t)sql_int(r);
    a->key = sql_str(r);
    a->level = (enum alarm_level)sql_int(r);
    a->duty = sql_str(r);
    a->text = sql_str(r);
    a->next = sql_str(r);
    a->roles = sql_str(r);
    a->raised_s = sql_int(r);
    a->cleared_s = sql_int(r);
    a->told_s = sql_int(r);
    a->told = (unsigned)sql_int(r);
    a->acked_s = sql_int(r);
    a->acked_by = sql_str(r);
    a->acked_through = sql_str(r);
}

int catalog_alarms(struct catalog *c, bool open_only, size_t limit, catalog_alarm_fn *fn, void *ctx,
                   struct err *e)
{
    struct sql_rows rows = SQL_ROWS_INIT;
    int rc = open_only
                 ? sql_query(
                       &c->sql, &rows, e,
                       "SELECT " ALARM_COLUMNS
                       " FROM alarms WHERE cleared_s = 0 ORDER BY level DESC, id DESC LIMIT ?1",
                       CATALOG_LIMIT(limit))
                 : sql_query(&c->sql, &rows, e,
                             "SELECT " ALARM_COLUMNS " FROM alarms ORDER BY id DESC LIMIT ?1",
                             CATALOG_LIMIT(limit));
    struct rbuf r = sql_reader(&rows);
    for (size_t i = 0; rc >= 0 && i < rows.n; i++) {
        struct alarm a;
        read_alarm(&r, &a);
        if ((rc = fn(ctx, &a)) != 0)
            break;
    }
    sql_rows_free(&rows);
    return rc;
}

int catalog_tellings(struct catalog *c, uint64_t alarm, catalog_telling_fn *fn, void *ctx,
                     struct err *e)
{
    struct sql_rows rows = SQL_ROWS_INIT;
    int rc = sql_query(
        &c->sql, &rows, e,
        "SELECT alarm, at_s, channel, recipient, ok, detail FROM tellings WHERE alarm = ?1 ORDER BY id",
        SQL_INT(alarm));
    struct rbuf r = sql_reader(&rows);
    for (size_t i = 0; rc >= 0 && i < rows.n; i++) {
        struct telling t;
        t.alarm = (uint64_t)sql_int(&r);
        t.at_s = sql_int(&r);
        t.channel = sql_str(&r);
        t.to = sql_str(&r);
        t.ok = sql_int(&r) != 0;
        t.detail = sql_str(&r);
        if ((rc = fn(ctx, &t)) != 0)
            break;
    }
    sql_rows_free(&rows);
    return rc;
}
