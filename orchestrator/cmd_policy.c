/* cmd_policy.c - `twofold policy add|lint|list|show`: what is backed up, as files that a person may write by hand. */
#include "lib/base/i18n.h"
#include "lib/base/mask.h"
#include "lib/base/sys.h"
#include "orchestrator/args.h"
#include "orchestrator/calendar.h"
#include "orchestrator/logs/keep.h"
#include "orchestrator/look.h"
#include "orchestrator/probe.h"
#include "orchestrator/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    OPT_FILES = OPT_OWN,
    OPT_POSTGRESQL,
    OPT_MARIADB,
    OPT_SQLITE,
    OPT_COMMAND,
    OPT_DATA,
    OPT_LOGS,
    OPT_SLOT,
    OPT_ARCHIVE,
    OPT_ACCESS,
    OPT_USER,
    OPT_DEFAULTS_FILE,
    OPT_BINARIES,
    OPT_SCRATCH,
    OPT_EXCLUDE,
    OPT_ONE_FS,
    OPT_AGENT,
    OPT_CLASS,
    OPT_SCHEDULE,
    OPT_WINDOW,
    OPT_PRIORITY,
    OPT_RETRIES,
    OPT_LIMIT,
    OPT_RPO,
    OPT_RTO,
    OPT_NOTIFY,
    OPT_KEEP_WITHIN,
    OPT_KEEP /* and those after it, in the order of keep_names */
};
#define MARIADB_SOCKET "/run/mysqld/mysqld.sock" /* Debian's and most others' */
static const char *const keep_names[] = {
    "last", "hourly", "daily", "weekly", "monthly", "yearly"
};
#define MAX_LOGS_S 3600
#define DEFAULT_LOGS "5s"
#define KEEPS (sizeof keep_names / sizeof *keep_names)

/* --- add ------------------------------------------------------------------------------------------ */
struct adding {
    struct policy *pol;
    bool by_hand;         /* --schedule none */
    bool keeps;           /* some --keep-… was given */
    const char *relative; /* a path that was made whole from the current folder */
};

static int append(char ***list, size_t *n, const char *text, struct err *e)
{
    char **grown = realloc(*list, (*n + 1) * sizeof *grown);
    if (!grown)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    *list = grown;
    grown[*n] = strdup(text);
    if (!grown[*n])
        return err_set(e, ERR_NOMEM, _("out of memory"));
    ++*n;
    return 0;
}

static int set_text(char **to, const char *text, struct err *e)
{
    char *copy = strdup(text);
    if (!copy)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    free(*to);
    *to = copy;
    return 0;
}

/* Owned. */
static int make_whole(struct adding *a, const char *path, char **ret, struct err *e)
{
    if (path[0] == '/')
        return set_text(ret, path, e);
    a->relative = path;
    /* The shell's current folder; a "scheme:" has no meaning here. */
    return strchr(path, ':') ? err_set(e, ERR_USAGE, _("\"%s\" is not a whole path"), path)
                             : absolute_url(path, ret, e);
}

static int append_path(struct adding *a, const char *path, struct err *e)
{
    struct policy *pol = a->pol;
    char *whole = NULL;
    int rc = make_whole(a, path, &whole, e);
    if (rc == 0)
        rc = append(&pol->paths, &pol->n_paths, whole, e);
    free(whole);
    return rc;
}

static int set_duration(uint64_t *to, const char *option, const char *text, struct err *e)
{
    if (duration_parse(text, to))
        return 0;
    err_set(e, ERR_USAGE, _("\"%s\" is not a length of time"), text);
    return err_next(e, _("write for instance: %s 26h (s, m, h or d)"), option);
}

static int set_number(unsigned *to, unsigned max, const char *text, struct err *e)
{
    char *end = NULL;
    unsigned long v = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
    if (!end || *end || v > max) {
        err_set(e, ERR_USAGE, _("\"%s\" is not a number from 0 to %u"), text, max);
        return err_next(e, _("write a whole number"));
    }
    *to = (unsigned)v;
    return 0;
}

static int set_class(struct policy *pol, const char *text, struct err *e)
{
    if (policy_class_parse(text, &pol->class))
        return 0;
    err_set(e, ERR_USAGE, _("there is no class \"%s\""), text);
    return err_next(e, _("write one of: data, system, logs, secret"));
}

