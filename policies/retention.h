/*
 * retention.h - which snapshots of one source stay, and why (`retention:`, `class:` and holds of a policy; requirements
 * PY-SW-1, JZ-5.3). A pure function of its arguments and of the process's time zone.
 *
 * What people who come from restic or Borg expect, and what is so here:
 *   - `daily: 7` keeps the newest snapshot of each of the last seven days *that have one*, not of the last seven days of
 *     the calendar: a source that was switched off for a month loses nothing. Likewise hours, ISO weeks (Monday to
 *     Sunday), months and years. Buckets are those of local time; an hour that a change of the clocks repeats is two.
 *   - The newest of a bucket counts. So the bucket that is not over yet follows the newest snapshot, and what was newest
 *     when it ended stays.
 *   - The rules are counted one by one and a snapshot stays when any of them asks for it (restic's way; in Borg a
 *     snapshot that one rule keeps does not count for the next).
 *   - `within: 14d` counts back from the newest snapshot, not from now: where backups stop, retention stops.
 *   - A snapshot that is partial never takes the place of a whole one. Where a bucket has only partial ones its newest
 *     stays, as long as the rule has not yet all the whole ones it asks for, and no more of them than the rule says.
 *     The newest of all, if it is partial, stays until there is a newer one.
 *   - Those in quarantine are counted by themselves, as if they were of a source of their own.
 *   - Those received later than now (by more than a minute: a clock has jumped) stay, and count for nothing.
 *   - One that was received 1 ns after the one before it was really received earlier than that by the clock, which had been ahead
 *     (orchestrator/publish.c keeps receipt times ascending). Nobody knows when it was: it stays.
 * Above all rules: what is held stays; the newest good snapshot (whole, not in quarantine) stays; and of class `logs`
 * whatever is younger than 92 days (LOGS_FLOOR_S) does, counted like `within`. Logs without a retention of their own
 * have `within: 184d`. Without any rule everything stays.
 *
 * Only receipt times by the orchestrator's clock come in here: what a client says of the time decides nothing.
 */
#ifndef TWOFOLD_POLICIES_RETENTION_H
#define TWOFOLD_POLICIES_RETENTION_H

#include "policies/config.h"
#include <stddef.h>

#define RETENTION_WHY_BYTES 256
#define RETENTION_FUTURE_NS 60000000000LL

enum retention_rule { /* bits: one snapshot may stay for several reasons */
                      KEPT_HOLD = 1,
                      KEPT_LAST_GOOD = 2,
                      KEPT_FLOOR = 4,
                      KEPT_WITHIN = 8,
                      KEPT_LAST = 16,
                      KEPT_HOURLY = 32,
                      KEPT_DAILY = 64,
                      KEPT_WEEKLY = 128,
                      KEPT_MONTHLY = 256,
                      KEPT_YEARLY = 512,
                      KEPT_NEWEST = 1024, /* partial, and nothing newer is there */
                      KEPT_FUTURE = 2048, /* received later than now */
                      KEPT_ALL = 4096,    /* nothing says that anything goes */
                      KEPT_UNDATED = 8192 /* when it was received is not known */
};

struct retained {
    int64_t received_ns;
    bool whole, quarantine, hold;
    /* results */
    unsigned rules;                /* 0: it goes */
    char why[RETENTION_WHY_BYTES]; /* "daily 2026-11-20, last 3"; translated */
};
/* snaps: by receipt time, oldest first; of equal times the later one counts as the newer. */
void retention_apply(const struct retention *r, enum policy_class class, int64_t now_ns,
                     struct retained *snaps, size_t n);
/* Whether anything may ever go. */
bool retention_is_set(const struct retention *r, enum policy_class class);
/* "daily" for KEPT_DAILY: stable names, for --json. */
const char *retention_rule_name(enum retention_rule rule);

#endif
