/* checks.h - does a backup look right? The policy's `checks:` (policies/config.h) say what a right one has. A share that was not
 * mounted, a folder that was emptied by mistake or by somebody: the run reads all there is, and all there is is too little. Such
 * a backup is kept in quarantine: no restore takes it by itself, and it pushes no good one out of the retention. */
#ifndef TWOFOLD_ORCHESTRATOR_CHECKS_H
#define TWOFOLD_ORCHESTRATOR_CHECKS_H

#include "policies/config.h"
#include "restore/vault.h"

/* 1: it does not, and ret_doubt says what is wrong; 0: it does, or nothing is asked. `s` is not in the vault yet; it is compared
 * with the newest good backup of the policy, where there is one that can be read. */
int checks_doubt(struct vault *v, const struct policy *p, const struct snapshot *s,
                 char ret_doubt[ERR_TEXT_BYTES], struct err *e);

#endif
