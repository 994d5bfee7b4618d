/* publish.c - keys, index, snapshot and lists of a run, in write order; see publish.h. The head: publish_head.c. */
#include "orchestrator/publish_internal.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

int seal_object(struct vault *v, enum object_type type, const struct wbuf *plain, struct wbuf *out,
                struct object_ref *ret, struct err *e)
{
    if (plain->failed)
        return no_memory(e);
    int rc = envelope_seal(&v->keys, type, plain->p, plain->len, out, e);
    if (rc == 0) {
        sha256_of(out->p, out->len, &ret->id);
        ret->len = out->len;
    }
    return rc;
}

static int queue(struct fanout *f, enum object_type type, const struct object_ref *ref,
                 struct wbuf *obj, struct err *e)
{
    char name[MAX_OBJECT_NAME];
    return fanout_put(f, outgoing_bytes(object_name(type, &ref->id, name), obj), FANOUT_ALL, e);
}

int put_object(struct vault *v, struct fanout *f, enum object_type type, const struct wbuf *plain,
               struct object_ref *ret, struct err *e)
{
    struct wbuf obj = WBUF_INIT;
    int rc = seal_object(v, type, plain, &obj, ret, e);
    if (rc == 0)
        rc = queue(f, type, ret, &obj, e);
    wbuf_free(&obj);
    return rc;
}

static int add_ref(struct object_ref **refs, size_t *n, const struct object_ref *r, struct err *e)
{
    struct object_ref *grown = realloc(*refs, (*n + 1) * sizeof *grown);
    if (!grown)
        return no_memory(e);
    grown[(*n)++] = *r;
    *refs = grown;
    return 0;
}

/* --- may we write? ------------------------------------------------------------------------------------------------- */
static int check_writer(const struct vault *v, struct err *e)
{
    if (!vault_written_elsewhere(v))
        return 0;
    err_set(e, ERR_REFUSED,
            _("the newest state of vault \"%s\" was written by another orchestrator"), v->name);
    return err_next(
        e,
        _("if that one is gone, or this one shall write from now on: run it again with --take-over"));
}

static int check_seen(const struct vault *v, struct err *e)
{
    bool away = false;
    if (v->seen_generation == 0)
        return 0;
    for (size_t i = 0; i < v->n_tips; i++)
        if (v->tips[i].head->generation > v->seen_generation ||
            head_descends(v->tips[i].head, &v->tips[i].id, &v->seen_head))
            return 0;
    for (size_t i = 0; i < v->n_copies; i++)
        away |= v->copies[i].state == COPY_AWAY;
    if (away)
        return 0; /* the newest head may lie there: what is written now forks, and is merged later */
    err_set(e, ERR_ROLLBACK,
            _("every copy shows an older state than generation %llu, which was written from here"),
            (unsigned long long)v->seen_generation);
    return err_next(
        e,
        _("find out who put the copies back; to go on from what they show, run it again with --take-over"));
}

int publish_check(const struct vault *v, bool take_over, struct err *e)
{
    int rc = take_over ? 0 : check_writer(v, e);
    return rc < 0 || take_over ? rc : check_seen(v, e);
}

static int is_other_writer(void *ctx, const struct presence_info *s, struct err *e)
{
    const struct vault *v = ctx;
    (void)e;
    return s->writes && s->id != presence_id(v->presence);
}

int publish_begin(struct vault *v, bool take_over, struct err *e)
{
    assert(v->lock_fd >=
           0); /* whoever begins to write takes the lock first, so nobody begins while this looks */
    int rc = publish_check(v, take_over, e);
    if (rc < 0)
        return rc;
    rc = presence_each(v->sessions_dir, is_other_writer, v, e);
    for (size_t i = 0; rc == 0 && i < v->n_copies; i++)
        if (v->copies[i].state == COPY_CURRENT || v->copies[i].state == COPY_BEHIND)
            store_sweep_tmp(v->copies[i].store, NULL);
    return rc < 0 ? rc : 0;
}

/* --- the data keys of pending packs -------------------------------------------------------------------------------- */
/* No head names them yet: a pack is worth nothing without the key of its chunks. */
struct pending_keys {
    struct data_key *keys;
    size_t n;
};

static int collect_key(void *ctx, bool own, const struct data_key *k, const struct object_ref *ref,
                       struct err *e)
{
    struct pending_keys *p = ctx;
    (void)ref;
    if (!own)
        return 0;
    struct data_key *grown = realloc(p->keys, (p->n + 1) * sizeof *grown);
    if (!grown)
        return no_memory(e);
    p->keys = grown;
    grown[p->n++] = *k;
    return 0;
}

