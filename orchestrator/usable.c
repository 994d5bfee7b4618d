/* usable.c - which snapshots can be restored from the copies as they are; see usable.h. */
#include "orchestrator/usable.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/transfer.h"
#include <stdlib.h>
#include <string.h>

#define LIST_MS 30000 /* of a copy that may hang */

struct noted {
    struct id pack;
    uint32_t copies; /* bits */
};

struct usable {
    struct vault *v;
    uint32_t asked;  /* copies that count, */
    uint32_t listed; /* and those that have said what they have */
    struct listing *packs[MAX_COPIES];
    struct noted *noted; /* ascending */
    size_t n, cap;
    struct id *last; /* what the snapshot that was asked for last reaches, ascending, */
    uint8_t *states; /* and how it is about each */
    size_t n_last;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

/* --- what the copies have -------------------------------------------------------------------------- */
static int by_pack(const void *a, const void *b)
{
    return id_cmp(&((const struct noted *)a)->pack, &((const struct noted *)b)->pack);
}

static int take_note(void *ctx, const char *place, const char *name, const char *why, struct err *e)
{
    struct usable *u = ctx;
    struct noted n = { .copies = 0 };
    (void)why;
    for (size_t i = 0; i < u->v->n_copies; i++)
        n.copies |= strcmp(u->v->copies[i].place, place) == 0 ? 1u << i : 0;
    if (!n.copies || !object_name_parse(OBJECT_PACK, name, NULL, &n.pack))
        return 0;
    if (u->n == u->cap) {
        size_t cap = u->cap ? 2 * u->cap : 64;
        struct noted *grown = realloc(u->noted, cap * sizeof *grown);
        if (!grown)
            return no_memory(e);
        u->noted = grown;
        u->cap = cap;
    }
    u->noted[u->n++] = n;
    return 0;
}

/* One entry a pack. */
static void sort_notes(struct usable *u)
{
    size_t kept = 0;
    if (u->n > 0)
        qsort(u->noted, u->n, sizeof *u->noted, by_pack);
    for (size_t i = 0; i < u->n; i++) {
        if (kept > 0 && id_eq(&u->noted[kept - 1].pack, &u->noted[i].pack))
            u->noted[kept - 1].copies |= u->noted[i].copies;
        else
            u->noted[kept++] = u->noted[i];
    }
    u->n = kept;
}

static void list_copies(struct usable *u)
{
    for (size_t i = 0; i < u->v->n_copies; i++) {
        struct copy *c = &u->v->copies[i];
        if (!(u->asked & (1u << i)) || !c->store || c->state == COPY_AWAY)
            continue;
        store_patience(c->store, LIST_MS);
        if (listing_load(c->store, "packs/", &u->packs[i], NULL) == 0)
            u->listed |= 1u << i;
    }
}

int usable_new(struct vault *v, int only, struct usable **ret, struct err *e)
{
    struct usable *u = calloc(1, sizeof *u);
    if (!u)
        return no_memory(e);
    u->v = v;
    for (size_t i = 0; i < v->n_copies; i++)
        if (v->copies[i].state != COPY_WRONG && (only < 0 || i == (size_t)only))
            u->asked |= 1u << i;
    int rc = vault_need_index(v, e);
    if (rc == 0)
        rc = chunkdb_each_damage(v->db, take_note, u, e);
    if (rc < 0) {
        usable_free(u);
        return rc;
    }
    sort_notes(u);
    list_copies(u);
    *ret = u;
    return 0;
}

void usable_free(struct usable *u)
{
    if (!u)
        return;
    for (size_t i = 0; i < MAX_COPIES; i++)
        listing_free(u->packs[i]);
    free(u->noted);
    free(u->last);
    free(u->states);
    free(u);
}

/* --- one chunk --------------------------------------------------------------------------------------- */
static bool key_is_known(const struct vault *v, const struct id *key)
{
    for (size_t i = 0; i < v->data_keys->n; i++)
        if (id_eq(&v->data_keys->keys[i].id, key))
            return true;
    return false;
}

static enum usable_state state_of_place(const struct usable *u, const struct chunk_place *p)
{
    struct noted key = { .pack = p->pack };
    const struct noted *n = u->n ? bsearch(&key, u->noted, u->n, sizeof *u->noted, by_pack) : NULL;
    enum usable_state best = u->asked & ~u->listed ? USABLE_AWAY : USABLE_LOST;
    if (!key_is_known(u->v, &p->key_id))
        return USABLE_LOST;
    for (size_t i = 0; i < u->v->n_copies; i++) {
        if (!(u->listed & (1u << i)) || !listing_has(u->packs[i], &p->pack, p->pack_len))
            continue;
        if (!n || !(n->copies & (1u << i)))
            return USABLE_WHOLE;
        best = USABLE_DOUBTFUL;
    }
    return best;
}

static int state_of(struct usable *u, const struct id *chunk, enum usable_state *ret, struct err *e)
{
    struct chunk_place at[MAX_CHUNK_PLACES];
    int n = chunkdb_find(u->v->db, chunk, at, e);
    int known = n > 0 ? chunkdb_has(u->v->db, chunk, e) : n;
    *ret = USABLE_LOST; /* in no pack, or found out to be lost everywhere */
    for (int i = 0; known > 0 && i < n; i++) {
        enum usable_state s = state_of_place(u, &at[i]);
        *ret = s < *ret ? s : *ret;
    }
    return known < 0 ? known : 0;
}

/* --- one snapshot --------------------------------------------------------------------------------------- */
/* What it reaches, as it is: what the one before reached, too, is known. */
static int judge(struct usable *u, struct id *now, size_t n, struct usable_answer *ret,
                 struct err *e)
{
    uint8_t *states = malloc(n + 1);
    int rc = states ? 0 : no_memory(e);
    for (size_t i = 0, k = 0; rc == 0 && i < n; i++) {
        enum usable_state s = USABLE_WHOLE;
        while (k < u->n_last && id_cmp(&u->last[k], &now[i]) < 0)
            k++;
        if (k < u->n_last && id_eq(&u->last[k], &now[i]))
            s = (enum usable_state)u->states[k];
        else
            rc = state_of(u, &now[i], &s, e);
        states[i] = (uint8_t)s;
        ret->chunks[s]++;
        ret->state = s > ret->state ? s : ret->state;
        if (rc == 0 && sys_interrupted())
            rc = err_set(e, ERR_INTERRUPTED, _("interrupted"));
    }
    if (rc < 0) {
        free(states);
        free(now);
        return rc;
    }
    free(u->last);
    free(u->states);
    u->last = now;
    u->states = states;
    u->n_last = n;
    return 0;
}

int usable_ask(struct usable *u, const struct snap_ref *s, struct usable_answer *ret, struct err *e)
{
    struct snapshot *snap = NULL;
    struct id *now = NULL;
    size_t n = 0;
    struct err why = ERR_INIT;
    *ret = (struct usable_answer){ .state = USABLE_WHOLE };
    int rc = vault_snapshot(u->v, &s->ref, &snap, &why);
    bool key = rc == 0 && key_is_known(u->v, &snap->key_id);
    snapshot_free(snap);
    if (rc == -ERR_UNREACHABLE || rc == -ERR_DAMAGED || rc == -ERR_ABSENT || (rc == 0 && !key)) {
        ret->state = rc == -ERR_UNREACHABLE ? USABLE_AWAY : USABLE_LOST;
        return 0;
    }
    if (rc == 0)
        rc = vault_reach(u->v, &s->reach, &now, &n, &why);
    if (rc == -ERR_UNREACHABLE || rc == -ERR_DAMAGED || rc == -ERR_ABSENT) {
        ret->state = USABLE_DOUBTFUL;
        return 0;
    }
    if (rc < 0) {
        if (e)
            *e = why;
        return rc;
    }
    return judge(u, now, n, ret, e);
}

int usable_older(struct usable *u, const struct source_list *l, size_t at, size_t *ret_at,
                 struct usable_answer *ret, struct err *e)
{
    unsigned best = 0;
    for (size_t i = at < l->n ? at : l->n; i-- > 0 && best < 4;) {
        struct usable_answer a;
        int rc = usable_ask(u, &l->snaps[i], &a, e);
        if (rc < 0)
            return rc;
        if (a.state > USABLE_DOUBTFUL)
            continue;
        unsigned good = (a.state == USABLE_WHOLE ? 2u : 0u) +
                        (l->snaps[i].state == SNAPSHOT_WHOLE ? 2u : 1u);
        if (good <= best)
            continue;
        best = good;
        *ret_at = i;
        *ret = a;
    }
    return best ? 0
                : err_set(e, ERR_ABSENT, _("no older backup can be restored from these copies"));
}
