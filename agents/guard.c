/* guard.c - see agents/guard.h. */
#include "agents/guard.h"
#include "agents/trusted.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define AGENT_FD 0
#define LOCK_FD 3
#define MAX_TAIL_BYTES 4096
#define MAX_TOLD_BYTES 400
#define LOOK_MS 20
#define MAX_PARTS_AT_ONCE 64
#define MAX_NAMED 4096
#define SAFE_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct guard {
    struct guard_job job;
    int heard
        [2]; /* what `before` and `after` say on standard error: kept open for what they leave running; or -1 */
    char tail[MAX_TAIL_BYTES];
    size_t tail_len;
    bool agent_gone;
};

/* --- jobs --------------------------------------------------------------------------------------- */
void guard_job_done(struct guard_job *j)
{
    free(j->marker);
    free(j->policy);
    free(j->source);
    hooks_done(&j->hooks);
    *j = (struct guard_job){ 0 };
}

void guard_job_write(struct wbuf *w, const struct guard_job *j)
{
    wb_bytes(w, "TWFH\1", 5);
    wb_str(w, j->marker);
    wb_str(w, j->policy);
    wb_str(w, j->source);
    hooks_write(w, &j->hooks);
    wb_u8(w, j->begun);
}

int guard_job_read(const void *p, size_t n, struct guard_job *ret, struct err *e)
{
    struct rbuf r = rbuf_of(p, n);
    struct guard_job j = { 0 };
    const uint8_t *magic = rb_bytes(&r, 5);
    if (magic && memcmp(magic, "TWFH\1", 5) != 0)
        rb_fail(&r);
    j.marker = rb_strdup(&r, MAX_NAMED);
    j.policy = rb_strdup(&r, MAX_NAMED);
    j.source = rb_strdup(&r, MAX_NAMED);
    if (!r.bad)
        hooks_read(&r, &j.hooks);
    unsigned begun = rb_u8(&r);
    if (!rb_done(&r) || begun > 1) {
        guard_job_done(&j);
        return err_set(e, ERR_DAMAGED, _("what is to be run after a backup cannot be read"));
    }
    j.begun = begun;
    *ret = j;
    return 0;
}

/* --- what a command says ------------------------------------------------------------------------ */
static void keep_tail(struct guard *g, const char *p, size_t n)
{
    if (n >= MAX_TAIL_BYTES) {
        p += n - MAX_TAIL_BYTES;
        n = MAX_TAIL_BYTES;
    }
    size_t stays = g->tail_len + n > MAX_TAIL_BYTES ? MAX_TAIL_BYTES - n : g->tail_len;
    memmove(g->tail, g->tail + g->tail_len - stays, stays);
    memcpy(g->tail + stays, p, n);
    g->tail_len = stays + n;
}

/* As much as there is, kept or not; at its end the descriptor is closed. */
static void hear(struct guard *g, int *fd, bool keep)
{
    char part[4096];
    ssize_t n = 0;
    for (int i = 0; *fd >= 0 && i < MAX_PARTS_AT_ONCE; i++) {
        if ((n = read(*fd, part, sizeof part)) <= 0)
            break;
        if (keep)
            keep_tail(g, part, (size_t)n);
    }
    if (*fd >= 0 && (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))) {
        sys_close_quiet(*fd);
        *fd = -1;
    }
}

/* The last of it in one line, without control characters, not from the middle of a character on. */
static void tail_text(const struct guard *g, char ret[MAX_TOLD_BYTES + 1])
{
    char text[MAX_TAIL_BYTES];
    size_t n = 0, from = 0;
    for (size_t i = 0; i < g->tail_len; i++) {
        unsigned char c = (unsigned char)g->tail[i];
        bool blank = c <= 0x20 || c == 0x7F;
        if (!blank)
            text[n++] = (char)c;
        else if (n > 0 && text[n - 1] != ' ')
            text[n++] = ' ';
    }
    while (n > 0 && text[n - 1] == ' ')
        n--;
    if (n > MAX_TOLD_BYTES) {
        from = n - MAX_TOLD_BYTES;
        while (from < n && ((unsigned char)text[from] & 0xC0) == 0x80)
            from++;
    }
    memcpy(ret, text + from, n - from);
    ret[n - from] = '\0';
}

