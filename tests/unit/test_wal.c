/* test_wal.c - reading the records of a server's log (agents/postgresql/wal.h): records that go over pages and come in parts of any size,
 * a beginning in the middle of a record, an end of zeros, and garbage. That a real server's log is read right is in the scenarios. */
#include "agents/postgresql/wal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define PAGE WAL_PAGE_BYTES
#define SEGMENT (1u << 20)
#define TOTAL (2u * SEGMENT)
#define PG_EPOCH_US INT64_C(946684800000000)
#define MAX_COMMITS 20000

struct log { /* made as a server makes it */
    uint8_t *p;
    size_t at;
    uint64_t prev; /* where the record before begins */
};
#define SYSTEM UINT64_C(7712415403739493283)
struct found {
    struct wal_commit v[MAX_COMMITS];
    size_t n;
};

static void put(uint8_t *p, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static void page_header(struct log *l, uint32_t rest)
{
    bool large = l->at % SEGMENT == 0;
    uint8_t *h = l->p + l->at;
    put(h, 0xD110, 2);
    put(h + 2, (rest ? 1u : 0) | (large ? 2u : 0), 2);
    put(h + 4, 1, 4);
    put(h + 8, l->at, 8);
    put(h + 16, rest, 4);
    if (large) {
        put(h + 24, SYSTEM, 8);
        put(h + 32, SEGMENT, 4);
        put(h + 36, PAGE, 4);
    }
    l->at += large ? 40 : 24;
}

/* A record, over as many pages as it takes. False: there is no room for it. */
static bool record(struct log *l, uint8_t *r, uint32_t n)
{
    if (l->at + n + n / 1000 * 24 + 2 * PAGE > TOTAL)
        return false;
    l->at = (l->at + 7) & ~(size_t)7;
    uint64_t begin = l->at + (l->at % PAGE ? 0 : l->at % SEGMENT ? 24 : 40);
    put(r + 8, l->prev, 8);
    put(r + 20, (uint32_t)~wal_sum(wal_sum(UINT32_MAX, r + 24, n - 24), r, 20), 4);
    l->prev = begin;
    for (uint32_t done = 0; done < n;) {
        if (l->at % PAGE == 0)
            page_header(l, done ? n - done : 0);
        size_t room = PAGE - l->at % PAGE, part = n - done < room ? n - done : room;
        memcpy(l->p + l->at, r + done, part);
        l->at += part;
        done += (uint32_t)part;
    }
    return true;
}

static bool commit(struct log *l, int64_t us, unsigned extra, unsigned how)
{
    uint8_t r[400] = { 0 };
    unsigned at = 24;
    if (how & 1) { /* an origin stands before */
        r[at] = 253;
        at += 3;
    }
    if (how & 2) { /* and the transaction above */
        r[at] = 252;
        at += 5;
    }
    unsigned data = 8 + extra;
    if (data > 255) {
        r[at] = 254;
        put(r + at + 1, data, 4);
        at += 5;
    } else {
        r[at] = 255;
        r[at + 1] = (uint8_t)data;
        at += 2;
    }
    put(r + at, (uint64_t)us, 8);
    at += data;
    put(r, at, 4);
    r[16] = 0x80; /* COMMIT, with further information */
    r[17] = 1;
    return record(l, r, at);
}

static bool other(struct log *l, unsigned n)
{
    uint8_t *r = malloc(n);
    memset(r, 0x5A, n);
    put(r, n, 4);
    r[17] = 10;
    bool ok = record(l, r, n);
    free(r);
    return ok;
}

/* Returns how many commits are in it; their times are 1, 2, 3 … */
static size_t make_log(struct log *l, unsigned seed)
{
    size_t n = 0;
    srandom(seed);
    *l = (struct log){ .p = calloc(1, TOTAL) };
    for (bool room = true; room;) {
        unsigned what = (unsigned)random() % 4;
        if (what == 0)
            room = other(l, 24 + (unsigned)random() % 30000);
        else if (what == 1)
            room = other(l, 24 + (unsigned)random() % 200);
        else if ((room = commit(l, (int64_t)n + 1, (unsigned)random() % 300,
                                (unsigned)random() % 4)))
            n++;
    }
    return n;
}

static void on_commit(void *ctx, const struct wal_commit *c)
{
    struct found *f = ctx;
    if (f->n < MAX_COMMITS)
        f->v[f->n++] = *c;
}

static void read_log(const struct log *l, size_t from, size_t most, struct found *f)
{
    struct wal_reader r = { .fn = on_commit, .ctx = f };
    f->n = 0;
    wal_reader_begin(&r, from);
    for (size_t at = from; at < TOTAL;) {
        size_t part = most == 0 ? 1 : 1 + (size_t)random() % most;
        part = TOTAL - at < part ? TOTAL - at : part;
        wal_reader_feed(&r, l->p + at, part);
        at += part;
    }
}

static void every_commit_is_found_in_any_parts(void **state)
{
    struct found *f = calloc(1, sizeof *f);
    static const size_t parts[] = { 0, 7, 100, 8192, 100000, TOTAL };
    for (unsigned seed = 1; seed <= 6; seed++) {
        struct log l;
        size_t n = make_log(&l, seed);
        assert_true(n > 50);
        read_log(&l, 0, parts[seed - 1], f);
        assert_int_equal(f->n, n);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(f->v[i].time_us - PG_EPOCH_US, i + 1);
            assert_true(i == 0 || f->v[i].end > f->v[i - 1].end);
            assert_false(f->v[i].is_point);
        }
        free(l.p);
    }
    free(f);
}

