/* standby.c - see standby.h. */
#include "orchestrator/crash/standby.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/crash/standby_inner.h"
#include "orchestrator/host.h"
#include "orchestrator/probe.h"
#include "orchestrator/text.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMPARE_EVERY_MS 500
#define ELSEWHERE_MS \
    10000 /* how long a standby may take to see that the other one has a new timeline */

/* --- the two hosts ------------------------------------------------------------------------------------------ */
static const struct crash_conf *conf_of(const struct standby *s)
{
    return &s->policy->crash;
}

const char *standby_agent(const struct standby *s, enum pair_host h)
{
    if (h == PAIR_STANDBY)
        return conf_of(s)->standby_on ? conf_of(s)->standby_on : "";
    return s->inc->agent[0] ? s->inc->agent : s->policy->agent;
}

/* The last line of what a command said. */
static const char *last_line(char *said)
{
    size_t n = strlen(said);
    while (n > 0 && (said[n - 1] == '\n' || said[n - 1] == ' '))
        said[--n] = '\0';
    char *line = strrchr(said, '\n');
    return line ? line + 1 : said;
}

struct answer {
    bool ran;   /* whatever its status */
    char *said; /* owned */
};

/* 0: it ended with status 0. */
static int ask(const struct standby *s, enum pair_host h, enum standby_command_kind k,
               struct answer *ret, struct err *e)
{
    const struct crash_command *c = &conf_of(s)->standby[k];
    struct host_job j = { .policy = s->policy,
                          .agent = standby_agent(s, h),
                          .incident = s->inc->id };
    struct host_result r = { 0 };
    unsigned limit = (unsigned)crash_limit_s(conf_of(s),
                                             k == STANDBY_RESEED ? LIMIT_RESEED : LIMIT_STANDBY, 0);
    *ret = (struct answer){ 0 };
    if (c->n == 0) {
        err_set(e, ERR_CONFIG, _("the policy's crash: standby: has no command \"%s\""),
                standby_command_key(k));
        return err_next(e, _("write it into policies/%s.yaml; for PostgreSQL: policies/standby"),
                        s->policy->name);
    }
    int rc = host_run(s->app, &j, c->words, c->n, limit, &r, e);
    ret->ran = rc == 0 && !r.timed_out;
    ret->said = r.output;
    if (rc == 0 && r.timed_out)
        rc = err_set(e, ERR_TIMEOUT, _("it took more than %u s and was ended"), limit);
    else if (rc == 0 && r.status != 0)
        rc = err_set(e, ERR_FAILED, _("it ended with status %d: %s"), r.status,
                     last_line(r.output));
    return rc < 0 ? err_wrap(e, _("\"%s\" on \"%s\""), standby_command_key(k), j.agent) : 0;
}

/* The same, for whoever wants what it said (owned; NULL: nobody) only when it ended well. */
static int run(const struct standby *s, enum pair_host h, enum standby_command_kind k,
               char **ret_said, struct err *e)
{
    struct answer a;
    int rc = ask(s, h, k, &a, e);
    if (rc == 0 && ret_said)
        *ret_said = a.said;
    else
        free(a.said);
    return rc;
}

/* Whether it takes no writes. 0: asked, and so it is; -ERR_REFUSED: asked, and it is not so; else it could not be asked. */
static int prove(const struct standby *s, enum pair_host h, struct err *e)
{
    struct answer a;
    int rc = ask(s, h, STANDBY_FENCED, &a, e);
    free(a.said);
    if (rc < 0 && a.ran) {
        e->code = ERR_REFUSED;
        err_next(e, _("end what writes there; if that cannot be done, turn the host off"));
        return -ERR_REFUSED;
    }
    return rc;
}

static int cannot_ask(const struct standby *s, enum pair_host h, struct err *e)
{
    err_wrap(e, _("nobody knows whether \"%s\" still takes writes"), standby_agent(s, h));
    e->code = ERR_UNREACHABLE;
    err_next(e, _("make that certain by hand (turn the host off, or take it off the network), and "
                  "say so"));
    return -ERR_UNREACHABLE;
}

