/* shelf.c - see shelf.h. */
#include "orchestrator/logs/shelf.h"
#include "lib/base/i18n.h"
#include <stdio.h>
#include <stdlib.h>

#define TABLE_GUESS (8u << 10) /* most tables are not longer */
#define MAX_SHELF 1000000

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

/* --- what there is ------------------------------------------------------------------------------------------------ */
static int order(const void *a, const void *b)
{
    const struct log_name *x = &((const struct shelf_object *)a)->name,
                          *y = &((const struct shelf_object *)b)->name;
    int stream = memcmp(x->stream, y->stream, sizeof x->stream);
    if (stream != 0)
        return stream;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    if (x->last != y->last)
        return x->last > y->last ? -1 : 1;
    return id_cmp(&x->hash, &y->hash);
}

int shelf_order(const struct shelf_object *a, const struct shelf_object *b)
{
    return order(a, b);
}

int shelf_add(struct shelf *s, const struct log_name *name, uint64_t len, uint32_t copies,
              struct err *e)
{
    if (s->n == MAX_SHELF)
        return err_set(e, ERR_LIMIT, _("more than %d objects of logs"), MAX_SHELF);
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 64;
        struct shelf_object *grown = realloc(s->v, cap * sizeof *grown);
        if (!grown)
            return no_memory(e);
        s->v = grown;
        s->cap = cap;
    }
    s->v[s->n++] = (struct shelf_object){ .name = *name, .len = len, .copies = copies };
    return 0;
}

void shelf_sort(struct shelf *s)
{
    size_t kept = 0;
    if (s->n > 0)
        qsort(s->v, s->n, sizeof *s->v, order);
    for (size_t i = 0; i < s->n; i++) {
        struct shelf_object *was = kept > 0 ? &s->v[kept - 1] : NULL;
        if (!was || order(was, &s->v[i]) != 0) {
            s->v[kept++] = s->v[i];
            continue;
        }
        was->copies |= s->v[i].copies;
        was->uneven |= s->v[i].uneven || was->len != s->v[i].len;
    }
    s->n = kept;
}

void shelf_done(struct shelf *s)
{
    free(s->v);
    *s = (struct shelf){ 0 };
}

struct listing {
    struct shelf *s;
    size_t copy;
    struct err *e;
};

static int see(void *ctx, const char *name, uint64_t len)
{
    struct listing *l = ctx;
    struct log_name n;
    if (!log_name_parse(name, &n))
        return 0;
    return shelf_add(l->s, &n, len, 1u << l->copy, l->e);
}

static bool answers(const struct copy *c)
{
    return c->store && (c->state == COPY_CURRENT || c->state == COPY_BEHIND);
}

static void prefix_of(const struct vault *v, const char *source, char out[MAX_OBJECT_NAME])
{
    uint8_t stream[LOG_STREAM_BYTES];
    char hex[2 * LOG_STREAM_BYTES + 1] = "";
    if (source) {
        log_stream_id(&v->keys, source, stream);
        hex_encode(stream, sizeof stream, hex);
    }
    snprintf(out, MAX_OBJECT_NAME, LOG_FOLDER "%s%s", hex, source ? "/" : "");
}

static int list_copy(struct vault *v, size_t at, const char *prefix, struct shelf *s, struct err *e)
{
    struct copy *c = &v->copies[at];
    struct listing l = { s, at, e };
    /* What it alone has may be the last that was done: it gets more time than for a chunk, but not all the time there is. */
    store_patience(c->store, c->turn.last ? HURRY_ANSWER_MS : HURRY_LIST_MS);
    int rc = store_list(c->store, prefix, see, &l, e);
    if (rc == 0)
        s->listed |= 1u << at;
    else
        s->listed &= ~(1u << at);
    if (rc < 0)
        c->problem = *e;
    return rc == -ERR_NOMEM || rc == -ERR_LIMIT ? rc : 0;
}

