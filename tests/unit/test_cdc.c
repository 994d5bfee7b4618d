/* test_cdc.c - lib/codec/cdc.h: bounds and spread of the lengths, cuts that depend on content
 * alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/codec/cdc.h"
#include <stdlib.h>
#include <string.h>

#define DATA_BYTES (32u << 20)
#define MAX_CUTS (DATA_BYTES / CDC_MIN_BYTES + 1)

static const uint8_t key[KEY_BYTES] = "a key of the gear table, 32 byte";
static uint8_t *data;

struct cuts {
    size_t at[MAX_CUTS], n;
};

static uint64_t next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static int make_data(void **state)
{
    uint64_t x = 88172645463325252u;
    data = malloc(DATA_BYTES);
    if (!data)
        return -1;
    for (size_t i = 0; i < DATA_BYTES; i += 8) {
        uint64_t v = next(&x);
        memcpy(data + i, &v, 8);
    }
    return 0;
}

static int free_data(void **state)
{
    free(data);
    return 0;
}

/* Cuts n bytes fed in pieces of 1 to max_piece bytes (0: all at once). */
static void cut(const uint8_t k[KEY_BYTES], const uint8_t *p, size_t n, size_t max_piece,
                struct cuts *c)
{
    struct cdc *d = cdc_new(k);
    uint64_t x = max_piece + 1;
    c->n = 0;
    for (size_t at = 0; at < n;) {
        size_t piece = max_piece ? 1 + next(&x) % max_piece : n;
        bool end = false;
        piece = piece < n - at ? piece : n - at;
        for (size_t left = piece; left > 0;) {
            size_t took = cdc_feed(d, p + at, left, &end);
            assert_true(end || took == left);
            at += took;
            left -= took;
            if (end)
                c->at[c->n++] = at;
        }
    }
    cdc_free(d);
}

static void lengths_keep_to_their_bounds(void **state)
{
    struct cuts c;
    cut(key, data, DATA_BYTES, 0, &c);
    size_t before = 0, longest = 0;
    for (size_t i = 0; i < c.n; i++) {
        size_t len = c.at[i] - before;
        assert_in_range(len, CDC_MIN_BYTES, CDC_MAX_BYTES);
        longest += len == CDC_MAX_BYTES;
        before = c.at[i];
    }
    assert_in_range(before / c.n, CDC_AVG_BYTES * 3 / 4, CDC_AVG_BYTES * 3 / 2);
    assert_in_range(longest, 0, c.n / 4);
}

static void cuts_do_not_depend_on_how_data_come(void **state)
{
    static const size_t pieces[] = { 3, 64, 1000, 4096, 1 << 17, 3 << 20 };
    struct cuts whole, split;
    cut(key, data, DATA_BYTES / 2, 0, &whole);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        cut(key, data, DATA_BYTES / 2, pieces[i], &split);
        assert_int_equal(split.n, whole.n);
        assert_memory_equal(split.at, whole.at, whole.n * sizeof *whole.at);
    }
}

static void cuts_come_back_after_an_insertion(void **state)
{
    struct cuts old, new;
    size_t same = 0, shift = 7;
    cut(key, data + shift, DATA_BYTES - shift, 0, &old);
    cut(key, data, DATA_BYTES, 0, &new);
    for (size_t i = 0; i < old.n; i++)
        for (size_t k = 0; k < new.n; k++)
            same += old.at[i] + shift == new.at[k];
    assert_in_range(same, old.n * 2 / 3, old.n);
}

static void cuts_depend_on_the_key(void **state)
{
    uint8_t other[KEY_BYTES] = { 1 };
    struct cuts a, b;
    size_t same = 0;
    cut(key, data, DATA_BYTES, 0, &a);
    cut(other, data, DATA_BYTES, 0, &b);
    for (size_t i = 0; i < a.n; i++)
        for (size_t k = 0; k < b.n; k++)
            same += a.at[i] == b.at[k];
    assert_int_equal(same, 0);
}

static void equal_bytes_make_the_longest_chunks(void **state)
{
    size_t n = 3 * CDC_MAX_BYTES;
    uint8_t *zeros = calloc(1, n);
    struct cuts c;
    cut(key, zeros, n, 100000, &c);
    assert_int_equal(c.n, 3);
    assert_int_equal(c.at[0], CDC_MAX_BYTES);
    free(zeros);
}

static void reset_begins_a_new_chunk(void **state)
{
    struct cdc *d = cdc_new(key);
    bool end;
    size_t first = cdc_feed(d, data, DATA_BYTES, &end);
    assert_true(end);
    assert_int_equal(cdc_feed(d, data + DATA_BYTES / 2, CDC_MIN_BYTES + 1000, &end),
                     CDC_MIN_BYTES + 1000);
    cdc_reset(d);
    assert_int_equal(cdc_feed(d, data, DATA_BYTES, &end), first);
    cdc_free(d);
    cdc_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_keep_to_their_bounds),
        cmocka_unit_test(cuts_do_not_depend_on_how_data_come),
        cmocka_unit_test(cuts_come_back_after_an_insertion),
        cmocka_unit_test(cuts_depend_on_the_key),
        cmocka_unit_test(equal_bytes_make_the_longest_chunks),
        cmocka_unit_test(reset_begins_a_new_chunk),
    };
    return cmocka_run_group_tests(tests, make_data, free_data);
}
