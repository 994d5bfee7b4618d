/* test_logs_care.c - orchestrator/logs/care.c and shelf.c: the objects of a log stay few, every piece stays readable in every copy
 * whatever stops or fails in the middle, and copies that each lack something of the other's both end complete. */
#include "orchestrator/logs/care.h"
#include "tests/vault_samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SOURCE "db/postgresql"
#define COPIES 2

struct scene {
    struct vault v;
    struct shelf shelf;
    uint8_t stream[LOG_STREAM_BYTES];
    uint64_t last;     /* piece */
    size_t sealed_len; /* of each */
    unsigned sessions; /* a data key each */
    struct store *disks[COPIES];
    struct err e;
};

/* A store that outlives whoever opened it, as a disk does. */
static int disk_put(void *d, const char *name, const struct store_data *data, struct err *e)
{
    return store_put(d, name, data, e);
}
static int disk_replace(void *d, const char *name, const struct store_data *data, const char *stamp,
                        struct err *e)
{
    return store_replace(d, name, data, stamp, e);
}
static int disk_restore(void *d, const char *stamp, struct err *e)
{
    return store_restore_aside(d, stamp, e);
}
static int disk_get(void *d, const char *name, uint64_t off, size_t len, void *out, struct err *e)
{
    return store_get(d, name, off, len, out, e);
}
static int disk_stat(void *d, const char *name, uint64_t *ret_len, struct err *e)
{
    return store_stat(d, name, ret_len, e);
}
static int disk_list(void *d, const char *prefix, store_list_fn *fn, void *ctx, struct err *e)
{
    return store_list(d, prefix, fn, ctx, e);
}
static int disk_delete(void *d, const char *name, struct err *e)
{
    return store_delete(d, name, e);
}
static int disk_space(void *d, struct store_space *ret, struct err *e)
{
    return store_space(d, ret, e);
}
static int disk_sweep(void *d, struct err *e)
{
    return store_sweep_tmp(d, e);
}
static void disk_stays(void *d)
{
    (void)d;
}

static void open_copies(struct scene *s, const char *faults)
{
    static const struct store_ops ops = { .put = disk_put,
                                          .replace = disk_replace,
                                          .restore_aside = disk_restore,
                                          .get = disk_get,
                                          .stat = disk_stat,
                                          .list = disk_list,
                                          .del = disk_delete,
                                          .space = disk_space,
                                          .sweep_tmp = disk_sweep,
                                          .close = disk_stays };
    static const char *const places[] = { "a", "b" };
    for (size_t i = 0; i < COPIES; i++) {
        struct copy *c = &s->v.copies[i];
        c->place = (char *)(uintptr_t)places[i];
        c->state = COPY_CURRENT;
        assert_int_equal(store_new(&ops, s->disks[i], "memory:log", &c->store, &s->e), 0);
        if (faults)
            assert_int_equal(store_faulty(c->store, faults, &c->store, &s->e), 0);
    }
    s->v.n_copies = COPIES;
}

static void close_copies(struct scene *s)
{
    for (size_t i = 0; i < COPIES; i++)
        store_close(s->v.copies[i].store);
}

static void begin(struct scene *s)
{
    memset(s, 0, sizeof *s);
    s->v.keys = sample_keys();
    s->sealed_len = 100;
    log_stream_id(&s->v.keys, SOURCE, s->stream);
    for (size_t i = 0; i < COPIES; i++)
        assert_int_equal(store_open("memory:log", STORE_CREATE, &s->disks[i], &s->e), 0);
    open_copies(s, NULL);
}

static void end(struct scene *s)
{
    close_copies(s);
    shelf_done(&s->shelf);
    for (size_t i = 0; i < COPIES; i++)
        store_close(s->disks[i]);
    vault_keys_done(&s->v.keys);
}

static void piece_bytes(uint64_t seq, uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(seq * 31 + i);
}

