/* envelope.c - sealing, signing and naming of objects; docs/format.md, "Objects". */
#include "lib/vault/envelope.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MAGIC "TWF1"
#define MAGIC_BYTES 4
#define FLAG_SIGNED 1
#define SALT_BYTES 32

static bool is_signed(enum object_type type)
{
    return type == OBJECT_VAULT || type == OBJECT_SNAPSHOT || type == OBJECT_HEAD ||
           type == OBJECT_CATALOG || type == OBJECT_LOG || type == OBJECT_RECORD;
}

void vault_keys_done(struct vault_keys *k)
{
    secret_free(k->op);
    secret_free(k->sign_sk);
    secret_free(k->recovery_sk);
    k->op = k->sign_sk = k->recovery_sk = NULL;
}

void header_write(struct wbuf *w, enum object_type type)
{
    wb_bytes(w, MAGIC, MAGIC_BYTES);
    wb_u8(w, (uint8_t)type);
    wb_u8(w, FORMAT_VERSION);
    wb_u8(w, SUITE_1);
    wb_u8(w, is_signed(type) ? FLAG_SIGNED : 0);
}

int header_check(struct rbuf *r, enum object_type type, struct err *e)
{
    const uint8_t *h = rb_bytes(r, HEADER_BYTES);
    if (!h || memcmp(h, MAGIC, MAGIC_BYTES) != 0 || h[4] != type)
        return err_set(e, ERR_DAMAGED, _("this is not an object of the kind that its name says"));
    if (h[5] != FORMAT_VERSION || h[6] != SUITE_1)
        return err_set(e, ERR_VERSION,
                       _("format version %u, suite %u; this program knows version %u, suite %u"),
                       h[5], h[6], FORMAT_VERSION, SUITE_1);
    if (h[7] != (is_signed(type) ? FLAG_SIGNED : 0))
        return err_set(e, ERR_DAMAGED, _("the header's flags are not those of its kind"));
    return 0;
}

/* The object's own key: HKDF over a random salt, so no two objects share one. */
static struct aead *object_key(const struct vault_keys *k, enum object_type type,
                               const uint8_t *salt)
{
    static const char label[] = "twofold v1 object";
    uint8_t info[sizeof label - 1 + 1 + ID_BYTES], key[KEY_BYTES];
    memcpy(info, label, sizeof label - 1);
    info[sizeof label - 1] = (uint8_t)type;
    memcpy(info + sizeof label, k->vault_id.b, ID_BYTES);
    hkdf(salt, SALT_BYTES, secret_bytes(k->op), secret_len(k->op), info, sizeof info, key,
         sizeof key);
    struct aead *a = aead_new(key);
    secret_wipe(key, sizeof key);
    return a;
}

static void object_aad(uint8_t aad[HEADER_BYTES + SALT_BYTES + ID_BYTES], const uint8_t *head,
                       const struct id *vault_id)
{
    memcpy(aad, head, HEADER_BYTES + SALT_BYTES);
    memcpy(aad + HEADER_BYTES + SALT_BYTES, vault_id->b, ID_BYTES);
}

/* What a signature is over: a label, the vault, the bytes. */
static int signed_text(const struct id *vault_id, const void *p, size_t n, struct wbuf *w)
{
    static const char label[] = "twofold v1 signature";
    wb_bytes(w, label, sizeof label - 1);
    wb_id(w, vault_id);
    wb_bytes(w, p, n);
    return w->failed ? -1 : 0;
}

void object_sign(const struct id *vault_id, const uint8_t sk[KEY_BYTES], struct wbuf *w)
{
    struct wbuf text = WBUF_INIT;
    uint8_t sig[SIGNATURE_BYTES];
    if (w->failed || signed_text(vault_id, w->p, w->len, &text) < 0) {
        w->failed = true;
    } else {
        ed25519_sign(sk, text.p, text.len, sig);
        wb_bytes(w, sig, sizeof sig);
    }
    wbuf_free(&text);
}

bool object_verify(const struct id *vault_id, const uint8_t pk[PUBLIC_KEY_BYTES], const void *p,
                   size_t n)
{
    if (n < SIGNATURE_BYTES)
        return false;
    struct wbuf text = WBUF_INIT;
    const uint8_t *bytes = p;
    bool ok = signed_text(vault_id, p, n - SIGNATURE_BYTES, &text) == 0 &&
              ed25519_verify(pk, text.p, text.len, bytes + n - SIGNATURE_BYTES);
    wbuf_free(&text);
    return ok;
}