static int set_limit(struct policy *pol, const char *text, struct err *e)
{
    if (size_parse(text, &pol->limit_bytes_s))
        return 0;
    err_set(e, ERR_USAGE, _("\"%s\" is not a number of bytes"), text);
    return err_next(e, _("write for instance: --limit 20MiB (KiB, MiB, GiB), per second"));
}

static int take_keep(struct adding *a, int c, struct err *e)
{
    struct retention *k = &a->pol->retention;
    unsigned *const counts[KEEPS] = { &k->last,   &k->hourly,  &k->daily,
                                      &k->weekly, &k->monthly, &k->yearly };
    if (c != OPT_KEEP_WITHIN && (c < OPT_KEEP || c >= OPT_KEEP + (int)KEEPS))
        return 1;
    a->keeps = true;
    if (c == OPT_KEEP_WITHIN)
        return set_duration(&k->within_s, "--keep-within", optarg, e);
    return set_number(counts[c - OPT_KEEP], MAX_KEPT, optarg, e);
}

/* A source, with what names it. */
static int add_source(struct policy *pol, const char *kind, const char *key, const char *value,
                      struct err *e)
{
    struct source_spec *s;
    for (size_t i = 0; i < pol->n_sources; i++)
        if (strcmp(pol->sources[i].kind, kind) == 0) {
            err_set(e, ERR_USAGE, _("--%s is there twice"), kind);
            return err_next(e, _("make a policy for each"));
        }
    int rc = source_specs_add(&pol->sources, &pol->n_sources, kind, &s, e);
    return rc == 0 ? source_spec_add(s, key, value, e) : rc;
}

/* One of several that are one source. */
static int add_to_list(struct policy *pol, const char *kind, const char *key, const char *value,
                       struct err *e)
{
    struct source_spec *s = NULL;
    int rc = 0;
    for (size_t i = 0; i < pol->n_sources; i++)
        if (strcmp(pol->sources[i].kind, kind) == 0)
            s = &pol->sources[i];
    if (!s)
        rc = source_specs_add(&pol->sources, &pol->n_sources, kind, &s, e);
    return rc == 0 ? source_spec_add(s, key, value, e) : rc;
}

static int add_database(struct adding *a, const char *path, struct err *e)
{
    char *whole = NULL;
    int rc = make_whole(a, path, &whole, e);
    if (rc == 0)
        rc = add_to_list(a->pol, "sqlite", "files", whole, e);
    free(whole);
    return rc;
}

/* A setting of the source that was named last. */
static int add_to_source(struct policy *pol, const char *key, const char *value, struct err *e)
{
    if (pol->n_sources > 0)
        return source_spec_add(&pol->sources[pol->n_sources - 1], key, value, e);
    err_set(e, ERR_USAGE, _("--%s belongs to a database"), key);
    return err_next(
        e, _("name the database before it: --postgresql \"host=/run/postgresql user=postgres\""));
}

static bool is_last(const struct policy *pol, const char *kind)
{
    return pol->n_sources > 0 && strcmp(pol->sources[pol->n_sources - 1].kind, kind) == 0;
}

static int add_access(struct policy *pol, const char *text, struct err *e)
{
    if (strcmp(text, "files") != 0 && strcmp(text, "replication") != 0) {
        err_set(e, ERR_USAGE, _("\"%s\" is not one of its values"), text);
        return err_next(e, _("write \"%s\" or \"%s\""), "files", "replication");
    }
    if (!is_last(pol, "postgresql")) {
        err_set(e, ERR_USAGE, _("--%s belongs to a PostgreSQL server"), "access");
        return err_next(
            e, _("name it before: --postgresql \"host=/run/postgresql user=postgres\" --%s %s"),
            "access", text);
    }
    return add_to_source(pol, "access", text, e);
}

