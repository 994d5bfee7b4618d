/* session.c - starts and ends agents; see session.h. */
#include "orchestrator/session.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define END_MS 10000
#define LAST_WORDS_MS 2000 /* for what stands before the agent's error, and the error */

struct session {
    struct wire *wire;
    pid_t pid;
    char host[256];
    pthread_t beat;
    pthread_mutex_t lock;
    pthread_cond_t stop_cond;
    bool beating, stop;
};

/* The agent hears from us at least once a second, also while we wait for a slow copy. */
static void *beat_main(void *arg)
{
    struct session *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += WIRE_BEAT_MS / 1000;
        pthread_cond_timedwait(&s->stop_cond, &s->lock, &until);
        if (s->stop)
            break;
        pthread_mutex_unlock(&s->lock);
        wire_send(s->wire, FRAME_PING, NULL, NULL, 0, NULL);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static int agent_path(char out[PATH_MAX], struct err *e)
{
    const char *env = getenv("TWOFOLD_AGENT"), *path = getenv("PATH");
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (env && *env) {
        snprintf(out, PATH_MAX, "%s", env);
        return 0;
    }
    if (n > 0) {
        self[n] = '\0';
        int len = snprintf(out, PATH_MAX, "%s/twofold-agent", dirname(self));
        if (len < PATH_MAX && access(out, X_OK) == 0)
            return 0;
    }
    for (const char *p = path ? path : "/usr/local/bin:/usr/bin"; *p;) {
        size_t len = strcspn(p, ":");
        if (len && (size_t)snprintf(out, PATH_MAX, "%.*s/twofold-agent", (int)len, p) < PATH_MAX &&
            access(out, X_OK) == 0)
            return 0;
        p += len + (p[len] == ':');
    }
    err_set(e, ERR_ABSENT,
            _("the program twofold-agent is not beside twofold and not in the PATH"));
    return err_next(e, _("install it, or say where it is: TWOFOLD_AGENT=/path/to/twofold-agent"));
}

static int start_beat(struct session *s, struct err *e)
{
    sigset_t all, was;
    pthread_condattr_t attr;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->stop_cond, &attr);
    pthread_condattr_destroy(&attr);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was); /* signals are for the main thread */
    s->beating = pthread_create(&s->beat, NULL, beat_main, s) == 0;
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    return s->beating ? 0 : err_set(e, ERR_NOMEM, _("cannot start a thread"));
}

int session_start(struct app *app, const char *agent, struct session **ret, struct err *e)
{
    char path[PATH_MAX], *state = NULL, peer[300];
    int rc = agent_path(path, e);
    if (rc < 0)
        return rc;
    struct session *s = calloc(1, sizeof *s);
    if (!s || asprintf(&state, "%s/agent", app->paths.state_dir) < 0) {
        free(s);
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    /* A restore needs it only for scratch: on a rescue system it may be anywhere. */
    const char *tmp = getenv("TMPDIR");
    bool usable = sys_mkdir_p(state, 0700, NULL) == 0 && access(state, W_OK) == 0;
    const char *argv[] = { path, "--state", usable ? state : tmp && *tmp ? tmp : "/tmp", NULL };
    int fd = sys_spawn(argv, -1, &s->pid, e);
    free(state);
    if (fd < 0) {
        free(s);
        return err_wrap(e, _("agent \"%s\""), agent);
    }
    s->wire = wire_new(fd, fd, true);
    if (!s->wire) {
        sys_close_quiet(fd);
        sys_reap(s->pid, END_MS, &(int){ 0 }, NULL);
        free(s);
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    snprintf(peer, sizeof peer, _("agent \"%s\""), agent);
    wire_set_peer(s->wire, peer);
    rc = wire_hello(s->wire, TWOFOLD_VERSION, s->host, e);
    if (rc == 0)
        rc = start_beat(s, e);
    if (rc < 0) {
        session_end(s, true, NULL);
        return rc;
    }
    *ret = s;
    return 0;
}

struct wire *session_wire(struct session *s)
{
    return s->wire;
}

const char *session_host(const struct session *s)
{
    return s->host;
}

int session_failed(struct session *s, int rc, struct err *e)
{
    if (rc == -ERR_UNREACHABLE) {
        struct err said = ERR_INIT;
        enum frame_type type;
        struct rbuf r;
        int got = 0;
        for (uint64_t until = sys_monotonic_ms() + LAST_WORDS_MS;
             got == 0 && sys_monotonic_ms() < until;)
            got = wire_recv(s->wire, &type, &r, LAST_WORDS_MS, &said);
        if (got < 0 && got != -ERR_UNREACHABLE && got != -ERR_TIMEOUT && e) {
            *e = said;
            return got;
        }
    }
    /* No names of copies or paths of this machine: the agent's host has no business with them. */
    struct err told = ERR_INIT;
    err_set(&told, e && e->code ? e->code : ERR_FAILED,
            _("the orchestrator has given up; it says why"));
    wire_send_error(s->wire, &told);
    return rc;
}

int session_end(struct session *s, bool job_failed, struct err *e)
{
    int status = 0;
    if (!s)
        return 0;
    if (s->beating) {
        pthread_mutex_lock(&s->lock);
        s->stop = true;
        pthread_cond_signal(&s->stop_cond);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->beat, NULL);
    }
    wire_free(s->wire);
    int rc = sys_reap(s->pid, END_MS, &status, job_failed ? NULL : e);
    free(s);
    if (job_failed || rc < 0)
        return job_failed ? 0 : rc;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (WIFSIGNALED(status))
        return err_set(e, ERR_FAILED, _("the agent was ended by signal %d"), WTERMSIG(status));
    return err_set(e, ERR_FAILED, _("the agent ended with status %d"), WEXITSTATUS(status));
}
