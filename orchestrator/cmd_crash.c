/* cmd_crash.c - twofold crash POLICY | status | resume | failback | approve | note | close | codes, and what other processes of it are started with. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/wire/hooks.h"
#include "orchestrator/args.h"
#include "orchestrator/crash/clock.h"
#include "orchestrator/crash/crash.h"
#include "orchestrator/crash/records.h"
#include "orchestrator/crash/standby.h"
#include "orchestrator/gather.h"
#include "orchestrator/text.h"
#include "restore/report/forms.h"

#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_S 1000000000
#define DEFAULT_CODES 4
#define MAX_CLOCK_OFF_S 60 /* of the clock that a time was read from */
#define START_COLUMNS 69   /* of a plan's line that it may take */
#define MAX_OVERDUE_S ((uint64_t)7 * 86400)

enum {
    OPT_CAUSE = OPT_OWN,
    OPT_CRASHED,
    OPT_FIRST_SIGN,
    OPT_STRICT,
    OPT_PLAN,
    OPT_NO_STANDBY,
    OPT_TO,
    OPT_FROM,
    OPT_NEW,
    OPT_POLICY,
    OPT_ANSWER,
    OPT_WHY,
    OPT_APPROVED,
    OPT_TELEPHONE,
    OPT_CODE,
    OPT_CODE_FILE,
    OPT_STEP,
    OPT_FIELD,
    OPT_COUNT,
    OPT_UNDO,
    OPT_STATE
};

struct words {
    struct crash_options o;
    const char *policy, *cause, *crashed, *first_sign, *field, *count, *state;
    bool strict, plan, no_standby, another, undo;
    bool in_doubt; /* a standby serves by an earlier incident, and cannot be asked */
    struct approval approval;
    char **v;
    int n;
};

static const struct option options[] = { { "cause", required_argument, NULL, OPT_CAUSE },
                                         { "crashed-at", required_argument, NULL, OPT_CRASHED },
                                         { "first-sign", required_argument, NULL, OPT_FIRST_SIGN },
                                         { "strict", no_argument, NULL, OPT_STRICT },
                                         { "plan", no_argument, NULL, OPT_PLAN },
                                         { "no-standby", no_argument, NULL, OPT_NO_STANDBY },
                                         { "to", required_argument, NULL, OPT_TO },
                                         { "from", required_argument, NULL, OPT_FROM },
                                         { "new", no_argument, NULL, OPT_NEW },
                                         { "policy", required_argument, NULL, OPT_POLICY },
                                         { "answer", required_argument, NULL, OPT_ANSWER },
                                         { "why", required_argument, NULL, OPT_WHY },
                                         { "approved-by", required_argument, NULL, OPT_APPROVED },
                                         { "by-telephone", no_argument, NULL, OPT_TELEPHONE },
                                         { "code", no_argument, NULL, OPT_CODE },
                                         { "code-file", required_argument, NULL, OPT_CODE_FILE },
                                         { "step", required_argument, NULL, OPT_STEP },
                                         { "field", required_argument, NULL, OPT_FIELD },
                                         { "count", required_argument, NULL, OPT_COUNT },
                                         { "undo", no_argument, NULL, OPT_UNDO },
                                         { "state", required_argument, NULL, OPT_STATE },
                                         CHOICE_OPTIONS,
                                         OPTIONS_END };

/* --- arguments --------------------------------------------------------------------------------------------------- */
static int take_answer(struct app *app, struct words *w, char *text)
{
    char *eq = strchr(text, '=');
    struct given_answer *g = &w->o.given[w->o.n_given];
    if (eq)
        *eq = '\0';
    if (w->o.n_given < MAX_GIVEN_ANSWERS && eq && crash_gate_parse(text, &g->gate) &&
        crash_answer_parse(eq + 1, &g->answer)) {
        w->o.n_given++;
        return 0;
    }
    if (eq)
        *eq = '=';
    return app_usage(app, _("\"%s\" is no answer: --answer GATE=yes, again, no or override"), text);
}

