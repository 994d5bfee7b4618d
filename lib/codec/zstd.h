/* zstd.h - one zstd context for each direction, for use by one thread at a time. Output bounded by the caller. */
#ifndef TWOFOLD_CODEC_ZSTD_H
#define TWOFOLD_CODEC_ZSTD_H

#include "lib/base/err.h"
#include <stddef.h>
#include <stdint.h>

struct zstd; /* both contexts, made when first needed */
struct zstd *zstd_new(void);
void zstd_free(struct zstd *z);
/* Bytes that zstd_compress may need for n bytes of input. */
size_t zstd_bound(size_t n);
/* Returns the length written to out, or 0 when the result would not be smaller than n (store it plain). */
size_t zstd_compress(struct zstd *z, int level, const void *in, size_t n, void *out,
                     size_t out_cap);
/* The frame must decompress to exactly out_len bytes and use all n; else -ERR_DAMAGED. */
int zstd_decompress(struct zstd *z, const void *in, size_t n, void *out, size_t out_len,
                    struct err *e);

#endif
