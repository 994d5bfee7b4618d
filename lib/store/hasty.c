/* hasty.c - a store that is opened and read in a thread of its own, so that nobody has to wait for a place that hangs; see
 * store_open_hasty in store.h. The thread alone touches the store below; question and answer lie under the lock. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/store/drivers.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOK_MS 100 /* so often a wait looks whether a signal came */
#define MAX_LISTED 16777216
#define KEPT_BYTES (4u << 20) /* of memory for answers: a chunk's */
#define FRESH_MS 2000 /* an answer that nobody has waited for; what an object holds never changes */

enum verb { OPEN, GET, STAT, LIST, SPACE };

struct question {
    enum verb verb;
    char name[MAX_STORE_NAME + 1];
    uint64_t off;
    size_t len;
};

struct listed {
    char (*name)[MAX_STORE_NAME + 1];
    uint64_t *len;
    size_t n, cap;
};

struct answer {
    int rc;
    struct err e;
    uint8_t *p; /* of GET */
    size_t cap;
    uint64_t len; /* of STAT */
    struct listed list;
    struct store_space space;
};

/* What was read when the store was opened; each part is given out once. */
struct early {
    char object[MAX_STORE_NAME + 1], folder[MAX_STORE_NAME + 1], last[MAX_STORE_NAME + 1];
    uint8_t *bytes[2]; /* of object, of last */
    size_t len[2];
    struct listed list;
    bool listed;
};

enum state { IDLE, ASKED, ANSWERED };

struct hasty {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    char *url, *identity, *host_key, *limit_file;
    uint64_t limit_bytes_s;
    enum state state;
    bool stop;
    uint32_t patience_ms;
    struct question q;
    struct answer a;
    uint64_t asked_ms, took_ms;
    struct early early;
    struct store *under; /* the thread's */
};

/* --- the thread ------------------------------------------------------------------------------------- */
static void listed_done(struct listed *l)
{
    free(l->name);
    free(l->len);
    *l = (struct listed){ 0 };
}

static int note_listed(void *ctx, const char *name, uint64_t len)
{
    struct listed *l = ctx;
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        void *names = cap <= MAX_LISTED ? realloc(l->name, cap * sizeof *l->name) : NULL;
        l->name = names ? names : l->name;
        uint64_t *lens = names ? realloc(l->len, cap * sizeof *l->len) : NULL;
        l->len = lens ? lens : l->len;
        if (!names || !lens)
            return -ERR_NOMEM;
        l->cap = cap;
    }
    snprintf(l->name[l->n], sizeof *l->name, "%s", name);
    l->len[l->n++] = len;
    return 0;
}

static int list_all(struct store *s, const char *prefix, struct listed *ret, struct err *e)
{
    ret->n = 0;
    int rc = store_list(s, prefix, note_listed, ret, e);
    return rc == -ERR_NOMEM ? store_out_of_memory(e) : rc;
}

static void read_early(struct hasty *h, size_t at, const char *name)
{
    free(h->early.bytes[at]);
    h->early.bytes[at] = NULL;
    if (name[0] && store_get_all(h->under, name, MAX_FIRST_BYTES, &h->early.bytes[at],
                                 &h->early.len[at], NULL) < 0)
        h->early.bytes[at] = NULL;
}

/* Whatever fails here is asked for in its own time, and fails again. */
static void read_all_early(struct hasty *h)
{
    struct early *y = &h->early;
    read_early(h, 0, y->object);
    y->last[0] = '\0';
    y->listed = y->folder[0] && list_all(h->under, y->folder, &y->list, NULL) == 0;
    for (size_t i = 0; y->listed && i < y->list.n; i++)
        if (strcmp(y->list.name[i], y->last) > 0)
            strcpy(y->last, y->list.name[i]);
    read_early(h, 1, y->last);
}

static int open_under(struct hasty *h, struct err *e)
{
    struct store_options o = { .identity = h->identity,
                               .host_key = h->host_key,
                               .limit_bytes_s = h->limit_bytes_s,
                               .limit_file = h->limit_file };
    if (h->under)
        return 0;
    int rc = store_open_with(h->url, &o, STORE_READ_ONLY, &h->under, e);
    if (rc == 0)
        read_all_early(h);
    return rc;
}

