/* open.c - opening a vault for a command, by its configuration or from one copy alone, with the recovery key where it is
 * needed; see app.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/look.h"
#include "orchestrator/text.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_RECOVERY_FILE 65536
#define MAX_TYPED 3
#define LOST_COPY "/dev/null/lost-for-a-drill" /* nothing can ever be there */

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("out of memory"));
}

int absolute_url(const char *url, char **ret, struct err *e)
{
    char cwd[PATH_MAX];
    size_t scheme = strcspn(url, ":/");
    if (url[0] == '/' || url[0] == '\0' || (scheme > 0 && url[scheme] == ':')) {
        *ret = strdup(url);
        return *ret ? 0 : no_memory(e);
    }
    if (!getcwd(cwd, sizeof cwd))
        return err_sys(e, "%s", url);
    while (url[0] == '.' && url[1] == '/')
        url += 2 + strspn(url + 2, "/");
    if (strcmp(url, ".") == 0)
        url = "";
    if (asprintf(ret, "%s%s%s", strcmp(cwd, "/") == 0 ? "" : cwd, *url ? "/" : "", url) < 0)
        return no_memory(e);
    return 0;
}

/* --- what is wrong with the copies ----------------------------------------------------------------- */
static void warn_about_copies(struct app *app, const struct vault *v)
{
    for (size_t i = 0; i < v->n_copies; i++) {
        const struct copy *c = &v->copies[i];
        const char *why = c->problem.why[0] ? c->problem.why : c->problem.what;
        if (vault_copy_carried(c))
            continue;
        if (c->state == COPY_AWAY)
            ui_warn(&app->ui, _("copy \"%s\" cannot be reached: %s"), c->place, why);
        else if (c->state == COPY_WRONG)
            ui_warn(&app->ui, _("copy \"%s\" is not used: %s"), c->place, why);
        else if (c->rolled_back && !c->bad_heads)
            ui_warn(&app->ui, _("copy \"%s\" shows an older state than it had: see twofold status"),
                    c->place);
        else if (c->bad_heads || c->problem.code != ERR_NONE)
            ui_warn(&app->ui, _("copy \"%s\" is damaged (%s); mend it: twofold repair"), c->place,
                    why);
    }
    if (v->n_tips == 0 && v->seen_generation)
        ui_warn(&app->ui,
                _("no copy shows a backup, but this orchestrator has seen generation %" PRIu64),
                v->seen_generation);
    if (v->n_lost_lists)
        ui_warn(
            &app->ui,
            _("a list of backups could not be read from any copy; it was made again from the backups themselves"));
    if (v->facts_lost)
        ui_warn(
            &app->ui,
            _("what this machine remembered of the copies could not be read: a copy that was put back is not noticed"));
    if (v->n_lost_keys)
        ui_warn(
            &app->ui,
            _("some data keys could not be read from any copy: what they sealed is lost until they are back"));
    if (v->n_tips > 1)
        ui_warn(&app->ui,
                _("%zu orchestrators have written at the same time (a fork): what all of them "
                  "wrote is shown; the next backup merges it"),
                v->n_tips);
}

/* As if this copy were gone, with all that it has: nothing lies where it is looked for. */
static int lose_copy(struct vault_conf *conf, const char *place, struct err *e)
{
    for (size_t i = 0; i < conf->n_copies; i++) {
        if (strcmp(conf->copies[i].place, place) != 0)
            continue;
        char *nowhere = strdup(LOST_COPY);
        if (!nowhere)
            return no_memory(e);
        free(conf->copies[i].url);
        conf->copies[i].url = nowhere;
        return 0;
    }
    err_set(e, ERR_NAME, _("the vault \"%s\" has no copy \"%s\""), conf->name, place);
    return err_next(e, _("see which there are: twofold copy list"));
}

static int open_configured(struct app *app, const struct vault_choice *c, bool write,
                           struct vault **ret, struct err *e)
{
    struct vault_conf *conf = NULL;
    int rc = vault_conf_load(&app->paths, c->vault, &conf, e);
    if (rc == 0 && c->lose)
        rc = lose_copy(conf, c->lose, e);
    if (rc == 0) {
        struct vault_open_options o = { .paths = &app->paths,
                                        .conf = conf,
                                        .write = write,
                                        .hurry = c->hurry && !write,
                                        .what = c->what ? c->what : app->ui.command,
                                        .source = c->source };
        rc = vault_open(&o, ret, e);
    }
    vault_conf_free(conf);
    return rc;
}

int open_vault_quietly(struct app *app, const char *name, bool write, struct vault **ret,
                       struct err *e)
{
    struct vault_choice c = { .vault = name };
    return open_configured(app, &c, write, ret, e);
}

