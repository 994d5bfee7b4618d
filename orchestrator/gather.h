/* gather.h - what status, page, metrics and `alarms check` begin with: the facts, from configuration, catalog and copies. */
#ifndef TWOFOLD_ORCHESTRATOR_GATHER_H
#define TWOFOLD_ORCHESTRATOR_GATHER_H

#include "orchestrator/app.h"
#include "orchestrator/watch/facts.h"

struct gather {
    bool look;         /* at the copies in folders */
    bool remote;       /* and at those on other hosts */
    const char *vault; /* look at this one alone; NULL: at all */
    char **only;       /* policies that are to be shown; n_only 0: all */
    int n_only;
};
/* The time by which everything is judged. In builds with fault points TWOFOLD_NOW says another one. */
int64_t watch_now_s(void);
/* Without a catalog, or with one that cannot be read (a warning), what the copies say remains. *ret_missing: how many of `only` there
 * are not; each was said with ui_error. ret: facts_done, also after a failure. */
int gather_facts(struct app *app, const struct gather *g, struct facts *ret, int *ret_missing,
                 struct err *e);

#endif
