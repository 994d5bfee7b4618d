/* program.h - other programs: where ours lie, and what a short one prints. */
#ifndef TWOFOLD_ORCHESTRATOR_PROGRAM_H
#define TWOFOLD_ORCHESTRATOR_PROGRAM_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include <limits.h>

#define MAX_PROGRAM_OUTPUT ((size_t)1 << 20)

/* The program `name`: what the environment's `variable` says (NULL: none), else beside this program, else in the PATH.
 * -ERR_ABSENT. */
int program_find(const char *name, const char *variable, char out[PATH_MAX], struct err *e);
/* Runs argv (argv[0] a path) to its end, at most timeout_ms; what it prints is appended to out (which ends with a NUL that is
 * not counted). *ret_status as of waitpid. -ERR_LIMIT when it prints more than MAX_PROGRAM_OUTPUT, -ERR_TIMEOUT. */
int program_run(const char *const argv[], unsigned timeout_ms, struct wbuf *out, int *ret_status,
                struct err *e);

#endif
