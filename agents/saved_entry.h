/* saved_entry.h - a copy of an entry that outlives its leaf: all but its extents and sums. */
#ifndef TWOFOLD_AGENTS_SAVED_ENTRY_H
#define TWOFOLD_AGENTS_SAVED_ENTRY_H

#include "lib/vault/manifest.h"

/* NULL: no memory. One block; freed by free(). Path, target and names are NUL-terminated there. */
struct entry *entry_save(const struct entry *en);

#endif