static int add_logs(struct policy *pol, const char *text, struct err *e)
{
    uint64_t seconds = 0;
    if (!duration_parse(text, &seconds) || seconds > MAX_LOGS_S) {
        err_set(e, ERR_USAGE, _("\"%s\" is no time of up to an hour"), text);
        return err_next(e, _("write for instance: %s"), "--logs 5s");
    }
    if (!is_last(pol, "postgresql") && !is_last(pol, "mariadb")) {
        err_set(e, ERR_USAGE, _("--%s belongs to a PostgreSQL or MariaDB server"), "logs");
        return err_next(
            e, _("name it before: --postgresql \"host=/run/postgresql user=postgres\" --logs 5s, "
                 "or: --mariadb --logs 5s"));
    }
    return add_to_source(pol, "logs", text, e);
}

/* In place of a slot; the log is kept then. */
static int add_archive(struct policy *pol, const char *folder, struct err *e)
{
    struct source_spec *s = pol->n_sources > 0 ? &pol->sources[pol->n_sources - 1] : NULL;
    if (!s || strcmp(s->kind, "postgresql") != 0) {
        err_set(e, ERR_USAGE, _("--%s belongs to a PostgreSQL server"), "archive");
        return err_next(
            e, _("name it before: --postgresql \"host=/run/postgresql user=postgres\" --logs 5s"));
    }
    if (folder[0] != '/')
        return err_set(e, ERR_USAGE, _("\"%s\" is not a whole path"), folder);
    return source_spec_add(s, "archive", folder, e);
}

static int fill_in_logs(struct policy *pol, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < pol->n_sources; i++)
        if (source_spec_get(&pol->sources[i], "archive") &&
            !source_spec_get(&pol->sources[i], "logs"))
            rc = source_spec_add(&pol->sources[i], "logs", DEFAULT_LOGS, e);
    return rc;
}

static int take_add_option(struct adding *a, int c, struct err *e)
{
    struct policy *pol = a->pol;
    switch (c) {
    case OPT_FILES:
        return append_path(a, optarg, e);
    case OPT_POSTGRESQL:
        return add_source(pol, "postgresql", "conninfo", optarg, e);
    case OPT_MARIADB:
        return add_source(pol, "mariadb", "server", optarg ? optarg : MARIADB_SOCKET, e);
    case OPT_SQLITE:
        return add_database(a, optarg, e);
    case OPT_COMMAND:
        return add_to_list(pol, "command", "drivers", optarg, e);
    case OPT_DATA:
        return add_to_source(pol, "data", optarg, e);
    case OPT_LOGS:
        return add_logs(pol, optarg, e);
    case OPT_SLOT:
        return add_to_source(pol, "slot", optarg, e);
    case OPT_ARCHIVE:
        return add_archive(pol, optarg, e);
    case OPT_ACCESS:
        return add_access(pol, optarg, e);
    case OPT_USER:
        return add_to_source(pol, "user", optarg, e);
    case OPT_DEFAULTS_FILE:
        return add_to_source(pol, "defaults-file", optarg, e);
    case OPT_BINARIES:
        return add_to_source(pol, "binaries", optarg, e);
    case OPT_SCRATCH:
        return add_to_source(pol, "scratch", optarg, e);
    case OPT_EXCLUDE:
        return append(&pol->exclude, &pol->n_exclude, optarg, e);
    case OPT_ONE_FS:
        pol->one_file_system = true;
        return 0;
    case OPT_VAULT:
        return set_text(&pol->vault, optarg, e);
    case OPT_AGENT:
        return set_text(&pol->agent, optarg, e);
    case OPT_CLASS:
        return set_class(pol, optarg, e);
    case OPT_SCHEDULE:
        a->by_hand = strcmp(optarg, "none") == 0;
        return a->by_hand ? 0 : set_text(&pol->schedule, optarg, e);
    case OPT_WINDOW:
        return set_text(&pol->window, optarg, e);
    case OPT_PRIORITY:
        return set_number(&pol->priority, MAX_PRIORITY, optarg, e);
    case OPT_RETRIES:
        return set_number(&pol->retries, MAX_RETRIES, optarg, e);
    case OPT_LIMIT:
        return set_limit(pol, optarg, e);
    case OPT_RPO:
        return set_duration(&pol->rpo_s, "--rpo", optarg, e);
    case OPT_RTO:
        return set_duration(&pol->rto_s, "--rto", optarg, e);
    case OPT_NOTIFY:
        return append(&pol->notify, &pol->n_notify, optarg, e);
    default:
        return take_keep(a, c, e);
    }
}

