/* restore.c - what was restored is checked as it was when it was backed up, and each file has a line in the report: whether it is whole, and
 * whether it has as many rows as then. In place comes after that (in_place.c). Settings: inner of backup.c. */
#include "agents/report.h"
#include "agents/sqlite/inner.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/vault/manifest.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int bad_facts(struct err *e)
{
    return err_set(e, ERR_DAMAGED, _("facts.json of the backup cannot be read"));
}

static int read_facts(const struct source_restore *r, json_t **ret, struct err *e)
{
    uint8_t *text = NULL;
    size_t n = 0;
    json_error_t why;
    int fd = sys_open_folder(r->folder, r->resolved, e);
    int rc = fd < 0 ? fd : sys_read_plain(fd, SL_FACTS, SL_MAX_FACTS, &text, &n, e);
    sys_close_quiet(fd);
    if (rc < 0)
        return err_wrap(e, "%s/" SL_FACTS, r->folder);
    *ret = json_loadb((const char *)text, n, 0, &why);
    free(text);
    return json_is_array(json_object_get(*ret, "files")) ? 0 : bad_facts(e);
}

/* --- one file ----------------------------------------------------------------------------------- */
static int interrupted(void *ctx, struct err *e)
{
    (void)ctx;
    return sys_interrupted() ? err_set(e, ERR_INTERRUPTED, _("interrupted by a signal")) : 0;
}

static int64_t number(json_t *o, const char *key)
{
    return (int64_t)json_integer_value(json_object_get(o, key));
}

