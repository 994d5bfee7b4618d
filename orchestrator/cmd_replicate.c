/* cmd_replicate.c - twofold replicate: copies that were behind get what they lack, a fork is merged. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/args.h"
#include "orchestrator/crash/records_tend.h"
#include "orchestrator/logs/tend.h"
#include "orchestrator/publish.h"
#include "orchestrator/record.h"
#include <stdio.h>
#include <string.h>

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

/* Which copies, by --copy PLACE; none is named: all. */
struct wanted {
    const char *places[MAX_COPIES];
    size_t n;
    bool copies[MAX_COPIES];
};

static int want_copies(const struct vault *v, struct wanted *w, struct err *e)
{
    for (size_t i = 0; i < v->n_copies; i++)
        w->copies[i] = w->n == 0;
    for (size_t i = 0; i < w->n; i++) {
        int at = -1, rc = find_copy(v, w->places[i], &at, e);
        if (rc < 0)
            return rc;
        w->copies[at] = true;
    }
    return 0;
}

/* Those that nobody asked for are left alone; one that is current has only to stay it, also when a fork is merged. */
static void skip_unwanted(const struct vault *v, const struct wanted *w, struct published *p)
{
    for (size_t i = 0; i < v->n_copies; i++)
        if (!w->copies[i] && v->copies[i].state != COPY_CURRENT)
            err_set(&p->problem[i], ERR_BUSY, _("it was not asked for"));
}

/* --- may the disk go? ----------------------------------------------------------------------------------------------- */
struct others {
    uint64_t own;
    char what[MAX_PRESENCE_TEXT + 1];
};

static int note_writer(void *ctx, const struct presence_info *s, struct err *e)
{
    struct others *o = ctx;
    (void)e;
    if (s->writes && s->id != o->own && !o->what[0])
        snprintf(o->what, sizeof o->what, "%s", s->what[0] ? s->what : "?");
    return 0;
}

/* Everything that was put is durable already; the file system itself is brought to rest, too. */
static void say_carry(struct app *app, const struct vault *v, const struct copy *c)
{
    struct others o = { .own = presence_id(v->presence) };
    struct err e = ERR_INIT;
    const char *folder = c->url[0] == '/'                     ? c->url
                         : strncmp(c->url, "file://", 7) == 0 ? c->url + 7
                                                              : NULL;
    if (folder) {
        int fd = sys_openat(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY, 0, &e);
        int rc = fd < 0 ? fd : sys_syncfs(fd, &e);
        sys_close_quiet(fd);
        if (rc < 0) {
            ui_warn(&app->ui, _("copy \"%s\": the disk does not come to rest: %s"), c->place,
                    e.why);
            return;
        }
    }
    if (v->sessions_dir)
        presence_each(v->sessions_dir, note_writer, &o, NULL);
    if (o.what[0])
        ui_line(
            &app->ui,
            _("copy \"%s\": still written to by: %s; when that has ended, unmount it and carry it away"),
            c->place, o.what);
    else
        ui_line(
            &app->ui,
            _("copy \"%s\": may be carried away; unmount it first, and note where it goes: twofold media move %s --where TEXT --who NAME"),
            c->place, c->place);
    ui_json(&app->ui,
            json_pack("{s:s, s:s, s:b}", "type", "carry", "place", c->place, "may_go", !o.what[0]));
}