static int take_option(struct app *app, struct words *w, int ch)
{
    switch (ch) {
    case OPT_CAUSE:
        w->cause = optarg;
        break;
    case OPT_CRASHED:
        w->crashed = optarg;
        break;
    case OPT_FIRST_SIGN:
        w->first_sign = optarg;
        break;
    case OPT_STRICT:
        w->strict = true;
        break;
    case OPT_PLAN:
        w->plan = true;
        break;
    case OPT_NO_STANDBY:
        w->no_standby = true;
        break;
    case OPT_TO:
        w->o.to = optarg;
        break;
    case OPT_FROM:
        w->o.from = optarg;
        break;
    case OPT_NEW:
        w->another = true;
        break;
    case OPT_POLICY:
        w->policy = optarg;
        break;
    case OPT_ANSWER:
        return take_answer(app, w, optarg);
    case OPT_WHY:
        w->o.why = optarg;
        break;
    case OPT_APPROVED:
        w->o.approved_by = w->approval.leader = optarg;
        break;
    case OPT_TELEPHONE:
        w->approval.by_telephone = true;
        break;
    case OPT_CODE:
        w->approval.by_code = true;
        break;
    case OPT_CODE_FILE:
        w->approval.by_code = true;
        w->approval.code_file = optarg;
        break;
    case OPT_STEP:
        w->approval.what = optarg;
        break;
    case OPT_FIELD:
        w->field = optarg;
        break;
    case OPT_COUNT:
        w->count = optarg;
        break;
    case OPT_UNDO:
        w->undo = true;
        break;
    case OPT_STATE:
        w->state = optarg;
        break;
    default:
        break;
    }
    return 0;
}

static int time_option(const char *text, int64_t *ret_s, struct err *e)
{
    int64_t ns = 0;
    char now[32];
    int rc = text ? parse_time(text, &ns, e) : 0;
    *ret_s = ns / NS_PER_S;
    if (rc < 0 || *ret_s <= sys_realtime_s() + MAX_CLOCK_OFF_S)
        return rc;
    err_set(e, ERR_USAGE, _("%s is in the future; the clock here says %s"), text,
            ui_time(sys_realtime_s() * NS_PER_S, now));
    return err_next(e, _("say when it happened: for instance -10min, or \"2026-11-21 02:30\""));
}

static char *joined(const struct words *w, int from)
{
    char *text = text_print("%s", "");
    for (int i = from; i < w->n; i++) {
        char *more = text_print("%s%s%s", text, *text ? " " : "", w->v[i]);
        free(text);
        text = more;
    }
    return text;
}

/* --- a new one ------------------------------------------------------------------------------------------------------ */
static int find_open(void *ctx, const char *id, const struct incident *inc,
                     const struct err *broken)
{
    void **want = ctx; /* the policy, and room for the id */
    if (inc && !broken && !inc->drill && strcmp(inc->policy, want[0]) == 0)
        snprintf(want[1], MAX_INCIDENT_ID, "%s", id);
    return 0;
}

static int check_none_open(struct app *app, const char *policy, struct err *e)
{
    char id[MAX_INCIDENT_ID] = "";
    void *want[] = { (void *)(uintptr_t)policy, id };
    int rc = incidents_each(&app->paths, true, find_open, want, e);
    if (rc == 0 && id[0]) {
        rc = err_set(e, ERR_REFUSED, _("an incident of it is open: %s"), id);
        err_next(e, _("go on with it: twofold crash resume %s; another one all the same: --new"),
                 id);
    }
    return rc;
}

/* The policy's host is no primary then: what is done on it would be done to the wrong one. */
static int check_no_standby_serves(struct app *app, const struct policy *p, struct words *w,
                                   struct err *e)
{
    bool lost = w->another && w->no_standby;
    struct standby_serving s;
    int rc = standby_serving(&app->paths, p, &s, e);
    if (rc == -ERR_DAMAGED && (lost || !p->crash.standby_on)) {
        err_clear(e); /* an old timeline that cannot be read keeps nobody from a restore */
        w->in_doubt = p->crash.standby_on != NULL;
        return 0;
    }
    if (rc <= 0)
        return rc;
    if (lost) {
        rc = standby_lost(app, p, s.incident, e);
        w->in_doubt = rc > 0;
        return rc < 0 ? rc : 0;
    }
    err_set(e, ERR_REFUSED, _("its standby \"%s\" serves, by the incident %s"), s.agent,
            s.incident);
    return err_next(
        e,
        _("back to \"%s\": twofold crash failback %s; if \"%s\" is its host now, say so "
          "in policies/%s.yaml (agent:); if it is off and lost: --new --no-standby"),
        p->agent, s.incident, s.agent, p->name);
}

