/* test_compare.c - a snapshot against a live tree: what was added, deleted, changed, or only looks
 * unchanged. */
#include "lib/base/sys.h"
#include "lib/crypto/crypto.h"
#include "tests/restore_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static struct rk *restored(const char *to)
{
    struct rk *k = rk_new();
    struct extent x = { .len = 6, .chunk = rk_chunk(k, "linked", 6) };
    rk_dir(k, "s", 0755);
    rk_dir(k, "s/d", 0755);
    rk_file(k, "s/d/f", "content", 7);
    rk_file(k, "s/d/g", "more", 4);
    rk_dir(k, "s/e", 0755);
    struct entry en = rk_entry(k, ENTRY_FILE, "s/l1");
    en.flags = ENTRY_LINKED;
    sha256_of("linked", 6, &en.hash);
    en.size = 6;
    en.extents = &x;
    en.n_extents = 1;
    rk_add(k, &en);
    rk_link(k, "s/l2", "s/l1");
    rk_symlink(k, "s/sym", "there");
    rk_file(k, "s/z", "", 0);
    rk_root(k, "/s");
    struct rk_job job = { .target = to };
    rk_restore(k, &job);
    assert_int_equal(job.rc, 0);
    assert_int_equal(job.done.failed, 0);
    rk_job_done(&job);
    return k;
}

static void run(struct rk *k, struct rk_job *job, size_t differences)
{
    job->mode = RESTORE_COMPARE;
    rk_restore(k, job);
    if (job->rc < 0)
        fail_msg("%s: %s", job->err.what, job->err.why);
    if (job->n_diffs == differences)
        return;
    for (size_t i = 0; i < job->n_diffs; i++)
        print_message("%c %s %u\n", job->diffs[i].change, job->diffs[i].path, job->diffs[i].what);
    fail_msg("%zu differences", job->n_diffs);
}

static void is(const struct rk_job *job, size_t i, char change, const char *path, unsigned what)
{
    assert_true(i < job->n_diffs);
    assert_string_equal(job->diffs[i].path, path);
    assert_int_equal(job->diffs[i].change, change);
    assert_int_equal(job->diffs[i].what, what);
}

/* Puts the time back as well, as somebody would who wants it not to be seen. */
static void tamper(const char *path, const char *content)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    rk_write(path, content, strlen(content));
    assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[]){ st.st_mtim, st.st_mtim }, 0),
                     0);
}

static void everything_that_can_differ(void **state)
{
    const char *to = rk_path(*state, "to");
    struct rk *k = restored(to);
    struct rk_job same = { .target = to };
    run(k, &same, 0);
    assert_int_equal(same.done.files, 5);
    assert_int_equal(same.done.already, 5);
    rk_job_done(&same);

    tamper(rk_path(to, "s/d/f"), "CONTENT");
    assert_int_equal(unlink(rk_path(to, "s/d/g")), 0);
    rk_write(rk_path(to, "s/d/new"), "n", 1);
    mkdir(rk_path(to, "s/new"), 0755);
    rk_write(rk_path(to, "s/new/in"), "n", 1);
    assert_int_equal(chmod(rk_path(to, "s/e"), 0700), 0);
    assert_int_equal(unlink(rk_path(to, "s/sym")), 0);
    assert_int_equal(symlink("elsewhere", rk_path(to, "s/sym")), 0);
    assert_int_equal(unlink(rk_path(to, "s/z")), 0);
    assert_int_equal(mkdir(rk_path(to, "s/z"), 0755), 0);
    assert_int_equal(unlink(rk_path(to, "s/l2")), 0);
    rk_write(rk_path(to, "s/l2"), "linked", 6);
    struct rk_job job = { .target = to };
    run(k, &job, 11);
    is(&job, 0, 'm', "/s", 4);
    is(&job, 1, 'm', "/s/d", 4);
    is(&job, 2, 'M', "/s/d/f", 0);
    is(&job, 3, 'D', "/s/d/g", 0);
    is(&job, 4, 'A', "/s/d/new", 0);
    is(&job, 5, 'm', "/s/e", 1);
    is(&job, 6, 'm', "/s/l2", 4 | 32);
    is(&job, 7, 'A', "/s/new", 0);
    is(&job, 8, 'A', "/s/new/in", 0);
    is(&job, 9, 'm', "/s/sym", 4 | 32);
    is(&job, 10, 'T', "/s/z", 0);
    rk_job_done(&job);
    rk_free(k);
}

