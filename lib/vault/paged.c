/* paged.c - see lib/vault/paged.h. */
#include "lib/vault/paged.h"
#include "lib/crypto/crypto.h"

#include <assert.h>
#include <stdlib.h>

struct paged_hash {
    struct sha256 *file, *region, *page, *apart; /* apart: for what is summed beside a file */
    unsigned page_bits;
    size_t in_region, in_page; /* bytes of the region and the page that are begun */
    unsigned zero_bits;        /* the page size that these are for; 0: none yet */
    struct id zero_page, zero_region;
};

static const uint8_t zeros[1u << MAX_PAGE_BITS];

struct paged_hash *paged_hash_new(void)
{
    struct paged_hash *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->file = sha256_new();
    h->region = sha256_new();
    h->page = sha256_new();
    h->apart = sha256_new();
    return h;
}

void paged_hash_free(struct paged_hash *h)
{
    if (!h)
        return;
    sha256_free(h->file);
    sha256_free(h->region);
    sha256_free(h->page);
    sha256_free(h->apart);
    free(h);
}

/* --- one region --------------------------------------------------------------------------------- */
size_t paged_pages(size_t region_bytes, unsigned page_bits)
{
    return (region_bytes + ((size_t)1 << page_bits) - 1) >> page_bits;
}

static void sum(struct sha256 *s, const void *p, size_t n, struct id *ret)
{
    sha256_reset(s);
    sha256_update(s, p, n);
    sha256_final(s, ret);
}

void paged_sums(struct paged_hash *h, unsigned page_bits, const void *p, size_t n, struct id *ret)
{
    const uint8_t *at = p;
    size_t page = (size_t)1 << page_bits;
    assert(n <= REGION_BYTES);
    for (; n > 0; at += page, ret++) {
        page = page < n ? page : n;
        sum(h->apart, at, page, ret);
        n -= page;
    }
}

void paged_region_sum(struct paged_hash *h, const struct id *pages, size_t n_pages, struct id *ret)
{
    sum(h->apart, pages, n_pages * sizeof *pages, ret);
}

/* --- a file ------------------------------------------------------------------------------------- */
void paged_hash_begin(struct paged_hash *h, unsigned page_bits)
{
    assert(page_bits >= MIN_PAGE_BITS && page_bits <= MAX_PAGE_BITS);
    if (h->zero_bits != page_bits) {
        sum(h->apart, zeros, (size_t)1 << page_bits, &h->zero_page);
        sha256_reset(h->region);
        for (size_t n = REGION_BYTES >> page_bits; n > 0; n--)
            sha256_update(h->region, h->zero_page.b, ID_BYTES);
        sha256_final(h->region, &h->zero_region);
        h->zero_bits = page_bits;
    }
    h->page_bits = page_bits;
    h->in_region = h->in_page = 0;
    sha256_reset(h->file);
    sha256_reset(h->region);
    sha256_reset(h->page);
}

void paged_hash_region(struct paged_hash *h, const struct id *region)
{
    assert(h->in_region == 0);
    sha256_update(h->file, region->b, ID_BYTES);
}

static void end_region(struct paged_hash *h)
{
    struct id region;
    sha256_final(h->region, &region);
    sha256_reset(h->region);
    h->in_region = 0;
    paged_hash_region(h, &region);
}

static void add_page(struct paged_hash *h, const struct id *page)
{
    sha256_update(h->region, page->b, ID_BYTES);
    h->in_page = 0;
    if (h->in_region == REGION_BYTES)
        end_region(h);
}

static void end_page(struct paged_hash *h)
{
    struct id page;
    sha256_final(h->page, &page);
    sha256_reset(h->page);
    add_page(h, &page);
}

void paged_hash_data(struct paged_hash *h, const void *p, size_t n)
{
    const uint8_t *at = p;
    size_t page = (size_t)1 << h->page_bits;
    while (n > 0) {
        size_t part = page - h->in_page < n ? page - h->in_page : n;
        sha256_update(h->page, at, part);
        h->in_page += part;
        h->in_region += part;
        at += part;
        n -= part;
        if (h->in_page == page)
            end_page(h);
    }
}

void paged_hash_zeros(struct paged_hash *h, uint64_t n)
{
    size_t page = (size_t)1 << h->page_bits;
    while (n > 0) {
        size_t part = page - h->in_page < n ? page - h->in_page : (size_t)n;
        if (h->in_region == 0 && n >= REGION_BYTES) {
            paged_hash_region(h, &h->zero_region);
            part = REGION_BYTES;
        } else if (part == page) {
            h->in_region += page;
            add_page(h, &h->zero_page);
        } else {
            paged_hash_data(h, zeros, part);
        }
        n -= part;
    }
}

void paged_hash_final(struct paged_hash *h, struct id *ret)
{
    if (h->in_page > 0)
        end_page(h);
    if (h->in_region > 0)
        end_region(h);
    sha256_final(h->file, ret);
}
