/* backup.c - SQLite's databases as a source: each file of the policy is copied while others write to it, then the copies are captured.
 * One that cannot be had is a problem, and the others are kept; when none can be had, there is no backup. */
#include "agents/sqlite/inner.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/vault/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NOTE_BYTES 2048

static void driver_free(void *ctx)
{
    struct sl *s = ctx;
    if (!s)
        return;
    for (size_t i = 0; i < s->n_files; i++) {
        free(s->files[i].name);
        free(s->files[i].copy);
        json_decref(s->files[i].tables);
    }
    scratch_free(s->scratch);
    free(s->files);
    free(s->roots);
    free(s->facts);
    json_decref(s->checks);
    free(s);
}

/* --- the files of the policy -------------------------------------------------------------------- */
static int by_name(const void *a, const void *b)
{
    const struct sl_file *x = a, *y = b;
    return path_cmp(x->name, strlen(x->name), y->name, strlen(y->name));
}

static int take_path(struct sl *s, const char *path, struct err *e)
{
    struct sl_file *f = &s->files[s->n_files];
    json_t *text = json_string(path);
    bool ok = path[0] == '/' && text; /* facts.json names it */
    json_decref(text);
    if (ok && asprintf(&f->name, SL_FILES "%s", path) < 0) {
        f->name = NULL;
        return sl_no_memory(e);
    }
    f->path = path;
    s->n_files++;
    if (ok && path_ok(f->name, strlen(f->name)))
        return 0;
    return err_set(e, ERR_CONFIG, _("\"%s\" is not a plain absolute path"), path);
}

/* Ascending by their names, each once. */
static int take_paths(struct sl *s, struct err *e)
{
    s->files = calloc(s->spec->n + 1, sizeof *s->files);
    int rc = 0;
    if (!s->files)
        return sl_no_memory(e);
    for (size_t i = 0; rc == 0 && i < s->spec->n; i++)
        if (strcmp(s->spec->v[i].key, SL_KEY) == 0)
            rc = take_path(s, s->spec->v[i].value, e);
    if (rc < 0)
        return rc;
    qsort(s->files, s->n_files, sizeof *s->files, by_name);
    size_t kept = 0;
    for (size_t i = 0; i < s->n_files; i++) {
        if (kept > 0 && by_name(&s->files[kept - 1], &s->files[i]) == 0)
            free(s->files[i].name);
        else
            s->files[kept++] = s->files[i];
    }
    s->n_files = kept;
    return 0;
}

/* --- what is to be told ------------------------------------------------------------------------- */
static __attribute__((format(printf, 5, 6))) int tell(struct sl *s, const struct sl_file *f,
                                                      bool problem, struct err *e, const char *fmt,
                                                      ...)
{
    char text[MAX_NOTE_BYTES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return s->env.note(s->env.ctx, problem, f->name, strlen(f->name), text, e);
}

static int tell_why(struct sl *s, const struct sl_file *f, const struct err *why, struct err *e)
{
    return tell(s, f, true, e, "%s%s%s%s%s", why->what, why->what[0] ? ": " : "", why->why,
                why->next[0] ? "; " : "", why->next);
}

static int tell_result(struct sl *s, const struct sl_file *f, struct err *e)
{
    int rc = 0;
    if (f->result == SL_DAMAGED)
        rc = tell(s, f, true, e, _("the database is damaged; stored as it is: %s: %s"),
                  sl_check_name(f->check), f->verdict);
    else if (f->result == SL_UNCHECKED)
        rc = tell(s, f, false, e, _("stored, but it could not be checked: %s: %s"),
                  sl_check_name(f->check), f->verdict);
    if (rc == 0 && f->check == SL_CHECK_QUICK && !source_spec_get(s->spec, SL_INTEGRITY))
        rc = tell(s, f, false, e,
                  _("over 4 GiB, so indexes were not compared with tables (quick_check)"));
    if (rc == 0 && f->held_ms > 0)
        rc = tell(
            s, f, false, e,
            _("writers began the copy again %u times, so they had to wait for %llu ms; in WAL mode "
              "they would not"),
            f->restarts, (unsigned long long)f->held_ms);
    return rc;
}

/* --- beginning ------------------------------------------------------------------------------------ */
static bool is_fatal(const struct sl *s, const struct err *why)
{
    return s->stop || why->code == ERR_INTERRUPTED || why->code == ERR_NOMEM;
}

static int copy_all(struct sl *s, struct err *e)
{
    struct err first = ERR_INIT;
    size_t stored = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < s->n_files; i++) {
        struct sl_file *f = &s->files[i];
        struct err why = ERR_INIT;
        if (asprintf(&f->copy, "%s/%zu.db", scratch_dir(s->scratch), i) < 0) {
            f->copy = NULL;
            return sl_no_memory(e);
        }
        f->stored = sl_copy(s, f, &why) == 0;
        stored += f->stored;
        if (f->stored) {
            rc = tell_result(s, f, e);
            continue;
        }
        err_wrap(&why, "%s", f->path);
        if (first.code == ERR_NONE)
            first = why;
        if (is_fatal(s, &why)) {
            *e = why;
            return -(int)why.code;
        }
        rc = s->n_files > 1 ? tell_why(s, f, &why, e) : 0;
    }
    if (rc == 0 && stored == 0) {
        *e = first;
        rc = -(int)first.code;
    }
    return rc;
}

