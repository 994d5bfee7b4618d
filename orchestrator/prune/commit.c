/* commit.c - the head without what goes, on the ground of what was committed meanwhile; see prune.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/prune/prune.h"
#include "orchestrator/publish_internal.h"
#include <stdlib.h>

#define MAX_KEYS_IN_OBJECT 400000u /* some 45 MiB */

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

/* --- what has come meanwhile ----------------------------------------------------------------------------------------- */
/* A chunk that is needed after all, and that was on its way out: its packs stay. */
static int rescue_chunk(struct prune *p, const struct id *id, struct err *e)
{
    struct chunk_place at[MAX_CHUNK_PLACES];
    int rc = marks_is_live(p->marks, id, e);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    int n = chunkdb_find(p->v->db, id, at, e);
    for (int i = 0; i < n; i++) {
        struct prune_pack *pk = prune_find_pack(p, &at[i].pack);
        if (pk && prune_gone(pk))
            pk->fate = PACK_STAYS;
    }
    return n < 0 ? n : 0;
}

static int rescue_snapshot(struct prune *p, const struct snap_ref *s, struct err *e)
{
    struct id *ids = NULL;
    size_t n = 0;
    int rc = prune_know_body(p, &s->ref, e);
    if (rc == 0)
        rc = prune_know_reach(p, &s->reach, e);
    if (rc == 0)
        rc = vault_reach(p->v, &s->reach, &ids, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = rescue_chunk(p, &ids[i], e);
    free(ids);
    return rc;
}

static bool goes(const struct plan *before, const struct plan *now, const struct id *snapshot)
{
    const struct plan_snap *a = plan_find(before, snapshot), *b = plan_find(now, snapshot);
    return a && b && plan_goes(a) && plan_goes(b);
}

static bool was_kept(const struct plan *before, const struct id *snapshot)
{
    const struct plan_snap *s = plan_find(before, snapshot);
    return s && !plan_goes(s);
}

/* Only what was to go then and is to go now goes; what stays and was not looked at is looked at now. */
static int look_again(struct prune *p, const struct plan *now, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < p->v->n_lists; i++)
        for (size_t k = 0; rc == 0 && k < p->v->lists[i]->n; k++) {
            const struct snap_ref *s = &p->v->lists[i]->snaps[k];
            if (!goes(p->plan, now, &s->ref.id) && !was_kept(p->plan, &s->ref.id))
                rc = rescue_snapshot(p, s, e);
        }
    return rc;
}

/* --- lists --------------------------------------------------------------------------------------------------------------- */
struct refs {
    struct object_ref *p;
    size_t n;
};

static int add_ref(struct refs *r, const struct object_ref *ref, struct err *e)
{
    struct object_ref *grown = realloc(r->p, (r->n + 1) * sizeof *grown);
    if (!grown)
        return no_memory(e);
    r->p = grown;
    r->p[r->n++] = *ref;
    return 0;
}

static bool has_ref(const struct refs *r, const struct id *id)
{
    for (size_t i = 0; i < r->n; i++)
        if (id_eq(&r->p[i].id, id))
            return true;
    return false;
}

static int note(struct prune *p, enum object_type type, const struct object_ref *ref, struct err *e)
{
    struct litter_note n = { .type = type == OBJECT_REACH ? OBJECT_LIST : type,
                             .ref = *ref,
                             .generation = p->v->state->generation + 1,
                             .since_s = sys_realtime_s(),
                             .named = true,
                             .run = presence_id(p->v->presence) };
    return litter_put(p->litter, &n, e);
}

static bool names_reach(const struct vault *v, const struct id *id)
{
    for (size_t i = 0; i < v->n_lists; i++)
        for (size_t k = 0; k < v->lists[i]->n; k++)
            if (id_eq(&v->lists[i]->snaps[k].reach.id, id))
                return true;
    return false;
}

