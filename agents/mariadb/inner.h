/*
 * inner.h - what the files of the MariaDB driver share (agents/source.h is its interface):
 *
 *     program.h      the server's own programs: finding them, running one with a deadline and its messages kept
 *     server.h   questions to a server, through its own client program
 *     tree.h     what is done with a whole folder: its size, its owner, its removal
 *     backup.c   begin, roots, end: mariadb-backup into a scratch folder, which the engine then captures
 *     look.c     what is in the data folder that mariadb-backup would leave out, or that cannot be restored
 *     scratch.c  the scratch folder
 *     binlog.c   the binary logs that are closed: captured as they lie there
 *     follow.c   the binary logs as they are written; stream.h: how they come, seam.h: whether they go on
 *     facts.c    facts.json: what the server was like then
 *     zone.c     its time zone
 *     checks.c   the policy's questions
 *     rights.c   what may be missing, and the statements that grant it
 *     restore.c, in_place.c, verify.c, kept.c, closed.c, moment.c, replay.c, instance.c, settings.c    the steps at a restore
 *
 * In the manifest: mariadb/backup/… (what mariadb-backup wrote, not prepared) · binlog/… · facts.json. A restore prepares it and calls it data/.
 */
#ifndef TWOFOLD_AGENTS_MARIADB_INNER_H
#define TWOFOLD_AGENTS_MARIADB_INNER_H

#include "agents/mariadb/program.h"
#include "agents/mariadb/server.h"
#include "agents/scan.h"
#include "agents/source.h"

#include <jansson.h>
#include <sys/stat.h>

#define MY_ROOT "mariadb"
#define MY_BACKUP MY_ROOT "/backup"
#define MY_BINLOG MY_ROOT "/binlog"
#define MY_REPLAYING ".twofold-replaying" /* a data folder while logs are replayed on it */
#define MAX_MY_FACTS_BYTES (4u << 20)
#define MAX_BINLOGS 4000
#define MY_ZONE_BYTES 64

struct my_scratch {
    char *place, *run; /* owned; the folder it is in; the folder of this run */
    int lock_fd;
};

struct my {
    const struct source_spec *spec;
    struct source_env env;
    struct my_server server;
    struct my_vars vars;
    char *data; /* owned; the data folder as the agent sees it */
    struct stat owner;
    struct scan_stat copy_owner; /* the same, of what mariadb-backup wrote */
    struct my_scratch scratch;
    int64_t started_s, stopped_s;
    uint64_t pages_wrong;
    char *backup;   /* owned; what mariadb-backup writes to */
    char *facts;    /* owned */
    json_t *checks; /* owned; answers to the policy's questions */
    /* the binary logs */
    char *logs_text, *logs_place; /* owned; their folder */
    char *logs[MAX_BINLOGS];      /* in logs_text; all that are closed */
    bool logs_seen[MAX_BINLOGS];
    size_t n_logs;
    int64_t flushed_s;        /* what was committed before is in them */
    char zone[MY_ZONE_BYTES]; /* as TZ names it, and how far it was from UTC then */
    int64_t zone_at_s;
    long zone_offset_s;
    json_t *seam; /* owned; where in the log it ended, when that is followed */
    struct source_root early[2], late;
};

/* --- scratch.c */
/* The folder of this run is there, empty, and ours until my_scratch_close: what a killed run left there is removed. `place`: NULL: below the
 * agent's state. -ERR_BUSY: another run works there. */
int my_scratch_open(struct my_scratch *s, const char *place, const char *state_dir, struct err *e);
/* -ERR_NOSPACE: it has no room for so much. */
int my_scratch_room(const struct my_scratch *s, uint64_t bytes, struct err *e);
/* Is it full now? */
bool my_scratch_full(const struct my_scratch *s);
void my_scratch_close(struct my_scratch *s);

/* --- look.c */
/* Everything in the data folder. *ret_bytes: how much a backup of it may take. Refuses what could not be restored (-ERR_CONFIG); says what
 * mariadb-backup does not take (a problem). */
int my_look(struct my *m, uint64_t *ret_bytes, struct err *e);
/* The same for what mariadb-backup wrote: a table may have been made meanwhile. */
int my_look_again(struct my *m, struct err *e);

/* --- binlog.c */
/* Are they to be kept? */
bool my_has_binlogs(const struct my *m);
/* Closes the one that is written to; m->logs. */
int my_close_binlogs(struct my *m, struct err *e);
struct source_root my_binlog_root(struct my *m);
/* How many there are, and how much: as text for people; false: none. */
bool my_tell_binlogs(const struct my *m, char *text, size_t size);

/* --- facts.c: m->facts */
int my_make_facts(struct my *m, struct err *e);
/* m->seam; where it is not to be had, that is a problem. */
int my_find_seam(struct my *m, struct err *e);

/* --- zone.c */
/* m->zone…; server: its process, 0: not known. */
int my_find_zone(struct my *m, pid_t server, struct err *e);
/* How far the zone of the server's system is from UTC at that time, by the server itself. */
int my_offset_at(const struct my_server *s, int64_t at_s, long *ret, struct err *e);
/* May that be given to a program as TZ? */
bool my_zone_ok(const char *zone);

/* --- checks.c */
/* The policy's questions. results: an array, or NULL; all: those that are right are told, too. */
int my_run_checks(const struct my_server *s, const struct source_spec *spec,
                  const struct source_env *env, bool all, json_t *results, struct err *e);

/* --- rights.c */
int my_probe(const struct source_spec *spec, const struct source_env *env, struct err *e);
/* Whether a statement that needs the right can be said; -ERR_REFUSED with the statement that grants it. */
int my_check_rights(const struct my_server *s, struct err *e);
/* The same for following its binary logs. */
int my_check_log_rights(const struct my_server *s, struct err *e);
/* Can its binary logs bring anything back? -ERR_CONFIG, with what its configuration has to say. */
int my_check_log_settings(const struct my_vars *v, struct err *e);
/* What may be lost all the same: notes; `problem`: where it would be for certain, a problem. */
int my_tell_log_doubts(const struct my_server *s, const struct my_vars *v,
                       const struct source_env *env, bool problem, struct err *e);
/* The statement that says how far it is; it has another name in some versions. */
const char *my_head_statement(const struct my_vars *v);

/* --- follow.c */
int my_follow(const struct source_spec *spec, const struct source_env *env,
              const struct log_piece *last, unsigned interval_ms, struct log_sink *k,
              struct err *e);

/* --- scene.c */
int my_host_scene(const struct source_host *h, struct err *e);
void my_host_facts(const struct source_host *h);

/* --- restore.c */
int my_restore_check(const struct source_restore *r, struct err *e);
int my_restore(const struct source_restore *r, struct err *e);
int my_restore_over(const struct source_restore *r, bool continuing, struct err *e);
int my_restore_lend(const struct source_restore *r, bool continuing, struct err *e);

#endif
