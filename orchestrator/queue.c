/* queue.c - jobs on their way into the queue; see queue.h. */
#include "orchestrator/queue.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/calendar.h"
#include "orchestrator/crash/standby.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BELL "twofoldd.bell"
#define NS_PER_S ((int64_t)1000000000)

/* Of what the configuration has no say in. A catch-up goes on for half a day, longer than most nights. */
static const struct {
    unsigned priority, max_tries;
    const char *schedule;
} defaults[JOB_KINDS] = {
    [JOB_BACKUP] = { 50, 4, NULL },          [JOB_SCRUB] = { 20, 3, SCRUB_SCHEDULE },
    [JOB_PRUNE] = { 30, 3, PRUNE_SCHEDULE }, [JOB_REPLICATE] = { 40, 14, NULL },
    [JOB_PAGE] = { 60, 2, PAGE_SCHEDULE },   [JOB_DRILL] = { 10, 1, NULL },
};

/* The time of the schedule that has just come; without a schedule, or without systemd's tools, this minute. */
static int slot_of_schedule(const char *schedule, char out[SLOT_BYTES], struct err *e)
{
    int64_t now_s = sys_realtime_s(), at = now_s - now_s % 60;
    int rc = schedule ? calendar_last(schedule, now_s, &at, e) : 0;
    if (rc == -ERR_ABSENT)
        rc = 0;
    if (rc >= 0)
        calendar_slot(at, out);
    return rc < 0 ? rc : 0;
}

static int choose_slot(const char *slot, const char *schedule, char out[SLOT_BYTES], struct err *e)
{
    if (slot && strcmp(slot, "auto") == 0)
        return slot_of_schedule(schedule, out, e);
    if (slot) {
        if (!*slot || strlen(slot) >= SLOT_BYTES)
            return err_set(e, ERR_USAGE, _("a slot has 1 to %d letters"), SLOT_BYTES - 1);
        snprintf(out, SLOT_BYTES, "%s", slot);
        return 0;
    }
    int64_t ns = sys_realtime_ns();
    char when[32];
    calendar_slot(ns / NS_PER_S, when);
    snprintf(out, SLOT_BYTES, "%s/%09" PRId64, when, ns % NS_PER_S);
    return 0;
}

static void keep_name(char out[MAX_NAME + 1], const char *name)
{
    snprintf(out, MAX_NAME + 1, "%s", name ? name : "");
}

static int of_vault(const struct config_paths *p, const char *name, struct queue_request *q,
                    struct err *e)
{
    struct vault_conf *v = NULL;
    int rc = vault_conf_load(p, *name ? name : NULL, &v, e);
    if (rc == 0)
        keep_name(q->vault, v->name);
    vault_conf_free(v);
    return rc;
}

static int of_policy(const struct config_paths *p, const char *name, struct queue_request *q,
                     char **ret_schedule, struct err *e)
{
    struct policy *pol = NULL;
    struct standby_serving serving;
    struct err ignored = ERR_INIT;
    int rc = policy_load(p, name, &pol, e);
    if (rc < 0)
        return rc;
    keep_name(q->target, pol->name);
    bool standby = standby_serving(p, pol, &serving, &ignored) > 0;
    keep_name(q->agent, standby ? serving.agent : pol->agent);
    q->priority = pol->priority;
    q->max_tries = pol->retries + 1;
    if (pol->schedule && !(*ret_schedule = strdup(pol->schedule)))
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    if (rc == 0)
        rc = of_vault(p, pol->vault, q, e);
    policy_free(pol);
    return rc;
}

int queue_prepare(const struct config_paths *p, enum job_kind kind, const char *target,
                  const char *slot, struct queue_request *ret, struct err *e)
{
    struct queue_request q = { .kind = kind,
                               .priority = defaults[kind].priority,
                               .max_tries = defaults[kind].max_tries };
    char *schedule = NULL;
    int rc = 0;
    if (kind == JOB_DRILL) { /* it takes rights that twofoldd has not */
        err_set(e, ERR_USAGE, _("a drill is not queued: it runs by itself"));
        return err_next(e, _("now: twofold drill %s; by its timer: drill: in the policy"), target);
    }
    if (kind == JOB_BACKUP) {
        rc = of_policy(p, target, &q, &schedule, e);
    } else if (kind != JOB_PAGE) {
        rc = of_vault(p, target, &q, e);
        keep_name(q.target, q.vault);
    }
    if (rc == 0)
        rc = choose_slot(slot, schedule ? schedule : defaults[kind].schedule, q.slot, e);
    free(schedule);
    if (rc == 0)
        *ret = q;
    return rc;
}

int queue_put(struct catalog *c, const struct queue_request *q, uint64_t *ret_id, struct err *e)
{
    struct job j = { .kind = q->kind,
                     .target = q->target,
                     .slot = q->slot,
                     .vault = q->vault,
                     .agent = q->agent,
                     .priority = q->priority,
                     .max_tries = q->max_tries };
    return catalog_enqueue(c, &j, ret_id, e);
}

/* --- the bell ---------------------------------------------------------------------------------------------- */
char *queue_bell_path(const struct config_paths *p)
{
    char *path = NULL;
    return asprintf(&path, "%s/" BELL, p->state_dir) < 0 ? NULL : path;
}

/* Without a reader it does not open: -1. */
static int open_bell(const struct config_paths *p)
{
    char *path = queue_bell_path(p);
    int fd = path ? open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW) : -1;
    struct stat st;
    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode))) {
        sys_close_quiet(fd);
        fd = -1;
    }
    free(path);
    return fd;
}

bool queue_ring(const struct config_paths *p)
{
    int fd = open_bell(p);
    bool heard = fd >= 0;
    if (heard && write(fd, "!", 1) < 0)
        heard = errno == EAGAIN; /* it is full: there are rings enough */
    sys_close_quiet(fd);
    return heard;
}

bool queue_is_heard(const struct config_paths *p)
{
    int fd = open_bell(p);
    sys_close_quiet(fd);
    return fd >= 0 || (errno != ENXIO && errno != ENOENT); /* it may not be ours to ask */
}
