/* plan.c - which snapshots go; see plan.h. */
#include "orchestrator/prune/plan.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/look.h"
#include "orchestrator/prune/holds.h"
#include "orchestrator/prune/logs.h"
#include <stdio.h>
#include <stdlib.h>

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

/* Ids of snapshots that runs may build on, ascending. */
struct offered {
    struct id *ids;
    size_t n, cap;
};

static int add_offered(void *ctx, uint64_t session, const struct id *id, struct err *e)
{
    struct offered *o = ctx;
    (void)session;
    if (o->n == o->cap) {
        size_t cap = o->cap ? 2 * o->cap : 64;
        struct id *grown = realloc(o->ids, cap * sizeof *grown);
        if (!grown)
            return no_memory(e);
        o->ids = grown;
        o->cap = cap;
    }
    o->ids[o->n++] = *id;
    return 0;
}

static int by_id(const void *a, const void *b)
{
    return id_cmp(a, b);
}

static bool is_offered(const struct offered *o, const struct id *id)
{
    return o->n && bsearch(id, o->ids, o->n, sizeof *o->ids, by_id);
}

/* --- one source --------------------------------------------------------------------------------------------------- */
static void keep_all(struct plan_source *s, const char *why)
{
    for (size_t i = 0; i < s->n; i++) {
        s->snaps[i].keep.rules = KEPT_ALL;
        snprintf(s->snaps[i].keep.why, sizeof s->snaps[i].keep.why, "%s", why);
    }
}

static void forget_all(struct plan_source *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct retained *r = &s->snaps[i].keep;
        r->rules = r->hold ? KEPT_HOLD : 0;
        snprintf(r->why, sizeof r->why, "%s", r->hold ? _("hold") : "");
    }
}

static int apply_policy(struct plan_source *s, const struct policy *p, struct err *e)
{
    struct retained *r = calloc(s->n + 1, sizeof *r);
    if (!r)
        return no_memory(e);
    for (size_t i = 0; i < s->n; i++)
        r[i] = s->snaps[i].keep;
    retention_apply(&p->retention, p->class, sys_realtime_ns(), r, s->n);
    for (size_t i = 0; i < s->n; i++)
        s->snaps[i].keep = r[i];
    free(r);
    return 0;
}

static int judge(struct app *app, const struct vault *v, const struct plan_options *o,
                 struct plan_source *s, struct err *e)
{
    struct policy *p = NULL;
    if (o->policy && strcmp(o->policy, s->policy) != 0) {
        keep_all(s, _("not asked for"));
        return 0;
    }
    int rc = config_name_ok(s->policy) ? policy_load(&app->paths, s->policy, &p, e) : -ERR_NAME;
    bool forget = o->forget && strcmp(o->forget, s->policy) == 0;
    if (rc == 0 && forget) {
        err_set(e, ERR_REFUSED, _("the policy \"%s\" is still there"), s->policy);
        rc = err_next(e, _("remove its file first, or give it a retention"));
    } else if (rc == -ERR_NAME && forget) {
        err_clear(e);
        forget_all(s);
        rc = 0;
    } else if (rc == -ERR_NAME) {
        err_clear(e);
        keep_all(s, _("its policy is gone"));
        rc = 0;
    } else if (rc == 0 && p->vault[0] && strcmp(p->vault, v->name) != 0) {
        keep_all(s, _("its policy writes to another vault"));
    } else if (rc == 0) {
        rc = apply_policy(s, p, e);
    }
    policy_free(p);
    return rc;
}

static int fill(struct vault *v, const struct source_list *l, const struct offered *offered,
                struct plan_source *s, struct err *e)
{
    char policy[MAX_FORMAT_NAME + 1];
    s->source = strdup(l->source);
    s->policy = strdup(source_policy(l->source, policy));
    s->snaps = calloc(l->n + 1, sizeof *s->snaps);
    if (!s->source || !s->policy || !s->snaps)
        return no_memory(e);
    for (s->n = 0; s->n < l->n; s->n++) {
        struct plan_snap *ps = &s->snaps[s->n];
        int held = hold_is_set(v, &l->snaps[s->n], e);
        if (held < 0)
            return held;
        ps->ref = l->snaps[s->n];
        ps->keep.received_ns = ps->ref.received_ns;
        ps->keep.whole = ps->ref.state == SNAPSHOT_WHOLE;
        ps->keep.quarantine = (ps->ref.flags & SNAPSHOT_QUARANTINE) != 0;
        ps->keep.hold = held;
        ps->base = is_offered(offered, &ps->ref.ref.id);
    }
    return 0;
}

