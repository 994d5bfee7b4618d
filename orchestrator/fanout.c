/* fanout.c - one queue and one writer thread for each copy; see fanout.h. */
#include "orchestrator/fanout.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "policies/config.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct outgoing {
    atomic_int refs;
    char name[MAX_STORE_NAME];
    struct wbuf bytes;
    int fd; /* -1: bytes */
    uint64_t len;
};

static struct outgoing *outgoing_new(const char *name)
{
    struct outgoing *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    atomic_init(&o->refs, 1);
    snprintf(o->name, sizeof o->name, "%s", name);
    o->fd = -1;
    return o;
}

struct outgoing *outgoing_bytes(const char *name, struct wbuf *w)
{
    struct outgoing *o = outgoing_new(name);
    if (!o)
        return NULL;
    o->bytes = *w;
    o->len = w->len;
    *w = WBUF_INIT;
    return o;
}

struct outgoing *outgoing_file(const char *name, int fd, uint64_t len)
{
    struct outgoing *o = outgoing_new(name);
    if (!o) {
        sys_close_quiet(fd);
        return NULL;
    }
    o->fd = fd;
    o->len = len;
    return o;
}

void outgoing_unref(struct outgoing *o)
{
    if (!o || atomic_fetch_sub(&o->refs, 1) > 1)
        return;
    wbuf_free(&o->bytes);
    sys_close_quiet(o->fd);
    free(o);
}

struct writer {
    struct fanout *f;
    struct store *store;
    pthread_t thread;
    bool started, dead, busy, stuck;
    struct err error;
    struct outgoing *queue[FANOUT_QUEUE];
    size_t head, n;
    uint64_t bytes;
};

struct fanout {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stop;
    struct writer w[MAX_COPIES];
    size_t n;
};

/* Lock held. */
static void fall_out(struct writer *w, const struct err *why)
{
    if (!w->dead && why)
        w->error = *why;
    w->dead = true;
    for (; w->n > 0; w->n--, w->head = (w->head + 1) % FANOUT_QUEUE)
        outgoing_unref(w->queue[w->head]);
    pthread_cond_broadcast(&w->f->changed);
}

