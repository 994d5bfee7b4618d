/*
 * fetch.c - the read path: every object and every chunk is asked of one copy after the other, and what each answered is
 * kept apart (absent, damaged, unreachable); see vault.h.
 */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "restore/source.h"
#include "restore/vault_internal.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define OPENER_CACHE 8 /* opened chunks that are kept */
#define MAX_BOXES 64   /* data keys that are kept open */

/* What has been heard so far, over all copies. Error is not absence. */
struct verdict {
    bool damaged, away;
    struct err away_why, damage_why;
};

static void verdict_add(struct verdict *vd, struct copy *c, int code, const struct err *why)
{
    if (code == ERR_DAMAGED || (code == ERR_ABSENT && c->state == COPY_CURRENT)) {
        vd->damaged = true;
        vd->damage_why = *why;
    } else if (code != ERR_ABSENT) {
        vd->away = true;
        vd->away_why = *why;
    }
}

static int verdict_error(const struct verdict *vd, const char *what, struct err *e)
{
    int rc;
    if (vd->away)
        rc = err_set(e, ERR_UNREACHABLE, _("a copy that may have it could not be read: %s"),
                     vd->away_why.why);
    else if (vd->damaged)
        rc = err_set(e, ERR_DAMAGED, _("it is damaged or missing in every copy"));
    else
        rc = err_set(e, ERR_ABSENT, _("no copy has it"));
    err_wrap(e, "%s", what);
    return rc;
}

static int get_object(struct copy *c, const char *name, const struct object_ref *ref,
                      struct wbuf *out, struct err *e)
{
    struct id id;
    wbuf_reset(out);
    uint8_t *p = ref->len <= MAX_OBJECT_BYTES ? wb_grow(out, ref->len) : NULL;
    if (!p)
        return err_set(e, ERR_NOMEM, _("no memory"));
    int rc = store_get(c->store, name, 0, ref->len, p, e);
    if (rc < 0)
        return rc;
    sha256_of(p, ref->len, &id);
    return id_eq(&id, &ref->id)
               ? 0
               : err_set(e, ERR_DAMAGED, _("its bytes do not have the hash that its name says"));
}

int vault_object(struct vault *v, enum object_type type, const struct object_ref *ref, int only,
                 struct wbuf *out, struct err *e)
{
    char name[MAX_OBJECT_NAME];
    struct verdict vd = { 0 };
    struct turns t;
    struct copy *c;
    object_name(type, &ref->id, name);
    turns_begin(&t, v, only, ref->len);
    while ((c = turns_next(&t))) {
        struct err why = ERR_INIT;
        int rc = t.ask ? get_object(c, name, ref, out, &why) : -ERR_UNREACHABLE;
        if (rc == -ERR_NOMEM) {
            if (e)
                *e = why;
            return rc;
        }
        if (!t.ask)
            verdict_add(&vd, c, ERR_UNREACHABLE, &c->problem);
        else if (turns_told(&t, c, rc, &why) && rc < 0)
            verdict_add(&vd, c, -rc, &why);
        if (rc == 0)
            return 0;
    }
    return verdict_error(&vd, name, e);
}

int vault_open_object(struct vault *v, enum object_type type, const struct object_ref *ref,
                      struct wbuf *plain, struct err *e)
{
    struct wbuf obj = WBUF_INIT;
    int rc = vault_object(v, type, ref, -1, &obj, e);
    if (rc == 0)
        rc = envelope_open(&v->keys, type, obj.p, obj.len, plain, e);
    wbuf_free(&obj);
    return rc;
}

int vault_snapshot(struct vault *v, const struct object_ref *ref, struct snapshot **ret,
                   struct err *e)
{
    struct wbuf plain = WBUF_INIT;
    int rc = vault_open_object(v, OBJECT_SNAPSHOT, ref, &plain, e);
    if (rc == 0)
        rc = snapshot_read(plain.p, plain.len, ret, e);
    wbuf_free(&plain);
    return rc;
}

