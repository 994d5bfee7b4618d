/* test_log.c - lib/vault/log.h: names, pieces and objects of a database's log; what is cut, flipped or put elsewhere is seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/vault/log.h"
#include "tests/vault_samples.h"
#include <stdlib.h>
#include <string.h>

static const struct data_key key_a = { .id = { { 1 } } }, key_b = { .id = { { 2 } } };

static struct log_piece piece(uint64_t seq, uint64_t start, uint64_t len)
{
    return (struct log_piece){ .seq = seq,
                               .epoch = 1,
                               .kind = LOG_BYTES,
                               .system = 77,
                               .timeline = 1,
                               .start = start,
                               .end = start + len,
                               .time_ns = -5,
                               .len = len };
}

/* An object of three pieces with two keys; *ret_name is its name. */
static void make_object(const struct vault_keys *k, struct wbuf *out, char name[MAX_OBJECT_NAME])
{
    struct log_table *t = calloc(1, sizeof *t);
    struct wbuf body = WBUF_INIT;
    t->source = strdup("books/postgresql");
    for (uint64_t i = 0; i < 3; i++) {
        struct log_piece p = piece(10 + i, 1000 + 100 * i, 100);
        assert_int_equal(log_table_add(t, &p, i == 1 ? &key_b : &key_a, i, 40 + i, NULL), 0);
        memset(wb_grow(&body, 40 + i), 'a' + (int)i, 40 + i);
    }
    assert_int_equal(t->n_keys, 2);
    *out = WBUF_INIT;
    assert_int_equal(log_object_seal(k, t, &body, out, name, NULL), 0);
    wbuf_free(&body);
    log_table_free(t);
}

static int try_open(const struct vault_keys *k, const struct log_name *name, const uint8_t *p,
                    size_t n)
{
    struct log_table *t = NULL;
    size_t span = 0;
    int rc = log_table_open(k, name, p, n, &t, NULL);
    if (rc < 0)
        return rc;
    assert_int_equal(log_table_span(p, n, &span, NULL), 0);
    rc = log_body_check(t, p + span, n - span, NULL);
    log_table_free(t);
    return rc;
}

static void an_object_comes_back(void **state)
{
    struct vault_keys k = sample_keys();
    struct wbuf w;
    char text[MAX_OBJECT_NAME];
    struct log_name name;
    struct log_table *t = NULL;
    make_object(&k, &w, text);
    assert_true(log_name_parse(text, &name));
    assert_int_equal(name.first, 10);
    assert_int_equal(name.last, 12);
    assert_int_equal(try_open(&k, &name, w.p, w.len), 0);
    assert_int_equal(log_table_open(&k, &name, w.p, w.len, &t, NULL), 0);
    assert_string_equal(t->source, "books/postgresql");
    assert_int_equal(t->n, 3);
    assert_int_equal(t->entries[2].piece.end, 1300);
    assert_int_equal(t->entries[2].piece.time_ns, -5);
    assert_int_equal(t->entries[1].key, 1);
    assert_int_equal(t->body_len, 40 + 41 + 42);
    log_table_free(t);
    wbuf_free(&w);
    vault_keys_done(&k);
}

static void every_bit_and_every_cut_is_seen(void **state)
{
    struct vault_keys k = sample_keys();
    struct wbuf w;
    char text[MAX_OBJECT_NAME];
    struct log_name name;
    make_object(&k, &w, text);
    assert_true(log_name_parse(text, &name));
    for (size_t bit = 0; bit < w.len * 8; bit += 3) {
        w.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(try_open(&k, &name, w.p, w.len) < 0);
        w.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t n = 0; n < w.len; n++)
        assert_true(try_open(&k, &name, w.p, n) < 0);
    assert_int_equal(try_open(&k, &name, w.p, w.len), 0);
    name.last++; /* under the name of another part, or of another stream */
    assert_int_equal(try_open(&k, &name, w.p, w.len), -ERR_DAMAGED);
    name.last--;
    name.stream[0] ^= 1;
    assert_int_equal(try_open(&k, &name, w.p, w.len), -ERR_DAMAGED);
    wbuf_free(&w);
    vault_keys_done(&k);
}

static void names(void **state)
{
    struct log_name n = { .stream = { 0xab, 1 }, .first = 1, .last = MAX_LOG_SEQ }, back;
    char text[MAX_OBJECT_NAME], bad[MAX_OBJECT_NAME];
    log_name_write(&n, text);
    assert_true(log_name_parse(text, &back));
    assert_int_equal(back.last, MAX_LOG_SEQ);
    for (size_t i = 0; text[i]; i++) {
        strcpy(bad, text);
        bad[i] = bad[i] == 'X' ? 'Y' : 'X';
        assert_false(log_name_parse(bad, &back));
        strcpy(bad, text);
        bad[i] = '\0';
        assert_false(log_name_parse(bad, &back));
    }
    strcpy(bad, text);
    strcat(bad, "0");
    assert_false(log_name_parse(bad, &back));
    n.first = 5;
    n.last = 4;
    assert_false(log_name_parse(log_name_write(&n, text), &back));
    n.first = 0;
    assert_false(log_name_parse(log_name_write(&n, text), &back));
}

