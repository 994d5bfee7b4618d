/*
 * archive_taken.h - what was taken from an archive folder lately, by its content. The server may hand over again what it does not know to be
 * archived; the same name with other content means that it was put back to an earlier state. An entry counts once the stream has its last
 * piece: what was noted, and never became durable, is forgotten with the next opening.
 */
#ifndef TWOFOLD_AGENTS_POSTGRESQL_ARCHIVE_TAKEN_H
#define TWOFOLD_AGENTS_POSTGRESQL_ARCHIVE_TAKEN_H

#include "lib/base/err.h"
#include "lib/base/id.h"

#include <stdbool.h>
#include <stdint.h>

struct archive_taken;
/* path: a file of the agent's own; what is in it of pieces behind last_seq is dropped. */
int archive_taken_open(const char *path, uint64_t last_seq, struct archive_taken **ret,
                       struct err *e);
void archive_taken_free(struct archive_taken *t); /* NULL-safe */
/* Durable when it returns. seq: of the last piece that has it. */
int archive_taken_add(struct archive_taken *t, const char *name, uint64_t seq, const struct id *sum,
                      struct err *e);
bool archive_taken_knows(const struct archive_taken *t, const char *name);
/* Was this very content taken under this name? *ret_seq: by then it was. */
bool archive_taken_has(const struct archive_taken *t, const char *name, const struct id *sum,
                       uint64_t *ret_seq);

#endif
