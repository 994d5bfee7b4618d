/*
 * host.h - what an agent does on its host beside backups and restores (agents/host/frames.h), for agents/main.c, and what drivers and
 * restores use of it:
 *
 *     host.c      the job
 *     facts.c     how the host is: clock, memory, room
 *     disks.c     file systems, disks, the kernel's log
 *     mounts.c    file systems that are not mounted
 *     command.c   one command, with a time limit, its words kept up to a bound
 *     drop.c      the folder of a drill
 *     scene.c     folders that what is there is set aside to, and what failed restores left
 */
#ifndef TWOFOLD_AGENTS_HOST_HOST_H
#define TWOFOLD_AGENTS_HOST_HOST_H

#include "agents/host/frames.h"
#include "agents/report.h"
#include "agents/source.h"

#include <limits.h>
#include <sys/stat.h>

int host_job(struct wire *w, const struct msg_host *m, const char *state_dir, struct err *e);

/* --- facts.c, disks.c: a fact is an object of FACTS "fact": fact, place, verdict, text, and numbers of its own ---------- */
enum fact_verdict { FACT_GOOD, FACT_DOUBTFUL, FACT_BAD, FACT_UNKNOWN };
/* more: its own fields; taken, may be NULL. place: may be NULL. */
void fact_tell(struct report *r, const char *fact, const char *place, enum fact_verdict verdict,
               json_t *more, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* Whatever cannot be found out is a fact, too. */
void facts_of_host(struct report *r, const struct msg_host *m);
void facts_of_disks(struct report *r, const char *place, const struct stat *st);
void facts_of_kernel(struct report *r);

/* --- mounts.c ------------------------------------------------------------------------------------------------- */
/* Nothing is in the place, which lies in a file system of /etc/fstab that is not mounted now: where to. What is missed may be whole on it. */
bool host_unmounted(const char *place, char ret[PATH_MAX]);
/* -ERR_REFUSED: as above. */
int host_check_mounted(void *ctx, const char *place, struct err *e);

/* --- command.c ------------------------------------------------------------------------------------------------ */
struct host_command {
    char *const *words; /* the program's whole path first */
    size_t n;
    const char *last;              /* one more word; NULL: none */
    const char *policy, *incident; /* TWOFOLD_POLICY, TWOFOLD_INCIDENT */
    unsigned limit_s;              /* 0: DEFAULT_HOOK_LIMIT_S */
    int (*tick)(void *ctx,
                struct err *e); /* about once a second; negative: it is ended. May be NULL */
    void *ctx;
    struct wire *wire; /* ended when the other side goes, or sends CANCEL; NULL: only by a signal */
    struct report *report;
};
#define MAX_COMMAND_OUTPUT (64u << 10)
struct host_ran {
    int status; /* 128 + N: by signal N */
    bool timed_out;
    uint64_t ms;
    char *output; /* owned; the end of what it said, out and error */
};
/* It runs in a process group of its own, in /, with the environment that hooks have (agents/guard.h). What it leaves running may go on. 0: it has
 * ended, somehow. -ERR_REFUSED: others can write the program; -ERR_ABSENT. */
int host_command_run(const struct host_command *c, struct host_ran *ret, struct err *e);

/* --- drop.c --------------------------------------------------------------------------------------------------- */
#define DRILL_NAME "drill-" /* how the name of a drill begins */
/* The folder, whose last part is the drill's name, and what is in it; 0 also when it is not there. No link is followed, no other file system entered.
 * resolved: nor a link on the way to it. */
int host_drop_folder(const char *folder, const char *id, bool resolved, struct err *e);
int host_drop_all(const struct msg_host *m, struct err *e);

/* --- scene.c -------------------------------------------------------------------------------------------------- */
#define SCENE_FOLDER ".twofold-scene-" /* and the incident: in the folder that is emptied */
#define SCENE_BESIDE \
    ".twofold-scene-" /* behind the name of a folder that is set aside as a whole */
#define STAGING_FOLDER ".twofold-restore-" /* of a restore in place; then these of the snapshot */
#define STAGING_DIGITS 8
#define STAGING_TRIED \
    ".twofold-tried" /* in it: a server was started on what is in it, and has changed it */
#define STAGING_LENT \
    ".twofold-lent" /* in it: the server's own files were moved there, and may lie nowhere else: it is never taken away */

struct scene {
    int fd;                  /* of the folder with what was set aside; -1 */
    bool done;               /* nothing is left to do */
    bool fresh;              /* it was made now */
    char tag[NAME_MAX + 64]; /* the file in it that says so */
    json_t *what;            /* owned, when done */
};
/* Opens NAME in a folder, or makes it, as its owner's. tag: which of several in it, "" or a file's name. */
int scene_open(int in_fd, const char *name, const char *tag, const struct stat *owner,
               struct scene *ret, struct err *e);
/* Moves into it what goes, of the folder from_fd; what has that name in it already is not replaced: -ERR_EXISTS. */
int scene_move(const struct scene *s, int from_fd, bool (*goes)(void *ctx, const char *name),
               void *ctx, struct err *e);
/* Counts what is in it (only: files that begin with this; NULL: all), writes down that it is done, and tells. */
int scene_finish(struct scene *s, const struct source_host *h, const char *place, const char *where,
                 const char *only, struct err *e);
void scene_tell(const struct scene *s, const struct source_host *h, bool moved);
void scene_close(struct scene *s);
/* The folder is not there: it is made, for what is to come, and told of. Its own folder must be. */
int scene_absent(const struct source_host *h, const char *place, struct err *e);
/* Calls fn for the folder of each place that the sources' settings name. */
int host_places(const struct msg_host *m, int (*fn)(void *ctx, const char *place, struct err *e),
                void *ctx, struct err *e);
int host_clear_places(struct report *r, const struct msg_host *m, struct err *e);

#endif
