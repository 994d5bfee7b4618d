/* test_capture_runs.c - one run of the agent after the other: what is read again and what is not, files that
 * change, vanish or cannot be read meanwhile, and runs that end early. */
#include "tests/tree_kit.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <cmocka.h>

static void committed(struct tree *t, struct ak_run *r)
{
    ak_backup(&t->vault, r);
    if (r->rc != 0)
        fail_msg("%s: %s", r->err.what, r->err.why);
}

/* Runs, checks the whole result, and says how many bytes were read for it. */
static uint64_t reads(struct tree *t, struct ak_run *r)
{
    committed(t, r);
    tree_verify(t, r);
    uint64_t n = r->sum.bytes_read;
    ak_run_done(r);
    return n;
}

static void some_files(const struct tree *t)
{
    tree_text(t, "a", "first");
    tree_mkdir(t, "d");
    tree_noise(t, "d/big", 3000000, 3);
    tree_text(t, "d/s", "small");
    tree_text(t, "z", "last one");
}
enum { SOME_BYTES = 3000000 + 5 + 5 + 8 };

static const char *note_path(const struct tree *t, const char *name)
{
    static char path[400];
    snprintf(path, sizeof path, "%s%s%s", t->src, name[0] ? "/" : "", name);
    return path;
}

/* --- what is read again ---------------------------------------------------------------------------- */
static void what_did_not_change_is_not_read(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    some_files(t);
    committed(t, &r);
    struct id first = r.snapshot;
    assert_true(id_is_zero(&r.sum.base));
    assert_int_equal(r.sum.bytes_read, SOME_BYTES);
    ak_run_done(&r);
    committed(t, &r);
    tree_verify(t, &r);
    assert_int_equal(r.sum.bytes_read, 0);
    assert_int_equal(r.sum.bytes, SOME_BYTES);
    assert_int_equal(r.sum.files, 4);
    assert_true(r.puts <= 2); /* the folders above may have new times */
    assert_true(id_eq(&r.sum.base, &first));
    ak_run_done(&r);
    /* One changed in content, one in nothing but its mode, one renamed, one new. */
    tree_text(t, "d/s", "other");
    assert_int_equal(fchmodat(t->fd, "a", 0600, 0), 0);
    assert_int_equal(renameat(t->fd, "z", t->fd, "zz"), 0);
    tree_text(t, "new", "n");
    assert_int_equal(reads(t, &r), 5 + 5 + 8 + 1);
    assert_int_equal(reads(t, &r), 0);
}

/* Same size, same mtime: the ctime tells. */
static void a_hidden_change_is_seen(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    struct stat st;
    some_files(t);
    reads(t, &r);
    assert_int_equal(fstatat(t->fd, "d/s", &st, 0), 0);
    tree_text(t, "d/s", "SMALL");
    struct timespec times[] = { st.st_atim, st.st_mtim };
    assert_int_equal(utimensat(t->fd, "d/s", times, 0), 0);
    assert_int_equal(reads(t, &r), 5);
}

static void times_near_the_last_run_are_not_trusted(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    some_files(t);
    r.env.racy_ns = INT64_C(3600000000000);
    assert_int_equal(reads(t, &r), SOME_BYTES);
    assert_int_equal(reads(t, &r), SOME_BYTES);
    r.env.racy_ns = 0;
    assert_int_equal(reads(t, &r), 0);
}

/* A write through a mapping changes no times while the page is still dirty from the one before. */
static void a_write_through_a_mapping_is_seen(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    struct statfs fs;
    assert_int_equal(fstatfs(t->fd, &fs), 0);
    if (fs.f_type == TMPFS_MAGIC)
        skip(); /* it never writes back, so its times say nothing */
    tree_noise(t, "mapped", 8192, 4);
    int fd = openat(t->fd, "mapped", O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fsync(fd), 0);
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(p != MAP_FAILED);
    p[0]++;
    assert_int_equal(reads(t, &r), 8192);
    usleep(50000); /* beyond the tick of a file's times */
    p[100]++;
    assert_int_equal(reads(t, &r), 8192);
    assert_int_equal(reads(t, &r), 0);
    munmap(p, 8192);
    close(fd);
}