static int policy_of(struct app *app, const struct words *w, const char *name, struct policy **ret,
                     char **ret_vault, struct err *e)
{
    struct vault_conf *conf = NULL;
    *ret_vault = NULL;
    if (w->o.choice.copy) {
        if (!config_name_ok(name))
            return err_set(e, ERR_NAME, _("\"%s\" is no name of a policy"), name);
        *ret = policy_new(name);
        *ret_vault = text_print("%s", "");
        return *ret ? 0 : err_set(e, ERR_NOMEM, _("out of memory"));
    }
    int rc = policy_load(&app->paths, name, ret, e);
    if (rc == 0) {
        const char *vault = w->o.choice.vault  ? w->o.choice.vault
                            : (*ret)->vault[0] ? (*ret)->vault
                                               : NULL;
        rc = vault_conf_load(&app->paths, vault, &conf, e);
        if (rc == 0)
            *ret_vault = text_print("%s", conf->name);
        vault_conf_free(conf);
    }
    return rc;
}

static int opening_of(struct app *app, const struct words *w, const struct policy *p,
                      const char *vault, struct incident_opening *ret, struct err *e)
{
    enum crash_cause cause = CAUSE_FAULT;
    if (w->cause && !crash_cause_parse(w->cause, &cause)) {
        int rc = err_set(e, ERR_USAGE, _("\"%s\" is no cause"), w->cause);
        err_next(e, _("write --cause fault, attack or disaster"));
        return rc;
    }
    *ret = (struct incident_opening){ .policy = p->name,
                                      .vault = vault,
                                      .agent = p->agent,
                                      .cause = cause,
                                      .strict = w->strict || p->crash.strict };
    int rc = time_option(w->crashed, &ret->crashed_s, e);
    if (rc == 0)
        rc = time_option(w->first_sign, &ret->first_sign_s, e);
    if (rc == 0) {
        ret->settings = crash_settings(app, p, &w->o);
        bool mistake = ret->first_sign_s && cause != CAUSE_ATTACK; /* the standby has it, too */
        if (w->no_standby || mistake)
            json_object_set_new(ret->settings, "no_standby", json_true());
        if (w->in_doubt)
            json_object_set_new(ret->settings, "standby_lost", json_true());
    }
    return rc;
}

/* --- the plan's command ------------------------------------------------------------------------------------------------- */
/* Nothing of an option that was not given. */
static void put_option(char **text, const char *between, const char *option, const char *value)
{
    char *pair[] = { (char *)(uintptr_t)option, (char *)(uintptr_t)value };
    char *line = value ? hook_line(pair, *value ? 2 : 1) : NULL;
    char *more = line ? text_print("%s%s%s", *text, between, line) : NULL;
    free(line);
    if (!more)
        return;
    free(*text);
    *text = more;
}

/* What was given is in it, times as moments: it may be copied later. */
static char *start_words(const struct words *w, const char *name, const struct incident_opening *o,
                         const char *between)
{
    const struct vault_choice *k = &w->o.choice;
    char crashed[32], sign[32];
    char *text = text_print("%s", "twofold crash");
    put_option(&text, " ", w->policy ? "--policy" : name, w->policy ? name : "");
    put_option(&text, " ", "--cause", crash_cause_name(o->cause));
    const struct {
        const char *option, *value;
    } given[] = {
        { "--crashed-at", o->crashed_s ? ui_time(o->crashed_s * NS_PER_S, crashed) : NULL },
        { "--first-sign", o->first_sign_s ? ui_time(o->first_sign_s * NS_PER_S, sign) : NULL },
        { "--strict", w->strict ? "" : NULL },
        { "--no-standby", w->no_standby ? "" : NULL },
        { "--new", w->another ? "" : NULL },
        { "--to", w->o.to },
        { "--from", w->o.from },
        { "--vault", k->vault },
        { "--copy", k->copy },
        { "--identity", k->identity },
        { "--host-key", k->host_key },
        { "--recovery-file", k->recovery_file },
        { "--passphrase-file", k->passphrase_file }
    };
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        put_option(&text, between, given[i].option, given[i].value);
    return text;
}

