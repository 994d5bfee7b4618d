/* reach.h - the ids of all chunks that a snapshot reaches, from the spool where they were gathered with
 * repeats: sorted in place, without repeats, sent in REACH frames (docs/protocol.md). */
#ifndef TWOFOLD_AGENTS_REACH_H
#define TWOFOLD_AGENTS_REACH_H

#include "agents/spool.h"
#include "lib/base/id.h"
#include "lib/wire/wire.h"

int reach_send(struct spool *ids, struct wire *w, struct err *e);
/* Sorts in place, in memory that does not grow with n; returns how many are left without repeats. */
size_t reach_sort(struct id *ids, size_t n);

#endif
