/*
 * fanout.h - the same objects to all copies at once, each copy behind its own bounded queue and writer thread. A copy
 * that fails falls out: its queue is emptied, the others go on (PY-DB-1). Objects reach one copy in the order in which
 * they were put, each durable before the next, so the write order of docs/format.md holds for every copy by itself.
 *
 *     fanout_new(stores, n, &f, e);
 *     fanout_put(f, object, FANOUT_ALL, e);    takes a reference; waits while a living copy's queue is full
 *     fanout_flush(f, e);                      waits until all queues are empty
 *     fanout_error(f, i)                       what made copy i fall out, or NULL
 *     fanout_free(f);
 */
#ifndef TWOFOLD_ORCHESTRATOR_FANOUT_H
#define TWOFOLD_ORCHESTRATOR_FANOUT_H

#include "lib/base/bytes.h"
#include "lib/store/store.h"

#define FANOUT_QUEUE 4         /* objects that may wait for one copy */
#define FANOUT_STALL_MS 600000 /* a copy that takes none for so long has fallen out */
#define FANOUT_ALL UINT32_MAX

/* Something to be stored, shared by all copies; gone with its last reference. */
struct outgoing;
/* Takes the bytes out of w. NULL: no memory (w is kept). */
struct outgoing *outgoing_bytes(const char *name, struct wbuf *w);
/* Takes fd (also on failure, when NULL is returned). */
struct outgoing *outgoing_file(const char *name, int fd, uint64_t len);
void outgoing_unref(struct outgoing *o);

struct fanout;
/* stores[i] may be NULL: that copy is out from the start, without an error. Borrowed. */
int fanout_new(struct store *const *stores, size_t n, struct fanout **ret, struct err *e);
void fanout_free(struct fanout *f); /* waits for the writers that are not stuck; NULL-safe */
/* mask: bit i for copy i. Takes the caller's reference. 0 while at least one copy of the mask lives; else the error of the
 * first that fell out. */
int fanout_put(struct fanout *f, struct outgoing *o, uint32_t mask, struct err *e);
int fanout_flush(struct fanout *f, struct err *e);
/* Its writer sits in a call that took longer than FANOUT_STALL_MS: its store must not be closed. */
bool fanout_stuck(struct fanout *f, size_t i);
bool fanout_alive(struct fanout *f, size_t i);
const struct err *fanout_error(struct fanout *f, size_t i);
uint64_t fanout_bytes(struct fanout *f, size_t i); /* written so far */
/* The caller saw that a copy is of no use: it falls out with this error. */
void fanout_drop(struct fanout *f, size_t i, const struct err *why);

#endif
