/*
 * holds.h - snapshots that no prune may drop, whatever the retention says: evidence, an audit, a migration.
 *
 * That one is held stands in the vault itself, as a flag in the list of its source (docs/format.md, "lists"), so it is in every
 * copy, and neither a lost catalog nor a lost orchestrator forgets it. Why and by whom is kept among the vault's facts,
 * and in the catalog, and is told where it is still known. Held is what any of these says.
 */
#ifndef TWOFOLD_ORCHESTRATOR_PRUNE_HOLDS_H
#define TWOFOLD_ORCHESTRATOR_PRUNE_HOLDS_H

#include "restore/vault.h"

#define MAX_HOLD_TEXT 512

struct hold_note {
    int64_t at_s; /* 0: not known */
    char who[MAX_NAME], why[MAX_HOLD_TEXT];
};
/* 1 or 0. `ref` is of one of the vault's lists. */
int hold_is_set(struct vault *v, const struct snap_ref *ref, struct err *e);
/* What is known of why; empty texts where nothing is. */
int hold_note_get(struct vault *v, const struct id *snapshot, struct hold_note *ret, struct err *e);
/* Writes a head, if the list does not say so yet. `note` NULL: no longer held. With the catalog's part left to the caller. */
int hold_set(struct vault *v, const struct id *snapshot, const struct hold_note *note,
             struct err *e);

#endif
