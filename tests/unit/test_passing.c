/* test_passing.c - folders in /tmp that go with their makers (agents/passing.h). */
#include "agents/passing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static void it_goes_with_what_is_in_it(void **state)
{
    struct passing p = { 0 };
    struct err e = ERR_INIT;
    struct stat st;
    char inner[PASSING_BYTES + 8];
    (void)state;
    passing_done(&p);
    assert_int_equal(passing_new(&p, geteuid(), &e), 0);
    assert_int_equal(stat(p.dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    snprintf(inner, sizeof inner, "%s/load", p.dir);
    assert_int_equal(mkdir(inner, 0700), 0);
    passing_done(&p);
    assert_false(exists(p.dir));
}

static void what_a_killed_maker_left_goes_and_no_other(void **state)
{
    struct passing living, next;
    struct err e = ERR_INIT;
    char other[] = "/tmp/twofold-XXXXXX", dead[PASSING_BYTES] = "";
    int fd[2];
    (void)state;
    assert_non_null(mkdtemp(other)); /* somebody's, with no lock in it */
    assert_int_equal(passing_new(&living, geteuid(), &e), 0);
    assert_int_equal(pipe(fd), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct passing p;
        if (passing_new(&p, geteuid(), &e) == 0)
            (void)!write(fd[1], p.dir, sizeof p.dir);
        _exit(0); /* without passing_done */
    }
    close(fd[1]);
    assert_int_equal(read(fd[0], dead, sizeof dead), sizeof dead);
    close(fd[0]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(exists(dead));
    assert_int_equal(passing_new(&next, geteuid(), &e), 0);
    assert_false(exists(dead));
    assert_true(exists(living.dir));
    assert_true(exists(other));
    passing_done(&next);
    passing_done(&living);
    assert_int_equal(rmdir(other), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_goes_with_what_is_in_it),
        cmocka_unit_test(what_a_killed_maker_left_goes_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
