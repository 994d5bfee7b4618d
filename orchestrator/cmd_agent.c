/* cmd_agent.c - twofold agent enrol|list|check|revoke: hosts that are reached over SSH. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/ssh/ssh.h"
#include "orchestrator/agent_enrol.h"
#include "orchestrator/agent_link.h"
#include "orchestrator/args.h"
#include "orchestrator/look.h"
#include "orchestrator/session.h"
#include "orchestrator/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_COLUMNS 16
#define HOST_COLUMNS 28

static const char *transport_name(const struct agent_conf *c)
{
    return c->transport == TRANSPORT_LIBSSH2 ? "libssh2" : "openssh";
}

/* --- enrol ------------------------------------------------------------------------------------------------- */
static json_t *answer_list(const char *answer, const char *word)
{
    json_t *a = json_array();
    size_t len;
    const char *at;
    for (size_t i = 0; (at = answer_line(answer, word, i, &len)); i++)
        json_array_append_new(a, ui_json_text(at, len));
    return a;
}

static void print_list(struct app *app, const char *label, const char *answer, const char *word)
{
    size_t len;
    const char *at = answer_line(answer, word, 0, &len);
    if (!at)
        ui_line(&app->ui, _("  %s: nothing"), label);
    for (size_t i = 0; (at = answer_line(answer, word, i, &len)); i++) {
        char *path = ui_path(at, len);
        ui_line(&app->ui, "  %s: %s", label, path);
        free(path);
    }
}

static void print_enrolled(struct app *app, const struct enrolled *x)
{
    const struct agent_conf *c = x->conf;
    size_t len = 0;
    const char *from = answer_line(x->answer, "from", 0, &len);
    char *address = from ? text_clean(from, len, false) : text_print("?");
    ui_line(&app->ui,
            x->again ? _("%s is enrolled again: %s@%s, over %s")
                     : _("%s is enrolled: %s@%s, over %s"),
            c->name, c->user, c->host, transport_name(c));
    ui_line(&app->ui, _("  host key: %s"), x->fingerprint);
    ui_line(&app->ui, _("  its key is let in from %s only, and starts the agent and nothing else"),
            address);
    print_list(app, _("may be backed up"), x->answer, "backup");
    print_list(app, _("may be restored to"), x->answer, "restore");
    print_list(app, _("databases"), x->answer, "source");
    if (x->again)
        ui_line(&app->ui,
                _("  deduplication key %u: the next backup stores what has changed and, of "
                  "changed files, everything anew"),
                c->rotation);
    if (x->old_lines_left)
        ui_warn(&app->ui, _("the key from before could not be removed there: enrol once more"));
    ui_line(&app->ui, _("Next: twofold policy add NAME --agent %s --files PATH"), c->name);
    ui_json(&app->ui,
            json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:i, s:b, s:s, s:o, s:o, s:b}", "type",
                      "agent", "agent", c->name, "host", c->host, "user", c->user, "port",
                      (int)c->port, "transport", transport_name(c), "fingerprint", x->fingerprint,
                      "rotation", (int)c->rotation, "again", x->again, "from", address, "backup",
                      answer_list(x->answer, "backup"), "restore",
                      answer_list(x->answer, "restore"), "old_key_left", x->old_lines_left));
    free(address);
}

enum {
    OPT_HOST = OPT_OWN,
    OPT_PORT,
    OPT_USER,
    OPT_LOGIN,
    OPT_TRANSPORT,
    OPT_FINGERPRINT,
    OPT_FROM_ADDRESS,
    OPT_ALLOW,
    OPT_ALLOW_RESTORE,
    OPT_ALLOW_SOURCE,
    OPT_ALLOW_COMMAND,
    OPT_SUDO
};

static bool take_port(const char *text, unsigned *ret)
{
    char *end = NULL;
    unsigned long n = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
    *ret = (unsigned)n;
    return end && !*end && n > 0 && n <= 65535;
}

static bool take_path(const char **list, size_t *n)
{
    if (*n == MAX_ENROL_PATHS)
        return false;
    list[(*n)++] = optarg;
    return true;
}

