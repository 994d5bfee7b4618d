/*
 * source.h - the sources of a policy that are no trees of files: databases, dumps of a program. A *driver* knows one kind; it says which
 * places on disk belong into the snapshot under which names, and what has to be done before and after they are read. The capture engine
 * reads them as it reads files: unchanged ones are not opened, content is cut, deduplicated, sealed.
 *
 *     source_begin(spec, env, &s, e)      connect, freeze, start of backup mode; what the source is
 *     source_roots(s, false, &r, &n, e)   what to read first, ascending by name
 *       … the engine captures each root …
 *     source_end(s, e)                    thaw, end of backup mode
 *     source_roots(s, true, &r, &n, e)    what is known or there only now: labels, logs, facts
 *       … captured, too: every name is behind (path_cmp) all names of the first list …
 *     source_check(s, e)                  was everything there that had to be?
 *     source_free(s)                      also after a failure at any point: leaves backup mode, thaws
 *
 * All is one thread's. A source's names lie below its *virtual root*, one component named as its kind ("postgresql/data/base/1/1249"). The
 * snapshot says that this is no real folder (lib/vault/manifest.h, body_root_is_virtual); a policy of which a real path
 * has the same name is refused. Sources of one policy are begun in the order of their kinds and all before anything is read; each
 * is ended as soon as its own first list is captured.
 *
 * Restore: the engine puts the files below the target first (TARGET/postgresql/…), then the driver takes its own steps there.
 */
#ifndef TWOFOLD_AGENTS_SOURCE_H
#define TWOFOLD_AGENTS_SOURCE_H

#include "lib/base/err.h"
#include "lib/wire/source_spec.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct report;
struct log_sink;
struct log_piece;
struct fetch;
struct id;
struct scan_stat;

/* What is checked while a file is read. `check` is called with parts that begin and end at whole pages (the last one of a file may end
 * early), in order; it may read a page again into p, should it have been torn by a writer. It tells of what is wrong by itself
 * (env->problem); negative only when the run cannot go on. */
struct page_check {
    size_t page_bytes; /* a power of two, at most 64 KiB */
    int (*check)(void *ctx, const char *path, size_t path_len, int fd, uint64_t off, uint8_t *p,
                 size_t n, struct err *e);
    void *ctx;
    /* The check counts here what it cannot judge yet: a file with such a page is read again in the next run. */
    uint64_t doubtful;
};
#define MAX_CHECKED_PAGE_BYTES (64u << 10)

struct source_root {  /* all borrowed from the source until it is freed */
    const char *name; /* in the manifest, below the virtual root */
    const char *
        place; /* on disk, absolute: a folder or a file; links on the way and itself are followed */
    const void *bytes; /* or, where place is NULL, what its content is */
    size_t bytes_len;
    /* Or, where both are NULL, what this gives, up to n bytes at a time: 0: it ended, and well; negative: it did not, and the run fails. Nothing
     * of it is on a disk. A wait in it calls env->tick. */
    ssize_t (*read)(void *ctx, void *p, size_t n, struct err *e);
    /* Files may grow, shrink, change and vanish while they are read: that is no problem. */
    bool may_change;
    bool may_be_absent; /* the place itself may be gone when its turn comes */
    enum source_delta delta;
    size_t page_bytes; /* for DELTA_PAGES; 0: the engine's default */
    /* Everything in it belongs to this one's uid and gid, whoever owns it here. May be NULL. */
    const struct scan_stat *owner;
    /* A copy of something else: owner, mode and time of the last change are those. May be NULL. */
    const struct scan_stat *like;
    /* True: this entry (and what is below it) is left out. `name` is its name in dir_fd, path that of the manifest. May be NULL. */
    bool (*leave_out)(void *ctx, int dir_fd, const char *name, const char *path, size_t len);
    /* The check for this file, or NULL. May be NULL. */
    struct page_check *(*check_of)(void *ctx, const char *path, size_t len);
    void *ctx;
};

struct source_env { /* borrowed until the source is freed */
    const char *state_dir;
    /* For people, translated; path in the manifest's form. problem: the snapshot is partial. */
    int (*note)(void *ctx, bool problem, const char *path, size_t len, const char *text,
                struct err *e);
    /* Called now and then by a driver that works longer than a moment before the engine reads: shows `path` and how many bytes it has
     * gone through so far; negative when the run is to end. NULL in a probe. */
    int (*tick)(void *ctx, const char *path, size_t len, uint64_t bytes, struct err *e);
    void *ctx;
};

/* What an orchestrator may set from afar, and by which list of the agent's own file (agents/allow.h) it is allowed. */
enum setting_rule {
    SETTING_PLAIN,  /* harmless: a word, a number */
    SETTING_NAMES,  /* names what is read: "KIND VALUE" must stand in `sources` */
    SETTING_READS,  /* a path that is read: in `backup` */
    SETTING_WRITES, /* a path that is written to, perhaps behind a word and "=": in `restore` */
    SETTING_RUNS,   /* a program, or a folder of programs: in `commands` */
};
struct source_setting {
    const char *key; /* NULL ends the list */
    enum setting_rule rule;
    bool needed;
};

/* Of a driver that asks SQL (policies/sql_checks.h): the question itself must be on the agent's own list, word for word. */
#define SQL_CHECK_SETTINGS                                                               \
    { "check", SETTING_PLAIN, false }, { "check-database", SETTING_PLAIN, false },       \
        { "check-sql", SETTING_NAMES, false }, { "check-expect", SETTING_PLAIN, false }, \
    {                                                                                    \
        "check-restored", SETTING_PLAIN, false                                           \
    }