/* --- reach lists ----------------------------------------------------------------------------------------------- */
/* have (ascending) with add put in and drop taken out. */
static int apply_reach(struct id **have, size_t *n, const struct reach *r)
{
    assert(r);
    struct id *out = malloc((*n + r->n_add) * sizeof *out + 1);
    size_t a = 0, d = 0, o = 0;
    if (!out)
        return -1;
    for (size_t i = 0; i < *n || a < r->n_add;) {
        int c = i == *n ? 1 : a == r->n_add ? -1 : id_cmp(&(*have)[i], &r->add[a]);
        const struct id *next = c <= 0 ? &(*have)[i] : &r->add[a];
        while (d < r->n_drop && id_cmp(&r->drop[d], next) < 0)
            d++;
        if (d == r->n_drop || !id_eq(&r->drop[d], next))
            out[o++] = *next;
        i += c <= 0;
        a += c >= 0;
    }
    free(*have);
    *have = out;
    *n = o;
    return 0;
}

static const struct object_ref *find_reach_ref(const struct vault *v, const struct id *id)
{
    for (size_t i = 0; i < v->state->n_bases; i++)
        if (id_eq(&v->state->bases[i].id, id))
            return &v->state->bases[i];
    for (size_t i = 0; i < v->n_lists; i++)
        for (size_t k = 0; k < v->lists[i]->n; k++)
            if (id_eq(&v->lists[i]->snaps[k].reach.id, id))
                return &v->lists[i]->snaps[k].reach;
    return NULL;
}

int vault_reach(struct vault *v, const struct object_ref *ref, struct id **ret, size_t *ret_n,
                struct err *e)
{
    struct reach *chain[MAX_REACH_DEPTH + 1] = { 0 };
    struct wbuf plain = WBUF_INIT;
    struct id *have = NULL;
    size_t n = 0, depth = 0;
    int rc = 0;
    for (;;) {
        rc = vault_open_object(v, OBJECT_REACH, ref, &plain, e);
        if (rc == 0)
            rc = reach_read(plain.p, plain.len, &chain[depth], e);
        if (rc < 0 || !chain[depth] || id_is_zero(&chain[depth]->base))
            break;
        ref = find_reach_ref(v, &chain[depth]->base);
        if (!ref || depth == MAX_REACH_DEPTH) {
            rc = err_set(e, ERR_DAMAGED,
                         _("a reach list builds on one that the head does not name"));
            break;
        }
        depth++;
    }
    for (size_t i = depth + 1; rc == 0 && i-- > 0;)
        if (apply_reach(&have, &n, chain[i]) < 0)
            rc = err_set(e, ERR_NOMEM, _("no memory"));
    for (size_t i = 0; i <= depth; i++)
        reach_free(chain[i]);
    wbuf_free(&plain);
    if (rc < 0) {
        free(have);
        return rc;
    }
    *ret = have;
    *ret_n = n;
    return 0;
}

/* --- chunks ------------------------------------------------------------------------------------------------------ */
static int get_place(struct copy *c, const struct chunk_place *p, const char *name,
                     struct wbuf *out, struct err *e)
{
    struct id id;
    wbuf_reset(out);
    uint8_t *bytes = p->len <= MAX_SEALED_BYTES ? wb_grow(out, p->len) : NULL;
    if (!bytes)
        return err_set(e, ERR_NOMEM, _("no memory"));
    int rc = store_get(c->store, name, p->off, p->len, bytes, e);
    if (rc < 0)
        return rc;
    sha256_of(bytes, p->len, &id);
    if (memcmp(id.b, p->hash, SHORT_HASH_BYTES) != 0)
        return err_set(e, ERR_DAMAGED, _("%u bytes at %" PRIu64 " are not those that were written"),
                       p->len, p->off);
    return 0;
}

/* One chunk, that may lie at several places, from one copy. */
_Static_assert(MAX_COPIES *MAX_CHUNK_PLACES <= 64, "each answer has a bit");
struct wanted {
    struct vault *v;
    const struct id *id;
    const struct fetch_options *o;
    struct chunk_place places[MAX_CHUNK_PLACES];
    int n;
    struct verdict vd;
};

