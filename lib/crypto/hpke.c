/* hpke.c - RFC 9180, mode base, DHKEM(X25519, HKDF-SHA256) and HKDF-SHA256, one message a context.
 * Names in comments are the RFC's. */
#include "lib/crypto/hpke.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/crypto/internal.h"

#include <stdlib.h>

#define KEM_X25519_HKDF_SHA256 0x0020
#define KDF_HKDF_SHA256 0x0001
#define MODE_BASE 0x00
#define MAX_SUITE_ID_BYTES 10

/* suite_id: who is asking for a labelled derivation, the KEM or HPKE as a whole. */
struct suite_id {
    uint8_t b[MAX_SUITE_ID_BYTES];
    size_t n;
};

struct aead_kind {
    const char *name; /* OpenSSL's */
    size_t key_bytes; /* Nk; Nn and Nt are the same for all */
};

static struct aead_kind kind_of(enum hpke_aead aead)
{
    static const struct aead_kind kinds[] = {
        [HPKE_AES_128_GCM] = { "AES-128-GCM", 16 },
        [HPKE_AES_256_GCM] = { "AES-256-GCM", 32 },
        [HPKE_CHACHA20_POLY1305] = { "ChaCha20-Poly1305", 32 },
    };
    return kinds[aead];
}

static struct suite_id kem_suite(void)
{
    return (struct suite_id){ { 'K', 'E', 'M', 0, KEM_X25519_HKDF_SHA256 }, 5 };
}

static struct suite_id hpke_suite(enum hpke_aead aead)
{
    return (struct suite_id){
        { 'H', 'P', 'K', 'E', 0, KEM_X25519_HKDF_SHA256, 0, KDF_HKDF_SHA256, 0, (uint8_t)aead }, 10
    };
}

/* --- LabeledExtract and LabeledExpand (section 4) --------------------------------------------- */
static uint8_t *put(uint8_t *at, const void *p, size_t n)
{
    if (n > 0)
        memcpy(at, p, n);
    return at + n;
}

/* prefix || "HPKE-v1" || suite_id || label || tail, in memory that is wiped by drop(). */
static struct bytes labelled(struct bytes prefix, const struct suite_id *suite, const char *label,
                             struct bytes tail)
{
    static const char version[7] = { 'H', 'P', 'K', 'E', '-', 'v', '1' };
    size_t label_len = strlen(label);
    size_t n = prefix.n + sizeof version + suite->n + label_len + tail.n;
    uint8_t *all = malloc(n);
    if (!all)
        crypto_die();
    uint8_t *at = put(all, prefix.p, prefix.n);
    at = put(at, version, sizeof version);
    at = put(at, suite->b, suite->n);
    at = put(at, label, label_len);
    put(at, tail.p, tail.n);
    return (struct bytes){ all, n };
}

static void drop(struct bytes b)
{
    void *p = (void *)(uintptr_t)b.p; /* ours since labelled() */
    secret_wipe(p, b.n);
    free(p);
}

static void labelled_extract(const struct suite_id *suite, struct bytes salt, const char *label,
                             struct bytes ikm, uint8_t prk[SHA256_BYTES])
{
    struct bytes all = labelled((struct bytes){ NULL, 0 }, suite, label, ikm);
    hkdf_run(HKDF_EXTRACT, salt, all, (struct bytes){ NULL, 0 }, prk, SHA256_BYTES);
    drop(all);
}

static void labelled_expand(const struct suite_id *suite, const uint8_t prk[SHA256_BYTES],
                            const char *label, struct bytes info, struct bytes out)
{
    const uint8_t length[2] = { (uint8_t)(out.n >> 8), (uint8_t)out.n };
    struct bytes all = labelled((struct bytes){ length, sizeof length }, suite, label, info);
    hkdf_run(HKDF_EXPAND, (struct bytes){ NULL, 0 }, (struct bytes){ prk, SHA256_BYTES }, all,
             (uint8_t *)(uintptr_t)out.p, out.n);
    drop(all);
}

/* --- the KEM (section 4.1) -------------------------------------------------------------------- */
/* ExtractAndExpand over DH(sk, pk); the same for both sides. false: the point is of low order. */
static bool shared_secret(const uint8_t sk[KEY_BYTES], const uint8_t pk[PUBLIC_KEY_BYTES],
                          const uint8_t kem_context[2 * PUBLIC_KEY_BYTES],
                          uint8_t out[SHA256_BYTES])
{
    struct suite_id suite = kem_suite();
    uint8_t dh[KEY_BYTES], prk[SHA256_BYTES];
    if (!x25519_shared(sk, pk, dh))
        return false;
    labelled_extract(&suite, (struct bytes){ NULL, 0 }, "eae_prk", (struct bytes){ dh, sizeof dh },
                     prk);
    labelled_expand(&suite, prk, "shared_secret",
                    (struct bytes){ kem_context, 2 * PUBLIC_KEY_BYTES },
                    (struct bytes){ out, SHA256_BYTES });
    secret_wipe(dh, sizeof dh);
    secret_wipe(prk, sizeof prk);
    return true;
}

