/* scan_roots.h - the roots of a walk: made plain, sorted in the order of the manifest, without repeats. */
#ifndef TWOFOLD_AGENTS_SCAN_ROOTS_H
#define TWOFOLD_AGENTS_SCAN_ROOTS_H

#include "lib/base/err.h"
#include <stdbool.h>
#include <stddef.h>

struct root {
    char *path; /* owned; as in the manifest: no '/' in front or at the end; "" is "/" */
    size_t len;
    bool reached, noted; /* the walk came there; told why not */
};

struct roots {
    struct root *all;
    size_t n;
};

/* Cleans ("//", "/./", a '/' at the end), sorts, drops repeats. -ERR_CONFIG: not absolute, or has "..". */
int roots_init(struct roots *r, char *const *paths, size_t n, struct err *e);
void roots_done(struct roots *r);
/* Them as absolute paths again; owned, r->n of them. NULL: no memory. */
char **roots_absolute(const struct roots *r);
void roots_absolute_free(char **paths, size_t n); /* NULL-safe */
/* The roots within a path, itself included: [*ret_lo, *ret_hi). */
void roots_within(const struct roots *r, const char *path, size_t len, size_t *ret_lo,
                  size_t *ret_hi);

#endif
