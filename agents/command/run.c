/* run.c - one program of a driver file. No shell is between, unless the driver file names one. */
#include "agents/command/inner.h"
#include "agents/trusted.h"
#include "lib/base/i18n.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define LOOK_MS 500
#define END_MS 20     /* where only its end is waited for */
#define MERCY_MS 2000 /* between SIGTERM and SIGKILL */
#define PIPE_BYTES (1u << 20)
#define MAX_OWN_ENV 8
/* Parts of 4 KiB: in one turn (one that talks without end has a time limit all the same); at the end: all that a pipe holds. */
#define HEARD_IN_A_TURN 64
#define HEARD_AT_THE_END (2 * (int)(PIPE_BYTES / 4096))

/* --- environment and user ------------------------------------------------------------------------- */
struct surroundings {
    char *own[MAX_OWN_ENV];
    const char *env[MAX_OWN_ENV + MAX_CMD_WORDS + 1];
    size_t n_own, n;
    char path[PATH_MAX];
    const char *argv[MAX_CMD_WORDS + 1];
};

static void surroundings_done(struct surroundings *s)
{
    for (size_t i = 0; i < s->n_own; i++)
        free(s->own[i]);
}

static int put(struct surroundings *s, const char *name, const char *value, struct err *e)
{
    char *text = NULL;
    if (asprintf(&text, "%s=%s", name, value) < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    s->own[s->n_own++] = text;
    s->env[s->n++] = text;
    return 0;
}

static const char *value_of(const struct cmd_driver *d, const char *name, const char *other)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < d->environment.n; i++)
        if (strncmp(d->environment.v[i], name, n) == 0 && d->environment.v[i][n] == '=')
            return d->environment.v[i] + n + 1;
    return other;
}

/* What the driver file sets comes first, so that it counts. */
static int make_environment(struct surroundings *s, const struct cmd_driver *d,
                            const struct passwd *pw, const char *folder, struct err *e)
{
    const struct {
        const char *name, *value;
    } own[] = { { "PATH", DEFAULT_PATH },
                { "HOME", pw ? pw->pw_dir : "/" },
                { "USER", pw ? pw->pw_name : "" },
                { "LOGNAME", pw ? pw->pw_name : "" },
                { "LANG", "C.UTF-8" },
                { "TWOFOLD_DRIVER", d->name },
                { "TWOFOLD_FOLDER", folder } };
    int rc = 0;
    for (size_t i = 0; i < d->environment.n; i++)
        s->env[s->n++] = d->environment.v[i];
    for (size_t i = 0; rc == 0 && i < sizeof own / sizeof *own; i++)
        if (own[i].value && !value_of(d, own[i].name, NULL))
            rc = put(s, own[i].name, own[i].value, e);
    return rc;
}

static int find_program(struct surroundings *s, const struct cmd_driver *d, const char *name,
                        struct err *e)
{
    const char *path = value_of(d, "PATH", DEFAULT_PATH);
    struct stat st;
    if (strchr(name, '/')) {
        snprintf(s->path, sizeof s->path, "%s", name);
        if (name[0] == '/' && strlen(name) < sizeof s->path)
            return 0;
        return err_set(e, ERR_CONFIG, _("\"%s\" is not a whole path"), name);
    }
    while (*path) {
        size_t n = strcspn(path, ":");
        int len = snprintf(s->path, sizeof s->path, "%.*s/%s", (int)n, path, name);
        if (n > 0 && path[0] == '/' && len > 0 && (size_t)len < sizeof s->path &&
            stat(s->path, &st) == 0 && S_ISREG(st.st_mode) && access(s->path, X_OK) == 0)
            return 0;
        path += n + (path[n] == ':');
    }
    err_set(e, ERR_ABSENT, _("there is no program \"%s\" on this host"), name);
    return err_next(e, _("install it there, or name it in the driver file by its whole path"));
}

/* The user of the driver file, when we are root; else we can only be ourselves. */
static int set_user(const struct cmd_driver *d, struct sys_child *c, const struct passwd **ret,
                    struct err *e)
{
    int n = MAX_CHILD_GROUPS;
    const struct passwd *pw = *ret = d->user ? getpwnam(d->user) : getpwuid(geteuid());
    if (!d->user)
        return 0;
    if (!pw)
        return err_set(e, ERR_CONFIG, _("there is no user \"%s\" on this host"), d->user);
    if (geteuid() != 0)
        return pw->pw_uid == geteuid()
                   ? 0
                   : err_set(e, ERR_REFUSED, _("the agent is not root, and cannot become \"%s\""),
                             d->user);
    if (getgrouplist(pw->pw_name, pw->pw_gid, c->groups, &n) < 0)
        return err_set(e, ERR_LIMIT, _("\"%s\" is in more than %d groups"), d->user,
                       MAX_CHILD_GROUPS);
    c->n_groups = (size_t)n;
    c->uid = pw->pw_uid;
    c->gid = pw->pw_gid;
    c->as_user = true;
    return 0;
}

