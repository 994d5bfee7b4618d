/* policy.c - policies/NAME.yaml: what is backed up, when, and how long it is kept; read. Writing is in policy_write.c. The
 * manual is policies/config.h. */
#include "policies/inner.h"
#include "policies/crash_yaml.h"
#include "policies/drill_yaml.h"
#include "policies/hooks.h"
#include "policies/incident_yaml.h"
#include "policies/sources.h"
#include "lib/base/i18n.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the file as it is --------------------------------------------------------------------------------- */
struct raw_files {
    char **paths, **exclude;
    unsigned n_paths, n_exclude;
    char *one_file_system, *skip_cache_dirs, *delta;
};

struct raw_retention {
    char *last, *hourly, *daily, *weekly, *monthly, *yearly, *within;
};

struct raw_checks {
    char *min_files, *min_bytes, *max_shrink;
};

struct raw_policy {
    char *vault, *agent, *class, *schedule, *window, *priority, *retries, *limit, *rpo, *rto;
    struct raw_files *files;
    struct raw_source *sources[SOURCE_KINDS];
    struct raw_hooks *hooks;
    struct raw_crash *crash;
    struct raw_drill *drill;
    struct raw_retention *retention;
    struct raw_checks *checks;
    struct raw_incident *incident;
    char **notify;
    unsigned n_notify;
};

