/*
 * cdc.h - content-defined chunking: FastCDC (Xia et al., USENIX ATC 2016) with normalised chunking, and a
 * gear table drawn from a secret key, so that chunk lengths do not give a known file away.
 * Nothing in the format depends on it: any cut is valid, a stable one deduplicates.
 */
#ifndef TWOFOLD_CODEC_CDC_H
#define TWOFOLD_CODEC_CDC_H

#include "lib/crypto/secret.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CDC_MIN_BYTES (256u << 10)
#define CDC_AVG_BYTES (1024u << 10) /* a power of two */
#define CDC_MAX_BYTES (2048u << 10)

struct cdc; /* one stream */
struct cdc *cdc_new(const uint8_t key[KEY_BYTES]);
void cdc_free(struct cdc *c);
/* Starts a new chunk. */
void cdc_reset(struct cdc *c);
/* Feeds the next n bytes of the chunk begun; returns how many of them belong to it. *ret_cut: the chunk
 * ends there (then the state is reset); else all n were taken. */
size_t cdc_feed(struct cdc *c, const uint8_t *p, size_t n, bool *ret_cut);

#endif
