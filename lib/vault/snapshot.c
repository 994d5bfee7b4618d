/* snapshot.c - the header of a snapshot and sets of sealed data keys; docs/format.md, "snapshot", "keys". */
#include "lib/vault/objects.h"
#include "lib/base/i18n.h"
#include "lib/vault/parse.h"

#include <assert.h>
#include <stdlib.h>

/* --- snapshot --------------------------------------------------------------------------------- */
static bool name_ok(const char *s)
{
    return strlen(s) <= MAX_FORMAT_NAME;
}

void snapshot_write(struct wbuf *w, const struct snapshot *s)
{
    assert(name_ok(s->policy) && name_ok(s->source) && name_ok(s->host) && name_ok(s->kind));
    wb_u8(w, s->state);
    wb_u8(w, s->flags);
    wb_str(w, s->policy);
    wb_str(w, s->source);
    wb_str(w, s->host);
    wb_str(w, s->kind);
    wb_id(w, &s->base);
    wb_zigzag(w, s->started_ns);
    wb_zigzag(w, s->ended_ns);
    wb_zigzag(w, s->received_ns);
    wb_varint(w, s->files);
    wb_varint(w, s->dirs);
    wb_varint(w, s->others);
    wb_varint(w, s->bytes);
    wb_varint(w, s->bytes_read);
    wb_varint(w, s->bytes_stored);
    wb_varint(w, s->problems);
    wb_id(w, &s->reach);
    wb_id(w, &s->key_id);
    wb_varint(w, s->counter);
    wb_blob(w, s->body, s->body_len);
}

static void body_read(struct parse *in, struct snapshot *s)
{
    size_t n;
    const uint8_t *p = rb_blob(&in->r, MAX_OBJECT_BYTES, &n);
    if (!p)
        return;
    s->body = malloc(n + 1); /* never of size 0, whose result may be NULL */
    if (!s->body) {
        in->no_memory = true;
        rb_fail(&in->r);
        return;
    }
    memcpy(s->body, p, n);
    s->body_len = n;
}

static void snapshot_fields(struct parse *in, struct snapshot *s)
{
    struct rbuf *r = &in->r;
    s->state = rb_u8(r);
    s->flags = rb_u8(r);
    s->policy = parse_name(in);
    s->source = parse_name(in);
    s->host = parse_name(in);
    s->kind = parse_name(in);
    rb_id(r, &s->base);
    s->started_ns = rb_zigzag(r);
    s->ended_ns = rb_zigzag(r);
    s->received_ns = rb_zigzag(r);
    s->files = rb_varint(r);
    s->dirs = rb_varint(r);
    s->others = rb_varint(r);
    s->bytes = rb_varint(r);
    s->bytes_read = rb_varint(r);
    s->bytes_stored = rb_varint(r);
    s->problems = rb_varint(r);
    rb_id(r, &s->reach);
    rb_id(r, &s->key_id);
    s->counter = rb_varint(r);
    body_read(in, s);
    if ((s->state != SNAPSHOT_WHOLE && s->state != SNAPSHOT_PARTIAL) ||
        (s->flags & ~SNAPSHOT_QUARANTINE))
        rb_fail(r);
}

int snapshot_read(const void *p, size_t n, struct snapshot **ret, struct err *e)
{
    struct snapshot *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, _("no memory"));
    struct parse in = parse_of(p, n);
    snapshot_fields(&in, s);
    int rc = parse_end(&in, e);
    if (rc < 0)
        snapshot_free(s);
    else
        *ret = s;
    return rc;
}

void snapshot_free(struct snapshot *s)
{
    if (!s)
        return;
    free(s->policy);
    free(s->source);
    free(s->host);
    free(s->kind);
    free(s->body);
    free(s);
}

void snapshot_binding(struct wbuf *w, const char *policy, const char *source, const char *host)
{
    wb_str(w, policy);
    wb_str(w, source);
    wb_str(w, host);
}

/* --- data keys -------------------------------------------------------------------------------- */
#define MIN_DATA_KEY_BYTES (ID_BYTES + 1 + DATA_KEY_BLOB_BYTES)

void key_set_write(struct wbuf *w, const struct key_set *k)
{
    wb_varint(w, k->n);
    for (size_t i = 0; i < k->n; i++) {
        wb_id(w, &k->keys[i].id);
        wb_blob(w, k->keys[i].blob, DATA_KEY_BLOB_BYTES);
    }
}

int key_set_read(const void *p, size_t n, struct key_set **ret, struct err *e)
{
    struct key_set *k = calloc(1, sizeof *k);
    if (!k)
        return err_set(e, ERR_NOMEM, _("no memory"));
    struct parse in = parse_of(p, n);
    k->keys = parse_array(&in, MIN_DATA_KEY_BYTES, sizeof *k->keys, &k->n);
    for (size_t i = 0; i < k->n && !in.r.bad; i++) {
        size_t len;
        rb_id(&in.r, &k->keys[i].id);
        const uint8_t *blob = rb_blob(&in.r, DATA_KEY_BLOB_BYTES, &len);
        if (blob && len == DATA_KEY_BLOB_BYTES)
            memcpy(k->keys[i].blob, blob, len);
        else
            rb_fail(&in.r);
    }
    int rc = parse_end(&in, e);
    if (rc < 0)
        key_set_free(k);
    else
        *ret = k;
    return rc;
}

void key_set_free(struct key_set *k)
{
    if (!k)
        return;
    free(k->keys);
    free(k);
}
