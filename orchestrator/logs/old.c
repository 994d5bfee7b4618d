/* old.c - see old.h. */
#include "orchestrator/logs/old.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/look.h"
#include <stdio.h>
#include <stdlib.h>

#define SECOND_NS INT64_C(1000000000)

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

/* --- from when on it is needed ---------------------------------------------------------------------------------------- */
struct oldest {
    struct vault *v;
    int64_t ns; /* INT64_MAX: there is no backup */
};

/* When its host says that it began; what cannot be read keeps all. */
static int64_t began_ns(struct vault *v, const struct snap_ref *r)
{
    struct snapshot *s = NULL;
    int64_t ns = INT64_MIN;
    if (vault_snapshot(v, &r->ref, &s, NULL) == 0)
        ns = s->started_ns;
    snapshot_free(s);
    return ns;
}

static void earlier(struct oldest *o, int64_t ns)
{
    o->ns = ns < o->ns ? ns : o->ns;
}

/* Receipts ascend, so the first is the oldest; of one that came 1 ns after another only its host knows when that was. */
static void look_at_list(struct oldest *o, const struct source_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct snap_ref *r = &l->snaps[i];
        bool undated = i > 0 && r->received_ns == l->snaps[i - 1].received_ns + 1;
        earlier(o, r->received_ns);
        if (i > 0 && !undated)
            continue;
        int64_t ns = began_ns(o->v, r);
        bool doubtful = !undated && ns != INT64_MIN && ns < r->received_ns - LOG_DOUBT_NS;
        earlier(o, doubtful ? r->received_ns - LOG_DOUBT_NS : ns);
    }
}

static int find_before(struct app *app, struct vault *v, const char *forget, struct logs_stream *s)
{
    struct oldest o = { v, INT64_MAX };
    struct policy *p = NULL;
    struct err ignored = ERR_INIT;
    char policy[MAX_FORMAT_NAME + 1];
    s->before_ns = INT64_MIN;
    for (size_t i = 0; i < v->n_lists; i++)
        if (strcmp(source_policy(v->lists[i]->source, policy), s->policy) == 0)
            look_at_list(&o, v->lists[i]);
    int rc = config_name_ok(s->policy) ? policy_load(&app->paths, s->policy, &p, &ignored)
                                       : -ERR_NAME;
    bool asked = forget && strcmp(forget, s->policy) == 0 && rc == -ERR_NAME;
    s->forgotten = asked && o.ns == INT64_MAX;
    if ((rc == 0 || asked) && o.ns != INT64_MAX && o.ns > INT64_MIN + LOG_OLD_NS)
        s->before_ns = o.ns - LOG_OLD_NS;
    int64_t floor_ns = sys_realtime_ns() - (int64_t)LOGS_FLOOR_S * SECOND_NS;
    if (rc == 0 && p->class == CLASS_LOGS && s->before_ns > floor_ns)
        s->before_ns = floor_ns;
    policy_free(p);
    return rc == -ERR_NOMEM ? rc : 0;
}

/* --- which streams there are ---------------------------------------------------------------------------------------------- */
/* What its objects say they are of: the newest that can be opened. v[first] to v[end - 1] are its. */
static void find_source(struct vault *v, const struct shelf *s, size_t first, size_t end,
                        struct logs_stream *ret)
{
    struct shelf_reader r = { .v = v, .only = -1 };
    for (size_t i = end; i > first && !ret->source[0]; i--) {
        struct log_table *t = NULL;
        struct err ignored = ERR_INIT;
        if (shelf_table(&r, &s->v[i - 1], &t, &ignored) == 0) {
            const char *kind = strrchr(t->source, '/');
            snprintf(ret->source, sizeof ret->source, "%s", t->source);
            snprintf(ret->policy, sizeof ret->policy, "%.*s", kind ? (int)(kind - t->source) : 0,
                     t->source);
        }
        log_table_free(t);
    }
}

int logs_old_read(struct app *app, struct vault *v, const struct shelf *s, const char *forget,
                  struct logs_old *ret, struct err *e)
{
    struct logs_old x = { .v = v };
    int rc = 0;
    for (size_t first = 0, end; rc == 0 && first < s->n; first = end) {
        struct logs_stream *grown = realloc(x.streams, (x.n + 1) * sizeof *grown);
        if (!grown) {
            rc = no_memory(e);
            break;
        }
        x.streams = grown;
        struct logs_stream *one = &x.streams[x.n++];
        *one = (struct logs_stream){ .before_ns = INT64_MIN };
        memcpy(one->id, s->v[first].name.stream, sizeof one->id);
        for (end = first;
             end < s->n && memcmp(s->v[end].name.stream, one->id, sizeof one->id) == 0;)
            end++;
        find_source(v, s, first, end, one);
        if (one->source[0] && (rc = find_before(app, v, forget, one)) < 0)
            no_memory(e);
    }
    if (rc < 0)
        logs_old_done(&x);
    else
        *ret = x;
    return rc;
}

void logs_old_done(struct logs_old *x)
{
    free(x->streams);
    *x = (struct logs_old){ 0 };
}

const struct logs_stream *logs_old_stream(const struct logs_old *x,
                                          const uint8_t stream[LOG_STREAM_BYTES])
{
    for (size_t i = 0; i < x->n; i++)
        if (memcmp(x->streams[i].id, stream, LOG_STREAM_BYTES) == 0)
            return &x->streams[i];
    return NULL;
}

int logs_object_old(const struct logs_old *x, const struct shelf_object *o, struct err *e)
{
    const struct logs_stream *s = logs_old_stream(x, o->name.stream);
    struct shelf_reader r = { .v = x->v, .only = -1 };
    struct log_table *t = NULL;
    if (!s || (!s->forgotten && s->before_ns == INT64_MIN))
        return 0;
    if (s->forgotten)
        return 1;
    int rc = shelf_table(&r, o, &t, e);
    if (rc < 0)
        return rc;
    int64_t newest_ns = t->received_ns, most_ns = t->received_ns + LOG_DOUBT_NS;
    for (size_t i = 0; i < t->n; i++)
        if (t->entries[i].piece.time_ns > newest_ns)
            newest_ns = t->entries[i].piece.time_ns;
    newest_ns = newest_ns > most_ns ? most_ns : newest_ns;
    log_table_free(t);
    return newest_ns < s->before_ns;
}
