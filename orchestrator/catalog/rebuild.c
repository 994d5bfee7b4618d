/* rebuild.c - see rebuild.h. */
#include "orchestrator/catalog/rebuild.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/catalog/inner.h"
#include "orchestrator/catalog/rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NEW_SUFFIX ".new"
#define JOURNAL_SUFFIX "-journal"

/* --- rows into the new catalog --------------------------------------------------------------------------------------------- */
struct importing {
    struct catalog *c;
    struct rebuilt *result;
    int64_t
        others; /* runs up to this id came from other exports: what is among them is not put twice */
    bool first, base; /* base: the one whose audit trail, alarms and facts are taken */
    struct err *e;
};

/* A run is known by what it was of, when it was and what came of it. */
static int run_is_there(struct importing *im, const struct run *r)
{
    int64_t there = 0;
    int rc = sql_one(
        &im->c->sql, im->e, 0, &there,
        "SELECT 1 FROM runs WHERE started_s = ?1 AND kind = ?2 AND policy = ?3 AND vault = ?4 AND "
        "exit_status = ?5 AND snapshot = ?6 AND id <= ?7 LIMIT 1",
        SQL_INT(r->started_s), SQL_TEXT(r->kind), SQL_TEXT(r->policy), SQL_TEXT(r->vault),
        SQL_INT(r->exit_status), SQL_ID(&r->snapshot), SQL_INT(im->others));
    return rc < 0 ? rc : (int)there;
}

static int on_run(void *ctx, const struct run *r)
{
    struct importing *im = ctx;
    int rc = im->others ? run_is_there(im, r) : 0;
    if (rc != 0)
        return rc < 0 ? rc : 0;
    im->result->runs++;
    return catalog_run_put(im->c, r, NULL, im->e);
}

static int on_snapshot(void *ctx, const struct snapshot_row *s)
{
    struct importing *im = ctx;
    im->result->snapshots++;
    return catalog_snapshot_put(im->c, s, im->e);
}

static int on_copy(void *ctx, const struct copy_row *r)
{
    struct importing *im = ctx;
    return catalog_copy_put(im->c, r, im->e);
}

static int on_hold(void *ctx, const struct hold *h)
{
    struct importing *im = ctx;
    im->result->holds++;
    return catalog_hold_put(im->c, h, im->e);
}

static int on_medium(void *ctx, const struct medium *m)
{
    struct importing *im = ctx;
    int64_t there = 0;
    int rc = sql_one(
        &im->c->sql, im->e, 0, &there,
        "SELECT 1 FROM media WHERE place = ?1 AND vault = ?2 AND label = ?3 AND at_s = ?4 LIMIT 1",
        SQL_TEXT(m->place), SQL_TEXT(m->vault), SQL_TEXT(m->label), SQL_INT(m->at_s));
    if (rc < 0 || (!im->first && there))
        return rc;
    im->result->media++;
    return catalog_medium_put(im->c, m, im->e);
}

static int on_alarm(void *ctx, const struct alarm *a)
{
    struct importing *im = ctx;
    if (!im->base)
        return 0;
    im->result->alarms++;
    return catalog_alarm_put(im->c, a, im->e);
}

static int on_fact(void *ctx, const char *key, const char *value)
{
    struct importing *im = ctx;
    return im->base ? catalog_fact_set(im->c, key, value, im->e) : 0;
}

static int on_audit(void *ctx, const struct audit_row *r, const struct id *hash)
{
    struct importing *im = ctx;
    if (!im->base)
        return 0;
    im->result->audit++;
    return audit_put(im->c, r, hash, im->e);
}

static int import(struct importing *im, const struct catalog_object *o)
{
    const struct row_sink sink = { .ctx = im,
                                   .run = on_run,
                                   .snapshot = on_snapshot,
                                   .copy = on_copy,
                                   .hold = on_hold,
                                   .medium = on_medium,
                                   .alarm = on_alarm,
                                   .fact = on_fact,
                                   .audit = on_audit };
    uint64_t unknown = 0;
    const struct audit_anchor start = { .chain = o->chain,
                                        .seq = o->start_seq,
                                        .hash = o->start_hash };
    int rc = sql_one(&im->c->sql, im->e, 0, &im->others, "SELECT coalesce(max(id), 0) FROM runs");
    if (rc == 0 && im->base)
        rc = audit_set_start(im->c, &start, im->e);
    if (rc == 0)
        rc = rows_read(o, &sink, &unknown, im->e);
    im->result->unknown += unknown;
    return rc;
}

/* Whose trail goes on: of those that this orchestrator wrote (else of all) the one with most rows. A catalog that was lost and
 * begun anew without a rebuild has a short one, and newer numbers. */
