/*
 * inner.h - what the files of the PostgreSQL driver share (agents/source.h is its interface):
 *
 *     backup.c   begin, roots, end: backup mode in one session
 *     receive.c  the same where the agent has no access to the files: the server sends them (untar.h)
 *     config.c   the files of its configuration that lie outside of the data folder
 *     files.c    which files of a cluster belong into a snapshot, and the check of their pages
 *     facts.c    facts.json: what the server was like then
 *     rights.c   what may be missing, and the statements that grant it
  *     checks.c   the policy's questions
 *     follow.c   what the server writes into its log, as it writes it
 *     archive.h  the same by its archive_command: a folder, and who takes from it (follow_archive.c)
 *     slot.c     what it keeps of its log for us, and the bound for that
 *     restore.c  the steps at a restore
 *     scratch.c  a server started for a moment on restored files
 *     page.h, server.h
 *
 * In the manifest: postgresql/config/… (its files outside of the data folder) · data/… · data-spaces/OID/… (tablespaces) ·
 * facts.json · label/backup_label, label/pg_control, label/tablespace_map · wal/… (from the start of the backup to its end).
 */
#ifndef TWOFOLD_AGENTS_POSTGRESQL_INNER_H
#define TWOFOLD_AGENTS_POSTGRESQL_INNER_H

#include "agents/postgresql/server.h"
#include "agents/scan.h"
#include "agents/scratch.h"
#include "agents/source.h"
#include "policies/sql_checks.h"

#include <limits.h>

#define PG_ROOT "postgresql"
#define PG_DATA PG_ROOT "/data"
#define PG_SPACES PG_ROOT "/data-spaces"
#define PG_WAL PG_ROOT "/wal"
#define MAX_TABLESPACES 1024
#define MAX_TORN 256 /* pages that were still torn after reading them again */
#define WAL_NAME_DIGITS 24
#define MAX_INCLUDED 256 /* files of the configuration that others include */

struct pg_space {
    char oid[16];
    char *name, *place; /* owned; the tablespace's own name; its folder */
    char *root;         /* owned; name in the manifest */
    char *place_now; /* owned; where its files have been received; NULL: it is read where it is */
    bool seen;       /* there is a folder of this version in it */
};

struct pg_torn {
    char *path; /* owned */
    uint32_t block;
    uint64_t lsn;
};

struct pg_log_file {  /* of the backup's own log */
    char name[64];    /* in the manifest */
    char *place;      /* owned */
    uint64_t segment; /* UINT64_MAX: a history */
};

struct pg {
    const struct source_spec *spec;
    struct source_env env;
    PGconn *c;
    bool in_backup, has_slot;
    int hold_fd; /* no slot keeps its log, but the folder that it is archived to does; -1: not so */
    struct pg_log_file *log; /* owned; then where each segment is */
    size_t n_log;
    /* the server sends its files: what it sent */
    bool received;
    struct scratch *scratch;
    struct scan_stat owner;   /* of the files on the server's host: uid, gid */
    char *server_data;        /* owned; its data folder there */
    bool sender_found_damage; /* and says no more than that */
    char warning[256];        /* what it said first */
    /* the server */
    int version; /* 150018 */
    char *version_text, *system_id, *catalog;
    char *data; /* where its files are read */
    bool checksums, standby;
    uint32_t page_bytes, segment_pages; /* pages in one file of a relation */
    uint64_t wal_segment_bytes;
    struct pg_space *spaces;
    size_t n_spaces;
    /* the backup */
    uint64_t start_lsn, stop_lsn;
    uint32_t timeline;
    int64_t started_s, stopped_us; /* by the agent's clock, as pieces of the log have it */
    int64_t end_us;                /* stopped_us by the server's, as transactions have it */
    json_t *checks;                /* answers to the policy's questions */
    char *label, *map, *facts;     /* owned; map: NULL where there are no tablespaces */
    uint8_t *control;              /* global/pg_control as it is when all else has been read */
    size_t control_len;
    uint64_t first_segment, last_segment, segments_seen;
    char version_folder[64]; /* in a tablespace: PG_15_202209061 */
    /* roots */
    struct source_root *early, *late;
    size_t n_early, n_late;
    char *paths[8 + 3 * MAX_INCLUDED]; /* owned: places, names, content of the files in config/;
                                        * place of the WAL */
    size_t n_paths;
    bool config_refused;   /* it has been said that we may not read them */
    struct scan_stat like; /* those that were received have no owner of their own */
    /* pages */
    struct page_check check;
    uint8_t *again; /* a page read once more */
    uint64_t pages_checked, pages_wrong;
    struct pg_torn torn[MAX_TORN];
    size_t n_torn;
};

