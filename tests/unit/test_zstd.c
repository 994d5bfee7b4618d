/* test_zstd.c - lib/codec/zstd.h: round trips, bounds, and frames that are not what they should
 * be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/codec/zstd.h"
#include <stdlib.h>
#include <string.h>

static const char text[] =
    "the quick brown fox jumps over the lazy dog; the quick brown fox jumps again, "
    "and the quick brown fox is tired of the lazy dog";

static size_t pack(struct zstd *z, int level, uint8_t *out, size_t cap)
{
    return zstd_compress(z, level, text, sizeof text, out, cap);
}

static void round_trip_at_any_level(void **state)
{
    struct zstd *z = zstd_new();
    for (int level = 1; level <= 19; level += 6) {
        uint8_t packed[sizeof text], back[sizeof text];
        size_t n = pack(z, level, packed, sizeof packed);
        assert_in_range(n, 1, sizeof text - 1);
        assert_int_equal(zstd_decompress(z, packed, n, back, sizeof back, NULL), 0);
        assert_memory_equal(back, text, sizeof text);
    }
    assert_true(zstd_bound(1000) >= 1000);
    zstd_free(z);
    zstd_free(NULL);
}

static void what_does_not_shrink_is_refused(void **state)
{
    struct zstd *z = zstd_new();
    uint8_t packed[sizeof text];
    assert_int_equal(zstd_compress(z, 3, "a", 1, packed, sizeof packed), 0);
    assert_int_equal(zstd_compress(z, 3, "abcdefgh", 8, packed, sizeof packed), 0);
    assert_int_equal(pack(z, 3, packed, 10), 0);
    zstd_free(z);
}

static void frame_must_be_whole_and_alone(void **state)
{
    struct zstd *z = zstd_new();
    uint8_t packed[2 * sizeof text], back[2 * sizeof text];
    size_t n = pack(z, 3, packed, sizeof text);
    assert_int_equal(zstd_decompress(z, packed, n - 1, back, sizeof text, NULL), -ERR_DAMAGED);
    packed[n] = 0;
    assert_int_equal(zstd_decompress(z, packed, n + 1, back, sizeof text, NULL), -ERR_DAMAGED);
    assert_int_equal(zstd_decompress(z, packed, 0, back, sizeof text, NULL), -ERR_DAMAGED);
    assert_int_equal(zstd_decompress(z, packed, n, back, sizeof text - 1, NULL), -ERR_DAMAGED);
    assert_int_equal(zstd_decompress(z, packed, n, back, sizeof text + 1, NULL), -ERR_DAMAGED);
    memcpy(packed + n, packed, n); /* two frames */
    assert_int_equal(zstd_decompress(z, packed, 2 * n, back, 2 * sizeof text, NULL), -ERR_DAMAGED);
    zstd_free(z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip_at_any_level),
        cmocka_unit_test(what_does_not_shrink_is_refused),
        cmocka_unit_test(frame_must_be_whole_and_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