/* As it was written, by its short hash; not one that the reader could not open. */
static int fetch_place(struct wanted *w, struct copy *c, size_t at, int k, struct fetched *ret,
                       struct err *e)
{
    const struct chunk_place *p = &w->places[k];
    uint64_t answer = (uint64_t)1 << (at * MAX_CHUNK_PLACES + (size_t)k),
             begun = sys_monotonic_us();
    char name[MAX_OBJECT_NAME];
    if (w->o->skip & answer)
        return err_set(e, ERR_DAMAGED, _("a chunk in it does not open"));
    object_name(OBJECT_PACK, &p->pack, name);
    int rc = get_place(c, p, name, &ret->sealed, e);
    c->served_us += sys_monotonic_us() - begun;
    if (rc < 0)
        return rc;
    c->chunks_served++;
    c->bytes_served += ret->sealed.len;
    turns_compare(w->v, c, name, p->off, p->len);
    ret->ref = (struct chunk_ref){ .id = *w->id, .key_id = p->key_id, .counter = p->counter };
    ret->copy = (int)at;
    ret->answer = answer;
    return 0;
}

static void note_damage(const struct wanted *w, struct copy *c, int k, int rc,
                        const struct err *why)
{
    char name[MAX_OBJECT_NAME];
    if (rc != -ERR_DAMAGED && !(rc == -ERR_ABSENT && c->state == COPY_CURRENT))
        return;
    c->chunks_bad++;
    object_name(OBJECT_PACK, &w->places[k].pack, name);
    if (w->o->damage)
        w->o->damage(w->o->ctx, c, name, why);
}

static int fetch_from(struct wanted *w, struct turns *t, struct copy *c, struct fetched *ret)
{
    int rc = -ERR_ABSENT;
    for (int k = 0; k < w->n; k++) {
        struct err why = ERR_INIT;
        rc = fetch_place(w, c, (size_t)(c - t->v->copies), k, ret, &why);
        if (!turns_told(t, c, rc, &why) || rc == 0)
            break; /* a copy that does not answer has no other place either */
        verdict_add(&w->vd, c, -rc, &why);
        note_damage(w, c, k, rc, &why);
    }
    return rc;
}

int vault_fetch(struct vault *v, const struct id *id, const struct fetch_options *o,
                struct fetched *ret, struct err *e)
{
    struct wanted w = { .v = v, .id = id, .o = o };
    char hex[ID_HEX_BYTES], what[100];
    struct turns t;
    struct copy *c;
    int rc = vault_need_index(v, e);
    if (rc == 0)
        rc = w.n = chunkdb_find(v->db, id, w.places, e);
    if (rc < 0)
        return rc;
    turns_begin(&t, v, o->from, w.n > 0 ? w.places[0].len : 0);
    while ((c = turns_next(&t))) {
        if (!t.ask)
            verdict_add(&w.vd, c, ERR_UNREACHABLE, &c->problem);
        else if (fetch_from(&w, &t, c, ret) == 0 && w.n > 0)
            return 0;
    }
    id_hex(id, hex);
    snprintf(what, sizeof what, _("chunk %.12s"), hex);
    rc = verdict_error(&w.vd, what, e);
    /* Every copy was asked: a backup must not take it for there any more. */
    if ((rc == -ERR_DAMAGED || rc == -ERR_ABSENT) && w.n > 0 && o->from < 0 && o->skip == 0)
        (void)chunkdb_mark_lost(v->db, id, NULL);
    return rc;
}

/* --- opening ------------------------------------------------------------------------------------------------------- */
int vault_know_key(struct vault *v, const struct data_key *k, struct err *e)
{
    static const struct id no_object;
    for (size_t i = 0; i < v->data_keys->n; i++)
        if (id_eq(&v->data_keys->keys[i].id, &k->id))
            return 0;
    return add_data_key(v, k, &no_object, e);
}

int vault_data_key(struct vault *v, const struct id *key_id, uint8_t out[KEY_BYTES], struct err *e)
{
    for (size_t i = 0; i < v->data_keys->n; i++)
        if (id_eq(&v->data_keys->keys[i].id, key_id))
            return data_key_open(&v->keys, &v->data_keys->keys[i], out, e);
    return err_set(e, ERR_DAMAGED, _("the vault does not hold the data key of this chunk"));
}

int vault_body(struct vault *v, const struct snapshot *s, struct wbuf *plain, struct err *e)
{
    uint8_t key[KEY_BYTES];
    struct wbuf binding = WBUF_INIT;
    int rc = vault_data_key(v, &s->key_id, key, e);
    if (rc < 0)
        return rc;
    struct chunk_box *box = chunk_box_new(&v->keys.vault_id, &s->key_id, key);
    secret_wipe(key, sizeof key);
    snapshot_binding(&binding, s->policy, s->source, s->host);
    rc = box ? body_open(box, s->counter, &binding, s->body, s->body_len, plain, e)
             : err_set(e, ERR_NOMEM, _("no memory"));
    chunk_box_free(box);
    wbuf_free(&binding);
    return rc;
}

