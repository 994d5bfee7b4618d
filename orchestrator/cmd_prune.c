/* cmd_prune.c - twofold prune: which backups go by their retention, and giving their space back; see prune/prune.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/args.h"
#include "orchestrator/crash/records_tend.h"
#include "orchestrator/look.h"
#include "orchestrator/prune/clock.h"
#include "orchestrator/prune/logs.h"
#include "orchestrator/prune/prune.h"
#include "orchestrator/prune/sweep.h"
#include "orchestrator/prune_report.h"
#include "orchestrator/record.h"
#include <stdlib.h>
#include <unistd.h>

struct request {
    struct vault_choice choice;
    struct plan_options plan;
    uint64_t max_repack_bytes;
    bool dry_run, clock_is_right;
};

/* "200MiB", "5 GiB", "1000": bytes; binary units only. */
static int parse_size(struct app *app, const char *text, uint64_t *ret)
{
    static const char *const units[] = { "", "KiB", "MiB", "GiB", "TiB" };
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    while (*end == ' ')
        end++;
    for (size_t i = 0; end != text && text[0] != '-' && i < sizeof units / sizeof *units; i++)
        if (strcmp(end, units[i]) == 0 && n > 0 && n <= UINT64_MAX >> (10 * i)) {
            *ret = (uint64_t)n << (10 * i);
            return 0;
        }
    return app_usage(app, _("--max-repack %s: give a size like 5GiB"), text);
}

/* May this orchestrator write here, and is there one state? */
static int may_prune(struct vault *v, bool dry_run, struct err *e)
{
    int rc = dry_run ? 0 : vault_claim(v, PRUNE_SOURCE, e);
    if (rc == 0 && !dry_run && (rc = vault_lock(v, e)) == 0) {
        rc = publish_begin(v, false, e);
        vault_unlock(v);
    }
    if (rc == 0 && v->n_tips > 1) {
        err_set(e, ERR_REFUSED, _("orchestrators have written at the same time (a fork)"));
        rc = err_next(e, _("merge it first: twofold replicate"));
    }
    if (rc == 0 && v->n_lost_lists) {
        err_set(e, ERR_DAMAGED, _("a list of backups is damaged in every copy"));
        rc = err_next(e, _("see what is left, and mend it: twofold repair"));
    }
    return rc;
}

/* A dry run only says what is wrong with the clock. */
static int believe_clock(struct app *app, struct vault *v, const struct request *r, struct err *e)
{
    struct clock_fact now;
    struct err why = ERR_INIT;
    int rc = clock_check(v, r->clock_is_right, &now, &why);
    if (rc == -ERR_REFUSED && r->dry_run) {
        ui_warn(&app->ui, "%s", why.why);
        return 0;
    }
    if (rc < 0) {
        if (e)
            *e = why;
        return rc;
    }
    return r->dry_run ? 0 : clock_accept(v, &now, e);
}

/* All backups of a policy that is gone: that is asked once more. */
static int confirm(struct prune *p, const struct request *r, struct err *e)
{
    struct app *app = p->app;
    const struct plan *plan = p->plan;
    char *question = NULL;
    if (!r->plan.forget || r->dry_run ||
        (plan->dropped == 0 && !prune_logs_of(app, p->v, r->plan.forget)))
        return 0;
    bool yes = app->ui.yes;
    if (!yes && isatty(STDIN_FILENO)) {
        if (asprintf(&question, _("drop %zu backups, and all of \"%s\" but what is held?"),
                     plan->dropped, r->plan.forget) < 0)
            return err_set(e, ERR_NOMEM, _("no memory"));
        yes = ui_ask(&app->ui, question, false);
        free(question);
    }
    if (yes)
        return 0;
    err_set(e, ERR_REFUSED, _("nobody said yes; nothing was changed"));
    return err_next(e, _("run it again with --yes"));
}

static int change(struct prune *p, struct swept *swept, struct err *e)
{
    struct sweep_options o = { .ui = &p->app->ui };
    int rc = prune_doom(p, e);
    if (rc == 0)
        rc = prune_move(p, e);
    if (rc == 0)
        rc = prune_commit(p, e);
    return rc < 0 ? rc : sweep_run(p->v, p->litter, &o, swept, e);
}

static bool forgets_all(const struct plan *plan, const char *policy)
{
    bool all = policy != NULL;
    for (size_t i = 0; all && i < plan->n; i++)
        all = strcmp(plan->sources[i].policy, policy) != 0 ||
              plan->sources[i].dropped == plan->sources[i].n;
    return all;
}

/* Records of incidents that newer ones replace. */
static int prune_records(struct app *app, struct vault *v, bool dry_run, struct prune_logs *logs,
                         struct err *e)
{
    struct records_tended t;
    int rc = records_prune(app, v, dry_run, &t, e);
    for (size_t i = 0; rc == 0 && i < v->n_copies; i++)
        if (t.problem[i].code && !logs->problem[i].code)
            logs->problem[i] = t.problem[i];
    if (rc == 0 && t.objects)
        ui_line(&app->ui,
                dry_run
                    ? P_("%llu record of an incident would go: newer ones replace it",
                         "%llu records of incidents would go: newer ones replace them", t.objects)
                    : P_("%llu record of an incident deleted: newer ones replace it",
                         "%llu records of incidents deleted: newer ones replace them", t.objects),
                (unsigned long long)t.objects);
    return rc;
}

