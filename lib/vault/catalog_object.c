/* catalog_object.c - see catalog_object.h; docs/format.md, "catalog". */
#include "lib/vault/catalog_object.h"
#include "lib/base/i18n.h"
#include "lib/codec/zstd.h"
#include "lib/vault/parse.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define CODEC_PLAIN 0
#define CODEC_ZSTD 1
#define LEVEL 6
#define CONTENT_FORM 1
#define NUMBER_DIGITS 16
#define CHAIN_DIGITS 16
#define MIN_NAME_BYTES (NUMBER_DIGITS + 1 + CHAIN_DIGITS + 1 + 2 * ID_BYTES)

/* --- names --------------------------------------------------------------------------------------------------------- */
const char *catalog_name_write(const struct catalog_name *n, char out[MAX_OBJECT_NAME])
{
    char chain[CHAIN_DIGITS + 1], hex[ID_HEX_BYTES];
    hex_encode(n->chain, sizeof n->chain, chain);
    snprintf(out, MAX_OBJECT_NAME, CATALOG_FOLDER "%016" PRIu64 "-%s-%s", n->number, chain,
             id_hex(&n->hash, hex));
    return out;
}

bool catalog_name_parse(const char *name, struct catalog_name *ret)
{
    static const char digits[] = "0123456789", hex[] = "0123456789abcdef";
    char chain[CHAIN_DIGITS + 1];
    struct catalog_name n;
    if (strncmp(name, CATALOG_FOLDER, sizeof CATALOG_FOLDER - 1) != 0)
        return false;
    name += sizeof CATALOG_FOLDER - 1;
    if (strlen(name) != MIN_NAME_BYTES || strspn(name, digits) != NUMBER_DIGITS ||
        name[NUMBER_DIGITS] != '-')
        return false;
    n.number = strtoull(name, NULL, 10);
    name += NUMBER_DIGITS + 1;
    if (strspn(name, hex) != CHAIN_DIGITS || name[CHAIN_DIGITS] != '-')
        return false;
    memcpy(chain, name, CHAIN_DIGITS);
    chain[CHAIN_DIGITS] = '\0';
    name += CHAIN_DIGITS + 1;
    if (strspn(name, hex) != (size_t)2 * ID_BYTES || !id_parse(name, &n.hash) ||
        !hex_decode(chain, n.chain, sizeof n.chain))
        return false;
    *ret = n;
    return true;
}

/* --- writing ---------------------------------------------------------------------------------------------------------- */
static void write_content(const struct catalog_object *o, struct wbuf *w)
{
    wb_u8(w, CONTENT_FORM);
    wb_id(w, &o->chain);
    wb_id(w, &o->writer);
    wb_u64(w, o->number);
    wb_u64(w, o->generation);
    wb_zigzag(w, o->written_s);
    wb_varint(w, o->schema);
    wb_varint(w, o->start_seq);
    wb_id(w, &o->start_hash);
    wb_varint(w, o->last_seq);
    wb_id(w, &o->last_hash);
    wb_varint(w, o->n_sections);
    for (size_t i = 0; i < o->n_sections; i++) {
        wb_u8(w, o->sections[i].kind);
        wb_varint(w, o->sections[i].rows);
        wb_blob(w, o->sections[i].p, o->sections[i].len);
    }
}

static int compress(const struct wbuf *content, struct wbuf *out, struct err *e)
{
    struct zstd *z = zstd_new();
    size_t cap = zstd_bound(content->len);
    uint8_t *packed = malloc(cap);
    size_t n = z && packed ? zstd_compress(z, LEVEL, content->p, content->len, packed, cap) : 0;
    wb_u8(out, n ? CODEC_ZSTD : CODEC_PLAIN);
    wb_u32(out, (uint32_t)content->len);
    wb_bytes(out, n ? packed : content->p, n ? n : content->len);
    free(packed);
    zstd_free(z);
    return out->failed ? err_set(e, ERR_NOMEM, _("no memory")) : 0;
}

int catalog_object_write(const struct catalog_object *o, struct wbuf *out, struct err *e)
{
    struct wbuf content = WBUF_INIT;
    int rc;
    write_content(o, &content);
    if (content.failed)
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    else if (content.len > MAX_CATALOG_PLAIN)
        rc = err_set(e, ERR_LIMIT, _("an object would be larger than the format allows"));
    else
        rc = compress(&content, out, e);
    wbuf_free(&content);
    return rc;
}

/* --- reading ---------------------------------------------------------------------------------------------------------- */
static int malformed(struct err *e)
{
    return err_set(e, ERR_DAMAGED, _("its content is malformed"));
}

static int unpack(struct rbuf *r, uint8_t codec, size_t len, uint8_t *out, struct err *e)
{
    size_t n = rb_left(r);
    const uint8_t *p = rb_bytes(r, n);
    if (!p || (codec == CODEC_PLAIN && n != len) || codec > CODEC_ZSTD)
        return malformed(e);
    if (codec == CODEC_PLAIN) {
        memcpy(out, p, len);
        return 0;
    }
    struct zstd *z = zstd_new();
    int rc = z ? zstd_decompress(z, p, n, out, len, e) : err_set(e, ERR_NOMEM, _("no memory"));
    zstd_free(z);
    return rc;
}

static int read_content(struct catalog_object *o, size_t len, struct err *e)
{
    struct parse in = parse_of(o->plain, len);
    struct rbuf *r = &in.r;
    if (rb_u8(r) != CONTENT_FORM)
        return malformed(e);
    rb_id(r, &o->chain);
    rb_id(r, &o->writer);
    o->number = rb_u64(r);
    o->generation = rb_u64(r);
    o->written_s = rb_zigzag(r);
    o->schema = rb_varint(r);
    o->start_seq = rb_varint(r);
    rb_id(r, &o->start_hash);
    o->last_seq = rb_varint(r);
    rb_id(r, &o->last_hash);
    size_t n = rb_varint_max(r, MAX_CATALOG_SECTIONS);
    for (size_t i = 0; i < n && !r->bad; i++) {
        struct catalog_section *s = &o->sections[i];
        s->kind = rb_u8(r);
        s->rows = rb_varint(r);
        s->p = rb_blob(r, MAX_CATALOG_PLAIN, &s->len);
        if (s->rows > s->len)
            rb_fail(r); /* a row has a byte at least */
    }
    o->n_sections = n;
    if (o->start_seq > o->last_seq)
        rb_fail(r);
    return parse_end(&in, e);
}

int catalog_object_read(const void *p, size_t n, struct catalog_object **ret, struct err *e)
{
    struct rbuf r = rbuf_of(p, n);
    uint8_t codec = rb_u8(&r);
    size_t len = rb_u32(&r);
    if (r.bad || len > MAX_CATALOG_PLAIN || len == 0)
        return malformed(e);
    struct catalog_object *o = calloc(1, sizeof *o);
    if (o)
        o->plain = malloc(len);
    if (!o || !o->plain) {
        catalog_object_free(o);
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    int rc = unpack(&r, codec, len, o->plain, e);
    if (rc == 0)
        rc = read_content(o, len, e);
    if (rc < 0) {
        catalog_object_free(o);
        return rc;
    }
    *ret = o;
    return 0;
}

void catalog_object_free(struct catalog_object *o)
{
    if (!o)
        return;
    free(o->plain);
    free(o);
}
