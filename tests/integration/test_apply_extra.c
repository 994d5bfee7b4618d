/* test_apply_extra.c - what lies in the target and is not in the snapshot: counted, set aside when that is asked for, and never what a backup
 * would not have had; killed at each step, and run again. */
#include "lib/base/sys.h"
#include "tests/restore_kit.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *fmt, ...)
{
    char command[4096];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(command, sizeof command, fmt, ap);
    va_end(ap);
    if (system(command) != 0)
        fail_msg("%s", command);
}

/* The one folder of extra things; a static text. */
static const char *extra_of(const char *to)
{
    static char line[4096];
    char command[4096];
    snprintf(command, sizeof command, "ls -d '%s'/.twofold-extra-*", to);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    line[0] = '\0';
    if (!fgets(line, sizeof line, f))
        fail_msg("nothing was set aside");
    pclose(f);
    line[strcspn(line, "\n")] = '\0';
    return line;
}

static struct rk *snapshot(void)
{
    struct rk *k = rk_new();
    rk_dir(k, "a", 0755);
    rk_dir(k, "a/b", 0755);
    rk_file(k, "a/b/f", "f", 1);
    rk_dir(k, "cache", 0755);
    rk_file(k, "cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55", 43);
    rk_file(k, "z", "z", 1);
    return k;
}

static void fill(const char *to)
{
    shell("mkdir -p '%s'/a/b '%s'/a/more/deep '%s'/cache '%s'/outside && cd '%s' && "
          "echo 1 >a/b/g && echo 2 >a/more/deep/h && echo 3 >a/more/i && echo 4 >cache/j && "
          "ln -s ../outside a/link && echo 5 >top && echo 6 >outside/kept",
          to, to, to, to, to);
}

static struct rk_job run(struct rk *k, const char *to, bool aside)
{
    struct rk_job job = { .target = to, .overwrite = true, .delta = true, .set_aside = aside };
    rk_restore(k, &job);
    if (job.rc < 0)
        fail_msg("%s: %s", job.err.what, job.err.why);
    assert_int_equal(job.done.failed, 0);
    return job;
}

static void counted_and_set_aside(void **state)
{
    const char *to = *state;
    struct rk *k = snapshot();
    fill(to);
    struct rk_job job = run(k, to, false);
    /* a/b/g, a/link, a/more and the folder and two files in it, outside and its file, top */
    assert_int_equal(job.done.extra, 9);
    assert_int_equal(job.done.extra_aside, 0);
    assert_true(rk_exists(rk_path(to, "a/more/deep/h")) && rk_exists(rk_path(to, "top")));
    rk_job_done(&job);
    job = run(k, to, true);
    assert_int_equal(job.done.extra, 9);
    assert_int_equal(job.done.extra_aside, 9);
    assert_int_equal(rk_problems(&job), 0);
    assert_non_null(rk_note(&job, "/a/more"));
    assert_null(rk_note(&job, "/a/more/i")); /* with its folder */
    rk_job_done(&job);
    const char *aside = extra_of(to);
    rk_holds(rk_path(aside, "a/b/g"), "1\n", 2);
    rk_holds(rk_path(aside, "a/more/deep/h"), "2\n", 2);
    rk_holds(rk_path(aside, "outside/kept"), "6\n", 2);
    rk_holds(rk_path(aside, "top"), "5\n", 2);
    rk_holds(rk_path(to, "cache/j"), "4\n", 2); /* no backup has the content of a marked cache */
    struct stat st;
    assert_true(lstat(rk_path(aside, "a/link"), &st) == 0 && S_ISLNK(st.st_mode));
    assert_int_equal(lstat(rk_path(to, "a"), &st), 0);
    assert_int_equal(st.st_mtime, 1700000000); /* the snapshot's, though its names changed */
    struct rk_job same = { .target = to, .mode = RESTORE_COMPARE };
    rk_restore(k, &same);
    for (size_t i = 0; i < same.n_diffs; i++)
        if (!strstr(same.diffs[i].path, RESTORE_EXTRA) &&
            strcmp(same.diffs[i].path, "/cache/j") != 0)
            fail_msg("%c %s", same.diffs[i].change, same.diffs[i].path);
    rk_job_done(&same);
    job = run(k, to, false); /* what is set aside is nothing extra */
    assert_int_equal(job.done.extra, 0);
    rk_job_done(&job);
    job = run(k, to, true); /* but by its name alone it is not known from an attacker's */
    assert_int_equal(job.done.extra, 12);
    assert_int_equal(job.done.extra_aside, 12);
    assert_int_equal(rk_count(to, RESTORE_EXTRA), 1);
    rk_job_done(&job);
    rk_free(k);
}

