/*
 * judge.h - whether a drill was passed: a pure function of what was measured. A drill fails for each reason by name, and all of them are
 * said: one that came too late and lost too much has two.
 */
#ifndef TWOFOLD_ORCHESTRATOR_DRILL_JUDGE_H
#define TWOFOLD_ORCHESTRATOR_DRILL_JUDGE_H

#include "orchestrator/restore_run.h"

enum drill_reason {
    DRILL_COPY_DAMAGED, /* a copy has damage, also where another one stood in for it */
    DRILL_LOG_BROKEN, /* its log is damaged in every copy, or a piece of it is missing: it ends before its time */
    DRILL_NOT_RESTORED, /* nothing could be restored */
    DRILL_IN_PART,      /* files are missing */
    DRILL_NOT_STARTED,  /* the database does not start on it, or its programs do not */
    DRILL_CHECK_FALSE,  /* a check of it is wrong */
    DRILL_FILES_DIFFER, /* files are not as they were recorded */
    DRILL_OLDER,        /* the newest backup could not be restored, an older one was */
    DRILL_OVER_RTO,
    DRILL_OVER_RPO,
    DRILL_STOPPED, /* by a signal */
    DRILL_REASONS
};
const char *drill_reason_name(enum drill_reason r);  /* "over-rto" */
const char *drill_reason_words(enum drill_reason r); /* translated */

struct drill_measured {
    int64_t started_s, verified_s; /* verified 0: it never was */
    int64_t rto_ms;                /* from the start to verified */
    int64_t recovered_to_s;        /* what was done until then is in it; 0: not known */
    uint64_t max_rto_s, max_rpo_s; /* 0: not judged */
    enum restore_end end;          /* of the last attempt */
    unsigned attempts;
    uint64_t damaged; /* chunks, and objects of the log, that were damaged or missing in a copy */
    uint64_t damaged_logs;    /* of these: objects */
    bool log_gap, log_broken; /* the log does not go on; its driver says that it is for damage */
    uint64_t missing, differ; /* files */
    unsigned checks, wrong;   /* checks of databases; of these: wrong */
    bool no_start;            /* among these that a server starts */
    bool stopped;
};
/* What is lost when it is all lost at the drill's start; -1: not known. */
int64_t drill_rpo_s(const struct drill_measured *m);
/* Bits 1 << enum drill_reason; 0: passed. */
unsigned drill_judge(const struct drill_measured *m);
/* Of a failed one: 4 for damage and wrong checks, 130 when it was stopped, else 1. 0: passed. */
int drill_status(unsigned reasons);
/* What the driver's words in a restore's facts say: checks, and how far all that the policy backs up was recovered (recovered.h); what they do
 * not tell of is of recovered_to_s, the time of the backup. */
void drill_take_facts(const json_t *facts, const struct policy *pol, struct drill_measured *m);

#endif
