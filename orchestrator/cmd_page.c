/* cmd_page.c - `twofold page`: writes the page that says all, in Chinese or English (watch/page.h). */
#include "orchestrator/watch/page.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/args.h"
#include "orchestrator/gather.h"
#include "orchestrator/watch/next_run.h"
#include "orchestrator/watch/watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_NAME "status.html" /* below the state, where nothing else is said */

enum { OPT_OUT = OPT_OWN, OPT_LANG, OPT_LIVE };

struct page_args {
    const char *out, *lang;
    bool live;
};

static void note_written(struct app *app, int64_t now_s)
{
    struct catalog *c = NULL;
    char value[32];
    snprintf(value, sizeof value, "%" PRId64, now_s);
    /* Only a note: the page is written, whether or not the catalog can be. */
    if (catalog_open(&app->paths, CATALOG_WRITE, &c, NULL) == 0)
        catalog_fact_set(c, "last-page", value, NULL);
    catalog_close(c);
}

static int write_page(struct app *app, const struct page_args *a, const struct facts *f,
                      const char *text, struct err *e)
{
    char path[4096];
    const char *to = a->out ? a->out : f->settings ? f->settings->page : NULL;
    if (!to) {
        snprintf(path, sizeof path, "%s/" PAGE_NAME, app->paths.state_dir);
        to = path;
        if (sys_mkdir_p(app->paths.state_dir, 0700, e) < 0)
            return -e->code;
    }
    if (strcmp(to, "-") == 0) {
        fputs(text, stdout);
        return 0;
    }
    int rc = sys_write_file(AT_FDCWD, to, text, strlen(text), 0644, e);
    if (rc < 0)
        return rc;
    note_written(app, f->now_s);
    ui_line(&app->ui, _("written: %s"), to);
    ui_json(&app->ui,
            json_pack("{s:s, s:o}", "type", "page", "path", ui_json_text(to, strlen(to))));
    return 0;
}

/* The language must be known before texts are made, and it stands in the settings. */
static void set_language(struct app *app, const char *lang)
{
    struct settings *s = NULL;
    if (!lang && settings_load(&app->paths, &s, NULL) == 0)
        lang = s->language;
    watch_language(lang);
    settings_free(s);
}

static int make_page(struct app *app, const struct page_args *a, struct err *e)
{
    struct gather g = { .look = true, .remote = a->live };
    struct facts f;
    struct findings fs;
    set_language(app, a->lang);
    int rc = gather_facts(app, &g, &f, NULL, e);
    if (rc == 0) {
        facts_next_runs(&f);
        findings_find(&f, &fs);
        char *text = page_html(&f, &fs);
        rc = write_page(app, a, &f, text, e);
        free(text);
        findings_done(&fs);
    }
    facts_done(&f);
    return rc;
}

int cmd_page(struct app *app, int argc, char **argv)
{
    static const struct option options[] = { { "out", required_argument, NULL, OPT_OUT },
                                             { "lang", required_argument, NULL, OPT_LANG },
                                             { "live", no_argument, NULL, OPT_LIVE },
                                             OPTIONS_END };
    struct page_args a = { 0 };
    struct err e = ERR_INIT;
    int c;
    args_begin();
    while ((c = args_next(argc, argv, ":", options)) != -1) {
        if (c == OPT_OUT)
            a.out = optarg;
        else if (c == OPT_LANG)
            a.lang = optarg;
        else if (c == OPT_LIVE)
            a.live = true;
        else
            return args_bad(app, c, argv);
    }
    if (optind < argc)
        return app_usage(app, _("unknown argument: %s"), argv[optind]);
    if (a.lang && strcmp(a.lang, "zh") != 0 && strcmp(a.lang, "en") != 0)
        return app_usage(app, _("the language \"%s\" is not known; there are zh and en"), a.lang);
    return make_page(app, &a, &e) < 0 ? ui_error(&app->ui, &e) : 0;
}