/* A long one goes on behind a backslash: half of a command is another one. */
static char *start_line(const struct words *w, const char *name, const struct incident_opening *o)
{
    char *text = start_words(w, name, o, " ");
    if (strlen(text) <= START_COLUMNS)
        return text;
    free(text);
    return start_words(w, name, o, " \\\n");
}

static int begin(struct app *app, struct words *w, const char *name)
{
    struct err e = ERR_INIT;
    struct policy *p = NULL;
    char *vault = NULL;
    struct incident_opening o;
    struct incident *inc = NULL;
    struct crash *c = NULL;
    int status = 1;
    int rc = policy_of(app, w, name, &p, &vault, &e);
    if (rc == 0 && w->o.choice.copy && !w->plan)
        rc = app_open_vault(app, &w->o.choice, false, true, &w->o.vault, &e);
    if (rc == 0 && !w->plan && !w->another)
        rc = check_none_open(app, name, &e);
    if (rc == 0 && !w->plan)
        rc = check_no_standby_serves(app, p, w, &e);
    if (rc == 0)
        rc = opening_of(app, w, p, vault, &o, &e);
    if (rc == 0 && w->plan)
        rc = incident_paper(&o, &inc, &e);
    else if (rc == 0)
        rc = incident_create(&app->paths, &o, &inc, &e);
    if (rc == 0)
        rc = crash_begin(app, inc, &w->o, &c, &e);
    if (rc == 0 && w->plan) {
        crash_know_rates(c);
        char *start = start_line(w, name, &o);
        crash_say_plan(c, o.cause, start);
        free(start);
        status = 0;
    } else if (rc == 0) {
        crash_say_opening(c);
        status = crash_go(c);
    }
    if (rc < 0)
        status = ui_error(&app->ui, &e);
    crash_end(c);
    vault_close(w->o.vault);
    policy_free(p);
    free(vault);
    return status;
}

/* --- going on ---------------------------------------------------------------------------------------------------------- */
static const char *last_taker(const struct incident *inc)
{
    for (size_t i = inc->n; i-- > 0;) {
        enum event_kind k = inc->events[i].kind;
        if (k == EVENT_STEP || k == EVENT_HANDOVER || k == EVENT_OPENED)
            return inc->events[i].by;
    }
    return "";
}

/* PY-absent: a deputy goes on with the approval of the leader on duty. */
static int hand_over(struct crash *c, struct err *e)
{
    char name[200] = "";
    const char *from = last_taker(c->inc), *approver = c->o.approved_by;
    if (crash_same_person(from, c->me))
        return 0;
    if (!approver && isatty(STDIN_FILENO) && !c->app->ui.yes && !c->app->ui.json) {
        crash_line(c, 0, _("%s has taken the steps so far; you are %s."), from, c->me);
        if (crash_read_line(c, _("Who approved that you go on?"), name, sizeof name) && *name)
            approver = name;
    }
    if (!approver) {
        int rc = err_set(e, ERR_USAGE, _("%s has taken the steps so far; you are %s"), from, c->me);
        err_next(e, _("say who approved that you go on: --approved-by NAME"));
        return rc;
    }
    return incident_add(c->inc, EVENT_HANDOVER,
                        json_pack("{s:s, s:s, s:o}", "from", from, "to", c->me, "approver",
                                  event_json(approver, 0)),
                        e);
}

static int open_crash(struct app *app, const struct words *w, const char *name, struct crash **ret,
                      struct err *e)
{
    struct incident *inc = NULL;
    int rc = incident_open(&app->paths, name, &inc, e);
    return rc < 0 ? rc : crash_begin(app, inc, &w->o, ret, e);
}

static int note_times(struct crash *c, const struct words *w, struct err *e)
{
    int64_t crashed = 0, sign = 0;
    int rc = time_option(w->crashed, &crashed, e);
    if (rc == 0)
        rc = time_option(w->first_sign, &sign, e);
    if (rc == 0 && crashed)
        rc = incident_add(c->inc, EVENT_NOTE,
                          json_pack("{s:s, s:s, s:I}", "field", "crashed-at", "text", w->crashed,
                                    "crashed", (json_int_t)crashed),
                          e);
    if (rc == 0 && sign)
        rc = incident_add(c->inc, EVENT_NOTE,
                          json_pack("{s:s, s:s, s:I}", "field", "first-sign", "text", w->first_sign,
                                    "first_sign", (json_int_t)sign),
                          e);
    return rc;
}

