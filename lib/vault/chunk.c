/* chunk.c - sealing and opening of chunks and snapshot bodies. docs/format.md, "chunk",
 * "snapshot". */
#include "lib/vault/chunk.h"
#include "lib/base/i18n.h"
#include "lib/codec/zstd.h"

#include <stdlib.h>
#include <string.h>

enum { CODEC_PLAIN = 0, CODEC_ZSTD = 1 };

/* An object that is not a pack has this bound, and a body lies in one. */
#define MAX_BODY_PLAIN_BYTES (64u << 20)

static const char chunk_label[] = "twofold v1 chunk", body_label[] = "twofold v1 body";
#define CHUNK_AAD_BYTES (sizeof chunk_label - 1 + 3 * ID_BYTES + 4)

struct chunk_box {
    struct id vault_id, key_id;
    struct aead *aead;
    struct zstd *zstd;
    struct wbuf scratch; /* what lies inside of a chunk being opened */
};

struct chunk_box *chunk_box_new(const struct id *vault_id, const struct id *key_id,
                                const uint8_t data_key[KEY_BYTES])
{
    struct chunk_box *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->vault_id = *vault_id;
    b->key_id = *key_id;
    b->aead = aead_new(data_key);
    b->zstd = zstd_new();
    if (!b->aead || !b->zstd) {
        chunk_box_free(b);
        return NULL;
    }
    return b;
}

void chunk_box_free(struct chunk_box *b)
{
    if (!b)
        return;
    aead_free(b->aead);
    zstd_free(b->zstd);
    wbuf_free(&b->scratch);
    free(b);
}

const struct id *chunk_box_key_id(const struct chunk_box *b)
{
    return &b->key_id;
}