static int make_roots(struct sl *s, struct err *e)
{
    s->roots = calloc(s->n_files + 1, sizeof *s->roots);
    if (!s->roots)
        return sl_no_memory(e);
    s->roots[s->n_roots++] = (struct source_root){ .name = SL_ROOT "/" SL_FACTS,
                                                   .bytes = s->facts,
                                                   .bytes_len = strlen(s->facts) };
    for (size_t i = 0; i < s->n_files; i++)
        if (s->files[i].stored)
            s->roots[s->n_roots++] = (struct source_root){ .name = s->files[i].name,
                                                           .place = s->files[i].copy,
                                                           .like = &s->files[i].st,
                                                           .delta = DELTA_PAGES,
                                                           .page_bytes = s->files[i].page_bytes };
    return 0;
}

static int driver_begin(const struct source_spec *spec, const struct source_env *env, void **ret,
                        struct err *e)
{
    struct sl *s = calloc(1, sizeof *s);
    if (!s)
        return sl_no_memory(e);
    s->spec = spec;
    s->env = *env;
    int rc = take_paths(s, e);
    if (rc == 0)
        rc = scratch_new(env->state_dir, SL_ROOT, &s->scratch, e);
    if (rc == 0)
        rc = copy_all(s, e);
    if (rc == 0)
        rc = sl_ask(s, e);
    if (rc == 0)
        rc = sl_make_facts(s, e);
    if (rc == 0)
        rc = make_roots(s, e);
    if (rc < 0)
        driver_free(s);
    else
        *ret = s;
    return rc;
}

static int driver_roots(void *ctx, bool late, const struct source_root **ret, size_t *ret_n,
                        struct err *e)
{
    struct sl *s = ctx;
    (void)e;
    *ret = s->roots;
    *ret_n = late ? 0 : s->n_roots;
    return 0;
}

static int driver_end(void *ctx, struct err *e)
{
    (void)ctx;
    (void)e;
    return 0;
}

/* --- the probe -------------------------------------------------------------------------------------- */
static int probe_file(struct sl *s, struct sl_file *f, struct err *e)
{
    struct err why = ERR_INIT;
    sqlite3 *db = NULL;
    int rc = sl_open_source(s, f, &db, &why);
    (void)sqlite3_close(db);
    if (rc == 0)
        rc = scratch_room(s->env.state_dir, f->pages * f->page_bytes, &why);
    if (rc == -ERR_ABSENT && strcmp(why.what, s->env.state_dir) == 0)
        rc = 0; /* no run has made it yet */
    if (rc < 0)
        return tell_why(s, f, &why, e);
    return tell(s, f, false, e,
                f->wal ? _("a database of %llu KiB in WAL mode: writers are not disturbed")
                       : _("a database of %llu KiB: writers may have to wait for the end of the "
                           "copy; in WAL mode they would not"),
                (unsigned long long)(f->pages * f->page_bytes >> 10));
}

static int driver_probe(const struct source_spec *spec, const struct source_env *env, struct err *e)
{
    struct sl *s = calloc(1, sizeof *s);
    if (!s)
        return sl_no_memory(e);
    s->spec = spec;
    s->env = *env;
    s->probing = true;
    int rc = take_paths(s, e);
    for (size_t i = 0; rc == 0 && i < s->n_files; i++)
        rc = probe_file(s, &s->files[i], e);
    if (rc == 0)
        rc = sl_ask(s, e);
    driver_free(s);
    return rc;
}

static const struct source_setting settings[] = {
    { SL_KEY, SETTING_READS, true },  { SL_INTEGRITY, SETTING_PLAIN, false },
    { "wait", SETTING_PLAIN, false }, SQL_CHECK_SETTINGS,
    { NULL, SETTING_PLAIN, false },
};
static const struct source_setting restore_settings[] = {
    { SL_KEY, SETTING_WRITES, false },   /* in place: where each file is to be in the end */
    { "staging", SETTING_PLAIN, false }, /* the folder beside it where it lies now */
    { "stage", SETTING_PLAIN, false },   /* "ask": only whether it can be done */
    { "verify", SETTING_PLAIN, false },  /* the policy's questions are asked */
    SQL_CHECK_SETTINGS,
    { NULL, SETTING_PLAIN, false },
};

const struct source_driver source_sqlite = {
    .kind = SL_ROOT,
    .settings = settings,
    .restore_settings = restore_settings,
    .begin = driver_begin,
    .probe = driver_probe,
    .roots = driver_roots,
    .end = driver_end,
    .free = driver_free,
    .restore_check = sl_restore_check,
    .restore_over = sl_restore_over,
    .restore = sl_restore,
    .host_scene = sl_host_scene,
};
