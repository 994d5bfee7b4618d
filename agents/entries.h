/*
 * entries.h - walks the entries of a snapshot in path order, leaf by leaf, over the wire, and asks
 * for the chunks that will be needed next before they are.
 *
 *     entries_open(fetch, body, set, &en, e);            only leaves that can hold paths of the set
 *     while ((r = entries_next(en, &entry, e)) > 0)
 *         if (r == ENTRIES_GAP) ... e says what is lost; the walk goes on behind it
 *     entries_close(en);
 *
 * Continuations (ENTRY_MORE) are returned as entries of their own. Entries outside of the set are
 * returned, too, where they share a leaf with one that is asked for.
 */
#ifndef TWOFOLD_AGENTS_ENTRIES_H
#define TWOFOLD_AGENTS_ENTRIES_H

#include "agents/fetch_remote.h"
#include "agents/pathset.h"
#include "lib/vault/manifest.h"

struct entries;
/* All are borrowed until entries_close. */
int entries_open(struct fetch *f, const struct snapshot_body *body, const struct pathset *set,
                 struct entries **ret, struct err *e);
void entries_close(struct entries *en); /* NULL-safe */

enum { ENTRIES_GAP = 2 };
/* 1: an entry, borrowed until the next call; 0: the end; ENTRIES_GAP; negative: the wire broke, or
 * there is no memory. */
int entries_next(struct entries *en, struct entry *ret, struct err *e);
/* The entry that entries_next returned last comes once more at its next call. */
void entries_unread(struct entries *en, const struct entry *at);
/* Goes to this path and returns its entry as entries_next does (0: the snapshot has none). Cheap
 * when it lies behind the last one in the same leaf. Only for a walk over everything. */
int entries_find(struct entries *en, const char *path, size_t len, struct entry *ret,
                 struct err *e);

/* Whether content is asked for ahead of need (at first: no). `from`: the chunk about to be used. */
void entries_ahead(struct entries *en, bool on, const struct id *from);
/* Asks for as much as there is room for; to be called now and then. */
void entries_pump(struct entries *en);

#endif
