/* mark.c - what is still needed, and what becomes of each pack; see prune.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/look.h"
#include "orchestrator/prune/prune.h"
#include <stdlib.h>

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

static int interrupted(struct err *e)
{
    return sys_interrupted() ? err_set(e, ERR_INTERRUPTED, _("interrupted")) : 0;
}

/* --- arrays in order of ids ------------------------------------------------------------------------------------------ */
/* Where an element with this id is or belongs. Elements begin with their id. */
static size_t place_of(const void *base, size_t n, size_t size, const struct id *id)
{
    size_t lo = 0;
    while (lo < n) {
        size_t mid = (lo + n) / 2;
        if (id_cmp((const struct id *)((const uint8_t *)base + mid * size), id) < 0)
            lo = mid + 1;
        else
            n = mid;
    }
    return lo;
}

static void *make_room(void **base, size_t *n, size_t *cap, size_t size, size_t at)
{
    if (*n == *cap) {
        size_t want = *cap ? 2 * *cap : 64;
        void *grown = realloc(*base, want * size);
        if (!grown)
            return NULL;
        *base = grown;
        *cap = want;
    }
    uint8_t *p = (uint8_t *)*base + at * size;
    memmove(p + size, p, ((*n)++ - at) * size);
    memset(p, 0, size);
    return p;
}

struct prune_pack *prune_find_pack(const struct prune *p, const struct id *id)
{
    size_t at = place_of(p->packs, p->n_packs, sizeof *p->packs, id);
    return at < p->n_packs && id_eq(&p->packs[at].ref.id, id) ? &p->packs[at] : NULL;
}

const struct prune_reach *prune_find_reach(const struct prune *p, const struct id *id)
{
    size_t at = place_of(p->reach, p->n_reach, sizeof *p->reach, id);
    return at < p->n_reach && id_eq(&p->reach[at].ref.id, id) ? &p->reach[at] : NULL;
}

static const struct prune_body *find_body(const struct prune *p, const struct id *id)
{
    size_t at = place_of(p->bodies, p->n_bodies, sizeof *p->bodies, id);
    return at < p->n_bodies && id_eq(&p->bodies[at].snapshot, id) ? &p->bodies[at] : NULL;
}

bool prune_gone(const struct prune_pack *pk)
{
    return pk->fate == PACK_DROPPED || pk->fate == PACK_MOVED;
}

void prune_tell(struct prune *p, const char *phase, uint64_t done, uint64_t total)
{
    p->progress.phase = phase;
    p->progress.files = done;
    p->progress.total_files = total;
    ui_progress(&p->app->ui, &p->progress);
}

/* --- reach lists ------------------------------------------------------------------------------------------------------- */
/* How long the list is that another builds on: the head names it, or a snapshot does. */
static const struct object_ref *list_ref(const struct vault *v, const struct id *id)
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

/* Reads one list, and notes what it builds on. */
static int read_reach(struct prune *p, const struct object_ref *ref, struct reach **ret,
                      struct err *e)
{
    struct wbuf plain = WBUF_INIT;
    int rc = vault_open_object(p->v, OBJECT_REACH, ref, &plain, e);
    if (rc == 0)
        rc = reach_read(plain.p, plain.len, ret, e);
    wbuf_free(&plain);
    size_t at = place_of(p->reach, p->n_reach, sizeof *p->reach, &ref->id);
    if (rc < 0 || !*ret || prune_find_reach(p, &ref->id))
        return rc;
    struct prune_reach *r = make_room((void **)&p->reach, &p->n_reach, &p->cap_reach,
                                      sizeof *p->reach, at);
    if (!r) {
        reach_free(*ret);
        return no_memory(e);
    }
    r->ref = *ref;
    r->base = (*ret)->base;
    return 0;
}

int prune_know_reach(struct prune *p, const struct object_ref *ref, struct err *e)
{
    for (unsigned depth = 0; depth <= MAX_REACH_DEPTH; depth++) {
        const struct prune_reach *known = prune_find_reach(p, &ref->id);
        struct reach *r = NULL;
        struct id base;
        if (!known) {
            int rc = read_reach(p, ref, &r, e);
            if (rc < 0 || !r)
                return rc;
        }
        base = known ? known->base : r->base;
        reach_free(r);
        if (id_is_zero(&base))
            return 0;
        ref = list_ref(p->v, &base);
        if (!ref)
            return err_set(e, ERR_DAMAGED,
                           _("a reach list builds on one that the head does not name"));
    }
    return err_set(e, ERR_DAMAGED, _("reach lists build on one another without an end"));
}

