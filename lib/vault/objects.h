/*
 * objects.h - the plaintexts of the objects that the operational key opens: heads, lists, reach lists,
 * snapshots, keys, pack tables and indexes (docs/format.md). Writers append to a buffer (check its `failed`);
 * readers check every bound and return owned structures, or -ERR_DAMAGED.
 */
#ifndef TWOFOLD_VAULT_OBJECTS_H
#define TWOFOLD_VAULT_OBJECTS_H

#include "lib/vault/envelope.h"

#define MAX_PARENTS 8
#define MAX_ANCESTORS 64
#define MAX_CHAINS 1024     /* one for each start of an orchestrator: many years of them */
#define MAX_FORMAT_NAME 255 /* policy, source, host, kind */
#define MAX_REACH_DEPTH 8
#define MAX_PACK_BYTES (256u << 20)
#define PACK_TRAILER_BYTES 8u

/* --- head ---------------------------------------------------------------------------------------------- */
struct object_ref {
    struct id id;
    uint64_t len;
};
struct head_parent {
    uint64_t generation;
    struct id id;
};
/* The heads of one writer and epoch follow one another: up to this generation they are ancestors. */
struct head_chain {
    struct id writer;
    uint64_t epoch, generation;
};
struct head_list {
    char *source; /* owned */
    struct object_ref ref;
};
struct head {
    uint64_t generation;
    struct id writer;
    uint64_t epoch;
    int64_t written_ns;
    uint64_t vault_generation;
    struct head_parent parents[MAX_PARENTS];
    size_t n_parents;
    struct head_parent ancestors[MAX_ANCESTORS]; /* newest first */
    size_t n_ancestors;
    struct head_chain chains[MAX_CHAINS];
    size_t n_chains;
    struct head_list *lists; /* strictly ascending by source, bytewise */
    size_t n_lists;
    struct object_ref *index, *keys, *bases;
    size_t n_index, n_keys, n_bases;
};
/* Asserted: ancestors are newest first and below the head's own generation, the parents are among
 * them with the same generations, and the lists are in order. */
void head_write(struct wbuf *w, const struct head *h);
/* -ERR_VERSION: it has extensions. */
int head_read(const void *p, size_t n, struct head **ret, struct err *e);
void head_free(struct head *h);

/* --- lists ----------------------------------------------------------------------------------------------- */
enum snapshot_state { SNAPSHOT_WHOLE = 1, SNAPSHOT_PARTIAL = 2 };
/* SNAPSHOT_HELD stands in lists only: a snapshot that no retention may drop. */
enum snapshot_flags { SNAPSHOT_QUARANTINE = 1, SNAPSHOT_HELD = 2 };

struct snap_ref {
    struct object_ref ref;
    int64_t received_ns;
    uint8_t state, flags;
    struct object_ref reach;
};
struct source_list {
    char *source;           /* owned */
    struct snap_ref *snaps; /* oldest first */
    size_t n;
};
/* Writes them by receipt time, then id, in whatever order they are; none may be there twice (asserted). */
void source_list_write(struct wbuf *w, const struct source_list *l);
int source_list_read(const void *p, size_t n, struct source_list **ret, struct err *e);
void source_list_free(struct source_list *l);

struct reach {
    struct id base;
    unsigned depth;
    struct id *add, *drop; /* owned, strictly ascending */
    size_t n_add, n_drop;
};
/* Order and depth are asserted. */
void reach_write(struct wbuf *w, const struct reach *r);
int reach_read(const void *p, size_t n, struct reach **ret, struct err *e);
void reach_free(struct reach *r);

/* --- snapshot ----------------------------------------------------------------------------------------------- */
struct snapshot {
    uint8_t state, flags;
    char *policy, *source, *host, *kind; /* owned */
    struct id base;
    int64_t started_ns, ended_ns, received_ns;
    uint64_t files, dirs, others, bytes, bytes_read, bytes_stored, problems;
    struct id reach, key_id;
    uint64_t counter;
    uint8_t *body; /* owned, sealed */
    size_t body_len;
};
void snapshot_write(struct wbuf *w, const struct snapshot *s);
int snapshot_read(const void *p, size_t n, struct snapshot **ret, struct err *e);
void snapshot_free(struct snapshot *s);
/* The part of the body's associated data behind the key id. */
void snapshot_binding(struct wbuf *w, const char *policy, const char *source, const char *host);

/* --- data keys --------------------------------------------------------------------------------------------------- */
#define DATA_KEY_BLOB_BYTES 80 /* HPKE of 32 bytes */
struct data_key {
    struct id id;
    uint8_t blob[DATA_KEY_BLOB_BYTES];
};
struct key_set {
    struct data_key *keys; /* owned */
    size_t n;
};
void key_set_write(struct wbuf *w, const struct key_set *k);
int key_set_read(const void *p, size_t n, struct key_set **ret, struct err *e);
void key_set_free(struct key_set *k);

/* --- packs and indexes -------------------------------------------------------------------------------------------- */
#define SHORT_HASH_BYTES 16
struct pack_chunk {
    struct id id;
    uint32_t len; /* sealed */
    uint32_t key; /* ordinal in the table's keys */
    uint64_t counter;
    uint8_t hash[SHORT_HASH_BYTES]; /* of the sealed bytes */
};
struct pack_table {
    struct id *keys; /* owned */
    size_t n_keys;
    struct pack_chunk *chunks; /* owned; end to end from offset 0 */
    size_t n, cap;
};
void pack_table_init(struct pack_table *t);
void pack_table_done(struct pack_table *t);
/* Appends a chunk; its key is added when new. */
int pack_table_add(struct pack_table *t, const struct id *key_id, const struct pack_chunk *c,
                   struct err *e);
uint64_t pack_table_chunk_bytes(const struct pack_table *t);
void pack_table_write(struct wbuf *w, const struct pack_table *t);
int pack_table_read(const void *p, size_t n, struct pack_table *ret, struct err *e);
/* The trailer of a pack: u32 length of the table, "TWFP". */
void pack_trailer_write(struct wbuf *w, uint32_t table_len);
bool pack_trailer_read(const uint8_t p[PACK_TRAILER_BYTES], uint32_t *ret_table_len);

struct index_pack {
    struct id id;
    uint64_t len;
    const struct pack_table *table; /* keys as in the index, of which only some may be used */
};
/* An index object in the making: add packs, then write. Keys are shared among its packs. */
struct index_writer;
struct index_writer *index_writer_new(void);
void index_writer_free(struct index_writer *w);
int index_writer_add(struct index_writer *w, const struct index_pack *p, struct err *e);
size_t index_writer_chunks(const struct index_writer *w);
void index_writer_finish(struct index_writer *w, struct wbuf *out); /* starts anew */
/* Calls fn for every pack; its non-zero return ends the walk and is returned. */
typedef int index_fn(void *ctx, const struct index_pack *p, struct err *e);
int index_read(const void *p, size_t n, index_fn *fn, void *ctx, struct err *e);

#endif
