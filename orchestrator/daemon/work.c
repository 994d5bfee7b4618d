/* work.c - twofoldd's work: the queue is looked at, processes are started, tended and settled; see inner.h. */
#include "orchestrator/daemon/inner.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#define CATALOG_AGAIN_MS 5000u
#define CLOCK_JUMP_S 5

static void tend(struct daemon *d);

/* --- the catalog --------------------------------------------------------------------------------------------- */
static void catalog_says(struct daemon *d, const char *doing, const struct err *e)
{
    if (!d->catalog_failed)
        daemon_log_err(LOG_ERR, NULL, doing, e);
    d->catalog_failed = true;
}

static void open_catalog(struct daemon *d, uint64_t now_ms)
{
    struct err e = ERR_INIT;
    if (now_ms < d->next_catalog_ms)
        return;
    d->next_catalog_ms = now_ms + CATALOG_AGAIN_MS;
    if (catalog_open(d->paths, CATALOG_WRITE, &d->c, &e) < 0) {
        d->c = NULL;
        catalog_says(d, _("no job can be started"), &e);
        return;
    }
    if (d->catalog_failed)
        daemon_log(LOG_NOTICE, NULL, _("the catalog answers again"));
    /* Whoever had our name before is dead, since we have its lock; and what it ran died with it. */
    if (d->n_children == 0)
        catalog_lease_orphan(d->c, d->owner, NULL);
    d->catalog_failed = false;
    d->dirty = true;
}

/* Where the clock was put forward, leases of ours would seem to have run out. */
static void heed_clock(struct daemon *d)
{
    int64_t offset = sys_realtime_s() - (int64_t)(sys_monotonic_ms() / 1000);
    int64_t moved = offset - d->clock_offset_s;
    if (moved < -CLOCK_JUMP_S || moved > CLOCK_JUMP_S) {
        for (size_t i = 0; i < d->n_children; i++)
            d->children[i]->renew_ms = 0;
        d->clock_offset_s = offset;
        d->dirty = true;
    }
}

void work_tend(struct daemon *d, uint64_t now_ms)
{
    struct err e = ERR_INIT;
    if (d->c && catalog_replaced(d->c)) { /* it was made again from a copy */
        catalog_close(d->c);
        d->c = NULL;
    }
    if (!d->c)
        open_catalog(d, now_ms);
    heed_clock(d);
    tend(d);
    /* Where the catalog made us wait, leases of ours may seem to have run out: they are renewed first, in the next round. */
    bool late = sys_monotonic_ms() > now_ms + (uint64_t)d->lease_s * 1000 / 4;
    if (!d->c || late || now_ms < d->next_recover_ms)
        return;
    d->next_recover_ms = now_ms + (uint64_t)d->lease_s * 1000 / 4;
    int n = catalog_jobs_recover(d->c, sys_realtime_s(), &e);
    if (n < 0)
        catalog_says(d, _("look for jobs whose process died"), &e);
    if (n <= 0)
        return;
    daemon_log(LOG_WARNING, NULL,
               P_("%d job had lost its process", "%d jobs had lost their process", n), n);
    d->dirty = true;
}

/* --- starting ---------------------------------------------------------------------------------------------------- */
struct gathering {
    struct daemon *d;
    struct plan_list running, queue;
};

static int gather(void *ctx, const struct job *j)
{
    struct gathering *g = ctx;
    char key[FACT_BYTES];
    if (j->state == JOB_RUNNING)
        return plan_list_add(&g->running, j, false, NULL);
    bool held = j->kind == JOB_BACKUP && fact_is_set(g->d->c, fact_hold(j->target, key));
    return plan_list_add(&g->queue, j, held, NULL);
}

static void drop_superseded(struct daemon *d, const struct plan_list *queue)
{
    for (size_t i = 0; i < queue->n; i++) {
        const struct plan_job *j = &queue->jobs[i];
        if (j->superseded && catalog_job_cancel(d->c, j->id, NULL) == 0)
            daemon_log(LOG_INFO, NULL,
                       _("job %" PRIu64 " (%s %s) is not needed: a later one asks for the same"),
                       j->id, job_kind_name(j->kind), j->target);
    }
}

static int keep_child(struct daemon *d, struct child *k)
{
    if (d->n_children == d->cap_children) {
        size_t cap = d->cap_children ? 2 * d->cap_children : 16;
        struct child **grown = realloc(d->children, cap * sizeof(void *));
        if (!grown)
            return -ERR_NOMEM;
        d->children = grown;
        d->cap_children = cap;
    }
    d->children[d->n_children++] = k;
    return 0;
}

