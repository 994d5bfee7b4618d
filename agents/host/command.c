/* command.c - one command of a policy on this host; see host.h. */
#include "agents/guard.h"
#include "agents/host/host.h"
#include "agents/trusted.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MS 50
#define WIRE_LOOK_MS 1000
#define MAX_PARTS_AT_ONCE 64
#define ENV_TEXTS 5

struct running {
    const struct host_command *c;
    pid_t pid;
    int fd; /* what it says */
    char *said;
    size_t n;                     /* in all; the last MAX_COMMAND_OUTPUT are kept, in a ring */
    uint64_t looked_ms, heard_ms; /* that the other side still speaks */
};

/* --- starting it ------------------------------------------------------------------------------------ */
static int make_env(const struct host_command *c, char *env[ENV_TEXTS + 1], struct err *e)
{
    static const char path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    const char *home = getenv("HOME");
    const struct {
        const char *name, *value;
    } all[ENV_TEXTS] = {
        { "PATH", path },
        { "HOME", home && *home ? home : "/" },
        { "LC_ALL", "C.UTF-8" },
        { "TWOFOLD_POLICY", c->policy ? c->policy : "" },
        { "TWOFOLD_INCIDENT", c->incident ? c->incident : "" },
    };
    bool failed = false;
    for (size_t i = 0; i < ENV_TEXTS; i++)
        if (asprintf(&env[i], "%s=%s", all[i].name, all[i].value) < 0) {
            env[i] = NULL;
            failed = true;
        }
    return failed ? err_set(e, ERR_NOMEM, _("no memory")) : 0;
}

static int start(struct running *r, struct err *e)
{
    const char *argv[MAX_HOOK_WORDS + 2] = { NULL };
    char *env[ENV_TEXTS + 1] = { 0 };
    int fd[2] = { -1, -1 };
    int rc = trusted_check(r->c->words[0],
                           e); /* who can exchange it has anything done as our user */
    if (rc == 0)
        rc = make_env(r->c, env, e);
    for (size_t i = 0; i < r->c->n && i < MAX_HOOK_WORDS; i++)
        argv[i] = r->c->words[i];
    argv[r->c->n] = r->c->last;
    if (rc == 0 && (pipe2(fd, O_CLOEXEC) < 0 || fcntl(fd[0], F_SETFL, O_NONBLOCK) < 0))
        rc = err_sys(e, "%s", argv[0]);
    struct sys_child child = {
        .argv = argv, .env = (const char *const *)env, .in_fd = -1, .out_fd = fd[1], .err_fd = fd[1]
    };
    if (rc == 0)
        rc = sys_spawn_group(&child, &r->pid, e);
    sys_close_quiet(fd[1]);
    r->fd = fd[0];
    for (size_t i = 0; i < ENV_TEXTS; i++)
        free(env[i]);
    return rc;
}

/* --- what it says ------------------------------------------------------------------------------------ */
static void hear(struct running *r)
{
    char part[4096];
    for (int i = 0; r->fd >= 0 && i < MAX_PARTS_AT_ONCE; i++) {
        ssize_t n = read(r->fd, part, sizeof part);
        for (ssize_t k = 0; k < n; k++)
            r->said[r->n++ % MAX_COMMAND_OUTPUT] = part[k];
        if (n == 0) {
            sys_close_quiet(r->fd);
            r->fd = -1;
        }
        if (n <= 0)
            return;
    }
}

/* From the ring, in order; not from the middle of a character on, and without control characters. */
static char *take_output(const struct running *r)
{
    size_t have = r->n < MAX_COMMAND_OUTPUT ? r->n : MAX_COMMAND_OUTPUT, from = r->n - have, n = 0;
    char *text = malloc(have + 1);
    if (!text)
        return NULL;
    while (have > 0 && from > 0 &&
           ((unsigned char)r->said[from % MAX_COMMAND_OUTPUT] & 0xC0) == 0x80) {
        from++;
        have--;
    }
    for (size_t i = from; i < r->n; i++) {
        unsigned char c = (unsigned char)r->said[i % MAX_COMMAND_OUTPUT];
        text[n++] = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7F ? ' ' : (char)c;
    }
    text[n] = '\0';
    return text;
}