/* --- what came of it -------------------------------------------------------------------------------------------------- */
static void print_copy(struct app *app, const struct copy *c, const struct published *p, size_t i)
{
    const struct err *why = &p->problem[i];
    char size[32];
    if (p->current[i])
        ui_line(&app->ui, _("copy \"%s\": complete (%llu objects, %s brought)"), c->place,
                (unsigned long long)p->caught_up[i].objects, ui_bytes(p->caught_up[i].bytes, size));
    else if (vault_copy_carried(c))
        ui_line(&app->ui, _("copy \"%s\": carried away; nothing to do until it is back"), c->place);
    else
        ui_line(&app->ui, _("copy \"%s\": still behind: %s"), c->place,
                why->why[0] ? why->why : why->what);
    if (p->caught_up[i].damaged)
        ui_line(
            &app->ui,
            _("  %llu objects are damaged or missing in every copy that is here, so in it, too"),
            (unsigned long long)p->caught_up[i].damaged);
    ui_json(&app->ui,
            json_pack("{s:s, s:s, s:b, s:b, s:I, s:I, s:I}", "type", "copy", "place", c->place,
                      "complete", p->current[i], "carried", vault_copy_carried(c), "objects",
                      (json_int_t)p->caught_up[i].objects, "bytes",
                      (json_int_t)p->caught_up[i].bytes, "damaged",
                      (json_int_t)p->caught_up[i].damaged));
}

static void print_logs(struct app *app, const struct copy *c, const struct logs_brought *l)
{
    char size[32];
    if (l->objects)
        ui_line(&app->ui,
                P_("copy \"%s\": %llu object of logs brought (%s)",
                   "copy \"%s\": %llu objects of logs brought (%s)", l->objects),
                c->place, (unsigned long long)l->objects, ui_bytes(l->bytes, size));
    if (l->problem.code)
        ui_line(&app->ui, _("copy \"%s\": logs: still behind: %s"), c->place,
                l->problem.why[0] ? l->problem.why : l->problem.what);
    if (l->objects || l->problem.code || l->lost)
        ui_json(&app->ui, json_pack("{s:s, s:s, s:b, s:I, s:I, s:I}", "type", "copy_logs", "place",
                                    c->place, "complete", !l->problem.code && !l->lost, "objects",
                                    (json_int_t)l->objects, "bytes", (json_int_t)l->bytes, "lost",
                                    (json_int_t)l->lost));
}

static void print_records(struct app *app, const struct vault *v, const struct records_tended *r)
{
    if (r->objects)
        ui_line(&app->ui,
                P_("%llu record of an incident brought", "%llu records of incidents brought",
                   r->objects),
                (unsigned long long)r->objects);
    for (size_t i = 0; i < v->n_copies; i++)
        if (r->problem[i].code)
            ui_line(&app->ui, _("copy \"%s\": records: still behind: %s"), v->copies[i].place,
                    r->problem[i].why);
    if (r->objects)
        ui_json(&app->ui, json_pack("{s:s, s:I, s:I}", "type", "records", "objects",
                                    (json_int_t)r->objects, "bytes", (json_int_t)r->bytes));
}

/* What the logs add to the verdict. */
static void judge_logs(const struct copy *c, const struct logs_brought *l, struct err *e)
{
    if (e->code != ERR_NONE)
        return;
    if (l->problem.code == ERR_INTERRUPTED) {
        err_set(e, ERR_INTERRUPTED,
                _("interrupted; what was brought is there, run it again to go on"));
    } else if (l->problem.code) {
        err_set(e, ERR_PARTIAL, _("copy \"%s\": logs: still behind: %s"), c->place,
                l->problem.why[0] ? l->problem.why : l->problem.what);
        err_next(e, _("mend that copy's place, then run: twofold replicate"));
    } else if (l->lost) {
        err_set(e, ERR_DAMAGED, _("copy \"%s\": %llu objects could not be had whole"), c->place,
                (unsigned long long)l->lost);
        err_next(e, _("see what is lost: twofold scrub; then back up anew: twofold backup POLICY"));
    }
}

static void judge_records(const struct copy *c, const struct err *problem, struct err *e)
{
    if (e->code != ERR_NONE || !problem->code)
        return;
    err_set(e, ERR_PARTIAL, _("copy \"%s\": records: still behind: %s"), c->place, problem->why);
    err_next(e, _("mend that copy's place, then run: twofold replicate"));
}

