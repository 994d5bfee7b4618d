/* copy_trust.c - host keys and key pairs of copies on other hosts; see copy_trust.h. */
#include "orchestrator/copy_trust.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/ssh/ssh.h"
#include "orchestrator/text.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCHEME "sftp://"

bool copy_is_remote(const struct copy_conf *c)
{
    return strncmp(c->url, SCHEME, strlen(SCHEME)) == 0;
}

static char *in_home(const char *name)
{
    const char *home = getenv("HOME");
    const struct passwd *pw = home && *home ? NULL : getpwuid(geteuid());
    return text_print("%s/.ssh/%s", pw ? pw->pw_dir : home && *home ? home : "/root", name);
}

/* --- the host's key ---------------------------------------------------------------------------------------- */
struct host {
    char *user, *name;
    unsigned port;
};

static void host_done(struct host *h)
{
    free(h->user);
    free(h->name);
    *h = (struct host){ .port = 0 };
}

static int host_of(const char *url, struct host *ret, struct err *e)
{
    int rc = store_address_parse(url, &ret->user, &ret->name, &ret->port, NULL, e);
    if (rc < 0)
        host_done(ret);
    return rc;
}

static const char *fingerprint(const char *key, char out[SSH_FINGERPRINT_BYTES])
{
    return key && ssh_fingerprint(key, out) ? out : "?";
}

static int nobody_vouched(const char *key, struct err *e)
{
    char is[SSH_FINGERPRINT_BYTES];
    err_set(e, ERR_REFUSED, _("nobody has vouched for its host key %s"), fingerprint(key, is));
    return err_next(e,
                    _("compare it with its console (ssh-keygen -lf "
                      "/etc/ssh/ssh_host_ed25519_key.pub), then add: --host-key \"%s\""),
                    key);
}

/* 0: a person, or the user's known_hosts, says that this key is the host's. */
static int vouch(struct app *app, const struct host *h, const char *key, struct err *e)
{
    char is[SSH_FINGERPRINT_BYTES], *file = in_home("known_hosts");
    int rc = ssh_known_host(file, h->name, h->port, key, e);
    free(file);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    bool person = isatty(STDIN_FILENO) && !app->ui.yes && !app->ui.json;
    char *question = text_print(
        _("The host key of %s is %s. Is that what its console shows (ssh-keygen -lf "
          "/etc/ssh/ssh_host_ed25519_key.pub)?"),
        h->name, fingerprint(key, is));
    bool yes = person && ui_ask(&app->ui, question, false);
    free(question);
    return yes ? 0 : nobody_vouched(key, e);
}

static int same_key(const char *a, const char *b)
{
    uint8_t x[16384], y[16384];
    int n = ssh_key_bytes(a, x, sizeof x), m = ssh_key_bytes(b, y, sizeof y);
    return n > 0 && n == m && memcmp(x, y, (size_t)n) == 0;
}

/* --- a new copy --------------------------------------------------------------------------------------------- */
static int prepare_key(struct app *app, const char *vault, struct copy_conf *c, struct err *e)
{
    char *line = NULL, *folder = text_print("%s/keys", app->paths.config_dir);
    char *path = text_print("%s/%s-%s.ssh", folder, vault, c->place);
    char *comment = text_print("twofold %s-%s", vault, c->place);
    int rc = sys_mkdir_p(app->paths.config_dir, 0755, e);
    if (rc == 0)
        rc = sys_mkdir_p(folder, 0700, e);
    if (rc == 0 && access(path, F_OK) != 0) {
        rc = ssh_key_make(path, comment, &line, e);
        if (rc == 0)
            ui_line(&app->ui,
                    _("Made a key for the copy \"%s\". This line belongs into "
                      "~/.ssh/authorized_keys of its user:\n  restrict %s"),
                    c->place, line);
    }
    free(line);
    free(comment);
    free(folder);
    if (rc < 0) {
        free(path);
        return rc;
    }
    c->identity = path;
    return 0;
}