/* What was not asked for. */
static int fill_in(struct adding *a, struct err *e)
{
    struct policy *pol = a->pol;
    if (!a->keeps)
        pol->retention = retention_default(pol->class);
    if (fill_in_logs(pol, e) < 0)
        return -(int)e->code;
    if (a->relative && strcmp(pol->agent, "local") != 0) {
        err_set(e, ERR_USAGE,
                _("\"%s\" is not a whole path, and the current folder is not on the agent \"%s\""),
                a->relative, pol->agent);
        return err_next(e, _("write the path from the root: /etc"));
    }
    return pol->schedule || a->by_hand ? 0 : set_text(&pol->schedule, DEFAULT_SCHEDULE, e);
}

/* 0, or an exit status after an error was shown. The first argument is the name, the others are more paths. */
static int take_add(struct app *app, struct adding *a, int argc, char **argv)
{
    static const struct option options[] = {
        { "files", required_argument, NULL, OPT_FILES },
        { "postgresql", required_argument, NULL, OPT_POSTGRESQL },
        { "mariadb", optional_argument, NULL, OPT_MARIADB },
        { "sqlite", required_argument, NULL, OPT_SQLITE },
        { "command", required_argument, NULL, OPT_COMMAND },
        { "data", required_argument, NULL, OPT_DATA },
        { "logs", required_argument, NULL, OPT_LOGS },
        { "slot", required_argument, NULL, OPT_SLOT },
        { "archive", required_argument, NULL, OPT_ARCHIVE },
        { "access", required_argument, NULL, OPT_ACCESS },
        { "user", required_argument, NULL, OPT_USER },
        { "defaults-file", required_argument, NULL, OPT_DEFAULTS_FILE },
        { "binaries", required_argument, NULL, OPT_BINARIES },
        { "scratch", required_argument, NULL, OPT_SCRATCH },
        { "exclude", required_argument, NULL, OPT_EXCLUDE },
        { "one-file-system", no_argument, NULL, OPT_ONE_FS },
        { "vault", required_argument, NULL, OPT_VAULT },
        { "agent", required_argument, NULL, OPT_AGENT },
        { "class", required_argument, NULL, OPT_CLASS },
        { "schedule", required_argument, NULL, OPT_SCHEDULE },
        { "window", required_argument, NULL, OPT_WINDOW },
        { "priority", required_argument, NULL, OPT_PRIORITY },
        { "retries", required_argument, NULL, OPT_RETRIES },
        { "limit", required_argument, NULL, OPT_LIMIT },
        { "rpo", required_argument, NULL, OPT_RPO },
        { "rto", required_argument, NULL, OPT_RTO },
        { "notify", required_argument, NULL, OPT_NOTIFY },
        { "keep-within", required_argument, NULL, OPT_KEEP_WITHIN },
        { "keep-last", required_argument, NULL, OPT_KEEP },
        { "keep-hourly", required_argument, NULL, OPT_KEEP + 1 },
        { "keep-daily", required_argument, NULL, OPT_KEEP + 2 },
        { "keep-weekly", required_argument, NULL, OPT_KEEP + 3 },
        { "keep-monthly", required_argument, NULL, OPT_KEEP + 4 },
        { "keep-yearly", required_argument, NULL, OPT_KEEP + 5 },
        OPTIONS_END,
    };
    struct err e = ERR_INIT;
    int c, rc = 0;
    args_begin();
    while (rc == 0 && (c = args_next(argc, argv, ":", options)) != -1)
        if ((rc = take_add_option(a, c, &e)) > 0)
            return args_bad(app, c, argv);
    if (rc == 0 && optind == argc)
        return app_usage(app, _("the policy has no name"));
    if (rc == 0 && a->pol->n_paths == 0 && a->pol->n_sources == 0)
        return app_usage(app, _("the policy names nothing to back up: --files PATH"));
    if (rc == 0)
        rc = set_text(&a->pol->name, argv[optind++], &e);
    for (; rc == 0 && optind < argc; optind++)
        rc = append_path(a, argv[optind], &e);
    if (rc == 0)
        rc = fill_in(a, &e);
    if (rc < 0) {
        err_wrap(&e, "policy add");
        return ui_error(&app->ui, &e);
    }
    return 0;
}

