/* recovery.c - the recovery file, what a passphrase must be, the deduplication key and the sealing of data
 * keys; docs/format.md, "recovery", "keys", "chunk". */
#include "lib/vault/recovery.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/crypto/hpke.h"

#include <assert.h>
#include <stdlib.h>

#define MAX_SLOTS 16
#define MIN_LOG2N 10
#define MAX_LOG2N 16
#define SALT_BYTES 32
#define SLOT_PREFIX_BYTES (2 + SALT_BYTES) /* kind, log2 N, salt */
#define SLOT_AAD_BYTES (HEADER_BYTES + SLOT_PREFIX_BYTES)
#define PAYLOAD_BYTES (1 + ID_BYTES + KEY_BYTES + ID_BYTES)
#define SEALED_PAYLOAD_BYTES (PAYLOAD_BYTES + AEAD_TAG_BYTES)
#define SLOT_BYTES (SLOT_PREFIX_BYTES + SEALED_PAYLOAD_BYTES)
#define DATA_KEY_INFO "twofold v1 data key"
#define DATA_KEY_AAD_BYTES (2 * ID_BYTES)
#define DEDUP_LABEL "twofold v1 dedup"

enum slot_kind { SLOT_PASSPHRASE = 1, SLOT_OFFICERS = 2 };

static const uint8_t zero_nonce[AEAD_NONCE_BYTES];

/* --- the recovery file ------------------------------------------------------------------------ */
static int slot_cipher(const struct secret *passphrase, const uint8_t *prefix, struct aead **ret,
                       struct err *e)
{
    uint8_t key[KEY_BYTES];
    int rc = scrypt_key(passphrase, prefix + 2, prefix[1], key, e);
    if (rc == 0)
        *ret = aead_new(key);
    secret_wipe(key, sizeof key);
    return rc;
}

static void slot_aad(const uint8_t *header, const uint8_t *prefix, uint8_t aad[SLOT_AAD_BYTES])
{
    memcpy(aad, header, HEADER_BYTES);
    memcpy(aad + HEADER_BYTES, prefix, SLOT_PREFIX_BYTES);
}

static void payload_of(const struct vault_keys *k, uint8_t out[PAYLOAD_BYTES])
{
    uint8_t root_pk[PUBLIC_KEY_BYTES];
    struct id fingerprint;
    root_key_public(&k->vault_id, k->recovery_sk, root_pk);
    sha256_of(root_pk, PUBLIC_KEY_BYTES, &fingerprint);
    *out++ = SUITE_1;
    memcpy(out, k->vault_id.b, ID_BYTES);
    memcpy(out + ID_BYTES, secret_bytes(k->recovery_sk), KEY_BYTES);
    memcpy(out + ID_BYTES + KEY_BYTES, fingerprint.b, ID_BYTES);
}

int recovery_write(const struct vault_keys *k, const struct secret *passphrase, struct wbuf *out,
                   struct err *e)
{
    uint8_t prefix[SLOT_PREFIX_BYTES] = { SLOT_PASSPHRASE, RECOVERY_LOG2N };
    uint8_t aad[SLOT_AAD_BYTES], payload[PAYLOAD_BYTES], sealed[SEALED_PAYLOAD_BYTES];
    struct aead *a = NULL;
    assert(k->recovery_sk);
    sys_random(prefix + 2, SALT_BYTES);
    int rc = slot_cipher(passphrase, prefix, &a, e);
    if (rc < 0)
        return rc;
    struct wbuf w = WBUF_INIT;
    header_write(&w, OBJECT_RECOVERY);
    if (!w.failed) {
        slot_aad(w.p, prefix, aad);
        payload_of(k, payload);
        aead_seal(a, zero_nonce, aad, sizeof aad, payload, sizeof payload, sealed);
        secret_wipe(payload, sizeof payload);
        wb_u8(&w, 1); /* slots */
        wb_bytes(&w, prefix, sizeof prefix);
        wb_bytes(&w, sealed, sizeof sealed);
    }
    aead_free(a);
    wb_bytes(out, w.p, w.len);
    rc = w.failed || out->failed ? err_set(e, ERR_NOMEM, _("no memory")) : 0;
    wbuf_free(&w);
    return rc;
}

