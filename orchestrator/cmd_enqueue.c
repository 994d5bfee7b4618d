/* cmd_enqueue.c - `twofold enqueue KIND [TARGET]`: what the timers say, and a person who does not want to wait for the job at the
 * terminal. One kind, target and slot are one job, however often it is said. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/args.h"
#include "orchestrator/daemon/child.h"
#include "orchestrator/daemon/daemon.h"
#include "orchestrator/queue.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS 300
#define TEND_MS 500
#define GRACE_MS 60000

struct options {
    const char *slot;
    bool wait, or_run;
};

/* A job as it ended, or as far as it is. */
struct seen {
    uint64_t id;
    enum job_kind kind;
    enum job_state state;
    char target[MAX_NAME + 1];
    int exit_status;
    char error[2 * ERR_TEXT_BYTES + 4], code[32];
    uint64_t later; /* one of the same kind that took its place; 0: none */
};

static int see(void *ctx, const struct job *j)
{
    struct seen *s = ctx;
    s->id = j->id;
    s->kind = j->kind;
    s->state = j->state;
    s->exit_status = j->exit_status;
    snprintf(s->target, sizeof s->target, "%s", j->target);
    snprintf(s->error, sizeof s->error, "%s", j->error);
    snprintf(s->code, sizeof s->code, "%s", j->error_code);
    return 0;
}

static enum err_code code_named(const char *name)
{
    for (int c = 1; c < ERR_CODES; c++)
        if (strcmp(err_info((enum err_code)c)->name, name) == 0)
            return (enum err_code)c;
    return ERR_FAILED;
}

/* What came of it, for whoever waited: its own exit status. */
static int report(struct app *app, const struct seen *s)
{
    struct err e = ERR_INIT;
    ui_json(&app->ui, json_pack("{s:s, s:I, s:s, s:i}", "type", "ended", "id", (json_int_t)s->id,
                                "state", job_state_name(s->state), "exit", s->exit_status));
    if (s->state == JOB_DONE) {
        ui_line(&app->ui, _("job %" PRIu64 " is done"), s->id);
        return 0;
    }
    if (s->state == JOB_CANCELLED) {
        err_set(&e, ERR_FAILED, _("it was cancelled"));
        err_next(&e, _("see who did that: twofold audit"));
    } else {
        err_set(&e, code_named(s->code), "%s", s->error[0] ? s->error : _("it failed"));
    }
    if (s->state == JOB_QUEUED)
        err_next(&e, _("it is tried again; see: twofold jobs"));
    else if (s->state == JOB_FAILED)
        err_next(&e, _("by hand it says what to do: twofold %s%s%s"), job_kind_name(s->kind),
                 s->kind == JOB_BACKUP ? " "
                 : s->target[0]        ? " --vault "
                                       : "",
                 s->target);
    err_wrap(&e, _("job %" PRIu64 " (%s %s)"), s->id, job_kind_name(s->kind), s->target);
    int status = ui_error(&app->ui, &e);
    return s->exit_status > 0 && s->exit_status < 128 ? s->exit_status : status;
}

/* --- waiting for twofoldd ------------------------------------------------------------------------------------- */
static int find_later(void *ctx, const struct job *j)
{
    struct seen *s = ctx;
    if (j->id > s->id && j->id > s->later && j->kind == s->kind &&
        strcmp(j->target, s->target) == 0)
        s->later = j->id;
    return 0;
}

static int wait_for(struct app *app, struct catalog *c, uint64_t id, struct err *e)
{
    struct seen s = { 0 };
    struct timespec t = { 0, LOOK_MS * 1000000L };
    for (;;) {
        int rc = catalog_job(c, id, see, &s, e);
        if (rc < 0)
            return rc;
        if (s.state == JOB_CANCELLED) {
            s.later = 0;
            rc = catalog_jobs(c, (1u << JOB_STATES) - 1, 0, find_later, &s, e);
            if (rc < 0)
                return rc;
            id = s.later;
        }
        if (s.state != JOB_QUEUED && s.state != JOB_RUNNING &&
            (s.state != JOB_CANCELLED || !s.later))
            return report(app, &s);
        if (sys_interrupted())
            return err_set(e, ERR_INTERRUPTED,
                           _("interrupted; the job goes on without being waited for"));
        nanosleep(&t, NULL);
    }
}

/* --- running it here ---------------------------------------------------------------------------------------------- */
static void wait_a_tick(struct child *k)
{
    struct pollfd p = { .fd = child_fd(k), .events = POLLIN };
    poll(&p, 1, TEND_MS);
}

static int run_here(struct app *app, struct catalog *c, uint64_t id, struct err *e)
{
    char owner[96] = "twofold@";
    struct child *k = NULL;
    struct job_verdict v = { JOB_QUEUED, 0 };
    gethostname(owner + 8, 64);
    size_t n = strlen(owner);
    snprintf(owner + n, sizeof owner - n, "/%ld", (long)getpid());
    int rc = child_start(&app->paths, c, id, owner, DAEMON_LEASE_S, &k, e);
    if (rc < 0)
        return rc;
    while (!child_ended(k)) {
        struct err why = ERR_INIT;
        wait_a_tick(k);
        child_hear(k);
        if (child_tend(k, c, &why) < 0)
            ui_warn(&app->ui, _("the lease of a job: %s"), why.why);
        if (sys_interrupted())
            child_stop(k, GRACE_MS);
    }
    rc = child_settle(k, c, &v, e);
    if (rc == 0)
        child_follow_up(k, &app->paths, c, NULL);
    struct seen s = {
        .id = id, .kind = k->kind, .state = v.state, .exit_status = k->outcome.exit_status
    };
    snprintf(s.target, sizeof s.target, "%s", k->target);
    snprintf(s.error, sizeof s.error, "%s", k->outcome.error);
    snprintf(s.code, sizeof s.code, "%s", k->outcome.error_code);
    child_free(k);
    return rc < 0 ? rc : report(app, &s);
}

