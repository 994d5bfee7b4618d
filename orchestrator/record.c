/* record.c - runs, copies, snapshots and the audit trail, as commands leave them in the catalog; see record.h. */
#include "orchestrator/record.h"
#include "lib/base/i18n.h"
#include "lib/base/mask.h"
#include "lib/base/sys.h"
#include "orchestrator/catalog/export.h"
#include "orchestrator/catalog/sync.h"
#include "orchestrator/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Said once a command. */
static void cannot_record(struct app *app, const struct err *e)
{
    if (!app->unrecorded)
        ui_warn(&app->ui, _("this is not recorded in the catalog: %s: %s"), e->what, e->why);
    app->unrecorded = true;
}

/* Where there is neither a configuration nor a catalog (a restore from one copy, on a bare machine), none is made. */
static bool recordable(const struct app *app)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/vaults", app->paths.config_dir);
    if (n > 0 && (size_t)n < sizeof path && access(path, F_OK) == 0)
        return true;
    n = snprintf(path, sizeof path, "%s/catalog.db", app->paths.state_dir);
    return n > 0 && (size_t)n < sizeof path && access(path, F_OK) == 0;
}

/* NULL: it cannot be had, which was said. */
static struct catalog *open_catalog(struct app *app)
{
    struct catalog *c = NULL;
    struct err e = ERR_INIT;
    if (!recordable(app))
        return NULL;
    if (catalog_open(&app->paths, CATALOG_WRITE, &c, &e) < 0)
        cannot_record(app, &e);
    return c;
}

/* --- runs ------------------------------------------------------------------------------------------------------------- */
void record_begin(struct record *r, struct app *app, const char *kind, const char *policy)
{
    struct err e = ERR_INIT;
    memset(r, 0, sizeof *r);
    r->app = app;
    r->started_s = sys_realtime_s();
    r->run.kind = kind;
    r->run.policy = policy;
    r->run.job = app->job;
    r->run.started_s = r->started_s;
    app->ui.last = ERR_INIT;
    r->c = open_catalog(app);
    if (r->c && catalog_run_begin(r->c, &r->run, &r->id, &e) < 0) {
        cannot_record(app, &e);
        catalog_close(r->c);
        r->c = NULL;
    }
}

/* A copy as the heads, what was noted and (p) this run say that it is. */
static void describe_copy(const struct vault *v, size_t i, const struct published *p,
                          const struct copy_status *s, struct copy_row *row)
{
    const struct copy *c = &v->copies[i];
    bool answers = c->state != COPY_AWAY && c->state != COPY_WRONG;
    int64_t now_s = sys_realtime_s();
    *row = (struct copy_row){ .vault = v->name,
                              .place = c->place,
                              .state = s->name,
                              .generation = c->generation,
                              .seen_s = answers ? now_s : 0,
                              .damaged_objects = s->damaged_objects,
                              .why = s->why };
    if (s->has_space) {
        row->free_bytes = s->space.free_bytes;
        row->total_bytes = s->space.total_bytes;
    }
    if (p && p->current[i]) {
        row->generation = p->generation;
        row->seen_s = row->current_s = now_s;
        if (strcmp(s->name, "damaged") != 0) {
            row->state = "current";
            row->why = "";
        }
    } else if (p && p->n_current > 0 &&
               (strcmp(s->name, "current") == 0 || strcmp(s->name, "behind") == 0)) {
        row->state = "behind";
        row->why = p->problem[i].why[0] ? p->problem[i].why : p->problem[i].what;
    } else if (answers && c->state == COPY_CURRENT) {
        row->current_s = now_s;
    }
}

static int put_copies(struct record *r, struct vault *v, const struct published *p, struct err *e)
{
    struct copy_row rows[MAX_COPIES];
    struct copy_status *s = calloc(MAX_COPIES, sizeof *s);
    int rc = s ? 0 : err_set(e, ERR_NOMEM, _("no memory"));
    for (size_t i = 0; rc == 0 && i < v->n_copies; i++)
        if ((rc = copy_judge(v, i, &s[i], e)) == 0)
            describe_copy(v, i, p, &s[i], &rows[i]);
    if (rc == 0 && (rc = catalog_begin(r->c, e)) == 0) {
        for (size_t i = 0; rc == 0 && i < v->n_copies; i++)
            rc = catalog_copy_put(r->c, &rows[i], e);
        rc = catalog_finish(r->c, rc, e);
    }
    free(s);
    return rc;
}

