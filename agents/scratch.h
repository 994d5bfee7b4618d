/*
 * scratch.h - a folder below the agent's state for files that a source makes for a moment: the copy of a database, the output of a
 * program. It goes with all that is in it when the source is freed; what a killed agent left goes when the next one of the same kind is made.
 *
 *     scratch_new(state_dir, "sqlite", &s, e);
 *     scratch_room(scratch_dir(s), bytes, e);
 *     … files in scratch_dir(s) …
 *     scratch_free(s);
 *
 * A lock in it, held by a descriptor, says that its maker lives.
 */
#ifndef TWOFOLD_AGENTS_SCRATCH_H
#define TWOFOLD_AGENTS_SCRATCH_H

#include "lib/base/err.h"
#include <stdint.h>

struct scratch;
/* Mode 0700, in the folder state_dir (the agent's, or another one that only its user writes to). `kind` is a word of a-z, 0-9 and '-'. */
int scratch_new(const char *state_dir, const char *kind, struct scratch **ret, struct err *e);
const char *scratch_dir(const struct scratch *s); /* absolute where state_dir is */
void scratch_free(struct scratch *s);             /* NULL-safe */
/* -ERR_NOSPACE: the file system of this folder has not got room for so many bytes, and a little more. */
int scratch_room(const char *dir, uint64_t bytes, struct err *e);

#endif