/* Stands before the C library's. */
static bool xattrs_fail;
ssize_t flistxattr(int fd, char *list, size_t size)
{
    errno = xattrs_fail ? EIO : 0;
    return xattrs_fail ? -1 : syscall(SYS_flistxattr, fd, list, size);
}

/* The same: every inode of two names has one number, as if it had been given out again between the two. */
static bool numbers_come_again;
int statx(int dir_fd, const char *restrict path, int flags, unsigned mask,
          struct statx *restrict ret)
{
    long rc = syscall(SYS_statx, dir_fd, path, flags, mask, ret);
    if (rc == 0 && numbers_come_again && ret->stx_nlink > 1 && S_ISREG(ret->stx_mode))
        ret->stx_ino = 4711;
    return (int)rc;
}

static void a_number_that_comes_again_is_no_hard_link(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    struct ak_entries k;
    tree_text(t, "a", "first");
    assert_int_equal(linkat(t->fd, "a", t->fd, "b", 0), 0);
    usleep(20000);
    tree_text(t, "y", "second");
    assert_int_equal(linkat(t->fd, "y", t->fd, "z", 0), 0);
    numbers_come_again = true;
    committed(t, &r);
    numbers_come_again = false;
    ak_entries(&t->vault, &r, &k);
    assert_int_equal(tree_entry(t, &k, "a")->type, ENTRY_FILE);
    assert_int_equal(tree_entry(t, &k, "b")->type, ENTRY_HARDLINK);
    assert_int_equal(tree_entry(t, &k, "y")->type, ENTRY_FILE);
    assert_int_equal(tree_entry(t, &k, "z")->type, ENTRY_HARDLINK);
    const char *other = tree_path(t, "y");
    assert_int_equal(tree_entry(t, &k, "z")->target_len, strlen(other));
    assert_memory_equal(tree_entry(t, &k, "z")->target, other, strlen(other));
    ak_entries_free(&k);
    tree_verify(t, &r);
    ak_run_done(&r);
}

static void attributes_that_could_not_be_read_are_read_the_next_time(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    tree_text(t, "labelled", "content");
    assert_int_equal(setxattr(note_path(t, "labelled"), "user.label", "yes", 3, 0), 0);
    xattrs_fail = true;
    committed(t, &r);
    assert_true(ak_note_for(&r, note_path(t, "labelled"))->problem);
    ak_run_done(&r);
    xattrs_fail = false;
    assert_int_equal(reads(t, &r), 7);
    assert_int_equal(reads(t, &r), 0);
}

static void a_lost_state_reads_all_and_sends_nothing(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    some_files(t);
    reads(t, &r);
    assert_int_equal(unlink(tree_state_file(t, ".state")), 0);
    committed(t, &r);
    tree_verify(t, &r);
    assert_int_equal(r.sum.bytes_read, SOME_BYTES);
    assert_true(r.puts <= 2);
    assert_true(id_is_zero(&r.sum.base));
    ak_run_done(&r);
    assert_int_equal(reads(t, &r), 0);
}

static void a_damaged_state_is_told_and_not_used(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    some_files(t);
    reads(t, &r);
    int fd = open(tree_state_file(t, ".state"), O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "\xff\xff", 2, 100), 2);
    close(fd);
    committed(t, &r);
    tree_verify(t, &r);
    assert_int_equal(r.sum.bytes_read, SOME_BYTES);
    assert_false(ak_note_for(&r, "/")->problem);
    assert_int_equal(r.sum.problems, 0);
    ak_run_done(&r);
    assert_int_equal(reads(t, &r), 0);
}

/* What the vault has no more cannot be built upon; nor what another source left, nor when told not to. */
static void only_a_live_base_of_this_source_is_used(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    some_files(t);
    reads(t, &r);
    r.source = "other";
    assert_int_equal(reads(t, &r), SOME_BYTES);
    r.source = NULL;
    r.force_full = true;
    assert_int_equal(reads(t, &r), SOME_BYTES);
    r.force_full = false;
    assert_int_equal(reads(t, &r), 0);
    t->vault.n_live = 0; /* all was pruned */
    committed(t, &r);
    assert_int_equal(r.sum.bytes_read, SOME_BYTES);
    assert_true(id_is_zero(&r.sum.base));
    ak_run_done(&r);
}