void record_copies(struct record *r, struct vault *v, const struct published *p)
{
    struct err e = ERR_INIT;
    snprintf(r->vault, sizeof r->vault, "%s", v->name);
    r->run.vault = r->vault; /* it outlives the opened vault */
    r->run.copies_wanted = (unsigned)v->n_copies;
    for (size_t i = 0; i < v->n_copies; i++) /* a carried one is not missed */
        r->run.copies_wanted -= vault_copy_carried(&v->copies[i]);
    if (p)
        r->run.copies_reached = (unsigned)p->n_current;
    if (r->c && put_copies(r, v, p, &e) < 0)
        cannot_record(r->app, &e);
}

void record_vault(struct record *r, struct vault *v, const struct published *p, const char *source)
{
    struct err e = ERR_INIT;
    record_copies(r, v, p);
    if (r->c && catalog_sync_snapshots(r->c, v, source, p ? p->generation : 0, &e) < 0)
        cannot_record(r->app, &e);
}

struct marking {
    struct record *r;
    const struct err *why;
    struct err e;
    int rc;
};

static int mark_away(struct marking *m, const char *vault, const char *place)
{
    struct copy_row row = { .vault = vault, .place = place, .state = "away", .why = m->why->why };
    return catalog_copy_put(m->r->c, &row, &m->e);
}

void record_away(struct record *r, const struct vault_conf *conf, const struct err *why)
{
    struct marking m = { .r = r, .why = why, .e = ERR_INIT };
    if (!r->c || why->code != ERR_UNREACHABLE)
        return;
    m.rc = catalog_begin(r->c, &m.e);
    if (m.rc < 0) {
        cannot_record(r->app, &m.e);
        return;
    }
    for (size_t i = 0; m.rc == 0 && i < conf->n_copies; i++)
        m.rc = mark_away(&m, conf->name, conf->copies[i].place);
    if (catalog_finish(r->c, m.rc, &m.e) < 0)
        cannot_record(r->app, &m.e);
    r->run.copies_wanted = (unsigned)conf->n_copies;
}

int record_end(struct record *r, int status)
{
    struct err e = ERR_INIT;
    const struct err *last = &r->app->ui.last;
    char text[2 * ERR_TEXT_BYTES + 4];
    if (!r->c)
        return status;
    r->run.exit_status = status;
    if (status != 0 && last->code != ERR_NONE) {
        snprintf(text, sizeof text, "%s: %s", last->what, last->why);
        r->run.error = text;
        r->run.error_code = err_info(last->code)->name;
    }
    if (catalog_run_end(r->c, r->id, &r->run, &e) < 0)
        cannot_record(r->app, &e);
    catalog_close(r->c);
    r->c = NULL;
    return status;
}

void record_export(struct app *app, struct vault *v)
{
    struct export_result *r = calloc(1, sizeof *r);
    struct err e = ERR_INIT;
    bool due = false;
    struct catalog *c = r ? open_catalog(app) : NULL;
    int rc = c ? catalog_export_due(c, v->name, &due, &e) : 0;
    if (rc == 0 && due)
        rc = catalog_export(c, v, r, &e);
    if (rc < 0 && rc != -ERR_BUSY)
        ui_warn(&app->ui, _("the catalog was not put into the copies: %s: %s"), e.what, e.why);
    for (size_t i = 0; rc == 0 && due && i < v->n_copies; i++)
        if (r->problem[i].code != ERR_NONE && r->problem[i].code != ERR_UNREACHABLE)
            ui_warn(&app->ui, _("copy \"%s\" did not take the catalog's export: %s"),
                    v->copies[i].place, r->problem[i].why);
    catalog_close(c);
    free(r);
}

/* --- the audit trail ------------------------------------------------------------------------------------------------------ */
static bool has_word(int argc, char **argv, const char *word)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], word) == 0)
            return true;
    return false;
}

