/*
 * usable.h - can a snapshot be restored from the copies as they are? Answered from what the copies list, what was noted as damaged,
 * and which chunks are known to be lost; but for the list of what a snapshot reaches, nothing is read, and no recovery key is
 * needed. So a choice among older snapshots takes seconds, where each restore that fails may take an hour. What nobody has
 * looked at yet can still turn out damaged.
 *
 *     struct usable *u;
 *     usable_new(v, -1, &u, e);                    the copies' listings; good for as long as nothing is written
 *     usable_ask(u, snap, &answer, e);             of one
 *     usable_older(u, list, at, &i, &answer, e);   the newest before that which may be restored whole
 *     usable_free(u);
 */
#ifndef TWOFOLD_ORCHESTRATOR_USABLE_H
#define TWOFOLD_ORCHESTRATOR_USABLE_H

#include "restore/vault.h"

enum usable_state { /* from good to bad; a snapshot has the worst of its chunks */
                    USABLE_WHOLE,
                    USABLE_DOUBTFUL, /* it lies only in packs of which parts are damaged; or the list of what is reached cannot be read */
                    USABLE_AWAY,     /* only a copy that cannot be asked may have it */
                    USABLE_LOST
};
#define USABLE_STATES 4

struct usable_answer {
    enum usable_state state;
    uint64_t chunks[USABLE_STATES]; /* how many are in each */
};

struct usable;
/* `only`: one copy, or -1. A copy that cannot list what it has counts as away. */
int usable_new(struct vault *v, int only, struct usable **ret, struct err *e);
void usable_free(struct usable *u); /* NULL-safe */
/* Quick for one that shares most with the one that was asked for last. */
int usable_ask(struct usable *u, const struct snap_ref *s, struct usable_answer *ret,
               struct err *e);
/* In the list, before the one at `at` (l->n: of all): the newest that is whole, else the newest that is doubtful; snapshots that
 * lack files come after those that do not. -ERR_ABSENT: there is none. */
int usable_older(struct usable *u, const struct source_list *l, size_t at, size_t *ret_at,
                 struct usable_answer *ret, struct err *e);

#endif
