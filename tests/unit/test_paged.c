/* test_paged.c - lib/vault/paged.h: the hash of a file in pages, in whatever pieces its bytes come, and the sums that it is made of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/crypto/crypto.h"
#include "lib/vault/paged.h"
#include <stdlib.h>
#include <string.h>

#define BYTES (3 * REGION_BYTES + 5000)
static uint8_t *data;

static int make_data(void **state)
{
    (void)state;
    data = malloc(BYTES);
    for (size_t i = 0; data && i < BYTES; i++)
        data[i] = (uint8_t)(i * 7 + (i >> 9) + (i >> 17));
    if (data)
        memset(data + REGION_BYTES, 0, REGION_BYTES + 70000); /* a region of zeros, and a bit */
    return data ? 0 : -1;
}

static int free_data(void **state)
{
    (void)state;
    free(data);
    return 0;
}

/* As the page says it, all at once. */
static struct id expected(size_t n, unsigned bits)
{
    struct id pages[MAX_REGION_PAGES], regions[8], ret;
    size_t n_regions = 0, page = (size_t)1 << bits;
    for (size_t at = 0; at < n; at += REGION_BYTES) {
        size_t end = n - at < REGION_BYTES ? n : at + REGION_BYTES, k = 0;
        for (size_t off = at; off < end; off += page)
            sha256_of(data + off, end - off < page ? end - off : page, &pages[k++]);
        sha256_of(pages, k * sizeof *pages, &regions[n_regions++]);
    }
    sha256_of(regions, n_regions * sizeof *regions, &ret);
    return ret;
}

static void pieces_do_not_matter(void **state)
{
    static const size_t pieces[] = { 1000, 4096, 100000, REGION_BYTES, BYTES };
    struct paged_hash *h = paged_hash_new();
    struct id hash;
    (void)state;
    for (unsigned bits = MIN_PAGE_BITS; bits <= MAX_PAGE_BITS; bits++)
        for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
            struct id want = expected(BYTES, bits);
            paged_hash_begin(h, bits);
            for (size_t at = 0; at < BYTES; at += pieces[i])
                paged_hash_data(h, data + at, BYTES - at < pieces[i] ? BYTES - at : pieces[i]);
            paged_hash_final(h, &hash);
            assert_true(id_eq(&hash, &want));
        }
    paged_hash_free(h);
    paged_hash_free(NULL);
}

static void zeros_are_bytes_like_any(void **state)
{
    struct paged_hash *h = paged_hash_new();
    struct id hash, want = expected(2 * REGION_BYTES + 70000, 12);
    (void)state;
    paged_hash_begin(h, 12);
    paged_hash_data(h, data, REGION_BYTES);
    paged_hash_zeros(h, 1);
    paged_hash_zeros(h, REGION_BYTES + 69999);
    paged_hash_final(h, &hash);
    assert_true(id_eq(&hash, &want));
    paged_hash_begin(h, 12);
    paged_hash_data(h, data, REGION_BYTES);
    paged_hash_zeros(h, REGION_BYTES);
    paged_hash_zeros(h, 70000);
    paged_hash_final(h, &hash);
    assert_true(id_eq(&hash, &want));
    paged_hash_free(h);
}

static void regions_make_the_whole(void **state)
{
    struct paged_hash *h = paged_hash_new();
    struct id pages[REGION_BYTES >> 13], sum, hash, want = expected(BYTES, 13);
    (void)state;
    paged_hash_begin(h, 13);
    for (size_t at = 0; at < BYTES; at += REGION_BYTES) {
        size_t n = BYTES - at < REGION_BYTES ? BYTES - at : REGION_BYTES;
        assert_int_equal(paged_pages(n, 13), (n + 8191) / 8192);
        paged_sums(h, 13, data + at, n, pages);
        paged_region_sum(h, pages, paged_pages(n, 13), &sum);
        paged_hash_region(h, &sum);
    }
    paged_hash_final(h, &hash);
    assert_true(id_eq(&hash, &want));
    paged_hash_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_do_not_matter),
        cmocka_unit_test(zeros_are_bytes_like_any),
        cmocka_unit_test(regions_make_the_whole),
    };
    return cmocka_run_group_tests(tests, make_data, free_data);
}