/* Lists that those of the remaining snapshots build on, and that none of these names itself. */
static int find_bases(struct prune *p, struct refs *bases, struct err *e)
{
    struct vault *v = p->v;
    int rc = 0;
    for (size_t i = 0; i < v->n_lists; i++)
        for (size_t k = 0; rc == 0 && k < v->lists[i]->n; k++) {
            const struct prune_reach *r = prune_find_reach(p, &v->lists[i]->snaps[k].reach.id);
            while (rc == 0 && r && !id_is_zero(&r->base)) {
                r = prune_find_reach(p, &r->base);
                if (!r)
                    return err_set(e, ERR_DAMAGED,
                                   _("a reach list builds on one that the head does not name"));
                if (has_ref(bases, &r->ref.id))
                    break;
                if (!names_reach(v, &r->ref.id))
                    rc = add_ref(bases, &r->ref, e);
            }
        }
    return rc;
}

static int note_source(struct prune *p, size_t at, struct err *e)
{
    const struct tip *t = &p->v->tips[0];
    for (size_t i = 0; i < t->head->n_lists; i++)
        if (strcmp(t->head->lists[i].source, p->v->lists[at]->source) == 0)
            return note(p, OBJECT_LIST, &t->head->lists[i].ref, e);
    return 0;
}

/* Takes the snapshots out of their lists; `reach` are their reach lists. */
static int drop_snapshots(struct prune *p, const struct plan *now, struct refs *reach,
                          struct err *e)
{
    struct vault *v = p->v;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < v->n_lists; i++) {
        struct source_list *l = v->lists[i];
        size_t kept = 0;
        for (size_t k = 0; k < l->n; k++) {
            struct snap_ref s = l->snaps[k];
            if (rc < 0 || !goes(p->plan, now, &s.ref.id)) {
                l->snaps[kept++] = s;
                continue;
            }
            rc = note(p, OBJECT_SNAPSHOT, &s.ref, e);
            if (rc == 0)
                rc = add_ref(reach, &s.reach, e);
        }
        if (rc == 0 && kept < l->n)
            rc = note_source(p, i, e);
        if (kept < l->n)
            v->list_objects[i] = (struct id){ 0 };
        p->dropped_snapshots += l->n - kept;
        l->n = kept;
    }
    return rc;
}

static void drop_empty_lists(struct vault *v)
{
    size_t kept = 0;
    for (size_t i = 0; i < v->n_lists; i++) {
        if (v->lists[i]->n == 0) {
            source_list_free(v->lists[i]);
            continue;
        }
        v->lists[kept] = v->lists[i];
        v->list_objects[kept++] = v->list_objects[i];
    }
    v->n_lists = kept;
}

static int change_lists(struct prune *p, const struct plan *now, struct err *e)
{
    struct vault *v = p->v;
    struct refs reach = { 0 }, bases = { 0 };
    int rc = drop_snapshots(p, now, &reach, e);
    if (rc == 0)
        rc = find_bases(p, &bases, e);
    for (size_t i = 0; rc == 0 && i < v->state->n_bases; i++)
        rc = add_ref(&reach, &v->state->bases[i], e);
    for (size_t i = 0; rc == 0 && i < reach.n; i++)
        if (!has_ref(&bases, &reach.p[i].id) && !names_reach(v, &reach.p[i].id))
            rc = note(p, OBJECT_REACH, &reach.p[i], e);
    free(reach.p);
    if (rc < 0) {
        free(bases.p);
        return rc;
    }
    drop_empty_lists(v);
    free(v->state->bases);
    v->state->bases = bases.p;
    v->state->n_bases = bases.n;
    return 0;
}

/* --- keys ---------------------------------------------------------------------------------------------------------------- */
struct key_walk {
    struct prune *p;
    size_t next; /* a number for packs that were not weighed */
};

