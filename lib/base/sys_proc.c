/* sys_proc.c - time, chance, child processes, waiting and signals. The manual is lib/base/sys.h. */
#include "lib/base/sys.h"
#include "lib/base/sys_fault.h"
#include "lib/base/i18n.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

/* Descriptors of a started child. */
#define CHILD_EXTRA_FD 3
#define CHILD_STATUS_FD 4
/* Where descriptors wait while 0 to 4 are being filled. */
#define PARKING_FD 16
/* Without close_range and /proc, descriptors are closed up to here. */
#define MAX_CLOSED_FD 65536
/* A killed child that does not go away in this time hangs in the kernel. */
#define KILLED_WAIT_MS 5000
#define SPAWN_ROOM_BYTES ((size_t)1 << 20) /* of the socket pair, each way */
/* A signal may be delivered to another thread: waits look at the flag this often. */
#define WAIT_SLICE_MS 200

/* --- time and chance -------------------------------------------------------------------------- */
static struct timespec now(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) < 0)
        abort();
    return t;
}

uint64_t sys_monotonic_us(void)
{
    struct timespec t = now(CLOCK_MONOTONIC);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t sys_monotonic_ms(void)
{
    struct timespec t = now(CLOCK_MONOTONIC);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void sys_boot_id(char ret[SYS_BOOT_ID_BYTES])
{
    uint8_t *text = NULL;
    size_t n = 0;
    memset(ret, 0, SYS_BOOT_ID_BYTES);
    if (sys_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &text, &n, NULL) == 0)
        snprintf(ret, SYS_BOOT_ID_BYTES, "%.36s", (char *)text);
    free(text);
}

int64_t sys_realtime_s(void)
{
    return now(CLOCK_REALTIME).tv_sec + sys_fault_clock_s();
}

int64_t sys_realtime_ns(void)
{
    struct timespec t = now(CLOCK_REALTIME);
    return ((int64_t)t.tv_sec + sys_fault_clock_s()) * 1000000000 + t.tv_nsec;
}

void sys_random(void *p, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = getrandom((char *)p + done, n - done, 0);
        if (got > 0)
            done += (size_t)got;
        else if (got == 0 || errno != EINTR)
            abort();
    }
}

/* --- starting a child ------------------------------------------------------------------------- */
/* What the child is given; the functions below run between fork and exec, where other threads'
 * locks may be held: system calls only, no memory, no stdio. */
struct start {
    const char *const *argv;
    pid_t parent;
    int in, out, extra, errors, status;
    const struct sys_child *group; /* NULL: one of ours */
};

struct dirent64_abi {
    uint64_t ino;
    int64_t off;
    unsigned short reclen;
    unsigned char type;
    char name[];
};

static bool close_listed(int from)
{
    union {
        char bytes[4096];
        struct dirent64_abi align;
    } buf;
    int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return false;
    for (;;) {
        long n = syscall(SYS_getdents64, dir, buf.bytes, sizeof buf.bytes);
        if (n <= 0) {
            close(dir);
            return n == 0;
        }
        for (long at = 0; at < n;) {
            const struct dirent64_abi *d = (const void *)(buf.bytes + at);
            int fd = 0;
            const char *c = d->name;
            for (; *c >= '0' && *c <= '9'; c++)
                fd = fd * 10 + (*c - '0');
            if (c != d->name && fd >= from && fd != dir)
                close(fd);
            at += d->reclen;
        }
    }
}

static void close_from(int from)
{
    if (syscall(SYS_close_range, (unsigned)from, UINT_MAX, 0) == 0 || close_listed(from))
        return;
    struct rlimit lim;
    int end = MAX_CLOSED_FD;
    if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < MAX_CLOSED_FD)
        end = (int)lim.rlim_cur;
    for (int fd = from; fd < end; fd++)
        close(fd);
}

static int park(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, PARKING_FD);
}

static void child_failed(int status_fd)
{
    int sys = errno;
    ssize_t ignored = write(status_fd, &sys, sizeof sys);
    (void)ignored;
    _exit(127);
}

