/* test_hpke.c - lib/crypto/hpke.h against the vectors of RFC 9180, and every way to be altered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/base/sys.h"
#include "lib/crypto/hpke.h"
#include <stdlib.h>

static const char info_text[] = "Ode on a Grecian Urn";
static const char aad_text[] = "Count-0";
static const char plain_text[] = "Beauty is truth, truth beauty";

static struct hpke_text text_of_rfc(void)
{
    return (struct hpke_text){ .info = info_text,
                               .info_len = strlen(info_text),
                               .aad = aad_text,
                               .aad_len = strlen(aad_text) };
}

struct vector {
    enum hpke_aead aead;
    const char *eph_sk, *sk, *pk, *sealed; /* hex; sealed = enc, then ct of sequence number 0 */
};

static void check_vector(const struct vector *v)
{
    uint8_t eph[KEY_BYTES], sk[KEY_BYTES], pk[PUBLIC_KEY_BYTES], got_pk[PUBLIC_KEY_BYTES];
    uint8_t want[128], sealed[128], back[64];
    struct hpke_text t = text_of_rfc();
    size_t n = strlen(plain_text), sealed_len = n + HPKE_OVERHEAD_BYTES;
    struct err e = ERR_INIT;
    assert_int_equal(strlen(v->sealed), 2 * sealed_len);
    assert_true(hex_decode(v->eph_sk, eph, sizeof eph) && hex_decode(v->sk, sk, sizeof sk));
    assert_true(hex_decode(v->pk, pk, sizeof pk) && hex_decode(v->sealed, want, sealed_len));
    x25519_public(sk, got_pk);
    assert_memory_equal(got_pk, pk, sizeof pk);
    assert_int_equal(hpke_seal_with(v->aead, eph, pk, &t, plain_text, n, sealed, &e), 0);
    assert_memory_equal(sealed, want, sealed_len);
    assert_int_equal(hpke_open_with(v->aead, sk, &t, want, sealed_len, back, &e), 0);
    assert_memory_equal(back, plain_text, n);
}

static void rfc9180_a_1_1(void **state)
{
    check_vector(&(struct vector){
        .aead = HPKE_AES_128_GCM,
        .eph_sk = "52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736",
        .sk = "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8",
        .pk = "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d",
        .sealed = "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431"
                  "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a9"
                  "6d8770ac83d07bea87e13c512a",
    });
}

static void rfc9180_a_2_1(void **state)
{
    check_vector(&(struct vector){
        .aead = HPKE_CHACHA20_POLY1305,
        .eph_sk = "f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600",
        .sk = "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb",
        .pk = "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a",
        .sealed = "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a"
                  "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db"
                  "21993c62ce81883d2dd1b51a28",
    });
}

struct pair {
    uint8_t sk[KEY_BYTES], pk[PUBLIC_KEY_BYTES];
};

static struct pair new_pair(void)
{
    struct pair p;
    sys_random(p.sk, sizeof p.sk);
    x25519_public(p.sk, p.pk);
    return p;
}

static void round_trips_of_many_lengths(void **state)
{
    static const size_t lengths[] = { 0, 1, 15, 16, 17, 32, 1000, 70000 };
    struct pair to = new_pair();
    struct hpke_text t = text_of_rfc(), nothing = { 0 };
    for (size_t i = 0; i < 2 * sizeof lengths / sizeof *lengths; i++) {
        size_t n = lengths[i / 2];
        const struct hpke_text *text = i % 2 ? &t : &nothing;
        uint8_t *in = malloc(n + 1), *out = malloc(n + HPKE_OVERHEAD_BYTES), *back = malloc(n + 1);
        assert_true(in && out && back);
        sys_random(in, n);
        assert_int_equal(hpke_seal(to.pk, text, in, n, out, NULL), 0);
        assert_int_equal(hpke_open(to.sk, text, out, n + HPKE_OVERHEAD_BYTES, back, NULL), 0);
        assert_memory_equal(in, back, n);
        free(in);
        free(out);
        free(back);
    }
}

static void each_sealing_differs(void **state)
{
    struct pair to = new_pair();
    struct hpke_text t = text_of_rfc();
    uint8_t a[80], b[80];
    assert_int_equal(hpke_seal(to.pk, &t, "same", 4, a, NULL), 0);
    assert_int_equal(hpke_seal(to.pk, &t, "same", 4, b, NULL), 0);
    assert_memory_not_equal(a, b, HPKE_ENC_BYTES);
    assert_memory_not_equal(a + HPKE_ENC_BYTES, b + HPKE_ENC_BYTES, 4 + AEAD_TAG_BYTES);
}

