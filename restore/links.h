/*
 * links.h - what became of files whose first name is not in an archive under that name, so that the hard
 * links after it know where to point.
 */
#ifndef TWOFOLD_RESTORE_LINKS_H
#define TWOFOLD_RESTORE_LINKS_H

#include "lib/base/err.h"
#include <stddef.h>

struct links {
    void *tree;
};
struct link {
    char *target, *name; /* name NULL: the file could not be written */
    size_t target_len, name_len;
};
/* Both are copied; name may be NULL. */
int links_add(struct links *l, const char *target, size_t target_len, const char *name,
              size_t name_len, struct err *e);
/* NULL: nothing is known about that file. */
const struct link *links_find(const struct links *l, const char *target, size_t target_len);
void links_done(struct links *l);

#endif
