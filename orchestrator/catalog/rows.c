/* rows.c - see rows.h. */
#include "orchestrator/catalog/rows.h"
#include "lib/base/i18n.h"
#include "orchestrator/catalog/sql.h"

#include <stdlib.h>

/* --- writing ------------------------------------------------------------------------------------------------------------ */
static void put_text(struct wbuf *w, const char *s)
{
    struct sql_value v = sql_text(s); /* cut as the catalog cuts it */
    wb_blob(w, v.p, v.n);
}

void row_write_run(struct wbuf *w, const struct run *r)
{
    put_text(w, r->kind);
    put_text(w, r->policy);
    put_text(w, r->vault);
    put_text(w, r->agent);
    wb_zigzag(w, r->started_s);
    wb_zigzag(w, r->ended_s);
    wb_zigzag(w, r->exit_status);
    put_text(w, r->error_code);
    put_text(w, r->error);
    wb_id(w, &r->snapshot);
    wb_varint(w, r->snapshot_state);
    wb_varint(w, r->files);
    wb_varint(w, r->bytes);
    wb_varint(w, r->bytes_read);
    wb_varint(w, r->bytes_stored);
    wb_varint(w, r->problems);
    wb_varint(w, r->copies_reached);
    wb_varint(w, r->copies_wanted);
}

void row_write_snapshot(struct wbuf *w, const struct snapshot_row *s)
{
    wb_id(w, &s->id);
    put_text(w, s->vault);
    put_text(w, s->policy);
    put_text(w, s->source);
    put_text(w, s->host);
    wb_zigzag(w, s->received_s);
    wb_varint(w, s->state);
    wb_varint(w, s->flags);
    wb_varint(w, s->files);
    wb_varint(w, s->bytes);
    wb_varint(w, s->bytes_stored);
    wb_varint(w, s->problems);
    wb_varint(w, s->generation);
}

void row_write_copy(struct wbuf *w, const struct copy_row *c)
{
    put_text(w, c->vault);
    put_text(w, c->place);
    put_text(w, c->state);
    wb_varint(w, c->generation);
    wb_zigzag(w, c->seen_s);
    wb_zigzag(w, c->current_s);
    wb_varint(w, c->free_bytes);
    wb_varint(w, c->total_bytes);
    wb_varint(w, c->damaged_objects);
    put_text(w, c->why);
}

void row_write_hold(struct wbuf *w, const struct hold *h)
{
    wb_id(w, &h->snapshot);
    put_text(w, h->vault);
    put_text(w, h->why);
    put_text(w, h->who);
    wb_zigzag(w, h->at_s);
}

void row_write_medium(struct wbuf *w, const struct medium *m)
{
    put_text(w, m->vault);
    put_text(w, m->place);
    put_text(w, m->label);
    put_text(w, m->where);
    put_text(w, m->who);
    put_text(w, m->note);
    wb_zigzag(w, m->at_s);
}

void row_write_alarm(struct wbuf *w, const struct alarm *a)
{
    put_text(w, a->key);
    wb_varint(w, a->level);
    put_text(w, a->duty);
    put_text(w, a->text);
    put_text(w, a->next);
    put_text(w, a->roles);
    wb_zigzag(w, a->raised_s);
    wb_zigzag(w, a->cleared_s);
    wb_zigzag(w, a->told_s);
    wb_varint(w, a->told);
    wb_zigzag(w, a->acked_s);
    put_text(w, a->acked_by);
    put_text(w, a->acked_through);
}

void row_write_fact(struct wbuf *w, const char *key, const char *value)
{
    put_text(w, key);
    put_text(w, value);
}

void row_write_audit(struct wbuf *w, const struct audit_row *a, const struct id *hash)
{
    wb_varint(w, a->seq);
    wb_zigzag(w, a->at_s);
    put_text(w, a->who);
    put_text(w, a->action);
    put_text(w, a->object);
    put_text(w, a->result);
    put_text(w, a->detail);
    wb_id(w, hash);
}

/* --- reading ------------------------------------------------------------------------------------------------------------- */
#define MAX_ROW_TEXTS 8
struct reading {
    struct rbuf r;
    const struct row_sink *sink;
    char text[MAX_ROW_TEXTS][MAX_CATALOG_TEXT + 1];
    unsigned n_text;
};

static const char *get_text(struct reading *in)
{
    size_t n = 0;
    const uint8_t *p = rb_blob(&in->r, MAX_CATALOG_TEXT, &n);
    char *out = in->text[in->n_text++ % MAX_ROW_TEXTS];
    if (!p)
        n = 0;
    if (n)
        memcpy(out, p, n);
    out[n] = '\0';
    if (strlen(out) != n)
        rb_fail(&in->r);
    return out;
}

static unsigned get_small(struct reading *in)
{
    return (unsigned)rb_varint_max(&in->r, UINT16_MAX);
}

static int read_run(struct reading *in)
{
    struct run r = { .id = 0 };
    r.kind = get_text(in);
    r.policy = get_text(in);
    r.vault = get_text(in);
    r.agent = get_text(in);
    r.started_s = rb_zigzag(&in->r);
    r.ended_s = rb_zigzag(&in->r);
    r.exit_status = (int)rb_zigzag(&in->r);
    r.error_code = get_text(in);
    r.error = get_text(in);
    rb_id(&in->r, &r.snapshot);
    r.snapshot_state = get_small(in);
    r.files = rb_varint(&in->r);
    r.bytes = rb_varint(&in->r);
    r.bytes_read = rb_varint(&in->r);
    r.bytes_stored = rb_varint(&in->r);
    r.problems = rb_varint(&in->r);
    r.copies_reached = get_small(in);
    r.copies_wanted = get_small(in);
    return !in->r.bad && in->sink->run ? in->sink->run(in->sink->ctx, &r) : 0;
}