/* --- the recovery key -------------------------------------------------------------------------------- */
/* It opens this vault only if its public half is the one that the configuration names. */
static int try_recovery(struct vault *v, const struct wbuf *file, const struct secret *passphrase,
                        struct err *e)
{
    struct vault_keys k = { 0 };
    struct id fingerprint;
    uint8_t pk[PUBLIC_KEY_BYTES];
    int rc = recovery_open(file->p, file->len, passphrase, &k, &fingerprint, e);
    if (rc == 0) {
        x25519_public(secret_bytes(k.recovery_sk), pk);
        if (!id_eq(&k.vault_id, &v->keys.vault_id) ||
            memcmp(pk, v->keys.recovery_pk, PUBLIC_KEY_BYTES) != 0)
            rc = err_set(e, ERR_KEY, _("the recovery file is of another vault"));
    }
    if (rc == 0) {
        v->keys.recovery_sk = k.recovery_sk;
        k.recovery_sk = NULL;
    }
    vault_keys_done(&k);
    return rc;
}

static int read_recovery_file(const char *path, struct wbuf *out, struct err *e)
{
    uint8_t *p = NULL;
    size_t n = 0;
    int rc = sys_read_file(AT_FDCWD, path, MAX_RECOVERY_FILE, &p, &n, e);
    if (rc < 0)
        return err_wrap(e, _("recovery file \"%s\""), path);
    rc = vault_check_recovery_file(path, p, n, e);
    wb_bytes(out, p, n);
    free(p);
    return rc < 0 ? rc : out->failed ? no_memory(e) : 0;
}

static int read_recovery_object(struct copy *c, struct wbuf *out, struct err *e)
{
    uint8_t *p = NULL;
    size_t n = 0;
    if (!c->store || c->state == COPY_AWAY || c->state == COPY_WRONG) {
        if (e)
            *e = c->problem;
        return err_wrap(e, _("recovery file"));
    }
    int rc = store_get_all(c->store, RECOVERY_OBJECT_NAME, MAX_RECOVERY_FILE, &p, &n, e);
    if (rc < 0)
        return err_wrap(e, _("recovery file of copy \"%s\""), c->place);
    wb_bytes(out, p, n);
    free(p);
    return out->failed ? no_memory(e) : 0;
}

/* A wrong passphrase and a damaged file look alike, so the next copy is asked when its bytes are others. */
static int recover_from_copies(struct vault *v, const struct secret *passphrase, struct err *e)
{
    struct wbuf tried = WBUF_INIT, file = WBUF_INIT;
    struct err first = ERR_INIT;
    int rc = -ERR_ABSENT;
    for (size_t i = 0; rc < 0 && i < v->n_copies; i++) {
        struct err why = ERR_INIT;
        wbuf_reset(&file);
        rc = read_recovery_object(&v->copies[i], &file, &why);
        if (rc == 0 && tried.len > 0 && tried.len == file.len &&
            memcmp(tried.p, file.p, file.len) == 0) {
            rc = -ERR_KEY;
            continue;
        }
        if (rc == 0) {
            wbuf_reset(&tried);
            wb_bytes(&tried, file.p, file.len);
            rc = try_recovery(v, &file, passphrase, &why);
        }
        if (rc < 0 && (first.code == ERR_NONE || why.code == ERR_KEY))
            first = why;
    }
    wbuf_free(&tried);
    wbuf_free(&file);
    if (rc < 0) {
        if (first.code == ERR_ABSENT)
            err_next(&first,
                     _("the recovery file is kept off the copies: give --recovery-file FILE"));
        if (e)
            *e = first;
        return -(int)first.code;
    }
    return 0;
}

/* Who types may mistype: it is asked again. */
static int recover_by_passphrase(struct app *app, const struct vault_choice *c, struct vault *v,
                                 struct wbuf *file, struct err *e)
{
    for (int left = ui_passphrase_is_typed(c->passphrase_file) ? MAX_TYPED : 1;; left--) {
        struct secret *passphrase = NULL;
        int rc = ui_passphrase(&app->ui, c->passphrase_file, false, &passphrase, e);
        if (rc < 0)
            return rc;
        rc = c->recovery_file ? try_recovery(v, file, passphrase, e)
                              : recover_from_copies(v, passphrase, e);
        secret_free(passphrase);
        if (rc != -ERR_KEY || left <= 1)
            return rc;
        ui_warn(&app->ui, "%s", e->why);
        err_clear(e);
    }
}

static int load_recovery_key(struct app *app, const struct vault_choice *c, struct vault *v,
                             struct err *e)
{
    struct wbuf file = WBUF_INIT;
    char *path = NULL;
    if (asprintf(&path, "%s/keys/%s.recovery", app->paths.config_dir, v->name) < 0)
        return no_memory(e);
    int rc = c->recovery_file ? -ERR_ABSENT
                              : recovery_key_load(path, &v->keys.vault_id, &v->keys, e);
    free(path);
    if (rc != -ERR_ABSENT)
        return rc;
    err_clear(e);
    /* The file first: nobody is asked for a passphrase in vain. */
    rc = c->recovery_file ? read_recovery_file(c->recovery_file, &file, e) : 0;
    if (rc == 0)
        rc = recover_by_passphrase(app, c, v, &file, e);
    wbuf_free(&file);
    return rc < 0 ? err_wrap(e, _("recovery key of vault \"%s\""), v->name) : 0;
}