/* --- trouble with single files ---------------------------------------------------------------------- */
struct hook {
    struct tree *t;
    const char *when; /* a file's name */
    void (*act)(struct tree *t);
    const char *when2;
    void (*act2)(struct tree *t);
};

static void run_hook(void *ctx, const char *path)
{
    struct hook *h = ctx;
    const char *name = path ? strrchr(path, '/') + 1 : "chunk";
    if (strcmp(name, h->when) == 0)
        h->act(h->t);
    if (h->when2 && strcmp(name, h->when2) == 0)
        h->act2(h->t);
}

static void hooked(struct tree *t, struct ak_run *r, struct hook *h)
{
    h->t = t;
    r->env.hook = run_hook;
    r->env.ctx = h;
    committed(t, r);
    r->env.hook = NULL;
}

static void truncate_big(struct tree *t)
{
    int fd = openat(t->fd, "d/big", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 1234567) < 0)
        _exit(77);
    close(fd);
}

static void append_big(struct tree *t)
{
    int fd = openat(t->fd, "d/big", O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0 || write(fd, "more", 4) != 4)
        _exit(77);
    close(fd);
}

static void unlink_z(struct tree *t)
{
    unlinkat(t->fd, "z", 0);
}

static void a_file_that_shrinks_is_kept_as_read(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    struct hook h = { .when = "big", .act = truncate_big };
    some_files(t);
    hooked(t, &r, &h);
    assert_int_equal(r.sum.problems, 1);
    assert_true(ak_note_for(&r, note_path(t, "d/big"))->problem);
    assert_int_equal(r.body->n_problems, 1);
    assert_string_equal(r.body->problems[0].path, note_path(t, "d/big"));
    struct ak_entries k;
    ak_entries(&t->vault, &r, &k);
    const struct entry *big = tree_entry(t, &k, "d/big");
    assert_int_equal(big->size, 1234567);
    free(ak_content(&t->vault, &k, big)); /* its extents and its hash are true */
    ak_entries_free(&k);
    ak_run_done(&r);
    assert_int_equal(reads(t, &r), 1234567); /* it is not believed to be known */
}

static void a_file_that_grows_is_kept_as_read(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    struct hook h = { .when = "big", .act = append_big };
    some_files(t);
    hooked(t, &r, &h);
    assert_int_equal(r.sum.problems, 1);
    assert_true(ak_note_for(&r, note_path(t, "d/big"))->problem);
    assert_int_equal(r.sum.bytes, SOME_BYTES);
    ak_run_done(&r);
    assert_int_equal(reads(t, &r), 3000004);
}

/* The hash of a sparse file needs the lengths of its runs before they are read. */
static void a_sparse_file_that_shrinks_has_a_true_hash(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    struct hook h = { .when = "big", .act = truncate_big };
    struct ak_entries k;
    some_files(t);
    int fd = openat(t->fd, "d/big", O_WRONLY | O_CLOEXEC);
    assert_int_equal(ftruncate(fd, 900000), 0);
    assert_int_equal(pwrite(fd, "at the end", 10, 20 << 20), 10);
    assert_int_equal(pwrite(fd, "a run that is cut", 17, 1234560), 17);
    close(fd);
    hooked(t, &r, &h);
    assert_int_equal(r.sum.problems, 1);
    ak_entries(&t->vault, &r, &k);
    const struct entry *big = tree_entry(t, &k, "d/big");
    assert_int_equal(big->size, 1234567);
    uint8_t *content = ak_content(&t->vault, &k, big);
    assert_memory_equal(content + 1234560, "a run t", 7);
    free(content);
    ak_entries_free(&k);
    ak_run_done(&r);
    committed(t, &r);
    tree_verify(t, &r);
    ak_run_done(&r);
}

static void truncate_5m(struct tree *t)
{
    int fd = openat(t->fd, "d/big", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 5000000) < 0)
        _exit(77);
    close(fd);
}

