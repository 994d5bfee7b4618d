/*
 * tree_kit.h - for tests of the agent: a temporary folder with a source tree and a state folder in it, small
 * helpers to fill the tree, and a comparison of a captured manifest with what lies there.
 */
#ifndef TWOFOLD_TESTS_TREE_KIT_H
#define TWOFOLD_TESTS_TREE_KIT_H

#include "tests/agent_kit.h"

struct tree {
    char dir[128]; /* holds src/ and state/ */
    char src[160], state[160];
    int fd;          /* of src */
    int open_before; /* descriptors */
    struct ak_vault vault;
};

int tree_setup(void **state);    /* *state: struct tree */
int tree_teardown(void **state); /* fails on descriptors or children that are left */

/* Paths are relative to src. */
void tree_mkdir(const struct tree *t, const char *path);
void tree_file(const struct tree *t, const char *path, const void *p, size_t n);
void tree_text(const struct tree *t, const char *path, const char *text);
void tree_noise(const struct tree *t, const char *path, size_t n,
                unsigned seed); /* does not compress */
/* A run over src, nothing of it racy, compression 3. */
struct ak_run tree_run(const struct tree *t);
/* "<src without the leading slash>/<path>", valid until the next call but seven. */
const char *tree_path(const struct tree *t, const char *path);
const struct entry *tree_entry(const struct tree *t, const struct ak_entries *k, const char *path);

/* The state folder's file with this suffix; "" when there is none. Valid until the next call. */
const char *tree_state_file(const struct tree *t, const char *suffix);

/* Every entry below src is in the manifest with the right metadata and content, and no other. */
void tree_verify(struct tree *t, const struct ak_run *r);

#endif
