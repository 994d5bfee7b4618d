/* prune_report.h - what `twofold prune` says. */
#ifndef TWOFOLD_ORCHESTRATOR_PRUNE_REPORT_H
#define TWOFOLD_ORCHESTRATOR_PRUNE_REPORT_H

#include "orchestrator/prune/prune.h"
#include "orchestrator/prune/sweep.h"

/* Which snapshots go (and, in a dry run, why the others stay), and what becomes of the packs. */
void report_plan(const struct prune *p, bool dry_run);
/* What was done on each copy. Returns the exit status. */
int report_result(const struct prune *p, const struct vault_conf *conf, const struct swept *swept,
                  bool dry_run);

#endif
