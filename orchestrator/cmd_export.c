/* cmd_export.c - `twofold export`: a backup as a plain tar archive on standard output. */
#include "lib/base/i18n.h"
#include "orchestrator/args.h"
#include "orchestrator/look.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static int export_to(struct app *app, struct vault *v, const struct snap_ref *snap, int from,
                     const struct select *sel)
{
    struct view view;
    struct err e = ERR_INIT;
    struct gaps gaps = { .app = app };
    uint64_t lost = 0;
    int rc = view_open(v, snap, from, &view, &e);
    if (rc == 0)
        rc = reader_export(&view.src, view.body, sel, STDOUT_FILENO, look_gap, &gaps, &lost, &e);
    view_close(&view);
    if (rc < 0) {
        err_wrap(&e, _("export (the archive is not complete)"));
        return ui_error(&app->ui, &e);
    }
    if (lost > 0 && gaps.lost + gaps.away == 0)
        gaps.lost = lost;
    return look_gaps_status(&gaps, "export");
}

int cmd_export(struct app *app, int argc, char **argv)
{
    enum { OPT_FROM = OPT_OWN };
    static const struct option options[] = { CHOICE_OPTIONS,
                                             { "from", required_argument, NULL, OPT_FROM },
                                             OPTIONS_END };
    struct vault_choice choice = { 0 };
    const char *place = NULL;
    struct vault *v = NULL;
    const struct snap_ref *snap = NULL;
    struct err e = ERR_INIT;
    int c, from = -1;
    args_begin();
    while ((c = args_next(argc, argv, ":", options)) != -1) {
        if (c == OPT_FROM)
            place = optarg;
        else if (!choice_option(c, &choice))
            return args_bad(app, c, argv);
    }
    if (optind == argc)
        return app_usage(app, _("which backup? name a SNAPSHOT"));
    if (app->ui.json)
        return app_usage(app,
                         _("--json does not go with export: the archive is on standard output"));
    if (isatty(STDOUT_FILENO))
        return app_usage(app, _("an archive is not for a terminal: send it to a file, > x.tar"));
    choice.hurry = true;
    int rc = app_open_vault(app, &choice, false, true, &v, &e);
    if (rc == 0)
        rc = look_from(v, place, &from, &e);
    if (rc == 0)
        rc = app_find_snapshot(app, v, NULL, argv[optind], &snap, NULL, &e);
    struct select sel = { .paths = argv + optind + 1, .n_paths = (size_t)(argc - optind - 1) };
    int status = 0;
    if (rc == 0)
        status = export_to(app, v, snap, from, &sel);
    else
        status = ui_error(&app->ui, &e);
    vault_close(v);
    return status;
}