/* --- its end ------------------------------------------------------------------------------------------- */
static bool has_ended(const struct running *r, int *ret_status)
{
    return waitpid(r->pid, ret_status, WNOHANG) == r->pid;
}

static void end_group(struct running *r, int *ret_status)
{
    uint64_t until = sys_monotonic_ms() + GUARD_KILL_GRACE_MS;
    (void)kill(-r->pid, SIGTERM);
    while (!has_ended(r, ret_status)) {
        hear(r);
        if (sys_monotonic_ms() >= until) {
            (void)kill(-r->pid, SIGKILL);
            while (waitpid(r->pid, ret_status, 0) < 0 && errno == EINTR)
                ;
            break;
        }
        poll(NULL, 0, LOOK_MS);
    }
    (void)kill(-r->pid, SIGKILL); /* what it started */
}

/* Negative: nobody waits for it any more. */
static int look_at_wire(struct running *r, struct err *e)
{
    enum frame_type type;
    struct rbuf p;
    struct err why = ERR_INIT;
    if (sys_interrupted())
        return err_set(e, ERR_INTERRUPTED, _("interrupted by a signal"));
    if (sys_monotonic_ms() < r->looked_ms + WIRE_LOOK_MS)
        return 0;
    r->looked_ms = sys_monotonic_ms();
    if (r->c->report)
        r->c->report->n.bytes_read++; /* it gets on: the orchestrator need not doubt it */
    if (r->c->tick)
        return r->c->tick(r->c->ctx, e);
    struct pollfd p_in = { .fd = r->c->wire ? wire_fd(r->c->wire) : -1, .events = POLLIN };
    if (poll(&p_in, 1, 0) > 0 || r->heard_ms == 0)
        r->heard_ms = r->looked_ms;
    if (r->c->wire && r->looked_ms - r->heard_ms > WIRE_DEADLINE_MS)
        return err_set(e, ERR_TIMEOUT, _("the orchestrator is not heard any more"));
    int rc = r->c->wire ? wire_recv(r->c->wire, &type, &p, 1, &why) : -ERR_TIMEOUT;
    if (rc == -ERR_TIMEOUT)
        return 0;
    if (rc == 0)
        return err_set(e, ERR_INTERRUPTED, _("the orchestrator has ended it"));
    if (e)
        *e = why;
    return rc;
}

static int wait_for(struct running *r, struct host_ran *ret, struct err *e)
{
    unsigned limit_s = r->c->limit_s ? r->c->limit_s : DEFAULT_HOOK_LIMIT_S;
    uint64_t until = sys_monotonic_ms() + (uint64_t)limit_s * 1000;
    int status = 0, rc = 0;
    for (;;) {
        struct pollfd p = { .fd = r->fd, .events = POLLIN };
        if (has_ended(r, &status))
            break;
        poll(&p, 1, LOOK_MS);
        hear(r);
        rc = look_at_wire(r, e);
        ret->timed_out = sys_monotonic_ms() >= until;
        if (rc < 0 || ret->timed_out) {
            end_group(r, &status);
            break;
        }
    }
    hear(r);
    ret->status = WIFEXITED(status) ? WEXITSTATUS(status)
                                    : 128 + (WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    return rc;
}

int host_command_run(const struct host_command *c, struct host_ran *ret, struct err *e)
{
    struct running r = { .c = c, .fd = -1, .said = malloc(MAX_COMMAND_OUTPUT) };
    uint64_t began = sys_monotonic_ms();
    *ret = (struct host_ran){ 0 };
    int rc = r.said ? start(&r, e) : err_set(e, ERR_NOMEM, _("no memory"));
    if (rc == 0)
        rc = wait_for(&r, ret, e);
    ret->ms = sys_monotonic_ms() - began;
    if (rc == 0 && !(ret->output = take_output(&r)))
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    sys_close_quiet(r.fd);
    free(r.said);
    return rc < 0 ? err_wrap(e, "%s", c->words[0]) : 0;
}