/* It is fenced, whatever it was before, and that is proven. */
static int fence(const struct standby *s, enum pair_host h, struct err *e)
{
    struct answer a;
    struct err how = ERR_INIT;
    int done = ask(s, h, STANDBY_FENCE, &a, &how), rc = -ERR_UNREACHABLE;
    free(a.said);
    if (done == -ERR_INTERRUPTED || (done < 0 && !a.ran && done != -ERR_TIMEOUT))
        *e = how; /* whoever could not be told cannot be asked */
    else
        rc = prove(s, h, e);
    if (rc == 0 || done == -ERR_INTERRUPTED || rc == -ERR_INTERRUPTED)
        return rc == 0 ? 0 : -ERR_INTERRUPTED;
    if (rc == -ERR_REFUSED && done < 0)
        err_wrap(e, "%s", how.why);
    return rc == -ERR_REFUSED ? rc : cannot_ask(s, h, e);
}

static int prove_or_fence(const struct standby *s, enum pair_host h, struct err *e)
{
    struct err ignored = ERR_INIT;
    return prove(s, h, &ignored) == 0 ? 0 : fence(s, h, e);
}

/* Before anything is promoted or made anew: asked this moment. What a person stated counts only where nobody can be asked. */
static int proven_or_stated(const struct standby *s, const struct failback *f, enum pair_host h,
                            struct err *e)
{
    int rc = prove(s, h, e);
    if (rc == 0 || rc == -ERR_REFUSED || rc == -ERR_INTERRUPTED)
        return rc;
    if (!f->may_write[h] && f->stated[h]) {
        err_clear(e);
        return 0;
    }
    return cannot_ask(s, h, e);
}

static int position(const struct standby *s, enum pair_host h, char ret[MAX_POSITION],
                    int64_t *ret_last_commit_s, struct err *e)
{
    char *said = NULL;
    int rc = run(s, h, STANDBY_POSITION, &said, e);
    if (rc == 0 && !position_parse(said, ret, ret_last_commit_s)) {
        err_set(e, ERR_FAILED, _("\"%s\" is no position"), last_line(said));
        rc = err_next(e, _("it must print a number, or LSN@TIMELINE, first in a line"));
    }
    free(said);
    return rc;
}

/* --- what is noted --------------------------------------------------------------------------------------------- */
static void set_fact(json_t **facts, const char *key, json_t *value)
{
    if (!*facts)
        *facts = json_object();
    json_object_set_new(*facts, key, value);
}

static void set_position(json_t **facts, const char *at, int64_t last_commit_s)
{
    if (at[0])
        set_fact(facts, "position", json_string(at));
    if (last_commit_s > 0)
        set_fact(facts, "last_commit_s", json_integer(last_commit_s));
}

static void set_host(const struct standby *s, json_t **facts, enum pair_host h)
{
    set_fact(facts, "host", event_json(standby_agent(s, h), MAX_NAME));
}

static void say_last(const struct standby *s, enum pair_host h, char *said,
                     char text[ERR_TEXT_BYTES])
{
    snprintf(text, ERR_TEXT_BYTES, "%s: %s", standby_agent(s, h), last_line(said));
}

/* The loss statement of a take-over; written again when the old primary can be asked at last. */
static int note_loss(const struct standby *s, const struct failback *f, struct err *e)
{
    char text[LOSS_TEXT_BYTES];
    int64_t gap = -1, crashed = s->inc->crashed_s ? s->inc->crashed_s : s->inc->opened_s;
    failback_loss(f, crashed, text, &gap);
    ui_line(&s->app->ui, "%s", text);
    json_t *o = json_pack("{s:o, s:I, s:s, s:s, s:s}", "text", event_json(text, 0), "recovered_to",
                          (json_int_t)f->last_commit_s, "through", "standby", "fenced_at",
                          f->fenced_at, "promoted_at", f->promoted_at);
    if (o && s->inc->crashed_s)
        json_object_set_new(o, "crashed", json_integer(s->inc->crashed_s));
    if (o && gap >= 0)
        json_object_set_new(o, "gap_s", json_integer(gap));
    return incident_add(s->inc, EVENT_LOSS, o, e);
}

