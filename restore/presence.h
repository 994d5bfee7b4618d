/*
 * presence.h - who is at work on a vault, among the processes of one orchestrator. Each has a *session*: a file
 * STATE/<vault>/sessions/<16 hex digits> that it holds locked for its life. The lock is the sign of life: it goes with
 * the process, however that ends. What is pending (packs, data keys, promises), what a session was told is there (*pins*)
 * and which snapshots it may build on (*offers*) belongs to it, and is no one's once it is dead.
 *
 *     presence_begin(dir, true, "backup of etc", &p, e);
 *     presence_generation(p, v->state->generation, e);   which state it works from
 *     presence_offer(p, snapshots, n, e);                 under the vault's lock
 *     presence_pin(p, chunks, n, e);                      before they are said to be there
 *     presence_end(p);
 *
 * Pins and offers lie in files beside the lock (32 bytes an id, in no order, with repeats) and need not outlive the
 * machine: when that goes down, so do all sessions.
 */
#ifndef TWOFOLD_RESTORE_PRESENCE_H
#define TWOFOLD_RESTORE_PRESENCE_H

#include "lib/base/err.h"
#include "lib/base/id.h"
#include <stddef.h>
#include <stdint.h>

#define MAX_PRESENCE_TEXT 100

struct presence;
/* `dir`: the sessions' folder; made when it is not there. `what` is for people: "backup of etc". */
int presence_begin(const char *dir, bool writes, const char *what, struct presence **ret,
                   struct err *e);
void presence_end(struct presence *p);               /* NULL-safe; takes the files away */
uint64_t presence_id(const struct presence *p);      /* never 0; 0 for NULL */
const char *presence_what(const struct presence *p); /* NULL-safe */
/* The state that this session works from: what it reaches must stay. Until it is said: 0, everything. NULL-safe. */
int presence_generation(struct presence *p, uint64_t generation, struct err *e);
int presence_pin(struct presence *p, const struct id *chunks, size_t n, struct err *e);
int presence_offer(struct presence *p, const struct id *snapshots, size_t n, struct err *e);

/* False only when it is certain that no process holds this session. */
bool presence_is_live(const char *dir, uint64_t id);

struct presence_info {
    uint64_t id;
    bool writes;         /* else it only reads: no pins, no offers */
    uint64_t generation; /* 0: not known (yet): it may need anything */
    long pid;
    char what[MAX_PRESENCE_TEXT + 1];
};
typedef int presence_fn(void *ctx, const struct presence_info *s, struct err *e);
/* Every live session, the caller's own too (by its id); takes the files of dead ones away. A folder that is not there: none.
 * A non-zero return of fn ends it and is returned. */
int presence_each(const char *dir, presence_fn *fn, void *ctx, struct err *e);

typedef int presence_id_fn(void *ctx, uint64_t session, const struct id *id, struct err *e);
/* The pins (or offers) of all live sessions but `except` (0: none). Whoever wants to take something away says so first
 * (chunkdb_doom) and looks here then; a session pins first and looks for what is doomed then: one of the two sees the other. */
int presence_each_pin(const char *dir, uint64_t except, presence_id_fn *fn, void *ctx,
                      struct err *e);
int presence_each_offer(const char *dir, uint64_t except, presence_id_fn *fn, void *ctx,
                        struct err *e);

#endif
