/* session.c - starts and ends agents; see session.h. */
#include "orchestrator/session.h"
#include "lib/base/i18n.h"
#include "lib/base/rate.h"
#include "lib/base/sys.h"
#include "orchestrator/agent_enrol.h"
#include "orchestrator/agent_link.h"
#include "orchestrator/pause.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LAST_WORDS_MS 2000 /* for what stands before the agent's error, and the error */
#define TRIES 3
#define FIRST_PAUSE_MS 2000 /* then three times as long */
#define PAUSE_SLICE_MS 100
#define LISTEN_MS 250 /* the other side's stderr is looked at so often; while it talks, */
#define TALK_MS 10

struct session {
    struct agent_conf *conf; /* NULL: local */
    struct agent_link *link;
    struct wire *wire;
    struct rate *limits[MAX_WIRE_LIMITS];
    size_t n_limits;
    char host[256];
    pthread_t beat;
    pthread_mutex_t lock;
    pthread_cond_t stop_cond;
    bool beating, greeted, stop;
};

/* The agent hears from us at least once a second, also while we wait for a slow copy. And what its side says on stderr is
 * taken: from the start, or a talkative one would never come to its greeting. */
static void *beat_main(void *arg)
{
    struct session *s = arg;
    uint64_t next = sys_monotonic_ms() + WIRE_BEAT_MS, now;
    bool talks = false;
    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += (talks ? TALK_MS : LISTEN_MS) * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&s->stop_cond, &s->lock, &until);
        if (s->stop)
            break;
        talks = agent_link_hear(s->link);
        if (!s->greeted || (now = sys_monotonic_ms()) < next)
            continue;
        next = now + WIRE_BEAT_MS;
        pthread_mutex_unlock(&s->lock);
        wire_send(s->wire, pause_wanted() ? FRAME_PAUSE : FRAME_PING, NULL, NULL, 0, NULL);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
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

static void stop_beat(struct session *s)
{
    if (!s->beating)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->stop_cond);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->beat, NULL);
    s->beating = false;
}

/* --- bounds on speed ---------------------------------------------------------------------------------------- */
int session_limit(struct app *app, struct session *s, const char *name, uint64_t bytes_s,
                  struct err *e)
{
    char *folder = NULL, *file = NULL;
    int rc = 0;
    if (bytes_s == 0 || s->n_limits == MAX_WIRE_LIMITS)
        return 0;
    if (asprintf(&folder, "%s/limits", app->paths.state_dir) < 0 ||
        asprintf(&file, "%s/%s", folder, name) < 0)
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    /* Without a state folder (a rescue) the bound is for this process alone. */
    if (rc == 0) {
        bool shared = sys_mkdir_p(folder, 0700, NULL) == 0 && access(folder, W_OK) == 0;
        rc = rate_new(bytes_s, shared ? file : NULL, &s->limits[s->n_limits], e);
    }
    if (rc == 0)
        wire_add_limit(s->wire, s->limits[s->n_limits++]);
    free(folder);
    free(file);
    return rc;
}

static int agent_limit(struct app *app, struct session *s, const struct agent_conf *conf,
                       struct err *e)
{
    char name[MAX_NAME + 16];
    if (!conf)
        return 0;
    snprintf(name, sizeof name, "agent-%s", conf->name);
    return session_limit(app, s, name, conf->limit_bytes_s, e);
}

/* --- the beginning ------------------------------------------------------------------------------------- */
static int start_once(struct app *app, const char *agent, const struct agent_conf *conf,
                      struct session **ret, struct err *e)
{
    char peer[300];
    struct session *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, _("no memory"));
    snprintf(peer, sizeof peer, _("agent \"%s\""), agent);
    int rc = agent_link_open(app, conf, "serve", &s->link, e);
    if (rc < 0) {
        free(s);
        return err_wrap(e, "%s", peer);
    }
    s->wire = wire_new(agent_link_fd(s->link), agent_link_fd(s->link), false);
    if (!s->wire) {
        session_end(s, true, NULL);
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    wire_set_peer(s->wire, peer);
    int rc_limit = agent_limit(app, s, conf, e);
    if (rc_limit < 0) {
        session_end(s, true, NULL);
        return rc_limit;
    }
    /* The connection first has to come about, and what carries it gives up by itself if it does not. */
    wire_set_deadline(s->wire, (link_deadline_s() + (conf ? LINK_CONNECT_S : 0)) * 1000);
    rc = start_beat(s, e);
    if (rc == 0 && (rc = wire_hello(s->wire, TWOFOLD_VERSION, s->host, e)) < 0) {
        stop_beat(s);
        rc = agent_link_lost(s->link, false, rc, e);
        if (e && !strstr(e->what, peer))
            err_wrap(e, "%s", peer);
    }
    if (rc < 0) {
        session_end(s, true, NULL);
        return rc;
    }
    pthread_mutex_lock(&s->lock);
    s->greeted = true;
    pthread_mutex_unlock(&s->lock);
    wire_set_deadline(s->wire, link_deadline_s() * 1000);
    if (conf)
        agent_seen_write(app, conf->name, wire_peer_version(s->wire));
    *ret = s;
    return 0;
}

int pause_between_tries(unsigned ms, struct err *e)
{
    uint16_t chance;
    sys_random(&chance, sizeof chance);
    if (link_deadline_s() < DEFAULT_LINK_DEADLINE_S)
        ms = ms * link_deadline_s() / DEFAULT_LINK_DEADLINE_S + PAUSE_SLICE_MS;
    uint64_t until = sys_monotonic_ms() + ms - ms / 4 + chance % (ms / 2 + 1);
    while (sys_monotonic_ms() < until) {
        if (sys_interrupted())
            return err_set(e, ERR_INTERRUPTED, _("interrupted by a signal"));
        struct timespec t = { 0, PAUSE_SLICE_MS * 1000000L };
        nanosleep(&t, NULL);
    }
    return 0;
}

