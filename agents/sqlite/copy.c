/* copy.c - a consistent copy of a database while others write to it: sqlite.org/backup.html. Who writes in WAL mode does not disturb a reader, so one
 * transaction for reading covers the whole copy. In the other modes a commit between two steps begins the copy again; after a few
 * times, or half a minute, writers are made to wait until it is through, which bounds it. */
#include "agents/sqlite/inner.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "policies/config.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define STEP_BYTES (8u << 20)
#define MAX_RESTARTS 3
#define FREE_MS 30000 /* of copying while writers come in between */
#define BUSY_WAIT_MS 25
#define MAX_XATTR_BYTES (64u << 10)

struct waiting {
    uint64_t until_ms;
};

/* For another program's lock: SQLite asks again as long as this says so. */
static int on_busy(void *ctx, int n)
{
    struct waiting *w = ctx;
    (void)n;
    if (sys_interrupted() || sys_monotonic_ms() >= w->until_ms)
        return 0;
    poll(NULL, 0, BUSY_WAIT_MS);
    return 1;
}

static uint64_t wait_ms(const struct sl *s)
{
    const char *text = source_spec_get(s->spec, "wait");
    uint64_t v = SL_WAIT_S;
    if (text && !duration_parse(text, &v))
        v = SL_WAIT_S;
    if (s->probing && v > SL_PROBE_S)
        v = SL_PROBE_S;
    return (v <= SL_MAX_WAIT_S ? v : SL_MAX_WAIT_S) * 1000;
}

/* --- what may be wrong -------------------------------------------------------------------------- */
static int failed(struct sl *s, int r, sqlite3 *db, struct err *e)
{
    switch (r & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        if (sys_interrupted())
            return err_set(e, ERR_INTERRUPTED, _("interrupted by a signal"));
        err_set(e, ERR_BUSY, _("another program has it locked, for more than %llu s"),
                (unsigned long long)(wait_ms(s) / 1000));
        return err_next(
            e,
            _("let that program end its transaction (who it is says: fuser FILE), or write a longer "
              "wait: below sqlite: in the policy"));
    case SQLITE_NOTADB:
        err_set(e, ERR_DAMAGED, _("it is no database of SQLite, or it is encrypted"));
        return err_next(e, _("correct files: below sqlite: in the policy; a file that is no "
                             "database belongs below files:"));
    case SQLITE_FULL:
        err_set(e, ERR_NOSPACE, _("no space left for the copy"));
        return err_next(e, _("make room in the agent's state folder"));
    case SQLITE_NOMEM:
        return sl_no_memory(e);
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        sl_error(e, ERR_REFUSED, db);
        return err_next(
            e, _("the agent must be able to read the file and, where it is in WAL mode, to write "
                 "into its folder: run the agent as the user that owns it"));
    case SQLITE_CORRUPT:
        return sl_error(e, ERR_DAMAGED, db);
    default:
        return sl_error(e, ERR_IO, db);
    }
}

int sl_tick(struct sl *s, const struct sl_file *f, struct err *e)
{
    int rc = s->env.tick ? s->env.tick(s->env.ctx, f->path, strlen(f->path), s->bytes, e) : 0;
    s->stop |= rc < 0;
    return rc;
}

/* --- the original ------------------------------------------------------------------------------- */
static int look(struct sl_file *f, struct err *e)
{
    if (scan_stat_at(AT_FDCWD, f->path, true, &f->st) < 0)
        return err_sys(e, "%s", _("look at it"));
    if (!S_ISREG(f->st.mode)) {
        err_set(e, ERR_CONFIG, _("it is not a file"));
        return err_next(e, _("correct files: below sqlite: in the policy"));
    }
    return 0;
}

static int first_read(struct sl *s, struct sl_file *f, sqlite3 *db, int *ret, struct err *e)
{
    int64_t page_bytes = 0, pages = 0;
    sqlite3_stmt *q = NULL;
    int r = sqlite3_prepare_v2(db, "PRAGMA schema_version", -1, &q, NULL);
    if (r == SQLITE_OK)
        r = sqlite3_step(q);
    if (r == SQLITE_ROW)
        f->schema_version = sqlite3_column_int64(q, 0);
    (void)sqlite3_finalize(q);
    *ret = r == SQLITE_ROW ? SQLITE_OK : sqlite3_extended_errcode(db);
    if (r != SQLITE_ROW)
        return failed(s, r, db, e);
    if (sl_int(db, "PRAGMA page_size", &page_bytes, e) < 0 ||
        sl_int(db, "PRAGMA page_count", &pages, e) < 0)
        return -(int)e->code;
    f->page_bytes = (uint32_t)page_bytes;
    f->pages = (uint64_t)pages;
    r = sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &q, NULL);
    if (r == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW && sqlite3_column_text(q, 0))
        f->wal = strcmp((const char *)sqlite3_column_text(q, 0), "wal") == 0;
    (void)sqlite3_finalize(q);
    return 0;
}