static bool take_option(int c, struct enrol_opts *o)
{
    switch (c) {
    case OPT_HOST:
        return (o->host = optarg) != NULL;
    case OPT_PORT:
        return take_port(optarg, &o->port);
    case OPT_USER:
        return (o->user = optarg) != NULL;
    case OPT_LOGIN:
        return (o->login = optarg) != NULL;
    case OPT_TRANSPORT:
        return (o->transport = optarg) != NULL;
    case OPT_FINGERPRINT:
        return (o->fingerprint = optarg) != NULL;
    case OPT_FROM_ADDRESS:
        return (o->from = optarg) != NULL;
    case OPT_ALLOW:
        return take_path(o->backup, &o->n_backup);
    case OPT_ALLOW_RESTORE:
        return take_path(o->restore, &o->n_restore);
    case OPT_ALLOW_SOURCE:
        return take_path(o->sources, &o->n_sources);
    case OPT_ALLOW_COMMAND:
        return take_path(o->commands, &o->n_commands);
    case OPT_SUDO:
        return o->sudo = true;
    default:
        return false;
    }
}

static int enrol(struct app *app, int argc, char **argv)
{
    static const struct option options[] = {
        { "host", required_argument, NULL, OPT_HOST },
        { "port", required_argument, NULL, OPT_PORT },
        { "user", required_argument, NULL, OPT_USER },
        { "login", required_argument, NULL, OPT_LOGIN },
        { "transport", required_argument, NULL, OPT_TRANSPORT },
        { "fingerprint", required_argument, NULL, OPT_FINGERPRINT },
        { "from", required_argument, NULL, OPT_FROM_ADDRESS },
        { "allow", required_argument, NULL, OPT_ALLOW },
        { "allow-restore", required_argument, NULL, OPT_ALLOW_RESTORE },
        { "allow-source", required_argument, NULL, OPT_ALLOW_SOURCE },
        { "allow-command", required_argument, NULL, OPT_ALLOW_COMMAND },
        { "sudo", no_argument, NULL, OPT_SUDO },
        OPTIONS_END,
    };
    struct enrol_opts *o = calloc(1, sizeof *o);
    struct enrolled x;
    struct err e = ERR_INIT;
    int c, status = o ? 0 : 1;
    args_begin();
    while (status == 0 && (c = args_next(argc, argv, ":", options)) != -1)
        if (c == ':' || c == '?')
            status = args_bad(app, c, argv);
        else if (!take_option(c, o))
            status = app_usage(app, _("\"%s\" cannot be taken there"), optarg);
    if (status == 0 && optind + 1 != argc)
        status = app_usage(app, optind == argc ? _("which agent? Give it a name")
                                               : _("one agent at a time"));
    if (status == 0) {
        o->name = argv[optind];
        if (agent_enrol(app, o, &x, &e) == 0) {
            print_enrolled(app, &x);
            status = x.old_lines_left ? err_info(ERR_PARTIAL)->exit_status : 0;
        } else {
            err_wrap(&e, _("agent \"%s\""), o->name);
            status = ui_error(&app->ui, &e);
        }
        enrolled_done(&x);
    }
    free(o);
    return status;
}

/* --- list ----------------------------------------------------------------------------------------------------- */
struct listing {
    struct app *app;
    size_t n;
};

static int list_one(void *ctx, const char *name)
{
    struct listing *l = ctx;
    struct app *app = l->app;
    struct agent_conf *c = NULL;
    struct agent_seen seen;
    struct err e = ERR_INIT;
    char when[32] = "", shown[32];
    l->n++;
    if (agent_conf_load(&app->paths, name, &c, &e) < 0) {
        ui_warn(&app->ui, "%s: %s", name, e.why);
        return 0;
    }
    agent_seen_read(app, name, &seen);
    if (seen.at_ns)
        ui_time(seen.at_ns, when);
    char *address = text_print("%s@%s:%u", c->user, c->host, c->port);
    char *name_cell = text_pad(name, NAME_COLUMNS, false);
    char *host_cell = text_pad(address, HOST_COLUMNS, false);
    if (c->revoked)
        ui_line(&app->ui, _("%s %s revoked"), name_cell, host_cell);
    else
        ui_line(&app->ui, _("%s %s %s  key %u  version %s  last seen %s"), name_cell, host_cell,
                transport_name(c), c->rotation, seen.at_ns ? seen.version : "?",
                seen.at_ns ? short_time(seen.at_ns, shown) : _("never"));
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:i, s:b}", "type", "agent", "agent",
                          name, "host", c->host, "user", c->user, "port", (int)c->port, "transport",
                          transport_name(c), "rotation", (int)c->rotation, "revoked", c->revoked);
    if (seen.at_ns) {
        json_object_set_new(o, "version", json_string(seen.version));
        json_object_set_new(o, "last_seen", json_string(when));
    }
    ui_json(&app->ui, o);
    free(host_cell);
    free(name_cell);
    free(address);
    agent_conf_free(c);
    return 0;
}

