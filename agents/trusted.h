/*
 * trusted.h - is a file this host's own to trust? Whoever can write it, or put another one in its place, would say what is done as the agent's user.
 */
#ifndef TWOFOLD_AGENTS_TRUSTED_H
#define TWOFOLD_AGENTS_TRUSTED_H

#include "lib/base/err.h"

/* The file, where its name leads to, and each folder on both ways belong to root or to the agent's user, and nobody else can write them (a folder
 * in which nobody may remove what is another's, as /tmp, is let pass). -ERR_REFUSED with the name of what is not so; or what stat says. */
int trusted_check(const char *path, struct err *e);

#endif
