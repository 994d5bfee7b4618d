/* log.c - see lib/vault/log.h; docs/format.md, "log". */
#include "lib/vault/log.h"
#include "lib/base/i18n.h"
#include "lib/vault/parse.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TABLE_FORM 1
#define LENGTH_BYTES 4
#define SEQ_DIGITS 16
#define STREAM_DIGITS ((size_t)2 * LOG_STREAM_BYTES)
#define MIN_ENTRY_BYTES 35
#define MAX_SEALED_PIECE (MAX_LOG_PIECE + CHUNK_INNER_BYTES + AEAD_TAG_BYTES)

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

static int damaged(struct err *e)
{
    return err_set(e, ERR_DAMAGED, _("it is not an object of a database's log"));
}

/* --- names ------------------------------------------------------------------------------------------ */
const char *log_name_write(const struct log_name *n, char out[MAX_OBJECT_NAME])
{
    char stream[STREAM_DIGITS + 1], hex[ID_HEX_BYTES];
    hex_encode(n->stream, sizeof n->stream, stream);
    snprintf(out, MAX_OBJECT_NAME, LOG_FOLDER "%s/%016" PRIu64 "-%016" PRIu64 "-%s", stream,
             n->first, n->last, id_hex(&n->hash, hex));
    return out;
}

/* Digits and what ends them; NULL: not so. */
static const char *parse_seq(const char *p, uint64_t *ret)
{
    if (strspn(p, "0123456789") != SEQ_DIGITS || p[SEQ_DIGITS] != '-')
        return NULL;
    *ret = strtoull(p, NULL, 10);
    return p + SEQ_DIGITS + 1;
}

bool log_name_parse(const char *name, struct log_name *ret)
{
    static const char hex[] = "0123456789abcdef";
    char stream[STREAM_DIGITS + 1];
    struct log_name n;
    if (strncmp(name, LOG_FOLDER, sizeof LOG_FOLDER - 1) != 0)
        return false;
    name += sizeof LOG_FOLDER - 1;
    if (strspn(name, hex) != STREAM_DIGITS || name[STREAM_DIGITS] != '/')
        return false;
    memcpy(stream, name, STREAM_DIGITS);
    stream[STREAM_DIGITS] = '\0';
    name = parse_seq(name + STREAM_DIGITS + 1, &n.first);
    name = name ? parse_seq(name, &n.last) : NULL;
    if (!name || strlen(name) != (size_t)2 * ID_BYTES ||
        strspn(name, hex) != (size_t)2 * ID_BYTES || !id_parse(name, &n.hash) ||
        !hex_decode(stream, n.stream, sizeof n.stream) || n.first == 0 || n.last < n.first)
        return false;
    *ret = n;
    return true;
}

void log_stream_id(const struct vault_keys *k, const char *source, uint8_t ret[LOG_STREAM_BYTES])
{
    static const char label[] = "twofold v1 log stream";
    struct wbuf info = WBUF_INIT;
    wb_bytes(&info, label, sizeof label - 1);
    wb_id(&info, &k->vault_id);
    wb_str(&info, source);
    if (info.failed)
        abort();
    hkdf(NULL, 0, secret_bytes(k->op), secret_len(k->op), info.p, info.len, ret, LOG_STREAM_BYTES);
    wbuf_free(&info);
}

/* --- pieces ----------------------------------------------------------------------------------------- */
void log_piece_write(struct wbuf *w, const struct log_piece *p)
{
    wb_varint(w, p->seq);
    wb_varint(w, p->epoch);
    wb_u8(w, (uint8_t)p->kind);
    wb_u64(w, p->system);
    wb_varint(w, p->timeline);
    wb_varint(w, p->start);
    wb_varint(w, p->end - p->start);
    wb_zigzag(w, p->time_ns);
    wb_varint(w, p->len);
    wb_bytes(w, p->mark, sizeof p->mark);
}

void log_piece_read(struct rbuf *r, struct log_piece *ret)
{
    struct log_piece p = { .seq = rb_varint_max(r, MAX_LOG_SEQ) };
    p.epoch = rb_varint_max(r, MAX_LOG_SEQ);
    p.kind = (enum log_kind)rb_u8(r);
    p.system = rb_u64(r);
    p.timeline = (uint32_t)rb_varint_max(r, UINT32_MAX);
    p.start = rb_varint(r);
    uint64_t span = rb_varint_max(r, MAX_LOG_PIECE);
    p.end = p.start + span;
    p.time_ns = rb_zigzag(r);
    p.len = (size_t)rb_varint_max(r, MAX_LOG_PIECE);
    const uint8_t *mark = rb_bytes(r, sizeof p.mark);
    if (mark)
        memcpy(p.mark, mark, sizeof p.mark);
    bool right = p.kind == LOG_BYTES     ? span == p.len && p.end > p.start
                 : p.kind == LOG_HISTORY ? span == 0
                                         : false;
    if (!right || p.seq == 0 || p.epoch == 0 || p.timeline == 0 || p.len == 0)
        rb_fail(r);
    *ret = p;
}

