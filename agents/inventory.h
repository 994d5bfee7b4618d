/*
 * inventory.h - the manifest being written. Entries come in path order; one whose chunks have no ids yet
 * waits in a bounded line, and those behind it wait with it. Then each goes into the leaf of the snapshot
 * and into the leaf of the state; full leaves become chunks, and those are listed in index chunks.
 * For one thread.
 */
#ifndef TWOFOLD_AGENTS_INVENTORY_H
#define TWOFOLD_AGENTS_INVENTORY_H

#include "agents/feed.h"
#include "agents/state.h"

struct inventory_opts {
    struct pipeline *p;
    struct spool *reach; /* gets the ids of all chunks that the snapshot uses, with repeats */
    struct state_writer *state; /* borrowed; may be NULL */
};

struct inventory;
int inventory_new(const struct inventory_opts *o, struct inventory **ret, struct err *e);
void inventory_free(struct inventory *x); /* NULL-safe */
/* Whose open chunk may have to be cut, so that entries do not wait for it for ever. */
void inventory_set_feed(struct inventory *x, struct feed *f);
/* en->extents are used, or where pieces is given these instead. Everything is copied. */
int inventory_add(struct inventory *x, const struct entry *en, const struct piece *pieces,
                  size_t n_pieces, struct err *e);
/* Moves what is ready out of the line. Does not wait. */
int inventory_advance(struct inventory *x, struct err *e);
/* Waits for everything and writes the last leaves and index chunks (they are submitted, not yet sent). The
 * list is the entries' own. */
int inventory_finish(struct inventory *x, const struct body_index **ret_index, size_t *ret_n,
                     uint64_t *ret_entries, struct err *e);
/* 0, or why the state could not be written (then it was given up; the snapshot is none the worse). */
int inventory_state_error(const struct inventory *x, struct err *e);

#endif
