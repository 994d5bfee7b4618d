/* checks.c - the policy's questions to a database (policies/sql_checks.h). A question is of whoever wrote the policy, the database perhaps of
 * somebody else: one statement that only reads, of this file and no other, with the functions that SQLite takes for harmless, and for as long as
 * SQL_CHECK_MS. */
#include "agents/report.h"
#include "agents/sqlite/inner.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "policies/sql_checks.h"

#include <stdlib.h>
#include <string.h>

#define STEPS_A_LOOK 10000         /* of SQLite's machine */
#define MAX_VALUE_BYTES (64 << 20) /* of any value on the way to an answer */
#define LIVE_WAIT_MS 10000         /* for a writer that has the file locked */

/* --- what a question may do ------------------------------------------------------------------------ */
static bool may_be_asked(const char *pragma)
{
    static const char *const all[] = { "application_id", "encoding",        "foreign_key_check",
                                       "freelist_count", "integrity_check", "page_count",
                                       "page_size",      "quick_check",     "schema_version",
                                       "user_version" };
    for (size_t i = 0; pragma && i < sizeof all / sizeof *all; i++)
        if (sqlite3_stricmp(pragma, all[i]) == 0)
            return true;
    return false;
}

static int authorize(void *ctx, int action, const char *a, const char *b, const char *database,
                     const char *trigger)
{
    (void)ctx;
    (void)database;
    (void)trigger;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_FUNCTION: /* its name is the second */
        return b && sqlite3_stricmp(b, "load_extension") == 0 ? SQLITE_DENY : SQLITE_OK;
    case SQLITE_PRAGMA:
        return may_be_asked(a) && !b ? SQLITE_OK : SQLITE_DENY;
    default:
        return SQLITE_DENY;
    }
}

static int is_late(void *ctx)
{
    return sys_interrupted() || sys_monotonic_ms() > *(const uint64_t *)ctx;
}

static int bind(sqlite3 *db, uint64_t *until_ms, struct err *e)
{
    *until_ms = sys_monotonic_ms() + SQL_CHECK_MS;
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    (void)sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
    (void)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES);
    (void)sqlite3_busy_timeout(db, LIVE_WAIT_MS);
    sqlite3_progress_handler(db, STEPS_A_LOOK, is_late, until_ms);
    if (sqlite3_exec(db, "PRAGMA query_only = on", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_set_authorizer(db, authorize, NULL) != SQLITE_OK)
        return sl_error(e, ERR_IO, db);
    return 0;
}

/* --- one question ---------------------------------------------------------------------------------- */
static bool is_one(sqlite3_stmt *q, const char *rest)
{
    rest += strspn(rest, " \t\r\n;");
    return q && !rest[0];
}

static int answer(sqlite3 *db, const char *sql, char **ret_value, struct err *e)
{
    sqlite3_stmt *q = NULL;
    const char *rest = "";
    int r = sqlite3_prepare_v2(db, sql, -1, &q, &rest), rc = 0;
    if (r == SQLITE_OK && !is_one(q, rest))
        rc = err_set(e, ERR_CONFIG, _("a question is one statement"));
    else if (r == SQLITE_OK && !sqlite3_stmt_readonly(q))
        rc = err_set(e, ERR_REFUSED, _("it does not only read"));
    if (r == SQLITE_OK && rc == 0)
        r = sqlite3_step(q);
    const unsigned char *text = r == SQLITE_ROW ? sqlite3_column_text(q, 0) : NULL;
    if (r == SQLITE_AUTH)
        rc = err_set(e, ERR_REFUSED, _("a question may only read: %s"), sqlite3_errmsg(db));
    else if (r == SQLITE_INTERRUPT && !sys_interrupted())
        rc = err_set(e, ERR_TIMEOUT, _("no answer within %d s"), SQL_CHECK_MS / 1000);
    else if (rc == 0 && r != SQLITE_ROW && r != SQLITE_DONE)
        rc = sl_error(e, ERR_FAILED, db);
    else if (rc == 0 && text && !(*ret_value = strdup((const char *)text)))
        rc = sl_no_memory(e);
    (void)sqlite3_finalize(q);
    return rc;
}

/* Closes db. */
static int ask_in(sqlite3 *db, const char *sql, char **ret_value, struct err *e)
{
    uint64_t until_ms;
    int rc = bind(db, &until_ms, e);
    *ret_value = NULL;
    if (rc == 0)
        rc = answer(db, sql, ret_value, e);
    (void)sqlite3_close(db);
    return rc;
}