static int start_job(struct daemon *d, const struct plan_job *j)
{
    struct err e = ERR_INIT;
    struct child *k = NULL;
    int rc = child_start(d->paths, d->c, j->id, d->owner, d->lease_s, &k, &e);
    if (rc == 0 && keep_child(d, k) < 0) {
        child_free(k); /* its lease runs out */
        rc = err_set(&e, ERR_NOMEM, _("no memory"));
    }
    if (rc == 0)
        daemon_log(LOG_INFO, k, _("job %" PRIu64 " (%s %s) started"), k->job,
                   job_kind_name(k->kind), k->target);
    else if (rc != -ERR_BUSY) /* another process was quicker */
        daemon_log_err(LOG_ERR, NULL, _("a job could not be started"), &e);
    return rc;
}

/* Moves what may start from the queue to what runs, process by process. */
static void start_due(struct daemon *d, struct gathering *g)
{
    int at;
    while ((at = plan_next(d->site, &g->running, &g->queue, sys_realtime_s(), &d->wake_s)) >= 0) {
        struct plan_job *j = &g->queue.jobs[at];
        bool started = start_job(d, j) == 0;
        if (plan_started(&g->running, &g->queue, (size_t)at, NULL) < 0)
            return;
        if (!started)
            g->running.n--;
    }
}

void work_look(struct daemon *d)
{
    struct gathering g = { .d = d };
    struct err e = ERR_INIT;
    d->changes = catalog_changes(d->c);
    d->dirty = false;
    int rc = catalog_jobs(d->c, 1u << JOB_QUEUED | 1u << JOB_RUNNING, 0, gather, &g, &e);
    if (rc == 0) {
        plan_order(&g.queue);
        drop_superseded(d, &g.queue);
        start_due(d, &g);
        d->n_queued = g.queue.n;
    } else {
        catalog_says(d, _("read the queue"), &e);
        d->dirty = true;
    }
    if (rc == 0)
        d->catalog_failed = false;
    plan_list_free(&g.queue);
    plan_list_free(&g.running);
}

/* --- tending -------------------------------------------------------------------------------------------------------- */
static void say_end(const struct child *k, const struct job_verdict *v)
{
    const struct job_outcome *o = &k->outcome;
    int64_t left = v->retry_at_s - sys_realtime_s();
    if (v->state == JOB_QUEUED)
        daemon_log(LOG_WARNING, k, _("job %" PRIu64 " (%s %s): %s; again in %" PRId64 " s"), k->job,
                   job_kind_name(k->kind), k->target, o->error, left > 0 ? left : 0);
    else
        daemon_log(v->state == JOB_DONE ? LOG_INFO : LOG_ERR, k, "job %" PRIu64 " (%s %s): %s%s%s",
                   k->job, job_kind_name(k->kind), k->target, job_state_name(v->state),
                   o->error[0] ? ": " : "", o->error);
}

/* Whether it is over and recorded. */
static bool settle(struct daemon *d, struct child *k)
{
    struct job_verdict v;
    struct err e = ERR_INIT;
    int rc = child_settle(k, d->c, &v, &e);
    if (rc < 0 && rc != -ERR_REFUSED) {
        catalog_says(d, _("record how a job ended"), &e);
        return false;
    }
    d->dirty = true;
    if (rc < 0) {
        daemon_log_err(LOG_WARNING, k, _("a job was taken from us meanwhile"), &e);
        return true;
    }
    say_end(k, &v);
    if (child_follow_up(k, d->paths, d->c, &e) < 0)
        daemon_log_err(LOG_WARNING, k, _("the copies that lack it are not caught up by themselves"),
                       &e);
    return true;
}

/* The catalog may make us wait before it says no: then it is not asked for the others, too. */
static void tend(struct daemon *d)
{
    struct catalog *c = d->c;
    size_t kept = 0;
    for (size_t i = 0; i < d->n_children; i++) {
        struct child *k = d->children[i];
        struct err e = ERR_INIT;
        child_hear(k);
        if (child_tend(k, c, &e) < 0) {
            daemon_log_err(LOG_WARNING, k, _("the lease of a job"), &e);
            c = e.code == ERR_REFUSED ? c : NULL;
        }
        bool over = child_ended(k) && c && settle(d, k);
        c = child_ended(k) && !over ? NULL : c;
        if (over)
            child_free(k);
        else
            d->children[kept++] = k;
    }
    d->n_children = kept;
}

void work_stop(struct daemon *d)
{
    for (size_t i = 0; i < d->n_children; i++)
        child_stop(d->children[i], d->grace_s * 1000);
}

void work_done(struct daemon *d)
{
    for (size_t i = 0; i < d->n_children; i++)
        child_free(d->children[i]);
    free(d->children);
    catalog_close(d->c);
}
