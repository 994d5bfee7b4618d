/*
 * program.h - runs one of the database's own programs: mariadb-backup, the client, a server for a moment. What it says on standard error goes
 * into a file without a name, of which the end is told when it fails. It dies with us.
 *
 *     prog_init(&r, state_dir, e)
 *     prog_begin(&r, path, as)       as whom (NULL: as ourselves)
 *     prog_arg(&r, "--backup") …
 *     prog_start(&r, -1, e)
 *     prog_wait(&r, …, e)            or prog_output
 *     prog_done(&r)                  kills it, should it still run
 */
#ifndef TWOFOLD_AGENTS_MARIADB_PROGRAM_H
#define TWOFOLD_AGENTS_MARIADB_PROGRAM_H

#include "agents/as_owner.h"
#include "lib/base/err.h"
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define PROG_MAX_ARGS 4096
#define PROG_TAIL_BYTES 400

struct prog {
    char *texts[PROG_MAX_ARGS]; /* owned */
    const char *argv[PROG_MAX_ARGS + 1];
    size_t n;
    bool failed; /* no memory, too many */
    int log_fd, fd;
    pid_t pid;
};

/* What stands for a program of MariaDB and MySQL: "mariadb-backup", "mariabackup", "xtrabackup". folder: NULL: where packages put them.
 * -ERR_ABSENT: there is none of them. */
enum my_tool { TOOL_BACKUP, TOOL_CLIENT, TOOL_SERVER, TOOL_BINLOG };
int prog_find(enum my_tool tool, const char *folder, char ret[PATH_MAX], struct err *e);

/* Is that program (mariadb-backup, or a server) of the version's release (10.11, 8.0)? Another one would copy or prepare something else than
 * this server's files. -ERR_VERSION. What tells no version is let pass. */
int prog_check_version(const char *program, const char *version, const char *state_dir,
                       struct err *e);

int prog_init(struct prog *r, const char *state_dir, struct err *e);
void prog_begin(struct prog *r, const char *program, struct as_owner *as);
void prog_arg(struct prog *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* lock_fd: -1, or a descriptor that it holds open as long as it lives. */
int prog_start(struct prog *r, int lock_fd, struct err *e);
bool prog_alive(struct prog *r);
/* Until it ends. tick (may be NULL) is called about once a second; negative ends the wait. *ret_ok: status 0. -ERR_TIMEOUT, -ERR_INTERRUPTED. */
int prog_wait(struct prog *r, uint64_t limit_s, int (*tick)(void *ctx, struct err *e), void *ctx,
              bool *ret_ok, struct err *e);
/* The same with `input` as its standard input; its output goes to `each` in parts. */
int prog_feed(struct prog *r, const char *input, uint64_t limit_s,
              int (*each)(void *ctx, const char *part, size_t n, struct err *e),
              int (*tick)(void *ctx, struct err *e), void *ctx, bool *ret_ok, struct err *e);
/* Asks it to end (SIGTERM) and waits; true: it ended with status 0. */
bool prog_stop(struct prog *r, unsigned timeout_ms);
/* The last errors that it told of, or else the last that it said, in one line; lines as long as a page's dump are left out. */
void prog_tail(const struct prog *r, char ret[PROG_TAIL_BYTES + 1]);
/* Has it said that, near the end? */
bool prog_said(const struct prog *r, const char *text);
void prog_done(struct prog *r);

#endif
