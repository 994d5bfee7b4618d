/* packet.c - the encoding of SSH; see packet.h. */
#include "lib/ssh/packet.h"

#include <string.h>

void pk_u32(struct wbuf *w, uint32_t v)
{
    uint8_t *p = wb_grow(w, 4);
    for (int i = 0; p && i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

void pk_u64(struct wbuf *w, uint64_t v)
{
    pk_u32(w, (uint32_t)(v >> 32));
    pk_u32(w, (uint32_t)v);
}

void pk_string(struct wbuf *w, const void *p, size_t n)
{
    if (n > UINT32_MAX) {
        w->failed = true;
        return;
    }
    pk_u32(w, (uint32_t)n);
    wb_bytes(w, p, n);
}

void pk_text(struct wbuf *w, const char *text)
{
    pk_string(w, text, strlen(text));
}

uint32_t pk_take_u32(struct rbuf *r)
{
    const uint8_t *p = rb_bytes(r, 4);
    return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

uint64_t pk_take_u64(struct rbuf *r)
{
    uint64_t high = pk_take_u32(r);
    return high << 32 | pk_take_u32(r);
}

const uint8_t *pk_take_string(struct rbuf *r, size_t max, size_t *ret_len)
{
    size_t n = pk_take_u32(r);
    *ret_len = 0;
    if (n > max)
        rb_fail(r);
    if (r->bad)
        return NULL;
    const uint8_t *p = rb_bytes(r, n);
    if (p)
        *ret_len = n;
    return p;
}
