/*
 * transfer.h - whole objects from one copy to another: always read back whole and compared with the hash in their name
 * before anything is done with them.
 */
#ifndef TWOFOLD_ORCHESTRATOR_TRANSFER_H
#define TWOFOLD_ORCHESTRATOR_TRANSFER_H

#include "restore/vault.h"

/* A nameless file with the object's right bytes: from the first copy that has them, or, for a pack that is damaged in
 * every copy, put together from the healthy chunks of all of them (`ret_mended`, may be NULL). Returns the descriptor.
 * -ERR_DAMAGED / -ERR_ABSENT: no way to make it; -ERR_UNREACHABLE: a copy that may have it is away. */
int transfer_fetch(struct vault *v, enum object_type type, const struct object_ref *ref,
                   bool *ret_mended, struct err *e);

/* Every object that the vault's state reaches, in write order (docs/format.md, rules 2 and 4): keys, packs, index,
 * snapshots, lists. Pending packs and the heads are left out. */
typedef int reached_fn(void *ctx, enum object_type type, const struct object_ref *ref,
                       struct err *e);
int transfer_each_reached(struct vault *v, reached_fn *fn, void *ctx, struct err *e);

/* What is on a copy, for many questions: one listing. */
struct listing;
int listing_load(struct store *s, const char *prefix, struct listing **ret, struct err *e);
/* True when the object is there with that length (`len` 0: any). */
bool listing_has(const struct listing *l, const struct id *id, uint64_t len);
size_t listing_count(const struct listing *l);
void listing_free(struct listing *l);

/* Rule 5: brings everything that the state reaches and copy `at` lacks; not the head. fn (may be NULL) is told of each
 * object that was copied; `ret` is added to. What is damaged in every copy (but for carried ones that are away) comes as it is, what no copy has is left out:
 * both are noted as damage of that copy and counted in `damaged`. While another copy is away, that may have it, the whole waits. */
typedef void transferred_fn(void *ctx, uint64_t bytes);
struct caught_up {
    uint64_t objects, bytes, damaged;
};
int transfer_catch_up(struct vault *v, size_t at, transferred_fn *fn, void *ctx,
                      struct caught_up *ret, struct err *e);

#endif