void log_piece_mark(const void *p, size_t n, uint8_t ret[LOG_MARK_BYTES])
{
    struct id sum;
    sha256_of(p, n, &sum);
    memcpy(ret, sum.b, LOG_MARK_BYTES);
}

void log_piece_id(const struct id *vault_id, const char *source, const struct log_piece *p,
                  struct id *ret)
{
    static const char label[] = "twofold v1 log piece";
    struct wbuf w = WBUF_INIT;
    wb_bytes(&w, label, sizeof label - 1);
    wb_id(&w, vault_id);
    wb_str(&w, source);
    log_piece_write(&w, p);
    if (w.failed)
        abort();
    sha256_of(w.p, w.len, ret);
    wbuf_free(&w);
}

/* A timeline's history comes right before its first bytes. A timeline goes on from a position that the one before it had reached, at
 * the beginning of a file of the log: what of that file the new one shares with the old is there twice. */
bool log_piece_follows(const struct log_piece *p, const struct log_piece *next)
{
    if (next->epoch != p->epoch || next->seq != p->seq + 1 || next->system != p->system)
        return false;
    if (next->kind == LOG_HISTORY)
        return next->timeline > p->timeline && next->start <= p->end;
    if (p->kind == LOG_HISTORY)
        return next->timeline == p->timeline && next->start <= p->start;
    return next->timeline == p->timeline && next->start == p->end;
}

/* --- tables ----------------------------------------------------------------------------------------- */
void log_table_free(struct log_table *t)
{
    if (!t)
        return;
    free(t->source);
    free(t->keys);
    free(t->entries);
    free(t);
}

static int find_key(struct log_table *t, const struct data_key *key, size_t *ret, struct err *e)
{
    size_t i = 0;
    while (i < t->n_keys && !id_eq(&t->keys[i].id, &key->id))
        i++;
    *ret = i;
    if (i < t->n_keys)
        return 0;
    struct data_key *grown = i < MAX_LOG_KEYS ? realloc(t->keys, (i + 1) * sizeof *grown) : NULL;
    if (!grown)
        return i < MAX_LOG_KEYS ? no_memory(e)
                                : err_set(e, ERR_LIMIT, _("an object of a log is full"));
    t->keys = grown;
    t->keys[t->n_keys++] = *key;
    return 0;
}

int log_table_add(struct log_table *t, const struct log_piece *p, const struct data_key *key,
                  uint64_t counter, size_t sealed_len, struct err *e)
{
    size_t at = 0;
    if (t->n == MAX_LOG_PIECES || sealed_len > MAX_SEALED_PIECE ||
        t->body_len + sealed_len > MAX_LOG_OBJECT)
        return err_set(e, ERR_LIMIT, _("an object of a log is full"));
    if (t->n > 0 && p->seq != t->entries[t->n - 1].piece.seq + 1)
        return err_set(e, ERR_PROTOCOL, _("pieces of a log do not follow one another"));
    int rc = find_key(t, key, &at, e);
    if (rc < 0)
        return rc;
    if ((t->n & (t->n - 1)) == 0) { /* it doubles */
        void *grown = realloc(t->entries, (t->n ? 2 * t->n : 1) * sizeof *t->entries);
        if (!grown)
            return no_memory(e);
        t->entries = grown;
    }
    t->entries[t->n++] = (struct log_entry){
        .piece = *p, .key = at, .counter = counter, .sealed_len = sealed_len
    };
    t->body_len += sealed_len;
    return 0;
}

void log_table_write(struct wbuf *w, const struct log_table *t)
{
    wb_u8(w, TABLE_FORM);
    wb_str(w, t->source);
    wb_zigzag(w, t->received_ns);
    wb_id(w, &t->body_hash);
    wb_varint(w, t->n_keys);
    for (size_t i = 0; i < t->n_keys; i++) {
        wb_id(w, &t->keys[i].id);
        wb_bytes(w, t->keys[i].blob, DATA_KEY_BLOB_BYTES);
    }
    wb_varint(w, t->n);
    for (size_t i = 0; i < t->n; i++) {
        log_piece_write(w, &t->entries[i].piece);
        wb_varint(w, t->entries[i].key);
        wb_varint(w, t->entries[i].counter);
        wb_varint(w, t->entries[i].sealed_len);
    }
}

static void read_keys(struct parse *in, struct log_table *t)
{
    t->keys = parse_array(in, ID_BYTES + DATA_KEY_BLOB_BYTES, sizeof *t->keys, &t->n_keys);
    if (t->n_keys > MAX_LOG_KEYS)
        rb_fail(&in->r);
    for (size_t i = 0; i < t->n_keys && !in->r.bad; i++) {
        rb_id(&in->r, &t->keys[i].id);
        const uint8_t *blob = rb_bytes(&in->r, DATA_KEY_BLOB_BYTES);
        if (blob)
            memcpy(t->keys[i].blob, blob, DATA_KEY_BLOB_BYTES);
    }
}

