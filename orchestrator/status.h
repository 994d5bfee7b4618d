/* status.h - what `twofold status` finds out about a vault and its policies, before it is shown. */
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

/* One policy: its newest whole and partial snapshots (borrowed from the vault, NULL: none), against its RPO. */
struct policy_status {
    const struct snap_ref *whole, *partial;
    int64_t age_s; /* of whole */
    bool overdue;  /* also when there is no whole one yet */
    bool future;   /* received later than now: a clock has jumped */
};
void policy_judge(const struct vault *v, const struct policy *pol, int64_t now_ns,
                  struct policy_status *ret);

#endif
