/*
 * sandbox.h - what twofold-ssh gives up before it reads the first byte of a server. Documented in docs/security.md.
 *
 * As root it becomes "nobody" without other groups; always: no_new_privs, not dumpable, no core, a bound on memory (not in builds
 * with AddressSanitizer), no file may be opened, no process started; and a seccomp filter of system calls: reading,
 * writing and waiting on what is open, memory, time, chance and the end. To start programs, to trace, or to make a socket ends the
 * process; any other call fails with EPERM.
 */
#ifndef TWOFOLD_SSH_SANDBOX_H
#define TWOFOLD_SSH_SANDBOX_H

#include "lib/base/err.h"

/* All of it, or an error: then nothing may be read from the server. */
int sandbox_enter(struct err *e);

#endif
