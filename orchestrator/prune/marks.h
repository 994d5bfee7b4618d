/*
 * marks.h - sets of ids that may be larger than memory: which chunks are still needed, which were moved, which data keys a pack
 * needs. In a temporary SQLite file that goes with the process.
 */
#ifndef TWOFOLD_ORCHESTRATOR_PRUNE_MARKS_H
#define TWOFOLD_ORCHESTRATOR_PRUNE_MARKS_H

#include "lib/base/err.h"
#include "lib/base/id.h"
#include <stddef.h>

struct marks;
int marks_new(struct marks **ret, struct err *e);
void marks_free(struct marks *m); /* NULL-safe */

int marks_add_live(struct marks *m, const struct id *chunk, struct err *e);
int marks_is_live(struct marks *m, const struct id *chunk, struct err *e); /* 1 or 0 */
/* 1: new; 0: it was moved before. */
int marks_add_moved(struct marks *m, const struct id *chunk, struct err *e);
int marks_is_moved(struct marks *m, const struct id *chunk, struct err *e);
void marks_forget_moved(struct marks *m);
/* Pack `pack` (the caller's number) needs this data key / needs none any more / who needs this one? 1 or 0. */
int marks_add_key(struct marks *m, size_t pack, const struct id *key, struct err *e);
int marks_drop_keys(struct marks *m, size_t pack, struct err *e);
int marks_needs_key(struct marks *m, const struct id *key, struct err *e);

#endif
