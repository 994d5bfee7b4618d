/* menu.c - the first page of the menu, and the loop around it; see menu.h. */
#include "orchestrator/menu/menu.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/commands.h"
#include "orchestrator/menu/inner.h"
#include "orchestrator/text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_SHOWN 3 /* open incidents that are items of their own */
#define INTERRUPTED 130

struct item {
    const char *command; /* what must be there for it */
    const char *text, *shown;
    void (*way)(struct menu *m);
};
static const struct item items[] = {
    { "crash", N_("a database crash, or data are lost"), "twofold crash POLICY", way_crash },
    { "restore", N_("restore files into a new folder"), "twofold restore POLICY --to FOLDER",
      way_restore },
    { "status", N_("status: what is well, what is not, what to do"), "twofold status", way_status },
    { "drill", N_("a drill: can it be restored, and how fast?"), "twofold drill POLICY",
      way_drill },
    { "restore", N_("restore from one copy alone, on a machine that knows nothing"),
      "twofold restore --copy URL --policy NAME --to FOLDER", way_rescue },
};
#define ITEMS (sizeof items / sizeof *items)

bool menu_wanted(const struct app *app)
{
    return !app->ui.json && !app->ui.quiet && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

/* Incidents first: rows, and for each its incident or its item. */
struct first_page {
    struct screen_rows rows;
    const struct incident_fact *incidents[MAX_SHOWN];
    const struct item *items[ITEMS];
    size_t n_incidents, n_items;
};

static void make_page(struct menu *m, struct first_page *p)
{
    *p = (struct first_page){ 0 };
    for (size_t i = 0; i < m->facts.n_incidents && p->n_incidents < MAX_SHOWN; i++) {
        const struct incident_fact *o = &m->facts.incidents[i];
        if (!site_is_open(o) || !command_find("crash"))
            continue;
        p->incidents[p->n_incidents++] = o;
        rows_add(&p->rows, text_print(_("GO ON with the open incident of \"%s\""), o->policy),
                 text_print("twofold crash resume %s", o->id));
    }
    for (size_t i = 0; i < ITEMS; i++) {
        if (!command_find(items[i].command))
            continue;
        p->items[p->n_items++] = &items[i];
        rows_add(&p->rows, text_print("%s", _(items[i].text)), text_print("%s", items[i].shown));
    }
}

/* false: it is to end. */
static bool one_page(struct menu *m)
{
    struct first_page p;
    site_read(m);
    make_page(m, &p);
    m->screen.back = _("leave");
    size_t n = screen_choose(&m->screen, _("What is to be done?"), NULL, &p.rows);
    m->screen.back = NULL;
    rows_done(&p.rows);
    if (n == 0)
        return false;
    if (n <= p.n_incidents)
        way_incident(m, p.incidents[n - 1]);
    else
        p.items[n - p.n_incidents - 1]->way(m);
    return !m->screen.over;
}

int menu_run(struct app *app, const char *config)
{
    struct menu m = { .app = app, .config = config };
    struct err e = ERR_INIT;
    facts_init(&m.facts, 0);
    if (config_paths_find(config, &app->paths, &e) < 0)
        return ui_error(&app->ui, &e);
    (void)setenv("TWOFOLD_CONFIG", app->paths.config_dir, 1);
    while (one_page(&m))
        ;
    site_forget(&m);
    screen_done(&m.screen);
    return sys_interrupted() ? INTERRUPTED : 0;
}
