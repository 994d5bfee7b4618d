/* cmd_logs.c - twofold logs: how far the logs of databases are kept, copy by copy; and the one that keeps them. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/args.h"
#include "orchestrator/crash/standby.h"
#include "orchestrator/logs/keep.h"
#include "orchestrator/session.h"
#include "orchestrator/text.h"
#include "orchestrator/watch/log_words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FIRST_PAUSE_MS 5000 /* after a failure, with --restart; then twice as long each time */
#define LAST_PAUSE_MS 120000
#define WELL_MS 60000 /* who followed for so long has not failed: the next pause is the first */
#define LOOK_MS 5000  /* so often: is the configuration as it was? */

static int load_job(struct app *app, const char *name, struct policy **ret_policy,
                    struct vault_conf **ret_conf, struct logs_job *j, struct err *e)
{
    int rc = policy_load(&app->paths, name, ret_policy, e);
    if (rc < 0)
        return rc;
    j->policy = *ret_policy;
    j->spec = logs_of_policy(*ret_policy, &j->interval_ms);
    if (!j->spec) {
        err_set(e, ERR_CONFIG, _("the policy asks for no log to be kept"));
        return err_next(e,
                        _("say so in its file, below \"postgresql:\" or \"mariadb:\": logs: 5s"));
    }
    rc = vault_conf_load(&app->paths, (*ret_policy)->vault[0] ? (*ret_policy)->vault : NULL,
                         ret_conf, e);
    j->conf = *ret_conf;
    return rc;
}

/* --- following ------------------------------------------------------------------------------------------------------ */
struct following {
    struct app *app;
    const char *name;
    int lock;             /* -1: not had yet */
    uint64_t fingerprint; /* of the configuration */
    uint64_t looked_ms;
    bool changed;
};

static int lock_stream(struct following *f, struct err *e)
{
    char *folder = text_print("%s/logs", f->app->paths.state_dir);
    char *path = text_print("%s/%s.lock", folder, f->name);
    int rc = sys_mkdir_p(folder, 0700, e);
    if (rc == 0)
        rc = f->lock = sys_lock_file(path, e);
    if (rc == -ERR_BUSY) {
        err_set(e, ERR_BUSY, _("another process follows this log already"));
        err_next(e, _("see how far it is: twofold logs %s"), f->name);
    }
    free(folder);
    free(path);
    return rc < 0 ? rc : 0;
}

/* What was changed and cannot be read is no reason to let go of what works. */
static bool has_changed(void *ctx)
{
    struct following *f = ctx;
    struct policy *p = NULL;
    struct vault_conf *conf = NULL;
    struct logs_job j = { 0 };
    struct err e = ERR_INIT;
    if (sys_monotonic_ms() - f->looked_ms < LOOK_MS)
        return false;
    f->looked_ms = sys_monotonic_ms();
    uint64_t now = facts_fingerprint(&f->app->paths);
    if (now == f->fingerprint)
        return false;
    f->fingerprint = now;
    f->changed = load_job(f->app, f->name, &p, &conf, &j, &e) == 0;
    if (!f->changed)
        ui_warn(&f->app->ui, _("the configuration has changed, and is not used: %s: %s"), e.what,
                e.why);
    vault_conf_free(conf);
    policy_free(p);
    return f->changed;
}

static int follow_once(struct following *f, struct err *e)
{
    struct policy *p = NULL;
    struct vault_conf *conf = NULL;
    struct logs_job j = { .changed = has_changed, .ctx = f };
    f->fingerprint = facts_fingerprint(&f->app->paths);
    f->looked_ms = sys_monotonic_ms();
    f->changed = false;
    int rc = load_job(f->app, f->name, &p, &conf, &j, e);
    if (rc == 0)
        standby_follow(f->app, p); /* whose log ends asks again */
    if (rc == 0 && f->lock < 0)
        rc = lock_stream(f, e);
    if (rc == 0)
        rc = logs_keep(f->app, &j, e);
    vault_conf_free(conf);
    policy_free(p);
    return rc;
}

