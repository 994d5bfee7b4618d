/* care.c - see care.h. */
#include "orchestrator/logs/care.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include <stdlib.h>

static int put(struct vault *v, size_t at, const char *name, const struct wbuf *bytes,
               struct err *e)
{
    struct store_data d = { .p = bytes->p, .fd = -1, .len = bytes->len };
    int rc = store_put(v->copies[at].store, name, &d, e);
    return rc < 0 ? err_wrap(e, _("copy \"%s\""), v->copies[at].place) : 0;
}

/* --- few objects ------------------------------------------------------------------------------------------------------ */
/* How many times LOG_MERGE-fold it was put together, as far as the number of pieces tells. */
static unsigned level(const struct shelf_object *o)
{
    unsigned l = 0;
    for (uint64_t n = o->name.last - o->name.first + 1; n >= LOG_MERGE; n /= LOG_MERGE)
        l++;
    return l;
}

struct run { /* of objects that follow one another at the end of the stream */
    const struct shelf_object *v[LOG_MERGE];
    size_t n;
    uint64_t bytes;
};

/* The last LOG_MERGE objects of one level, if nothing of a lower level is among them and they are not too large together. */
static bool find_run(const struct shelf *s, const uint8_t *stream, uint32_t copies, unsigned want,
                     struct run *ret)
{
    struct run r = { 0 };
    const struct shelf_object *o;
    struct shelf_pos pos = { 0 };
    uint64_t before = 0;
    while ((o = shelf_next(s, stream, copies, &pos)) || pos.seq) {
        bool follows = o && o->name.first == before + 1;
        before = o ? o->name.last : 0;
        if (!o || level(o) != want || !follows || r.n == LOG_MERGE ||
            r.bytes + o->len > LOG_MERGED_BYTES)
            r = (struct run){ 0 };
        if (!o || level(o) != want || o->len > LOG_MERGED_BYTES / 2)
            continue;
        r.v[r.n++] = o;
        r.bytes += o->len;
        if (r.n == LOG_MERGE) {
            *ret = r;
            return true;
        }
    }
    return false;
}

static int append(const struct shelf_reader *r, const struct shelf_object *o, struct log_table *all,
                  struct wbuf *body, struct err *e)
{
    struct wbuf bytes = WBUF_INIT;
    struct log_table *t = NULL;
    size_t at = 0;
    int rc = shelf_object_read(r, o, &bytes, &t, &at, e);
    if (rc == 0 && !all->source && !(all->source = strdup(t->source)))
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    for (size_t i = 0; rc == 0 && i < t->n; i++) {
        const struct log_entry *x = &t->entries[i];
        rc = log_table_add(all, &x->piece, &t->keys[x->key], x->counter, x->sealed_len, e);
    }
    if (rc == 0)
        wb_bytes(body, bytes.p + at, bytes.len - at);
    if (rc == 0 && body->failed)
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    log_table_free(t);
    wbuf_free(&bytes);
    return rc;
}

static int merge_run(struct vault *v, struct shelf *s, const struct run *run, uint32_t copies,
                     struct err *e)
{
    struct shelf_reader r = { .v = v, .only = -1 };
    struct log_table *all = calloc(1, sizeof *all);
    struct wbuf body = WBUF_INIT, object = WBUF_INIT;
    char name[MAX_OBJECT_NAME];
    struct log_name parsed;
    uint32_t put_on = 0;
    int rc = all ? 0 : err_set(e, ERR_NOMEM, _("no memory"));
    for (size_t i = 0; rc == 0 && i < run->n; i++)
        rc = append(&r, run->v[i], all, &body, e);
    if (rc == 0)
        rc = log_object_seal(&v->keys, all, &body, &object, name, e);
    for (size_t i = 0; rc == 0 && i < v->n_copies; i++)
        if (copies & (1u << i) && (rc = put(v, i, name, &object, e)) == 0)
            put_on |= 1u << i;
    if (rc == 0 && log_name_parse(name, &parsed))
        rc = shelf_add(s, &parsed, object.len, put_on, e);
    log_table_free(all);
    wbuf_free(&body);
    wbuf_free(&object);
    return rc;
}

/* Is all of it in one other object of this copy? */
static bool is_covered(const struct shelf *s, const struct shelf_object *o, size_t copy)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct shelf_object *x = &s->v[i];
        bool larger = x->name.last - x->name.first > o->name.last - o->name.first;
        if (larger && x->copies & (1u << copy) && x->name.first <= o->name.first &&
            x->name.last >= o->name.last &&
            memcmp(x->name.stream, o->name.stream, LOG_STREAM_BYTES) == 0)
            return true;
    }
    return false;
}

