/* tree.h - what is done with a whole folder. No symbolic link is followed, no other file system entered. */
#ifndef TWOFOLD_AGENTS_TREE_H
#define TWOFOLD_AGENTS_TREE_H

#include "lib/base/err.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* Also one of the same file system (mount --bind), which has the same number. Kernels before 5.8 do not tell. */
bool tree_is_mount(int dir_fd, const char *name);
/* Called for each entry: dir_fd and name are its place, depth 0 in the folder itself. 1: a folder that is not to
 * be entered. Negative ends the walk. */
typedef int (*tree_fn)(void *ctx, int dir_fd, const char *name, unsigned depth,
                       const struct stat *st, struct err *e);
/* What is in a folder; `after`: it comes behind what is in it. What vanishes meanwhile is passed over. */
int tree_each(int dir_fd, const char *folder, bool after, tree_fn fn, void *ctx, struct err *e);
/* The folder and what is in it; 0 when it is not there. */
int tree_remove(int dir_fd, const char *folder, struct err *e);
/* Everything in it, and itself, to that owner. Nothing where we are not root. */
int tree_give(int dir_fd, const char *folder, const struct stat *owner, struct err *e);

#endif
