/*
 * restore_run.h - what the files of a restore share: one running restore and its parts.
 *
 *     apply.c       the whole: entries in order, the end
 *     target.c      the target folder, its marker, what is set aside
 *     dirs.c        the chain of open folders from the target down to where the restore is
 *     place.c       links, pipes, devices; what is in the way
 *     place_file.c  regular files
 *     content.c     extents, the hash over them, and what is on disk
 *     extra.c       what is there and not in the snapshot
 *
 * Functions that return int: 0, FAILED_HERE (this entry cannot be restored; e says why, the rest
 * goes on), or negative (the whole cannot go on).
 */
#ifndef TWOFOLD_AGENTS_RESTORE_RUN_H
#define TWOFOLD_AGENTS_RESTORE_RUN_H

#include "agents/apply.h"
#include "agents/content.h"
#include "agents/entries.h"
#include "agents/fetch_remote.h"
#include "agents/linktable.h"
#include "agents/report.h"
#include "agents/setmeta.h"
#include "agents/spool.h"
#include <limits.h>

enum { FAILED_HERE = 1 };

#define IO_BYTES (256u << 10)
#define TOKEN_BYTES 17 /* 16 hex digits */
#define MAX_OPEN_DIRS 100
#define MAX_DEPTH 65536
#define MAX_OTHER_FS 16
#define TEMP_NAME_BYTES 64

struct aside { /* a folder for what is moved out of the way */
    int fd;    /* -1 until something is */
    char name[64];
};

struct target {
    int fd, place_fd; /* both locked; place: into which a database is put in the end, or -1 */
    bool made;        /* by this restore: it was not there */
    bool empty;       /* when this run began */
    bool continuing;  /* the marker of the same restore was there */
    time_t since;     /* continuing: when that was written */
    bool
        was_delta; /* it made a database's old files new ones: what it left is not only of the backup */
    bool has_marker;           /* ours; to be removed at the end */
    char token[TOKEN_BYTES];   /* in the names of temporary files */
    struct aside aside, extra; /* what was in the way; what the snapshot does not have */
};

struct dir {
    int fd; /* -1: closed for now, or lost */
    dev_t dev;
    ino_t ino;
    size_t path_len; /* its path is so much of dirs.path */
    bool fresh;      /* made by this run: nothing is in it but what this run put there */
    bool lost;       /* could not be made: what belongs into it fails */
    bool give_meta;  /* its metadata is to be that of the snapshot */
    bool inherit_acl, inherit_flags; /* what is made in it gets some */
    uint32_t unlocked;   /* flags that it had before they were taken away for the time being */
    struct entry *saved; /* owned; NULL when the snapshot says nothing of it */
    struct extra *extra; /* owned; what was in it; NULL: nothing in it is taken for extra */
    bool stays;          /* nothing in it or below is: backups leave it out */
    bool elsewhere;      /* on another file system than the target */
};

struct dirs {
    struct dir *v;             /* [0] is the target */
    size_t n, cap, first_open; /* v[1..first_open) are closed */
    char *path;                /* of the innermost, relative to the target */
    size_t path_cap;
};

struct run {
    struct wire *w;              /* borrowed */
    const struct msg_restore *m; /* borrowed */
    struct snapshot_body *body;
    struct pathset *set, *everything;
    struct fetch *fetch;
    struct entries *walk, *links_walk,
        *runs_walk; /* in order; first names of links; runs of sparse files */
    struct report rep;
    struct setmeta *sm;
    struct target t;
    struct dirs dirs;
    int state_fd;
    const char *state_dir; /* borrowed */
    struct linktable *links;
    struct spool *late_flags;
    dev_t other_dev[MAX_OTHER_FS]; /* file systems below the target, to be synced, too */
    int other_fd[MAX_OTHER_FS];
    size_t n_other;
    size_t strip_len; /* so many bytes of every path are not restored */
    unsigned temps;
    struct exclude *exclude; /* what backups of this policy leave out */
    unsigned extra_notes;
    bool extra_told;
    uint32_t uid, gid; /* whose what we make is */
    struct hashers with;
    struct beside *beside; /* hashes what is being written */
    uint8_t *pour;         /* place_file.c's buffers; NULL: not needed yet */
    uint8_t *io;           /* IO_BYTES */
};

/* Where an entry goes. */
struct place {
    struct dir *dir;
    const char *path; /* relative to the target; borrowed */
    size_t path_len;
    const char *shown; /* the entry's path in the snapshot, for notes; borrowed */
    size_t shown_len;
    char name[NAME_MAX + 1];
};

/* --- apply.c ---------------------------------------------------------------------------------- */
/* The path below the target, false when it has none (above what is stripped). Length 0: the
 * target. */
bool run_relative(const struct run *r, const char *path, size_t len, const char **ret,
                  size_t *ret_len);
/* -ERR_INTERRUPTED after a signal, or why the wire broke; else 0. To be asked between entries. */
int run_check(struct run *r, struct err *e);
/* For struct disk_check: counts what was read; true when it is time to stop. ctx is the run. */
bool run_stop(void *ctx, uint64_t n);
/* Does this error end the whole restore (disk full, read-only)? Then it is returned, else
 * FAILED_HERE. */
