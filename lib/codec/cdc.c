/* cdc.c - FastCDC (Xia et al., USENIX ATC 2016): a gear hash over the last 64 bytes, a harder
 * mask before the wished length and an easier one behind it, no cut before the minimum. */
#include "lib/codec/cdc.h"
#include "lib/crypto/crypto.h"

#include <stdlib.h>
#include <string.h>

/* The hash forgets a byte after so many others, because it shifts by one bit each time. */
#define WINDOW_BYTES 64
/* CDC_AVG_BYTES is 2^20; two bits more and two fewer make the lengths gather around it. */
#define HARD_MASK (~UINT64_C(0) << (64 - 22))
#define EASY_MASK (~UINT64_C(0) << (64 - 18))

_Static_assert(CDC_AVG_BYTES == 1u << 20, "the masks are made for this length");
_Static_assert(CDC_MIN_BYTES > WINDOW_BYTES && CDC_MIN_BYTES < CDC_AVG_BYTES &&
                   CDC_AVG_BYTES < CDC_MAX_BYTES,
               "lengths ascend");

struct cdc {
    uint64_t gear[256];
    uint64_t hash;
    size_t pos; /* bytes of this chunk so far */
};

struct cdc *cdc_new(const uint8_t key[KEY_BYTES])
{
    static const char info[] = "twofold v1 gear";
    struct cdc *c = malloc(sizeof *c);
    if (!c)
        return NULL;
    uint8_t raw[sizeof c->gear];
    hkdf(NULL, 0, key, KEY_BYTES, info, sizeof info - 1, raw, sizeof raw);
    for (size_t i = 0; i < 256; i++) {
        c->gear[i] = 0;
        for (size_t k = 0; k < 8; k++)
            c->gear[i] |= (uint64_t)raw[8 * i + k] << (8 * k);
    }
    secret_wipe(raw, sizeof raw);
    cdc_reset(c);
    return c;
}

void cdc_free(struct cdc *c)
{
    if (!c)
        return;
    secret_wipe(c, sizeof *c);
    free(c);
}

void cdc_reset(struct cdc *c)
{
    c->hash = 0;
    c->pos = 0;
}

/* Hashes up to n bytes; stops behind the first one at which no bit of the mask is set. */
static size_t scan(struct cdc *c, const uint8_t *p, size_t n, uint64_t mask, bool *ret_cut)
{
    const uint64_t *gear = c->gear;
    uint64_t h = c->hash;
    size_t i = 0;
    bool cut = false;
    /* Four bytes at a time, so that their sums need not wait for the hash before them. */
    for (; n - i >= 4; i += 4) {
        uint64_t s1 = gear[p[i]], s2 = (s1 << 1) + gear[p[i + 1]];
        uint64_t s3 = (s2 << 1) + gear[p[i + 2]], s4 = (s3 << 1) + gear[p[i + 3]];
        uint64_t h1 = (h << 1) + s1, h2 = (h << 2) + s2, h3 = (h << 3) + s3, h4 = (h << 4) + s4;
        if (!(h1 & mask) || !(h2 & mask) || !(h3 & mask) || !(h4 & mask))
            break; /* the loop below finds at which */
        h = h4;
    }
    while (i < n && !cut) {
        h = (h << 1) + gear[p[i++]];
        cut = !(h & mask);
    }
    c->hash = h;
    c->pos += i;
    *ret_cut = cut;
    return i;
}

/* How many of n bytes lie before the chunk's position `end`. */
static size_t until(const struct cdc *c, size_t end, size_t n)
{
    size_t left = c->pos < end ? end - c->pos : 0;
    return left < n ? left : n;
}

size_t cdc_feed(struct cdc *c, const uint8_t *p, size_t n, bool *ret_cut)
{
    bool cut = false;
    /* The window fills just before the first place where a cut may be, so that the cut depends
     * on the bytes there and not on where the chunk began. */
    size_t i = until(c, CDC_MIN_BYTES - WINDOW_BYTES, n);
    c->pos += i;
    for (size_t end = i + until(c, CDC_MIN_BYTES, n - i); i < end; i++) {
        c->hash = (c->hash << 1) + c->gear[p[i]];
        c->pos++;
    }
    i += scan(c, p + i, until(c, CDC_AVG_BYTES, n - i), HARD_MASK, &cut);
    if (!cut)
        i += scan(c, p + i, until(c, CDC_MAX_BYTES, n - i), EASY_MASK, &cut);
    if (c->pos == CDC_MAX_BYTES)
        cut = true;
    if (cut)
        cdc_reset(c);
    *ret_cut = cut;
    return i;
}
