/*
 * catalog.h - what the orchestrator knows of its work: jobs, runs, snapshots, copies, media, alarms, and the audit trail.
 * SQLite in STATE/catalog.db (rollback journal, full sync, one writer at a time in short transactions), behind this interface,
 * which a driver for PostgreSQL will implement too. Everything in it that matters can be had again from any copy: each
 * nightly run puts a sealed export into every copy (docs/format.md, "catalog"; catalog/export.h), and `catalog rebuild` reads it
 * back and adds what the heads and snapshots say.
 *
 * All times are seconds since 1970 by the orchestrator's clock, called receipt times; no clock of an agent is stored as one.
 * Rows are borrowed for the time of the callback; they were all read before the first call, so a callback may use the catalog,
 * and takes its time without anybody waiting for it. A function that fails changes nothing. One process may hold several
 * catalogs; a struct catalog is for one thread at a time. Texts that are NULL are kept as "".
 *
 *     struct catalog *c;
 *     catalog_open(&app->paths, CATALOG_WRITE, &c, e);
 *     catalog_enqueue(c, &(struct job){ .kind = JOB_BACKUP, .target = "etc", .slot = "2026-11-25T02:00" }, &id, e);
 *     catalog_close(c);
 */
#ifndef TWOFOLD_ORCHESTRATOR_CATALOG_CATALOG_H
#define TWOFOLD_ORCHESTRATOR_CATALOG_CATALOG_H

#include "lib/base/who.h"
#include "lib/base/err.h"
#include "lib/base/id.h"
#include "policies/config.h"

#define MAX_CATALOG_TEXT 2048 /* of one text; longer ones are cut */

struct catalog;
enum catalog_open_flags {
    CATALOG_READ = 0,  /* -ERR_ABSENT when there is none yet */
    CATALOG_WRITE = 1, /* made when it is not there; older schemas are brought up to date */
};
/* A newer schema than this program knows: -ERR_VERSION. A damaged file: -ERR_DAMAGED (next: catalog rebuild); it is never thrown
 * away, and nothing but the rebuild takes its place. Small files are checked whole at every opening. */
int catalog_open(const struct config_paths *p, unsigned flags, struct catalog **ret, struct err *e);
void catalog_close(struct catalog *c);               /* NULL-safe */
int catalog_check(struct catalog *c, struct err *e); /* every page: -ERR_DAMAGED */
/* A number that changes whenever another process (or another struct catalog) has written: cheap to ask for, for those who wait for
 * work. Not when this one writes. */
uint64_t catalog_changes(struct catalog *c);
/* Another file has taken its place (a rebuild), or it was removed: whoever keeps it open must open it again. */
bool catalog_replaced(const struct catalog *c);
/* Lets go of what is older than anybody asks for: runs beyond the newest million, ended jobs and alarms beyond 100,000. By their
 * number, not by a clock. The audit trail is never shortened. */
int catalog_tidy(struct catalog *c, struct err *e);
/* All that is written between the two is written together, or (rc < 0) not at all. Short: nobody else writes meanwhile. */
int catalog_begin(struct catalog *c, struct err *e);
int catalog_finish(struct catalog *c, int rc, struct err *e);
int catalog_path(const struct config_paths *p, char **ret, struct err *e); /* owned */

/* --- leases with fencing ---------------------------------------------------------------------------------
 * A lease is a name that one owner holds until a time. Each new holder gets a higher epoch; what is done under a lease says
 * the epoch, and is refused (-ERR_REFUSED) once a later one was given. -ERR_BUSY: somebody else holds it. */
int catalog_lease(struct catalog *c, const char *name, const char *owner, int64_t until_s,
                  uint64_t *ret_epoch, struct err *e);
int catalog_lease_renew(struct catalog *c, const char *name, uint64_t epoch, int64_t until_s,
                        struct err *e);
int catalog_lease_end(struct catalog *c, const char *name, uint64_t epoch, struct err *e);
/* All leases of that owner run out now: for one who knows that it is dead. Returns how many. */
int catalog_lease_orphan(struct catalog *c, const char *owner, struct err *e);
int catalog_lease_check(struct catalog *c, const char *name, uint64_t epoch, struct err *e);

