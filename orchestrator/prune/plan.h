/*
 * plan.h - which snapshots of a vault go, by the retention of their policies (policies/retention.h), holds, and what runs
 * at this moment build on. Changes nothing.
 */
#ifndef TWOFOLD_ORCHESTRATOR_PRUNE_PLAN_H
#define TWOFOLD_ORCHESTRATOR_PRUNE_PLAN_H

#include "orchestrator/app.h"
#include "policies/retention.h"

struct plan_options {
    const char *policy; /* only this one's; NULL: all */
    const char
        *forget; /* a policy whose file is gone: all of it goes but what is held; NULL: none */
};
struct plan_snap {
    struct snap_ref ref;
    struct retained keep; /* rules 0 and base false: it goes */
    bool base;            /* a run that is under way may build on it */
};
struct plan_source {
    char *source, *policy; /* owned */
    struct plan_snap *snaps;
    size_t n, dropped;
};
struct plan {
    struct plan_source *sources;
    size_t n, kept, dropped;
    const struct plan_snap **by_id; /* all of them */
};
/* -ERR_CONFIG for a policy that cannot be read: nothing is guessed. -ERR_REFUSED: `forget` names one that is there. */
int plan_make(struct app *app, struct vault *v, const struct plan_options *o, struct plan **ret,
              struct err *e);
void plan_free(struct plan *p); /* NULL-safe */
/* The snapshot, or NULL. */
const struct plan_snap *plan_find(const struct plan *p, const struct id *snapshot);
static inline bool plan_goes(const struct plan_snap *s)
{
    return s->keep.rules == 0 && !s->base;
}

#endif
