/* vault_object.c - a vault's keys and the object that says who they are; docs/format.md, "vault". */
#include "lib/vault/recovery.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/crypto/hpke.h"

#include <assert.h>
#include <stdlib.h>

#define SEALED_INFO "twofold v1 vault keys"
#define SEALED_AAD_BYTES (ID_BYTES + 8)
#define MIN_SECRET_PART_BYTES (2 * KEY_BYTES + 1)
#define MAX_SECRET_PART_BYTES (2 * KEY_BYTES + 2 + MAX_FORMAT_NAME)
#define MIN_SEALED_PART_BYTES (MIN_SECRET_PART_BYTES + HPKE_OVERHEAD_BYTES)
#define MAX_SEALED_PART_BYTES (MAX_SECRET_PART_BYTES + HPKE_OVERHEAD_BYTES)
#define FIRST_GENERATION 1
#define ROOT_LABEL "twofold v1 root"

int vault_keys_generate(struct vault_keys *ret, struct err *e)
{
    struct vault_keys k = {
        .op = secret_random(KEY_BYTES),
        .sign_sk = secret_random(KEY_BYTES),
        .recovery_sk = secret_random(KEY_BYTES),
    };
    if (!k.op || !k.sign_sk || !k.recovery_sk) {
        vault_keys_done(&k);
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    sys_random(k.vault_id.b, ID_BYTES);
    x25519_public(secret_bytes(k.recovery_sk), k.recovery_pk);
    ed25519_public(secret_bytes(k.sign_sk), k.sign_pk);
    root_key_public(&k.vault_id, k.recovery_sk, k.root_pk);
    *ret = k;
    return 0;
}

/* --- the root key ----------------------------------------------------------------------------- */
void root_key_secret(const struct id *vault_id, const struct secret *recovery_sk,
                     uint8_t sk[KEY_BYTES])
{
    assert(recovery_sk);
    hkdf(vault_id->b, ID_BYTES, secret_bytes(recovery_sk), secret_len(recovery_sk), ROOT_LABEL,
         sizeof ROOT_LABEL - 1, sk, KEY_BYTES);
}

void root_key_public(const struct id *vault_id, const struct secret *recovery_sk,
                     uint8_t pk[PUBLIC_KEY_BYTES])
{
    uint8_t sk[KEY_BYTES];
    root_key_secret(vault_id, recovery_sk, sk);
    ed25519_public(sk, pk);
    secret_wipe(sk, sizeof sk);
}

/* --- writing ---------------------------------------------------------------------------------- */
static void sealed_aad(const struct id *vault_id, uint8_t aad[SEALED_AAD_BYTES])
{
    memcpy(aad, vault_id->b, ID_BYTES);
    memset(aad + ID_BYTES, 0, 8);
    aad[ID_BYTES] = FIRST_GENERATION;
}

/* What only the recovery key opens, as a blob at the end of w. */
static int write_sealed(const struct vault_keys *k, const char *name, struct wbuf *w, struct err *e)
{
    uint8_t aad[SEALED_AAD_BYTES], plain[MAX_SECRET_PART_BYTES];
    struct wbuf tail = WBUF_INIT; /* the name: no secret, unlike what stands before it */
    wb_str(&tail, name);
    int rc = tail.failed ? err_set(e, ERR_NOMEM, _("no memory")) : 0;
    if (rc == 0) {
        size_t n = 2 * KEY_BYTES + tail.len;
        memcpy(plain, secret_bytes(k->op), KEY_BYTES);
        memcpy(plain + KEY_BYTES, secret_bytes(k->sign_sk), KEY_BYTES);
        memcpy(plain + 2 * (size_t)KEY_BYTES, tail.p, tail.len);
        sealed_aad(&k->vault_id, aad);
        struct hpke_text t = { SEALED_INFO, aad, sizeof SEALED_INFO - 1, sizeof aad };
        wb_varint(w, n + HPKE_OVERHEAD_BYTES);
        uint8_t *out = wb_grow(w, n + HPKE_OVERHEAD_BYTES);
        if (out)
            rc = hpke_seal(k->recovery_pk, &t, plain, n, out, e);
        secret_wipe(plain, sizeof plain);
    }
    wbuf_free(&tail);
    return rc;
}

int vault_object_write(const struct vault_keys *k, const char *vault_name, int64_t created_s,
                       struct wbuf *out, struct err *e)
{
    static const struct id none;
    uint8_t root_sk[KEY_BYTES], root_pk[PUBLIC_KEY_BYTES];
    assert(strlen(vault_name) <= MAX_FORMAT_NAME && created_s >= 0);
    struct wbuf w = WBUF_INIT;
    root_key_secret(&k->vault_id, k->recovery_sk, root_sk);
    ed25519_public(root_sk, root_pk);
    header_write(&w, OBJECT_VAULT);
    wb_u64(&w, FIRST_GENERATION);
    wb_id(&w, &k->vault_id);
    wb_bytes(&w, k->recovery_pk, PUBLIC_KEY_BYTES);
    wb_bytes(&w, k->sign_pk, PUBLIC_KEY_BYTES);
    wb_bytes(&w, root_pk, PUBLIC_KEY_BYTES);
    wb_id(&w, &none);
    wb_u64(&w, (uint64_t)created_s);
    int rc = write_sealed(k, vault_name, &w, e);
    if (rc == 0) {
        object_sign(&k->vault_id, root_sk, &w);
        wb_bytes(out, w.p, w.len);
        if (w.failed || out->failed)
            rc = err_set(e, ERR_NOMEM, _("no memory"));
    }
    secret_wipe(root_sk, sizeof root_sk);
    wbuf_free(&w);
    return rc;
}

/* --- reading ---------------------------------------------------------------------------------- */
struct sealed_part {
    const uint8_t *p; /* borrowed from the object */
    size_t n;
};

static int read_object(const void *p, size_t n, struct vault_public *ret,
                       struct sealed_part *sealed, struct err *e)
{
    struct vault_public v = { 0 };
    struct rbuf r = rbuf_of(p, n);
    struct id previous;
    int rc = header_check(&r, OBJECT_VAULT, e);
    if (rc < 0)
        return rc;
    v.generation = rb_u64(&r);
    rb_id(&r, &v.vault_id);
    const uint8_t *recovery_pk = rb_bytes(&r, PUBLIC_KEY_BYTES);
    const uint8_t *sign_pk = rb_bytes(&r, PUBLIC_KEY_BYTES);
    const uint8_t *root_pk = rb_bytes(&r, PUBLIC_KEY_BYTES);
    rb_id(&r, &previous);
    uint64_t created = rb_u64(&r);
    sealed->p = rb_blob(&r, MAX_SEALED_PART_BYTES, &sealed->n);
    rb_bytes(&r, SIGNATURE_BYTES);
    if (!rb_done(&r) || sealed->n < MIN_SEALED_PART_BYTES || created > INT64_MAX)
        return err_set(e, ERR_DAMAGED, _("its content is not as the format demands"));
    if (v.generation != FIRST_GENERATION)
        return err_set(e, ERR_VERSION,
                       _("this program knows only the first generation of a vault"));
    if (!id_is_zero(&previous) || !object_verify(&v.vault_id, root_pk, p, n))
        return err_set(e, ERR_DAMAGED, _("its signature is not this vault's"));
    memcpy(v.recovery_pk, recovery_pk, PUBLIC_KEY_BYTES);
    memcpy(v.sign_pk, sign_pk, PUBLIC_KEY_BYTES);
    memcpy(v.root_pk, root_pk, PUBLIC_KEY_BYTES);
    v.created_s = (int64_t)created;
    *ret = v;
    return 0;
}

int vault_object_read(const void *p, size_t n, struct vault_public *ret, struct err *e)
{
    struct sealed_part sealed;
    return read_object(p, n, ret, &sealed, e);
}

bool vault_object_is_of(const struct vault_public *v, const struct vault_keys *k)
{
    return id_eq(&v->vault_id, &k->vault_id) &&
           memcmp(v->root_pk, k->root_pk, PUBLIC_KEY_BYTES) == 0 &&
           memcmp(v->recovery_pk, k->recovery_pk, PUBLIC_KEY_BYTES) == 0 &&
           memcmp(v->sign_pk, k->sign_pk, PUBLIC_KEY_BYTES) == 0;
}

/* Takes the opened part apart. The public half of the signing key in it stands in the open part, too. */
static int take_secrets(const uint8_t *plain, size_t n, const struct vault_public *v,
                        struct vault_keys *k, char **ret_name, struct err *e)
{
    uint8_t sign_pk[PUBLIC_KEY_BYTES];
    struct rbuf r = rbuf_of(plain, n);
    const uint8_t *op = rb_bytes(&r, KEY_BYTES), *sign_sk = rb_bytes(&r, KEY_BYTES);
    char *name = rb_strdup(&r, MAX_FORMAT_NAME);
    bool ok = rb_done(&r);
    if (ok) {
        ed25519_public(sign_sk, sign_pk);
        ok = memcmp(sign_pk, v->sign_pk, PUBLIC_KEY_BYTES) == 0;
    }
    if (!ok) {
        free(name);
        return err_set(e, ERR_DAMAGED,
                       _("the signing key sealed in it is not the one that it names"));
    }
    struct secret *s_op = secret_of(op, KEY_BYTES), *s_sign = secret_of(sign_sk, KEY_BYTES);
    if (!s_op || !s_sign) {
        secret_free(s_op);
        secret_free(s_sign);
        free(name);
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    secret_free(k->op);
    secret_free(k->sign_sk);
    k->op = s_op;
    k->sign_sk = s_sign;
    if (ret_name)
        *ret_name = name;
    else
        free(name);
    return 0;
}

/* Both public keys follow from the recovery key: no other part of the object is believed before they do. */
static int check_recovery_key(const struct vault_public *v, const struct secret *recovery_sk,
                              struct err *e)
{
    uint8_t pk[PUBLIC_KEY_BYTES];
    x25519_public(secret_bytes(recovery_sk), pk);
    if (memcmp(pk, v->recovery_pk, PUBLIC_KEY_BYTES) != 0)
        return err_set(e, ERR_KEY, _("this is not the recovery key of that vault"));
    root_key_public(&v->vault_id, recovery_sk, pk);
    if (memcmp(pk, v->root_pk, PUBLIC_KEY_BYTES) != 0)
        return err_set(e, ERR_DAMAGED,
                       _("the vault object is not signed by the holder of the recovery key"));
    return 0;
}

int vault_object_open(const void *p, size_t n, struct vault_keys *k, char **ret_name, struct err *e)
{
    struct vault_public v;
    struct sealed_part sealed;
    uint8_t aad[SEALED_AAD_BYTES], plain[MAX_SECRET_PART_BYTES];
    int rc = read_object(p, n, &v, &sealed, e);
    if (rc == 0)
        rc = check_recovery_key(&v, k->recovery_sk, e);
    if (rc < 0)
        return rc;
    sealed_aad(&v.vault_id, aad);
    struct hpke_text t = { SEALED_INFO, aad, sizeof SEALED_INFO - 1, sizeof aad };
    rc = hpke_open(secret_bytes(k->recovery_sk), &t, sealed.p, sealed.n, plain, e);
    if (rc == 0)
        rc = take_secrets(plain, sealed.n - HPKE_OVERHEAD_BYTES, &v, k, ret_name, e);
    secret_wipe(plain, sizeof plain);
    if (rc < 0)
        return rc;
    k->vault_id = v.vault_id;
    memcpy(k->recovery_pk, v.recovery_pk, PUBLIC_KEY_BYTES);
    memcpy(k->sign_pk, v.sign_pk, PUBLIC_KEY_BYTES);
    memcpy(k->root_pk, v.root_pk, PUBLIC_KEY_BYTES);
    return 0;
}

/* --- both together ---------------------------------------------------------------------------- */
/* The vault object is only a file in a copy; the recovery file, opened, is what is trusted. */
static int check_anchor(const struct vault_public *v, const struct id *vault_id,
                        const struct id *fingerprint, struct err *e)
{
    struct id have;
    sha256_of(v->root_pk, PUBLIC_KEY_BYTES, &have);
    if (!id_eq(&v->vault_id, vault_id))
        return err_set(e, ERR_DAMAGED,
                       _("the vault object is another vault's than the recovery file"));
    if (!id_eq(&have, fingerprint))
        return err_set(
            e, ERR_DAMAGED,
            _("the vault object is signed by a key that the recovery file does not know"));
    return 0;
}

int vault_keys_recover(const void *recovery, size_t recovery_len, const void *vault,
                       size_t vault_len, const struct secret *passphrase, struct vault_keys *ret,
                       char **ret_name, struct err *e)
{
    struct vault_keys k = { 0 };
    struct vault_public v;
    struct id fingerprint;
    int rc = recovery_open(recovery, recovery_len, passphrase, &k, &fingerprint, e);
    if (rc == 0)
        rc = vault_object_read(vault, vault_len, &v, e);
    if (rc == 0)
        rc = check_anchor(&v, &k.vault_id, &fingerprint, e);
    if (rc == 0)
        rc = vault_object_open(vault, vault_len, &k, ret_name, e);
    if (rc < 0)
        vault_keys_done(&k);
    else
        *ret = k;
    return rc;
}
