/* test_capture_pages.c - files that are rewritten in place: what of them is stored again from run to run, and that every run, whatever
 * happened to the file and to what the agent remembered of it, has its very bytes. */
#include "tests/tree_kit.h"
#include "lib/base/sys.h"
#include "lib/vault/paged.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#define MIB (1u << 20)
#define PAGE 4096u

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
    rnd_state = UINT64_C(0x9e3779b97f4a7c15);
    return r;
}

/* One run; the whole is compared with the tree. */
static void run(struct tree *t, struct ak_run *r)
{
    ak_backup(&t->vault, r);
    if (r->rc != 0)
        fail_msg("%s: %s", r->err.what, r->err.why);
    tree_verify(t, r);
}

/* How many bytes of chunks it stored. */
static uint64_t stored(struct tree *t, struct ak_run *r)
{
    run(t, r);
    uint64_t n = r->put_bytes;
    ak_run_done(r);
    return n;
}

static void overwrite(const struct tree *t, const char *name, uint64_t off, size_t n)
{
    uint8_t *p = malloc(n);
    int fd = openat(t->fd, name, O_WRONLY | O_CLOEXEC);
    assert_true(p && fd >= 0);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)rnd(256);
    assert_int_equal(pwrite(fd, p, n, (off_t)off), n);
    close(fd);
    free(p);
}