/* Those that answer; later rounds: only those that have. *ret_why: of one that does not. */
static int list_copies(struct vault *v, const char *prefix, bool again, struct shelf *s,
                       struct err *ret_why)
{
    for (size_t i = 0; i < v->n_copies; i++) {
        struct err why = ERR_INIT;
        if (!answers(&v->copies[i]) || (again && !(s->listed & (1u << i)))) {
            *ret_why = ret_why->code == ERR_NONE ? v->copies[i].problem : *ret_why;
            continue;
        }
        int rc = list_copy(v, i, prefix, s, &why);
        if (why.code != ERR_NONE)
            *ret_why = why;
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Twice: what is put together while a folder is read may be seen neither as it was nor as it is. What was seen and is gone by now is found
 * out by whoever reads it. */
int shelf_read(struct vault *v, const char *source, struct shelf *ret, struct err *e)
{
    char prefix[MAX_OBJECT_NAME];
    struct shelf s = { 0 };
    struct err why = ERR_INIT;
    prefix_of(v, source, prefix);
    int rc = list_copies(v, prefix, false, &s, &why);
    if (rc == 0)
        rc = list_copies(v, prefix, true, &s, &why);
    if (rc == 0 && !s.listed && v->n_copies > 0)
        rc = err_wrap(&why, _("no copy can be read"));
    if (rc < 0) {
        shelf_done(&s);
        if (e)
            *e = why;
        return rc;
    }
    shelf_sort(&s);
    *ret = s;
    return 0;
}

/* --- the way through a stream --------------------------------------------------------------------------------------- */
static bool is_behind(const struct shelf_object *o, const uint8_t *stream, uint64_t seq)
{
    int c = memcmp(o->name.stream, stream, LOG_STREAM_BYTES);
    return c < 0 || (c == 0 && o->name.last < seq);
}

const struct shelf_object *shelf_next(const struct shelf *s, const uint8_t stream[LOG_STREAM_BYTES],
                                      uint32_t copies, struct shelf_pos *pos)
{
    const struct shelf_object *best = NULL;
    uint64_t next = 0;
    while (pos->at < s->n && is_behind(&s->v[pos->at], stream, pos->seq))
        pos->at++;
    for (size_t i = pos->at; i < s->n; i++) {
        const struct shelf_object *o = &s->v[i];
        if (memcmp(o->name.stream, stream, LOG_STREAM_BYTES) != 0)
            break;
        if (!(o->copies & ~o->bad & copies) || o->name.last < pos->seq)
            continue;
        if (o->name.first > pos->seq) {
            next = o->name.first;
            break; /* ascending */
        }
        if (!best || o->name.last > best->name.last)
            best = o;
    }
    pos->seq = best ? best->name.last + 1 : next;
    return best;
}

bool shelf_has(const struct shelf *s, const struct log_name *n, size_t copy, size_t from)
{
    uint64_t want = n->first; /* all before it is there */
    for (size_t i = from; i < s->n && want <= n->last; i++) {
        const struct shelf_object *o = &s->v[i];
        int stream = memcmp(o->name.stream, n->stream, LOG_STREAM_BYTES);
        if (stream > 0 || (stream == 0 && o->name.first > want))
            return false; /* ascending */
        if (stream == 0 && o->copies & ~o->bad & (1u << copy) && o->name.last >= want)
            want = o->name.last + 1;
    }
    return want > n->last;
}

/* --- reading ------------------------------------------------------------------------------------------------------------ */
/* Tries the copies in turn; `part` does it with one. */
struct attempt {
    const struct shelf_reader *r;
    const struct shelf_object *o;
    const char *name;
    struct wbuf *bytes;
    struct log_table **table;
    size_t *body;
    uint64_t len; /* of it, on the copy at hand */
};
typedef int attempt_fn(const struct attempt *a, struct store *s, struct err *e);

static int try_copies(struct attempt *a, attempt_fn *fn, struct err *e)
{
    struct vault *v = a->r->v;
    struct err worst = ERR_INIT;
    struct turns t;
    struct copy *c;
    err_set(&worst, ERR_ABSENT, _("no copy has it"));
    turns_begin(&t, v, a->r->only, (size_t)a->o->len);
    while ((c = turns_next(&t))) {
        struct err why = ERR_INIT;
        if (!(a->o->copies & ~a->o->bad & (1u << (size_t)(c - v->copies))))
            continue;
        if (!t.ask) {
            worst = c->problem;
            worst.code = ERR_UNREACHABLE;
            continue;
        }
        a->len = a->o->len;
        int rc = a->o->uneven ? store_stat(c->store, a->name, &a->len, &why) : 0;
        if (rc == 0 && a->len == 0)
            rc = err_set(&why, ERR_DAMAGED, _("it is empty"));
        rc = rc == 0 ? fn(a, c->store, &why) : rc;
        if (!turns_told(&t, c, rc, &why))
            continue;
        if (rc == 0 || rc == -ERR_NOMEM) {
            if (rc < 0 && e)
                *e = why;
            return rc;
        }
        if ((rc == -ERR_DAMAGED || rc == -ERR_ABSENT) && a->r->damage) {
            err_wrap(&why, _("copy \"%s\""), c->place);
            a->r->damage(a->r->ctx, c, a->name, &why);
        }
        if (worst.code == ERR_ABSENT || rc == -ERR_UNREACHABLE)
            worst = why;
    }
    if (e)
        *e = worst;
    return err_wrap(e, "%s", a->name);
}

static int get_table(const struct attempt *a, struct store *s, struct err *e)
{
    size_t n = a->len < TABLE_GUESS ? (size_t)a->len : TABLE_GUESS, span = 0;
    struct wbuf b = WBUF_INIT;
    uint8_t *p = wb_grow(&b, n);
    int rc = p ? store_get(s, a->name, 0, n, p, e) : no_memory(e);
    if (rc == 0)
        rc = log_table_span(p, n, &span, e);
    if (rc == 0 && (span == 0 || span > a->len))
        rc = err_set(e, ERR_DAMAGED, _("it is not an object of a database's log"));
    if (rc == 0 && span > n) {
        wbuf_reset(&b);
        p = wb_grow(&b, span);
        rc = p ? store_get(s, a->name, 0, span, p, e) : no_memory(e);
    }
    if (rc == 0)
        rc = log_table_open(&a->r->v->keys, &a->o->name, p, span, a->table, e);
    wbuf_free(&b);
    if (rc == 0 && a->len != span + (*a->table)->body_len) {
        log_table_free(*a->table);
        *a->table = NULL;
        rc = err_set(e, ERR_DAMAGED, _("its length cannot be right"));
    }
    return rc;
}

static int get_whole(const struct attempt *a, struct store *s, struct err *e)
{
    struct id hash;
    size_t span = 0, n = (size_t)a->len;
    if (a->len > MAX_LOG_OBJECT + MAX_LOG_TABLE)
        return err_set(e, ERR_DAMAGED, _("its length cannot be right"));
    wbuf_reset(a->bytes);
    uint8_t *p = wb_grow(a->bytes, n);
    int rc = p ? store_get(s, a->name, 0, n, p, e) : no_memory(e);
    if (rc < 0)
        return rc;
    sha256_of(p, n, &hash);
    if (!id_eq(&hash, &a->o->name.hash))
        return err_set(e, ERR_DAMAGED, _("its bytes do not have the hash that its name says"));
    rc = log_table_open(&a->r->v->keys, &a->o->name, p, n, a->table, e);
    if (rc < 0)
        return rc;
    rc = log_table_span(p, n, &span, e);
    if (rc == 0)
        rc = log_body_check(*a->table, p + span, n - span, e);
    *a->body = span;
    if (rc < 0) {
        log_table_free(*a->table);
        *a->table = NULL;
    }
    return rc;
}

int shelf_table(const struct shelf_reader *r, const struct shelf_object *o, struct log_table **ret,
                struct err *e)
{
    char name[MAX_OBJECT_NAME];
    struct attempt a = { .r = r, .o = o, .name = log_name_write(&o->name, name), .table = ret };
    return try_copies(&a, get_table, e);
}

int shelf_object_read(const struct shelf_reader *r, const struct shelf_object *o, struct wbuf *out,
                      struct log_table **ret, size_t *ret_body, struct err *e)
{
    char name[MAX_OBJECT_NAME];
    struct attempt a = { .r = r,
                         .o = o,
                         .name = log_name_write(&o->name, name),
                         .bytes = out,
                         .table = ret,
                         .body = ret_body };
    return try_copies(&a, get_whole, e);
}
