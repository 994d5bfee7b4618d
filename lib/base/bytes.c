/* bytes.c - the byte encoding of everything that Twofold writes. docs/format.md, "Encoding". */
#include "lib/base/bytes.h"

#include <stdlib.h>

#define MIN_CAPACITY 256
#define MAX_VARINT_BYTES 10

/* --- writing ---------------------------------------------------------------------------------- */
void wbuf_free(struct wbuf *w)
{
    if (!w)
        return;
    free(w->p);
    *w = WBUF_INIT;
}

void wbuf_reset(struct wbuf *w)
{
    w->len = 0;
    w->failed = false;
}

static bool reserve(struct wbuf *w, size_t n)
{
    if (w->p && n <= w->cap - w->len)
        return true;
    if (n > SIZE_MAX / 2 - w->len)
        return false;
    size_t cap = w->cap < MIN_CAPACITY ? MIN_CAPACITY : w->cap;
    while (cap < w->len + n)
        cap *= 2;
    uint8_t *p = realloc(w->p, cap);
    if (!p)
        return false;
    w->p = p;
    w->cap = cap;
    return true;
}

uint8_t *wb_grow(struct wbuf *w, size_t n)
{
    if (w->failed)
        return NULL;
    if (!reserve(w, n)) {
        w->failed = true;
        return NULL;
    }
    uint8_t *at = w->p + w->len;
    w->len += n;
    return at;
}

static void put_le(struct wbuf *w, uint64_t v, size_t n)
{
    uint8_t *p = wb_grow(w, n);
    for (size_t i = 0; p && i < n; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

void wb_u8(struct wbuf *w, uint8_t v)
{
    put_le(w, v, 1);
}

void wb_u16(struct wbuf *w, uint16_t v)
{
    put_le(w, v, 2);
}

void wb_u32(struct wbuf *w, uint32_t v)
{
    put_le(w, v, 4);
}

void wb_u64(struct wbuf *w, uint64_t v)
{
    put_le(w, v, 8);
}

void wb_varint(struct wbuf *w, uint64_t v)
{
    uint8_t b[MAX_VARINT_BYTES];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        b[n++] = (uint8_t)(v | 0x80);
    b[n++] = (uint8_t)v;
    wb_bytes(w, b, n);
}

void wb_zigzag(struct wbuf *w, int64_t v)
{
    uint64_t u = (uint64_t)v << 1;
    wb_varint(w, v < 0 ? ~u : u);
}

void wb_bytes(struct wbuf *w, const void *p, size_t n)
{
    uint8_t *at = wb_grow(w, n);
    if (at && n > 0)
        memcpy(at, p, n);
}

void wb_blob(struct wbuf *w, const void *p, size_t n)
{
    wb_varint(w, n);
    wb_bytes(w, p, n);
}

void wb_str(struct wbuf *w, const char *s)
{
    wb_blob(w, s, strlen(s));
}

void wb_id(struct wbuf *w, const struct id *id)
{
    wb_bytes(w, id->b, ID_BYTES);
}

/* --- reading ---------------------------------------------------------------------------------- */
struct rbuf rbuf_of(const void *p, size_t n)
{
    /* An empty input may have no address; readers are promised one all the same. */
    static const uint8_t nothing;
    const uint8_t *from = p ? p : &nothing;
    return (struct rbuf){ .p = from, .end = from + n };
}

size_t rb_left(const struct rbuf *r)
{
    return r->bad ? 0 : (size_t)(r->end - r->p);
}

void rb_fail(struct rbuf *r)
{
    r->bad = true;
}

const uint8_t *rb_bytes(struct rbuf *r, size_t n)
{
    if (r->bad || n > (size_t)(r->end - r->p)) {
        rb_fail(r);
        return NULL;
    }
    const uint8_t *at = r->p;
    r->p += n;
    return at;
}

static uint64_t get_le(struct rbuf *r, size_t n)
{
    const uint8_t *p = rb_bytes(r, n);
    uint64_t v = 0;
    for (size_t i = 0; p && i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

uint8_t rb_u8(struct rbuf *r)
{
    return (uint8_t)get_le(r, 1);
}

uint16_t rb_u16(struct rbuf *r)
{
    return (uint16_t)get_le(r, 2);
}

uint32_t rb_u32(struct rbuf *r)
{
    return (uint32_t)get_le(r, 4);
}

uint64_t rb_u64(struct rbuf *r)
{
    return get_le(r, 8);
}

uint64_t rb_varint(struct rbuf *r)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < MAX_VARINT_BYTES; i++) {
        const uint8_t *b = rb_bytes(r, 1);
        if (!b)
            return 0;
        /* The tenth byte has room for one bit; a last byte of zero would be a longer form. */
        if ((i == MAX_VARINT_BYTES - 1 && *b > 1) || (i > 0 && *b == 0))
            break;
        v |= (uint64_t)(*b & 0x7F) << (7 * i);
        if (!(*b & 0x80))
            return v;
    }
    rb_fail(r);
    return 0;
}

int64_t rb_zigzag(struct rbuf *r)
{
    uint64_t u = rb_varint(r);
    return (int64_t)(u >> 1 ^ (~(u & 1) + 1));
}

uint64_t rb_varint_max(struct rbuf *r, uint64_t max)
{
    uint64_t v = rb_varint(r);
    if (v <= max)
        return v;
    rb_fail(r);
    return 0;
}

const uint8_t *rb_blob(struct rbuf *r, size_t max, size_t *ret_len)
{
    size_t n = (size_t)rb_varint_max(r, max);
    const uint8_t *p = rb_bytes(r, n);
    if (ret_len)
        *ret_len = p ? n : 0;
    return p;
}

char *rb_strdup(struct rbuf *r, size_t max)
{
    size_t n;
    const uint8_t *p = rb_blob(r, max, &n);
    if (!p)
        return NULL;
    if (memchr(p, '\0', n)) {
        rb_fail(r);
        return NULL;
    }
    char *s = malloc(n + 1);
    if (!s) {
        rb_fail(r);
        return NULL;
    }
    memcpy(s, p, n);
    s[n] = '\0';
    return s;
}

void rb_id(struct rbuf *r, struct id *out)
{
    const uint8_t *p = rb_bytes(r, ID_BYTES);
    if (p)
        memcpy(out->b, p, ID_BYTES);
    else
        memset(out->b, 0, ID_BYTES);
}

bool rb_done(const struct rbuf *r)
{
    return !r->bad && r->p == r->end;
}

bool bytes_all_zero(const void *p, size_t n)
{
    const uint8_t *b = p;
    return n == 0 || (b[0] == 0 && memcmp(b, b + 1, n - 1) == 0);
}
