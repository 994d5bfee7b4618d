/* test_chunk.c - lib/vault/chunk.h: round trips, binding to every name, and insides that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/codec/zstd.h"
#include "lib/vault/chunk.h"
#include <stdlib.h>
#include <string.h>

static const uint8_t data_key[KEY_BYTES] = "data key for tests, 32 bytes ...";
static const struct id vault_id = { { 1 } }, key_id = { { 2 } }, chunk_id = { { 3 } };
#define REF ((struct chunk_ref){ .id = chunk_id, .key_id = key_id, .counter = 7 })

static struct chunk_box *box(void)
{
    return chunk_box_new(&vault_id, &key_id, data_key);
}

/* Bytes that shrink, or such that do not. */
static uint8_t *sample(size_t n, bool random)
{
    uint8_t *p = malloc(n);
    uint64_t x = 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        p[i] = random ? (uint8_t)(x >> 56) : (uint8_t)(i / 100);
    }
    return p;
}

static void round_trip(size_t n, bool random, int level)
{
    struct chunk_box *b = box();
    struct wbuf sealed = WBUF_INIT, back = WBUF_INIT;
    uint8_t *p = sample(n, random);
    wb_str(&sealed, "before");
    wb_str(&back, "to be replaced");
    size_t at = sealed.len;
    assert_int_equal(chunk_seal(b, &chunk_id, 7, level, p, n, &sealed, NULL), 0);
    assert_in_range(sealed.len - at, 22, n + CHUNK_INNER_BYTES + AEAD_TAG_BYTES);
    if (n > 1000 && level > 0 && !random)
        assert_in_range(sealed.len - at, 22, n / 2);
    struct chunk_ref ref = REF;
    assert_int_equal(chunk_open(b, &ref, sealed.p + at, sealed.len - at, &back, NULL), 0);
    assert_int_equal(back.len, n);
    assert_memory_equal(back.p, p, n);
    assert_memory_equal(sealed.p + 1, "before", 6);
    free(p);
    wbuf_free(&sealed);
    wbuf_free(&back);
    chunk_box_free(b);
}

static void chunks_come_back(void **state)
{
    static const size_t sizes[] = { 1, 2, 100, 4096, 1 << 20, MAX_CHUNK_BYTES };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int level = 0; level <= 3; level += 3) {
            round_trip(sizes[i], false, level);
            round_trip(sizes[i], true, level);
        }
}

static void length_is_bounded(void **state)
{
    struct chunk_box *b = box();
    struct wbuf out = WBUF_INIT;
    struct chunk_ref ref = REF;
    uint8_t *p = calloc(1, MAX_SEALED_BYTES + 1);
    assert_int_equal(chunk_seal(b, &chunk_id, 0, 3, p, 0, &out, NULL), -ERR_LIMIT);
    assert_int_equal(chunk_seal(b, &chunk_id, 0, 3, p, MAX_CHUNK_BYTES + 1, &out, NULL),
                     -ERR_LIMIT);
    assert_int_equal(out.len, 0);
    for (size_t n = 0; n < 40; n++)
        assert_int_equal(chunk_open(b, &ref, p, n, &out, NULL), -ERR_DAMAGED);
    assert_int_equal(chunk_open(b, &ref, p, MAX_SEALED_BYTES + 1, &out, NULL), -ERR_DAMAGED);
    assert_memory_equal(chunk_box_key_id(b), &key_id, sizeof key_id);
    free(p);
    wbuf_free(&out);
    chunk_box_free(b);
    chunk_box_free(NULL);
}

static void every_byte_and_name_is_bound(void **state)
{
    struct chunk_box *b = box();
    struct wbuf sealed = WBUF_INIT, out = WBUF_INIT;
    struct chunk_ref ref = REF;
    assert_int_equal(chunk_seal(b, &chunk_id, 7, 3, "some bytes", 10, &sealed, NULL), 0);
    for (size_t i = 0; i < sealed.len; i++) {
        sealed.p[i] ^= 4;
        assert_int_equal(chunk_open(b, &ref, sealed.p, sealed.len, &out, NULL), -ERR_DAMAGED);
        sealed.p[i] ^= 4;
        assert_int_equal(chunk_open(b, &ref, sealed.p, i, &out, NULL), -ERR_DAMAGED);
    }
    ref.counter++;
    assert_int_equal(chunk_open(b, &ref, sealed.p, sealed.len, &out, NULL), -ERR_DAMAGED);
    ref = REF;
    ref.counter += UINT64_C(1) << 32;
    assert_int_equal(chunk_open(b, &ref, sealed.p, sealed.len, &out, NULL), -ERR_DAMAGED);
    ref = REF;
    ref.id.b[31] ^= 1;
    assert_int_equal(chunk_open(b, &ref, sealed.p, sealed.len, &out, NULL), -ERR_DAMAGED);
    ref = REF;
    ref.key_id.b[31] ^= 1;
    assert_int_equal(chunk_open(b, &ref, sealed.p, sealed.len, &out, NULL), -ERR_DAMAGED);
    ref = REF;
    struct id elsewhere = { { 9 } };
    struct chunk_box *other = chunk_box_new(&elsewhere, &key_id, data_key);
    assert_int_equal(chunk_open(other, &ref, sealed.p, sealed.len, &out, NULL), -ERR_DAMAGED);
    assert_int_equal(chunk_open(b, &ref, sealed.p, sealed.len, &out, NULL), 0);
    chunk_box_free(other);
    chunk_box_free(b);
    wbuf_free(&sealed);
    wbuf_free(&out);
}

