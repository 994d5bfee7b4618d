/*
 * links.h - links in a cluster's folders. A server follows them; a backup keeps a link as a link, so what lies behind it would not be
 * in it, and a server that is started on what was restored would work on what the link leads to: the original's files, or any others.
 * A cluster has just two kinds that are as they should be: pg_wal, and one below pg_tblspc for each tablespace. All others where
 * the server keeps its own files are refused, and pipes and devices with them. Files that people put into a data folder may be
 * links: configuration, certificates, the server's text log.
 */
#ifndef TWOFOLD_AGENTS_POSTGRESQL_LINKS_H
#define TWOFOLD_AGENTS_POSTGRESQL_LINKS_H

#include "lib/base/err.h"
#include <stdbool.h>

/* Of the names in a data folder: is it one that the server itself reads and writes? */
bool pg_is_servers(const char *name);
/* The data folder `name` of dir_fd; place: how it is called in messages. restored: pg_wal may be no link either. -ERR_REFUSED: names the
 * first that is met. */
int pg_links_data(int dir_fd, const char *name, const char *place, bool restored, struct err *e);
/* Everything in a folder that is the server's alone: a tablespace's PG_15_202209061, or the restored wal, label, data-spaces. 0 also where
 * it is not there. */
int pg_links_all(int dir_fd, const char *name, const char *place, bool restored, struct err *e);

/* Is that where the server keeps its own files? `path` is one below a data folder: base/16384. */
bool pg_links_matter(const char *path);

/* A tablespace's folder: what clusters have in it ("PG_…"); what else lies there is somebody else's. */
int pg_links_space(int dir_fd, const char *place, struct err *e);

#endif
