/*
 * snapshot_kit.h - a snapshot in memory for tests of what reads snapshots: chunks in a table, a manifest
 * built with the product's own writer. Everything aborts the test on failure.
 *
 *     struct kit *k = kit_new();
 *     kit_dir(k, "a", 0755);  kit_file(k, "a/f", "hello", 5);  kit_leaf(k);  ...       in path order
 *     const struct snapshot_body *body = kit_finish(k);        struct chunk_source src = kit_source(k);
 *     kit_free(k);
 */
#ifndef TWOFOLD_TESTS_SNAPSHOT_KIT_H
#define TWOFOLD_TESTS_SNAPSHOT_KIT_H

#include "lib/vault/manifest.h"
#include "restore/source.h"

struct kit;
struct kit *kit_new(void);
void kit_free(struct kit *k);
struct id kit_chunk(struct kit *k, const void *p, size_t n); /* stores it */
void kit_add(struct kit *k, const struct entry *en);
/* With mode 0644 or as given, the tests' own owner (1, 2) and mtime 1700000000.123456789. */
struct entry kit_entry(enum entry_type type, const char *path);
void kit_dir(struct kit *k, const char *path, unsigned mode);
void kit_file(struct kit *k, const char *path, const void *p, size_t n); /* one chunk of its own */
void kit_link(struct kit *k, const char *path, const char *target);      /* hard link */
void kit_symlink(struct kit *k, const char *path, const char *target);
/* A file of these extents; len -1 for `data`: from the extent's chunk. Sums its hash. */
struct piece {
    uint64_t len;
    const char *data; /* NULL: a hole */
};
void kit_pieces(struct kit *k, struct entry en, const struct piece *pieces, size_t n);
struct id kit_leaf(struct kit *k);                     /* ends the leaf; returns its id */
struct id kit_index(struct kit *k);                    /* ends the leaf and the index chunk */
const struct snapshot_body *kit_finish(struct kit *k); /* the kit's */
struct chunk_source kit_source(struct kit *k);
/* From now on that chunk cannot be had: -code. */
void kit_lose(struct kit *k, const struct id *id, enum err_code code);
/* Calls fn for every chunk; for tests that put them into a real copy. */
void kit_each(const struct kit *k,
              void (*fn)(void *ctx, const struct id *id, const void *p, size_t n), void *ctx);
unsigned kit_gets(const struct kit *k); /* how many chunks were asked for */

#endif
