/* objects.c - heads, lists and reach lists; docs/format.md, "head" and "lists". */
#include "lib/vault/objects.h"
#include "lib/base/i18n.h"
#include "lib/vault/parse.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEAD_GENERATION UINT64_C(9999999999999999) /* the 16 digits in its name */
#define MIN_REF_BYTES (ID_BYTES + 1)
#define MIN_HEAD_LIST_BYTES (1 + MIN_REF_BYTES)
#define MIN_SNAP_REF_BYTES (MIN_REF_BYTES + 3 + MIN_REF_BYTES)

/* --- references ------------------------------------------------------------------------------- */
static void ref_write(struct wbuf *w, const struct object_ref *ref)
{
    wb_id(w, &ref->id);
    wb_varint(w, ref->len);
}

static void ref_read(struct rbuf *r, struct object_ref *ret)
{
    rb_id(r, &ret->id);
    ret->len = rb_varint_max(r, MAX_OBJECT_BYTES);
}

static void refs_write(struct wbuf *w, const struct object_ref *refs, size_t n)
{
    wb_varint(w, n);
    for (size_t i = 0; i < n; i++)
        ref_write(w, &refs[i]);
}

static struct object_ref *refs_read(struct parse *in, size_t *ret_n)
{
    struct object_ref *refs = parse_array(in, MIN_REF_BYTES, sizeof *refs, ret_n);
    for (size_t i = 0; i < *ret_n; i++)
        ref_read(&in->r, &refs[i]);
    return refs;
}

/* --- head ------------------------------------------------------------------------------------- */
static bool is_ancestor(const struct head *h, const struct head_parent *p)
{
    for (size_t i = 0; i < h->n_ancestors; i++)
        if (h->ancestors[i].generation == p->generation && id_eq(&h->ancestors[i].id, &p->id))
            return true;
    return false;
}

/* What a head says about heads before it must fit together, or forks could not be told from history. */
static bool history_ok(const struct head *h)
{
    if (h->generation > MAX_HEAD_GENERATION)
        return false;
    for (size_t i = 0; i < h->n_parents; i++)
        if (!is_ancestor(h, &h->parents[i]))
            return false;
    for (size_t i = 0; i < h->n_ancestors; i++) {
        uint64_t g = h->ancestors[i].generation;
        if (g >= h->generation || (i > 0 && g > h->ancestors[i - 1].generation))
            return false;
    }
    return true;
}

/* One list for each source, in one order: the same state makes the same bytes. */
static bool lists_ascend(const struct head *h)
{
    for (size_t i = 1; i < h->n_lists; i++)
        if (strcmp(h->lists[i - 1].source, h->lists[i].source) >= 0)
            return false;
    return true;
}

void head_write(struct wbuf *w, const struct head *h)
{
    assert(h->n_parents <= MAX_PARENTS && h->n_ancestors <= MAX_ANCESTORS);
    assert(h->n_chains <= MAX_CHAINS && history_ok(h) && lists_ascend(h));
    wb_u64(w, h->generation);
    wb_id(w, &h->writer);
    wb_u64(w, h->epoch);
    wb_zigzag(w, h->written_ns);
    wb_u64(w, h->vault_generation);
    wb_varint(w, h->n_parents);
    for (size_t i = 0; i < h->n_parents; i++) {
        wb_u64(w, h->parents[i].generation);
        wb_id(w, &h->parents[i].id);
    }
    wb_varint(w, h->n_ancestors);
    for (size_t i = 0; i < h->n_ancestors; i++) {
        wb_u64(w, h->ancestors[i].generation);
        wb_id(w, &h->ancestors[i].id);
    }
    wb_varint(w, h->n_chains);
    for (size_t i = 0; i < h->n_chains; i++) {
        wb_id(w, &h->chains[i].writer);
        wb_u64(w, h->chains[i].epoch);
        wb_u64(w, h->chains[i].generation);
    }
    wb_varint(w, h->n_lists);
    for (size_t i = 0; i < h->n_lists; i++) {
        wb_str(w, h->lists[i].source);
        ref_write(w, &h->lists[i].ref);
    }
    refs_write(w, h->index, h->n_index);
    refs_write(w, h->keys, h->n_keys);
    refs_write(w, h->bases, h->n_bases);
    wb_varint(w, 0); /* extensions */
}

static void history_read(struct rbuf *r, struct head *h)
{
    h->generation = rb_u64(r);
    rb_id(r, &h->writer);
    h->epoch = rb_u64(r);
    h->written_ns = rb_zigzag(r);
    h->vault_generation = rb_u64(r);
    h->n_parents = (size_t)rb_varint_max(r, MAX_PARENTS);
    for (size_t i = 0; i < h->n_parents; i++) {
        h->parents[i].generation = rb_u64(r);
        rb_id(r, &h->parents[i].id);
    }
    h->n_ancestors = (size_t)rb_varint_max(r, MAX_ANCESTORS);
    for (size_t i = 0; i < h->n_ancestors; i++) {
        h->ancestors[i].generation = rb_u64(r);
        rb_id(r, &h->ancestors[i].id);
    }
    h->n_chains = (size_t)rb_varint_max(r, MAX_CHAINS);
    for (size_t i = 0; i < h->n_chains; i++) {
        rb_id(r, &h->chains[i].writer);
        h->chains[i].epoch = rb_u64(r);
        h->chains[i].generation = rb_u64(r);
    }
    if (!history_ok(h))
        rb_fail(r);
}

