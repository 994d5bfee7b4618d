/* test_golden_catalog.c - an export of the catalog, made by another program from docs/format.md alone: our reader finds every row in
 * it, our writer makes the same rows, the chain of its audit trail is the one that we compute. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "orchestrator/catalog/inner.h"
#include "orchestrator/catalog/rows.h"
#include "tests/vault_samples.h"
#include <stdlib.h>

/* Every row is written again; the sections must come out as they are in the object. */
struct again {
    struct wbuf w[ROW_KINDS];
    struct id hash; /* of the audit row before */
    size_t rows;
};

static int on_run(void *ctx, const struct run *r)
{
    struct again *a = ctx;
    row_write_run(&a->w[ROW_RUN], r);
    assert_string_equal(r->error_code, "partial");
    assert_int_equal(r->started_s, 1700000100);
    assert_int_equal(r->exit_status, 3);
    assert_int_equal(r->copies_wanted, 2);
    a->rows++;
    return 0;
}

static int on_snapshot(void *ctx, const struct snapshot_row *s)
{
    struct again *a = ctx;
    row_write_snapshot(&a->w[ROW_SNAPSHOT], s);
    assert_string_equal(s->host, "db1");
    assert_int_equal(s->generation, 9);
    a->rows++;
    return 0;
}

static int on_copy(void *ctx, const struct copy_row *c)
{
    struct again *a = ctx;
    row_write_copy(&a->w[ROW_COPY], c);
    assert_string_equal(c->why, "no mount");
    assert_int_equal(c->damaged_objects, 3);
    a->rows++;
    return 0;
}

static int on_hold(void *ctx, const struct hold *h)
{
    struct again *a = ctx;
    row_write_hold(&a->w[ROW_HOLD], h);
    assert_string_equal(h->why, "court");
    a->rows++;
    return 0;
}

static int on_medium(void *ctx, const struct medium *m)
{
    struct again *a = ctx;
    row_write_medium(&a->w[ROW_MEDIUM], m);
    assert_int_equal(m->at_s, -1);
    a->rows++;
    return 0;
}

static int on_alarm(void *ctx, const struct alarm *al)
{
    struct again *a = ctx;
    row_write_alarm(&a->w[ROW_ALARM], al);
    assert_int_equal(al->level, ALARM_CRITICAL);
    assert_string_equal(al->acked_through, "phone");
    a->rows++;
    return 0;
}

static int on_fact(void *ctx, const char *key, const char *value)
{
    struct again *a = ctx;
    row_write_fact(&a->w[ROW_FACT], key, value);
    a->rows++;
    return 0;
}

static int on_audit(void *ctx, const struct audit_row *r, const struct id *hash)
{
    struct again *a = ctx;
    struct id right;
    row_write_audit(&a->w[ROW_AUDIT], r, hash);
    assert_int_equal(audit_hash(&a->hash, r, &right), 0);
    assert_memory_equal(right.b, hash->b, ID_BYTES);
    a->hash = *hash;
    a->rows++;
    return 0;
}

static struct catalog_object *golden_object(void)
{
    struct catalog_object *o = NULL;
    size_t n;
    uint8_t *plain = golden_read("catalog", "plain", &n);
    assert_int_equal(catalog_object_read(plain, n, &o, NULL), 0);
    free(plain);
    return o;
}

static void golden_rows_are_read_and_written_again(void **state)
{
    struct catalog_object *o = golden_object();
    struct again a = { .hash = o->start_hash };
    const struct row_sink sink = { .ctx = &a,
                                   .run = on_run,
                                   .snapshot = on_snapshot,
                                   .copy = on_copy,
                                   .hold = on_hold,
                                   .medium = on_medium,
                                   .alarm = on_alarm,
                                   .fact = on_fact,
                                   .audit = on_audit };
    uint64_t unknown = 7;
    assert_int_equal(o->number, 41);
    assert_int_equal(o->generation, 9);
    assert_int_equal(o->last_seq, 2);
    assert_int_equal(o->n_sections, 8);
    assert_int_equal(rows_read(o, &sink, &unknown, NULL), 0);
    assert_int_equal(unknown, 0);
    assert_int_equal(a.rows, 9);
    assert_memory_equal(a.hash.b, o->last_hash.b, ID_BYTES);
    for (size_t i = 0; i < o->n_sections; i++) {
        struct wbuf *w = &a.w[o->sections[i].kind];
        assert_int_equal(w->len, o->sections[i].len);
        assert_memory_equal(w->p, o->sections[i].p, w->len);
        wbuf_free(w);
    }
    catalog_object_free(o);
}

