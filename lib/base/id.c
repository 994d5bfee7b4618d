/* id.c - 256-bit names and their hex. docs/format.md, "Names". */
#include "lib/base/id.h"

bool id_is_zero(const struct id *id)
{
    static const struct id zero;
    return id_eq(id, &zero);
}

void hex_encode(const void *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *b = bytes;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[b[i] >> 4];
        out[2 * i + 1] = digits[b[i] & 15];
    }
    out[2 * n] = '\0';
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool hex_decode(const char *hex, void *out, size_t n)
{
    /* Checked first, so that a bad text leaves `out` as it was. */
    for (size_t i = 0; i < 2 * n; i++)
        if (nibble(hex[i]) < 0)
            return false;
    if (hex[2 * n] != '\0')
        return false;
    uint8_t *b = out;
    for (size_t i = 0; i < n; i++)
        b[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
    return true;
}

const char *id_hex(const struct id *id, char out[ID_HEX_BYTES])
{
    hex_encode(id->b, ID_BYTES, out);
    return out;
}

bool id_parse(const char *hex, struct id *out)
{
    return hex_decode(hex, out->b, ID_BYTES);
}
