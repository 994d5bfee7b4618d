/* crypto.c - the primitives of suite 1 on OpenSSL 3's EVP interface. FIPS 180-4 (SHA-256), RFC 2104
 * (HMAC), RFC 5869 (HKDF), SP 800-38D (GCM), RFC 7748 (X25519), RFC 8032 (Ed25519), RFC 7914. */
#include "lib/crypto/crypto.h"
#include "lib/base/i18n.h"
#include "lib/crypto/internal.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdlib.h>

/* OpenSSL counts a message's parts in int. */
#define MAX_PART_BYTES ((size_t)1 << 30)
#define SCRYPT_R 8
#define SCRYPT_P 1
#define MIN_SCRYPT_LOG2N 10
#define MAX_SCRYPT_LOG2N 16

_Noreturn void crypto_die(void)
{
    abort();
}

static void must(int ok)
{
    if (ok != 1)
        crypto_die();
}

static void *must_have(void *p)
{
    if (!p)
        crypto_die();
    return p;
}

/* --- hashes ----------------------------------------------------------------------------------- */
struct sha256 {
    EVP_MD *md;
    EVP_MD_CTX *ctx;
};

struct sha256 *sha256_new(void)
{
    struct sha256 *h = must_have(malloc(sizeof *h));
    h->md = must_have(EVP_MD_fetch(NULL, "SHA256", NULL));
    h->ctx = must_have(EVP_MD_CTX_new());
    must(EVP_DigestInit_ex2(h->ctx, h->md, NULL));
    return h;
}

void sha256_reset(struct sha256 *h)
{
    must(EVP_DigestInit_ex2(h->ctx, NULL, NULL));
}

void sha256_update(struct sha256 *h, const void *p, size_t n)
{
    if (n > 0)
        must(EVP_DigestUpdate(h->ctx, p, n));
}

void sha256_final(struct sha256 *h, struct id *out)
{
    must(EVP_DigestFinal_ex(h->ctx, out->b, NULL));
}

void sha256_free(struct sha256 *h)
{
    if (!h)
        return;
    EVP_MD_CTX_free(h->ctx);
    EVP_MD_free(h->md);
    free(h);
}

void sha256_of(const void *p, size_t n, struct id *out)
{
    must(EVP_Digest(n > 0 ? p : "", n, out->b, NULL, EVP_sha256(), NULL));
}

/* The keyed state is computed once; a new message starts from it. */
struct hmac {
    EVP_MAC *mac;
    EVP_MAC_CTX *ctx;
};

struct hmac *hmac_new(const uint8_t key[KEY_BYTES])
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    struct hmac *h = must_have(malloc(sizeof *h));
    h->mac = must_have(EVP_MAC_fetch(NULL, "HMAC", NULL));
    h->ctx = must_have(EVP_MAC_CTX_new(h->mac));
    must(EVP_MAC_init(h->ctx, key, KEY_BYTES, params));
    return h;
}

void hmac_of(struct hmac *h, const void *p, size_t n, struct id *out)
{
    size_t len = 0;
    must(EVP_MAC_init(h->ctx, NULL, 0, NULL));
    if (n > 0)
        must(EVP_MAC_update(h->ctx, p, n));
    must(EVP_MAC_final(h->ctx, out->b, &len, sizeof out->b));
    must(len == sizeof out->b);
}

void hmac_free(struct hmac *h)
{
    if (!h)
        return;
    EVP_MAC_CTX_free(h->ctx);
    EVP_MAC_free(h->mac);
    free(h);
}

/* OSSL_PARAM has no const; nothing is written through it. */
static OSSL_PARAM octets(const char *name, struct bytes b)
{
    static const uint8_t nothing;
    const void *p = b.n > 0 ? b.p : &nothing;
    return OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)p, b.n);
}

void hkdf_run(enum hkdf_mode mode, struct bytes salt, struct bytes key, struct bytes info,
              uint8_t *out, size_t out_len)
{
    static const int modes[] = {
        [HKDF_BOTH] = EVP_KDF_HKDF_MODE_EXTRACT_AND_EXPAND,
        [HKDF_EXTRACT] = EVP_KDF_HKDF_MODE_EXTRACT_ONLY,
        [HKDF_EXPAND] = EVP_KDF_HKDF_MODE_EXPAND_ONLY,
    };
    int how = modes[mode];
    char digest[] = "SHA256";
    OSSL_PARAM params[6], *p = params;
    *p++ = OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &how);
    *p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
    *p++ = octets(OSSL_KDF_PARAM_KEY, key);
    if (mode != HKDF_EXPAND && salt.n > 0)
        *p++ = octets(OSSL_KDF_PARAM_SALT, salt);
    if (mode != HKDF_EXTRACT && info.n > 0)
        *p++ = octets(OSSL_KDF_PARAM_INFO, info);
    *p = OSSL_PARAM_construct_end();

    EVP_KDF *kdf = must_have(EVP_KDF_fetch(NULL, "HKDF", NULL));
    EVP_KDF_CTX *ctx = must_have(EVP_KDF_CTX_new(kdf));
    must(EVP_KDF_derive(ctx, out, out_len, params));
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
}

