/* cmd_replicate.c - twofold replicate: copies that were behind get what they lack, a fork is merged. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/args.h"
#include "orchestrator/publish.h"
#include "orchestrator/record.h"

struct showing {
    struct app *app;
    struct ui_progress progress;
};

static void on_transferred(void *ctx, uint64_t bytes)
{
    struct showing *s = ctx;
    s->progress.files++;
    s->progress.bytes += bytes;
    ui_progress(&s->app->ui, &s->progress);
}

static int print_result(struct app *app, const struct vault *v, const struct published *p)
{
    struct err e = ERR_INIT;
    char size[32];
    for (size_t i = 0; i < v->n_copies; i++) {
        const struct err *why = &p->problem[i];
        if (p->current[i])
            ui_line(&app->ui, _("copy \"%s\": complete (%llu objects, %s brought)"),
                    v->copies[i].place, (unsigned long long)p->caught_up[i].objects,
                    ui_bytes(p->caught_up[i].bytes, size));
        else
            ui_line(&app->ui, _("copy \"%s\": still behind: %s"), v->copies[i].place,
                    why->why[0] ? why->why : why->what);
        ui_json(&app->ui,
                json_pack("{s:s, s:s, s:b, s:I, s:I}", "type", "copy", "place", v->copies[i].place,
                          "complete", p->current[i], "objects", (json_int_t)p->caught_up[i].objects,
                          "bytes", (json_int_t)p->caught_up[i].bytes));
        if (!p->current[i] && e.code == ERR_NONE) {
            err_set(&e, ERR_PARTIAL, _("copy \"%s\" is still behind: %s"), v->copies[i].place,
                    why->why[0] ? why->why : why->what);
            err_next(&e, _("mend that copy's place, then run: twofold replicate"));
        }
    }
    return e.code ? (err_wrap(&e, "replicate"), ui_error(&app->ui, &e)) : 0;
}

static int replicate(struct app *app, const struct vault_choice *choice, bool take_over,
                     struct record *record, int *ret_status, struct err *e)
{
    struct vault *v = NULL;
    struct fanout *f = NULL;
    struct store *stores[MAX_COPIES] = { 0 };
    struct published p = { 0 };
    struct showing s = {
        .app = app, .progress = { .phase = N_("catching up"), .started_ms = sys_monotonic_ms() }
    };
    int rc = app_open_vault(app, choice, true, false, &v, e);
    if (rc == 0 && v->n_tips == 0) {
        err_set(e, ERR_ABSENT, _("nothing has been backed up yet"));
        rc = err_next(e, _("run: twofold backup POLICY"));
    }
    if (rc == 0 && (rc = vault_lock(v, e)) == 0) {
        rc = publish_begin(v, take_over, e);
        vault_unlock(v);
    }
    for (size_t i = 0; rc == 0 && i < v->n_copies; i++)
        if (v->copies[i].state == COPY_CURRENT || v->copies[i].state == COPY_BEHIND)
            stores[i] = v->copies[i].store;
    if (rc == 0)
        rc = fanout_new(stores, v->n_copies, &f, e);
    if (rc == 0)
        rc = publish_replicate(v, f, take_over, on_transferred, &s, &p, e);
    ui_progress_end(&app->ui);
    if (rc == 0)
        *ret_status = print_result(app, v, &p);
    if (rc == 0)
        record_vault(record, v, &p, NULL);
    else if (v)
        record_copies(record, v, NULL);
    fanout_free(f);
    vault_close(v);
    return rc;
}

int cmd_replicate(struct app *app, int argc, char **argv)
{
    enum { OPT_TAKE_OVER = OPT_OWN };
    static const struct option options[] = { { "take-over", no_argument, NULL, OPT_TAKE_OVER },
                                             { "vault", required_argument, NULL, OPT_VAULT },
                                             OPTIONS_END };
    struct vault_choice choice = { 0 };
    struct record record;
    struct err e = ERR_INIT;
    bool take_over = false;
    int c, status = 0;
    args_begin();
    while ((c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        if (c == OPT_TAKE_OVER)
            take_over = true;
        else if (!choice_option(c, &choice))
            return args_bad(app, c, argv);
    }
    if (optind < argc)
        return app_usage(app, _("unexpected: %s"), argv[optind]);
    record_begin(&record, app, "replicate", NULL);
    if (replicate(app, &choice, take_over, &record, &status, &e) < 0) {
        err_wrap(&e, "replicate");
        status = ui_error(&app->ui, &e);
    }
    return record_end(&record, status);
}
