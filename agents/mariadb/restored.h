/* restored.h - a restored backup, for the files that take the driver's steps at a restore: restore.c, in_place.c, verify.c. */
#ifndef TWOFOLD_AGENTS_MARIADB_RESTORED_H
#define TWOFOLD_AGENTS_MARIADB_RESTORED_H

#include "agents/mariadb/inner.h"

#include <jansson.h>

struct my_restored {
    const struct source_restore *r;
    int folder_fd;
    char *data; /* owned; FOLDER/data, once it is prepared */
    json_t *facts;
    struct stat owner; /* of the data folder */
    char dir[32];      /* /tmp/twofold-XXXXXX: only for the owner */
    char conf[48];     /* in it: what of backup-my.cnf may be used */
};

/* Starts a server on it that no network and nobody else can reach, has every table checked (CHECK TABLE … EXTENDED), and stops it. Tables that
 * are not right are problems; -ERR_DAMAGED: the server does not even start, or dies. */
int my_verify(struct my_restored *x, const char *programs, struct err *e);

/* -ERR_BUSY: a server works on the files of that folder. No folder, no files: 0. */
int my_check_stopped(const char *data, struct err *e);
/* The same for a folder that is to be replaced, with what else would be in the way. */
int my_check_replaceable(const struct source_restore *r, const char *data, struct err *e);
/* The prepared folder takes the place of `data`, which is set aside beside it under another name. */
int my_put_in_place(struct my_restored *x, const char *data, struct err *e);
/* "NAME.twofold-before-TIME": a name that is free in the folder. */
int my_name_before(int dir_fd, const char *name, char ret[NAME_MAX + 1], struct err *e);

#endif