/* --- jobs: the queue --------------------------------------------------------------------------------------- */
enum job_kind { JOB_BACKUP, JOB_SCRUB, JOB_PRUNE, JOB_REPLICATE, JOB_PAGE, JOB_DRILL, JOB_KINDS };
enum job_state {
    JOB_QUEUED,   /* also between two tries: see not_before_s */
    JOB_RUNNING,  /* under the lease "job/ID" */
    JOB_DONE,     /* exit status 0 */
    JOB_DEGRADED, /* exit status 3 */
    JOB_FAILED,   /* no tries left */
    JOB_CANCELLED,
    JOB_STATES
};
const char *job_kind_name(enum job_kind k); /* "backup" */
bool job_kind_parse(const char *name, enum job_kind *ret);
const char *job_state_name(enum job_state s);
struct job {
    uint64_t id;
    enum job_kind kind;
    enum job_state state;
    const char *target; /* policy (backup), vault (scrub, prune, replicate), "" (page) */
    const char *
        slot; /* never empty: the time of the timer that asked; with kind and target it is unique: twice is once */
    const char *vault, *agent; /* for the limits; may be "" */
    unsigned priority, tries, max_tries /* 0 is 1 */;
    int64_t queued_s, not_before_s, not_after_s /* 0: none; window's end */, started_s, ended_s;
    int exit_status;
    const char *error;      /* of the last try: "what: why" */
    const char *error_code; /* err_info()->name */
    uint64_t epoch;         /* of its lease while it runs */
    bool pause;             /* somebody asked for it */
};
/* 1: queued; 0: a job of that kind, target and slot is there already, done or not (*ret_id is its). queued_s 0: now. */
int catalog_enqueue(struct catalog *c, const struct job *j, uint64_t *ret_id, struct err *e);
typedef int catalog_job_fn(void *ctx, const struct job *j); /* non-zero ends it and is returned */
/* states: bits 1 << enum job_state. QUEUED ones by priority and age, others newest first. limit 0: all. */
int catalog_jobs(struct catalog *c, unsigned states, size_t limit, catalog_job_fn *fn, void *ctx,
                 struct err *e);
int catalog_job(struct catalog *c, uint64_t id, catalog_job_fn *fn, void *ctx, struct err *e);
/* QUEUED → RUNNING, with a lease. -ERR_BUSY: it is not queued any more. */
int catalog_job_start(struct catalog *c, uint64_t id, const char *owner, int64_t lease_until_s,
                      uint64_t *ret_epoch, struct err *e);
/* The lease of a running job ("job/ID"). -ERR_REFUSED: it was recovered meanwhile; give it up. */
int catalog_job_renew(struct catalog *c, uint64_t id, uint64_t epoch, int64_t until_s,
                      struct err *e);
/* RUNNING → what `state` says; QUEUED with retry_at_s (it becomes not_before_s) for another try; one
 * that found things busy, or was interrupted, used none. Refused under an old epoch. */
int catalog_job_end(struct catalog *c, uint64_t id, uint64_t epoch, enum job_state state,
                    int exit_status, const char *error_code, const char *error, int64_t retry_at_s,
                    struct err *e);
int catalog_job_pause(struct catalog *c, uint64_t id, bool pause, struct err *e);
int catalog_job_cancel(struct catalog *c, uint64_t id,
                       struct err *e); /* a queued one; else -ERR_BUSY */
/* Jobs whose lease ran out (their process died) are queued again, or FAILED without tries left. Returns how many. */
int catalog_jobs_recover(struct catalog *c, int64_t now_s, struct err *e);

/* --- runs: what was done, by a job or by hand ---------------------------------------------------------------- */
struct run {
    uint64_t id, job; /* job 0: by hand */
    const char *kind; /* "backup", "scrub", "prune", "replicate", "repair", "restore" … */
    const char *policy, *vault, *agent; /* "" where there is none */
    int64_t started_s, ended_s;         /* ended 0: runs, or was killed */
    int exit_status;
    const char *error_code, *error;
    struct id snapshot;      /* zeros: none */
    unsigned snapshot_state; /* 1 whole, 2 partial */
    uint64_t files, bytes, bytes_read, bytes_stored, problems;
    unsigned copies_reached, copies_wanted;
};
/* Commands record themselves through orchestrator/record.h. started_s 0: now. */
int catalog_run_begin(struct catalog *c, const struct run *r, uint64_t *ret_id, struct err *e);
/* All but id, job, kind, policy and started_s; an empty vault or agent leaves what is there. */
int catalog_run_end(struct catalog *c, uint64_t id, const struct run *r, struct err *e);
/* One that ended before, as it is. */
int catalog_run_put(struct catalog *c, const struct run *r, uint64_t *ret_id, struct err *e);
typedef int catalog_run_fn(void *ctx, const struct run *r);
/* policy NULL: all. Newest first. */
int catalog_runs(struct catalog *c, const char *policy, size_t limit, catalog_run_fn *fn, void *ctx,
                 struct err *e);