int head_read(const void *p, size_t n, struct head **ret, struct err *e)
{
    struct head *h = calloc(1, sizeof *h);
    if (!h)
        return err_set(e, ERR_NOMEM, _("no memory"));
    struct parse in = parse_of(p, n);
    history_read(&in.r, h);
    h->lists = parse_array(&in, MIN_HEAD_LIST_BYTES, sizeof *h->lists, &h->n_lists);
    for (size_t i = 0; i < h->n_lists && !in.r.bad; i++) {
        h->lists[i].source = parse_name(&in);
        ref_read(&in.r, &h->lists[i].ref);
    }
    if (!in.r.bad && !lists_ascend(h)) /* when bad, some have no source */
        rb_fail(&in.r);
    h->index = refs_read(&in, &h->n_index);
    h->keys = refs_read(&in, &h->n_keys);
    h->bases = refs_read(&in, &h->n_bases);
    int rc;
    if (rb_varint(&in.r) != 0)
        rc = err_set(e, ERR_VERSION, _("the head has extensions that this program does not know"));
    else
        rc = parse_end(&in, e);
    if (rc < 0)
        head_free(h);
    else
        *ret = h;
    return rc;
}

void head_free(struct head *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->n_lists; i++)
        free(h->lists[i].source);
    free(h->lists);
    free(h->index);
    free(h->keys);
    free(h->bases);
    free(h);
}

/* --- the live snapshots of one source --------------------------------------------------------- */
/* Oldest first; the id decides between snapshots of the same moment, so that there is one order. */
static int snap_cmp(const struct snap_ref *a, const struct snap_ref *b)
{
    if (a->received_ns != b->received_ns)
        return a->received_ns < b->received_ns ? -1 : 1;
    return id_cmp(&a->ref.id, &b->ref.id);
}

static int snap_cmp_ptr(const void *a, const void *b)
{
    return snap_cmp(*(const struct snap_ref *const *)a, *(const struct snap_ref *const *)b);
}

void source_list_write(struct wbuf *w, const struct source_list *l)
{
    /* Sorted here: a clock that was set back must not make a list that nobody reads. */
    const struct snap_ref **order = malloc((l->n + 1) * sizeof(const struct snap_ref *));
    if (!order) {
        w->failed = true;
        return;
    }
    for (size_t i = 0; i < l->n; i++)
        order[i] = &l->snaps[i];
    qsort(order, l->n, sizeof(const struct snap_ref *), snap_cmp_ptr);
    wb_str(w, l->source);
    wb_varint(w, l->n);
    for (size_t i = 0; i < l->n; i++) {
        const struct snap_ref *s = order[i];
        assert(i == 0 || snap_cmp(order[i - 1], s) < 0); /* none twice */
        ref_write(w, &s->ref);
        wb_zigzag(w, s->received_ns);
        wb_u8(w, s->state);
        wb_u8(w, s->flags);
        ref_write(w, &s->reach);
    }
    free(order);
}

static void snap_ref_read(struct rbuf *r, struct snap_ref *s)
{
    ref_read(r, &s->ref);
    s->received_ns = rb_zigzag(r);
    s->state = rb_u8(r);
    s->flags = rb_u8(r);
    ref_read(r, &s->reach);
    if ((s->state != SNAPSHOT_WHOLE && s->state != SNAPSHOT_PARTIAL) ||
        (s->flags & ~(SNAPSHOT_QUARANTINE | SNAPSHOT_HELD)))
        rb_fail(r);
}

int source_list_read(const void *p, size_t n, struct source_list **ret, struct err *e)
{
    struct source_list *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(e, ERR_NOMEM, _("no memory"));
    struct parse in = parse_of(p, n);
    l->source = parse_name(&in);
    l->snaps = parse_array(&in, MIN_SNAP_REF_BYTES, sizeof *l->snaps, &l->n);
    for (size_t i = 0; i < l->n && !in.r.bad; i++) {
        snap_ref_read(&in.r, &l->snaps[i]);
        if (i > 0 && snap_cmp(&l->snaps[i - 1], &l->snaps[i]) >= 0)
            rb_fail(&in.r);
    }
    int rc = parse_end(&in, e);
    if (rc < 0)
        source_list_free(l);
    else
        *ret = l;
    return rc;
}

void source_list_free(struct source_list *l)
{
    if (!l)
        return;
    free(l->source);
    free(l->snaps);
    free(l);
}

/* --- what a snapshot reaches ------------------------------------------------------------------ */
static bool depth_ok(const struct reach *r)
{
    return id_is_zero(&r->base) ? r->depth == 0 : r->depth >= 1 && r->depth <= MAX_REACH_DEPTH;
}

void reach_write(struct wbuf *w, const struct reach *r)
{
    assert(depth_ok(r) && ids_ascend(r->add, r->n_add) && ids_ascend(r->drop, r->n_drop));
    wb_id(w, &r->base);
    wb_u8(w, (uint8_t)r->depth);
    ids_write(w, r->add, r->n_add);
    ids_write(w, r->drop, r->n_drop);
}

int reach_read(const void *p, size_t n, struct reach **ret, struct err *e)
{
    struct reach *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(e, ERR_NOMEM, _("no memory"));
    struct parse in = parse_of(p, n);
    rb_id(&in.r, &r->base);
    r->depth = rb_u8(&in.r);
    r->add = parse_ids(&in, &r->n_add);
    r->drop = parse_ids(&in, &r->n_drop);
    if (!depth_ok(r) || !ids_ascend(r->add, r->n_add) || !ids_ascend(r->drop, r->n_drop))
        rb_fail(&in.r);
    int rc = parse_end(&in, e);
    if (rc < 0)
        reach_free(r);
    else
        *ret = r;
    return rc;
}

void reach_free(struct reach *r)
{
    if (!r)
        return;
    free(r->add);
    free(r->drop);
    free(r);
}