static int list(struct app *app, int argc, char **argv)
{
    struct err e = ERR_INIT;
    if (argc > 1)
        return app_usage(app, _("\"%s\" is not expected here"), argv[1]);
    struct listing l = { .app = app };
    int rc = agent_conf_each(&app->paths, list_one, &l, &e);
    if (rc == 0 && l.n == 0)
        ui_line(&app->ui, _("No agent yet: only this host. Next: twofold agent enrol NAME"));
    return rc < 0 ? ui_error(&app->ui, &e) : 0;
}

/* --- check ------------------------------------------------------------------------------------------------------ */
struct pin_check {
    struct app *app;
    const char *answer;
    size_t missing;
};

static int check_pin(void *ctx, const char *name)
{
    struct pin_check *p = ctx;
    struct vault_conf *v = NULL;
    char hex[ID_HEX_BYTES];
    size_t len;
    const char *at;
    bool found = false;
    if (vault_conf_load(&p->app->paths, name, &v, NULL) < 0)
        return 0;
    id_hex(&v->id, hex);
    for (size_t i = 0; !found && (at = answer_line(p->answer, "pin", i, &len)); i++)
        found = len == strlen(hex) && memcmp(at, hex, len) == 0;
    if (!found) {
        p->missing++;
        ui_warn(&p->app->ui, _("the vault \"%s\" is not pinned there: backups for it are refused"),
                name);
    }
    vault_conf_free(v);
    return 0;
}

static void print_checked(struct app *app, const struct agent_conf *c, const char *host,
                          const char *answer)
{
    char fingerprint[SSH_FINGERPRINT_BYTES] = "?";
    size_t v_len = 0, u_len = 0, r_len = 0;
    const char *v = answer_line(answer, "version", 0, &v_len);
    const char *u = answer_line(answer, "user", 0, &u_len);
    const char *r = answer_line(answer, "reads-everything", 0, &r_len);
    bool all = r && r_len == 3;
    char *version = text_clean(v ? v : "?", v ? v_len : 1, false);
    char *user = text_clean(u ? u : "?", u ? u_len : 1, false);
    ssh_fingerprint(c->host_key, fingerprint);
    ui_line(&app->ui, _("%s answers: %s@%s, over %s"), c->name, c->user, c->host,
            transport_name(c));
    ui_line(&app->ui, _("  version %s there, %s here; it calls itself %s"), version,
            TWOFOLD_VERSION, host);
    ui_line(&app->ui, _("  host key: %s"), fingerprint);
    ui_line(&app->ui,
            all ? _("  runs as %s and can read everything")
                : _("  runs as %s and cannot read what that user may not"),
            user);
    print_list(app, _("may be backed up"), answer, "backup");
    print_list(app, _("may be restored to"), answer, "restore");
    print_list(app, _("databases"), answer, "source");
    print_list(app, _("may be run"), answer, "command");
    ui_json(&app->ui,
            json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:i, s:o, s:o, s:o}", "type", "agent",
                      "agent", c->name, "host", c->host, "version", version, "runs_as", user,
                      "reads_everything", all, "transport", transport_name(c), "rotation",
                      (int)c->rotation, "pins", answer_list(answer, "pin"), "backup",
                      answer_list(answer, "backup"), "restore", answer_list(answer, "restore")));
    free(version);
    free(user);
}