static void read_entries(struct parse *in, struct log_table *t)
{
    t->entries = parse_array(in, MIN_ENTRY_BYTES, sizeof *t->entries, &t->n);
    if (t->n == 0 || t->n > MAX_LOG_PIECES)
        rb_fail(&in->r);
    for (size_t i = 0; i < t->n && !in->r.bad; i++) {
        struct log_entry *x = &t->entries[i];
        log_piece_read(&in->r, &x->piece);
        uint64_t key = rb_varint(&in->r);
        x->counter = rb_varint(&in->r);
        x->sealed_len = (size_t)rb_varint_max(&in->r, MAX_SEALED_PIECE);
        t->body_len += x->sealed_len;
        if (key >= t->n_keys || (i > 0 && x->piece.seq != t->entries[i - 1].piece.seq + 1))
            rb_fail(&in->r);
        x->key = (size_t)key;
    }
}

int log_table_read(const void *p, size_t n, struct log_table **ret, struct err *e)
{
    struct log_table *t = calloc(1, sizeof *t);
    struct parse in = parse_of(p, n);
    if (!t)
        return no_memory(e);
    if (rb_u8(&in.r) != TABLE_FORM)
        rb_fail(&in.r);
    t->source = parse_name(&in);
    t->received_ns = rb_zigzag(&in.r);
    rb_id(&in.r, &t->body_hash);
    read_keys(&in, t);
    read_entries(&in, t);
    int rc = parse_end(&in, e);
    if (rc < 0)
        log_table_free(t);
    else
        *ret = t;
    return rc;
}

/* --- objects ---------------------------------------------------------------------------------------- */
int log_object_seal(const struct vault_keys *k, struct log_table *t, const struct wbuf *body,
                    struct wbuf *out, char ret_name[MAX_OBJECT_NAME], struct err *e)
{
    struct wbuf plain = WBUF_INIT, sealed = WBUF_INIT;
    struct log_name name = { .first = t->entries[0].piece.seq,
                             .last = t->entries[t->n - 1].piece.seq };
    sha256_of(body->p, body->len, &t->body_hash);
    log_table_write(&plain, t);
    int rc = plain.failed ? no_memory(e)
                          : envelope_seal(k, OBJECT_LOG, plain.p, plain.len, &sealed, e);
    if (rc == 0 && sealed.len > MAX_LOG_TABLE)
        rc = err_set(e, ERR_LIMIT, _("an object of a log is full"));
    if (rc == 0) {
        wb_u32(out, (uint32_t)sealed.len);
        wb_bytes(out, sealed.p, sealed.len);
        wb_bytes(out, body->p, body->len);
        rc = out->failed ? no_memory(e) : 0;
    }
    if (rc == 0) {
        log_stream_id(k, t->source, name.stream);
        sha256_of(out->p, out->len, &name.hash);
        log_name_write(&name, ret_name);
    }
    wbuf_free(&plain);
    wbuf_free(&sealed);
    return rc;
}

int log_table_span(const void *p, size_t n, size_t *ret, struct err *e)
{
    struct rbuf r = rbuf_of(p, n);
    *ret = 0;
    if (n < LENGTH_BYTES)
        return 0;
    uint32_t len = rb_u32(&r);
    if (len == 0 || len > MAX_LOG_TABLE)
        return damaged(e);
    *ret = LENGTH_BYTES + (size_t)len;
    return 0;
}

int log_table_open(const struct vault_keys *k, const struct log_name *name, const void *p, size_t n,
                   struct log_table **ret, struct err *e)
{
    struct wbuf plain = WBUF_INIT;
    struct log_table *t = NULL;
    uint8_t stream[LOG_STREAM_BYTES];
    size_t span = 0;
    int rc = log_table_span(p, n, &span, e);
    if (rc == 0 && (span == 0 || span > n))
        rc = damaged(e);
    if (rc == 0)
        rc = envelope_open(k, OBJECT_LOG, (const uint8_t *)p + LENGTH_BYTES, span - LENGTH_BYTES,
                           &plain, e);
    if (rc == 0)
        rc = log_table_read(plain.p, plain.len, &t, e);
    wbuf_free(&plain);
    if (rc < 0 || !t)
        return rc;
    log_stream_id(k, t->source, stream);
    if (memcmp(stream, name->stream, sizeof stream) != 0 ||
        t->entries[0].piece.seq != name->first || t->entries[t->n - 1].piece.seq != name->last) {
        log_table_free(t);
        return err_set(e, ERR_DAMAGED, _("it is another part of the log than its name says"));
    }
    *ret = t;
    return 0;
}

int log_body_check(const struct log_table *t, const void *body, size_t n, struct err *e)
{
    struct id hash;
    sha256_of(body, n, &hash);
    return n == t->body_len && id_eq(&hash, &t->body_hash) ? 0 : damaged(e);
}
