/*
 * child.h - a job at work: a process `twofold --job ID …` under a lease that whoever started it renews.
 *
 *     child_start(&paths, catalog, id, "twofoldd@host", 60, &c, e);       QUEUED → RUNNING
 *     while (!child_ended(c)) {                                           poll on child_fd(c), a tick a second
 *         child_hear(c);                                                  what it says
 *         child_tend(c, catalog, e);                                      its lease; pause, cancel, stop
 *     }
 *     child_settle(c, catalog, &verdict, e);                              RUNNING → what became of it; may be tried again
 *     child_free(c);
 *
 * The process dies with the one that started it. If that is killed, the lease runs out, and catalog_jobs_recover queues the job again:
 * once, since what is done under the old lease is refused.
 */
#ifndef TWOFOLD_ORCHESTRATOR_DAEMON_CHILD_H
#define TWOFOLD_ORCHESTRATOR_DAEMON_CHILD_H

#include "orchestrator/daemon/plan.h"
#include <sys/types.h>

struct child {
    uint64_t job, epoch;
    enum job_kind kind;
    char target[MAX_NAME + 1], vault[MAX_NAME + 1];
    unsigned tries, max_tries; /* tries: with this one */
    struct job_outcome outcome;
    int64_t started_s;
    bool paused;
    /* the rest is child.c's */
    pid_t pid;
    int fd; /* -1: it said all */
    bool ended, fenced;
    unsigned lease_s;
    uint64_t renew_ms, kill_ms;
    char *line; /* of what it prints, as far as it came */
    size_t line_len;
};

/* -ERR_BUSY: the job is not queued any more. When the process cannot be started the job is queued again, for later. */
int child_start(const struct config_paths *p, struct catalog *c, uint64_t job, const char *owner,
                unsigned lease_s, struct child **ret, struct err *e);
int child_fd(const struct child *k); /* -1 when there is nothing to wait for but its end */
void child_hear(struct child *k);    /* never waits */
/* Also sees whether it has ended. An error of the catalog: try again at the next tick; the lease lasts longer than that. */
int child_tend(struct child *k, struct catalog *c, struct err *e);
/* Asks it to end; after grace_ms it is killed. */
void child_stop(struct child *k, unsigned grace_ms);
bool child_ended(const struct child *k);
/* Records how it ended. -ERR_REFUSED: somebody else has the job by now; nothing is recorded. */
int child_settle(struct child *k, struct catalog *c, struct job_verdict *ret, struct err *e);
/* Kills what still runs. NULL-safe. */
void child_free(struct child *k);

/* "cancel/ID": the fact by which a running job is cancelled. "hold/POLICY": nothing of the policy starts. */
#define FACT_BYTES 96
const char *fact_cancel(uint64_t job, char out[FACT_BYTES]); /* return out */
const char *fact_hold(const char *policy, char out[FACT_BYTES]);
bool fact_is_set(struct catalog *c,
                 const char *key); /* false also when the catalog does not answer */

/* Jobs that ended short of a copy are followed by one that catches it up: 1 queued, 0 not needed. */
int child_follow_up(const struct child *k, const struct config_paths *p, struct catalog *c,
                    struct err *e);

#endif