int prune_know_body(struct prune *p, const struct object_ref *snapshot, struct err *e)
{
    struct snapshot *s = NULL;
    if (find_body(p, &snapshot->id))
        return 0;
    size_t at = place_of(p->bodies, p->n_bodies, sizeof *p->bodies, &snapshot->id);
    int rc = vault_snapshot(p->v, snapshot, &s, NULL);
    struct prune_body *b = make_room((void **)&p->bodies, &p->n_bodies, &p->cap_bodies,
                                     sizeof *p->bodies, at);
    if (b) {
        b->snapshot = snapshot->id;
        if (rc == 0)
            b->key = s->key_id;
        p->bodies_lost |= rc < 0;
    }
    snapshot_free(s);
    return b ? 0 : no_memory(e);
}

/* --- live chunks --------------------------------------------------------------------------------------------------------- */
struct ids {
    struct id *p;
    size_t n;
};

/* Those that the list before did not have; both ascending. */
static int add_new(struct prune *p, const struct ids *before, const struct ids *now, struct err *e)
{
    int rc = 0;
    for (size_t i = 0, k = 0; rc >= 0 && i < now->n; i++) {
        while (k < before->n && id_cmp(&before->p[k], &now->p[i]) < 0)
            k++;
        if (k == before->n || !id_eq(&before->p[k], &now->p[i]))
            rc = marks_add_live(p->marks, &now->p[i], e);
    }
    return rc < 0 ? rc : 0;
}

static int mark_snapshot(struct prune *p, const struct plan_snap *s, struct ids *before,
                         struct err *e)
{
    char id[SHORT_ID_DIGITS + 1];
    struct ids now = { 0 };
    int rc = prune_know_body(p, &s->ref.ref, e);
    if (rc == 0)
        rc = prune_know_reach(p, &s->ref.reach, e);
    if (rc == 0)
        rc = vault_reach(p->v, &s->ref.reach, &now.p, &now.n, e);
    if (rc == -ERR_DAMAGED || rc == -ERR_ABSENT)
        err_next(e, _("mend it first: twofold repair; nothing was changed"));
    if (rc < 0)
        return err_wrap(e, _("what snapshot %s needs"), short_id(&s->ref.ref.id, id));
    rc = add_new(p, before, &now, e);
    free(before->p);
    *before = now;
    return rc;
}

static int mark_live(struct prune *p, struct err *e)
{
    int rc = 0;
    size_t done = 0;
    for (size_t i = 0; rc == 0 && i < p->plan->n; i++) {
        struct ids before = { 0 };
        for (size_t k = 0; rc == 0 && k < p->plan->sources[i].n; k++) {
            const struct plan_snap *s = &p->plan->sources[i].snaps[k];
            if (plan_goes(s))
                continue;
            prune_tell(p, N_("looking for what is needed"), ++done, p->plan->kept);
            rc = mark_snapshot(p, s, &before, e);
            if (rc == 0)
                rc = interrupted(e);
        }
        free(before.p);
    }
    return rc;
}

/* --- packs ------------------------------------------------------------------------------------------------------------------ */
static int add_pack(void *ctx, const struct object_ref *pack, bool pending, struct err *e)
{
    struct prune *p = ctx;
    if (pending)
        return 0;
    if ((p->n_packs & (p->n_packs - 1)) == 0) {
        size_t cap = p->n_packs ? 2 * p->n_packs : 1;
        struct prune_pack *grown = realloc(p->packs, cap * sizeof *grown);
        if (!grown)
            return no_memory(e);
        p->packs = grown;
    }
    p->packs[p->n_packs++] = (struct prune_pack){ .ref = *pack };
    return 0;
}

static int by_id(const void *a, const void *b)
{
    return id_cmp(&((const struct prune_pack *)a)->ref.id, &((const struct prune_pack *)b)->ref.id);
}

