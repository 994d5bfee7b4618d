/* estimate.c - see agents/estimate.h. */
#include "agents/estimate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>

struct estimate {
    struct scan_opts opts;
    pthread_t thread;
    uint64_t files, bytes;
    _Atomic bool stop, done;
};

static int count(void *ctx, const struct scan_item *it, struct err *e)
{
    struct estimate *x = ctx;
    if (S_ISREG(it->st->mode)) {
        x->files++;
        x->bytes += it->st->size;
    }
    return atomic_load_explicit(&x->stop, memory_order_relaxed) ? -ERR_INTERRUPTED : 0;
}

static void *run(void *arg)
{
    struct estimate *x = arg;
    struct err e = ERR_INIT;
    if (scan_run(&x->opts, &e) == 0)
        atomic_store(&x->done, true);
    return NULL;
}

struct estimate *estimate_start(const struct scan_opts *o)
{
    struct estimate *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->opts = *o;
    x->opts.on_entry = count;
    x->opts.on_note = NULL;
    x->opts.ctx = x;
    if (pthread_create(&x->thread, NULL, run, x) != 0) {
        free(x);
        return NULL;
    }
    return x;
}

void estimate_stop(struct estimate *x)
{
    if (!x)
        return;
    atomic_store(&x->stop, true);
    pthread_join(x->thread, NULL);
    free(x);
}

void estimate_totals(struct estimate *x, uint64_t *ret_files, uint64_t *ret_bytes)
{
    bool done = x && atomic_load(&x->done);
    *ret_files = done ? x->files : 0;
    *ret_bytes = done ? x->bytes : 0;
}
