/*
 * schedule.h - the files by which systemd knows when: timer instances and their schedules, and what the services may write to. All
 * of them come from the configuration, lie in etc/systemd/system, and begin with SCHEDULE_MARK; others are never touched.
 *
 *   twofold-backup@POLICY.timer.d/schedule.conf, timers.target.wants/twofold-backup@POLICY.timer     policies with `schedule:`
 *   twofold-scrub@VAULT.timer…, twofold-prune@VAULT.timer…                                           every vault
 *   twofold-drill@POLICY.timer.d/…, timers.target.wants/twofold-drill@POLICY.timer                   policies with `drill:`
 *   timers.target.wants/twofold-page.timer                                                           where there is `page:`
 *   timers.target.wants/twofold-check.timer                                                          always
 *   twofoldd.service.d/copies.conf, and of the services that the timers start                        folders to be written to
 *   multi-user.target.wants/twofoldd.service
 *   multi-user.target.wants/twofold-logs@POLICY.service                                              policies with `logs:`
 *
 * Names of policies and vaults are instances as they are: they have no letter that systemd would have escaped.
 */
#ifndef TWOFOLD_ORCHESTRATOR_SCHEDULE_H
#define TWOFOLD_ORCHESTRATOR_SCHEDULE_H

#include "orchestrator/catalog/catalog.h"
#include "policies/config.h"

#define SCHEDULE_MARK \
    "# Written by: twofold schedule apply. What is changed here is lost; put your own into another file.\n"
#define SCHEDULE_UNITS "etc/systemd/system"

/* One timer. */
struct schedule_timer {
    enum job_kind kind;
    char target[MAX_NAME + 1]; /* "" for the page */
    char *spec;
    int64_t next_s; /* 0: never again, or not known */
    char unit[MAX_NAME + 32];
};
struct schedule_file {
    char *path;    /* below the root */
    char *content; /* of a symbolic link: where to */
    bool link;
    const char *unit; /* the timer that it is about (borrowed), or NULL */
};
/* The service that follows a log. */
struct schedule_log {
    char policy[MAX_NAME + 1];
    char unit[MAX_NAME + 32];
};
struct schedule {
    struct schedule_log *logs; /* owned */
    size_t n_logs;
    struct schedule_timer *timers; /* owned */
    size_t n_timers;
    struct schedule_file *files;
    size_t n_files;
};

/* What the configuration asks for. Any mistake in it is an error (with file and line, where it is a calendar expression): a timer is
 * not taken away because a file cannot be read. root: "" or a folder that stands for "/"; there the units are looked for, and
 * -ERR_ABSENT says that they are not installed. */
int schedule_make(const struct config_paths *p, const char *root, struct schedule **ret,
                  struct err *e);
/* The timers alone; calendar expressions that nobody can check here (no systemd-analyze) pass. */
int schedule_timers(const struct config_paths *p, struct schedule **ret, struct err *e);
void schedule_free(struct schedule *s); /* NULL-safe */

enum schedule_change { SCHEDULE_NEW, SCHEDULE_CHANGED, SCHEDULE_GONE };
/* path: below the root; unit: the timer it is about, or NULL. */
typedef void schedule_change_fn(void *ctx, enum schedule_change c, const char *path,
                                const char *unit);
/* Brings the files below root to that state (with dry: only says what it would do). Files of timers that are wanted no more go. */
int schedule_apply(const struct schedule *s, const char *root, bool dry, schedule_change_fn *fn,
                   void *ctx, struct err *e);
/* Whether the timer or the service is enabled below root. */
bool schedule_enabled(const char *root, const char *unit);
/* "twofold-logs@POLICY.service" */
void schedule_log_unit(const char *policy, char out[MAX_NAME + 32]);

#endif