/* --- taking over ---------------------------------------------------------------------------------------------------- */
static int refused(enum failback_step step, const char *why, struct err *e)
{
    err_set(e, ERR_REFUSED, "%s", why);
    return err_wrap(e, "%s", failback_step_name(step));
}

static int may(const struct standby *s, enum failback_step step, struct failback *ret,
               struct err *e)
{
    const char *why = NULL;
    failback_of(s->inc, ret);
    return failback_may(ret, step, &why) ? 0 : refused(step, why, e);
}

/* Once it is promoted, it can only tell where its new timeline is. */
static void note_standby_position(const struct standby *s, json_t **facts)
{
    char at[MAX_POSITION] = "";
    int64_t last_commit = 0;
    struct err ignored = ERR_INIT;
    if (position(s, PAIR_STANDBY, at, &last_commit, &ignored) < 0)
        return;
    set_fact(facts, "standby_position", json_string(at));
    set_fact(facts, "standby_last_commit_s", json_integer(last_commit));
}

static int fence_primary(const struct standby *s, const struct failback *f,
                         char text[ERR_TEXT_BYTES], json_t **facts, struct err *e)
{
    char at[MAX_POSITION] = "";
    struct err ignored = ERR_INIT;
    (void)f;
    int rc = fence(s, PAIR_PRIMARY, e);
    if (rc < 0)
        return rc;
    if (position(s, PAIR_PRIMARY, at, NULL, &ignored) == 0)
        set_position(facts, at, 0);
    note_standby_position(s, facts);
    set_fact(facts, "proven", json_true());
    snprintf(text, ERR_TEXT_BYTES, _("\"%s\" takes no writes any more (asked)%s%s"),
             standby_agent(s, PAIR_PRIMARY), at[0] ? _("; its log ended at ") : "", at);
    return 0;
}

/* Also what fails must not hide that the host may write from now on: the intent has said so. */
static int promote(const struct standby *s, const struct failback *f, enum pair_host h,
                   char text[ERR_TEXT_BYTES], json_t **facts, struct err *e)
{
    enum pair_host other = h == PAIR_PRIMARY ? PAIR_STANDBY : PAIR_PRIMARY;
    char at[MAX_POSITION] = "", *said = NULL;
    int64_t last_commit = 0;
    struct err ignored = ERR_INIT;
    int rc = proven_or_stated(s, f, other, e);
    if (rc < 0)
        return rc;
    (void)position(s, h, at, &last_commit, &ignored);
    rc = run(s, h, STANDBY_PROMOTE, &said, e);
    if (rc == 0) {
        set_position(facts, at, last_commit);
        say_last(s, h, said, text);
    }
    free(said);
    return rc;
}

static int promote_standby(const struct standby *s, const struct failback *f,
                           char text[ERR_TEXT_BYTES], json_t **facts, struct err *e)
{
    struct failback now = *f;
    int rc = promote(s, f, PAIR_STANDBY, text, facts, e);
    if (rc < 0)
        return rc;
    /* one that was cut off after it was promoted tells of its new timeline: then what it said before that counts */
    const char *at = json_string_value(json_object_get(*facts, "position"));
    if (at && position_compare(f->promoted_at, at, NULL) != POSITION_ELSEWHERE) {
        snprintf(now.promoted_at, sizeof now.promoted_at, "%s", at);
        now.last_commit_s = json_integer_value(json_object_get(*facts, "last_commit_s"));
    }
    set_position(facts, now.promoted_at, now.last_commit_s);
    return note_loss(s, &now, e);
}

