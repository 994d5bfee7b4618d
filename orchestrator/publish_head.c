/* publish_head.c - the commit: a head for every copy that holds everything it reaches; docs/format.md, rules 3 and 5 to 8. */
#include "orchestrator/publish_internal.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define HEADS_KEPT 8

#define CLOCK_STEP_S 600 /* a clock that is set by more is no clock that is corrected */

/* Where this machine is in time: what a machine that was put back to an earlier state (a snapshot of a virtual machine, a disk image)
 * cannot have in common with the one before. */
struct own_time {
    char boot[SYS_BOOT_ID_BYTES];
    int64_t booted_s;
};
struct own_head {
    uint64_t generation, epoch;
    struct id id;
    struct own_time time;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

/* --- history ------------------------------------------------------------------------------------------------------- */
static bool is_parent(const struct head *h, const struct id *id)
{
    for (size_t i = 0; i < h->n_parents; i++)
        if (id_eq(&h->parents[i].id, id))
            return true;
    return false;
}

/* In order. Where there is no room, the oldest that is no parent gives way: a parent may be older than all others, when a
 * fork is merged long after. */
static void add_ancestor(struct head *h, const struct head_parent *a)
{
    size_t at = 0, end = h->n_ancestors;
    for (size_t i = 0; i < h->n_ancestors; i++)
        if (id_eq(&h->ancestors[i].id, &a->id))
            return;
    while (at < h->n_ancestors && h->ancestors[at].generation >= a->generation)
        at++;
    if (h->n_ancestors == MAX_ANCESTORS) {
        do
            end--;
        while (end > 0 && is_parent(h, &h->ancestors[end].id));
        if (at > end)
            return;
    } else {
        h->n_ancestors++;
    }
    memmove(&h->ancestors[at + 1], &h->ancestors[at], (end - at) * sizeof *h->ancestors);
    h->ancestors[at] = *a;
}

static void add_chain(struct head *h, const struct head_chain *c)
{
    size_t oldest = 0;
    for (size_t i = 0; i < h->n_chains; i++) {
        if (id_eq(&h->chains[i].writer, &c->writer) && h->chains[i].epoch == c->epoch) {
            if (h->chains[i].generation < c->generation)
                h->chains[i].generation = c->generation;
            return;
        }
        if (h->chains[i].generation < h->chains[oldest].generation)
            oldest = i;
    }
    /* A chain that is forgotten can only make an old head look like a fork: safe, and merged. */
    if (h->n_chains < MAX_CHAINS)
        h->chains[h->n_chains++] = *c;
    else if (h->chains[oldest].generation < c->generation)
        h->chains[oldest] = *c;
}

static void add_history(struct head *h, const struct vault *v)
{
    for (size_t i = 0; i < v->n_tips; i++) {
        const struct head *t = v->tips[i].head;
        h->parents[h->n_parents++] = (struct head_parent){ t->generation, v->tips[i].id };
        add_chain(h, &(struct head_chain){ t->writer, t->epoch, t->generation });
        for (size_t k = 0; k < t->n_chains; k++)
            add_chain(h, &t->chains[k]);
    }
    for (size_t i = 0; i < h->n_parents; i++)
        add_ancestor(h, &h->parents[i]);
    for (size_t i = 0; i < v->n_tips; i++)
        for (size_t k = 0; k < v->tips[i].head->n_ancestors; k++)
            add_ancestor(h, &v->tips[i].head->ancestors[k]);
}

static void look_at_time(struct own_time *ret)
{
    struct timespec t = { 0 };
    memset(ret, 0, sizeof *ret);
    clock_gettime(CLOCK_BOOTTIME, &t);
    ret->booted_s = sys_realtime_s() - t.tv_sec;
    sys_boot_id(ret->boot);
}

static bool same_time(const struct own_time *a, const struct own_time *b)
{
    int64_t step = a->booted_s - b->booted_s;
    return a->boot[0] && strcmp(a->boot, b->boot) == 0 && step <= CLOCK_STEP_S &&
           step >= -CLOCK_STEP_S;
}

/* One that no chain has: random, so that a state that was put back does not go on where the lost one went. */
static uint64_t new_epoch(void)
{
    uint64_t epoch;
    do
        sys_random(&epoch, sizeof epoch);
    while (epoch == 0);
    return epoch;
}

/* A new epoch whenever what we write on does not include our own last head (rule: chains are lines), and whenever this machine may not be
 * where it was: another boot, another clock. */
static int choose_epoch(struct vault *v, struct head *h, struct err *e)
{
    struct own_head own = { 0 };
    struct own_time now;
    int rc = chunkdb_get_meta(v->db, "own-head", &own, sizeof own, e);
    if (rc < 0)
        return rc;
    bool included = false, known = rc == (int)sizeof own;
    look_at_time(&now);
    for (size_t i = 0; known && !included && i < v->n_tips; i++) {
        const struct head *t = v->tips[i].head;
        included = head_descends(t, &v->tips[i].id, &own.id);
        for (size_t k = 0; !included && k < t->n_chains && t->n_ancestors == MAX_ANCESTORS; k++)
            included = id_eq(&t->chains[k].writer, &v->writer) && t->chains[k].epoch == own.epoch &&
                       t->chains[k].generation >= own.generation &&
                       t->ancestors[t->n_ancestors - 1].generation > own.generation;
    }
    if (own.generation >= h->generation)
        h->generation = own.generation + 1;
    h->epoch = included && same_time(&own.time, &now) ? own.epoch : new_epoch();
    return 0;
}

/* --- lists --------------------------------------------------------------------------------------------------------------- */
/* The object that says what the list says, if there is one. Sealing is salted: the same list again would have another name. */
static const struct object_ref *unchanged_list(const struct vault *v, size_t at)
{
    for (size_t t = 0; t < v->n_tips && !id_is_zero(&v->list_objects[at]); t++)
        for (size_t i = 0; i < v->tips[t].head->n_lists; i++)
            if (id_eq(&v->tips[t].head->lists[i].ref.id, &v->list_objects[at]))
                return &v->tips[t].head->lists[i].ref;
    return NULL;
}

static int by_source(const void *a, const void *b)
{
    return strcmp(((const struct head_list *)a)->source, ((const struct head_list *)b)->source);
}

static int put_lists(struct vault *v, struct fanout *f, struct head *h, struct err *e)
{
    h->lists = calloc(v->n_lists + 1, sizeof *h->lists);
    if (!h->lists)
        return no_memory(e);
    for (size_t i = 0; i < v->n_lists; i++) {
        struct head_list *hl = &h->lists[h->n_lists];
        const struct object_ref *same = unchanged_list(v, i);
        struct wbuf plain = WBUF_INIT;
        int rc = 0;
        if (same) {
            hl->ref = *same;
        } else {
            source_list_write(&plain, v->lists[i]);
            rc = put_object(v, f, OBJECT_LIST, &plain, &hl->ref, e);
            wbuf_free(&plain);
        }
        if (rc < 0)
            return rc;
        v->list_objects[i] = hl->ref.id;
        hl->source = strdup(v->lists[i]->source);
        if (!hl->source)
            return no_memory(e);
        h->n_lists++;
    }
    qsort(h->lists, h->n_lists, sizeof *h->lists, by_source);
    return 0;
}

static int copy_refs(struct object_ref **to, size_t *n, const struct object_ref *from,
                     size_t n_from)
{
    *to = malloc(n_from * sizeof **to + 1);
    if (!*to)
        return -1;
    if (n_from)
        memcpy(*to, from, n_from * sizeof **to);
    *n = n_from;
    return 0;
}

static int build_head(struct vault *v, struct fanout *f, struct head **ret, struct err *e)
{
    const struct head *s = v->state;
    struct head *h = calloc(1, sizeof *h);
    if (!h)
        return no_memory(e);
    h->generation = (s->generation > v->seen_generation ? s->generation : v->seen_generation) + 1;
    h->writer = v->writer;
    h->written_ns = sys_realtime_ns();
    h->vault_generation = 1;
    add_history(h, v);
    int rc = choose_epoch(v, h, e);
    if (rc == 0 && (copy_refs(&h->index, &h->n_index, s->index, s->n_index) < 0 ||
                    copy_refs(&h->keys, &h->n_keys, s->keys, s->n_keys) < 0 ||
                    copy_refs(&h->bases, &h->n_bases, s->bases, s->n_bases) < 0))
        rc = no_memory(e);
    if (rc == 0)
        rc = put_lists(v, f, h, e);
    if (rc < 0) {
        head_free(h);
        return rc;
    }
    *ret = h;
    return 0;
}

/* --- the copies ------------------------------------------------------------------------------------------------------------- */
static int remember_copy(struct vault *v, struct copy *c, struct err *e)
{
    char key[2 * MAX_NAME + 16];
    struct {
        uint64_t generation;
        struct id head;
    } seen = { c->generation, c->head };
    snprintf(key, sizeof key, "copy-head/%s", c->place);
    return chunkdb_set_meta(v->db, key, &seen, sizeof seen, e);
}

struct old_heads {
    struct {
        uint64_t generation;
        struct id id;
    } h[256];
    size_t n;
};

static int note_old(void *ctx, const char *name, uint64_t len)
{
    struct old_heads *o = ctx;
    (void)len;
    if (o->n < sizeof o->h / sizeof *o->h &&
        object_name_parse(OBJECT_HEAD, name, &o->h[o->n].generation, &o->h[o->n].id))
        o->n++;
    return 0;
}

/* Rule 11: superseded heads beyond the last few. That it fails does no harm. */
static void drop_old_heads(struct copy *c, const struct head *h, const struct id *own)
{
    struct old_heads *o = calloc(1, sizeof *o);
    char name[MAX_OBJECT_NAME];
    if (o && store_list(c->store, "heads/", note_old, o, NULL) == 0)
        for (size_t i = 0; i < o->n; i++) {
            size_t newer = 0;
            for (size_t k = 0; k < o->n; k++)
                newer += o->h[k].generation > o->h[i].generation;
            if (newer >= HEADS_KEPT && !id_eq(own, &o->h[i].id) &&
                head_descends(h, own, &o->h[i].id))
                store_delete(c->store, head_name(o->h[i].generation, &o->h[i].id, name), NULL);
        }
    free(o);
}

static bool reachable(const struct copy *c)
{
    return c->state == COPY_CURRENT || c->state == COPY_BEHIND;
}

static bool reads_back(struct copy *c, const char *name, const struct id *should, uint64_t len)
{
    uint8_t *p = NULL;
    size_t n = 0;
    struct id id;
    if (store_get_all(c->store, name, MAX_OBJECT_BYTES, &p, &n, NULL) < 0)
        return false;
    sha256_of(p, n, &id);
    free(p);
    return n == len && id_eq(&id, should);
}

/* Something else stands under the head's name: it is set aside. */
static int replace_head(struct copy *c, const char *name, const struct id *id,
                        const struct store_data *d, struct err *e)
{
    char stamp[40];
    snprintf(stamp, sizeof stamp, "head-%lld", (long long)sys_realtime_s());
    int rc = store_replace(c->store, name, d, stamp, e);
    if (rc == 0 && !reads_back(c, name, id, d->len))
        rc = err_set(e, ERR_DAMAGED, _("what was written does not read back"));
    return rc;
}

/* The head for one copy, once it has everything. */
static int give_head(struct vault *v, size_t i, const struct wbuf *obj, transferred_fn *fn,
                     void *ctx, struct published *ret, struct err *e)
{
    struct copy *c = &v->copies[i];
    const struct tip *t = &v->tips[0];
    struct store_data d = { .p = obj->p, .fd = -1, .len = obj->len };
    char name[MAX_OBJECT_NAME];
    int rc = 0;
    if (c->state != COPY_CURRENT)
        rc = transfer_catch_up(v, i, fn, ctx, &ret->caught_up[i], e);
    head_name(t->head->generation, &t->id, name);
    if (rc == 0)
        rc = store_put(c->store, name, &d, e);
    if (rc == -ERR_DAMAGED || (rc == 0 && !reads_back(c, name, &t->id, obj->len)))
        rc = replace_head(c, name, &t->id, &d, e);
    if (rc < 0)
        return rc;
    c->state = COPY_CURRENT;
    c->generation = t->head->generation;
    c->head = t->id;
    ret->current[i] = true;
    ret->n_current++;
    drop_old_heads(c, t->head, &t->id);
    return remember_copy(v, c, e);
}

/* Why nothing is tried with a copy; NULL: it may be. */
static const struct err *hopeless(const struct vault *v, struct fanout *f, size_t i)
{
    return reachable(&v->copies[i]) ? fanout_error(f, i) : &v->copies[i].problem;
}

static void give_heads(struct vault *v, struct fanout *f, const struct wbuf *obj, bool leave_behind,
                       transferred_fn *fn, void *ctx, struct published *ret)
{
    /* Those that lack nothing first: the backup is safe there before anything else is tried. */
    for (int behind = 0; behind < 2; behind++)
        for (size_t i = 0; i < v->n_copies; i++) {
            struct copy *c = &v->copies[i];
            const struct err *why = hopeless(v, f, i);
            if (ret->current[i] || ret->problem[i].code)
                continue;
            if (why)
                ret->problem[i] = *why;
            else if (behind && leave_behind && ret->n_current > 0)
                continue; /* for publish_replicate */
            else if ((c->state == COPY_CURRENT) == !behind)
                give_head(v, i, obj, fn, ctx, ret, &ret->problem[i]);
        }
    for (size_t i = 0; i < v->n_copies; i++)
        if (!ret->current[i] && v->copies[i].state == COPY_CURRENT)
            v->copies[i].state = COPY_BEHIND;
}

/* The new head becomes the only tip. */
static void adopt_tip(struct vault *v, struct head *h, const struct wbuf *obj)
{
    for (size_t i = 0; i < v->n_tips; i++)
        head_free(v->tips[i].head);
    v->state->generation = h->generation;
    v->tips[0] = (struct tip){ .head = h, .len = obj->len };
    sha256_of(obj->p, obj->len, &v->tips[0].id);
    v->n_tips = 1;
}

/* Before the first copy has it: should this process end in between, the next head begins a new epoch, and a chain stays a
 * line. */
static int intend_head(struct vault *v, struct err *e)
{
    const struct tip *t = &v->tips[0];
    struct own_head own;
    memset(&own, 0, sizeof own);
    own.generation = t->head->generation;
    own.epoch = t->head->epoch;
    own.id = t->id;
    look_at_time(&own.time);
    return chunkdb_set_meta(v->db, "own-head", &own, sizeof own, e);
}

static int remember_head(struct vault *v, struct err *e)
{
    struct {
        uint64_t generation;
        struct id head;
    } seen = { v->tips[0].head->generation, v->tips[0].id };
    v->seen_generation = seen.generation;
    v->seen_head = seen.head;
    int rc = chunkdb_set_meta(v->db, "head-seen", &seen, sizeof seen, e);
    if (rc == 0)
        rc = chunkdb_commit_index(v->db, e);
    if (rc == 0)
        rc = chunkdb_forget_own_keys(v->db, e);
    v->n_own_keys = 0;
    /* What this head no longer names is not there any more, for whoever asks. */
    return rc < 0 ? rc : vault_resync(v, e);
}

/* The head that is there already, for copies that lack it. */
static int same_head(struct vault *v, struct wbuf *obj, struct err *e)
{
    char name[MAX_OBJECT_NAME];
    head_name(v->tips[0].head->generation, &v->tips[0].id, name);
    for (size_t i = 0; i < v->n_copies; i++) {
        uint8_t *p = NULL;
        size_t n = 0;
        struct id id;
        if (!reachable(&v->copies[i]) ||
            store_get_all(v->copies[i].store, name, MAX_OBJECT_BYTES, &p, &n, e) < 0)
            continue;
        sha256_of(p, n, &id);
        if (id_eq(&id, &v->tips[0].id))
            wb_bytes(obj, p, n);
        free(p);
        if (obj->len)
            return 0;
    }
    return err_set(e, ERR_DAMAGED, _("no copy has the newest head whole"));
}

static int new_head(struct vault *v, struct fanout *f, struct wbuf *obj, struct err *e)
{
    struct head *h = NULL;
    struct wbuf plain = WBUF_INIT;
    int rc = build_head(v, f, &h, e);
    if (rc < 0)
        return rc;
    head_write(&plain, h);
    rc = plain.failed ? no_memory(e)
                      : envelope_seal(&v->keys, OBJECT_HEAD, plain.p, plain.len, obj, e);
    wbuf_free(&plain);
    if (rc == 0)
        rc = fanout_flush(f, e);
    if (rc < 0) {
        head_free(h);
        return rc;
    }
    adopt_tip(v, h, obj);
    return intend_head(v, e);
}

/* Whoever asks next looks at the copies again. */
static void doubt_copies(struct vault *v)
{
    v->dirty = true;
    for (size_t i = 0; i < v->n_copies; i++)
        v->copies[i].head = (struct id){ 0 };
}

static int put_head(struct vault *v, struct fanout *f, bool changed, transferred_fn *fn, void *ctx,
                    struct published *ret, struct err *e)
{
    struct wbuf obj = WBUF_INIT;
    bool leave_behind = changed;
    changed |= v->n_tips > 1;
    if (!changed && v->n_tips == 0)
        return 0;
    int rc = changed ? new_head(v, f, &obj, e) : same_head(v, &obj, e);
    if (rc < 0)
        goto out;
    give_heads(v, f, &obj, leave_behind, fn, ctx, ret);
    ret->generation = v->tips[0].head->generation;
    if (ret->n_current > 0)
        rc = changed ? remember_head(v, e) : 0;
    for (size_t i = 0; ret->n_current == 0 && rc == 0 && i < v->n_copies; i++)
        if (ret->problem[i].code) {
            if (e)
                *e = ret->problem[i];
            rc = -(int)ret->problem[i].code;
        }
    if (ret->n_current > 0)
        v->dirty = false;
    else
        doubt_copies(v);
out:
    wbuf_free(&obj);
    return rc;
}

int publish_head(struct vault *v, struct fanout *f, bool changed, transferred_fn *fn, void *ctx,
                 struct published *ret, struct err *e)
{
    assert(v->lock_fd >= 0);
    memset(ret, 0, sizeof *ret);
    return put_head(v, f, changed, fn, ctx, ret, e);
}

/* --- copies that are behind ----------------------------------------------------------------------------------------- */
/* Most of it, without the lock; what is committed meanwhile comes with it. Returns how many are worth another look. */
static size_t catch_up_all(struct vault *v, struct fanout *f, transferred_fn *fn, void *ctx,
                           struct published *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < v->n_copies; i++) {
        const struct err *why = hopeless(v, f, i);
        if (ret->current[i] || ret->problem[i].code)
            continue;
        if (why)
            ret->problem[i] = *why;
        else if (v->copies[i].state == COPY_CURRENT ||
                 transfer_catch_up(v, i, fn, ctx, &ret->caught_up[i], &ret->problem[i]) == 0)
            n++;
    }
    return n;
}

int publish_replicate(struct vault *v, struct fanout *f, bool take_over, transferred_fn *fn,
                      void *ctx, struct published *ret, struct err *e)
{
    assert(v->lock_fd < 0);
    if (catch_up_all(v, f, fn, ctx, ret) == 0)
        return 0;
    int rc = vault_lock(v, e);
    if (rc < 0)
        return rc;
    rc = publish_check(v, take_over, e);
    if (rc == 0)
        rc = put_head(v, f, false, fn, ctx, ret, e);
    vault_unlock(v);
    return rc;
}
