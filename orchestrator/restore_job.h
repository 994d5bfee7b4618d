/* restore_job.h - what an agent does with a snapshot: writing it to a target, or comparing it with the live tree. */
#ifndef TWOFOLD_ORCHESTRATOR_RESTORE_JOB_H
#define TWOFOLD_ORCHESTRATOR_RESTORE_JOB_H

#include "lib/wire/wire.h"
#include "orchestrator/app.h"

struct restore_job {
    struct vault *v; /* with its recovery key */
    const struct snap_ref *snap;
    const char *agent;
    int from; /* only this copy, or -1 */
    struct msg_restore
        msg; /* mode, target, paths, flags; vault, snapshot and body are filled in here */
    void (*diff)(void *ctx, const struct msg_diff *d);
    void *ctx;
    json_t *notes,
        *facts; /* borrowed; what is said is added to them (restore_run.h); NULL: it is only printed */
    /* results */
    struct msg_done done;
    uint64_t problems; /* files that could not be restored, and the like: each was printed */
    uint64_t served[MAX_COPIES];       /* chunks that each copy delivered, */
    uint64_t served_bytes[MAX_COPIES]; /* and how long they were, sealed */
    uint64_t bad[MAX_COPIES];          /* chunks that were damaged or missing there */
    uint64_t bad_logs[MAX_COPIES];     /* objects of its log that were */
    uint64_t served_us[MAX_COPIES];    /* how long that took */
    uint64_t speed
        [MAX_COPIES]; /* bytes a second, also where it was only asked to know that; 0: not known */
    unsigned late[MAX_COPIES]; /* how often it was put last: it failed, or did not answer in time */
    /* Chunks that no copy could give: those that all say they do not have whole, and those that one may have that could not be asked. */
    uint64_t lost, away;
};
int restore_job_run(struct app *app, struct restore_job *j, struct err *e);
/* The counts of a job go to another one. */
void restore_job_add(struct restore_job *sum, const struct restore_job *j);
/* Adds what an agent says (FRAME_FACTS) to the list of its name; what is too much is not kept. False: it is no object. */
bool facts_take(json_t *facts, const struct msg_facts *m);
#define MAX_KINDS_OF_FACTS 64
#define MAX_FACTS 100000
/* Prints a note, and adds it to j->notes; a problem is counted. */
void restore_job_note(struct app *app, struct restore_job *j, bool problem, const char *path,
                      size_t path_len, const char *text, size_t text_len);
#define MAX_RESTORE_NOTES 1000 /* more are printed, counted, and not kept */

/* diff SNAPSHOT live: prints with diff_print; returns 0, or -ERR_PARTIAL when parts could not be compared. */
int diff_live(struct app *app, struct vault *v, const struct policy *pol,
              const struct snap_ref *snap, struct err *e);

#endif