/* The policy's own questions, then its command. */
static int check(const struct standby *s, enum pair_host h, char text[ERR_TEXT_BYTES],
                 struct err *e)
{
    struct policy there = *s->policy;
    struct vault_conf *vault = NULL;
    uint64_t wrong = 0;
    int rc = 0;
    there.agent = (char *)(uintptr_t)standby_agent(s, h);
    if (there.n_sources > 0) {
        rc = vault_conf_load(&s->app->paths, there.vault[0] ? there.vault : NULL, &vault, e);
        if (rc == 0)
            rc = probe_sources(s->app, &there, vault, &wrong, e);
        vault_conf_free(vault);
        if (rc == 0 && wrong > 0)
            rc = err_set(e, ERR_DAMAGED,
                         P_("%" PRIu64 " thing is not as the policy expects; it is named above",
                            "%" PRIu64 " things are not as the policy expects; each is named above",
                            wrong),
                         wrong);
    }
    if (rc == 0 && conf_of(s)->standby[STANDBY_CHECK].n > 0)
        rc = run(s, h, STANDBY_CHECK, NULL, e);
    snprintf(text, ERR_TEXT_BYTES, _("\"%s\" is as the policy expects"), there.agent);
    return rc < 0 ? err_wrap(e, _("check of \"%s\""), there.agent) : 0;
}

static int check_standby(const struct standby *s, const struct failback *f,
                         char text[ERR_TEXT_BYTES], json_t **facts, struct err *e)
{
    (void)f;
    (void)facts;
    return check(s, PAIR_STANDBY, text, e);
}

static int lead_clients(const struct standby *s, enum pair_host h, enum standby_command_kind k,
                        char text[ERR_TEXT_BYTES], struct err *e)
{
    char *said = NULL;
    int rc = run(s, h, k, &said, e);
    if (rc == 0)
        say_last(s, h, said, text);
    free(said);
    return rc;
}

static int switch_to_standby(const struct standby *s, const struct failback *f,
                             char text[ERR_TEXT_BYTES], json_t **facts, struct err *e)
{
    (void)f;
    (void)facts;
    return lead_clients(s, PAIR_STANDBY, STANDBY_SWITCH, text, e);
}

/* --- repaired, and back -------------------------------------------------------------------------------------------------- */
static int reseed(const struct standby *s, enum pair_host h, char text[ERR_TEXT_BYTES],
                  struct err *e)
{
    char *said = NULL;
    int rc = run(s, h, STANDBY_RESEED, &said, e);
    if (rc == 0)
        rc = prove(s, h, e); /* it came up as one that only reads */
    if (rc == 0)
        say_last(s, h, said, text);
    free(said);
    return rc;
}

static int refence(const struct standby *s, const struct failback *f, char text[ERR_TEXT_BYTES],
                   json_t **facts, struct err *e)
{
    char at[MAX_POSITION] = "";
    struct err ignored = ERR_INIT;
    int rc = prove_or_fence(s, PAIR_PRIMARY, e);
    if (rc < 0)
        return rc;
    set_fact(facts, "proven", json_true());
    snprintf(text, ERR_TEXT_BYTES, _("\"%s\" takes no writes (asked)"),
             standby_agent(s, PAIR_PRIMARY));
    if (f->fenced_at[0] || f->done[FB_RESEED] || f->attempts[FB_RESEED] > 1)
        return 0;
    if (position(s, PAIR_PRIMARY, at, NULL, &ignored) < 0)
        return 0;
    struct failback now = *f;
    set_position(facts, at, 0);
    snprintf(now.fenced_at, sizeof now.fenced_at, "%s", at);
    return note_loss(s, &now, e);
}

static int reseed_primary(const struct standby *s, const struct failback *f,
                          char text[ERR_TEXT_BYTES], json_t **facts, struct err *e)
{
    struct failback now;
    (void)f;
    (void)facts;
    int rc = standby_micro(s, FB_REFENCE, e);
    if (rc == 0)
        rc = may(s, FB_RESEED, &now, e);
    return rc == 0 ? reseed(s, PAIR_PRIMARY, text, e) : rc;
}

/* Nothing has been stopped yet: if the primary does not follow, it is found out here. */
static int ready(const struct standby *s, const struct failback *f, char text[ERR_TEXT_BYTES],
                 json_t **facts, struct err *e)
{
    char here[MAX_POSITION] = "", there[MAX_POSITION] = "";
    (void)f;
    int rc = prove_or_fence(s, PAIR_PRIMARY, e);
    if (rc == 0)
        rc = reseed(s, PAIR_PRIMARY, text, e);
    if (rc == 0)
        rc = position(s, PAIR_STANDBY, there, NULL, e);
    if (rc == 0)
        rc = position(s, PAIR_PRIMARY, here, NULL, e);
    if (rc < 0)
        return rc;
    enum position_verdict v = position_compare(there, here, NULL);
    if (v == POSITION_ELSEWHERE || v == POSITION_UNKNOWN) {
        err_set(e, ERR_REFUSED, _("\"%s\" is at %s, \"%s\" at %s: it does not follow"),
                standby_agent(s, PAIR_STANDBY), there, standby_agent(s, PAIR_PRIMARY), here);
        return err_next(e, _("have it made anew: its old data can be moved away"));
    }
    set_fact(facts, "proven", json_true());
    set_position(facts, here, 0);
    return 0;
}

