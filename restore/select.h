/*
 * select.h - which entries of a snapshot are wanted: struct select of reader.h made ready for matching.
 * Shared by reader_each and reader_export.
 */
#ifndef TWOFOLD_RESTORE_SELECT_H
#define TWOFOLD_RESTORE_SELECT_H

#include "restore/reader.h"
#include <locale.h>

struct wanted {
    char *path; /* as in entries: no leading '/'; owned */
    size_t len;
    bool outermost; /* not at or below another one */
};
struct selection {
    struct wanted *paths; /* sorted by path_cmp; none: everything is wanted */
    size_t n_paths;
    const char *name; /* borrowed */
    locale_t bytes;   /* the C locale, for names that are not text in the user's */
    struct wbuf scratch;
};
/* -ERR_USAGE: a path with "." or "..". What `sel` points to must live as long; NULL: everything. */
int selection_init(struct selection *s, const struct select *sel, struct err *e);
void selection_done(struct selection *s);
/* Is an entry with this path selected? (ABOVE entries never are; that is the caller's to see.) */
bool selection_has(struct selection *s, const char *path, size_t len);

/* Failures that hide a part of a snapshot but do not keep one from reading on. */
bool reader_lost(int rc);

#endif
