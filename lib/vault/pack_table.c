/* pack_table.c - the table at the end of a pack and the trailer behind it; docs/format.md, "pack". */
#include "lib/vault/objects.h"
#include "lib/base/i18n.h"
#include "lib/vault/chunk.h"
#include "lib/vault/parse.h"

#include <stdlib.h>

#define TRAILER_MAGIC "TWFP"
#define MIN_TABLE_CAPACITY 64

void pack_table_init(struct pack_table *t)
{
    *t = (struct pack_table){ 0 };
}

void pack_table_done(struct pack_table *t)
{
    free(t->keys);
    free(t->chunks);
    pack_table_init(t);
}

/* The ordinal of the key, added when new; negative: no memory. Searched from the end: chunks come in runs
 * of one key, and a pack has few. */
static int64_t key_ordinal(struct pack_table *t, const struct id *key_id)
{
    for (size_t i = t->n_keys; i > 0; i--)
        if (id_eq(&t->keys[i - 1], key_id))
            return (int64_t)(i - 1);
    struct id *keys = realloc(t->keys, (t->n_keys + 1) * sizeof *keys);
    if (!keys)
        return -1;
    t->keys = keys;
    keys[t->n_keys] = *key_id;
    return (int64_t)t->n_keys++;
}

int pack_table_add(struct pack_table *t, const struct id *key_id, const struct pack_chunk *c,
                   struct err *e)
{
    if (c->len == 0 || c->len > MAX_SEALED_BYTES)
        return err_set(e, ERR_LIMIT, _("a sealed chunk cannot have %u bytes"), c->len);
    if (t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : MIN_TABLE_CAPACITY;
        struct pack_chunk *chunks = realloc(t->chunks, cap * sizeof *chunks);
        if (!chunks)
            return err_set(e, ERR_NOMEM, _("no memory"));
        t->chunks = chunks;
        t->cap = cap;
    }
    int64_t key = key_ordinal(t, key_id);
    if (key < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    t->chunks[t->n] = *c;
    t->chunks[t->n++].key = (uint32_t)key;
    return 0;
}

uint64_t pack_table_chunk_bytes(const struct pack_table *t)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < t->n; i++)
        sum += t->chunks[i].len;
    return sum;
}

void pack_chunk_write(struct wbuf *w, const struct pack_chunk *c, uint32_t key)
{
    wb_id(w, &c->id);
    wb_varint(w, c->len);
    wb_varint(w, key);
    wb_varint(w, c->counter);
    wb_bytes(w, c->hash, SHORT_HASH_BYTES);
}

void pack_chunk_read(struct rbuf *r, size_t n_keys, struct pack_chunk *ret)
{
    rb_id(r, &ret->id);
    ret->len = (uint32_t)rb_varint_max(r, MAX_SEALED_BYTES);
    ret->key = (uint32_t)rb_varint_max(r, UINT32_MAX);
    ret->counter = rb_varint(r);
    const uint8_t *hash = rb_bytes(r, SHORT_HASH_BYTES);
    if (hash && ret->len > 0 && ret->key < n_keys)
        memcpy(ret->hash, hash, SHORT_HASH_BYTES);
    else
        rb_fail(r);
}

void pack_table_write(struct wbuf *w, const struct pack_table *t)
{
    ids_write(w, t->keys, t->n_keys);
    wb_varint(w, t->n);
    for (size_t i = 0; i < t->n; i++)
        pack_chunk_write(w, &t->chunks[i], t->chunks[i].key);
}

int pack_table_read(const void *p, size_t n, struct pack_table *ret, struct err *e)
{
    struct pack_table t;
    struct parse in = parse_of(p, n);
    uint64_t sum = 0;
    pack_table_init(&t);
    t.keys = parse_ids(&in, &t.n_keys);
    t.chunks = parse_array(&in, MIN_PACK_CHUNK_BYTES, sizeof *t.chunks, &t.n);
    t.cap = t.n;
    for (size_t i = 0; i < t.n && !in.r.bad; i++) {
        pack_chunk_read(&in.r, t.n_keys, &t.chunks[i]);
        sum += t.chunks[i].len;
        if (sum > MAX_PACK_BYTES)
            rb_fail(&in.r);
    }
    int rc = parse_end(&in, e);
    if (rc < 0)
        pack_table_done(&t);
    else
        *ret = t;
    return rc;
}

void pack_trailer_write(struct wbuf *w, uint32_t table_len)
{
    wb_u32(w, table_len);
    wb_bytes(w, TRAILER_MAGIC, sizeof TRAILER_MAGIC - 1);
}

bool pack_trailer_read(const uint8_t p[PACK_TRAILER_BYTES], uint32_t *ret_table_len)
{
    struct rbuf r = rbuf_of(p, PACK_TRAILER_BYTES);
    uint32_t len = rb_u32(&r);
    if (memcmp(r.p, TRAILER_MAGIC, sizeof TRAILER_MAGIC - 1) != 0 || len > MAX_OBJECT_BYTES)
        return false;
    *ret_table_len = len;
    return true;
}
