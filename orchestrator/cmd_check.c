/* cmd_check.c - twofold check POLICY: what the policy's databases have and lack, and the answers to its questions, live (PY-UPS). */
#include "lib/base/i18n.h"
#include "orchestrator/args.h"
#include "orchestrator/crash/standby.h"
#include "orchestrator/probe.h"

#include <inttypes.h>

static int check(struct app *app, const char *name, uint64_t *ret_wrong, struct err *e)
{
    struct policy *p = NULL;
    struct vault_conf *conf = NULL;
    int rc = policy_load(&app->paths, name, &p, e);
    if (rc == 0)
        standby_follow(app, p);
    if (rc == 0 && p->n_sources == 0) {
        err_set(e, ERR_CONFIG, _("the policy has files only: there is nothing to ask"));
        rc = err_next(e, _("whether its backups can be read: twofold scrub --open"));
    }
    if (rc == 0)
        rc = vault_conf_load(&app->paths, p->vault[0] ? p->vault : NULL, &conf, e);
    if (rc == 0)
        rc = probe_sources(app, p, conf, ret_wrong, e);
    vault_conf_free(conf);
    policy_free(p);
    return rc;
}

int cmd_check(struct app *app, int argc, char **argv)
{
    static const struct option options[] = { OPTIONS_END };
    struct err e = ERR_INIT;
    uint64_t wrong = 0;
    int ch;
    args_begin();
    if ((ch = args_next(argc, argv, ":", options)) != -1)
        return args_bad(app, ch, argv);
    if (argc - optind != 1)
        return app_usage(app, _("which policy?"));
    int rc = check(app, argv[optind], &wrong, &e);
    ui_json(&app->ui, json_pack("{s:s, s:s, s:b, s:I}", "type", "check", "policy", argv[optind],
                                "right", rc == 0 && wrong == 0, "wrong", (json_int_t)wrong));
    if (rc == 0 && wrong > 0) {
        rc = err_set(&e, ERR_DAMAGED,
                     P_("%" PRIu64 " thing is not as the policy expects; it is named above",
                        "%" PRIu64 " things are not as the policy expects; each is named above",
                        wrong),
                     wrong);
        err_next(&e, _("do not open the service before it is understood"));
    }
    if (rc < 0) {
        err_wrap(&e, _("check of \"%s\""), argv[optind]);
        return ui_error(&app->ui, &e);
    }
    ui_line(&app->ui, _("%s: all is as the policy expects"), argv[optind]);
    return 0;
}
