/* daemon.c - the loop of twofoldd; see daemon.h. */
#include "orchestrator/daemon/daemon.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/daemon/inner.h"
#include "orchestrator/queue.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define LOCK "twofoldd.lock"
#define CHANGES_MS 3000u  /* how often the catalog is asked whether anybody wrote */
#define CONFIG_MS 10000u  /* and the configuration, by a fingerprint */
#define CARRIED_MS 60000u /* and for disks that were brought */
#define WATCH_MS 2000u    /* and whether somebody must be told of something */
#define TEND_MS 500u      /* while something runs */
#define LAST_WORDS_MS 15000u

/* --- beginning ------------------------------------------------------------------------------------------------- */
static void our_signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGINT);
    sigaddset(ret, SIGHUP);
    sigaddset(ret, SIGCHLD);
}

void daemon_block_signals(void)
{
    sigset_t s;
    our_signals(&s);
    sigprocmask(SIG_BLOCK, &s, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int open_lock(struct daemon *d, struct err *e)
{
    char *path = NULL;
    if (asprintf(&path, "%s/" LOCK, d->paths->state_dir) < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    d->lock = sys_lock_file(path, e);
    free(path);
    if (d->lock == -ERR_BUSY) {
        err_set(e, ERR_BUSY, _("another twofoldd runs for this state"));
        return err_next(e, _("see: systemctl status twofoldd"));
    }
    return d->lock < 0 ? d->lock : 0;
}

/* Opened for both ways, so that there is always a writer and poll() is quiet. */
static int open_bell(struct daemon *d, struct err *e)
{
    struct stat st;
    char *path = queue_bell_path(d->paths);
    if (!path)
        return err_set(e, ERR_NOMEM, _("no memory"));
    if (lstat(path, &st) == 0 && !S_ISFIFO(st.st_mode))
        unlink(path);
    if (mkfifo(path, 0600) == 0 || errno == EEXIST)
        d->bell = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    int rc = d->bell < 0 ? err_sys(e, "%s", path) : 0;
    free(path);
    return rc;
}

static int begin(struct daemon *d, struct err *e)
{
    sigset_t s;
    uint64_t usec = 0;
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    snprintf(d->owner, sizeof d->owner, "twofoldd@%s", host);
    d->clock_offset_s = sys_realtime_s() - (int64_t)(sys_monotonic_ms() / 1000);
    if (sd_watchdog_enabled(0, &usec) > 0)
        d->watchdog_ms = usec / 4000;
    int rc = sys_mkdir_p(d->paths->state_dir, 0700, e);
    if (rc == 0)
        rc = open_lock(d, e);
    if (rc == 0)
        rc = open_bell(d, e);
    our_signals(&s);
    if (rc == 0 && (d->signals = signalfd(-1, &s, SFD_NONBLOCK | SFD_CLOEXEC)) < 0)
        rc = err_sys(e, _("wait for signals"));
    return rc;
}

/* --- the configuration -------------------------------------------------------------------------------------------- */
static void on_problem(void *ctx, const struct err *e)
{
    (void)ctx;
    daemon_log_err(LOG_ERR, NULL, _("left out of the configuration"), e);
}

static void load_site(struct daemon *d)
{
    struct site *s = NULL;
    struct err e = ERR_INIT;
    if (site_load(d->paths, &s, on_problem, NULL, &e) < 0) {
        daemon_log_err(LOG_ERR, NULL, _("the configuration stays as it was"), &e);
        return;
    }
    site_free(d->site);
    d->site = s;
    d->dirty = true;
    daemon_log(LOG_INFO, NULL, _("configuration: %zu vaults, %zu policies, %zu agents"),
               s->n_vaults, s->n_policies, s->n_agents);
}

static void look_at_config(struct daemon *d, uint64_t now_ms)
{
    if (now_ms < d->next_config_ms)
        return;
    d->next_config_ms = now_ms + CONFIG_MS;
    if (!d->site || site_fingerprint(d->paths) != d->site->fingerprint)
        load_site(d);
}

/* --- the watch ------------------------------------------------------------------------------------------------------- */
static void watch(struct daemon *d, uint64_t now_ms)
{
    struct watch_done done = { 0 };
    struct err e = ERR_INIT;
    if (now_ms < d->next_watch_ms)
        return;
    d->next_watch_ms = now_ms + WATCH_MS;
    int rc = d->watch ? 0 : watch_new(d->paths, &d->watch, &e);
    if (rc == 0)
        rc = watch_tick(d->watch, d->c, sys_realtime_s(), &done, &e);
    if (rc < 0 && !d->watch_failed)
        daemon_log_err(LOG_ERR, NULL, _("the watch over backups and copies"), &e);
    d->watch_failed = rc < 0;
    if (done.raised || done.cleared)
        daemon_log(LOG_NOTICE, NULL, _("alarms: %zu raised, %zu cleared, %zu open"), done.raised,
                   done.cleared, done.open);
}

/* --- what comes in --------------------------------------------------------------------------------------------------- */
static void stop(struct daemon *d)
{
    if (d->stopping)
        return;
    d->stopping = true;
    d->stop_ms = sys_monotonic_ms() + d->grace_s * 1000 + LAST_WORDS_MS;
    sd_notify(0, "STOPPING=1");
    daemon_log(LOG_INFO, NULL, _("stopping; what runs is queued again"));
    work_stop(d);
}

static void hear_signals(struct daemon *d)
{
    struct signalfd_siginfo s;
    while (read(d->signals, &s, sizeof s) == (ssize_t)sizeof s) {
        if (s.ssi_signo == SIGTERM || s.ssi_signo == SIGINT)
            stop(d);
        else if (s.ssi_signo == SIGHUP)
            load_site(d);
    }
}

static void hear_bell(struct daemon *d)
{
    char rings[256];
    bool rung = false;
    while (read(d->bell, rings, sizeof rings) > 0)
        rung = true;
    if (rung) {
        d->dirty = true;
        d->next_config_ms = 0; /* whoever rang may have changed it, too */
    }
}

/* --- waiting ------------------------------------------------------------------------------------------------------------ */
static void sooner(uint64_t *wait_ms, uint64_t at_ms, uint64_t now_ms)
{
    uint64_t left = at_ms > now_ms ? at_ms - now_ms : 0;
    if (left < *wait_ms)
        *wait_ms = left;
}

static int how_long(const struct daemon *d)
{
    uint64_t now = sys_monotonic_ms(), wait_ms = CHANGES_MS;
    int64_t now_s = sys_realtime_s();
    if (d->n_children || d->heartbeat.ping)
        wait_ms = TEND_MS;
    if (d->watchdog_ms)
        sooner(&wait_ms, d->next_watchdog_ms, now);
    if (d->site)
        sooner(&wait_ms, d->heartbeat.next_ms, now);
    if (d->wake_s && !d->stopping)
        sooner(&wait_ms, now + (d->wake_s > now_s ? (uint64_t)(d->wake_s - now_s) * 1000 : 0), now);
    return (int)(wait_ms < 20 ? 20 : wait_ms); /* never a busy loop */
}

static int wait_for_something(struct daemon *d, struct err *e)
{
    size_t n = 2 + d->n_children;
    struct pollfd *p = calloc(n, sizeof *p);
    if (!p)
        return err_set(e, ERR_NOMEM, _("no memory"));
    p[0] = (struct pollfd){ .fd = d->signals, .events = POLLIN };
    p[1] = (struct pollfd){ .fd = d->bell, .events = POLLIN };
    for (size_t i = 0; i < d->n_children; i++)
        p[2 + i] = (struct pollfd){ .fd = child_fd(d->children[i]), .events = POLLIN };
    int got = poll(p, n, how_long(d));
    int rc = got < 0 && errno != EINTR ? err_sys(e, _("wait")) : 0;
    free(p);
    return rc;
}

/* --- the loop ------------------------------------------------------------------------------------------------------------ */
static void tell_systemd(struct daemon *d, uint64_t now_ms)
{
    char text[256];
    if (d->watchdog_ms && now_ms >= d->next_watchdog_ms) {
        sd_notify(0, "WATCHDOG=1");
        d->next_watchdog_ms = now_ms + d->watchdog_ms;
    }
    snprintf(text, sizeof text, _("%s%zu running, %zu queued"),
             d->stopping         ? _("stopping; ")
             : d->catalog_failed ? _("THE CATALOG DOES NOT ANSWER; ")
             : !d->site          ? _("NO CONFIGURATION; ")
                                 : "",
             d->n_children, d->n_queued);
    if (strcmp(text, d->status) != 0) {
        sd_notifyf(0, "STATUS=%s", text);
        snprintf(d->status, sizeof d->status, "%s", text);
    }
}

static bool queue_may_have_changed(struct daemon *d, uint64_t now_ms)
{
    if (d->dirty || (d->wake_s && sys_realtime_s() >= d->wake_s))
        return true;
    if (now_ms < d->next_changes_ms)
        return false;
    d->next_changes_ms = now_ms + CHANGES_MS;
    return catalog_changes(d->c) != d->changes;
}

static void once(struct daemon *d)
{
    uint64_t now = sys_monotonic_ms();
    hear_signals(d);
    hear_bell(d);
    work_tend(d, now);
    if (!d->stopping)
        look_at_config(d, now);
    if (!d->stopping && d->site && d->c && now >= d->next_carried_ms) {
        d->next_carried_ms = now + CARRIED_MS;
        carried_look(d);
    }
    if (!d->stopping && d->site && d->c && queue_may_have_changed(d, now))
        work_look(d);
    if (!d->stopping && d->c)
        watch(d, now);
    heartbeat_tick(d, now);
    tell_systemd(d, now);
}

static bool over(const struct daemon *d)
{
    return d->stopping && (d->n_children == 0 || sys_monotonic_ms() >= d->stop_ms);
}

int daemon_run(const struct daemon_options *o, struct err *e)
{
    struct daemon d = { .paths = o->paths,
                        .lease_s = o->lease_s,
                        .grace_s = o->grace_s,
                        .lock = -1,
                        .signals = -1,
                        .bell = -1 };
    int rc = begin(&d, e);
    if (rc == 0) {
        once(&d);
        sd_notify(0, "READY=1");
        daemon_log(LOG_INFO, NULL, _("ready"));
    }
    while (rc == 0 && !over(&d)) {
        rc = wait_for_something(&d, e);
        if (rc == 0)
            once(&d);
    }
    heartbeat_done(&d);
    work_done(&d);
    carried_done(&d);
    watch_free(d.watch);
    site_free(d.site);
    sys_close_quiet(d.bell);
    sys_close_quiet(d.signals);
    sys_close_quiet(d.lock);
    return rc;
}
