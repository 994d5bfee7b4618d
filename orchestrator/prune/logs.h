/*
 * logs.h - the part of a prune that deletes what of logs nothing can use any more (orchestrator/logs/old.h says what that is).
 *
 * What is old is decided by the backups that the head names *before* this prune drops some: what they alone needed goes with the next one,
 * as with packs. A forgotten policy's log goes at once. Nothing is deleted while a process works from an older head; nothing on a copy
 * that is away, behind or in doubt; and never the last object of a stream, which says where it ended. A keeper that puts objects together
 * meanwhile loses nothing: what goes here is of no use in whatever object it lies.
 */
#ifndef TWOFOLD_ORCHESTRATOR_PRUNE_LOGS_H
#define TWOFOLD_ORCHESTRATOR_PRUNE_LOGS_H

#include "orchestrator/logs/old.h"
#include "orchestrator/prune/plan.h"

struct prune_logs {
    struct app *app;
    struct vault *v;
    const struct plan_options *o;
    bool dry_run, forgets_all; /* no backup of the policy that is to be forgotten stays */
    uint64_t generation;       /* of the head that it was decided by */
    struct logs_old old;
    struct shelf shelf;
    bool *goes; /* by the shelf */
    /* results, of all copies */
    uint64_t objects, bytes;
    struct err problem[MAX_COPIES];
};
/* Before anything is dropped. */
int prune_logs_choose(struct prune_logs *x, struct err *e);
/* After it. Prints what it does; a copy that fails is in problem. */
int prune_logs_delete(struct prune_logs *x, struct err *e);
void prune_logs_done(struct prune_logs *x);

/* Is there a log of this policy at all? */
bool prune_logs_of(struct app *app, struct vault *v, const char *policy);

#endif
