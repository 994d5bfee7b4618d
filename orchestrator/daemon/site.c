/* site.c - the configuration as the scheduler sees it; see site.h. */
#include "orchestrator/daemon/site.h"
#include "lib/base/i18n.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FOLDER_SCHEME "file://"

/* --- looking things up ------------------------------------------------------------------------------------- */
/* Every entry of the lists begins with its name. */
static int by_name(const void *key, const void *entry)
{
    return strcmp(key, *(char *const *)entry);
}

static const void *find(const void *list, size_t n, size_t size, const char *name)
{
    return n ? bsearch(name, list, n, size, by_name) : NULL;
}

const struct site_policy *site_policy(const struct site *s, const char *name)
{
    return find(s->policies, s->n_policies, sizeof *s->policies, name);
}

const struct site_vault *site_vault(const struct site *s, const char *name)
{
    return find(s->vaults, s->n_vaults, sizeof *s->vaults, name);
}

const struct site_agent *site_agent(const struct site *s, const char *name)
{
    return find(s->agents, s->n_agents, sizeof *s->agents, name);
}

/* --- reading it --------------------------------------------------------------------------------------------- */
struct reading {
    const struct config_paths *paths;
    struct site *site;
    size_t cap_vaults, cap_agents, cap_policies;
    site_problem_fn *problem;
    void *ctx;
    struct err *e;
};

/* Room for one more; returns it, zeroed. NULL without memory. */
static void *one_more(void **list, size_t *n, size_t *cap, size_t size)
{
    if (*n == *cap) {
        size_t more = *cap ? 2 * *cap : 16;
        char *grown = realloc(*list, more * size);
        if (!grown)
            return NULL;
        *list = grown;
        *cap = more;
    }
    char *at = (char *)*list + (*n)++ * size;
    memset(at, 0, size);
    return at;
}

static int out_of_memory(struct reading *r)
{
    return err_set(r->e, ERR_NOMEM, _("no memory"));
}

/* What is wrong with one file does not keep the others from being used. */
static int passed_over(struct reading *r, const struct err *why)
{
    if (why->code == ERR_NOMEM) {
        *r->e = *why;
        return -ERR_NOMEM;
    }
    if (r->problem)
        r->problem(r->ctx, why);
    return 0;
}

static int copy_text(struct reading *r, const char *text, char **ret)
{
    *ret = strdup(text);
    return *ret ? 0 : out_of_memory(r);
}

static int add_copy(struct reading *r, struct site_vault *v, const struct copy_conf *c)
{
    struct site_copy *copy = &v->copies[v->n_copies++];
    const char *folder = c->url[0] == '/' ? c->url
                         : strncmp(c->url, FOLDER_SCHEME, strlen(FOLDER_SCHEME)) == 0
                             ? c->url + strlen(FOLDER_SCHEME)
                             : NULL;
    copy->jobs = c->jobs;
    copy->rotating = c->rotating;
    int rc = copy_text(r, c->place, &copy->place);
    return rc == 0 && folder ? copy_text(r, folder, &copy->folder) : rc;
}

static int add_vault(void *ctx, const char *name)
{
    struct reading *r = ctx;
    struct site *s = r->site;
    struct vault_conf *conf = NULL;
    struct err why = ERR_INIT;
    if (vault_conf_load(r->paths, name, &conf, &why) < 0)
        return passed_over(r, &why);
    struct site_vault *v = one_more((void **)&s->vaults, &s->n_vaults, &r->cap_vaults,
                                    sizeof *s->vaults);
    int rc = v ? copy_text(r, name, &v->name) : out_of_memory(r);
    for (size_t i = 0; rc == 0 && i < conf->n_copies; i++)
        rc = add_copy(r, v, &conf->copies[i]);
    vault_conf_free(conf);
    return rc;
}

static int add_agent(void *ctx, const char *name)
{
    struct reading *r = ctx;
    struct site *s = r->site;
    struct agent_conf *conf = NULL;
    struct err why = ERR_INIT;
    if (agent_conf_load(r->paths, name, &conf, &why) < 0)
        return passed_over(r, &why);
    struct site_agent *a = one_more((void **)&s->agents, &s->n_agents, &r->cap_agents,
                                    sizeof *s->agents);
    int rc = a ? copy_text(r, name, &a->name) : out_of_memory(r);
    if (rc == 0)
        a->jobs = conf->jobs;
    agent_conf_free(conf);
    return rc;
}

