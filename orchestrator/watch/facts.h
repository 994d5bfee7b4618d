/*
 * facts.h - what is known at one moment of policies, copies, vaults and the scheduler: from the configuration, from the
 * catalog, and, where somebody looks, from the copies themselves. What is wrong with it is said by findings.h; `status`, the
 * page and the metrics show the same facts.
 *
 *     struct facts f;
 *     facts_init(&f, now_s);
 *     facts_config(&f, paths, e);         policies, vaults, settings, contacts: what a person wrote
 *     facts_catalog(&f, catalog, e);      runs, snapshots, copies as last seen; may be repeated
 *     facts_look(&f, paths, remote);      optional: asks the copies
 *     facts_done(&f);
 *
 * All times are seconds since 1970 by the orchestrator's clock; 0: never, or not known.
 */
#ifndef TWOFOLD_ORCHESTRATOR_WATCH_FACTS_H
#define TWOFOLD_ORCHESTRATOR_WATCH_FACTS_H

#include "orchestrator/catalog/catalog.h"
#include "orchestrator/drill/past.h"
#include "orchestrator/logs/state.h"
#include "orchestrator/status.h"
#include "policies/contacts.h"
#include "policies/settings.h"
#include "restore/incident/duties.h"
#include "restore/incident/failback.h"

#define DRILL_SEEN "drill-seen/" /* and the policy: a fact of the catalog */

struct run_fact {
    int64_t started_s, ended_s; /* started 0: there was none; ended 0: runs, or was killed */
    int exit_status;
    char *code, *error; /* owned; NULL where there is none */
    unsigned reached, wanted;
    uint64_t problems, bytes_stored;
};

struct policy_fact {
    char *name, *vault, *agent, *schedule, *roles; /* vault: resolved, "" when it cannot be */
    uint64_t rpo_s;
    int64_t created_s; /* when it was first seen: from then on its RPO counts */
    int64_t whole_s, partial_s;
    struct id whole, partial;
    uint64_t files, bytes; /* of the newest whole one */
    struct run_fact last;
    int64_t next_s;    /* the timer's next time; see next_run.h */
    bool prunes;       /* it has a retention, so prune has work */
    bool held;         /* somebody paused it */
    bool no_timer;     /* it has a schedule, and systemd has no timer for it */
    bool bad_schedule; /* systemd does not understand it (facts_next_runs asks) */
    bool selected;     /* is to be shown; findings are of all */
    /* The log of its database: */
    bool logs;        /* is to be kept */
    bool no_follower; /* and systemd has no service for that */
    struct logs_state
        *log;            /* how far it is (facts_logs); owned; NULL: it has never been followed */
    uint64_t slot_limit; /* 0: none */
    bool archived;       /* its log comes by archive_command */
    int64_t changed_s;   /* when its file was last written */
    /* Whether it can be restored: */
    uint64_t drill_every_s;           /* 0: not judged */
    int64_t drill_since_s;            /* since when it is known that no drill of it was passed */
    bool drill_timer, no_drill_timer; /* a timer is asked for; and systemd has none */
};

struct copy_fact {
    char *place, *url;
    size_t vault; /* index */
    bool remote, rotating;
    uint64_t every_s;
    char state[16]; /* as in struct copy_status; "" when nothing is known */
    char text[160], why[STATUS_TEXT_BYTES], next[STATUS_TEXT_BYTES];
    bool bad;
    bool looked; /* just now; else it is as the catalog remembers it */
    int64_t seen_s, current_s;
    uint64_t generation, behind, free_bytes, total_bytes, damaged_objects;
    bool has_space, rolled_back;
    uint64_t device;
    unsigned bad_heads;
    char *
        medium; /* where the register says the newest medium lies: "label: place, who"; NULL: no entry */
};

struct vault_fact {
    char *name, *roles;
    uint64_t generation;
    size_t n_copies, n_policies;
    int64_t created_s;   /* when it was first seen */
    uint64_t min_rpo_s;  /* of its policies; 0: it has none */
    bool prunes, looked; /* looked: it was opened just now */
    size_t n_tips, n_lost_keys;
    bool written_elsewhere;   /* runs from here are refused */
    bool vanished;            /* backups were here and no copy shows them */
    struct run_fact scrub;    /* the newest that ended */
    struct run_fact prune;    /* likewise */
    int64_t scrub_s, prune_s; /* when the last one ended well (or found damage) */
};