static int load_named(struct app *app, int argc, char **argv, struct agent_conf **ret,
                      struct err *e)
{
    args_begin();
    static const struct option none[] = { OPTIONS_END };
    int c = args_next(argc, argv, ":", none);
    if (c != -1)
        return args_bad(app, c, argv);
    if (optind + 1 != argc)
        return app_usage(app, _("which agent?"));
    if (agent_conf_load(&app->paths, argv[optind], ret, e) == 0)
        return 0;
    err_wrap(e, _("agent \"%s\""), argv[optind]);
    return ui_error(&app->ui, e);
}

static int check(struct app *app, int argc, char **argv)
{
    struct agent_conf *c = NULL;
    struct err e = ERR_INIT;
    char host[256] = "", *answer = NULL;
    int status = load_named(app, argc, argv, &c, &e);
    if (status || !c)
        return status;
    int rc = c->revoked ? err_set(&e, ERR_REFUSED, _("it was revoked")) : 0;
    if (rc < 0)
        err_next(&e, _("let it in again: twofold agent enrol %s"), c->name);
    if (rc == 0)
        rc = session_try(app, c, host, &e);
    if (rc == 0)
        rc = agent_ask(app, c, "status", NULL, &answer, &e);
    if (rc == 0) {
        struct pin_check p = { .app = app, .answer = answer };
        print_checked(app, c, host, answer);
        vault_conf_each(&app->paths, check_pin, &p, NULL);
        if (p.missing)
            rc = err_set(&e, ERR_PARTIAL, _("some vaults are not pinned there"));
        if (p.missing)
            err_next(&e, _("pin them: twofold agent enrol %s"), c->name);
    }
    if (rc < 0) {
        char *wrap = text_print(_("agent \"%s\""), c->name);
        if (!strstr(e.what, wrap))
            err_wrap(&e, "%s", wrap);
        status = ui_error(&app->ui, &e);
        free(wrap);
    }
    free(answer);
    agent_conf_free(c);
    return status;
}

/* --- revoke -------------------------------------------------------------------------------------------------------- */
static int revoke(struct app *app, int argc, char **argv)
{
    struct agent_conf *c = NULL;
    struct err e = ERR_INIT, left = ERR_INIT;
    int status = load_named(app, argc, argv, &c, &e);
    if (status || !c)
        return status;
    if (agent_revoke(app, c, &left, &e) < 0) {
        err_wrap(&e, _("agent \"%s\""), c->name);
        status = ui_error(&app->ui, &e);
        agent_conf_free(c);
        return status;
    }
    ui_line(&app->ui,
            _("%s is revoked: its key is gone here; enrolled again it gets a new "
              "deduplication key"),
            c->name);
    if (left.code == ERR_NONE)
        ui_line(&app->ui, _("  its key and its rules are gone on %s, too"), c->host);
    ui_json(&app->ui,
            json_pack("{s:s, s:s, s:i, s:b}", "type", "agent", "agent", c->name, "rotation",
                      (int)c->rotation, "removed_there", left.code == ERR_NONE));
    if (left.code != ERR_NONE) {
        err_set(&e, ERR_PARTIAL, _("what is on %s could not be removed: %s"), c->host, left.why);
        err_wrap(&e, _("agent \"%s\""), c->name);
        err_next(&e,
                 _("there, remove the line that ends with \"-%s\" from ~%s/.ssh/authorized_keys, "
                   "and its part of /etc/twofold/agent.yaml"),
                 c->name, c->user);
        status = ui_error(&app->ui, &e);
    }
    agent_conf_free(c);
    return status;
}

int cmd_agent(struct app *app, int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "enrol") == 0 || strcmp(what, "enroll") == 0)
        return enrol(app, argc - 1, argv + 1);
    if (strcmp(what, "list") == 0)
        return list(app, argc - 1, argv + 1);
    if (strcmp(what, "check") == 0)
        return check(app, argc - 1, argv + 1);
    if (strcmp(what, "revoke") == 0)
        return revoke(app, argc - 1, argv + 1);
    if (argc > 1)
        return app_usage(app, _("\"%s\" is not expected here"), what);
    return app_usage(app, _("what about the agents?"));
}
