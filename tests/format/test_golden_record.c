/* test_golden_record.c - a record of an incident, made by another program from docs/format.md alone: our reader opens it, our writer makes the
 * same bytes but for what is random, and what was changed is noticed. */
#include "lib/vault/record_object.h"
#include "restore/incident/record.h"
#include "tests/vault_samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct record_object *golden_record(const struct vault_keys *k)
{
    struct record_object *o = NULL;
    size_t n;
    uint8_t *p = golden_read("record", "object", &n);
    assert_int_equal(record_object_read(k, p, n, &o, NULL), 0);
    free(p);
    return o;
}

static void it_is_opened(void **state)
{
    struct vault_keys k = sample_keys();
    struct record_object *o = golden_record(&k);
    struct incident *inc = NULL;
    struct id hash;
    (void)state;
    assert_string_equal(o->incident, "billing-20261126-0a1b");
    assert_int_equal(o->number, 5);
    assert_true(o->ended && !o->drill);
    assert_int_equal(o->written_s, 1795690001);
    assert_int_equal(o->n_before, 2);
    assert_int_equal(o->before[0].number, 2);
    assert_int_equal(record_object_open(&k, o, NULL), 0);
    assert_int_equal(o->n_files, 1);
    assert_string_equal(o->files[0].name, "incident-1.txt");
    assert_memory_equal(o->files[0].p, "网络", 6);
    assert_true(record_line_hash(o->timeline, o->timeline_len, 2, &hash));
    assert_memory_equal(&hash, &o->before[0].last, sizeof hash);
    assert_true(record_line_hash(o->timeline, o->timeline_len, 5, &hash));
    assert_memory_equal(&hash, &o->last, sizeof hash);
    assert_false(record_line_hash(o->timeline, o->timeline_len, 6, &hash));
    assert_int_equal(incident_parse(o->incident, o->timeline, o->timeline_len, &inc, NULL), 0);
    assert_int_equal(inc->broken.code, ERR_NONE);
    assert_int_equal(inc->n, 5);
    assert_string_equal(inc->policy, "billing");
    assert_int_equal(inc->closed_s, 1795690000);
    incident_free(inc);
    record_object_free(o);
    vault_keys_done(&k);
}

static void it_is_written_again(void **state)
{
    struct vault_keys k = sample_keys();
    struct record_object *o = golden_record(&k), *back = NULL;
    struct wbuf head = WBUF_INIT, object = WBUF_INIT, again = WBUF_INIT, content = WBUF_INIT;
    size_t n;
    uint8_t *plain = golden_read("record", "plain", &n);
    (void)state;
    record_head_write(o, &head);
    assert_int_equal(head.len, o->head_len);
    assert_memory_equal(head.p, plain, head.len);
    assert_int_equal(o->sealed_len, n - head.len);
    assert_memory_equal(o->sealed, plain + head.len, o->sealed_len);
    assert_int_equal(record_object_open(&k, o, NULL), 0);
    record_content_write(o, &content);
    assert_int_equal(record_object_seal(&k, o, &object, NULL), 0);
    assert_int_equal(record_object_read(&k, object.p, object.len, &back, NULL), 0);
    assert_int_equal(record_object_open(&k, back, NULL), 0);
    record_content_write(back, &again);
    assert_int_equal(again.len, content.len);
    assert_memory_equal(again.p, content.p, content.len);
    free(plain);
    wbuf_free(&head);
    wbuf_free(&object);
    wbuf_free(&again);
    wbuf_free(&content);
    record_object_free(o);
    record_object_free(back);
    vault_keys_done(&k);
}

static void every_flipped_bit_is_noticed(void **state)
{
    struct vault_keys k = sample_keys();
    struct record_object *o = NULL;
    size_t n;
    uint8_t *p = golden_read("record", "object", &n);
    (void)state;
    for (size_t i = 0; i < n; i++) {
        p[i] ^= (uint8_t)(1u << i % 8);
        if (record_object_read(&k, p, n, &o, NULL) == 0)
            fail_msg("byte %zu", i);
        p[i] ^= (uint8_t)(1u << i % 8);
    }
    free(p);
    vault_keys_done(&k);
}

/* Whoever has the operational and the signing key alone can neither read it nor put another head around it. */
static void the_head_is_bound(void **state)
{
    struct vault_keys k = sample_keys();
    struct record_object *o = golden_record(&k), *forged = NULL;
    struct wbuf plain = WBUF_INIT, object = WBUF_INIT;
    struct secret *key = k.recovery_sk;
    struct err e = ERR_INIT;
    (void)state;
    o->ended = false;
    record_head_write(o, &plain);
    wb_bytes(&plain, o->sealed, o->sealed_len);
    assert_int_equal(envelope_seal(&k, OBJECT_RECORD, plain.p, plain.len, &object, NULL), 0);
    assert_int_equal(record_object_read(&k, object.p, object.len, &forged, NULL), 0);
    assert_int_equal(record_object_open(&k, forged, &e), -ERR_KEY);
    k.recovery_sk = NULL;
    assert_int_equal(record_object_open(&k, o, &e), -ERR_KEY);
    k.recovery_sk = key;
    wbuf_free(&plain);
    wbuf_free(&object);
    record_object_free(o);
    record_object_free(forged);
    vault_keys_done(&k);
}

static void which_replaces_which(void **state)
{
    struct vault_keys k = sample_keys();
    struct record_object *o = golden_record(&k), *old = calloc(1, sizeof *old);
    (void)state;
    memcpy(old->incident, o->incident, sizeof old->incident);
    old->number = o->before[0].number;
    old->last = o->before[0].last;
    assert_true(record_object_replaces(o, old));
    assert_false(record_object_replaces(old, o));
    old->last.b[0] ^= 1; /* as many lines, but others */
    assert_false(record_object_replaces(o, old));
    old->last = o->before[0].last;
    old->incident[0] = 'x';
    assert_false(record_object_replaces(o, old));
    record_object_free(o);
    record_object_free(old);
    vault_keys_done(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_opened),         cmocka_unit_test(it_is_written_again),
        cmocka_unit_test(the_head_is_bound),    cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(which_replaces_which),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
