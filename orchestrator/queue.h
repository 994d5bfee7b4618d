/*
 * queue.h - jobs on their way into the queue: what the configuration says about one, its slot, and the bell that wakes
 * twofoldd.
 *
 * The slot is the calendar time that asked for it, in UTC. It is not the time at which a timer fired: a timer is late when the
 * machine was off, or by its random delay, and two orchestrators that are told by two timers are late by different times.
 */
#ifndef TWOFOLD_ORCHESTRATOR_QUEUE_H
#define TWOFOLD_ORCHESTRATOR_QUEUE_H

#include "orchestrator/catalog/catalog.h"

/* Defaults where nobody says when: scrub on Sundays, prune every night, the page in the morning. */
#define SCRUB_SCHEDULE "Sun *-*-* 09:00:00"
#define PRUNE_SCHEDULE "*-*-* 06:10:00"
#define PAGE_SCHEDULE "*-*-* 06:45:00"

#define SLOT_BYTES 64
struct queue_request {
    enum job_kind kind;
    char target[MAX_NAME + 1], vault[MAX_NAME + 1], agent[MAX_NAME + 1], slot[SLOT_BYTES];
    unsigned priority, max_tries;
};
/* target: a policy (backup) or a vault; "" for the only vault, and for a page. slot NULL: asked for by hand, now; "auto": the
 * last time of its schedule; else as it is. */
int queue_prepare(const struct config_paths *p, enum job_kind kind, const char *target,
                  const char *slot, struct queue_request *ret, struct err *e);
/* 1: queued; 0: was there already; *ret_id is its. */
int queue_put(struct catalog *c, const struct queue_request *q, uint64_t *ret_id, struct err *e);

/* The bell: a FIFO in the state's folder, which twofoldd reads. */
char *queue_bell_path(const struct config_paths *p); /* owned; NULL without memory */
bool queue_ring(const struct config_paths *p);       /* false: nobody listens */
bool queue_is_heard(const struct config_paths *p);   /* the same, without a ring */

#endif