static int print_result(struct app *app, const struct vault *v, const struct wanted *w,
                        const struct published *p, const struct logs_brought *logs,
                        const struct records_tended *records)
{
    struct err e = ERR_INIT;
    for (size_t i = 0; i < v->n_copies; i++) {
        const struct copy *c = &v->copies[i];
        const struct err *why = &p->problem[i];
        if (!w->copies[i])
            continue;
        print_copy(app, c, p, i);
        print_logs(app, c, &logs[i]);
        if (p->current[i] && c->rotating)
            say_carry(app, v, c);
        if (p->current[i] && p->caught_up[i].damaged && e.code == ERR_NONE) {
            err_set(&e, ERR_DAMAGED, _("copy \"%s\": %llu objects could not be had whole"),
                    c->place, (unsigned long long)p->caught_up[i].damaged);
            err_next(
                &e,
                _("see what is lost: twofold repair; then back up anew: twofold backup POLICY"));
        }
        /* One that was asked for by name is expected here. */
        if (!p->current[i] && (w->n > 0 || !vault_copy_carried(c)) && e.code == ERR_NONE) {
            err_set(&e, ERR_PARTIAL, _("copy \"%s\" is still behind: %s"), c->place,
                    why->why[0] ? why->why : why->what);
            if (why->code == ERR_INTERRUPTED)
                err_set(&e, ERR_INTERRUPTED,
                        _("interrupted; what was brought is there, run it again to go on"));
            else if (vault_copy_carried(c))
                err_next(&e, _("mount its disk, then run: twofold replicate --copy %s"), c->place);
            else
                publish_next(&e, why);
        }
        judge_logs(c, &logs[i], &e);
        judge_records(c, &records->problem[i], &e);
    }
    return e.code ? (err_wrap(&e, "replicate"), ui_error(&app->ui, &e)) : 0;
}

static int replicate(struct app *app, const struct vault_choice *choice, struct wanted *wanted,
                     bool take_over, struct record *record, int *ret_status, struct err *e)
{
    struct vault *v = NULL;
    struct fanout *f = NULL;
    struct store *stores[MAX_COPIES] = { 0 };
    struct published p = { 0 };
    struct logs_brought logs[MAX_COPIES] = { { 0 } };
    struct records_tended records;
    struct showing s = {
        .app = app, .progress = { .phase = N_("catching up"), .started_ms = sys_monotonic_ms() }
    };
    int rc = app_open_vault(app, choice, true, false, &v, e);
    if (rc == 0)
        rc = want_copies(v, wanted, e);
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
    if (rc == 0) {
        skip_unwanted(v, wanted, &p);
        rc = publish_replicate(v, f, take_over, on_transferred, &s, &p, e);
    }
    if (rc == 0)
        rc = logs_replicate(app, v, wanted->copies, logs, e);
    if (rc == 0)
        rc = records_replicate(app, v, wanted->copies, &records, e);
    ui_progress_end(&app->ui);
    if (rc == 0) {
        print_records(app, v, &records);
        *ret_status = print_result(app, v, wanted, &p, logs, &records);
    }
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
                                             { "copy", required_argument, NULL, OPT_COPY },
                                             OPTIONS_END };
    struct vault_choice choice = { 0 };
    struct record record;
    struct err e = ERR_INIT;
    struct wanted wanted = { .n = 0 };
    bool take_over = false;
    int c, status = 0;
    args_begin();
    while ((c = args_next(argc, argv, ":", options)) != -1) {
        if (c == OPT_TAKE_OVER)
            take_over = true;
        else if (c == OPT_COPY && wanted.n < MAX_COPIES)
            wanted.places[wanted.n++] = optarg;
        else if (!choice_option(c, &choice))
            return args_bad(app, c, argv);
    }
    if (optind < argc)
        return app_usage(app, _("unexpected: %s"), argv[optind]);
    record_begin(&record, app, "replicate", NULL);
    if (replicate(app, &choice, &wanted, take_over, &record, &status, &e) < 0) {
        err_wrap(&e, "replicate");
        status = ui_error(&app->ui, &e);
    }
    return record_end(&record, status);
}