static int get(struct hasty *h, struct err *e)
{
    struct answer *a = &h->a;
    if (a->cap < h->q.len) {
        uint8_t *grown = realloc(a->p, h->q.len);
        if (!grown)
            return store_out_of_memory(e);
        a->p = grown;
        a->cap = h->q.len;
    }
    return store_get(h->under, h->q.name, h->q.off, h->q.len, a->p, e);
}

/* The question is not changed, and the answer not looked at, until it is there. */
static void work(struct hasty *h)
{
    struct answer *a = &h->a;
    err_clear(&a->e);
    a->rc = open_under(h, &a->e);
    if (a->rc < 0)
        return;
    switch (h->q.verb) {
    case OPEN:
        break;
    case GET:
        a->rc = get(h, &a->e);
        break;
    case STAT:
        a->rc = store_stat(h->under, h->q.name, &a->len, &a->e);
        break;
    case LIST:
        a->rc = list_all(h->under, h->q.name, &a->list, &a->e);
        break;
    case SPACE:
        a->rc = store_space(h->under, &a->space, &a->e);
        break;
    }
}

static void hasty_free(struct hasty *h)
{
    store_close(h->under);
    listed_done(&h->a.list);
    listed_done(&h->early.list);
    free(h->early.bytes[0]);
    free(h->early.bytes[1]);
    free(h->a.p);
    free(h->url);
    free(h->identity);
    free(h->host_key);
    free(h->limit_file);
    pthread_cond_destroy(&h->changed);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

static void *run(void *arg)
{
    struct hasty *h = arg;
    pthread_mutex_lock(&h->lock);
    while (!h->stop) {
        if (h->state != ASKED) {
            pthread_cond_wait(&h->changed, &h->lock);
            continue;
        }
        pthread_mutex_unlock(&h->lock);
        work(h);
        pthread_mutex_lock(&h->lock);
        h->took_ms = sys_monotonic_ms() - h->asked_ms;
        h->state = ANSWERED;
        pthread_cond_broadcast(&h->changed);
    }
    pthread_mutex_unlock(&h->lock);
    hasty_free(h);
    return NULL;
}

/* --- asking ---------------------------------------------------------------------------------------------- */
static bool same(const struct question *x, const struct question *y)
{
    return x->verb == y->verb && x->off == y->off && x->len == y->len &&
           strcmp(x->name, y->name) == 0;
}

/* Lock held. What has come too late for the one who asked, and is too old for another. */
static bool stale(const struct hasty *h)
{
    bool lasting = h->a.rc == 0 && h->q.verb == GET;
    return h->state == ANSWERED && !lasting &&
           sys_monotonic_ms() - h->asked_ms - h->took_ms > FRESH_MS;
}

static int not_yet(struct hasty *h, struct err *e)
{
    err_set(e, ERR_TIMEOUT, _("it has not answered for %llu s"),
            (unsigned long long)(sys_monotonic_ms() - h->asked_ms) / 1000);
    return err_wrap(e, "%s", h->url);
}

/* Lock held. Until the thread is not at work. */
static int await(struct hasty *h, uint64_t until, struct err *e)
{
    while (h->state == ASKED) {
        uint64_t now = sys_monotonic_ms(), next = now + LOOK_MS;
        if (sys_interrupted())
            return err_set(e, ERR_INTERRUPTED, _("interrupted"));
        if (now >= until)
            return not_yet(h, e);
        next = next < until ? next : until;
        struct timespec t = { .tv_sec = (time_t)(next / 1000),
                              .tv_nsec = (long)(next % 1000) * 1000000 };
        (void)pthread_cond_timedwait(&h->changed, &h->lock, &t);
    }
    return 0;
}

/* Lock held. 0: the answer to q lies in h->a, and is this caller's until it gives up the lock. */
static int ask(struct hasty *h, const struct question *q, struct err *e)
{
    uint64_t until = h->patience_ms == STORE_PATIENT ? UINT64_MAX
                                                     : sys_monotonic_ms() + h->patience_ms;
    int rc = 0;
    if (h->state != IDLE && (!same(q, &h->q) || stale(h))) {
        rc = await(h, until, e);
        if (rc == 0)
            h->state = IDLE;
    }
    if (rc == 0 && h->state == IDLE) {
        h->q = *q;
        h->asked_ms = sys_monotonic_ms();
        h->state = ASKED;
        pthread_cond_broadcast(&h->changed);
    }
    if (rc == 0)
        rc = await(h, until, e);
    if (rc < 0)
        return rc;
    h->state = IDLE;
    if (h->a.rc < 0)
        *e = h->a.e;
    return h->a.rc;
}

static void name_it(struct question *q, const char *name)
{
    snprintf(q->name, sizeof q->name, "%s", name);
}

/* --- what came with the opening ---------------------------------------------------------------------------- */
/* Lock held. Which part has this name; -1: none. Only when the thread is not in the middle of reading them. */
static int early_part(const struct hasty *h, const char *name)
{
    if (h->state == ASKED)
        return -1;
    for (int i = 0; i < 2; i++)
        if (h->early.bytes[i] && strcmp(name, i == 0 ? h->early.object : h->early.last) == 0)
            return i;
    return -1;
}

static bool take_early(struct hasty *h, const struct question *q, void *out)
{
    int i = early_part(h, q->name);
    if (i < 0 || q->off != 0 || q->len != h->early.len[i])
        return false;
    memcpy(out, h->early.bytes[i], q->len);
    free(h->early.bytes[i]);
    h->early.bytes[i] = NULL;
    return true;
}

/* --- verbs ------------------------------------------------------------------------------------------------------ */
static int hasty_get(void *d, const char *name, uint64_t off, size_t len, void *out, struct err *e)
{
    struct hasty *h = d;
    struct question q = { .verb = GET, .off = off, .len = len };
    name_it(&q, name);
    pthread_mutex_lock(&h->lock);
    int rc = take_early(h, &q, out) ? 1 : ask(h, &q, e);
    if (rc == 0 && len > 0)
        memcpy(out, h->a.p, len);
    if (rc == 0 && h->a.cap > KEPT_BYTES) {
        free(h->a.p);
        h->a.p = NULL;
        h->a.cap = 0;
    }
    pthread_mutex_unlock(&h->lock);
    return rc > 0 ? 0 : rc;
}

static int hasty_stat(void *d, const char *name, uint64_t *ret_len, struct err *e)
{
    struct hasty *h = d;
    struct question q = { .verb = STAT };
    name_it(&q, name);
    pthread_mutex_lock(&h->lock);
    int i = early_part(h, name), rc = i >= 0 ? 0 : ask(h, &q, e);
    if (rc == 0)
        *ret_len = i >= 0 ? h->early.len[i] : h->a.len;
    pthread_mutex_unlock(&h->lock);
    return rc;
}

/* fn may use the store: it gets what was listed from memory that nobody else has. */
static int hasty_list(void *d, const char *prefix, store_list_fn *fn, void *ctx, struct err *e)
{
    struct hasty *h = d;
    struct question q = { .verb = LIST };
    struct listed l = { 0 };
    int rc = 0;
    name_it(&q, prefix);
    pthread_mutex_lock(&h->lock);
    struct early *y = h->state == ASKED ? NULL : &h->early;
    struct listed *from = y && y->listed && strcmp(prefix, y->folder) == 0 ? &y->list : NULL;
    if (from)
        y->listed = false;
    else
        rc = ask(h, &q, e);
    if (rc == 0) {
        from = from ? from : &h->a.list;
        l = *from;
        *from = (struct listed){ 0 };
    }
    pthread_mutex_unlock(&h->lock);
    for (size_t i = 0; rc == 0 && i < l.n; i++)
        rc = fn(ctx, l.name[i], l.len[i]);
    listed_done(&l);
    return rc;
}

static int hasty_space(void *d, struct store_space *ret, struct err *e)
{
    struct hasty *h = d;
    struct question q = { .verb = SPACE };
    pthread_mutex_lock(&h->lock);
    int rc = ask(h, &q, e);
    if (rc == 0)
        *ret = h->a.space;
    pthread_mutex_unlock(&h->lock);
    return rc;
}

static int hasty_ready(void *d, struct err *e)
{
    struct hasty *h = d;
    struct question q = { .verb = OPEN };
    pthread_mutex_lock(&h->lock);
    int rc = ask(h, &q, e);
    pthread_mutex_unlock(&h->lock);
    return rc;
}

static void hasty_patience(void *d, uint32_t ms)
{
    struct hasty *h = d;
    pthread_mutex_lock(&h->lock);
    h->patience_ms = ms;
    pthread_mutex_unlock(&h->lock);
}

static enum store_doing hasty_doing(void *d, int *ret_rc, uint64_t *ret_ms)
{
    struct hasty *h = d;
    pthread_mutex_lock(&h->lock);
    enum store_doing doing = h->state == ASKED ? STORE_WORKING : STORE_IDLE;
    if (h->state == ANSWERED) {
        doing = STORE_ANSWERED;
        *ret_rc = h->a.rc;
        *ret_ms = h->took_ms;
        h->state = IDLE;
    }
    pthread_mutex_unlock(&h->lock);
    return doing;
}

/* --- what a reader does not do ------------------------------------------------------------------------------------ */
static int read_only(const struct hasty *h, struct err *e)
{
    err_set(e, ERR_READONLY, _("the copy was opened for reading only"));
    return err_wrap(e, "%s", h->url);
}

static int hasty_put(void *d, const char *name, const struct store_data *data, struct err *e)
{
    (void)name;
    (void)data;
    return read_only(d, e);
}

static int hasty_replace(void *d, const char *name, const struct store_data *data,
                         const char *stamp, struct err *e)
{
    (void)name;
    (void)data;
    (void)stamp;
    return read_only(d, e);
}

static int hasty_one_name(void *d, const char *name, struct err *e)
{
    (void)name;
    return read_only(d, e);
}

static int hasty_sweep_tmp(void *d, struct err *e)
{
    return read_only(d, e);
}

/* --- opening and closing ------------------------------------------------------------------------------------------- */
/* It frees itself, at once or whenever its place lets it. */
static void hasty_close(void *d)
{
    struct hasty *h = d;
    pthread_mutex_lock(&h->lock);
    pthread_t thread = h->thread;
    bool hangs = h->state == ASKED;
    h->stop = true;
    if (hangs)
        pthread_detach(thread);
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
    if (!hangs)
        pthread_join(thread, NULL);
}

static bool take_texts(struct hasty *h, const char *url, const struct store_options *o,
                       const struct store_first *first)
{
    const struct {
        const char *from;
        char **to;
    } texts[] = { { url, &h->url },
                  { o ? o->identity : NULL, &h->identity },
                  { o ? o->host_key : NULL, &h->host_key },
                  { o ? o->limit_file : NULL, &h->limit_file } };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].from && !(*texts[i].to = strdup(texts[i].from)))
            return false;
    h->limit_bytes_s = o ? o->limit_bytes_s : 0;
    if (first && first->object)
        snprintf(h->early.object, sizeof h->early.object, "%s", first->object);
    if (first && first->folder)
        snprintf(h->early.folder, sizeof h->early.folder, "%s", first->folder);
    return true;
}