/* Being told to end is no failure: what was acknowledged is durable, the rest the database still has. */
static int follow(struct app *app, const char *name, bool restart)
{
    struct following f = { .app = app, .name = name, .lock = -1 };
    unsigned pause_ms = FIRST_PAUSE_MS;
    int status = 0;
    bool again = true;
    while (again) {
        struct err e = ERR_INIT;
        uint64_t from_ms = sys_monotonic_ms();
        int rc = follow_once(&f, &e);
        again = !sys_interrupted() && (restart || f.changed);
        if (rc == -ERR_INTERRUPTED && sys_interrupted()) {
            ui_line(&app->ui,
                    _("the log of \"%s\" is not followed any more; the server keeps what comes"),
                    name);
        } else if (!f.changed) {
            err_wrap(&e, _("log of \"%s\""), name);
            status = ui_error(&app->ui, &e);
        }
        if (!again || f.changed)
            continue;
        if (sys_monotonic_ms() - from_ms >= WELL_MS)
            pause_ms = FIRST_PAUSE_MS;
        again = pause_between_tries(pause_ms, &e) == 0;
        status = 0;
        pause_ms = 2 * pause_ms < LAST_PAUSE_MS ? 2 * pause_ms : LAST_PAUSE_MS;
    }
    sys_close_quiet(f.lock);
    return status;
}

/* --- how far ------------------------------------------------------------------------------------------------------------ */
static void print_position(struct app *app, const struct logs_state *s)
{
    char when[64], size[32];
    if (s->last.seq == 0)
        return;
    if (strcmp(s->kind, "mariadb") == 0)
        ui_line(&app->ui, _("  kept up to position %" PRIu64 " of binary log %u, as of %s"),
                s->last.end, s->last.timeline, ui_time(s->last.time_ns, when));
    else
        ui_line(&app->ui, _("  kept up to %X/%X on timeline %u, as of %s"),
                (unsigned)(s->last.end >> 32), (unsigned)s->last.end, s->last.timeline,
                ui_time(s->last.time_ns, when));
    ui_line(&app->ui, _("  %" PRIu64 " objects, %s in each copy"), s->objects,
            ui_bytes(s->bytes, size));
    if (s->head_timeline == s->last.timeline && s->head > s->last.end)
        ui_line(&app->ui, _("  the server is %s ahead"), ui_bytes(s->head - s->last.end, size));
    if (s->epoch_s)
        ui_line(&app->ui, _("  without a gap since %s"), ui_time(s->epoch_s * 1000000000, when));
}

/* null: nothing of it is there. */
static json_t *lag_json(int64_t lag_s)
{
    return lag_s < 0 ? json_null() : json_integer((json_int_t)lag_s);
}

static void print_copies(struct app *app, const struct logs_state *s, int64_t now_s, json_t *out)
{
    for (size_t i = 0; i < s->n_copies; i++) {
        const struct logs_copy_state *c = &s->copies[i];
        char age[64];
        int64_t lag_s = log_copy_lag_s(s, c, now_s);
        if (lag_s == 0)
            ui_line(&app->ui, _("  copy \"%s\": complete"), c->place);
        else if (lag_s > 0)
            ui_line(&app->ui, _("  copy \"%s\": %s behind: %s"), c->place, ui_age(lag_s, age),
                    c->why);
        else
            ui_line(&app->ui, _("  copy \"%s\": has nothing of it: %s"), c->place, c->why);
        json_array_append_new(out, json_pack("{s:s, s:b, s:o, s:o}", "place", c->place, "complete",
                                             lag_s == 0, "lag_s", lag_json(lag_s), "why",
                                             ui_json_text(c->why, strlen(c->why))));
    }
}

static void show_json(struct app *app, const char *name, const struct logs_state *s,
                      const struct log_sum *sum, json_t *copies)
{
    json_t *o = json_pack("{s:s, s:s, s:b, s:b, s:o, s:I, s:o}", "type", "log", "policy", name,
                          "running", sum->followed, "well", !sum->bad, "lag_s",
                          lag_json(sum->lag_s), "ahead", (json_int_t)sum->ahead, "copies", copies);
    json_object_update_new(
        o, json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "position",
                     (json_int_t)s->last.end, "timeline", (json_int_t)s->last.timeline, "pieces",
                     (json_int_t)s->last.seq, "time_ns", (json_int_t)s->last.time_ns, "head",
                     (json_int_t)s->head, "objects", (json_int_t)s->objects, "bytes",
                     (json_int_t)s->bytes, "began_s", (json_int_t)s->epoch_s, "why",
                     ui_json_text(s->why, strlen(s->why))));
    ui_json(&app->ui, o);
}

