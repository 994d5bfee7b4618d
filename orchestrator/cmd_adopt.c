/* cmd_adopt.c - `twofold adopt`: this machine becomes the orchestrator of a vault that exists. From its copies and the passphrase
 * the configuration and the operational key are made anew: after a disaster (PY-disaster), or to move to another machine. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/args.h"
#include "orchestrator/crash/records.h"
#include "orchestrator/init.h"
#include "orchestrator/look.h"
#include "orchestrator/text.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_COMPRESSION 3

enum { OPT_KEEP = OPT_OWN, OPT_NAME };

struct adopt {
    struct app *app;
    struct vault_conf conf; /* owned texts */
    const char *passphrase_file, *recovery_file;
    bool keep;
    struct secret *passphrase;
    struct vault_keys keys; /* of the first copy; all others must have the same */
    char *op_path, *recovery_path;
    struct vault *first; /* as that copy alone; without its keys */
};

static int take_option(struct adopt *a, int c, struct err *e)
{
    switch (c) {
    case OPT_COPY:
        if (a->conf.n_copies == MAX_COPIES)
            return err_set(e, ERR_USAGE, _("a vault has at most %d copies"), MAX_COPIES);
        return copy_argument(optarg, &a->conf.copies[a->conf.n_copies++], e);
    case OPT_NAME:
        free(a->conf.name);
        a->conf.name = text_print("%s", optarg);
        return 0;
    case OPT_PASSPHRASE_FILE:
        a->passphrase_file = optarg;
        return 0;
    case OPT_RECOVERY_FILE:
        a->recovery_file = optarg;
        return 0;
    case OPT_KEEP:
        a->keep = true;
        return 0;
    default:
        return 1;
    }
}

/* 0, or an exit status after an error was shown. */
static int take_arguments(struct adopt *a, int argc, char **argv)
{
    static const struct option options[] = {
        { "copy", required_argument, NULL, OPT_COPY },
        { "vault", required_argument, NULL, OPT_NAME },
        { "recovery-file", required_argument, NULL, OPT_RECOVERY_FILE },
        { "passphrase-file", required_argument, NULL, OPT_PASSPHRASE_FILE },
        { "keep-recovery-key", no_argument, NULL, OPT_KEEP },
        OPTIONS_END,
    };
    struct err e = ERR_INIT;
    int c;
    args_begin();
    while ((c = args_next(argc, argv, ":", options)) != -1) {
        int rc = take_option(a, c, &e);
        if (rc > 0)
            return args_bad(a->app, c, argv);
        if (rc < 0) {
            err_wrap(&e, "adopt");
            return ui_error(&a->app->ui, &e);
        }
    }
    if (optind < argc)
        return app_usage(a->app, _("\"%s\" is not expected here"), argv[optind]);
    if (a->conf.n_copies == 0)
        return app_usage(a->app, _("no copy is named: --copy PLACE=URL"));
    return 0;
}

/* --- what the copies say ------------------------------------------------------------------------------------------- */
static bool same_vault(const struct vault_keys *a, const struct vault_keys *b)
{
    return id_eq(&a->vault_id, &b->vault_id) &&
           memcmp(a->recovery_pk, b->recovery_pk, PUBLIC_KEY_BYTES) == 0 &&
           memcmp(a->sign_pk, b->sign_pk, PUBLIC_KEY_BYTES) == 0 &&
           memcmp(a->root_pk, b->root_pk, PUBLIC_KEY_BYTES) == 0;
}

/* Opened with the passphrase, so that no copy can name keys of its own. Takes the keys of the first. */
static int look_at(struct adopt *a, size_t i, struct err *e)
{
    const struct copy_conf *c = &a->conf.copies[i];
    struct store_options o = { .identity = c->identity, .host_key = c->host_key };
    struct vault *v = NULL;
    int rc = vault_open_copy(c->url, &o, a->recovery_file, a->passphrase, &v, e);
    if (rc == 0 && i > 0 && !same_vault(&a->keys, &v->keys)) {
        err_set(e, ERR_REFUSED, _("it is a copy of another vault than \"%s\""),
                a->conf.copies[0].place);
        rc = err_next(e, _("name only copies of one vault; each vault is adopted by itself"));
    }
    if (rc == 0 && i == 0) {
        a->keys = v->keys;
        memset(&v->keys, 0, sizeof v->keys);
        if (!a->conf.name)
            a->conf.name = text_print("%s", v->name);
    }
    if (rc == 0 && i == 0)
        a->first = v;
    else
        vault_close(v);
    return rc < 0 ? err_wrap(e, _("copy \"%s\""), c->place) : 0;
}

static int check_new(const char *path, struct err *e)
{
    struct stat st;
    if (lstat(path, &st) < 0 && errno == ENOENT)
        return 0;
    err_set(e, ERR_EXISTS, _("it is there already"));
    err_next(
        e, _("this machine knows that vault: twofold status; or give another name: --vault NAME"));
    return err_wrap(e, "%s", path);
}

/* A key file may be what a killed adoption of this vault left: it says the same. */
static int check_key_file(const struct adopt *a, const char *path, bool recovery, struct err *e)
{
    struct vault_keys k = { 0 };
    int rc = recovery ? recovery_key_load(path, &a->keys.vault_id, &k, NULL)
                      : op_key_load(path, &a->keys.vault_id, &k, NULL);
    vault_keys_done(&k);
    return rc == 0 ? 0 : check_new(path, e);
}