/* Without twofoldd a timer runs the job itself, if nobody did yet. */
static int or_run(struct app *app, struct catalog *c, uint64_t id, struct err *e)
{
    struct seen s = { 0 };
    char key[FACT_BYTES];
    int rc = catalog_job(c, id, see, &s, e);
    if (rc < 0 || s.state != JOB_QUEUED)
        return rc;
    if (s.kind == JOB_BACKUP && fact_is_set(c, fact_hold(s.target, key))) {
        ui_warn(&app->ui, _("policy \"%s\" is held back; to go on: twofold resume %s"), s.target,
                s.target);
        return 0;
    }
    rc = run_here(app, c, id, e);
    return rc == -ERR_BUSY ? 0 : rc;
}

/* The catalog is not to be had: the copies are the truth, and a backup is better than a queue. */
static int run_bare(struct app *app, const struct queue_request *q, const struct err *why)
{
    ui_warn(&app->ui, _("the job cannot be recorded and runs all the same: %s"), why->why);
    char *argv[] = { (char *)job_kind_name(q->kind), (char *)q->target, NULL };
    char *of_vault[] = { argv[0], "--vault", (char *)q->vault, NULL };
    switch (q->kind) {
    case JOB_BACKUP:
        return cmd_backup(app, 2, argv);
    case JOB_SCRUB:
        return cmd_scrub(app, 3, of_vault);
    case JOB_REPLICATE:
        return cmd_replicate(app, 3, of_vault);
    default:
        return ui_error(&app->ui, why);
    }
}

/* --- the command --------------------------------------------------------------------------------------------------- */
static void say_queued(struct app *app, const struct queue_request *q, uint64_t id, bool is_new)
{
    ui_line(&app->ui,
            is_new ? _("job %" PRIu64 ": %s %s, slot %s")
                   : _("job %" PRIu64 ": %s %s, slot %s: is there already"),
            id, job_kind_name(q->kind), q->target, q->slot);
    ui_json(&app->ui, json_pack("{s:s, s:I, s:s, s:s, s:s, s:b}", "type", "queued", "id",
                                (json_int_t)id, "kind", job_kind_name(q->kind), "target", q->target,
                                "slot", q->slot, "new", is_new));
}

static int enqueue(struct app *app, const struct options *o, const struct queue_request *q,
                   struct err *e)
{
    struct catalog *c = NULL;
    uint64_t id = 0;
    int rc = catalog_open(&app->paths, CATALOG_WRITE, &c, e);
    if (rc == 0)
        rc = queue_put(c, q, &id, e);
    if (rc < 0) {
        catalog_close(c);
        return o->or_run ? run_bare(app, q, e) : rc;
    }
    say_queued(app, q, id, rc > 0);
    bool heard = queue_ring(&app->paths);
    rc = 0;
    if (!heard && o->or_run)
        rc = or_run(app, c, id, e);
    else if (!heard)
        ui_warn(&app->ui, _("twofoldd does not run; the job waits for it"));
    if (rc == 0 && o->wait && (heard || !o->or_run))
        rc = wait_for(app, c, id, e);
    catalog_close(c);
    return rc;
}

int cmd_enqueue(struct app *app, int argc, char **argv)
{
    enum { OPT_SLOT = OPT_OWN, OPT_WAIT, OPT_OR_RUN };
    static const struct option options[] = { { "slot", required_argument, NULL, OPT_SLOT },
                                             { "wait", no_argument, NULL, OPT_WAIT },
                                             { "or-run", no_argument, NULL, OPT_OR_RUN },
                                             OPTIONS_END };
    struct options o = { 0 };
    struct queue_request q;
    struct err e = ERR_INIT;
    enum job_kind kind;
    int ch;
    args_begin();
    while ((ch = args_next(argc, argv, ":", options)) != -1) {
        if (ch == OPT_SLOT)
            o.slot = optarg;
        else if (ch == OPT_WAIT)
            o.wait = true;
        else if (ch == OPT_OR_RUN)
            o.or_run = true;
        else
            return args_bad(app, ch, argv);
    }
    if (optind == argc || !job_kind_parse(argv[optind], &kind))
        return app_usage(app, _("what: backup, scrub, prune, replicate or page?"));
    const char *target = argc - optind > 1 ? argv[optind + 1] : "";
    if (argc - optind > 2)
        return app_usage(app, _("unexpected: %s"), argv[optind + 2]);
    if (kind == JOB_BACKUP && !*target)
        return app_usage(app, _("which policy?"));
    int rc = queue_prepare(&app->paths, kind, target, o.slot, &q, &e);
    if (rc == 0)
        rc = enqueue(app, &o, &q, &e);
    if (rc < 0) {
        err_wrap(&e, "enqueue %s %s", job_kind_name(kind), target);
        rc = ui_error(&app->ui, &e);
    }
    return rc;
}
