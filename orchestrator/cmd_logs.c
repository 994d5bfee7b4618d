/* cmd_logs.c - twofold logs: how far the logs of databases are kept, copy by copy; and the one that keeps them. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/args.h"
#include "orchestrator/logs/keep.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NS INT64_C(1000000000)

/* --- following ------------------------------------------------------------------------------------------------------ */
static int lock_stream(struct app *app, const char *policy, struct err *e)
{
    char *folder = NULL, *path = NULL;
    int rc = asprintf(&folder, "%s/logs", app->paths.state_dir) < 0 ||
                     asprintf(&path, "%s/%s.lock", folder, policy) < 0
                 ? err_set(e, ERR_NOMEM, _("no memory"))
                 : sys_mkdir_p(folder, 0700, e);
    if (rc == 0)
        rc = sys_lock_file(path, e);
    if (rc == -ERR_BUSY) {
        err_set(e, ERR_BUSY, _("another process follows this log already"));
        err_next(e, _("see how far it is: twofold logs %s"), policy);
    }
    free(folder);
    free(path);
    return rc;
}

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
        return err_next(e, _("say so in its file, below \"postgresql:\": logs: 5s"));
    }
    rc = vault_conf_load(&app->paths, (*ret_policy)->vault[0] ? (*ret_policy)->vault : NULL,
                         ret_conf, e);
    j->conf = *ret_conf;
    return rc;
}

/* Being told to end is no failure: what was acknowledged is durable, the rest the database still has. */
static int follow(struct app *app, const char *name)
{
    struct policy *p = NULL;
    struct vault_conf *conf = NULL;
    struct logs_job j = { 0 };
    struct err e = ERR_INIT;
    int lock = -1, status = 0, rc = load_job(app, name, &p, &conf, &j, &e);
    if (rc == 0)
        rc = lock = lock_stream(app, name, &e);
    if (rc >= 0)
        rc = logs_keep(app, &j, &e);
    if (rc == -ERR_INTERRUPTED && sys_interrupted()) {
        ui_line(&app->ui,
                _("the log of \"%s\" is not followed any more; the server keeps what comes"), name);
    } else if (rc < 0) {
        err_wrap(&e, _("log of \"%s\""), name);
        status = ui_error(&app->ui, &e);
    }
    sys_close_quiet(lock);
    vault_conf_free(conf);
    policy_free(p);
    return status;
}

/* --- how far ------------------------------------------------------------------------------------------------------------ */
static void print_position(struct app *app, const struct logs_state *s)
{
    char when[64], size[32];
    if (s->last.seq == 0) {
        ui_line(&app->ui, _("  nothing has come yet"));
        return;
    }
    ui_line(&app->ui, _("  kept up to %X/%X on timeline %u, as of %s (%" PRIu64 " objects, %s)"),
            (unsigned)(s->last.end >> 32), (unsigned)s->last.end, s->last.timeline,
            ui_time(s->last.time_ns, when), s->objects, ui_bytes(s->bytes, size));
    if (s->head_timeline == s->last.timeline && s->head > s->last.end)
        ui_line(&app->ui, _("  the server is %s ahead"), ui_bytes(s->head - s->last.end, size));
}

static void print_copies(struct app *app, const struct logs_state *s, json_t *out)
{
    for (size_t i = 0; i < s->n_copies; i++) {
        const struct logs_copy_state *c = &s->copies[i];
        char age[64];
        bool complete = c->seq >= s->last.seq;
        int64_t lag_s = complete || !c->time_ns ? 0 : (s->last.time_ns - c->time_ns) / NS;
        if (complete)
            ui_line(&app->ui, _("  copy \"%s\": complete"), c->place);
        else if (c->time_ns)
            ui_line(&app->ui, _("  copy \"%s\": %s behind: %s"), c->place, ui_age(lag_s, age),
                    c->why);
        else
            ui_line(&app->ui, _("  copy \"%s\": has nothing of it: %s"), c->place, c->why);
        json_array_append_new(out, json_pack("{s:s, s:b, s:I, s:s}", "place", c->place, "complete",
                                             complete, "lag_s", (json_int_t)lag_s, "why", c->why));
    }
}

/* 0: as it should be; else what the operator has to do is said. */
static int show(struct app *app, const char *name)
{
    struct policy *p = NULL;
    struct vault_conf *conf = NULL;
    struct logs_job j = { 0 };
    struct logs_state s = { 0 };
    struct err e = ERR_INIT;
    char age[64];
    int rc = load_job(app, name, &p, &conf, &j, &e), status = 0;
    if (rc == 0 && (rc = logs_state_read(&app->paths, name, &s, &e)) == -ERR_ABSENT) {
        err_set(&e, ERR_PARTIAL, _("its log has never been followed"));
        err_next(
            &e,
            _("begin: systemctl enable --now twofold-logs@%s, or by hand: twofold logs %s --follow"),
            name, name);
    }
    if (rc == 0) {
        json_t *copies = json_array();
        bool running = logs_running(&s, sys_realtime_s());
        ui_line(&app->ui,
                running ? _("%s: its log is followed") : _("%s: its log is NOT followed (for %s)"),
                name, ui_age(sys_realtime_s() - s.written_s, age));
        print_position(app, &s);
        print_copies(app, &s, copies);
        ui_json(&app->ui,
                json_pack("{s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "type", "log",
                          "policy", name, "running", running, "position", (json_int_t)s.last.end,
                          "timeline", (json_int_t)s.last.timeline, "pieces", (json_int_t)s.last.seq,
                          "time_ns", (json_int_t)s.last.time_ns, "head", (json_int_t)s.head,
                          "objects", (json_int_t)s.objects, "bytes", (json_int_t)s.bytes, "copies",
                          copies));
        if (!running) {
            err_set(&e, ERR_PARTIAL,
                    _("nobody follows its log: what is committed now is in no copy"));
            rc = err_next(
                &e,
                _("begin: systemctl enable --now twofold-logs@%s, or by hand: twofold logs %s --follow"),
                name, name);
        }
    }
    if (rc < 0) {
        err_wrap(&e, _("log of \"%s\""), name);
        status = ui_error(&app->ui, &e);
    }
    vault_conf_free(conf);
    policy_free(p);
    return status;
}

int cmd_logs(struct app *app, int argc, char **argv)
{
    enum { OPT_FOLLOW = OPT_OWN };
    static const struct option options[] = { { "follow", no_argument, NULL, OPT_FOLLOW },
                                             OPTIONS_END };
    bool following = false;
    int ch;
    args_begin();
    while ((ch = args_next(argc, argv, ":", options)) != -1) {
        if (ch != OPT_FOLLOW)
            return args_bad(app, ch, argv);
        following = true;
    }
    if (argc - optind != 1)
        return app_usage(app, _("which policy?"));
    return following ? follow(app, argv[optind]) : show(app, argv[optind]);
}
