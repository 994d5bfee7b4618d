/* backup_job.h - one backup of one policy to all copies of its vault. */
#ifndef TWOFOLD_ORCHESTRATOR_BACKUP_JOB_H
#define TWOFOLD_ORCHESTRATOR_BACKUP_JOB_H

#include "orchestrator/app.h"
#include "orchestrator/publish.h"

struct backup_job {
    const struct policy *policy;
    const struct vault_conf *conf;
    bool quarantine, full, take_over;
    bool as_it_is; /* the policy's checks are not asked */
    /* results */
    struct id snapshot;
    uint8_t state; /* of the snapshot */
    char doubt
        [ERR_TEXT_BYTES]; /* why the policy's checks put it into quarantine; empty: they did not */
    uint64_t files, dirs, others, bytes, bytes_read, bytes_stored, problems;
    uint64_t started_ms, ended_ms;
    struct published published;
    bool
        link_died; /* on failure: another host's agent was at work and cannot be heard any more; what it sent is kept */
};
/* 0: committed in at least conf->min_copies copies (published tells which). Problems of single files were printed. */
int backup_job_run(struct app *app, struct vault *v, struct backup_job *j, struct err *e);

#endif