static int run(struct app *app, struct prune *p, const struct request *r, struct swept *swept,
               struct prune_logs *logs, struct err *e)
{
    struct sweep_options dry = { .dry_run = true };
    int rc = may_prune(p->v, r->dry_run, e);
    if (rc == 0)
        rc = believe_clock(app, p->v, r, e);
    if (rc == 0)
        rc = plan_make(app, p->v, &p->options, &p->plan, e);
    if (rc == 0)
        rc = confirm(p, r, e);
    if (rc == 0)
        rc = prune_logs_choose(logs, e);
    if (rc == 0)
        rc = litter_open(p->v->state_dir, r->dry_run, &p->litter, e);
    if (rc == 0)
        rc = prune_mark(p, e);
    ui_progress_end(&app->ui);
    if (rc < 0)
        return rc;
    report_plan(p, r->dry_run);
    rc = r->dry_run ? sweep_run(p->v, p->litter, &dry, swept, e) : change(p, swept, e);
    ui_progress_end(&app->ui);
    logs->forgets_all = forgets_all(p->plan, r->plan.forget);
    if (rc == 0)
        rc = prune_logs_delete(logs, e);
    return rc == 0 ? prune_records(app, p->v, r->dry_run, logs, e) : rc;
}

static int logs_failed(struct app *app, const struct copy *c, const struct err *why)
{
    struct err e = ERR_INIT;
    err_set(&e, ERR_PARTIAL, _("copy \"%s\" was not pruned: %s"), c->place,
            why->why[0] ? why->why : why->what);
    err_next(&e, _("see to it; the next prune goes on there"));
    err_wrap(&e, "prune");
    return ui_error(&app->ui, &e);
}

static int prune(struct app *app, struct request *r, struct record *rec, int *ret_status,
                 struct err *e)
{
    struct prune p = { .app = app, .options = r->plan, .max_repack_bytes = r->max_repack_bytes };
    struct prune_logs logs = { .app = app, .o = &r->plan, .dry_run = r->dry_run };
    struct vault_conf *conf = NULL;
    struct swept *swept = calloc(1, sizeof *swept);
    r->choice.what = "prune";
    r->choice.source = PRUNE_SOURCE;
    p.progress.started_ms = sys_monotonic_ms();
    int rc = swept ? 0 : err_set(e, ERR_NOMEM, _("no memory"));
    if (rc == 0)
        rc = app_open_vault(app, &r->choice, !r->dry_run, false, &p.v, e);
    if (rc == 0)
        rc = vault_conf_load(&app->paths, p.v->name, &conf, e);
    logs.v = p.v;
    if (rc == 0 && p.v->n_tips == 0)
        ui_line(&app->ui, _("nothing has been backed up yet"));
    else if (rc == 0)
        rc = run(app, &p, r, swept, &logs, e);
    if (rc == 0 && p.v->n_tips > 0)
        *ret_status = report_result(&p, conf, swept, r->dry_run);
    for (size_t i = 0; rc == 0 && p.v && i < p.v->n_copies && *ret_status == 0; i++)
        if (logs.problem[i].code)
            *ret_status = logs_failed(app, &p.v->copies[i], &logs.problem[i]);
    prune_logs_done(&logs);
    if (p.v && !r->dry_run)
        record_vault(rec, p.v, p.published.n_current ? &p.published : NULL, NULL);
    prune_done(&p);
    vault_close(p.v);
    vault_conf_free(conf);
    free(swept);
    return rc;
}

int cmd_prune(struct app *app, int argc, char **argv)
{
    enum { OPT_DRY = OPT_OWN, OPT_POLICY, OPT_FORGET, OPT_REPACK, OPT_CLOCK };
    static const struct option options[] = { { "dry-run", no_argument, NULL, OPT_DRY },
                                             { "policy", required_argument, NULL, OPT_POLICY },
                                             { "forget-policy", required_argument, NULL,
                                               OPT_FORGET },
                                             { "max-repack", required_argument, NULL, OPT_REPACK },
                                             { "clock-is-right", no_argument, NULL, OPT_CLOCK },
                                             { "vault", required_argument, NULL, OPT_VAULT },
                                             OPTIONS_END };
    struct request r = { 0 };
    struct record rec = { 0 };
    struct err e = ERR_INIT;
    int c, status = 0;
    args_begin();
    while ((c = args_next(argc, argv, ":", options)) != -1) {
        if (c == OPT_DRY)
            r.dry_run = true;
        else if (c == OPT_POLICY)
            r.plan.policy = optarg;
        else if (c == OPT_FORGET)
            r.plan.forget = optarg;
        else if (c == OPT_CLOCK)
            r.clock_is_right = true;
        else if (c == OPT_REPACK && (status = parse_size(app, optarg, &r.max_repack_bytes)) != 0)
            return status;
        else if (c != OPT_REPACK && !choice_option(c, &r.choice))
            return args_bad(app, c, argv);
    }
    if (optind < argc)
        return app_usage(app, _("unexpected: %s"), argv[optind]);
    if (r.plan.policy && r.plan.forget)
        return app_usage(app, _("--policy and --forget-policy cannot both be given"));
    if (!r.dry_run)
        record_begin(&rec, app, "prune",
                     r.plan.policy   ? r.plan.policy
                     : r.plan.forget ? r.plan.forget
                                     : "");
    if (prune(app, &r, &rec, &status, &e) < 0) {
        err_wrap(&e, "prune");
        status = ui_error(&app->ui, &e);
    }
    return r.dry_run ? status : record_end(&rec, status);
}