/* The same in the middle of a run. */
static void a_sparse_run_that_is_cut_is_read_again(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    struct hook h = { .when = "big", .act = append_big, .when2 = "chunk", .act2 = truncate_5m };
    struct ak_entries k;
    tree_mkdir(t, "d");
    tree_noise(t, "d/big", 9000000, 5);
    int fd = openat(t->fd, "d/big", O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "at the end", 10, 20 << 20), 10);
    close(fd);
    hooked(t, &r, &h);
    assert_int_equal(r.sum.problems, 1);
    ak_entries(&t->vault, &r, &k);
    const struct entry *big = tree_entry(t, &k, "d/big");
    assert_int_equal(big->size, 5000000);
    free(ak_content(&t->vault, &k, big));
    ak_entries_free(&k);
    ak_run_done(&r);
    assert_int_equal(reads(t, &r), 5000000);
}

static void a_file_that_vanishes_is_named(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    struct hook h = { .when = "a", .act = unlink_z };
    struct ak_entries k;
    some_files(t);
    hooked(t, &r, &h);
    assert_int_equal(r.sum.problems, 1);
    assert_true(ak_note_for(&r, note_path(t, "z"))->problem);
    ak_entries(&t->vault, &r, &k);
    assert_null(tree_entry(t, &k, "z"));
    assert_int_equal(r.sum.files, 3);
    ak_entries_free(&k);
    ak_run_done(&r);
    assert_int_equal(reads(t, &r), 0);
}

static void become_nobody(struct tree *t)
{
    if (seteuid(65534) < 0)
        _exit(77);
}

static void become_root(struct tree *t)
{
    if (seteuid(0) < 0)
        _exit(77);
}

/* Its second name is read later, when it can be, and then stands for both. */
static void an_unreadable_file_is_left_out(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    struct hook h = { .when = "a", .act = become_nobody, .when2 = "c", .act2 = become_root };
    struct ak_entries k;
    if (geteuid() != 0)
        skip();
    tree_text(t, "a", "x");
    tree_text(t, "b", "secret");
    assert_int_equal(fchmodat(t->fd, "b", 0, 0), 0);
    assert_int_equal(linkat(t->fd, "b", t->fd, "d", 0), 0);
    tree_mkdir(t, "bb");
    tree_text(t, "bb/in", "hidden");
    assert_int_equal(fchmodat(t->fd, "bb", 0, 0), 0);
    tree_text(t, "c", "y");
    hooked(t, &r, &h);
    assert_int_equal(r.sum.problems, 2);
    assert_true(ak_note_for(&r, note_path(t, "b"))->problem);
    assert_true(ak_note_for(&r, note_path(t, "bb"))->problem);
    ak_entries(&t->vault, &r, &k);
    assert_null(tree_entry(t, &k, "b"));
    assert_int_equal(tree_entry(t, &k, "bb")->type, ENTRY_DIR);
    assert_null(tree_entry(t, &k, "bb/in"));
    assert_int_equal(tree_entry(t, &k, "d")->type, ENTRY_FILE);
    assert_true(tree_entry(t, &k, "d")->flags & ENTRY_LINKED);
    assert_int_equal(tree_entry(t, &k, "c")->size, 1); /* read without O_NOATIME */
    ak_entries_free(&k);
    ak_run_done(&r);
    assert_int_equal(reads(t, &r), 6 + 6);
}

/* --- runs that end early ---------------------------------------------------------------------------- */
static void after_a_cut_the_next_run_is_right(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    some_files(t);
    tree_noise(t, "d/big2", 9000000, 4);
    t->vault.cancel_after = 3;
    ak_backup(&t->vault, &r);
    assert_int_equal(r.rc, -ERR_INTERRUPTED);
    ak_run_done(&r);
    assert_string_equal(tree_state_file(t, ".state"), "");
    assert_string_equal(tree_state_file(t, ".new"), "");
    t->vault.cancel_after = 0;
    t->vault.hang_up_after = 3;
    ak_backup(&t->vault, &r);
    assert_int_not_equal(r.rc, 0);
    ak_run_done(&r);
    assert_string_equal(tree_state_file(t, ".state"), "");
    t->vault.hang_up_after = 0;
    assert_int_equal(reads(t, &r), SOME_BYTES + 9000000);
    assert_int_equal(reads(t, &r), 0);
    /* And the state of a good run outlives one that fails. */
    tree_noise(t, "d/big2", 9000000, 5);
    t->vault.cancel_after = 1;
    ak_backup(&t->vault, &r);
    assert_int_not_equal(r.rc, 0);
    ak_run_done(&r);
    t->vault.cancel_after = 0;
    assert_int_equal(reads(t, &r), 9000000);
}

