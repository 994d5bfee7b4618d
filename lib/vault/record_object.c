/* record_object.c - see record_object.h; docs/format.md, "record". */
#include "lib/vault/record_object.h"
#include "lib/base/i18n.h"
#include "lib/codec/zstd.h"
#include "lib/crypto/hpke.h"
#include "lib/vault/parse.h"

#include <stdlib.h>
#include <string.h>

#define FORM 1
#define FLAG_DRILL 1
#define FLAG_ENDED 2
#define KNOWN_FLAGS (FLAG_DRILL | FLAG_ENDED)
#define CODEC_PLAIN 0
#define CODEC_ZSTD 1
#define LEVEL 6
#define INFO "twofold v1 record"
#define AAD_BYTES ((size_t)2 * ID_BYTES)
#define MIN_BEFORE_BYTES (1 + ID_BYTES)
#define MIN_FILE_BYTES 3

static int malformed(struct err *e)
{
    return err_set(e, ERR_DAMAGED, _("its content is malformed"));
}

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

void record_object_free(struct record_object *o)
{
    if (!o)
        return;
    free(o->sealed);
    free(o->plain);
    free(o);
}

bool record_object_replaces(const struct record_object *newer, const struct record_object *older)
{
    if (strcmp(newer->incident, older->incident) != 0)
        return false;
    for (size_t i = 0; i < newer->n_before; i++)
        if (newer->before[i].number == older->number && id_eq(&newer->before[i].last, &older->last))
            return true;
    return false;
}

/* --- what stands around it ------------------------------------------------------------------------ */
void record_head_write(const struct record_object *o, struct wbuf *out)
{
    wb_u8(out, FORM);
    wb_u8(out, (uint8_t)((o->drill ? FLAG_DRILL : 0) | (o->ended ? FLAG_ENDED : 0)));
    wb_str(out, o->incident);
    wb_varint(out, o->number);
    wb_id(out, &o->last);
    wb_zigzag(out, o->written_s);
    wb_varint(out, o->n_before);
    for (size_t i = 0; i < o->n_before; i++) {
        wb_varint(out, o->before[i].number);
        wb_id(out, &o->before[i].last);
    }
}

/* As a name of a folder it must be harmless, too. */
static bool incident_ok(const char *id)
{
    static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t n = strlen(id);
    return n > 0 && id[0] != '.' && strspn(id, chars) == n;
}

static void read_before(struct rbuf *r, struct record_object *o)
{
    uint64_t n = rb_varint_max(r, MAX_RECORD_BEFORE), above = o->number;
    for (uint64_t i = 0; i < n && !r->bad; i++) {
        o->before[i].number = rb_varint(r);
        rb_id(r, &o->before[i].last);
        if (o->before[i].number >= above)
            rb_fail(r);
        above = o->before[i].number;
        o->n_before++;
    }
}

int record_head_parse(const void *p, size_t n, struct record_object *ret, struct err *e)
{
    struct rbuf r = rbuf_of(p, n);
    size_t len = 0;
    uint8_t form = rb_u8(&r), flags = rb_u8(&r);
    const uint8_t *id = rb_blob(&r, MAX_RECORD_INCIDENT, &len);
    if (r.bad || form != FORM || (flags & ~KNOWN_FLAGS) || memchr(id, 0, len))
        return malformed(e);
    memcpy(ret->incident, id, len);
    ret->incident[len] = '\0';
    ret->drill = flags & FLAG_DRILL;
    ret->ended = flags & FLAG_ENDED;
    ret->number = rb_varint(&r);
    rb_id(&r, &ret->last);
    ret->written_s = rb_zigzag(&r);
    ret->n_before = 0;
    read_before(&r, ret);
    ret->head_len = n - rb_left(&r);
    ret->sealed_len = rb_left(&r);
    if (r.bad || !incident_ok(ret->incident) || ret->sealed_len < HPKE_OVERHEAD_BYTES)
        return malformed(e);
    sha256_of(p, ret->head_len, &ret->head_hash);
    return 0;
}

/* --- what is in it ---------------------------------------------------------------------------------- */
void record_content_write(const struct record_object *o, struct wbuf *out)
{
    wb_blob(out, o->timeline, o->timeline_len);
    wb_varint(out, o->n_files);
    for (size_t i = 0; i < o->n_files; i++) {
        wb_str(out, o->files[i].name);
        wb_blob(out, o->files[i].p, o->files[i].len);
    }
}

static void read_file(struct rbuf *r, struct record_file *f)
{
    size_t len = 0;
    const uint8_t *name = rb_blob(r, MAX_RECORD_FILE_NAME, &len);
    f->p = r->bad ? NULL : rb_blob(r, MAX_RECORD_PLAIN, &f->len);
    if (r->bad)
        return;
    memcpy(f->name, name, len);
    f->name[len] = '\0';
    if (len == 0 || memchr(name, 0, len) || memchr(name, '/', len) || name[0] == '.')
        rb_fail(r);
}

int record_content_parse(const void *p, size_t n, struct record_object *ret, struct err *e)
{
    struct rbuf r = rbuf_of(p, n);
    ret->timeline = rb_blob(&r, MAX_RECORD_PLAIN, &ret->timeline_len);
    uint64_t files = rb_varint_max(&r, MAX_RECORD_FILES);
    ret->n_files = 0;
    for (uint64_t i = 0; i < files && !r.bad; i++)
        read_file(&r, &ret->files[ret->n_files++]);
    if (rb_done(&r))
        return 0;
    ret->n_files = 0;
    ret->timeline = NULL;
    return malformed(e);
}

