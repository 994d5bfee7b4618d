/*
 * packet.h - the encoding of SSH (RFC 4251, section 5) on the buffers of bytes.h: big-endian numbers, strings with a length of 32
 * bits. Sticky like those.
 */
#ifndef TWOFOLD_SSH_PACKET_H
#define TWOFOLD_SSH_PACKET_H

#include "lib/base/bytes.h"

void pk_u32(struct wbuf *w, uint32_t v);
void pk_u64(struct wbuf *w, uint64_t v);
void pk_string(struct wbuf *w, const void *p, size_t n);
void pk_text(struct wbuf *w, const char *text);

uint32_t pk_take_u32(struct rbuf *r);
uint64_t pk_take_u64(struct rbuf *r);
/* Borrowed; NULL when it is longer than max or than what is left. */
const uint8_t *pk_take_string(struct rbuf *r, size_t max, size_t *ret_len);

#endif
