/* sweep.c - deletes what no head reaches; see sweep.h. */
#include "orchestrator/prune/sweep.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/transfer.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LOOK_MS 2000 /* how often, while deleting, whether another orchestrator has written */

enum seen_state { SEEN_LITTER, SEEN_REACHED, SEEN_DUE };
struct seen {
    enum object_type
        type; /* lists of both types are OBJECT_LIST: the name does not tell them apart */
    struct object_ref ref;
    uint64_t generation; /* of its note, when it is due */
    uint8_t copies;      /* a bit for each that has it */
    uint8_t state;
};
struct copy_heads {
    struct seen_head *h;
    size_t n;
};
struct sweep {
    struct vault *v;
    struct litter *l;
    const struct sweep_options *o;
    struct swept *ret;
    struct seen *seen;
    size_t n, cap, sorted; /* the first `sorted` are in order */
    size_t at;             /* the copy that is listed */
    enum object_type type; /* that is listed */
    struct copy_heads heads[MAX_COPIES];
    uint32_t listed; /* copies that were listed to the end */
    uint64_t oldest; /* generation that a live process works from */
    bool damage;     /* some is noted: what goes is no longer damaged */
    uint64_t done, total;
    uint64_t looked_ms; /* when the heads were last looked at again; 0: not yet */
    bool others;        /* another orchestrator has written since they were listed */
};

static const struct {
    const char *prefix;
    enum object_type type;
} kinds[] = { /* in the order in which they are deleted */
              { "snapshots/", OBJECT_SNAPSHOT },
              { "lists/", OBJECT_LIST },
              { "index/", OBJECT_INDEX },
              { "keys/", OBJECT_KEYS },
              { "packs/", OBJECT_PACK }
};
#define KINDS (sizeof kinds / sizeof *kinds)

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

static int seen_cmp(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;
    if (x->type != y->type)
        return x->type < y->type ? -1 : 1;
    return id_cmp(&x->ref.id, &y->ref.id);
}

static struct seen *find(const struct sweep *s, enum object_type type, const struct id *id)
{
    struct seen key = { .type = type == OBJECT_REACH ? OBJECT_LIST : type, .ref = { .id = *id } };
    return s->sorted ? bsearch(&key, s->seen, s->sorted, sizeof *s->seen, seen_cmp) : NULL;
}

/* --- what lies on the copies ------------------------------------------------------------------------------------------ */
static int see(void *ctx, const char *name, uint64_t len)
{
    struct sweep *s = ctx;
    struct seen one = { .type = s->type, .copies = (uint8_t)(1u << s->at) };
    if (!object_name_parse(s->type, name, NULL, &one.ref.id))
        return 0; /* whatever it is, it is not ours to delete */
    one.ref.len = len;
    struct seen *known = find(s, s->type, &one.ref.id);
    if (known) {
        known->copies |= one.copies;
        return 0;
    }
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 1024;
        struct seen *grown = realloc(s->seen, cap * sizeof *grown);
        if (!grown)
            return -ERR_NOMEM;
        s->seen = grown;
        s->cap = cap;
    }
    s->seen[s->n++] = one;
    return 0;
}

static int list_copy(struct sweep *s, struct err *e)
{
    struct store *store = s->v->copies[s->at].store;
    struct copy_heads *heads = &s->heads[s->at];
    int rc = heads_of_store(store, &heads->h, &heads->n, e);
    for (size_t k = 0; rc == 0 && k < KINDS; k++) {
        s->type = kinds[k].type;
        rc = store_list(store, kinds[k].prefix, see, s, e);
        if (rc == 0 && sys_interrupted())
            rc = err_set(e, ERR_INTERRUPTED, _("interrupted; run it again to go on"));
    }
    if (s->n)
        qsort(s->seen, s->n, sizeof *s->seen, seen_cmp);
    s->sorted = s->n;
    return rc == -ERR_NOMEM ? no_memory(e) : rc;
}

static bool answers(const struct copy *c)
{
    return c->store && (c->state == COPY_CURRENT || c->state == COPY_BEHIND);
}

static int list_copies(struct sweep *s, struct err *e)
{
    for (s->at = 0; s->at < s->v->n_copies; s->at++) {
        struct swept_copy *r = &s->ret->copies[s->at];
        const struct copy *c = &s->v->copies[s->at];
        if (!answers(c)) {
            r->problem = c->problem;
            continue;
        }
        int rc = list_copy(s, &r->problem);
        if (rc == -ERR_INTERRUPTED || rc == -ERR_NOMEM) {
            if (e)
                *e = r->problem;
            return rc;
        }
        s->listed |= rc == 0 ? 1u << s->at : 0;
    }
    return 0;
}

