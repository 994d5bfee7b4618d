/* hooks.c - see agents/hooks.h. */
#include "agents/hooks.h"
#include "agents/guard.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOK_MS 100
#define MARKER_END ".hooks"
#define SPARE_MS 10000 /* what a guardian takes beside its commands */

struct hooks_run {
    struct hooks_opts o;
    struct guard_job job;
    int lock_fd, fd; /* fd: to the guardian; -1: there is none */
    pid_t pid;
};

/* --- the guardian ------------------------------------------------------------------------------- */
static uint64_t patience_ms(const struct hooks *h)
{
    unsigned limit_s = h->limit_s ? h->limit_s : DEFAULT_HOOK_LIMIT_S;
    return (uint64_t)limit_s * 1000 + GUARD_KILL_GRACE_MS + SPARE_MS;
}

/* This very program, also when its file has been replaced meanwhile. */
static void own_path(char ret[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", ret, PATH_MAX - 1);
    ret[n < 0 ? 0 : n] = '\0';
    if (n <= 0 || access(ret, X_OK) < 0)
        strcpy(ret, "/proc/self/exe");
}

static int send_all(int fd, const void *p, size_t n, struct err *e)
{
    for (size_t at = 0; at < n;) {
        ssize_t sent = send(fd, (const char *)p + at, n - at, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            if (sys_wait_fd(fd, POLLOUT, SPARE_MS, e) < 0)
                return -ERR_TIMEOUT;
        } else if (sent < 0 && errno != EINTR) {
            return err_sys(e, _("the process that looks after the commands"));
        }
        at += sent > 0 ? (size_t)sent : 0;
    }
    return 0;
}

static int send_job(struct hooks_run *h, const struct guard_job *job, struct err *e)
{
    struct wbuf w = WBUF_INIT, head = WBUF_INIT;
    guard_job_write(&w, job);
    wb_u32(&head, (uint32_t)w.len);
    int rc = w.failed || head.failed ? err_set(e, ERR_NOMEM, _("no memory")) : 0;
    if (rc == 0 && w.len > MAX_GUARD_JOB_BYTES)
        rc = err_set(e, ERR_LIMIT, _("the commands are too long"));
    if (rc == 0)
        rc = send_all(h->fd, head.p, head.len, e);
    if (rc == 0)
        rc = send_all(h->fd, w.p, w.len, e);
    wbuf_free(&w);
    wbuf_free(&head);
    return rc;
}

static void let_go(struct hooks_run *h, bool has_ended)
{
    sys_close_quiet(h->fd);
    h->fd = -1;
    if (has_ended && h->pid > 0)
        (void)sys_reap(h->pid, SPARE_MS, NULL, NULL);
    h->pid = 0;
}

static int start_guard(struct hooks_run *h, const struct guard_job *job, struct err *e)
{
    char self[PATH_MAX];
    own_path(self);
    const char *argv[] = { self, "guard", NULL };
    /* Not our standard error: that may be a session's, which would wait for its end. */
    int null_fd = sys_openat(AT_FDCWD, "/dev/null", O_WRONLY, 0, e);
    if (null_fd < 0)
        return null_fd;
    h->fd = sys_spawn_heard(argv, h->lock_fd, null_fd, &h->pid, e);
    sys_close_quiet(null_fd);
    if (h->fd < 0)
        return -(int)e->code;
    int rc = send_job(h, job, e);
    if (rc < 0)
        let_go(h, false);
    return rc;
}

/* 1: there is an answer (which may be that it failed, in *e); -ERR_UNREACHABLE: the guardian is gone; others: the tick's, too late. */
static int take_answer(struct hooks_run *h, bool heed, struct err *e)
{
    struct guard_answer a = { 0 };
    uint64_t until = sys_monotonic_ms() + patience_ms(&h->job.hooks);
    for (size_t at = 0; at < sizeof a;) {
        struct pollfd p = { .fd = h->fd, .events = POLLIN };
        if (poll(&p, 1, LOOK_MS) > 0) {
            ssize_t n = recv(h->fd, (char *)&a + at, sizeof a - at, MSG_DONTWAIT);
            if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
                return err_set(e, ERR_UNREACHABLE,
                               _("the process that looks after the commands has ended"));
            at += n > 0 ? (size_t)n : 0;
        }
        int rc = heed ? h->o.tick(h->o.ctx, e) : 0;
        if (rc < 0)
            return rc;
        if (sys_monotonic_ms() >= until)
            return err_set(e, ERR_TIMEOUT, _("the process that looks after the commands hangs"));
    }
    a.text[sizeof a.text - 1] = '\0';
    if (!a.ok)
        err_set(e, ERR_FAILED, "%s", a.text);
    return 1;
}

/* Has `after` run. 0: it ended well. */
static int run_after(struct hooks_run *h, enum guard_result result, bool heed, struct err *e)
{
    unsigned char byte = (unsigned char)result;
    struct err own = ERR_INIT;
    int rc = send_all(h->fd, &byte, 1, &own);
    if (rc == 0)
        rc = take_answer(h, heed, &own);
    else
        rc = -ERR_UNREACHABLE;
    let_go(h, rc == 1 || rc == -ERR_UNREACHABLE);
    if (own.code != ERR_NONE && e)
        *e = own;
    return rc == 1 ? -(int)own.code : rc;
}

/* --- what an earlier run left ------------------------------------------------------------------------ */
static int read_marker(const char *path, struct guard_job *ret, struct err *e)
{
    uint8_t *p = NULL;
    size_t n = 0;
    int rc = sys_read_file(AT_FDCWD, path, MAX_GUARD_JOB_BYTES, &p, &n, e);
    if (rc == 0)
        rc = guard_job_read(p, n, ret, e);
    free(p);
    return rc < 0 ? err_wrap(e, "%s", path) : 0;
}

static int still_running(struct err *e)
{
    err_set(e, ERR_BUSY, _("commands of an earlier run of this policy still run on this host"));
    return err_next(e, _("wait until they have ended, or see there what holds them up"));
}

/* The guardian of a run that was killed may still be at it. */
static int lock(struct hooks_run *h, struct err *e)
{
    char *path = NULL;
    struct guard_job left = { 0 };
    if (asprintf(&path, "%s.lock", h->job.marker) < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    uint64_t until = sys_monotonic_ms() + SPARE_MS;
    if (read_marker(h->job.marker, &left, NULL) == 0)
        until = sys_monotonic_ms() + patience_ms(&left.hooks);
    guard_job_done(&left);
    int rc = 0;
    h->lock_fd = sys_lock_file(path, e);
    while (h->lock_fd == -ERR_BUSY && sys_monotonic_ms() < until && rc == 0) {
        poll(NULL, 0, LOOK_MS);
        err_clear(e);
        rc = h->o.tick(h->o.ctx, e);
        if (rc == 0)
            h->lock_fd = sys_lock_file(path, e);
    }
    free(path);
    if (rc == 0 && h->lock_fd == -ERR_BUSY)
        return still_running(e);
    return rc < 0 ? rc : h->lock_fd < 0 ? h->lock_fd : 0;
}

static int tell(struct hooks_run *h, bool problem, const char *text, const struct err *why,
                struct err *e)
{
    char all[3 * ERR_TEXT_BYTES];
    snprintf(all, sizeof all, "%s%s%s%s%s", text, why ? ": " : "", why ? why->what : "",
             why && why->what[0] ? ": " : "", why ? why->why : "");
    return h->o.note(h->o.ctx, problem, all, e);
}

static int thaw(struct hooks_run *h, struct guard_job *left, struct err *e)
{
    struct err why = ERR_INIT;
    int rc = 0;
    if (h->o.rules)
        rc = allow_hook(h->o.rules, left->hooks.after, left->hooks.n_after, &why);
    if (rc == 0) {
        left->begun = true;
        rc = start_guard(h, left, &why);
    }
    if (rc == 0)
        rc = run_after(h, GUARD_UNKNOWN, true, &why);
    if (rc == 0)
        return tell(h, false, _("an earlier run was cut off, so its command \"after\" was run now"),
                    NULL, e);
    if (h->o.tick(h->o.ctx, e) < 0)
        return -(int)e->code;
    return tell(h, true,
                _("an earlier run was cut off or could not thaw, and its command \"after\" fails "
                  "now, too"),
                &why, e);
}

static int thaw_left(struct hooks_run *h, struct err *e)
{
    struct guard_job left = { 0 };
    struct err why = ERR_INIT;
    int rc = read_marker(h->job.marker, &left, &why);
    if (rc == -ERR_ABSENT)
        return 0;
    if (rc < 0)
        return tell(h, true,
                    _("an earlier run has left something to be thawed by hand; then remove the "
                      "file"),
                    &why, e);
    free(left.marker); /* the state folder may have been moved */
    left.marker = strdup(h->job.marker);
    rc = left.marker ? thaw(h, &left, e) : err_set(e, ERR_NOMEM, _("no memory"));
    guard_job_done(&left);
    return rc;
}

static void free_run(struct hooks_run *h)
{
    let_go(h, false);
    sys_close_quiet(h->lock_fd);
    h->job.hooks = (struct hooks){ 0 }; /* borrowed */
    guard_job_done(&h->job);
    free(h);
}

static int new_run(const struct hooks_opts *o, struct hooks_run **ret, struct err *e)
{
    char folder[PATH_MAX];
    struct hooks_run *h = calloc(1, sizeof *h);
    if (!h)
        return err_set(e, ERR_NOMEM, _("no memory"));
    *h = (struct hooks_run){ .o = *o, .lock_fd = -1, .fd = -1 };
    *ret = h;
    if (!realpath(o->state_dir, folder))
        return err_sys(e, "%s", o->state_dir);
    h->job = (struct guard_job){ .policy = strdup(o->policy),
                                 .source = strdup(o->source),
                                 .hooks = *o->hooks };
    if (asprintf(&h->job.marker, "%s/%s" MARKER_END, folder, o->name) < 0)
        h->job.marker = NULL;
    return h->job.marker && h->job.policy && h->job.source ? 0
                                                           : err_set(e, ERR_NOMEM, _("no memory"));
}

/* --- all that is left --------------------------------------------------------------------------------- */
static int no_tick(void *ctx, struct err *e)
{
    (void)ctx;
    return sys_interrupted() ? err_set(e, ERR_INTERRUPTED, _("interrupted by a signal")) : 0;
}

static int thaw_one(const struct hooks_opts *o, struct err *e)
{
    struct hooks_run *h = NULL;
    char *path = NULL;
    int rc = new_run(o, &h, e);
    if (rc == 0 && asprintf(&path, "%s.lock", h->job.marker) < 0) {
        path = NULL;
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    }
    if (rc == 0 && (h->lock_fd = sys_lock_file(path, e)) >= 0)
        rc = thaw_left(h, e);
    else if (rc == 0 && h->lock_fd == -ERR_BUSY)
        err_clear(e); /* a run is at it, and will see to it */
    else if (rc == 0)
        rc = h->lock_fd;
    free(path);
    if (h)
        free_run(h);
    return rc;
}

int hooks_thaw(const char *state_dir,
               int (*note)(void *ctx, bool problem, const char *text, struct err *e), void *ctx,
               struct err *e)
{
    static const struct hooks none = { 0 };
    struct dirent *de;
    DIR *d = opendir(state_dir);
    int rc = 0;
    if (!d)
        return errno == ENOENT ? 0 : err_sys(e, "%s", state_dir);
    while (rc == 0 && (de = readdir(d)) != NULL) {
        char name[NAME_MAX + 1];
        struct hooks_opts o = { .state_dir = state_dir,
                                .name = name,
                                .policy = "",
                                .source = "",
                                .hooks = &none,
                                .tick = no_tick,
                                .note = note,
                                .ctx = ctx };
        size_t n = strlen(de->d_name), end = strlen(MARKER_END);
        if (n <= end || strcmp(de->d_name + n - end, MARKER_END) != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(n - end), de->d_name);
        rc = thaw_one(&o, e);
    }
    closedir(d);
    return rc;
}

/* --- the run ------------------------------------------------------------------------------------------ */
/* A guardian that was killed is followed by another one. */
static int after_now(struct hooks_run *h, bool captured, struct err *e)
{
    enum guard_result result = captured ? GUARD_CAPTURED : GUARD_FAILED;
    struct guard_job again = h->job;
    int rc = h->fd >= 0 ? run_after(h, result, false, e) : -ERR_UNREACHABLE;
    if (rc != -ERR_UNREACHABLE || h->job.hooks.n_after == 0)
        return rc;
    again.begun = true;
    rc = start_guard(h, &again, e);
    return rc == 0 ? run_after(h, result, false, e) : rc;
}

static int run_before(struct hooks_run *h, struct err *e)
{
    struct err after = ERR_INIT;
    int rc = start_guard(h, &h->job, e);
    if (rc < 0)
        return rc;
    err_clear(e);
    rc = take_answer(h, true, e);
    if (rc == 1 && e->code == ERR_NONE)
        return 0;
    if (rc < 0 && rc != -ERR_UNREACHABLE)
        return rc; /* the end of the stream has the guardian end `before` and thaw */
    if (after_now(h, false, &after) < 0)
        (void)tell(h, true, _("the command \"after\" failed, too"), &after, NULL);
    err_wrap(e, _("the command \"before\" of this policy"));
    return err_next(e, _("nothing was backed up; run the command on that host by hand, mend what "
                         "it says, and back up again"));
}

int hooks_begin(const struct hooks_opts *o, struct hooks_run **ret, struct err *e)
{
    struct hooks_run *h = NULL;
    int rc = new_run(o, &h, e);
    if (rc == 0 && !hooks_any(o->hooks) && access(h->job.marker, F_OK) < 0 && errno == ENOENT) {
        free_run(h);
        return 0;
    }
    if (rc == 0)
        rc = lock(h, e);
    if (rc == 0)
        rc = thaw_left(h, e);
    if (rc == 0 && hooks_any(o->hooks))
        rc = run_before(h, e);
    if (rc == 0 && hooks_any(o->hooks))
        *ret = h;
    else if (h)
        free_run(h);
    return rc;
}

int hooks_end(struct hooks_run *h, bool captured, struct err *e)
{
    if (!h)
        return 0;
    struct err own = ERR_INIT;
    int rc = after_now(h, captured, &own);
    if (rc < 0 && e)
        *e = own;
    free_run(h);
    return rc;
}