static void warn_missing_paths(struct app *app, const struct policy *pol)
{
    struct stat st;
    for (size_t i = 0; i < pol->n_paths && strcmp(pol->agent, "local") == 0; i++)
        if (lstat(pol->paths[i], &st) < 0)
            ui_warn(&app->ui, _("%s is not there now"), pol->paths[i]);
}

/* The policy is right as a file; what is missing on the other side is said, and can be mended there. true: nothing is. */
static bool probe(struct app *app, const struct policy *pol, const struct vault_conf *conf)
{
    struct err why = ERR_INIT;
    uint64_t missing = 0;
    if (probe_sources(app, pol, conf, &missing, &why) < 0) {
        ui_warn(&app->ui, _("it cannot be backed up as it is: %s: %s"), why.what, why.why);
        if (why.next[0])
            ui_warn(&app->ui, "%s", why.next);
    } else if (missing > 0) {
        ui_warn(&app->ui, _("it cannot be backed up before what is named above is there"));
    }
    return why.code == ERR_NONE && missing == 0;
}

/* Where nobody can tell what systemd makes of it, it is taken as it is. */
static int check_schedule(const char *spec, struct err *e)
{
    int64_t at[CALENDAR_BATCH];
    size_t n = 0;
    struct err why = ERR_INIT;
    int rc = calendar_next(spec, sys_realtime_s(), at, &n, &why);
    if (rc == -ERR_CONFIG)
        *e = why;
    if (rc == -ERR_CONFIG || rc < 0 || n > 0)
        return rc == -ERR_CONFIG ? rc : 0;
    err_set(e, ERR_USAGE, _("the schedule \"%s\" never comes"), spec);
    return err_next(e, _("try it with: systemd-analyze calendar '%s'"), spec);
}

static int write_policy(struct app *app, const struct policy *pol, bool *ret_ready, struct err *e)
{
    struct vault_conf *conf = NULL;
    struct agent_conf *agent = NULL;
    /* A mistake in the name of the vault or agent is better heard now than at night. */
    int rc = vault_conf_load(&app->paths, pol->vault[0] ? pol->vault : NULL, &conf, e);
    if (rc == 0 && strcmp(pol->agent, "local") != 0)
        rc = agent_conf_load(&app->paths, pol->agent, &agent, e);
    agent_conf_free(agent);
    if (rc == 0 && pol->schedule)
        rc = check_schedule(pol->schedule, e);
    if (rc == 0)
        rc = policy_write(&app->paths, pol, e);
    if (rc == 0)
        *ret_ready = probe(app, pol, conf);
    vault_conf_free(conf);
    return rc < 0 ? err_wrap(e, _("policy \"%s\""), pol->name) : 0;
}

static void show_added(struct app *app, const struct policy *pol, bool ready)
{
    unsigned interval_ms;
    char *file = text_print("%s/policies/%s.yaml", app->paths.config_dir, pol->name);
    warn_missing_paths(app, pol);
    ui_line(&app->ui, _("Written: %s"), file);
    if (!ready)
        ui_line(&app->ui,
                _("Next: see to the warning above, or correct that file; then: twofold backup %s"),
                pol->name);
    else if (logs_of_policy(pol, &interval_ms))
        ui_line(
            &app->ui,
            _("Next: twofold schedule apply, so that its log is followed; then: twofold backup %s"),
            pol->name);
    else if (pol->schedule)
        ui_line(&app->ui, _("Next: twofold backup %s, and for every night: twofold schedule apply"),
                pol->name);
    else
        ui_line(&app->ui, _("Next: twofold backup %s"), pol->name);
    ui_json(&app->ui, json_pack("{s:s, s:s, s:o}", "type", "policy", "policy", pol->name, "file",
                                ui_json_text(file, strlen(file))));
    free(file);
}

