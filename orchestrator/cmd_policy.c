/* cmd_policy.c - `twofold policy add|lint|list|show`: what is backed up, as files that a person may write by hand. */
#include "lib/base/i18n.h"
#include "orchestrator/args.h"
#include "orchestrator/look.h"
#include "orchestrator/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { OPT_FILES = OPT_OWN, OPT_EXCLUDE, OPT_ONE_FS, OPT_RPO };

/* --- add ------------------------------------------------------------------------------------------ */

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

static int append_path(struct policy *pol, const char *path, struct err *e)
{
    char *whole = NULL;
    int rc = path[0] == '/' ? append(&pol->paths, &pol->n_paths, path, e) : 0;
    if (path[0] == '/')
        return rc;
    /* The shell's current folder; a "scheme:" has no meaning here. */
    rc = strchr(path, ':') ? err_set(e, ERR_USAGE, _("\"%s\" is not a whole path"), path)
                           : absolute_url(path, &whole, e);
    if (rc == 0)
        rc = append(&pol->paths, &pol->n_paths, whole, e);
    free(whole);
    return rc;
}

/* 90s 15m 26h 7d */
static int parse_rpo(const char *text, uint64_t *ret_s, struct err *e)
{
    char *end = NULL;
    unsigned long v = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
    uint64_t unit = !end                    ? 0
                    : strcmp(end, "s") == 0 ? 1
                    : strcmp(end, "m") == 0 ? 60
                    : strcmp(end, "h") == 0 ? 3600
                    : strcmp(end, "d") == 0 ? 86400
                                            : 0;
    if (v == 0 || v > 1000000 || unit == 0) {
        err_set(e, ERR_USAGE, _("\"%s\" is not a length of time"), text);
        return err_next(e, _("write for instance: --rpo 26h (s, m, h or d)"));
    }
    *ret_s = v * unit;
    return 0;
}

static int take_add_option(struct policy *pol, int c, struct err *e)
{
    switch (c) {
    case OPT_FILES:
        return append_path(pol, optarg, e);
    case OPT_EXCLUDE:
        return append(&pol->exclude, &pol->n_exclude, optarg, e);
    case OPT_ONE_FS:
        pol->one_file_system = true;
        return 0;
    case OPT_RPO:
        return parse_rpo(optarg, &pol->rpo_s, e);
    case OPT_VAULT:
        free(pol->vault);
        pol->vault = strdup(optarg);
        return pol->vault ? 0 : err_set(e, ERR_NOMEM, _("out of memory"));
    default:
        return 1;
    }
}

/* 0, or an exit status after an error was shown. The first argument is the name, the others are more paths. */
static int take_add(struct app *app, struct policy *pol, int argc, char **argv)
{
    static const struct option options[] = {
        { "files", required_argument, NULL, OPT_FILES },
        { "exclude", required_argument, NULL, OPT_EXCLUDE },
        { "one-file-system", no_argument, NULL, OPT_ONE_FS },
        { "rpo", required_argument, NULL, OPT_RPO },
        { "vault", required_argument, NULL, OPT_VAULT },
        OPTIONS_END,
    };
    struct err e = ERR_INIT;
    int c, rc = 0;
    args_begin();
    while (rc == 0 && (c = getopt_long(argc, argv, ":", options, NULL)) != -1)
        if ((rc = take_add_option(pol, c, &e)) > 0)
            return args_bad(app, c, argv);
    if (rc == 0 && optind == argc)
        return app_usage(app, _("the policy has no name"));
    if (rc == 0 && pol->n_paths == 0)
        return app_usage(app, _("the policy names nothing to back up: --files PATH"));
    if (rc == 0) {
        free(pol->name);
        pol->name = strdup(argv[optind++]);
        rc = pol->name ? 0 : err_set(&e, ERR_NOMEM, _("out of memory"));
    }
    for (; rc == 0 && optind < argc; optind++)
        rc = append_path(pol, argv[optind], &e);
    if (rc < 0) {
        err_wrap(&e, "policy add");
        return ui_error(&app->ui, &e);
    }
    return 0;
}

static void warn_missing_paths(struct app *app, const struct policy *pol)
{
    struct stat st;
    for (size_t i = 0; i < pol->n_paths; i++)
        if (lstat(pol->paths[i], &st) < 0)
            ui_warn(&app->ui, _("%s is not there now"), pol->paths[i]);
}

static int write_policy(struct app *app, const struct policy *pol, struct err *e)
{
    struct vault_conf *conf = NULL;
    /* A mistake in the name of the vault is better heard now than at night. */
    int rc = vault_conf_load(&app->paths, pol->vault[0] ? pol->vault : NULL, &conf, e);
    vault_conf_free(conf);
    if (rc == 0)
        rc = policy_write(&app->paths, pol, e);
    return rc < 0 ? err_wrap(e, _("policy \"%s\""), pol->name) : 0;
}

static int policy_add(struct app *app, int argc, char **argv)
{
    struct err e = ERR_INIT;
    struct policy *pol = policy_new("");
    if (!pol) {
        err_set(&e, ERR_NOMEM, _("out of memory"));
        return ui_error(&app->ui, &e);
    }
    int status = take_add(app, pol, argc, argv);
    if (status == 0 && write_policy(app, pol, &e) < 0)
        status = ui_error(&app->ui, &e);
    else if (status == 0) {
        char *file = text_print("%s/policies/%s.yaml", app->paths.config_dir, pol->name);
        warn_missing_paths(app, pol);
        ui_line(&app->ui, _("Written: %s"), file);
        ui_line(&app->ui, _("Next: twofold backup %s"), pol->name);
        ui_json(&app->ui, json_pack("{s:s, s:s, s:o}", "type", "policy", "policy", pol->name,
                                    "file", ui_json_text(file, strlen(file))));
        free(file);
    }
    policy_free(pol);
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

static json_t *policy_json(const struct policy *pol)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:b, s:b, s:I}", "type", "policy", "policy",
                     pol->name, "vault", pol->vault, "agent", pol->agent, "paths",
                     texts_json(pol->paths, pol->n_paths), "exclude",
                     texts_json(pol->exclude, pol->n_exclude), "one_file_system",
                     pol->one_file_system, "skip_cache_dirs", pol->skip_cache_dirs, "rpo_s",
                     (json_int_t)pol->rpo_s);
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
    char *first = ui_path(pol->paths[0], strlen(pol->paths[0]));
    char more[48] = "";
    if (pol->n_paths > 1)
        snprintf(more, sizeof more, _(" and %zu more"), pol->n_paths - 1);
    ui_line(&l->app->ui, _("%s: %s%s (RPO %s)"), name, first, more,
            ui_age((int64_t)pol->rpo_s, age));
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

static int policy_show(struct app *app, int argc, char **argv)
{
    struct policy *pol = NULL;
    struct err e = ERR_INIT;
    struct ui *ui = &app->ui;
    char age[64];
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
        ui_line(ui, _("  rpo:             %s"), ui_age((int64_t)pol->rpo_s, age));
        ui_line(ui, _("  one file system: %s"), pol->one_file_system ? _("yes") : _("no"));
        ui_line(ui, _("  cache folders:   %s"), pol->skip_cache_dirs ? _("left out") : _("kept"));
        show_list(ui, _("  paths:"), pol->paths, pol->n_paths);
        show_list(ui, _("  exclude:"), pol->exclude, pol->n_exclude);
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