int envelope_seal(const struct vault_keys *k, enum object_type type, const void *p, size_t n,
                  struct wbuf *out, struct err *e)
{
    static const uint8_t nonce[AEAD_NONCE_BYTES];
    uint8_t aad[HEADER_BYTES + SALT_BYTES + ID_BYTES], salt[SALT_BYTES];
    struct wbuf w = WBUF_INIT;
    if (n > MAX_OBJECT_BYTES)
        return err_set(e, ERR_LIMIT, _("an object would be larger than the format allows"));
    sys_random(salt, sizeof salt);
    header_write(&w, type);
    wb_bytes(&w, salt, sizeof salt);
    uint8_t *body = wb_grow(&w, n + AEAD_TAG_BYTES);
    if (body) {
        struct aead *a = object_key(k, type, salt);
        object_aad(aad, w.p, &k->vault_id);
        aead_seal(a, nonce, aad, sizeof aad, p, n, body);
        aead_free(a);
        if (is_signed(type))
            object_sign(&k->vault_id, secret_bytes(k->sign_sk), &w);
    }
    if (w.len > MAX_OBJECT_BYTES) {
        wbuf_free(&w);
        return err_set(e, ERR_LIMIT, _("an object would be larger than the format allows"));
    }
    wb_bytes(out, w.p, w.len);
    bool failed = w.failed || out->failed;
    wbuf_free(&w);
    return failed ? err_set(e, ERR_NOMEM, _("no memory")) : 0;
}

int envelope_open(const struct vault_keys *k, enum object_type type, const void *p, size_t n,
                  struct wbuf *out, struct err *e)
{
    static const uint8_t nonce[AEAD_NONCE_BYTES];
    uint8_t aad[HEADER_BYTES + SALT_BYTES + ID_BYTES];
    struct rbuf r = rbuf_of(p, n);
    size_t tail = is_signed(type) ? SIGNATURE_BYTES : 0;
    int rc = header_check(&r, type, e);
    if (rc < 0)
        return rc;
    if (n < HEADER_BYTES + SALT_BYTES + AEAD_TAG_BYTES + tail || n > MAX_OBJECT_BYTES)
        return err_set(e, ERR_DAMAGED, _("its length cannot be right"));
    if (tail && !object_verify(&k->vault_id, k->sign_pk, p, n))
        return err_set(e, ERR_DAMAGED, _("its signature is not this vault's"));
    const uint8_t *head = p, *sealed = head + HEADER_BYTES + SALT_BYTES;
    size_t sealed_len = n - HEADER_BYTES - SALT_BYTES - tail;
    wbuf_reset(out);
    uint8_t *plain = wb_grow(out, sealed_len - AEAD_TAG_BYTES);
    if (!plain && out->failed)
        return err_set(e, ERR_NOMEM, _("no memory"));
    struct aead *a = object_key(k, type, head + HEADER_BYTES);
    object_aad(aad, head, &k->vault_id);
    bool ok = aead_open(a, nonce, aad, sizeof aad, sealed, sealed_len, plain);
    aead_free(a);
    if (ok)
        return 0;
    wbuf_reset(out);
    return err_set(e, ERR_DAMAGED, _("it is not what this vault's key sealed"));
}

static const char *const folder_of[] = {
    [OBJECT_KEYS] = "keys/",  [OBJECT_INDEX] = "index/",    [OBJECT_SNAPSHOT] = "snapshots/",
    [OBJECT_LIST] = "lists/", [OBJECT_REACH] = "lists/",    [OBJECT_HEAD] = "heads/",
    [OBJECT_PACK] = "packs/", [OBJECT_RECORD] = "records/",
};

const char *object_name(enum object_type type, const struct id *id, char out[MAX_OBJECT_NAME])
{
    char hex[ID_HEX_BYTES];
    id_hex(id, hex);
    if (type == OBJECT_PACK)
        snprintf(out, MAX_OBJECT_NAME, "packs/%.2s/%s", hex, hex);
    else
        snprintf(out, MAX_OBJECT_NAME, "%s%s", folder_of[type], hex);
    return out;
}

const char *head_name(uint64_t generation, const struct id *id, char out[MAX_OBJECT_NAME])
{
    char hex[ID_HEX_BYTES];
    snprintf(out, MAX_OBJECT_NAME, "heads/%016" PRIu64 "-%s", generation, id_hex(id, hex));
    return out;
}

/* Names are in lower case only: another spelling would be another object's name on most copies. */
static bool hash_parse(const char *hex, struct id *ret_id)
{
    return hex[strspn(hex, "0123456789abcdef")] == '\0' && id_parse(hex, ret_id);
}

bool object_name_parse(enum object_type type, const char *name, uint64_t *ret_generation,
                       struct id *ret_id)
{
    const char *folder = (size_t)type < sizeof folder_of / sizeof *folder_of ? folder_of[type]
                                                                             : NULL;
    if (!folder || strncmp(name, folder, strlen(folder)) != 0)
        return false;
    name += strlen(folder);
    if (type == OBJECT_PACK) {
        char dir[3] = { name[0], name[0] ? name[1] : 0, 0 };
        return strlen(name) == 3 + 2 * ID_BYTES && name[2] == '/' &&
               strncmp(name + 3, dir, 2) == 0 && hash_parse(name + 3, ret_id);
    }
    if (type == OBJECT_HEAD) {
        if (strlen(name) != 17 + 2 * ID_BYTES || strspn(name, "0123456789") != 16 ||
            name[16] != '-')
            return false;
        uint64_t generation = strtoull(name, NULL, 10);
        if (ret_generation)
            *ret_generation = generation;
        name += 17;
    }
    return hash_parse(name, ret_id);
}
