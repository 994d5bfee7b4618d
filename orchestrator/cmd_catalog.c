/* cmd_catalog.c - twofold catalog: put it into the copies, make it again from them, check it. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/args.h"
#include "orchestrator/catalog/choose.h"
#include "orchestrator/catalog/rebuild.h"
#include "orchestrator/crash/records.h"
#include "orchestrator/catalog/sync.h"
#include "orchestrator/look.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_COPY MAX_COPIES /* in the place of one: the catalog that is there */

struct options {
    struct vault_choice choice;
    bool replace;
};

/* --- export ----------------------------------------------------------------------------------------------------------------- */
static int print_export(struct app *app, const struct vault *v, const struct export_result *r)
{
    struct err e = ERR_INIT;
    char size[32];
    ui_line(&app->ui, _("export %" PRIu64 " of the catalog, %s"), r->number,
            ui_bytes(r->bytes, size));
    for (size_t i = 0; i < v->n_copies; i++) {
        const struct err *why = &r->problem[i];
        const char *text = why->why[0] ? why->why : why->what;
        if (r->done[i])
            ui_line(&app->ui, _("  copy \"%s\": has it"), v->copies[i].place);
        else if (vault_copy_carried(&v->copies[i]))
            ui_line(&app->ui, _("  copy \"%s\": carried away"), v->copies[i].place);
        else
            ui_line(&app->ui, _("  copy \"%s\": has it NOT: %s"), v->copies[i].place, text);
        ui_json(&app->ui, json_pack("{s:s, s:s, s:b, s:I, s:I}", "type", "export", "place",
                                    v->copies[i].place, "done", r->done[i], "number",
                                    (json_int_t)r->number, "bytes", (json_int_t)r->bytes));
        if (!r->done[i] && !vault_copy_carried(&v->copies[i]) && e.code == ERR_NONE)
            err_set(&e, ERR_PARTIAL, _("copy \"%s\" did not take it: %s"), v->copies[i].place,
                    text);
    }
    if (e.code == ERR_NONE)
        return 0;
    err_wrap(&e, "catalog export");
    err_next(&e, _("mend that copy's place; the next nightly run tries again"));
    return ui_error(&app->ui, &e);
}

static int run_export(struct app *app, const struct options *o, int *ret_status, struct err *e)
{
    struct vault *v = NULL;
    struct catalog *c = NULL;
    struct export_result *r = calloc(1, sizeof *r);
    int rc = r ? app_open_vault(app, &o->choice, true, false, &v, e)
               : err_set(e, ERR_NOMEM, _("no memory"));
    if (rc == 0)
        rc = catalog_open(&app->paths, CATALOG_WRITE, &c, e);
    if (rc == 0)
        rc = catalog_export(c, v, r, e);
    if (rc == 0)
        *ret_status = print_export(app, v, r);
    catalog_close(c);
    vault_close(v);
    free(r);
    return rc;
}

/* --- rebuild ------------------------------------------------------------------------------------------------------------------ */
/* The catalog that is there, when it is whole; *ret NULL when there is none, or a damaged one. */
static int open_current(struct app *app, struct catalog **ret, struct err *e)
{
    struct err why = ERR_INIT;
    int rc = catalog_open(&app->paths, CATALOG_READ, ret, &why);
    if (rc == 0 && catalog_check(*ret, &why) < 0) {
        catalog_close(*ret);
        *ret = NULL;
    } else if (rc == -ERR_VERSION || rc == -ERR_BUSY || rc == -ERR_NOMEM) {
        if (e)
            *e = why;
        return rc;
    }
    return 0;
}

/* Has this orchestrator put another trail into the copies? Then the catalog that is there was begun anew when the old one was lost. */
static bool begun_anew(const struct vault *v, const struct audit_anchor *current,
                       const struct export_found *found, size_t n)
{
    bool others = false, ours = false;
    for (size_t i = 0; i < n; i++) {
        bool own = id_eq(&found[i].o->writer, &v->writer) && !id_is_zero(&v->writer);
        ours |= own;
        others |= found[i].o->last_seq > 0 && !own;
        if (own && !id_eq(&found[i].o->chain, &current->chain) && found[i].o->last_seq > 0)
            return true;
    }
    return others && !ours; /* this machine has taken the vault over */
}

/* The catalog that is there, as if it were an export, in the place of the one of its chain. */
static int add_current(struct catalog *c, const struct vault *v, struct export_found *found,
                       size_t *n, struct err *e)
{
    struct wbuf plain = WBUF_INIT;
    struct catalog_object *o = NULL;
    uint64_t number = 1;
    size_t at = 0;
    for (size_t i = 0; i < *n; i++)
        number = found[i].name.number >= number ? found[i].name.number + 1 : number;
    int rc = catalog_export_make(c, v, number, &plain, e);
    if (rc == 0)
        rc = catalog_object_read(plain.p, plain.len, &o, e);
    wbuf_free(&plain);
    if (rc < 0 || !o)
        return rc;
    while (at < *n && !id_eq(&found[at].o->chain, &o->chain))
        at++;
    if (at == MAX_EXPORT_CHAINS) {
        catalog_object_free(o);
        return 0;
    }
    if (at < *n)
        catalog_object_free(found[at].o);
    else
        ++*n;
    memmove(found + 1, found, at * sizeof *found); /* newest first */
    found[0] = (struct export_found){ .name = { .number = number }, .copy = NO_COPY, .o = o };
    memcpy(found[0].name.chain, o->chain.b, sizeof found[0].name.chain);
    return 0;
}

