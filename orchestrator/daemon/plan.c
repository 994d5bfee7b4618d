/* plan.c - the scheduler's decisions, without its surroundings; see plan.h. */
#include "orchestrator/daemon/plan.h"
#include "lib/base/i18n.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_WAIT_S 30

/* --- lists ---------------------------------------------------------------------------------------------- */
void plan_list_free(struct plan_list *l)
{
    free(l->jobs);
    *l = (struct plan_list){ 0 };
}

static int append(struct plan_list *l, const struct plan_job *j, struct err *e)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 16;
        struct plan_job *grown = realloc(l->jobs, cap * sizeof *grown);
        if (!grown)
            return err_set(e, ERR_NOMEM, _("no memory"));
        l->jobs = grown;
        l->cap = cap;
    }
    l->jobs[l->n++] = *j;
    return 0;
}

int plan_list_add(struct plan_list *l, const struct job *j, bool held, struct err *e)
{
    struct plan_job p = { .id = j->id,
                          .kind = j->kind,
                          .priority = j->priority,
                          .queued_s = j->queued_s,
                          .not_before_s = j->not_before_s,
                          .held = held || j->pause };
    snprintf(p.target, sizeof p.target, "%s", j->target);
    snprintf(p.vault, sizeof p.vault, "%s", j->vault);
    snprintf(p.agent, sizeof p.agent, "%s", j->agent);
    return append(l, &p, e);
}

static bool same_work(const struct plan_job *a, const struct plan_job *b)
{
    return a->kind == b->kind && strcmp(a->target, b->target) == 0;
}

static int by_work_newest_first(const void *pa, const void *pb)
{
    const struct plan_job *a = pa, *b = pb;
    int by_target = strcmp(a->target, b->target);
    return a->kind != b->kind ? (a->kind > b->kind) - (a->kind < b->kind)
           : by_target        ? by_target
                              : (a->id < b->id) - (a->id > b->id);
}

static int by_rank(const void *pa, const void *pb)
{
    const struct plan_job *a = pa, *b = pb;
    return a->priority != b->priority   ? (a->priority < b->priority) - (a->priority > b->priority)
           : a->queued_s != b->queued_s ? (a->queued_s > b->queued_s) - (a->queued_s < b->queued_s)
                                        : (a->id > b->id) - (a->id < b->id);
}

void plan_order(struct plan_list *queue)
{
    if (queue->n == 0)
        return;
    qsort(queue->jobs, queue->n, sizeof *queue->jobs, by_work_newest_first);
    for (size_t i = 1; i < queue->n; i++)
        queue->jobs[i].superseded = same_work(&queue->jobs[i - 1], &queue->jobs[i]);
    qsort(queue->jobs, queue->n, sizeof *queue->jobs, by_rank);
}

/* --- who is next ------------------------------------------------------------------------------------------ */
static bool room_over_all(const struct site *s, const struct plan_list *running)
{
    size_t n = 0;
    for (size_t i = 0; i < running->n; i++)
        n += running->jobs[i].kind != JOB_PAGE;
    return s->settings->jobs == 0 || n < s->settings->jobs;
}

static bool room_at_agent(const struct site *s, const struct plan_list *running, const char *name)
{
    const struct site_agent *a = site_agent(s, name);
    size_t n = 0;
    if (!a || a->jobs == 0) /* this host, which has no limit of its own */
        return true;
    for (size_t i = 0; i < running->n; i++)
        n += running->jobs[i].kind == JOB_BACKUP && strcmp(running->jobs[i].agent, name) == 0;
    return n < a->jobs;
}

/* Every job of a vault uses all its copies. */
static bool room_at_copies(const struct site *s, const struct plan_list *running, const char *vault)
{
    const struct site_vault *v = site_vault(s, vault);
    size_t n = 0;
    for (size_t i = 0; i < running->n; i++)
        n += running->jobs[i].kind != JOB_PAGE && strcmp(running->jobs[i].vault, vault) == 0;
    for (size_t i = 0; v && i < v->n_copies; i++)
        if (v->copies[i].jobs && n >= v->copies[i].jobs)
            return false;
    return true;
}

static bool room_for(const struct site *s, const struct plan_list *running,
                     const struct plan_job *j)
{
    for (size_t i = 0; i < running->n; i++)
        if (same_work(&running->jobs[i], j))
            return false;
    if (j->kind == JOB_PAGE)
        return true;
    return room_over_all(s, running) && room_at_copies(s, running, j->vault) &&
           (j->kind != JOB_BACKUP || room_at_agent(s, running, j->agent));
}

/* The first moment from now on at which its own times let it start. */
static int64_t may_start_at(const struct site *s, const struct plan_job *j, int64_t now_s)
{
    const struct site_policy *p = j->kind == JOB_BACKUP ? site_policy(s, j->target) : NULL;
    int64_t at = j->not_before_s > now_s ? j->not_before_s : now_s;
    return p ? window_opens_at(&p->window, at) : at;
}