static bool key_is_known(const struct vault *v, const struct id *id)
{
    for (size_t i = 0; i < v->data_keys->n; i++)
        if (id_eq(&v->data_keys->keys[i].id, id))
            return true;
    return false;
}

/* 1: every key of the pack is in the state, or is now; 0: one of them is gone. */
static int settle_keys(struct vault *v, struct fanout *f, const struct id *pack,
                       const struct pending_keys *p, struct err *e)
{
    struct pack_table t;
    int rc = chunkdb_pack_table(v->db, pack, &t, e), known = 1;
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == 0 && known && i < t.n_keys; i++) {
        size_t k = 0;
        if (key_is_known(v, &t.keys[i]))
            continue;
        while (k < p->n && !id_eq(&p->keys[k].id, &t.keys[i]))
            k++;
        known = k < p->n;
        if (known)
            rc = publish_key(v, f, &p->keys[k], e);
    }
    pack_table_done(&t);
    return rc < 0 ? rc : known;
}

/* --- what a killed run left --------------------------------------------------------------------------------------- */
struct pending_list {
    struct object_ref *refs;
    size_t n;
};

static bool any_alive(const struct vault *v, struct fanout *f)
{
    for (size_t i = 0; i < v->n_copies; i++)
        if (fanout_alive(f, i))
            return true;
    return false;
}

static int settle_pack(struct vault *v, struct fanout *f, const struct object_ref *pack,
                       const struct pending_keys *keys, struct err *e)
{
    char name[MAX_OBJECT_NAME];
    uint32_t lacking = 0;
    bool there = false;
    uint64_t len;
    object_name(OBJECT_PACK, &pack->id, name);
    for (size_t i = 0; i < v->n_copies; i++) {
        if (!fanout_alive(f, i))
            continue;
        struct err why = ERR_INIT;
        int rc = store_stat(v->copies[i].store, name, &len, &why);
        if (rc == 0 && len == pack->len)
            there = true;
        else if (rc == 0 || rc == -ERR_ABSENT)
            lacking |= 1u << i;
        else
            fanout_drop(f, i, &why); /* whoever cannot be asked cannot be written */
    }
    if (!there)
        return chunkdb_drop_pack(v->db, &pack->id, e);
    /* Read back before it is believed, also where no copy lacks it. */
    int fd = transfer_fetch(v, OBJECT_PACK, pack, NULL, e);
    if (fd < 0 && fd != -ERR_ABSENT && fd != -ERR_DAMAGED && fd != -ERR_UNREACHABLE)
        return fd; /* the spool, not the copies */
    int rc = fd < 0 ? 0 : settle_keys(v, f, &pack->id, keys, e);
    if (rc <= 0) {
        sys_close_quiet(fd);
        return rc < 0 ? rc : chunkdb_drop_pack(v->db, &pack->id, e);
    }
    if (lacking) {
        struct outgoing *o = outgoing_file(name, fd, pack->len);
        rc = fanout_put(f, o, lacking, e);
        return rc < 0 && o && any_alive(v, f) ? 0
                                              : rc; /* that one has fallen out; the others go on */
    }
    sys_close_quiet(fd);
    return 0;
}

static int collect_any(void *ctx, const struct object_ref *pack, bool pending, struct err *e)
{
    struct pending_list *l = ctx;
    (void)pending;
    return add_ref(&l->refs, &l->n, pack, e);
}

/* A chunk whose key is gone everywhere is worth nothing: it must be stored again. */
static int mark_keyless(struct vault *v, const struct id *id, struct err *e)
{
    struct chunk_place places[MAX_CHUNK_PLACES];
    int n = chunkdb_find(v->db, id, places, e);
    for (int i = 0; i < n; i++)
        if (key_is_known(v, &places[i].key_id))
            return 0;
    return n < 0 ? n : chunkdb_mark_lost(v->db, id, e);
}

static int settle_lost_keys(struct vault *v, struct err *e)
{
    struct pending_list l = { 0 };
    int rc = v->n_lost_keys ? chunkdb_each_pack(v->db, collect_any, &l, e) : 0;
    for (size_t i = 0; rc == 0 && i < l.n; i++) {
        struct pack_table t;
        rc = chunkdb_pack_table(v->db, &l.refs[i].id, &t, e);
        if (rc < 0)
            break;
        for (size_t k = 0; rc == 0 && k < t.n; k++)
            if (!key_is_known(v, &t.keys[t.chunks[k].key]))
                rc = mark_keyless(v, &t.chunks[k].id, e);
        pack_table_done(&t);
    }
    free(l.refs);
    return rc;
}

