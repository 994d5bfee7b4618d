/* sync.h - the catalog's list of snapshots brought into step with what a vault's newest head says. */
#ifndef TWOFOLD_ORCHESTRATOR_CATALOG_SYNC_H
#define TWOFOLD_ORCHESTRATOR_CATALOG_SYNC_H

#include "orchestrator/catalog/catalog.h"
#include "restore/vault.h"

/* Of `source` ("etc/files"; NULL: of all sources): snapshots that the vault has and the catalog does not know are read and put,
 * those that are gone from the vault are dropped. One that cannot be read now is known by what its list says. generation: of the
 * head that first named the new ones; 0: not known. */
int catalog_sync_snapshots(struct catalog *c, struct vault *v, const char *source,
                           uint64_t generation, struct err *e);

#endif
