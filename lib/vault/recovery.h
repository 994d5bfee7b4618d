/*
 * recovery.h - the trust anchor of a vault: the `vault` object, the `recovery` file, the operational key
 * file of an orchestrator, and the sealing of data keys (docs/format.md, "vault", "recovery", "keys").
 */
#ifndef TWOFOLD_VAULT_RECOVERY_H
#define TWOFOLD_VAULT_RECOVERY_H

#include "lib/vault/envelope.h"
#include "lib/vault/objects.h"

/* What a passphrase's derivation costs (64 MiB, a fifth of a second). Tests' programs do it thousands of times. */
#ifdef TWOFOLD_FAULTS
#define RECOVERY_LOG2N 10
#else
#define RECOVERY_LOG2N 16
#endif
#define MAX_PASSPHRASE_BYTES 1024
#define VAULT_OBJECT_NAME "vault/00000001"
#define RECOVERY_OBJECT_NAME "recovery"

/* New random keys of every kind and a new vault id. */
int vault_keys_generate(struct vault_keys *ret, struct err *e);

/* The root key, with which the recovery key's holder, and nobody else, signs vault objects. It follows from the
 * vault id and the recovery key and is kept nowhere. Wipe the secret half. */
void root_key_secret(const struct id *vault_id, const struct secret *recovery_sk,
                     uint8_t sk[KEY_BYTES]);
void root_key_public(const struct id *vault_id, const struct secret *recovery_sk,
                     uint8_t pk[PUBLIC_KEY_BYTES]);

/* The vault object of generation 1. k->recovery_sk must be set: its root key signs. */
int vault_object_write(const struct vault_keys *k, const char *vault_name, int64_t created_s,
                       struct wbuf *out, struct err *e);
/* What anybody can read of it. The signature is checked against the root public key in it, which says nothing
 * until that is compared with a trust anchor: vault_object_is_of(), the recovery file's fingerprint, or
 * root_key_public(). */
struct vault_public {
    struct id vault_id;
    uint8_t recovery_pk[PUBLIC_KEY_BYTES], sign_pk[PUBLIC_KEY_BYTES], root_pk[PUBLIC_KEY_BYTES];
    uint64_t generation;
    int64_t created_s;
};
int vault_object_read(const void *p, size_t n, struct vault_public *ret, struct err *e);
/* Does it name this vault and these three public keys, all of them trust anchors? */
bool vault_object_is_of(const struct vault_public *v, const struct vault_keys *k);
/* Opens the sealed part: fills op, sign_sk, the three public keys and id from the object. k->recovery_sk must be set.
 * ret_name (owned) may be NULL. -ERR_KEY: not this recovery key. -ERR_DAMAGED: it is, but did not sign. */
int vault_object_open(const void *p, size_t n, struct vault_keys *k, char **ret_name,
                      struct err *e);

/* JZ-pw: 16 or more characters of at least three kinds (lower, upper, digit, other; any non-ASCII letter counts
 * as other). -ERR_USAGE with what is missing. */
int passphrase_check(const struct secret *passphrase, struct err *e);

/* The recovery file with one passphrase slot. */
int recovery_write(const struct vault_keys *k, const struct secret *passphrase, struct wbuf *out,
                   struct err *e);
/* Tries every slot. Fills k->vault_id and k->recovery_sk; SHA-256 of the root public key goes to
 * ret_root_fingerprint. -ERR_KEY: no slot opens with this passphrase. */
int recovery_open(const void *p, size_t n, const struct secret *passphrase, struct vault_keys *k,
                  struct id *ret_root_fingerprint, struct err *e);

/* Both from nothing but what a copy holds: recovery file and vault object and a passphrase -> all keys. Checks
 * id, fingerprint and both public keys against each other. */
int vault_keys_recover(const void *recovery, size_t recovery_len, const void *vault,
                       size_t vault_len, const struct secret *passphrase, struct vault_keys *ret,
                       char **ret_name, struct err *e);

/* Local files, mode 0600: text, "twofold-operational-key-v1 <vault id> <op key> <signing key>" and
 * "twofold-recovery-key-v1 <vault id> <recovery key>", hex. Loading refuses a file that others can read
 * (-ERR_REFUSED) and one of another vault (-ERR_KEY). -ERR_ABSENT when there is none.
 * Loading also sets the public keys that go with it (sign_pk; recovery_pk and root_pk); where k holds one already, it
 * must be the same (-ERR_KEY), so start from zeros or from trust anchors. */
int op_key_save(const char *path, const struct vault_keys *k, struct err *e);
int op_key_load(const char *path, const struct id *vault_id, struct vault_keys *k, struct err *e);
int recovery_key_save(const char *path, const struct vault_keys *k, struct err *e);
int recovery_key_load(const char *path, const struct id *vault_id, struct vault_keys *k,
                      struct err *e);

/* The deduplication key of one agent. */
void dedup_key(const struct vault_keys *k, const char *agent, uint32_t rotation,
               uint8_t out[KEY_BYTES]);

/* Data keys. */
int data_key_seal(const uint8_t recovery_pk[PUBLIC_KEY_BYTES], const struct id *vault_id,
                  const struct id *key_id, const uint8_t key[KEY_BYTES],
                  uint8_t out[DATA_KEY_BLOB_BYTES], struct err *e);
/* -ERR_KEY: no recovery key at hand, or not sealed to it. */
int data_key_open(const struct vault_keys *k, const struct data_key *dk, uint8_t out[KEY_BYTES],
                  struct err *e);

#endif
