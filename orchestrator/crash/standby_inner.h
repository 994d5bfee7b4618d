/* standby_inner.h - what standby.c (the steps) and standby_serving.c (who serves, what was stated) share. */
#ifndef TWOFOLD_ORCHESTRATOR_CRASH_STANDBY_INNER_H
#define TWOFOLD_ORCHESTRATOR_CRASH_STANDBY_INNER_H

#include "orchestrator/crash/standby.h"

const char *standby_agent(const struct standby *s, enum pair_host h);
/* One of failback.h's steps, with its intent and its outcome. */
int standby_micro(const struct standby *s, enum failback_step step, struct err *e);
/* Whether a person answered that gate with yes or override since the last intent of `since`. */
bool standby_stated(const struct incident *inc, const char *gate, enum failback_step since);

#endif