static const char *text(json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static void say_rows(const struct source_restore *r, const struct sl_file *f, json_t *then)
{
    json_t *rows = json_object_get(then, "tables"), *value;
    const char *key;
    long long sum = 0;
    size_t len = strlen(f->name);
    json_object_foreach(f->tables, key, value) sum += json_integer_value(value);
    bool right = !f->tables || !rows || json_equal(rows, f->tables);
    report_check(r->report, SL_ROOT, "tables", right, "%s", f->name);
    if (!f->tables)
        report_note(r->report, f->name, len, _("%s: ok"), sl_check_name(f->check));
    else if (!right)
        report_problem(r->report, f->name, len,
                       _("it has not the tables and rows that it had when it was backed up"));
    else
        report_note(r->report, f->name, len, _("%s: ok; %zu tables, %lld rows, as in the backup"),
                    sl_check_name(f->check), json_object_size(f->tables), sum);
}

static void say_result(const struct source_restore *r, const struct sl_file *f, json_t *then)
{
    size_t len = strlen(f->name);
    if (f->result == SL_DAMAGED)
        report_check(r->report, SL_ROOT, "tables", false, "%s: %s", f->name, f->verdict);
    bool was = strcmp(text(then, "result"), "damaged") == 0;
    if (f->result == SL_OK)
        say_rows(r, f, then);
    else if (f->result == SL_UNCHECKED)
        report_note(r->report, f->name, len, _("it could not be checked: %s"), f->verdict);
    else if (was)
        report_problem(r->report, f->name, len,
                       _("the database was damaged already when it was backed up: %s"), f->verdict);
    else
        report_problem(r->report, f->name, len, _("the database is damaged: %s"), f->verdict);
}

/* then: its entry in facts.json; place: where it lies now. */
static int check_file(const struct source_restore *r, json_t *then, const char *place,
                      enum sl_result *ret, struct err *e)
{
    struct sl_file f = { .name = (char *)(uintptr_t)text(then, "file"),
                         .page_bytes = (uint32_t)number(then, "page_size"),
                         .pages = (uint64_t)number(then, "pages") };
    sqlite3 *db = NULL;
    f.check = strcmp(text(then, "check"), "quick_check") == 0 ? SL_CHECK_QUICK : SL_CHECK_FULL;
    int rc = sl_open_alone(place, &db, e);
    if (rc == 0)
        rc = sl_check(&f, db, interrupted, NULL, e);
    (void)sqlite3_close(db);
    if (rc == 0)
        say_result(r, &f, then);
    json_decref(f.tables);
    *ret = f.result;
    return rc;
}

/* --- where it lies ------------------------------------------------------------------------------ */
/* Below the folder; the name is of the backup, so it leads nowhere else. */
static int place_below(const struct source_restore *r, json_t *then, char **ret, struct err *e)
{
    const char *name = text(then, "file"), *rest = name + strlen(SL_ROOT) + 1;
    size_t n = strlen(SL_FILES "/");
    if (strncmp(name, SL_FILES "/", n) != 0 || !path_ok(name, strlen(name)))
        return bad_facts(e);
    int folder_fd = sys_open_folder(r->folder, r->resolved, e);
    int fd = folder_fd < 0 ? folder_fd : sys_open_beneath(folder_fd, rest, O_RDONLY, 0, e);
    sys_close_quiet(fd);
    sys_close_quiet(folder_fd);
    if (fd < 0)
        return err_wrap(e, "%s/%s", r->folder, rest);
    if (asprintf(ret, "%s/%s", r->folder, rest) >= 0)
        return 0;
    *ret = NULL;
    return sl_no_memory(e);
}

/* The k-th file of a restore in place, or NULL. */
static const char *target_of(const struct source_restore *r, size_t k)
{
    for (size_t i = 0; i < r->spec->n; i++)
        if (strcmp(r->spec->v[i].key, SL_KEY) == 0 && k-- == 0)
            return r->spec->v[i].value;
    return NULL;
}

int sl_place(const struct source_restore *r, json_t *files, size_t i, char **ret, struct err *e)
{
    if (!source_spec_get(r->spec, SL_KEY))
        return place_below(r, json_array_get(files, i), ret, e);
    const char *target = target_of(r, i);
    if (!target)
        return bad_facts(e);
    *ret = sl_staged(r, target, e);
    return *ret ? 0 : -(int)e->code;
}

/* A link in a backup from whomever would be followed. */
static int is_file(const char *place, struct err *e)
{
    struct stat st;
    if (!place)
        return bad_facts(e);
    if (lstat(place, &st) < 0)
        return err_sys(e, "%s", place);
    if (S_ISREG(st.st_mode))
        return 0;
    err_set(e, ERR_REFUSED, _("what the backup has there is not a file"));
    return err_wrap(e, "%s", place);
}

static int check_in_place(const struct source_restore *r, json_t *files, struct err *e)
{
    enum sl_result result = SL_OK;
    size_t n = json_array_size(files);
    int rc = target_of(r, n) ? bad_facts(e) : 0;
    for (size_t k = 0; rc == 0 && k < n; k++) {
        const char *target = target_of(r, k);
        char *place = NULL;
        rc = sl_place(r, files, k, &place, e);
        if (rc < 0)
            return rc;
        rc = is_file(place, e);
        if (rc == 0)
            rc = check_file(r, json_array_get(files, k), place, &result, e);
        if (rc == 0 && result == SL_DAMAGED) {
            err_set(e, ERR_DAMAGED, _("it is damaged, so nothing was put in place"));
            err_next(e, _("take an older snapshot, or restore it to another place: --to DIR"));
            rc = err_wrap(e, "%s", target);
        }
        free(place);
    }
    return rc;
}

static int check_below(const struct source_restore *r, json_t *files, struct err *e)
{
    enum sl_result result;
    int rc = 0;
    for (size_t k = 0; rc == 0 && k < json_array_size(files); k++) {
        char *place = NULL;
        rc = sl_place(r, files, k, &place, e);
        if (rc == 0)
            rc = check_file(r, json_array_get(files, k), place, &result, e);
        free(place);
    }
    return rc;
}

int sl_restore_check(const struct source_restore *r, struct err *e)
{
    const char *target;
    int rc = 0;
    for (size_t k = 0; rc == 0 && (target = target_of(r, k)) != NULL; k++)
        rc = sl_check_free(r, target, e);
    return rc;
}

static int ask(const struct source_restore *r, json_t *facts, struct err *e)
{
    int rc = source_spec_get(r->spec, "verify") ? sl_ask_restored(r, facts, e) : 0;
    if (rc == -ERR_DAMAGED && source_spec_get(r->spec, SL_KEY))
        err_next(
            e,
            _("nothing was put in place; take an older snapshot, or restore it to another place: --to DIR"));
    return rc;
}

int sl_restore(const struct source_restore *r, struct err *e)
{
    json_t *facts = NULL;
    if (source_spec_get(r->spec, "stage"))
        return 0;
    int rc = read_facts(r, &facts, e);
    json_t *files = json_object_get(facts, "files");
    if (rc == 0 && source_spec_get(r->spec, SL_KEY)) {
        rc = check_in_place(r, files, e);
        if (rc == 0)
            rc = ask(r, facts, e);
        if (rc == 0)
            rc = sl_put_in_place(r, e);
    } else if (rc == 0) {
        rc = check_below(r, files, e);
        if (rc == 0)
            rc = ask(r, facts, e);
    }
    json_decref(facts);
    return rc;
}