static int not_closed(const struct incident *inc, struct err *e)
{
    if (!inc->closed_s)
        return 0;
    err_set(e, ERR_REFUSED, _("the incident %s is closed"), inc->id);
    return err_next(e,
                    _("how it went: twofold crash status %s; if the database is gone again: "
                      "twofold crash %s"),
                    inc->id, inc->policy);
}

static int resume(struct app *app, const struct words *w)
{
    struct err e = ERR_INIT;
    struct crash *c = NULL;
    int status = 1;
    int rc = open_crash(app, w, w->n > 1 ? w->v[1] : NULL, &c, &e);
    if (rc == 0)
        rc = not_closed(c->inc, &e);
    if (rc == 0)
        rc = incident_run_lock(c->inc, &e);
    if (rc == 0)
        rc = hand_over(c, &e);
    if (rc == 0)
        rc = note_times(c, w, &e);
    if (rc == 0 && c->inc->escalated_s)
        rc = incident_add(c->inc, EVENT_STEP,
                          json_pack("{s:s, s:s, s:o}", "step", "resumed", "state", "done", "text",
                                    event_json(w->o.why ? w->o.why : "", 0)),
                          &e);
    if (rc == 0) {
        crash_say_opening(c);
        status = crash_go(c);
        for (size_t i = 0; i < c->o.n_given; i++)
            if (!c->o.given[i].used && !c->o.given[i].may_stay)
                ui_warn(&app->ui, _("\"%s\" was not asked, so it was not answered"),
                        crash_gate_name(c->o.given[i].gate));
    } else {
        status = ui_error(&app->ui, &e);
    }
    crash_end(c);
    return status;
}

/* --- the way back from a standby --------------------------------------------------------------------------------------- */
/* Under approve: two, what a person states in place of the hosts needs another one's word that is newer than what went wrong. */
static bool agreed(const struct crash *c, const char *step)
{
    for (size_t i = c->inc->n; i-- > 0;) {
        const struct event *ev = &c->inc->events[i];
        const char *what = event_text(ev, "what");
        if (ev->kind == EVENT_STEP && strcmp(event_text(ev, "step"), step) == 0)
            break;
        if (ev->kind == EVENT_APPROVAL &&
            (strcmp(what, "all") == 0 || strcmp(what, crash_step_name(STEP_SWITCH_BACK)) == 0) &&
            (strcmp(event_text(ev, "through"), "terminal") != 0 ||
             !crash_same_person(event_text(ev, "who"), c->me)))
            return true;
    }
    return !c->facts.conf->approve_two || c->inc->drill;
}

/* What is said before the procedure goes on; 1: it does not. */
static int before_failback(struct crash *c, const struct words *w, struct err *e)
{
    struct standby s = { .app = c->app, .inc = c->inc, .policy = c->policy };
    struct failback f;
    failback_of(c->inc, &f);
    const char *why = failback_why_not(&f, w->undo);
    if (why) {
        err_set(e, ERR_REFUSED, "%s", why);
        return err_next(e, _("see where it stands: twofold crash status %s"), c->inc->id);
    }
    if (w->state && !w->o.why) {
        err_set(e, ERR_USAGE, _("somebody's word needs a reason, which is written down"));
        return err_next(e, "twofold crash failback %s --state %s --why TEXT", c->inc->id, w->state);
    }
    if (w->state && !agreed(c, w->state)) {
        err_set(e, ERR_REFUSED, _("a second person has to agree to that, now"));
        return err_next(e, "twofold crash approve %s --step switch-back", c->inc->id);
    }
    int rc = w->state ? standby_state(&s, w->state, w->o.why, e) : 0;
    if (rc < 0 || !w->undo)
        return rc;
    rc = standby_undo(&s, e);
    if (rc == 0)
        ui_line(&c->app->ui, _("the standby serves on"));
    return rc < 0 ? rc : 1;
}