int plan_next(const struct site *s, const struct plan_list *running, const struct plan_list *queue,
              int64_t now_s, int64_t *ret_wake_s)
{
    *ret_wake_s = 0;
    for (size_t i = 0; i < queue->n; i++) {
        const struct plan_job *j = &queue->jobs[i];
        if (j->held || j->superseded || j->kind >= JOB_KINDS)
            continue;
        int64_t at = may_start_at(s, j, now_s);
        if (at > now_s) {
            if (*ret_wake_s == 0 || at < *ret_wake_s)
                *ret_wake_s = at;
        } else if (room_for(s, running, j)) {
            return (int)i;
        }
    }
    return -1;
}

int plan_started(struct plan_list *running, struct plan_list *queue, size_t i, struct err *e)
{
    int rc = append(running, &queue->jobs[i], e);
    if (rc < 0)
        return rc;
    memmove(queue->jobs + i, queue->jobs + i + 1, (queue->n - i - 1) * sizeof *queue->jobs);
    queue->n--;
    return 0;
}

/* --- what becomes of it -------------------------------------------------------------------------------------- */
int64_t plan_backoff_s(unsigned tries, uint32_t chance)
{
    static const int64_t minutes[] = { 1, 5, 15, 30, 60 };
    size_t last = sizeof minutes / sizeof *minutes - 1;
    int64_t base = 60 * minutes[tries == 0 ? 0 : tries - 1 < last ? tries - 1 : last];
    return base * 4 / 5 + (int64_t)chance % (base * 2 / 5 + 1);
}

static bool may_help(const char *code)
{
    for (int c = 0; c < ERR_CODES; c++)
        if (strcmp(err_info((enum err_code)c)->name, code) == 0)
            return err_info((enum err_code)c)->retry;
    return false;
}

static void say(struct job_outcome *o, enum err_code code, const char *text)
{
    snprintf(o->error_code, sizeof o->error_code, "%s", err_info(code)->name);
    snprintf(o->error, sizeof o->error, "%s", text);
}

/* Every outcome has a code and words: a process that was killed said neither. */
static void complete(struct job_outcome *o)
{
    char text[96];
    const char *interrupted = err_info(ERR_INTERRUPTED)->name;
    if (o->stopped) {
        say(o, ERR_INTERRUPTED, _("the scheduler was stopped; it goes on when it is back"));
    } else if (o->killed) {
        snprintf(text, sizeof text, _("its process was killed by signal %d"), o->exit_status - 128);
        say(o, ERR_FAILED, text);
    } else if (strcmp(o->error_code, interrupted) == 0 ||
               (!o->error_code[0] && o->exit_status == 130)) {
        o->killed = true; /* by somebody else: it counts as a try */
        say(o, ERR_FAILED, _("its process was interrupted by a signal"));
    } else if (o->exit_status && !o->error_code[0]) {
        snprintf(text, sizeof text, _("its process ended with status %d and no error"),
                 o->exit_status);
        say(o, ERR_FAILED, text);
    }
}

struct job_verdict plan_after(enum job_kind kind, unsigned tries, unsigned max_tries,
                              struct job_outcome *o, int64_t now_s, uint32_t chance)
{
    struct job_verdict again = { JOB_QUEUED, now_s + plan_backoff_s(tries, chance) };
    bool left = tries < max_tries;
    bool cut_short = o->killed || o->exit_status == err_info(ERR_INTERRUPTED)->exit_status;
    o->stopped = o->stopped && cut_short; /* else it was quicker than we were */
    o->cancelled = o->cancelled && cut_short;
    if (o->exit_status == 0 && !o->killed) {
        o->error_code[0] = o->error[0] = '\0';
        return (struct job_verdict){ JOB_DONE, 0 };
    }
    if (o->cancelled) {
        say(o, ERR_INTERRUPTED, _("it was cancelled"));
        return (struct job_verdict){ JOB_CANCELLED, 0 };
    }
    complete(o);
    if (o->stopped)
        return (struct job_verdict){ JOB_QUEUED, now_s };
    if (strcmp(o->error_code, err_info(ERR_BUSY)->name) == 0)
        return (struct job_verdict){ JOB_QUEUED, now_s + BUSY_WAIT_S + chance % BUSY_WAIT_S };
    if (o->exit_status == err_info(ERR_PARTIAL)->exit_status && !o->killed)
        return kind == JOB_REPLICATE && left ? again : (struct job_verdict){ JOB_DEGRADED, 0 };
    if (left && (o->killed || may_help(o->error_code)))
        return again;
    return (struct job_verdict){ JOB_FAILED, 0 };
}
