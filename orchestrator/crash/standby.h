/*
 * standby.h - the steps of the procedure in which a standby takes over and the repaired primary comes back (docs/standby.md): the commands of
 * `crash: standby:` run on the two hosts by their agents. restore/incident/failback.h says which may be taken; nothing is promoted here before
 * the other host has been asked, that moment, whether it takes writes.
 *
 *     if (standby_has(step)) rc = standby_take(&s, step, text, &facts, e);        between the step's intent and its outcome
 *
 * `switch-back` is several steps (failback-ready to failback-sync), each with an intent and an outcome of its own, so that whoever goes on
 * after a kill goes on where it was. Only the holder of the incident's lock of steps may call these.
 */
#ifndef TWOFOLD_ORCHESTRATOR_CRASH_STANDBY_H
#define TWOFOLD_ORCHESTRATOR_CRASH_STANDBY_H

#include "orchestrator/app.h"
#include "restore/incident/failback.h"
#include "restore/incident/procedure.h"

struct standby { /* borrowed */
    struct app *app;
    struct incident *inc;
    const struct policy *
        policy; /* its crash.standby holds; its agent is the primary where the incident names none */
};

/* fence, promote, standby-check, switch, standby-give-up, reseed, switch-back */
bool standby_has(enum crash_step s);
/* 0: it is done, ret_text says how. Negative: it failed; -ERR_UNREACHABLE of a fence: that host cannot be asked, so a person must turn it
 * off and say so (gate fenced; of the standby gate standby-off). *ret_facts (owned) is set in both cases, and may be NULL. */
int standby_take(struct standby *s, enum crash_step step, char ret_text[ERR_TEXT_BYTES],
                 json_t **ret_facts, struct err *e);
/* The way back is given up while the primary was not promoted: the standby serves again. */
int standby_undo(struct standby *s, struct err *e);
/* A person's word on what a step of the way back cannot find out or does not want: "failback-stop" (the standby is off), "failback-compare"
 * (what the primary may lack is given up), "failback-check". -ERR_NAME for another one. */
int standby_state(struct standby *s, const char *step, const char *why, struct err *e);

/* --- for everybody who works for a policy --------------------------------------------------------------------------------- */
/* Whose data count: where a standby serves in place of the policy's agent, by the newest incident of the policy (a closed one, too: the
 * standby stayed), *ret (may be NULL) says which and since when. 1: so it is; 0: the policy's own host serves, as ever, or has been made the
 * standby's by hand. A timeline that cannot be read is -ERR_DAMAGED: nobody knows. */
struct standby_serving {
    char agent[MAX_NAME + 1];
    char incident[MAX_INCIDENT_ID];
    enum failback_phase phase;
    int64_t since_s;
    bool fence_proven; /* else somebody stated that the primary is off */
};
int standby_serving(const struct config_paths *p, const struct policy *policy,
                    struct standby_serving *ret, struct err *e);
/* Somebody says that the standby which serves by that incident is lost for good. It is asked: one that takes writes is -ERR_REFUSED. 0: it takes
 * none; 1: it cannot be asked. */
int standby_lost(struct app *app, const struct policy *policy, const char *incident, struct err *e);
/* The policy's `agent` is the one that serves, from now on; that is said. Where nobody knows it, that is said, too, and the policy's own stays:
 * a host that is fenced or dead fails, and one that follows has the same data. true: it was replaced. */
bool standby_follow(struct app *app, struct policy *policy);

#endif