static int stop_standby(const struct standby *s, const struct failback *f,
                        char text[ERR_TEXT_BYTES], json_t **facts, struct err *e)
{
    char at[MAX_POSITION] = "";
    int rc = fence(s, PAIR_STANDBY, e);
    if (rc == -ERR_UNREACHABLE && f->stated[PAIR_STANDBY] &&
        standby_stated(s->inc, GATE_STANDBY_OFF, FB_READY)) {
        err_clear(e);
        snprintf(text, ERR_TEXT_BYTES, _("\"%s\" is off, as was stated"),
                 standby_agent(s, PAIR_STANDBY));
        return 0;
    }
    if (rc == -ERR_UNREACHABLE)
        err_next(e,
                 _("if that host is lost: twofold crash failback %s --state failback-stop --why "
                   "TEXT; or leave it as it was: twofold crash failback %s --undo"),
                 s->inc->id, s->inc->id);
    if (rc == 0)
        rc = position(s, PAIR_STANDBY, at, NULL, e);
    if (rc < 0)
        return rc;
    set_fact(facts, "proven", json_true());
    set_position(facts, at, 0);
    snprintf(text, ERR_TEXT_BYTES,
             _("\"%s\" takes no writes any more (asked); its log ended at %s"),
             standby_agent(s, PAIR_STANDBY), at);
    return 0;
}

static int not_all(const struct standby *s, const char *need, const char *has, uint64_t missing,
                   struct err *e)
{
    err_set(e, ERR_REFUSED,
            _("\"%s\" ended at %s and \"%s\" has it to %s: %" PRIu64 " bytes are missing"),
            standby_agent(s, PAIR_STANDBY), need[0] ? need : "?", standby_agent(s, PAIR_PRIMARY),
            has[0] ? has : "?", missing);
    return err_next(e,
                    _("look why it does not follow, and try again; or let the standby serve on: "
                      "twofold crash failback %s --undo"),
                    s->inc->id);
}

static int compare(const struct standby *s, const struct failback *f, char text[ERR_TEXT_BYTES],
                   json_t **facts, struct err *e)
{
    char has[MAX_POSITION] = "";
    uint64_t missing = 0, begun = sys_monotonic_ms();
    uint64_t limit_ms = 1000 * crash_limit_s(conf_of(s), LIMIT_STANDBY, 0);
    enum position_verdict v = POSITION_UNKNOWN;
    for (;;) {
        int rc = position(s, PAIR_PRIMARY, has, NULL, e);
        uint64_t for_ms = sys_monotonic_ms() - begun;
        if (rc < 0)
            return rc;
        v = position_compare(f->stopped_at, has, &missing);
        bool may_come = v == POSITION_BEHIND ? for_ms < limit_ms : for_ms < ELSEWHERE_MS;
        if (v == POSITION_HAS_ALL || !may_come || !f->stopped_at[0] ||
            standby_stated(s->inc, failback_step_name(FB_COMPARE), FB_STOP))
            break;
        if (sys_interrupted())
            return err_set(e, ERR_INTERRUPTED, _("interrupted"));
        (void)poll(NULL, 0, COMPARE_EVERY_MS);
    }
    set_position(facts, has, 0);
    set_fact(facts, "stopped_at", json_string(f->stopped_at));
    snprintf(text, ERR_TEXT_BYTES, _("\"%s\" has all of it, to %s"), standby_agent(s, PAIR_PRIMARY),
             has);
    if (v == POSITION_HAS_ALL)
        return 0;
    if (!standby_stated(s->inc, failback_step_name(FB_COMPARE), FB_STOP))
        return not_all(s, f->stopped_at, has, missing, e);
    snprintf(text, ERR_TEXT_BYTES,
             _("the standby ended at %s and \"%s\" has it to %s: what is missing was given up"),
             f->stopped_at[0] ? f->stopped_at : "?", standby_agent(s, PAIR_PRIMARY), has);
    set_fact(facts, "given_up", json_true());
    return incident_add(s->inc, EVENT_LOSS,
                        json_pack("{s:o, s:s, s:s, s:s}", "text", event_json(text, 0), "through",
                                  "failback", "stopped_at", f->stopped_at, "has", has),
                        e);
}

