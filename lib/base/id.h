/* id.h - 256-bit names: SHA-256 of an object's bytes, HMAC of a chunk's plaintext, vault ids. */
#ifndef TWOFOLD_BASE_ID_H
#define TWOFOLD_BASE_ID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ID_BYTES 32
#define ID_HEX_BYTES (2 * ID_BYTES + 1) /* with the final NUL */

struct id {
    uint8_t b[ID_BYTES];
};

static inline int id_cmp(const struct id *a, const struct id *b)
{
    return memcmp(a->b, b->b, ID_BYTES);
}
static inline bool id_eq(const struct id *a, const struct id *b)
{
    return id_cmp(a, b) == 0;
}
bool id_is_zero(const struct id *id);

/* Lower-case hex of n bytes, NUL-terminated; out has 2 n + 1 bytes. */
void hex_encode(const void *bytes, size_t n, char *out);
/* Exactly 2 n hex digits (either case) and then the end of the string; else false. */
bool hex_decode(const char *hex, void *out, size_t n);

/* Returns out. */
const char *id_hex(const struct id *id, char out[ID_HEX_BYTES]);
bool id_parse(const char *hex, struct id *out);

#endif
