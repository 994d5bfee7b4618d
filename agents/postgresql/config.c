/* config.c - the files of a server's configuration that lie outside of its data folder (Debian keeps all in /etc), with those that they
 * include. Where the agent has no access to the server's files, the server is asked for them, if it lets us. */
#include "agents/postgresql/inner.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/vault/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_MODE 0640

struct config {
    struct pg *p;
    const char *places[4 + MAX_INCLUDED]; /* borrowed from p->paths; of those that are there */
    size_t n;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("no memory"));
}

/* Content, as the server gives it; *ret NULL: it does not. */
static int ask_content(struct pg *p, const char *path, char **ret, size_t *ret_len, struct err *e)
{
    static const char said[] = N_(
        "the configuration outside of the data folder is not in the backup: the server does not "
        "let us read it");
    const char *const params[] = { path };
    PGresult *r = NULL;
    struct err why = ERR_INIT;
    *ret = NULL;
    int rc = server_query(p->c, "SELECT pg_read_binary_file($1)", 1, params, &r, &why);
    if (rc == -ERR_UNREACHABLE) {
        *e = why;
        return rc;
    }
    size_t n = 0;
    unsigned char *bytes = rc == 0 ? PQunescapeBytea((const unsigned char *)PQgetvalue(r, 0, 0), &n)
                                   : NULL;
    PQclear(r);
    if (rc == 0 && bytes && (*ret = malloc(n + 1)) != NULL) {
        memcpy(*ret, bytes, n);
        *ret_len = n;
    }
    PQfreemem(bytes);
    if (rc == 0)
        return *ret ? 0 : no_memory(e);
    if (p->config_refused)
        return 0;
    p->config_refused = true;
    return p->env.note(p->env.ctx, false, PG_ROOT "/config", strlen(PG_ROOT "/config"), _(said), e);
}

static int add_bytes(struct config *c, const char *name, const char *path, struct err *e)
{
    struct pg *p = c->p;
    char *bytes = NULL;
    size_t n = 0;
    int rc = ask_content(p, path, &bytes, &n, e);
    if (rc < 0 || !bytes)
        return rc;
    p->like = (struct scan_stat){ .mode = S_IFREG | CONFIG_MODE,
                                  .uid = p->owner.uid,
                                  .gid = p->owner.gid,
                                  .mtime_s = p->started_s };
    p->paths[p->n_paths++] = bytes;
    p->early[p->n_early++] = (struct source_root){
        .name = name, .bytes = bytes, .bytes_len = n, .like = &p->like
    };
    c->places[c->n++] = path;
    return 0;
}

static int add_file(struct config *c, const char *name, const char *path, struct err *e)
{
    struct pg *p = c->p;
    if (p->received)
        return add_bytes(c, name, path, e);
    if (access(path, R_OK) < 0)
        return p->env.note(p->env.ctx, false, name, strlen(name), _("cannot be read, not stored"),
                           e);
    p->early[p->n_early++] = (struct source_root){ .name = name,
                                                   .place = path,
                                                   .may_change = true };
    c->places[c->n++] = path;
    return 0;
}

/* Does it lie in the data folder, which is stored as a whole? */
static bool is_elsewhere(const struct pg *p, const char *path)
{
    const char *data = p->received ? p->server_data : p->data;
    size_t n = strlen(data);
    return path[0] == '/' && !(strncmp(path, data, n) == 0 && path[n] == '/');
}

static int add_setting(struct config *c, const char *setting, const char *name, struct err *e)
{
    struct pg *p = c->p;
    char sql[96], *path = NULL;
    snprintf(sql, sizeof sql, "SELECT current_setting('%s')", setting);
    int rc = server_text(p->c, sql, &path, e);
    if (rc < 0)
        return rc;
    if (!path || !is_elsewhere(p, path)) {
        free(path);
        return 0;
    }
    p->paths[p->n_paths++] = path;
    return add_file(c, name, path, e);
}

/* One that another includes: by its path below the folder of the main file, or where it is elsewhere by its whole path. */
static int add_included(struct config *c, const char *folder, const char *place, struct err *e)
{
    struct pg *p = c->p;
    size_t n = strlen(folder);
    bool within = strncmp(place, folder, n) == 0 && place[n] == '/';
    if (!is_elsewhere(p, place))
        return 0;
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->places[i], place) == 0)
            return 0;
    char *path = strdup(place), *name = NULL;
    if (!path || asprintf(&name, PG_ROOT "/config/%s", within ? place + n + 1 : place + 1) < 0) {
        free(path);
        return no_memory(e);
    }
    p->paths[p->n_paths++] = path;
    p->paths[p->n_paths++] = name;
    return add_file(c, name, path, e);
}

#define INCLUDED "SELECT DISTINCT sourcefile FROM pg_settings WHERE sourcefile IS NOT NULL"
static int add_all_included(struct config *c, struct err *e)
{
    PGresult *r = NULL;
    char *main_file = NULL;
    int rc = server_text(c->p->c, "SELECT current_setting('config_file')", &main_file, e);
    if (rc == 0)
        rc = server_query(c->p->c, INCLUDED, 0, NULL, &r, e);
    char *end = main_file ? strrchr(main_file, '/') : NULL;
    if (end)
        *end = '\0';
    for (int i = 0; rc == 0 && end && i < PQntuples(r) && i < MAX_INCLUDED; i++)
        rc = add_included(c, main_file, PQgetvalue(r, i, 0), e);
    PQclear(r);
    free(main_file);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    const struct source_root *x = a, *y = b;
    return path_cmp(x->name, strlen(x->name), y->name, strlen(y->name));
}

int pg_add_config(struct pg *p, struct err *e)
{
    struct config *c = calloc(1, sizeof *c);
    if (!c)
        return no_memory(e);
    c->p = p;
    int rc = add_setting(c, "hba_file", PG_ROOT "/config/pg_hba.conf", e);
    if (rc == 0)
        rc = add_setting(c, "ident_file", PG_ROOT "/config/pg_ident.conf", e);
    if (rc == 0)
        rc = add_setting(c, "config_file", PG_ROOT "/config/postgresql.conf", e);
    if (rc == 0)
        rc = add_all_included(c, e);
    if (rc == 0)
        qsort(p->early, p->n_early, sizeof *p->early, by_name);
    free(c);
    return rc;
}