int copy_prepare(struct app *app, const char *vault, struct copy_conf *c, struct err *e)
{
    struct host h = { .port = 0 };
    char *key = NULL;
    int rc = 0;
    if (!copy_is_remote(c))
        return 0;
    if (!c->identity)
        rc = prepare_key(app, vault, c, e);
    if (rc == 0 && !c->host_key)
        rc = host_of(c->url, &h, e);
    if (rc == 0 && !c->host_key)
        rc = ssh_host_key(h.name, h.port, 0, &key, e);
    if (rc == 0 && !c->host_key)
        rc = vouch(app, &h, key, e);
    if (rc == 0 && !c->host_key) {
        c->host_key = key;
        key = NULL;
    }
    free(key);
    host_done(&h);
    return rc < 0 ? err_wrap(e, _("copy \"%s\""), c->place) : 0;
}

int copy_not_let_in(const struct copy_conf *c, struct err *e)
{
    char *line = NULL;
    struct host h = { .port = 0 };
    if (e->code != ERR_REFUSED || !copy_is_remote(c) || !c->identity ||
        ssh_key_public(c->identity, &line, NULL) < 0)
        return -(int)e->code;
    if (host_of(c->url, &h, NULL) == 0)
        err_next(e,
                 _("put this line into ~/.ssh/authorized_keys of \"%s\" on %s, then run the same "
                   "command again:\n  restrict %s"),
                 h.user, h.name, line);
    host_done(&h);
    free(line);
    return -(int)e->code;
}

/* --- a new key of a known host -------------------------------------------------------------------------------- */
static struct copy_conf *find_place(struct vault_conf *v, const char *place)
{
    for (size_t i = 0; i < v->n_copies; i++)
        if (strcmp(v->copies[i].place, place) == 0)
            return &v->copies[i];
    return NULL;
}

static int judge_new_key(struct app *app, const struct copy_conf *c, const struct host *h,
                         const char *shown, const char *key, struct err *e)
{
    char is[SSH_FINGERPRINT_BYTES], was[SSH_FINGERPRINT_BYTES];
    if (key && !same_key(key, shown)) {
        err_set(e, ERR_REFUSED, _("the host shows the key %s, not the one that was given, %s"),
                fingerprint(shown, is), fingerprint(key, was));
        return err_next(e, _("find out at its console which is right"));
    }
    if (c->host_key && !same_key(c->host_key, shown))
        ui_line(&app->ui, _("Pinned for \"%s\" until now: %s"), c->place,
                fingerprint(c->host_key, was));
    return key ? 0 : vouch(app, h, shown, e);
}

static int trust_copy(struct app *app, const struct vault_conf *v, const struct copy_conf *c,
                      const char *key, struct err *e)
{
    struct host h = { .port = 0 };
    char *shown = NULL, is[SSH_FINGERPRINT_BYTES];
    int rc = host_of(c->url, &h, e);
    if (rc == 0)
        rc = ssh_host_key(h.name, h.port, 0, &shown, e);
    bool new = rc == 0 && !(c->host_key && same_key(c->host_key, shown));
    if (new)
        rc = judge_new_key(app, c, &h, shown, key, e);
    if (new &&rc == 0)
        rc = vault_conf_copy_set(&app->paths, v->name, c->place, "host-key", shown, e);
    if (rc == 0)
        ui_line(&app->ui,
                new ? _("The host key of \"%s\" is now %s.")
                    : _("The host key of \"%s\" is %s, as it was."),
                c->place, fingerprint(shown, is));
    free(shown);
    host_done(&h);
    return rc;
}

int copy_trust(struct app *app, const char *vault, const char *place, const char *key,
               struct err *e)
{
    struct vault_conf *v = NULL;
    int rc = vault_conf_load(&app->paths, vault, &v, e);
    if (rc < 0)
        return rc;
    const struct copy_conf *c = find_place(v, place);
    if (!c) {
        err_set(e, ERR_ABSENT, _("vault \"%s\" has no copy at \"%s\""), v->name, place);
        rc = err_next(e, _("see the places: twofold status"));
    } else if (!copy_is_remote(c)) {
        err_set(e, ERR_USAGE, _("it is no copy on another host: it has no host key"));
        rc = err_wrap(e, _("copy \"%s\""), place);
    } else if ((rc = trust_copy(app, v, c, key, e)) < 0) {
        rc = err_wrap(e, _("copy \"%s\""), place);
    }
    vault_conf_free(v);
    return rc;
}
