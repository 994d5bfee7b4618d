/* care.c - see care.h. */
#include "orchestrator/logs/care.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include <stdlib.h>

#define MAX_RUN 64 /* objects that are put together at once */
#define FULL_BYTES (LOG_MERGED_BYTES / 2)
#define FULL_PIECES (MAX_LOG_PIECES / 2)
#define MAX_LEVEL 8

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

static int put(struct vault *v, size_t at, const char *name, const struct wbuf *bytes,
               struct err *e)
{
    struct store_data d = { .p = bytes->p, .fd = -1, .len = bytes->len };
    int rc = store_put(v->copies[at].store, name, &d, e);
    return rc < 0 ? err_wrap(e, _("copy \"%s\""), v->copies[at].place) : 0;
}

/* One that was to be read is on no copy any more, or on some: who put it together with others, or pruned, was quicker. */
static void look_again(struct vault *v, struct shelf_object *o)
{
    char name[MAX_OBJECT_NAME];
    uint64_t len;
    log_name_write(&o->name, name);
    for (size_t i = 0; i < v->n_copies; i++)
        if (o->copies & (1u << i) &&
            store_stat(v->copies[i].store, name, &len, NULL) == -ERR_ABSENT)
            o->copies &= ~(1u << i);
}

/* --- few objects ------------------------------------------------------------------------------------------------------ */
static uint64_t pieces(const struct shelf_object *o)
{
    return o->name.last - o->name.first + 1;
}

/* How many times LOG_MERGE-fold it was put together, as far as the number of pieces tells. */
static unsigned level(const struct shelf_object *o)
{
    unsigned l = 0;
    for (uint64_t n = pieces(o); n >= LOG_MERGE && l < MAX_LEVEL - 1; n /= LOG_MERGE)
        l++;
    return l;
}

static bool is_full(const struct shelf_object *o)
{
    return o->full || o->len > FULL_BYTES || pieces(o) > FULL_PIECES;
}

/* The way through a stream in few objects, as indices into the shelf. */
struct way {
    size_t *v;
    size_t n;
};
struct run { /* of the way: objects that follow one another */
    size_t at, n;
    uint64_t bytes, pieces;
};

static int find_way(const struct shelf *s, const uint8_t *stream, uint32_t copies, struct way *w,
                    struct err *e)
{
    struct shelf_pos pos = { 0 };
    const struct shelf_object *o;
    w->n = 0;
    w->v = malloc((s->n + 1) * sizeof *w->v);
    if (!w->v)
        return no_memory(e);
    while ((o = shelf_next(s, stream, copies, &pos)) || pos.seq)
        if (o)
            w->v[w->n++] = (size_t)(o - s->v);
    return 0;
}

static const struct shelf_object *on_way(const struct shelf *s, const struct way *w, size_t i)
{
    return &s->v[w->v[i]];
}

/* Does the i-th begin where the one before it ends? (What overlaps was put together by two: it does not matter here.) */
static bool follows(const struct shelf *s, const struct way *w, size_t i)
{
    return i > 0 && on_way(s, w, i)->name.first == on_way(s, w, i - 1)->name.last + 1;
}

static bool fits(const struct run *r, const struct shelf_object *o)
{
    return r->n < MAX_RUN && r->bytes + o->len <= LOG_MERGED_BYTES &&
           r->pieces + pieces(o) <= MAX_LOG_PIECES;
}

static void lengthen(struct run *r, size_t i, const struct shelf_object *o)
{
    if (r->n == 0)
        r->at = i;
    r->n++;
    r->bytes += o->len;
    r->pieces += pieces(o);
}

/* LOG_MERGE of one level, or so many as go into one object when the next does not. */
static bool find_level(const struct shelf *s, const struct way *w, unsigned want, struct run *ret)
{
    *ret = (struct run){ 0 };
    for (size_t i = 0; i < w->n; i++) {
        const struct shelf_object *o = on_way(s, w, i);
        if (is_full(o) || level(o) != want || !follows(s, w, i))
            *ret = (struct run){ 0 };
        if (is_full(o) || level(o) != want)
            continue;
        if (!fits(ret, o)) {
            if (ret->n > 1)
                return true;
            *ret = (struct run){ 0 };
        }
        lengthen(ret, i, o);
        if (ret->n == LOG_MERGE)
            return true;
    }
    return false;
}

