/*
 * paged.h - the hash of a file that is kept in pages (docs/format.md, "Manifest", PAGED). The file is cut into regions of
 * REGION_BYTES and each of them into pages, the last ones may be shorter:
 *
 *     sum of a page   = SHA-256(its bytes)
 *     sum of a region = SHA-256(the sums of its pages, in order)
 *     hash            = SHA-256(the sums of all regions, in order)
 *
 * So one pass over the bytes tells which pages have changed, which regions are right, and whether the whole is.
 */
#ifndef TWOFOLD_VAULT_PAGED_H
#define TWOFOLD_VAULT_PAGED_H

#include "lib/base/id.h"
#include <stddef.h>
#include <stdint.h>

#define REGION_BYTES (1u << 20)
#define MIN_PAGE_BITS 9 /* 512 bytes */
#define MAX_PAGE_BITS 16
#define MAX_REGION_PAGES (REGION_BYTES >> MIN_PAGE_BITS)

struct paged_hash;
struct paged_hash *paged_hash_new(void);    /* NULL: no memory */
void paged_hash_free(struct paged_hash *h); /* NULL-safe */

/* --- a whole file, in pieces of any length ------------------------------------------------------ */
void paged_hash_begin(struct paged_hash *h, unsigned page_bits);
void paged_hash_data(struct paged_hash *h, const void *p, size_t n);
void paged_hash_zeros(struct paged_hash *h, uint64_t n); /* cheap for whole regions */
void paged_hash_final(struct paged_hash *h, struct id *ret);

/* --- one region ----------------------------------------------------------------------------------- */
size_t paged_pages(size_t region_bytes, unsigned page_bits); /* how many there are in it */
/* The sums of the pages of n bytes, at most REGION_BYTES; `ret` has room for paged_pages(n). Changes nothing of a file that was begun. */
void paged_sums(struct paged_hash *h, unsigned page_bits, const void *p, size_t n, struct id *ret);
void paged_region_sum(struct paged_hash *h, const struct id *pages, size_t n_pages, struct id *ret);
/* Instead of its bytes: the sum of the next region. What was given so far must be whole regions. */
void paged_hash_region(struct paged_hash *h, const struct id *sum);

#endif