/* Packs that came after the weighing, and those of runs that are under way. */
static int know_keys(void *ctx, const struct object_ref *pack, bool pending, struct err *e)
{
    struct key_walk *w = ctx;
    struct pack_table t;
    (void)pending;
    if (prune_find_pack(w->p, &pack->id))
        return 0;
    int rc = chunkdb_pack_table(w->p->v->db, &pack->id, &t, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc >= 0 && i < t.n_keys; i++)
        rc = marks_add_key(w->p->marks, w->next, &t.keys[i], e);
    w->next++;
    pack_table_done(&t);
    return rc < 0 ? rc : 0;
}

/* What seals a chunk of a pack that stays, or the body of a snapshot that does. */
static int know_needed_keys(struct prune *p, struct err *e)
{
    struct key_walk w = { p, p->n_packs };
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < p->n_packs; i++)
        if (prune_gone(&p->packs[i]))
            rc = marks_drop_keys(p->marks, i, e);
    if (rc >= 0)
        rc = chunkdb_each_pack(p->v->db, know_keys, &w, e);
    for (size_t i = 0; rc >= 0 && i < p->n_bodies; i++)
        rc = marks_add_key(p->marks, w.next, &p->bodies[i].key, e);
    return rc < 0 ? rc : 0;
}

static int put_keys(struct prune *p, const struct data_key *keys, size_t n, struct refs *refs,
                    struct err *e)
{
    int rc = 0;
    for (size_t from = 0; rc == 0 && from < n; from += MAX_KEYS_IN_OBJECT) {
        struct key_set part = { .keys = (struct data_key *)keys + from,
                                .n = n - from < MAX_KEYS_IN_OBJECT ? n - from
                                                                   : MAX_KEYS_IN_OBJECT };
        struct wbuf plain = WBUF_INIT;
        struct object_ref ref;
        key_set_write(&plain, &part);
        rc = put_object(p->v, p->f, OBJECT_KEYS, &plain, &ref, e);
        wbuf_free(&plain);
        if (rc == 0)
            rc = add_ref(refs, &ref, e);
    }
    return rc;
}

/* All keys that are needed in one object (rarely more), instead of those there are. */
static int change_keys(struct prune *p, struct err *e)
{
    struct vault *v = p->v;
    struct key_set *all = v->data_keys;
    struct refs refs = { 0 };
    size_t kept = 0;
    if (v->n_lost_keys || p->bodies_lost || v->n_own_keys || all->n == 0)
        return 0;
    int rc = know_needed_keys(p, e);
    struct data_key *needed = malloc((all->n + 1) * sizeof *needed);
    if (!needed)
        return no_memory(e);
    for (size_t i = 0; rc >= 0 && i < all->n; i++) {
        rc = marks_needs_key(p->marks, &all->keys[i].id, e);
        if (rc > 0)
            needed[kept++] = all->keys[i];
    }
    if (rc < 0 || (kept == all->n && v->state->n_keys <= MAX_LOOSE_OBJECTS / 2)) {
        free(needed);
        return rc < 0 ? rc : 0;
    }
    rc = put_keys(p, needed, kept, &refs, e);
    for (size_t i = 0; rc == 0 && i < v->state->n_keys; i++)
        rc = note(p, OBJECT_KEYS, &v->state->keys[i], e);
    if (rc < 0) {
        free(needed);
        free(refs.p);
        return rc;
    }
    p->dropped_keys = all->n - kept;
    free(all->keys);
    all->keys = needed;
    all->n = kept;
    for (size_t i = 0; refs.p && i < kept; i++)
        v->key_objects[i] = refs.p[i / MAX_KEYS_IN_OBJECT].id;
    free(v->state->keys);
    v->state->keys = refs.p;
    v->state->n_keys = refs.n;
    return 0;
}