static int read_snapshot(struct reading *in)
{
    struct snapshot_row s = { .hold = false };
    rb_id(&in->r, &s.id);
    s.vault = get_text(in);
    s.policy = get_text(in);
    s.source = get_text(in);
    s.host = get_text(in);
    s.received_s = rb_zigzag(&in->r);
    s.state = get_small(in);
    s.flags = get_small(in);
    s.files = rb_varint(&in->r);
    s.bytes = rb_varint(&in->r);
    s.bytes_stored = rb_varint(&in->r);
    s.problems = rb_varint(&in->r);
    s.generation = rb_varint(&in->r);
    return !in->r.bad && in->sink->snapshot ? in->sink->snapshot(in->sink->ctx, &s) : 0;
}

static int read_copy(struct reading *in)
{
    struct copy_row c;
    c.vault = get_text(in);
    c.place = get_text(in);
    c.state = get_text(in);
    c.generation = rb_varint(&in->r);
    c.seen_s = rb_zigzag(&in->r);
    c.current_s = rb_zigzag(&in->r);
    c.free_bytes = rb_varint(&in->r);
    c.total_bytes = rb_varint(&in->r);
    c.damaged_objects = rb_varint(&in->r);
    c.why = get_text(in);
    return !in->r.bad && in->sink->copy ? in->sink->copy(in->sink->ctx, &c) : 0;
}

static int read_hold(struct reading *in)
{
    struct hold h;
    rb_id(&in->r, &h.snapshot);
    h.vault = get_text(in);
    h.why = get_text(in);
    h.who = get_text(in);
    h.at_s = rb_zigzag(&in->r);
    return !in->r.bad && in->sink->hold ? in->sink->hold(in->sink->ctx, &h) : 0;
}

static int read_medium(struct reading *in)
{
    struct medium m;
    m.vault = get_text(in);
    m.place = get_text(in);
    m.label = get_text(in);
    m.where = get_text(in);
    m.who = get_text(in);
    m.note = get_text(in);
    m.at_s = rb_zigzag(&in->r);
    return !in->r.bad && in->sink->medium ? in->sink->medium(in->sink->ctx, &m) : 0;
}

static int read_alarm(struct reading *in)
{
    struct alarm a = { .id = 0 };
    a.key = get_text(in);
    a.level = (enum alarm_level)rb_varint_max(&in->r, ALARM_CRITICAL);
    a.duty = get_text(in);
    a.text = get_text(in);
    a.next = get_text(in);
    a.roles = get_text(in);
    a.raised_s = rb_zigzag(&in->r);
    a.cleared_s = rb_zigzag(&in->r);
    a.told_s = rb_zigzag(&in->r);
    a.told = (unsigned)rb_varint_max(&in->r, UINT32_MAX);
    a.acked_s = rb_zigzag(&in->r);
    a.acked_by = get_text(in);
    a.acked_through = get_text(in);
    return !in->r.bad && in->sink->alarm ? in->sink->alarm(in->sink->ctx, &a) : 0;
}

static int read_fact(struct reading *in)
{
    const char *key = get_text(in), *value = get_text(in);
    return !in->r.bad && in->sink->fact ? in->sink->fact(in->sink->ctx, key, value) : 0;
}

static int read_audit(struct reading *in)
{
    struct audit_row a;
    struct id hash;
    a.seq = rb_varint_max(&in->r, INT64_MAX);
    a.at_s = rb_zigzag(&in->r);
    a.who = get_text(in);
    a.action = get_text(in);
    a.object = get_text(in);
    a.result = get_text(in);
    a.detail = get_text(in);
    rb_id(&in->r, &hash);
    return !in->r.bad && in->sink->audit ? in->sink->audit(in->sink->ctx, &a, &hash) : 0;
}

int rows_read(const struct catalog_object *o, const struct row_sink *sink, uint64_t *ret_unknown,
              struct err *e)
{
    static int (*const read[ROW_KINDS])(struct reading *) = {
        [ROW_RUN] = read_run,   [ROW_SNAPSHOT] = read_snapshot, [ROW_COPY] = read_copy,
        [ROW_HOLD] = read_hold, [ROW_MEDIUM] = read_medium,     [ROW_ALARM] = read_alarm,
        [ROW_FACT] = read_fact, [ROW_AUDIT] = read_audit,
    };
    struct reading *in = malloc(sizeof *in);
    uint64_t unknown = 0;
    int rc = in ? 0 : err_set(e, ERR_NOMEM, _("no memory"));
    for (size_t i = 0; rc == 0 && i < o->n_sections; i++) {
        const struct catalog_section *s = &o->sections[i];
        if (s->kind >= ROW_KINDS || !read[s->kind]) {
            unknown += s->rows;
            continue;
        }
        *in = (struct reading){ .r = rbuf_of(s->p, s->len), .sink = sink };
        for (uint64_t k = 0; rc == 0 && !in->r.bad && k < s->rows; k++)
            rc = read[s->kind](in);
        if (rc == 0 && !rb_done(&in->r))
            rc = err_set(e, ERR_DAMAGED, _("its content is malformed"));
    }
    free(in);
    if (rc == 0 && ret_unknown)
        *ret_unknown = unknown;
    return rc;
}
