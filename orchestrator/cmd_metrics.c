/* cmd_metrics.c - `twofold metrics`: Prometheus text on standard output, or as a file for a node exporter. */
#include "orchestrator/watch/metrics.h"
#include "lib/base/i18n.h"
#include "orchestrator/args.h"
#include "orchestrator/gather.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_OUT = OPT_OWN, OPT_LIVE };

int cmd_metrics(struct app *app, int argc, char **argv)
{
    static const struct option options[] = { { "out", required_argument, NULL, OPT_OUT },
                                             { "live", no_argument, NULL, OPT_LIVE },
                                             OPTIONS_END };
    struct gather g = { 0 };
    struct facts f;
    struct findings fs;
    struct err e = ERR_INIT;
    const char *out = NULL;
    int c;
    args_begin();
    while ((c = args_next(argc, argv, ":", options)) != -1) {
        if (c == OPT_OUT)
            out = optarg;
        else if (c == OPT_LIVE)
            g.look = g.remote = true;
        else
            return args_bad(app, c, argv);
    }
    if (optind < argc)
        return app_usage(app, _("unknown argument: %s"), argv[optind]);
    int rc = gather_facts(app, &g, &f, NULL, &e);
    if (rc == 0) {
        findings_find(&f, &fs);
        char *text = metrics_text(&f, &fs);
        if (out)
            rc = metrics_write(out, text, &e);
        else
            fputs(text, stdout);
        free(text);
        findings_done(&fs);
    }
    facts_done(&f);
    return rc < 0 ? ui_error(&app->ui, &e) : 0;
}
