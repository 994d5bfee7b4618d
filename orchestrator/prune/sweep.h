/*
 * sweep.h - the second phase: objects that no head reaches are deleted, copy by copy (docs/format.md, rules 9 to 11).
 *
 * An object is deleted from a copy only when
 *   - the vault has one tip, and the copy holds it as its newest head, and no head on the copy is damaged;
 *   - that head does not reach it, and no run of this orchestrator has it pending;
 *   - it was noted as litter by an earlier run, since a generation before the newest: so the newest head and the one before
 *     it are both whole without it;
 *   - every other process of this orchestrator that has the vault open works from a head that does not reach it;
 *   - no head of another orchestrator has appeared on any copy since the copies were listed (looked at every two seconds);
 *   - and, where it was found and not taken out by a prune (a killed run's, or another orchestrator's), the note is
 *     SWEEP_STRAY_S and two generations old.
 * Heads that reach something of it go first, then snapshots and lists, index, keys, packs. What is not yet due is noted. A
 * copy that is away, behind or in doubt is left alone: its turn comes when it is current again, by the same notes.
 */
#ifndef TWOFOLD_ORCHESTRATOR_PRUNE_SWEEP_H
#define TWOFOLD_ORCHESTRATOR_PRUNE_SWEEP_H

#include "orchestrator/prune/litter.h"
#include "orchestrator/ui.h"
#include "restore/vault.h"

#define SWEEP_STRAY_S (7 * 86400)
#define SWEEP_ASIDE_S (30 * 86400) /* what a repair replaced, in aside/ */

struct swept_copy {
    bool swept;         /* looked at, and all that was due is gone (or, in a dry run, would be) */
    struct err problem; /* why not; code ERR_NONE for a copy that is only not its turn */
    char waits[ERR_TEXT_BYTES];  /* why nothing was due here; empty: nothing kept it */
    uint64_t objects, bytes;     /* deleted */
    uint64_t later, later_bytes; /* due at a later prune */
    uint64_t aside_bytes;        /* of `bytes`: of old repairs */
};
struct swept {
    struct swept_copy copies[MAX_COPIES];
    char holder[128]; /* a process that keeps things from being deleted; empty: none */
};
struct sweep_options {
    bool dry_run; /* nothing is deleted or noted; the vault need not be open for writing */
    struct ui *ui;
};
/* Takes the vault's lock for a moment. Fails only when nothing could be done anywhere. */
int sweep_run(struct vault *v, struct litter *l, const struct sweep_options *o, struct swept *ret,
              struct err *e);

#endif