/* What a piece says of itself is bound to its content: each field makes another id. */
static void an_id_binds_everything(void **state)
{
    struct id vault = { { 3 } }, other = { { 4 } }, ids[11];
    struct log_piece p = piece(1, 10, 5), q[8];
    size_t n = 0;
    for (size_t i = 0; i < 8; i++)
        q[i] = p;
    q[1].seq++;
    q[2].epoch++;
    q[3].kind = LOG_HISTORY;
    q[4].system++;
    q[5].timeline++;
    q[6].start++;
    q[7].time_ns++;
    for (size_t i = 0; i < 8; i++)
        log_piece_id(&vault, "a/postgresql", &q[i], &ids[n++]);
    log_piece_id(&other, "a/postgresql", &p, &ids[n++]);
    log_piece_id(&vault, "b/postgresql", &p, &ids[n++]);
    p.len++;
    log_piece_id(&vault, "a/postgresql", &p, &ids[n++]);
    for (size_t i = 0; i < n; i++)
        for (size_t m = i + 1; m < n; m++)
            assert_false(id_eq(&ids[i], &ids[m]));
}

static bool reads(const struct log_piece *p)
{
    struct wbuf w = WBUF_INIT;
    struct log_piece back;
    log_piece_write(&w, p);
    struct rbuf r = rbuf_of(w.p, w.len);
    log_piece_read(&r, &back);
    bool ok = rb_done(&r);
    wbuf_free(&w);
    return ok;
}

static void pieces_that_cannot_be(void **state)
{
    struct log_piece p = piece(1, UINT64_C(1) << 60, 100), bad;
    assert_true(reads(&p));
    bad = p;
    bad.seq = 0;
    assert_false(reads(&bad));
    bad = p;
    bad.epoch = 0;
    assert_false(reads(&bad));
    bad = p;
    bad.timeline = 0;
    assert_false(reads(&bad));
    bad = p;
    bad.len = 99; /* other than the span */
    assert_false(reads(&bad));
    bad = p;
    bad.kind = (enum log_kind)9;
    assert_false(reads(&bad));
    bad = p;
    bad.end = bad.start;
    assert_false(reads(&bad));
    bad = p;
    bad.end = bad.start + MAX_LOG_PIECE + 1;
    bad.len = MAX_LOG_PIECE + 1;
    assert_false(reads(&bad));
    bad = p;
    bad.kind = LOG_HISTORY; /* is at a place, not a span */
    assert_false(reads(&bad));
    bad.end = bad.start;
    assert_true(reads(&bad));
    bad = p;
    bad.start = UINT64_MAX - 10; /* around the end of numbers */
    bad.end = bad.start + 100;
    assert_false(reads(&bad));
}

static void what_follows(void **state)
{
    struct log_piece p = piece(1, 0, 100), q = piece(2, 100, 50), h = q;
    assert_true(log_piece_follows(&p, &q));
    q.start = 101;
    assert_false(log_piece_follows(&p, &q));
    q.start = 100;
    q.seq = 3;
    assert_false(log_piece_follows(&p, &q));
    q.seq = 2;
    q.epoch = 2;
    assert_false(log_piece_follows(&p, &q));
    q.epoch = 1;
    q.system = 78;
    assert_false(log_piece_follows(&p, &q));
    h.kind = LOG_HISTORY;
    h.start = h.end = 64;
    h.timeline = 2;
    assert_true(log_piece_follows(&p, &h));
    h.timeline = 1;
    assert_false(log_piece_follows(&p, &h));
    h.timeline = 2;
    q = piece(3, 64, 10);
    q.timeline = 2;
    assert_true(log_piece_follows(&h, &q));
    q.timeline = 3;
    assert_false(log_piece_follows(&h, &q));
    h.start = h.end = 128; /* ahead of what there is */
    assert_false(log_piece_follows(&p, &h));
}

static void a_table_takes_only_what_comes_next(void **state)
{
    struct log_table *t = calloc(1, sizeof *t);
    struct log_piece p = piece(1, 0, 10);
    assert_int_equal(log_table_add(t, &p, &key_a, 1, 100, NULL), 0);
    p.seq = 3;
    assert_int_equal(log_table_add(t, &p, &key_a, 2, 100, NULL), -ERR_PROTOCOL);
    p.seq = 2;
    assert_int_equal(log_table_add(t, &p, &key_a, 2, MAX_LOG_PIECE * 2, NULL), -ERR_LIMIT);
    assert_int_equal(log_table_add(t, &p, &key_a, 2, 100, NULL), 0);
    struct data_key k = { .id = { { 9 } } };
    for (unsigned i = 1; i < MAX_LOG_KEYS; i++) {
        k.id.b[1] = (uint8_t)i;
        p.seq++;
        assert_int_equal(log_table_add(t, &p, &k, i, 10, NULL), 0);
    }
    k.id.b[2] = 1;
    p.seq++;
    assert_int_equal(log_table_add(t, &p, &k, 1, 10, NULL), -ERR_LIMIT);
    log_table_free(t);
}

static void streams_are_told_apart_by_the_key_alone(void **state)
{
    struct vault_keys k = sample_keys();
    uint8_t one[LOG_STREAM_BYTES], same[LOG_STREAM_BYTES], other[LOG_STREAM_BYTES];
    log_stream_id(&k, "a/postgresql", one);
    log_stream_id(&k, "a/postgresql", same);
    log_stream_id(&k, "b/postgresql", other);
    assert_memory_equal(one, same, sizeof one);
    assert_memory_not_equal(one, other, sizeof one);
    secret_data(k.op)[0] ^= 1;
    log_stream_id(&k, "a/postgresql", other);
    assert_memory_not_equal(one, other, sizeof one);
    vault_keys_done(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_comes_back),
        cmocka_unit_test(every_bit_and_every_cut_is_seen),
        cmocka_unit_test(names),
        cmocka_unit_test(an_id_binds_everything),
        cmocka_unit_test(pieces_that_cannot_be),
        cmocka_unit_test(what_follows),
        cmocka_unit_test(a_table_takes_only_what_comes_next),
        cmocka_unit_test(streams_are_told_apart_by_the_key_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
