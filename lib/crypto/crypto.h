/*
 * crypto.h - the primitives, all of them OpenSSL's: SHA-256, HMAC, HKDF (RFC 5869), AES-256-GCM,
 * X25519, Ed25519 and scrypt (RFC 7914). What composes them lies in hpke.h and lib/vault.
 * Suite 1 = X25519, HKDF-SHA-256, AES-256-GCM, Ed25519, SHA-256. Other numbers are reserved for the
 * national ciphers. Contexts are for one thread at a time. Primitives that can only fail for want of
 * memory abort the process: there is no sensible way on.
 */
#ifndef TWOFOLD_CRYPTO_CRYPTO_H
#define TWOFOLD_CRYPTO_CRYPTO_H

#include "lib/base/err.h"
#include "lib/base/id.h"
#include "lib/crypto/secret.h"

#define SUITE_1 1
#define AEAD_TAG_BYTES 16
#define AEAD_NONCE_BYTES 12
#define SIGNATURE_BYTES 64
#define PUBLIC_KEY_BYTES 32

/* --- hashes ----------------------------------------------------------------------------------- */
struct sha256; /* streaming */
struct sha256 *sha256_new(void);
void sha256_reset(struct sha256 *h);
void sha256_update(struct sha256 *h, const void *p, size_t n);
void sha256_final(struct sha256 *h, struct id *out); /* then reset before further use */
void sha256_free(struct sha256 *h);
void sha256_of(const void *p, size_t n, struct id *out);

struct hmac; /* HMAC-SHA-256 with one key, many messages */
struct hmac *hmac_new(const uint8_t key[KEY_BYTES]);
void hmac_of(struct hmac *h, const void *p, size_t n, struct id *out);
void hmac_free(struct hmac *h);

/* HKDF-SHA-256, extract and expand. out_len at most 255 * 32. */
void hkdf(const void *salt, size_t salt_len, const void *ikm, size_t ikm_len, const void *info,
          size_t info_len, uint8_t *out, size_t out_len);

/* --- AES-256-GCM --------------------------------------------------------------------------------- */
struct aead; /* one key */
struct aead *aead_new(const uint8_t key[KEY_BYTES]);
void aead_free(struct aead *a);
/* out has n + AEAD_TAG_BYTES bytes; the tag comes last. in == out is allowed. */
void aead_seal(struct aead *a, const uint8_t nonce[AEAD_NONCE_BYTES], const void *aad,
               size_t aad_len, const void *in, size_t n, uint8_t *out);
/* n counts the tag; out has n - AEAD_TAG_BYTES bytes. false: not authentic (out is wiped). */
bool aead_open(struct aead *a, const uint8_t nonce[AEAD_NONCE_BYTES], const void *aad,
               size_t aad_len, const void *in, size_t n, uint8_t *out);

/* --- public keys ------------------------------------------------------------------------------------ */
void x25519_public(const uint8_t sk[KEY_BYTES], uint8_t pk[PUBLIC_KEY_BYTES]);
void ed25519_public(const uint8_t sk[KEY_BYTES], uint8_t pk[PUBLIC_KEY_BYTES]);
void ed25519_sign(const uint8_t sk[KEY_BYTES], const void *p, size_t n,
                  uint8_t sig[SIGNATURE_BYTES]);
bool ed25519_verify(const uint8_t pk[PUBLIC_KEY_BYTES], const void *p, size_t n,
                    const uint8_t sig[SIGNATURE_BYTES]);

/* --- passphrases -------------------------------------------------------------------------------------- */
/* N = 2^log2n (10 to 16; anything else is -ERR_LIMIT), r = 8, p = 1. */
int scrypt_key(const struct secret *passphrase, const uint8_t salt[32], unsigned log2n,
               uint8_t out[KEY_BYTES], struct err *e);

#endif
