/*
 * works_in.h - does a server work in a folder whose files say nothing of it any more? Whoever deletes a database's files under its server leaves it
 * running on what has no name, and clients go on being answered.
 */
#ifndef TWOFOLD_AGENTS_WORKS_IN_H
#define TWOFOLD_AGENTS_WORKS_IN_H

#include <sys/types.h>

/* A process of one of these programs (how their names begin; NULL ends them) whose working folder is this one, or was one of that name that is
 * deleted. fd: of the folder, -1: it is not there. 0: none that we can see. */
pid_t works_in(int fd, const char *folder, const char *const *programs);

#endif
