/*
 * restore_run.h - a restore as one function: what is asked for goes in, what came of it comes out. `twofold restore` prints it, the crash
 * procedure and drills judge it.
 *
 *     struct restore_request q = { .policy = "billing", .db = { .in_place = true, .verify = "" } };
 *     struct restore_outcome o;
 *     rc = restore_run(app, &q, &o, e);      notes and progress are printed while it runs
 *     restore_end_of(rc, &o)                 in one word
 *     restore_outcome_done(&o);              also after a failure
 *
 * What drivers say of it for programs is in o.facts, an object of lists, each in the order in which it was said:
 *
 *     "recovered"  of a database with a log: kind, system, position (the last of the log that is replayed), last_commit (position),
 *                  last_commit_at, backup_end_at, known_at (up to then the kept log is known), expected_at (asked for; 0: the end),
 *                  beyond (there is more, and it was not wanted), gap (why the log does not go on; ""), damaged (that is because
 *                  what is kept of it is damaged, or a piece of it is missing), salvaged (an object: folder,
 *                  bytes, complete: it came to the end that the server itself wrote, lost: what could not be taken; null: no scene was
 *                  named); times are seconds since 1970, with a fraction
 *     "check"      of a verification: kind, name (started, reached, databases, sums, tables, sql, stopped; of a scan: scan), ok, text
 *     "changed"    of files in place: change (A, D, M, m, T as in diff), path
 */
#ifndef TWOFOLD_ORCHESTRATOR_RESTORE_RUN_H
#define TWOFOLD_ORCHESTRATOR_RESTORE_RUN_H

#include "orchestrator/restore_db.h"
#include "orchestrator/restore_job.h"

struct restore_request { /* all borrowed */
    struct vault_choice choice;
    struct vault *vault; /* opened by the caller, with its recovery key; NULL: opened by `choice` */
    const struct policy *conf; /* with `vault`: the policy, or NULL */
    const char *policy;
    const char *to;                        /* a folder; NULL: db.in_place */
    const char *snapshot, *at, *from, *on; /* on: another agent's host; NULL: this one */
    bool overwrite, delta, set_aside, strip, no_logs;
    bool
        with_logs; /* with `snapshot`: what is kept of its log is replayed behind it all the same, to its end */
    char **paths; /* only these */
    size_t n_paths;
    struct db_options db; /* what the policy says of sources is filled in */
    /* In place: only files that are not right are replaced; what was changed, is missing, or is there and not in the backup is told
     * (facts: "changed"). With set_aside the last goes out of the way, too. */
    bool changed_only;
    /* With db.verify: what a check finds wrong is a failure, and nothing is put into service. */
    bool strict;
    /* In place: what earlier attempts brought and did not put into service is taken away first. */
    bool clear;
    /* A command of the policy, run on that host before what was restored is put into service, with the folder where it lies as its last
     * word. When it does not end with 0, the restore has failed. NULL: none. */
    char *const *scan;
    size_t n_scan;
    unsigned scan_limit_s;
};

struct restore_copy {
    char place[MAX_FORMAT_NAME + 1];
    bool used;                          /* it was there, and no other vault's */
    uint64_t chunks, bytes, chunks_bad; /* bytes: sealed; bad: damaged or missing there */
    uint64_t logs_bad;                  /* objects of its log, damaged or missing there */
    uint64_t us;                        /* how long they took to read */
    uint64_t speed;                     /* bytes a second; 0: not known */
    unsigned late;                      /* how often it failed, or did not answer in time */
};

struct restore_outcome {
    char vault[MAX_FORMAT_NAME + 1];
    char *target;  /* owned; NULL: it did not get so far */
    bool database; /* in place: a database was put back, and its server is to be started */
    bool chosen;   /* the backup is known: */
    struct id snapshot;
    int64_t received_ns;
    unsigned state; /* SNAPSHOT_… */
    struct msg_done done;
    uint64_t problems; /* each was printed, and is in notes */
    /* Chunks that no copy could give: all say that they do not have them whole; one that could not be asked may have them. */
    uint64_t chunks_lost, chunks_away;
    bool older; /* where some are lost: there is an older backup that seems whole: */
    struct id older_id;
    int64_t older_ns;
    struct restore_copy copies[MAX_COPIES];
    size_t n_copies, n_reached;
    uint64_t ms;
    struct err verdict; /* what is not as it was, though it was restored; code ERR_NONE: nothing */
    json_t *notes;      /* owned; {problem, path, text}, up to MAX_RESTORE_NOTES */
    json_t *facts;      /* owned; see above */
};

/* Negative: nothing was put into service. *ret holds what is known in any case. */
int restore_run(struct app *app, const struct restore_request *q, struct restore_outcome *ret,
                struct err *e);
void restore_outcome_done(struct restore_outcome *o);

enum restore_end {
    RESTORE_WHOLE,
    RESTORE_PROBLEMS, /* whole, but not all of it is as it was */
    RESTORE_IN_PART,  /* files are missing: damaged in every copy (o.older: what to try next) */
    RESTORE_CHECK_FAILED, /* what was restored is not right: the server does not start on it, or a check is wrong */
    RESTORE_DAMAGED, /* no copy has all that it takes */
    RESTORE_AWAY, /* what it takes may lie in a copy, or is to go to a host, that cannot be reached; also after files were left out for that alone */
    RESTORE_REFUSED, /* it was not begun: a server runs, there is no room, the command makes no sense */
    RESTORE_STOPPED, /* by a signal */
    RESTORE_BROKEN   /* anything else */
};
enum restore_end restore_end_of(int rc, const struct restore_outcome *o);
const char *restore_end_name(enum restore_end end); /* "check-failed" */

#endif
