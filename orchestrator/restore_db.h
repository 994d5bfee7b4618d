/*
 * restore_db.h - a restore of a backup that has a database in it: which jobs it takes, and what the driver on the target's host is told
 * (agents/source.h). A tablespace that goes to a place of its own is a job of its own, before the one that brings the rest and takes the
 * driver's steps.
 */
#ifndef TWOFOLD_ORCHESTRATOR_RESTORE_DB_H
#define TWOFOLD_ORCHESTRATOR_RESTORE_DB_H

#include "lib/wire/wire.h"
#include "orchestrator/app.h"

#define DB_FACTS "/postgresql/facts.json"
#define MARIADB_PROGRAMS "mariadb" /* those that its packages install */
#define MAX_SPACE_OPTIONS 64
#define MAX_LOADS 32
#define IN_PLACE_FOLDER \
    ".twofold-restore-" /* and the snapshot: in the folder that is to be replaced */

struct db_options {
    const char *verify; /* a folder of programs; "": the usual ones; or NULL */
    bool in_place;      /* to where it was; what is there is set aside */
    bool
        strict; /* with verify: what a check finds wrong is a failure, and nothing is put into service */
    bool delta; /* of the files that are there */
    /* What is kept of its log is replayed, too; one of at_us, lsn, point says how far (none: to its end). my_logs: of a MariaDB server. */
    bool logs, my_logs;
    bool
        binlogs; /* at_us: binary logs are kept with backups, which are replayed behind it (restore_binlog.h) */
    const char *only;        /* of the backup's databases this kind alone; NULL: all */
    const char *lsn, *point; /* lsn: a MariaDB server's is FILE:POSITION */
    int64_t at_us;           /* since 1970; 0: not */
    const struct source_spec
        *sources; /* of the policy: its checks are asked, its programs are used */
    size_t n_sources;
    const char *spaces
        [MAX_SPACE_OPTIONS]; /* OLD=NEW: the tablespace's name, number or old folder; its new one */
    size_t n_spaces;
    /* Folders of the target's host with what survived of a server's log (the scene of host.h, or a data folder that was set aside): what goes
     * on from the end of what is kept is replayed, too. "KIND=FOLDER", or a folder, which then is for all kinds. */
    const char *salvage[MAX_SOURCES];
    size_t n_salvage;
    const char *loads[MAX_LOADS]; /* driver files whose dumps are loaded: --load */
    size_t n_loads;
};

struct db_space { /* a job of its own */
    char *path;   /* in the backup, absolute */
    char *strip;  /* what is left off of it; NULL: all of it */
    char *target;
};
struct db_plan {
    struct db_space spaces[MAX_SPACE_OPTIONS];
    size_t n_spaces;
    char **paths; /* of the main job; none: everything */
    size_t n_paths;
    char *target;      /* of the main job, when it is in place; else NULL */
    const char *facts; /* the small file that the driver is asked with */
    bool overwrite;    /* in place: what an earlier run of the same brought is gone over again */
    struct source_spec *sources;
    size_t n_sources;
    bool
        binlogs; /* a MariaDB server's, and a moment is asked for that the logs kept with backups may reach */
    bool
        unlogged; /* its log is kept, but the backup is from before: it does not know its place in it */
};
/* An empty plan where the backup has no database; -ERR_USAGE when options then ask for one. */
int db_plan_make(struct vault *v, const struct snap_ref *snap, int from, const struct db_options *o,
                 struct db_plan *ret, struct err *e);
void db_plan_done(struct db_plan *p);
/* What the policy says of that source's programs and, verify, asks of it. */
int db_take_policy(struct source_spec *spec, const struct db_options *o, bool verify,
                   struct err *e);

#endif
