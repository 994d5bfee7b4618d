/*
 * slot.h - the replication slot by which a server keeps its log for us: how much that is, and the bound (slot-limit) from which on we
 * give it up, so that the database's disk never fills because of us.
 */
#ifndef TWOFOLD_AGENTS_POSTGRESQL_SLOT_H
#define TWOFOLD_AGENTS_POSTGRESQL_SLOT_H

#include "agents/postgresql/inner.h"

struct pg_slot {
    bool there, active;
    bool threatened; /* the server is about to take away what it keeps for it, or has done so */
    uint64_t kept;   /* bytes of its log that only this slot may still need */
    char kept_text[32];
};
const char *pg_slot_name(const struct source_spec *spec);
uint64_t pg_slot_limit(const struct source_spec *spec); /* 0: none */
int pg_slot_look(PGconn *c, const char *slot, struct pg_slot *ret, struct err *e);
/* Over the limit? Then it is dropped (who used it has let go of it just now): 1, and for people what happened. 0: it is within, or there
 * is none. */
int pg_slot_guard(PGconn *c, const struct source_spec *spec, char text[ERR_TEXT_BYTES],
                  struct err *e);

/* While its log is followed: a thread that looks every few seconds, whatever keeps the one who follows (nothing that happens to us or to
 * the copies may fill the disk of the database). socket: of the session that follows; it is shut down when the slot has to go. Without a
 * limit nothing is done, and *ret is NULL. */
struct pg_guard;
int pg_guard_start(const struct source_spec *spec, int socket, struct pg_guard **ret,
                   struct err *e);
/* It is that which ended the session: text as above. Waits until the slot is gone, if it is about to go. NULL-safe. */
bool pg_guard_fired(struct pg_guard *g, char text[ERR_TEXT_BYTES]);
void pg_guard_free(struct pg_guard *g); /* NULL-safe; the socket must be open still */

/* That it is ours is remembered in the agent's state folder (a slot of that name may be anybody's). */
int pg_slot_made(PGconn *c, const struct source_spec *spec, const struct source_env *env,
                 struct err *e);
/* The log comes by archive_command now: a slot that was ours would keep the server's log for nobody. It is dropped, or named. */
int pg_slot_retire(PGconn *c, const struct source_spec *spec, const struct source_env *env,
                   struct err *e);

/* For a backup whose log is followed, too: says what the slot keeps, where that is much. */
int pg_slot_note(PGconn *c, const struct source_spec *spec, const struct source_env *env,
                 struct err *e);

#endif
