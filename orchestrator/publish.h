/*
 * publish.h - how a run becomes part of the vault (docs/format.md, rules 2, 3, 6 and 7). The state in the opened vault is
 * changed step by step, and each step puts its objects to the copies; the head comes last and is the commit. A
 * process that ends before leaves litter, never half a snapshot.
 *
 *     publish_begin(v, take_over, e);                  may this orchestrator write here?
 *     fanout_new(...);
 *     publish_settle(v, f, e);                         what a killed run left is adopted
 *     publish_key(v, f, &data_key, e);                 before the first pack that needs it
 *     … packer_add …, packer_finish
 *     publish_index(v, f, e);
 *     publish_snapshot(v, f, source, &snapshot, ids, n, &id, e);
 *     publish_head(v, f, &result, e);
 */
#ifndef TWOFOLD_ORCHESTRATOR_PUBLISH_H
#define TWOFOLD_ORCHESTRATOR_PUBLISH_H

#include "orchestrator/fanout.h"
#include "orchestrator/transfer.h"
#include "restore/vault.h"

#define MAX_LOOSE_OBJECTS \
    32 /* keys and index objects that a head names before they are put together */
#define MAX_PENDING_KEYS 32 /* data keys that killed runs left, with packs that can be adopted */
#define MAX_INDEX_OBJECT_CHUNKS 500000u /* some 30 MiB */
#define MAX_REACH_PART 1500000u         /* ids in one reach list */

/* -ERR_REFUSED: the newest head is another orchestrator's; -ERR_ROLLBACK: every copy shows less than was seen before. Both
 * are passed over with take_over (and said by the caller). Also sweeps tmp/ of all copies. */
int publish_begin(struct vault *v, bool take_over, struct err *e);
/* Packs that an earlier run stored and did not commit: kept where a copy has them (and brought to the others), else
 * forgotten. */
int publish_settle(struct vault *v, struct fanout *f, struct err *e);
int publish_key(struct vault *v, struct fanout *f, const struct data_key *k, struct err *e);
/* An index object of all pending packs, when there are any. */
int publish_index(struct vault *v, struct fanout *f, struct err *e);
/* Takes no ownership. s->reach is filled. ids: ascending, distinct, all of them known to the index (-ERR_DAMAGED
 * otherwise: "the snapshot needs a chunk that the vault does not hold"). */
int publish_snapshot(struct vault *v, struct fanout *f, const char *source, struct snapshot *s,
                     const struct id *ids, size_t n, struct id *ret_id, struct err *e);

struct published {
    uint64_t generation;
    size_t n_current; /* copies that have the new head */
    bool current[MAX_COPIES];
    struct err problem[MAX_COPIES]; /* why one has not; code ERR_NONE for those that have */
    struct caught_up caught_up[MAX_COPIES];
};
/* Flushes, then puts the head to every copy that has everything; copies that were behind are caught up first. Fails (and
 * nothing is committed) only when no copy could take it. With nothing new and one tip it only catches up. */
int publish_head(struct vault *v, struct fanout *f, bool changed, transferred_fn *fn, void *ctx,
                 struct published *ret, struct err *e);

#endif