/* From any page on: no commit is made up, and none behind the first whole record is missed. */
static void a_beginning_in_the_middle(void **state)
{
    struct found *f = calloc(1, sizeof *f), *all = calloc(1, sizeof *all);
    struct log l;
    make_log(&l, 99);
    read_log(&l, 0, 5000, all);
    for (size_t page = 1; page < l.at / PAGE; page += 3) {
        read_log(&l, page * PAGE, 5000, f);
        assert_true(f->n <= all->n);
        size_t skipped = all->n - f->n;
        for (size_t i = 0; i < f->n; i++)
            assert_int_equal(f->v[i].time_us, all->v[skipped + i].time_us);
        assert_true(skipped == 0 ||
                    all->v[skipped - 1].end <= page * PAGE + 2 * (size_t)PAGE + 30000);
    }
    free(l.p);
    free(all);
    free(f);
}

static void a_restore_point_has_its_name(void **state)
{
    struct found *f = calloc(1, sizeof *f);
    struct log l = { .p = calloc(1, TOTAL) };
    uint8_t r[24 + 2 + 8 + 64] = { 0 };
    put(r, sizeof r, 4);
    r[16] = 0x70;
    r[17] = 0;
    r[24] = 255;
    r[25] = 72;
    put(r + 26, 5, 8);
    strcpy((char *)r + 34, "before the change");
    assert_true(record(&l, r, sizeof r));
    read_log(&l, 0, 10, f);
    assert_int_equal(f->n, 1);
    assert_true(f->v[0].is_point);
    assert_string_equal(f->v[0].point, "before the change");
    free(l.p);
    free(f);
}

static void garbage_makes_nothing_up(void **state)
{
    struct found *f = calloc(1, sizeof *f);
    struct log l = { .p = malloc(TOTAL) };
    for (unsigned round = 0; round < 5; round++) {
        for (size_t i = 0; i < TOTAL; i++)
            l.p[i] = (uint8_t)random();
        read_log(&l, 0, 3000, f);
        assert_int_equal(f->n, 0);
    }
    /* and in the middle of what is right: what comes after is read again from the next page on */
    free(l.p);
    size_t n = make_log(&l, 7);
    memset(l.p + 10 * PAGE, 0xFF, 8 * PAGE);
    read_log(&l, 0, 3000, f);
    assert_in_range(f->n, n / 2, n - 1);
    assert_int_equal(f->v[f->n - 1].time_us - PG_EPOCH_US, n);
    free(l.p);
    free(f);
}