/* --- starting -------------------------------------------------------------------------------------- */
static int make_pipe(int ret[2], const char *what, struct err *e)
{
    if (pipe2(ret, O_CLOEXEC) < 0)
        return err_sys(e, _("start \"%s\""), what);
    sys_widen(ret[0], PIPE_BYTES);
    if (fcntl(ret[0], F_SETFL, O_NONBLOCK) < 0)
        return err_sys(e, _("start \"%s\""), what);
    return 0;
}

static int prepare(struct surroundings *s, struct sys_child *c, const struct cmd_driver *d,
                   const struct cmd_words *words, const char *folder, struct err *e)
{
    const struct passwd *pw = NULL;
    int rc = set_user(d, c, &pw, e);
    if (rc == 0)
        rc = make_environment(s, d, pw, folder, e);
    if (rc == 0)
        rc = find_program(s, d, words->v[0], e);
    /* As ourselves: who can exchange it would have anything done. What is not there is said when it is started. */
    if (rc == 0 && !(c->as_user && c->uid != 0) && access(s->path, F_OK) == 0)
        rc = trusted_check(s->path, e);
    s->argv[0] = s->path;
    for (size_t i = 1; i < words->n; i++)
        s->argv[i] = words->v[i];
    c->argv = s->argv;
    c->env = s->env;
    return rc;
}

int cmd_start(struct cmd_run *r, const struct cmd_driver *d, const struct cmd_words *words,
              int in_fd, bool piped, const char *folder, uint64_t limit_s, struct err *e)
{
    struct surroundings s = { .n = 0 };
    struct sys_child c = { .in_fd = in_fd, .out_fd = -1, .err_fd = -1 };
    int out[2] = { -1, -1 }, err[2] = { -1, -1 };
    r->out_fd = r->err_fd = -1;
    r->pid = 0;
    r->n_said = 0;
    int rc = prepare(&s, &c, d, words, folder, e);
    if (rc == 0)
        rc = make_pipe(err, words->v[0], e);
    if (rc == 0 && piped)
        rc = make_pipe(out, words->v[0], e);
    c.err_fd = err[1];
    c.out_fd = piped ? out[1] : err[1];
    if (rc == 0)
        rc = sys_spawn_group(&c, &r->pid, e);
    surroundings_done(&s);
    sys_close_quiet(out[1]);
    sys_close_quiet(err[1]);
    r->out_fd = out[0];
    r->err_fd = err[0];
    r->limit_s = limit_s;
    r->until_ms = sys_monotonic_ms() + limit_s * 1000;
    if (rc < 0)
        cmd_stop(r);
    return rc;
}

/* --- what it says ------------------------------------------------------------------------------------ */
static void keep_said(struct cmd_run *r, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        r->said[r->n_said++ % CMD_SAID_BYTES] = p[i];
}

/* Whatever there is of it now, up to so many parts; closes the pipe at its end. */
static void hear(struct cmd_run *r, int parts)
{
    char part[4096];
    for (int i = 0; r->err_fd >= 0 && i < parts; i++) {
        ssize_t n = read(r->err_fd, part, sizeof part);
        if (n < 0 && errno != EINTR)
            return;
        if (n > 0)
            keep_said(r, part, (size_t)n);
        if (n != 0)
            continue;
        sys_close_quiet(r->err_fd);
        r->err_fd = -1;
    }
}

void cmd_tail(const struct cmd_run *r, char ret[CMD_TAIL_BYTES + 1])
{
    size_t have = r->n_said < CMD_SAID_BYTES ? r->n_said : CMD_SAID_BYTES;
    size_t n = have < CMD_TAIL_BYTES ? have : CMD_TAIL_BYTES, at = 0;
    for (size_t i = r->n_said - n; i < r->n_said; i++) {
        unsigned char c = (unsigned char)r->said[i % CMD_SAID_BYTES];
        bool blank = c <= ' ' || c == 0x7F;
        if (blank && (at == 0 || ret[at - 1] == ' '))
            continue;
        ret[at++] = blank ? ' ' : c < 0x80 ? (char)c : '?';
    }
    while (at > 0 && ret[at - 1] == ' ')
        at--;
    ret[at] = '\0';
}

