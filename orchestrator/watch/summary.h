/* summary.h - facts and findings put into one verdict, for `status` and the page: is everything backed up twice? */
#ifndef TWOFOLD_ORCHESTRATOR_WATCH_SUMMARY_H
#define TWOFOLD_ORCHESTRATOR_WATCH_SUMMARY_H

#include "orchestrator/watch/findings.h"

#define PLACES_WANTED 2 /* PY-DB-1 */

struct policy_sum {
    size_t places; /* copies that have its newest whole backup, as far as is known */
    bool overdue;  /* also when there is no whole one yet */
    bool own;      /* wrong with this policy itself, not only with its vault or a copy */
    bool log;      /* the log of its database is not kept as it shall be */
    bool future;   /* received later than now: a clock has jumped */
    bool
        attention; /* overdue, in too few places, or something of it, of its vault or of a copy is wrong */
    int rank; /* for sorting: higher is worse; 0: well */
};
void policy_sum(const struct facts *f, const struct findings *fs, const struct policy_fact *p,
                struct policy_sum *ret);

/* A carried copy that is not here but was up to date lately: as it should be. */
bool copy_carried(const struct facts *f, const struct copy_fact *c);
/* Something about this copy needs somebody. */
bool copy_attention(const struct facts *f, const struct copy_fact *c);
/* "current", "behind by 3 generations", "carried; up to date 3 days ago": what to show. Returns out. */
const char *copy_words(const struct facts *f, const struct copy_fact *c, char out[200]);

struct site_sum {
    size_t policies, attention; /* of those selected */
    size_t
        others; /* things that need attention and are no policy's: copies, vaults, the scheduler … */
};
void site_sum(const struct facts *f, const struct findings *fs, struct site_sum *ret);
/* "All 12 policies are backed up in 2 or more places." Owned. */
char *site_verdict(const struct site_sum *s);
/* Order of selected policies, the worst first, then by name. Owned array of indexes; *ret_n of them. */
size_t *policies_by_rank(const struct facts *f, const struct findings *fs, size_t *ret_n);

#endif
