/* facts.c - policies, vaults and their copies as the configuration says, before anybody was asked; see facts.h. */
#include "orchestrator/watch/facts.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/crash/standby.h"
#include "orchestrator/logs/keep.h"
#include "orchestrator/schedule.h"
#include "orchestrator/text.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *facts_more(void *array, size_t n, size_t size)
{
    /* Grows at each power of two, so that thousands of elements do not mean thousands of moves. */
    if (array && (n & (n - 1)))
        return array;
    void *p = realloc(array, (n ? 2 * n : 1) * size);
    if (!p)
        abort();
    return p;
}

void facts_set(char **dst, const char *src)
{
    char *copy = src && *src ? text_print("%s", src) : NULL;
    free(*dst);
    *dst = copy;
}

void facts_problem(struct facts *f, const struct err *e)
{
    f->problems = facts_more(f->problems, f->n_problems, sizeof *f->problems);
    f->problems[f->n_problems++] = *e;
}

void facts_init(struct facts *f, int64_t now_s)
{
    memset(f, 0, sizeof *f);
    f->now_s = now_s;
}

void run_fact_done(struct run_fact *r)
{
    free(r->code);
    free(r->error);
    memset(r, 0, sizeof *r);
}

void facts_done(struct facts *f)
{
    for (size_t i = 0; i < f->n_policies; i++) {
        struct policy_fact *p = &f->policies[i];
        run_fact_done(&p->last);
        free(p->name);
        free(p->vault);
        free(p->agent);
        free(p->schedule);
        free(p->roles);
        free(p->log);
    }
    for (size_t i = 0; i < f->n_copies; i++) {
        free(f->copies[i].place);
        free(f->copies[i].url);
        free(f->copies[i].medium);
    }
    for (size_t i = 0; i < f->n_vaults; i++) {
        run_fact_done(&f->vaults[i].scrub);
        run_fact_done(&f->vaults[i].prune);
        free(f->vaults[i].name);
        free(f->vaults[i].roles);
    }
    for (size_t i = 0; i < f->n_alarms; i++) {
        free(f->alarms[i].key);
        free(f->alarms[i].text);
        free(f->alarms[i].next);
        free(f->alarms[i].duty);
        free(f->alarms[i].acked_by);
    }
    incident_facts_done(f);
    settings_free(f->settings);
    contacts_free(f->contacts);
    free(f->policies);
    free(f->copies);
    free(f->vaults);
    free(f->alarms);
    free(f->problems);
    facts_init(f, 0);
}

struct vault_fact *facts_vault(struct facts *f, const char *name)
{
    for (size_t i = 0; i < f->n_vaults; i++)
        if (strcmp(f->vaults[i].name, name) == 0)
            return &f->vaults[i];
    return NULL;
}

struct copy_fact *facts_copy(struct facts *f, const char *vault, const char *place)
{
    for (size_t i = 0; i < f->n_copies; i++)
        if (strcmp(f->copies[i].place, place) == 0 &&
            strcmp(f->vaults[f->copies[i].vault].name, vault) == 0)
            return &f->copies[i];
    return NULL;
}