static size_t choose_base(const struct vault *v, const struct export_found *found, size_t n)
{
    size_t best = n;
    for (int own = 1; own >= 0 && best == n; own--)
        for (size_t i = 0; i < n; i++)
            if ((!own || id_eq(&found[i].o->writer, &v->writer)) &&
                (best == n || found[i].o->last_seq > found[best].o->last_seq))
                best = i;
    return best;
}

static int import_all(struct catalog *c, const struct export_found *found, size_t n,
                      struct rebuilt *result, struct err *e)
{
    struct importing im = { .c = c, .result = result, .e = e };
    int rc = catalog_begin(c, e);
    if (rc < 0)
        return rc;
    for (size_t i = n; rc == 0 && i-- > 0;) { /* oldest first: runs come in their order */
        im.base = i == result->base;
        im.first = i == n - 1;
        rc = import(&im, found[i].o);
    }
    return catalog_finish(c, rc, e);
}

/* --- beside, then in its place -------------------------------------------------------------------------------------------- */
static int new_path(const struct config_paths *p, char out[4096], struct err *e)
{
    int n = snprintf(out, 4096, "%s/" CATALOG_FILE NEW_SUFFIX, p->state_dir);
    return n > 0 && n < 4096 ? 0 : err_set(e, ERR_LIMIT, _("the path of the state is too long"));
}

static void remove_new(const char *path)
{
    char journal[4096 + sizeof JOURNAL_SUFFIX];
    snprintf(journal, sizeof journal, "%s" JOURNAL_SUFFIX, path);
    unlink(path);
    unlink(journal);
}

int rebuild_begin(const struct config_paths *p, const struct vault *v,
                  const struct export_found *found, size_t n, struct catalog **ret,
                  struct rebuilt *result, struct err *e)
{
    struct catalog *c = NULL;
    char path[4096];
    memset(result, 0, sizeof *result);
    result->base = choose_base(v, found, n);
    int rc = new_path(p, path, e);
    if (rc == 0)
        rc = sys_mkdir_p(p->state_dir, 0700, e);
    if (rc < 0)
        return rc;
    remove_new(path); /* of one that was killed */
    rc = catalog_open_file(path, CATALOG_WRITE, &c, e);
    if (rc == 0)
        rc = import_all(c, found, n, result, e);
    if (rc < 0) {
        rebuild_abort(p, c);
        return rc;
    }
    *ret = c;
    return 0;
}

void rebuild_abort(const struct config_paths *p, struct catalog *c)
{
    char path[4096];
    catalog_close(c);
    if (new_path(p, path, NULL) == 0)
        remove_new(path);
}

static int move(int dir, const char *from, const char *to, struct err *e)
{
    int rc = sys_renameat(dir, from, dir, to, false, e);
    if (rc == -ERR_ABSENT) {
        err_clear(e);
        return 0;
    }
    return rc;
}

/* The old one and its journal keep belonging to each other; the journal goes first, for beside the new one it would be poison. */
static int set_aside(const struct config_paths *p, int dir, struct rebuilt *result, struct err *e)
{
    struct catalog *old = NULL;
    struct err why = ERR_INIT;
    char stamp[32], journal[160];
    time_t now = (time_t)sys_realtime_s();
    struct tm tm;
    if (faccessat(dir, CATALOG_FILE, F_OK, 0) < 0)
        return 0;
    result->was_damaged = catalog_open(p, CATALOG_READ, &old, &why) < 0 ||
                          catalog_check(old, &why) < 0;
    catalog_close(old);
    gmtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &tm);
    snprintf(result->kept, sizeof result->kept, CATALOG_FILE ".%s-%s",
             result->was_damaged ? "bad" : "old", stamp);
    snprintf(journal, sizeof journal, "%s" JOURNAL_SUFFIX, result->kept);
    int rc = move(dir, CATALOG_FILE JOURNAL_SUFFIX, journal, e);
    return rc == 0 ? move(dir, CATALOG_FILE, result->kept, e) : rc;
}

int rebuild_commit(const struct config_paths *p, struct catalog *c, struct rebuilt *result,
                   struct err *e)
{
    int dir = sys_openat(AT_FDCWD, p->state_dir, O_RDONLY | O_DIRECTORY, 0, e);
    catalog_close(c);
    if (dir < 0)
        return dir;
    unlinkat(dir, CATALOG_FILE NEW_SUFFIX JOURNAL_SUFFIX, 0); /* empty */
    int rc = set_aside(p, dir, result, e);
    if (rc == 0)
        rc = sys_renameat(dir, CATALOG_FILE NEW_SUFFIX, dir, CATALOG_FILE, true, e);
    if (rc == 0)
        rc = sys_fsync(dir, e);
    sys_close_quiet(dir);
    return rc;
}
