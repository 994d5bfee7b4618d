/* problems.h - what went wrong with single entries: told to the orchestrator at once (NOTE), counted, and the
 * first ones kept for the snapshot's body. For one thread. */
#ifndef TWOFOLD_AGENTS_PROBLEMS_H
#define TWOFOLD_AGENTS_PROBLEMS_H

#include "lib/vault/manifest.h"
#include "lib/wire/wire.h"

#define MAX_NOTES_SENT 10000 /* of each kind; the rest is only counted */

struct problems;
struct problems *problems_new(struct wire *w); /* NULL: no memory */
void problems_free(struct problems *p);        /* NULL-safe */
/* path: as in the manifest; text: for people, translated. problem false: only worth knowing. */
int problems_add(struct problems *p, bool problem, const char *path, size_t len, const char *text,
                 struct err *e);
uint64_t problems_count(const struct problems *p);
/* Puts those kept into b->problems and b->n_problems; they stay the problems' own. */
void problems_kept(const struct problems *p, struct snapshot_body *b);

#endif