/* --- what is still reached -------------------------------------------------------------------------------------------- */
static int reach_one(void *ctx, enum object_type type, const struct object_ref *ref, struct err *e)
{
    struct sweep *s = ctx;
    struct seen *o = find(s, type, &ref->id);
    (void)e;
    if (o)
        o->state = SEEN_REACHED;
    return 0;
}

static int reach_pack(void *ctx, const struct object_ref *pack, bool pending, struct err *e)
{
    (void)pending;
    return reach_one(ctx, OBJECT_PACK, pack, e);
}

static int reach_key(void *ctx, bool own, const struct data_key *k, const struct object_ref *ref,
                     struct err *e)
{
    (void)own;
    (void)k;
    return reach_one(ctx, OBJECT_KEYS, ref, e);
}

static int look_at_process(void *ctx, const struct presence_info *p, struct err *e)
{
    struct sweep *s = ctx;
    (void)e;
    if (p->id == presence_id(s->v->presence) || p->generation >= s->oldest)
        return 0;
    s->oldest = p->generation;
    snprintf(s->ret->holder, sizeof s->ret->holder, _("%s (process %ld)"), p->what, p->pid);
    return 0;
}

static int mark_reached(struct sweep *s, struct err *e)
{
    struct vault *v = s->v;
    int rc = transfer_each_reached(v, reach_one, s, e);
    if (rc == 0)
        rc = chunkdb_each_pack(v->db, reach_pack, s, e); /* pending ones of all runs */
    if (rc == 0)
        rc = chunkdb_each_pending_key(v->db, reach_key, s, e);
    s->oldest = v->state->generation;
    if (rc == 0 && v->sessions_dir)
        rc = presence_each(v->sessions_dir, look_at_process, s, e);
    return rc;
}

/* --- what is due --------------------------------------------------------------------------------------------------------- */
static bool is_due(const struct sweep *s, const struct litter_note *n)
{
    uint64_t newest = s->v->state->generation;
    if (n->run == presence_id(s->v->presence) || n->generation >= newest ||
        n->generation > s->oldest)
        return false;
    int64_t age_s = sys_realtime_s() - n->since_s;
    return n->named || (age_s >= SWEEP_STRAY_S && n->generation + 1 < newest);
}

/* Notes of what is reached again, or lies nowhere any more, are dropped. */
static int use_notes(struct sweep *s, bool **ret_noted, struct err *e)
{
    const struct litter_note *notes;
    size_t n = 0;
    bool all = s->listed == (1u << s->v->n_copies) - 1, *noted = calloc(s->n + 1, sizeof *noted);
    int rc = noted ? litter_all(s->l, &notes, &n, e) : no_memory(e);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct seen *o = find(s, notes[i].type, &notes[i].ref.id);
        if (o && o->state != SEEN_REACHED) {
            noted[o - s->seen] = true;
            if (is_due(s, &notes[i])) {
                o->state = SEEN_DUE;
                o->generation = notes[i].generation;
            }
        } else if ((o || all) && !s->o->dry_run) {
            rc = litter_drop(s->l, notes[i].type, &notes[i].ref.id, e);
        }
    }
    *ret_noted = noted;
    return rc;
}

static int note_new(struct sweep *s, const bool *noted, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < s->n && !s->o->dry_run; i++) {
        struct litter_note n = { .type = s->seen[i].type,
                                 .ref = s->seen[i].ref,
                                 .generation = s->v->state->generation,
                                 .since_s = sys_realtime_s(),
                                 .run = presence_id(s->v->presence) };
        if (s->seen[i].state == SEEN_LITTER && !noted[i])
            rc = litter_put(s->l, &n, e);
    }
    return rc;
}

static int decide(struct sweep *s, struct err *e)
{
    bool *noted = NULL;
    int rc = mark_reached(s, e);
    if (rc == 0 && !s->o->dry_run)
        rc = litter_begin(s->l, e);
    if (rc < 0)
        return rc;
    rc = use_notes(s, &noted, e);
    if (rc == 0)
        rc = note_new(s, noted, e);
    if (!s->o->dry_run)
        rc = litter_finish(s->l, rc, e);
    free(noted);
    return rc;
}

static int decide_locked(struct sweep *s, struct err *e)
{
    if (s->o->dry_run)
        return decide(s, e);
    int rc = vault_lock(s->v, e);
    if (rc < 0)
        return rc;
    rc = decide(s, e);
    vault_unlock(s->v);
    return rc;
}

