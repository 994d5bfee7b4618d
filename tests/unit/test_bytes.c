/* test_bytes.c - lib/base/bytes.h and id.h: the exact bytes, and every way to be malformed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/base/bytes.h"
#include "lib/base/id.h"
#include <stdlib.h>

static void assert_bytes(const struct wbuf *w, const char *hex)
{
    uint8_t want[256];
    size_t n = strlen(hex) / 2;
    assert_true(hex_decode(hex, want, n));
    assert_false(w->failed);
    assert_int_equal(w->len, n);
    if (n > 0)
        assert_memory_equal(w->p, want, n);
}

static struct rbuf reader_of_hex(const char *hex, uint8_t *mem)
{
    size_t n = strlen(hex) / 2;
    assert_true(hex_decode(hex, mem, n));
    return rbuf_of(mem, n);
}

static void integers_are_little_endian(void **state)
{
    struct wbuf w = WBUF_INIT;
    wb_u8(&w, 0x01);
    wb_u16(&w, 0x0203);
    wb_u32(&w, 0x04050607);
    wb_u64(&w, 0x08090a0b0c0d0e0f);
    assert_bytes(&w, "01"
                     "0302"
                     "07060504"
                     "0f0e0d0c0b0a0908");
    struct rbuf r = rbuf_of(w.p, w.len);
    assert_int_equal(rb_u8(&r), 0x01);
    assert_int_equal(rb_u16(&r), 0x0203);
    assert_int_equal(rb_u32(&r), 0x04050607);
    assert_int_equal(rb_left(&r), 8);
    assert_int_equal(rb_u64(&r), 0x08090a0b0c0d0e0f);
    assert_true(rb_done(&r));
    wbuf_free(&w);
}

static void varints_have_their_bytes(void **state)
{
    static const struct {
        uint64_t v;
        const char *hex;
    } all[] = {
        { 0, "00" },
        { 1, "01" },
        { 127, "7f" },
        { 128, "8001" },
        { 300, "ac02" },
        { 16383, "ff7f" },
        { 16384, "808001" },
        { UINT32_MAX, "ffffffff0f" },
        { (uint64_t)1 << 63, "80808080808080808001" },
        { UINT64_MAX, "ffffffffffffffffff01" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct wbuf w = WBUF_INIT;
        wb_varint(&w, all[i].v);
        assert_bytes(&w, all[i].hex);
        struct rbuf r = rbuf_of(w.p, w.len);
        assert_true(rb_varint(&r) == all[i].v);
        assert_true(rb_done(&r));
        wbuf_free(&w);
    }
}

static void zigzag_goes_both_ways(void **state)
{
    static const struct {
        int64_t v;
        const char *hex;
    } all[] = {
        { 0, "00" },
        { -1, "01" },
        { 1, "02" },
        { -2, "03" },
        { 64, "8001" },
        { -65, "8101" },
        { INT64_MAX, "feffffffffffffffff01" },
        { INT64_MIN, "ffffffffffffffffff01" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct wbuf w = WBUF_INIT;
        wb_zigzag(&w, all[i].v);
        assert_bytes(&w, all[i].hex);
        struct rbuf r = rbuf_of(w.p, w.len);
        assert_true(rb_zigzag(&r) == all[i].v);
        assert_true(rb_done(&r));
        wbuf_free(&w);
    }
}

static void malformed_varints_are_refused(void **state)
{
    static const char *const bad[] = {
        "",                     /* nothing */
        "80",                   /* ends early */
        "ffffffffffffffffff",   /* nine, ends early */
        "8000",                 /* not the shortest form of 0 */
        "ff00",                 /* nor of 127 */
        "80808080808080808000", /* ten, the last one empty */
        "ffffffffffffffffff02", /* 65 bits */
        "ffffffffffffffffff81", /* an eleventh would follow */
        "ffffffffffffffffff8100",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t mem[16];
        struct rbuf r = reader_of_hex(bad[i], mem);
        assert_true(rb_varint(&r) == 0);
        assert_true(r.bad);
        assert_false(rb_done(&r));
    }
}

