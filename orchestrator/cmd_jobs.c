/* cmd_jobs.c - `twofold jobs`, `pause`, `resume` and `cancel`: the queue, looked at and influenced. twofoldd does what is asked
 * here as soon as the bell has rung. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/args.h"
#include "orchestrator/look.h"
#include "orchestrator/catalog/catalog.h"
#include "orchestrator/daemon/child.h"
#include "orchestrator/queue.h"
#include "orchestrator/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_OLD_JOBS 200
#define NS_PER_S ((int64_t)1000000000)
#define WAITING_STATES (1u << JOB_QUEUED | 1u << JOB_RUNNING)
#define ALL_STATES ((1u << JOB_STATES) - 1)

/* --- jobs ------------------------------------------------------------------------------------------------------- */
struct listing {
    struct app *app;
    struct catalog *c;
    size_t n;
};

static const char *state_text(const struct job *j, bool held)
{
    static const char *const texts[JOB_STATES] = { N_("queued"),   N_("running"), N_("done"),
                                                   N_("degraded"), N_("FAILED"),  N_("cancelled") };
    if (held || (j->pause && j->state == JOB_QUEUED))
        return _("held back");
    if (j->pause && j->state == JOB_RUNNING)
        return _("paused");
    return (unsigned)j->state < JOB_STATES ? _(texts[j->state]) : "?";
}

static void when_text(const struct job *j, char out[80])
{
    char at[32];
    int64_t now_s = sys_realtime_s();
    if (j->state == JOB_QUEUED && j->not_before_s > now_s)
        snprintf(out, 80, _("not before %s"), short_time(j->not_before_s * NS_PER_S, at));
    else if (j->state == JOB_QUEUED)
        snprintf(out, 80, _("since %s"), short_time(j->queued_s * NS_PER_S, at));
    else if (j->state == JOB_RUNNING)
        snprintf(out, 80, _("since %s"), short_time(j->started_s * NS_PER_S, at));
    else
        snprintf(out, 80, "%s", short_time(j->ended_s * NS_PER_S, at));
}

static json_t *job_json(const struct job *j, bool held)
{
    return json_pack(
        "{s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:i, s:s, s:s, s:b}",
        "type", "job", "id", (json_int_t)j->id, "kind", job_kind_name(j->kind), "target", j->target,
        "slot", j->slot, "state", job_state_name(j->state), "vault", j->vault, "agent", j->agent,
        "priority", (int)j->priority, "tries", (int)j->tries, "max_tries", (int)j->max_tries,
        "queued_at", (json_int_t)j->queued_s, "not_before", (json_int_t)j->not_before_s,
        "started_at", (json_int_t)j->started_s, "ended_at", (json_int_t)j->ended_s, "exit",
        j->exit_status, "code", j->error_code, "error", j->error, "held", held || j->pause);
}

static int show_job(void *ctx, const struct job *j)
{
    struct listing *l = ctx;
    char key[FACT_BYTES], when[80];
    bool held = j->state == JOB_QUEUED && j->kind == JOB_BACKUP &&
                fact_is_set(l->c, fact_hold(j->target, key));
    when_text(j, when);
    l->n++;
    ui_line(&l->app->ui, _("%4" PRIu64 "  %-9s %-16s %-10s %s, try %u of %u"), j->id,
            job_kind_name(j->kind), j->target, state_text(j, held), when, j->tries, j->max_tries);
    if (j->error[0] && j->state != JOB_DONE) {
        char *text = text_clean(j->error, strlen(j->error), false);
        ui_line(&l->app->ui, "        %s", text);
        free(text);
    }
    ui_json(&l->app->ui, job_json(j, held));
    return 0;
}

static int no_catalog(struct app *app)
{
    ui_line(&app->ui, _("there are no jobs; nothing was queued yet"));
    return 0;
}

int cmd_jobs(struct app *app, int argc, char **argv)
{
    static const struct option options[] = { { "all", no_argument, NULL, 'a' }, OPTIONS_END };
    struct listing l = { .app = app };
    struct err e = ERR_INIT;
    bool all = false;
    int ch;
    args_begin();
    while ((ch = args_next(argc, argv, ":", options)) != -1) {
        if (ch != 'a')
            return args_bad(app, ch, argv);
        all = true;
    }
    if (optind < argc)
        return app_usage(app, _("unexpected: %s"), argv[optind]);
    int rc = catalog_open(&app->paths, CATALOG_READ, &l.c, &e);
    if (rc == -ERR_ABSENT)
        return no_catalog(app);
    if (rc == 0)
        rc = catalog_jobs(l.c, all ? ALL_STATES : WAITING_STATES, all ? MAX_OLD_JOBS : 0, show_job,
                          &l, &e);
    catalog_close(l.c);
    if (rc < 0)
        return ui_error(&app->ui, &e);
    if (l.n == 0)
        ui_line(&app->ui, all ? _("there are no jobs") : _("nothing runs and nothing waits"));
    return 0;
}

