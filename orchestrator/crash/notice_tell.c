/* notice_tell.c - tells all units of a notice: a process for each attempt, several at once, each with a deadline; see notice.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/crash/notice_inner.h"
#include "orchestrator/text.h"
#include "orchestrator/watch/channels.h"

#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define AT_ONCE 8
#define SLACK_MS 10000 /* beyond the channel's own deadline: then it is ended */

struct attempt {
    const struct unit_contact *unit;
    const char *channel;
    pid_t pid;
    int fd;
};
struct round {
    struct app *app;
    struct incident *inc;
    enum notice_kind kind;
    char path[PATH_MAX];
    struct attempt running[AT_ONCE];
    size_t n;
    size_t failed;
};

static int64_t retry_s(void)
{
#ifdef TWOFOLD_FAULTS
    const char *given = getenv("TWOFOLD_NOTICE_RETRY_S");
    if (given && *given)
        return strtoll(given, NULL, 10);
#endif
    return NOTICE_RETRY_S;
}

/* The attempt has written its line itself; of one that was ended, or fell, this is said here. */
static int end_attempt(struct round *r, const struct attempt *a, uint64_t deadline_ms,
                       struct err *e)
{
    struct err problem = ERR_INIT;
    int status = 0;
    uint64_t now = sys_monotonic_ms();
    int rc = sys_reap(a->pid, deadline_ms > now ? (unsigned)(deadline_ms - now) : 0, &status, NULL);
    sys_close_quiet(a->fd);
    if (rc < 0 || !WIFEXITED(status)) {
        err_set(&problem, ERR_TIMEOUT, _("it has not ended in time"));
        r->failed++;
        return notice_failed(r->inc, r->kind, a->unit->name, a->channel, &problem, e);
    }
    r->failed += WEXITSTATUS(status) != 0;
    return 0;
}

static int end_all(struct round *r, struct err *e)
{
    uint64_t deadline_ms = sys_monotonic_ms() + channel_timeout_ms() + SLACK_MS;
    int rc = 0;
    for (size_t i = 0; i < r->n; i++) {
        int ended = end_attempt(r, &r->running[i], deadline_ms, rc < 0 ? NULL : e);
        rc = rc < 0 ? rc : ended;
    }
    r->n = 0;
    return rc;
}

static int begin(struct round *r, const struct unit_contact *u, const char *channel, struct err *e)
{
    const char *argv[] = { r->path, "--config", r->app->paths.config_dir, "--quiet", "crash",
                           "tell",  r->inc->id, notice_name(r->kind),     u->name,   channel,
                           NULL };
    struct attempt *a = &r->running[r->n];
    *a = (struct attempt){ .unit = u, .channel = channel };
    a->fd = sys_spawn(argv, -1, &a->pid, e);
    if (a->fd < 0)
        return a->fd;
    r->n++;
    return r->n == AT_ONCE ? end_all(r, e) : 0;
}

static bool is_due(const struct round *r, const struct settings *s, const struct unit_contact *u,
                   const char *channel)
{
    return notice_way(s, u, channel) && !notice_done(r->inc, r->kind, u->name, channel) &&
           notice_wanted(r->inc, r->kind, u->name);
}

/* Each way of each unit that has not been told by it. */
static int tell_round(struct round *r, const struct settings *s, const struct contacts *c,
                      struct err *e)
{
    static const char *const channels[] = { "command", "mail" };
    int rc = incident_refresh(r->inc, e);
    r->failed = 0;
    for (size_t k = 0; k < sizeof channels / sizeof *channels; k++)
        for (size_t i = 0; rc == 0 && i < c->n_units; i++)
            if (is_due(r, s, &c->units[i], channels[k]))
                rc = begin(r, &c->units[i], channels[k], e);
    int ended = end_all(r, rc < 0 ? NULL : e);
    return rc < 0 ? rc : ended;
}

static bool wait_s(int64_t s)
{
    uint64_t end_ms = sys_monotonic_ms() + (uint64_t)s * 1000;
    while (sys_monotonic_ms() < end_ms && !sys_interrupted())
        poll(NULL, 0, 200);
    return !sys_interrupted();
}

static int tell_all(struct round *r, struct err *e)
{
    struct settings *s = NULL;
    struct contacts *c = NULL;
    int64_t pause_s = retry_s();
    int rc = sys_program_path("twofold", "TWOFOLD_PROGRAM", r->path, e);
    if (rc == 0)
        rc = settings_load(&r->app->paths, &s, e);
    if (rc == 0)
        rc = contacts_load(&r->app->paths, &c, e);
    for (unsigned i = 0; rc == 0 && i < NOTICE_TRIES; i++) {
        rc = tell_round(r, s, c, e);
        if (rc < 0 || r->failed == 0 || i + 1 == NOTICE_TRIES || !wait_s(pause_s))
            break;
        pause_s *= 2;
    }
    if (rc == 0 && r->failed) {
        rc = err_set(e, ERR_PARTIAL, _("not every unit could be told"));
        err_next(e, _("call those that stand in: twofold crash status %s"), r->inc->id);
    }
    settings_free(s);
    contacts_free(c);
    return rc;
}

int notice_tell(struct app *app, struct incident *inc, enum notice_kind kind, struct err *e)
{
    struct round r = { .app = app, .inc = inc, .kind = kind };
    char *lock = text_print("%s/incidents/%s/%s", app->paths.state_dir, inc->id, notice_name(kind));
    int fd = sys_lock_file(lock, e);
    free(lock);
    if (fd < 0)
        return fd;
    int rc = tell_all(&r, e);
    sys_close_quiet(fd);
    return rc;
}
