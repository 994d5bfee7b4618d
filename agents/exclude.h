/*
 * exclude.h - which paths a policy leaves out.
 *
 * A pattern without '/' is held against the last component of a path ("*.tmp", "node_modules"); one that
 * starts with '/' against the whole path; one with a '/' elsewhere ("a/b") against its last components.
 * '*' and '?' do not match '/', a component "**" matches any number of components, [a-z], [!a-z] and
 * backslash are as in the shell, '?' takes one UTF-8 character. A '/' at the end is ignored. What lies
 * below something excluded is excluded, too.
 *
 * Paths are those of the manifest: absolute, without the leading '/', any bytes. An exclude is only read
 * after it was made, so threads may share it.
 */
#ifndef TWOFOLD_AGENTS_EXCLUDE_H
#define TWOFOLD_AGENTS_EXCLUDE_H

#include "lib/base/err.h"
#include <stdbool.h>
#include <stddef.h>

#define MAX_PATTERN_BYTES 4096

struct exclude;
/* The patterns are copied. -ERR_CONFIG: empty or longer than MAX_PATTERN_BYTES; -ERR_NOMEM. */
int exclude_new(char *const *patterns, size_t n, struct exclude **ret, struct err *e);
void exclude_free(struct exclude *x); /* NULL-safe */
/* Is this very path named by a pattern? For a walk, which does not go below what it leaves out. NULL
 * excludes nothing. */
bool exclude_match(const struct exclude *x, const char *path, size_t len);
/* The same for the path or any folder above it. */
bool exclude_covers(const struct exclude *x, const char *path, size_t len);

#endif
