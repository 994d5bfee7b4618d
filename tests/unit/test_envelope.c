/* test_envelope.c - lib/vault/envelope.h: sealing, opening under the wrong key, vault, type or signature, and
 * the names of objects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/vault_samples.h"
#include <stdlib.h>

static const char text[] = "what an object holds";

static void seal(const struct vault_keys *k, enum object_type type, struct wbuf *w)
{
    *w = WBUF_INIT;
    assert_int_equal(envelope_seal(k, type, text, sizeof text, w, NULL), 0);
}

static int try_open(const struct vault_keys *k, enum object_type type, const struct wbuf *w)
{
    struct wbuf out = WBUF_INIT;
    int rc = envelope_open(k, type, w->p, w->len, &out, NULL);
    if (rc == 0) {
        assert_int_equal(out.len, sizeof text);
        assert_memory_equal(out.p, text, sizeof text);
    } else {
        assert_int_equal(out.len, 0);
    }
    wbuf_free(&out);
    return rc;
}

static void opens_what_was_sealed(void **state)
{
    struct vault_keys k = sample_keys();
    for (size_t i = 0; i < n_sample_types; i++) {
        enum object_type type = sample_types[i];
        bool is_signed = type == OBJECT_HEAD || type == OBJECT_SNAPSHOT;
        struct wbuf w, again;
        seal(&k, type, &w);
        assert_int_equal(w.len, 8 + 32 + sizeof text + 16 + (is_signed ? 64 : 0));
        assert_memory_equal(w.p, "TWF1", 4);
        assert_int_equal(w.p[4], type);
        assert_int_equal(w.p[7], is_signed);
        assert_int_equal(try_open(&k, type, &w), 0);
        seal(&k, type, &again);
        assert_memory_not_equal(w.p + 8, again.p + 8, 32); /* a salt of its own each time */
        wbuf_free(&again);
        wbuf_free(&w);
    }
    vault_keys_done(&k);
}

static void appends_and_replaces(void **state)
{
    struct vault_keys k = sample_keys();
    struct wbuf w = WBUF_INIT, out = WBUF_INIT;
    wb_str(&w, "before");
    wb_str(&out, "old content");
    assert_int_equal(envelope_seal(&k, OBJECT_HEAD, "", 0, &w, NULL), 0);
    assert_memory_equal(w.p, "\6before", 7);
    assert_int_equal(envelope_open(&k, OBJECT_HEAD, w.p + 7, w.len - 7, &out, NULL), 0);
    assert_int_equal(out.len, 0);
    wbuf_free(&w);
    wbuf_free(&out);
    vault_keys_done(&k);
}

static void no_other_key_type_or_vault_opens(void **state)
{
    struct vault_keys k = sample_keys(), other = sample_keys();
    struct wbuf w;
    seal(&k, OBJECT_LIST, &w);
    secret_data(other.op)[5] ^= 1;
    assert_int_equal(try_open(&other, OBJECT_LIST, &w), -ERR_DAMAGED);
    secret_data(other.op)[5] ^= 1;
    other.vault_id.b[5] ^= 1;
    assert_int_equal(try_open(&other, OBJECT_LIST, &w), -ERR_DAMAGED);
    assert_int_equal(try_open(&k, OBJECT_REACH, &w), -ERR_DAMAGED);
    w.p[4] = OBJECT_REACH;
    assert_int_equal(try_open(&k, OBJECT_REACH, &w), -ERR_DAMAGED);
    wbuf_free(&w);
    vault_keys_done(&k);
    vault_keys_done(&other);
}

static void signatures_must_be_this_vaults(void **state)
{
    struct vault_keys k = sample_keys(), other = sample_keys();
    struct wbuf w;
    /* Who holds the operational key alone cannot make a head. */
    secret_data(other.sign_sk)[0] ^= 1;
    seal(&other, OBJECT_HEAD, &w);
    assert_int_equal(try_open(&k, OBJECT_HEAD, &w), -ERR_DAMAGED);
    /* Nor by leaving the signature out. */
    w.len -= SIGNATURE_BYTES;
    w.p[7] = 0;
    assert_int_equal(try_open(&k, OBJECT_HEAD, &w), -ERR_DAMAGED);
    wbuf_free(&w);
    vault_keys_done(&k);
    vault_keys_done(&other);
}

static void versions_and_suites_are_told_from_damage(void **state)
{
    struct vault_keys k = sample_keys();
    struct wbuf w;
    seal(&k, OBJECT_KEYS, &w);
    w.p[5] = 2;
    assert_int_equal(try_open(&k, OBJECT_KEYS, &w), -ERR_VERSION);
    w.p[5] = 1;
    w.p[6] = 2;
    assert_int_equal(try_open(&k, OBJECT_KEYS, &w), -ERR_VERSION);
    w.p[6] = 1;
    w.p[0] = 'X';
    assert_int_equal(try_open(&k, OBJECT_KEYS, &w), -ERR_DAMAGED);
    wbuf_free(&w);
    vault_keys_done(&k);
}

