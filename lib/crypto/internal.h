/* internal.h - what crypto.c, hpke.c and their tests share; nobody else includes it. */
#ifndef TWOFOLD_CRYPTO_INTERNAL_H
#define TWOFOLD_CRYPTO_INTERNAL_H

#include "lib/crypto/crypto.h"

#define SHA256_BYTES 32

/* Aborts the process: OpenSSL has no memory, or not the algorithm. */
_Noreturn void crypto_die(void);

struct bytes {
    const void *p; /* borrowed; may be NULL when n is 0 */
    size_t n;
};

enum hkdf_mode { HKDF_BOTH, HKDF_EXTRACT, HKDF_EXPAND };

/* `key` is the input key, or for HKDF_EXPAND the pseudorandom key; `salt` and `info` are left out
 * where the mode has none. The input key must not be empty. */
void hkdf_run(enum hkdf_mode mode, struct bytes salt, struct bytes key, struct bytes info,
              uint8_t *out, size_t out_len);

/* An AEAD of OpenSSL's with 12 bytes of nonce and 16 of tag, by name; key of the size it wants. */
struct aead *aead_new_named(const char *name, const uint8_t *key);

/* X25519. false: the result would be zero (a point of low order). */
bool x25519_shared(const uint8_t sk[KEY_BYTES], const uint8_t pk[PUBLIC_KEY_BYTES],
                   uint8_t out[KEY_BYTES]);

/* scrypt with r = 8, p = 1 and any salt. false: no memory. */
bool scrypt_run(struct bytes passphrase, struct bytes salt, unsigned log2n, uint8_t out[KEY_BYTES]);

#endif
