/* inner.h - what the files of a drill share; drill.h is for others. */
#ifndef TWOFOLD_ORCHESTRATOR_DRILL_INNER_H
#define TWOFOLD_ORCHESTRATOR_DRILL_INNER_H

#include "orchestrator/drill/drill.h"
#include "restore/incident/procedure.h"

#define MAX_DRILL_ATTEMPTS 3 /* enough to know whether an older backup would do */

struct drill {
    struct app *app;
    const struct drill_request *q;
    struct drill_outcome *out;
    struct policy *pol;
    struct vault *v;
    struct incident *inc;
    const char *from, *lose, *on; /* as asked for, else as the policy says; on NULL: here */
    bool here;
    int from_at;  /* which copy; -1: all */
    bool made_to; /* the folder around the drill's own is ours, too */
    uint64_t started_ms;
    struct crash_snapshot *snapshots; /* that may be tried, newest first; owned */
    size_t n_snapshots;
    bool
        with_log; /* the first of them is the newest: what is kept of a log is replayed behind it */
    char attempt[16]; /* the folder of the attempt, below out->folder */
};

/* The backup of that id among those of the policy, or NULL. */
const struct snap_ref *drill_find_snap(const struct vault *v, const char *policy,
                                       const struct id *id);
/* Adds a step; takes facts (may be NULL). text may be NULL. */
int drill_note(struct drill *d, const char *step, const char *state, unsigned attempt,
               const char *text, json_t *facts, struct err *e);
/* One attempt: its folder, the restore, and whether what came is what was recorded; writes its steps. -ERR only when that is not possible. */
int drill_attempt(struct drill *d, const struct crash_next *next, struct err *e);
/* What was restored of files against what the backup says: counts in d->out->m. */
int drill_compare(struct drill *d, const struct snap_ref *snap, const char *folder, struct err *e);

#endif