static int no_such_file(const char *database, struct err *e)
{
    if (database)
        return err_set(e, ERR_CONFIG, _("\"%s\" is none of the files of the policy"), database);
    return err_set(e, ERR_CONFIG, _("which file? \"database\" says it where there are several"));
}

/* --- of what is backed up, and live ------------------------------------------------------------------ */
static struct sl_file *file_of(struct sl *s, const char *database, struct err *e)
{
    for (size_t i = 0; i < s->n_files; i++)
        if (database ? strcmp(s->files[i].path, database) == 0 : s->n_files == 1)
            return &s->files[i];
    (void)no_such_file(database, e);
    return NULL;
}

static int ask_copy(void *ctx, const char *database, const char *sql, char **ret_value,
                    struct err *e)
{
    struct sl_file *f = file_of(ctx, database, e);
    sqlite3 *db = NULL;
    if (!f)
        return -ERR_CONFIG;
    if (!f->stored)
        return err_set(e, ERR_ABSENT, _("%s was not stored"), f->path);
    int rc = sl_open_alone(f->copy, &db, e);
    return rc == 0 ? ask_in(db, sql, ret_value, e) : rc;
}

static int ask_live(void *ctx, const char *database, const char *sql, char **ret_value,
                    struct err *e)
{
    struct sl_file *f = file_of(ctx, database, e);
    sqlite3 *db = NULL;
    if (!f)
        return -ERR_CONFIG;
    struct sl_file look = *f;
    int rc = sl_open_source(ctx, &look, &db, e);
    return rc == 0 ? ask_in(db, sql, ret_value, e) : rc;
}

static int tell(void *ctx, const struct sql_result *r, struct err *e)
{
    struct sl *s = ctx;
    if (!s->probing && s->checks)
        json_array_append_new(s->checks, sql_result_json(r));
    if (r->right && !s->probing)
        return 0;
    return s->env.note(s->env.ctx, !r->right, "", 0, r->text, e);
}

int sl_ask(struct sl *s, struct err *e)
{
    struct sql_checks checks;
    int rc = sql_checks_of(s->spec, &checks, e);
    if (rc == 0 && !s->probing && !(s->checks = json_array()))
        rc = sl_no_memory(e);
    return rc == 0 ? sql_checks_run(&checks, NULL, s->probing ? ask_live : ask_copy, s, tell, s, e)
                   : rc;
}

/* --- of what was restored ----------------------------------------------------------------------------- */
struct asking {
    const struct source_restore *r;
    json_t *files;
    size_t wrong;
};

static int ask_restored(void *ctx, const char *database, const char *sql, char **ret_value,
                        struct err *e)
{
    const struct asking *a = ctx;
    size_t n = json_array_size(a->files), i = 0;
    char *place = NULL;
    sqlite3 *db = NULL;
    while (i < n && database) {
        const char *path = json_string_value(json_object_get(json_array_get(a->files, i), "path"));
        if (path && strcmp(path, database) == 0)
            break;
        i++;
    }
    if (i >= n || (!database && n != 1))
        return no_such_file(database, e);
    int rc = sl_place(a->r, a->files, i, &place, e);
    if (rc == 0)
        rc = sl_open_alone(place, &db, e);
    if (rc == 0)
        rc = ask_in(db, sql, ret_value, e);
    free(place);
    return rc;
}

static int tell_restored(void *ctx, const struct sql_result *r, struct err *e)
{
    struct asking *a = ctx;
    (void)e;
    a->wrong += !r->right;
    if (r->right)
        report_note(a->r->report, NULL, 0, _("verified: %s"), r->text);
    else
        report_problem(a->r->report, NULL, 0, "%s", r->text);
    return 0;
}

int sl_ask_restored(const struct source_restore *r, json_t *facts, struct err *e)
{
    struct asking a = { .r = r, .files = json_object_get(facts, "files") };
    struct sql_checks checks;
    json_t *none = json_array(), *then = json_object_get(facts, "checks");
    int rc = none ? sql_checks_of(r->spec, &checks, e) : sl_no_memory(e);
    if (rc == 0)
        rc = sql_checks_run(&checks, then ? then : none, ask_restored, &a, tell_restored, &a, e);
    json_decref(none);
    if (rc == 0)
        report_check(r->report, SL_ROOT, "sql", a.wrong == 0, "%s", "");
    if (rc == 0 && a.wrong > 0)
        rc = err_set(e, ERR_DAMAGED,
                     P_("%zu of the policy's checks is not right on what was restored",
                        "%zu of the policy's checks are not right on what was restored", a.wrong),
                     a.wrong);
    return rc;
}
