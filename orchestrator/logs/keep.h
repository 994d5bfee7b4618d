/*
 * keep.h - following a database's log for as long as the process lives: what the agent sends goes to all copies within seconds, and only
 * then may the database let go of it. A copy that is away is caught up when it is back; the others do not wait for it.
 */
#ifndef TWOFOLD_ORCHESTRATOR_LOGS_KEEP_H
#define TWOFOLD_ORCHESTRATOR_LOGS_KEEP_H

#include "orchestrator/app.h"
#include "orchestrator/logs/state.h"

struct logs_job {
    const struct policy *policy;
    const struct vault_conf *conf;
    const struct source_spec *spec; /* of the policy: whose log */
    unsigned interval_ms;
    /* Asked all the time (may be NULL): what is here has changed, and shall be begun again: logs_keep ends with -ERR_BUSY. */
    bool (*changed)(void *ctx);
    void *ctx;
};
/* The source of a policy whose log is followed, and how long what it writes may wait; NULL: none is. */
const struct source_spec *logs_of_policy(const struct policy *p, unsigned *ret_interval_ms);
/* "POLICY/postgresql" */
void logs_source(const char *policy, const char *kind, char out[MAX_FORMAT_NAME + 1]);
/* Never 0: -ERR_INTERRUPTED when it was told to end (all that was acknowledged is durable), else what went wrong. */
int logs_keep(struct app *app, const struct logs_job *j, struct err *e);

#endif
