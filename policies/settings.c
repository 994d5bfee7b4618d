/* settings.c - twofold.yaml: what holds for the whole site. The manual is policies/settings.h. */
#include "policies/settings.h"
#include "lib/base/i18n.h"
#include "policies/forms_yaml.h"
#include "policies/incident_yaml.h"
#include "policies/inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_JOBS 4
#define DEFAULT_HEARTBEAT_S 60
#define DEFAULT_REPEAT_S 1800

/* --- the file as it is --------------------------------------------------------------------------------------------- */
struct raw_heartbeat {
    char *every, *file, *url;
};
struct raw_mail {
    char *url, *from, *user, *password_file, *tls;
};
struct raw_webhook {
    char *name, *url, *shape, *secret_file;
};
struct raw_notify {
    char *repeat, *console;
    struct raw_mail *mail;
    struct raw_webhook *webhooks;
    char **command;
    unsigned n_webhooks, n_command;
};
struct raw_settings {
    char *site, *language, *jobs, *page, *metrics;
    struct raw_heartbeat *heartbeat;
    struct raw_notify *notify;
    struct raw_incident *incident;
    struct raw_forms *forms;
};

static const cyaml_schema_value_t word_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED),
};
static const cyaml_schema_field_t heartbeat_fields[] = {
    YAML_TEXT_OPT("every", struct raw_heartbeat, every),
    YAML_TEXT_OPT("file", struct raw_heartbeat, file),
    YAML_TEXT_OPT("url", struct raw_heartbeat, url),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t mail_fields[] = {
    YAML_TEXT("url", struct raw_mail, url),
    YAML_TEXT("from", struct raw_mail, from),
    YAML_TEXT_OPT("user", struct raw_mail, user),
    YAML_TEXT_OPT("password-file", struct raw_mail, password_file),
    YAML_TEXT_OPT("tls", struct raw_mail, tls),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t webhook_fields[] = {
    YAML_TEXT("name", struct raw_webhook, name),
    YAML_TEXT("url", struct raw_webhook, url),
    YAML_TEXT_OPT("shape", struct raw_webhook, shape),
    YAML_TEXT_OPT("secret-file", struct raw_webhook, secret_file),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t webhook_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_webhook, webhook_fields),
};
static const cyaml_schema_field_t notify_fields[] = {
    YAML_TEXT_OPT("repeat", struct raw_notify, repeat),
    CYAML_FIELD_MAPPING_PTR("mail", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_notify,
                            mail, mail_fields),
    CYAML_FIELD_SEQUENCE_COUNT("webhooks", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct raw_notify, webhooks, n_webhooks, &webhook_schema, 0,
                               MAX_WEBHOOKS),
    CYAML_FIELD_SEQUENCE_COUNT("command", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct raw_notify, command, n_command, &word_schema, 0, 64),
    YAML_TEXT_OPT("console", struct raw_notify, console),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t settings_fields[] = {
    YAML_TEXT_OPT("site", struct raw_settings, site),
    YAML_TEXT_OPT("language", struct raw_settings, language),
    YAML_TEXT_OPT("jobs", struct raw_settings, jobs),
    YAML_TEXT_OPT("page", struct raw_settings, page),
    YAML_TEXT_OPT("metrics", struct raw_settings, metrics),
    CYAML_FIELD_MAPPING_PTR("heartbeat", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                            struct raw_settings, heartbeat, heartbeat_fields),
    CYAML_FIELD_MAPPING_PTR("notify", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_settings,
                            notify, notify_fields),
    CYAML_FIELD_MAPPING_PTR("incident", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                            struct raw_settings, incident, incident_fields),
    CYAML_FIELD_MAPPING_PTR("forms", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_settings,
                            forms, forms_fields),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t settings_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_settings, settings_fields),
};

/* --- making and freeing ------------------------------------------------------------------------------------------------ */
static struct settings *settings_new(void)
{
    struct settings *s = calloc(1, sizeof *s);
    if (s)
        *s = (struct settings){ .jobs = DEFAULT_JOBS,
                                .heartbeat_every_s = DEFAULT_HEARTBEAT_S,
                                .repeat_s = DEFAULT_REPEAT_S,
                                .mail_tls = MAIL_TLS_REQUIRED,
                                .incident = incident_conf_default() };
    return s;
}

void settings_free(struct settings *s)
{
    if (!s)
        return;
    free(s->site);
    free(s->language);
    free(s->page);
    free(s->metrics);
    forms_conf_done(&s->forms);
    free(s->heartbeat_file);
    free(s->heartbeat_url);
    free(s->mail_url);
    free(s->mail_from);
    free(s->mail_user);
    free(s->mail_password_file);
    for (size_t i = 0; i < s->n_webhooks; i++) {
        free(s->webhooks[i].name);
        free(s->webhooks[i].url);
        free(s->webhooks[i].secret_file);
    }
    for (char **c = s->command; c && *c; c++)
        free(*c);
    free(s->command);
    free(s);
}

/* --- values -------------------------------------------------------------------------------------------------------------- */
/* An address of one of two schemes, with a host and without a password. */
static int take_url(struct yaml_doc *d, const char *path, const char *text, const char *scheme,
                    char **ret, struct err *e)
{
    size_t n = strlen(scheme);
    if (!text)
        return 0;
    const char *rest = strncmp(text, scheme, n) == 0 ? text + n : NULL;
    rest = rest && *rest == 's' ? rest + 1 : rest;
    rest = rest && strncmp(rest, "://", 3) == 0 ? rest + 3 : NULL;
    size_t host = rest ? strcspn(rest, "/?#") : 0;
    bool clean = true;
    for (const char *c = text; *c; c++)
        clean = clean && (unsigned char)*c > ' ' && *c != 0x7f;
    if (host == 0 || !clean) {
        err_set(e, ERR_CONFIG, _("\"%s\" is not an address like %s://HOST or %ss://HOST"), text,
                scheme, scheme);
        err_next(e, _("write the whole address, for instance: %ss://server.example"), scheme);
        return yaml_mistake(d, path, e);
    }
    if (memchr(rest, '@', host)) {
        err_set(e, ERR_CONFIG, _("the address holds a user or password"));
        err_next(e, _("take it out; what is secret belongs into a file that only root may read"));
        return yaml_mistake(d, path, e);
    }
    return yaml_copy(d, path, text, ret, e);
}

static int take_heartbeat(struct yaml_doc *d, const struct raw_heartbeat *raw, struct settings *s,
                          struct err *e)
{
    if (!raw)
        return 0;
    int r = yaml_duration(d, "heartbeat.every", raw->every, &s->heartbeat_every_s, e);
    if (r == 0)
        r = conf_path(d, "heartbeat.file", raw->file, &s->heartbeat_file, e);
    return r == 0 ? take_url(d, "heartbeat.url", raw->url, "http", &s->heartbeat_url, e) : r;
}

static int take_mail(struct yaml_doc *d, const struct raw_mail *raw, struct settings *s,
                     struct err *e)
{
    static const char *const words[] = { "none", "try", "required", NULL };
    unsigned tls = MAIL_TLS_REQUIRED;
    if (!raw)
        return 0;
    int r = take_url(d, "notify.mail.url", raw->url, "smtp", &s->mail_url, e);
    if (r == 0)
        r = yaml_copy(d, "notify.mail.from", raw->from, &s->mail_from, e);
    if (r == 0 && strpbrk(s->mail_from, "<> \t\r\n")) {
        err_set(e, ERR_CONFIG, _("\"%s\" is not the address of a mailbox"), s->mail_from);
        err_next(e, _("write the bare address: from: twofold@bureau.example"));
        return yaml_mistake(d, "notify.mail.from", e);
    }
    if (r == 0)
        r = yaml_copy(d, "notify.mail.user", raw->user, &s->mail_user, e);
    if (r == 0)
        r = conf_path(d, "notify.mail.password-file", raw->password_file, &s->mail_password_file,
                      e);
    if (r == 0 && s->mail_user && !s->mail_password_file) {
        err_set(e, ERR_CONFIG, _("mail has a user, but no password-file"));
        err_next(e, _("write password-file: FILE (mode 0600), or remove the user"));
        return yaml_mistake(d, "notify.mail.user", e);
    }
    if (r == 0)
        r = yaml_choice(d, "notify.mail.tls", raw->tls, words, &tls, e);
    s->mail_tls = (enum mail_tls)tls;
    return r;
}

static int take_webhook(struct yaml_doc *d, size_t i, const struct raw_webhook *raw,
                        struct settings *s, struct err *e)
{
    static const char *const shapes[] = { "json", "wecom", "dingtalk", NULL };
    struct webhook_conf *h = &s->webhooks[i];
    char name[48], url[48], shape[48], secret[48];
    unsigned which = WEBHOOK_JSON;
    snprintf(name, sizeof name, "notify.webhooks.%zu.name", i);
    snprintf(url, sizeof url, "notify.webhooks.%zu.url", i);
    snprintf(shape, sizeof shape, "notify.webhooks.%zu.shape", i);
    snprintf(secret, sizeof secret, "notify.webhooks.%zu.secret-file", i);
    s->n_webhooks = i + 1;
    int r = yaml_copy(d, name, raw->name, &h->name, e);
    if (r == 0 && !config_name_ok(h->name)) {
        err_set(e, ERR_CONFIG, _("\"%s\" cannot be the name of a webhook"), h->name);
        conf_name_advice(e);
        return yaml_mistake(d, name, e);
    }
    for (size_t k = 0; k < i && r == 0; k++)
        if (strcmp(s->webhooks[k].name, h->name) == 0) {
            err_set(e, ERR_CONFIG, _("two webhooks have the name \"%s\""), h->name);
            err_next(e, _("give each a name of its own"));
            return yaml_mistake(d, name, e);
        }
    if (r == 0)
        r = take_url(d, url, raw->url, "http", &h->url, e);
    if (r == 0)
        r = yaml_choice(d, shape, raw->shape, shapes, &which, e);
    h->shape = (enum webhook_shape)which;
    return r == 0 ? conf_path(d, secret, raw->secret_file, &h->secret_file, e) : r;
}

static int take_command(struct yaml_doc *d, const struct raw_notify *raw, struct settings *s,
                        struct err *e)
{
    if (raw->n_command == 0)
        return 0;
    s->command = calloc(raw->n_command + 1, sizeof *s->command);
    if (!s->command)
        return conf_out_of_memory(e);
    if (raw->command[0][0] != '/') {
        err_set(e, ERR_CONFIG, _("the command \"%s\" is not a whole path"), raw->command[0]);
        err_next(e, _("write it from the root: command: [/usr/local/bin/send-sms]"));
        return yaml_mistake(d, "notify.command.0", e);
    }
    for (unsigned i = 0; i < raw->n_command; i++) {
        s->command[i] = strdup(raw->command[i]);
        if (!s->command[i])
            return conf_out_of_memory(e);
    }
    return 0;
}

static int take_notify(struct yaml_doc *d, const struct raw_notify *raw, struct settings *s,
                       struct err *e)
{
    if (!raw)
        return 0;
    int r = yaml_duration(d, "notify.repeat", raw->repeat, &s->repeat_s, e);
    if (r == 0)
        r = take_mail(d, raw->mail, s, e);
    for (unsigned i = 0; i < raw->n_webhooks && r == 0; i++)
        r = take_webhook(d, i, &raw->webhooks[i], s, e);
    if (r == 0)
        r = take_command(d, raw, s, e);
    return r == 0 ? yaml_bool(d, "notify.console", raw->console, &s->console, e) : r;
}

static int take_settings(struct yaml_doc *d, const struct raw_settings *raw, struct settings *s,
                         struct err *e)
{
    static const char *const languages[] = { "zh", "en", NULL };
    unsigned ignored = 0;
    int r = yaml_copy(d, "site", raw->site, &s->site, e);
    if (r == 0)
        r = yaml_choice(d, "language", raw->language, languages, &ignored, e);
    if (r == 0)
        r = yaml_copy(d, "language", raw->language, &s->language, e);
    if (r == 0)
        r = yaml_uint(d, "jobs", raw->jobs, MAX_CONF_JOBS, &s->jobs, e);
    if (r == 0)
        r = conf_path(d, "page", raw->page, &s->page, e);
    if (r == 0)
        r = conf_path(d, "metrics", raw->metrics, &s->metrics, e);
    if (r == 0)
        r = take_heartbeat(d, raw->heartbeat, s, e);
    if (r == 0)
        r = incident_conf_take(d, raw->incident, &s->incident, e);
    if (r == 0)
        r = forms_conf_take(d, raw->forms, &s->forms, e);
    return r == 0 ? take_notify(d, raw->notify, s, e) : r;
}

int settings_parse(struct yaml_doc *d, struct settings **ret, struct err *e)
{
    void *raw = NULL;
    int r = yaml_load(d, &settings_schema, &raw, e);
    if (r < 0)
        return r;
    struct settings *s = settings_new();
    r = s ? take_settings(d, raw, s, e) : conf_out_of_memory(e);
    yaml_free_value(&settings_schema, raw);
    if (r < 0) {
        settings_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

int settings_load(const struct config_paths *p, struct settings **ret, struct err *e)
{
    struct err ignored = ERR_INIT;
    struct yaml_doc *d = NULL;
    e = e ? e : &ignored;
    char *file = conf_file(p, "", SETTINGS_FILE);
    if (!file)
        return conf_out_of_memory(e);
    int r = yaml_read(file, &d, e);
    free(file);
    if (r == -ERR_ABSENT) {
        err_clear(e);
        *ret = settings_new();
        return *ret ? 0 : conf_out_of_memory(e);
    }
    if (r == 0)
        r = settings_parse(d, ret, e);
    yaml_close(d);
    return r;
}
