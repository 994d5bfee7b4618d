/*
 * scan_dir.h - the chain of folders that a walk is in: their descriptors, their sorted names and the path.
 * For agents/scan.c only.
 *
 * The path is that of the folder on top, or of its child last set by dir_stack_name.
 */
#ifndef TWOFOLD_AGENTS_SCAN_DIR_H
#define TWOFOLD_AGENTS_SCAN_DIR_H

#include "agents/scan.h"
#include "agents/scan_roots.h"

struct level {
    int fd; /* -1: closed for the time being */
    dev_t dev;
    uint64_t ino;
    bool above;
    size_t root_next, root_hi; /* above: the roots still to be gone to */
    size_t path_len;
    size_t names_at, slots_at; /* where this level's part of both arenas starts */
    size_t n, next;            /* names */
};

struct dir_stack {
    struct level *levels;
    size_t depth, cap, max_open;
    char *path;
    size_t path_len, path_cap;
    char *names; /* NUL-terminated, one after the other */
    size_t names_len, names_cap;
    size_t *slots; /* offsets of names, sorted within a level */
    size_t slots_len, slots_cap;
    char *buffer; /* for getdents64 */
};

int dir_stack_init(struct dir_stack *d, size_t max_open, struct err *e);
/* What the folder that is pushed first is called, instead of "". */
int dir_stack_begin(struct dir_stack *d, const char *path, struct err *e);
void dir_stack_done(struct dir_stack *d); /* closes what is open */
struct level *dir_stack_top(const struct dir_stack *d);
/* Takes l->fd, also when it fails. The current path becomes the level's. */
int dir_stack_push(struct dir_stack *d, const struct level *l, struct err *e);
/* Reads and sorts the names of the folder on top. 0, errno of reading (with what could be read kept), or
 * -ERR_NOMEM. */
int dir_stack_list(struct dir_stack *d, struct err *e);
bool dir_stack_find(const struct dir_stack *d, const char *name);
void dir_stack_keep_only(struct dir_stack *d, const char *name);
const char *dir_stack_next(struct dir_stack *d); /* the next name on top, or NULL */
/* Appends the name to the path of the folder on top; *ret_name is where it stands there. 1: the path would
 * be too long (then it is that of the folder). */
int dir_stack_name(struct dir_stack *d, const char *name, size_t len, const char **ret_name,
                   struct err *e);
/* Leaves the folder on top; the path becomes that of the one above. 1: that one cannot be opened again
 * (it was moved) and has no more names. */
int dir_stack_pop(struct dir_stack *d);

/* Opens a folder for listing; `path_only` accepts one that can only be passed through. -1 with errno. */
int dir_open(int dir_fd, const char *name, bool follow, bool path_only);
/* Is it on a file system that the kernel makes up? */
bool dir_is_pseudo(int fd);

#endif