/* One that is asked for; with `all`, each in a line. True: as it should be; else what the operator has to do is said. */
static bool show_state(struct app *app, const struct policy *p, const struct vault_conf *conf,
                       bool all)
{
    struct logs_state state = { 0 };
    struct err ignored = ERR_INIT, e = ERR_INIT;
    struct log_sum sum;
    const struct policy_fact fact = { .rpo_s = p->rpo_s };
    int64_t now_s = sys_realtime_s();
    bool any = logs_state_read(&app->paths, p->name, &state, &ignored) == 0 &&
               strcmp(state.vault, conf->name) == 0;
    const struct logs_state *s = any ? &state : NULL;
    if (!any)
        state = (struct logs_state){ 0 };
    json_t *copies = json_array();
    log_sum(s, now_s, log_limit_s(&fact), &sum);
    char *words = log_words(s, now_s);
    if (all)
        ui_line(&app->ui, "%-20s %s", p->name, words);
    else
        ui_line(&app->ui, _("%s: its log: %s"), p->name, words);
    free(words);
    if (s && !all)
        print_position(app, s);
    if (s && (!all || app->ui.json))
        print_copies(app, s, now_s, copies);
    show_json(app, p->name, &state, &sum, copies);
    if (!sum.bad)
        return true;
    if (s && s->why[0] && !sum.followed)
        err_set(&e, ERR_PARTIAL, _("nobody follows it: %s"), s->why);
    else if (!sum.followed)
        err_set(&e, ERR_PARTIAL, _("nobody follows it: what is committed now is in no copy"));
    else
        err_set(&e, ERR_PARTIAL, _("it is further behind than it may be"));
    err_next(&e,
             sum.followed ? _("see what the copies do: twofold status; and what it says: "
                              "journalctl -u twofold-logs@%s")
                          : _("twofold schedule apply has it followed; by hand: twofold logs %s "
                              "--follow"),
             p->name);
    err_wrap(&e, _("log of \"%s\""), p->name);
    ui_error(&app->ui, &e);
    return false;
}

static int show(struct app *app, const char *name)
{
    struct policy *p = NULL;
    struct vault_conf *conf = NULL;
    struct logs_job j = { 0 };
    struct err e = ERR_INIT;
    int rc = load_job(app, name, &p, &conf, &j, &e), status = 0;
    if (rc == 0) {
        status = show_state(app, p, conf, false) ? 0 : 3;
    } else {
        err_wrap(&e, _("log of \"%s\""), name);
        status = ui_error(&app->ui, &e);
    }
    vault_conf_free(conf);
    policy_free(p);
    return status;
}

/* --- all of them -------------------------------------------------------------------------------------------------------- */
struct listing {
    struct app *app;
    size_t n;
    int status;
};

static int list_one(void *ctx, const char *name)
{
    struct listing *l = ctx;
    struct policy *p = NULL;
    struct vault_conf *conf = NULL;
    struct err e = ERR_INIT;
    unsigned interval_ms;
    int rc = policy_load(&l->app->paths, name, &p, &e);
    bool asked = rc == 0 && logs_of_policy(p, &interval_ms);
    if (asked)
        rc = vault_conf_load(&l->app->paths, p->vault[0] ? p->vault : NULL, &conf, &e);
    if (rc < 0) {
        l->status = ui_error(&l->app->ui, &e);
    } else if (asked) {
        l->n++;
        if (!show_state(l->app, p, conf, true) && l->status == 0)
            l->status = 3;
    }
    vault_conf_free(conf);
    policy_free(p);
    return 0;
}

static int list(struct app *app)
{
    struct listing l = { .app = app };
    struct err e = ERR_INIT;
    if (policy_each(&app->paths, list_one, &l, &e) < 0)
        return ui_error(&app->ui, &e);
    if (l.n == 0 && l.status == 0)
        ui_line(&app->ui, _("no policy asks for the log of its database; see: logs: 5s, below "
                            "\"postgresql:\" or \"mariadb:\""));
    return l.status;
}

int cmd_logs(struct app *app, int argc, char **argv)
{
    enum { OPT_FOLLOW = OPT_OWN, OPT_RESTART };
    static const struct option options[] = { { "follow", no_argument, NULL, OPT_FOLLOW },
                                             { "restart", no_argument, NULL, OPT_RESTART },
                                             OPTIONS_END };
    bool following = false, restart = false;
    int ch;
    args_begin();
    while ((ch = args_next(argc, argv, ":", options)) != -1) {
        if (ch != OPT_FOLLOW && ch != OPT_RESTART)
            return args_bad(app, ch, argv);
        following = following || ch == OPT_FOLLOW;
        restart = restart || ch == OPT_RESTART;
    }
    int n = argc - optind;
    if (n > 1 || (following && n != 1))
        return app_usage(app, _("which policy?"));
    if (restart && !following)
        return app_usage(app, _("--restart belongs to --follow"));
    if (following)
        return follow(app, argv[optind], restart);
    return n ? show(app, argv[optind]) : list(app);
}