/* --- for the commands ------------------------------------------------------------------------------------ */
static int open_from_copy(struct app *app, const struct vault_choice *c, struct vault **ret,
                          struct err *e)
{
    struct secret *passphrase = NULL;
    char *url = NULL;
    int rc = absolute_url(c->copy, &url, e);
    if (rc == 0)
        rc = ui_passphrase(&app->ui, c->passphrase_file, false, &passphrase, e);
    struct store_options o = { .identity = c->identity, .host_key = c->host_key };
    if (rc == 0)
        rc = vault_open_copy(url, &o, c->recovery_file, passphrase, ret, e);
    secret_free(passphrase);
    free(url);
    return rc;
}

int app_open_vault(struct app *app, const struct vault_choice *c, bool write, bool need_recovery,
                   struct vault **ret, struct err *e)
{
    static const struct vault_choice none = { 0 };
    struct vault *v = NULL;
    int rc;
    c = c ? c : &none;
    if (c->copy && write) {
        err_set(e, ERR_USAGE, _("this writes to the vault, which needs its configuration"));
        err_next(e, _("run it without --copy"));
        return err_wrap(e, "--copy %s", c->copy);
    }
    if (c->copy)
        rc = open_from_copy(app, c, &v, e);
    else
        rc = open_configured(app, c, write, &v, e);
    if (rc < 0 || !v)
        return rc;
    warn_about_copies(app, v);
    if (need_recovery && !v->keys.recovery_sk)
        rc = load_recovery_key(app, c, v, e);
    if (rc < 0) {
        vault_close(v);
        return rc;
    }
    *ret = v;
    return 0;
}

/* Of a vault that is opened from a copy nothing is known of the policy but its name. */
static int bare_policy(const char *name, struct policy **ret, struct err *e)
{
    if (!config_name_ok(name)) {
        err_set(e, ERR_USAGE, _("\"%s\" cannot be the name of a policy"), name);
        return err_next(e, _("see which there are: twofold snapshots --copy URL"));
    }
    struct policy *pol = calloc(1, sizeof *pol);
    if (pol) {
        pol->name = strdup(name);
        pol->vault = strdup("");
        pol->agent = strdup("local");
    }
    if (!pol || !pol->name || !pol->vault || !pol->agent) {
        policy_free(pol);
        return no_memory(e);
    }
    *ret = pol;
    return 0;
}

int app_open_policy(struct app *app, const char *policy, const struct vault_choice *c, bool write,
                    bool need_recovery, struct policy **ret_policy, struct vault **ret,
                    struct err *e)
{
    struct vault_choice choice = c ? *c : (struct vault_choice){ 0 };
    struct policy *pol = NULL;
    int rc = choice.copy ? bare_policy(policy, &pol, e) : policy_load(&app->paths, policy, &pol, e);
    if (rc == -ERR_NAME && e && need_recovery) {
        char *next = text_print(
            _("%s; to read a backup whose policy is gone: --copy URL --policy %s"), e->next,
            policy);
        err_next(e, "%s", next);
        free(next);
    }
    if (rc == 0 && pol && !choice.vault && pol->vault[0])
        choice.vault = pol->vault;
    if (rc == 0)
        rc = app_open_vault(app, &choice, write, need_recovery, ret, e);
    if (rc < 0) {
        policy_free(pol);
        return rc;
    }
    *ret_policy = pol;
    return 0;
}

/* --- one snapshot, opened ------------------------------------------------------------------------------------ */
int view_open(struct vault *v, const struct snap_ref *ref, int from, struct view *ret,
              struct err *e)
{
    char id[SHORT_ID_DIGITS + 1];
    struct wbuf plain = WBUF_INIT;
    memset(ret, 0, sizeof *ret);
    int rc = vault_snapshot(v, &ref->ref, &ret->snap, e);
    if (rc == 0)
        rc = vault_body(v, ret->snap, &plain, e);
    if (rc == 0)
        rc = snapshot_body_read(plain.p, plain.len, &ret->body, e);
    wbuf_free(&plain);
    if (rc == 0 && !(ret->opener = opener_new(v, from, NULL, NULL)))
        rc = no_memory(e);
    if (rc == 0)
        opener_source(ret->opener, &ret->src);
    return rc < 0 ? err_wrap(e, _("snapshot %s"), short_id(&ref->ref.id, id)) : 0;
}

void view_close(struct view *v)
{
    opener_free(v->opener);
    snapshot_body_free(v->body);
    snapshot_free(v->snap);
    memset(v, 0, sizeof *v);
}
