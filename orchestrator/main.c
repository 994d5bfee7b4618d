/* main.c - the program `twofold`: global options, the choice of a command, and its exit status (docs/cli.md). */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/commands.h"
#include "orchestrator/menu/menu.h"
#include "orchestrator/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct globals {
    const char *config;
    bool json, quiet, yes, help, version;
    uint64_t job;
    const char *broken; /* an option without its value */
};

/* "--job ID": what the scheduler runs commands with. */
static void take_job(struct globals *g, const char *id)
{
    char *end;
    g->job = strtoull(id, &end, 10);
    if (*end || end == id || *id == '-' || g->job == 0)
        g->broken = "--job";
}

/* Takes one global option; returns how many arguments it was (0: it is none). */
static int take_global(struct globals *g, char **argv, int left)
{
    const char *a = argv[0];
    if (strcmp(a, "--json") == 0)
        g->json = true;
    else if (strcmp(a, "--quiet") == 0)
        g->quiet = true;
    else if (strcmp(a, "--yes") == 0)
        g->yes = true;
    else if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0)
        g->help = true;
    else if (strncmp(a, "--config=", 9) == 0)
        g->config = a + 9;
    else if (strncmp(a, "--job=", 6) == 0)
        take_job(g, a + 6);
    else if (strcmp(a, "--config") == 0 || strcmp(a, "--job") == 0) {
        if (left < 2)
            g->broken = a;
        else if (strcmp(a, "--job") == 0)
            take_job(g, argv[1]);
        else
            g->config = argv[1];
        return left < 2 ? 1 : 2;
    } else
        return 0;
    return 1;
}

/* Takes the global options out of the arguments, wherever they stand before a "--"; returns how many are left. */
static int take_globals(struct globals *g, int argc, char **argv)
{
    int kept = 1, i = 1;
    while (i < argc && strcmp(argv[i], "--") != 0) {
        if (kept == 1 && strcmp(argv[i], "--version") == 0)
            g->version = true;
        int n = take_global(g, argv + i, argc - i);
        if (n == 0)
            argv[kept++] = argv[i++];
        i += n;
    }
    while (i < argc)
        argv[kept++] = argv[i++];
    argv[kept] = NULL;
    return kept;
}

static int unknown_command(struct app *app, const char *name)
{
    const char *near[MAX_SUGGESTIONS];
    struct err e = ERR_INIT;
    size_t n = command_suggest(name, near);
    bool option = name[0] == '-';
    err_set(&e, ERR_USAGE,
            option ? _("there is no such global option") : _("there is no such command"));
    err_wrap(&e, "%s", name);
    if (option)
        err_next(&e, "twofold [--config DIR] [--json] [--quiet] [--yes] COMMAND [ARGUMENTS]");
    else if (n == 1)
        err_next(&e, _("twofold %s, or see all commands: twofold help"), near[0]);
    else if (n == 2)
        err_next(&e, _("twofold %s or %s, or see all commands: twofold help"), near[0], near[1]);
    else if (n == 3)
        err_next(&e, _("twofold %s, %s or %s, or see all commands: twofold help"), near[0], near[1],
                 near[2]);
    else
        err_next(&e, _("see all commands: twofold help"));
    return ui_error(&app->ui, &e);
}

static int run_help(struct app *app, const char *name)
{
    const struct command *c = name ? command_find(name) : NULL;
    if (name && !c)
        return unknown_command(app, name);
    if (c)
        help_command(app, c);
    else
        help_overview(app);
    return 0;
}

static int dispatch(struct app *app, const struct globals *g, int argc, char **argv)
{
    struct err e = ERR_INIT;
    if (g->broken) {
        err_set(&e, ERR_USAGE, _("the option %s needs a value"), g->broken);
        err_next(&e, "twofold [--config DIR] [--json] [--quiet] [--yes] COMMAND [ARGUMENTS]");
        return ui_error(&app->ui, &e);
    }
    const char *name = argc > 1 ? argv[1] : NULL;
    if (g->version)
        name = "version";
    if (!name)
        return g->help || !menu_wanted(app) ? run_help(app, NULL) : menu_run(app, g->config);
    if (strcmp(name, "help") == 0)
        return run_help(app, argc > 2 ? argv[2] : NULL);
    const struct command *c = command_find(name);
    if (!c)
        return unknown_command(app, name);
    app->ui.command = c->name;
    if (g->help)
        return run_help(app, name);
    if (config_paths_find(g->config, &app->paths, &e) < 0)
        return ui_error(&app->ui, &e);
    (void)setenv("TWOFOLD_CONFIG", app->paths.config_dir, 1); /* for the agent on this host, too */
    argc = g->version ? 1 : argc - 1;
    struct record_command record;
    int status = record_command_begin(&record, app, argc, argv + 1);
    if (status == 0) {
        status = c->run(app, argc, argv + 1);
        record_command_end(&record, status);
    }
    return status;
}

/* Results that did not reach the disk are not results; whoever closed the pipe wanted no more. */
static int finish_output(struct app *app, int status)
{
    struct err e = ERR_INIT;
    struct stat st;
    errno = 0;
    bool failed = ferror(stdout) != 0;
    failed = fflush(stdout) != 0 || failed;
    bool pipe = fstat(STDOUT_FILENO, &st) == 0 && !S_ISREG(st.st_mode);
    if (!failed || status != 0 || errno == EPIPE || (errno == 0 && pipe))
        return status;
    if (errno == 0)
        errno = EIO;
    err_sys(&e, _("write the results to standard output"));
    return ui_error(&app->ui, &e);
}

int main(int argc, char **argv)
{
    struct app app = { .program = argc > 0 ? argv[0] : "twofold" };
    struct globals g = { 0 };
    i18n_init();
    sys_catch_signals();
    ui_init(&app.ui);
    argc = take_globals(&g, argc, argv);
    app.ui.json = g.json;
    app.ui.quiet = g.quiet;
    app.ui.yes = g.yes;
    app.job = g.job;
    app.ui.tty = app.ui.tty && !g.json && !g.quiet;
    int status = dispatch(&app, &g, argc, argv);
    ui_progress_end(&app.ui);
    status = finish_output(&app, status);
    config_paths_done(&app.paths);
    return status;
}