/* Small ones before a full one, or before a gap: nothing comes between them any more. */
static bool find_left_over(const struct shelf *s, const struct way *w, struct run *ret)
{
    *ret = (struct run){ 0 };
    for (size_t i = 0; i < w->n; i++) {
        const struct shelf_object *o = on_way(s, w, i);
        bool ends = is_full(o) || !follows(s, w, i) || (ret->n > 0 && !fits(ret, o));
        if (ends && ret->n > 1)
            return true;
        if (ends)
            *ret = (struct run){ 0 };
        if (!is_full(o))
            lengthen(ret, i, o);
    }
    return false; /* the end of the stream grows */
}

static bool find_run(const struct shelf *s, const struct way *w, struct run *ret)
{
    for (unsigned l = 0; l < MAX_LEVEL; l++)
        if (find_level(s, w, l, ret))
            return true;
    return find_left_over(s, w, ret);
}

/* What one object becomes of. */
struct joint {
    struct log_table *all;
    struct wbuf body;
};

static int append_entries(struct joint *j, const struct log_table *t, const uint8_t *p,
                          struct err *e)
{
    struct log_table *all = j->all;
    int rc = 0;
    if (!all->source && !(all->source = strdup(t->source)))
        return no_memory(e);
    if (t->received_ns > all->received_ns)
        all->received_ns = t->received_ns;
    for (size_t i = 0; rc == 0 && i < t->n; i++) {
        const struct log_entry *x = &t->entries[i];
        rc = log_table_add(all, &x->piece, &t->keys[x->key], x->counter, x->sealed_len, e);
        if (rc == 0)
            wb_bytes(&j->body, p, x->sealed_len);
        p += x->sealed_len;
    }
    return rc == 0 && j->body.failed ? no_memory(e) : rc;
}

/* An object goes in whole or not at all. */
static int append(struct joint *j, const struct log_table *t, const uint8_t *p, struct err *e)
{
    size_t n = j->all->n, n_keys = j->all->n_keys, len = j->body.len;
    uint64_t body_len = j->all->body_len;
    int rc = append_entries(j, t, p, e);
    if (rc == -ERR_LIMIT) {
        j->all->n = n;
        j->all->n_keys = n_keys;
        j->all->body_len = body_len;
        j->body.len = len;
    }
    return rc;
}

/* Reads the run's objects into one; *ret_n: how many went in. What cannot be had is taken off the shelf or the way: *ret_n is 0 then, and
 * it is not an error. */
static int join_run(struct vault *v, struct shelf *s, const struct way *w, const struct run *run,
                    struct joint *j, size_t *ret_n, struct err *e)
{
    struct shelf_reader r = { .v = v, .only = -1 };
    int rc = 0;
    *ret_n = 0;
    for (size_t i = 0; rc == 0 && i < run->n; i++) {
        struct shelf_object *o = &s->v[w->v[run->at + i]];
        struct wbuf bytes = WBUF_INIT;
        struct log_table *t = NULL;
        struct err why = ERR_INIT;
        size_t at = 0;
        rc = shelf_object_read(&r, o, &bytes, &t, &at, &why);
        bool read = rc == 0;
        if (read)
            rc = append(j, t, bytes.p + at, &why);
        log_table_free(t);
        wbuf_free(&bytes);
        if (rc == -ERR_LIMIT && *ret_n < 2) /* keys: the first has too many already */
            s->v[w->v[run->at]].full = true;
        if (read && rc == -ERR_LIMIT) {
            *ret_n = *ret_n < 2 ? 0 : *ret_n;
            return 0;
        }
        if (rc == -ERR_ABSENT || rc == -ERR_DAMAGED) {
            uint32_t copies = o->copies;
            for (size_t k = 0; k < run->n; k++)
                look_again(v, &s->v[w->v[run->at + k]]);
            o->full = o->full || o->copies == copies;
            *ret_n = 0;
            return 0;
        }
        if (rc < 0 && e)
            *e = why;
        *ret_n += rc == 0;
    }
    return rc;
}

/* Put on all copies that take it; an error only where none does. */
static int put_joint(struct vault *v, struct shelf *s, struct joint *j, bool full, uint32_t copies,
                     struct err *e)
{
    struct wbuf object = WBUF_INIT;
    char name[MAX_OBJECT_NAME];
    struct log_name parsed;
    struct err why = ERR_INIT;
    uint32_t put_on = 0;
    int rc = log_object_seal(&v->keys, j->all, &j->body, &object, name, e);
    for (size_t i = 0; rc == 0 && i < v->n_copies; i++) {
        if (!(copies & (1u << i)))
            continue;
        if (put(v, i, name, &object, &why) == 0)
            put_on |= 1u << i;
        else
            v->copies[i].problem = why;
    }
    if (rc == 0 && !put_on) {
        rc = -(int)why.code;
        if (e)
            *e = why;
    }
    if (rc == 0 && log_name_parse(name, &parsed))
        rc = shelf_add(s, &parsed, object.len, put_on, e);
    if (rc == 0) {
        s->v[s->n - 1].sound = put_on;
        s->v[s->n - 1].full = full;
    }
    wbuf_free(&object);
    return rc;
}

