/*
 * spool.h - bytes that are gathered during a run and may not fit in memory: an append-only file without a
 * name, behind a small buffer. It is only made when the buffer is full, so small runs touch no disk; it is
 * gone when the process is. For one thread.
 */
#ifndef TWOFOLD_AGENTS_SPOOL_H
#define TWOFOLD_AGENTS_SPOOL_H

#include "lib/base/err.h"
#include <stddef.h>
#include <stdint.h>

struct spool;
/* dir_fd: the folder to make it in; borrowed until spool_free. NULL: no memory. */
struct spool *spool_new(int dir_fd);
void spool_free(struct spool *s); /* NULL-safe */
uint64_t spool_len(const struct spool *s);
int spool_add(struct spool *s, const void *p, size_t n, struct err *e);
/* Exactly n bytes at off, which must be there. */
int spool_read(struct spool *s, uint64_t off, void *p, size_t n, struct err *e);
/* All of it, writable (changes may or may not reach the file); until the next call. For length 0, NULL. */
int spool_map(struct spool *s, void **ret, size_t *ret_len, struct err *e);
/* Length 0 again; the file is given back. */
int spool_reset(struct spool *s, struct err *e);

/* A file without a name in the folder: the descriptor, or negative. */
int spool_file(int dir_fd, struct err *e);

#endif