struct open_alarm {
    uint64_t id;
    char *key, *text, *next, *duty, *acked_by;
    enum alarm_level level;
    int64_t raised_s, told_s, acked_s;
};

/* Of each incident whose clock still runs; drills and closed ones have corrective actions alone. */
struct incident_fact {
    char id[MAX_INCIDENT_ID], policy[MAX_NAME + 1];
    enum crash_cause cause;
    bool drill;
    unsigned level;
    int64_t opened_s, recovered_s, escalated_s, closed_s; /* 0: not */
    struct duty_list duties;
    enum failback_phase standby; /* PAIR_AS_EVER: none has taken over */
    bool primary_unproven;       /* that the old primary takes no writes is somebody's word */
    bool to_note; /* something of it is to be written on its timeline: crash_remind */
    bool unread;  /* it could not be read just now: nothing of it is known */
    char damage[ERR_TEXT_BYTES]; /* of its chain; "" */
    int64_t changed_ns;          /* of the file that was read */
    uint64_t size;
    struct drill_past drilled; /* of a drill that has ended */
    bool
        settled; /* nothing of it comes any more, unless the file changes; the times may not be known */
    bool marked; /* and that is written down beside it */
};

struct facts {
    int64_t now_s;
    bool has_catalog; /* facts_catalog has read one */
    bool by_systemd; /* the system's own configuration, where systemd runs: timers are looked for */
    size_t n_bad_files; /* of the configuration: how many of the problems are theirs */
    struct policy_fact *policies;
    size_t n_policies;
    struct copy_fact *copies;
    size_t n_copies;
    struct vault_fact *vaults;
    size_t n_vaults;
    struct err *problems; /* files that could not be read, vaults that could not be opened */
    size_t n_problems;
    struct settings *settings; /* never NULL after facts_config */
    struct contacts *contacts;
    int64_t heartbeat_s; /* of twofoldd; 0: none has run with this catalog */
    int64_t page_s;
    size_t jobs_queued, jobs_running;
    struct open_alarm *alarms;
    size_t n_alarms;
    struct incident_fact *incidents; /* newest first; settled ones among them */
    size_t n_incidents;
    bool incidents_read; /* it was looked which there are */
};

void facts_init(struct facts *f, int64_t now_s);
void facts_done(struct facts *f);
/* A file with a mistake is a problem, not a failure; the others count. */
int facts_config(struct facts *f, const struct config_paths *p, struct err *e);
/* What changes when that what facts_config read has changed: names, sizes and times of the files. */
uint64_t facts_fingerprint(const struct config_paths *p);
int facts_catalog(struct facts *f, struct catalog *c, struct err *e);
/* Which policies lack their timer; a part of facts_catalog, for where there is no catalog. */
void facts_timers(struct facts *f);
/* How far the logs of databases are, as their keepers say; may be repeated. */
void facts_logs(struct facts *f, const struct config_paths *p);
/* Incidents and their duties, by the files beside the catalog; may be repeated. */
void facts_incidents(struct facts *f, const struct config_paths *p);
/* Writes on their timelines what facts_incidents found is to be written there (crash_remind); what fails is tried at the next look. */
void facts_remind(struct facts *f, const struct config_paths *p);
int64_t facts_duty_change_s(const struct facts *f); /* when one of them changes next; 0: never */
void incident_facts_done(struct facts *f);
/* What the drills of a policy came to, as far as facts_incidents knows. */
struct drill_past policy_drills(const struct facts *f, const char *policy);
/* Over the time within which one has to be passed: no, too, where the policy says none. */
bool policy_drill_late(const struct facts *f, const struct policy_fact *p);
/* Opens the vaults that hold selected policies and judges their copies; those on other hosts only with `remote`. A vault that cannot
 * be opened is a problem. only: this vault alone, or NULL. */
void facts_look(struct facts *f, const struct config_paths *p, const char *only, bool remote);

struct vault_fact *facts_vault(struct facts *f, const char *name); /* NULL: none */
struct copy_fact *facts_copy(struct facts *f, const char *vault, const char *place);
struct policy_fact *facts_policy(struct facts *f, const char *name);
/* Notes what could not be read. */
void facts_problem(struct facts *f, const struct err *e);
/* Room for one more element at the end of an array; aborts without memory. */
void *facts_more(void *array, size_t n, size_t size);
void facts_set(char **dst,
               const char *src); /* a copy of src ("" and NULL: NULL); frees what was there */
void run_fact_done(struct run_fact *r);

#endif
