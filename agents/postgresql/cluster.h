/* cluster.h - a restored cluster, for the files that take the driver's steps at a restore: restore.c, in_place.c, verify.c. */
#ifndef TWOFOLD_AGENTS_POSTGRESQL_CLUSTER_H
#define TWOFOLD_AGENTS_POSTGRESQL_CLUSTER_H

#include "agents/postgresql/inner.h"

#include <jansson.h>
#include <sys/stat.h>

struct pg_cluster {
    const struct source_restore *r;
    int folder_fd, data_fd;
    int wal_fd; /* data/pg_wal; as the two above, no link was followed to it */
    char *data; /* owned; FOLDER/data */
    json_t *facts;
    uint64_t stop_lsn;   /* without this part of the log it is no whole backup */
    uint64_t expect_lsn; /* with its log: so far recovery must come */
    bool looked_at;      /* a server will be started on it before it is in its place */
    struct stat owner;   /* of the data folder */
    char *recovery;      /* owned; what was added to postgresql.auto.conf */
    size_t recovery_len;
};

/* Starts a server on it, with a configuration of ours and a socket that only its owner can reach, lets it recover, compares how far it
 * came with what the backup has, looks into each database, stops it, and has all page checksums looked at. -ERR_DAMAGED: it is not right. */
int pg_verify(struct pg_cluster *c, const char *programs, struct err *e);
/* The folder of the programs of that version (15); programs: "postgres": as packages have them, or the folder itself. */
int pg_find_programs(const char *programs, int version, char ret[PATH_MAX], struct err *e);
/* May the folder, and those of the tablespaces in r->spec, be replaced? -ERR_BUSY: a server runs there; -ERR_REFUSED: something else than a
 * database lies there, or what is there cannot be moved. Asked before anything is done, and again before the first move. */
int pg_check_replaceable(const struct source_restore *r, const char *data, struct err *e);
/* With --delta: does a cluster lie there that is another one than the backup's ("system")? -ERR_REFUSED. */
int pg_check_same(const struct source_restore *r, struct err *e);
/* -ERR_BUSY: a server works on what was restored to that folder before. */
int pg_check_stopped(const struct source_restore *r, struct err *e);
/* The name of the folder, in the place that is to be replaced, to which the restore went: that around `folder`. */
int pg_staging_name(const char *folder, char out[NAME_MAX + 1], struct err *e);
/* The whole data folder becomes `data`; what is there is set aside beside it. Tablespaces the same, where they were restored beside
 * (a folder of the same name in theirs); of their folders only what the backup brings for that version of the server. */
int pg_put_in_place(struct pg_cluster *c, const char *data, struct err *e);

#endif
