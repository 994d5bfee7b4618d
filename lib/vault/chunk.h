/*
 * chunk.h - sealing and opening of single chunks (docs/format.md, "chunk"). Used on source and target
 * only: the orchestrator never holds what opens a chunk. One box is for one thread at a time.
 */
#ifndef TWOFOLD_VAULT_CHUNK_H
#define TWOFOLD_VAULT_CHUNK_H

#include "lib/base/bytes.h"
#include "lib/crypto/crypto.h"

#define MAX_CHUNK_BYTES (8u << 20) /* plaintext */
#define CHUNK_INNER_BYTES 5u       /* codec, length */
#define MAX_SEALED_BYTES (MAX_CHUNK_BYTES + CHUNK_INNER_BYTES + AEAD_TAG_BYTES)
enum { NONCE_CHUNK = 0, NONCE_BODY = 1, NONCE_LOG = 2 }; /* domains of a data key's nonces */

/* How one sealed chunk is named and keyed; everything but the bytes. */
struct chunk_ref {
    struct id id, key_id;
    uint64_t counter;
};

struct chunk_box; /* a data key and what is needed to use it */
struct chunk_box *chunk_box_new(const struct id *vault_id, const struct id *key_id,
                                const uint8_t data_key[KEY_BYTES]);
void chunk_box_free(struct chunk_box *b);
const struct id *chunk_box_key_id(const struct chunk_box *b);

/* Appends the sealed chunk to out. level: zstd's; 0: plain. Data that does not shrink is stored plain.
 * n must be 1 to MAX_CHUNK_BYTES. */
int chunk_seal(struct chunk_box *b, const struct id *chunk_id, uint64_t counter, int level,
               const void *p, size_t n, struct wbuf *out, struct err *e);
/* Replaces out's content by the plaintext. -ERR_DAMAGED: not what was sealed under this name. */
int chunk_open(struct chunk_box *b, const struct chunk_ref *ref, const void *sealed, size_t n,
               struct wbuf *out, struct err *e);

/* A snapshot's body under the same data key (nonce domain 1). `binding` is the part of the associated
 * data behind the key id (blob policy, blob source, blob host). Both append to / replace out as above. */
int body_seal(struct chunk_box *b, uint64_t counter, const struct wbuf *binding, const void *p,
              size_t n, struct wbuf *out, struct err *e);
int body_open(struct chunk_box *b, uint64_t counter, const struct wbuf *binding, const void *sealed,
              size_t n, struct wbuf *out, struct err *e);

#endif
