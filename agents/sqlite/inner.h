/*
 * inner.h - what the files of the SQLite driver share (agents/source.h is its interface):
 *
 *     backup.c    begin, roots, probe: the files of the policy, each copied into a scratch folder before anything is read
 *     copy.c      one copy, made by the online backup API while others write
 *     check.c     opening a file that nobody works on; integrity_check, row counts
 *     checks.c    the policy's questions
 *     facts.c     facts.json
 *     restore.c   the checks of what was restored
 *     users.c     who works on a file; a target with an earlier restore in it
 *     in_place.c  a restored file takes the place of the one that is there
 *
 * In the manifest: sqlite/facts.json · sqlite/files/PATH, the copy, with owner, mode and times of the original.
 *
 * No descriptor of a database may be closed in this process while SQLite has it open: that would drop SQLite's locks (POSIX). So files are
 * looked at by name, and opened by nobody else.
 */
#ifndef TWOFOLD_AGENTS_SQLITE_INNER_H
#define TWOFOLD_AGENTS_SQLITE_INNER_H

#include "agents/scan.h"
#include "agents/scratch.h"
#include "agents/source.h"

#include <jansson.h>
#include <sqlite3.h>

#define SL_ROOT "sqlite"
#define SL_FILES SL_ROOT "/files"
#define SL_FACTS "facts.json"
#define SL_KEY "files"           /* of the policy, and of a restore in place */
#define SL_INTEGRITY "integrity" /* "full", "quick": what the policy calls "check" */
#define SL_MAX_FACTS (16u << 20)
#define SL_FULL_BYTES (UINT64_C(4) << 30) /* above: quick_check, unless the policy says otherwise */
#define SL_COUNT_BYTES (UINT64_C(256) << 20) /* above: rows are not counted */
#define SL_MAX_TABLES 1000
#define SL_WAIT_S 60 /* for a file that another program has locked */
#define SL_PROBE_S 3
#define SL_MAX_WAIT_S 3600
#define SL_VERDICT_BYTES 400

enum sl_check { SL_CHECK_FULL, SL_CHECK_QUICK };
enum sl_result { SL_OK, SL_DAMAGED, SL_UNCHECKED };

struct sl_file {
    const char *path;    /* borrowed from the policy; absolute */
    char *name, *copy;   /* owned; in the manifest; in the scratch folder */
    struct scan_stat st; /* of the original */
    bool stored;
    /* facts */
    bool wal;
    uint32_t page_bytes;
    uint64_t pages;
    int64_t schema_version, user_version, application_id;
    char encoding[16];
    unsigned restarts; /* of the copy, by writers */
    uint64_t held_ms;  /* for so long writers had to wait */
    enum sl_check check;
    enum sl_result result;
    char verdict[SL_VERDICT_BYTES]; /* what is wrong */
    json_t *tables;                 /* owned: name → rows; or NULL */
};

struct sl {
    const struct source_spec *spec;
    struct source_env env;
    struct scratch *scratch;
    struct sl_file *files; /* ascending by name */
    size_t n_files;
    uint64_t bytes; /* gone through so far */
    bool stop;      /* the run is to end */
    bool probing;   /* somebody waits for the answer */
    json_t *checks; /* owned; answers to the policy's questions */
    char *facts;
    struct source_root *roots;
    size_t n_roots;
};

/* --- copy.c */
/* Opens the database for reading, and reads its first page: what is no database, or stays locked for longer than the policy waits, fails here. */
int sl_open_source(struct sl *s, struct sl_file *f, sqlite3 **ret, struct err *e);
/* Tells the engine that it gets on; negative: the run is to end. */
int sl_tick(struct sl *s, const struct sl_file *f, struct err *e);
int sl_copy(struct sl *s, struct sl_file *f, struct err *e);

/* --- check.c */
int sl_no_memory(struct err *e);
/* Fills e from the connection's last error. */
int sl_error(struct err *e, enum err_code code, sqlite3 *db);
int sl_int(sqlite3 *db, const char *sql, int64_t *ret, struct err *e);
/* Of a file that nobody else works on: no locks, nothing is made beside it. */
int sl_open_alone(const char *path, sqlite3 **ret, struct err *e);
/* Of an open database that nobody else works on: result, verdict, and what is to be recorded. Negative: interrupted, no memory. */
int sl_check(struct sl_file *f, sqlite3 *db, int (*tick)(void *ctx, struct err *e), void *ctx,
             struct err *e);
json_t *sl_count_rows(sqlite3 *db);
const char *sl_check_name(enum sl_check c);

/* --- checks.c */
/* The policy's questions: to the copies, with the answers in s->checks; in a probe to the databases themselves, all answers being told. */
int sl_ask(struct sl *s, struct err *e);
/* To what was restored, beside the answers in facts.json. -ERR_DAMAGED: one is not right. */
int sl_ask_restored(const struct source_restore *r, json_t *facts, struct err *e);

/* --- facts.c */
int sl_make_facts(struct sl *s, struct err *e);

/* --- restore.c, in_place.c */
int sl_restore_check(const struct source_restore *r, struct err *e);
int sl_restore(const struct source_restore *r, struct err *e);
/* Where the i-th of the files of facts.json lies now; owned. */
int sl_place(const struct source_restore *r, json_t *files, size_t i, char **ret, struct err *e);
int sl_check_free(const struct source_restore *r, const char *path, struct err *e);
/* --- users.c */
/* -ERR_BUSY: a program has it open. A note where that cannot be seen of all. */
int sl_check_unused(const struct source_restore *r, int dir_fd, const char *name, const char *shown,
                    struct err *e);
/* A log beside an old file would be replayed on a new one: a folder that was restored before is set aside as a whole. */
int sl_restore_over(const struct source_restore *r, bool continuing, struct err *e);
/* Where the restore has brought what is to be put at `target`; owned; NULL with e. */
char *sl_staged(const struct source_restore *r, const char *target, struct err *e);
/* What lies there (the file, and what SQLite keeps beside it) is set aside before a restore. */
int sl_host_scene(const struct source_host *h, struct err *e);
int sl_put_in_place(const struct source_restore *r, struct err *e);

#endif
