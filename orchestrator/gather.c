/* gather.c - see gather.h. */
#include "orchestrator/gather.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <stdlib.h>
#include <string.h>

int64_t watch_now_s(void)
{
#ifdef TWOFOLD_FAULTS
    const char *given = getenv("TWOFOLD_NOW");
    if (given && *given)
        return strtoll(given, NULL, 10);
#endif
    return sys_realtime_s();
}

static int select_named(struct app *app, const struct gather *g, struct facts *f)
{
    int missing = 0;
    for (size_t i = 0; g->n_only && i < f->n_policies; i++)
        f->policies[i].selected = false;
    for (int i = 0; i < g->n_only; i++) {
        struct policy *pol = NULL;
        struct err e = ERR_INIT;
        struct policy_fact *p = facts_policy(f, g->only[i]);
        if (p) {
            p->selected = true;
        } else if (policy_load(&app->paths, g->only[i], &pol, &e) < 0) {
            ui_error(&app->ui, &e);
            missing++;
        }
        policy_free(pol);
    }
    return missing;
}

int gather_facts(struct app *app, const struct gather *g, struct facts *ret, int *ret_missing,
                 struct err *e)
{
    struct catalog *c = NULL;
    struct err why = ERR_INIT;
    facts_init(ret, watch_now_s());
    int rc = facts_config(ret, &app->paths, e);
    if (rc < 0)
        return rc;
    int missing = select_named(app, g, ret);
    if (ret_missing)
        *ret_missing = missing;
    int have = catalog_open(&app->paths, CATALOG_READ, &c, &why);
    if (have == 0)
        have = facts_catalog(ret, c, &why);
    if (have < 0 && have != -ERR_ABSENT)
        ui_warn(&app->ui, _("the catalog cannot be read (%s): what the copies say is shown"),
                why.why);
    catalog_close(c);
    if (have < 0)
        facts_timers(ret);
    facts_logs(ret, &app->paths);
    facts_incidents(ret, &app->paths);
    if (g->look)
        facts_look(ret, &app->paths, g->vault, g->remote || !ret->has_catalog);
    return 0;
}
