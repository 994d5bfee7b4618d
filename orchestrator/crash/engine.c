/* engine.c - the loop: what comes next is asked, its intent is written, it is done, its outcome is written. See crash.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/crash/crash.h"
#include "orchestrator/crash/records.h"
#include "orchestrator/program.h"
#include "orchestrator/text.h"

#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OVERDUE_REAP_MS 2000
#define OPEN_TRIES 3 /* of copies none of which can be read, when nobody is there to be asked */
#define OPEN_PAUSE_MS 2000
#define ASKED_JUST_NOW_MS 60000

/* Copies that are there again tell where lay what could not be set aside. */
static void know_scene(struct crash *c)
{
    if (!c->facts.snapshots_known)
        return;
    const struct event *ev = incident_last(c->inc, EVENT_STEP, "step", "scene");
    if (ev && json_is_true(json_object_get(json_object_get(ev->body, "facts"), "unknown")))
        (void)crash_know_places(c, NULL);
    c->facts.places_known = c->backup != NULL;
}

int crash_next(struct crash *c, struct crash_next *ret, struct err *e)
{
    know_scene(c);
    procedure_next(c->inc, &c->facts, ret);
    if (ret->kind != NEXT_SNAPSHOTS)
        return 0;
    int rc = crash_know_snapshots(c, e);
    if (rc == 0) {
        know_scene(c);
        procedure_next(c->inc, &c->facts, ret);
    }
    return rc;
}

/* --- a limit ------------------------------------------------------------------------------------------------------- */
/* What has no limit of its own goes on when it takes too long, but not in silence: a process waits beside it, writes that down, and says so. */
static pid_t watch_limit(struct crash *c, const struct crash_next *n)
{
    extern char **environ;
    char path[PATH_MAX], attempt[16], seconds[24];
    pid_t pid = -1;
    if (program_find("twofold", "TWOFOLD_PROGRAM", path, NULL) < 0)
        return -1;
    snprintf(attempt, sizeof attempt, "%u", n->attempt);
    snprintf(seconds, sizeof seconds, "%" PRIu64, n->limit_s);
    const char *argv[] = { path,      "--config", c->app->paths.config_dir, "crash",
                           "overdue", c->inc->id, crash_step_name(n->step), attempt,
                           seconds,   NULL };
    struct sys_child child = { .argv = argv,
                               .env = (const char *const *)environ,
                               .in_fd = -1,
                               .out_fd = -1,
                               .err_fd = c->app->ui.json || c->app->ui.quiet ? -1 : 2 };
    return sys_spawn_group(&child, &pid, NULL) < 0 ? -1 : pid;
}

static void watch_end(pid_t pid)
{
    int status;
    if (pid <= 0)
        return;
    kill(pid, SIGTERM);
    sys_reap(pid, OVERDUE_REAP_MS, &status, NULL);
}

static bool needs_watch(enum crash_step s)
{
    return s == STEP_SCENE || s == STEP_RESTORE || s == STEP_CHECK;
}

/* --- steps ------------------------------------------------------------------------------------------------------------ */
static json_t *intent_facts(const struct crash *c, const struct crash_next *n)
{
    char hex[ID_HEX_BYTES];
    if (n->step != STEP_RESTORE)
        return json_pack("{s:I, s:I}", "limit_s", (json_int_t)n->limit_s, "expect_s",
                         (json_int_t)n->expect_s);
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:b}", "snapshot", id_hex(&n->id, hex), "from",
                     n->from, "received", (json_int_t)(n->snapshot ? n->snapshot->received_s : 0),
                     "limit_s", (json_int_t)n->limit_s, "expect_s", (json_int_t)n->expect_s,
                     "files_only", c->facts.files_only);
}

static int write_step(struct crash *c, const struct crash_next *n, const char *state,
                      const char *text, uint64_t ms, json_t *facts, struct err *e)
{
    json_t *body = json_pack("{s:s, s:i, s:s, s:s, s:o}", "step", crash_step_name(n->step),
                             "attempt", (int)n->attempt, "state", state, "duty", n->duty, "text",
                             event_json(text, 0));
    if (ms > 0)
        json_object_set_new(body, "ms", json_integer((json_int_t)ms));
    if (facts)
        json_object_set_new(body, "facts", facts);
    return incident_add(c->inc, EVENT_STEP, body, e);
}

