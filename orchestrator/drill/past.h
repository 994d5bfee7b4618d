/* past.h - what the drills of a policy came to, by their timelines: when the last one was, and when the last that was passed. */
#ifndef TWOFOLD_ORCHESTRATOR_DRILL_PAST_H
#define TWOFOLD_ORCHESTRATOR_DRILL_PAST_H

#include "restore/incident/timeline.h"

#define DRILL_WHY_BYTES 200
struct drill_past { /* times in seconds; 0: none. One that was interrupted counts as none */
    int64_t last_s, passed_s;
    bool failed;               /* the last one was */
    char why[DRILL_WHY_BYTES]; /* of the last one, when it was failed */
    int64_t rto_ms, rpo_s;     /* of the last one that was passed; rpo -1: not known */
};
/* Is it a drill, and has it ended? Then it is taken into ret. */
void drill_past_add(const struct incident *inc, struct drill_past *ret);
/* What two know, of the same policy, together in ret. Of two in one second that which was there first: they come newest first. */
void drill_past_join(const struct drill_past *one, struct drill_past *ret);

#endif