/* It is the word that this is a quiet time (gate quiet), and that what failed is tried again. */
static int failback(struct app *app, const struct words *w)
{
    static const struct given_answer word[] = {
        { .gate = GATE_QUIET, .answer = ANSWER_YES, .may_stay = true },
        { .gate = GATE_SWITCHED_BACK, .answer = ANSWER_AGAIN, .may_stay = true },
    };
    struct words back = *w;
    struct err e = ERR_INIT;
    struct crash *c = NULL;
    int rc = open_crash(app, w, w->n > 1 ? w->v[1] : NULL, &c, &e);
    if (rc == 0)
        rc = incident_run_lock(c->inc, &e);
    if (rc == 0)
        rc = hand_over(c, &e);
    if (rc == 0)
        rc = before_failback(c, w, &e);
    crash_end(c);
    if (rc < 0)
        return ui_error(&app->ui, &e);
    if (rc == 1)
        return 0;
    for (size_t i = 0; i < sizeof word / sizeof *word && back.o.n_given < MAX_GIVEN_ANSWERS; i++)
        back.o.given[back.o.n_given++] = word[i];
    return resume(app, &back);
}

static int approve(struct app *app, const struct words *w)
{
    struct err e = ERR_INIT;
    struct crash *c = NULL;
    enum crash_step s;
    if (w->approval.what && strcmp(w->approval.what, "all") != 0 &&
        !crash_step_parse(w->approval.what, &s))
        return app_usage(app, _("there is no step \"%s\""), w->approval.what);
    int rc = open_crash(app, w, w->n > 1 ? w->v[1] : NULL, &c, &e);
    if (rc == 0)
        rc = crash_approve(c, &w->approval, &e);
    crash_end(c);
    return rc < 0 ? ui_error(&app->ui, &e) : 0;
}

/* --- looking and noting ----------------------------------------------------------------------------------------------- */
struct listing {
    struct app *app;
    size_t n;
    char id[MAX_INCIDENT_ID];
};

static int list_one(void *ctx, const char *id, const struct incident *inc, const struct err *broken)
{
    struct listing *l = ctx;
    char when[32];
    (void)broken;
    l->n++;
    snprintf(l->id, sizeof l->id, "%s", id);
    if (inc)
        ui_line(&l->app->ui, "%s  %s  %s", id, ui_time(inc->opened_s * NS_PER_S, when),
                inc->closed_s      ? _("closed")
                : inc->escalated_s ? _("ESCALATED")
                : inc->recovered_s ? _("recovered, not closed")
                                   : _("OPEN"));
    else
        ui_line(&l->app->ui, "%s  %s", id, _("DAMAGED"));
    ui_json(&l->app->ui,
            json_pack("{s:s, s:s, s:b, s:b}", "type", "incident", "incident", id, "open",
                      inc && !inc->closed_s, "recovered", inc && inc->recovered_s));
    return 0;
}

static int status_of(struct app *app, const struct words *w)
{
    struct err e = ERR_INIT;
    struct crash *c = NULL;
    struct listing l = { .app = app };
    int rc, status = 1;
    rc = open_crash(app, w, w->n > 1 ? w->v[1] : NULL, &c, &e);
    if (rc < 0 && w->n == 1) { /* none is open, or several are */
        err_clear(&e);
        rc = incidents_each(&app->paths, false, list_one, &l, &e);
        if (rc == 0 && l.n == 0)
            ui_line(&app->ui, _("there was no incident yet"));
        return rc < 0 ? ui_error(&app->ui, &e) : 0;
    }
    if (rc == 0)
        rc = crash_say_status(c, &e);
    if (rc < 0)
        status = ui_error(&app->ui, &e);
    else
        status = c->inc->escalated_s ? 6 : c->inc->recovered_s || c->inc->closed_s ? 0 : 3;
    crash_end(c);
    return status;
}

