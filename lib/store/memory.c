/* memory.c - a store in memory, for tests of everything above a store. Behaves as a folder does
 * (tests/contract/test_store.c); one mutex guards it all. */
#include "lib/store/drivers.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one object may have: the largest there is, a pack (docs/format.md, "Encoding"). */
#define MAX_MEMORY_OBJECT (256u << 20)

struct object {
    char *name;
    uint8_t *p;
    size_t len;
};

struct memory {
    pthread_mutex_t lock;
    struct object *objects;
    size_t n, cap;
    bool read_only;
};

static struct object *find(struct memory *m, const char *name)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->objects[i].name, name) == 0)
            return &m->objects[i];
    return NULL;
}

static void object_free(struct object *o)
{
    free(o->name);
    free(o->p);
}

static int may_write(const struct memory *m, struct err *e)
{
    return m->read_only ? err_set(e, ERR_READONLY, _("the copy was opened for reading only")) : 0;
}

static int absent(const char *name, struct err *e)
{
    err_set(e, ERR_ABSENT, _("there is no such object"));
    return err_wrap(e, "%s", name);
}

/* Owned memory with the bytes that are to be put. */
static int take_data(const struct store_data *d, uint8_t **ret, struct err *e)
{
    if (d->len > MAX_MEMORY_OBJECT)
        return err_set(e, ERR_LIMIT, _("an object of %llu bytes is too large"),
                       (unsigned long long)d->len);
    uint8_t *p = malloc((size_t)d->len + 1);
    if (!p)
        return store_out_of_memory(e);
    if (d->p) {
        memcpy(p, d->p, (size_t)d->len);
        *ret = p;
        return 0;
    }
    ssize_t got = sys_pread(d->fd, p, (size_t)d->len, 0, e);
    if (got == (ssize_t)d->len) {
        *ret = p;
        return 0;
    }
    free(p);
    if (got >= 0)
        err_set(e, ERR_FAILED, _("it is shorter than it should be"));
    return store_source_failed(e);
}

/* Takes p. */
static int add(struct memory *m, const char *name, uint8_t *p, size_t len, struct err *e)
{
    if (m->n == m->cap) {
        size_t cap = m->cap ? 2 * m->cap : 16;
        struct object *grown = realloc(m->objects, cap * sizeof *grown);
        if (!grown)
            goto fail;
        m->objects = grown;
        m->cap = cap;
    }
    char *own = strdup(name);
    if (!own)
        goto fail;
    m->objects[m->n++] = (struct object){ .name = own, .p = p, .len = len };
    return 0;
fail:
    free(p);
    return store_out_of_memory(e);
}

/* `to` may lie in the object's old name. */
static int rename_object(struct memory *m, struct object *o, const char *to, struct err *e)
{
    if (find(m, to)) {
        err_set(e, ERR_EXISTS, _("something was set aside under that name already"));
        return err_wrap(e, "%s", to);
    }
    char *own = strdup(to);
    if (!own)
        return store_out_of_memory(e);
    free(o->name);
    o->name = own;
    return 0;
}

static int memory_put(void *d, const char *name, const struct store_data *data, struct err *e)
{
    struct memory *m = d;
    uint8_t *p = NULL;
    int r = may_write(m, e);
    if (r < 0)
        return r;
    pthread_mutex_lock(&m->lock);
    struct object *o = find(m, name);
    if (o && o->len != data->len) {
        err_set(e, ERR_DAMAGED, _("an object of another length has this name"));
        r = err_wrap(e, "%s", name);
    } else if (!o) {
        r = take_data(data, &p, e);
        if (r == 0)
            r = add(m, name, p, (size_t)data->len, e);
    }
    pthread_mutex_unlock(&m->lock);
    return r;
}

static int memory_replace(void *d, const char *name, const struct store_data *data,
                          const char *stamp, struct err *e)
{
    struct memory *m = d;
    char aside[2 * MAX_STORE_NAME + 16];
    uint8_t *p = NULL;
    int r = may_write(m, e);
    if (r == 0)
        r = take_data(data, &p, e);
    if (r < 0)
        return r;
    snprintf(aside, sizeof aside, ASIDE_FOLDER "%s/%s", stamp, name);
    pthread_mutex_lock(&m->lock);
    struct object *o = find(m, name);
    r = o ? rename_object(m, o, aside, e) : 0;
    if (r == 0)
        r = add(m, name, p, (size_t)data->len, e);
    else
        free(p);
    pthread_mutex_unlock(&m->lock);
    return r;
}

