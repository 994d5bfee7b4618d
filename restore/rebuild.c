/* rebuild.c - what is lost in every copy and can be made again: an index from the tables at the ends of the packs, a list of
 * snapshots from the snapshots (docs/format.md, "index", "lists"). */
#include "lib/base/i18n.h"
#include "restore/vault_internal.h"
#include <stdlib.h>
#include <string.h>

struct names {
    enum object_type type;
    struct object_ref *refs;
    size_t n, cap;
};

static int note_name(void *ctx, const char *name, uint64_t len)
{
    struct names *p = ctx;
    struct object_ref ref = { .len = len };
    if (!object_name_parse(p->type, name, NULL, &ref.id))
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
static bool read_table(struct vault *v, struct store *s, const struct object_ref *pack,
                       struct pack_table *ret)
{
    char name[MAX_OBJECT_NAME];
    uint8_t trailer[PACK_TRAILER_BYTES];
    uint32_t n = 0;
    struct wbuf sealed = WBUF_INIT, plain = WBUF_INIT;
    bool ok = false;
    object_name(OBJECT_PACK, &pack->id, name);
    if (pack->len > PACK_TRAILER_BYTES && pack->len <= MAX_PACK_BYTES &&
        store_get(s, name, pack->len - PACK_TRAILER_BYTES, PACK_TRAILER_BYTES, trailer, NULL) ==
            0 &&
        pack_trailer_read(trailer, &n) && n <= pack->len - PACK_TRAILER_BYTES &&
        n <= MAX_OBJECT_BYTES && wb_grow(&sealed, n) &&
        store_get(s, name, pack->len - PACK_TRAILER_BYTES - n, n, sealed.p, NULL) == 0 &&
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

/* Every name of a kind that any copy has, sorted; owned. */
static int all_names(struct vault *v, const char *prefix, struct names *ret, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < v->n_copies; i++)
        if (usable(&v->copies[i]))
            rc = store_list(v->copies[i].store, prefix, note_name, ret, e);
    if (rc == -ERR_NOMEM)
        err_set(e, ERR_NOMEM, _("no memory"));
    if (rc == 0 && ret->n)
        qsort(ret->refs, ret->n, sizeof *ret->refs, by_id);
    return rc;
}

/* A killed run leaves packs whose key no head names: their chunks cannot be opened by anybody. */
static bool keys_known(const struct vault *v, const struct pack_table *t)
{
    for (size_t i = 0; i < t->n_keys; i++) {
        bool known = v->n_lost_keys > 0;
        for (size_t k = 0; !known && k < v->data_keys->n; k++)
            known = id_eq(&v->data_keys->keys[k].id, &t->keys[i]);
        if (!known)
            return false;
    }
    return true;
}

int index_rebuild(struct vault *v, struct wbuf *out, struct err *e)
{
    struct names all = { .type = OBJECT_PACK };
    struct index_writer *w = index_writer_new();
    int rc = w ? all_names(v, "packs/", &all, e) : err_set(e, ERR_NOMEM, _("no memory"));
    for (size_t i = 0; rc == 0 && i < all.n; i++) {
        struct pack_table t;
        bool found = false;
        if (i > 0 && id_eq(&all.refs[i].id, &all.refs[i - 1].id) &&
            all.refs[i].len == all.refs[i - 1].len)
            continue;
        for (size_t k = 0; !found && k < v->n_copies; k++)
            found = usable(&v->copies[k]) && read_table(v, v->copies[k].store, &all.refs[i], &t);
        if (!found)
            continue;
        struct index_pack ip = { .id = all.refs[i].id, .len = all.refs[i].len, .table = &t };
        if (keys_known(v, &t))
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

/* The length of a reach list, which a snapshot does not tell: from any copy that has it. */
static bool reach_length(struct vault *v, struct object_ref *reach)
{
    char name[MAX_OBJECT_NAME];
    object_name(OBJECT_REACH, &reach->id, name);
    for (size_t i = 0; i < v->n_copies; i++)
        if (usable(&v->copies[i]) && store_stat(v->copies[i].store, name, &reach->len, NULL) == 0)
            return true;
    return false;
}

static int take_snapshot(struct vault *v, const struct object_ref *ref, struct source_list *l,
                         struct err *e)
{
    struct snapshot *s = NULL;
    int rc = 0;
    if (vault_snapshot(v, ref, &s, NULL) < 0)
        return 0; /* damaged, or away: it could not be restored either */
    if (strcmp(s->source, l->source) == 0) {
        struct snap_ref sr = { .ref = *ref,
                               .received_ns = s->received_ns,
                               .state = s->state,
                               .flags = s->flags,
                               .reach = { .id = s->reach } };
        struct snap_ref *grown = realloc(l->snaps, (l->n + 1) * sizeof *grown);
        if (grown)
            l->snaps = grown;
        if (!grown)
            rc = err_set(e, ERR_NOMEM, _("no memory"));
        else if (reach_length(v, &sr.reach))
            l->snaps[l->n++] = sr;
    }
    snapshot_free(s);
    return rc;
}

static int by_receipt(const void *a, const void *b)
{
    const struct snap_ref *x = a, *y = b;
    if (x->received_ns != y->received_ns)
        return x->received_ns < y->received_ns ? -1 : 1;
    return id_cmp(&x->ref.id, &y->ref.id);
}

int list_rebuild(struct vault *v, const char *source, struct source_list **ret, struct err *e)
{
    struct names all = { .type = OBJECT_SNAPSHOT };
    struct source_list *l = calloc(1, sizeof *l);
    if (!l || !(l->source = strdup(source))) {
        source_list_free(l);
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    int rc = all_names(v, "snapshots/", &all, e);
    for (size_t i = 0; rc == 0 && i < all.n; i++)
        if (i == 0 || !id_eq(&all.refs[i].id, &all.refs[i - 1].id))
            rc = take_snapshot(v, &all.refs[i], l, e);
    free(all.refs);
    if (rc < 0) {
        source_list_free(l);
        return rc;
    }
    if (l->n)
        qsort(l->snaps, l->n, sizeof *l->snaps, by_receipt);
    *ret = l;
    return 0;
}