static int open_as(struct sl *s, struct sl_file *f, int flags, sqlite3 **ret, int *ret_sqlite,
                   struct err *e)
{
    struct waiting w = { .until_ms = sys_monotonic_ms() + wait_ms(s) };
    sqlite3 *db = NULL;
    int r = sqlite3_open_v2(f->path, &db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    *ret_sqlite = r;
    int rc = r == SQLITE_OK ? 0 : failed(s, r, db, e);
    if (rc == 0) {
        (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        (void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        (void)sqlite3_busy_handler(db, on_busy, &w);
        rc = first_read(s, f, db, ret_sqlite, e);
        (void)sqlite3_busy_handler(db, NULL, NULL);
    }
    if (rc < 0)
        (void)sqlite3_close(db);
    else
        *ret = db;
    return rc;
}

/* What a program that died had begun is undone by whoever reads first, which takes writing: SQLite's own rule. */
static bool needs_writing(int r)
{
    return r == SQLITE_READONLY_ROLLBACK || r == SQLITE_READONLY_RECOVERY ||
           r == SQLITE_READONLY_CANTINIT || r == SQLITE_READONLY_CANTLOCK ||
           (r & 0xFF) == SQLITE_CANTOPEN;
}

int sl_open_source(struct sl *s, struct sl_file *f, sqlite3 **ret, struct err *e)
{
    struct err why = ERR_INIT;
    int r = SQLITE_OK, rc = look(f, e);
    if (rc < 0)
        return rc;
    rc = open_as(s, f, SQLITE_OPEN_READONLY, ret, &r, e);
    if (rc == 0 || !needs_writing(r))
        return rc;
    if (open_as(s, f, SQLITE_OPEN_READWRITE, ret, &r, &why) < 0)
        return rc;
    err_clear(e);
    return 0;
}

/* --- the copy ----------------------------------------------------------------------------------- */
struct copying {
    struct sl *s;
    struct sl_file *f;
    sqlite3 *from, *to;
    sqlite3_backup *b;
    uint64_t began_ms, held_since_ms; /* held: writers wait, or do not disturb */
    uint64_t total;                   /* bytes of earlier files */
    struct waiting wait;
};

static int open_copy(struct copying *c, struct err *e)
{
    int r = sqlite3_open_v2(c->f->copy, &c->to,
                            SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (r == SQLITE_OK)
        r = sqlite3_exec(c->to, "PRAGMA journal_mode = off; PRAGMA synchronous = off", NULL, NULL,
                         NULL);
    if (r == SQLITE_OK)
        c->b = sqlite3_backup_init(c->to, "main", c->from, "main");
    return c->b ? 0 : failed(c->s, r == SQLITE_OK ? sqlite3_errcode(c->to) : r, c->to, e);
}

static int hold(struct copying *c, struct err *e)
{
    int r = sqlite3_exec(c->from, "BEGIN; SELECT count(*) FROM sqlite_master", NULL, NULL, NULL);
    if (r != SQLITE_OK)
        return failed(c->s, r, c->from, e);
    c->held_since_ms = sys_monotonic_ms();
    return 0;
}

static int tick(struct copying *c, struct err *e)
{
    int left = sqlite3_backup_remaining(c->b), all = sqlite3_backup_pagecount(c->b);
    c->s->bytes = c->total + (uint64_t)(all > left ? all - left : 0) * c->f->page_bytes;
    return sl_tick(c->s, c->f, e);
}

static int copy_pages(struct copying *c, struct err *e)
{
    int pages = (int)(STEP_BYTES / (c->f->page_bytes ? c->f->page_bytes : 4096)), before = 0;
    int rc = c->f->wal ? hold(c, e) : 0, r = SQLITE_OK;
    while (rc == 0 && r == SQLITE_OK) {
        uint64_t now = sys_monotonic_ms();
        bool enough = c->f->restarts >= MAX_RESTARTS || now - c->began_ms > FREE_MS;
        if (c->held_since_ms == 0 && enough)
            rc = hold(c, e);
        c->wait.until_ms = now + wait_ms(c->s);
        if (rc == 0)
            r = sqlite3_backup_step(c->b, pages);
        int left = sqlite3_backup_remaining(c->b);
        if (rc == 0 && r == SQLITE_OK) {
            c->f->restarts += before > 0 && left >= before;
            before = left;
            rc = tick(c, e);
        }
    }
    if (rc == 0 && r != SQLITE_DONE)
        rc = failed(c->s, r, (r & 0xFF) == SQLITE_FULL ? c->to : c->from, e);
    return rc;
}

static int finish(struct copying *c, int rc, struct err *e)
{
    if (c->b && sqlite3_backup_finish(c->b) != SQLITE_OK && rc == 0)
        rc = failed(c->s, sqlite3_errcode(c->to), c->to, e);
    if (c->held_since_ms > 0 && !c->f->wal)
        c->f->held_ms = sys_monotonic_ms() - c->held_since_ms;
    if (sqlite3_close(c->to) != SQLITE_OK && rc == 0)
        rc = err_set(e, ERR_IO, _("the copy cannot be closed"));
    return rc;
}

/* Access lists and what else is attached; what cannot be set on the copy is not kept. */
static void copy_xattrs(const struct sl_file *f)
{
    char *names = malloc(MAX_XATTR_BYTES), *value = malloc(MAX_XATTR_BYTES);
    ssize_t n = names && value ? listxattr(f->path, names, MAX_XATTR_BYTES) : -1;
    for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1) {
        ssize_t len = getxattr(f->path, names + at, value, MAX_XATTR_BYTES);
        if (len >= 0)
            (void)setxattr(f->copy, names + at, value, (size_t)len, 0);
    }
    free(names);
    free(value);
}

static int check_copy(struct sl *s, struct sl_file *f, struct err *e);

int sl_copy(struct sl *s, struct sl_file *f, struct err *e)
{
    struct copying c = { .s = s, .f = f, .began_ms = sys_monotonic_ms(), .total = s->bytes };
    int rc = sl_open_source(s, f, &c.from, e);
    if (rc < 0)
        return rc;
    (void)sqlite3_busy_handler(c.from, on_busy, &c.wait);
    c.wait.until_ms = sys_monotonic_ms() + wait_ms(s);
    rc = scratch_room(scratch_dir(s->scratch), f->pages * f->page_bytes, e);
    if (rc == 0)
        rc = open_copy(&c, e);
    if (rc == 0)
        rc = copy_pages(&c, e);
    rc = finish(&c, rc, e);
    (void)sqlite3_close(c.from);
    if (rc == 0)
        rc = check_copy(s, f, e);
    if (rc == 0)
        copy_xattrs(f);
    else
        (void)unlink(f->copy);
    return rc;
}

/* --- is it whole? ------------------------------------------------------------------------------- */
struct check_tick {
    struct sl *s;
    struct sl_file *f;
};

static int tick_check(void *ctx, struct err *e)
{
    struct check_tick *t = ctx;
    t->s->bytes++; /* it gets on */
    return sl_tick(t->s, t->f, e);
}

static int check_copy(struct sl *s, struct sl_file *f, struct err *e)
{
    struct check_tick t = { s, f };
    const char *wanted = source_spec_get(s->spec, SL_INTEGRITY);
    sqlite3 *db = NULL;
    struct stat st;
    if (stat(f->copy, &st) < 0)
        return err_sys(e, "%s", f->copy);
    f->pages = f->page_bytes ? (uint64_t)st.st_size / f->page_bytes : 0;
    f->check = (uint64_t)st.st_size > SL_FULL_BYTES ? SL_CHECK_QUICK : SL_CHECK_FULL;
    if (wanted)
        f->check = strcmp(wanted, "quick") == 0 ? SL_CHECK_QUICK : SL_CHECK_FULL;
    int rc = sl_open_alone(f->copy, &db, e);
    if (rc == 0)
        rc = sl_check(f, db, tick_check, &t, e);
    (void)sqlite3_close(db);
    return rc;
}