static void what_backups_leave_out_stays(void **state)
{
    const char *to = *state;
    struct rk *k = snapshot();
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    fill(to);
    shell(
        "cd '%s' && echo 7 >a/more/deep/x.tmp && echo 8 >a/b/y.tmp && mkdir a/skip && echo 9 >a/skip/k",
        to);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s/socket", to);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    close(fd);
    struct rk_job job = {
        .target = to, .overwrite = true, .set_aside = true, .exclude = { "*.tmp", "/a/skip" }
    };
    rk_restore(k, &job);
    assert_int_equal(job.rc, 0);
    assert_int_equal(rk_problems(&job), 0);
    /* a/more and a/more/deep stay for the sake of x.tmp; i and h in them go */
    assert_int_equal(job.done.extra, 7);
    assert_int_equal(job.done.extra_aside, 7);
    rk_job_done(&job);
    const char *aside = extra_of(to);
    rk_holds(rk_path(to, "a/more/deep/x.tmp"), "7\n", 2);
    rk_holds(rk_path(to, "a/b/y.tmp"), "8\n", 2);
    rk_holds(rk_path(to, "a/skip/k"), "9\n", 2);
    assert_true(rk_exists(rk_path(to, "socket")));
    rk_holds(rk_path(aside, "a/more/i"), "3\n", 2);
    rk_holds(rk_path(aside, "a/more/deep/h"), "2\n", 2);
    assert_false(rk_exists(rk_path(to, "a/more/i")) || rk_exists(rk_path(to, "a/more/deep/h")));
    rk_free(k);
}

/* A folder that the snapshot has and the policy leaves out by now: nothing in it is extra, nor below. */
static void left_out_since(void **state)
{
    const char *to = *state;
    struct rk *k = snapshot();
    fill(to);
    struct rk_job job = {
        .target = to, .overwrite = true, .set_aside = true, .exclude = { "a", "outside" }
    };
    rk_restore(k, &job);
    assert_int_equal(job.rc, 0);
    assert_int_equal(job.done.extra_aside, 1);
    assert_true(rk_exists(rk_path(to, "a/b/g")) && rk_exists(rk_path(to, "a/more/i")));
    rk_holds(rk_path(extra_of(to), "top"), "5\n", 2);
    rk_job_done(&job);
    rk_free(k);
}

static void only_whole_roots(void **state)
{
    const char *to = *state;
    struct rk *k = snapshot();
    rk_root(k, "/a");
    rk_root(k, "/cache");
    rk_root(k, "/z");
    fill(to);
    struct rk_job part = {
        .target = to, .overwrite = true, .set_aside = true, .paths = { "/a/b" }
    };
    rk_restore(k, &part);
    assert_int_equal(part.rc, -ERR_USAGE);
    assert_true(rk_exists(rk_path(to, "a/b/g")));
    rk_job_done(&part);
    struct rk_job one = {
        .target = to, .overwrite = true, .set_aside = true, .paths = { "/a", "/z" }
    };
    rk_restore(k, &one);
    assert_int_equal(one.rc, 0);
    assert_int_equal(one.done.extra_aside,
                     6); /* all below a; what is beside the roots is none of it */
    assert_true(rk_exists(rk_path(to, "top")) && rk_exists(rk_path(to, "outside/kept")));
    rk_job_done(&one);
    rk_free(k);
}

/* Nobody knows what a lost leaf has named. */
static void entries_that_are_lost(void **state)
{
    const char *to = *state;
    struct rk *k = rk_new();
    rk_dir(k, "a", 0755);
    rk_file(k, "a/1", "1", 1);
    rk_leaf(k);
    rk_file(k, "a/2", "2", 1);
    rk_dir(k, "b", 0755);
    rk_lose_last_leaf(k);
    rk_file(k, "b/3", "3", 1);
    rk_dir(k, "c", 0755);
    rk_file(k, "c/4", "4", 1);
    shell("cd '%s' && mkdir a b c && echo x >a/2 && echo x >b/2 && echo x >c/5 && echo x >d", to);
    struct rk_job job = { .target = to, .overwrite = true, .set_aside = true };
    rk_restore(k, &job);
    assert_int_equal(job.rc, 0);
    assert_int_equal(job.done.failed, 1);
    assert_int_equal(job.done.extra_aside, 1);
    assert_true(rk_exists(rk_path(to, "a/2")) && rk_exists(rk_path(to, "b/2")) &&
                rk_exists(rk_path(to, "d")));
    rk_holds(rk_path(extra_of(to), "c/5"), "x\n", 2);
    rk_job_done(&job);
    rk_free(k);
}

