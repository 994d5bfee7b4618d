/* manifest_impl.h - the rules for entries that the writer and the reader of leaves share.
 * docs/format.md, "Manifest". */
#ifndef TWOFOLD_VAULT_MANIFEST_IMPL_H
#define TWOFOLD_VAULT_MANIFEST_IMPL_H

#include "lib/vault/manifest.h"

#define LEAF_MAGIC 'L'
#define STATE_MAGIC 'S'
#define LEAF_VERSION 1
#define MAX_FILE_BYTES (UINT64_C(1) << 60)
#define MAX_XATTRS (1u << 16) /* of one entry */
#define MAX_XATTR_NAME_BYTES 255
#define MAX_MTIME_NS 999999999u

enum { EXTENT_HOLE = 1, EXTENT_FOLLOWS = 2, EXTENT_SHIFT = 2 };

/* A file whose extents are not all there yet: its continuations must come next. */
struct open_file {
    bool open;
    bool left_known; /* not where the leaf began with a continuation */
    bool paged;
    uint64_t left; /* bytes still to be covered */
};

/* Flags that an entry of this type may have in a leaf of a snapshot. */
unsigned entry_allowed_flags(enum entry_type type);
/* Checks all but the path and its order; keeps book in `of`. NULL, or what is wrong
 * (translated). */
const char *entry_check(const struct entry *en, struct open_file *of);
/* path_ok for a path whose first `known` bytes began another one that was ok. */
bool path_tail_ok(const char *path, size_t known, size_t len);
/* How many leading bytes the two have in common. */
size_t common_prefix(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
