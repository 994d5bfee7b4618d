/*
 * chunkdb.h - where every chunk lies: a cache, in SQLite, of the index objects that the head names, plus the
 * packs that runs have written and not yet committed (*pending*; each belongs to the session that wrote it). It holds
 * nothing that the copies do not: delete it and it is built again. Memory is bounded by SQLite's page cache, whatever the
 * size of the vault.
 *
 * Several processes of one orchestrator share the cache, in short transactions; a handle is for one thread at a time.
 * What makes it agree with a head (sync, adopt_index, commit_index) needs the vault's lock; all else does not.
 *
 *     chunkdb_open(path, facts, &lost, &db, e);
 *     chunkdb_join(db, session, &who);                 whose pending packs are "own"; who else lives
 *
 * To take chunks away beside running backups (prune), without the vault's lock until its commit:
 *     chunkdb_doom(db, ids, n, e);                     from now on no session is told that they are there
 *     chunkdb_load_pins(db, …, e); chunkdb_is_pinned   those that a session was told of before: they stay
 *     … vault_lock; new index and head; chunkdb_sync; vault_unlock
 *     chunkdb_undoom_all(db, session, e);
 */
#ifndef TWOFOLD_RESTORE_CHUNKDB_H
#define TWOFOLD_RESTORE_CHUNKDB_H

#include "lib/vault/chunk.h"
#include "lib/vault/objects.h"

#define MAX_CHUNK_PLACES 8 /* packs that one chunk is looked for in */

struct chunkdb;
/* `index`: the cache that writing processes share; open it under the vault's lock. NULL: a private one that is gone when closed,
 * for readers, who then see one state for as long as they like. A damaged cache is made anew.
 * `facts`: what this orchestrator knows beyond the copies (heads seen, damage noted, chunks lost, keys of unfinished runs); shared
 * by all processes in short transactions, never thrown away: a damaged one is renamed to FACTS.bad (*ret_facts_lost, may be
 * NULL). NULL: none are kept. */
int chunkdb_open(const char *index, const char *facts, bool *ret_facts_lost, struct chunkdb **ret,
                 struct err *e);
void chunkdb_close(struct chunkdb *db);

/* Who is asking: the session of this process, and what it works on. Without it the session is 0, which nobody else
 * is. `source` ("etc/files"; NULL: none in particular) says whose dead runs it takes over first. */
typedef bool chunkdb_live_fn(void *ctx,
                             uint64_t session); /* false only when it is certainly dead */
struct chunkdb_who {
    const char *source;
    chunkdb_live_fn *live; /* NULL: nobody else is */
    void *ctx;
};
void chunkdb_join(struct chunkdb *db, uint64_t session, const struct chunkdb_who *who);

/* Makes the cache hold these index objects and no others; pending packs stay (one that an index now names is pending no
 * longer), and the packs of an index that was written but never committed are pending again. `load` brings the plaintext of an object that is not yet in it. */
typedef int chunkdb_load_fn(void *ctx, const struct object_ref *ref, struct wbuf *out,
                            struct err *e);
int chunkdb_sync(struct chunkdb *db, const struct object_ref *refs, size_t n, chunkdb_load_fn *load,
                 void *ctx, struct err *e);

struct chunk_place {
    struct id pack;
    uint64_t pack_len, off;
    uint32_t len;
    struct id key_id;
    uint64_t counter;
    uint8_t hash[SHORT_HASH_BYTES];
};
/* How many places in committed packs were found (0: nobody knows this chunk); negative: an error. */
int chunkdb_find(struct chunkdb *db, const struct id *id, struct chunk_place out[MAX_CHUNK_PLACES],
                 struct err *e);
/* Is the chunk in a committed pack (CHUNK_COMMITTED), or in a pending one of this session (CHUNK_OWN)? 0: neither; what other
 * sessions have not committed does not count. */
enum { CHUNK_COMMITTED = 1, CHUNK_OWN = 2 };
int chunkdb_has(struct chunkdb *db, const struct id *id, struct err *e);
/* Many questions at once: in between nobody else's change is seen, or done. Short, and nothing but questions and promises. */
int chunkdb_begin_asking(struct chunkdb *db, struct err *e);
int chunkdb_end_asking(struct chunkdb *db, int rc, struct err *e); /* rc, or why it failed */
/* Notes a chunk that is not there as on its way in this session. */
int chunkdb_promise(struct chunkdb *db, const struct id *id, struct err *e);
void chunkdb_forget_promises(struct chunkdb *db);
/* A promised chunk has come: 1; 0 when it was not promised, or has come before. */
int chunkdb_is_promised(struct chunkdb *db, const struct id *id, struct err *e);
int chunkdb_keep_promise(struct chunkdb *db, const struct id *id, struct err *e);
/* A chunk that is lost in every copy counts as not there any more, so that a source stores it again. It is lost until a pack that
 * has it again is committed. */