/* For one sealed message: the wrong key, every flipped bit and every cut are told as ERR_KEY. */
static void nothing_altered_is_opened(void **state)
{
    struct pair to = new_pair(), other = new_pair();
    struct hpke_text t = text_of_rfc();
    uint8_t sealed[HPKE_OVERHEAD_BYTES + 32], plain[32] = "thirty-two bytes of a data key",
                                              back[32];
    struct err e = ERR_INIT;
    assert_int_equal(hpke_seal(to.pk, &t, plain, sizeof plain, sealed, &e), 0);
    assert_int_equal(hpke_open(other.sk, &t, sealed, sizeof sealed, back, &e), -ERR_KEY);
    assert_int_equal(e.code, ERR_KEY);
    for (size_t i = 0; i < sizeof sealed; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            sealed[i] ^= (uint8_t)(1u << bit);
            assert_int_equal(hpke_open(to.sk, &t, sealed, sizeof sealed, back, &e), -ERR_KEY);
            sealed[i] ^= (uint8_t)(1u << bit);
        }
    for (size_t n = 0; n < sizeof sealed; n++)
        assert_int_equal(hpke_open(to.sk, &t, sealed, n, back, &e), -ERR_KEY);
    assert_int_equal(hpke_open(to.sk, &t, sealed, sizeof sealed, back, &e), 0);
    assert_memory_equal(back, plain, sizeof plain);
}

static void info_aad_and_cipher_are_bound(void **state)
{
    struct pair to = new_pair();
    struct hpke_text t = text_of_rfc(), no_info = t, no_aad = t, swapped = t;
    uint8_t sealed[HPKE_OVERHEAD_BYTES + 4], back[4];
    no_info.info_len--;
    no_aad.aad_len = 0;
    swapped.info = t.aad, swapped.info_len = t.aad_len;
    swapped.aad = t.info, swapped.aad_len = t.info_len;
    assert_int_equal(hpke_seal(to.pk, &t, "data", 4, sealed, NULL), 0);
    assert_int_equal(hpke_open(to.sk, &no_info, sealed, sizeof sealed, back, NULL), -ERR_KEY);
    assert_int_equal(hpke_open(to.sk, &no_aad, sealed, sizeof sealed, back, NULL), -ERR_KEY);
    assert_int_equal(hpke_open(to.sk, &swapped, sealed, sizeof sealed, back, NULL), -ERR_KEY);
    assert_int_equal(
        hpke_open_with(HPKE_CHACHA20_POLY1305, to.sk, &t, sealed, sizeof sealed, back, NULL),
        -ERR_KEY);
    assert_int_equal(
        hpke_open_with((enum hpke_aead)9, to.sk, &t, sealed, sizeof sealed, back, NULL),
        -ERR_VERSION);
}

/* A zero shared secret would be known to everybody. */
static void low_order_points_are_refused(void **state)
{
    static const uint8_t zero[PUBLIC_KEY_BYTES], one[PUBLIC_KEY_BYTES] = { 1 };
    struct pair to = new_pair();
    struct hpke_text t = text_of_rfc();
    uint8_t sealed[HPKE_OVERHEAD_BYTES + 4], back[4];
    struct err e = ERR_INIT;
    assert_int_equal(hpke_seal(zero, &t, "data", 4, sealed, &e), -ERR_KEY);
    assert_int_equal(hpke_seal(one, &t, "data", 4, sealed, &e), -ERR_KEY);
    assert_int_equal(hpke_seal(to.pk, &t, "data", 4, sealed, &e), 0);
    memcpy(sealed, zero, sizeof zero);
    assert_int_equal(hpke_open(to.sk, &t, sealed, sizeof sealed, back, &e), -ERR_KEY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc9180_a_1_1),
        cmocka_unit_test(rfc9180_a_2_1),
        cmocka_unit_test(round_trips_of_many_lengths),
        cmocka_unit_test(each_sealing_differs),
        cmocka_unit_test(nothing_altered_is_opened),
        cmocka_unit_test(info_aad_and_cipher_are_bound),
        cmocka_unit_test(low_order_points_are_refused),
    };
    return cmocka_run_group_tests_name("hpke", tests, NULL, NULL);
}
