/* cmd_hold.c - twofold hold: backups that no prune may drop; see prune/holds.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/args.h"
#include "orchestrator/catalog/catalog.h"
#include "orchestrator/look.h"
#include "orchestrator/prune/holds.h"
#include "orchestrator/publish.h"
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct request {
    struct vault_choice choice;
    const char *why, *snapshot;
};

static void whoami(char out[MAX_NAME])
{
    const char *sudo = getenv("SUDO_USER");
    const struct passwd *pw = getpwuid(getuid());
    snprintf(out, MAX_NAME, "%s", sudo && *sudo ? sudo : pw ? pw->pw_name : "");
}

/* In the catalog too; the vault's own word is what counts. */
static void tell_catalog(struct app *app, const struct vault *v, const struct id *snapshot,
                         const struct hold_note *note)
{
    struct catalog *c = NULL;
    struct err e = ERR_INIT;
    int rc = catalog_open(&app->paths, CATALOG_WRITE, &c, &e);
    if (rc == 0)
        rc = catalog_hold(c, v->name, snapshot, note != NULL, note ? note->why : "",
                          note ? note->who : "", &e);
    catalog_close(c);
    if (rc < 0 && rc != -ERR_ABSENT)
        ui_warn(&app->ui, _("it is not in the catalog: %s"), e.why);
}

int hold_now(struct app *app, struct vault *v, const struct id *snapshot, const char *why,
             struct err *e)
{
    struct hold_note note = { .at_s = sys_realtime_s() };
    char id[SHORT_ID_DIGITS + 1];
    snprintf(note.why, sizeof note.why, "%s", why ? why : "");
    whoami(note.who);
    int rc = hold_set(v, snapshot, why ? &note : NULL, e);
    if (rc < 0)
        return rc;
    tell_catalog(app, v, snapshot, why ? &note : NULL);
    ui_line(&app->ui,
            why ? _("snapshot %s is held: no prune drops it") : _("snapshot %s is no longer held"),
            short_id(snapshot, id));
    return 0;
}

static int change(struct app *app, const struct request *r, bool hold, struct err *e)
{
    struct vault *v = NULL;
    const struct snap_ref *s = NULL;
    int rc = app_open_vault(app, &r->choice, true, false, &v, e);
    if (rc == 0 && (rc = vault_lock(v, e)) == 0) {
        rc = publish_check(v, false, e);
        vault_unlock(v);
    }
    if (rc == 0)
        rc = app_find_snapshot(app, v, NULL, r->snapshot, &s, NULL, e);
    if (rc == 0) {
        struct id snapshot = s->ref.id;
        rc = hold_now(app, v, &snapshot, hold ? r->why : NULL, e);
    }
    vault_close(v);
    return rc;
}

static int list_one(struct app *app, struct vault *v, const struct source_list *l,
                    const struct snap_ref *s, size_t *n, struct err *e)
{
    struct hold_note note;
    char id[SHORT_ID_DIGITS + 1], hex[ID_HEX_BYTES], when[32], policy[MAX_FORMAT_NAME + 1];
    int rc = hold_is_set(v, s, e);
    if (rc > 0)
        rc = hold_note_get(v, &s->ref.id, &note, e) < 0 ? -ERR_IO : 1;
    if (rc <= 0)
        return rc;
    ++*n;
    source_policy(l->source, policy);
    ui_line(&app->ui, "%s %s %s: %s%s%s%s", short_id(&s->ref.id, id),
            short_time(s->received_ns, when), policy,
            note.why[0] ? note.why : _("the reason is no longer known here"),
            note.who[0] ? " (" : "", note.who, note.who[0] ? ")" : "");
    ui_json(&app->ui,
            json_pack("{s:s, s:s, s:o, s:s, s:o, s:o, s:s}", "type", "hold", "id",
                      id_hex(&s->ref.id, hex), "policy", ui_json_text(policy, strlen(policy)),
                      "received", ui_time(s->received_ns, when), "why",
                      ui_json_text(note.why, strlen(note.why)), "who",
                      ui_json_text(note.who, strlen(note.who)), "in_vault",
                      s->flags & SNAPSHOT_HELD ? "yes" : "no"));
    return 0;
}

static int list(struct app *app, const struct request *r, struct err *e)
{
    struct vault *v = NULL;
    size_t n = 0;
    int rc = app_open_vault(app, &r->choice, false, false, &v, e);
    for (size_t i = 0; rc == 0 && i < v->n_lists; i++)
        for (size_t k = 0; rc == 0 && k < v->lists[i]->n; k++)
            rc = list_one(app, v, v->lists[i], &v->lists[i]->snaps[k], &n, e);
    if (rc == 0 && n == 0)
        ui_line(&app->ui, _("No backup is held. Next: twofold hold add SNAPSHOT --why TEXT"));
    vault_close(v);
    return rc;
}

int cmd_hold(struct app *app, int argc, char **argv)
{
    enum { OPT_WHY = OPT_OWN };
    static const struct option options[] = { { "why", required_argument, NULL, OPT_WHY },
                                             { "vault", required_argument, NULL, OPT_VAULT },
                                             OPTIONS_END };
    struct request r = { 0 };
    struct err e = ERR_INIT;
    int c;
    args_begin();
    while ((c = args_next(argc, argv, ":", options)) != -1) {
        if (c == OPT_WHY)
            r.why = optarg;
        else if (!choice_option(c, &r.choice))
            return args_bad(app, c, argv);
    }
    const char *verb = optind < argc ? argv[optind] : "";
    bool add = strcmp(verb, "add") == 0, remove = strcmp(verb, "remove") == 0;
    if (!add && !remove && strcmp(verb, "list") != 0)
        return app_usage(app, _("say add, remove or list"));
    r.snapshot = optind + 1 < argc ? argv[optind + 1] : NULL;
    if ((add || remove) != (r.snapshot != NULL) || argc - optind > 2)
        return app_usage(app, _("which snapshot?"));
    if (add && (!r.why || !*r.why))
        return app_usage(app, _("say why it is held: --why TEXT"));
    int rc = add || remove ? change(app, &r, add, &e) : list(app, &r, &e);
    if (rc == 0)
        return 0;
    err_wrap(&e, "hold");
    return ui_error(&app->ui, &e);
}
