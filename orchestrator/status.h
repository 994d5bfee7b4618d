/* status.h - what a look at an opened vault tells of its copies and policies, before it is shown (watch/facts.h). */
#ifndef TWOFOLD_ORCHESTRATOR_STATUS_H
#define TWOFOLD_ORCHESTRATOR_STATUS_H

#include "orchestrator/app.h"

#define STATUS_TEXT_BYTES (2 * ERR_TEXT_BYTES)

/* One copy of a vault, judged. */
struct copy_status {
    struct store_space space;
    const char *name; /* "current", "behind", "away", "wrong", "rolled-back", "damaged" */
    char text[160];   /* "behind by 3" */
    char why[STATUS_TEXT_BYTES], next[STATUS_TEXT_BYTES]; /* empty: nothing to say */
    bool bad;                                             /* makes the exit status 3 */
    bool has_space;
    uint64_t damaged_objects; /* noted by scrub, repair or restore, and not mended since */
};
/* Fails only when what was noted about the copy cannot be read. */
int copy_judge(const struct vault *v, size_t i, struct copy_status *ret, struct err *e);

/* The newest whole and partial snapshots of a policy (borrowed from the vault, NULL: none); what is in quarantine does not count. */
void newest_snapshots(const struct vault *v, const char *policy, const struct snap_ref **ret_whole,
                      const struct snap_ref **ret_partial);

#endif