/* --- one copy ------------------------------------------------------------------------------------------------------------- */
/* Why nothing may be deleted here; NULL: it may. */
static const char *leave_alone(const struct sweep *s, size_t i)
{
    const struct copy *c = &s->v->copies[i];
    if (s->v->n_tips != 1)
        return _(
            "orchestrators have written at the same time (a fork); merge it: twofold replicate");
    if (!answers(c))
        return _("it is away; its turn comes when it is back");
    if (c->bad_heads || c->rolled_back)
        return _("its heads are damaged or older than they were; see: twofold status");
    if (c->state != COPY_CURRENT)
        return _("it is behind; catch it up: twofold replicate");
    return NULL;
}

static int any_damage(void *ctx, const char *place, const char *name, const char *why,
                      struct err *e)
{
    (void)place;
    (void)name;
    (void)why;
    (void)e;
    *(bool *)ctx = true;
    return 1;
}

/* This orchestrator's lock does not hold off another's merge of a fork, which may take back what goes here. */
static int look_for_others(struct sweep *s, struct err *e)
{
    uint64_t now = sys_monotonic_ms();
    bool again = !s->looked_ms || now - s->looked_ms >= LOOK_MS;
    for (size_t i = 0; again && !s->others && i < s->v->n_copies; i++) {
        struct copy *c = &s->v->copies[i];
        struct err why = ERR_INIT;
        bool others = false;
        int rc = s->listed & (1u << i)
                     ? vault_others_wrote(s->v, c, s->heads[i].h, s->heads[i].n, &others, &why)
                     : 0;
        if (rc < 0 && i == s->at) { /* another may be away by now */
            if (e)
                *e = why;
            return rc;
        }
        s->others = others;
    }
    if (again)
        s->looked_ms = sys_monotonic_ms();
    if (!s->others)
        return 0;
    err_set(e, ERR_BUSY, _("another orchestrator has written to the vault meanwhile"));
    return err_next(e, _("see who: twofold status"));
}

static int delete_one(struct sweep *s, const char *name, uint64_t len, struct err *e)
{
    struct swept_copy *r = &s->ret->copies[s->at];
    if (sys_interrupted())
        return err_set(e, ERR_INTERRUPTED, _("interrupted; run it again to go on"));
    int rc = 0;
    if (!s->o->dry_run) {
        rc = look_for_others(s, e);
        if (rc == 0)
            rc = store_delete(s->v->copies[s->at].store, name, e);
        if (rc == 0 && s->damage)
            rc = chunkdb_clear_damage(s->v->db, s->v->copies[s->at].place, name, e);
    }
    if (rc < 0)
        return rc;
    r->objects++;
    r->bytes += len;
    if (s->o->ui && s->total) {
        struct ui_progress p = { .phase = N_("deleting"),
                                 .files = ++s->done,
                                 .total_files = s->total };
        ui_progress(s->o->ui, &p);
    }
    return 0;
}

/* A head implies that everything it reaches is there (rule 3): those from before what goes go first. The newest stays in any
 * case, and so does the one before it, which is not older than any note that is due. */
static int delete_heads(struct sweep *s, struct err *e)
{
    struct copy_heads *c = &s->heads[s->at];
    char name[MAX_OBJECT_NAME];
    uint64_t before = 0;
    int rc = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->seen[i].state == SEEN_DUE && s->seen[i].copies & (1u << s->at) &&
            s->seen[i].generation > before)
            before = s->seen[i].generation;
    for (size_t i = 0; rc == 0 && i < c->n; i++)
        if (c->h[i].generation < before && !id_eq(&c->h[i].id, &s->v->tips[0].id))
            rc = delete_one(s, head_name(c->h[i].generation, &c->h[i].id, name), c->h[i].len, e);
    return rc;
}

static int delete_due(struct sweep *s, struct err *e)
{
    char name[MAX_OBJECT_NAME];
    int rc = delete_heads(s, e);
    for (size_t k = 0; k < KINDS; k++)
        for (size_t i = 0; rc == 0 && i < s->n; i++) {
            const struct seen *o = &s->seen[i];
            if (o->state == SEEN_DUE && o->type == kinds[k].type && o->copies & (1u << s->at))
                rc = delete_one(s, object_name(o->type, &o->ref.id, name), o->ref.len, e);
        }
    return rc;
}

/* --- aside/ --------------------------------------------------------------------------------------------------------------- */
struct old_names {
    char (*names)[MAX_STORE_NAME + 1];
    uint64_t *lens;
    size_t n, cap;
    int64_t before_s;
};

