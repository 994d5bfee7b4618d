/*
 * vault.h - an opened vault: its copies, its keys, and the state that the newest heads on them describe
 * (docs/format.md, rules 3 to 8). Reading needs no more than this; the orchestrator writes on top of it.
 *
 *     struct vault *v;
 *     vault_open(&options, &v, e);      reads the heads of all copies that can be reached, loads the index
 *     v->copies[i].problem.code         what is wrong with a copy; it is kept, not dropped
 *     v->state                          lists, index, keys: the union where heads fork
 *     vault_close(v);
 *
 * Several processes of one orchestrator may have a vault open for writing. What is put on the copies needs no lock; what
 * changes the state (index, snapshot, lists, head) is done between vault_lock, which brings the opened vault up to date, and
 * vault_unlock. Order of locks: a source (vault_claim), the vault, a transaction of SQLite; docs/design.md.
 */
#ifndef TWOFOLD_RESTORE_VAULT_H
#define TWOFOLD_RESTORE_VAULT_H

#include "lib/store/store.h"
#include "lib/vault/recovery.h"
#include "policies/config.h"
#include "restore/chunkdb.h"
#include "restore/presence.h"
#include "restore/turns.h"

#define MAX_TIPS MAX_PARENTS
#define MAX_LOST_INDEX 64
#define MAX_HEADS_KEPT 256 /* heads that are looked at on one copy, newest first */

enum copy_state {
    COPY_CURRENT, /* has every tip */
    COPY_BEHIND,  /* has an older head, or no head yet */
    COPY_AWAY,    /* cannot be reached: see problem */
    COPY_WRONG    /* another vault's, or not a vault: see problem */
};

struct copy {
    char *place, *url;
    bool rotating;             /* a disk that is carried away and back */
    char *identity, *host_key; /* of one on another host, or NULL */
    uint64_t limit_bytes_s;    /* 0: none; one bound for all processes of this orchestrator */
    struct store
        *store; /* NULL when it could not be opened; of a vault in a hurry it may come yet */
    enum copy_state state;
    struct err problem;  /* code ERR_NONE when all is well */
    uint64_t generation; /* of its newest good head; 0: none */
    struct id head;
    uint64_t seen;      /* the generation that this orchestrator has seen on it, by the facts */
    bool rolled_back;   /* shows less than that */
    unsigned bad_heads; /* heads on it that do not verify */
    uint64_t chunks_served, chunks_bad; /* by vault_fetch */
    uint64_t bytes_served;              /* sealed */
    uint64_t served_us;                 /* how long that took */
    uint64_t beside_bytes, beside_ms;   /* what was read only to see how fast it is, */
    uint64_t beside_len;                /* and what is being read for that */
    struct turn turn;
};

/* A rotating copy whose disk is not here: that is how it should be, and nothing is missing. (What cannot be read or entered is
 * not that.) How long it may last is judged from the catalog: watch/findings.h. */
bool vault_copy_carried(const struct copy *c);

struct tip {
    struct head *head;
    struct id id;
    uint64_t len;
};

/* A data key that this process has put on the copies and that no head names yet. */
struct own_key {
    struct data_key key;
    struct object_ref ref;
};

