/* test_golden_objects.c - objects made by another program from docs/format.md alone: our encoders make the
 * same bytes, our readers open them. tests/format/golden; whoever changes a byte there changes the format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/vault_samples.h"
#include <stdlib.h>

static void plaintexts_have_the_golden_bytes(void **state)
{
    for (size_t i = 0; i < n_sample_types; i++) {
        struct wbuf w = WBUF_INIT;
        size_t n;
        uint8_t *golden = golden_read(sample_name(sample_types[i]), "plain", &n);
        sample_plain(sample_types[i], &w);
        assert_int_equal(w.len, n);
        assert_memory_equal(w.p, golden, n);
        wbuf_free(&w);
        free(golden);
    }
}

static void golden_objects_open(void **state)
{
    struct vault_keys k = sample_keys();
    for (size_t i = 0; i < n_sample_types; i++) {
        enum object_type type = sample_types[i];
        struct wbuf w = WBUF_INIT;
        size_t n, object_n;
        bool same;
        uint8_t *golden = golden_read(sample_name(type), "plain", &n);
        uint8_t *object = golden_read(sample_name(type), "object", &object_n);
        assert_int_equal(envelope_open(&k, type, object, object_n, &w, NULL), 0);
        assert_int_equal(w.len, n);
        assert_memory_equal(w.p, golden, n);
        assert_int_equal(sample_round_trip(type, w.p, w.len, &same, NULL), 0);
        assert_true(same);
        wbuf_free(&w);
        free(golden);
        free(object);
    }
    vault_keys_done(&k);
}

static void golden_data_keys_open(void **state)
{
    struct vault_keys k = sample_keys();
    struct key_set *set;
    uint8_t key[KEY_BYTES];
    size_t n;
    uint8_t *golden = golden_read("keys", "plain", &n);
    assert_int_equal(key_set_read(golden, n, &set, NULL), 0);
    assert_int_equal(set->n, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(data_key_open(&k, &set->keys[i], key, NULL), 0);
        assert_memory_equal(key, sample_id(0x70 + i).b, KEY_BYTES);
    }
    key_set_free(set);
    free(golden);
    vault_keys_done(&k);
}

static void golden_vault_recovers(void **state)
{
    static const char *const texts[] = { SAMPLE_PASSPHRASE, SAMPLE_OFFICERS };
    static const size_t lens[] = { sizeof SAMPLE_PASSPHRASE - 1, sizeof SAMPLE_OFFICERS - 1 };
    struct vault_keys want = sample_keys();
    size_t n_vault, n_recovery;
    uint8_t *vault = golden_read("vault", "object", &n_vault);
    uint8_t *recovery = golden_read("recovery", "object", &n_recovery);
    for (int i = 0; i < 2; i++) {
        struct secret *pass = secret_of(texts[i], lens[i]);
        struct vault_keys k;
        char *name;
        assert_int_equal(
            vault_keys_recover(recovery, n_recovery, vault, n_vault, pass, &k, &name, NULL), 0);
        assert_string_equal(name, SAMPLE_VAULT_NAME);
        assert_true(id_eq(&k.vault_id, &want.vault_id));
        assert_memory_equal(k.recovery_pk, want.recovery_pk, PUBLIC_KEY_BYTES);
        assert_memory_equal(k.sign_pk, want.sign_pk, PUBLIC_KEY_BYTES);
        assert_memory_equal(secret_bytes(k.op), secret_bytes(want.op), KEY_BYTES);
        assert_memory_equal(secret_bytes(k.sign_sk), secret_bytes(want.sign_sk), KEY_BYTES);
        assert_memory_equal(secret_bytes(k.recovery_sk), secret_bytes(want.recovery_sk), KEY_BYTES);
        free(name);
        vault_keys_done(&k);
        secret_free(pass);
    }
    free(vault);
    free(recovery);
    vault_keys_done(&want);
}

static void golden_deduplication_key(void **state)
{
    struct vault_keys k = sample_keys();
    uint8_t key[KEY_BYTES], want[KEY_BYTES];
    assert_true(hex_decode("71062a069f69c9d7746337ea0bd618a6901b86155d452e7f11ec0dffb34c0354", want,
                           KEY_BYTES));
    dedup_key(&k, "db1", 2, key);
    assert_memory_equal(key, want, KEY_BYTES);
    vault_keys_done(&k);
}

static void golden_root_key(void **state)
{
    struct vault_keys k = sample_keys();
    uint8_t pk[PUBLIC_KEY_BYTES], want[PUBLIC_KEY_BYTES];
    assert_true(hex_decode("718dc0f9bb7cda59963561d0b424b8ee22d31ac75058e5609b0ff811f5cd5e30", want,
                           PUBLIC_KEY_BYTES));
    root_key_public(&k.vault_id, k.recovery_sk, pk);
    assert_memory_equal(pk, want, PUBLIC_KEY_BYTES);
    vault_keys_done(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plaintexts_have_the_golden_bytes),
        cmocka_unit_test(golden_objects_open),
        cmocka_unit_test(golden_data_keys_open),
        cmocka_unit_test(golden_vault_recovers),
        cmocka_unit_test(golden_deduplication_key),
        cmocka_unit_test(golden_root_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
