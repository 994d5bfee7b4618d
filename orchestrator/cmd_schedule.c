/* cmd_schedule.c - `twofold schedule apply|list`: what the policies say becomes timers of systemd. */
#include "lib/base/i18n.h"
#include "orchestrator/args.h"
#include "orchestrator/program.h"
#include "orchestrator/schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SYSTEMCTL_MS 60000
#define NS_PER_S ((int64_t)1000000000)

static const char *when(const struct schedule_timer *t, char out[32])
{
    return t->next_s ? ui_time(t->next_s * NS_PER_S, out) : _("not known");
}

/* --- list --------------------------------------------------------------------------------------------------------- */
static void list_logs(struct app *app, const struct schedule *s)
{
    for (size_t i = 0; i < s->n_logs; i++) {
        const struct schedule_log *l = &s->logs[i];
        bool on = schedule_enabled("", l->unit);
        ui_line(&app->ui, _("%-10s %-16s all the time%s"), "logs", l->policy,
                on ? "" : _("   NOT ENABLED: run: twofold schedule apply"));
        ui_json(&app->ui, json_pack("{s:s, s:s, s:s, s:b}", "type", "service", "target", l->policy,
                                    "unit", l->unit, "enabled", on));
    }
}

static int list(struct app *app, struct err *e)
{
    struct schedule *s = NULL;
    int rc = schedule_timers(&app->paths, &s, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < s->n_timers; i++) {
        const struct schedule_timer *t = &s->timers[i];
        char at[32];
        bool on = schedule_enabled("", t->unit);
        ui_line(&app->ui, _("%-10s %-16s next %s   %s%s"), job_kind_name(t->kind), t->target,
                when(t, at), t->spec, on ? "" : _("   NOT ENABLED: run: twofold schedule apply"));
        ui_json(&app->ui,
                json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:b}", "type", "timer", "kind",
                          job_kind_name(t->kind), "target", t->target, "schedule", t->spec, "unit",
                          t->unit, "next", (json_int_t)t->next_s, "enabled", on));
    }
    list_logs(app, s);
    if (s->n_timers == 0 && s->n_logs == 0)
        ui_line(
            &app->ui,
            _("nothing runs by itself; give a policy a schedule, such as: schedule: \"*-*-* 02:00:00\""));
    schedule_free(s);
    return 0;
}

/* --- apply -------------------------------------------------------------------------------------------------------- */
struct applying {
    struct app *app;
    const char *systemctl; /* NULL: systemd does not run here, or another root is meant */
    char **start, **stop;  /* timers; owned */
    size_t n_start, n_stop, changes;
    bool services; /* may write to other folders than before */
};

static void remember(char ***list, size_t *n, const char *unit)
{
    if (*n && strcmp((*list)[*n - 1], unit) == 0)
        return;
    char **grown = realloc(*list, (*n + 1) * sizeof *grown);
    if (!grown)
        abort();
    *list = grown;
    grown[(*n)++] = strdup(unit);
}

static void forget(char **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(list[i]);
    free(list);
}

static void on_change(void *ctx, enum schedule_change c, const char *path, const char *unit)
{
    struct applying *a = ctx;
    static const char *const names[] = { "new", "changed", "gone" };
    static const char *const texts[] = { N_("new:     %s"), N_("changed: %s"), N_("gone:    %s") };
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    ui_line(&a->app->ui, _(texts[c]), path);
#pragma GCC diagnostic pop
    ui_json(&a->app->ui, json_pack("{s:s, s:s, s:s, s:s*}", "type", "change", "change", names[c],
                                   "path", path, "unit", unit));
    a->changes++;
    if (!unit)
        a->services = true;
    else if (c == SCHEDULE_GONE)
        remember(&a->stop, &a->n_stop, unit);
    else
        remember(&a->start, &a->n_start, unit);
}