static void add_piece(const struct scene *s, struct log_table *t, struct wbuf *body, uint64_t seq)
{
    struct log_piece p = { .seq = seq,
                           .epoch = 1,
                           .kind = LOG_BYTES,
                           .system = 7,
                           .timeline = 1,
                           .start = seq * 10,
                           .end = seq * 10 + 10,
                           .time_ns = (int64_t)seq,
                           .len = 10 };
    struct data_key key = { .id = sample_id(1 + s->sessions % 7) };
    key.id.b[0] = (uint8_t)(s->sessions >> 8);
    key.id.b[1] = (uint8_t)s->sessions;
    assert_int_equal(log_table_add(t, &p, &key, seq, s->sealed_len, NULL), 0);
    piece_bytes(seq, wb_grow(body, s->sealed_len), s->sealed_len);
}

/* What a keeper does with each commit: one object of n pieces on these copies. */
static void commit(struct scene *s, unsigned n, uint32_t copies)
{
    struct log_table *t = calloc(1, sizeof *t);
    struct wbuf body = WBUF_INIT, object = WBUF_INIT;
    char name[MAX_OBJECT_NAME];
    struct log_name parsed;
    t->source = strdup(SOURCE);
    for (unsigned i = 0; i < n; i++)
        add_piece(s, t, &body, ++s->last);
    t->received_ns = (int64_t)s->last;
    assert_int_equal(log_object_seal(&s->v.keys, t, &body, &object, name, &s->e), 0);
    assert_true(log_name_parse(name, &parsed));
    for (size_t i = 0; i < COPIES; i++) {
        struct store_data d = { .p = object.p, .fd = -1, .len = object.len };
        if (copies & (1u << i))
            assert_int_equal(store_put(s->v.copies[i].store, name, &d, &s->e), 0);
    }
    assert_int_equal(shelf_add(&s->shelf, &parsed, object.len, copies, &s->e), 0);
    shelf_sort(&s->shelf);
    log_table_free(t);
    wbuf_free(&body);
    wbuf_free(&object);
}

static int merge(struct scene *s, uint32_t copies)
{
    size_t n = 0;
    return logs_merge(&s->v, &s->shelf, s->stream, copies, &n, &s->e);
}

static void read_shelf(struct scene *s)
{
    shelf_done(&s->shelf);
    assert_int_equal(shelf_read(&s->v, SOURCE, &s->shelf, &s->e), 0);
}

/* Every piece from `first` to the last is on this copy, each once on the way, with its bytes. Returns how many objects lie there. */
static size_t check_copy(struct scene *s, size_t at, uint64_t first)
{
    struct shelf_reader r = { .v = &s->v, .only = (int)at };
    struct shelf_pos pos = { .seq = first };
    const struct shelf_object *o;
    uint64_t want = first;
    size_t n = 0;
    uint8_t *expected = malloc(s->sealed_len);
    while ((o = shelf_next(&s->shelf, s->stream, 1u << at, &pos))) {
        struct wbuf bytes = WBUF_INIT;
        struct log_table *t = NULL;
        size_t body = 0;
        assert_int_equal(shelf_object_read(&r, o, &bytes, &t, &body, &s->e), 0);
        for (size_t i = 0; i < t->n; i++, body += s->sealed_len) {
            if (t->entries[i].piece.seq < want)
                continue;
            assert_int_equal(t->entries[i].piece.seq, want);
            assert_int_equal(t->entries[i].counter, want);
            piece_bytes(want, expected, s->sealed_len);
            assert_memory_equal(bytes.p + body, expected, s->sealed_len);
            want++;
        }
        assert_int_equal(t->received_ns, t->entries[t->n - 1].piece.seq);
        log_table_free(t);
        wbuf_free(&bytes);
    }
    assert_int_equal(want, s->last + 1);
    assert_int_equal(pos.seq, 0);
    for (size_t i = 0; i < s->shelf.n; i++)
        n += (s->shelf.v[i].copies >> at) & 1;
    free(expected);
    return n;
}

static void check_all(struct scene *s, size_t most)
{
    read_shelf(s);
    for (size_t i = 0; i < COPIES; i++)
        assert_in_range(check_copy(s, i, 1), 1, most);
}