static const cyaml_schema_value_t entry_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED),
};
static const cyaml_schema_field_t files_fields[] = {
    CYAML_FIELD_SEQUENCE_COUNT("paths", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_files,
                               paths, n_paths, &entry_schema, 0, MAX_CONF_ENTRIES),
    CYAML_FIELD_SEQUENCE_COUNT("exclude", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct raw_files, exclude, n_exclude, &entry_schema, 0,
                               MAX_CONF_ENTRIES),
    YAML_TEXT_OPT("one-file-system", struct raw_files, one_file_system),
    YAML_TEXT_OPT("skip-cache-dirs", struct raw_files, skip_cache_dirs),
    YAML_TEXT_OPT("delta", struct raw_files, delta),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t retention_fields[] = {
    YAML_TEXT_OPT("last", struct raw_retention, last),
    YAML_TEXT_OPT("hourly", struct raw_retention, hourly),
    YAML_TEXT_OPT("daily", struct raw_retention, daily),
    YAML_TEXT_OPT("weekly", struct raw_retention, weekly),
    YAML_TEXT_OPT("monthly", struct raw_retention, monthly),
    YAML_TEXT_OPT("yearly", struct raw_retention, yearly),
    YAML_TEXT_OPT("within", struct raw_retention, within),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t checks_fields[] = {
    YAML_TEXT_OPT("min-files", struct raw_checks, min_files),
    YAML_TEXT_OPT("min-bytes", struct raw_checks, min_bytes),
    YAML_TEXT_OPT("max-shrink", struct raw_checks, max_shrink),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t policy_fields[] = {
    YAML_TEXT_OPT("vault", struct raw_policy, vault),
    YAML_TEXT_OPT("agent", struct raw_policy, agent),
    CYAML_FIELD_MAPPING_PTR("files", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_policy,
                            files, files_fields),
    SOURCE_FIELDS(struct raw_policy, sources),
    CYAML_FIELD_MAPPING_PTR("hooks", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_policy,
                            hooks, hooks_fields),
    CYAML_FIELD_MAPPING_PTR("crash", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_policy,
                            crash, crash_fields),
    CYAML_FIELD_MAPPING_PTR("drill", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_policy,
                            drill, drill_fields),
    YAML_TEXT_OPT("class", struct raw_policy, class),
    YAML_TEXT_OPT("schedule", struct raw_policy, schedule),
    YAML_TEXT_OPT("window", struct raw_policy, window),
    YAML_TEXT_OPT("priority", struct raw_policy, priority),
    YAML_TEXT_OPT("retries", struct raw_policy, retries),
    YAML_TEXT_OPT("limit", struct raw_policy, limit),
    CYAML_FIELD_MAPPING_PTR("retention", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                            struct raw_policy, retention, retention_fields),
    CYAML_FIELD_MAPPING_PTR("checks", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_policy,
                            checks, checks_fields),
    CYAML_FIELD_MAPPING_PTR("incident", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_policy,
                            incident, incident_fields),
    YAML_TEXT_OPT("rpo", struct raw_policy, rpo),
    YAML_TEXT_OPT("rto", struct raw_policy, rto),
    CYAML_FIELD_SEQUENCE_COUNT("notify", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct raw_policy, notify, n_notify, &entry_schema, 0,
                               MAX_CONF_ENTRIES),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t policy_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_policy, policy_fields),
};
static const char *const deltas[] = { "auto", "content", "pages", NULL }; /* enum source_delta */
const char *const policy_classes[] = { "data", "system", "logs", "secret", NULL };

/* --- making and freeing ----------------------------------------------------------------------------------------- */
static void free_list(char **v, size_t n)
{
    for (size_t i = 0; v && i < n; i++)
        free(v[i]);
    free(v);
}

void policy_free(struct policy *pol)
{
    if (!pol)
        return;
    free_list(pol->paths, pol->n_paths);
    free_list(pol->exclude, pol->n_exclude);
    free_list(pol->notify, pol->n_notify);
    source_specs_free(pol->sources, pol->n_sources);
    hooks_done(&pol->hooks);
    crash_conf_done(&pol->crash);
    drill_conf_done(&pol->drill);
    free(pol->name);
    free(pol->vault);
    free(pol->agent);
    free(pol->schedule);
    free(pol->window);
    free(pol);
}

struct policy *policy_new(const char *name)
{
    struct policy *pol = calloc(1, sizeof *pol);
    if (!pol)
        return NULL;
    *pol = (struct policy){ .name = strdup(name),
                            .vault = strdup(""),
                            .agent = strdup("local"),
                            .skip_cache_dirs = true,
                            .priority = DEFAULT_PRIORITY,
                            .retries = DEFAULT_RETRIES,
                            .rpo_s = DEFAULT_RPO_S,
                            .drill = { .every_s = DRILL_EVERY_S } };
    if (pol->name && pol->vault && pol->agent)
        return pol;
    policy_free(pol);
    return NULL;
}

/* --- words --------------------------------------------------------------------------------------------------------- */
const char *policy_kind(const struct policy *pol)
{
    if (pol->n_sources == 0)
        return "files";
    return pol->n_sources == 1 && pol->n_paths == 0 ? pol->sources[0].kind : "set";
}

const char *policy_class_name(enum policy_class c)
{
    return policy_classes[c];
}

bool policy_class_parse(const char *name, enum policy_class *ret)
{
    for (unsigned i = 0; policy_classes[i]; i++)
        if (strcmp(policy_classes[i], name) == 0) {
            *ret = (enum policy_class)i;
            return true;
        }
    return false;
}

struct retention retention_default(enum policy_class c)
{
    if (c == CLASS_LOGS)
        return (struct retention){ .within_s = LOGS_DEFAULT_S };
    return (struct retention){ .daily = 7, .weekly = 5, .monthly = 12, .within_s = 3 * 86400 };
}

static bool two_digits(const char *text, unsigned max, unsigned *ret)
{
    if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9')
        return false;
    *ret = (unsigned)(text[0] - '0') * 10 + (unsigned)(text[1] - '0');
    return *ret <= max;
}

bool window_parse(const char *text, unsigned *ret_from_min, unsigned *ret_to_min)
{
    unsigned h1, m1, h2, m2;
    if (strlen(text) != strlen("20:00-06:00") || text[2] != ':' || text[5] != '-' ||
        text[8] != ':' || !two_digits(text, 23, &h1) || !two_digits(text + 3, 59, &m1) ||
        !two_digits(text + 6, 24, &h2) || !two_digits(text + 9, h2 == 24 ? 0 : 59, &m2))
        return false;
    *ret_from_min = h1 * 60 + m1;
    *ret_to_min = (h2 * 60 + m2) % (24 * 60);
    return *ret_from_min != *ret_to_min;
}

int schedule_check(const char *text, struct err *e)
{
    static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                " ,:*/.~-_+";
    size_t n = strlen(text);
    if (n > 0 && n <= MAX_SCHEDULE && strspn(text, chars) == n && strspn(text, " ") < n)
        return 0;
    err_set(e, ERR_CONFIG, _("\"%s\" is not a calendar expression of systemd"), text);
    return err_next(e, _("write for instance \"*-*-* 02:00:00\" (every night at two) or \"Mon..Fri "
                         "20:30\"; try it: systemd-analyze calendar \"...\""));
}

int policy_check_words(const struct policy *pol, const char **ret_key, struct err *e)
{
    unsigned from, to;
    int r;
    *ret_key = "vault";
    if (pol->vault[0] && !config_name_ok(pol->vault)) {
        err_set(e, ERR_CONFIG, _("\"%s\" cannot be the name of a vault"), pol->vault);
        return err_next(e, _("write the name of a file in vaults/, without .yaml"));
    }
    *ret_key = "agent";
    if (!config_name_ok(pol->agent)) {
        err_set(e, ERR_CONFIG, _("\"%s\" cannot be the name of an agent"), pol->agent);
        return err_next(e,
                        _("write agent: local, or the name of a file in agents/, without .yaml"));
    }
    *ret_key = "schedule";
    if (pol->schedule && (r = schedule_check(pol->schedule, e)) < 0)
        return r;
    *ret_key = "window";
    if (pol->window && !window_parse(pol->window, &from, &to)) {
        err_set(e, ERR_CONFIG, _("\"%s\" is not a window of time"), pol->window);
        return err_next(e, _("write from when to when, in 24 hours: window: \"20:00-06:00\""));
    }
    return 0;
}

int policy_check_exclude(const char *pattern, char **ret, struct err *e)
{
    if (pattern[0] == '\0') {
        err_set(e, ERR_CONFIG, _("an exclude pattern is empty"));
        return err_next(e, _("write a pattern like \"*.tmp\" or a whole path, or remove the line"));
    }
    *ret = strdup(pattern);
    return *ret ? 0 : conf_out_of_memory(e);
}

int policy_check_role(const char *name, char **ret, struct err *e)
{
    if (!config_name_ok(name)) {
        err_set(e, ERR_CONFIG, _("\"%s\" cannot be the name of a role"), name);
        return conf_name_advice(e);
    }
    *ret = strdup(name);
    return *ret ? 0 : conf_out_of_memory(e);
}

/* --- loading ---------------------------------------------------------------------------------------------------------- */
struct list {
    const char *path;
    int (*take)(const char *text, char **ret, struct err *e);
    char **raw;
    unsigned n;
};

/* What `take` makes of each entry. *ret and *ret_n are the policy's, also on failure. */
static int take_list(struct yaml_doc *d, const struct list *l, char ***ret, size_t *ret_n,
                     struct err *e)
{
    char path[64];
    int r = 0;
    *ret = calloc(l->n + 1, sizeof **ret);
    if (!*ret)
        return conf_out_of_memory(e);
    *ret_n = l->n;
    for (unsigned i = 0; i < l->n && r == 0; i++) {
        snprintf(path, sizeof path, "%s.%u", l->path, i);
        r = l->take(l->raw[i], &(*ret)[i], e);
        if (r == -ERR_CONFIG)
            r = yaml_mistake(d, path, e);
    }
    return r;
}

static int take_files(struct yaml_doc *d, const struct raw_files *raw, struct policy *pol,
                      struct err *e)
{
    if ((!raw || raw->n_paths == 0) && pol->n_sources > 0)
        return 0;
    if (!raw || raw->n_paths == 0) {
        err_set(e, ERR_CONFIG, _("the policy names nothing to back up"));
        err_next(e,
                 _("write \"files:\", and indented below it, for instance: paths: [/etc, /home]"));
        return yaml_mistake(d, "files.paths", e);
    }
    struct list paths = { "files.paths", conf_path_normalise, raw->paths, raw->n_paths },
                exclude = { "files.exclude", policy_check_exclude, raw->exclude, raw->n_exclude };
    int r = take_list(d, &paths, &pol->paths, &pol->n_paths, e);
    if (r == 0)
        r = take_list(d, &exclude, &pol->exclude, &pol->n_exclude, e);
    if (r == 0)
        r = yaml_bool(d, "files.one-file-system", raw->one_file_system, &pol->one_file_system, e);
    if (r == 0)
        r = yaml_bool(d, "files.skip-cache-dirs", raw->skip_cache_dirs, &pol->skip_cache_dirs, e);
    unsigned delta = DELTA_AUTO;
    if (r == 0)
        r = yaml_choice(d, "files.delta", raw->delta, deltas, &delta, e);
    pol->delta = (enum source_delta)delta;
    return r;
}

static int take_retention(struct yaml_doc *d, const struct raw_retention *raw,
                          struct retention *ret, struct err *e)
{
    if (!raw)
        return 0;
    const struct {
        const char *path, *text;
        unsigned *to;
    } counts[] = {
        { "retention.last", raw->last, &ret->last },
        { "retention.hourly", raw->hourly, &ret->hourly },
        { "retention.daily", raw->daily, &ret->daily },
        { "retention.weekly", raw->weekly, &ret->weekly },
        { "retention.monthly", raw->monthly, &ret->monthly },
        { "retention.yearly", raw->yearly, &ret->yearly },
    };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        int r = yaml_number(d, counts[i].path, counts[i].text, 0, MAX_KEPT, counts[i].to, e);
        if (r < 0)
            return r;
    }
    return yaml_duration(d, "retention.within", raw->within, &ret->within_s, e);
}

static int take_percent(struct yaml_doc *d, const char *path, const char *text, unsigned *ret,
                        struct err *e)
{
    char *end = NULL;
    unsigned long n = text ? strtoul(text, &end, 10) : 0;
    if (!text)
        return 0;
    if (text[0] >= '0' && text[0] <= '9' && strcmp(end, "%") == 0 && n >= 1 && n <= 99) {
        *ret = (unsigned)n;
        return 0;
    }
    err_set(e, ERR_CONFIG, _("\"%s\" is not a share"), text);
    err_next(e, _("write a share from 1%% to 99%%"));
    return yaml_mistake(d, path, e);
}

static int take_checks(struct yaml_doc *d, const struct raw_checks *raw, struct policy_checks *ret,
                       struct err *e)
{
    if (!raw)
        return 0;
    int r = yaml_number(d, "checks.min-files", raw->min_files, 0, MAX_CHECKED_FILES,
                        &ret->min_files, e);
    if (r == 0)
        r = yaml_size(d, "checks.min-bytes", raw->min_bytes, &ret->min_bytes, e);
    return r == 0
               ? take_percent(d, "checks.max-shrink", raw->max_shrink, &ret->max_shrink_percent, e)
               : r;
}

static int take_words(struct yaml_doc *d, const struct raw_policy *raw, struct policy *pol,
                      struct err *e)
{
    const char *key = NULL;
    unsigned class = CLASS_DATA;
    int r = 0;
    if (raw->vault) { /* may be empty: the only one */
        free(pol->vault);
        pol->vault = strdup(raw->vault);
        r = pol->vault ? 0 : conf_out_of_memory(e);
    }
    if (r == 0)
        r = yaml_copy(d, "agent", raw->agent, &pol->agent, e);
    if (r == 0)
        r = yaml_copy(d, "schedule", raw->schedule, &pol->schedule, e);
    if (r == 0)
        r = yaml_copy(d, "window", raw->window, &pol->window, e);
    if (r == 0 && (r = policy_check_words(pol, &key, e)) < 0)
        return yaml_mistake(d, key, e);
    if (r == 0)
        r = yaml_choice(d, "class", raw->class, policy_classes, &class, e);
    pol->class = (enum policy_class) class;
    return r;
}

static int take_policy(struct yaml_doc *d, const struct raw_policy *raw, struct policy *pol,
                       struct err *e)
{
    struct list notify = { "notify", policy_check_role, raw->notify, raw->n_notify };
    int r = take_words(d, raw, pol, e);
    if (r == 0)
        r = sources_take(d, raw->sources, &pol->sources, &pol->n_sources, e);
    if (r == 0)
        r = take_files(d, raw->files, pol, e);
    if (r == 0)
        r = hooks_take(d, raw->hooks, &pol->hooks, e);
    if (r == 0)
        r = crash_take(d, raw->crash, &pol->crash, e);
    if (r == 0)
        r = drill_take(d, raw->drill, &pol->drill, e);
    if (r == 0)
        r = yaml_number(d, "priority", raw->priority, 0, MAX_PRIORITY, &pol->priority, e);
    if (r == 0)
        r = yaml_number(d, "retries", raw->retries, 0, MAX_RETRIES, &pol->retries, e);
    if (r == 0)
        r = yaml_size(d, "limit", raw->limit, &pol->limit_bytes_s, e);
    if (r == 0)
        r = take_retention(d, raw->retention, &pol->retention, e);
    if (r == 0)
        r = take_checks(d, raw->checks, &pol->checks, e);
    if (r == 0)
        r = incident_conf_take(d, raw->incident, &pol->incident, e);
    if (r == 0)
        r = yaml_duration(d, "rpo", raw->rpo, &pol->rpo_s, e);
    if (r == 0)
        r = yaml_duration(d, "rto", raw->rto, &pol->rto_s, e);
    return r == 0 ? take_list(d, &notify, &pol->notify, &pol->n_notify, e) : r;
}

int policy_parse(struct yaml_doc *d, const char *name, struct policy **ret, struct err *e)
{
    void *raw = NULL;
    int r = yaml_load(d, &policy_schema, &raw, e);
    if (r < 0)
        return r;
    struct policy *pol = policy_new(name);
    r = pol ? take_policy(d, raw, pol, e) : conf_out_of_memory(e);
    yaml_free_value(&policy_schema, raw);
    if (r < 0) {
        policy_free(pol);
        return r;
    }
    *ret = pol;
    return 0;
}

int policy_load(const struct config_paths *p, const char *name, struct policy **ret, struct err *e)
{
    struct err ignored = ERR_INIT;
    struct yaml_doc *d = NULL;
    e = e ? e : &ignored;
    int r = conf_open(p, POLICIES, name, &d, e);
    if (r == 0)
        r = policy_parse(d, name, ret, e);
    yaml_close(d);
    return r;
}

int policy_each(const struct config_paths *p, int (*fn)(void *, const char *), void *ctx,
                struct err *e)
{
    return conf_each(p, POLICIES, fn, NULL, ctx, e);
}