static void child_signals(void)
{
    /* Ignored signals and the mask would survive exec. */
    struct sigaction dfl = { .sa_handler = SIG_DFL };
    sigset_t none;
    sigemptyset(&none);
    sigaction(SIGPIPE, &dfl, NULL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Raw calls: those of the C library would look for other threads. */
static bool child_becomes(const struct sys_child *g)
{
    return syscall(SYS_setgroups, g->n_groups, g->groups) == 0 &&
           syscall(SYS_setresgid, g->gid, g->gid, g->gid) == 0 &&
           syscall(SYS_setresuid, g->uid, g->uid, g->uid) == 0;
}

static void child_main(const struct start *s)
{
    bool outlives = s->group && s->group->outlives;
    if (s->group && ((outlives ? setsid() : setpgid(0, 0)) < 0 ||
                     (s->group->as_user && !child_becomes(s->group))))
        child_failed(s->status);
    if (outlives) {
        pid_t pid =
            fork(); /* the system's child, not ours: it is no zombie of a process that runs for long */
        if (pid < 0)
            child_failed(s->status);
        if (pid > 0)
            _exit(0);
    } else {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* forgotten by a change of the user, so after it */
        if (getppid() != s->parent)
            _exit(127); /* it died before we asked */
    }
    child_signals();
    int status = park(s->status), in = park(s->in), out = park(s->out);
    int extra = s->extra < 0 ? -1 : park(s->extra);
    int errors = s->errors < 0 ? -1 : park(s->errors);
    if (status < 0)
        child_failed(s->status);
    if (in < 0 || out < 0 || (s->extra >= 0 && extra < 0) || dup2(in, 0) < 0 || dup2(out, 1) < 0)
        child_failed(status);
    if (s->errors >= 0 && (errors < 0 || dup2(errors, STDERR_FILENO) < 0))
        child_failed(status);
    if (extra >= 0 && dup2(extra, CHILD_EXTRA_FD) < 0)
        child_failed(status);
    if (extra < 0)
        close(CHILD_EXTRA_FD);
    if (dup3(status, CHILD_STATUS_FD, O_CLOEXEC) < 0)
        child_failed(status);
    close_from(CHILD_STATUS_FD + 1);
    if (s->group)
        execve(s->argv[0], (char *const *)s->argv, (char *const *)s->group->env);
    else
        execv(s->argv[0], (char *const *)s->argv);
    child_failed(CHILD_STATUS_FD);
}

/* Waits until the child has begun its program (the pipe closes by itself) or said why it cannot. */
static int child_began(int status_fd)
{
    int sys = 0;
    ssize_t got;
    do {
        got = read(status_fd, &sys, sizeof sys);
    } while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof sys ? sys : 0;
}

void sys_widen(int fd, size_t n)
{
    int room = n > INT_MAX ? INT_MAX : (int)n;
    if (fcntl(fd, F_SETPIPE_SZ, room) < 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
}

int sys_spawn(const char *const argv[], int extra_fd, pid_t *ret_pid, struct err *e)
{
    return sys_spawn_heard(argv, extra_fd, -1, ret_pid, e);
}

/* Starts it and waits until its program has begun. */
static int start_child(struct start *s, pid_t *ret_pid, struct err *e)
{
    int pipe_fd[2];
    if (pipe2(pipe_fd, O_CLOEXEC) < 0)
        return err_sys(e, _("start \"%s\""), s->argv[0]);
    s->parent = getpid();
    s->status = pipe_fd[1];
    pid_t pid = fork();
    if (pid == 0)
        child_main(s);
    sys_close_quiet(pipe_fd[1]);
    int sys = pid < 0 ? errno : child_began(pipe_fd[0]);
    sys_close_quiet(pipe_fd[0]);
    while (pid > 0 && sys != 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (sys != 0) {
        errno = sys;
        return err_sys(e, _("start \"%s\""), s->argv[0]);
    }
    *ret_pid = pid;
    return 0;
}

int sys_spawn_heard(const char *const argv[], int extra_fd, int err_fd, pid_t *ret_pid,
                    struct err *e)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(e, _("start \"%s\""), argv[0]);
    sys_widen(pair[0], SPAWN_ROOM_BYTES);
    sys_widen(pair[1], SPAWN_ROOM_BYTES);
    struct start s = {
        .argv = argv, .in = pair[1], .out = pair[1], .extra = extra_fd, .errors = err_fd
    };
    int r = fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0 ? err_sys(e, _("start \"%s\""), argv[0])
                                                    : start_child(&s, ret_pid, e);
    sys_close_quiet(pair[1]);
    if (r == 0)
        return pair[0];
    sys_close_quiet(pair[0]);
    return r;
}

int sys_spawn_group(const struct sys_child *c, pid_t *ret_pid, struct err *e)
{
    int null_fd = sys_openat(AT_FDCWD, "/dev/null", O_RDWR, 0, e);
    if (null_fd < 0)
        return null_fd;
    struct start s = { .argv = c->argv,
                       .in = c->in_fd < 0 ? null_fd : c->in_fd,
                       .out = c->out_fd < 0 ? null_fd : c->out_fd,
                       .extra = -1,
                       .errors = c->err_fd < 0 ? null_fd : c->err_fd,
                       .group = c };
    int r = start_child(&s, ret_pid, e), status;
    if (r == 0 && c->outlives) { /* who started it has ended */
        while (waitpid(*ret_pid, &status, 0) < 0 && errno == EINTR)
            ;
        *ret_pid = 0;
    }
    sys_close_quiet(null_fd);
    return r;
}

int sys_program_path(const char *name, const char *variable, char *out, struct err *e)
{
    const char *env = getenv(variable), *path = getenv("PATH");
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (env && *env) {
        if (strlen(env) < PATH_MAX) {
            strcpy(out, env);
            return 0;
        }
        return err_set(e, ERR_LIMIT, _("the path in %s is too long"), variable);
    }
    if (n > 0) {
        self[n] = '\0';
        int len = snprintf(out, PATH_MAX, "%s/%s", dirname(self), name);
        if (len < PATH_MAX && access(out, X_OK) == 0)
            return 0;
    }
    for (const char *p = path ? path : "/usr/local/bin:/usr/bin"; *p;) {
        size_t len = strcspn(p, ":");
        if (len && snprintf(out, PATH_MAX, "%.*s/%s", (int)len, p, name) < PATH_MAX &&
            access(out, X_OK) == 0)
            return 0;
        p += len + (p[len] == ':');
    }
    err_set(e, ERR_ABSENT, _("the program %s is not beside this program and not in the PATH"),
            name);
    return err_next(e, _("install it, or say where it is: %s=/path/to/%s"), variable, name);
}

/* --- waiting ---------------------------------------------------------------------------------- */
/* 1: gone, 0: still there at the deadline, -1: errno. pidfd would spare the looking, but not on the
 * older kernels. */
static int wait_child(pid_t pid, uint64_t deadline_ms, int *ret_status)
{
    long pause_us = 500;
    for (;;) {
        int status;
        pid_t got = waitpid(pid, &status, WNOHANG);
        if (got == pid) {
            *ret_status = status;
            return 1;
        }
        if (got < 0 && errno != EINTR)
            return -1;
        if (sys_monotonic_ms() >= deadline_ms)
            return 0;
        struct timespec t = { 0, pause_us * 1000 };
        nanosleep(&t, NULL);
        if (pause_us < 20000)
            pause_us *= 2;
    }
}

int sys_reap(pid_t pid, unsigned timeout_ms, int *ret_status, struct err *e)
{
    int status = 0;
    int r = wait_child(pid, sys_monotonic_ms() + timeout_ms, &status);
    if (r == 0) {
        kill(pid, SIGKILL);
        r = wait_child(pid, sys_monotonic_ms() + KILLED_WAIT_MS, &status);
    }
    if (r < 0)
        return err_sys(e, _("wait for process %ld"), (long)pid);
    if (r == 0)
        return err_set(e, ERR_TIMEOUT, _("process %ld does not end even when killed"), (long)pid);
    if (ret_status)
        *ret_status = status;
    return 0;
}

static int slice_until(bool forever, uint64_t deadline_ms)
{
    if (forever)
        return WAIT_SLICE_MS;
    uint64_t t = sys_monotonic_ms();
    uint64_t left = t < deadline_ms ? deadline_ms - t : 0;
    return left < WAIT_SLICE_MS ? (int)left : WAIT_SLICE_MS;
}

int sys_wait_fd(int fd, short events, int timeout_ms, struct err *e)
{
    bool forever = timeout_ms < 0;
    uint64_t deadline = sys_monotonic_ms() + (forever ? 0 : (uint64_t)timeout_ms);
    for (;;) {
        if (sys_interrupted())
            return err_set(e, ERR_INTERRUPTED, _("interrupted by a signal"));
        struct pollfd p = { .fd = fd, .events = events };
        int slice = slice_until(forever, deadline);
        int n = poll(&p, 1, slice);
        if (n > 0 && !(p.revents & POLLNVAL))
            return 0;
        if (n > 0)
            errno = EBADF;
        if (n > 0 || (n < 0 && errno != EINTR))
            return err_sys(e, _("wait"));
        if (n == 0 && !forever && sys_monotonic_ms() >= deadline)
            return err_set(e, ERR_TIMEOUT, _("no answer within %d ms"), timeout_ms);
    }
}

/* --- signals ---------------------------------------------------------------------------------- */
/* Belongs to the process, as signals do. */
static atomic_bool interrupted;

static void on_signal(int sig)
{
    (void)sig;
    atomic_store(&interrupted, true);
}

void sys_catch_signals(void)
{
    static const int caught[] = { SIGINT, SIGTERM, SIGHUP };
    /* No SA_RESTART: what waits is to wake up. */
    struct sigaction act = { .sa_handler = on_signal }, ignore = { .sa_handler = SIG_IGN };
    sigemptyset(&act.sa_mask);
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) {
        struct sigaction had;
        /* nohup(1) has reasons to ignore SIGHUP. */
        if (sigaction(caught[i], NULL, &had) < 0 || had.sa_handler != SIG_IGN)
            sigaction(caught[i], &act, NULL);
    }
    sigaction(SIGPIPE, &ignore, NULL);
}

bool sys_interrupted(void)
{
    return atomic_load(&interrupted);
}
