/* test_capture_shift.c - data that shift within a file in pages: what is inserted, taken out and moved costs what is new, run after run,
 * and every run has the very bytes, whatever became of what the agent remembered. */
#include "tests/tree_kit.h"
#include "lib/base/sys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#define MIB (1u << 20)
#define PAGE 4096u
#define LIST 30000u /* what the list of a file's pieces may take, and the end of a chunk */

static uint64_t rnd_state;
static uint64_t rnd(uint64_t n)
{
    rnd_state ^= rnd_state << 13;
    rnd_state ^= rnd_state >> 7;
    rnd_state ^= rnd_state << 17;
    return rnd_state % n;
}

static struct ak_run paged_run(const struct tree *t)
{
    struct ak_run r = tree_run(t);
    r.delta = DELTA_PAGES;
    rnd_state = UINT64_C(0x2545f4914f6cdd1d);
    return r;
}

/* One run; the whole is compared with the tree. How many bytes of chunks it stored. */
static uint64_t stored(struct tree *t, struct ak_run *r)
{
    ak_backup(&t->vault, r);
    if (r->rc != 0)
        fail_msg("%s: %s", r->err.what, r->err.why);
    tree_verify(t, r);
    uint64_t n = r->put_bytes;
    ak_run_done(r);
    return n;
}

struct text {
    uint8_t *p;
    size_t n, cap;
};

static void fill(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)rnd(256);
}

static struct text text_new(size_t n, size_t cap)
{
    struct text x = { .p = malloc(cap), .n = n, .cap = cap };
    assert_non_null(x.p);
    fill(x.p, n);
    return x;
}

static void insert(struct text *x, size_t at, size_t n)
{
    assert_true(at <= x->n && x->n + n <= x->cap);
    memmove(x->p + at + n, x->p + at, x->n - at);
    fill(x->p + at, n);
    x->n += n;
}

static void take_out(struct text *x, size_t at, size_t n)
{
    assert_true(at + n <= x->n);
    memmove(x->p + at, x->p + at + n, x->n - at - n);
    x->n -= n;
}

static void put(const struct tree *t, const struct text *x)
{
    int fd = openat(t->fd, "dump", O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, x->p, x->n), x->n);
    close(fd);
}

static uint64_t night(struct tree *t, struct ak_run *r, const struct text *x)
{
    put(t, x);
    return stored(t, r);
}

static void what_is_inserted_is_all_that_is_stored(void **state)
{
    struct tree *t = *state;
    struct ak_run r = paged_run(t);
    struct text x = text_new(16 * MIB, 40 * MIB);
    night(t, &r, &x);
    insert(&x, 0, 7);
    assert_in_range(night(t, &r, &x), 7, PAGE + LIST);
    assert_in_range(night(t, &r, &x), 1, LIST);
    insert(&x, 0, 7); /* again, on what lies in pieces now */
    assert_in_range(night(t, &r, &x), 7, PAGE + LIST);
    take_out(&x, 100, 20);
    assert_in_range(night(t, &r, &x), 0, PAGE + LIST);
    insert(&x, 5 * MIB + 4321, 1000); /* and all behind it goes on */
    assert_in_range(night(t, &r, &x), 1000, 3 * PAGE + LIST);
    insert(&x, 300000, 3 * MIB + 5); /* over regions that hold nothing old */
    assert_in_range(night(t, &r, &x), 3 * MIB, 6 * MIB);
    take_out(&x, 20000, 9 * MIB + 3);
    assert_in_range(night(t, &r, &x), 0, 70000 + LIST);
    take_out(&x, 0, 1);
    insert(&x, x.n, 1); /* the size stays */
    assert_in_range(night(t, &r, &x), 1, 3 * PAGE + LIST);
    free(x.p);
}

static void several_shifts_in_one_region_are_found(void **state)
{
    struct tree *t = *state;
    struct ak_run r = paged_run(t);
    struct text x = text_new(8 * MIB, 9 * MIB);
    night(t, &r, &x);
    for (size_t i = 0; i < 32; i++)
        insert(&x, i * (MIB / 4) + 1000, 3);
    assert_in_range(night(t, &r, &x), 32 * 3, 33 * 4 * PAGE + LIST);
    free(x.p);
}

static void what_is_moved_is_found(void **state)
{
    struct tree *t = *state;
    struct ak_run r = paged_run(t);
    struct text x = text_new(12 * MIB, 12 * MIB);
    uint8_t *kept = malloc(5 * MIB);
    assert_non_null(kept);
    night(t, &r, &x);
    memcpy(kept, x.p + 12345, 5 * MIB); /* the first part behind the second */
    memmove(x.p, x.p + 5 * MIB, 7 * MIB);
    memcpy(x.p + 7 * MIB - 77, kept, 5 * MIB);
    assert_in_range(night(t, &r, &x), 1, 200000);
    free(kept);
    free(x.p);
}