/* The newest run of that kind of every policy, by name, in one query that does not go over all runs. */
int catalog_last_runs(struct catalog *c, const char *kind, catalog_run_fn *fn, void *ctx,
                      struct err *e);

/* --- snapshots and copies, as last seen -------------------------------------------------------------------------- */
struct snapshot_row {
    struct id id;
    const char *vault, *policy, *source, *host;
    int64_t received_s;
    unsigned state, flags; /* as in docs/format.md */
    uint64_t files, bytes, bytes_stored, problems,
        generation; /* generation: of the head that first named it; 0: not known */
    bool hold;
    const char *hold_why;
};
/* Makes it, or brings it up to date; hold is catalog_hold's. */
int catalog_snapshot_put(struct catalog *c, const struct snapshot_row *s, struct err *e);
/* It is gone from the vault (its hold, too). Absent already: 0. */
int catalog_snapshot_drop(struct catalog *c, const struct id *id, struct err *e);
typedef int catalog_snapshot_fn(void *ctx, const struct snapshot_row *s);
/* vault, policy NULL: of all. Newest first. */
int catalog_snapshots(struct catalog *c, const char *vault, const char *policy, size_t limit,
                      catalog_snapshot_fn *fn, void *ctx, struct err *e);
/* The newest whole (state 1, no quarantine) snapshot of every policy, by name, in one query that does not go over all of them. */
int catalog_newest(struct catalog *c, catalog_snapshot_fn *fn, void *ctx, struct err *e);

struct copy_row {
    const char *vault, *place,
        *state; /* as `status` names them: current, behind, away, wrong, damaged, rolled-back */
    uint64_t generation; /* of its newest head */
    int64_t seen_s;      /* last asked, with an answer */
    int64_t current_s; /* last seen (or made) current: the lag is now minus this while it is not */
    uint64_t free_bytes, total_bytes, damaged_objects; /* total 0: not known */
    const char *why;
};
/* Where r says 0 (generation, seen_s, current_s, total_bytes: not known this time) what was known is kept. A copy whose state is
 * "current" is current as of seen_s. */
int catalog_copy_put(struct catalog *c, const struct copy_row *r, struct err *e);
int catalog_copy_drop(struct catalog *c, const char *vault, const char *place,
                      struct err *e); /* it is not configured any more */
typedef int catalog_copy_fn(void *ctx, const struct copy_row *r);
/* vault NULL: of all. */
int catalog_copies(struct catalog *c, const char *vault, catalog_copy_fn *fn, void *ctx,
                   struct err *e);

/* --- holds: snapshots that no prune may drop ------------------------------------------------------------------------ */
struct hold {
    struct id snapshot;
    const char *vault, *why, *who;
    int64_t at_s;
};
/* hold false: it may go again (-ERR_ABSENT: it was not held). A hold does not need its snapshot to be known here. */
int catalog_hold(struct catalog *c, const char *vault, const struct id *snapshot, bool hold,
                 const char *why, const char *who, struct err *e);
int catalog_hold_put(struct catalog *c, const struct hold *h, struct err *e);
typedef int catalog_hold_fn(void *ctx, const struct hold *h);
int catalog_holds(struct catalog *c, const char *vault, catalog_hold_fn *fn, void *ctx,
                  struct err *e); /* vault NULL: of all */

/* --- media that are carried -------------------------------------------------------------------------------------------- */
struct medium {
    const char *vault, *place, *label, *where, *who, *note;
    int64_t
        at_s; /* of this entry (0: now): the register is a history, the newest entry of a label says where it is */
};
int catalog_medium_put(struct catalog *c, const struct medium *m, struct err *e);
typedef int catalog_medium_fn(void *ctx, const struct medium *m);
/* place NULL: of all. Newest first; without history only the newest entry of each (vault, place, label). */
int catalog_media(struct catalog *c, const char *place, bool history, catalog_medium_fn *fn,
                  void *ctx, struct err *e);