/* Seals an inside as docs/format.md says, whatever it is, and opens it. */
static int open_inner(const uint8_t *inner, size_t n)
{
    struct wbuf aad = WBUF_INIT, out = WBUF_INIT;
    struct chunk_ref ref = REF;
    struct chunk_box *b = box();
    uint8_t *sealed = malloc(n + AEAD_TAG_BYTES);
    uint8_t nonce[AEAD_NONCE_BYTES] = { 0, 0, 0, 0, 7 };
    wb_bytes(&aad, "twofold v1 chunk", 16);
    wb_id(&aad, &vault_id);
    wb_id(&aad, &chunk_id);
    wb_id(&aad, &key_id);
    wb_u32(&aad, (uint32_t)n + AEAD_TAG_BYTES);
    struct aead *a = aead_new(data_key);
    aead_seal(a, nonce, aad.p, aad.len, inner, n, sealed);
    int rc = chunk_open(b, &ref, sealed, n + AEAD_TAG_BYTES, &out, NULL);
    aead_free(a);
    free(sealed);
    chunk_box_free(b);
    wbuf_free(&aad);
    wbuf_free(&out);
    return rc;
}

static int open_parts(unsigned codec, uint32_t len, const void *p, size_t n)
{
    struct wbuf w = WBUF_INIT;
    wb_u8(&w, (uint8_t)codec);
    wb_u32(&w, len);
    wb_bytes(&w, p, n);
    int rc = open_inner(w.p, w.len);
    wbuf_free(&w);
    return rc;
}

static void insides_that_lie_are_refused(void **state)
{
    uint8_t zeros[1000] = { 0 }, frame[1000];
    struct zstd *z = zstd_new();
    size_t n = zstd_compress(z, 3, zeros, sizeof zeros, frame, sizeof frame - 1);
    assert_int_equal(open_parts(0, 4, "abcd", 4), 0);
    assert_int_equal(open_parts(1, 1000, frame, n), 0);
    assert_int_equal(open_parts(0, 3, "abcd", 4), -ERR_DAMAGED);
    assert_int_equal(open_parts(0, 5, "abcd", 4), -ERR_DAMAGED);
    assert_int_equal(open_parts(2, 4, "abcd", 4), -ERR_DAMAGED);
    assert_int_equal(open_parts(0, 0, "", 0), -ERR_DAMAGED);
    assert_int_equal(open_parts(1, 0, frame, n), -ERR_DAMAGED);
    assert_int_equal(open_parts(1, 999, frame, n), -ERR_DAMAGED);
    assert_int_equal(open_parts(1, 1001, frame, n), -ERR_DAMAGED);
    assert_int_equal(open_parts(1, MAX_CHUNK_BYTES + 1, frame, n), -ERR_DAMAGED);
    assert_int_equal(open_parts(1, UINT32_MAX, frame, n), -ERR_DAMAGED);
    frame[n] = 0;
    assert_int_equal(open_parts(1, 1000, frame, n + 1), -ERR_DAMAGED);
    zstd_free(z);
}

static void bodies_are_bound_to_their_source(void **state)
{
    struct chunk_box *b = box();
    struct wbuf binding = WBUF_INIT, other = WBUF_INIT, sealed = WBUF_INIT, out = WBUF_INIT;
    wb_str(&binding, "policy");
    wb_str(&binding, "source");
    wb_str(&other, "policy");
    wb_str(&other, "sourcf");
    assert_int_equal(body_seal(b, 5, &binding, "body", 4, &sealed, NULL), 0);
    assert_int_equal(sealed.len, 4 + AEAD_TAG_BYTES);
    wb_str(&out, "to be replaced");
    assert_int_equal(body_open(b, 5, &binding, sealed.p, sealed.len, &out, NULL), 0);
    assert_int_equal(out.len, 4);
    assert_memory_equal(out.p, "body", 4);
    assert_int_equal(body_open(b, 6, &binding, sealed.p, sealed.len, &out, NULL), -ERR_DAMAGED);
    assert_int_equal(body_open(b, 5, &other, sealed.p, sealed.len, &out, NULL), -ERR_DAMAGED);
    assert_int_equal(body_open(b, 5, &binding, sealed.p, sealed.len - 1, &out, NULL), -ERR_DAMAGED);
    assert_int_equal(body_open(b, 5, &binding, sealed.p, 16, &out, NULL), -ERR_DAMAGED);
    assert_int_equal(body_seal(b, 5, &binding, "", 0, &sealed, NULL), -ERR_LIMIT);
    chunk_box_free(b);
    wbuf_free(&binding);
    wbuf_free(&other);
    wbuf_free(&sealed);
    wbuf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_come_back),
        cmocka_unit_test(length_is_bounded),
        cmocka_unit_test(every_byte_and_name_is_bound),
        cmocka_unit_test(insides_that_lie_are_refused),
        cmocka_unit_test(bodies_are_bound_to_their_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