int store_open_hasty(const char *url, const struct store_options *o,
                     const struct store_first *first, struct store **ret, struct err *e)
{
    static const struct store_ops ops = {
        .put = hasty_put,
        .replace = hasty_replace,
        .restore_aside = hasty_one_name,
        .get = hasty_get,
        .stat = hasty_stat,
        .list = hasty_list,
        .del = hasty_one_name,
        .space = hasty_space,
        .sweep_tmp = hasty_sweep_tmp,
        .close = hasty_close,
        .patience = hasty_patience,
        .ready = hasty_ready,
        .doing = hasty_doing,
    };
    struct err ignored = ERR_INIT;
    pthread_condattr_t attr;
    struct hasty *h = calloc(1, sizeof *h);
    e = e ? e : &ignored;
    if (!h)
        return store_out_of_memory(e);
    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&h->changed, &attr);
    pthread_condattr_destroy(&attr);
    h->patience_ms = STORE_PATIENT;
    h->q.verb = OPEN;
    h->asked_ms = sys_monotonic_ms();
    h->state = ASKED;
    if (!take_texts(h, url, o, first)) {
        hasty_free(h);
        return store_out_of_memory(e);
    }
    if ((errno = pthread_create(&h->thread, NULL, run, h)) != 0) {
        int rc = err_sys(e, _("start a thread"));
        hasty_free(h);
        return rc;
    }
    return store_new(&ops, h, url, ret, e);
}