static void varint_max_is_kept(void **state)
{
    uint8_t mem[4];
    struct rbuf r = reader_of_hex("8001", mem);
    assert_int_equal(rb_varint_max(&r, 128), 128);
    assert_true(rb_done(&r));
    r = reader_of_hex("8001", mem);
    assert_int_equal(rb_varint_max(&r, 127), 0);
    assert_true(r.bad);
}

static void blobs_and_strings(void **state)
{
    struct wbuf w = WBUF_INIT;
    size_t n = 99;
    wb_blob(&w, NULL, 0);
    wb_str(&w, "etc");
    wb_str(&w, "var");
    assert_bytes(&w, "00"
                     "03657463"
                     "03766172");
    struct rbuf r = rbuf_of(w.p, w.len);
    assert_non_null(rb_blob(&r, 0, &n));
    assert_int_equal(n, 0);
    const uint8_t *p = rb_blob(&r, 3, &n);
    assert_ptr_equal(p, w.p + 2);
    assert_int_equal(n, 3);
    char *s = rb_strdup(&r, 3);
    assert_string_equal(s, "var");
    assert_true(rb_done(&r));
    free(s);
    wbuf_free(&w);
}

static void blobs_are_bounded(void **state)
{
    uint8_t mem[16];
    size_t n = 7;
    struct rbuf r = reader_of_hex("03657463", mem);
    assert_null(rb_blob(&r, 2, &n));
    assert_int_equal(n, 0);
    r = reader_of_hex("046574"
                      "63",
                      mem); /* one byte less than it says */
    assert_null(rb_blob(&r, 100, &n));
    assert_true(r.bad);
    r = reader_of_hex("ffffffffffffffffff01", mem); /* a length that would wrap pointers */
    assert_null(rb_blob(&r, SIZE_MAX, &n));
    assert_true(r.bad);
    r = reader_of_hex("03650063", mem);
    assert_null(rb_strdup(&r, 100)); /* a NUL inside */
    assert_true(r.bad);
}

static void empty_input_is_fine(void **state)
{
    struct rbuf r = rbuf_of(NULL, 0);
    assert_true(rb_done(&r));
    assert_non_null(rb_bytes(&r, 0));
    assert_null(rb_bytes(&r, 1));
    assert_false(rb_done(&r));
}

static void bad_readers_stay_bad(void **state)
{
    static const uint8_t data[64] = { 1, 2, 3 };
    struct rbuf r = rbuf_of(data, sizeof data);
    struct id id = { { 9 } };
    rb_fail(&r);
    assert_int_equal(rb_left(&r), 0);
    assert_int_equal(rb_u8(&r), 0);
    assert_int_equal(rb_u64(&r), 0);
    assert_int_equal(rb_varint(&r), 0);
    assert_null(rb_bytes(&r, 0));
    assert_null(rb_strdup(&r, 10));
    rb_id(&r, &id);
    assert_true(id_is_zero(&id));
    r.p = r.end;
    assert_false(rb_done(&r));
}

static void leftovers_are_not_done(void **state)
{
    static const uint8_t data[2];
    struct rbuf r = rbuf_of(data, sizeof data);
    rb_u8(&r);
    assert_false(rb_done(&r));
    assert_false(r.bad);
}

