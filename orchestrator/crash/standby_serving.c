/* standby_serving.c - who serves, and what people stated; see standby.h. */
#include "lib/base/i18n.h"
#include "orchestrator/crash/standby_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what was stated -------------------------------------------------------------------------------------- */
bool standby_stated(const struct incident *inc, const char *gate, enum failback_step since)
{
    for (size_t i = inc->n; i-- > 0;) {
        const struct event *ev = &inc->events[i];
        const char *answer = event_text(ev, "answer");
        if (ev->kind == EVENT_GATE && strcmp(event_text(ev, "gate"), gate) == 0 &&
            (strcmp(answer, "yes") == 0 || strcmp(answer, "override") == 0))
            return true;
        if (ev->kind == EVENT_STEP && strcmp(event_text(ev, "state"), "intent") == 0 &&
            strcmp(event_text(ev, "step"), failback_step_name(since)) == 0)
            return false;
    }
    return false;
}

int standby_state(struct standby *s, const char *step, const char *why, struct err *e)
{
    static const struct {
        enum failback_step step;
        const char *gate;
    } all[] = { { FB_STOP, GATE_STANDBY_OFF },
                { FB_COMPARE, "failback-compare" },
                { FB_BACK_CHECK, "failback-check" } };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(step, failback_step_name(all[i].step)) == 0)
            return incident_add(s->inc, EVENT_GATE,
                                json_pack("{s:s, s:s, s:o}", "gate", all[i].gate, "answer",
                                          "override", "why", event_json(why, 0)),
                                e);
    err_set(e, ERR_NAME, _("\"%s\" is no step on which somebody's word counts"), step);
    return err_next(e, _("they are failback-stop, failback-compare and failback-check"));
}

/* --- who serves ---------------------------------------------------------------------------------------------- */
struct search {
    const struct policy *policy;
    struct standby_serving *ret;
    struct err broken;
    bool found;
};

static int look_at(void *ctx, const char *id, const struct incident *inc, const struct err *broken)
{
    struct search *s = ctx;
    size_t n = strlen(s->policy->name);
    if (!inc || inc->drill || strcmp(inc->policy, s->policy->name) != 0) {
        /* one that cannot be read at all may be this policy's */
        if (!inc && broken && strncmp(id, s->policy->name, n) == 0 && id[n] == '-')
            s->broken = *broken;
        return 0;
    }
    struct failback f;
    failback_of(inc, &f);
    enum failback_phase phase = failback_phase_of(&f);
    if (phase == PAIR_AS_EVER) /* one in which the primary was restored ends what was before */
        return inc->recovered_s && !broken;
    const json_t *settings = json_object_get(inc->events[0].body, "settings");
    const char *on = json_string_value(json_object_get(json_object_get(settings, "standby"), "on"));
    if (broken)
        s->broken = *broken;
    s->found = failback_serves(&f) == PAIR_STANDBY &&
               strcmp(inc->agent[0] ? inc->agent : s->policy->agent, s->policy->agent) == 0;
    *s->ret = (struct standby_serving){ .phase = phase,
                                        .since_s = f.serves_since_s,
                                        .fence_proven = !f.stated[PAIR_PRIMARY] };
    snprintf(s->ret->agent, sizeof s->ret->agent, "%s",
             on                            ? on
             : s->policy->crash.standby_on ? s->policy->crash.standby_on
                                           : "");
    snprintf(s->ret->incident, sizeof s->ret->incident, "%s", id);
    return 1; /* no older one counts */
}

int standby_serving(const struct config_paths *p, const struct policy *policy,
                    struct standby_serving *ret, struct err *e)
{
    struct standby_serving ignored = { .since_s = 0 };
    struct search s = { .policy = policy, .ret = ret ? ret : &ignored };
    if (!policy->crash.standby_on)
        return 0;
    int rc = incidents_each(p, false, look_at, &s, e);
    if (rc < 0)
        return rc;
    if (s.broken.code != ERR_NONE) {
        *e = s.broken;
        return err_wrap(e, _("whether a standby serves for \"%s\""), policy->name);
    }
    return s.found && s.ret->agent[0];
}

bool standby_follow(struct app *app, struct policy *policy)
{
    struct standby_serving s;
    struct err e = ERR_INIT;
    int rc = standby_serving(&app->paths, policy, &s, &e);
    char *agent = rc > 0 ? strdup(s.agent) : NULL;
    if (rc < 0)
        ui_warn(&app->ui,
                _("\"%s\": whether its standby serves is not known (%s): \"%s\" is taken, as the "
                  "policy says"),
                policy->name, e.why, policy->agent);
    if (!agent)
        return false;
    ui_warn(&app->ui,
            _("\"%s\": its standby \"%s\" serves in place of \"%s\" (incident %s), so that is what "
              "is read"),
            policy->name, agent, policy->agent, s.incident);
    free(policy->agent);
    policy->agent = agent;
    return true;
}