static int start_remote(struct app *app, const char *agent, const struct agent_conf *conf,
                        struct session **ret, struct err *e)
{
    unsigned pause_ms = FIRST_PAUSE_MS;
    for (int i = 1;; i++, pause_ms *= 3) {
        struct err why = ERR_INIT;
        int rc = start_once(app, agent, conf, ret, &why);
        /* Who is silent for a whole deadline will be so again. */
        bool again = rc < 0 && err_info(why.code)->retry && why.code != ERR_TIMEOUT &&
                     why.code != ERR_INTERRUPTED && i < TRIES;
        if (rc < 0 && e)
            *e = why;
        if (!again)
            return rc;
        ui_warn(&app->ui, _("%s: %s; trying again in %u s"), why.what, why.why, pause_ms / 1000);
        rc = pause_between_tries(pause_ms, e);
        if (rc < 0)
            return rc;
    }
}

static int load(struct app *app, const char *agent, struct agent_conf **ret, struct err *e)
{
    int rc = agent_conf_load(&app->paths, agent, ret, e);
    if (rc < 0)
        return err_wrap(e, _("agent \"%s\""), agent);
    if (!(*ret)->revoked)
        return 0;
    agent_conf_free(*ret);
    *ret = NULL;
    err_set(e, ERR_REFUSED, _("it was revoked"));
    err_wrap(e, _("agent \"%s\""), agent);
    return err_next(e, _("let it in again: twofold agent enrol %s"), agent);
}

int session_start(struct app *app, const char *agent, struct session **ret, struct err *e)
{
    struct agent_conf *conf = NULL;
    if (strcmp(agent, "local") == 0)
        return start_once(app, agent, NULL, ret, e);
    int rc = load(app, agent, &conf, e);
    if (rc == 0)
        rc = start_remote(app, agent, conf, ret, e);
    if (rc < 0)
        agent_conf_free(conf);
    else
        (*ret)->conf = conf;
    return rc;
}

int session_rotation(struct app *app, const char *agent, unsigned *ret, struct err *e)
{
    struct agent_conf *conf = NULL;
    *ret = 1;
    if (strcmp(agent, "local") == 0)
        return 0;
    int rc = load(app, agent, &conf, e);
    if (rc == 0)
        *ret = conf->rotation;
    agent_conf_free(conf);
    return rc;
}

int session_try(struct app *app, const struct agent_conf *conf, char ret_host[256], struct err *e)
{
    struct session *s = NULL;
    int rc = start_once(app, conf->name, conf, &s, e);
    if (rc == 0)
        snprintf(ret_host, 256, "%s", s->host);
    /* It takes the end of the stream for a failure of ours, and that is all right. */
    session_end(s, true, NULL);
    return rc;
}

struct wire *session_wire(struct session *s)
{
    return s->wire;
}

const char *session_host(const struct session *s)
{
    return s->host;
}

bool session_remote(const struct session *s)
{
    return s->conf != NULL;
}

/* --- the end --------------------------------------------------------------------------------------------- */
/* What the agent said before the stream ended. */
static int last_words(struct session *s, struct err *e)
{
    struct err said = ERR_INIT;
    enum frame_type type;
    struct rbuf r;
    int got = 0;
    for (uint64_t until = sys_monotonic_ms() + LAST_WORDS_MS;
         got == 0 && sys_monotonic_ms() < until;)
        got = wire_recv(s->wire, &type, &r, LAST_WORDS_MS, &said);
    if (got == 0 || (!wire_told(s->wire) && (got == -ERR_UNREACHABLE || got == -ERR_TIMEOUT)))
        return 0;
    *e = said;
    return got;
}

int session_failed(struct session *s, int rc, struct err *e)
{
    struct err own = ERR_INIT;
    e = e ? e : &own;
    if (wire_told(s->wire)) /* a database that is down is no dead link */
        return rc;
    if (rc == -ERR_UNREACHABLE) {
        int said = last_words(s, e);
        if (said < 0)
            return said;
    }
    if (s->conf) {
        char peer[300];
        pthread_mutex_lock(&s->lock); /* nobody else listens meanwhile */
        rc = agent_link_lost(s->link, true, rc, e);
        pthread_mutex_unlock(&s->lock);
        snprintf(peer, sizeof peer, _("agent \"%s\""), s->conf->name);
        if (rc == -ERR_UNREACHABLE && !strstr(e->what, peer))
            err_wrap(e, "%s", peer);
    }
    /* No names of copies or paths of this machine: the agent's host has no business with them. */
    struct err told = ERR_INIT;
    err_set(&told, e->code ? e->code : ERR_FAILED, _("the orchestrator has given up; it says why"));
    wire_send_error(s->wire, &told);
    return rc;
}

int session_end(struct session *s, bool job_failed, struct err *e)
{
    int status = 0;
    if (!s)
        return 0;
    stop_beat(s);
    wire_free(s->wire);
    for (size_t i = 0; i < s->n_limits; i++)
        rate_free(s->limits[i]);
    int rc = agent_link_close(s->link, &status, job_failed ? NULL : e);
    agent_conf_free(s->conf);
    free(s);
    if (job_failed || rc < 0)
        return job_failed ? 0 : rc;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (WIFSIGNALED(status))
        return err_set(e, ERR_FAILED, _("the agent was ended by signal %d"), WTERMSIG(status));
    return err_set(e, ERR_FAILED, _("the agent ended with status %d"), WEXITSTATUS(status));
}
