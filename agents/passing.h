/*
 * passing.h - a folder in /tmp for the socket and settings of a server that runs for a moment (a socket's path must be short, and the folder
 * may belong to another account than the agent's). A lock on a file in it says that its maker lives: what a killed agent left goes when
 * the next one is made.
 */
#ifndef TWOFOLD_AGENTS_PASSING_H
#define TWOFOLD_AGENTS_PASSING_H

#include "lib/base/err.h"
#include <stdbool.h>
#include <sys/types.h>

#define PASSING_BYTES 32
struct passing {
    bool there;
    char dir[PASSING_BYTES]; /* /tmp/twofold-XXXXXX, 0700; its maker's until it is given away */
    int lock_fd;
};
/* uid: the account that it will be given to: of its folders, and of our own, those that nobody lives for are removed first. */
int passing_new(struct passing *p, uid_t uid, struct err *e);
/* Removes it, and what is in it. 0-initialised ones are fine. */
void passing_done(struct passing *p);

#endif
