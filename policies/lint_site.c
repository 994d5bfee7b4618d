/* lint_site.c - checks of agents/NAME.yaml, contacts.yaml (PY-AB: each role has an A and a B person; PY-contacts: the list is
 * current), holidays.yaml and twofold.yaml. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "policies/lint_inner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY_S 86400

/* --- agents -------------------------------------------------------------------------------------------------- */
int lint_agent(void *ctx, const char *name)
{
    struct lint *l = ctx;
    struct yaml_doc *d = NULL;
    struct agent_conf *a = NULL;
    struct err e = ERR_INIT;
    char what[MAX_NAME + 64];
    char *file = conf_file(l->p, AGENTS, name);
    if (!file)
        return conf_out_of_memory(l->e);
    int r = lint_read(l, file, &d);
    if (r == 0 && d && strcmp(name, "local") == 0) {
        lint_find(l, LINT_ERROR, (struct place){ file, 0, "" },
                  _("\"local\" is this machine and never a file: rename it"));
    } else if (r == 0 && d) {
        r = agent_conf_parse(d, l->p, name, &a, &e);
        r = lint_parsed(l, file, d, r, &e);
        snprintf(what, sizeof what, _("the private key of the agent \"%s\""), name);
        if (r > 0)
            lint_secret_file(l, (struct place){ file, 0, "JZ-7.2" }, a->identity, what);
    }
    agent_conf_free(a);
    yaml_close(d);
    free(file);
    return r < 0 ? r : 0;
}

/* --- contacts ------------------------------------------------------------------------------------------------- */
static void check_person(struct lint *l, const char *file, int line, const struct person *p,
                         const char *role, const char *letter)
{
    bool known = !p->webhook;
    if (!p->name) {
        lint_find(l, LINT_WARNING, (struct place){ file, line, "PY-AB" },
                  _("the role \"%s\" has no %s person"), role, letter);
        return;
    }
    if (!p->phone && !p->mail && !p->webhook)
        lint_find(
            l, LINT_WARNING, (struct place){ file, line, "PY-contacts" },
            _("there is no way to reach the %s person of \"%s\": write a phone, a mail or a webhook"),
            letter, role);
    for (size_t i = 0; l->settings && i < l->settings->n_webhooks && !known; i++)
        known = strcmp(l->settings->webhooks[i].name, p->webhook) == 0;
    if (!known)
        lint_find(l, LINT_WARNING, (struct place){ file, line, "PY-contacts" },
                  _("there is no webhook \"%s\" in twofold.yaml"), p->webhook);
}

static void check_review(struct lint *l, const char *file, const struct yaml_doc *d)
{
    const struct contacts *c = l->contacts;
    struct place at = { file, c->reviewed_s ? yaml_line(d, "reviewed") : 0, "PY-contacts" };
    int64_t age_s = sys_realtime_s() - c->reviewed_s;
    if (!c->reviewed_s)
        lint_find(l, LINT_WARNING, at,
                  _("it does not say when it was last looked through: reviewed: YEAR-MONTH-DAY"));
    else if (age_s < -DAY_S)
        lint_find(l, LINT_WARNING, at, _("it was looked through on a day that is still to come"));
    else if (age_s > (int64_t)c->review_every_s)
        lint_find(
            l, LINT_WARNING, at,
            _("it was last looked through %lld days ago, and should be every %llu: call everybody on "
              "it, then change the date"),
            (long long)(age_s / DAY_S), (unsigned long long)(c->review_every_s / DAY_S));
}

static void check_contacts(struct lint *l, const char *file, const struct yaml_doc *d)
{
    char path[MAX_NAME + 16];
    check_review(l, file, d);
    for (size_t i = 0; i < l->contacts->n_roles; i++) {
        const struct role *r = &l->contacts->roles[i];
        snprintf(path, sizeof path, "roles.%s", r->name);
        int line = yaml_line(d, path);
        snprintf(path, sizeof path, "roles.%s.a", r->name);
        check_person(l, file, r->a.name ? yaml_line(d, path) : line, &r->a, r->name, "A");
        snprintf(path, sizeof path, "roles.%s.b", r->name);
        check_person(l, file, r->b.name ? yaml_line(d, path) : line, &r->b, r->name, "B");
    }
    for (size_t i = 0; i < l->contacts->n_units; i++) {
        const struct unit_contact *u = &l->contacts->units[i];
        snprintf(path, sizeof path, "units.%zu", i);
        if (!u->phone && !u->mail)
            lint_find(
                l, LINT_WARNING, (struct place){ file, yaml_line(d, path), "PY-DB-2" },
                _("there is no way to tell the unit \"%s\" to hold its uploads: write a phone "
                  "or a mail"),
                u->name);
    }
}

