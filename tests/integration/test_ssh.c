/* test_ssh.c - twofold-ssh against a real sshd: bytes both ways, exit statuses, keys that are not the right ones, and what the
 * child has given up. Needs TWOFOLD_SSH, or twofold-ssh beside or two folders above this program. */
#include "lib/base/sys.h"
#include "lib/ssh/ssh.h"
#include "tests/sshd_kit.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 20000

struct fixture {
    struct sshd d;
    struct ssh_settings s;
    struct err e;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    if (!sshd_start(&f->d, NULL)) {
        free(f);
        *state = NULL;
        return 0;
    }
    f->s = (struct ssh_settings){ .host = "127.0.0.1",
                                  .port = f->d.port,
                                  .user = f->d.user,
                                  .host_key = f->d.host_key,
                                  .identity = f->d.identity };
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f)
        sshd_done(&f->d);
    free(f);
    return 0;
}

#define NEEDS_SSHD(f) \
    if (!(f))         \
    skip()

static int run(struct fixture *f, const char *command, const void *in, size_t n, uint8_t *out,
               size_t max, size_t *ret_n)
{
    pid_t pid = 0;
    int status = -1;
    f->s.command = command;
    int fd = ssh_start(&f->s, -1, &pid, &f->e);
    assert_true(fd >= 0);
    const uint8_t *p = in;
    *ret_n = 0;
    for (bool ended = false; !ended;) {
        struct pollfd w = { .fd = fd, .events = (short)(POLLIN | (n > 0 ? POLLOUT : 0)) };
        assert_true(poll(&w, 1, WAIT_MS) > 0);
        if (n > 0 && w.revents & POLLOUT) {
            ssize_t got = send(fd, p, n, MSG_NOSIGNAL);
            assert_true(got > 0 || errno == EAGAIN);
            p += got > 0 ? got : 0;
            n -= got > 0 ? (size_t)got : 0;
        }
        if (n == 0 && p)
            shutdown(fd, SHUT_WR), p = NULL;
        if (w.revents & (POLLIN | POLLHUP)) {
            ssize_t got = read(fd, out + *ret_n, max - *ret_n);
            ended = got == 0 || (got < 0 && errno != EAGAIN);
            *ret_n += got > 0 ? (size_t)got : 0;
        }
    }
    close(fd);
    assert_int_equal(sys_reap(pid, WAIT_MS, &status, &f->e), 0);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_bytes_both_ways(void **state)
{
    struct fixture *f = *state;
    NEEDS_SSHD(f);
    size_t n = 20u << 20, got = 0;
    uint8_t *in = malloc(n), *out = malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        in[i] = (uint8_t)(i * 31 + i / 4093);
    assert_int_equal(run(f, "cat", in, n, out, n + 1, &got), 0);
    assert_int_equal(got, n);
    assert_memory_equal(in, out, n);
    free(in);
    free(out);
}

static void test_exit_status(void **state)
{
    struct fixture *f = *state;
    NEEDS_SSHD(f);
    uint8_t out[64];
    size_t n;
    assert_int_equal(run(f, "printf yes; exit 7", "", 0, out, sizeof out, &n), 7);
    assert_int_equal(n, 3);
    assert_memory_equal(out, "yes", 3);
    assert_int_equal(run(f, "kill -9 $$", "", 0, out, sizeof out, &n), SSH_STATUS_SIGNAL);
}

static void test_stderr_is_apart(void **state)
{
    struct fixture *f = *state;
    NEEDS_SSHD(f);
    int p[2], status;
    pid_t pid;
    char said[32] = "";
    assert_int_equal(pipe(p), 0);
    f->s.command = "echo words >&2; echo out";
    int fd = ssh_start(&f->s, p[1], &pid, &f->e);
    close(p[1]);
    assert_true(fd >= 0);
    assert_int_equal(sys_reap(pid, WAIT_MS, &status, &f->e), 0);
    assert_int_equal(read(p[0], said, sizeof said - 1), 6);
    assert_string_equal(said, "words\n");
    assert_int_equal(sys_read(fd, said, 4, &f->e), 4);
    assert_memory_equal(said, "out\n", 4);
    close(p[0]);
    close(fd);
}

static void test_other_host_key(void **state)
{
    struct fixture *f = *state;
    NEEDS_SSHD(f);
    pid_t pid;
    char *pinned = strdup(f->d.host_key), was[SSH_FINGERPRINT_BYTES], is[SSH_FINGERPRINT_BYTES];
    sshd_new_host_key(&f->d);
    f->s.host_key = pinned;
    assert_true(ssh_fingerprint(pinned, was) && ssh_fingerprint(f->d.host_key, is));
    assert_int_equal(ssh_start(&f->s, -1, &pid, &f->e), -ERR_REFUSED);
    assert_non_null(strstr(f->e.why, was));
    assert_non_null(strstr(f->e.why, is));
    f->s.host_key = "ssh-ed25519 nonsense";
    assert_int_equal(ssh_start(&f->s, -1, &pid, &f->e), -ERR_CONFIG);
    free(pinned);
}

static void test_key_that_is_not_let_in(void **state)
{
    struct fixture *f = *state;
    NEEDS_SSHD(f);
    pid_t pid;
    char path[128], *public_key = NULL, *again = NULL;
    snprintf(path, sizeof path, "%s/other", f->d.dir);
    assert_int_equal(ssh_key_make(path, "c", &public_key, &f->e), 0);
    assert_int_equal(ssh_key_make(path, "c", &again, &f->e), -ERR_EXISTS);
    f->s.identity = path;
    assert_int_equal(ssh_start(&f->s, -1, &pid, &f->e), -ERR_REFUSED);
    assert_int_equal(ssh_key_public(path, &again, &f->e), 0);
    assert_memory_equal(public_key, again, strlen(again));
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(ssh_start(&f->s, -1, &pid, &f->e), -ERR_KEY);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(truncate(path, 60), 0);
    assert_int_equal(ssh_start(&f->s, -1, &pid, &f->e), -ERR_KEY);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(ssh_start(&f->s, -1, &pid, &f->e), -ERR_KEY);
    free(public_key);
    free(again);
}

static void test_nobody_there(void **state)
{
    struct fixture *f = *state;
    NEEDS_SSHD(f);
    pid_t pid;
    sshd_stop(&f->d);
    assert_int_equal(ssh_start(&f->s, -1, &pid, &f->e), -ERR_UNREACHABLE);
    f->s.host = "no-such-host.invalid";
    assert_int_equal(ssh_start(&f->s, -1, &pid, &f->e), -ERR_UNREACHABLE);
}

/* Something that accepts and then says nothing. */
static void test_silent_host(void **state)
{
    struct fixture *f = *state;
    NEEDS_SSHD(f);
    pid_t pid;
    assert_int_equal(kill(f->d.pid, SIGSTOP), 0);
    f->s.deadline_ms = 700;
    uint64_t before = sys_monotonic_ms();
    assert_int_equal(ssh_start(&f->s, -1, &pid, &f->e), -ERR_TIMEOUT);
    assert_true(sys_monotonic_ms() - before < 10000);
    assert_int_equal(kill(f->d.pid, SIGCONT), 0);
}

static void test_looking_at_the_host_key(void **state)
{
    struct fixture *f = *state;
    NEEDS_SSHD(f);
    char *key = NULL, path[128], line[1024];
    assert_int_equal(ssh_host_key("127.0.0.1", f->d.port, 0, &key, &f->e), 0);
    assert_string_equal(key, f->d.host_key);
    snprintf(path, sizeof path, "%s/known", f->d.dir);
    assert_int_equal(ssh_known_host(path, "127.0.0.1", f->d.port, key, &f->e), 0);
    snprintf(line, sizeof line, "[127.0.0.1]:%u %s\n", f->d.port, key);
    assert_int_equal(sys_write_file(AT_FDCWD, path, line, strlen(line), 0600, NULL), 0);
    assert_int_equal(ssh_known_host(path, "127.0.0.1", f->d.port, key, &f->e), 1);
    assert_int_equal(ssh_known_host(path, "127.0.0.1", f->d.port + 1, key, &f->e), 0);
    assert_int_equal(ssh_known_host(path, "127.0.0.1", f->d.port, f->d.public_key, &f->e),
                     -ERR_REFUSED);
    free(key);
}

static void test_cut_link(void **state)
{
    struct fixture *f = *state;
    NEEDS_SSHD(f);
    pid_t pid;
    int status;
    char buf[8];
    f->s.command = "echo hi; sleep 60";
    int fd = ssh_start(&f->s, -1, &pid, &f->e);
    assert_true(fd >= 0);
    assert_int_equal(sys_wait_fd(fd, POLLIN, WAIT_MS, &f->e), 0);
    assert_int_equal(read(fd, buf, 3), 3);
    assert_true(sshd_cut(&f->d) > 0);
    assert_int_equal(sys_wait_fd(fd, POLLIN, WAIT_MS, &f->e), 0);
    assert_int_equal(read(fd, buf, 1), 0);
    assert_int_equal(sys_reap(pid, WAIT_MS, &status, &f->e), 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == SSH_STATUS_LOST);
    close(fd);
}

/* The child ends by itself when whoever started it is gone. */
static void test_our_end_closed(void **state)
{
    struct fixture *f = *state;
    NEEDS_SSHD(f);
    pid_t pid;
    int status;
    f->s.command = "sleep 60";
    int fd = ssh_start(&f->s, -1, &pid, &f->e);
    assert_true(fd >= 0);
    close(fd);
    uint64_t before = sys_monotonic_ms();
    assert_int_equal(sys_reap(pid, WAIT_MS, &status, &f->e), 0);
    assert_true(sys_monotonic_ms() - before < WAIT_MS);
    assert_true(WIFEXITED(status));
}

static bool status_has(pid_t pid, const char *line)
{
    char path[64], text[256];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *s = fopen(path, "r");
    assert_non_null(s);
    while (fgets(text, sizeof text, s))
        found = found || strncmp(text, line, strlen(line)) == 0;
    fclose(s);
    return found;
}

static void test_what_was_given_up(void **state)
{
    struct fixture *f = *state;
    NEEDS_SSHD(f);
    pid_t pid;
    f->s.command = "sleep 60";
    int fd = ssh_start(&f->s, -1, &pid, &f->e);
    assert_true(fd >= 0);
    assert_true(status_has(pid, "Seccomp:\t2"));
    assert_true(status_has(pid, "NoNewPrivs:\t1"));
    if (geteuid() == 0) {
        assert_true(status_has(pid, "Uid:\t65534\t65534\t65534\t65534"));
        assert_true(status_has(pid, "CapEff:\t0000000000000000"));
        assert_true(status_has(pid, "Groups:\t \n") || status_has(pid, "Groups:\t\n"));
    }
    close(fd);
    assert_int_equal(sys_reap(pid, WAIT_MS, NULL, &f->e), 0);
}

/* An answer that comes off the socket while the other stream is read must not lie in the child's queue until something else comes:
 * who asks waits for it. */
static void test_every_answer_comes_at_once(void **state)
{
    enum { QUESTIONS = 30000, ANSWER_MS = 10000 };
    struct fixture *f = *state;
    NEEDS_SSHD(f);
    pid_t pid = 0;
    int status = -1;
    f->s.command = "cat";
    int fd = ssh_start(&f->s, -1, &pid, &f->e);
    assert_true(fd >= 0);
    for (unsigned i = 0; i < QUESTIONS; i++) {
        unsigned answer = 0;
        assert_int_equal(send(fd, &i, sizeof i, MSG_NOSIGNAL), sizeof i);
        for (size_t n = 0; n < sizeof answer;) {
            struct pollfd w = { .fd = fd, .events = POLLIN };
            if (poll(&w, 1, ANSWER_MS) <= 0)
                fail_msg("no answer to question %u", i);
            ssize_t got = recv(fd, (char *)&answer + n, sizeof answer - n, 0);
            assert_true(got > 0);
            n += (size_t)got;
        }
        assert_int_equal(answer, i);
    }
    close(fd);
    sys_reap(pid, WAIT_MS, &status, NULL);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_every_answer_comes_at_once),
        T(test_bytes_both_ways),
        T(test_exit_status),
        T(test_stderr_is_apart),
        T(test_other_host_key),
        T(test_key_that_is_not_let_in),
        T(test_nobody_there),
        T(test_silent_host),
        T(test_looking_at_the_host_key),
        T(test_cut_link),
        T(test_our_end_closed),
        T(test_what_was_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
