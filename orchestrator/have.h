/*
 * have.h - what an agent is told is there (docs/protocol.md, HAVE), and what follows from it: a chunk that it was told of is
 * pinned for as long as the session lives; one that it was not told of is promised, and taken once. Bounds what an agent
 * may ask for, since each answer is remembered.
 *
 *     have_new(v, &h, e);
 *     have_answer(h, &payload, &out, e)    a HAVE frame; `out` becomes the payload of HAD
 *     have_take(h, &id, e)                 may this PUT be taken? 1: yes; 0: it came before, drop it
 *     have_reach(h, &payload, list, e)     a REACH frame: its ids must be there, or be promised; they are added to the list
 */
#ifndef TWOFOLD_ORCHESTRATOR_HAVE_H
#define TWOFOLD_ORCHESTRATOR_HAVE_H

#include "lib/base/bytes.h"
#include "orchestrator/idlist.h"
#include "restore/vault.h"

/* Promised and not come: an agent has a dozen chunks in its hands. */
#define MAX_PROMISES_OPEN 32768u
/* Questions that need no reason; beyond them the files and bytes that the agent says it has gone through must be of that many
 * chunks: four a file, and one for each 16 KiB. */
#define FREE_QUESTIONS (1u << 20)
#define MAX_QUESTIONS (64u << 20)

struct have;
int have_new(struct vault *v, struct have **ret, struct err *e); /* v is borrowed */
void have_free(struct have *h);                                  /* NULL-safe */
int have_answer(struct have *h, struct rbuf *r, struct wbuf *out, struct err *e);
int have_take(struct have *h, const struct id *id, struct err *e);
int have_reach(struct have *h, struct rbuf *r, struct idlist *to, struct err *e);
/* What the agent says of its work so far. */
void have_justified(struct have *h, uint64_t files, uint64_t bytes);

#endif
