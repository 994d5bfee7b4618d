/* compare.h - a snapshot against the live tree. The contract is in agents/apply.h; called by
 * agent_restore with a run whose wire, message, body, set, fetch, walks and report are ready. */
#ifndef TWOFOLD_AGENTS_COMPARE_H
#define TWOFOLD_AGENTS_COMPARE_H

#include "agents/restore_run.h"

int compare_run(struct run *r, struct err *e);

#endif
