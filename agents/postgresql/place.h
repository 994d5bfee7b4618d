/*
 * place.h - the folder that a server's data lie in, or that of a tablespace, before something is moved there: does a server work on it, is it a
 * database's, can what is in it be moved?
 */
#ifndef TWOFOLD_AGENTS_POSTGRESQL_PLACE_H
#define TWOFOLD_AGENTS_POSTGRESQL_PLACE_H

#include "lib/base/err.h"

#define PG_OURS ".twofold-" /* how the names of what a restore makes here begin */
#define PG_BEFORE ".twofold-before-"
#define PG_LAST "global" /* pg_control is in it: nothing starts without */

/* -ERR_BUSY: a server works there. A server that runs would go on writing into the files that are moved under it. */
int pg_place_stopped(int data_fd, const char *data, struct err *e);
/* The same of one that has no postmaster.pid, or is not there any more (data_fd -1). */
int pg_place_forgotten(int data_fd, const char *data, struct err *e);
/* -ERR_REFUSED: it is neither empty nor has something in it that is `known`, nor what an earlier restore left. */
int pg_place_kind(int fd, const char *place, bool (*known)(const char *), struct err *e);
/* -ERR_REFUSED: a file system is mounted in it. spaces: only what is a tablespace's counts. */
int pg_place_mounts(const char *place, bool spaces, struct err *e);

bool pg_is_ours(const char *name);
/* "PG_15_202209061": what clusters of one version have in a tablespace. All else in its folder is somebody else's. */
bool pg_is_version_folder(const char *name);
bool pg_is_cluster_entry(const char *name);

#endif