void hkdf(const void *salt, size_t salt_len, const void *ikm, size_t ikm_len, const void *info,
          size_t info_len, uint8_t *out, size_t out_len)
{
    if (out_len > 0)
        hkdf_run(HKDF_BOTH, (struct bytes){ salt, salt_len }, (struct bytes){ ikm, ikm_len },
                 (struct bytes){ info, info_len }, out, out_len);
}

/* --- AEAD ------------------------------------------------------------------------------------- */
/* One context for each direction, both keyed once: a message only sets its nonce. */
struct aead {
    EVP_CIPHER_CTX *seal, *open;
};

struct aead *aead_new_named(const char *name, const uint8_t *key)
{
    struct aead *a = must_have(malloc(sizeof *a));
    EVP_CIPHER *cipher = must_have(EVP_CIPHER_fetch(NULL, name, NULL));
    a->seal = must_have(EVP_CIPHER_CTX_new());
    a->open = must_have(EVP_CIPHER_CTX_new());
    must(EVP_EncryptInit_ex2(a->seal, cipher, key, NULL, NULL));
    must(EVP_DecryptInit_ex2(a->open, cipher, key, NULL, NULL));
    EVP_CIPHER_free(cipher); /* the contexts hold it */
    return a;
}

struct aead *aead_new(const uint8_t key[KEY_BYTES])
{
    return aead_new_named("AES-256-GCM", key);
}

void aead_free(struct aead *a)
{
    if (!a)
        return;
    EVP_CIPHER_CTX_free(a->seal);
    EVP_CIPHER_CTX_free(a->open);
    free(a);
}

/* out == NULL: associated data. */
static void aead_update(EVP_CIPHER_CTX *ctx, const uint8_t *in, size_t n, uint8_t *out)
{
    for (size_t done = 0; done < n;) {
        size_t part = n - done < MAX_PART_BYTES ? n - done : MAX_PART_BYTES;
        int len = 0;
        must(EVP_CipherUpdate(ctx, out ? out + done : NULL, &len, in + done, (int)part));
        done += part;
    }
}

void aead_seal(struct aead *a, const uint8_t nonce[AEAD_NONCE_BYTES], const void *aad,
               size_t aad_len, const void *in, size_t n, uint8_t *out)
{
    int len = 0;
    must(EVP_EncryptInit_ex2(a->seal, NULL, NULL, nonce, NULL));
    aead_update(a->seal, aad, aad_len, NULL);
    aead_update(a->seal, in, n, out);
    must(EVP_EncryptFinal_ex(a->seal, out + n, &len));
    must(EVP_CIPHER_CTX_ctrl(a->seal, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, out + n));
}

bool aead_open(struct aead *a, const uint8_t nonce[AEAD_NONCE_BYTES], const void *aad,
               size_t aad_len, const void *in, size_t n, uint8_t *out)
{
    if (n < AEAD_TAG_BYTES)
        return false;
    size_t len = n - AEAD_TAG_BYTES;
    uint8_t tag[AEAD_TAG_BYTES], tail[AEAD_TAG_BYTES];
    int tail_len = 0;
    memcpy(tag, (const uint8_t *)in + len, sizeof tag);
    must(EVP_DecryptInit_ex2(a->open, NULL, NULL, nonce, NULL));
    must(EVP_CIPHER_CTX_ctrl(a->open, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_BYTES, tag));
    aead_update(a->open, aad, aad_len, NULL);
    aead_update(a->open, in, len, out);
    if (EVP_DecryptFinal_ex(a->open, tail, &tail_len) == 1)
        return true;
    ERR_clear_error();
    if (len > 0)
        OPENSSL_cleanse(out, len);
    return false;
}

/* --- public keys ------------------------------------------------------------------------------ */
static EVP_PKEY *private_key(int type, const uint8_t sk[KEY_BYTES])
{
    return must_have(EVP_PKEY_new_raw_private_key(type, NULL, sk, KEY_BYTES));
}

static void public_of(int type, const uint8_t sk[KEY_BYTES], uint8_t pk[PUBLIC_KEY_BYTES])
{
    EVP_PKEY *key = private_key(type, sk);
    size_t len = PUBLIC_KEY_BYTES;
    must(EVP_PKEY_get_raw_public_key(key, pk, &len));
    must(len == PUBLIC_KEY_BYTES);
    EVP_PKEY_free(key);
}