static int merge_run(struct vault *v, struct shelf *s, const struct way *w, const struct run *run,
                     uint32_t copies, size_t *ret, struct err *e)
{
    struct joint j = { .all = calloc(1, sizeof *j.all), .body = WBUF_INIT };
    size_t n = 0;
    int rc = j.all ? join_run(v, s, w, run, &j, &n, e) : no_memory(e);
    if (rc == 0 && n > 0)
        rc = put_joint(v, s, &j, n < run->n, copies, e);
    *ret += rc == 0 && n > 0;
    log_table_free(j.all);
    wbuf_free(&j.body);
    return rc;
}

/* Is it whole there? It was put there just now, or it is read. */
static bool is_sound(struct vault *v, struct shelf_object *o, size_t at)
{
    struct shelf_reader r = { .v = v, .only = (int)at };
    struct wbuf bytes = WBUF_INIT;
    struct log_table *t = NULL;
    struct err why = ERR_INIT;
    size_t body;
    if (o->sound & (1u << at))
        return true;
    int rc = shelf_object_read(&r, o, &bytes, &t, &body, &why);
    if (rc == 0)
        o->sound |= 1u << at;
    if (rc == -ERR_DAMAGED)
        o->bad |= 1u << at;
    if (rc == -ERR_ABSENT)
        o->copies &= ~(1u << at);
    log_table_free(t);
    wbuf_free(&bytes);
    return rc == 0;
}

/* On one copy: what lies in another object as a whole goes. In the order of the shelf that one comes before it. */
static int drop_covered_on(struct vault *v, struct shelf *s, const uint8_t *stream, size_t at,
                           struct err *e)
{
    char name[MAX_OBJECT_NAME];
    struct shelf_object *cover = NULL;
    for (size_t k = 0; k < s->n; k++) {
        struct shelf_object *o = &s->v[k];
        if (memcmp(o->name.stream, stream, LOG_STREAM_BYTES) != 0 || !(o->copies & (1u << at)))
            continue;
        bool covered = cover && o->name.last <= cover->name.last;
        if (!covered && !(o->bad & (1u << at)))
            cover = o;
        if (!covered)
            continue;
        if (!is_sound(v, cover, at)) {
            cover = o->bad & (1u << at) ? NULL : o;
            continue;
        }
        if (store_delete(v->copies[at].store, log_name_write(&o->name, name), e) < 0)
            return err_wrap(e, _("copy \"%s\""), v->copies[at].place);
        o->copies &= ~(1u << at);
    }
    return 0;
}

static int drop_covered(struct vault *v, struct shelf *s, const uint8_t *stream, uint32_t copies,
                        struct err *e)
{
    struct err why = ERR_INIT;
    bool failed = false;
    for (size_t i = 0; i < v->n_copies; i++)
        if (copies & (1u << i) && drop_covered_on(v, s, stream, i, &why) < 0) {
            v->copies[i].problem = why;
            failed = true;
        }
    if (failed && e)
        *e = why;
    return failed ? -(int)why.code : 0;
}

static void forget_gone(struct shelf *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].copies)
            s->v[kept++] = s->v[i];
    s->n = kept;
}

int logs_merge(struct vault *v, struct shelf *s, const uint8_t stream[LOG_STREAM_BYTES],
               uint32_t copies, size_t *ret, struct err *e)
{
    int rc = 0;
    bool again = true;
    *ret = 0;
    while (rc == 0 && again) {
        struct way w = { 0 };
        struct run run;
        rc = find_way(s, stream, copies, &w, e);
        again = rc == 0 && find_run(s, &w, &run);
        if (again)
            rc = merge_run(v, s, &w, &run, copies, ret, e);
        free(w.v);
        shelf_sort(s);
        if (rc == 0)
            rc = drop_covered(v, s, stream, copies, e);
        forget_gone(s);
    }
    return rc;
}

