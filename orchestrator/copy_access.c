/* copy_access.c - host keys and key pairs of copies on other hosts; see copy_access.h. */
#include "orchestrator/copy_access.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/ssh/ssh.h"
#include "orchestrator/text.h"
#include "policies/config.h"

#include <stdlib.h>
#include <string.h>

/* --- the host key ------------------------------------------------------------------------------------------------ */
static int not_vouched(const char *host, const char *shown, struct err *e)
{
    err_set(e, ERR_REFUSED, _("nobody has said that the host key %s is the right one"), shown);
    return err_next(e,
                    _("compare it at the console of %s (ssh-keygen -lf "
                      "/etc/ssh/ssh_host_ed25519_key.pub), then say it: --fingerprint %s"),
                    host, shown);
}

static int approve(struct app *app, const char *host, unsigned port, const char *key,
                   const char *fingerprint, struct err *e)
{
    char shown[SSH_FINGERPRINT_BYTES];
    const char *home = getenv("HOME");
    if (!ssh_fingerprint(key, shown))
        return err_set(e, ERR_PROTOCOL, _("%s shows a host key that is none"), host);
    if (fingerprint && strcmp(fingerprint, shown) == 0)
        return 0;
    if (fingerprint) {
        err_set(e, ERR_REFUSED, _("%s shows the host key %s, not %s"), host, shown, fingerprint);
        return err_next(e, _("find out what answers at that address before you go on"));
    }
    char *file = text_print("%s/.ssh/known_hosts", home ? home : "");
    int known = ssh_known_host(file, host, port, key, e);
    free(file);
    if (known < 0)
        return known;
    if (known > 0) {
        ui_warn(&app->ui, _("the host key %s of %s is taken from your known_hosts"), shown, host);
        return 0;
    }
    char *question = text_print(
        _("The host key of %s is %s. Is that what its console shows (ssh-keygen -lf "
          "/etc/ssh/ssh_host_ed25519_key.pub)?"),
        host, shown);
    bool yes = ui_ask(&app->ui, question, false);
    free(question);
    return yes ? 0 : not_vouched(host, shown, e);
}

int copy_host_key(struct app *app, const char *url, const char *fingerprint, char **ret,
                  struct err *e)
{
    struct sftp_address a;
    char *key = NULL;
    int rc = sftp_address_parse(url, &a, e);
    if (rc == 0) {
        err_set(e, ERR_CONFIG, _("the copy is not on another host: %s"), url);
        rc = err_next(e, _("only copies with sftp:// have a host key"));
    }
    if (rc < 0)
        return rc;
    rc = ssh_host_key(a.host, a.port, 0, &key, e);
    if (rc == 0)
        rc = approve(app, a.host, a.port, key, fingerprint, e);
    sftp_address_done(&a);
    if (rc < 0) {
        free(key);
        return rc;
    }
    *ret = key;
    return 0;
}

/* --- the key pair -------------------------------------------------------------------------------------------------- */
int copy_identity(struct app *app, const char *vault, const char *place, char **ret_path,
                  char **ret_public, bool *ret_new, struct err *e)
{
    char *folder = text_print("%s/keys", app->paths.config_dir);
    char *path = text_print("%s/%s-%s.ssh", folder, vault, place);
    char *comment = text_print("twofold-%s-%s", vault, place), *public = NULL;
    int rc = sys_mkdir_p(folder, 0700, e);
    *ret_new = false;
    if (rc == 0)
        rc = ssh_key_make(path, comment, &public, e);
    if (rc == 0)
        *ret_new = true;
    else if (rc == -ERR_EXISTS)
        rc = ssh_key_public(path, &public, e);
    free(folder);
    free(comment);
    if (rc < 0) {
        free(path);
        free(public);
        return rc;
    }
    *ret_path = path;
    *ret_public = public;
    return 0;
}

/* --- a new copy -------------------------------------------------------------------------------------------------------- */
int copy_prepare(struct app *app, const char *vault, struct copy_conf *c, struct err *e)
{
    struct sftp_address a;
    char *line = NULL;
    bool is_new;
    int rc = sftp_address_parse(c->url, &a, e);
    if (rc <= 0)
        return rc;
    sftp_address_done(&a);
    rc = c->host_key ? 0 : copy_host_key(app, c->url, NULL, &c->host_key, e);
    if (rc == 0 && !c->identity)
        rc = copy_identity(app, vault, c->place, &c->identity, &line, &is_new, e);
    free(line);
    return rc < 0 ? err_wrap(e, _("copy \"%s\""), c->place) : 0;
}

int copy_not_let_in(const struct copy_conf *c, struct err *e)
{
    char *line = NULL;
    struct sftp_address a;
    if (e->code != ERR_REFUSED || !c->identity || sftp_address_parse(c->url, &a, NULL) <= 0)
        return -(int)e->code;
    if (ssh_key_public(c->identity, &line, NULL) == 0)
        err_next(e,
                 _("put this line into .ssh/authorized_keys of the user on %s, then run the same "
                   "command again:\n  restrict %s"),
                 a.host, line);
    sftp_address_done(&a);
    free(line);
    return -(int)e->code;
}