void x25519_public(const uint8_t sk[KEY_BYTES], uint8_t pk[PUBLIC_KEY_BYTES])
{
    public_of(EVP_PKEY_X25519, sk, pk);
}

void ed25519_public(const uint8_t sk[KEY_BYTES], uint8_t pk[PUBLIC_KEY_BYTES])
{
    public_of(EVP_PKEY_ED25519, sk, pk);
}

bool x25519_shared(const uint8_t sk[KEY_BYTES], const uint8_t pk[PUBLIC_KEY_BYTES],
                   uint8_t out[KEY_BYTES])
{
    static const uint8_t zero[KEY_BYTES];
    EVP_PKEY *mine = private_key(EVP_PKEY_X25519, sk);
    EVP_PKEY *theirs = must_have(
        EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, pk, PUBLIC_KEY_BYTES));
    EVP_PKEY_CTX *ctx = must_have(EVP_PKEY_CTX_new_from_pkey(NULL, mine, NULL));
    size_t len = KEY_BYTES;
    must(EVP_PKEY_derive_init(ctx));
    must(EVP_PKEY_derive_set_peer(ctx, theirs));
    /* OpenSSL refuses a zero result itself; RFC 9180, 7.1.4, asks that it be certain. */
    bool ok = EVP_PKEY_derive(ctx, out, &len) == 1 && len == KEY_BYTES &&
              CRYPTO_memcmp(out, zero, KEY_BYTES) != 0;
    if (!ok) {
        ERR_clear_error();
        OPENSSL_cleanse(out, KEY_BYTES);
    }
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(theirs);
    EVP_PKEY_free(mine);
    return ok;
}

void ed25519_sign(const uint8_t sk[KEY_BYTES], const void *p, size_t n,
                  uint8_t sig[SIGNATURE_BYTES])
{
    EVP_PKEY *key = private_key(EVP_PKEY_ED25519, sk);
    EVP_MD_CTX *ctx = must_have(EVP_MD_CTX_new());
    size_t len = SIGNATURE_BYTES;
    must(EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, key, NULL));
    must(EVP_DigestSign(ctx, sig, &len, n > 0 ? p : "", n));
    must(len == SIGNATURE_BYTES);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
}

bool ed25519_verify(const uint8_t pk[PUBLIC_KEY_BYTES], const void *p, size_t n,
                    const uint8_t sig[SIGNATURE_BYTES])
{
    EVP_PKEY *key = must_have(
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, pk, PUBLIC_KEY_BYTES));
    EVP_MD_CTX *ctx = must_have(EVP_MD_CTX_new());
    must(EVP_DigestVerifyInit_ex(ctx, NULL, NULL, NULL, NULL, key, NULL));
    bool ok = EVP_DigestVerify(ctx, sig, SIGNATURE_BYTES, n > 0 ? p : "", n) == 1;
    if (!ok)
        ERR_clear_error();
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return ok;
}

/* --- passphrases ------------------------------------------------------------------------------ */
bool scrypt_run(struct bytes passphrase, struct bytes salt, unsigned log2n, uint8_t out[KEY_BYTES])
{
    uint64_t n = (uint64_t)1 << log2n, r = SCRYPT_R, p = SCRYPT_P;
    uint64_t max_memory = 128 * r * (n + p + 2) + 65536;
    OSSL_PARAM params[] = {
        octets(OSSL_KDF_PARAM_PASSWORD, passphrase),
        octets(OSSL_KDF_PARAM_SALT, salt),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_R, &r),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_P, &p),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &max_memory),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = must_have(EVP_KDF_fetch(NULL, "SCRYPT", NULL));
    EVP_KDF_CTX *ctx = must_have(EVP_KDF_CTX_new(kdf));
    bool ok = EVP_KDF_derive(ctx, out, KEY_BYTES, params) == 1;
    if (!ok)
        ERR_clear_error();
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return ok;
}

int scrypt_key(const struct secret *passphrase, const uint8_t salt[32], unsigned log2n,
               uint8_t out[KEY_BYTES], struct err *e)
{
    if (log2n < MIN_SCRYPT_LOG2N || log2n > MAX_SCRYPT_LOG2N)
        return err_set(e, ERR_LIMIT, _("scrypt's cost 2^%u is not between 2^%d and 2^%d"), log2n,
                       MIN_SCRYPT_LOG2N, MAX_SCRYPT_LOG2N);
    struct bytes pass = { secret_bytes(passphrase), secret_len(passphrase) };
    if (!scrypt_run(pass, (struct bytes){ salt, 32 }, log2n, out))
        return err_set(e, ERR_NOMEM, _("not enough memory for the passphrase (%u MiB)"),
                       1u << (log2n - MIN_SCRYPT_LOG2N));
    return 0;
}
