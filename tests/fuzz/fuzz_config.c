/* fuzz_config.c - the configuration files (policies/config.h, settings.h, contacts.h). The first byte says which kind it is: v a vault,
 * p a policy, a an agent, s the settings, c the contacts. What is accepted must keep what the headers promise. */
#include "policies/contacts.h"
#include "policies/inner.h"
#include "policies/settings.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void try_vault(struct yaml_doc *d, const struct config_paths *p, struct err *e)
{
    struct vault_conf *v = NULL;
    if (vault_conf_parse(d, p, "main", &v, e) < 0)
        return;
    must(v->n_copies >= 2 && v->n_copies <= MAX_COPIES && v->min_copies >= 1 &&
         v->min_copies <= v->n_copies);
    for (size_t i = 0; i < v->n_copies; i++) {
        const struct copy_conf *c = &v->copies[i];
        must(config_name_ok(c->place) && c->url[0] && c->every_s > 0);
        must(!c->host_key || strlen(c->host_key) < 8200);
        must(!c->identity || c->identity[0] == '/');
    }
    vault_conf_free(v);
}

static void try_policy(struct yaml_doc *d, struct err *e)
{
    struct policy *pol = NULL;
    unsigned from, to;
    if (policy_parse(d, "p", &pol, e) < 0)
        return;
    must(pol->n_paths > 0 && pol->rpo_s > 0 && pol->priority <= MAX_PRIORITY &&
         pol->retries <= MAX_RETRIES && config_name_ok(pol->agent));
    for (size_t i = 0; i < pol->n_paths; i++)
        must(pol->paths[i][0] == '/' && !strstr(pol->paths[i], "//"));
    for (size_t i = 0; i < pol->n_notify; i++)
        must(config_name_ok(pol->notify[i]));
    must(!pol->window || window_parse(pol->window, &from, &to));
    must(!pol->schedule ||
         (schedule_check(pol->schedule, NULL) == 0 && !strchr(pol->schedule, '\n')));
    policy_free(pol);
}

static void try_agent(struct yaml_doc *d, const struct config_paths *p, struct err *e)
{
    struct agent_conf *a = NULL;
    if (agent_conf_parse(d, p, "db1", &a, e) < 0)
        return;
    must(a->port >= 1 && a->port <= 65535 && a->jobs >= 1 && a->rotation >= 1);
    must(a->host[0] && a->host[0] != '-' && a->user[0] && a->user[0] != '-' && a->host_key);
    agent_conf_free(a);
}

static void try_settings(struct yaml_doc *d, struct err *e)
{
    struct settings *s = NULL;
    if (settings_parse(d, &s, e) < 0)
        return;
    must(s->jobs >= 1 && s->n_webhooks <= MAX_WEBHOOKS && (!s->command || s->command[0][0] == '/'));
    must(!s->mail_url || s->mail_from);
    settings_free(s);
}

static void try_contacts(struct yaml_doc *d, struct err *e)
{
    struct contacts *c = NULL;
    if (contacts_parse(d, &c, e) < 0)
        return;
    for (size_t i = 0; i < c->n_roles; i++)
        must(contacts_role(c, c->roles[i].name) == &c->roles[i]);
    for (size_t i = 0; i < c->n_units; i++)
        must(c->units[i].name[0]);
    contacts_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char dir[] = "/conf";
    struct config_paths p = { .config_dir = dir };
    struct yaml_doc *d = NULL;
    struct err e = ERR_INIT;
    if (size == 0 || yaml_from("fuzzed.yaml", data + 1, size - 1, &d, &e) < 0)
        return 0;
    switch (data[0]) {
    case 'v':
        try_vault(d, &p, &e);
        break;
    case 'p':
        try_policy(d, &e);
        break;
    case 'a':
        try_agent(d, &p, &e);
        break;
    case 's':
        try_settings(d, &e);
        break;
    default:
        try_contacts(d, &e);
    }
    must(e.code == ERR_NONE || e.why[0]);
    yaml_close(d);
    return 0;
}
