/*
 * findings.h - what is wrong, from what is known: a pure function of the facts, so that a table can test it. Each finding has a
 * key, by which the catalog knows whether it is new (watch.h raises and clears them as alarms), a level, the duty that it is
 * about, and says what to do next.
 *
 * | key                   | when                                                                    | level             |
 * |-----------------------|-------------------------------------------------------------------------|-------------------|
 * | rpo/POLICY            | the newest whole backup is older than the RPO; never one since it is known | warning; critical from twice the RPO on |
 * | clock/POLICY          | the newest backup was received in the future                            | warning           |
 * | run/POLICY            | the last run failed, and none has ended well since                      | warning           |
 * | degraded/POLICY       | the last run missed a copy, and that is not caught up yet               | warning           |
 * | partial/POLICY        | the last run could not read some files                                  | notice            |
 * | drill/POLICY          | the last drill was failed; none was passed for the policy's `every`     | critical; warning |
 * | log/POLICY            | the log of its database is in no copy for longer than 5 min (or its RPO) | warning; critical from an hour on |
 * | log-copy/POLICY/PLACE | a copy that is always there lacks what another has of the log for longer than 15 min | warning  |
 * | log-gap/POLICY        | the log does not go on from before, and no whole backup was begun since | warning; notice for the first one |
 * | log-slot/POLICY       | the server keeps half of slot-limit (10 GiB) of its log for us          | warning           |
 * | agent/NAME            | no run of any of its policies has reached it for longer than a day      | critical          |
 * | copy/VAULT/PLACE      | not current for longer than the vault's smallest RPO                    | warning; critical from twice that on |
 * | medium/VAULT/PLACE    | a rotating copy not current for longer than `every` and a quarter       | warning; critical from twice `every` on |
 * | damage/VAULT/PLACE    | damaged or rolled back                                                  | critical          |
 * | wrong/VAULT/PLACE     | another vault, or none, lies where the copy should                      | warning           |
 * | space/VAULT/PLACE     | less than 10 % free; less than 3 %                                      | warning; critical |
 * | vault/VAULT           | a fork; lost data keys; no copy shows what was seen before              | warning; critical |
 * | scrub/VAULT           | none has ended well for 35 days, or the last failed                     | warning           |
 * | prune/VAULT           | retention is asked for and none has ended well for 14 days, or the last failed or was stopped by the clock | warning |
 * | duty/INCIDENT/DUTY    | a duty of an incident is due soon (restore/incident/duties.h); overdue  | warning; critical |
 * |                       | a corrective action likewise                                            | notice; warning   |
 * | incident/INCIDENT     | its timeline is damaged or cannot be read                               | critical          |
 * | config                | a file of the configuration cannot be read, so what it says is not watched | warning         |
 * | contacts              | the list was not looked through in time                                 | notice            |
 * | scheduler             | twofoldd gives no sign of life (policies have a schedule)               | critical          |
 */
#ifndef TWOFOLD_ORCHESTRATOR_WATCH_FINDINGS_H
#define TWOFOLD_ORCHESTRATOR_WATCH_FINDINGS_H

#include "orchestrator/watch/facts.h"

#define DAY_S 86400
#define AGENT_AWAY_S DAY_S
#define SCRUB_DUE_S (35 * DAY_S)
#define PRUNE_DUE_S (14 * DAY_S)
#define FREE_WARNING_PERCENT 10
#define FREE_CRITICAL_PERCENT 3
#define CLOCK_SLACK_S 300
#define LOG_FOLLOW_S 300
#define LOG_CRITICAL_S 3600
#define LOG_COPY_S 900
#define LOG_KEPT_BYTES (UINT64_C(10) << 30)
#define FIRST_BEAT_S 3600 /* how long a site with schedules may be without its first heartbeat */
#define FINDING_TEXT_BYTES 800

struct finding {
    char key[MAX_INCIDENT_ID + 2 * MAX_NAME];
    enum alarm_level level;
    const char *duty; /* "" */
    char text[FINDING_TEXT_BYTES], next[FINDING_TEXT_BYTES];
    const char *roles;                /* borrowed from the facts; NULL: nobody in particular */
    const struct policy_fact *policy; /* whose it is; NULL: not of one policy */
    const struct copy_fact *copy;     /* NULL: not of one copy */
    const struct vault_fact *vault;   /* NULL: not of one vault */
};
struct findings {
    struct finding *all; /* worst first, then in the order of the table and of names */
    size_t n;
};
void findings_find(const struct facts *f, struct findings *ret);
void findings_done(struct findings *fs);
/* The one under that key, or NULL. */
const struct finding *findings_get(const struct findings *fs, const char *key);

/* How long without a sign of life before the scheduler counts as dead. */
int64_t heartbeat_limit_s(const struct settings *s);
/* How long the copy has not been current, as far as is known; 0: it is. */
int64_t copy_lag_s(const struct facts *f, const struct copy_fact *c);

#endif
