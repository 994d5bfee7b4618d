/*
 * drill_conf.h - "drill" of a policy: how often it is tried whether its backups can be restored (PY-8.3, SMX-25, JZ-16: once a year at
 * least), where, and what counts as good enough. A policy without it has drills by hand, once a year.
 *
 *     drill:
 *       every: 365d                      # overdue is an alarm
 *       schedule: "Sat *-*-* 22:00:00"   # when its timer looks whether one is due
 *       on: db2                          # on that agent's host; else on the orchestrator
 *       to: /srv/drill                   # scratch room there, for all of it
 *       from: building-2                 # from this copy alone
 *       lose: machine-room               # as if this copy were gone
 *       max-rto: 2h                      # how long it may take; else the policy's rto
 *       max-rpo: 5m                      # how much may be lost; else the policy's rpo
 */
#ifndef TWOFOLD_POLICIES_DRILL_CONF_H
#define TWOFOLD_POLICIES_DRILL_CONF_H

#include <stdbool.h>
#include <stdint.h>

#define DRILL_EVERY_S ((uint64_t)365 * 86400)
#define DRILL_SCHEDULE "Sat *-*-* 22:00:00"
/* Where nothing is said: not below the state's folder, into which no database's user can go. */
#define DRILL_FOLDER "/var/tmp/twofold-drill"
#define DRILL_FOLDER_ELSEWHERE "/var/lib/twofold/restore/drill" /* what an agent allows by itself */

struct drill_conf {
    bool set;           /* the policy has the section: a timer runs them */
    uint64_t every_s;   /* never 0 */
    char *schedule;     /* owned, as all texts; NULL: DRILL_SCHEDULE */
    char *on;           /* NULL: local */
    char *to;           /* absolute; NULL: the default */
    char *from, *lose;  /* places of copies, or NULL */
    uint64_t max_rto_s; /* 0: the policy's, which may be 0, too: it is measured and not judged */
    uint64_t max_rpo_s; /* 0: the policy's */
};
void drill_conf_done(struct drill_conf *c);
/* The folder: what it says, else the default for that host. */
const char *drill_folder(const struct drill_conf *c, const char *on);
/* Counts as due from then on, given the last one that was passed (0: none, then `since`): a little early, so that a timer that comes
 * only now and then is in time. */
int64_t drill_due_s(const struct drill_conf *c, int64_t passed_s, int64_t since_s);

#endif