static int policy_add(struct app *app, int argc, char **argv)
{
    struct err e = ERR_INIT;
    struct adding a = { .pol = policy_new("") };
    if (!a.pol) {
        err_set(&e, ERR_NOMEM, _("out of memory"));
        return ui_error(&app->ui, &e);
    }
    bool ready = false;
    int status = take_add(app, &a, argc, argv);
    if (status == 0 && write_policy(app, a.pol, &ready, &e) < 0) {
        status = ui_error(&app->ui, &e);
    } else if (status == 0) {
        show_added(app, a.pol, ready);
        status = ready ? 0 : err_info(ERR_PARTIAL)->exit_status;
    }
    policy_free(a.pol);
    return status;
}

/* --- lint ----------------------------------------------------------------------------------------- */
struct lint_count {
    struct app *app;
    size_t warnings;
};

static void show_finding(void *ctx, const struct lint_finding *f)
{
    static const char *const levels[] = { N_("note"), N_("warning"), N_("error") };
    struct lint_count *count = ctx;
    struct ui *ui = &count->app->ui;
    char *text = text_clean(f->text, strlen(f->text), false);
    char *file = ui_path(f->file, strlen(f->file)), line[16] = "";
    count->warnings += f->level == LINT_WARNING;
    if (f->line > 0)
        snprintf(line, sizeof line, ":%d", f->line);
    ui_line(ui, "%s%s: %s: %s%s%s%s", file, line, _(levels[f->level]), text, f->duty[0] ? " [" : "",
            f->duty, f->duty[0] ? "]" : "");
    if (ui->json)
        ui_json(ui, json_pack("{s:s, s:s, s:b, s:s, s:o, s:i, s:o}", "type", "finding", "level",
                              levels[f->level], "error", f->error, "duty", f->duty, "file",
                              ui_json_text(f->file, strlen(f->file)), "line", f->line, "text",
                              ui_json_text(f->text, strlen(f->text))));
    free(text);
    free(file);
}

static int policy_lint_all(struct app *app, int argc, char **argv)
{
    struct lint_count count = { .app = app };
    struct err e = ERR_INIT;
    if (argc > 1)
        return app_usage(app, _("\"%s\" is not expected here"), argv[1]);
    int errors = policy_lint(&app->paths, show_finding, &count, &e);
    if (errors > 0) {
        err_set(&e, ERR_CONFIG, P_("%d mistake", "%d mistakes", errors), errors);
        err_next(&e, _("correct what is named above, then run again: twofold policy lint"));
        err_wrap(&e, "policy lint");
    }
    if (errors != 0)
        return ui_error(&app->ui, &e);
    if (count.warnings)
        ui_line(&app->ui,
                P_("No mistakes, %zu warning.", "No mistakes, %zu warnings.", count.warnings),
                count.warnings);
    else
        ui_line(&app->ui, _("No mistakes."));
    return 0;
}

/* --- list and show -------------------------------------------------------------------------------- */
static json_t *texts_json(char **v, size_t n)
{
    json_t *a = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(a, ui_json_text(v[i], strlen(v[i])));
    return a;
}

static json_t *retention_json(const struct retention *k)
{
    return json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:I}", "last", (int)k->last, "hourly",
                     (int)k->hourly, "daily", (int)k->daily, "weekly", (int)k->weekly, "monthly",
                     (int)k->monthly, "yearly", (int)k->yearly, "within_s",
                     (json_int_t)k->within_s);
}

static json_t *sources_json(const struct policy *pol)
{
    json_t *all = json_array();
    for (size_t i = 0; i < pol->n_sources; i++) {
        json_t *o = json_object(), *settings = json_array();
        json_object_set_new(o, "kind", json_string(pol->sources[i].kind));
        for (size_t k = 0; k < pol->sources[i].n; k++) {
            const struct setting *x = &pol->sources[i].v[k];
            json_array_append_new(settings, json_pack("{s:s, s:o}", "key", x->key, "value",
                                                      ui_json_text(x->value, strlen(x->value))));
        }
        json_object_set_new(o, "settings", settings);
        json_array_append_new(all, o);
    }
    return all;
}

static json_t *hooks_json(const struct hooks *h)
{
    return json_pack("{s:o, s:o, s:i}", "before", texts_json(h->before, h->n_before), "after",
                     texts_json(h->after, h->n_after), "time_limit_s", (int)h->limit_s);
}

