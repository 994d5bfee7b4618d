/*
 * hpke.h - RFC 9180, mode base, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, single shot. Seals data keys
 * and the vault's own keys to the recovery public key. Twofold uses AES-256-GCM (aead_id 2); the other
 * AEADs are there so that the RFC's own vectors can be checked.
 */
#ifndef TWOFOLD_CRYPTO_HPKE_H
#define TWOFOLD_CRYPTO_HPKE_H

#include "lib/crypto/crypto.h"

#define HPKE_ENC_BYTES 32
#define HPKE_OVERHEAD_BYTES (HPKE_ENC_BYTES + AEAD_TAG_BYTES)

enum hpke_aead { HPKE_AES_128_GCM = 1, HPKE_AES_256_GCM = 2, HPKE_CHACHA20_POLY1305 = 3 };

struct hpke_text {
    const void *info, *aad; /* borrowed */
    size_t info_len, aad_len;
};

/* out has n + HPKE_OVERHEAD_BYTES: enc, then ciphertext and tag. -ERR_KEY: pk is not a usable point. */
int hpke_seal(const uint8_t pk[PUBLIC_KEY_BYTES], const struct hpke_text *t, const void *in,
              size_t n, uint8_t *out, struct err *e);
/* n counts the overhead; out has n - HPKE_OVERHEAD_BYTES. -ERR_KEY: not sealed to this key, or altered. */
int hpke_open(const uint8_t sk[KEY_BYTES], const struct hpke_text *t, const void *in, size_t n,
              uint8_t *out, struct err *e);

/* For the vectors: the ephemeral key given, any AEAD. */
int hpke_seal_with(enum hpke_aead aead, const uint8_t eph_sk[KEY_BYTES],
                   const uint8_t pk[PUBLIC_KEY_BYTES], const struct hpke_text *t, const void *in,
                   size_t n, uint8_t *out, struct err *e);
int hpke_open_with(enum hpke_aead aead, const uint8_t sk[KEY_BYTES], const struct hpke_text *t,
                   const void *in, size_t n, uint8_t *out, struct err *e);

#endif