static void two_runs_of_one_source_exclude_each_other(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    some_files(t);
    assert_int_equal(reads(t, &r), SOME_BYTES);
    struct err e = ERR_INIT;
    int lock = sys_lock_file(tree_state_file(t, ".lock"), &e);
    assert_true(lock >= 0);
    ak_backup(&t->vault, &r);
    assert_int_equal(r.rc, -ERR_BUSY);
    ak_run_done(&r);
    close(lock);
    assert_int_equal(reads(t, &r), 0);
}

static void a_bad_job_is_refused(void **state)
{
    struct tree *t = *state;
    struct ak_run r = tree_run(t);
    r.roots[0] = "/a/../b";
    ak_backup(&t->vault, &r);
    assert_int_equal(r.rc, -ERR_CONFIG);
    ak_run_done(&r);
    tree_text(t, "file", "x");
    r = tree_run(t);
    r.env.state_dir = tree_path(t, "file") - 1; /* with the slash before it */
    ak_backup(&t->vault, &r);
    assert_int_not_equal(r.rc, 0);
    ak_run_done(&r);
}

static void needs_faults(void)
{
#ifndef TWOFOLD_FAULTS
    skip();
#endif
}

/* One step of the agent that touches a disk fails or is its last: the snapshot is right or there is none, and
 * the next run is right, whatever was left behind. False: the run had no such step any more. */
static bool survives(struct tree *t, const char *fault, unsigned n)
{
    struct ak_run r = tree_run(t);
    tree_noise(t, "d/s", 70000 + n, 1000 + n);
    r.fault = fault;
    ak_backup(&t->vault, &r);
    r.fault = NULL;
    bool met = r.rc != 0 || WIFSIGNALED(r.status) || r.n_notes > 0;
    if (r.rc == 0)
        tree_verify(t, &r);
    ak_run_done(&r);
    tree_noise(t, "d/s", 60000 + n, 2000 + n);
    assert_true(reads(t, &r) >= 60000 + n);
    return met;
}

static void every_disk_step_may_fail(void **state)
{
    struct tree *t = *state;
    char fault[64];
    unsigned n = 1;
    needs_faults();
    some_files(t);
    do
        snprintf(fault, sizeof fault, "fail@%u:ENOSPC", n);
    while (survives(t, fault, n) && n++ < 40);
    assert_in_range(n, 6, 20);
}

static void every_disk_step_may_be_the_last(void **state)
{
    struct tree *t = *state;
    char fault[64];
    unsigned n = 1;
    needs_faults();
    some_files(t);
    do
        snprintf(fault, sizeof fault, "kill@%u", n);
    while (survives(t, fault, n) && n++ < 40);
    assert_in_range(n, 6, 20);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, tree_setup, tree_teardown)

int main(int argc, char **argv)
{
    ak_child(argc, argv);
    const struct CMUnitTest tests[] = {
        TEST(what_did_not_change_is_not_read),
        TEST(a_hidden_change_is_seen),
        TEST(times_near_the_last_run_are_not_trusted),
        TEST(a_write_through_a_mapping_is_seen),
        TEST(a_number_that_comes_again_is_no_hard_link),
        TEST(attributes_that_could_not_be_read_are_read_the_next_time),
        TEST(a_lost_state_reads_all_and_sends_nothing),
        TEST(a_damaged_state_is_told_and_not_used),
        TEST(only_a_live_base_of_this_source_is_used),
        TEST(a_file_that_shrinks_is_kept_as_read),
        TEST(a_file_that_grows_is_kept_as_read),
        TEST(a_sparse_file_that_shrinks_has_a_true_hash),
        TEST(a_sparse_run_that_is_cut_is_read_again),
        TEST(a_file_that_vanishes_is_named),
        TEST(an_unreadable_file_is_left_out),
        TEST(after_a_cut_the_next_run_is_right),
        TEST(two_runs_of_one_source_exclude_each_other),
        TEST(a_bad_job_is_refused),
        TEST(every_disk_step_may_fail),
        TEST(every_disk_step_may_be_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