int publish_settle(struct vault *v, struct fanout *f, struct err *e)
{
    struct pending_list l = { 0 };
    struct pending_keys keys = { 0 };
    int rc = chunkdb_adopt_dead(v->db, sys_realtime_s(), e);
    if (rc >= 0)
        rc = chunkdb_each_pending_key(v->db, collect_key, &keys, e);
    if (rc == 0)
        rc = chunkdb_each_own(v->db, collect_any, &l, e);
    for (size_t i = 0; rc == 0 && i < l.n; i++)
        rc = settle_pack(v, f, &l.refs[i], &keys, e);
    free(l.refs);
    free(keys.keys);
    return rc < 0 ? rc : settle_lost_keys(v, e);
}

/* --- keys and index ------------------------------------------------------------------------------------------------- */
/* Noted before it is put: what nobody has noted may be taken for litter. */
int publish_key(struct vault *v, struct fanout *f, const struct data_key *k, struct err *e)
{
    struct key_set one = { .keys = (struct data_key *)k, .n = 1 };
    struct wbuf plain = WBUF_INIT, obj = WBUF_INIT;
    struct object_ref ref;
    key_set_write(&plain, &one);
    int rc = seal_object(v, OBJECT_KEYS, &plain, &obj, &ref, e);
    if (rc == 0)
        rc = vault_add_own_key(v, k, &ref, e);
    if (rc == 0)
        rc = queue(f, OBJECT_KEYS, &ref, &obj, e);
    wbuf_free(&plain);
    wbuf_free(&obj);
    return rc;
}

/* Once there are many keys objects they are put together. */
static int join_keys(struct vault *v, struct fanout *f, struct err *e)
{
    struct wbuf plain = WBUF_INIT;
    struct object_ref ref;
    if (v->state->n_keys < MAX_LOOSE_OBJECTS || v->n_lost_keys > 0)
        return 0;
    key_set_write(&plain, v->data_keys);
    int rc = put_object(v, f, OBJECT_KEYS, &plain, &ref, e);
    wbuf_free(&plain);
    if (rc < 0)
        return rc;
    v->state->n_keys = 0;
    for (size_t i = 0; i < v->data_keys->n; i++)
        v->key_objects[i] = ref.id;
    return add_ref(&v->state->keys, &v->state->n_keys, &ref, e);
}

struct index_build {
    struct vault *v;
    struct fanout *f;
    struct index_writer *w;
    struct object_ref *packs;
    size_t n;
    const struct id *gone; /* packs that no index names any more, ascending */
    size_t n_gone;
    struct id *taken; /* index objects that are written anew */
    size_t n_taken;
};

static int by_id(const void *a, const void *b)
{
    return id_cmp(a, b);
}

static bool is_gone(const struct index_build *b, const struct id *pack)
{
    return b->n_gone && bsearch(pack, b->gone, b->n_gone, sizeof *b->gone, by_id);
}

static int want_pack(void *ctx, const struct object_ref *pack, bool pending, struct err *e)
{
    struct index_build *b = ctx;
    (void)pending;
    return is_gone(b, &pack->id) ? 0 : add_ref(&b->packs, &b->n, pack, e);
}

static int find_gone(void *ctx, const struct object_ref *pack, bool pending, struct err *e)
{
    (void)pending;
    (void)e;
    return is_gone(ctx, &pack->id); /* 1 ends the walk */
}

/* One index object of the packs [from, to). */
static int put_index(struct index_build *b, size_t from, size_t to, struct err *e)
{
    struct wbuf plain = WBUF_INIT;
    struct object_ref ref;
    struct head *s = b->v->state;
    index_writer_finish(b->w, &plain);
    int rc = put_object(b->v, b->f, OBJECT_INDEX, &plain, &ref, e);
    wbuf_free(&plain);
    if (rc == 0)
        rc = add_ref(&s->index, &s->n_index, &ref, e);
    return rc < 0 ? rc : chunkdb_adopt_index(b->v->db, &ref.id, b->packs + from, to - from, e);
}

/* As many index objects as it takes, none near the bound on an object's size. */
static int put_indexes(struct index_build *b, struct err *e)
{
    size_t from = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < b->n; i++) {
        struct pack_table t;
        rc = chunkdb_pack_table(b->v->db, &b->packs[i].id, &t, e);
        if (rc < 0)
            break;
        struct index_pack ip = { .id = b->packs[i].id, .len = b->packs[i].len, .table = &t };
        rc = index_writer_add(b->w, &ip, e);
        pack_table_done(&t);
        if (rc == 0 && (index_writer_chunks(b->w) >= MAX_INDEX_OBJECT_CHUNKS || i + 1 == b->n)) {
            rc = put_index(b, from, i + 1, e);
            from = i + 1;
        }
    }
    return rc;
}

