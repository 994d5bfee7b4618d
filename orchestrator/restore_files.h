/*
 * restore_files.h - a restore in place, of more than one database's folder: which parts a backup has, and the files among them put back to where
 * they were, a job for each root of theirs. What is right already stays; what is in the way is set aside in the folder itself.
 */
#ifndef TWOFOLD_ORCHESTRATOR_RESTORE_FILES_H
#define TWOFOLD_ORCHESTRATOR_RESTORE_FILES_H

#include "orchestrator/restore_run.h"

struct place_root {
    char *path; /* owned; absolute */
    bool folder;
};
struct place_parts {
    const char *kinds[4]; /* databases, which have plans of their own (restore_db.h) */
    size_t n_kinds;
    struct place_root *roots;
    size_t n_roots;
    char **left; /* owned: what has no place: dumps of programs */
    size_t n_left;
};
/* With q->paths only the roots that these are in, and no database. -ERR_REFUSED: the policy does not name a root now, whatever the backup says of
 * where it comes from, or it is "/". */
int place_parts_find(struct vault *v, const struct snap_ref *snap, int from,
                     const struct policy *conf, const struct restore_request *q,
                     struct place_parts *ret, struct err *e);
void place_parts_done(struct place_parts *p);

/* All roots; results are added to those of `sum`. like: the vault, the backup, the agent. */
int files_in_place(struct app *app, const struct restore_job *like, const struct policy *conf,
                   const struct restore_request *q, const struct place_parts *p,
                   struct restore_job *sum, struct err *e);
/* What differs between the backup and what lies below `target` ("/": where it was): printed, and added to like->facts ("changed"). paths: only
 * these. all: also folders that bear the names of what restores set aside, which else are only counted and told. *ret: how much that is. */
int files_changed(struct app *app, const struct restore_job *like, const struct policy *conf,
                  const char *target, char *const *paths, size_t n_paths, bool all, uint64_t *ret,
                  struct err *e);
#endif