static int promote_primary(const struct standby *s, const struct failback *f,
                           char text[ERR_TEXT_BYTES], json_t **facts, struct err *e)
{
    return promote(s, f, PAIR_PRIMARY, text, facts, e);
}

static int check_primary(const struct standby *s, const struct failback *f,
                         char text[ERR_TEXT_BYTES], json_t **facts, struct err *e)
{
    (void)f;
    int rc = check(s, PAIR_PRIMARY, text, e);
    if (rc == 0 || rc == -ERR_INTERRUPTED ||
        !standby_stated(s->inc, failback_step_name(FB_BACK_CHECK), FB_BACK_PROMOTE))
        return rc;
    snprintf(text, ERR_TEXT_BYTES, _("gone on with in spite of: %.400s"), e->why);
    set_fact(facts, "in_spite_of", event_json(e->why, 0));
    err_clear(e);
    return 0;
}

static int switch_to_primary(const struct standby *s, const struct failback *f,
                             char text[ERR_TEXT_BYTES], json_t **facts, struct err *e)
{
    bool own = conf_of(s)->standby[STANDBY_SWITCH_BACK].n > 0;
    (void)f;
    (void)facts;
    return lead_clients(s, PAIR_PRIMARY, own ? STANDBY_SWITCH_BACK : STANDBY_SWITCH, text, e);
}

/* It was stopped, or a person said that it is off: then it may have come back as it was. */
static int reseed_standby(const struct standby *s, const struct failback *f,
                          char text[ERR_TEXT_BYTES], json_t **facts, struct err *e)
{
    (void)f;
    (void)facts;
    int rc = prove_or_fence(s, PAIR_STANDBY, e);
    return rc == 0 ? reseed(s, PAIR_STANDBY, text, e) : rc;
}

static int sync_again(const struct standby *s, const struct failback *f, char text[ERR_TEXT_BYTES],
                      json_t **facts, struct err *e)
{
    (void)f;
    if (conf_of(s)->standby[STANDBY_SYNC].n > 0)
        return lead_clients(s, PAIR_PRIMARY, STANDBY_SYNC, text, e);
    set_fact(facts, "no_command", json_true());
    snprintf(text, ERR_TEXT_BYTES,
             _("the policy has no command \"sync\": commits wait for nobody"));
    return 0;
}

/* Fenced, and it is seen that it never took a write: its log holds nothing that the standby's does not. */
static int fence_undone(const struct standby *s, const struct failback *f,
                        char text[ERR_TEXT_BYTES], json_t **facts, struct err *e)
{
    char at[MAX_POSITION] = "";
    int rc = fence(s, PAIR_PRIMARY, e);
    if (rc == 0)
        rc = position(s, PAIR_PRIMARY, at, NULL, e);
    if (rc < 0)
        return rc;
    if (position_compare(at, f->stopped_at, NULL) != POSITION_HAS_ALL) {
        err_set(e, ERR_REFUSED,
                _("\"%s\" is at %s and the standby ended at %s: it has taken writes"),
                standby_agent(s, PAIR_PRIMARY), at, f->stopped_at[0] ? f->stopped_at : "?");
        return err_next(e, _("go on instead: twofold crash failback %s"), s->inc->id);
    }
    set_fact(facts, "proven", json_true());
    set_position(facts, at, 0);
    snprintf(text, ERR_TEXT_BYTES, _("\"%s\" takes no writes, and has taken none"),
             standby_agent(s, PAIR_PRIMARY));
    return 0;
}

