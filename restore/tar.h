/*
 * tar.h - writes the entries of a snapshot as a pax archive (POSIX.1-2008 pax, with the extensions that GNU
 * tar, star and libarchive agree on: SCHILY.xattr, SCHILY.acl, SCHILY.fflags, GNU.sparse 1.0), through
 * libarchive. Names keep their bytes in every locale.
 *
 *     tar_new(fd, &t, e);
 *     for each entry: tar_header(t, &item, e); tar_data and tar_hole until the size is reached;
 *     tar_finish(t, e); tar_free(t);
 *
 * Nothing reaches fd before 64 KiB have come together or tar_finish is called.
 */
#ifndef TWOFOLD_RESTORE_TAR_H
#define TWOFOLD_RESTORE_TAR_H

#include "lib/vault/manifest.h"

struct run { /* a stretch of a file that is not a hole */
    uint64_t off, len;
};

struct tar_item {
    const struct entry
        *en; /* type and metadata; for ENTRY_HARDLINK the target is taken from below */
    const char *path, *target; /* what to call it, and what a hard link points at */
    size_t path_len, target_len;
    const struct run *runs; /* of a file with holes (all NULL and 0 for one without) */
    size_t n_runs;
    bool sparse;
};

struct tar;
int tar_new(int fd, struct tar **ret, struct err *e); /* fd stays the caller's */
void tar_free(struct tar *t);
/* Ends the entry before and begins this one. */
int tar_header(struct tar *t, const struct tar_item *item, struct err *e);
int tar_data(struct tar *t, const void *p, size_t n, struct err *e);
int tar_hole(struct tar *t, uint64_t n, struct err *e); /* n bytes of the size that are a hole */
/* Ends the archive and writes out what is left. */
int tar_finish(struct tar *t, struct err *e);

#endif