static void put_u32(uint8_t *p, uint32_t v)
{
    for (size_t i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get_u32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void make_nonce(uint8_t nonce[AEAD_NONCE_BYTES], uint32_t domain, uint64_t counter)
{
    put_u32(nonce, domain);
    put_u32(nonce + 4, (uint32_t)counter);
    put_u32(nonce + 8, (uint32_t)(counter >> 32));
}

static void chunk_aad(uint8_t aad[CHUNK_AAD_BYTES], const struct id *vault_id,
                      const struct id *chunk_id, const struct id *key_id, size_t sealed_len)
{
    memcpy(aad, chunk_label, sizeof chunk_label - 1);
    aad += sizeof chunk_label - 1;
    memcpy(aad, vault_id->b, ID_BYTES);
    memcpy(aad + ID_BYTES, chunk_id->b, ID_BYTES);
    memcpy(aad + 2 * ID_BYTES, key_id->b, ID_BYTES);
    put_u32(aad + 3 * ID_BYTES, (uint32_t)sealed_len);
}

int chunk_seal(struct chunk_box *b, const struct id *chunk_id, uint64_t counter, int level,
               const void *p, size_t n, struct wbuf *out, struct err *e)
{
    if (n == 0 || n > MAX_CHUNK_BYTES)
        return err_set(e, ERR_LIMIT, _("a chunk has 1 to %u bytes, not %zu"), MAX_CHUNK_BYTES, n);
    uint8_t *inner = wb_grow(out, CHUNK_INNER_BYTES + n + AEAD_TAG_BYTES);
    if (!inner)
        return err_set(e, ERR_NOMEM, _("no memory to seal a chunk"));
    uint8_t *data = inner + CHUNK_INNER_BYTES;
    size_t packed = level > 0 ? zstd_compress(b->zstd, level, p, n, data, n) : 0;
    inner[0] = packed ? CODEC_ZSTD : CODEC_PLAIN;
    put_u32(inner + 1, (uint32_t)n);
    if (!packed)
        memcpy(data, p, n);
    size_t inner_len = CHUNK_INNER_BYTES + (packed ? packed : n);
    size_t sealed_len = inner_len + AEAD_TAG_BYTES;
    uint8_t nonce[AEAD_NONCE_BYTES], aad[CHUNK_AAD_BYTES];
    make_nonce(nonce, NONCE_CHUNK, counter);
    chunk_aad(aad, &b->vault_id, chunk_id, &b->key_id, sealed_len);
    aead_seal(b->aead, nonce, aad, sizeof aad, inner, inner_len, inner);
    out->len -= CHUNK_INNER_BYTES + n + AEAD_TAG_BYTES - sealed_len;
    return 0;
}

/* Takes apart what was sealed: codec, length, data. */
static int unpack(struct chunk_box *b, const uint8_t *inner, size_t n, struct wbuf *out,
                  struct err *e)
{
    const uint8_t *data = inner + CHUNK_INNER_BYTES;
    size_t data_len = n - CHUNK_INNER_BYTES;
    size_t len = get_u32(inner + 1);
    if (inner[0] > CODEC_ZSTD)
        return err_set(e, ERR_DAMAGED, _("the chunk is packed in a way unknown here (%u)"),
                       inner[0]);
    if (len == 0 || len > MAX_CHUNK_BYTES || (inner[0] == CODEC_PLAIN && len != data_len))
        return err_set(e, ERR_DAMAGED, _("the chunk has another length than stated"));
    wbuf_reset(out);
    uint8_t *to = wb_grow(out, len);
    if (!to)
        return err_set(e, ERR_NOMEM, _("no memory to open a chunk"));
    int rc = 0;
    if (inner[0] == CODEC_PLAIN)
        memcpy(to, data, len);
    else if ((rc = zstd_decompress(b->zstd, data, data_len, to, len, e)) < 0)
        wbuf_reset(out);
    return rc;
}

int chunk_open(struct chunk_box *b, const struct chunk_ref *ref, const void *sealed, size_t n,
               struct wbuf *out, struct err *e)
{
    if (n <= CHUNK_INNER_BYTES + AEAD_TAG_BYTES || n > MAX_SEALED_BYTES)
        return err_set(e, ERR_DAMAGED, _("a sealed chunk cannot have %zu bytes"), n);
    wbuf_reset(&b->scratch);
    uint8_t *inner = wb_grow(&b->scratch, n - AEAD_TAG_BYTES);
    if (!inner)
        return err_set(e, ERR_NOMEM, _("no memory to open a chunk"));
    uint8_t nonce[AEAD_NONCE_BYTES], aad[CHUNK_AAD_BYTES];
    make_nonce(nonce, NONCE_CHUNK, ref->counter);
    chunk_aad(aad, &b->vault_id, &ref->id, &ref->key_id, n);
    if (!aead_open(b->aead, nonce, aad, sizeof aad, sealed, n, inner))
        return err_set(e, ERR_DAMAGED, _("the chunk is not what was sealed under its name"));
    return unpack(b, inner, n - AEAD_TAG_BYTES, out, e);
}

/* --- bodies ----------------------------------------------------------------------------------- */
static void body_aad(const struct chunk_box *b, const struct wbuf *binding, struct wbuf *aad)
{
    wb_bytes(aad, body_label, sizeof body_label - 1);
    wb_id(aad, &b->vault_id);
    wb_id(aad, &b->key_id);
    wb_bytes(aad, binding->p, binding->len);
}

int body_seal(struct chunk_box *b, uint64_t counter, const struct wbuf *binding, const void *p,
              size_t n, struct wbuf *out, struct err *e)
{
    if (n == 0 || n > MAX_BODY_PLAIN_BYTES)
        return err_set(e, ERR_LIMIT, _("a snapshot's body cannot have %zu bytes"), n);
    struct wbuf aad = WBUF_INIT;
    body_aad(b, binding, &aad);
    uint8_t *to = aad.failed || binding->failed ? NULL : wb_grow(out, n + AEAD_TAG_BYTES);
    if (to) {
        uint8_t nonce[AEAD_NONCE_BYTES];
        make_nonce(nonce, NONCE_BODY, counter);
        aead_seal(b->aead, nonce, aad.p, aad.len, p, n, to);
    }
    wbuf_free(&aad);
    return to ? 0 : err_set(e, ERR_NOMEM, _("no memory to seal a snapshot's body"));
}

int body_open(struct chunk_box *b, uint64_t counter, const struct wbuf *binding, const void *sealed,
              size_t n, struct wbuf *out, struct err *e)
{
    if (n <= AEAD_TAG_BYTES || n > MAX_BODY_PLAIN_BYTES + AEAD_TAG_BYTES)
        return err_set(e, ERR_DAMAGED, _("a sealed body cannot have %zu bytes"), n);
    int rc = 0;
    struct wbuf aad = WBUF_INIT;
    body_aad(b, binding, &aad);
    wbuf_reset(out);
    uint8_t *to = aad.failed || binding->failed ? NULL : wb_grow(out, n - AEAD_TAG_BYTES);
    uint8_t nonce[AEAD_NONCE_BYTES];
    make_nonce(nonce, NONCE_BODY, counter);
    if (!to)
        rc = err_set(e, ERR_NOMEM, _("no memory to open a snapshot's body"));
    else if (!aead_open(b->aead, nonce, aad.p, aad.len, sealed, n, to)) {
        wbuf_reset(out);
        rc = err_set(e, ERR_DAMAGED, _("the snapshot's body is not what was sealed"));
    }
    wbuf_free(&aad);
    return rc;
}