/* --- few objects ------------------------------------------------------------------------------------------------- */
static void a_day_of_commits_stays_few(void **state)
{
    struct scene s;
    (void)state;
    /* One each 5 s; without TWOFOLD_SWEEP a quarter of a day, in which each level above the single ones is filled, too (16 * 16 * 16). */
    unsigned n = getenv("TWOFOLD_SWEEP") ? 17280 : 4320;
    begin(&s);
    for (unsigned i = 0; i < n; i++) {
        s.sessions = i / (n / 4);
        commit(&s, 1, 1);
        assert_int_equal(merge(&s, 1), 0);
        assert_in_range(s.shelf.n, 1, 64);
    }
    read_shelf(&s);
    assert_in_range(check_copy(&s, 0, 1), 1, 64);
    end(&s);
}

static void large_ones_and_small_ones_by_turns(void **state)
{
    struct scene s;
    (void)state;
    begin(&s);
    /* Quiet and busy hours: 40 MiB come in each of the busy ones. */
    unsigned hours = getenv("TWOFOLD_SWEEP") ? 6 : 3;
    s.sealed_len = 4096;
    for (unsigned hour = 0; hour < hours; hour++) {
        for (unsigned i = 0; i < 40; i++) {
            commit(&s, 1, 1);
            assert_int_equal(merge(&s, 1), 0);
        }
        for (unsigned i = 0; i < 5; i++) {
            commit(&s, 2000, 1);
            assert_int_equal(merge(&s, 1), 0);
        }
    }
    read_shelf(&s);
    /* 40 MiB an hour: no more than one for each 16, and what is at the end. */
    assert_in_range(check_copy(&s, 0, 1), 1, hours * 40 / 16 + 20);
    for (size_t i = 0; i < s.shelf.n; i++)
        assert_in_range(s.shelf.v[i].len, 1, MAX_LOG_OBJECT);
    end(&s);
}

static void more_keys_than_one_object_takes(void **state)
{
    struct scene s;
    (void)state;
    begin(&s);
    for (unsigned i = 0; i < 1500; i++) {
        s.sessions = i;
        commit(&s, 1, 3);
        assert_int_equal(merge(&s, 3), 0);
    }
    check_all(&s, 100);
    end(&s);
}

/* A way that is quadratic would take hours here. */
static void many_objects_take_no_longer_each(void **state)
{
    struct scene s;
    struct log_name n = { .first = 1 };
    (void)state;
    begin(&s);
    memcpy(n.stream, s.stream, sizeof n.stream);
    for (unsigned i = 0; i < 50000; i++) {
        n.first = n.last + 1;
        n.last = n.first + 9;
        assert_int_equal(shelf_add(&s.shelf, &n, LOG_MERGED_BYTES, 1, &s.e), 0);
    }
    s.last = n.last;
    shelf_sort(&s.shelf);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(merge(&s, 1), 0);
    assert_int_equal(s.shelf.n, 50000);
    s.shelf.v[0].copies = 3;
    for (size_t i = 1; i < s.shelf.n; i++)
        assert_false(shelf_has(&s.shelf, &s.shelf.v[i].name, 1, i - 1));
    end(&s);
}

/* --- what stops in the middle ------------------------------------------------------------------------------------------- */
static void killed_at_every_step(void **state)
{
    (void)state;
    for (unsigned step = 1; step < 60; step++) {
        struct scene s;
        char plan[64];
        size_t n = 0;
        begin(&s);
        for (unsigned i = 0; i < 20; i++)
            commit(&s, 1, 3);
        close_copies(&s);
        snprintf(plan, sizeof plan, "any@%u+:EIO", step);
        open_copies(&s, plan);
        (void)logs_merge(&s.v, &s.shelf, s.stream, 3, &n, &s.e);
        close_copies(&s);
        open_copies(&s, NULL);
        check_all(&s, 40);
        assert_int_equal(merge(&s, 3), 0);
        check_all(&s, 20); /* a copy may keep the parts until the next level */
        for (unsigned i = 20; step % 8 == 0 && i < 256; i++) {
            commit(&s, 1, 3);
            assert_int_equal(merge(&s, 3), 0);
        }
        if (step % 8 == 0)
            check_all(&s, 1);
        end(&s);
    }
}