static void print_step_json(struct crash *c, const struct crash_next *n, const char *state,
                            const struct step_result *r)
{
    ui_json(&c->app->ui,
            json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:o, s:I, s:I, s:O?}", "type", "step",
                      "incident", c->inc->id, "step", crash_step_name(n->step), "attempt",
                      (int)n->attempt, "state", state, "duty", n->duty, "text",
                      event_json(r ? r->text : "", 0), "limit_s", (json_int_t)n->limit_s,
                      "expect_s", (json_int_t)n->expect_s, "facts", r ? r->facts : NULL));
}

/* A step that was cut off has its intent already: it is written again, with who takes it now. */
static int take_step(struct crash *c, const struct crash_next *n, struct err *e)
{
    struct step_result r = { 0 };
    int rc = write_step(c, n, "intent", n->again ? _("taken again: it was cut off") : "", 0,
                        intent_facts(c, n), e);
    if (rc < 0)
        return rc;
    crash_say_step(c, n);
    print_step_json(c, n, "intent", NULL);
    pid_t watch = needs_watch(n->step) ? watch_limit(c, n) : -1;
    uint64_t start = sys_monotonic_ms();
    crash_do(c, n, &r);
    uint64_t ms = sys_monotonic_ms() - start;
    watch_end(watch);
    const char *state = r.cut ? "cut" : r.failed ? "failed" : "done";
    crash_say_outcome(c, n, &r, ms);
    print_step_json(c, n, state, &r);
    if (n->step == STEP_GIVE_UP)
        c->gave_up_ms = sys_monotonic_ms();
    rc = write_step(c, n, state, r.text, ms ? ms : 1, r.facts, e);
    if (rc == 0 && n->step == STEP_FACTS)
        crash_know_host(c);
    if (rc == 0)
        records_later(c->app, c->inc);
    if (rc == 0 && r.cut)
        rc = err_set(e, ERR_INTERRUPTED, _("interrupted"));
    return rc;
}

/* --- ends --------------------------------------------------------------------------------------------------------------- */
static int escalate(struct crash *c, const struct crash_next *n, struct err *e)
{
    const char *why = n->why == ESCALATE_HOST        ? _("the host cannot be repaired")
                      : n->why == ESCALATE_TRIED_ALL ? _("no backup of any copy could be restored")
                                                     : _("there is no backup that could be taken");
    const char *reason = n->why == ESCALATE_HOST        ? "host"
                         : n->why == ESCALATE_TRIED_ALL ? "tried-all"
                                                        : "no-backup";
    int rc = incident_add(c->inc, EVENT_ESCALATED,
                          json_pack("{s:o, s:s, s:s}", "why", event_json(why, 0), "reason", reason,
                                    "duty", "PY-DB-6"),
                          e);
    /* The vendor and the superior unit are told, as far as they can be reached. */
    return rc < 0 ? rc : crash_report_to(c, e);
}

static int recovered(struct crash *c, struct err *e)
{
    return incident_add(c->inc, EVENT_RECOVERED,
                        json_pack("{s:o}", "text", event_json(_("the service is back"), 0)), e);
}

static bool is_whole(const struct crash *c)
{
    const struct event *ev = incident_last(c->inc, EVENT_STEP, "step", "restore");
    const char *end = ev ? json_string_value(
                               json_object_get(json_object_get(ev->body, "facts"), "end"))
                         : NULL;
    return !end || strcmp(end, "in-part") != 0;
}

/* No service is stopped, and nothing is looked for to be set aside, for a restore whose key is not there. An attack is stopped first. */
static int may_take(struct crash *c, const struct crash_next *n, struct err *e)
{
    bool stops = n->step == STEP_STOP && c->inc->cause != CAUSE_ATTACK;
    return stops || n->step == STEP_SCENE ? crash_know_places(c, e) : 0;
}