/* "u8 codec ‖ u32 length ‖ data", as in a chunk. */
static int pack(const struct wbuf *content, struct wbuf *out, struct err *e)
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
    return out->failed ? no_memory(e) : 0;
}

static int unpack(const uint8_t *p, size_t n, uint8_t **ret, size_t *ret_len, struct err *e)
{
    struct rbuf r = rbuf_of(p, n);
    uint8_t codec = rb_u8(&r);
    size_t len = rb_u32(&r), left = rb_left(&r);
    const uint8_t *data = rb_bytes(&r, left);
    if (r.bad || codec > CODEC_ZSTD || len > MAX_RECORD_PLAIN ||
        (codec == CODEC_PLAIN && left != len))
        return malformed(e);
    uint8_t *out = malloc(len + 1);
    struct zstd *z = codec == CODEC_ZSTD ? zstd_new() : NULL;
    int rc = !out || (codec == CODEC_ZSTD && !z) ? no_memory(e) : 0;
    if (rc == 0 && z)
        rc = zstd_decompress(z, data, left, out, len, e);
    else if (rc == 0)
        memcpy(out, data, len);
    zstd_free(z);
    if (rc < 0) {
        free(out);
        return rc;
    }
    *ret = out;
    *ret_len = len;
    return 0;
}

/* --- sealed -------------------------------------------------------------------------------------------- */
/* The head is bound to what is sealed, so that nobody who has the operational key can put another one around it. */
static struct hpke_text text_of(const struct vault_keys *k, const struct id *head,
                                uint8_t aad[AAD_BYTES])
{
    memcpy(aad, k->vault_id.b, ID_BYTES);
    memcpy(aad + ID_BYTES, head->b, ID_BYTES);
    return (struct hpke_text){ INFO, aad, sizeof INFO - 1, AAD_BYTES };
}

static int seal_content(const struct vault_keys *k, const struct record_object *o,
                        struct wbuf *plain, struct err *e)
{
    struct wbuf content = WBUF_INIT, packed = WBUF_INIT;
    uint8_t aad[AAD_BYTES];
    struct id head;
    sha256_of(plain->p, plain->len, &head);
    struct hpke_text t = text_of(k, &head, aad);
    record_content_write(o, &content);
    int rc = content.failed                   ? no_memory(e)
             : content.len > MAX_RECORD_PLAIN ? err_set(e, ERR_LIMIT,
                                                        _("an object would be larger than the "
                                                          "format allows"))
                                              : pack(&content, &packed, e);
    uint8_t *out = rc == 0 ? wb_grow(plain, packed.len + HPKE_OVERHEAD_BYTES) : NULL;
    if (rc == 0)
        rc = out ? hpke_seal(k->recovery_pk, &t, packed.p, packed.len, out, e) : no_memory(e);
    wbuf_free(&content);
    wbuf_free(&packed);
    return rc;
}

int record_object_seal(const struct vault_keys *k, const struct record_object *o, struct wbuf *out,
                       struct err *e)
{
    struct wbuf plain = WBUF_INIT;
    struct record_object back = { .number = 0 };
    record_head_write(o, &plain);
    int rc = plain.failed ? no_memory(e) : seal_content(k, o, &plain, e);
    if (rc == 0) /* what cannot be read back is not put anywhere */
        rc = record_head_parse(plain.p, plain.len, &back, e);
    if (rc == 0)
        rc = envelope_seal(k, OBJECT_RECORD, plain.p, plain.len, out, e);
    wbuf_free(&plain);
    return rc;
}

int record_object_read(const struct vault_keys *k, const void *p, size_t n,
                       struct record_object **ret, struct err *e)
{
    struct wbuf plain = WBUF_INIT;
    struct record_object *o = calloc(1, sizeof *o);
    int rc = o ? envelope_open(k, OBJECT_RECORD, p, n, &plain, e) : no_memory(e);
    if (rc == 0)
        rc = record_head_parse(plain.p, plain.len, o, e);
    if (rc == 0) {
        o->sealed = malloc(o->sealed_len);
        rc = o->sealed ? 0 : no_memory(e);
    }
    if (rc == 0)
        memcpy(o->sealed, plain.p + o->head_len, o->sealed_len);
    wbuf_free(&plain);
    if (rc < 0)
        record_object_free(o);
    else
        *ret = o;
    return rc;
}

int record_object_open(const struct vault_keys *k, struct record_object *o, struct err *e)
{
    uint8_t aad[AAD_BYTES], *packed = NULL;
    size_t n = o->sealed_len - HPKE_OVERHEAD_BYTES, len = 0;
    struct hpke_text t = text_of(k, &o->head_hash, aad);
    if (!k->recovery_sk) {
        err_set(e, ERR_KEY, _("it is sealed to the recovery key, which is not at hand"));
        return err_next(e, _("name the recovery file: --recovery-file FILE"));
    }
    packed = malloc(n + 1);
    int rc = packed
                 ? hpke_open(secret_bytes(k->recovery_sk), &t, o->sealed, o->sealed_len, packed, e)
                 : no_memory(e);
    free(o->plain);
    o->plain = NULL;
    if (rc == 0)
        rc = unpack(packed, n, &o->plain, &len, e);
    if (rc == 0)
        rc = record_content_parse(o->plain, len, o, e);
    free(packed);
    return rc;
}
