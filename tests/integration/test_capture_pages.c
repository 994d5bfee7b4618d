/* test_capture_pages.c - files that are rewritten in place: what of them is stored again from run to run, and that every run, whatever
 * happened to the file and to what the agent remembered of it, has its very bytes. */
#include "tests/tree_kit.h"
#include "lib/base/sys.h"
#include "lib/vault/paged.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
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
    assert_int_equal(unlink(tree_state_file(t, ".sums")), 0);
    overwrite(t, "db", 2 * MIB, 1);
    assert_in_range(stored(t, &r), MIB, MIB + 40000);
    overwrite(t, "db", 2 * MIB + 70000, 1);
    assert_in_range(stored(t, &r), PAGE, 2 * PAGE + 20000);
    /* Sums of something else under the name, and rubbish: neither is believed. */
    const char *sums = tree_state_file(t, ".sums");
    uint8_t rubbish[65536];
    for (unsigned times = 0; times < 2; times++) {
        int fd = open(sums, O_RDWR | O_CLOEXEC);
        for (size_t i = 0; i < sizeof rubbish; i++)
            rubbish[i] = times ? (uint8_t)rnd(256) : 0;
        assert_int_equal(pwrite(fd, rubbish, sizeof rubbish, 0), sizeof rubbish);
        close(fd);
        overwrite(t, "db", MIB, 1);
        assert_in_range(stored(t, &r), MIB, MIB + 40000);
        sums = tree_state_file(t, ".sums");
    }
    /* Without any state everything is read, and found to be there. */
    assert_int_equal(unlink(tree_state_file(t, ".state")), 0);
    assert_in_range(stored(t, &r), 1, 2 * MIB);
}

static void put_back(const char *from, const char *to)
{
    struct err e = ERR_INIT;
    uint8_t *p = NULL;
    size_t n = 0;
    assert_int_equal(sys_read_file(AT_FDCWD, from, 64 * MIB, &p, &n, &e), 0);
    assert_int_equal(sys_write_file(AT_FDCWD, to, p, n, 0600, &e), 0);
    free(p);
}

/* Sums of an earlier run, which fit what is there now and not what the last run stored: believed, they would give its bytes for these. */
static void sums_of_another_run_are_not_believed(void **state)
{
    struct tree *t = *state;
    struct ak_run r = paged_run(t);
    char kept[300], first[300];
    snprintf(kept, sizeof kept, "%s/sums", t->dir);
    snprintf(first, sizeof first, "%s/first", t->dir);
    tree_noise(t, "db", 2 * MIB, 1);
    stored(t, &r);
    put_back(tree_state_file(t, ".sums"), kept);
    char path[300];
    snprintf(path, sizeof path, "%s/db", t->src);
    put_back(path, first);
    overwrite(t, "db", MIB + 10, 100);
    stored(t, &r);
    put_back(kept, tree_state_file(t, ".sums"));
    put_back(first, path); /* what it was in the first run, but for another page */
    overwrite(t, "db", MIB + 500000, 100);
    stored(t, &r);
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

/* Stands before the C library's: while it is told to, a file of one great hole has data everywhere but in the first page of each region,
 * and in all of one region near its end. */
static bool full_of_pages;
#define WHOLE_REGION 4095
#define IMAGE_BYTES ((off_t)(WHOLE_REGION + 80) * MIB)
off_t lseek(int fd, off_t off, int whence)
{
    off_t region = off / MIB * MIB,
          first_data = region + (region == (off_t)WHOLE_REGION * MIB ? 0 : (off_t)PAGE);
    if (!full_of_pages || (whence != SEEK_DATA && whence != SEEK_HOLE))
        return (off_t)syscall(SYS_lseek, fd, off, whence);
    if (whence == SEEK_DATA)
        return off > first_data ? off : first_data;
    return off < first_data ? off : region + (off_t)MIB;
}

/* It stands before the C library's, too: what is read of that file are zeros, which the kernel need not make pages for (4 GiB of them). */
ssize_t pread(int fd, void *p, size_t n, off_t off)
{
    struct stat st;
    if (!full_of_pages || fstat(fd, &st) < 0 || st.st_size != IMAGE_BYTES || off >= IMAGE_BYTES)
        return syscall(SYS_pread64, fd, p, n, off);
    n = n < (size_t)(IMAGE_BYTES - off) ? n : (size_t)(IMAGE_BYTES - off);
    memset(p, 0, n);
    return (ssize_t)n;
}

/* Ids are kept for PIPELINE_WINDOW chunks; a buffer that serves for more of them before it is handed on must not keep its first number. */
static void a_buffer_is_not_overtaken(void **state)
{
    struct tree *t = *state;
    struct ak_run r = paged_run(t);
    tree_text(t, "image", "");
    resize(t, "image", IMAGE_BYTES);
    t->vault.drop = true;
    full_of_pages = true;
    alarm(120);
    ak_backup(&t->vault, &r);
    alarm(0);
    full_of_pages = false;
    assert_int_equal(r.rc, 0);
    assert_int_equal(r.sum.bytes_read, IMAGE_BYTES);
    ak_run_done(&r);
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
            if (tree_state_file(t, ".sums")[0] && rnd(2))
                assert_int_equal(unlink(tree_state_file(t, ".sums")), 0);
            break;
        case 4:
            if (tree_state_file(t, ".state")[0] && rnd(3) == 0)
                assert_int_equal(unlink(tree_state_file(t, ".state")), 0);
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
        TEST(sums_of_another_run_are_not_believed),
        TEST(a_region_of_many_pieces_is_written_whole),
        TEST(parts_are_whole_regions),
        TEST(holes_are_not_read),
        TEST(the_size_of_pages_may_change),
        TEST(what_is_rewritten_is_found_out),
        TEST(a_buffer_is_not_overtaken),
        TEST(whatever_happens_the_bytes_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