int run_judge(int code);

/* --- target.c --------------------------------------------------------------------------------- */
/* Opens it, or makes it, and refuses one that may not be used; nothing in it is changed. */
int target_open(struct run *r, struct err *e);
/* Are the files of a database that are there to become those of the backup? */
bool target_is_delta(const struct run *r);
/* Writes the marker: from now on what is there is this restore's, and the same command goes on with it. */
int target_begin(struct run *r, struct err *e);
/* Removes the marker. */
int target_finish(struct run *r, struct err *e);
/* Nothing was restored: in a target that was empty, the folders on the way to it go again, and the marker. */
void target_undo(struct run *r);
void target_close(struct run *r);
/* A name for a temporary file of this restore. */
void target_temp_name(struct run *r, char out[TEMP_NAME_BYTES]);
/* Calls fn for each name in the folder until it returns non-zero, which is returned. */
int target_each_name(int dir_fd, int (*fn)(void *ctx, int dir_fd, const char *name, struct err *e),
                     void *ctx, struct err *e);
/* Deletes what an earlier run of the same restore left in this folder unfinished. */
int target_sweep(struct run *r, int dir_fd, struct err *e);
/* Puts what is at p into the aside folder, under the same relative path. *keep: it should stay
 * here, too, as a hard link, so that there is no moment without it; set to whether it did. */
int target_set_aside(struct run *r, const struct place *p, bool *keep, struct err *e);
/* The same for what the snapshot does not have, and a folder of its own. Of the place's dir only fd is used. */
int target_set_extra_aside(struct run *r, const struct place *p, struct err *e);
/* A name at the top of the target that this restore has made. */
bool target_is_own(const struct run *r, const char *name);

/* --- dirs.c ----------------------------------------------------------------------------------- */
int dirs_begin(struct run *r, struct err *e);
void dirs_done(struct dirs *d); /* closes without giving metadata */
/* Goes to the folder that holds the place (its path must be set), leaving those that it is not in;
 * those missing are made. The place's dir may be lost. It is good until the next call of a dirs_
 * function. */
int dirs_place(struct run *r, struct place *p, struct err *e);
/* Makes or enters the folder of an entry. way: it is only on the way to what is asked for. */
int dirs_enter(struct run *r, const struct entry *en, struct place *p, bool way, struct err *e);
/* Leaves all but the target itself. */
int dirs_leave_all(struct run *r, struct err *e);
/* Gives the target the metadata that was saved for it; its inode flags only when it is the last
 * thing done. */
void dirs_finish_root(struct run *r, bool last);
/* Sets the flags that had to wait. */
int dirs_late_flags(struct run *r, struct err *e);
int dirs_add_late_flags(struct run *r, const struct object *o, const char *path, size_t len,
                        uint32_t flags, struct err *e);

/* --- place.c ---------------------------------------------------------------------------------- */
enum way { WAY_FREE, WAY_SAME_TYPE, WAY_OTHER };
/* What is at p already; *st is filled unless free. */
int place_look(struct run *r, const struct place *p, mode_t type, enum way *ret, struct stat *st,
               struct err *e);
/* Something else is in the way: set aside, or FAILED_HERE. */
int place_clear(struct run *r, const struct place *p, struct err *e);
/* Gives the temporary object its name; `way` is what place_look said. */
int place_rename(struct run *r, const struct place *p, const char *temp, enum way way,
                 struct err *e);
int place_symlink(struct run *r, const struct entry *en, const struct place *p, struct err *e);
int place_node(struct run *r, const struct entry *en, const struct place *p, struct err *e);
int place_hardlink(struct run *r, const struct entry *en, const struct place *p, struct err *e);
/* Remembers what stands for a path of the snapshot, so that links can be made to it. */
int place_remember(struct run *r, const struct entry *en, const struct place *p,
                   const struct stat *st, struct err *e);

/* --- extra.c ---------------------------------------------------------------------------------- */
bool extra_wanted(const struct run *r);
/* -ERR_USAGE: to be set aside, and no root is restored as a whole. */
int extra_check(const struct run *r, struct err *e);
/* A folder was opened (up: the one that it is in, NULL for the target): its names are read, when it is `mine`: asked for, and named by an
 * entry. path: in the snapshot. */
int extra_enter(struct run *r, const struct dir *up, const char *path, size_t len, bool mine,
                struct dir *d, struct err *e);
void extra_saw(struct dir *d, const char *name); /* an entry has this name */
void extra_unsure(struct run *r);                /* entries are lost here */
/* All entries in it have come: what has no entry is counted, or set aside. Its metadata come after that. */
int extra_leave(struct run *r, struct dir *d, struct err *e);
void extra_free(struct extra *x); /* NULL-safe */

/* --- place_file.c ----------------------------------------------------------------------------- */
/* `walk` is where en came from; its continuations are read from there. */
int place_file(struct run *r, struct entries *walk, struct entry *en, const struct place *p,
               struct err *e);

#endif