static int promote_again(const struct standby *s, const struct failback *f,
                         char text[ERR_TEXT_BYTES], json_t **facts, struct err *e)
{
    return promote(s, f, PAIR_STANDBY, text, facts, e);
}

/* One that was promoted by this incident is fenced, unless it is so. One that served by an earlier one may have what nobody else has: it is only asked.
 * Asked once more, what was proven or stated before counts where it cannot be asked. */
static int fence_given_up(const struct standby *s, const struct failback *f,
                          char text[ERR_TEXT_BYTES], json_t **facts, struct err *e)
{
    bool own = f->attempts[FB_PROMOTE] > 0, may_write = f->may_write[PAIR_STANDBY];
    int rc = !own        ? prove(s, PAIR_STANDBY, e)
             : may_write ? fence(s, PAIR_STANDBY, e)
                         : prove_or_fence(s, PAIR_STANDBY, e);
    if (rc == -ERR_INTERRUPTED)
        return rc;
    if (rc < 0 && rc != -ERR_REFUSED && !may_write) {
        err_clear(e);
        set_fact(facts, "stated", json_boolean(f->stated[PAIR_STANDBY]));
        snprintf(text, ERR_TEXT_BYTES,
                 f->stated[PAIR_STANDBY] ? _("\"%s\" is off, as was stated")
                                         : _("\"%s\" cannot be asked now; it was asked before"),
                 standby_agent(s, PAIR_STANDBY));
        return 0;
    }
    if (rc == -ERR_REFUSED)
        set_fact(facts, "refused", json_true());
    if (rc == -ERR_REFUSED && !own)
        err_wrap(e, _("the standby serves, by an earlier incident"));
    if (rc < 0)
        return rc == -ERR_REFUSED || own ? rc : cannot_ask(s, PAIR_STANDBY, e);
    set_fact(facts, "proven", json_true());
    snprintf(text, ERR_TEXT_BYTES, _("\"%s\" takes no writes (asked)"),
             standby_agent(s, PAIR_STANDBY));
    return 0;
}

/* --- each with an intent and an outcome --------------------------------------------------------------------------------------- */
typedef int take_fn(const struct standby *s, const struct failback *f, char text[ERR_TEXT_BYTES],
                    json_t **facts, struct err *e);
static take_fn *const takes[FB_STEPS] = {
    [FB_FENCE] = fence_primary,
    [FB_PROMOTE] = promote_standby,
    [FB_CHECK] = check_standby,
    [FB_SWITCH] = switch_to_standby,
    [FB_GIVE_UP] = fence_given_up,
    [FB_REFENCE] = refence,
    [FB_RESEED] = reseed_primary,
    [FB_READY] = ready,
    [FB_STOP] = stop_standby,
    [FB_COMPARE] = compare,
    [FB_BACK_PROMOTE] = promote_primary,
    [FB_BACK_CHECK] = check_primary,
    [FB_BACK_SWITCH] = switch_to_primary,
    [FB_BACK_RESEED] = reseed_standby,
    [FB_BACK_SYNC] = sync_again,
    [FB_UNDO_FENCE] = fence_undone,
    [FB_UNDO] = promote_again,
    [FB_UNDO_SWITCH] = switch_to_standby,
};

static json_t *line(enum failback_step step, unsigned attempt, const char *state, const char *text)
{
    return json_pack("{s:s, s:I, s:s, s:s, s:o}", "step", failback_step_name(step), "attempt",
                     (json_int_t)attempt, "state", state, "duty", "JZ-7.3", "text",
                     event_json(text, 0));
}

static int outcome(const struct standby *s, enum failback_step step, unsigned attempt, int rc,
                   const char *text, json_t *facts, struct err *e)
{
    struct err ignored = ERR_INIT, *how = rc < 0 ? &ignored : e;
    char why[2 * ERR_TEXT_BYTES + 4];
    snprintf(why, sizeof why, "%s%s%s", e->what, e->what[0] ? ": " : "", e->why);
    json_t *o = line(step, attempt, rc < 0 ? "failed" : "done", rc < 0 ? why : text);
    if (o && facts)
        json_object_set(o, "facts", facts);
    int added = incident_add(s->inc, EVENT_STEP, o, how);
    char *clean = text_clean(text, strlen(text), false); /* some of it comes from the host */
    if (rc == 0)
        ui_line(&s->app->ui, "          %s: %s", failback_step_title(step), clean);
    free(clean);
    return rc < 0 ? rc : added;
}