static void a_copy_that_takes_no_more(void **state)
{
    struct scene s;
    (void)state;
    begin(&s);
    for (unsigned i = 0; i < 16; i++)
        commit(&s, 1, 3);
    close_copies(&s);
    open_copies(&s, NULL);
    assert_int_equal(store_faulty(s.v.copies[1].store, "put:ENOSPC", &s.v.copies[1].store, &s.e),
                     0);
    assert_int_equal(merge(&s, 3), 0);
    assert_int_equal(s.v.copies[1].problem.code, ERR_NOSPACE);
    read_shelf(&s);
    assert_int_equal(check_copy(&s, 0, 1), 1);
    assert_int_equal(check_copy(&s, 1, 1), 16);
    /* It is not tried again and again, and when there is room what follows is put together there, too. */
    size_t n = 1;
    assert_int_equal(logs_merge(&s.v, &s.shelf, s.stream, 3, &n, &s.e), 0);
    assert_int_equal(n, 0);
    close_copies(&s);
    open_copies(&s, NULL);
    for (unsigned i = 0; i < 240; i++) {
        commit(&s, 1, 3);
        assert_int_equal(merge(&s, 3), 0);
    }
    check_all(&s, 1);
    end(&s);
}

/* Two put the same pieces together; each sees only its own. */
static void two_keepers(void **state)
{
    struct scene s;
    (void)state;
    begin(&s);
    for (unsigned i = 0; i < 16; i++)
        commit(&s, 1, 3);
    struct shelf other = { 0 };
    for (size_t i = 0; i < s.shelf.n; i++)
        assert_int_equal(shelf_add(&other, &s.shelf.v[i].name, s.shelf.v[i].len, 3, &s.e), 0);
    assert_int_equal(merge(&s, 3), 0);
    /* The other finds that what it wanted to read is gone. */
    size_t n = 0;
    assert_int_equal(logs_merge(&s.v, &other, s.stream, 3, &n, &s.e), 0);
    assert_int_equal(n, 0);
    assert_int_equal(other.n, 0);
    shelf_done(&other);
    check_all(&s, 1);
    /* Two objects of the same pieces: one goes, the same one wherever. */
    for (unsigned i = 0; i < 2; i++) {
        s.last = 0;
        commit(&s, 16, 3);
    }
    read_shelf(&s);
    assert_int_equal(s.shelf.n, 3);
    struct id least = s.shelf.v[0].name.hash;
    assert_int_equal(merge(&s, 3), 0);
    check_all(&s, 1);
    assert_true(id_eq(&least, &s.shelf.v[0].name.hash));
    end(&s);
}

static void spoil(struct scene *s, size_t at, size_t object)
{
    char name[MAX_OBJECT_NAME];
    uint8_t *p = NULL;
    size_t n = 0;
    struct store *store = s->v.copies[at].store;
    log_name_write(&s->shelf.v[object].name, name);
    assert_int_equal(store_get_all(store, name, MAX_LOG_OBJECT, &p, &n, &s->e), 0);
    p[n - 1] ^= 1;
    struct store_data d = { .p = p, .fd = -1, .len = n };
    assert_int_equal(store_delete(store, name, &s->e), 0);
    assert_int_equal(store_put(store, name, &d, &s->e), 0);
    free(p);
}