static int systemctl(const struct applying *a, const char *verb, const char *unit, struct err *e)
{
    const char *const argv[] = { a->systemctl, "--quiet", "--no-ask-password", verb, unit, NULL };
    struct wbuf out = WBUF_INIT;
    int status = 0, rc = program_run(argv, SYSTEMCTL_MS, &out, &status, e);
    if (rc == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
        err_set(e, ERR_FAILED, _("systemctl %s %s did not work"), verb, unit ? unit : "");
        rc = err_next(e, _("see why: systemctl status %s"), unit ? unit : "");
    }
    wbuf_free(&out);
    return rc;
}

/* The files are right; now systemd is to know. */
static int activate(struct applying *a, const struct schedule *s, struct err *e)
{
    int rc = systemctl(a, "daemon-reload", NULL, e);
    for (size_t i = 0; rc == 0 && i < a->n_stop; i++)
        rc = systemctl(a, "stop", a->stop[i], e);
    for (size_t i = 0; rc == 0 && i < a->n_start; i++)
        rc = systemctl(a, "restart", a->start[i], e);
    if (rc == 0 && a->services)
        rc = systemctl(a, "restart", "twofoldd.service", e); /* what runs is queued again */
    for (size_t i = 0; rc == 0 && a->services && i < s->n_logs; i++)
        rc = systemctl(a, "restart", s->logs[i].unit, e); /* and these go on where they were */
    return rc;
}

static void summary(const struct applying *a, const struct schedule *s, const char *root, bool dry)
{
    struct ui *ui = &a->app->ui;
    char at[32];
    for (size_t i = 0; i < s->n_timers; i++)
        ui_line(ui, _("%-10s %-16s next %s"), job_kind_name(s->timers[i].kind), s->timers[i].target,
                when(&s->timers[i], at));
    for (size_t i = 0; i < s->n_logs; i++)
        ui_line(ui, _("%-10s %-16s all the time%s"), "logs", s->logs[i].policy, "");
    if (a->changes == 0)
        ui_line(ui, _("all timers are as the policies say"));
    else if (dry)
        ui_line(ui, _("nothing was changed (--dry-run)"));
    else if (!a->systemctl)
        ui_line(
            ui,
            _("systemd does not run here (%s/): when it does, run: systemctl daemon-reload; or start that "
              "system"),
            root);
}

static int apply(struct app *app, const char *root, bool dry, struct err *e)
{
    struct applying a = { .app = app };
    struct schedule *s = NULL;
    char path[PATH_MAX];
    if (!*root && access("/run/systemd/system", F_OK) == 0 &&
        program_find("systemctl", NULL, path, NULL) == 0)
        a.systemctl = path;
    int rc = schedule_make(&app->paths, root, &s, e);
    if (rc == 0)
        rc = schedule_apply(s, root, dry, on_change, &a, e);
    if (rc == 0 && !dry && a.systemctl && a.changes)
        rc = activate(&a, s, e);
    if (rc == 0)
        summary(&a, s, root, dry);
    schedule_free(s);
    forget(a.start, a.n_start);
    forget(a.stop, a.n_stop);
    return rc;
}

int cmd_schedule(struct app *app, int argc, char **argv)
{
    enum { OPT_DRY_RUN = OPT_OWN, OPT_ROOT };
    static const struct option options[] = { { "dry-run", no_argument, NULL, OPT_DRY_RUN },
                                             { "root", required_argument, NULL, OPT_ROOT },
                                             OPTIONS_END };
    struct err e = ERR_INIT;
    const char *root = "";
    bool dry = false;
    int ch;
    args_begin();
    while ((ch = args_next(argc, argv, ":", options)) != -1) {
        if (ch == OPT_DRY_RUN)
            dry = true;
        else if (ch == OPT_ROOT)
            root = strcmp(optarg, "/") == 0 ? "" : optarg;
        else
            return args_bad(app, ch, argv);
    }
    const char *what = optind < argc ? argv[optind] : "";
    bool listing = strcmp(what, "list") == 0;
    if (argc - optind != 1 || (!listing && strcmp(what, "apply") != 0))
        return app_usage(app, _("apply or list?"));
    int rc = listing ? list(app, &e) : apply(app, root, dry, &e);
    if (rc < 0) {
        err_wrap(&e, "schedule %s", what);
        return ui_error(&app->ui, &e);
    }
    return 0;
}