/* "note ID TEXT", or "note TEXT" where one is open. */
static int note(struct app *app, const struct words *w)
{
    struct err e = ERR_INIT;
    struct incident *inc = NULL;
    int from = 2;
    int rc = w->n > 2 ? incident_open(&app->paths, w->v[1], &inc, &e) : -ERR_NAME;
    if (rc == -ERR_NAME) {
        from = 1;
        rc = incident_open(&app->paths, NULL, &inc, &e);
    }
    if (rc < 0)
        return ui_error(&app->ui, &e);
    char *text = joined(w, from);
    int64_t s = 0;
    bool is_time = w->field &&
                   (strcmp(w->field, "crashed-at") == 0 || strcmp(w->field, "first-sign") == 0);
    if (!*text || (from == 1 && strcmp(text, inc->id) == 0)) {
        rc = err_set(&e, ERR_USAGE, _("there is no text"));
        err_next(&e, "twofold crash note %s \"TEXT\"", inc->id);
    }
    if (rc == 0 && w->field && !is_time && !form_field_known(w->field))
        ui_warn(&app->ui, _("no form has a field \"%s\"; their names stand in docs/forms.md"),
                w->field);
    if (rc == 0 && is_time)
        rc = time_option(text, &s, &e);
    json_t *body = json_pack("{s:o}", "text", event_json(text, 0));
    if (w->field)
        json_object_set_new(body, "field", event_json(w->field, 0));
    if (is_time)
        json_object_set_new(body, w->field[0] == 'c' ? "crashed" : "first_sign",
                            json_integer((json_int_t)s));
    if (rc == 0)
        rc = incident_add(inc, EVENT_NOTE, body, &e);
    else
        json_decref(body);
    if (rc == 0) {
        records_later(app, inc);
        ui_line(&app->ui, _("noted in %s"), inc->id);
    }
    free(text);
    incident_free(inc);
    return rc < 0 ? ui_error(&app->ui, &e) : 0;
}

static void say_serving(struct app *app, const struct incident *inc)
{
    struct failback f;
    failback_of(inc, &f);
    if (failback_serves(&f) == PAIR_STANDBY)
        ui_warn(&app->ui,
                _("the standby serves on: if it is the host of \"%s\" now, say so in "
                  "policies/%s.yaml (agent:)"),
                inc->policy, inc->policy);
}

/* Once it is closed nobody is reminded of them any more: which are to be done yet is said, asked about (where somebody can be, and has not said
 * why already), and those that are due are written down. */
static int due_duties(struct app *app, const struct incident *inc, const struct words *w,
                      json_t **ret, struct err *e)
{
    struct duty_list l = { 0 };
    char word[MAX_DUTY_ID + 12];
    json_t *open = json_array();
    size_t left = 0;
    int rc = crash_duties(&app->paths, inc, watch_now_s(), &l, e);
    for (size_t i = 0; rc == 0 && i < l.n; i++) {
        const struct duty *d = &l.all[i];
        if (d->state >= DUTY_DONE || strcmp(d->id, "action") == 0)
            continue;
        left++;
        ui_warn(&app->ui, _("%s: %s [%s]; it is done by: %s"), duty_state_word(d->state), d->text,
                d->row, d->next);
        if (d->state != DUTY_COMING)
            json_array_append_new(open, json_string(duty_word(d, word)));
    }
    duties_done(&l);
    bool unasked = app->ui.yes || w->o.why || !isatty(STDIN_FILENO);
    if (rc == 0 && left > 0 && !unasked && !ui_ask(&app->ui, _("Close it all the same?"), false)) {
        rc = err_set(e, ERR_REFUSED, _("%s stays open"), inc->id);
        err_next(e, _("do what is due; then: twofold crash close %s"), inc->id);
    }
    if (rc == 0 && json_array_size(open) > 0)
        *ret = json_incref(open);
    json_decref(open);
    return rc;
}

static int close_it(struct app *app, const struct words *w)
{
    struct err e = ERR_INIT;
    json_t *undone = NULL;
    struct incident *inc = NULL;
    int rc = incident_open(&app->paths, w->n > 1 ? w->v[1] : NULL, &inc, &e);
    if (rc == 0)
        rc = not_closed(inc, &e);
    if (rc == 0)
        rc = incident_run_lock(inc, &e);
    if (rc == 0 && !inc->recovered_s && !w->o.why) {
        rc = err_set(&e, ERR_REFUSED, _("it is not recovered"));
        err_next(&e, _("to close it all the same, say why: twofold crash close %s --why TEXT"),
                 inc->id);
    }
    if (rc == 0)
        rc = due_duties(app, inc, w, &undone, &e);
    if (rc == 0)
        rc = incident_add(inc, EVENT_CLOSED,
                          json_pack("{s:o, s:o*}", "text", event_json(w->o.why ? w->o.why : "", 0),
                                    "undone", undone),
                          &e);
    if (rc == 0) {
        records_later(app, inc);
        ui_line(&app->ui, _("%s is closed"), inc->id);
        say_serving(app, inc);
    }
    incident_free(inc);
    return rc < 0 ? ui_error(&app->ui, &e) : 0;
}