/* What was put together is damaged: its parts stay, where they are still there. */
static void damage_keeps_the_parts(void **state)
{
    struct scene s;
    (void)state;
    begin(&s);
    for (unsigned i = 0; i < 4; i++)
        commit(&s, 1, 3);
    s.last = 0;
    commit(&s, 4, 3);
    read_shelf(&s);
    spoil(&s, 0, 0);
    assert_int_equal(s.shelf.v[0].name.last, 4);
    assert_int_equal(merge(&s, 3), 0);
    struct shelf_pos pos = { .seq = 1 };
    assert_int_equal(shelf_next(&s.shelf, s.stream, 1, &pos)->name.last, 1);
    pos = (struct shelf_pos){ .seq = 1 };
    assert_int_equal(shelf_next(&s.shelf, s.stream, 2, &pos)->name.last, 4);
    /* A damaged one in the middle of a run that all copies have so is passed by. */
    for (unsigned i = 0; i < 8; i++)
        commit(&s, 1, 3);
    spoil(&s, 0, s.shelf.n - 1);
    spoil(&s, 1, s.shelf.n - 1);
    for (unsigned i = 0; i < 16; i++)
        commit(&s, 1, 3);
    assert_int_equal(merge(&s, 3), 0);
    assert_in_range(s.shelf.n, 3, 20);
    end(&s);
}

/* --- the same everywhere ---------------------------------------------------------------------------------------------------- */
static void both_end_complete(void **state)
{
    struct scene s;
    (void)state;
    begin(&s);
    for (unsigned i = 0; i < 30; i++)
        commit(&s, 1, i < 20 ? 1 : 3);
    assert_int_equal(merge(&s, 1), 0); /* in a: 16 and the rest */
    for (unsigned i = 0; i < 5; i++)
        commit(&s, 1, 2);
    read_shelf(&s);
    for (size_t at = 0; at < COPIES; at++) {
        struct logs_bringing b = { 0 };
        assert_int_equal(logs_catch_up(&s.v, &s.shelf, at, &b, &s.e), 0);
        assert_int_equal(b.objects, at == 0 ? 5 : 5); /* b: one of 16 pieces, and four */
        assert_int_equal(b.lost, 0);
    }
    check_all(&s, 40);
    end(&s);
}

static void no_copy_has_it_whole(void **state)
{
    struct scene s;
    struct logs_bringing b = { 0 };
    (void)state;
    begin(&s);
    commit(&s, 1, 1);
    commit(&s, 1, 1);
    spoil(&s, 0, 0);
    assert_int_equal(logs_catch_up(&s.v, &s.shelf, 1, &b, &s.e), 0);
    assert_int_equal(b.objects, 1);
    assert_int_equal(b.lost, 1);
    end(&s);
}

/* What was pruned on one copy does not come back from one that was away, while what follows does. */
static void what_is_before_stays_away(void **state)
{
    struct scene s;
    struct logs_bringing b = { .only_what_follows = true };
    (void)state;
    begin(&s);
    for (unsigned i = 0; i < 6; i++)
        commit(&s, 1, i < 2 ? 2 : i == 4 ? 2 : 3);
    assert_int_equal(logs_catch_up(&s.v, &s.shelf, 0, &b, &s.e), 0);
    assert_int_equal(b.objects, 1);
    check_copy(&s, 0, 3);
    end(&s);
}

static void replaced_where_it_is_bad(void **state)
{
    struct scene s;
    struct logs_bringing b = { .stamp = "now" };
    (void)state;
    begin(&s);
    commit(&s, 3, 3);
    spoil(&s, 0, 0);
    s.shelf.v[0].bad = 1;
    assert_int_equal(logs_catch_up(&s.v, &s.shelf, 0, &b, &s.e), 0);
    assert_int_equal(b.objects, 1);
    assert_int_equal(s.shelf.v[0].bad, 0);
    check_all(&s, 1);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_day_of_commits_stays_few),
        cmocka_unit_test(large_ones_and_small_ones_by_turns),
        cmocka_unit_test(more_keys_than_one_object_takes),
        cmocka_unit_test(many_objects_take_no_longer_each),
        cmocka_unit_test(killed_at_every_step),
        cmocka_unit_test(a_copy_that_takes_no_more),
        cmocka_unit_test(two_keepers),
        cmocka_unit_test(damage_keeps_the_parts),
        cmocka_unit_test(both_end_complete),
        cmocka_unit_test(no_copy_has_it_whole),
        cmocka_unit_test(what_is_before_stays_away),
        cmocka_unit_test(replaced_where_it_is_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
