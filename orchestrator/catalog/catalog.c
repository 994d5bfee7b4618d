/* catalog.c - opening the catalog, leases with fencing epochs, and small facts; see catalog.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/catalog/inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RUNS_KEPT 1000000
#define MAX_OTHERS_KEPT 100000 /* jobs, alarms */
#define CHEAP_BYTES (1 << 20)  /* a file up to this size is checked whole whenever it is opened */

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

/* --- opening ------------------------------------------------------------------------------------------------------ */
static int is_damaged(const char *path, struct err *e)
{
    err_wrap(e, _("the catalog"));
    return err_next(
        e, _("make it again from a copy, the damaged one is kept: twofold catalog rebuild (%s)"),
        path);
}

static int look_at(struct catalog *c, unsigned flags, struct err *e)
{
    struct stat st;
    int64_t is = 0;
    int rc = stat(c->path, &st) < 0 ? err_sys(e, "%s", c->path) : 0;
    if (rc < 0)
        return rc;
    c->device = st.st_dev;
    c->inode = st.st_ino;
    if (st.st_size <= CHEAP_BYTES)
        rc = c->sql.ops->check(c->sql.db, e);
    if (rc == 0 && (flags & CATALOG_WRITE))
        return schema_bring_to(&c->sql, CATALOG_SCHEMA_NEWEST, e);
    if (rc == 0)
        rc = c->sql.ops->version(c->sql.db, &is, e);
    if (rc == 0 && is == 0) /* somebody is just making it, or was killed at that */
        return err_set(e, ERR_ABSENT, _("there is nothing in it yet"));
    if (rc == 0 && is < schema_newest()) {
        err_set(e, ERR_VERSION, _("it is of an older version"));
        return err_next(e,
                        _("any command that writes brings it up to date, such as: twofold backup"));
    }
    return rc == 0 ? schema_bring_to(&c->sql, CATALOG_SCHEMA_NEWEST, e) : rc;
}

int catalog_open_file(const char *path, unsigned flags, struct catalog **ret, struct err *e)
{
    struct catalog *c = calloc(1, sizeof *c);
    if (!c || !(c->path = strdup(path))) {
        free(c);
        return no_memory(e);
    }
    int rc = sql_open_sqlite(path, flags & CATALOG_WRITE, &c->sql, e);
    if (rc == 0)
        rc = look_at(c, flags, e);
    if (rc < 0) {
        catalog_close(c);
        return rc == -ERR_DAMAGED ? is_damaged(path, e) : err_wrap(e, _("the catalog"));
    }
    *ret = c;
    return 0;
}

int catalog_path(const struct config_paths *p, char **ret, struct err *e)
{
    return asprintf(ret, "%s/" CATALOG_FILE, p->state_dir) < 0 ? no_memory(e) : 0;
}

int catalog_open(const struct config_paths *p, unsigned flags, struct catalog **ret, struct err *e)
{
    char *path = NULL;
    int rc = flags & CATALOG_WRITE ? sys_mkdir_p(p->state_dir, 0700, e) : 0;
    if (rc == 0)
        rc = catalog_path(p, &path, e);
    if (rc == 0)
        rc = catalog_open_file(path, flags, ret, e);
    free(path);
    if (rc == -ERR_ABSENT)
        err_next(e, _("the first backup makes it; if there was one, it is lost: make it again from "
                      "the copies: twofold catalog rebuild"));
    return rc;
}

void catalog_close(struct catalog *c)
{
    if (!c)
        return;
    sql_close(&c->sql);
    free(c->path);
    free(c);
}

int catalog_check(struct catalog *c, struct err *e)
{
    int rc = c->sql.ops->check(c->sql.db, e);
    return rc == -ERR_DAMAGED ? is_damaged(c->path, e) : rc;
}

uint64_t catalog_changes(struct catalog *c)
{
    uint64_t n = 0;
    return c->sql.ops->changed(c->sql.db, &n) < 0 ? 0 : n;
}

bool catalog_replaced(const struct catalog *c)
{
    struct stat st;
    return stat(c->path, &st) < 0 || st.st_dev != c->device || st.st_ino != c->inode;
}

int catalog_tidy_to(struct catalog *c, uint64_t runs, uint64_t others, struct err *e)
{
    int rc = sql_begin(&c->sql, e);
    if (rc < 0)
        return rc;
    rc = sql_do(&c->sql, e, "DELETE FROM runs WHERE id <= (SELECT max(id) FROM runs) - ?1",
                SQL_INT(runs));
    if (rc >= 0)
        rc = sql_do(&c->sql, e,
                    "DELETE FROM jobs WHERE state > 1 AND id <= (SELECT max(id) FROM jobs) - ?1",
                    SQL_INT(others));
    if (rc >= 0)
        rc = sql_do(
            &c->sql, e,
            "DELETE FROM alarms WHERE cleared_s <> 0 AND id <= (SELECT max(id) FROM alarms) - ?1",
            SQL_INT(others));
    if (rc >= 0)
        rc = sql_do(&c->sql, e,
                    "DELETE FROM tellings WHERE alarm < (SELECT coalesce(min(id), 0) FROM alarms)");
    rc = sql_finish(&c->sql, rc, e);
    return rc < 0 ? rc : 0;
}

int catalog_tidy(struct catalog *c, struct err *e)
{
    return catalog_tidy_to(c, MAX_RUNS_KEPT, MAX_OTHERS_KEPT, e);
}

int catalog_begin(struct catalog *c, struct err *e)
{
    return sql_begin(&c->sql, e);
}

