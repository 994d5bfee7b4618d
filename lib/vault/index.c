/* index.c - index objects: the tables of many packs, whose keys they share; docs/format.md, "index". */
#include "lib/vault/objects.h"
#include "lib/base/i18n.h"
#include "lib/vault/parse.h"

#include <stdlib.h>

#define MIN_INDEX_PACK_BYTES (ID_BYTES + 2)
#define MIN_KEY_SLOTS 64

/* --- writing ---------------------------------------------------------------------------------- */
struct index_writer {
    struct wbuf
        packs; /* their rows; the keys, which stand before them, are known only at the end */
    size_t n_packs, n_chunks;
    struct id *keys; /* owned; ordinal -> id */
    size_t n_keys, cap_keys;
    uint32_t *
        slots; /* owned; open addressing: ordinal + 1, or 0; twice cap_keys or more, a power of 2 */
    size_t n_slots;
};

struct index_writer *index_writer_new(void)
{
    return calloc(1, sizeof(struct index_writer));
}

void index_writer_free(struct index_writer *w)
{
    if (!w)
        return;
    wbuf_free(&w->packs);
    free(w->keys);
    free(w->slots);
    free(w);
}

size_t index_writer_chunks(const struct index_writer *w)
{
    return w->n_chunks;
}

/* The slot that holds the key, or the free one where it belongs. Ids are random: any part will do. */
static uint32_t *slot_of(const struct index_writer *w, const struct id *key)
{
    uint64_t h;
    memcpy(&h, key->b, sizeof h);
    size_t at = (size_t)h & (w->n_slots - 1);
    while (w->slots[at] && !id_eq(&w->keys[w->slots[at] - 1], key))
        at = (at + 1) & (w->n_slots - 1);
    return &w->slots[at];
}

static bool grow_keys(struct index_writer *w)
{
    size_t n_slots = w->n_slots ? 2 * w->n_slots : MIN_KEY_SLOTS;
    uint32_t *slots = calloc(n_slots, sizeof *slots);
    struct id *keys = slots ? realloc(w->keys, n_slots / 2 * sizeof *keys) : NULL;
    if (!keys) {
        free(slots);
        return false;
    }
    free(w->slots);
    w->slots = slots;
    w->n_slots = n_slots;
    w->keys = keys;
    w->cap_keys = n_slots / 2;
    for (size_t i = 0; i < w->n_keys; i++)
        *slot_of(w, &keys[i]) = (uint32_t)i + 1;
    return true;
}

static bool key_ordinal(struct index_writer *w, const struct id *key, uint32_t *ret)
{
    if (w->n_keys == w->cap_keys && !grow_keys(w))
        return false;
    uint32_t *slot = slot_of(w, key);
    if (*slot == 0) {
        w->keys[w->n_keys++] = *key;
        *slot = (uint32_t)w->n_keys;
    }
    *ret = *slot - 1;
    return true;
}

int index_writer_add(struct index_writer *w, const struct index_pack *p, struct err *e)
{
    const struct pack_table *t = p->table;
    size_t start = w->packs.len;
    uint32_t last = UINT32_MAX, key = 0; /* chunks come in runs of one key */
    if (p->len > MAX_PACK_BYTES || pack_table_chunk_bytes(t) > p->len)
        return err_set(e, ERR_LIMIT, _("a pack's chunks do not fit into it"));
    wb_id(&w->packs, &p->id);
    wb_varint(&w->packs, p->len);
    wb_varint(&w->packs, t->n);
    for (size_t i = 0; i < t->n && !w->packs.failed; i++) {
        const struct pack_chunk *c = &t->chunks[i];
        if (c->key != last && !key_ordinal(w, &t->keys[c->key], &key))
            w->packs.failed = true;
        last = c->key;
        pack_chunk_write(&w->packs, c, key);
    }
    if (w->packs.failed) {
        /* Back to what it was; a key too many does no harm. */
        w->packs.len = start;
        w->packs.failed = false;
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    w->n_packs++;
    w->n_chunks += t->n;
    return 0;
}

void index_writer_finish(struct index_writer *w, struct wbuf *out)
{
    ids_write(out, w->keys, w->n_keys);
    wb_varint(out, w->n_packs);
    wb_bytes(out, w->packs.p, w->packs.len);
    wbuf_reset(&w->packs);
    w->n_packs = w->n_chunks = w->n_keys = 0;
    if (w->slots)
        memset(w->slots, 0, w->n_slots * sizeof *w->slots);
}

/* --- reading ---------------------------------------------------------------------------------- */
/* One pack's rows into t, whose memory is used again and again. */
static void pack_read(struct parse *in, struct index_pack *p, struct pack_table *t)
{
    struct rbuf *r = &in->r;
    rb_id(r, &p->id);
    p->len = rb_varint_max(r, MAX_PACK_BYTES);
    t->n = (size_t)rb_varint_max(r, rb_left(r) / MIN_PACK_CHUNK_BYTES);
    if (t->n > t->cap) {
        struct pack_chunk *chunks = realloc(t->chunks, t->n * sizeof *chunks);
        if (!chunks) {
            in->no_memory = true;
            rb_fail(r);
            return;
        }
        t->chunks = chunks;
        t->cap = t->n;
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < t->n && !r->bad; i++) {
        pack_chunk_read(r, t->n_keys, &t->chunks[i]);
        sum += t->chunks[i].len;
        if (sum > p->len)
            rb_fail(r);
    }
}

int index_read(const void *p, size_t n, index_fn *fn, void *ctx, struct err *e)
{
    struct parse in = parse_of(p, n);
    struct pack_table t;
    int rc = 0;
    pack_table_init(&t);
    t.keys = parse_ids(&in, &t.n_keys);
    uint64_t packs = rb_varint_max(&in.r, rb_left(&in.r) / MIN_INDEX_PACK_BYTES);
    for (uint64_t i = 0; i < packs && rc == 0; i++) {
        struct index_pack pack = { .table = &t };
        pack_read(&in, &pack, &t);
        if (in.r.bad)
            break;
        rc = fn(ctx, &pack, e);
    }
    if (rc == 0)
        rc = parse_end(&in, e);
    pack_table_done(&t);
    return rc;
}