/* Pages that are zeros match where they lie, so that what is new comes in short stretches; a hole goes along. */
static void zeros_between_do_not_hide_it(void **state)
{
    struct tree *t = *state;
    struct ak_run r = paged_run(t);
    struct text x = text_new(8 * MIB, 9 * MIB);
    for (size_t at = 3 * MIB; at < 7 * MIB; at += 64 * 1024)
        memset(x.p + at, 0, 20000);
    night(t, &r, &x);
    insert(&x, 10, 100);
    assert_in_range(night(t, &r, &x), 100, 30 * PAGE + LIST);
    free(x.p);
}

static void spoil(const char *file, bool all)
{
    struct stat st;
    assert_int_equal(stat(file, &st), 0);
    int fd = open(file, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (off_t at = 0; at < st.st_size; at += 512) {
        uint8_t rubbish[512];
        fill(rubbish, sizeof rubbish);
        if (all || rnd(2))
            assert_int_equal(pwrite(fd, rubbish, sizeof rubbish, at), sizeof rubbish);
    }
    close(fd);
}

static void copy(const char *from, const char *to)
{
    struct err e = ERR_INIT;
    uint8_t *p = NULL;
    size_t n = 0;
    assert_int_equal(sys_read_file(AT_FDCWD, from, 64 * MIB, &p, &n, &e), 0);
    assert_int_equal(sys_write_file(AT_FDCWD, to, p, n, 0600, &e), 0);
    free(p);
}

/* Lost, rubbish, in part rubbish, of another run: more is stored, and it is right. */
static void anchors_are_never_believed(void **state)
{
    struct tree *t = *state;
    struct ak_run r = paged_run(t);
    struct text x = text_new(4 * MIB, 5 * MIB);
    char kept[300];
    snprintf(kept, sizeof kept, "%s/sigs", t->dir);
    night(t, &r, &x);
    copy(tree_state_file(t, ".sigs"), kept);
    assert_int_equal(unlink(tree_state_file(t, ".sigs")), 0);
    insert(&x, 0, 9);
    assert_in_range(night(t, &r, &x), 4 * MIB, 4 * MIB + 64 * 1024);
    spoil(tree_state_file(t, ".sigs"), true);
    insert(&x, 0, 9);
    assert_in_range(night(t, &r, &x), 4 * MIB, 4 * MIB + 64 * 1024);
    spoil(tree_state_file(t, ".sigs"), false);
    insert(&x, 0, 9);
    assert_in_range(night(t, &r, &x), 9, 4 * MIB + 64 * 1024);
    copy(kept, tree_state_file(t, ".sigs")); /* they say where these bytes were in the first run */
    take_out(&x, 0, 27);
    night(t, &r, &x);
    take_out(&x, 0, 1); /* sums of pages that do not fit */
    spoil(tree_state_file(t, ".sums"), true);
    assert_in_range(night(t, &r, &x), 4 * MIB - MIB, 4 * MIB + 64 * 1024);
    free(x.p);
}

/* Anchors that all say the same, and bytes that are the same everywhere. */
static void sameness_costs_nothing(void **state)
{
    struct tree *t = *state;
    struct ak_run r = paged_run(t);
    struct text x = text_new(6 * MIB, 7 * MIB);
    memset(x.p, 'x', x.n);
    night(t, &r, &x);
    insert(&x, 1, 100000);
    assert_in_range(night(t, &r, &x), 100000, 110000 + LIST);
    for (size_t i = 0; i < x.n; i++)
        x.p[i] = (uint8_t)(i % 251);
    night(t, &r, &x);
    insert(&x, 1, 100001);
    assert_in_range(night(t, &r, &x), 100000, MIB + LIST);
    free(x.p);
}

/* What is left alone keeps its anchors, though nothing of it is read. */
static void anchors_of_what_did_not_change_are_kept(void **state)
{
    struct tree *t = *state;
    struct ak_run r = paged_run(t);
    struct text x = text_new(4 * MIB, 5 * MIB);
    tree_noise(t, "another", 5 * MIB + 100, 1);
    tree_noise(t, "last", 3 * MIB, 2);
    night(t, &r, &x);
    tree_noise(t, "another", 2 * MIB, 3);
    stored(t, &r);
    stored(t, &r);
    insert(&x, 0, 1);
    assert_in_range(night(t, &r, &x), 1, PAGE + LIST);
    free(x.p);
}

/* A file that came into pages stays there though its data shift: what is stored is what is new. */
static void pages_are_kept_for_what_shifts(void **state)
{
    struct tree *t = *state;
    struct ak_run r = paged_run(t);
    struct text x = text_new(34 * MIB, 35 * MIB);
    night(t, &r, &x);
    r.delta = DELTA_AUTO;
    for (unsigned i = 0; i < 3; i++) {
        insert(&x, 0, 13);
        assert_in_range(night(t, &r, &x), 13, PAGE + 2 * LIST);
    }
    fill(x.p, x.n); /* all of it is new: the next time it is read as a stream */
    night(t, &r, &x);
    insert(&x, 0, 13);
    assert_in_range(night(t, &r, &x), 34 * MIB, 35 * MIB);
    insert(&x, 0, 13);
    assert_in_range(night(t, &r, &x), 13, 4 * MIB);
    free(x.p);
}

/* In how many pieces and how many chunks a region may come to lie: as of any other file in pages. */
static void check_pieces(struct tree *t, struct ak_run *r)
{
    struct ak_entries k;
    ak_entries(&t->vault, r, &k);
    const struct entry *en = tree_entry(t, &k, "dump");
    uint64_t off = 0;
    size_t pieces = 0, n = 0;
    struct id chunks[64];
    for (bool more = true; more; en++) {
        for (size_t i = 0; i < en->n_extents; i++) {
            const struct extent *x = &en->extents[i];
            size_t have = 0;
            if (off % MIB == 0)
                pieces = n = 0;
            while (have < n && !id_eq(&chunks[have], &x->chunk))
                have++;
            if (have == n && !x->hole)
                chunks[n++] = x->chunk;
            off += x->len;
            assert_true(++pieces <= 264 && n <= 41);
        }
        more = en->flags & ENTRY_HAS_MORE;
    }
    ak_entries_free(&k);
}

static void pieces_stay_few(void **state)
{
    struct tree *t = *state;
    struct ak_run r = paged_run(t);
    struct text x = text_new(2 * MIB, 3 * MIB);
    unsigned whole = 0;
    night(t, &r, &x);
    for (unsigned i = 0; i < 60; i++) {
        insert(&x, rnd(x.n), 1 + (size_t)rnd(100));
        insert(&x, rnd(x.n), 1);
        put(t, &x);
        ak_backup(&t->vault, &r);
        assert_int_equal(r.rc, 0);
        check_pieces(t, &r);
        if (i % 10 == 9)
            tree_verify(t, &r);
        whole += r.put_bytes > MIB / 2;
        ak_run_done(&r);
    }
    assert_in_range(whole, 1, 8);
    free(x.p);
}

static void one_edit(struct text *x)
{
    size_t at = (size_t)rnd(x->n + 1);
    size_t n = 1 + (size_t)rnd(rnd(3) ? 50 : rnd(2) ? 5000 : 700000);
    switch (rnd(4)) {
    case 0:
    case 1:
        if (x->n + n <= x->cap)
            insert(x, at, n);
        break;
    case 2:
        if (at + n <= x->n && x->n > MIB)
            take_out(x, at, n);
        break;
    default: /* overwritten, by what is new or lies elsewhere */
        if (at + n <= x->n && rnd(2))
            memmove(x->p + at, x->p + rnd(x->n - n + 1), n);
        else if (at + n <= x->n && rnd(2))
            memset(x->p + at, 0, n);
        else if (at + n <= x->n)
            fill(x->p + at, n);
        break;
    }
}

static void whatever_happens_the_bytes_are_right(void **state)
{
    struct tree *t = *state;
    struct ak_run r = paged_run(t);
    struct text x = text_new(4 * MIB + 99, 9 * MIB);
    const char *seed = getenv("TWOFOLD_SWEEP");
    unsigned nights = seed ? 1000 : 40;
    rnd_state ^= seed ? strtoull(seed, NULL, 10) : 0;
    for (unsigned i = 0; i < nights; i++) {
        const char *file = tree_state_file(t, rnd(3) ? ".sigs" : rnd(4) ? ".sums" : ".state");
        for (uint64_t n = rnd(8); n > 0; n--)
            one_edit(&x);
        if (rnd(8) == 0 && file[0])
            spoil(file, rnd(2));
        else if (rnd(12) == 0 && file[0])
            assert_int_equal(unlink(file), 0);
        r.delta = rnd(12) ? DELTA_PAGES : rnd(2) ? DELTA_CONTENT : DELTA_AUTO;
        night(t, &r, &x);
        if (x.n > 8 * MIB)
            take_out(&x, rnd(MIB), 3 * MIB);
    }
    free(x.p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, tree_setup, tree_teardown)

int main(int argc, char **argv)
{
    ak_child(argc, argv);
    const struct CMUnitTest tests[] = {
        TEST(what_is_inserted_is_all_that_is_stored),
        TEST(several_shifts_in_one_region_are_found),
        TEST(what_is_moved_is_found),
        TEST(zeros_between_do_not_hide_it),
        TEST(anchors_are_never_believed),
        TEST(sameness_costs_nothing),
        TEST(anchors_of_what_did_not_change_are_kept),
        TEST(pages_are_kept_for_what_shifts),
        TEST(pieces_stay_few),
        TEST(whatever_happens_the_bytes_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
