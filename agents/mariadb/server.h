/*
 * server.h - questions to a MariaDB or MySQL server through its own client program, which speaks whatever way of logging in its server asks
 * for, reads passwords from the file that the policy names, and comes with every server. Statements go through its standard input:
 * nothing of them, and no password, stands in a list of processes.
 */
#ifndef TWOFOLD_AGENTS_MARIADB_SERVER_H
#define TWOFOLD_AGENTS_MARIADB_SERVER_H

#include "agents/mariadb/program.h"
#include "lib/wire/source_spec.h"

struct my_server {             /* borrowed but for the paths */
    const char *where;         /* "/run/mysqld/mysqld.sock", "HOST", "HOST:PORT" */
    const char *user;          /* NULL: whom we are, or what the file says */
    const char *defaults_file; /* NULL: none is read, also not the system's */
    const char *state_dir;
    struct as_owner *as; /* NULL: the client runs as ourselves */
    char client[PATH_MAX];
};

/* Settings: server, user, defaults-file, binaries. -ERR_ABSENT: there is no client. */
int my_server_init(struct my_server *s, const struct source_spec *spec, const char *state_dir,
                   struct err *e);
/* Where it is and who we are, as arguments that client and mariadb-backup have in common; the first of them must be the first of all. */
void my_server_args(const struct my_server *s, struct prog *r);

/* Statements; the rows as text, owned: a line each, fields with tabs between, tab, newline and backslash in them escaped (my_fields). Errors:
 * -ERR_REFUSED: not let in, or a right is missing; -ERR_UNREACHABLE; else -ERR_FAILED. */
int my_query(const struct my_server *s, const char *sql, char **ret, struct err *e);
/* The same, for long answers: their text goes to `each` in parts, and `tick` is called about once a second. */
int my_stream(const struct my_server *s, const char *sql, uint64_t limit_s,
              int (*each)(void *ctx, const char *part, size_t n, struct err *e),
              int (*tick)(void *ctx, struct err *e), void *ctx, struct err *e);
/* Takes the next line off *text (which it changes) and splits it; up to max fields. 0: there is none. */
size_t my_fields(char **text, char *fields[], size_t max);

/* What the server, or the way to it, says: an error of that number. */
int my_failed(const struct my_server *s, unsigned long number, const char *text, struct err *e);

/* --- variables of a server */
#define MAX_VARS 128
struct my_vars {
    char *text; /* owned */
    const char *name[MAX_VARS], *value[MAX_VARS];
    size_t n;
};
extern const char *const my_original_settings[]; /* settings.c: NULL ends them */
int my_vars_ask(const struct my_server *s, struct my_vars *ret, struct err *e);
const char *my_var(const struct my_vars *v, const char *name); /* "" where there is none */
void my_vars_done(struct my_vars *v);

#endif
