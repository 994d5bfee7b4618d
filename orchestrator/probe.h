/* probe.h - an agent is asked what the sources of a policy have, and what is missing for a backup of them. */
#ifndef TWOFOLD_ORCHESTRATOR_PROBE_H
#define TWOFOLD_ORCHESTRATOR_PROBE_H

#include "orchestrator/app.h"

/* What it says is shown; *ret_missing: how much of it is missing. Nothing is asked of a policy without sources. */
int probe_sources(struct app *app, const struct policy *pol, const struct vault_conf *conf,
                  uint64_t *ret_missing, struct err *e);
/* While nobody can follow the log of that source: where the server keeps more of it for us than its slot-limit, that is given up and
 * said. Without such a limit nothing is asked. */
void probe_slot(struct app *app, const struct policy *pol, const struct vault_conf *conf,
                const struct source_spec *spec);

#endif