/* --- its end ------------------------------------------------------------------------------------------- */
/* Has the program itself ended? Its number stays its own until it is waited for. */
static bool has_ended(const struct cmd_run *r)
{
    siginfo_t info = { 0 };
    return waitid(P_PID, (id_t)r->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid != 0;
}

static void wait_a_while(const struct cmd_run *r)
{
    uint64_t until = sys_monotonic_ms() + MERCY_MS;
    while (!has_ended(r) && sys_monotonic_ms() < until)
        poll(NULL, 0, 20);
}

/* Ends what is left of the group; the status of the program. */
static int reap(struct cmd_run *r, bool now)
{
    int status = -1;
    if (r->pid <= 0)
        return status;
    if (now && !has_ended(r)) {
        (void)kill(-r->pid, SIGTERM);
        wait_a_while(r);
    }
    (void)kill(-r->pid, SIGKILL);
    (void)kill(r->pid, SIGKILL);
    while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
        ;
    r->pid = 0;
    return status;
}

void cmd_stop(struct cmd_run *r)
{
    (void)reap(r, true);
    sys_close_quiet(r->out_fd);
    sys_close_quiet(r->err_fd);
    r->out_fd = r->err_fd = -1;
}

static int tell(struct cmd_run *r, enum err_code code, const char *what, struct err *e)
{
    char tail[CMD_TAIL_BYTES + 1];
    cmd_tail(r, tail);
    err_set(e, code, "%s%s%s", what, tail[0] ? ": " : "", tail);
    return err_next(e, _("run it by hand on that host, as that user, and see to what it says"));
}

static int timed_out(struct cmd_run *r, struct err *e)
{
    char what[128];
    cmd_stop(r);
    snprintf(what, sizeof what, _("it did not end within %llu s, and was killed"),
             (unsigned long long)r->limit_s);
    return tell(r, ERR_TIMEOUT, what, e);
}

/* After its output has ended, or with an end that came before. */
static int take_status(struct cmd_run *r, struct err *e)
{
    char what[96];
    int status = reap(r, false);
    hear(r, HEARD_AT_THE_END);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (WIFEXITED(status))
        snprintf(what, sizeof what, _("it failed with the exit status %d"), WEXITSTATUS(status));
    else
        snprintf(what, sizeof what, _("it was killed by signal %d"),
                 WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    return tell(r, ERR_FAILED, what, e);
}

/* A turn of waiting; negative: no more. */
static int wait_turn(struct cmd_run *r, struct err *e)
{
    struct pollfd p[2] = { { .fd = r->out_fd, .events = POLLIN },
                           { .fd = r->err_fd, .events = POLLIN } };
    (void)poll(p, 2, r->out_fd < 0 && r->err_fd < 0 ? END_MS : LOOK_MS);
    if (p[1].revents)
        hear(r, HEARD_IN_A_TURN);
    if (sys_interrupted())
        return err_set(e, ERR_INTERRUPTED, _("interrupted by a signal"));
    int rc = r->tick ? r->tick(r->ctx, e) : 0;
    return rc == 0 && sys_monotonic_ms() > r->until_ms ? timed_out(r, e) : rc;
}

static int wait_for_end(struct cmd_run *r, struct err *e)
{
    int rc = 0;
    while (rc == 0 && !has_ended(r))
        rc = wait_turn(r, e);
    return rc < 0 ? rc : take_status(r, e);
}

ssize_t cmd_read(struct cmd_run *r, void *p, size_t n, struct err *e)
{
    for (;;) {
        ssize_t got = read(r->out_fd, p, n);
        if (got > 0)
            return sys_monotonic_ms() > r->until_ms ? timed_out(r, e) : got;
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            return err_sys(e, "%s", _("read the program's output"));
        if (got == 0) {
            sys_close_quiet(r->out_fd);
            r->out_fd = -1;
            return wait_for_end(r, e);
        }
        int rc = wait_turn(r, e);
        if (rc < 0)
            return rc;
    }
}

int cmd_wait(struct cmd_run *r, struct err *e)
{
    int rc = wait_for_end(r, e);
    cmd_stop(r);
    return rc;
}