static int drop_covered(struct vault *v, struct shelf *s, const uint8_t *stream, uint32_t copies,
                        struct err *e)
{
    char name[MAX_OBJECT_NAME];
    for (size_t k = 0; k < s->n; k++) {
        struct shelf_object *o = &s->v[k];
        if (memcmp(o->name.stream, stream, LOG_STREAM_BYTES) != 0)
            continue;
        for (size_t i = 0; i < v->n_copies; i++) {
            if (!(o->copies & copies & (1u << i)) || !is_covered(s, o, i))
                continue;
            if (store_delete(v->copies[i].store, log_name_write(&o->name, name), e) < 0)
                return err_wrap(e, _("copy \"%s\""), v->copies[i].place);
            o->copies &= ~(1u << i);
        }
    }
    return 0;
}

static void forget_gone(struct shelf *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].copies)
            s->v[kept++] = s->v[i];
    s->n = kept;
}

#define MAX_LEVEL 8
int logs_merge(struct vault *v, struct shelf *s, const uint8_t stream[LOG_STREAM_BYTES],
               uint32_t copies, size_t *ret, struct err *e)
{
    int rc = 0;
    bool again = true;
    struct run run;
    *ret = 0;
    while (rc == 0 && again) {
        again = false;
        for (unsigned l = 0; rc == 0 && !again && l < MAX_LEVEL; l++)
            if (find_run(s, stream, copies, l, &run)) {
                rc = merge_run(v, s, &run, copies, e);
                again = true;
                *ret += rc == 0;
            }
        if (rc == 0)
            shelf_sort(s);
        if (rc == 0)
            rc = drop_covered(v, s, stream, copies, e);
        forget_gone(s);
    }
    return rc;
}

/* --- the same in every copy --------------------------------------------------------------------------------------------- */
/* Does the copy have all pieces from first to last? Nothing before `from` on the shelf matters. */
static bool copy_has(const struct shelf *s, const struct log_name *n, size_t copy, size_t from)
{
    struct shelf_pos pos = { n->first, from };
    while (pos.seq <= n->last)
        if (!shelf_next(s, n->stream, 1u << copy, &pos))
            return false;
    return true;
}

/* Is all of it in a larger one, which the copy gets (or has) as well? */
static bool is_part(const struct shelf *s, size_t i, size_t from)
{
    const struct log_name *n = &s->v[i].name;
    for (size_t k = from; k < s->n; k++) {
        const struct log_name *x = &s->v[k].name;
        if (memcmp(x->stream, n->stream, LOG_STREAM_BYTES) != 0)
            continue;
        if (x->first > n->first)
            return false;
        if (x->last >= n->last && x->last - x->first > n->last - n->first)
            return true;
    }
    return false;
}

static int bring(struct vault *v, struct shelf_object *o, size_t at, uint64_t *bytes, struct err *e)
{
    struct shelf_reader r = { .v = v, .only = -1 };
    char name[MAX_OBJECT_NAME];
    struct wbuf b = WBUF_INIT;
    struct log_table *t = NULL;
    size_t body;
    int rc = sys_interrupted()
                 ? err_set(e, ERR_INTERRUPTED, _("interrupted; run it again to go on"))
                 : shelf_object_read(&r, o, &b, &t, &body, e);
    if (rc == 0)
        rc = put(v, at, log_name_write(&o->name, name), &b, e);
    if (rc == 0) {
        o->copies |= 1u << at;
        *bytes += b.len;
    }
    log_table_free(t);
    wbuf_free(&b);
    return rc;
}

int logs_catch_up(struct vault *v, struct shelf *s, size_t at, uint64_t until_ms, uint64_t *objects,
                  uint64_t *bytes, struct err *e)
{
    int rc = 0;
    size_t from = 0; /* what ends before the object's first piece cannot have any of it */
    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        const struct log_name *n = &s->v[i].name;
        while (from < i && (memcmp(s->v[from].name.stream, n->stream, LOG_STREAM_BYTES) != 0 ||
                            s->v[from].name.last < n->first))
            from++;
        if (s->v[i].copies & (1u << at) || is_part(s, i, from) || copy_has(s, n, at, from))
            continue;
        if (until_ms && sys_monotonic_ms() > until_ms)
            return 1;
        rc = bring(v, &s->v[i], at, bytes, e);
        *objects += rc == 0;
    }
    return rc;
}