struct vault {
    char *name;
    struct vault_keys keys;
    struct copy copies[MAX_COPIES];
    size_t n_copies;
    struct tip tips[MAX_TIPS];
    size_t n_tips;      /* 0: nothing was ever committed; 2 or more: a fork */
    struct head *state; /* the union of the tips (or the tip); generation 0 when there is none */
    struct source_list **lists; /* of state, parsed */
    struct id *list_objects;    /* for each, the object that says the same; zeros: none does */
    size_t n_lists;
    struct key_set *data_keys; /* all of state */
    struct id *key_objects;    /* for each of them, the object that it came from */
    struct own_key *own_keys;  /* they survive vault_lock's bringing up to date */
    size_t n_own_keys;
    struct chunkdb *db;
    struct id lost_index
        [MAX_LOST_INDEX]; /* index objects that no copy has whole: rebuilt from the packs for now */
    size_t n_lost_index;
    bool index_loaded; /* readers load it when it is first needed */
    bool
        facts_lost; /* what was known beyond the copies (rollback, noted damage) could not be read */
    size_t
        n_lost_lists; /* lists of backups that no copy could give, made again from the snapshots themselves */
    size_t
        n_lost_keys; /* keys objects that no copy could give: what their keys sealed counts as lost, the rest is read */
    struct id writer;         /* this orchestrator; zeros for a vault opened from a copy alone */
    uint64_t seen_generation; /* the newest that this orchestrator has written or seen */
    struct id seen_head;
    char *state_dir; /* of this vault; NULL for one opened from a copy alone */
    char *sessions_dir;
    struct presence *presence; /* NULL where the state folder cannot be written (a rescue) */
    bool writes;               /* opened for writing */
    bool hurry;                /* see vault_open_options */
    uint64_t beside_at_ms;     /* when another copy was last asked only to see how fast it is */
    turn_fn *turned;           /* told what becomes of a copy; NULL: nobody is */
    void *turned_ctx;
    bool dirty;  /* state and lists are ahead of the tips: a commit is under way, or was given up */
    int lock_fd; /* -1 unless between vault_lock and vault_unlock */
    int source_fd; /* -1 unless vault_claim was called */
};

#define HURRY_OPEN_MS 2000
struct vault_open_options {
    const struct config_paths *paths;
    const struct vault_conf *conf;
    bool write; /* beside other writers; takes the vault's lock for a moment */
    /* Nobody waits for a copy that hangs while another one answers (restore/turns.h). They are all opened at the same time; those that have
     * not answered after HURRY_OPEN_MS count as away, and join when they do - but only if one that has answered shows
     * all that this orchestrator knows of, or it would be an older state that is read. Only for reading. */
    bool hurry;
    const char *what;   /* for people who wait: "backup of etc"; NULL: the program's name */
    const char *source; /* whose unfinished runs it goes on with; NULL: none in particular */
    bool
        logs; /* only what no head names is read and written (docs/format.md, "log"): no index, no lock, and nothing is kept for us */
};
/* Opens what is configured. Copies that cannot be opened are kept with their problem; only when none can be read
 * is that an error. */
int vault_open(const struct vault_open_options *o, struct vault **ret, struct err *e);

/* A file that a person has named as the recovery file may be any file: -ERR_KEY, with what to do. */
int vault_check_recovery_file(const char *path, const void *p, size_t n, struct err *e);
/* Opens a vault from one copy and the passphrase: no configuration, no state. `o` says how to reach it and may be
 * NULL. `recovery_file` (NULL: the copy's own) is a file with the recovery object. */
int vault_open_copy(const char *url, const struct store_options *o, const char *recovery_file,
                    const struct secret *passphrase, struct vault **ret, struct err *e);
void vault_close(struct vault *v); /* NULL-safe */

#define VAULT_LOCK_WAIT_MS 900000
/* For one that was opened for writing: takes the vault's lock, waiting up to VAULT_LOCK_WAIT_MS for others (-ERR_BUSY names who
 * has it), then brings v up to date with what they committed meanwhile: tips, state, lists, keys, index, and what the copies
 * are. Copies that were away stay away. Own data keys that no head names yet are in the state again. After an error it is
 * not held, and v is of no use but to be closed. */
int vault_lock(struct vault *v, struct err *e);
void vault_unlock(struct vault *v); /* when it is held; else nothing */
/* This process is the only one of this orchestrator that writes this source; until vault_close. -ERR_BUSY. */
int vault_claim(struct vault *v, const char *source, struct err *e);
/* Notes a data key of this session; it must be put on the copies as the object `ref` before a pack that needs it. */
int vault_add_own_key(struct vault *v, const struct data_key *k, const struct object_ref *ref,
                      struct err *e);