int standby_micro(const struct standby *s, enum failback_step step, struct err *e)
{
    struct failback f;
    char text[ERR_TEXT_BYTES] = "";
    json_t *facts = NULL;
    int rc = may(s, step, &f, e);
    if (rc < 0)
        return rc;
    unsigned attempt = f.attempts[step] + 1;
    rc = incident_add(s->inc, EVENT_STEP, line(step, attempt, "intent", ""), e);
    if (rc < 0)
        return rc;
    failback_of(s->inc, &f);
    set_host(s, &facts, failback_step_host(step));
    rc = takes[step](s, &f, text, &facts, e);
    if (rc != -ERR_INTERRUPTED) /* one that was cut off has no outcome, and is taken again */
        rc = outcome(s, step, attempt, rc, text, facts, e);
    json_decref(facts);
    return rc < 0 ? err_wrap(e, "%s", failback_step_name(step)) : rc;
}

static int way(const struct standby *s, bool undo, struct err *e)
{
    for (;;) {
        struct failback f;
        failback_of(s->inc, &f);
        enum failback_step step = failback_next(&f, undo);
        if (step == FB_STEPS) {
            const char *why = failback_why_not(&f, undo);
            return why && !undo ? err_set(e, ERR_REFUSED, "%s", why) : 0;
        }
        /* asked anew, however long ago that was */
        if (!undo && step == FB_STOP && !f.begun[FB_STOP] && f.done[FB_READY])
            step = FB_READY;
        int rc = standby_micro(s, step, e);
        if (rc == 0 && step == FB_READY)
            rc = standby_micro(s, FB_STOP, e);
        if (rc < 0)
            return rc;
    }
}

/* --- the procedure's steps ---------------------------------------------------------------------------------------------------------- */
static enum failback_step of_step(enum crash_step s)
{
    return failback_step_parse(crash_step_name(s));
}

bool standby_has(enum crash_step s)
{
    return s == STEP_SWITCH_BACK || of_step(s) != FB_STEPS;
}

int standby_take(struct standby *s, enum crash_step step, char ret_text[ERR_TEXT_BYTES],
                 json_t **ret_facts, struct err *e)
{
    struct failback f;
    int rc;
    *ret_facts = NULL;
    ret_text[0] = '\0';
    if (step == STEP_SWITCH_BACK) {
        rc = way(s, false, e);
        snprintf(ret_text, ERR_TEXT_BYTES, "%s", failback_phase_text(PAIR_WHOLE_AGAIN));
        return rc;
    }
    enum failback_step own = of_step(step);
    if (own == FB_RESEED) { /* its fence comes first, and is asked by itself */
        failback_of(s->inc, &f);
        rc = 0;
    } else {
        rc = may(s, own, &f, e);
    }
    if (rc < 0)
        return rc;
    set_host(s, ret_facts, failback_step_host(own));
    return takes[own](s, &f, ret_text, ret_facts, e);
}

int standby_lost(struct app *app, const struct policy *policy, const char *incident, struct err *e)
{
    struct standby s = { .app = app, .policy = policy };
    int rc = incident_open(&app->paths, incident, &s.inc, e);
    if (rc < 0)
        return rc;
    rc = prove(&s, PAIR_STANDBY, e);
    incident_free(s.inc);
    if (rc == -ERR_REFUSED)
        return err_wrap(e, _("the standby serves, by the incident %s"), incident);
    if (rc == 0 || rc == -ERR_INTERRUPTED)
        return rc;
    err_clear(e);
    return 1;
}

int standby_undo(struct standby *s, struct err *e)
{
    struct failback f;
    failback_of(s->inc, &f);
    const char *why = failback_why_not(&f, true);
    if (why)
        return err_set(e, ERR_REFUSED, "%s", why);
    return way(s, true, e);
}
