/* test_flip.c - one flipped bit anywhere in an object, or one byte cut off: it never opens, and never ends the
 * program. Every type with an envelope, the vault object, the recovery file and the end of a pack. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/vault_samples.h"
#include <stdlib.h>

#define LARGE_IDS 20000 /* some 640 KB */
#define LARGE_STEP 4999

struct attempt {
    struct vault_keys k;
    enum object_type type;
    struct secret *pass;
};

/* true: it opened, which it must not unless it is as it was. */
typedef bool try_fn(struct attempt *a, const uint8_t *p, size_t n);

static bool try_envelope(struct attempt *a, const uint8_t *p, size_t n)
{
    struct wbuf out = WBUF_INIT;
    int rc = envelope_open(&a->k, a->type, p, n, &out, NULL);
    assert_true(rc == 0 || out.len == 0);
    wbuf_free(&out);
    return rc == 0;
}

static bool try_vault(struct attempt *a, const uint8_t *p, size_t n)
{
    struct vault_public v;
    bool read = vault_object_read(p, n, &v, NULL) == 0;
    bool opened = vault_object_open(p, n, &a->k, NULL, NULL) == 0;
    return read || opened;
}

static bool try_recovery(struct attempt *a, const uint8_t *p, size_t n)
{
    struct vault_keys k = { 0 };
    struct id fingerprint;
    int rc = recovery_open(p, n, a->pass, &k, &fingerprint, NULL);
    vault_keys_done(&k);
    return rc == 0;
}

/* A pack of which only the end matters: table and trailer. */
static bool try_pack_end(struct attempt *a, const uint8_t *p, size_t n)
{
    uint32_t len;
    if (n < PACK_TRAILER_BYTES || !pack_trailer_read(p + n - PACK_TRAILER_BYTES, &len) ||
        len > n - PACK_TRAILER_BYTES)
        return false;
    return try_envelope(a, p + n - PACK_TRAILER_BYTES - len, len);
}

/* p is as it was afterwards. */
static void flip_all(struct attempt *a, try_fn *opens, uint8_t *p, size_t n)
{
    assert_true(opens(a, p, n));
    for (size_t bit = 0; bit < 8 * n; bit++) {
        p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (opens(a, p, n))
            fail_msg("opens with bit %zu of byte %zu flipped", bit % 8, bit / 8);
        p[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(opens(a, p, n));
}

static void cut_all(struct attempt *a, try_fn *opens, const uint8_t *p, size_t n)
{
    uint8_t *longer = calloc(1, n + 1);
    memcpy(longer, p, n);
    assert_false(opens(a, longer, n + 1));
    free(longer);
    for (size_t len = 0; len < n; len++) {
        uint8_t *cut = malloc(len + 1);
        memcpy(cut, p, len);
        if (opens(a, cut, len))
            fail_msg("opens when cut to %zu of %zu bytes", len, n);
        free(cut);
    }
}

static struct attempt begin(enum object_type type)
{
    return (struct attempt){
        .k = sample_keys(),
        .type = type,
        .pass = secret_of(SAMPLE_PASSPHRASE, sizeof SAMPLE_PASSPHRASE - 1),
    };
}

static void end(struct attempt *a)
{
    vault_keys_done(&a->k);
    secret_free(a->pass);
}

static void every_enveloped_type(void **state)
{
    for (size_t i = 0; i < n_sample_types; i++) {
        struct attempt a = begin(sample_types[i]);
        struct wbuf plain = WBUF_INIT, w = WBUF_INIT;
        sample_plain(a.type, &plain);
        assert_int_equal(envelope_seal(&a.k, a.type, plain.p, plain.len, &w, NULL), 0);
        flip_all(&a, try_envelope, w.p, w.len);
        cut_all(&a, try_envelope, w.p, w.len);
        wbuf_free(&plain);
        wbuf_free(&w);
        end(&a);
    }
}

static void vault_object(void **state)
{
    struct attempt a = begin(OBJECT_VAULT);
    struct wbuf w = WBUF_INIT;
    assert_int_equal(vault_object_write(&a.k, SAMPLE_VAULT_NAME, 1, &w, NULL), 0);
    flip_all(&a, try_vault, w.p, w.len);
    cut_all(&a, try_vault, w.p, w.len);
    wbuf_free(&w);
    end(&a);
}

/* The golden file's first slot alone: its scrypt is cheap. */
static void recovery_file(void **state)
{
    struct attempt a = begin(OBJECT_RECOVERY);
    size_t n;
    uint8_t *p = golden_read("recovery", "object", &n);
    p[8] = 1;
    n = 9 + (n - 9) / 2;
    flip_all(&a, try_recovery, p, n);
    cut_all(&a, try_recovery, p, n);
    free(p);
    end(&a);
}

static void end_of_a_pack(void **state)
{
    struct attempt a = begin(OBJECT_PACK);
    struct wbuf plain = WBUF_INIT, w = WBUF_INIT;
    sample_plain(OBJECT_PACK, &plain);
    assert_int_equal(envelope_seal(&a.k, OBJECT_PACK, plain.p, plain.len, &w, NULL), 0);
    pack_trailer_write(&w, (uint32_t)w.len);
    flip_all(&a, try_pack_end, w.p, w.len);
    wbuf_free(&plain);
    wbuf_free(&w);
    end(&a);
}

/* Too long for every bit: bytes all over it. */
static void a_large_object(void **state)
{
    struct attempt a = begin(OBJECT_REACH);
    struct reach r = { .n_add = LARGE_IDS, .add = calloc(LARGE_IDS, sizeof *r.add) };
    struct wbuf plain = WBUF_INIT, w = WBUF_INIT;
    for (unsigned i = 0; i < LARGE_IDS; i++) {
        r.add[i].b[0] = (uint8_t)(i >> 8);
        r.add[i].b[1] = (uint8_t)i;
    }
    reach_write(&plain, &r);
    assert_int_equal(envelope_seal(&a.k, a.type, plain.p, plain.len, &w, NULL), 0);
    assert_true(try_envelope(&a, w.p, w.len));
    for (size_t at = 0; at < w.len; at += LARGE_STEP) {
        w.p[at] ^= 0x10;
        assert_false(try_envelope(&a, w.p, w.len));
        w.p[at] ^= 0x10;
    }
    free(r.add);
    wbuf_free(&plain);
    wbuf_free(&w);
    end(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_enveloped_type), cmocka_unit_test(vault_object),
        cmocka_unit_test(recovery_file),        cmocka_unit_test(end_of_a_pack),
        cmocka_unit_test(a_large_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
