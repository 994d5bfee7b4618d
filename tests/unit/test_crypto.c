/* test_crypto.c - lib/crypto/crypto.h and secret.h against published answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/crypto/crypto.h"
#include "lib/crypto/internal.h"
#include <stdlib.h>

static size_t unhex(const char *hex, uint8_t *out)
{
    size_t n = strlen(hex) / 2;
    assert_true(hex_decode(hex, out, n));
    return n;
}

static void assert_hex(const void *p, const char *hex)
{
    uint8_t want[256];
    assert_memory_equal(p, want, unhex(hex, want));
}

/* --- hashes ----------------------------------------------------------------------------------- */
static void sha256_answers(void **state)
{
    static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    struct id id;
    sha256_of(NULL, 0, &id);
    assert_hex(id.b, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256_of("abc", 3, &id);
    assert_hex(id.b, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_of(two_blocks, strlen(two_blocks), &id);
    assert_hex(id.b, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void sha256_streams_and_is_reused(void **state)
{
    struct sha256 *h = sha256_new();
    char part[1000];
    struct id id;
    memset(part, 'a', sizeof part);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 1000; i++)
            sha256_update(h, part, sizeof part);
        sha256_final(h, &id);
        assert_hex(id.b, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
        sha256_reset(h);
    }
    sha256_update(h, "lost", 4);
    sha256_reset(h);
    sha256_update(h, NULL, 0);
    sha256_update(h, "abc", 3);
    sha256_final(h, &id);
    assert_hex(id.b, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_free(h);
    sha256_free(NULL);
}

/* RFC 4231, 4.2 to 4.5. Shorter keys than ours: HMAC pads them with zeros itself. */
static void hmac_answers(void **state)
{
    static const struct {
        const char *key, *data, *mac;
    } all[] = {
        { "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
          "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
        { "4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
        { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          "dddddddddddddddddddddddddddddddddddddddddddddddddd"
          "dddddddddddddddddddddddddddddddddddddddddddddddddd",
          "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
        { "0102030405060708090a0b0c0d0e0f10111213141516171819",
          "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
          "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
          "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        uint8_t key[KEY_BYTES] = { 0 }, data[64];
        unhex(all[i].key, key);
        size_t n = unhex(all[i].data, data);
        struct hmac *h = hmac_new(key);
        struct id id, empty;
        for (int round = 0; round < 3; round++) {
            hmac_of(h, data, n, &id);
            assert_hex(id.b, all[i].mac);
            hmac_of(h, NULL, 0, &empty); /* another message between must leave no trace */
            assert_false(id_eq(&id, &empty));
        }
        hmac_free(h);
    }
    hmac_free(NULL);
}

/* RFC 5869, A.1 to A.3. */
static void hkdf_answers(void **state)
{
    uint8_t ikm[80], salt[80], info[80], out[82];
    for (int i = 0; i < 80; i++) {
        ikm[i] = (uint8_t)i;
        salt[i] = (uint8_t)(0x60 + i);
        info[i] = (uint8_t)(0xb0 + i);
    }
    hkdf(salt, 80, ikm, 80, info, 80, out, 82);
    assert_hex(out, "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
                    "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
                    "cc30c58179ec3e87c14c01d5c1f3434f1d87");
    memset(ikm, 0x0b, 22);
    hkdf(NULL, 0, ikm, 22, NULL, 0, out, 42);
    assert_hex(out, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
                    "9d201395faa4b61a96c8");
    unhex("000102030405060708090a0b0c", salt);
    unhex("f0f1f2f3f4f5f6f7f8f9", info);
    hkdf(salt, 13, ikm, 22, info, 10, out, 42);
    assert_hex(out, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
                    "34007208d5b887185865");
}

static void hkdf_gives_its_longest(void **state)
{
    static uint8_t out[255 * 32], first[32];
    hkdf("s", 1, "k", 1, "i", 1, out, sizeof out);
    hkdf("s", 1, "k", 1, "i", 1, first, sizeof first);
    assert_memory_equal(out, first, sizeof first);
    assert_memory_not_equal(out + sizeof out - 32, first, sizeof first);
}

/* --- AES-256-GCM ------------------------------------------------------------------------------ */
/* Test cases 13, 14 and 16 of the GCM specification. */
static const struct gcm_case {
    const char *key, *nonce, *aad, *plain, *sealed;
} gcm_cases[] = {
    { "0000000000000000000000000000000000000000000000000000000000000000",
      "000000000000000000000000", "", "", "530f8afbc74536b9a963b4f1c4cb738b" },
    { "0000000000000000000000000000000000000000000000000000000000000000",
      "000000000000000000000000", "", "00000000000000000000000000000000",
      "cea7403d4d606b6e074ec5d3baf39d18"
      "d0d1c8a799996bf0265b98b5d48ab919" },
    { "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
      "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
      "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
      "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
      "76fc6ece0f4e1768cddf8853bb2d551b" },
};

static void gcm_answers(void **state)
{
    for (size_t i = 0; i < sizeof gcm_cases / sizeof *gcm_cases; i++) {
        const struct gcm_case *c = &gcm_cases[i];
        uint8_t key[KEY_BYTES], nonce[AEAD_NONCE_BYTES], aad[32], plain[64], out[96], back[64];
        unhex(c->key, key);
        unhex(c->nonce, nonce);
        size_t aad_len = unhex(c->aad, aad), n = unhex(c->plain, plain);
        struct aead *a = aead_new(key);
        for (int round = 0; round < 2; round++) {
            aead_seal(a, nonce, aad, aad_len, plain, n, out);
            assert_hex(out, c->sealed);
            assert_true(aead_open(a, nonce, aad, aad_len, out, n + AEAD_TAG_BYTES, back));
            assert_memory_equal(back, plain, n);
        }
        aead_free(a);
    }
    aead_free(NULL);
}

static void gcm_works_in_place(void **state)
{
    const struct gcm_case *c = &gcm_cases[2];
    uint8_t key[KEY_BYTES], nonce[AEAD_NONCE_BYTES], aad[32], plain[64], buf[96];
    unhex(c->key, key);
    unhex(c->nonce, nonce);
    size_t aad_len = unhex(c->aad, aad), n = unhex(c->plain, plain);
    struct aead *a = aead_new(key);
    memcpy(buf, plain, n);
    aead_seal(a, nonce, aad, aad_len, buf, n, buf);
    assert_hex(buf, c->sealed);
    assert_true(aead_open(a, nonce, aad, aad_len, buf, n + AEAD_TAG_BYTES, buf));
    assert_memory_equal(buf, plain, n);
    aead_free(a);
}

/* Also shows that a refused message does not spoil the context for the next one. */
static void gcm_sees_every_flipped_bit(void **state)
{
    static const uint8_t zero[64];
    uint8_t key[KEY_BYTES] = { 1 }, nonce[AEAD_NONCE_BYTES] = { 2 }, aad[3] = { 3, 4, 5 };
    uint8_t plain[37] = "thirty-six letters of a secret text", sealed[53], out[64];
    struct aead *a = aead_new(key);
    aead_seal(a, nonce, aad, sizeof aad, plain, sizeof plain, sealed);
    for (size_t bit = 0; bit < 8 * sizeof sealed; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        memset(out, 0xee, sizeof out);
        assert_false(aead_open(a, nonce, aad, sizeof aad, sealed, sizeof sealed, out));
        assert_memory_equal(out, zero, sizeof plain);
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_true(aead_open(a, nonce, aad, sizeof aad, sealed, sizeof sealed, out));
        assert_memory_equal(out, plain, sizeof plain);
    }
    for (size_t bit = 0; bit < 8 * sizeof aad; bit++) {
        aad[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(aead_open(a, nonce, aad, sizeof aad, sealed, sizeof sealed, out));
        aad[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n < sizeof sealed; n++)
        assert_false(aead_open(a, nonce, aad, sizeof aad, sealed, n, out));
    assert_false(aead_open(a, nonce, aad, 2, sealed, sizeof sealed, out));
    nonce[11] ^= 1;
    assert_false(aead_open(a, nonce, aad, sizeof aad, sealed, sizeof sealed, out));
    aead_free(a);
}

/* --- public keys ------------------------------------------------------------------------------ */
/* RFC 8032, 7.1, tests 1 to 3. */
static void ed25519_answers(void **state)
{
    static const struct {
        const char *sk, *pk, *msg, *sig;
    } all[] = {
        { "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
          "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
          "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac"
          "c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b" },
        { "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
          "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
          "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e"
          "458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00" },
        { "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
          "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
          "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290"
          "ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        uint8_t sk[KEY_BYTES], pk[PUBLIC_KEY_BYTES], msg[8], sig[SIGNATURE_BYTES];
        unhex(all[i].sk, sk);
        size_t n = unhex(all[i].msg, msg);
        ed25519_public(sk, pk);
        assert_hex(pk, all[i].pk);
        ed25519_sign(sk, n ? msg : NULL, n, sig);
        assert_hex(sig, all[i].sig);
        assert_true(ed25519_verify(pk, n ? msg : NULL, n, sig));
    }
}

static void ed25519_refuses_what_is_altered(void **state)
{
    uint8_t sk[KEY_BYTES] = { 7 }, pk[PUBLIC_KEY_BYTES], sig[SIGNATURE_BYTES], msg[] = "head 17";
    ed25519_public(sk, pk);
    ed25519_sign(sk, msg, sizeof msg, sig);
    for (size_t bit = 0; bit < 8 * sizeof sig; bit++) {
        sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(ed25519_verify(pk, msg, sizeof msg, sig));
        sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t i = 0; i < sizeof msg; i++) {
        msg[i] ^= 1;
        assert_false(ed25519_verify(pk, msg, sizeof msg, sig));
        msg[i] ^= 1;
    }
    assert_false(ed25519_verify(pk, msg, sizeof msg - 1, sig));
    assert_true(ed25519_verify(pk, msg, sizeof msg, sig));
    for (size_t bit = 0; bit < 8 * sizeof pk; bit++) {
        pk[bit / 8] ^= (uint8_t)(1 << bit % 8); /* often no point of the curve at all */
        assert_false(ed25519_verify(pk, msg, sizeof msg, sig));
        pk[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* RFC 7748, 6.1. */
static void x25519_answers(void **state)
{
    uint8_t bob[KEY_BYTES], bob_pk[PUBLIC_KEY_BYTES], alice_pk[PUBLIC_KEY_BYTES], out[KEY_BYTES];
    unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb", bob);
    unhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", alice_pk);
    x25519_public(bob, bob_pk);
    assert_hex(bob_pk, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    assert_true(x25519_shared(bob, alice_pk, out));
    assert_hex(out, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
}

/* The points of small order, whose product with any key is zero. */
static void x25519_refuses_low_order(void **state)
{
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        uint8_t sk[KEY_BYTES] = { 1, 2, 3 }, pk[PUBLIC_KEY_BYTES], out[KEY_BYTES];
        unhex(points[i], pk);
        assert_false(x25519_shared(sk, pk, out));
    }
}

/* --- passphrases ------------------------------------------------------------------------------ */
/* RFC 7914, section 12, third vector; its first 32 bytes do not depend on the length asked for. */
static void scrypt_answers(void **state)
{
    uint8_t out[KEY_BYTES];
    assert_true(scrypt_run((struct bytes){ "pleaseletmein", 13 },
                           (struct bytes){ "SodiumChloride", 14 }, 14, out));
    assert_hex(out, "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2");
}

static void scrypt_key_is_scrypt(void **state)
{
    uint8_t salt[32] = { 1, 2 }, out[KEY_BYTES], want[KEY_BYTES];
    struct secret *pass = secret_of("correct horse", 13), *none = secret_new(0);
    struct err e = ERR_INIT;
    assert_int_equal(scrypt_key(pass, salt, 10, out, &e), 0);
    assert_true(
        scrypt_run((struct bytes){ "correct horse", 13 }, (struct bytes){ salt, 32 }, 10, want));
    assert_memory_equal(out, want, sizeof want);
    assert_int_equal(scrypt_key(none, salt, 10, out, &e), 0);
    assert_memory_not_equal(out, want, sizeof want);
    assert_int_equal(scrypt_key(pass, salt, 16, out, &e), 0);
    assert_int_equal(scrypt_key(pass, salt, 9, out, &e), -ERR_LIMIT);
    assert_int_equal(scrypt_key(pass, salt, 17, out, &e), -ERR_LIMIT);
    assert_int_equal(scrypt_key(pass, salt, 64 + 10, out, NULL), -ERR_LIMIT);
    secret_free(pass);
    secret_free(none);
}

/* --- secrets ---------------------------------------------------------------------------------- */
static void secrets_hold_their_bytes(void **state)
{
    static const uint8_t zero[KEY_BYTES];
    struct secret *s = secret_new(KEY_BYTES), *r = secret_random(KEY_BYTES);
    assert_int_equal(secret_len(s), KEY_BYTES);
    assert_memory_equal(secret_bytes(s), zero, KEY_BYTES);
    assert_memory_not_equal(secret_bytes(r), zero, KEY_BYTES);
    struct secret *c = secret_clone(r);
    assert_memory_equal(secret_bytes(c), secret_bytes(r), KEY_BYTES);
    secret_data(c)[0] ^= 1;
    assert_memory_not_equal(secret_bytes(c), secret_bytes(r), KEY_BYTES);
    secret_free(s);
    secret_free(r);
    secret_free(c);
    secret_free(NULL);
    assert_null(secret_new(SIZE_MAX));
}

static void wiping_wipes(void **state)
{
    static const uint8_t zero[9];
    uint8_t b[] = "password";
    secret_wipe(b, sizeof b);
    assert_memory_equal(b, zero, sizeof b);
}

/* More than may be locked (ulimit -l) is still given. */
static void large_secrets_work(void **state)
{
    size_t n = (size_t)32 << 20;
    struct secret *s = secret_new(n);
    assert_non_null(s);
    secret_data(s)[0] = secret_data(s)[n - 1] = 1;
    secret_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_answers),
        cmocka_unit_test(sha256_streams_and_is_reused),
        cmocka_unit_test(hmac_answers),
        cmocka_unit_test(hkdf_answers),
        cmocka_unit_test(hkdf_gives_its_longest),
        cmocka_unit_test(gcm_answers),
        cmocka_unit_test(gcm_works_in_place),
        cmocka_unit_test(gcm_sees_every_flipped_bit),
        cmocka_unit_test(ed25519_answers),
        cmocka_unit_test(ed25519_refuses_what_is_altered),
        cmocka_unit_test(x25519_answers),
        cmocka_unit_test(x25519_refuses_low_order),
        cmocka_unit_test(scrypt_answers),
        cmocka_unit_test(scrypt_key_is_scrypt),
        cmocka_unit_test(secrets_hold_their_bytes),
        cmocka_unit_test(wiping_wipes),
        cmocka_unit_test(large_secrets_work),
    };
    return cmocka_run_group_tests_name("crypto", tests, NULL, NULL);
}