/* --- pause, resume, cancel ------------------------------------------------------------------------------------------ */
enum wish { WISH_PAUSE, WISH_RESUME, WISH_CANCEL };

struct wishing {
    struct catalog *c;
    enum wish wish;
    const char *policy; /* NULL: of one job */
    size_t n;
    enum job_state state; /* of the last one */
    struct err *e;
};

static int cancel_job(struct wishing *w, const struct job *j)
{
    char key[FACT_BYTES];
    if (j->state == JOB_RUNNING)
        return catalog_fact_set(w->c, fact_cancel(j->id, key), "1", w->e);
    if (j->state == JOB_QUEUED)
        return catalog_job_cancel(w->c, j->id, w->e);
    err_set(w->e, ERR_REFUSED, _("it is over already: %s"), job_state_name(j->state));
    return err_next(w->e, _("see what runs and what waits: twofold jobs"));
}

static int wish_for(void *ctx, const struct job *j)
{
    struct wishing *w = ctx;
    if (w->policy && (j->kind != JOB_BACKUP || strcmp(j->target, w->policy) != 0))
        return 0;
    w->n++;
    w->state = j->state;
    int rc = w->wish == WISH_CANCEL ? cancel_job(w, j)
                                    : catalog_job_pause(w->c, j->id, w->wish == WISH_PAUSE, w->e);
    /* One of a policy's jobs that ended this very moment needs nothing any more. */
    return w->policy && (rc == -ERR_ABSENT || rc == -ERR_BUSY) ? 0 : rc;
}

static bool job_number(const char *text, uint64_t *ret)
{
    char *end;
    *ret = strtoull(text, &end, 10);
    return *text >= '1' && *text <= '9' && *end == '\0';
}

static int wish_for_policy(struct app *app, struct wishing *w, const char *name)
{
    struct policy *p = NULL;
    char key[FACT_BYTES], who[AUDIT_WHO_BYTES];
    int rc = policy_load(&app->paths, name, &p, w->e);
    w->policy = name;
    if (rc == 0 && w->wish != WISH_CANCEL)
        rc = catalog_fact_set(w->c, fact_hold(name, key),
                              w->wish == WISH_PAUSE ? audit_who(who) : "", w->e);
    if (rc == 0)
        rc = catalog_jobs(w->c, WAITING_STATES, 0, wish_for, w, w->e);
    policy_free(p);
    return rc;
}

static void say_done(struct app *app, const struct wishing *w, const char *what)
{
    static const char *const of_policy[] = {
        [WISH_PAUSE] = N_("policy \"%s\" is held back until: twofold resume %s"),
        [WISH_RESUME] = N_("policy \"%s\" goes on"),
        [WISH_CANCEL] = N_("the jobs of policy \"%s\" are cancelled"),
    };
    static const char *const of_job[] = {
        [WISH_PAUSE] = N_("job %s pauses until: twofold resume %s"),
        [WISH_RESUME] = N_("job %s goes on"),
        [WISH_CANCEL] = N_("job %s is cancelled"),
    };
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
    ui_line(&app->ui, _((w->policy ? of_policy : of_job)[w->wish]), what, what);
#pragma GCC diagnostic pop
    ui_json(&app->ui,
            json_pack("{s:s, s:s, s:I}", "type", "jobs", "of", what, "jobs", (json_int_t)w->n));
}

static int wish_command(struct app *app, int argc, char **argv, enum wish wish)
{
    static const struct option options[] = { OPTIONS_END };
    struct err e = ERR_INIT;
    struct wishing w = { .wish = wish, .e = &e };
    uint64_t id = 0;
    args_begin();
    int ch = args_next(argc, argv, ":", options);
    if (ch != -1)
        return args_bad(app, ch, argv);
    if (argc - optind != 1)
        return app_usage(app, _("which job, or which policy?"));
    const char *what = argv[optind];
    int rc = catalog_open(&app->paths, CATALOG_WRITE, &w.c, &e);
    if (rc == 0 && job_number(what, &id))
        rc = catalog_job(w.c, id, wish_for, &w, &e);
    else if (rc == 0)
        rc = wish_for_policy(app, &w, what);
    catalog_close(w.c);
    if (rc < 0) {
        err_wrap(&e, "%s %s", argv[0], what);
        return ui_error(&app->ui, &e);
    }
    say_done(app, &w, what);
    if (!queue_ring(&app->paths) && wish != WISH_RESUME && w.n && w.state == JOB_RUNNING)
        ui_warn(&app->ui, _("twofoldd does not run; it does what was asked when it is back"));
    return 0;
}

int cmd_pause(struct app *app, int argc, char **argv)
{
    return wish_command(app, argc, argv, WISH_PAUSE);
}

int cmd_resume(struct app *app, int argc, char **argv)
{
    return wish_command(app, argc, argv, WISH_RESUME);
}

int cmd_cancel(struct app *app, int argc, char **argv)
{
    return wish_command(app, argc, argv, WISH_CANCEL);
}