/* --- a log that nobody vouches for ------------------------------------------------------------------ */
static void sums_are_as_the_server_reckons_them(void **state)
{
    assert_int_equal((uint32_t)~wal_sum(UINT32_MAX, (const uint8_t *)"123456789", 9), 0xE3069283);
}

static void read_strictly(const struct log *l, size_t from, uint64_t system, struct found *f,
                          struct wal_reader *r)
{
    *r = (struct wal_reader){ .fn = on_commit,
                              .ctx = f,
                              .strict = true,
                              .system = system,
                              .timeline = 1,
                              .segment_bytes = SEGMENT };
    f->n = 0;
    wal_reader_begin(r, from);
    for (size_t at = from, part; at < TOTAL; at += part) {
        part = 1 + (size_t)random() % 9000;
        part = TOTAL - at < part ? TOTAL - at : part;
        wal_reader_feed(r, l->p + at, part);
    }
}

static void what_is_right_is_read_to_its_end(void **state)
{
    struct found *f = calloc(1, sizeof *f);
    struct wal_reader r;
    for (unsigned seed = 20; seed < 22; seed++) {
        struct log l;
        size_t n = make_log(&l, seed);
        read_strictly(&l, 0, SYSTEM, f, &r);
        assert_int_equal(f->n, n);
        assert_int_equal(r.end, l.at);
        read_strictly(&l, 5 * PAGE, SYSTEM, f, &r); /* from a page in the middle */
        assert_int_equal(r.end, l.at);
        read_strictly(&l, 0, SYSTEM + 1, f, &r);
        assert_true(r.broken && r.foreign);
        assert_int_equal(f->n, 0);
        free(l.p);
    }
    free(f);
}

/* Wherever a byte is another one, nothing from there on counts; or it is one that says nothing. */
static void nothing_behind_a_wrong_byte_counts(void **state)
{
    struct found *f = calloc(1, sizeof *f), *all = calloc(1, sizeof *all);
    struct wal_reader r;
    struct log l;
    size_t wrong = 0;
    make_log(&l, 31);
    read_log(&l, 0, 5000, all);
    for (unsigned round = 0; round < 40; round++) {
        size_t at = (size_t)random() % l.at;
        uint8_t flip = (uint8_t)(1 + random() % 255);
        l.p[at] ^= flip;
        read_strictly(&l, 0, SYSTEM, f, &r);
        wrong += r.end < l.at;
        assert_true(r.end == l.at || r.end <= at);
        for (size_t i = 0; i < f->n; i++)
            assert_int_equal(f->v[i].time_us, all->v[i].time_us);
        assert_true(f->n == all->n || all->v[f->n].end > at);
        l.p[at] ^= flip;
    }
    assert_in_range(wrong, 30, 40);
    free(l.p);
    free(all);
    free(f);
}

/* A record that is right, but does not go on from the one before, is of another life. */
static void a_record_names_the_one_before(void **state)
{
    struct found *f = calloc(1, sizeof *f);
    struct wal_reader r;
    struct log l = { .p = calloc(1, TOTAL) };
    for (int i = 0; i < 10; i++)
        assert_true(commit(&l, i + 1, 10, 0));
    size_t end = l.at;
    l.prev += 8;
    assert_true(commit(&l, 11, 10, 0));
    read_strictly(&l, 0, SYSTEM, f, &r);
    assert_int_equal(f->n, 10);
    assert_int_equal(r.end, end);
    free(l.p);
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_commit_is_found_in_any_parts),
        cmocka_unit_test(a_beginning_in_the_middle),
        cmocka_unit_test(a_restore_point_has_its_name),
        cmocka_unit_test(garbage_makes_nothing_up),
        cmocka_unit_test(sums_are_as_the_server_reckons_them),
        cmocka_unit_test(what_is_right_is_read_to_its_end),
        cmocka_unit_test(nothing_behind_a_wrong_byte_counts),
        cmocka_unit_test(a_record_names_the_one_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
