/*
 * idlist.h - a list of chunk ids that an agent sends, ascending and without repeats; a long one lies in a file without a
 * name and is mapped when it is whole.
 */
#ifndef TWOFOLD_ORCHESTRATOR_IDLIST_H
#define TWOFOLD_ORCHESTRATOR_IDLIST_H

#include "lib/base/err.h"
#include "lib/base/id.h"
#include <stddef.h>

#define MAX_REACH_IDS (16u << 20) /* 16 TiB of chunks in one snapshot */

struct idlist;
int idlist_new(const char *spool_dir, struct idlist **ret, struct err *e);
void idlist_free(struct idlist *l); /* NULL-safe */
/* -ERR_PROTOCOL: not above the last one; -ERR_LIMIT: more than MAX_REACH_IDS. */
int idlist_add(struct idlist *l, const struct id *id, struct err *e);
/* No more are added. *ret is borrowed until idlist_free. */
int idlist_finish(struct idlist *l, const struct id **ret, size_t *ret_n, struct err *e);

#endif