static int memory_restore_aside(void *d, const char *stamp, struct err *e)
{
    struct memory *m = d;
    char from[MAX_STORE_NAME + 1], undone[2 * MAX_STORE_NAME + 16];
    int count = 0, r = may_write(m, e);
    if (r < 0)
        return r;
    snprintf(from, sizeof from, ASIDE_FOLDER "%s/", stamp);
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->n && r == 0; i++) {
        if (strncmp(m->objects[i].name, from, strlen(from)) != 0)
            continue;
        const char *name = m->objects[i].name + strlen(from);
        struct object *standing = find(m, name);
        snprintf(undone, sizeof undone, ASIDE_FOLDER "%s" UNDONE_SUFFIX "/%s", stamp, name);
        if (standing)
            r = rename_object(m, standing, undone, e);
        if (r == 0)
            r = rename_object(m, &m->objects[i], name, e);
        count += r == 0;
    }
    pthread_mutex_unlock(&m->lock);
    return r < 0 ? r : count;
}

static int memory_get(void *d, const char *name, uint64_t off, size_t len, void *out, struct err *e)
{
    struct memory *m = d;
    int r = 0;
    pthread_mutex_lock(&m->lock);
    const struct object *o = find(m, name);
    if (!o) {
        r = absent(name, e);
    } else if (off > o->len || len > o->len - off) {
        err_set(e, ERR_DAMAGED, _("the object is too short"));
        r = err_wrap(e, "%s", name);
    } else if (len > 0) {
        memcpy(out, o->p + off, len);
    }
    pthread_mutex_unlock(&m->lock);
    return r;
}

static int memory_stat(void *d, const char *name, uint64_t *ret_len, struct err *e)
{
    struct memory *m = d;
    pthread_mutex_lock(&m->lock);
    const struct object *o = find(m, name);
    int r = o ? 0 : absent(name, e);
    if (o)
        *ret_len = o->len;
    pthread_mutex_unlock(&m->lock);
    return r;
}

/* Works on a copy of the names, so that fn may use the store. */
static int memory_list(void *d, const char *prefix, store_list_fn *fn, void *ctx, struct err *e)
{
    struct memory *m = d;
    size_t n = 0;
    int r = 0;
    pthread_mutex_lock(&m->lock);
    struct object *found = calloc(m->n + 1, sizeof *found);
    for (size_t i = 0; found && i < m->n; i++) {
        if (!store_prefix_matches(prefix, m->objects[i].name))
            continue;
        found[n] = (struct object){ .name = strdup(m->objects[i].name), .len = m->objects[i].len };
        if (!found[n++].name)
            r = store_out_of_memory(e);
    }
    pthread_mutex_unlock(&m->lock);
    if (!found)
        return store_out_of_memory(e);
    for (size_t i = 0; i < n && r == 0; i++)
        r = fn(ctx, found[i].name, found[i].len);
    for (size_t i = 0; i < n; i++)
        free(found[i].name);
    free(found);
    return r;
}

static int memory_delete(void *d, const char *name, struct err *e)
{
    struct memory *m = d;
    int r = may_write(m, e);
    if (r < 0)
        return r;
    pthread_mutex_lock(&m->lock);
    struct object *o = find(m, name);
    if (o) {
        object_free(o);
        *o = m->objects[--m->n];
    }
    pthread_mutex_unlock(&m->lock);
    return 0;
}

static int memory_space(void *d, struct store_space *ret, struct err *e)
{
    *ret = (struct store_space){ .free_bytes = UINT64_MAX / 2,
                                 .total_bytes = UINT64_MAX / 2,
                                 .durable = true };
    return 0;
}

static int memory_sweep_tmp(void *d, struct err *e)
{
    return may_write(d, e); /* nothing is ever unfinished here */
}

static void memory_close(void *d)
{
    struct memory *m = d;
    for (size_t i = 0; i < m->n; i++)
        object_free(&m->objects[i]);
    free(m->objects);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

int memory_open(const char *url, unsigned flags, struct store **ret, struct err *e)
{
    static const struct store_ops ops = {
        .put = memory_put,
        .replace = memory_replace,
        .restore_aside = memory_restore_aside,
        .get = memory_get,
        .stat = memory_stat,
        .list = memory_list,
        .del = memory_delete,
        .space = memory_space,
        .sweep_tmp = memory_sweep_tmp,
        .close = memory_close,
    };
    struct memory *m = calloc(1, sizeof *m);
    if (!m)
        return store_out_of_memory(e);
    pthread_mutex_init(&m->lock, NULL);
    m->read_only = flags & STORE_READ_ONLY;
    return store_new(&ops, m, url, ret, e);
}