/* --- index ---------------------------------------------------------------------------------------------------------------- */
static void count_packs(struct prune *p)
{
    p->waste_bytes = 0;
    for (size_t i = 0; i < p->n_packs; i++) {
        const struct prune_pack *pk = &p->packs[i];
        p->dropped_packs += pk->fate == PACK_DROPPED;
        p->moved_packs += pk->fate == PACK_MOVED;
        p->dropped_pack_bytes += prune_gone(pk) ? pk->ref.len : 0;
        p->waste_bytes += prune_gone(pk) ? 0 : pk->chunk_bytes - pk->live_bytes;
    }
}

static int change_index(struct prune *p, struct err *e)
{
    struct head *s = p->v->state;
    struct id *gone = malloc((p->n_packs + 1) * sizeof *gone);
    struct refs before = { 0 };
    size_t n = 0;
    int rc = gone ? 0 : no_memory(e);
    for (size_t i = 0; rc == 0 && i < p->n_packs; i++)
        if (prune_gone(&p->packs[i])) {
            rc = note(p, OBJECT_PACK, &p->packs[i].ref, e);
            gone[n++] = p->packs[i].ref.id;
        }
    for (size_t i = 0; rc == 0 && i < s->n_index; i++)
        rc = add_ref(&before, &s->index[i], e);
    if (rc == 0)
        rc = publish_index_without(p->v, p->f, gone, n, e);
    for (size_t i = 0; rc == 0 && i < before.n; i++) {
        struct refs now = { s->index, s->n_index };
        if (!has_ref(&now, &before.p[i].id))
            rc = note(p, OBJECT_INDEX, &before.p[i], e);
    }
    free(before.p);
    free(gone);
    return rc;
}

/* --- does everything that is needed have a place? -------------------------------------------------------------------- */
/* The packs were weighed and moved without the lock, by a cache that others bring in step with what *they* see: for one who
 * misses a copy that holds the newest head, packs go out of it for a while, and one that is not in it looks empty. Now, with
 * the lock, the cache agrees with the head, and each pack that is to go is looked at once more. */
static int know_own(void *ctx, const struct object_ref *pack, bool pending, struct err *e)
{
    struct prune *p = ctx;
    struct pack_table t;
    (void)pending;
    int rc = chunkdb_pack_table(p->v->db, &pack->id, &t, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc >= 0 && i < t.n; i++)
        rc = marks_add_moved(p->marks, &t.chunks[i].id, e);
    pack_table_done(&t);
    return rc < 0 ? rc : 0;
}

/* In a new pack, or in one that stays: 1 or 0. */
static int has_place(struct prune *p, const struct id *chunk, struct err *e)
{
    struct chunk_place at[MAX_CHUNK_PLACES];
    int rc = marks_is_moved(p->marks, chunk, e);
    if (rc != 0)
        return rc;
    int n = chunkdb_find(p->v->db, chunk, at, e);
    for (int i = 0; i < n; i++) {
        const struct prune_pack *pk = prune_find_pack(p, &at[i].pack);
        if (!pk || !prune_gone(pk))
            return 1;
    }
    return n < 0 ? n : 0;
}

/* 1: the cache knows what is in the pack, and all of it that is needed is elsewhere. */
static int may_go(struct prune *p, const struct prune_pack *pk, struct err *e)
{
    struct pack_table t;
    int rc = chunkdb_pack_table(p->v->db, &pk->ref.id, &t, e), safe = rc < 0 ? rc : t.n > 0;
    for (size_t i = 0; rc >= 0 && safe > 0 && i < t.n; i++) {
        int live = marks_is_live(p->marks, &t.chunks[i].id, e);
        if (live != 0)
            safe = live < 0 ? live : has_place(p, &t.chunks[i].id, e);
    }
    if (rc >= 0)
        pack_table_done(&t);
    return safe;
}

static int check_gone(struct prune *p, struct err *e)
{
    marks_forget_moved(p->marks);
    int rc = chunkdb_each_own(p->v->db, know_own, p, e);
    for (size_t i = 0; rc == 0 && i < p->n_packs; i++) {
        int safe = prune_gone(&p->packs[i]) ? may_go(p, &p->packs[i], e) : 1;
        if (safe < 0)
            return safe;
        if (safe == 0) {
            err_set(e, ERR_BUSY,
                    _("another job saw fewer copies meanwhile; nothing was taken away"));
            rc = err_next(e, _("run it again; if it comes again: twofold status"));
        }
    }
    return rc;
}

