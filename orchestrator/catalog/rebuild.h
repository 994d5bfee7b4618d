/*
 * rebuild.h - a catalog made anew from what the copies hold: the newest export of every chain, and what heads, lists and snapshots
 * say. It is built beside and takes the old one's place in one step; the old one is kept as catalog.db.bad-TIME (it was damaged) or
 * catalog.db.old-TIME.
 */
#ifndef TWOFOLD_ORCHESTRATOR_CATALOG_REBUILD_H
#define TWOFOLD_ORCHESTRATOR_CATALOG_REBUILD_H

#include "orchestrator/catalog/export.h"

struct rebuilt {
    uint64_t runs, snapshots, media, holds, alarms, audit, unknown;
    size_t base;      /* of found: whose audit trail goes on; n where there was no export */
    bool was_damaged; /* the one that was there */
    char kept[128];   /* name that it has now; "": there was none */
};
/* A catalog in a new file: `found` (exports_find) may be empty. Returns it open, so that snapshots can be added. */
int rebuild_begin(const struct config_paths *p, const struct vault *v,
                  const struct export_found *found, size_t n, struct catalog **ret,
                  struct rebuilt *result, struct err *e);
/* Closes it and puts it in the old one's place. */
int rebuild_commit(const struct config_paths *p, struct catalog *c, struct rebuilt *result,
                   struct err *e);
/* Closes it and takes it away. */
void rebuild_abort(const struct config_paths *p, struct catalog *c);

#endif