/* --- settings --------------------------------------------------------------------------------------------------- */
static void check_settings(struct lint *l, const char *file, const struct yaml_doc *d)
{
    const struct settings *s = l->settings;
    struct stat st;
    if (s->mail_password_file)
        lint_secret_file(l, (struct place){ file, yaml_line(d, "notify.mail.password-file"), "" },
                         s->mail_password_file, _("the mail password"));
    if (s->mail_user && s->mail_tls != MAIL_TLS_REQUIRED && strncmp(s->mail_url, "smtps:", 6) != 0)
        lint_find(l, LINT_WARNING,
                  (struct place){ file, yaml_line(d, "notify.mail.tls"), "LY-2.2" },
                  _("the mail password may go over the network in clear: write tls: required"));
    for (size_t i = 0; i < s->n_webhooks; i++) {
        const struct webhook_conf *h = &s->webhooks[i];
        char path[64], what[MAX_NAME + 64];
        snprintf(path, sizeof path, "notify.webhooks.%zu.secret-file", i);
        snprintf(what, sizeof what, _("the secret of the webhook \"%s\""), h->name);
        if (h->secret_file)
            lint_secret_file(l, (struct place){ file, yaml_line(d, path), "" }, h->secret_file,
                             what);
        snprintf(path, sizeof path, "notify.webhooks.%zu.url", i);
        if ((strstr(h->url, "key=") || strstr(h->url, "token=")) && stat(file, &st) == 0 &&
            (st.st_mode & S_IROTH))
            lint_find(
                l, LINT_WARNING, (struct place){ file, yaml_line(d, path), "" },
                _("the address of the webhook \"%s\" holds its key, and everybody may read this "
                  "file: chmod 640 %s"),
                h->name, file);
    }
    if (s->command && access(s->command[0], X_OK) < 0)
        lint_find(l, LINT_WARNING, (struct place){ file, yaml_line(d, "notify.command"), "" },
                  _("the command cannot be run: %s: %s"), s->command[0], strerror(errno));
}

/* --- the two files ------------------------------------------------------------------------------------------------ */
static int parse_settings(struct lint *l, struct yaml_doc *d, struct err *e)
{
    return settings_parse(d, &l->settings, e);
}

static int parse_contacts(struct lint *l, struct yaml_doc *d, struct err *e)
{
    return contacts_parse(d, &l->contacts, e);
}

static int parse_holidays(struct lint *l, struct yaml_doc *d, struct err *e)
{
    return workdays_parse(d, &l->workdays, e);
}

/* PY-7.1 counts working days: a year whose days nobody has written down counts as weeks without holidays. */
static void check_holidays(struct lint *l, const char *file, const struct yaml_doc *d)
{
    if (!workdays_covers(l->workdays, sys_realtime_s()))
        lint_find(l, LINT_NOTE, (struct place){ file, yaml_line(d, "years"), "PY-7.1" },
                  _("the days off of this year are not among its years: only weekends are known"));
}

static int lint_file(struct lint *l, const char *name,
                     int (*parse)(struct lint *, struct yaml_doc *, struct err *),
                     void (*check)(struct lint *, const char *, const struct yaml_doc *),
                     bool *ret_there)
{
    struct yaml_doc *d = NULL;
    struct err e = ERR_INIT;
    struct stat st;
    char *file = conf_file(l->p, "", name);
    if (!file)
        return conf_out_of_memory(l->e);
    *ret_there = stat(file, &st) == 0 || errno != ENOENT;
    int r = *ret_there ? lint_read(l, file, &d) : 0;
    if (r == 0 && d) {
        r = parse(l, d, &e);
        r = lint_parsed(l, file, d, r, &e);
        if (r > 0)
            check(l, file, d);
    }
    yaml_close(d);
    free(file);
    return r < 0 ? r : 0;
}

int lint_site(struct lint *l)
{
    bool there;
    int r = lint_file(l, SETTINGS_FILE, parse_settings, check_settings, &there);
    if (r == 0)
        r = lint_file(l, CONTACTS_FILE, parse_contacts, check_contacts, &l->has_contacts);
    if (r == 0 && !l->has_contacts) {
        lint_find(l, LINT_NOTE, (struct place){ l->p->config_dir, 0, "PY-contacts" },
                  _("there is no contacts.yaml: nobody is told by role when something goes wrong"));
        r = contacts_load(l->p, &l->contacts, l->e);
    }
    if (r == 0)
        r = lint_file(l, HOLIDAYS_FILE, parse_holidays, check_holidays, &there);
    return r;
}
