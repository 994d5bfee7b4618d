/*
 * scan.h - the walk over a source: every entry below its roots once, in the order of the manifest
 * (path_cmp), with one statx per entry. Memory grows with the names of one chain of folders, not with the
 * tree; paths may be longer than PATH_MAX; at most `max_open` descriptors are held, however deep it goes.
 *
 * The walk starts at "/" and goes down to each root: folders on the way are given with `above` set and
 * symbolic links on the way are followed; from a root on none is. A root within another root adds nothing
 * but that it is reached even where the outer root would stop (another file system, an excluded folder).
 * Excludes never apply to a root and to what is above it.
 *
 * Left empty, but for the folder itself: mount points when one_file_system, pseudo file systems (/proc,
 * /sys), the content of folders that CACHEDIR.TAG marks when skip_cache_dirs (the tag itself is given),
 * and the folder skip_dev/skip_ino (where the agent keeps its own state).
 *
 * Trouble with one entry is reported through on_note and the walk goes on.
 */
#ifndef TWOFOLD_AGENTS_SCAN_H
#define TWOFOLD_AGENTS_SCAN_H

#include "agents/exclude.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct scan_stat {
    dev_t dev;
    uint64_t ino, size, blocks; /* blocks of 512 bytes */
    uint32_t mode, uid, gid, nlink, rdev_major, rdev_minor;
    int64_t mtime_s, ctime_s;
    uint32_t mtime_ns, ctime_ns;
    int64_t birth_s; /* 0 where the file system does not say */
    uint32_t birth_ns;
};

struct scan_item {    /* all borrowed for the time of the call */
    const char *path; /* as in the manifest; NUL-terminated */
    size_t path_len;
    int dir_fd;       /* the folder that it is in */
    const char *name; /* there */
    int fd;           /* of a folder that was opened; else -1 */
    bool above;
    const struct scan_stat *st;
};

struct scan_opts {
    char *const *roots; /* absolute paths in any order */
    size_t n_roots;
    const struct exclude *exclude; /* may be NULL */
    bool one_file_system, skip_cache_dirs;
    dev_t skip_dev;
    uint64_t skip_ino; /* 0: none */
    size_t max_open;   /* 0: SCAN_MAX_OPEN */
    /* True: this entry, and what is below it, is left out. May be NULL. */
    bool (*leave_out)(void *ctx, int dir_fd, const char *name, const char *path, size_t len);
    void *leave_ctx;
    bool may_vanish; /* what is listed and then not there is not worth a word */
    /* Negative ends the walk with that code; they fill e. on_note may be NULL. */
    int (*on_entry)(void *ctx, const struct scan_item *it, struct err *e);
    int (*on_note)(void *ctx, bool problem, const char *path, size_t len, const char *text,
                   struct err *e);
    void *ctx;
};
#define SCAN_MAX_OPEN 128

/* -ERR_ABSENT: not one root could be reached. -ERR_CONFIG: a root is not an absolute path. */
int scan_run(const struct scan_opts *o, struct err *e);
/* The same for one place (a folder or a file; links on the way and itself are followed) that is called `name` in the manifest: nothing above
 * it is given, the roots of the options are not looked at. -ERR_ABSENT and the like: the place cannot be opened. */
int scan_place(const struct scan_opts *o, const char *place, const char *name, struct err *e);

/* The metadata behind a descriptor or of a name, as the walk reads it. 0 or -1 with errno. `follow` as
 * usual; automatic mounts are not triggered. */
int scan_stat_at(int dir_fd, const char *name, bool follow, struct scan_stat *ret);
int scan_stat_fd(int fd, struct scan_stat *ret);

#endif
