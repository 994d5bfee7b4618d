/*
 * prune.h - taking backups away that nobody wants any more, and giving their space back, beside everything else that runs
 * (docs/design.md, "Prune"). The recovery key is not needed: what a snapshot reaches stands in lists that the
 * operational key opens, and chunks move as ciphertext.
 *
 *     prune_mark(p, e);       what the snapshots that stay reach; the fate of every pack
 *     prune_doom(p, e);       no run is told from now on that what goes is there; what one was told of stays
 *     prune_move(p, e);       what still lives in packs that are given up goes to new ones, in all copies
 *     prune_commit(p, e);     with the lock: what was committed meanwhile is looked at; then lists, keys, index and
 *                             head without what goes. Until here nothing has changed for anybody
 *     sweep_run(...)          sweep.h: what no head reaches any more is deleted, copy by copy, not before the next prune
 */
#ifndef TWOFOLD_ORCHESTRATOR_PRUNE_PRUNE_H
#define TWOFOLD_ORCHESTRATOR_PRUNE_PRUNE_H

#include "orchestrator/packer.h"
#include "orchestrator/prune/litter.h"
#include "orchestrator/prune/marks.h"
#include "orchestrator/prune/plan.h"
#include "orchestrator/publish.h"

#define PRUNE_SOURCE \
    "prune" /* what its unfinished runs are known by, and the claim that there is one at a time */
/* A pack of which less than this is needed is given up; others too, fullest of waste first, while more than
 * PRUNE_WASTE_PERCENT of all bytes are waste. */
#define PRUNE_LIVE_PERCENT 50
#define PRUNE_WASTE_PERCENT 10

enum pack_fate {
    PACK_STAYS,
    PACK_DROPPED, /* nothing in it is needed */
    PACK_MOVED,   /* what is needed of it goes to a new pack */
    PACK_DAMAGED  /* was to be moved, and no copy has it whole: left alone */
};
struct prune_pack {
    struct object_ref ref;
    uint64_t live_bytes, chunk_bytes; /* of its sealed chunks */
    uint32_t live;                    /* chunks */
    uint8_t fate;
};
/* A reach list that was met, and the one that it builds on (zeros: none). */
struct prune_reach {
    struct object_ref ref;
    struct id base;
};
/* The data key of a snapshot's body; zeros: it could not be read. */
struct prune_body {
    struct id snapshot, key;
};

struct prune {
    struct app *app;
    struct vault *v;
    struct plan_options options;
    uint64_t max_repack_bytes; /* 0: no bound */
    /* what follows from them */
    struct plan *plan;
    struct marks *marks;
    struct litter *litter;
    struct prune_pack *packs; /* by id */
    size_t n_packs;
    struct prune_reach *reach; /* by id */
    size_t n_reach, cap_reach;
    struct prune_body *bodies; /* by id */
    size_t n_bodies, cap_bodies;
    bool bodies_lost; /* a snapshot could not be read: no key is dropped */
    struct fanout *f;
    struct ui_progress progress;
    /* results */
    uint64_t waste_bytes;  /* left in the packs that stay */
    uint64_t moved_bytes;  /* live ones */
    uint64_t packed_bytes; /* of new packs */
    size_t dropped_snapshots, dropped_packs, moved_packs, damaged_packs, dropped_keys;
    uint64_t dropped_pack_bytes;
    bool committed; /* a new head was written */
    struct published published;
};

/* Needs plan; fills marks, packs, reach and bodies. */
int prune_mark(struct prune *p, struct err *e);
int prune_doom(struct prune *p, struct err *e);
int prune_move(struct prune *p, struct err *e);
int prune_commit(struct prune *p, struct err *e);
void prune_done(struct prune *p);

/* --- shared among the files of this folder -------------------------------------------------------------------------- */
int prune_fanout(struct vault *v, struct fanout **ret,
                 struct err *e); /* to all copies that answer */
struct prune_pack *prune_find_pack(const struct prune *p, const struct id *id);
void prune_tell(struct prune *p, const char *phase, uint64_t done, uint64_t total);
/* The snapshot's list, and those it builds on, are known afterwards. */
int prune_know_reach(struct prune *p, const struct object_ref *ref, struct err *e);
const struct prune_reach *prune_find_reach(const struct prune *p, const struct id *id);
int prune_know_body(struct prune *p, const struct object_ref *snapshot, struct err *e);
bool prune_gone(const struct prune_pack *pk); /* dropped or moved */
/* The id of everything that a pack holds and that nobody needs. */
typedef int prune_dead_fn(void *ctx, struct prune_pack *pk, const struct id *chunk, struct err *e);
int prune_each_dead(struct prune *p, prune_dead_fn *fn, void *ctx, struct err *e);

#endif
