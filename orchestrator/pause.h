/*
 * pause.h - a running job stands still as long as somebody wishes: JOB_SIGNAL_PAUSE and JOB_SIGNAL_RESUME (job_signals.h), sent by
 * `twofold pause` and `twofold resume` through the scheduler, or by hand. While it stands, the orchestrator takes nothing from
 * its agent, which so comes to a halt, and sends it PAUSE instead of PING; what the copies have been given is still written.
 */
#ifndef TWOFOLD_ORCHESTRATOR_PAUSE_H
#define TWOFOLD_ORCHESTRATOR_PAUSE_H

#include "orchestrator/app.h"

/* From now on these signals are caught, for the whole process; a job that cannot stand still does not call this. */
void pause_catch(void);
bool pause_wanted(void); /* any thread */
/* Returns at once unless somebody wishes it, else when it goes on. 1: it stood still. -ERR_INTERRUPTED. */
int pause_here(struct app *app, struct err *e);

#endif