static void golden_object_opens_and_is_written_again(void **state)
{
    struct vault_keys k = sample_keys();
    struct catalog_object *o = golden_object(), *back = NULL;
    struct wbuf w = WBUF_INIT;
    size_t n, object_n;
    uint8_t *plain = golden_read("catalog", "plain", &n);
    uint8_t *object = golden_read("catalog", "object", &object_n);
    assert_int_equal(envelope_open(&k, OBJECT_CATALOG, object, object_n, &w, NULL), 0);
    assert_int_equal(w.len, n);
    assert_memory_equal(w.p, plain, n);
    object[object_n - 1] ^= 1; /* its signature is checked */
    assert_int_equal(envelope_open(&k, OBJECT_CATALOG, object, object_n, &w, NULL), -ERR_DAMAGED);
    /* Compression is the writer's choice; the content is not. */
    wbuf_reset(&w);
    assert_int_equal(catalog_object_write(o, &w, NULL), 0);
    assert_int_equal(catalog_object_read(w.p, w.len, &back, NULL), 0);
    assert_memory_equal(back->plain, plain + 5, n - 5);
    wbuf_free(&w);
    free(plain);
    free(object);
    catalog_object_free(o);
    catalog_object_free(back);
    vault_keys_done(&k);
}

static void what_is_compressed_is_bounded_and_comes_back(void **state)
{
    struct catalog_object o = { .number = 1, .n_sections = 1 }, *back = NULL;
    struct wbuf w = WBUF_INIT;
    uint8_t *zeros = calloc(1, 100000);
    o.sections[0] = (struct catalog_section){ .kind = 200, .rows = 3, .p = zeros, .len = 100000 };
    assert_int_equal(catalog_object_write(&o, &w, NULL), 0);
    assert_true(w.len < 1000);
    assert_int_equal(catalog_object_read(w.p, w.len, &back, NULL), 0);
    assert_int_equal(back->sections[0].len, 100000);
    uint64_t unknown = 0;
    const struct row_sink none = { .ctx = NULL };
    assert_int_equal(rows_read(back, &none, &unknown, NULL), 0); /* of another kind: passed over */
    assert_int_equal(unknown, 3);
    catalog_object_free(back);
    w.p[4] = 0xff; /* says that it is larger than may be */
    assert_int_equal(catalog_object_read(w.p, w.len, &back, NULL), -ERR_DAMAGED);
    wbuf_free(&w);
    free(zeros);
}

static void names_have_one_form(void **state)
{
    static const char *const bad[] = {
        "catalog/41-0001020304050607-4041",
        "heads/0000000000000041-0001020304050607-404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f",
        "catalog/0000000000000041-0001020304050607-404142434445464748494A4b4c4d4e4f505152535455565758595a5b5c5d5e5f",
        "catalog/0000000000000041-000102030405060g-404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f",
        "catalog/000000000000004a-0001020304050607-404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f",
        "catalog/0000000000000041-0001020304050607-404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f0",
    };
    struct catalog_name n = { .number = 41, .hash = sample_id(0x40) }, back;
    char text[MAX_OBJECT_NAME];
    memcpy(n.chain, sample_id(0).b, sizeof n.chain);
    assert_string_equal(catalog_name_write(&n, text),
                        "catalog/0000000000000041-0001020304050607-"
                        "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f");
    assert_true(catalog_name_parse(text, &back));
    assert_int_equal(back.number, 41);
    assert_memory_equal(back.chain, n.chain, sizeof n.chain);
    assert_true(id_eq(&back.hash, &n.hash));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(catalog_name_parse(bad[i], &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_rows_are_read_and_written_again),
        cmocka_unit_test(golden_object_opens_and_is_written_again),
        cmocka_unit_test(what_is_compressed_is_bounded_and_comes_back),
        cmocka_unit_test(names_have_one_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