static void *writer_main(void *arg)
{
    struct writer *w = arg;
    struct fanout *f = w->f;
    pthread_mutex_lock(&f->lock);
    for (;;) {
        while (w->n == 0 && !f->stop)
            pthread_cond_wait(&f->changed, &f->lock);
        if (w->n == 0)
            break;
        struct outgoing *o = w->queue[w->head];
        w->head = (w->head + 1) % FANOUT_QUEUE;
        w->n--;
        w->busy = true;
        pthread_mutex_unlock(&f->lock);
        struct err e = ERR_INIT;
        struct store_data d = { .p = o->fd < 0 ? o->bytes.p : NULL, .fd = o->fd, .len = o->len };
        int rc = store_put(w->store, o->name, &d, &e);
        uint64_t len = o->len;
        outgoing_unref(o);
        pthread_mutex_lock(&f->lock);
        w->busy = w->stuck = false;
        if (rc < 0)
            fall_out(w, &e);
        else
            w->bytes += len;
        pthread_cond_broadcast(&f->changed);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

int fanout_new(struct store *const *stores, size_t n, struct fanout **ret, struct err *e)
{
    struct fanout *f = calloc(1, sizeof *f);
    pthread_condattr_t attr;
    if (!f || n > MAX_COPIES) {
        free(f);
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    pthread_mutex_init(&f->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&f->changed, &attr);
    pthread_condattr_destroy(&attr);
    f->n = n;
    for (size_t i = 0; i < n; i++) {
        struct writer *w = &f->w[i];
        w->f = f;
        w->store = stores[i];
        w->dead = !stores[i];
        if (w->dead)
            continue;
        if (pthread_create(&w->thread, NULL, writer_main, w) != 0) {
            fanout_free(f);
            return err_set(e, ERR_NOMEM, _("cannot start a thread"));
        }
        w->started = true;
    }
    *ret = f;
    return 0;
}

void fanout_free(struct fanout *f)
{
    if (!f)
        return;
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    for (size_t i = 0; i < f->n; i++)
        while (f->w[i].n > 0) {
            outgoing_unref(f->w[i].queue[f->w[i].head]);
            f->w[i].head = (f->w[i].head + 1) % FANOUT_QUEUE;
            f->w[i].n--;
        }
    pthread_cond_broadcast(&f->changed);
    bool stuck = false;
    for (size_t i = 0; i < f->n; i++)
        stuck |= f->w[i].stuck;
    pthread_mutex_unlock(&f->lock);
    for (size_t i = 0; i < f->n; i++)
        if (f->w[i].started && !f->w[i].stuck)
            pthread_join(f->w[i].thread, NULL);
    if (stuck)
        return; /* a writer sits in a call that may never end, and still needs this: it goes with the process */
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

/* Waits for a change; lock held. false: none came for FANOUT_STALL_MS. */
static bool wait_change(struct fanout *f)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += FANOUT_STALL_MS / 1000;
    return pthread_cond_timedwait(&f->changed, &f->lock, &until) == 0;
}

static void stalled(struct writer *w)
{
    struct err e = ERR_INIT;
    err_set(&e, ERR_TIMEOUT, _("it took nothing for %d s"), FANOUT_STALL_MS / 1000);
    w->stuck = w->busy;
    fall_out(w, &e);
}

int fanout_put(struct fanout *f, struct outgoing *o, uint32_t mask, struct err *e)
{
    size_t taken = 0, last = 0;
    if (!o)
        return err_set(e, ERR_NOMEM, _("no memory"));
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->n; i++) {
        struct writer *w = &f->w[i];
        if (!(mask & (1u << i)))
            continue;
        while (!w->dead && w->n == FANOUT_QUEUE)
            if (!wait_change(f) && w->n == FANOUT_QUEUE)
                stalled(w);
        if (w->dead) {
            last = w->error.code ? i : last;
            continue;
        }
        atomic_fetch_add(&o->refs, 1);
        w->queue[(w->head + w->n++) % FANOUT_QUEUE] = o;
        taken++;
        pthread_cond_broadcast(&f->changed);
    }
    if (taken == 0 && e)
        *e = f->w[last].error;
    pthread_mutex_unlock(&f->lock);
    outgoing_unref(o);
    if (taken > 0)
        return 0;
    return e && e->code ? -(int)e->code : err_set(e, ERR_UNREACHABLE, _("no copy can be written"));
}

int fanout_flush(struct fanout *f, struct err *e)
{
    size_t alive = 0;
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->n; i++) {
        struct writer *w = &f->w[i];
        while (!w->dead && (w->n > 0 || w->busy))
            if (!wait_change(f))
                stalled(w);
        alive += !w->dead;
    }
    for (size_t i = 0; alive == 0 && e && i < f->n; i++)
        if (f->w[i].error.code)
            *e = f->w[i].error;
    pthread_mutex_unlock(&f->lock);
    if (alive > 0)
        return 0;
    return e && e->code ? -(int)e->code : err_set(e, ERR_UNREACHABLE, _("no copy can be written"));
}

bool fanout_stuck(struct fanout *f, size_t i)
{
    pthread_mutex_lock(&f->lock);
    bool stuck = f->w[i].stuck;
    pthread_mutex_unlock(&f->lock);
    return stuck;
}

bool fanout_alive(struct fanout *f, size_t i)
{
    pthread_mutex_lock(&f->lock);
    bool alive = !f->w[i].dead;
    pthread_mutex_unlock(&f->lock);
    return alive;
}

const struct err *fanout_error(struct fanout *f, size_t i)
{
    pthread_mutex_lock(&f->lock);
    const struct err *why = f->w[i].dead && f->w[i].error.code ? &f->w[i].error : NULL;
    pthread_mutex_unlock(&f->lock);
    return why;
}

uint64_t fanout_bytes(struct fanout *f, size_t i)
{
    pthread_mutex_lock(&f->lock);
    uint64_t n = f->w[i].bytes;
    pthread_mutex_unlock(&f->lock);
    return n;
}

void fanout_drop(struct fanout *f, size_t i, const struct err *why)
{
    pthread_mutex_lock(&f->lock);
    fall_out(&f->w[i], why);
    pthread_mutex_unlock(&f->lock);
}