/* The file's shape, before any costly derivation. Returns the slots; NULL: damaged. */
static const uint8_t *slots_of(struct rbuf *r, size_t *ret_n)
{
    size_t n = rb_u8(r);
    const uint8_t *slots = rb_bytes(r, n * SLOT_BYTES);
    if (!rb_done(r) || n == 0 || n > MAX_SLOTS)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *s = slots + i * SLOT_BYTES;
        if ((s[0] != SLOT_PASSPHRASE && s[0] != SLOT_OFFICERS) || s[1] < MIN_LOG2N ||
            s[1] > MAX_LOG2N)
            return NULL;
    }
    *ret_n = n;
    return slots;
}

/* 1: it opened; 0: not with this passphrase. */
static int slot_open(const uint8_t *header, const uint8_t *slot, const struct secret *passphrase,
                     uint8_t payload[PAYLOAD_BYTES], struct err *e)
{
    uint8_t aad[SLOT_AAD_BYTES];
    struct aead *a = NULL;
    int rc = slot_cipher(passphrase, slot, &a, e);
    if (rc < 0)
        return rc;
    slot_aad(header, slot, aad);
    bool ok = aead_open(a, zero_nonce, aad, sizeof aad, slot + SLOT_PREFIX_BYTES,
                        SEALED_PAYLOAD_BYTES, payload);
    aead_free(a);
    return ok;
}

static int take_payload(const uint8_t payload[PAYLOAD_BYTES], struct vault_keys *k,
                        struct id *ret_root_fingerprint, struct err *e)
{
    struct rbuf r = rbuf_of(payload, PAYLOAD_BYTES);
    uint8_t suite = rb_u8(&r);
    if (suite != SUITE_1)
        return err_set(e, ERR_VERSION, _("the vault is of suite %u; this program knows suite %u"),
                       suite, SUITE_1);
    const uint8_t *vault_id = rb_bytes(&r, ID_BYTES), *key = rb_bytes(&r, KEY_BYTES);
    struct secret *sk = secret_of(key, KEY_BYTES);
    if (!sk)
        return err_set(e, ERR_NOMEM, _("no memory"));
    secret_free(k->recovery_sk);
    k->recovery_sk = sk;
    memcpy(k->vault_id.b, vault_id, ID_BYTES);
    rb_id(&r, ret_root_fingerprint);
    return 0;
}

int recovery_open(const void *p, size_t n, const struct secret *passphrase, struct vault_keys *k,
                  struct id *ret_root_fingerprint, struct err *e)
{
    uint8_t payload[PAYLOAD_BYTES];
    struct rbuf r = rbuf_of(p, n);
    size_t n_slots = 0;
    int rc = header_check(&r, OBJECT_RECOVERY, e);
    if (rc < 0)
        return rc;
    const uint8_t *slots = slots_of(&r, &n_slots);
    if (!slots)
        return err_set(e, ERR_DAMAGED, _("its content is not as the format demands"));
    for (size_t i = 0; i < n_slots && rc == 0; i++)
        rc = slot_open(p, slots + i * SLOT_BYTES, passphrase, payload, e);
    if (rc == 1)
        rc = take_payload(payload, k, ret_root_fingerprint, e);
    else if (rc == 0)
        rc = err_set(e, ERR_KEY, _("the recovery file does not open with this passphrase"));
    secret_wipe(payload, sizeof payload);
    return rc;
}

/* --- passphrases ------------------------------------------------------------------------------ */
#define MIN_PASSPHRASE_CHARS 16
#define MIN_PASSPHRASE_KINDS 3