/* --- the same in every copy --------------------------------------------------------------------------------------------- */
static int bring(struct vault *v, struct shelf_object *o, size_t at, struct logs_bringing *b,
                 struct err *e)
{
    struct shelf_reader r = { .v = v, .only = -1 };
    char name[MAX_OBJECT_NAME];
    struct wbuf bytes = WBUF_INIT;
    struct log_table *t = NULL;
    size_t body;
    bool replace = o->copies & o->bad & (1u << at);
    int rc = sys_interrupted()
                 ? err_set(e, ERR_INTERRUPTED, _("interrupted; run it again to go on"))
                 : shelf_object_read(&r, o, &bytes, &t, &body, e);
    bool read = rc == 0;
    struct store_data d = { .p = bytes.p, .fd = -1, .len = bytes.len };
    if (read && replace)
        rc = store_replace(v->copies[at].store, log_name_write(&o->name, name), &d, b->stamp, e);
    else if (read)
        rc = put(v, at, log_name_write(&o->name, name), &bytes, e);
    if (rc == 0) {
        o->copies |= 1u << at;
        o->sound |= 1u << at;
        o->bad &= ~(1u << at);
        b->objects++;
        b->bytes += bytes.len;
        if (b->told)
            b->told(b->ctx, o, NULL);
    }
    log_table_free(t);
    wbuf_free(&bytes);
    /* What is wrong with the copy itself is no news of the object. */
    return !read || rc == 0 || rc != -ERR_DAMAGED ? rc : -ERR_EXISTS;
}

/* The first piece that the copy has of the stream of `n`; 0: none. */
static uint64_t first_piece(const struct shelf *s, const struct log_name *n, size_t at)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].copies & ~s->v[i].bad & (1u << at) &&
            memcmp(s->v[i].name.stream, n->stream, LOG_STREAM_BYTES) == 0)
            return s->v[i].name.first;
    return 0;
}

/* No copy has it whole: 1 if what it held is in another by now. */
static int not_had(struct vault *v, struct shelf_object *o)
{
    look_again(v, o);
    o->bad |= o->copies;
    return !o->copies;
}

/* What is not whole anywhere, and not in other objects that the copy has. */
static void tell_lost(const struct shelf *s, size_t at, struct logs_bringing *b)
{
    struct err why = ERR_INIT;
    err_set(&why, ERR_DAMAGED, _("no copy has it whole"));
    for (size_t i = 0; i < s->n; i++) {
        const struct shelf_object *o = &s->v[i];
        if (!o->copies || o->copies & ~o->bad || shelf_has(s, &o->name, at, 0))
            continue;
        b->lost++;
        if (b->told)
            b->told(b->ctx, o, &why);
    }
}

struct catching { /* where a catch-up is */
    size_t from;  /* what ends before the object's first piece cannot have any of it */
    uint8_t stream[LOG_STREAM_BYTES];
    uint64_t first; /* that the copy has of the stream */
};

static bool is_lacking(const struct shelf *s, size_t i, size_t at, const struct logs_bringing *b,
                       struct catching *c)
{
    const struct shelf_object *o = &s->v[i];
    const struct log_name *n = &o->name;
    uint32_t bit = 1u << at;
    if (i == 0 || memcmp(c->stream, n->stream, sizeof c->stream) != 0) {
        memcpy(c->stream, n->stream, sizeof c->stream);
        c->first = b->only_what_follows ? first_piece(s, n, at) : 0;
    }
    while (c->from < i && (memcmp(s->v[c->from].name.stream, n->stream, LOG_STREAM_BYTES) != 0 ||
                           s->v[c->from].name.last < n->first))
        c->from++;
    bool bad_here = o->copies & o->bad & bit;
    if (o->copies & ~o->bad & bit || !(o->copies & ~o->bad) || (bad_here && !b->stamp) ||
        n->last < c->first)
        return false;
    return !shelf_has(s, n, at, c->from) && (!b->wanted || b->wanted(b->ctx, o));
}

int logs_catch_up(struct vault *v, struct shelf *s, size_t at, struct logs_bringing *b,
                  struct err *e)
{
    struct catching c = { 0 };
    int more = 0;
    for (size_t i = 0; i < s->n; i++) {
        struct err why = ERR_INIT;
        if (!is_lacking(s, i, at, b, &c))
            continue;
        if (b->until_ms && sys_monotonic_ms() > b->until_ms)
            return 1;
        if (b->only_count) {
            s->v[i].copies |= 1u << at;
            b->objects++;
            b->bytes += s->v[i].len;
            continue;
        }
        int rc = bring(v, &s->v[i], at, b, &why);
        if (rc == -ERR_DAMAGED || rc == -ERR_ABSENT) {
            more |= not_had(v, &s->v[i]);
        } else if (rc < 0) {
            if (e)
                *e = why;
            return -(int)why.code;
        }
    }
    tell_lost(s, at, b);
    return more;
}
