/* rebuild.c - an index object that is lost in every copy, made again from the tables at the ends of the packs (docs/format.md,
 * "index"). */
#include "lib/base/i18n.h"
#include "restore/vault_internal.h"
#include <stdlib.h>

struct packs {
    struct object_ref *refs;
    size_t n, cap;
};

static int note_pack(void *ctx, const char *name, uint64_t len)
{
    struct packs *p = ctx;
    struct object_ref ref = { .len = len };
    if (!object_name_parse(OBJECT_PACK, name, NULL, &ref.id))
        return 0;
    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 256;
        struct object_ref *grown = realloc(p->refs, cap * sizeof *grown);
        if (!grown)
            return -ERR_NOMEM;
        p->refs = grown;
        p->cap = cap;
    }
    p->refs[p->n++] = ref;
    return 0;
}

static int by_id(const void *a, const void *b)
{
    return id_cmp(&((const struct object_ref *)a)->id, &((const struct object_ref *)b)->id);
}

/* The table of a pack on one copy; false where it cannot be read or is not authentic. */
static bool read_table(struct vault *v, struct store *s, const struct object_ref *pack, struct pack_table *ret)
{
    char name[MAX_OBJECT_NAME];
    uint8_t trailer[PACK_TRAILER_BYTES];
    uint32_t n = 0;
    struct wbuf sealed = WBUF_INIT, plain = WBUF_INIT;
    bool ok = false;
    object_name(OBJECT_PACK, &pack->id, name);
    if (pack->len > PACK_TRAILER_BYTES && pack->len <= MAX_PACK_BYTES &&
        store_get(s, name, pack->len - PACK_TRAILER_BYTES, PACK_TRAILER_BYTES, trailer, NULL) == 0 &&
        pack_trailer_read(trailer, &n) && n <= pack->len - PACK_TRAILER_BYTES && n <= MAX_OBJECT_BYTES &&
        wb_grow(&sealed, n) && store_get(s, name, pack->len - PACK_TRAILER_BYTES - n, n, sealed.p, NULL) == 0 &&
        envelope_open(&v->keys, OBJECT_PACK, sealed.p, n, &plain, NULL) == 0 &&
        pack_table_read(plain.p, plain.len, ret, NULL) == 0) {
        ok = pack_table_chunk_bytes(ret) == pack->len - PACK_TRAILER_BYTES - n;
        if (!ok)
            pack_table_done(ret);
    }
    wbuf_free(&sealed);
    wbuf_free(&plain);
    return ok;
}

static bool usable(const struct copy *c)
{
    return c->store && c->state != COPY_AWAY && c->state != COPY_WRONG;
}

int index_rebuild(struct vault *v, struct wbuf *out, struct err *e)
{
    struct packs all = { 0 };
    struct index_writer *w = index_writer_new();
    int rc = w ? 0 : err_set(e, ERR_NOMEM, _("no memory"));
    for (size_t i = 0; rc == 0 && i < v->n_copies; i++)
        if (usable(&v->copies[i]))
            rc = store_list(v->copies[i].store, "packs/", note_pack, &all, e);
    if (rc == 0 && all.n)
        qsort(all.refs, all.n, sizeof *all.refs, by_id);
    for (size_t i = 0; rc == 0 && i < all.n; i++) {
        struct pack_table t;
        bool found = false;
        if (i > 0 && id_eq(&all.refs[i].id, &all.refs[i - 1].id) && all.refs[i].len == all.refs[i - 1].len)
            continue;
        for (size_t k = 0; !found && k < v->n_copies; k++)
            found = usable(&v->copies[k]) && read_table(v, v->copies[k].store, &all.refs[i], &t);
        if (!found)
            continue;
        struct index_pack ip = { .id = all.refs[i].id, .len = all.refs[i].len, .table = &t };
        rc = index_writer_add(w, &ip, e);
        pack_table_done(&t);
    }
    wbuf_reset(out);
    if (rc == 0)
        index_writer_finish(w, out);
    if (rc == 0 && out->failed)
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    index_writer_free(w);
    free(all.refs);
    return rc;
}
