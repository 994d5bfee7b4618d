/*
 * recovered.h - up to which moment a database came back, of the facts of a restore (restore_run.h). The loss statement of the crash procedure
 * and what a drill measures as RPO are counted from it. It may be earlier than the truth, never later:
 *
 *     the log that is kept went on to its end     up to when it is known that the database wrote nothing else (known_at)
 *     it was gone back to a moment on purpose     that moment
 *     a gap, or any other end                     the last commit that came, or the end of the backup: more may be lost, and is counted
 *     of what keeps no log: files, dumps          the backup
 */
#ifndef TWOFOLD_ORCHESTRATOR_RECOVERED_H
#define TWOFOLD_ORCHESTRATOR_RECOVERED_H

#include "policies/config.h"

#include <jansson.h>

struct recovered {
    int64_t to_s;     /* what was committed until then is in it; 0: nobody said */
    int64_t commit_s; /* its last commit, or the end of the backup, where that is later */
    const char *gap;  /* why the log does not go on; "": it does, as far as there is any */
    const json_t *facts;
};
/* A time that a host told; 0: none that can be. */
int64_t recovered_seconds(const json_t *o, const char *key);
/* Of one database; all is borrowed from `one`. */
void recovered_of(const json_t *one, struct recovered *ret);
/* Of all that the policy backs up (NULL: of what the facts tell of) the part that lost most; the log of any may have a gap, which is told
 * in any case. What does not tell of itself is of the time of the backup, backup_s. to_s 0: a database told of no time. */
void recovered_least(const json_t *facts, const struct policy *pol, int64_t backup_s,
                     struct recovered *ret);

#endif