static void resize(const struct tree *t, const char *name, uint64_t size)
{
    int fd = openat(t->fd, name, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    close(fd);
}

static const char *state_file(const struct tree *t, const char *suffix)
{
    static char path[500];
    DIR *d = opendir(t->state);
    path[0] = '\0';
    for (struct dirent *e; d && (e = readdir(d));)
        if (strlen(e->d_name) > strlen(suffix) && strcmp(strrchr(e->d_name, '.'), suffix) == 0)
            snprintf(path, sizeof path, "%s/%s", t->state, e->d_name);
    if (d)
        closedir(d);
    return path;
}

static unsigned flags_of(struct tree *t, struct ak_run *r, const char *name)
{
    struct ak_entries k;
    ak_entries(&t->vault, r, &k);
    unsigned flags = tree_entry(t, &k, name)->flags;
    ak_entries_free(&k);
    return flags;
}

static void only_changed_pages_are_stored(void **state)
{
    struct tree *t = *state;
    struct ak_run r = paged_run(t);
    tree_noise(t, "db", 8 * MIB, 1);
    tree_noise(t, "small", MIB - 1, 2); /* no file in pages */
    run(t, &r);
    assert_true(flags_of(t, &r, "db") & ENTRY_PAGED);
    assert_false(flags_of(t, &r, "small") & ENTRY_PAGED);
    ak_run_done(&r);
    assert_true(stored(t, &r) < 20000); /* the list */
    for (unsigned i = 0; i < 20; i++)
        overwrite(t, "db", i * 400000, 10);
    assert_in_range(stored(t, &r), 20 * PAGE, 25 * PAGE + 20000);
    overwrite(t, "db", 3 * MIB - 2, 4); /* one page of each of two regions */
    assert_in_range(stored(t, &r), 2 * PAGE, 4 * PAGE + 20000);
    assert_true(stored(t, &r) < 20000);
    overwrite(t, "db", 5 * MIB, MIB); /* a region that is all new */
    assert_in_range(stored(t, &r), MIB, MIB + 40000);
}

static void sums_of_what_did_not_change_are_kept(void **state)
{
    struct tree *t = *state;
    struct ak_run r = paged_run(t);
    tree_noise(t, "a", 4 * MIB, 1);
    tree_noise(t, "b", 4 * MIB, 2);
    stored(t, &r);
    overwrite(t, "a", 1000, 1);
    stored(t, &r);
    stored(t, &r);
    overwrite(t, "b", 2 * MIB, 1);
    overwrite(t, "a", 3 * MIB, 1);
    assert_in_range(stored(t, &r), 2 * PAGE, 3 * PAGE + 20000);
}

static void lost_sums_cost_a_region_each(void **state)
{
    struct tree *t = *state;
    struct ak_run r = paged_run(t);
    tree_noise(t, "db", 4 * MIB, 1);
    stored(t, &r);
    assert_int_equal(unlink(state_file(t, ".sums")), 0);
    overwrite(t, "db", 2 * MIB, 1);
    assert_in_range(stored(t, &r), MIB, MIB + 40000);
    overwrite(t, "db", 2 * MIB + 70000, 1);
    assert_in_range(stored(t, &r), PAGE, 2 * PAGE + 20000);
    /* Sums of something else under the name, and rubbish: neither is believed. */
    const char *sums = state_file(t, ".sums");
    uint8_t rubbish[65536];
    for (unsigned times = 0; times < 2; times++) {
        int fd = open(sums, O_RDWR | O_CLOEXEC);
        for (size_t i = 0; i < sizeof rubbish; i++)
            rubbish[i] = times ? (uint8_t)rnd(256) : 0;
        assert_int_equal(pwrite(fd, rubbish, sizeof rubbish, 0), sizeof rubbish);
        close(fd);
        overwrite(t, "db", MIB, 1);
        assert_in_range(stored(t, &r), MIB, MIB + 40000);
        sums = state_file(t, ".sums");
    }
    /* Without any state everything is read, and found to be there. */
    assert_int_equal(unlink(state_file(t, ".state")), 0);
    assert_in_range(stored(t, &r), 1, 2 * MIB);
}

static void a_region_of_many_pieces_is_written_whole(void **state)
{
    struct tree *t = *state;
    struct ak_run r = paged_run(t);
    tree_noise(t, "db", MIB, 1);
    stored(t, &r);
    unsigned whole = 0;
    for (unsigned night = 0; night < 100; night++) {
        overwrite(t, "db", night * 2 * PAGE, 1);
        uint64_t n = stored(t, &r);
        whole += n > MIB / 2;
    }
    assert_in_range(whole, 1, 3); /* 39 chunks beside the first in a region, not more */
}

static void parts_are_whole_regions(void **state)
{
    struct tree *t = *state;
    struct ak_run r = paged_run(t);
    struct ak_entries k;
    tree_noise(t, "db", 40 * MIB + 5000, 1);
    stored(t, &r);
    for (unsigned i = 0; i < 40 * MIB / PAGE; i += 2)
        overwrite(t, "db", (uint64_t)i * PAGE, 1);
    run(t, &r);
    ak_entries(&t->vault, &r, &k);
    const struct entry *en = tree_entry(t, &k, "db");
    unsigned parts = 1;
    for (; en->flags & ENTRY_HAS_MORE; en++)
        parts++;
    assert_in_range(parts, 4, 8);
    ak_entries_free(&k);
    ak_run_done(&r);
    overwrite(t, "db", 39 * MIB, 1);
    assert_in_range(stored(t, &r), PAGE, 200000); /* and the list of all pieces */
}

static void holes_are_not_read(void **state)
{
    struct tree *t = *state;
    struct ak_run r = paged_run(t);
    tree_text(t, "disk", "");
    resize(t, "disk", 64 * MIB + 12345);
    overwrite(t, "disk", 20 * MIB + 7, 5000);
    overwrite(t, "disk", 50 * MIB, MIB);
    run(t, &r);
    assert_true(flags_of(t, &r, "disk") & ENTRY_PAGED);
    assert_true(r.sum.bytes_read <= 3 * MIB);
    ak_run_done(&r);
    overwrite(t, "disk", 30 * MIB, 100); /* a hole that is filled */
    overwrite(t, "disk", 50 * MIB, 100);
    stored(t, &r);
    overwrite(t, "disk", 30 * MIB + 500000, 100);
    assert_in_range(stored(t, &r), 100, 20000); /* a page that is zeros but for these */
    resize(t, "disk", 0); /* all of it is one hole, then a little at the end */
    resize(t, "disk", 64 * MIB);
    stored(t, &r);
    overwrite(t, "disk", 64 * MIB - 3, 3);
    stored(t, &r);
    resize(t, "disk", 0);
    stored(t, &r);
}

static void the_size_of_pages_may_change(void **state)
{
    struct tree *t = *state;
    struct ak_run r = paged_run(t);
    tree_noise(t, "db", 3 * MIB, 1);
    stored(t, &r);
    r.delta = DELTA_CONTENT;
    overwrite(t, "db", 5, 1);
    run(t, &r);
    assert_false(flags_of(t, &r, "db") & ENTRY_PAGED);
    ak_run_done(&r);
    r.delta = DELTA_PAGES;
    overwrite(t, "db", 5, 1);
    run(t, &r);
    assert_true(flags_of(t, &r, "db") & ENTRY_PAGED);
    ak_run_done(&r);
}

static void what_is_rewritten_is_found_out(void **state)
{
    struct tree *t = *state;
    struct ak_run r = paged_run(t);
    r.delta = DELTA_AUTO;
    tree_noise(t, "db", 48 * MIB, 1);
    tree_noise(t, "new", 48 * MIB, 2);
    run(t, &r);
    assert_false(flags_of(t, &r, "db") & ENTRY_PAGED);
    ak_run_done(&r);
    for (unsigned night = 0; night < 3; night++) {
        for (unsigned i = 0; i < 48; i++)
            overwrite(t, "db", i * MIB + rnd(MIB - 10), 10);
        run(t, &r);
        bool paged = flags_of(t, &r, "db") & ENTRY_PAGED;
        assert_int_equal(paged, night > 0);
        assert_false(flags_of(t, &r, "new") & ENTRY_PAGED);
        if (night == 2)
            assert_true(r.put_bytes < 60 * 2 * PAGE);
        ak_run_done(&r);
    }
}

/* Every kind of change in any order, the state lost now and then: the bytes are the file's in every run. */
static void whatever_happens_the_bytes_are_right(void **state)
{
    struct tree *t = *state;
    struct ak_run r = paged_run(t);
    const char *long_run = getenv("TWOFOLD_SWEEP");
    unsigned nights = long_run ? 600 : 60;
    tree_noise(t, "db", 3 * MIB + 777, 1);
    tree_noise(t, "other", MIB + 1, 2);
    for (unsigned night = 0; night < nights; night++) {
        const char *name = rnd(4) ? "db" : "other";
        struct stat st;
        assert_int_equal(fstatat(t->fd, name, &st, 0), 0);
        uint64_t size = (uint64_t)st.st_size;
        for (uint64_t n = rnd(30); n > 0 && size > 0; n--)
            overwrite(t, name, rnd(size), 1 + (size_t)rnd(rnd(5) ? 200 : 60000));
        switch (rnd(8)) {
        case 0:
            resize(t, name, rnd(5 * MIB));
            break;
        case 1:
            resize(t, name, size + rnd(2 * MIB)); /* a hole at the end */
            break;
        case 2:
            resize(t, name, size - rnd(size + 1));
            resize(t, name, size); /* a hole in its place */
            break;
        case 3:
            if (state_file(t, ".sums")[0] && rnd(2))
                assert_int_equal(unlink(state_file(t, ".sums")), 0);
            break;
        case 4:
            if (state_file(t, ".state")[0] && rnd(3) == 0)
                assert_int_equal(unlink(state_file(t, ".state")), 0);
            break;
        case 5:
            r.delta = rnd(4) ? DELTA_PAGES : DELTA_CONTENT;
            break;
        default:
            break;
        }
        run(t, &r);
        ak_run_done(&r);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, tree_setup, tree_teardown)

int main(int argc, char **argv)
{
    ak_child(argc, argv);
    const struct CMUnitTest tests[] = {
        TEST(only_changed_pages_are_stored),
        TEST(sums_of_what_did_not_change_are_kept),
        TEST(lost_sums_cost_a_region_each),
        TEST(a_region_of_many_pieces_is_written_whole),
        TEST(parts_are_whole_regions),
        TEST(holes_are_not_read),
        TEST(the_size_of_pages_may_change),
        TEST(what_is_rewritten_is_found_out),
        TEST(whatever_happens_the_bytes_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