/* --- the key schedule (section 5.1), mode base: no psk ---------------------------------------- */
static struct aead *key_schedule(enum hpke_aead aead, const uint8_t shared[SHA256_BYTES],
                                 const struct hpke_text *t, uint8_t nonce[AEAD_NONCE_BYTES])
{
    const struct bytes empty = { NULL, 0 };
    struct aead_kind kind = kind_of(aead);
    struct suite_id suite = hpke_suite(aead);
    uint8_t context[1 + 2 * SHA256_BYTES] = { MODE_BASE }, secret[SHA256_BYTES], key[KEY_BYTES];
    labelled_extract(&suite, empty, "psk_id_hash", empty, context + 1);
    labelled_extract(&suite, empty, "info_hash", (struct bytes){ t->info, t->info_len },
                     context + 1 + SHA256_BYTES);
    labelled_extract(&suite, (struct bytes){ shared, SHA256_BYTES }, "secret", empty, secret);
    labelled_expand(&suite, secret, "key", (struct bytes){ context, sizeof context },
                    (struct bytes){ key, kind.key_bytes });
    /* The first message's nonce is base_nonce itself. */
    labelled_expand(&suite, secret, "base_nonce", (struct bytes){ context, sizeof context },
                    (struct bytes){ nonce, AEAD_NONCE_BYTES });
    struct aead *a = aead_new_named(kind.name, key);
    secret_wipe(secret, sizeof secret);
    secret_wipe(key, sizeof key);
    return a;
}

/* --- sealing and opening ---------------------------------------------------------------------- */
static bool aead_known(enum hpke_aead aead, struct err *e)
{
    if (aead >= HPKE_AES_128_GCM && aead <= HPKE_CHACHA20_POLY1305)
        return true;
    err_set(e, ERR_VERSION, _("unknown cipher %d"), (int)aead);
    return false;
}

int hpke_seal_with(enum hpke_aead aead, const uint8_t eph_sk[KEY_BYTES],
                   const uint8_t pk[PUBLIC_KEY_BYTES], const struct hpke_text *t, const void *in,
                   size_t n, uint8_t *out, struct err *e)
{
    uint8_t kem_context[2 * PUBLIC_KEY_BYTES], shared[SHA256_BYTES], nonce[AEAD_NONCE_BYTES];
    if (!aead_known(aead, e))
        return -ERR_VERSION;
    x25519_public(eph_sk, kem_context);
    memcpy(kem_context + PUBLIC_KEY_BYTES, pk, PUBLIC_KEY_BYTES);
    if (!shared_secret(eph_sk, pk, kem_context, shared))
        return err_set(e, ERR_KEY, _("the public key is not a usable one"));
    struct aead *a = key_schedule(aead, shared, t, nonce);
    memcpy(out, kem_context, HPKE_ENC_BYTES);
    aead_seal(a, nonce, t->aad, t->aad_len, in, n, out + HPKE_ENC_BYTES);
    aead_free(a);
    secret_wipe(shared, sizeof shared);
    return 0;
}

int hpke_open_with(enum hpke_aead aead, const uint8_t sk[KEY_BYTES], const struct hpke_text *t,
                   const void *in, size_t n, uint8_t *out, struct err *e)
{
    uint8_t kem_context[2 * PUBLIC_KEY_BYTES], shared[SHA256_BYTES], nonce[AEAD_NONCE_BYTES];
    const uint8_t *enc = in;
    bool ok = false;
    if (!aead_known(aead, e))
        return -ERR_VERSION;
    if (n >= HPKE_OVERHEAD_BYTES) {
        memcpy(kem_context, enc, HPKE_ENC_BYTES);
        x25519_public(sk, kem_context + HPKE_ENC_BYTES);
        ok = shared_secret(sk, enc, kem_context, shared);
    }
    if (ok) {
        struct aead *a = key_schedule(aead, shared, t, nonce);
        ok = aead_open(a, nonce, t->aad, t->aad_len, enc + HPKE_ENC_BYTES, n - HPKE_ENC_BYTES, out);
        aead_free(a);
        secret_wipe(shared, sizeof shared);
    }
    return ok ? 0 : err_set(e, ERR_KEY, _("it was sealed to another key, or was altered"));
}

int hpke_seal(const uint8_t pk[PUBLIC_KEY_BYTES], const struct hpke_text *t, const void *in,
              size_t n, uint8_t *out, struct err *e)
{
    uint8_t eph_sk[KEY_BYTES];
    sys_random(eph_sk, sizeof eph_sk);
    int r = hpke_seal_with(HPKE_AES_256_GCM, eph_sk, pk, t, in, n, out, e);
    secret_wipe(eph_sk, sizeof eph_sk);
    return r;
}

int hpke_open(const uint8_t sk[KEY_BYTES], const struct hpke_text *t, const void *in, size_t n,
              uint8_t *out, struct err *e)
{
    return hpke_open_with(HPKE_AES_256_GCM, sk, t, in, n, out, e);
}