static void only_these_paths(void **state)
{
    const char *to = rk_path(*state, "to");
    struct rk *k = restored(to);
    rk_write(rk_path(to, "s/d/new"), "n", 1);
    rk_write(rk_path(to, "s/other"), "n", 1);
    rk_write(rk_path(to, "not-in-a-root"), "n", 1);
    struct rk_job job = { .target = to, .paths = { "/s/d", "/s/l2" } };
    run(k, &job, 2);
    is(&job, 0, 'm', "/s/d", 4);
    is(&job, 1, 'A', "/s/d/new", 0);
    rk_job_done(&job);
    struct rk_job none = { .target = to, .mode = RESTORE_COMPARE, .paths = { "/elsewhere" } };
    rk_restore(k, &none);
    assert_int_equal(none.rc, -ERR_ABSENT);
    rk_job_done(&none);
    rk_free(k);
}

static void what_a_policy_leaves_out(void **state)
{
    const char *to = rk_path(*state, "to");
    struct rk *k = restored(to);
    rk_write(rk_path(to, "s/d/x.tmp"), "n", 1);
    mkdir(rk_path(to, "s/e/cache"), 0755);
    rk_write(rk_path(to, "s/e/cache/x"), "n", 1);
    assert_int_equal(unlink(rk_path(to, "s/z")), 0);
    /* A socket is never saved. */
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    snprintf(un.sun_path, sizeof un.sun_path, "%s", rk_path(to, "s/e/sock"));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    close(fd);
    struct rk_job job = { .target = to, .exclude = { "*.tmp", "/s/e/cache", "z" } };
    run(k, &job, 3); /* the times of the three folders */
    is(&job, 0, 'm', "/s", 4);
    is(&job, 1, 'm', "/s/d", 4);
    is(&job, 2, 'm', "/s/e", 4);
    rk_job_done(&job);
    rk_free(k);
}

static void nothing_left(void **state)
{
    const char *to = rk_path(*state, "to");
    struct rk *k = restored(to);
    assert_int_equal(rename(rk_path(to, "s"), rk_path(to, "away")), 0);
    struct rk_job job = { .target = to };
    run(k, &job, 9);
    for (size_t i = 0; i < job.n_diffs; i++)
        assert_int_equal(job.diffs[i].change, 'D');
    rk_job_done(&job);
    rk_free(k);
}

/* Where the list is lost nothing is said to be added. */
static void lost_part_of_the_list(void **state)
{
    const char *to = rk_path(*state, "to");
    struct rk *k = rk_new();
    rk_dir(k, "a", 0755);
    rk_leaf(k);
    rk_file(k, "a/1", "1", 1);
    rk_leaf(k);
    struct id lost = rk_file(k, "b", "2", 1);
    (void)lost;
    rk_leaf(k);
    rk_file(k, "c", "3", 1);
    struct rk_job restore = { .target = to };
    rk_restore(k, &restore);
    assert_int_equal(restore.done.files, 3);
    rk_job_done(&restore);
    rk_free(k);
    k = rk_new();
    rk_dir(k, "a", 0755);
    rk_leaf(k);
    rk_file(k, "a/1", "1", 1);
    rk_lose_last_leaf(k);
    rk_file(k, "b", "2", 1);
    rk_file(k, "c", "3", 1);
    struct rk_job job = { .target = to };
    run(k, &job, 0);
    assert_int_equal(job.done.failed, 1);
    rk_job_done(&job);
    rk_free(k);
}

int main(int argc, char **argv)
{
    rk_maybe_agent(argc, argv);
#define T(f) cmocka_unit_test_setup_teardown(f, rk_setup, rk_teardown)
    const struct CMUnitTest tests[] = {
        T(everything_that_can_differ), T(only_these_paths),
        T(what_a_policy_leaves_out),   T(nothing_left),
        T(lost_part_of_the_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