/* --- processes of its own ----------------------------------------------------------------------------------------------- */
static int report_to(struct app *app, const struct words *w)
{
    struct err e = ERR_INIT;
    struct incident *inc = NULL;
    int rc = incident_open(&app->paths, w->n > 1 ? w->v[1] : NULL, &inc, &e);
    if (rc == 0)
        rc = crash_tell_persons(app, inc, &e);
    incident_free(inc);
    return rc < 0 ? ui_error(&app->ui, &e) : 0;
}

/* overdue ID STEP ATTEMPT SECONDS */
static int overdue(struct app *app, const struct words *w)
{
    struct err e = ERR_INIT;
    struct incident *inc = NULL;
    char span[64];
    if (w->n != 5)
        return app_usage(app, _("which step?"));
    uint64_t s = strtoull(w->v[4], NULL, 10);
    uint64_t until = sys_monotonic_ms() + (s < MAX_OVERDUE_S ? s : MAX_OVERDUE_S) * 1000;
    while (sys_monotonic_ms() < until && !sys_interrupted())
        poll(NULL, 0,
             until - sys_monotonic_ms() < 60000 ? (int)(until - sys_monotonic_ms()) : 60000);
    if (sys_interrupted())
        return 0;
    int rc = incident_open(&app->paths, w->v[1], &inc, &e);
    if (rc == 0)
        rc = incident_add(inc, EVENT_STEP,
                          json_pack("{s:s, s:i, s:s, s:s}", "step", w->v[2], "attempt",
                                    (int)strtol(w->v[3], NULL, 10), "state", "overdue", "text",
                                    _("it takes longer than its limit, and goes on")),
                          &e);
    if (rc == 0)
        ui_warn(&app->ui, _("%s takes longer than %s; it goes on, and this is written down"),
                w->v[2], crash_span(s, span));
    incident_free(inc);
    return rc < 0 ? ui_error(&app->ui, &e) : 0;
}

/* --- the command ------------------------------------------------------------------------------------------------------------- */
static int codes(struct app *app, const struct words *w)
{
    struct err e = ERR_INIT;
    char *end = NULL;
    unsigned long n = w->count ? strtoul(w->count, &end, 10) : DEFAULT_CODES;
    if ((end && *end) || n > UINT_MAX)
        n = 0;
    return crash_make_codes(app, (unsigned)n, &e) < 0 ? ui_error(&app->ui, &e) : 0;
}

static int print_known(struct app *app, const struct words *w)
{
    return crash_print_known(app, w->n > 1 ? w->v[1] : "");
}

static const struct {
    const char *word;
    int (*run)(struct app *app, const struct words *w);
} known[] = { { "status", status_of }, { "resume", resume },     { "failback", failback },
              { "approve", approve },  { "note", note },         { "close", close_it },
              { "codes", codes },      { "known", print_known }, { "report-to", report_to },
              { "overdue", overdue } };

int cmd_crash(struct app *app, int argc, char **argv)
{
    struct words w = { 0 };
    int ch, clock = argc > 1 ? crash_clock_word(app, argc - 1, argv + 1) : -1;
    if (clock >= 0)
        return clock;
    setvbuf(stdout, NULL, _IOLBF, 0); /* in one order with what comes on standard error */
    args_begin();
    while ((ch = args_next(argc, argv, ":", options)) != -1) {
        int status = 0;
        if (ch >= OPT_OWN)
            status = take_option(app, &w, ch);
        else if (!choice_option(ch, &w.o.choice))
            status = args_bad(app, ch, argv);
        if (status)
            return status;
    }
    w.v = argv + optind;
    w.n = argc - optind;
    for (size_t i = 0; w.n > 0 && !w.policy && i < sizeof known / sizeof *known; i++)
        if (strcmp(w.v[0], known[i].word) == 0)
            return known[i].run(app, &w);
    if ((w.n == 1) == (w.policy != NULL))
        return app_usage(app, _("which policy?"));
    return begin(app, &w, w.policy ? w.policy : w.v[0]);
}