int passphrase_check(const struct secret *passphrase, struct err *e)
{
    const uint8_t *p = secret_bytes(passphrase);
    size_t n = secret_len(passphrase), chars = 0;
    bool lower = false, upper = false, digit = false, other = false;
    if (n > MAX_PASSPHRASE_BYTES)
        return err_set(e, ERR_USAGE, _("the passphrase is longer than %d bytes"),
                       MAX_PASSPHRASE_BYTES);
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\0')
            return err_set(e, ERR_USAGE, _("the passphrase holds a NUL byte"));
        chars += (p[i] & 0xC0) != 0x80; /* UTF-8: what continues a character is not one */
        if (p[i] >= 'a' && p[i] <= 'z')
            lower = true;
        else if (p[i] >= 'A' && p[i] <= 'Z')
            upper = true;
        else if (p[i] >= '0' && p[i] <= '9')
            digit = true;
        else
            other = true;
    }
    if (chars < MIN_PASSPHRASE_CHARS)
        return err_set(e, ERR_USAGE,
                       _("the passphrase has %zu characters; it must have %d or more"), chars,
                       MIN_PASSPHRASE_CHARS);
    int kinds = lower + upper + digit + other;
    if (kinds < MIN_PASSPHRASE_KINDS)
        return err_set(e, ERR_USAGE,
                       _("the passphrase has %d of the four kinds of characters (lower case, upper "
                         "case, digits, others); it must have %d or more"),
                       kinds, MIN_PASSPHRASE_KINDS);
    return 0;
}

/* --- keys of agents and of sessions ----------------------------------------------------------- */
void dedup_key(const struct vault_keys *k, const char *agent, uint32_t rotation,
               uint8_t out[KEY_BYTES])
{
    struct wbuf info = WBUF_INIT;
    wb_bytes(&info, DEDUP_LABEL, sizeof DEDUP_LABEL - 1);
    wb_str(&info, agent);
    wb_u32(&info, rotation);
    if (info.failed)
        abort(); /* as the primitives do: a key made of half the name would be a wrong one */
    hkdf(k->vault_id.b, ID_BYTES, secret_bytes(k->op), secret_len(k->op), info.p, info.len, out,
         KEY_BYTES);
    wbuf_free(&info);
}

static void data_key_aad(const struct id *vault_id, const struct id *key_id,
                         uint8_t aad[DATA_KEY_AAD_BYTES])
{
    memcpy(aad, vault_id->b, ID_BYTES);
    memcpy(aad + ID_BYTES, key_id->b, ID_BYTES);
}

int data_key_seal(const uint8_t recovery_pk[PUBLIC_KEY_BYTES], const struct id *vault_id,
                  const struct id *key_id, const uint8_t key[KEY_BYTES],
                  uint8_t out[DATA_KEY_BLOB_BYTES], struct err *e)
{
    _Static_assert(DATA_KEY_BLOB_BYTES == KEY_BYTES + HPKE_OVERHEAD_BYTES, "a sealed data key");
    uint8_t aad[DATA_KEY_AAD_BYTES];
    data_key_aad(vault_id, key_id, aad);
    struct hpke_text t = { DATA_KEY_INFO, aad, sizeof DATA_KEY_INFO - 1, sizeof aad };
    return hpke_seal(recovery_pk, &t, key, KEY_BYTES, out, e);
}

int data_key_open(const struct vault_keys *k, const struct data_key *dk, uint8_t out[KEY_BYTES],
                  struct err *e)
{
    uint8_t aad[DATA_KEY_AAD_BYTES];
    if (!k->recovery_sk)
        return err_set(e, ERR_KEY, _("the recovery key is not at hand"));
    data_key_aad(&k->vault_id, &dk->id, aad);
    struct hpke_text t = { DATA_KEY_INFO, aad, sizeof DATA_KEY_INFO - 1, sizeof aad };
    return hpke_open(secret_bytes(k->recovery_sk), &t, dk->blob, DATA_KEY_BLOB_BYTES, out, e);
}