/* When it was set aside: "aside/20261125t150000z/…", "aside/head-1764082800/…"; 0: nobody can tell. */
static int64_t stamp_time(const char *name)
{
    char stamp[64];
    struct tm tm = { 0 };
    if (sscanf(name, "aside/%63[^/]/", stamp) != 1)
        return 0;
    const char *rest = strptime(stamp, "%Y%m%dt%H%M%Sz", &tm);
    if (rest && (*rest == '\0' || *rest == '-'))
        return timegm(&tm);
    const char *dash = strrchr(stamp, '-');
    char *end = NULL;
    long long s = dash ? strtoll(dash + 1, &end, 10) : 0;
    return dash && end != dash + 1 && *end == '\0' && s > 1000000000 ? s : 0;
}

static int note_old(void *ctx, const char *name, uint64_t len)
{
    struct old_names *o = ctx;
    int64_t at = stamp_time(name);
    if (at == 0 || at > o->before_s || strlen(name) > MAX_STORE_NAME)
        return 0;
    if (o->n == o->cap) {
        size_t cap = o->cap ? 2 * o->cap : 32;
        void *names = realloc(o->names, cap * sizeof *o->names);
        if (names)
            o->names = names;
        uint64_t *lens = names ? realloc(o->lens, cap * sizeof *lens) : NULL;
        if (!lens)
            return -ERR_NOMEM;
        o->lens = lens;
        o->cap = cap;
    }
    snprintf(o->names[o->n], sizeof *o->names, "%s", name);
    o->lens[o->n++] = len;
    return 0;
}

static int delete_aside(struct sweep *s, struct err *e)
{
    struct old_names old = { .before_s = sys_realtime_s() - SWEEP_ASIDE_S };
    int rc = store_list(s->v->copies[s->at].store, "aside/", note_old, &old, e);
    if (rc == -ERR_NOMEM)
        rc = no_memory(e);
    for (size_t i = 0; rc == 0 && i < old.n; i++) {
        rc = delete_one(s, old.names[i], old.lens[i], e);
        s->ret->copies[s->at].aside_bytes += rc == 0 ? old.lens[i] : 0;
    }
    free(old.names);
    free(old.lens);
    return rc;
}

/* --- the whole ------------------------------------------------------------------------------------------------------------- */
static void count_later(struct sweep *s, size_t i, bool all)
{
    struct swept_copy *r = &s->ret->copies[i];
    for (size_t k = 0; k < s->n; k++) {
        const struct seen *o = &s->seen[k];
        if (o->copies & (1u << i) && (o->state == SEEN_LITTER || (all && o->state == SEEN_DUE))) {
            r->later++;
            r->later_bytes += o->ref.len;
        }
    }
}

static int sweep_copy(struct sweep *s, struct err *e)
{
    struct swept_copy *r = &s->ret->copies[s->at];
    const char *why = leave_alone(s, s->at);
    if (!(s->listed & (1u << s->at)) || why) {
        snprintf(r->waits, sizeof r->waits, "%s", why ? why : r->problem.why);
        count_later(s, s->at, true);
        return 0;
    }
    count_later(s, s->at, false);
    int rc = delete_due(s, &r->problem);
    if (rc == 0)
        rc = delete_aside(s, &r->problem);
    r->swept = rc == 0;
    if (rc == -ERR_INTERRUPTED || rc == -ERR_NOMEM) {
        if (e)
            *e = r->problem;
        return rc;
    }
    return 0;
}

static void count_due(struct sweep *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->seen[i].state == SEEN_DUE)
            s->total += (uint64_t)__builtin_popcount(s->seen[i].copies);
}

int sweep_run(struct vault *v, struct litter *l, const struct sweep_options *o, struct swept *ret,
              struct err *e)
{
    struct sweep s = { .v = v, .l = l, .o = o, .ret = ret };
    memset(ret, 0, sizeof *ret);
    int rc = list_copies(&s, e);
    if (rc == 0)
        rc = decide_locked(&s, e);
    if (rc == 0)
        count_due(&s);
    if (rc == 0 && chunkdb_each_damage(v->db, any_damage, &s.damage, e) < 0)
        rc = -ERR_IO;
    for (s.at = 0; rc == 0 && s.at < v->n_copies; s.at++)
        rc = sweep_copy(&s, e);
    for (size_t i = 0; i < MAX_COPIES; i++)
        free(s.heads[i].h);
    free(s.seen);
    return rc;
}