/* A mount point below the target: what is on it stays, and so does what is extra and has one in it. */
static void mount_points(void **state)
{
    const char *to = *state;
    if (geteuid() != 0)
        skip();
    struct rk *k = snapshot();
    fill(to);
    mkdir(rk_path(to, "a/more/m"), 0755);
    if (mount("test", rk_path(to, "a/more/m"), "tmpfs", 0, NULL) < 0)
        skip();
    if (mount("test", rk_path(to, "a/b"), "tmpfs", 0, NULL) < 0)
        skip();
    rk_write(rk_path(to, "a/more/m/on"), "on", 2);
    rk_write(rk_path(to, "a/b/f"), "f", 1);
    rk_write(rk_path(to, "a/b/n"), "n", 1);
    struct rk_job job = { .target = to, .overwrite = true, .set_aside = true };
    rk_restore(k, &job);
    bool stay = rk_exists(rk_path(to, "a/more/m/on")) && rk_exists(rk_path(to, "a/b/n"));
    bool told = rk_note(&job, "/a/b") && rk_note(&job, "/a/b")->problem;
    umount(rk_path(to, "a/b"));
    umount(rk_path(to, "a/more/m"));
    assert_int_equal(job.rc, 0);
    assert_true(stay);
    assert_true(told); /* what the snapshot does not have and cannot be moved */
    assert_int_equal(job.done.extra - job.done.extra_aside, 1);
    rk_holds(rk_path(extra_of(to), "a/more/i"), "3\n", 2);
    assert_false(rk_exists(rk_path(extra_of(to), "a/more/m")));
    rk_job_done(&job);
    rk_free(k);
}

/* Who was in there may have left it under a name like ours. */
static void names_like_ours(void **state)
{
    const char *to = *state, *old = ".twofold-extra-20260101T000000Z";
    struct rk *k = snapshot();
    fill(to);
    shell("cd '%s' && mkdir %s .twofold-extra-x .twofold-aside-0123abcd-20260101T000000Z-1 && "
          "echo s | tee %s/s .twofold-extra-x/s .twofold-marker lost+found >.twofold-restore-1",
          to, old, old);
    struct rk_job job = run(k, to, false);
    assert_int_equal(job.done.extra, 11); /* what fill made, .twofold-extra-x and what is in it */
    rk_job_done(&job);
    job = run(k, to, true);
    assert_int_equal(job.done.extra, job.done.extra_aside);
    assert_int_equal(job.done.extra, 9 + 4 + 1 + 3);
    rk_job_done(&job);
    shell("cd '%s' && [ \"$(ls -A | grep -c '^[.]t')\" = 1 ] && [ ! -e lost+found ] && "
          "cat .twofold-extra-*/%s/s .twofold-extra-*/.twofold-extra-x/s >/dev/null",
          to, old);
    rk_free(k);
}

static void killed_at_every_step(void **state)
{
#ifndef TWOFOLD_FAULTS
    skip();
#endif
    const char *to = rk_path(*state, "to");
    struct rk *k = snapshot();
    int n = 0;
    for (bool killed = true; killed; n++) {
        char fault[32];
        snprintf(fault, sizeof fault, "kill@%d", n + 1);
        fill(to);
        struct rk_job job = {
            .target = to, .overwrite = true, .delta = true, .set_aside = true, .fault = fault
        };
        rk_restore(k, &job);
        killed = WIFSIGNALED(job.status);
        rk_job_done(&job);
        job = run(k, to, true);
        assert_int_equal(job.done.extra, job.done.extra_aside);
        rk_job_done(&job);
        /* Each of them is in one of the folders, and nowhere else. */
        shell(
            "cd '%s' && for f in a/b/g a/more/deep/h a/more/i top outside/kept; do [ ! -e $f ] && "
            "[ $(find . -path \"*/.twofold-extra-*/$f\" | wc -l) = 1 ] || exit 1; done; cat a/b/f z >/dev/null",
            to);
        shell("rm -rf '%s'", to);
    }
    assert_true(n > 15);
    rk_free(k);
}

int main(int argc, char **argv)
{
    rk_maybe_agent(argc, argv);
#define T(f) cmocka_unit_test_setup_teardown(f, rk_setup, rk_teardown)
    const struct CMUnitTest tests[] = {
        T(counted_and_set_aside), T(what_backups_leave_out_stays), T(left_out_since),
        T(only_whole_roots),      T(entries_that_are_lost),        T(mount_points),
        T(names_like_ours),       T(killed_at_every_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
