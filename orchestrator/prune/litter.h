/*
 * litter.h - notes of objects that no head reaches any more: since which generation, and since when. In STATE/<vault>/litter.db,
 * SQLite with full sync: an object is deleted only on the strength of a note that an earlier run has written. Without the file
 * everything that no head reaches is noted anew, and waits longer.
 */
#ifndef TWOFOLD_ORCHESTRATOR_PRUNE_LITTER_H
#define TWOFOLD_ORCHESTRATOR_PRUNE_LITTER_H

#include "lib/vault/objects.h"

struct litter_note {
    enum object_type type;
    struct object_ref ref;
    uint64_t generation; /* of the first head that is known not to reach it */
    int64_t since_s;
    bool named; /* a prune took it out of a head; else it was found and nobody knows whose it is */
    uint64_t run; /* the session that wrote the note */
};

struct litter;
/* read_only: nothing is made or changed, and no file is no notes. */
int litter_open(const char *state_dir, bool read_only, struct litter **ret, struct err *e);
void litter_close(struct litter *l); /* NULL-safe */
/* All notes, by type and id; borrowed until the next call that changes them. */
int litter_all(struct litter *l, const struct litter_note **ret, size_t *ret_n, struct err *e);
/* Between these two changes are one: litter_finish keeps them when rc is 0, and returns rc or why it could not. */
int litter_begin(struct litter *l, struct err *e);
int litter_finish(struct litter *l, int rc, struct err *e);
/* Notes an object, or notes it anew. */
int litter_put(struct litter *l, const struct litter_note *n, struct err *e);
int litter_drop(struct litter *l, enum object_type type, const struct id *id, struct err *e);
/* Those of this run became unreached with this generation. */
int litter_date(struct litter *l, uint64_t run, uint64_t generation, struct err *e);

#endif