static bool is_lost(const struct vault *v, const struct id *index)
{
    for (size_t i = 0; i < v->n_lost_index; i++)
        if (id_eq(&v->lost_index[i], index))
            return true;
    return false;
}

/* Small index objects are put together with the new one once there are many; large ones stay as they are. One that
 * no copy has any more, or that names a pack which is gone, is written anew. */
static int merge_small(struct index_build *b, struct err *e)
{
    struct head *s = b->v->state;
    size_t kept = 0;
    int rc = 0;
    bool many = s->n_index >= MAX_LOOSE_OBJECTS;
    b->taken = calloc(s->n_index + 1, sizeof *b->taken);
    if (!b->taken)
        return no_memory(e);
    for (size_t i = 0; rc >= 0 && i < s->n_index; i++) {
        bool take = is_lost(b->v, &s->index[i].id) ||
                    (many && s->index[i].len < MAX_OBJECT_BYTES / 64);
        if (!take && b->n_gone) {
            rc = chunkdb_index_packs(b->v->db, &s->index[i].id, find_gone, b, NULL, e);
            take = rc > 0;
        }
        if (rc >= 0 && take) {
            b->taken[b->n_taken++] = s->index[i].id;
            rc = chunkdb_index_packs(b->v->db, &s->index[i].id, want_pack, b, NULL, e);
        } else {
            s->index[kept++] = s->index[i];
        }
    }
    s->n_index = kept;
    return rc < 0 ? rc : chunkdb_take_out(b->v->db, b->taken, b->n_taken, b->gone, b->n_gone, e);
}

int publish_index_without(struct vault *v, struct fanout *f, const struct id *gone, size_t n,
                          struct err *e)
{
    struct index_build b = { .v = v, .f = f, .gone = gone, .n_gone = n };
    assert(v->lock_fd >= 0);
    v->dirty = true;
    int rc = join_keys(v, f, e);
    if (rc == 0)
        rc = chunkdb_each_own(v->db, want_pack, &b, e);
    if (rc == 0 && (b.n > 0 || n > 0 || v->n_lost_index > 0)) {
        b.w = index_writer_new();
        rc = b.w ? merge_small(&b, e) : no_memory(e);
        if (rc == 0)
            rc = put_indexes(&b, e);
    }
    index_writer_free(b.w);
    free(b.packs);
    free(b.taken);
    return rc;
}

int publish_index(struct vault *v, struct fanout *f, struct err *e)
{
    return publish_index_without(v, f, NULL, 0, e);
}

/* --- reach lists ---------------------------------------------------------------------------------------------------- */
static int check_reach(struct vault *v, const struct id *ids, size_t n, struct err *e)
{
    int rc = chunkdb_begin_asking(v->db, e), there = 1;
    if (rc < 0)
        return rc;
    size_t i = 0;
    while (i < n && (there = chunkdb_has(v->db, &ids[i], e)) > 0)
        i++;
    rc = chunkdb_end_asking(v->db, there < 0 ? there : 0, e);
    if (rc < 0 || i == n)
        return rc;
    char hex[ID_HEX_BYTES];
    err_set(e, ERR_DAMAGED, _("the snapshot needs chunk %.12s, which the vault does not hold"),
            id_hex(&ids[i], hex));
    return err_next(e, _("run the backup again: it will read everything anew"));
}

static int put_reach(struct vault *v, struct fanout *f, const struct reach *r,
                     struct object_ref *ret, struct err *e)
{
    struct wbuf plain = WBUF_INIT;
    reach_write(&plain, r);
    int rc = put_object(v, f, OBJECT_REACH, &plain, ret, e);
    wbuf_free(&plain);
    return rc;
}

/* What ids has beside base and base beside ids. */
static int reach_difference(const struct id *base, size_t n_base, const struct id *ids, size_t n,
                            struct reach *r)
{
    r->add = malloc(n * sizeof *r->add + 1);
    r->drop = malloc(n_base * sizeof *r->drop + 1);
    if (!r->add || !r->drop)
        return -1;
    for (size_t i = 0, k = 0; i < n || k < n_base;) {
        int c = i == n ? 1 : k == n_base ? -1 : id_cmp(&ids[i], &base[k]);
        if (c < 0)
            r->add[r->n_add++] = ids[i++];
        else if (c > 0)
            r->drop[r->n_drop++] = base[k++];
        else
            i++, k++;
    }
    return 0;
}

