/*
 * inner.h - what the files of the `command` driver share (agents/source.h is its interface):
 *
 *     driver_file.c   a driver file: which programs dump, load and check something that has no driver of its own
 *     run.c           one such program: in a group of its own, with a deadline, its messages kept up to a bound
 *     backup.c        begin, roots, end, probe
 *     restore.c       the steps at a restore: loading, checking
 *
 * Driver files lie on the host that the programs run on, in the folder drivers/ of its own configuration, and only root or the agent's
 * user may be able to write them: a policy can name one, and nothing else of what is run.
 *
 * In the manifest: command/dumps/NAME/FILE, what the program wrote to its standard output · command/facts.json · command/logs/NAME/….
 */
#ifndef TWOFOLD_AGENTS_COMMAND_INNER_H
#define TWOFOLD_AGENTS_COMMAND_INNER_H

#include "agents/source.h"
#include "lib/base/sys.h"

#include <limits.h>

#define CMD_ROOT "command"
#define CMD_DUMPS CMD_ROOT "/dumps"
#define CMD_LOGS CMD_ROOT "/logs"
#define CMD_FACTS "facts.json"
#define CMD_KEY "drivers" /* of the policy, and of a restore */
#define MAX_CMD_DRIVERS 32
#define MAX_CMD_WORDS 128
#define MAX_CMD_FACTS (1u << 20)
#define CMD_TIME_LIMIT_S 86400
#define CMD_CHECK_LIMIT_S 600
#define CMD_SAID_BYTES 8192 /* of what it says, the end is kept */
#define CMD_TAIL_BYTES 400  /* and so much of that is told */

struct cmd_words { /* owned; ends with NULL */
    char *v[MAX_CMD_WORDS + 1];
    size_t n;
};

/* --- driver_file.c */
struct cmd_driver {
    char *name, *file; /* owned; file: what the dump is called */
    char *logs;        /* owned; a folder, or NULL */
    char *user;        /* owned; or NULL: as the agent */
    char *text;        /* owned; the file, for its sum */
    size_t text_len;
    struct cmd_words dump, restore, check, environment;
    uint64_t time_limit_s, min_bytes;
    bool tried; /* false: its author says that it was never tried */
};
/* -ERR_ABSENT, -ERR_CONFIG with the line of a mistake; -ERR_REFUSED: others may write it. */
int cmd_driver_load(const char *name, struct cmd_driver **ret, struct err *e);
void cmd_driver_free(struct cmd_driver *d); /* NULL-safe */

/* --- run.c */
struct cmd_run {
    pid_t pid; /* of its group, too; 0: it has ended */
    int out_fd, err_fd;
    uint64_t limit_s, until_ms;
    char said[CMD_SAID_BYTES];
    size_t n_said; /* all of it; the last CMD_SAID_BYTES are kept, in a ring */
    int (*tick)(void *ctx, struct err *e); /* while it is waited for; may be NULL */
    void *ctx;
};
/* in_fd: its standard input (-1: /dev/null), borrowed. piped: its output is for cmd_read, else it is kept as what it says. `folder`: told to it
 * as TWOFOLD_FOLDER; may be NULL. */
int cmd_start(struct cmd_run *r, const struct cmd_driver *d, const struct cmd_words *words,
              int in_fd, bool piped, const char *folder, uint64_t limit_s, struct err *e);
/* Up to n bytes of its output. 0: that has ended, and so has it, well. -ERR_TIMEOUT, -ERR_FAILED: with what it said last. */
ssize_t cmd_read(struct cmd_run *r, void *p, size_t n, struct err *e);
/* The same for one whose output is not read. */
int cmd_wait(struct cmd_run *r, struct err *e);
/* The end of what it said, on one line; empty: nothing. */
void cmd_tail(const struct cmd_run *r, char ret[CMD_TAIL_BYTES + 1]);
void cmd_stop(struct cmd_run *r); /* its whole group; harmless when it has ended */

/* --- restore.c */
int cmd_restore_check(const struct source_restore *r, struct err *e);
int cmd_restore(const struct source_restore *r, struct err *e);

#endif