static void count(struct plan *p, struct plan_source *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->snaps[i].base && s->snaps[i].keep.rules == 0)
            snprintf(s->snaps[i].keep.why, sizeof s->snaps[i].keep.why, "%s",
                     _("a backup that is running may build on it"));
        s->dropped += plan_goes(&s->snaps[i]);
    }
    p->dropped += s->dropped;
    p->kept += s->n - s->dropped;
}

/* A policy of which only the log is left may be forgotten, too. */
static int check_names(struct app *app, struct vault *v, const struct plan *p,
                       const struct plan_options *o, struct err *e)
{
    const char *names[] = { o->policy, o->forget };
    for (size_t k = 0; k < 2; k++) {
        bool found = !names[k];
        for (size_t i = 0; i < p->n && !found; i++)
            found = strcmp(p->sources[i].policy, names[k]) == 0;
        if (!found && !(k == 1 && prune_logs_of(app, v, names[k]))) {
            err_set(e, ERR_NAME, _("the vault holds no backups of a policy \"%s\""), names[k]);
            return err_next(e, _("see which there are: twofold snapshots"));
        }
    }
    return 0;
}

static int by_snapshot(const void *a, const void *b)
{
    const struct plan_snap *x = *(const struct plan_snap *const *)a,
                           *y = *(const struct plan_snap *const *)b;
    return id_cmp(&x->ref.ref.id, &y->ref.ref.id);
}

static int order(struct plan *p, struct err *e)
{
    size_t n = 0;
    p->by_id = calloc(p->kept + p->dropped + 1, sizeof(const struct plan_snap *)); /* NOLINT */
    if (!p->by_id)
        return no_memory(e);
    for (size_t i = 0; i < p->n; i++)
        for (size_t k = 0; k < p->sources[i].n; k++)
            p->by_id[n++] = &p->sources[i].snaps[k];
    qsort(p->by_id, n, sizeof(const struct plan_snap *), by_snapshot); /* NOLINT */
    return 0;
}

int plan_make(struct app *app, struct vault *v, const struct plan_options *o, struct plan **ret,
              struct err *e)
{
    struct offered offered = { 0 };
    struct plan *p = calloc(1, sizeof *p);
    if (p)
        p->sources = calloc(v->n_lists + 1, sizeof *p->sources);
    int rc = !p || !p->sources ? no_memory(e) : 0;
    if (rc == 0 && v->sessions_dir)
        rc = presence_each_offer(v->sessions_dir, presence_id(v->presence), add_offered, &offered,
                                 e);
    if (rc == 0 && offered.n)
        qsort(offered.ids, offered.n, sizeof *offered.ids, by_id);
    for (size_t i = 0; rc == 0 && i < v->n_lists; i++) {
        struct plan_source *s = &p->sources[p->n++];
        rc = fill(v, v->lists[i], &offered, s, e);
        if (rc == 0)
            rc = judge(app, v, o, s, e);
        if (rc == 0)
            count(p, s);
    }
    free(offered.ids);
    if (rc == 0)
        rc = order(p, e);
    if (rc == 0)
        rc = check_names(app, v, p, o, e);
    if (rc < 0) {
        plan_free(p);
        return rc;
    }
    *ret = p;
    return 0;
}

void plan_free(struct plan *p)
{
    if (!p)
        return;
    for (size_t i = 0; p->sources && i < p->n; i++) {
        free(p->sources[i].source);
        free(p->sources[i].policy);
        free(p->sources[i].snaps);
    }
    free(p->by_id);
    free(p->sources);
    free(p);
}

const struct plan_snap *plan_find(const struct plan *p, const struct id *snapshot)
{
    struct plan_snap key = { .ref = { .ref = { .id = *snapshot } } };
    const struct plan_snap *k = &key, **found;
    found = bsearch(&k, p->by_id, p->kept + p->dropped,
                    sizeof(const struct plan_snap *), /* NOLINT */
                    by_snapshot);
    return found ? *found : NULL;
}