/* --- the whole -------------------------------------------------------------------------------------------------------------- */
static int any_own(void *ctx, const struct object_ref *pack, bool pending, struct err *e)
{
    (void)ctx;
    (void)pack;
    (void)pending;
    (void)e;
    return 1;
}

/* 1: something changes. A head is also due when the newest one is the first without what waits to be deleted: then two are
 * whole without it (docs/format.md, rule 10). */
static int is_due(struct prune *p, const struct plan *now, struct err *e)
{
    const struct litter_note *notes;
    size_t n;
    int rc = chunkdb_each_own(p->v->db, any_own, NULL, e);
    if (rc == 0)
        rc = litter_all(p->litter, &notes, &n, e);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        if (notes[i].named && notes[i].generation == p->v->state->generation)
            return 1;
    for (size_t i = 0; i < p->n_packs; i++)
        if (prune_gone(&p->packs[i]))
            return 1;
    for (size_t i = 0; i < p->v->n_lists; i++)
        for (size_t k = 0; k < p->v->lists[i]->n; k++)
            if (goes(p->plan, now, &p->v->lists[i]->snaps[k].ref.id))
                return 1;
    return 0;
}

static int change_all(struct prune *p, const struct plan *now, struct err *e)
{
    int rc = litter_begin(p->litter, e);
    if (rc < 0)
        return rc;
    p->v->dirty = true;
    rc = change_lists(p, now, e);
    if (rc == 0)
        rc = change_keys(p, e);
    if (rc == 0)
        rc = change_index(p, e);
    rc = litter_finish(p->litter, rc, e);
    if (rc == 0)
        rc = publish_head(p->v, p->f, true, NULL, NULL, &p->published, e);
    if (rc < 0)
        return rc;
    p->committed = true;
    count_packs(p);
    return litter_date(p->litter, presence_id(p->v->presence), p->published.generation, e);
}

static int commit_locked(struct prune *p, struct err *e)
{
    struct plan *now = NULL;
    int rc = publish_check(p->v, false, e);
    if (rc == 0 && p->v->n_tips != 1) {
        err_set(e, ERR_REFUSED, _("orchestrators have written at the same time (a fork)"));
        rc = err_next(e, _("merge it first: twofold replicate"));
    }
    if (rc == 0 && p->v->n_lost_lists) {
        err_set(e, ERR_DAMAGED, _("a list of backups is damaged in every copy"));
        rc = err_next(e, _("see what is left, and mend it: twofold repair"));
    }
    if (rc == 0)
        rc = plan_make(p->app, p->v, &p->options, &now, e);
    if (rc == 0)
        rc = look_again(p, now, e);
    if (rc == 0)
        rc = is_due(p, now, e);
    bool due = rc > 0;
    if (due)
        rc = check_gone(p, e);
    if (due && rc == 0)
        rc = change_all(p, now, e);
    plan_free(now);
    return rc;
}

int prune_commit(struct prune *p, struct err *e)
{
    struct err why = ERR_INIT;
    prune_tell(p, N_("committing"), 0, 0);
    int rc = vault_lock(p->v, e);
    if (rc < 0)
        return rc;
    rc = commit_locked(p, e);
    vault_unlock(p->v);
    chunkdb_undoom_all(p->v->db, presence_id(p->v->presence), NULL);
    if (rc < 0)
        return rc;
    if (publish_replicate(p->v, p->f, false, NULL, NULL, &p->published, &why) < 0)
        for (size_t i = 0; i < p->v->n_copies; i++)
            if (!p->published.current[i] && !p->published.problem[i].code)
                p->published.problem[i] = why;
    return 0;
}
