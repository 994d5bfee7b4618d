/*
 * next_run.h - when the timers of the policies elapse next. systemd alone says what a calendar expression means: all different
 * expressions are given to one `systemd-analyze calendar`; where that is missing or does not end in time nothing is known.
 */
#ifndef TWOFOLD_ORCHESTRATOR_WATCH_NEXT_RUN_H
#define TWOFOLD_ORCHESTRATOR_WATCH_NEXT_RUN_H

#include "orchestrator/watch/facts.h"

#define MAX_EXPRESSIONS 48 /* different ones that are asked for; sites have a few */
#define NEXT_RUN_MS 2000

/* Fills next_s of selected policies (none for one that is held or has no timer), and bad_schedule. */
void facts_next_runs(struct facts *f);

#endif