/* They are sorted by name: policy_each says so. */
struct policy_fact *facts_policy(struct facts *f, const char *name)
{
    size_t low = 0, high = f->n_policies;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int c = strcmp(name, f->policies[middle].name);
        if (c == 0)
            return &f->policies[middle];
        if (c < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* --- the configuration ------------------------------------------------------------------------------- */
struct load {
    struct facts *f;
    const struct config_paths *paths;
};

static bool is_remote(const char *url)
{
    return url[0] != '/' && strncmp(url, "file:", 5) != 0 && strncmp(url, "memory:", 7) != 0;
}

static void add_copies(struct facts *f, const struct vault_conf *conf)
{
    for (size_t i = 0; i < conf->n_copies; i++) {
        f->copies = facts_more(f->copies, f->n_copies, sizeof *f->copies);
        struct copy_fact *c = &f->copies[f->n_copies++];
        memset(c, 0, sizeof *c);
        facts_set(&c->place, conf->copies[i].place);
        facts_set(&c->url, conf->copies[i].url);
        c->vault = f->n_vaults - 1;
        c->remote = is_remote(conf->copies[i].url);
        c->rotating = conf->copies[i].rotating;
        c->every_s = conf->copies[i].every_s ? conf->copies[i].every_s : DEFAULT_EVERY_S;
    }
}

static int load_vault(void *ctx, const char *name)
{
    struct load *l = ctx;
    struct facts *f = l->f;
    struct vault_conf *conf = NULL;
    struct err e = ERR_INIT;
    f->vaults = facts_more(f->vaults, f->n_vaults, sizeof *f->vaults);
    struct vault_fact *v = &f->vaults[f->n_vaults++];
    memset(v, 0, sizeof *v);
    facts_set(&v->name, name);
    if (vault_conf_load(l->paths, name, &conf, &e) < 0) {
        facts_problem(f, &e);
        return 0;
    }
    v->n_copies = conf->n_copies;
    add_copies(f, conf);
    vault_conf_free(conf);
    return 0;
}

static bool keeps_less(const struct retention *r)
{
    return r->last || r->hourly || r->daily || r->weekly || r->monthly || r->yearly || r->within_s;
}

static void add_word(char **words, const char *word)
{
    char *at = *words ? strstr(*words, word) : NULL;
    size_t n = strlen(word);
    for (; at; at = strstr(at + 1, word))
        if ((at == *words || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
            return;
    char *more = *words ? text_print("%s %s", *words, word) : text_print("%s", word);
    free(*words);
    *words = more;
}

static void join_vault(struct facts *f, const struct policy *pol, struct policy_fact *p)
{
    struct vault_fact *v = NULL;
    if (pol->vault[0])
        v = facts_vault(f, pol->vault);
    else if (f->n_vaults == 1)
        v = &f->vaults[0];
    facts_set(&p->vault, v ? v->name : pol->vault);
    if (!p->vault)
        p->vault = text_print("%s", "");
    if (!v)
        return;
    v->n_policies++;
    v->prunes = v->prunes || p->prunes;
    if (v->min_rpo_s == 0 || p->rpo_s < v->min_rpo_s)
        v->min_rpo_s = p->rpo_s;
    for (size_t i = 0; i < pol->n_notify; i++)
        add_word(&v->roles, pol->notify[i]);
}

static void take_logs(const struct config_paths *paths, const struct policy *pol,
                      struct policy_fact *p)
{
    unsigned interval_ms;
    struct stat st;
    const struct source_spec *spec = logs_of_policy(pol, &interval_ms);
    const char *limit = spec ? source_spec_get(spec, "slot-limit") : NULL;
    char *file = text_print("%s/policies/%s.yaml", paths->config_dir, pol->name);
    p->logs = spec != NULL;
    p->archived = spec && source_spec_get(spec, "archive");
    if (limit && !size_parse(limit, &p->slot_limit))
        p->slot_limit = 0;
    if (stat(file, &st) == 0)
        p->changed_s = st.st_mtim.tv_sec;
    free(file);
}

void facts_logs(struct facts *f, const struct config_paths *p)
{
    for (size_t i = 0; i < f->n_policies; i++) {
        struct policy_fact *pol = &f->policies[i];
        struct logs_state *s = pol->logs ? calloc(1, sizeof *s) : NULL;
        struct err ignored = ERR_INIT;
        free(pol->log);
        pol->log = NULL;
        if (s && logs_state_read(p, pol->name, s, &ignored) == 0 &&
            strcmp(s->vault, pol->vault) == 0)
            pol->log = s;
        else
            free(s);
    }
}

static int load_policy(void *ctx, const char *name)
{
    struct load *l = ctx;
    struct facts *f = l->f;
    struct policy *pol = NULL;
    struct standby_serving serving;
    struct err e = ERR_INIT;
    if (policy_load(l->paths, name, &pol, &e) < 0) {
        facts_problem(f, &e);
        return 0;
    }
    f->policies = facts_more(f->policies, f->n_policies, sizeof *f->policies);
    struct policy_fact *p = &f->policies[f->n_policies++];
    memset(p, 0, sizeof *p);
    facts_set(&p->name, pol->name);
    bool standby = standby_serving(l->paths, pol, &serving, &e) > 0;
    facts_set(&p->agent, standby ? serving.agent : pol->agent ? pol->agent : "local");
    facts_set(&p->schedule, pol->schedule);
    for (size_t i = 0; i < pol->n_notify; i++)
        add_word(&p->roles, pol->notify[i]);
    p->rpo_s = pol->rpo_s;
    p->prunes = keeps_less(&pol->retention);
    p->selected = true;
    p->drill_every_s = pol->drill.every_s;
    p->drill_timer = pol->drill.set;
    join_vault(f, pol, p);
    take_logs(l->paths, pol, p);
    policy_free(pol);
    return 0;
}

void facts_timers(struct facts *f)
{
    for (size_t i = 0; f->by_systemd && i < f->n_policies; i++) {
        struct policy_fact *p = &f->policies[i];
        struct schedule_timer t = { .kind = JOB_BACKUP };
        snprintf(t.unit, sizeof t.unit, "twofold-backup@%s.timer", p->name);
        p->no_timer = p->schedule && !schedule_enabled("", t.unit);
        schedule_log_unit(p->name, t.unit);
        p->no_follower = p->logs && !schedule_enabled("", t.unit);
        snprintf(t.unit, sizeof t.unit, "twofold-drill@%s.timer", p->name);
        p->no_drill_timer = p->drill_timer && !schedule_enabled("", t.unit);
    }
}

int facts_config(struct facts *f, const struct config_paths *p, struct err *e)
{
    struct load l = { .f = f, .paths = p };
    f->by_systemd = strcmp(p->config_dir, SYSTEM_CONFIG_DIR) == 0 &&
                    access("/run/systemd/system", F_OK) == 0;
    struct err why = ERR_INIT;
    f->n_problems = f->n_bad_files = 0;
    if (settings_load(p, &f->settings, &why) < 0) {
        facts_problem(f, &why);
        f->settings = NULL;
    }
    if (contacts_load(p, &f->contacts, &why) < 0) {
        facts_problem(f, &why);
        f->contacts = NULL;
    }
    int rc = vault_conf_each(p, load_vault, &l, e);
    if (rc == 0)
        rc = policy_each(p, load_policy, &l, e);
    f->n_bad_files = f->n_problems;
    return rc;
}

/* --- has a file changed? --------------------------------------------------------------------------------- */
static uint64_t mix(uint64_t h, const void *p, size_t n)
{
    const unsigned char *b = p;
    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 0x100000001b3u; /* FNV-1a */
    return h;
}

static uint64_t mix_file(uint64_t h, int dir, const char *name)
{
    struct stat st;
    h = mix(h, name, strlen(name));
    if (fstatat(dir, name, &st, 0) < 0)
        return h;
    h = mix(h, &st.st_size, sizeof st.st_size);
    h = mix(h, &st.st_ino, sizeof st.st_ino);
    return mix(h, &st.st_mtim, sizeof st.st_mtim);
}

uint64_t facts_fingerprint(const struct config_paths *p)
{
    static const char *const folders[] = { ".", "vaults", "policies" };
    uint64_t all = 0;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char *path = text_print("%s/%s", p->config_dir, folders[i]);
        DIR *d = opendir(path);
        struct dirent *en;
        /* The order of a folder's entries is nobody's promise: their sum has none. */
        while (d && (en = readdir(d)) != NULL)
            all += mix_file(0xcbf29ce484222325u + i, dirfd(d), en->d_name);
        if (d)
            closedir(d);
        free(path);
    }
    return all;
}