struct source_restore { /* for the steps after the files are in place */
    const char *folder; /* absolute: where the virtual root's content lies (TARGET/postgresql) */
    const struct source_spec *spec;
    bool delta; /* what lies there is to be made what the backup has, right where it is */
    bool
        resolved; /* folder, and what is written to by `spec`, have no links on their way: sys_open_folder */
    struct report *report;
    const char *state_dir;
    struct fetch *fetch; /* for what is kept of its log: agents/fetch_remote.h */
    const struct id *vault_id;
};

struct
    source_host { /* what is asked of a driver about its places on this host (agents/host/host.h) */
    const struct source_spec
        *spec;     /* with settings of a restore: data, tablespace, files, version, verify */
    bool resolved; /* as in struct source_restore */
    struct report *report;
    const char *state_dir;
    const char *incident; /* its name, when the scene is set aside */
};

/* Opens FOLDER/NAME; makes both where they are missing, in a target that is there. No link is followed. */
int source_restore_folder(const struct source_restore *r, const char *name, struct err *e);

struct source_driver {
    const char *kind;                              /* and the name of the virtual root */
    const struct source_setting *settings;         /* of a backup */
    const struct source_setting *restore_settings; /* of a restore */
    int (*begin)(const struct source_spec *spec, const struct source_env *env, void **ret,
                 struct err *e);
    /* What there is, and what is missing (env->note; a problem: a backup would fail, or have less), with the statement that grants it.
     * May be NULL. Negative: not even that can be told. */
    int (*probe)(const struct source_spec *spec, const struct source_env *env, struct err *e);
    int (*roots)(void *s, bool late, const struct source_root **ret, size_t *ret_n, struct err *e);
    int (*end)(void *s, struct err *e);
    int (*check)(void *s, struct err *e); /* may be NULL */
    void (*free)(void *s);                /* NULL-safe */
    /* Follows what the database writes into its log, from where the stream ended (last; seq 0: there is none), until log_sink_wait fails.
     * What the server writes waits no longer than interval_ms for more. k NULL: nothing is followed; only where the server keeps more for us
     * than it shall (its "slot-limit"), that is given up. NULL: it has no log that could be followed. */
    int (*follow)(const struct source_spec *spec, const struct source_env *env,
                  const struct log_piece *last, unsigned interval_ms, struct log_sink *k,
                  struct err *e);
    /* May this symbolic link of a backup be restored before the steps below are taken? `path` is that in the manifest, below the virtual root.
     * Whatever these steps open they would open through it, as a user who may write more than the target. NULL: none may. */
    bool (*link_ok)(const char *path, size_t len);
    /* Before anything is restored: can it be done at all? May be NULL. */
    int (*restore_check)(const struct source_restore *r, struct err *e);
    /* The target is open, and nothing of this restore has come yet; continuing: but what an earlier run of the same one left. What lies in
     * the folder from before must not be mixed with what comes: 1: it is set aside as a whole; 0: it may stay, or there is nothing; -ERR_BUSY:
     * a server works on it. With r->delta it stays, but no server may start on it from now on; what the backup does not have of it is set
     * aside later. NULL: the files are replaced one by one, and there is no delta. */
    int (*restore_over)(const struct source_restore *r, bool continuing, struct err *e);
    /* With r->delta, after that: a place that is to be replaced lends its files to the folder, where they become those of the backup. What
     * has come to the place since an earlier run lent it stays there when the folder has that name already. May be NULL. */
    int (*restore_lend)(const struct source_restore *r, bool continuing, struct err *e);
    /* May be NULL: then the files are all. Negative: the restore has failed. */
    int (*restore)(const struct source_restore *r, struct err *e);
    /* Tells whether its programs are here, and fit, and whether a server works on its data. May be NULL. */
    void (*host_facts)(const struct source_host *h);
    /* Sets aside what lies in its places: renamed, within a file system, never replaced. Goes on where an earlier try was cut off; done
     * once, it is done. -ERR_BUSY: a server works on it. May be NULL. */
    int (*host_scene)(const struct source_host *h, struct err *e);
};

/* The driver of a kind, or NULL. */
const struct source_driver *source_driver(const char *kind);
/* -ERR_CONFIG, -ERR_VERSION: a kind or a setting that this agent does not know, a setting that is missing, a kind that is there twice. */
int source_specs_check(const struct source_spec *all, size_t n, bool restore, struct err *e);

/* In a restore with these sources' steps behind it: may that entry be there? Neither a device nor a pipe may, nor a link that could lead the
 * steps elsewhere: -ERR_REFUSED. */
struct entry;
int source_entry_check(const struct source_spec *all, size_t n, const struct entry *en,
                       struct err *e);

/* Probes each, for an orchestrator that waits for DONE. */
struct wire;
int source_probe(struct wire *w, const struct source_spec *all, size_t n, const char *state_dir,
                 struct err *e);

/* Follows the log of the job's one source (agents/log_sink.h); ends with an error in any case. */
struct msg_backup;
struct msg_logs;
int source_follow(struct wire *w, const struct msg_backup *job, const struct msg_logs *start,
                  const char *state_dir, struct err *e);

/* --- one source of a run ------------------------------------------------------------------------ */
struct source;
int source_begin(const struct source_spec *spec, const struct source_env *env, struct source **ret,
                 struct err *e);
const char *source_kind(const struct source *s);
/* Names out of order, or outside of the virtual root, are a mistake of the driver: asserted. */
int source_roots(struct source *s, bool late, const struct source_root **ret, size_t *ret_n,
                 struct err *e);
int source_end(struct source *s, struct err *e);
int source_check(struct source *s, struct err *e);
void source_free(struct source *s); /* NULL-safe */

/* The drivers. */
extern const struct source_driver source_command, source_mariadb, source_postgresql, source_sqlite;

#endif