static bool is_no_copy(int rc)
{
    return rc < 0 && rc != -ERR_KEY && rc != -ERR_INTERRUPTED && rc != -ERR_NOMEM &&
           rc != -ERR_CONFIG && rc != -ERR_USAGE;
}

/* A person sees why, and says whether they are tried again or the vendor is called. */
static void no_copy(struct crash *c, struct crash_next *n, struct err *e)
{
    ui_warn(&c->app->ui, "%s: %s", e->what, e->why);
    snprintf(c->no_copy, sizeof c->no_copy, "%s%s%s", e->what, e->what[0] ? ": " : "", e->why);
    err_clear(e);
    c->facts.no_copy = true;
    procedure_next(c->inc, &c->facts, n);
}

/* No copy can be read. Without a person the vendor and the superior unit are told after a while (PY-DB-6). */
static int what_next(struct crash *c, struct crash_next *n, struct err *e)
{
    int rc = crash_next(c, n, e);
    for (int i = 1; is_no_copy(rc) && c->app->ui.yes && i < OPEN_TRIES; i++) {
        poll(NULL, 0, OPEN_PAUSE_MS);
        err_clear(e);
        rc = crash_next(c, n, e);
    }
    if (!is_no_copy(rc))
        return rc;
    if (!c->app->ui.yes) {
        no_copy(c, n, e);
        return 0;
    }
    ui_warn(&c->app->ui, "%s: %s", e->what, e->why);
    err_clear(e);
    *n = (struct crash_next){ .kind = NEXT_ESCALATE, .why = ESCALATE_NO_BACKUP };
    return 0;
}

/* 1: goes on; else an exit status below, or a negative code. */
#define GOES_ON 1
#define STOPS 2
static int one_turn(struct crash *c, int *ret_status, struct err *e)
{
    struct crash_next n;
    enum crash_answer a;
    int rc = incident_refresh(c->inc, e);
    c->facts.ask_standby = c->gave_up_ms == 0 ||
                           sys_monotonic_ms() - c->gave_up_ms > ASKED_JUST_NOW_MS;
    if (rc == 0)
        rc = what_next(c, &n, e);
    if (rc < 0)
        return rc;
    crash_say_calls(c);
    switch (n.kind) {
    case NEXT_STEP:
        rc = may_take(c, &n, e);
        rc = rc == 0 ? take_step(c, &n, e) : rc;
        break;
    case NEXT_GATE:
        rc = crash_ask(c, &n, &a, e);
        if (rc == 0 && a == 0) {
            *ret_status = 3;
            return STOPS;
        }
        break;
    case NEXT_APPROVAL:
        crash_say_approval(c, &n);
        *ret_status = 3;
        return STOPS;
    case NEXT_RECOVERED:
        rc = recovered(c, e);
        break;
    case NEXT_ESCALATE:
        rc = escalate(c, &n, e);
        break;
    case NEXT_ESCALATED:
        crash_say_escalated(c);
        *ret_status = 6;
        return STOPS;
    default:
        crash_say_end(c);
        *ret_status = is_whole(c) ? 0 : 4;
        return STOPS;
    }
    return rc < 0 ? rc : GOES_ON;
}

int crash_go(struct crash *c)
{
    struct err e = ERR_INIT;
    int status = 1;
    int rc = incident_run_lock(c->inc, &e);
    if (rc == 0)
        crash_know_rates(c);
    while (rc >= 0 && rc != STOPS) {
        if (sys_interrupted())
            rc = err_set(&e, ERR_INTERRUPTED, _("interrupted"));
        else
            rc = one_turn(c, &status, &e);
    }
    if (rc != -ERR_BUSY)
        records_later(c->app, c->inc);
    if (rc >= 0)
        return status;
    if (!e.next[0] && rc != -ERR_BUSY)
        err_next(&e, _("what is done is written down; go on: twofold crash resume %s"), c->inc->id);
    return ui_error(&c->app->ui, &e);
}
