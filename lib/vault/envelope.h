/*
 * envelope.h - objects sealed with the operational key (docs/format.md, "Header and envelope"), the names
 * of objects, and the keys that go with a vault.
 */
#ifndef TWOFOLD_VAULT_ENVELOPE_H
#define TWOFOLD_VAULT_ENVELOPE_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/crypto/crypto.h"

#define FORMAT_VERSION 1
#define HEADER_BYTES 8
#define MAX_OBJECT_BYTES (64u << 20) /* of one object that is not a pack */
#define MAX_OBJECT_NAME 128

enum object_type {
    OBJECT_VAULT = 1,
    OBJECT_RECOVERY,
    OBJECT_KEYS,
    OBJECT_INDEX,
    OBJECT_SNAPSHOT,
    OBJECT_LIST,
    OBJECT_REACH,
    OBJECT_HEAD,
    OBJECT_PACK /* its table, when enveloped */,
    OBJECT_RECORD,
    OBJECT_LOG,
    OBJECT_CATALOG
};

/* What the orchestrator holds of a vault. */
struct vault_keys {
    struct id vault_id;
    uint8_t recovery_pk[PUBLIC_KEY_BYTES], sign_pk[PUBLIC_KEY_BYTES];
    uint8_t root_pk
        [PUBLIC_KEY_BYTES]; /* signs the vault object; its secret half follows from recovery_sk */
    struct secret *op, *sign_sk; /* owned; both 32 bytes */
    struct secret *recovery_sk;  /* owned; NULL where it is not at hand */
};
void vault_keys_done(struct vault_keys *k);

/* The eight bytes that every object but a pack starts with. */
void header_write(struct wbuf *w, enum object_type type);
/* -ERR_DAMAGED: another magic or type; -ERR_VERSION: a version or suite that we do not speak. */
int header_check(struct rbuf *r, enum object_type type, struct err *e);

/* Appends the sealed object (signed where its type demands it) to out. */
int envelope_seal(const struct vault_keys *k, enum object_type type, const void *p, size_t n,
                  struct wbuf *out, struct err *e);
/* Replaces out's content by the plaintext. -ERR_DAMAGED: not authentic. */
int envelope_open(const struct vault_keys *k, enum object_type type, const void *p, size_t n,
                  struct wbuf *out, struct err *e);

/* Appends the signature over "twofold v1 signature", vault id and everything in w so far / checks it. The key is
 * the signing key or, of a vault object, the root key. */
void object_sign(const struct id *vault_id, const uint8_t sk[KEY_BYTES], struct wbuf *w);
bool object_verify(const struct id *vault_id, const uint8_t pk[PUBLIC_KEY_BYTES], const void *p,
                   size_t n);

/* "packs/ab/abcd…", "index/…", … for types that are named by hash alone. */
const char *object_name(enum object_type type, const struct id *id, char out[MAX_OBJECT_NAME]);
const char *head_name(uint64_t generation, const struct id *id, char out[MAX_OBJECT_NAME]);
/* The id (and for heads the generation; ret_generation may be NULL) in a name; false: not such a name. */
bool object_name_parse(enum object_type type, const char *name, uint64_t *ret_generation,
                       struct id *ret_id);

#endif
