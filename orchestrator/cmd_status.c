/* cmd_status.c - `twofold status`: is everything backed up twice, how old, what is wrong, and the command that helps. */
#include "lib/base/i18n.h"
#include "orchestrator/args.h"
#include "orchestrator/gather.h"
#include "orchestrator/status_view.h"
#include "orchestrator/watch/next_run.h"

#include <string.h>

enum { OPT_LIVE = OPT_OWN, OPT_ALL };

bool status_shows_vault(const struct status_view *v, const struct vault_fact *vault)
{
    const struct facts *f = v->f;
    bool named = false, theirs = false;
    if (v->vault && strcmp(v->vault, vault->name) != 0)
        return false;
    for (size_t i = 0; i < f->n_policies; i++) {
        named = named || !f->policies[i].selected;
        theirs = theirs ||
                 (f->policies[i].selected && strcmp(f->policies[i].vault, vault->name) == 0);
    }
    return theirs || !named; /* where policies are named, only their vaults */
}

/* Errors of files and vaults; returns the exit status that they ask for (0: none but what is shown as a state). */
static int say_problems(struct app *app, const struct facts *f, bool named)
{
    int worst = 0;
    for (size_t i = 0; i < f->n_problems; i++) {
        if (named && i < f->n_bad_files)
            continue; /* other policies' mistakes */
        int status = ui_error(&app->ui, &f->problems[i]);
        if (f->problems[i].code != ERR_UNREACHABLE && (worst == 0 || status == 2))
            worst = status;
    }
    return worst;
}

/* A policy whose vault is not there, or whose vault's file has a mistake. */
static int say_lost_vaults(struct app *app, const struct facts *f, const char *only, bool named)
{
    int worst = 0;
    for (size_t i = 0; i < f->n_policies; i++) {
        const struct policy_fact *p = &f->policies[i];
        const struct vault_fact *v = facts_vault((struct facts *)f, p->vault);
        struct vault_conf *conf = NULL;
        struct err e = ERR_INIT;
        if (only || !p->selected || (v && v->n_copies))
            continue;
        int rc = vault_conf_load(&app->paths, p->vault[0] ? p->vault : NULL, &conf, &e);
        /* A mistake in a vault's file was shown when it was its turn, but for named policies. */
        if (rc == -ERR_ABSENT || rc == -ERR_NAME || (rc < 0 && (named || !p->vault[0]))) {
            err_wrap(&e, _("policy \"%s\""), p->name);
            worst = ui_error(&app->ui, &e);
        }
        vault_conf_free(conf);
    }
    return worst;
}

static void say_what_is_missing(struct app *app, const struct facts *f, int worst)
{
    if (f->n_vaults == 0) {
        ui_line(
            &app->ui,
            _("No vault yet. Next: twofold init --vault NAME --copy PLACE=URL --copy PLACE=URL"));
        ui_line(
            &app->ui,
            _("Or, where there are copies and the configuration was lost: twofold adopt --help"));
    } else if (f->n_policies == 0 && worst == 0)
        ui_line(&app->ui, _("No policy yet. Next: twofold policy add NAME --files PATH"));
}

static int show(struct app *app, const struct gather *g, struct facts *f, bool all)
{
    struct findings fs;
    bool named = g->n_only > 0;
    int worst = say_problems(app, f, named);
    facts_next_runs(f);
    findings_find(f, &fs);
    struct status_view v = {
        .app = app, .f = f, .fs = &fs, .vault = g->vault, .all = all || named
    };
    site_sum(f, &fs, &v.sum);
    if (app->ui.json)
        status_json(&v);
    else
        status_print(&v);
    int lost = say_lost_vaults(app, f, g->vault, named);
    say_what_is_missing(app, f, worst);
    worst = lost ? lost : worst;
    bool bad = v.sum.attention > 0 || v.sum.others > 0 || f->n_problems > f->n_bad_files;
    findings_done(&fs);
    return worst ? worst : bad ? 3 : 0;
}

int cmd_status(struct app *app, int argc, char **argv)
{
    static const struct option options[] = { { "vault", required_argument, NULL, OPT_VAULT },
                                             { "live", no_argument, NULL, OPT_LIVE },
                                             { "all", no_argument, NULL, OPT_ALL },
                                             OPTIONS_END };
    struct gather g = { .look = true };
    struct vault_choice choice = { 0 };
    struct facts f;
    struct err e = ERR_INIT;
    bool all = false;
    int c, missing = 0;
    args_begin();
    while ((c = args_next(argc, argv, ":", options)) != -1) {
        if (c == OPT_LIVE)
            g.remote = true;
        else if (c == OPT_ALL)
            all = true;
        else if (!choice_option(c, &choice))
            return args_bad(app, c, argv);
    }
    g.vault = choice.vault;
    g.only = argv + optind;
    g.n_only = argc - optind;
    int rc = gather_facts(app, &g, &f, &missing, &e);
    int status = rc < 0                           ? ui_error(&app->ui, &e)
                 : missing && missing == g.n_only ? 2
                                                  : show(app, &g, &f, all);
    facts_done(&f);
    return missing ? 2 : status;
}