/* Depth of the list that the newest snapshot has, so that ours may build on it; negative: better not. */
static int base_depth(struct vault *v, const struct object_ref *ref)
{
    struct wbuf plain = WBUF_INIT;
    struct reach *r = NULL;
    int depth = -1;
    if (vault_open_object(v, OBJECT_REACH, ref, &plain, NULL) == 0 &&
        reach_read(plain.p, plain.len, &r, NULL) == 0)
        depth = (int)r->depth;
    reach_free(r);
    wbuf_free(&plain);
    return depth < MAX_REACH_DEPTH ? depth : -1;
}

/* 1: written as a difference; 0: not worth it. */
static int put_reach_on_base(struct vault *v, struct fanout *f, const struct source_list *l,
                             const struct id *ids, size_t n, struct object_ref *ret, struct err *e)
{
    if (!l || l->n == 0)
        return 0;
    const struct object_ref *base = &l->snaps[l->n - 1].reach;
    int depth = base_depth(v, base), rc = 0;
    struct id *have = NULL;
    size_t n_have = 0;
    if (depth < 0 || vault_reach(v, base, &have, &n_have, NULL) < 0)
        return 0;
    struct reach r = { .base = base->id, .depth = (unsigned)depth + 1 };
    if (reach_difference(have, n_have, ids, n, &r) < 0)
        rc = no_memory(e);
    else if ((r.n_add + r.n_drop) * 2 < n && r.n_add + r.n_drop <= MAX_REACH_PART)
        rc = put_reach(v, f, &r, ret, e) < 0 ? -(int)e->code : 1;
    free(r.add);
    free(r.drop);
    free(have);
    return rc;
}

static int put_reach_whole(struct vault *v, struct fanout *f, const struct id *ids, size_t n,
                           struct object_ref *ret, struct err *e)
{
    struct reach r = { 0 };
    for (;;) {
        size_t part = n < MAX_REACH_PART ? n : MAX_REACH_PART;
        r.add = (struct id *)ids;
        r.n_add = part;
        int rc = put_reach(v, f, &r, ret, e);
        if (rc < 0 || part == n)
            return rc;
        if (r.depth == MAX_REACH_DEPTH)
            return err_set(
                e, ERR_LIMIT,
                _("one snapshot has more chunks than the format allows; split the policy"));
        rc = add_ref(&v->state->bases, &v->state->n_bases, ret, e);
        if (rc < 0)
            return rc;
        r.base = ret->id;
        r.depth++;
        ids += part;
        n -= part;
    }
}

/* --- the snapshot ------------------------------------------------------------------------------------------------------- */
int publish_snapshot(struct vault *v, struct fanout *f, const char *source, struct snapshot *s,
                     const struct id *ids, size_t n, struct id *ret_id, struct err *e)
{
    struct wbuf plain = WBUF_INIT;
    size_t at;
    assert(v->lock_fd >= 0);
    v->dirty = true;
    if (vault_list_at(v, source, &at, e) < 0)
        return -ERR_NOMEM;
    struct source_list *l = v->lists[at];
    /* A clock that went back must not make this one older than the last. */
    if (l->n && s->received_ns <= l->snaps[l->n - 1].received_ns)
        s->received_ns = l->snaps[l->n - 1].received_ns + 1;
    struct snap_ref ref = { .received_ns = s->received_ns, .state = s->state, .flags = s->flags };
    int rc = check_reach(v, ids, n, e);
    if (rc == 0)
        rc = put_reach_on_base(v, f, l, ids, n, &ref.reach, e);
    if (rc == 0)
        rc = put_reach_whole(v, f, ids, n, &ref.reach, e);
    if (rc < 0)
        return rc;
    s->reach = ref.reach.id;
    snapshot_write(&plain, s);
    rc = put_object(v, f, OBJECT_SNAPSHOT, &plain, &ref.ref, e);
    wbuf_free(&plain);
    if (rc < 0)
        return rc;
    struct snap_ref *grown = realloc(l->snaps, (l->n + 1) * sizeof *grown);
    if (!grown)
        return no_memory(e);
    l->snaps = grown;
    l->snaps[l->n++] = ref;
    v->list_objects[at] = (struct id){ 0 };
    *ret_id = ref.ref.id;
    return 0;
}

int publish_next(struct err *e, const struct err *why)
{
    if (why->code == ERR_NOSPACE)
        return err_next(
            e, _("make room there: twofold prune, or a larger disk; then: twofold replicate"));
    if (why->code == ERR_UNREACHABLE && why->next[0])
        return err_next(e, _("%s; then: twofold replicate"), why->next);
    return err_next(e, _("mend that copy's place, then run: twofold replicate"));
}