/* With the lock: makes the index cache agree with the state as it is now. */
int vault_resync(struct vault *v, struct err *e);
/* Fills the index cache, if that has not been done: what looks for chunks or packs needs it. */
int vault_need_index(struct vault *v, struct err *e);
/* The snapshots of a source ("POLICY/files"), oldest first; NULL when there is none. */
/* Is the newest state another orchestrator's, or this one's from before it lost its own state folder? Who writes then forks. */
bool vault_written_elsewhere(const struct vault *v);
const struct source_list *vault_list(const struct vault *v, const char *source);
/* The same, to be changed: made when there is none. Whoever changes it makes v->list_objects zeros for it. -ERR_NOMEM. */
int vault_list_at(struct vault *v, const char *source, size_t *ret_at, struct err *e);
/* The whole bytes of an object, from the first copy (in order, `only` < 0: all) that has the right ones. Damage on the
 * way is counted in the copy. -ERR_ABSENT, -ERR_DAMAGED, -ERR_UNREACHABLE as in vault_fetch. */
int vault_object(struct vault *v, enum object_type type, const struct object_ref *ref, int only,
                 struct wbuf *out, struct err *e);
/* The same, opened. */
int vault_open_object(struct vault *v, enum object_type type, const struct object_ref *ref,
                      struct wbuf *plain, struct err *e);
int vault_snapshot(struct vault *v, const struct object_ref *ref, struct snapshot **ret,
                   struct err *e);
/* The chunks that a snapshot reaches, ascending and distinct; owned. Follows bases. */
int vault_reach(struct vault *v, const struct object_ref *ref, struct id **ret, size_t *ret_n,
                struct err *e);

/* How a head and the ids in it are compared: does `head` name `id` among its ancestors (or is it)? */
bool head_descends(const struct head *h, const struct id *own, const struct id *ancestor);

struct seen_head {
    uint64_t generation, len;
    struct id id;
};
/* The names under heads/, newest first; owned. */
int heads_of_store(struct store *s, struct seen_head **ret, size_t *ret_n, struct err *e);
/* Looks at a copy's heads again, without changing v. Is there one, not among `known`, that this orchestrator did not put on top of
 * the one tip that v knows? Then another has written meanwhile, and nothing that v holds for unreached is certain. One that does
 * not verify counts as such. */
int vault_others_wrote(struct vault *v, struct copy *c, const struct seen_head *known, size_t n,
                       bool *ret, struct err *e);

/* --- the read path: fallback over the copies, chunk by chunk ------------------------------------------------------ */
struct fetched {
    struct chunk_ref ref;
    struct wbuf sealed; /* reused from call to call */
    int copy;           /* which served it */
    uint64_t answer;    /* one bit: which of its places there */
};
/* A sealed chunk whose short hash is right. `from`: only that copy (an index), or -1. `skip`: the answers that the reader has had
 * and could not open (0 first), or-ed: they count as damaged. Four outcomes are kept apart: 0; -ERR_ABSENT or
 * -ERR_DAMAGED only when every copy said so for certain; -ERR_UNREACHABLE when some copy could not be asked. What was found
 * damaged or missing goes to `damage` (may be NULL). */
typedef void damage_fn(void *ctx, const struct copy *c, const char *object, const struct err *what);
struct fetch_options {
    int from;
    uint64_t skip;
    damage_fn *damage;
    void *ctx;
};
int vault_fetch(struct vault *v, const struct id *id, const struct fetch_options *o,
                struct fetched *ret, struct err *e);

/* The data key of a chunk or body: needs keys.recovery_sk. */
/* One that no head names: of a database's log. */
int vault_know_key(struct vault *v, const struct data_key *k, struct err *e);
int vault_data_key(struct vault *v, const struct id *key_id, uint8_t out[KEY_BYTES], struct err *e);

/* An opened snapshot's body. */
int vault_body(struct vault *v, const struct snapshot *s, struct wbuf *plain, struct err *e);

/* A struct chunk_source over the vault: fetches, unseals, opens; caches the last few opened chunks. */
struct opener;
struct opener *opener_new(struct vault *v, int from, damage_fn *damage, void *ctx);
void opener_free(struct opener *o);
struct chunk_source;
void opener_source(struct opener *o, struct chunk_source *ret);

#endif