static int fill_policy(struct reading *r, struct site_policy *p, const struct policy *conf)
{
    /* Where there is one vault only, a policy need not name it. */
    const char *only = r->site->n_vaults == 1 ? r->site->vaults[0].name : "";
    p->priority = conf->priority;
    p->retries = conf->retries;
    int rc = copy_text(r, conf->name, &p->name);
    if (rc == 0)
        rc = copy_text(r, conf->vault[0] ? conf->vault : only, &p->vault);
    if (rc == 0)
        rc = copy_text(r, conf->agent ? conf->agent : "", &p->agent);
    if (rc == 0 && conf->schedule)
        rc = copy_text(r, conf->schedule, &p->schedule);
    p->window.set = conf->window &&
                    window_parse(conf->window, &p->window.from_min, &p->window.to_min);
    return rc;
}

static int add_policy(void *ctx, const char *name)
{
    struct reading *r = ctx;
    struct site *s = r->site;
    struct policy *conf = NULL;
    struct err why = ERR_INIT;
    if (policy_load(r->paths, name, &conf, &why) < 0)
        return passed_over(r, &why);
    struct site_policy *p = one_more((void **)&s->policies, &s->n_policies, &r->cap_policies,
                                     sizeof *s->policies);
    int rc = p ? fill_policy(r, p, conf) : out_of_memory(r);
    policy_free(conf);
    return rc;
}

int site_load(const struct config_paths *p, struct site **ret, site_problem_fn *problem, void *ctx,
              struct err *e)
{
    struct err why = ERR_INIT;
    struct site *s = calloc(1, sizeof *s);
    struct reading r = { .paths = p, .site = s, .problem = problem, .ctx = ctx, .e = e };
    if (!s)
        return out_of_memory(&r);
    s->fingerprint = site_fingerprint(
        p); /* before the reading: what changes meanwhile is seen next time */
    int rc = settings_load(p, &s->settings, &why);
    if (rc < 0) {
        rc = passed_over(&r, &why);
        if (rc == 0 && !(s->settings = calloc(1, sizeof *s->settings)))
            rc = out_of_memory(&r);
        else if (rc == 0)
            s->settings->jobs = 4;
    }
    if (rc == 0)
        rc = vault_conf_each(p, add_vault, &r, e);
    if (rc == 0)
        rc = agent_conf_each(p, add_agent, &r, e);
    if (rc == 0)
        rc = policy_each(p, add_policy, &r, e);
    if (rc < 0) {
        site_free(s);
        return err_wrap(e, _("read the configuration"));
    }
    *ret = s;
    return 0;
}

void site_free(struct site *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_vaults; i++) {
        struct site_vault *v = &s->vaults[i];
        for (size_t k = 0; k < v->n_copies; k++) {
            free(v->copies[k].place);
            free(v->copies[k].folder);
        }
        free(v->name);
    }
    for (size_t i = 0; i < s->n_agents; i++)
        free(s->agents[i].name);
    for (size_t i = 0; i < s->n_policies; i++) {
        struct site_policy *p = &s->policies[i];
        free(p->name);
        free(p->vault);
        free(p->agent);
        free(p->schedule);
    }
    free(s->vaults);
    free(s->agents);
    free(s->policies);
    settings_free(s->settings);
    free(s);
}

/* --- has it changed? ------------------------------------------------------------------------------------------ */
/* Order does not count: what a folder lists first is the file system's affair. */
static uint64_t mix(uint64_t h, uint64_t v)
{
    for (int bit = 0; bit < 64; bit += 8)
        h = (h ^ (v >> bit & 0xff)) * 1099511628211u; /* FNV-1a */
    return h;
}

static uint64_t file_print(int dir, const char *name)
{
    struct stat st;
    uint64_t h = 14695981039346656037u;
    if (fstatat(dir, name, &st, 0) < 0 || !S_ISREG(st.st_mode))
        return 0;
    for (const char *c = name; *c; c++)
        h = mix(h, (unsigned char)*c);
    h = mix(mix(h, st.st_ino), (uint64_t)st.st_size);
    h = mix(mix(h, (uint64_t)st.st_mtim.tv_sec), (uint64_t)st.st_mtim.tv_nsec);
    return mix(mix(h, (uint64_t)st.st_ctim.tv_sec), (uint64_t)st.st_ctim.tv_nsec);
}

uint64_t site_fingerprint(const struct config_paths *p)
{
    static const char *const folders[] = { "", "/vaults", "/agents", "/policies" };
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char *path = NULL;
        DIR *d = NULL;
        if (asprintf(&path, "%s%s", p->config_dir, folders[i]) >= 0)
            d = opendir(path);
        for (struct dirent *entry; d && (entry = readdir(d));)
            if (entry->d_name[0] != '.')
                sum += file_print(dirfd(d), entry->d_name) * (2 * i + 1);
        if (d)
            closedir(d);
        free(path);
    }
    return sum;
}
