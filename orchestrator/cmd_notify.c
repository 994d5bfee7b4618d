/* cmd_notify.c - `twofold notify test`: really sends by every channel, and says for each what happened. */
#include "lib/base/i18n.h"
#include "orchestrator/args.h"
#include "orchestrator/gather.h"
#include "orchestrator/text.h"
#include "orchestrator/watch/message.h"
#include "orchestrator/watch/watch.h"

#include <stdlib.h>
#include <string.h>

enum { OPT_ROLE = OPT_OWN, OPT_CHANNEL };

struct test {
    struct app *app;
    struct settings *s;
    struct contacts *k;
    const char *role, *channel;
    size_t sent, failed;
};

static void say(struct test *t, const struct recipient *r, const struct err *problem)
{
    struct ui *ui = &t->app->ui;
    bool ok = problem->code == ERR_NONE;
    if (ui->json) {
        json_t *o = json_pack("{s:s, s:s, s:o, s:o, s:b, s:s}", "type", "test", "channel",
                              r->channel, "to", ui_json_text(r->to, strlen(r->to)), "name",
                              ui_json_text(r->name, strlen(r->name)), "ok", ok, "error_code",
                              ok ? "" : err_info(problem->code)->name);
        char *why = text_print("%s%s%s", problem->what, problem->what[0] ? ": " : "", problem->why);
        json_object_set_new(o, "error", ui_json_text(why, strlen(why)));
        free(why);
        ui_json(ui, o);
        return;
    }
    ui_line(ui, "%s  %s %s%s%s%s", ok ? _("sent   ") : _("FAILED "), r->channel, r->to,
            r->name[0] ? " (" : "", r->name, r->name[0] ? ")" : "");
    if (!ok)
        ui_line(ui, _("         why:  %s%s%s"), problem->what, problem->what[0] ? ": " : "",
                problem->why);
    if (!ok && problem->next[0])
        ui_line(ui, _("         next: %s"), problem->next);
}

static void send_all(struct test *t, const struct recipients *to)
{
    for (size_t i = 0; i < to->n; i++) {
        const struct recipient *r = &to->all[i];
        struct message m;
        struct err problem = ERR_INIT;
        if (t->channel && strcmp(t->channel, r->channel) != 0)
            continue;
        message_of_test(t->s, t->role, watch_now_s(), &m);
        int rc = channel_send(t->s, r, &m, &problem);
        message_done(&m);
        if (rc == 0)
            t->sent++;
        else
            t->failed++;
        say(t, r, &problem);
    }
}

static int run_test(struct test *t, struct err *e)
{
    struct recipients *to = calloc(1, sizeof *to);
    int rc = to ? settings_load(&t->app->paths, &t->s, e)
                : err_set(e, ERR_NOMEM, _("out of memory"));
    if (rc == 0)
        rc = contacts_load(&t->app->paths, &t->k, e);
    if (rc == 0 && t->role && !contacts_role(t->k, t->role)) {
        err_set(e, ERR_NAME, _("there is no role \"%s\" in contacts.yaml"), t->role);
        rc = err_next(e, _("name one of those that stand there below roles:, or write it there"));
    }
    if (rc == 0) {
        watch_language(t->s->language);
        tell_ways(t->role ? t->role : "", 1, true, t->s, t->k, to);
        send_all(t, to);
    }
    if (rc == 0 && t->sent + t->failed == 0) {
        rc = err_set(
            e, ERR_CONFIG,
            _("nobody can be told: there is no channel, or nobody who can be reached by it"));
        err_next(e, _("write `notify:` into twofold.yaml and people into contacts.yaml"));
    } else if (rc == 0 && t->failed) {
        rc = err_set(e, t->sent ? ERR_PARTIAL : ERR_FAILED,
                     P_("%zu message could not be sent; see above",
                        "%zu messages could not be sent; see above", t->failed),
                     t->failed);
        err_next(e, _("correct what stands above, then again: twofold notify test"));
    }
    free(to);
    return rc;
}

int cmd_notify(struct app *app, int argc, char **argv)
{
    static const struct option options[] = { { "role", required_argument, NULL, OPT_ROLE },
                                             { "channel", required_argument, NULL, OPT_CHANNEL },
                                             OPTIONS_END };
    static const char *const channels[] = { "mail", "webhook", "command", "console" };
    struct test t = { .app = app };
    struct err e = ERR_INIT;
    bool known = false;
    int c;
    args_begin();
    while ((c = args_next(argc, argv, ":", options)) != -1) {
        if (c == OPT_ROLE)
            t.role = optarg;
        else if (c == OPT_CHANNEL)
            t.channel = optarg;
        else
            return args_bad(app, c, argv);
    }
    if (optind + 1 != argc || strcmp(argv[optind], "test") != 0)
        return app_usage(app, _("say what: test"));
    for (size_t i = 0; t.channel && i < sizeof channels / sizeof *channels; i++)
        known = known || strcmp(channels[i], t.channel) == 0;
    if (t.channel && !known)
        return app_usage(app,
                         _("there is no channel \"%s\"; there are mail, webhook, command, console"),
                         t.channel);
    int rc = run_test(&t, &e);
    settings_free(t.s);
    contacts_free(t.k);
    return rc < 0 ? ui_error(&app->ui, &e) : 0;
}
