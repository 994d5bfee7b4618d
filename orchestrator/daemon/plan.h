/*
 * plan.h - which job is to start next, and what becomes of one that ended. Pure: all that counts is handed in, the time
 * too, so that tests can play through nights.
 *
 * A job may start when its time has come (not_before_s), nobody holds it back, the window of its policy is open (backups
 * only), none of the same kind and target runs, and there is room: `jobs` of twofold.yaml over all, `jobs` of its agent
 * (backups), `jobs` of each copy of its vault. Pages take no room. First comes the higher priority, then who waits longer; one
 * that finds no room lets others pass.
 *
 * Of several queued ones of one kind and target only the newest is worth running: a backup now is what all of them asked for.
 */
#ifndef TWOFOLD_ORCHESTRATOR_DAEMON_PLAN_H
#define TWOFOLD_ORCHESTRATOR_DAEMON_PLAN_H

#include "orchestrator/catalog/catalog.h"
#include "orchestrator/daemon/site.h"

struct plan_job {
    uint64_t id;
    enum job_kind kind;
    char target[MAX_NAME + 1], vault[MAX_NAME + 1], agent[MAX_NAME + 1];
    unsigned priority;
    int64_t queued_s, not_before_s;
    bool held;       /* paused, or its policy is */
    bool superseded; /* by plan_order */
};
struct plan_list {
    struct plan_job *jobs; /* owned */
    size_t n, cap;
};
void plan_list_free(struct plan_list *l);
int plan_list_add(struct plan_list *l, const struct job *j, bool held, struct err *e);

/* Into the order in which they are asked, and marks those that a newer one supersedes. */
void plan_order(struct plan_list *queue);
/* Index of the job in the ordered queue that may start now, or -1. *ret_wake_s: when one may at the earliest although
 * nothing else happens; 0: never. */
int plan_next(const struct site *s, const struct plan_list *running, const struct plan_list *queue,
              int64_t now_s, int64_t *ret_wake_s);
/* Took its place among the running ones. */
int plan_started(struct plan_list *running, struct plan_list *queue, size_t i, struct err *e);

/* What a process that ran a job left. */
struct job_outcome {
    int exit_status;                    /* 128 + signal when it was killed */
    bool killed;                        /* by a signal */
    bool stopped;                       /* because we asked it to end */
    bool cancelled;                     /* because somebody cancelled it */
    bool copies_lack;                   /* a backup that did not reach every copy */
    char error_code[32];                /* of the last error; "": none was said */
    char error[2 * ERR_TEXT_BYTES + 4]; /* "what: why" */
};
struct job_verdict {
    enum job_state state;
    int64_t retry_at_s;
};
/* tries: with the one that just ended. `chance` is any number: it spreads the retries. May put words into o where the process said
 * none. Busy and stopped ones come back without having used a try (catalog_job_end). */
struct job_verdict plan_after(enum job_kind kind, unsigned tries, unsigned max_tries,
                              struct job_outcome *o, int64_t now_s, uint32_t chance);
/* After that many tries: 1, 5, 15, 30, then 60 minutes, more or less a fifth. */
int64_t plan_backoff_s(unsigned tries, uint32_t chance);

#endif