int chunkdb_mark_lost(struct chunkdb *db, const struct id *id, struct err *e);

/* One of this session. Durable when it returns. */
int chunkdb_add_pending(struct chunkdb *db, const struct index_pack *p, struct err *e);
int chunkdb_drop_pack(struct chunkdb *db, const struct id *pack, struct err *e);
/* Pending packs, and data keys, of dead sessions become this one's: those of runs of its own source, and of others that
 * nobody took over for a day. Returns how many packs. */
int chunkdb_adopt_dead(struct chunkdb *db, int64_t now_s, struct err *e);

typedef int chunkdb_pack_fn(void *ctx, const struct object_ref *pack, bool pending, struct err *e);
/* All packs, also pending ones of all sessions, in a fixed order; fn may not change the database. */
int chunkdb_each_pack(struct chunkdb *db, chunkdb_pack_fn *fn, void *ctx, struct err *e);
/* This session's pending ones. */
int chunkdb_each_own(struct chunkdb *db, chunkdb_pack_fn *fn, void *ctx, struct err *e);

/* Data keys that sessions have put on the copies, as objects `ref`, and that no head names yet: a pack is worth nothing
 * without them. Durable when it returns; so before the object is put. */
int chunkdb_add_pending_key(struct chunkdb *db, const struct data_key *k,
                            const struct object_ref *ref, struct err *e);
typedef int chunkdb_key_fn(void *ctx, bool own, const struct data_key *k,
                           const struct object_ref *ref, struct err *e);
int chunkdb_each_pending_key(struct chunkdb *db, chunkdb_key_fn *fn, void *ctx, struct err *e);
int chunkdb_forget_own_keys(struct chunkdb *db, struct err *e); /* a head names them now */

/* --- chunks that are about to go ------------------------------------------------------------------------------- */
/* Flags chunks as doomed by this session. Whoever answers for a chunk asks chunkdb_is_doomed after he has pinned it, and says
 * "not there" then. A flag of a dead session counts no more. */
int chunkdb_doom(struct chunkdb *db, const struct id *ids, size_t n, struct err *e);
int chunkdb_undoom_all(struct chunkdb *db, uint64_t session, struct err *e);
int chunkdb_is_doomed(struct chunkdb *db, const struct id *id, struct err *e); /* 1 or 0 */
/* What all other live sessions were told is there, as of now (again: as of then). `sessions`: their folder. */
int chunkdb_load_pins(struct chunkdb *db, const char *sessions, struct err *e);
int chunkdb_is_pinned(struct chunkdb *db, const struct id *id, struct err *e); /* 1 or 0 */
/* One pack's table, for repair and for writing index objects; pack_table_done is the caller's. */
int chunkdb_pack_table(struct chunkdb *db, const struct id *pack, struct pack_table *ret,
                       struct err *e);
/* Packs that this index object brought, and how many chunks they hold. */
int chunkdb_index_packs(struct chunkdb *db, const struct id *index, chunkdb_pack_fn *fn, void *ctx,
                        uint64_t *ret_chunks, struct err *e);
/* The caller has written this index object with these packs. Until chunkdb_commit_index they are only on probation. */
int chunkdb_adopt_index(struct chunkdb *db, const struct id *index, const struct object_ref *packs,
                        size_t n, struct err *e);
/* Before that: these index objects are about to be replaced, and these packs go. Should no head ever name what comes in their
 * place, the next chunkdb_sync loads them again. */
int chunkdb_take_out(struct chunkdb *db, const struct id *indexes, size_t n_indexes,
                     const struct id *packs, size_t n_packs, struct err *e);
/* A head names what was adopted. */
int chunkdb_commit_index(struct chunkdb *db, struct err *e);
/* Index objects that no copy has whole any more, until a new one is committed in their place. */
int chunkdb_note_lost_index(struct chunkdb *db, const struct id *index, struct err *e);
int chunkdb_is_lost_index(struct chunkdb *db, const struct id *index, struct err *e); /* 1 or 0 */

/* What was seen damaged or missing on a copy, until it is mended. `name` is the object's. */
int chunkdb_note_damage(struct chunkdb *db, const char *place, const char *name, const char *why,
                        struct err *e);
int chunkdb_clear_damage(struct chunkdb *db, const char *place, const char *name, struct err *e);
typedef int chunkdb_damage_fn(void *ctx, const char *place, const char *name, const char *why,
                              struct err *e);
int chunkdb_each_damage(struct chunkdb *db, chunkdb_damage_fn *fn, void *ctx, struct err *e);

/* Small durable facts of this orchestrator about the vault ("writer", "head-seen"). ret has max bytes; returns
 * the length, 0 when unknown. */
int chunkdb_get_meta(struct chunkdb *db, const char *key, void *ret, size_t max, struct err *e);
int chunkdb_set_meta(struct chunkdb *db, const char *key, const void *p, size_t n, struct err *e);

#endif
