/*
 * meta.h - what a file has beside its content and stat: extended attributes (POSIX ACLs among them, as the
 * kernel's raw values) and inode flags. Read by the system calls themselves: one listxattr tells that there
 * is nothing, which is nearly always so. For one thread.
 */
#ifndef TWOFOLD_AGENTS_META_H
#define TWOFOLD_AGENTS_META_H

#include "lib/vault/manifest.h"

struct meta;
struct meta *meta_new(void); /* NULL: no memory */
void meta_free(struct meta *m);

/* Of an open file or folder (fd >= 0), or of the name in dir_fd itself when fd is -1 (links, pipes, devices).
 * Sorted by name; borrowed until the next call. Returns 0 or the errno of what could not be read (what
 * could is still given); -ERR_NOMEM is negative. */
int meta_xattrs(struct meta *m, int fd, int dir_fd, const char *name, const struct xattr **ret,
                size_t *ret_n);
/* The inode flags worth restoring; 0 where the file system has none. `dev` is where it lies. */
uint32_t meta_fflags(struct meta *m, int fd, uint64_t dev);

#endif
