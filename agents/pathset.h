/*
 * pathset.h - which paths of a snapshot are asked for. Paths are given as people give them
 * ("/etc/ssh/"); an empty set, or one that holds "/", means everything. Safe to read from several
 * threads but for pathset_hit, which is for one.
 */
#ifndef TWOFOLD_AGENTS_PATHSET_H
#define TWOFOLD_AGENTS_PATHSET_H

#include "lib/base/err.h"
#include <stdbool.h>
#include <stddef.h>

#define MAX_SET_PATHS 65536

struct pathset;
/* The paths are copied, sorted, and those below another are dropped. -ERR_USAGE: one is not
 * absolute or holds an empty, "." or ".." component. */
int pathset_new(char *const *paths, size_t n, struct pathset **ret, struct err *e);
/* What both name: the parts of either that lie within the other. With nothing in common the result
 * holds nothing (pathset_none). */
int pathset_meet(const struct pathset *a, const struct pathset *b, struct pathset **ret,
                 struct err *e);
void pathset_free(struct pathset *s);

bool pathset_all(const struct pathset *s);  /* everything is asked for */
bool pathset_none(const struct pathset *s); /* nothing is */
size_t pathset_count(const struct pathset *s);
/* The i-th in path order, without the leading '/'. */
const char *pathset_at(const struct pathset *s, size_t i, size_t *ret_len);
/* Is this entry (no leading '/') one of the paths or below one? */
bool pathset_holds(const struct pathset *s, const char *path, size_t len);
/* Is it a folder on the way to one of them, itself not asked for? */
bool pathset_above(const struct pathset *s, const char *path, size_t len);
/* Can entries from `first` to `next` (NULL: no end), both counted in, be held or above? */
bool pathset_touches(const struct pathset *s, const char *first, size_t first_len, const char *next,
                     size_t next_len);
/* Are all of them held for certain? */
bool pathset_covers(const struct pathset *s, const char *first, size_t first_len, const char *next,
                    size_t next_len);
/* Remembers that the path that holds this entry was found; the first that never was, or NULL. */
void pathset_hit(struct pathset *s, const char *path, size_t len);
const char *pathset_missed(const struct pathset *s, size_t *from, size_t *ret_len);

#endif