static int make_paths(struct adopt *a, struct err *e)
{
    const char *dir = a->app->paths.config_dir, *name = a->conf.name;
    if (!config_name_ok(name)) {
        err_set(e, ERR_USAGE, _("\"%s\" cannot be the name of a vault"), name);
        return err_next(e, _("give it another name here: --vault NAME"));
    }
    a->op_path = text_print("%s/keys/%s.op", dir, name);
    a->recovery_path = text_print("%s/keys/%s.recovery", dir, name);
    char *conf_path = text_print("%s/vaults/%s.yaml", dir, name);
    int rc = check_new(conf_path, e);
    free(conf_path);
    if (rc == 0)
        rc = check_key_file(a, a->op_path, false, e);
    return rc == 0 ? check_key_file(a, a->recovery_path, true, e) : rc;
}

/* The configuration last: with it this machine has the vault. */
static int write_all(struct adopt *a, struct err *e)
{
    char *folder = text_print("%s/keys", a->app->paths.config_dir);
    a->conf.id = a->keys.vault_id;
    memcpy(a->conf.recovery_pk, a->keys.recovery_pk, PUBLIC_KEY_BYTES);
    memcpy(a->conf.signing_pk, a->keys.sign_pk, PUBLIC_KEY_BYTES);
    memcpy(a->conf.root_pk, a->keys.root_pk, PUBLIC_KEY_BYTES);
    int rc = sys_mkdir_p(a->app->paths.config_dir, 0755, e);
    if (rc == 0)
        rc = sys_mkdir_p(folder, 0700, e);
    free(folder);
    if (rc == 0)
        rc = op_key_save(a->op_path, &a->keys, e);
    if (rc == 0 && a->keep)
        rc = recovery_key_save(a->recovery_path, &a->keys, e);
    if (rc == 0)
        rc = vault_conf_write(&a->app->paths, &a->conf, e);
    if (rc < 0) {
        sys_unlinkat(AT_FDCWD, a->op_path, 0, NULL);
        if (a->keep)
            sys_unlinkat(AT_FDCWD, a->recovery_path, 0, NULL);
    }
    return rc;
}

static int adopt(struct adopt *a, struct err *e)
{
    int rc = copies_check(a->conf.copies, a->conf.n_copies, e);
    if (rc < 0 && a->conf.n_copies == 1)
        err_next(e, _("is only one copy left? Copy its folder to a second disk (cp -a), then name "
                      "both: --copy PLACE=URL --copy PLACE=URL"));
    if (rc == 0)
        rc = ui_passphrase(&a->app->ui, a->passphrase_file, false, &a->passphrase, e);
    for (size_t i = 0; rc == 0 && i < a->conf.n_copies; i++)
        rc = look_at(a, i, e);
    if (rc == 0)
        rc = make_paths(a, e);
    return rc == 0 ? write_all(a, e) : rc;
}

/* The incidents whose records it has: a procedure that was under way is gone on with here. */
static void take_incidents(struct adopt *a)
{
    if (!a->first)
        return;
    a->first->keys = a->keys;
    records_after_rebuild(a->app, a->first);
    memset(&a->first->keys, 0, sizeof a->first->keys);
}

static void print_result(const struct adopt *a)
{
    struct ui *ui = &a->app->ui;
    char hex[ID_HEX_BYTES];
    ui_json(ui, json_pack("{s:s, s:s, s:s, s:I, s:b}", "type", "adopted", "vault", a->conf.name,
                          "id", id_hex(&a->conf.id, hex), "copies", (json_int_t)a->conf.n_copies,
                          "recovery_key_kept", a->keep));
    ui_line(ui, _("This machine knows the vault \"%s\" now, with %zu of its copies."), a->conf.name,
            a->conf.n_copies);
    ui_line(
        ui,
        _("Next: twofold catalog rebuild --vault %s, and write the policies anew (they are\n"
          "in the backup of the old machine, if it was in one). If the old machine is gone for\n"
          "good, the first backup says so: twofold backup POLICY --take-over"),
        a->conf.name);
}

static void adopt_done(struct adopt *a)
{
    for (size_t i = 0; i < a->conf.n_copies; i++)
        copy_conf_done(&a->conf.copies[i]);
    vault_close(a->first);
    free(a->conf.name);
    free(a->op_path);
    free(a->recovery_path);
    secret_free(a->passphrase);
    vault_keys_done(&a->keys);
}

int cmd_adopt(struct app *app, int argc, char **argv)
{
    struct adopt a = {
        .app = app,
        .conf = { .suite = SUITE_1, .min_copies = 1, .compression = DEFAULT_COMPRESSION }
    };
    struct err e = ERR_INIT;
    int status = take_arguments(&a, argc, argv);
    if (status == 0 && adopt(&a, &e) < 0) {
        err_wrap(&e, "adopt");
        status = ui_error(&app->ui, &e);
    } else if (status == 0) {
        print_result(&a);
        take_incidents(&a);
    }
    adopt_done(&a);
    return status;
}
