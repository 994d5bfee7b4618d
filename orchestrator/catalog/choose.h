/* choose.h - which vault a command of the catalog works on. */
#ifndef TWOFOLD_ORCHESTRATOR_CATALOG_CHOOSE_H
#define TWOFOLD_ORCHESTRATOR_CATALOG_CHOOSE_H

#include "orchestrator/app.h"

/* --vault NAME, or the only one. --copy URL: the configured vault that has this copy, of which then only that one is asked (*ret_only
 * is its index, else -1), with the operational key; where none is configured, the copy alone, with the passphrase. Read-only. */
int catalog_choose_vault(struct app *app, const struct vault_choice *c, struct vault **ret,
                         int *ret_only, struct err *e);

#endif
