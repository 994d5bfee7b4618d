/*
 * linktable.h - which name stands for an inode: (a, b) → path, as hard links need it on both ways. A table
 * on disk that is mapped, so its size does not count as memory; made when the first pair is added. For
 * one thread.
 */
#ifndef TWOFOLD_AGENTS_LINKTABLE_H
#define TWOFOLD_AGENTS_LINKTABLE_H

#include "lib/base/err.h"
#include <stddef.h>
#include <stdint.h>

struct linktable;
/* dir_fd: the folder for its files; borrowed until linktable_free. NULL: no memory. */
struct linktable *linktable_new(int dir_fd);
void linktable_free(struct linktable *t); /* NULL-safe */
/* 1: found, *ret_path borrowed until the next call (NUL-terminated, any bytes but NUL); 0: not there. */
int linktable_find(struct linktable *t, uint64_t a, uint64_t b, const char **ret_path,
                   size_t *ret_len, struct err *e);
/* The pair must not be there yet. */
int linktable_add(struct linktable *t, uint64_t a, uint64_t b, const char *path, size_t len,
                  struct err *e);

#endif