/* A whole catalog is not thrown away for an older one unasked; one that was begun anew is put together with what was lost. */
static int heed_current(struct app *app, const struct options *o, const struct vault *v,
                        struct export_found *found, size_t *n, struct err *e)
{
    struct audit_anchor anchor;
    struct catalog *c = NULL;
    int rc = o->replace ? 0 : open_current(app, &c, e);
    if (rc < 0 || !c)
        return rc;
    rc = catalog_audit_anchor(c, &anchor, e);
    if (rc == 0 && begun_anew(v, &anchor, found, *n)) {
        rc = add_current(c, v, found, n, e);
    } else if (rc == 0) {
        err_set(e, ERR_EXISTS, _("there is a catalog, and it is whole"));
        rc = err_next(
            e,
            _("leave it; or, to put an older state in its place: twofold catalog rebuild --replace"));
    }
    catalog_close(c);
    return rc;
}

struct syncing {
    struct app *app;
    struct catalog *c;
    const char *done; /* name of the vault that is open already */
};

static int sync_vault(void *ctx, const char *name)
{
    struct syncing *s = ctx;
    struct vault *v = NULL;
    struct err e = ERR_INIT;
    if (strcmp(name, s->done) == 0)
        return 0;
    int rc = open_vault_quietly(s->app, name, false, &v, &e);
    if (rc == 0)
        rc = catalog_sync_snapshots(s->c, v, NULL, 0, &e);
    if (rc < 0)
        ui_warn(&s->app->ui, _("the backups of vault \"%s\" could not be looked at: %s"), name,
                e.why);
    vault_close(v);
    return 0;
}

static int note_rebuild(struct catalog *c, const struct vault *v, const struct export_found *found,
                        size_t n, size_t base, struct err *e)
{
    char object[256], detail[512] = "", chain[17];
    if (base < n && found[base].copy == NO_COPY)
        snprintf(object, sizeof object, "from the one that was there");
    else if (base < n)
        snprintf(object, sizeof object, "from export %" PRIu64 " of copy %s",
                 found[base].name.number, v->copies[found[base].copy].place);
    else
        snprintf(object, sizeof object, "from the backups of vault %.200s alone", v->name);
    for (size_t i = 0; i < n; i++) {
        size_t at = strlen(detail);
        hex_encode(found[i].name.chain, sizeof found[i].name.chain, chain);
        if (i != base && found[i].o->last_seq)
            snprintf(detail + at, sizeof detail - at, "%strail %s up to %" PRIu64 " left out",
                     at ? "; " : "", chain, found[i].o->last_seq);
    }
    struct audit_row row = {
        .action = "catalog rebuild", .object = object, .result = "done", .detail = detail
    };
    return catalog_audit(c, &row, e);
}

static int count_snapshot(void *ctx, const struct snapshot_row *s)
{
    (void)s;
    ++*(uint64_t *)ctx;
    return 0;
}

static void print_other_trail(struct app *app, const struct vault *v, const struct export_found *f,
                              const struct rebuilt *r)
{
    if (f->copy == NO_COPY)
        ui_line(&app->ui, _("  %" PRIu64 " rows of another audit trail stay in %s"), f->o->last_seq,
                r->kept);
    else
        ui_line(&app->ui,
                _("  %" PRIu64 " rows of another audit trail stay in export %" PRIu64
                  " of copy \"%s\""),
                f->o->last_seq, f->name.number, v->copies[f->copy].place);
}

static void print_left_out(struct app *app, const struct vault *v, const struct export_found *found,
                           size_t n, const struct rebuilt *r, size_t bad)
{
    char when[32];
    if (r->base == n)
        ui_warn(
            &app->ui,
            _("no copy has an export of it: runs, alarms, media, holds and the audit trail are gone"));
    else
        ui_line(&app->ui, _("  what happened after %s is known only as far as the copies show it"),
                ui_time(found[r->base].o->written_s * 1000000000LL, when));
    for (size_t i = 0; i < n; i++)
        if (i != r->base && found[i].o->last_seq)
            print_other_trail(app, v, &found[i], r);
    if (r->base < n && found[r->base].o->start_seq > 0)
        ui_line(&app->ui,
                _("  the audit trail begins with row %" PRIu64 "; older rows were not exported"),
                found[r->base].o->start_seq + 1);
    if (bad)
        ui_warn(&app->ui,
                P_("%zu export is damaged and was not used",
                   "%zu exports are damaged and were not used", bad),
                bad);
    if (r->unknown)
        ui_warn(&app->ui, _("%" PRIu64 " rows are of a kind that this program does not know"),
                r->unknown);
    ui_line(&app->ui, _("  not had again: what was queued, and who was told of which alarm"));
}

