/*
 * server.h - a session with a PostgreSQL server through libpq: connecting, questions with one answer, and what their errors mean.
 *
 * Where we are root and the server listens on a local socket, the connection is made as the system's user of the same name as the
 * database's (or `os-user`), for that is what "peer" in pg_hba.conf asks for; only this thread is that user, and only meanwhile. Where that does not let us in, as ourselves.
 */
#ifndef TWOFOLD_AGENTS_POSTGRESQL_SERVER_H
#define TWOFOLD_AGENTS_POSTGRESQL_SERVER_H

#include "lib/base/err.h"
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#define SERVER_MIN_VERSION 120000

/* conninfo: as libpq takes it (key=value or a URI). os_user: NULL: as above. -ERR_UNREACHABLE, -ERR_REFUSED, -ERR_CONFIG, -ERR_VERSION. */
int server_connect(const char *conninfo, const char *os_user, PGconn **ret, struct err *e);
/* The same, into that database. */
int server_connect_to(const char *conninfo, const char *os_user, const char *database, PGconn **ret,
                      struct err *e);
/* The same, as one who may also follow the log (START_REPLICATION) beside asking. */
int server_connect_replication(const char *conninfo, const char *os_user, PGconn **ret,
                               struct err *e);
/* One statement; the answer is PQclear's. params may be NULL. Errors: -ERR_REFUSED for missing rights (with `what` it was), -ERR_UNREACHABLE
 * when the session is lost, else -ERR_FAILED. */
int server_query(PGconn *c, const char *sql, int n, const char *const *params, PGresult **ret,
                 struct err *e);
/* One value as text, owned; NULL for an SQL NULL or no row. */
int server_text(PGconn *c, const char *sql, char **ret, struct err *e);
int server_do(PGconn *c, const char *sql, struct err *e);
/* What an answer that is none means: the error as above. r may be NULL. */
int server_failed(PGconn *c, const PGresult *r, struct err *e);

/* "16/B374D848" */
#define LSN_TEXT_BYTES 24
bool lsn_parse(const char *text, uint64_t *ret);
const char *lsn_print(uint64_t lsn, char ret[LSN_TEXT_BYTES]);

#endif