/* What the crash procedure starts itself: it is on the timeline, and waits for no catalog. */
static bool is_own_process(const char *word)
{
    static const char *const words[] = {
        "known", "overdue", "report-to", "tell", "record", "duties"
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

/* Commands that only look, by themselves or with such a second word, are not recorded. */
static bool only_looks(int argc, char **argv)
{
    /* alarms keeps a record of its own */
    static const char *const looks[] = { "status",  "snapshots", "version", "metrics", "help",
                                         "enqueue", "page",      "jobs",    "alarms",  "check" };
    static const char *const words[] = { "list", "show", "lint", "verify", "check", "status" };
    for (size_t i = 0; i < sizeof looks / sizeof *looks; i++)
        if (strcmp(argv[0], looks[i]) == 0)
            return true;
    if (strcmp(argv[0], "logs") == 0)
        return !has_word(argc, argv, "--follow");
    for (size_t i = 0; argc > 1 && i < sizeof words / sizeof *words; i++)
        if (strcmp(argv[1], words[i]) == 0)
            return true;
    return argc > 1 && strcmp(argv[0], "crash") == 0 && is_own_process(argv[1]);
}

static bool is_one_of(int argc, char **argv, const char *const table[][2], size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(argv[0], table[i][0]) == 0 &&
            (!table[i][1] || (argc > 1 && strcmp(argv[1], table[i][1]) == 0)))
            return true;
    return false;
}

/* What takes something away for good. */
static bool destroys(int argc, char **argv)
{
    static const char *const table[][2] = { { "prune", NULL },    { "agent", "revoke" },
                                            { "hold", "remove" }, { "hold", "release" },
                                            { "key", NULL },      { "copy", "remove" } };
    return is_one_of(argc, argv, table, sizeof table / sizeof *table) &&
           !has_word(argc, argv, "--dry-run");
}

/* What is recorded when it begins, too: a kill must not hide that content left the vault. */
static bool weighs(int argc, char **argv)
{
    static const char *const table[][2] = { { "restore", NULL },
                                            { "export", NULL },
                                            { "repair", NULL } };
    return is_one_of(argc, argv, table, sizeof table / sizeof *table);
}

/* A password in a URL or in words for a database has no place in a trail, nor has the value of an option that says it is a secret. */
static void add_masked(char *out, size_t max, const char *word, bool *hide_next)
{
    size_t at = strlen(out);
    bool secret = strncmp(word, "--", 2) == 0 && !strstr(word, "-file") &&
                  (strstr(word, "password") || strstr(word, "secret") || strstr(word, "token"));
    const char *value = secret ? strchr(word, '=') : NULL;
    if (at + 1 >= max)
        return;
    if (at)
        out[at++] = ' ';
    if (*hide_next)
        snprintf(out + at, max - at, "***");
    else if (value)
        snprintf(out + at, max - at, "%.*s***", (int)(value + 1 - word), word);
    else
        mask_secrets(word, out + at, max - at);
    *hide_next = secret && !value;
}

static int append(const struct record_command *rc, struct catalog *c, const char *result)
{
    char detail[64] = "";
    struct err e = ERR_INIT;
    if (rc->app->job)
        snprintf(detail, sizeof detail, "job %" PRIu64, rc->app->job);
    struct audit_row row = { .who = rc->app->job ? "twofoldd" : NULL,
                             .action = rc->action,
                             .object = rc->object,
                             .result = result,
                             .detail = detail };
    int status = catalog_audit(c, &row, &e);
    if (status < 0)
        cannot_record(rc->app, &e);
    return status;
}

int record_command_begin(struct record_command *rc, struct app *app, int argc, char **argv)
{
    bool must = destroys(argc, argv), hide = false;
    struct err e = ERR_INIT;
    memset(rc, 0, sizeof *rc);
    rc->app = app;
    rc->looks = only_looks(argc, argv);
    snprintf(rc->action, sizeof rc->action, "%s", argv[0]);
    for (int i = 1; i < argc; i++)
        add_masked(rc->object, sizeof rc->object, argv[i], &hide);
    if (!must && (!weighs(argc, argv) || app->job))
        return 0;
    struct catalog *c = open_catalog(app);
    int done = c ? append(rc, c, "begun") : -ERR_IO;
    catalog_close(c);
    rc->begun = done == 0;
    if (done == 0 || !must || !recordable(app))
        return 0;
    err_set(&e, ERR_REFUSED,
            _("it takes something away for good, and the audit trail cannot be written"));
    err_wrap(&e, "%s", argv[0]);
    err_next(&e, _("mend the catalog first: twofold catalog rebuild; or make room for it in %s"),
             app->paths.state_dir);
    return ui_error(&app->ui, &e);
}

void record_command_end(const struct record_command *rc, int status)
{
    char result[32];
    if (rc->looks || (status == 2 && !rc->begun)) /* a slip of the command line did nothing */
        return;
    struct catalog *c = open_catalog(rc->app);
    if (!c)
        return;
    snprintf(result, sizeof result, "exit %d", status);
    append(rc, c, result);
    catalog_close(c);
}
