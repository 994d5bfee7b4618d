/* sync.c - see sync.h. Nothing is read from a copy while the catalog is held. */
#include "orchestrator/catalog/sync.h"
#include "lib/base/i18n.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000LL

struct known {
    struct id *ids; /* sorted once all are there */
    size_t n, cap;
    const char *source;
};

static int know(void *ctx, const struct snapshot_row *s)
{
    struct known *k = ctx;
    if (k->source && strcmp(k->source, s->source) != 0)
        return 0;
    if (k->n == k->cap) {
        size_t cap = k->cap ? 2 * k->cap : 64;
        struct id *grown = realloc(k->ids, cap * sizeof *grown);
        if (!grown)
            return -ERR_NOMEM;
        k->ids = grown;
        k->cap = cap;
    }
    k->ids[k->n++] = s->id;
    return 0;
}

static int by_id(const void *a, const void *b)
{
    return id_cmp(a, b);
}

static bool has(const struct known *k, const struct id *id)
{
    return k->n > 0 && bsearch(id, k->ids, k->n, sizeof *k->ids, by_id);
}

/* What is new: its list's row and, where a copy could give it, the object itself. */
struct fresh {
    const struct snap_ref *ref;
    const char *source;
    struct snapshot *snap; /* owned; NULL: not read */
};

static void put_row(const struct vault *v, const struct fresh *f, struct snapshot_row *row,
                    char policy[MAX_FORMAT_NAME + 1])
{
    const char *slash = strrchr(f->source, '/');
    size_t n = slash ? (size_t)(slash - f->source) : strlen(f->source);
    snprintf(policy, MAX_FORMAT_NAME + 1, "%.*s", (int)n, f->source);
    *row = (struct snapshot_row){ .id = f->ref->ref.id,
                                  .vault = v->name,
                                  .policy = policy,
                                  .source = f->source,
                                  .received_s = f->ref->received_ns / NS_PER_S,
                                  .state = f->ref->state,
                                  .flags = f->ref->flags };
    if (!f->snap)
        return;
    row->policy = f->snap->policy;
    row->host = f->snap->host;
    row->files = f->snap->files;
    row->bytes = f->snap->bytes;
    row->bytes_stored = f->snap->bytes_stored;
    row->problems = f->snap->problems;
}

/* Is what we see all that there is? Not when a list is lost, nor when a newer head than ours was noted: it lies on a copy that is
 * away, or another process has committed it meanwhile. Asked after the catalog was read, so nothing that is known there and
 * newer than our view counts as gone. 1, 0 or an error. */
static int whole(struct vault *v, struct err *e)
{
    struct {
        uint64_t generation;
        struct id head;
    } seen = { 0 };
    int rc = chunkdb_get_meta(v->db, "head-seen", &seen, sizeof seen, e);
    return rc < 0 ? rc
                  : v->n_lost_lists == 0 && v->state && v->state->generation >= seen.generation;
}

static int write_changes(struct catalog *c, const struct vault *v, const struct fresh *fresh,
                         size_t n, const struct id *gone, size_t n_gone, uint64_t generation,
                         struct err *e)
{
    char policy[MAX_FORMAT_NAME + 1];
    int rc = catalog_begin(c, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct snapshot_row row;
        put_row(v, &fresh[i], &row, policy);
        row.generation = generation;
        rc = catalog_snapshot_put(c, &row, e);
    }
    for (size_t i = 0; rc == 0 && i < n_gone; i++)
        rc = catalog_snapshot_drop(c, &gone[i], e);
    return catalog_finish(c, rc, e);
}

/* Those that the vault has no more are moved to the front of `known`; returns how many. */
static size_t pick_gone(struct known *known, const struct known *live)
{
    size_t n = 0;
    for (size_t i = 0; i < known->n; i++)
        if (!has(live, &known->ids[i]))
            known->ids[n++] = known->ids[i];
    return n;
}

/* Which are live, and of these which are not known yet. */
static int compare(struct vault *v, const char *source, const struct known *known,
                   struct known *live, struct fresh **ret, size_t *ret_n)
{
    size_t total = 0, n = 0;
    for (size_t i = 0; i < v->n_lists; i++)
        total += v->lists[i]->n;
    struct fresh *fresh = calloc(total + 1, sizeof *fresh);
    live->ids = calloc(total + 1, sizeof *live->ids);
    *ret = fresh;
    if (!fresh || !live->ids)
        return -ERR_NOMEM;
    for (size_t i = 0; i < v->n_lists; i++) {
        const struct source_list *l = v->lists[i];
        if (source && strcmp(l->source, source) != 0)
            continue;
        for (size_t k = 0; k < l->n; k++) {
            live->ids[live->n++] = l->snaps[k].ref.id;
            if (!has(known, &l->snaps[k].ref.id))
                fresh[n++] = (struct fresh){ .ref = &l->snaps[k], .source = l->source };
        }
    }
    qsort(live->ids, live->n, sizeof *live->ids, by_id);
    *ret_n = n;
    return 0;
}

int catalog_sync_snapshots(struct catalog *c, struct vault *v, const char *source,
                           uint64_t generation, struct err *e)
{
    struct known known = { .source = source }, live = { 0 };
    struct fresh *fresh = NULL;
    size_t n = 0, n_gone = 0;
    char policy[MAX_FORMAT_NAME + 1];
    const char *slash = source ? strrchr(source, '/') : NULL;
    if (source)
        snprintf(policy, sizeof policy, "%.*s", (int)(slash ? slash - source : MAX_FORMAT_NAME),
                 source);
    int rc = catalog_snapshots(c, v->name, source ? policy : NULL, 0, know, &known, e), all = 0;
    if (known.n > 0)
        qsort(known.ids, known.n, sizeof *known.ids, by_id);
    if (rc == 0)
        rc = compare(v, source, &known, &live, &fresh, &n);
    if (rc == -ERR_NOMEM)
        err_set(e, ERR_NOMEM, _("no memory"));
    if (rc == 0)
        rc = all = whole(v, e);
    for (size_t i = 0; rc >= 0 && i < n; i++)
        vault_snapshot(v, &fresh[i].ref->ref, &fresh[i].snap, NULL);
    if (all > 0)
        n_gone = pick_gone(&known, &live);
    if (rc >= 0)
        rc = n > 0 || n_gone > 0 ? write_changes(c, v, fresh, n, known.ids, n_gone, generation, e)
                                 : 0;
    for (size_t i = 0; fresh && i < n; i++)
        snapshot_free(fresh[i].snap);
    free(fresh);
    free(known.ids);
    free(live.ids);
    return rc;
}
