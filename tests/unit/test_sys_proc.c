/* test_sys_proc.c - lib/base/sys.h: child processes, waits, signals, time and chance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/base/sys.h"
#include "tests/unit/sys_kit.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* --- processes -------------------------------------------------------------------------------- */
static void read_line_of(int fd, char *buf, size_t max)
{
    size_t n = 0;
    while (n + 1 < max) {
        assert_int_equal(sys_wait_fd(fd, POLLIN, DEADLINE_MS, NULL), 0);
        if (read(fd, buf + n, 1) != 1 || buf[n] == '\n')
            break;
        n++;
    }
    buf[n] = '\0';
}

static void assert_reaped(pid_t pid)
{
    int status = -1;
    assert_int_equal(sys_reap(pid, DEADLINE_MS, &status, NULL), 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int scene_echo(const char *unused)
{
    char c;
    (void)unused;
    while (read(0, &c, 1) == 1)
        if (write(1, &c, 1) != 1)
            return 1;
    return 0;
}

static void children_talk_over_one_socket(void **state)
{
    char line[32];
    pid_t pid = -1;
    int fd = spawn_scene("echo", -1, &pid);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(sys_wait_fd(fd, POLLIN, 0, NULL), -ERR_TIMEOUT);
    assert_int_equal(sys_write(fd, "hello\n", 6, NULL), 0);
    read_line_of(fd, line, sizeof line);
    assert_string_equal(line, "hello");
    assert_int_equal(shutdown(fd, 1), 0);
    assert_reaped(pid);
    close(fd);
}

/* Tells which of the descriptors 0 to 99 are open, and what the third one gives. */
static int scene_descriptors(const char *unused)
{
    char c = '-';
    (void)unused;
    if (fcntl(3, F_GETFD) >= 0 && read(3, &c, 1) != 1)
        c = '?';
    dprintf(1, "%c", c);
    for (int fd = 0; fd < 100; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            dprintf(1, " %d", fd);
    dprintf(1, "\n");
    return 0;
}

static void children_inherit_nothing_else(void **state)
{
    struct fixture *f = *state;
    char line[256];
    pid_t pid = -1;
    put_file(f->fd, "x", "E");
    int stray = open(path_in(f, "x"), O_RDONLY), extra = open(path_in(f, "x"), O_RDONLY);
    int fd = spawn_scene("descriptors", -1, &pid);
    assert_true(fd >= 0);
    read_line_of(fd, line, sizeof line);
    assert_string_equal(line, "- 0 1 2");
    assert_reaped(pid);
    close(fd);
    fd = spawn_scene("descriptors", extra, &pid);
    assert_true(fd >= 0);
    read_line_of(fd, line, sizeof line);
    assert_string_equal(line, "E 0 1 2 3");
    assert_reaped(pid);
    close(fd);
    close(stray);
    close(extra);
}

/* A daemon may have started with its low descriptors closed: the wire, the pipe and the extra one
 * then lie just where the child wants something else. */
static int scene_low_descriptors(const char *dir)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/x", dir);
    close(0);
    close(1);
    for (int round = 0; round < 2; round++) {
        char line[64] = "";
        pid_t pid = -1;
        size_t n = 0;
        int status = -1, extra = round ? open(path, O_RDONLY) : -1; /* becomes 0 */
        int fd = spawn_scene("descriptors", extra, &pid);
        while (fd >= 0 && n < sizeof line - 1 && sys_wait_fd(fd, POLLIN, DEADLINE_MS, NULL) == 0 &&
               read(fd, line + n, 1) == 1 && line[n] != '\n')
            n++;
        line[n] = '\0';
        if (extra != (round ? 0 : -1) || fd < 0)
            return 1;
        if (sys_reap(pid, DEADLINE_MS, &status, NULL) < 0 || status != 0)
            return 2;
        if (strcmp(line, round ? "E 0 1 2 3" : "- 0 1 2") != 0)
            return 3;
        close(fd);
    }
    return 0;
}

static void low_descriptors_do_not_collide(void **state)
{
    struct fixture *f = *state;
    put_file(f->fd, "x", "E");
    assert_plays("low-descriptors", f->dir, NULL);
}

static void programs_that_cannot_start_are_told(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    pid_t pid = -1;
    const char *none[] = { "/nonexistent/agent", NULL };
    assert_int_equal(sys_spawn(none, -1, &pid, &e), -ERR_ABSENT);
    assert_non_null(strstr(e.what, "/nonexistent/agent"));
    put_file(f->fd, "x", "no program");
    const char *no_program[] = { path_in(f, "x"), NULL };
    assert_int_equal(sys_spawn(no_program, -1, &pid, &e), -ERR_REFUSED);
    assert_int_equal(pid, -1);
}

static int scene_hang(const char *unused)
{
    (void)unused;
    while (pause() < 0)
        ;
    return 1;
}

static void late_children_are_killed(void **state)
{
    pid_t pid = -1;
    int status = 0;
    int fd = spawn_scene("hang", -1, &pid);
    assert_true(fd >= 0);
    assert_int_equal(sys_reap(pid, 20, &status, NULL), 0);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    assert_true(sys_reap(pid, 0, &status, NULL) < 0); /* gone already */
    close(fd);
}

/* Starts a child that hangs, tells its number, and hangs too. */
static int scene_parent(const char *unused)
{
    pid_t pid = -1;
    if (spawn_scene("hang", -1, &pid) < 0)
        return 1;
    dprintf(1, "%ld\n", (long)pid);
    return scene_hang(unused);
}

static void children_die_with_their_parent(void **state)
{
    char line[32];
    pid_t parent = -1;
    int status = 0;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); /* so that the orphan becomes ours */
    int fd = spawn_scene("parent", -1, &parent);
    assert_true(fd >= 0);
    read_line_of(fd, line, sizeof line);
    pid_t child = (pid_t)atol(line);
    assert_true(child > 0);
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(sys_reap(parent, DEADLINE_MS, &status, NULL), 0);
    uint64_t began = sys_monotonic_ms();
    assert_int_equal(sys_reap(child, DEADLINE_MS, &status, NULL), 0);
    assert_true(sys_monotonic_ms() - began < DEADLINE_MS); /* not by sys_reap's own SIGKILL */
    assert_int_equal(WTERMSIG(status), SIGKILL);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
    close(fd);
}

/* --- waiting, signals, time ------------------------------------------------------------------- */
/* One that goes on alone is nobody's child here, does not die with us, and one that cannot be started is told all the same. */
static void some_go_on_alone(void **state)
{
    struct fixture *f = *state;
    char script[200], *argv[] = { "/bin/sh", "-c", script, NULL };
    const char *const env[] = { "PATH=/usr/bin:/bin", NULL };
    struct sys_child child = { .argv = (const char *const *)argv,
                               .env = env,
                               .in_fd = -1,
                               .out_fd = -1,
                               .err_fd = -1,
                               .outlives = true };
    struct err e = ERR_INIT;
    pid_t pid = 77;
    snprintf(script, sizeof script, "echo >'%s/there'", f->dir);
    assert_int_equal(sys_spawn_group(&child, &pid, &e), 0);
    assert_int_equal(pid, 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    for (int i = 0; i < 200 && access(path_in(f, "there"), F_OK) < 0; i++)
        usleep(50000);
    assert_int_equal(access(path_in(f, "there"), F_OK), 0);
    argv[0] = "/nowhere/sh";
    assert_true(sys_spawn_group(&child, &pid, &e) < 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void waits_have_a_deadline(void **state)
{
    struct err e = ERR_INIT;
    int p[2];
    assert_int_equal(pipe(p), 0);
    uint64_t began = sys_monotonic_ms();
    assert_int_equal(sys_wait_fd(p[0], POLLIN, 30, &e), -ERR_TIMEOUT);
    uint64_t took = sys_monotonic_ms() - began;
    assert_true(took >= 29 && took < DEADLINE_MS);
    assert_int_equal(sys_wait_fd(p[1], POLLOUT, 0, &e), 0);
    assert_int_equal(write(p[1], "x", 1), 1);
    assert_int_equal(sys_wait_fd(p[0], POLLIN, -1, &e), 0);
    close(p[1]);
    close(p[0]);
    assert_true(sys_wait_fd(p[0], POLLIN, DEADLINE_MS, &e) < 0);
    assert_int_equal(e.sys, EBADF);
    assert_int_equal(pipe(p), 0);
    close(p[1]);
    assert_int_equal(sys_wait_fd(p[0], POLLIN, DEADLINE_MS, &e), 0); /* the end is an event, too */
    close(p[0]);
}

static int scene_signal(const char *unused)
{
    timer_t timer;
    struct sigevent by_signal = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGTERM };
    struct itimerspec soon = { .it_value = { 0, 30 * 1000000 } };
    int p[2];
    (void)unused;
    sys_catch_signals();
    if (sys_interrupted() || pipe(p) < 0 || timer_create(CLOCK_MONOTONIC, &by_signal, &timer) < 0)
        return 1;
    raise(SIGPIPE); /* ignored */
    if (timer_settime(timer, 0, &soon, NULL) < 0)
        return 2;
    if (sys_wait_fd(p[0], POLLIN, DEADLINE_MS, NULL) != -ERR_INTERRUPTED || !sys_interrupted())
        return 3;
    return sys_wait_fd(p[1], POLLOUT, DEADLINE_MS, NULL) == -ERR_INTERRUPTED ? 0 : 4;
}

static void signals_end_a_wait(void **state)
{
    assert_plays("signal", "", NULL);
}

static void clocks_run(void **state)
{
    uint64_t a = sys_monotonic_ms(), b = sys_monotonic_ms();
    int64_t s = sys_realtime_s(), ns = sys_realtime_ns();
    assert_true(b >= a);
    assert_true(s > 1600000000);
    assert_true(ns / 1000000000 - s <= 1);
}

static void chance_is_not_repeated(void **state)
{
    uint8_t a[600] = { 0 }, b[600] = { 0 };
    sys_random(a, sizeof a);
    sys_random(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    assert_memory_not_equal(a + 500, b + 500, 100);
}

/* --- scenes and tests ------------------------------------------------------------------------- */
static const struct scene scenes[] = {
    { "echo", scene_echo },
    { "descriptors", scene_descriptors },
    { "low-descriptors", scene_low_descriptors },
    { "hang", scene_hang },
    { "parent", scene_parent },
    { "signal", scene_signal },
};

#define TEST(name) cmocka_unit_test_setup_teardown(name, sys_kit_setup, sys_kit_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(children_talk_over_one_socket),
        TEST(children_inherit_nothing_else),
        TEST(low_descriptors_do_not_collide),
        TEST(programs_that_cannot_start_are_told),
        TEST(late_children_are_killed),
        TEST(children_die_with_their_parent),
        TEST(some_go_on_alone),
        TEST(waits_have_a_deadline),
        TEST(signals_end_a_wait),
        TEST(clocks_run),
        TEST(chance_is_not_repeated),
    };
    int status = scene_main(argc, argv, scenes, sizeof scenes / sizeof *scenes);
    return status >= 0 ? status : cmocka_run_group_tests_name("sys_proc", tests, NULL, NULL);
}