/* Whatever is cut off, the reader notices and never reads beyond (the sanitizer watches). */
static void every_truncation_is_seen(void **state)
{
    struct wbuf w = WBUF_INIT;
    struct id id = { { 1, 2, 3 } };
    wb_u32(&w, 1);
    wb_id(&w, &id);
    wb_varint(&w, 1u << 20);
    wb_str(&w, "name");
    wb_zigzag(&w, -100000);
    for (size_t n = 0; n <= w.len; n++) {
        uint8_t *exact = malloc(n ? n : 1);
        assert_non_null(exact);
        memcpy(exact, w.p, n);
        struct rbuf r = rbuf_of(exact, n);
        struct id got;
        rb_u32(&r);
        rb_id(&r, &got);
        rb_varint(&r);
        free(rb_strdup(&r, 10));
        rb_zigzag(&r);
        assert_int_equal(rb_done(&r), n == w.len);
        free(exact);
    }
    wbuf_free(&w);
}

static void buffers_grow_and_are_reused(void **state)
{
    struct wbuf w = WBUF_INIT;
    for (uint32_t i = 0; i < 10000; i++)
        wb_u32(&w, i);
    assert_int_equal(w.len, 40000);
    struct rbuf r = rbuf_of(w.p, w.len);
    for (uint32_t i = 0; i < 10000; i++)
        assert_int_equal(rb_u32(&r), i);
    const uint8_t *memory = w.p;
    wbuf_reset(&w);
    uint8_t *at = wb_grow(&w, 8);
    assert_ptr_equal(at, memory);
    assert_int_equal(w.len, 8);
    wbuf_free(&w);
    wbuf_free(&w);
    wbuf_free(NULL);
    assert_non_null(wb_grow(&w, 0));
    wbuf_free(&w);
}

static void failed_buffers_stay_failed(void **state)
{
    struct wbuf w = WBUF_INIT;
    wb_u8(&w, 1);
    assert_null(wb_grow(&w, SIZE_MAX - 1));
    assert_true(w.failed);
    wb_u8(&w, 2);
    assert_int_equal(w.len, 1);
    wbuf_free(&w);
    wb_u8(&w, 3);
    assert_bytes(&w, "03");
    wbuf_free(&w);
}

static void ids_and_hex(void **state)
{
    static const char text[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1dFEfF";
    char hex[ID_HEX_BYTES], wrong[ID_HEX_BYTES + 1];
    struct id id, other = { { 0 } };
    assert_true(id_is_zero(&other));
    assert_true(id_parse(text, &id));
    assert_int_equal(id.b[30], 0xfe);
    assert_false(id_is_zero(&id));
    assert_true(id_cmp(&id, &other) > 0);
    assert_ptr_equal(id_hex(&id, hex), hex);
    assert_string_equal(hex, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1dfeff");
    assert_true(id_parse(hex, &other));
    assert_true(id_eq(&id, &other));
    for (size_t i = 0; i < 2 * ID_BYTES; i++) {
        memcpy(wrong, hex, sizeof hex);
        wrong[i] = "g/:@`G "[i % 7];
        assert_false(id_parse(wrong, &other));
        wrong[i] = '\0'; /* too short */
        assert_false(id_parse(wrong, &other));
    }
    memcpy(wrong, hex, sizeof hex);
    strcat(wrong, "0");
    assert_false(id_parse(wrong, &other));
    assert_true(id_eq(&id, &other)); /* untouched by the failures */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_little_endian),
        cmocka_unit_test(varints_have_their_bytes),
        cmocka_unit_test(zigzag_goes_both_ways),
        cmocka_unit_test(malformed_varints_are_refused),
        cmocka_unit_test(varint_max_is_kept),
        cmocka_unit_test(blobs_and_strings),
        cmocka_unit_test(blobs_are_bounded),
        cmocka_unit_test(empty_input_is_fine),
        cmocka_unit_test(bad_readers_stay_bad),
        cmocka_unit_test(leftovers_are_not_done),
        cmocka_unit_test(every_truncation_is_seen),
        cmocka_unit_test(buffers_grow_and_are_reused),
        cmocka_unit_test(failed_buffers_stay_failed),
        cmocka_unit_test(ids_and_hex),
    };
    return cmocka_run_group_tests_name("bytes", tests, NULL, NULL);
}