static int weigh_pack(struct prune *p, size_t at, struct err *e)
{
    struct prune_pack *pk = &p->packs[at];
    struct pack_table t;
    int rc = chunkdb_pack_table(p->v->db, &pk->ref.id, &t, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc >= 0 && i < t.n_keys; i++)
        rc = marks_add_key(p->marks, at, &t.keys[i], e);
    for (size_t i = 0; rc >= 0 && i < t.n; i++) {
        rc = marks_is_live(p->marks, &t.chunks[i].id, e);
        pk->chunk_bytes += t.chunks[i].len;
        pk->live_bytes += rc > 0 ? t.chunks[i].len : 0;
        pk->live += rc > 0;
    }
    pack_table_done(&t);
    return rc < 0 ? rc : 0;
}

static uint64_t waste(const struct prune_pack *pk)
{
    return pk->chunk_bytes - pk->live_bytes;
}

/* Least needed first: moving those frees most for what is moved. */
static int by_need(const void *a, const void *b)
{
    const struct prune_pack *x = *(struct prune_pack *const *)a,
                            *y = *(struct prune_pack *const *)b;
    double nx = (double)x->live_bytes / (double)(x->chunk_bytes + 1),
           ny = (double)y->live_bytes / (double)(y->chunk_bytes + 1);
    return nx < ny ? -1 : nx > ny ? 1 : by_id(x, y);
}

static int choose_fates(struct prune *p, struct err *e)
{
    uint64_t total = 0, wasted = 0, moved = 0;
    struct prune_pack **order = malloc((p->n_packs + 1) * sizeof(struct prune_pack *)); /* NOLINT */
    if (!order)
        return no_memory(e);
    for (size_t i = 0; i < p->n_packs; i++) {
        struct prune_pack *pk = &p->packs[i];
        order[i] = pk;
        pk->fate = pk->live ? PACK_STAYS : PACK_DROPPED;
        total += pk->live ? pk->chunk_bytes : 0;
        wasted += pk->live ? waste(pk) : 0;
    }
    qsort(order, p->n_packs, sizeof(struct prune_pack *), by_need); /* NOLINT */
    for (size_t i = 0; i < p->n_packs; i++) {
        struct prune_pack *pk = order[i];
        bool little = pk->live_bytes < pk->chunk_bytes / 100 * PRUNE_LIVE_PERCENT;
        bool much = wasted / PRUNE_WASTE_PERCENT > total / 100;
        if (!pk->live || waste(pk) == 0 || (!little && !much))
            continue;
        if (p->max_repack_bytes && moved + pk->live_bytes > p->max_repack_bytes)
            continue;
        pk->fate = PACK_MOVED;
        moved += pk->live_bytes;
        wasted -= waste(pk);
        total -= waste(pk);
    }
    free(order);
    return 0;
}

int prune_mark(struct prune *p, struct err *e)
{
    int rc = marks_new(&p->marks, e);
    if (rc == 0)
        rc = mark_live(p, e);
    if (rc == 0)
        rc = vault_need_index(p->v, e);
    if (rc == 0)
        rc = chunkdb_each_pack(p->v->db, add_pack, p, e);
    if (rc == 0 && p->n_packs)
        qsort(p->packs, p->n_packs, sizeof *p->packs, by_id);
    for (size_t i = 0; rc == 0 && i < p->n_packs; i++) {
        prune_tell(p, N_("weighing packs"), i + 1, p->n_packs);
        rc = weigh_pack(p, i, e);
        if (rc == 0)
            rc = interrupted(e);
    }
    return rc < 0 ? rc : choose_fates(p, e);
}

int prune_each_dead(struct prune *p, prune_dead_fn *fn, void *ctx, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < p->n_packs; i++) {
        struct prune_pack *pk = &p->packs[i];
        struct pack_table t;
        if (!prune_gone(pk))
            continue;
        rc = chunkdb_pack_table(p->v->db, &pk->ref.id, &t, e);
        if (rc < 0)
            return rc;
        for (size_t k = 0; rc >= 0 && k < t.n; k++) {
            rc = pk->live ? marks_is_live(p->marks, &t.chunks[k].id, e) : 0;
            if (rc == 0)
                rc = fn(ctx, pk, &t.chunks[k].id, e);
        }
        rc = rc < 0 ? rc : 0;
        pack_table_done(&t);
    }
    return rc;
}

void prune_done(struct prune *p)
{
    plan_free(p->plan);
    marks_free(p->marks);
    litter_close(p->litter);
    fanout_free(p->f);
    free(p->packs);
    free(p->reach);
    free(p->bodies);
}