int catalog_finish(struct catalog *c, int rc, struct err *e)
{
    return sql_finish(&c->sql, rc, e);
}

/* --- leases ----------------------------------------------------------------------------------------------------------- */
int lease_take(struct catalog *c, const char *name, const char *owner, int64_t until_s,
               uint64_t *ret_epoch, struct err *e)
{
    struct sql_rows rows = SQL_ROWS_INIT;
    /* Given to nobody, given back, or run out: else the row stays as it is, and none comes back. Epochs begin with the time, so
     * that those of a catalog that was made anew are above all that the old one gave. */
    int rc = sql_query(
        &c->sql, &rows, e,
        "INSERT INTO leases(name, owner, epoch, until_s) VALUES (?1, ?2, ?4, ?3) "
        "ON CONFLICT(name) DO UPDATE SET owner = excluded.owner, epoch = leases.epoch + 1, "
        "until_s = excluded.until_s WHERE leases.owner = '' OR leases.until_s <= ?4 "
        "RETURNING epoch",
        SQL_TEXT(name), SQL_TEXT(owner), SQL_INT(until_s), SQL_INT(sys_realtime_s()));
    struct rbuf r = sql_reader(&rows);
    if (rc >= 0 && rows.n == 0)
        rc = err_set(e, ERR_BUSY, _("another process holds \"%s\""), name);
    else if (rc >= 0)
        *ret_epoch = (uint64_t)sql_int(&r);
    sql_rows_free(&rows);
    return rc < 0 ? rc : 0;
}

static int fenced_off(const char *name, struct err *e)
{
    err_set(e, ERR_REFUSED, _("\"%s\" was given to another process since"), name);
    return err_next(e, _("nothing to do: the other process goes on with it"));
}

int lease_check(struct catalog *c, const char *name, uint64_t epoch, struct err *e)
{
    int64_t newest = 0;
    int rc = sql_one(&c->sql, e, -1, &newest, "SELECT epoch FROM leases WHERE name = ?1",
                     SQL_TEXT(name));
    return rc == 0 && newest != (int64_t)epoch ? fenced_off(name, e) : rc;
}

int catalog_lease(struct catalog *c, const char *name, const char *owner, int64_t until_s,
                  uint64_t *ret_epoch, struct err *e)
{
    if (!owner || !*owner)
        return err_set(e, ERR_USAGE, _("a lease needs an owner"));
    return lease_take(c, name, owner, until_s, ret_epoch, e);
}

int catalog_lease_renew(struct catalog *c, const char *name, uint64_t epoch, int64_t until_s,
                        struct err *e)
{
    int rc = sql_do(&c->sql, e,
                    "UPDATE leases SET until_s = ?3 WHERE name = ?1 AND epoch = ?2 AND owner <> ''",
                    SQL_TEXT(name), SQL_INT(epoch), SQL_INT(until_s));
    return rc < 0 ? rc : rc == 0 ? fenced_off(name, e) : 0;
}

int catalog_lease_orphan(struct catalog *c, const char *owner, struct err *e)
{
    return sql_do(&c->sql, e, "UPDATE leases SET until_s = 0 WHERE owner = ?1 AND owner <> ''",
                  SQL_TEXT(owner));
}

int catalog_lease_check(struct catalog *c, const char *name, uint64_t epoch, struct err *e)
{
    return lease_check(c, name, epoch, e);
}

int catalog_lease_end(struct catalog *c, const char *name, uint64_t epoch, struct err *e)
{
    int rc = sql_do(&c->sql, e,
                    "UPDATE leases SET owner = '', until_s = 0 WHERE name = ?1 AND epoch = ?2",
                    SQL_TEXT(name), SQL_INT(epoch));
    return rc < 0 ? rc : rc == 0 ? fenced_off(name, e) : 0;
}

/* --- facts ------------------------------------------------------------------------------------------------------------- */
int catalog_fact_get(struct catalog *c, const char *key, char *ret, size_t max, struct err *e)
{
    struct sql_rows rows = SQL_ROWS_INIT;
    int rc = sql_query(&c->sql, &rows, e, "SELECT value FROM facts WHERE key = ?1", SQL_TEXT(key));
    struct rbuf r = sql_reader(&rows);
    bool there = rc >= 0 && rows.n > 0;
    if (there) {
        const char *value = sql_str(&r);
        if (strlen(value) >= max)
            rc = err_set(e, ERR_LIMIT, _("the fact \"%s\" is longer than it may be"), key);
        else
            snprintf(ret, max, "%s", value);
    }
    sql_rows_free(&rows);
    return rc < 0 ? rc : there;
}

int catalog_fact_set(struct catalog *c, const char *key, const char *value, struct err *e)
{
    int rc = sql_do(&c->sql, e,
                    "INSERT INTO facts(key, value) VALUES (?1, ?2) "
                    "ON CONFLICT(key) DO UPDATE SET value = excluded.value",
                    SQL_TEXT(key), SQL_TEXT(value));
    return rc < 0 ? rc : 0;
}

int catalog_facts(struct catalog *c, catalog_fact_fn *fn, void *ctx, struct err *e)
{
    struct sql_rows rows = SQL_ROWS_INIT;
    int rc = sql_query(&c->sql, &rows, e, "SELECT key, value FROM facts ORDER BY key");
    struct rbuf r = sql_reader(&rows);
    for (size_t i = 0; rc >= 0 && i < rows.n; i++) {
        const char *key = sql_str(&r), *value = sql_str(&r);
        if ((rc = fn(ctx, key, value)) != 0)
            break;
    }
    sql_rows_free(&rows);
    return rc;
}
