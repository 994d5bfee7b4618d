/* reopen.c - see reopen.h. */
#include "orchestrator/logs/reopen.h"
#include "lib/base/i18n.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reopen {
    struct app *app;
    char vault[MAX_FORMAT_NAME + 1], source[MAX_FORMAT_NAME + 1];
    struct vault *v;
    uint32_t listed;
    struct err why; /* code ERR_NONE: it is open */
    bool done, left;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

static int open_all(struct reopen *r, struct err *e)
{
    struct vault_conf *conf = NULL;
    struct shelf shelf = { 0 };
    int rc = vault_conf_load(&r->app->paths, r->vault, &conf, e);
    struct vault_open_options o = { .paths = &r->app->paths, .conf = conf, .logs = true };
    if (rc == 0)
        rc = vault_open(&o, &r->v, e);
    if (rc == 0)
        rc = shelf_read(r->v, r->source, &shelf, e);
    r->listed = shelf.listed;
    shelf_done(&shelf);
    vault_conf_free(conf);
    return rc;
}

static void *run(void *arg)
{
    struct reopen *r = arg;
    struct err why = ERR_INIT;
    if (open_all(r, &why) < 0) {
        vault_close(r->v);
        r->v = NULL;
    }
    pthread_mutex_lock(&r->lock);
    r->why = why;
    r->done = true;
    while (!r->left)
        pthread_cond_wait(&r->changed, &r->lock);
    pthread_mutex_unlock(&r->lock);
    vault_close(r->v); /* that nobody took */
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r);
    return NULL;
}

int reopen_start(struct app *app, const char *vault, const char *source, struct reopen **ret,
                 struct err *e)
{
    struct reopen *r = calloc(1, sizeof *r);
    pthread_attr_t detached;
    pthread_t thread;
    sigset_t all, was;
    if (!r)
        return err_set(e, ERR_NOMEM, _("no memory"));
    r->app = app;
    snprintf(r->vault, sizeof r->vault, "%s", vault);
    snprintf(r->source, sizeof r->source, "%s", source);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was);
    int failed = pthread_create(&thread, &detached, run, r);
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    pthread_attr_destroy(&detached);
    if (failed) {
        pthread_cond_destroy(&r->changed);
        pthread_mutex_destroy(&r->lock);
        free(r);
        return err_set(e, ERR_NOMEM, _("cannot start a thread"));
    }
    *ret = r;
    return 0;
}

bool reopen_done(struct reopen *r)
{
    pthread_mutex_lock(&r->lock);
    bool done = r->done;
    pthread_mutex_unlock(&r->lock);
    return done;
}

int reopen_take(struct reopen *r, struct vault **ret, uint32_t *ret_listed, struct err *e)
{
    pthread_mutex_lock(&r->lock);
    *ret = r->v;
    r->v = NULL;
    *ret_listed = r->listed;
    struct err why = r->why;
    pthread_mutex_unlock(&r->lock);
    if (why.code == ERR_NONE)
        return 0;
    if (e)
        *e = why;
    return -(int)why.code;
}

void reopen_free(struct reopen *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->left = true;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}
