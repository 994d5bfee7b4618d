/* limited.c - a store that waits before it moves bytes; see store_limited in store.h. It pays for an object before it is moved, at
 * the speed of the bound, so what is moved within any longer time stays below it. */
#include "lib/base/rate.h"
#include "lib/store/drivers.h"

#include <stdlib.h>

struct limited {
    struct store *under;
    struct rate *rate;
};

static int limited_put(void *d, const char *name, const struct store_data *data, struct err *e)
{
    struct limited *l = d;
    int r = rate_take(l->rate, data->len, e);
    return r < 0 ? r : store_put(l->under, name, data, e);
}

static int limited_replace(void *d, const char *name, const struct store_data *data,
                           const char *stamp, struct err *e)
{
    struct limited *l = d;
    int r = rate_take(l->rate, data->len, e);
    return r < 0 ? r : store_replace(l->under, name, data, stamp, e);
}

static int limited_restore_aside(void *d, const char *stamp, struct err *e)
{
    struct limited *l = d;
    return store_restore_aside(l->under, stamp, e);
}

/* Paid for afterwards: a length that an object does not have must not be waited for. */
static int limited_get(void *d, const char *name, uint64_t off, size_t len, void *out,
                       struct err *e)
{
    struct limited *l = d;
    int r = store_get(l->under, name, off, len, out, e);
    return r < 0 ? r : rate_take(l->rate, len, e);
}

static int limited_stat(void *d, const char *name, uint64_t *ret_len, struct err *e)
{
    struct limited *l = d;
    return store_stat(l->under, name, ret_len, e);
}

static int limited_list(void *d, const char *prefix, store_list_fn *fn, void *ctx, struct err *e)
{
    struct limited *l = d;
    return store_list(l->under, prefix, fn, ctx, e);
}

static int limited_delete(void *d, const char *name, struct err *e)
{
    struct limited *l = d;
    return store_delete(l->under, name, e);
}

static int limited_space(void *d, struct store_space *ret, struct err *e)
{
    struct limited *l = d;
    return store_space(l->under, ret, e);
}

static int limited_sweep_tmp(void *d, struct err *e)
{
    struct limited *l = d;
    return store_sweep_tmp(l->under, e);
}

static void limited_close(void *d)
{
    struct limited *l = d;
    store_close(l->under);
    rate_free(l->rate);
    free(l);
}

int store_limited(struct store *s, struct rate *rate, struct store **ret, struct err *e)
{
    static const struct store_ops ops = {
        .put = limited_put,
        .replace = limited_replace,
        .restore_aside = limited_restore_aside,
        .get = limited_get,
        .stat = limited_stat,
        .list = limited_list,
        .del = limited_delete,
        .space = limited_space,
        .sweep_tmp = limited_sweep_tmp,
        .close = limited_close,
    };
    struct err ignored = ERR_INIT;
    e = e ? e : &ignored;
    if (!rate) {
        *ret = s;
        return 0;
    }
    struct limited *l = calloc(1, sizeof *l);
    if (!l) {
        store_close(s);
        rate_free(rate);
        return store_out_of_memory(e);
    }
    *l = (struct limited){ .under = s, .rate = rate };
    return store_new(&ops, l, store_url(s), ret, e);
}
