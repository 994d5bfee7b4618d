/*
 * folder.h - what folder.c (the verbs) and folder_walk.c (paths, listings, judging of errors) share.
 *
 * Below the root no symbolic link is ever followed, and nothing is said to be absent unless the root's
 * path still leads to the folder that was opened: a disk that was unmounted leaves an empty one behind.
 */
#ifndef TWOFOLD_STORE_FOLDER_H
#define TWOFOLD_STORE_FOLDER_H

#include "lib/store/drivers.h"
#include <sys/stat.h>
#include <sys/types.h>

#define MAX_KNOWN_FOLDERS 1024

struct folder {
    int root;
    char *path;
    dev_t dev;
    ino_t ino;
    bool read_only;
    /* Folders that were seen, and made durable, since this store was opened; only the writer uses it. */
    char *known[MAX_KNOWN_FOLDERS];
    size_t n_known;
};

/* --- paths */
/* The last component; *ret_folder (MAX_STORE_NAME + 1 bytes) gets what is before it, "" for the root. */
const char *folder_split(const char *name, char *ret_folder);
/* A descriptor of a folder below the root ("" is the root itself). `make`: made where it is missing, its
 * entry durable. */
int folder_enter(struct folder *f, const char *path, bool make, struct err *e);
/* -ERR_UNREACHABLE when the path of the root leads elsewhere by now. */
int folder_check_root(const struct folder *f, struct err *e);
/* Whether nothing but lost+found is in it: 1 or 0, or a negative code. */
int folder_is_empty(int dirfd, struct err *e);
/* Makes the folder itself and those above it, durable. */
int folder_make_root(const char *path, struct err *e);

/* --- errors: turn what the system said in `e` into one of the four answers about `name`, and say where */
int folder_read_failed(struct folder *f, const char *name, struct err *e);
int folder_write_failed(struct folder *f, const char *name, struct err *e);
/* -ERR_DAMAGED unless st is a file's. */
int folder_must_be_file(const struct stat *st, struct err *e);

/* --- listings */
/* Calls fn for everything below the prefix that is not a folder and has a name as objects have;
 * st as lstat gives it. A non-zero return ends it. */
typedef int folder_walk_fn(void *ctx, const char *name, const struct stat *st);
int folder_walk(struct folder *f, const char *prefix, folder_walk_fn *fn, void *ctx, struct err *e);

#endif