static void print_rebuild(struct app *app, const struct rebuilt *r)
{
    ui_line(&app->ui,
            _("the catalog is made again: %" PRIu64 " runs, %" PRIu64 " snapshots, %" PRIu64
              " media, %" PRIu64 " holds, %" PRIu64 " alarms, %" PRIu64 " rows of the audit trail"),
            r->runs, r->snapshots, r->media, r->holds, r->alarms, r->audit);
    if (r->kept[0])
        ui_line(&app->ui,
                r->was_damaged ? _("  the damaged one is kept as %s/%s")
                               : _("  the one before is kept as %s/%s"),
                app->paths.state_dir, r->kept);
    ui_json(&app->ui,
            json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "type", "rebuild", "runs",
                      (json_int_t)r->runs, "snapshots", (json_int_t)r->snapshots, "media",
                      (json_int_t)r->media, "holds", (json_int_t)r->holds, "alarms",
                      (json_int_t)r->alarms, "audit_rows", (json_int_t)r->audit, "kept", r->kept));
}

static int rebuild_from(struct app *app, const struct options *o, struct vault *v, int only,
                        struct err *e)
{
    struct export_found found[MAX_EXPORT_CHAINS];
    struct rebuilt r;
    struct catalog *c = NULL;
    size_t n = 0, bad = 0;
    int rc = exports_find(v, only, found, &n, &bad, e);
    if (rc == 0)
        rc = heed_current(app, o, v, found, &n, e);
    if (rc == 0)
        rc = rebuild_begin(&app->paths, v, found, n, &c, &r, e);
    if (rc < 0) {
        exports_free(found, n);
        return rc;
    }
    struct syncing s = { .app = app, .c = c, .done = v->name };
    rc = catalog_sync_snapshots(c, v, NULL, 0, e);
    if (rc == 0)
        vault_conf_each(&app->paths, sync_vault, &s, NULL);
    r.snapshots = 0;
    if (rc == 0)
        rc = catalog_snapshots(c, NULL, NULL, 0, count_snapshot, &r.snapshots, e);
    if (rc == 0)
        rc = note_rebuild(c, v, found, n, r.base, e);
    if (rc < 0)
        rebuild_abort(&app->paths, c);
    else
        rc = rebuild_commit(&app->paths, c, &r, e);
    if (rc == 0) {
        print_rebuild(app, &r);
        print_left_out(app, v, found, n, &r, bad);
        if (vault_written_elsewhere(v))
            ui_line(
                &app->ui,
                _("  this orchestrator's state is new: if no other one writes to the vault, the first backup is: twofold backup POLICY --take-over"));
    }
    exports_free(found, n);
    return rc;
}

static int run_rebuild(struct app *app, const struct options *o, struct err *e)
{
    struct vault *v = NULL;
    char lock[4096];
    int only = -1, fd = -1;
    int rc = sys_mkdir_p(app->paths.state_dir, 0700, e);
    snprintf(lock, sizeof lock, "%s/catalog.lock", app->paths.state_dir);
    if (rc == 0)
        fd = rc = sys_lock_file(lock, e);
    if (rc >= 0)
        rc = catalog_choose_vault(app, &o->choice, &v, &only, e);
    if (rc == 0 && v)
        rc = rebuild_from(app, o, v, only, e);
    if (rc == 0 && v)
        records_after_rebuild(app, v);
    vault_close(v);
    sys_close_quiet(fd);
    return rc;
}

/* --- check ------------------------------------------------------------------------------------------------------------------------ */
static int run_check(struct app *app, struct err *e)
{
    struct catalog *c = NULL;
    int rc = catalog_open(&app->paths, CATALOG_READ, &c, e);
    if (rc == 0)
        rc = catalog_check(c, e);
    catalog_close(c);
    if (rc == 0)
        ui_line(&app->ui, _("the catalog is whole"));
    return rc;
}

int cmd_catalog(struct app *app, int argc, char **argv)
{
    enum { OPT_REPLACE = OPT_OWN };
    static const struct option options[] = { { "replace", no_argument, NULL, OPT_REPLACE },
                                             CHOICE_OPTIONS,
                                             OPTIONS_END };
    struct options o = { .replace = false };
    struct err e = ERR_INIT;
    int ch, status = 0, rc;
    args_begin();
    while ((ch = args_next(argc, argv, ":", options)) != -1) {
        if (ch == OPT_REPLACE)
            o.replace = true;
        else if (!choice_option(ch, &o.choice))
            return args_bad(app, ch, argv);
    }
    const char *what = optind < argc ? argv[optind++] : "";
    if (optind < argc)
        return app_usage(app, _("unexpected: %s"), argv[optind]);
    if (strcmp(what, "export") == 0)
        rc = run_export(app, &o, &status, &e);
    else if (strcmp(what, "rebuild") == 0)
        rc = run_rebuild(app, &o, &e);
    else if (strcmp(what, "check") == 0)
        rc = run_check(app, &e);
    else
        return app_usage(app, _("export, rebuild or check?"));
    if (rc < 0) {
        err_wrap(&e, "catalog %s", what);
        status = ui_error(&app->ui, &e);
    }
    return status;
}
