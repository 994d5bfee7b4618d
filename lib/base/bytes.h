/*
 * bytes.h - the one encoding of everything that Twofold writes: little-endian integers, LEB128
 * varints (at most 10 bytes, shortest form required), zigzag for signed ones, and blobs (a varint
 * length, then the bytes). docs/format.md, "Encoding".
 *
 * Both sides are sticky: after a failure (no memory; input too short, too long, not canonical) every
 * further call does nothing, and one check at the end tells.
 *
 *     struct wbuf w = WBUF_INIT;                    struct rbuf r = rbuf_of(p, n);
 *     wb_u32(&w, 7); wb_blob(&w, s, strlen(s));     uint32_t v = rb_u32(&r);
 *     if (w.failed) ...                             const uint8_t *s = rb_blob(&r, MAX_X, &len);
 *     wbuf_free(&w);                                if (!rb_done(&r)) ... malformed
 */
#ifndef TWOFOLD_BASE_BYTES_H
#define TWOFOLD_BASE_BYTES_H

#include "lib/base/id.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wbuf {
    uint8_t *p; /* owned */
    size_t len, cap;
    bool failed;
};
#define WBUF_INIT ((struct wbuf){ 0 })

void wbuf_free(struct wbuf *w);  /* NULL-safe; leaves it empty and usable */
void wbuf_reset(struct wbuf *w); /* length 0, memory kept */
/* Room for n more bytes at the end; returns where they go (length already advanced), or NULL. */
uint8_t *wb_grow(struct wbuf *w, size_t n);
void wb_u8(struct wbuf *w, uint8_t v);
void wb_u16(struct wbuf *w, uint16_t v);
void wb_u32(struct wbuf *w, uint32_t v);
void wb_u64(struct wbuf *w, uint64_t v);
void wb_varint(struct wbuf *w, uint64_t v);
void wb_zigzag(struct wbuf *w, int64_t v);
void wb_bytes(struct wbuf *w, const void *p, size_t n);
void wb_blob(struct wbuf *w, const void *p, size_t n);
void wb_str(struct wbuf *w, const char *s); /* blob of strlen(s) bytes */
void wb_id(struct wbuf *w, const struct id *id);

struct rbuf {
    const uint8_t *p, *end; /* borrowed */
    bool bad;
};

struct rbuf rbuf_of(const void *p, size_t n);
size_t rb_left(const struct rbuf *r);
uint8_t rb_u8(struct rbuf *r);
uint16_t rb_u16(struct rbuf *r);
uint32_t rb_u32(struct rbuf *r);
uint64_t rb_u64(struct rbuf *r);
uint64_t rb_varint(struct rbuf *r);
int64_t rb_zigzag(struct rbuf *r);
/* A varint that must not exceed max; else the reader turns bad and 0 is returned. */
uint64_t rb_varint_max(struct rbuf *r, uint64_t max);
/* n bytes, borrowed from the input; NULL when there are fewer. */
const uint8_t *rb_bytes(struct rbuf *r, size_t n);
/* A blob of at most max bytes, borrowed; NULL when bad (for length 0 a non-NULL pointer). */
const uint8_t *rb_blob(struct rbuf *r, size_t max, size_t *ret_len);
/* A blob copied into a new NUL-terminated string that the caller frees; NULL when bad, when it holds
 * a NUL byte, or when there is no memory. */
char *rb_strdup(struct rbuf *r, size_t max);
void rb_id(struct rbuf *r, struct id *out);
/* True when nothing went wrong and every byte was used. */
bool rb_done(const struct rbuf *r);
void rb_fail(struct rbuf *r);

/* Are all n bytes zero? */
bool bytes_all_zero(const void *p, size_t n);

#endif
