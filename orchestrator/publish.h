/*
 * publish.h - how a run becomes part of the vault (docs/format.md, rules 2, 3, 6 and 7). The state in the opened vault is
 * changed step by step, and each step puts its objects to the copies; the head comes last and is the commit. A
 * process that ends before leaves litter, never half a snapshot. Other processes may do the same beside it: packs and keys go
 * to the copies without a lock; what a head names is made between vault_lock and vault_unlock.
 *
 *     vault_lock; publish_begin(v, take_over, e); vault_unlock     may this orchestrator write here?
 *     fanout_new(...);
 *     publish_settle(v, f, e);                         what a killed run left is adopted
 *     publish_key(v, f, &data_key, e);                 before the first pack that needs it
 *     … packer_add …, packer_finish, fanout_flush
 *     vault_lock(v, e);                                what others committed meanwhile is built upon
 *     publish_check(v, take_over, e);
 *     publish_index(v, f, e);
 *     publish_snapshot(v, f, source, &snapshot, ids, n, &id, e);
 *     publish_head(v, f, true, …, &result, e);
 *     vault_unlock(v);
 *     publish_replicate(v, f, …, &result, e);          copies that were behind
 */
#ifndef TWOFOLD_ORCHESTRATOR_PUBLISH_H
#define TWOFOLD_ORCHESTRATOR_PUBLISH_H

#include "orchestrator/fanout.h"
#include "orchestrator/transfer.h"
#include "restore/vault.h"

#define MAX_LOOSE_OBJECTS \
    32 /* keys and index objects that a head names before they are put together */
#define MAX_INDEX_OBJECT_CHUNKS 500000u /* some 30 MiB */
#define MAX_REACH_PART 1500000u         /* ids in one reach list */

/* With the lock. -ERR_REFUSED: the newest head is another orchestrator's; -ERR_ROLLBACK: every copy shows less than was seen
 * before. Both are passed over with take_over (and said by the caller). */
int publish_check(const struct vault *v, bool take_over, struct err *e);
/* The same, and sweeps tmp/ of all copies when no other process of this orchestrator writes: there are no drafts but dead ones.
 * (Another orchestrator's are not thought of: rule 7.) */
int publish_begin(struct vault *v, bool take_over, struct err *e);
/* Packs that dead sessions stored and did not commit (of this source first): kept where a copy has them (and brought to the
 * others), else forgotten. Without the lock: reading them back may take long. */
int publish_settle(struct vault *v, struct fanout *f, struct err *e);
int publish_key(struct vault *v, struct fanout *f, const struct data_key *k, struct err *e);
/* With the lock. An index object of all own pending packs, when there are any. */
int publish_index(struct vault *v, struct fanout *f, struct err *e);
/* The same, and no index names these packs any more (ids ascending): those that did are written anew. */
int publish_index_without(struct vault *v, struct fanout *f, const struct id *gone, size_t n,
                          struct err *e);
/* With the lock. Takes no ownership. s->reach is filled. ids: ascending, distinct, all of them known to the index (-ERR_DAMAGED
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
/* With the lock. Flushes, then puts a new head (changed, or to merge a fork) to every copy that has everything; those that are
 * behind are left to publish_replicate, unless no other could take the head. Without changes: the newest head to those that lack
 * it. Fails (and nothing is committed) only when no copy could take it. */
int publish_head(struct vault *v, struct fanout *f, bool changed, transferred_fn *fn, void *ctx,
                 struct published *ret, struct err *e);
/* Without the lock, which it takes at the end: catches up every copy that can be reached and is behind, then gives it the newest
 * head; merges a fork. `ret` goes on from publish_head, or begins as zeros. Why a copy still is not current: ret->problem. */
int publish_replicate(struct vault *v, struct fanout *f, bool take_over, transferred_fn *fn,
                      void *ctx, struct published *ret, struct err *e);
/* Fills in e's next step: what brings a copy back that missed it for this reason. */
int publish_next(struct err *e, const struct err *why);

#endif