static void no_cut_opens(void **state)
{
    struct vault_keys k = sample_keys();
    static const enum object_type types[] = { OBJECT_HEAD, OBJECT_LIST };
    for (int i = 0; i < 2; i++) {
        struct wbuf w, out = WBUF_INIT;
        seal(&k, types[i], &w);
        for (size_t n = 0; n < w.len; n++) {
            uint8_t *p = malloc(n + 1);
            memcpy(p, w.p, n);
            assert_int_equal(envelope_open(&k, types[i], p, n, &out, NULL), -ERR_DAMAGED);
            free(p);
        }
        wb_u8(&w, 0);
        assert_int_equal(try_open(&k, types[i], &w), -ERR_DAMAGED);
        wbuf_free(&w);
        wbuf_free(&out);
    }
    vault_keys_done(&k);
}

static void size_is_bounded(void **state)
{
    struct vault_keys k = sample_keys();
    struct wbuf w = WBUF_INIT;
    size_t most = MAX_OBJECT_BYTES - 8 - 32 - 16;
    uint8_t *p = calloc(1, MAX_OBJECT_BYTES);
    assert_int_equal(envelope_seal(&k, OBJECT_REACH, p, most + 1, &w, NULL), -ERR_LIMIT);
    assert_int_equal(envelope_seal(&k, OBJECT_REACH, p, SIZE_MAX, &w, NULL), -ERR_LIMIT);
    assert_int_equal(w.len, 0);
    assert_int_equal(envelope_seal(&k, OBJECT_REACH, p, most, &w, NULL), 0);
    assert_int_equal(w.len, MAX_OBJECT_BYTES);
    free(p);
    wbuf_free(&w);
    vault_keys_done(&k);
}

/* --- names ------------------------------------------------------------------------------------ */
#define HEX "abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789"

static void names_there_and_back(void **state)
{
    static const struct {
        enum object_type type;
        const char *name;
    } rows[] = {
        { OBJECT_KEYS, "keys/" HEX },      { OBJECT_INDEX, "index/" HEX },
        { OBJECT_LIST, "lists/" HEX },     { OBJECT_SNAPSHOT, "snapshots/" HEX },
        { OBJECT_REACH, "lists/" HEX },    { OBJECT_PACK, "packs/ab/" HEX },
        { OBJECT_RECORD, "records/" HEX },
    };
    struct id id, back;
    char name[MAX_OBJECT_NAME];
    assert_true(id_parse(HEX, &id));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_string_equal(object_name(rows[i].type, &id, name), rows[i].name);
        assert_true(object_name_parse(rows[i].type, name, NULL, &back));
        assert_true(id_eq(&id, &back));
    }
    uint64_t generation = 0;
    assert_string_equal(head_name(42, &id, name), "heads/0000000000000042-" HEX);
    assert_true(object_name_parse(OBJECT_HEAD, name, &generation, &back));
    assert_true(object_name_parse(OBJECT_HEAD, name, NULL, &back));
    assert_int_equal(generation, 42);
    assert_true(id_eq(&id, &back));
}

static void other_names_are_not_names(void **state)
{
    static const struct {
        enum object_type type;
        const char *name;
    } rows[] = {
        { OBJECT_KEYS, "" },
        { OBJECT_KEYS, "keys/" },
        { OBJECT_KEYS, "key/" HEX },
        { OBJECT_KEYS, "keys/" HEX "0" },
        { OBJECT_KEYS, "keys/" HEX "/" },
        { OBJECT_KEYS, "keys/ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef0123456789" },
        { OBJECT_KEYS, "keys/.bcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789" },
        { OBJECT_PACK, "packs/" HEX },
        { OBJECT_PACK, "packs/ac/" HEX },
        { OBJECT_PACK, "packs/ab-" HEX },
        { OBJECT_PACK, "packs/a" },
        { OBJECT_PACK, "packs/" },
        { OBJECT_PACK,
          "packs/AB/ABcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789" },
        { OBJECT_HEAD, "heads/" HEX },
        { OBJECT_HEAD, "heads/000000000000004-" HEX },
        { OBJECT_HEAD, "heads/00000000000000042-" HEX },
        { OBJECT_HEAD, "heads/+000000000000042-" HEX },
        { OBJECT_HEAD, "heads/0000000000000042_" HEX },
        { OBJECT_VAULT, "vault/00000001" },
        { OBJECT_RECOVERY, "recovery" },
        { OBJECT_LOG, "logs/" HEX },
        { (enum object_type)99, "keys/" HEX },
    };
    uint64_t generation;
    struct id id;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_false(object_name_parse(rows[i].type, rows[i].name, &generation, &id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_what_was_sealed),
        cmocka_unit_test(appends_and_replaces),
        cmocka_unit_test(no_other_key_type_or_vault_opens),
        cmocka_unit_test(signatures_must_be_this_vaults),
        cmocka_unit_test(versions_and_suites_are_told_from_damage),
        cmocka_unit_test(no_cut_opens),
        cmocka_unit_test(size_is_bounded),
        cmocka_unit_test(names_there_and_back),
        cmocka_unit_test(other_names_are_not_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