/* --- the agent ---------------------------------------------------------------------------------- */
/* Is there something to receive, or has it gone? */
static void look_at_agent(struct guard *g)
{
    char c;
    ssize_t n = recv(AGENT_FD, &c, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        g->agent_gone = true;
}

static bool receive(void *p, size_t n)
{
    return sys_read(AGENT_FD, p, n, NULL) == (ssize_t)n;
}

static void answer(const struct err *e)
{
    struct guard_answer a;
    memset(&a, 0, sizeof a);
    a.ok = e->code == ERR_NONE;
    if (!a.ok)
        snprintf(a.text, sizeof a.text, "%s%s%s", e->what, e->what[0] ? ": " : "", e->why);
    for (size_t at = 0; at < sizeof a;) {
        ssize_t n = send(AGENT_FD, (const char *)&a + at, sizeof a - at, MSG_NOSIGNAL);
        if (n <= 0 && errno != EINTR)
            return;
        at += n > 0 ? (size_t)n : 0;
    }
}

/* --- a command ----------------------------------------------------------------------------------- */
#define ENV_TEXTS 7
static void free_env(char *env[ENV_TEXTS + 1])
{
    for (size_t i = 0; i < ENV_TEXTS; i++)
        free(env[i]);
}

static int make_env(const struct guard_job *j, const char *phase, const char *result,
                    char *env[ENV_TEXTS + 1], struct err *e)
{
    const char *home = getenv("HOME");
    const struct {
        const char *name, *value;
    } all[ENV_TEXTS - 1] = {
        { "HOME", home && *home ? home : "/" },
        { "LC_ALL", "C.UTF-8" },
        { "TWOFOLD_POLICY", j->policy },
        { "TWOFOLD_SOURCE", j->source },
        { "TWOFOLD_PHASE", phase },
        { "TWOFOLD_RESULT", result },
    };
    bool failed = !(env[ENV_TEXTS - 1] = strdup(SAFE_PATH));
    for (size_t i = 0; i < ENV_TEXTS - 1; i++)
        if (asprintf(&env[i], "%s=%s", all[i].name, all[i].value) < 0) {
            env[i] = NULL;
            failed = true;
        }
    if (!failed)
        return 0;
    free_env(env);
    return err_set(e, ERR_NOMEM, _("no memory"));
}

static int start(struct guard *g, char *const *words, const char *phase, const char *result,
                 pid_t *ret_pid, int *ret_heard, struct err *e)
{
    int fd[2];
    char *env[ENV_TEXTS + 1] = { 0 };
    int rc = trusted_check(words[0], e); /* who can exchange it has anything done as our user */
    if (rc == 0)
        rc = make_env(&g->job, phase, result, env, e);
    if (rc < 0)
        return rc;
    rc = pipe2(fd, O_CLOEXEC);
    if (rc < 0)
        rc = err_sys(e, "%s", words[0]);
    else {
        struct sys_child c = { .argv = (const char *const *)words,
                               .env = (const char *const *)env,
                               .in_fd = -1,
                               .out_fd = -1,
                               .err_fd = fd[1] };
        rc = fcntl(fd[0], F_SETFL, O_NONBLOCK) < 0 ? err_sys(e, "%s", words[0])
                                                   : sys_spawn_group(&c, ret_pid, e);
        sys_close_quiet(fd[1]);
        if (rc < 0)
            sys_close_quiet(fd[0]);
        else
            *ret_heard = fd[0];
    }
    free_env(env);
    return rc;
}

/* 1: it has ended; 0: not yet. */
static int ended(pid_t pid, int *ret_status)
{
    return waitpid(pid, ret_status, WNOHANG) == pid;
}

static void end_group(struct guard *g, pid_t pid, int *fd)
{
    uint64_t until = sys_monotonic_ms() + GUARD_KILL_GRACE_MS;
    int status;
    (void)kill(-pid, SIGTERM);
    while (!ended(pid, &status)) {
        if (sys_monotonic_ms() >= until) {
            (void)kill(-pid, SIGKILL);
            while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
            break;
        }
        poll(NULL, 0, LOOK_MS);
    }
    (void)kill(-pid, SIGKILL); /* what it started */
    hear(g, fd, true);
}

/* Until it ends, is to be ended, or both. *ret_status as of waitpid. */
static int wait_for(struct guard *g, pid_t pid, int *fd, bool heed_agent, int *ret_status,
                    struct err *e)
{
    unsigned limit_s = g->job.hooks.limit_s ? g->job.hooks.limit_s : DEFAULT_HOOK_LIMIT_S;
    uint64_t until = sys_monotonic_ms() + (uint64_t)limit_s * 1000;
    for (;;) {
        struct pollfd p[2] = { { .fd = g->heard[0], .events = POLLIN },
                               { .fd = g->heard[1], .events = POLLIN } };
        bool gone = ended(pid, ret_status) != 0;
        hear(g, &g->heard[0], fd == &g->heard[0]);
        hear(g, &g->heard[1], fd == &g->heard[1]);
        if (gone)
            return 0;
        if (heed_agent)
            look_at_agent(g);
        if (heed_agent && g->agent_gone) {
            end_group(g, pid, fd);
            return err_set(e, ERR_INTERRUPTED, _("the run has ended"));
        }
        if (sys_monotonic_ms() >= until) {
            end_group(g, pid, fd);
            return err_set(e, ERR_TIMEOUT, _("it did not end within %u s"), limit_s);
        }
        poll(p, 2, LOOK_MS);
    }
}

static int judge(int status, struct err *e)
{
    if (WIFSIGNALED(status))
        return err_set(e, ERR_FAILED, _("it was ended by signal %d"), WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        return err_set(e, ERR_FAILED, _("it ended with status %d"), WEXITSTATUS(status));
    return 0;
}

static int run(struct guard *g, char *const *words, bool before, const char *result, struct err *e)
{
    int *fd = &g->heard[before ? 0 : 1], status = 0;
    char said[MAX_TOLD_BYTES + 1];
    pid_t pid = 0;
    g->tail_len = 0;
    int rc = start(g, words, before ? "before" : "after", result, &pid, fd, e);
    if (rc < 0)
        return rc;
    rc = wait_for(g, pid, fd, before, &status, e);
    if (rc == 0)
        rc = judge(status, e);
    tail_text(g, said);
    if (rc < 0 && said[0]) {
        char why[sizeof e->why];
        snprintf(why, sizeof why, "%s", e->why);
        err_set(e, e->code, _("%s: %s"), why, said);
    }
    return rc < 0 ? err_wrap(e, "%s", words[0]) : 0;
}

/* --- the run --------------------------------------------------------------------------------------- */
static int make_marker(const struct guard_job *j, struct err *e)
{
    struct guard_job later = *j;
    struct wbuf w = WBUF_INIT;
    later.begun = true;
    guard_job_write(&w, &later);
    int rc = w.failed ? err_set(e, ERR_NOMEM, _("no memory"))
                      : sys_write_file(AT_FDCWD, j->marker, w.p, w.len, 0600, e);
    wbuf_free(&w);
    return rc < 0 ? err_wrap(e, "%s", j->marker) : 0;
}

static int remove_marker(const struct guard_job *j, struct err *e)
{
    char *folder = strdup(j->marker), *slash = folder ? strrchr(folder, '/') : NULL;
    if (!slash) {
        free(folder);
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    slash[slash == folder] = '\0';
    int rc = sys_unlinkat(AT_FDCWD, j->marker, 0, e);
    if (rc == -ERR_ABSENT) {
        err_clear(e);
        rc = 0;
    }
    if (rc == 0)
        rc = sys_fsync_dir(AT_FDCWD, folder, e);
    free(folder);
    return rc;
}

/* What `before` has left running must not be stopped by a full pipe. */
static unsigned char await_result(struct guard *g)
{
    unsigned char result = GUARD_FAILED;
    while (!g->agent_gone) {
        struct pollfd p[2] = { { .fd = AGENT_FD, .events = POLLIN },
                               { .fd = g->heard[0], .events = POLLIN } };
        poll(p, 2, -1);
        hear(g, &g->heard[0], false);
        if (!(p[0].revents & (POLLIN | POLLHUP | POLLERR)))
            continue;
        if (receive(&result, 1))
            return result;
        g->agent_gone = true;
    }
    return GUARD_FAILED;
}

static const char *result_word(unsigned char result)
{
    return result == GUARD_CAPTURED ? "captured" : result == GUARD_UNKNOWN ? "unknown" : "failed";
}

static int begin(struct guard *g, struct err *e)
{
    const struct hooks *h = &g->job.hooks;
    int rc = h->n_after > 0 ? make_marker(&g->job, e) : 0;
    if (rc < 0) {
        g->job.hooks.n_after = 0; /* nothing was frozen */
        return rc;
    }
    return h->n_before > 0 ? run(g, h->before, true, "begun", e) : 0;
}

static void guard(struct guard *g)
{
    struct err e = ERR_INIT;
    size_t n_after = g->job.hooks.n_after;
    if (!g->job.begun) {
        begin(g, &e);
        answer(&e);
    }
    unsigned char result = await_result(g);
    err_clear(&e);
    if (g->job.hooks.n_after > 0 && run(g, g->job.hooks.after, false, result_word(result), &e) == 0)
        remove_marker(&g->job, &e);
    answer(&e);
    g->job.hooks.n_after = n_after;
}

static void on_signal(int sig)
{
    (void)sig;
}

/* Those who end the agent politely mean this process, too, which has its duty. Handled, not ignored: the commands are to have the usual ones. */
static void stay(void)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE };
    struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    prctl(PR_SET_PDEATHSIG, 0);
    (void)setsid();
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &sa, NULL);
    (void)fcntl(LOCK_FD, F_SETFD, FD_CLOEXEC);
    (void)!chdir("/");
}

static bool receive_job(struct guard_job *ret)
{
    uint8_t head[4];
    if (!receive(head, sizeof head))
        return false;
    struct rbuf r = rbuf_of(head, sizeof head);
    uint32_t n = rb_u32(&r);
    uint8_t *p = n > 0 && n <= MAX_GUARD_JOB_BYTES ? malloc(n) : NULL;
    bool ok = p && receive(p, n) && guard_job_read(p, n, ret, NULL) == 0;
    free(p);
    return ok && ret->marker[0] == '/';
}

int guard_main(void)
{
    struct guard g = { .heard = { -1, -1 } };
    stay();
    bool ok = receive_job(&g.job);
    if (ok)
        guard(&g);
    guard_job_done(&g.job);
    sys_close_quiet(g.heard[0]);
    sys_close_quiet(g.heard[1]);
    return ok ? 0 : 1;
}