/* --- alarms ------------------------------------------------------------------------------------------------------------- */
enum alarm_level { ALARM_NOTICE, ALARM_WARNING, ALARM_CRITICAL };
struct alarm {
    uint64_t id;
    const char *key; /* "rpo/etc": one that is open under this key is not raised twice */
    enum alarm_level level;
    const char *duty, *text, *next;
    const char *roles; /* separated by spaces */
    int64_t raised_s, cleared_s /* 0: open */, told_s, acked_s;
    unsigned told;
    const char *acked_by, *acked_through;
};
/* 1: new; 0: it was open already (level and texts are brought up to date; with a higher level it counts as not acknowledged and
 * not told). */
int catalog_alarm_raise(struct catalog *c, const struct alarm *a, uint64_t *ret_id, struct err *e);
int catalog_alarm_clear(struct catalog *c, const char *key, int64_t now_s,
                        struct err *e); /* 1: it was open */
/* One that was raised before, as it was: for a rebuild. */
int catalog_alarm_put(struct catalog *c, const struct alarm *a, struct err *e);
/* One attempt; told and told_s count those that were ok. */
int catalog_alarm_told(struct catalog *c, uint64_t id, const char *channel, const char *to, bool ok,
                       const char *detail, int64_t now_s, struct err *e);
/* The first who says so stands. */
int catalog_alarm_ack(struct catalog *c, uint64_t id, const char *who, const char *through,
                      int64_t now_s, struct err *e);
typedef int catalog_alarm_fn(void *ctx, const struct alarm *a);
/* Open ones: highest level first; all: newest first. */
int catalog_alarms(struct catalog *c, bool open_only, size_t limit, catalog_alarm_fn *fn, void *ctx,
                   struct err *e);
struct telling {
    uint64_t alarm;
    int64_t at_s;
    const char *channel, *to, *detail;
    bool ok;
};
typedef int catalog_telling_fn(void *ctx, const struct telling *t);
int catalog_tellings(struct catalog *c, uint64_t alarm, catalog_telling_fn *fn, void *ctx,
                     struct err *e); /* oldest first */

/* --- small facts ("last-page", "heartbeat", "clock-seen") ------------------------------------------------------------------- */
int catalog_fact_get(struct catalog *c, const char *key, char *ret, size_t max,
                     struct err *e); /* 1: there, 0: not */
int catalog_fact_set(struct catalog *c, const char *key, const char *value, struct err *e);
typedef int catalog_fact_fn(void *ctx, const char *key, const char *value);
int catalog_facts(struct catalog *c, catalog_fact_fn *fn, void *ctx, struct err *e); /* by key */

/* --- the audit trail (JZ-log): append-only, each row hashed with the one before -------------------------------------------- */
struct audit_row {
    uint64_t seq;
    int64_t at_s;
    const char *who, *action, *object, *result, *detail; /* no secrets, no content */
};
/* Appends; seq is given. at_s 0: now. `who` NULL: audit_who(). */
int catalog_audit(struct catalog *c, const struct audit_row *r, struct err *e);
typedef int catalog_audit_fn(void *ctx, const struct audit_row *r);
int catalog_audit_each(struct catalog *c, uint64_t from_seq, size_t limit, catalog_audit_fn *fn,
                       void *ctx, struct err *e);
/* The same, each with its hash. */
typedef int catalog_audit_hashed_fn(void *ctx, const struct audit_row *r, const struct id *hash);
int catalog_audit_hashed(struct catalog *c, uint64_t from_seq, catalog_audit_hashed_fn *fn,
                         void *ctx, struct err *e);
/* Walks the chain. *ret_bad_seq: the first row that does not fit (-ERR_DAMAGED). What is cut off at the end shows only against an
 * anchor that was noted elsewhere (catalog/export.h). */
int catalog_audit_verify(struct catalog *c, uint64_t *ret_rows, uint64_t *ret_bad_seq,
                         struct err *e);
/* The newest row, by which the whole trail before it is known. seq 0: nothing was recorded yet. */
struct audit_anchor {
    struct id chain; /* the trail's name, random; zeros: there is none yet */
    uint64_t seq;
    struct id hash;
};
int catalog_audit_anchor(struct catalog *c, struct audit_anchor *ret, struct err *e);
int catalog_audit_hash(struct catalog *c, uint64_t seq, struct id *ret,
                       struct err *e); /* 1: there, 0: not */

#endif