/* --- backup.c */
/* Tablespaces lie in p->spaces, which has room; ascending by root in the end. */
int pg_add_space(struct pg *p, const char *oid, const char *name, const char *place, struct err *e);
void pg_sort_spaces(struct pg *p);
/* The name of what keeps log without a slot. */
const char *pg_keep_setting(const struct pg *p);
/* The policy's questions: p->checks. */
int pg_ask_questions(struct pg *p, struct err *e);

/* --- receive.c */
/* Is it the server that gives us its files (access: replication)? -ERR_CONFIG: with what makes no sense then. */
int pg_is_received(const struct source_spec *spec, bool *ret, struct err *e);
int pg_scratch_open(const struct source_spec *spec, const char *state_dir, struct scratch **ret,
                    struct err *e);
/* The whole backup, with its log, into p->scratch: p->data, spaces, label, positions. */
int pg_receive(struct pg *p, struct err *e);

/* The server's clock. A note tells where it is another one than the agent's by more than a little. */
int pg_ask_clock(PGconn *c, const struct source_env *env, int64_t *ret_us, struct err *e);

/* --- config.c: into p->early */
int pg_add_config(struct pg *p, struct err *e);

/* --- files.c */
bool pg_leave_out_data(void *ctx, int dir_fd, const char *name, const char *path, size_t len);
bool pg_leave_out_space(void *ctx, int dir_fd, const char *name, const char *path, size_t len);
/* How many segments of this backup's log lie in pg_wal now, under their names and with their content. */
uint64_t pg_segments_there(const struct pg *p);
/* Where the segments of this backup's log are: in the folder that they are archived to, or still in pg_wal (`wal`). */
int pg_find_log(struct pg *p, const char *wal, struct err *e);
/* How many of these are there, as they were. */
uint64_t pg_log_there(const struct pg *p);
bool pg_leave_out_wal(void *ctx, int dir_fd, const char *name, const char *path, size_t len);
struct page_check *pg_check_of(void *ctx, const char *path, size_t len);
int pg_check_pages(void *ctx, const char *path, size_t path_len, int fd, uint64_t off, uint8_t *p,
                   size_t n, struct err *e);
/* Pages that stayed torn are all right when the log has them: when they are not newer than the end of the backup. */
int pg_judge_torn(struct pg *p, struct err *e);
/* "000000010000000000000002" */
bool wal_name_parse(const char *name, uint64_t segment_bytes, uint32_t *ret_timeline,
                    uint64_t *ret_segment);

/* --- facts.c: p->facts */
int pg_make_facts(struct pg *p, struct err *e);

/* --- rights.c */
int pg_probe(const struct source_spec *spec, const struct source_env *env, struct err *e);

/* --- checks.c */
/* Tells of those that are not right (all: of each); results (may be NULL): an array, for facts.json. */
int pg_run_checks(const struct source_spec *spec, const struct source_env *env, bool all,
                  json_t *results, struct err *e);
int pg_ask_in(PGconn *c, const char *sql, char **ret_value, struct err *e);

/* --- follow.c */
int pg_follow(const struct source_spec *spec, const struct source_env *env,
              const struct log_piece *last, unsigned interval_ms, struct log_sink *k,
              struct err *e);

/* --- restore.c */
int pg_restore_check(const struct source_restore *r, struct err *e);
int pg_restore(const struct source_restore *r, struct err *e);
/* --- scene.c */
int pg_host_scene(const struct source_host *h, struct err *e);
void pg_host_facts(const struct source_host *h);
/* --- in_place.c */
int pg_restore_over(const struct source_restore *r, bool continuing, struct err *e);
int pg_lend(const struct source_restore *r, bool continuing, struct err *e);

#endif
