/* choose.c - see choose.h. */
#include "orchestrator/catalog/choose.h"
#include "orchestrator/look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct search {
    struct app *app;
    const char *url;
    char vault[MAX_NAME + 1];
};

static int has_copy(void *ctx, const char *name)
{
    struct search *s = ctx;
    struct vault_conf *conf = NULL;
    if (vault_conf_load(&s->app->paths, name, &conf, NULL) < 0)
        return 0;
    for (size_t i = 0; i < conf->n_copies; i++)
        if (strcmp(conf->copies[i].url, s->url) == 0)
            snprintf(s->vault, sizeof s->vault, "%s", name);
    vault_conf_free(conf);
    return 0;
}

static int open_configured(struct app *app, const char *vault, const char *url, struct vault **ret,
                           int *ret_only, struct err *e)
{
    int rc = open_vault_quietly(app, vault, false, ret, e);
    for (size_t i = 0; rc == 0 && i < (*ret)->n_copies; i++)
        if (strcmp((*ret)->copies[i].url, url) == 0)
            *ret_only = (int)i;
    return rc;
}

int catalog_choose_vault(struct app *app, const struct vault_choice *c, struct vault **ret,
                         int *ret_only, struct err *e)
{
    struct search s = { .app = app };
    char *url = NULL;
    *ret_only = -1;
    if (!c->copy)
        return open_vault_quietly(app, c->vault, false, ret, e);
    int rc = absolute_url(c->copy, &url, e);
    if (rc < 0)
        return rc;
    while (strlen(url) > 1 && url[strlen(url) - 1] == '/')
        url[strlen(url) - 1] = '\0';
    s.url = url;
    vault_conf_each(&app->paths, has_copy, &s, NULL);
    rc = s.vault[0] ? open_configured(app, s.vault, url, ret, ret_only, e)
                    : app_open_vault(app, c, false, false, ret, e);
    free(url);
    return rc;
}