struct opener {
    struct vault *v;
    struct fetch_options options;
    struct fetched fetched;
    struct chunk_box *boxes[MAX_BOXES];
    size_t n_boxes, next_box;
    struct {
        struct id id;
        struct wbuf plain;
        uint64_t used;
    } cache[OPENER_CACHE];
    uint64_t clock;
};

struct opener *opener_new(struct vault *v, int from, damage_fn *damage, void *ctx)
{
    struct opener *o = calloc(1, sizeof *o);
    if (o) {
        o->v = v;
        o->options = (struct fetch_options){ .from = from, .damage = damage, .ctx = ctx };
    }
    return o;
}

void opener_free(struct opener *o)
{
    if (!o)
        return;
    for (size_t i = 0; i < MAX_BOXES; i++)
        chunk_box_free(o->boxes[i]);
    for (size_t i = 0; i < OPENER_CACHE; i++)
        wbuf_free(&o->cache[i].plain);
    wbuf_free(&o->fetched.sealed);
    free(o);
}

static int box_for(struct opener *o, const struct id *key_id, struct chunk_box **ret, struct err *e)
{
    uint8_t key[KEY_BYTES];
    for (size_t i = 0; i < MAX_BOXES; i++)
        if (o->boxes[i] && id_eq(chunk_box_key_id(o->boxes[i]), key_id)) {
            *ret = o->boxes[i];
            return 0;
        }
    int rc = vault_data_key(o->v, key_id, key, e);
    if (rc < 0)
        return rc;
    struct chunk_box *box = chunk_box_new(&o->v->keys.vault_id, key_id, key);
    secret_wipe(key, sizeof key);
    if (!box)
        return err_set(e, ERR_NOMEM, _("no memory"));
    chunk_box_free(o->boxes[o->next_box]);
    o->boxes[o->next_box] = *ret = box;
    o->next_box = (o->next_box + 1) % MAX_BOXES;
    return 0;
}

/* Fetches until an answer opens: the reader is the only judge of what is inside. */
static int fetch_and_open(struct opener *o, const struct id *id, struct wbuf *out, struct err *e)
{
    for (o->options.skip = 0;; o->options.skip |= o->fetched.answer) {
        struct chunk_box *box = NULL;
        struct err why = ERR_INIT;
        int rc = vault_fetch(o->v, id, &o->options, &o->fetched, e);
        if (rc == 0)
            rc = box_for(o, &o->fetched.ref.key_id, &box, e);
        if (rc == -ERR_ABSENT && e)
            e->code = ERR_DAMAGED; /* an entry names it, so somebody lost it */
        if (rc < 0)
            return rc == -ERR_ABSENT ? -ERR_DAMAGED : rc;
        if (chunk_open(box, &o->fetched.ref, o->fetched.sealed.p, o->fetched.sealed.len, out,
                       &why) == 0)
            return 0;
    }
}

static int opener_get(void *ctx, const struct id *id, struct wbuf *out, struct err *e)
{
    struct opener *o = ctx;
    size_t at = 0;
    for (size_t i = 0; i < OPENER_CACHE; i++) {
        if (o->cache[i].used && id_eq(&o->cache[i].id, id)) {
            o->cache[i].used = ++o->clock;
            wbuf_reset(out);
            wb_bytes(out, o->cache[i].plain.p, o->cache[i].plain.len);
            return out->failed ? err_set(e, ERR_NOMEM, _("no memory")) : 0;
        }
        if (o->cache[i].used < o->cache[at].used)
            at = i;
    }
    o->cache[at].used = 0;
    int rc = fetch_and_open(o, id, &o->cache[at].plain, e);
    if (rc < 0)
        return rc;
    o->cache[at].id = *id;
    o->cache[at].used = ++o->clock;
    wbuf_reset(out);
    wb_bytes(out, o->cache[at].plain.p, o->cache[at].plain.len);
    return out->failed ? err_set(e, ERR_NOMEM, _("no memory")) : 0;
}

void opener_source(struct opener *o, struct chunk_source *ret)
{
    *ret = (struct chunk_source){ .get = opener_get, .ctx = o };
}
