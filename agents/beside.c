/* beside.c - see agents/beside.h. */
#include "agents/beside.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct beside {
    pthread_mutex_t lock;
    pthread_cond_t asked, done;
    pthread_t thread;
    bool has_thread, busy, end;
    beside_fn *fn;
    void *ctx;
    int rc;
    struct err e;
};

static void *work(void *arg)
{
    struct beside *b = arg;
    pthread_mutex_lock(&b->lock);
    for (;;) {
        while (!b->busy && !b->end)
            pthread_cond_wait(&b->asked, &b->lock);
        if (!b->busy)
            break;
        pthread_mutex_unlock(&b->lock);
        int rc = b->fn(b->ctx, &b->e);
        pthread_mutex_lock(&b->lock);
        b->rc = rc;
        b->busy = false;
        pthread_cond_signal(&b->done);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

struct beside *beside_new(void)
{
    struct beside *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->asked, NULL);
    pthread_cond_init(&b->done, NULL);
    b->has_thread = pthread_create(&b->thread, NULL, work, b) == 0;
    return b;
}

void beside_free(struct beside *b)
{
    if (!b)
        return;
    pthread_mutex_lock(&b->lock);
    b->end = true;
    pthread_cond_signal(&b->asked);
    pthread_mutex_unlock(&b->lock);
    if (b->has_thread)
        pthread_join(b->thread, NULL);
    pthread_cond_destroy(&b->asked);
    pthread_cond_destroy(&b->done);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

void beside_run(struct beside *b, beside_fn *fn, void *ctx)
{
    err_clear(&b->e);
    if (!b->has_thread) {
        b->rc = fn(ctx, &b->e);
        return;
    }
    pthread_mutex_lock(&b->lock);
    b->fn = fn;
    b->ctx = ctx;
    b->busy = true;
    pthread_cond_signal(&b->asked);
    pthread_mutex_unlock(&b->lock);
}

int beside_wait(struct beside *b, struct err *e)
{
    pthread_mutex_lock(&b->lock);
    while (b->busy)
        pthread_cond_wait(&b->done, &b->lock);
    int rc = b->rc;
    pthread_mutex_unlock(&b->lock);
    if (rc != 0 && e)
        *e = b->e;
    return rc;
}