static json_t *policy_json(const struct policy *pol)
{
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:b, s:b, s:I}", "type", "policy",
                          "policy", pol->name, "vault", pol->vault, "agent", pol->agent, "paths",
                          texts_json(pol->paths, pol->n_paths), "exclude",
                          texts_json(pol->exclude, pol->n_exclude), "one_file_system",
                          pol->one_file_system, "skip_cache_dirs", pol->skip_cache_dirs, "rpo_s",
                          (json_int_t)pol->rpo_s);
    json_t *more = json_pack(
        "{s:s, s:s?, s:s?, s:i, s:i, s:I, s:I, s:o, s:o}", "class", policy_class_name(pol->class),
        "schedule", pol->schedule, "window", pol->window, "priority", (int)pol->priority, "retries",
        (int)pol->retries, "limit_bytes_s", (json_int_t)pol->limit_bytes_s, "rto_s",
        (json_int_t)pol->rto_s, "retention", retention_json(&pol->retention), "notify",
        texts_json(pol->notify, pol->n_notify));
    json_object_update(o, more);
    json_decref(more);
    json_object_set_new(o, "sources", sources_json(pol));
    if (hooks_any(&pol->hooks))
        json_object_set_new(o, "hooks", hooks_json(&pol->hooks));
    return o;
}

struct listing {
    struct app *app;
    int status;
    size_t n;
};

static int list_one(void *ctx, const char *name)
{
    struct listing *l = ctx;
    struct policy *pol = NULL;
    struct err e = ERR_INIT;
    char age[64];
    l->n++;
    if (policy_load(&l->app->paths, name, &pol, &e) < 0) {
        l->status = ui_error(&l->app->ui, &e);
        return 0;
    }
    const char *what = pol->n_sources > 0 ? pol->sources[0].kind : pol->paths[0];
    size_t others = pol->n_sources + pol->n_paths - 1;
    char *first = ui_path(what, strlen(what));
    char more[48] = "";
    if (others > 0)
        snprintf(more, sizeof more, _(" and %zu more"), others);
    ui_line(&l->app->ui, _("%s: %s%s on %s (%s, RPO %s)"), name, first, more, pol->agent,
            pol->schedule ? pol->schedule : _("by hand"), ui_age((int64_t)pol->rpo_s, age));
    if (l->app->ui.json)
        ui_json(&l->app->ui, policy_json(pol));
    free(first);
    policy_free(pol);
    return 0;
}

static int policy_list(struct app *app, int argc, char **argv)
{
    struct listing l = { .app = app };
    struct err e = ERR_INIT;
    if (argc > 1)
        return app_usage(app, _("\"%s\" is not expected here"), argv[1]);
    if (policy_each(&app->paths, list_one, &l, &e) < 0)
        return ui_error(&app->ui, &e);
    if (l.n == 0)
        ui_line(&app->ui, _("No policy yet. Next: twofold policy add NAME --files PATH"));
    return l.status;
}

static void show_list(struct ui *ui, const char *label, char **v, size_t n)
{
    ui_line(ui, "%s%s", label, n ? "" : _(" none"));
    for (size_t i = 0; i < n; i++) {
        char *shown = ui_path(v[i], strlen(v[i]));
        ui_line(ui, "    %s", shown);
        free(shown);
    }
}

static void show_times(struct ui *ui, const struct policy *pol)
{
    char age[64], rate[64];
    ui_line(ui, _("  class:           %s"), policy_class_name(pol->class));
    ui_line(ui, _("  schedule:        %s"), pol->schedule ? pol->schedule : _("by hand"));
    ui_line(ui, _("  window:          %s"), pol->window ? pol->window : _("always"));
    ui_line(ui, _("  priority:        %u"), pol->priority);
    ui_line(ui, _("  retries:         %u"), pol->retries);
    if (pol->limit_bytes_s)
        ui_line(ui, _("  limit:           %s/s"), ui_bytes(pol->limit_bytes_s, rate));
    ui_line(ui, _("  rpo:             %s"), ui_age((int64_t)pol->rpo_s, age));
    if (pol->rto_s)
        ui_line(ui, _("  rto:             %s"), ui_age((int64_t)pol->rto_s, age));
    ui_age((int64_t)pol->drill.every_s, age);
    if (pol->drill.set)
        ui_line(ui, _("  drills:          every %s, in %s"), age,
                drill_folder(&pol->drill, pol->drill.on));
    else
        ui_line(ui, _("  drills:          every %s, by hand"), age);
}

