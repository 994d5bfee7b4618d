/* status_view.h - what `twofold status` shows of the facts: cmd_status.c collects and judges, status_print.c and status_json.c show. */
#ifndef TWOFOLD_ORCHESTRATOR_STATUS_VIEW_H
#define TWOFOLD_ORCHESTRATOR_STATUS_VIEW_H

#include "orchestrator/app.h"
#include "orchestrator/watch/summary.h"

#define MANY_POLICIES \
    10 /* that are well: more are counted, unless they are named or all are asked for */

struct status_view {
    struct app *app;
    const struct facts *f;
    const struct findings *fs;
    struct site_sum sum;
    const char *vault; /* only this one; NULL: all */
    bool all;          /* every policy by itself */
};
bool status_shows_vault(const struct status_view *v, const struct vault_fact *vault);
void status_print(const struct status_view *v);
/* One object for each policy and copy (for each copy where a vault has no policy to show), then findings, alarms, the scheduler,
 * and a summary. */
void status_json(const struct status_view *v);

#endif
