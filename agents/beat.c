/* beat.c - see agents/beat.h. */
#include "agents/beat.h"
#include "lib/base/i18n.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define NEWS_MS 100 /* the job has so long to say where it is */
#define PATH_BYTES 1024

struct beat {
    struct wire *w;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop, have;
    _Atomic bool wants;
    struct msg_progress now;
    char path[PATH_BYTES];
};

/* False: time to stop. */
static bool pause_ms(struct beat *b, unsigned ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (!b->stop && pthread_cond_timedwait(&b->wake, &b->lock, &until) != ETIMEDOUT)
        ;
    return !b->stop;
}

static void *run(void *arg)
{
    struct beat *b = arg;
    struct wbuf out = WBUF_INIT;
    int rc = 0;
    pthread_mutex_lock(&b->lock);
    while (rc == 0 && pause_ms(b, WIRE_BEAT_MS - NEWS_MS)) {
        atomic_store(&b->wants, true);
        if (!pause_ms(b, NEWS_MS))
            break;
        wbuf_reset(&out);
        bool progress = b->have;
        if (progress)
            msg_progress_write(&out, &b->now);
        pthread_mutex_unlock(&b->lock);
        /* A broken link is for those to report who need it. */
        rc = wire_send(b->w, progress ? FRAME_PROGRESS : FRAME_PING, progress ? &out : NULL, NULL,
                       0, NULL);
        pthread_mutex_lock(&b->lock);
    }
    pthread_mutex_unlock(&b->lock);
    wbuf_free(&out);
    return NULL;
}

int beat_start(struct wire *w, struct beat **ret, struct err *e)
{
    pthread_condattr_t attr;
    struct beat *b = calloc(1, sizeof *b);
    if (!b)
        return err_set(e, ERR_NOMEM, _("no memory"));
    b->w = w;
    pthread_mutex_init(&b->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&b->wake, &attr);
    pthread_condattr_destroy(&attr);
    if ((errno = pthread_create(&b->thread, NULL, run, b)) != 0) {
        err_sys(e, _("start a thread"));
        free(b);
        return -e->code;
    }
    *ret = b;
    return 0;
}

void beat_stop(struct beat *b)
{
    if (!b)
        return;
    pthread_mutex_lock(&b->lock);
    b->stop = true;
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->wake);
    free(b);
}

bool beat_wants(struct beat *b)
{
    return b && atomic_load_explicit(&b->wants, memory_order_relaxed);
}

void beat_progress(struct beat *b, const struct msg_progress *m)
{
    if (!b)
        return;
    pthread_mutex_lock(&b->lock);
    b->now = *m;
    b->now.path_len = m->path_len < PATH_BYTES ? m->path_len : PATH_BYTES;
    if (b->now.path_len > 0)
        memcpy(b->path, m->path, b->now.path_len);
    b->now.path = b->path;
    b->have = true;
    atomic_store(&b->wants, false);
    pthread_mutex_unlock(&b->lock);
}