static void show_retention(struct ui *ui, const struct retention *k, enum policy_class class)
{
    const unsigned counts[KEEPS] = {
        k->last, k->hourly, k->daily, k->weekly, k->monthly, k->yearly
    };
    char text[256] = "", age[64];
    size_t n = 0;
    for (size_t i = 0; i < KEEPS; i++)
        if (counts[i])
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s %u", n ? ", " : "",
                                  keep_names[i], counts[i]);
    if (k->within_s)
        n += (size_t)snprintf(text + n, sizeof text - n, "%swithin %s", n ? ", " : "",
                              ui_age((int64_t)k->within_s, age));
    if (n == 0)
        snprintf(text, sizeof text, "%s",
                 class == CLASS_LOGS ? _("as of logs: 184 days") : _("everything stays"));
    ui_line(ui, _("  retention:       %s"), text);
}

static void show_sources(struct ui *ui, const struct policy *pol)
{
    for (size_t i = 0; i < pol->n_sources; i++) {
        const struct source_spec *s = &pol->sources[i];
        ui_line(ui, "  %s:", s->kind);
        for (size_t k = 0; k < s->n; k++) {
            char shown[1024];
            mask_secrets(s->v[k].value, shown, sizeof shown);
            char *value = text_clean(shown, strlen(shown), false);
            ui_line(ui, "    %s: %s", s->v[k].key, value);
            free(value);
        }
    }
}

static void show_hooks(struct ui *ui, const struct hooks *h)
{
    char limit[64];
    char *before = hook_line(h->before, h->n_before), *after = hook_line(h->after, h->n_after);
    if (h->n_before > 0)
        ui_line(ui, _("  run before:      %s"), before ? before : "");
    if (h->n_after > 0)
        ui_line(ui, _("  run after:       %s"), after ? after : "");
    if (hooks_any(h))
        ui_line(ui, _("  their limit:     %s"), ui_age((int64_t)h->limit_s, limit));
    free(before);
    free(after);
}

static int policy_show(struct app *app, int argc, char **argv)
{
    struct policy *pol = NULL;
    struct err e = ERR_INIT;
    struct ui *ui = &app->ui;
    if (argc != 2)
        return app_usage(app, _("name one policy: twofold policy show NAME"));
    if (policy_load(&app->paths, argv[1], &pol, &e) < 0)
        return ui_error(ui, &e);
    if (ui->json) {
        ui_json(ui, policy_json(pol));
    } else {
        char *file = text_print("%s/policies/%s.yaml", app->paths.config_dir, pol->name);
        ui_line(ui, _("Policy %s (%s)"), pol->name, file);
        ui_line(ui, _("  vault:           %s"), pol->vault[0] ? pol->vault : _("the only one"));
        ui_line(ui, _("  agent:           %s"), pol->agent);
        show_times(ui, pol);
        show_retention(ui, &pol->retention, pol->class);
        ui_line(ui, _("  one file system: %s"), pol->one_file_system ? _("yes") : _("no"));
        ui_line(ui, _("  cache folders:   %s"), pol->skip_cache_dirs ? _("left out") : _("kept"));
        show_hooks(ui, &pol->hooks);
        show_sources(ui, pol);
        show_list(ui, _("  paths:"), pol->paths, pol->n_paths);
        show_list(ui, _("  exclude:"), pol->exclude, pol->n_exclude);
        show_list(ui, _("  notify:"), pol->notify, pol->n_notify);
        free(file);
    }
    policy_free(pol);
    return 0;
}

int cmd_policy(struct app *app, int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(struct app *app, int argc, char **argv);
    } verbs[] = {
        { "add", policy_add },
        { "lint", policy_lint_all },
        { "list", policy_list },
        { "show", policy_show },
    };
    if (argc < 2)
        return app_usage(app, _("say what to do: add, lint, list or show"));
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(app, argc - 1, argv + 1);
    return app_usage(app, _("\"%s\" is none of add, lint, list, show"), argv[1]);
}
