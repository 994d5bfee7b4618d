/* cmd_init.c - `twofold init`: makes a vault with two or more copies (PY-DB-1) and prints its recovery kit. Everything is
 * checked before anything is written; the rule for passphrases is JZ-pw. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/args.h"
#include "orchestrator/copy_access.h"
#include "orchestrator/init.h"
#include "orchestrator/look.h"
#include "orchestrator/text.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_COMPRESSION 3

enum {
    OPT_KEEP = OPT_OWN,
    OPT_NO_KEEP,
    OPT_OFF_COPY,
    OPT_KIT,
    OPT_ROTATING,
    OPT_EVERY,
    OPT_NOT_DELETABLE,
    OPT_LIMIT
};

/* --- options ----------------------------------------------------------------------------------- */
int copy_argument(const char *text, struct copy_conf *ret, struct err *e)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1]) {
        err_set(e, ERR_USAGE, _("\"%s\" does not say a place and an address"), text);
        return err_next(e, _("write for instance: --copy machine-room=/backup/a"));
    }
    *ret = (struct copy_conf){ .place = strndup(text, (size_t)(equals - text)),
                               .every_s = DEFAULT_EVERY_S,
                               .deletable = true };
    if (!ret->place)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    return absolute_url(equals + 1, &ret->url, e);
}

static int take_copy(struct init *in, const char *text, struct err *e)
{
    if (in->conf.n_copies == MAX_COPIES)
        return err_set(e, ERR_USAGE, _("a vault has at most %d copies"), MAX_COPIES);
    return copy_argument(text, &in->conf.copies[in->conf.n_copies++], e);
}

/* Of the copy that was named last. */
static int take_copy_option(struct init *in, int c, struct err *e)
{
    if (in->conf.n_copies == 0)
        return err_set(e, ERR_USAGE, _("what says more of a copy belongs behind its --copy"));
    struct copy_conf *last = &in->conf.copies[in->conf.n_copies - 1];
    switch (c) {
    case OPT_IDENTITY:
        free(last->identity);
        last->identity = NULL;
        return absolute_url(optarg, &last->identity, e);
    case OPT_HOST_KEY:
        free(last->host_key);
        last->host_key = strdup(optarg);
        return last->host_key ? 0 : err_set(e, ERR_NOMEM, _("out of memory"));
    case OPT_EVERY:
        last->rotating = true;
        if (duration_parse(optarg, &last->every_s))
            return 0;
        err_set(e, ERR_USAGE, _("\"%s\" is not a length of time"), optarg);
        return err_next(e, _("write for instance: %s 7d (s, m, h or d)"), "--every");
    case OPT_LIMIT:
        if (size_parse(optarg, &last->limit_bytes_s))
            return 0;
        err_set(e, ERR_USAGE, _("\"%s\" is not a number of bytes"), optarg);
        return err_next(e, _("write for instance: --limit 20MiB (KiB, MiB, GiB), per second"));
    case OPT_NOT_DELETABLE:
        last->deletable = false;
        return 0;
    default:
        last->rotating = true;
        return 0;
    }
}

static int take_option(struct init *in, int c, struct err *e)
{
    switch (c) {
    case OPT_VAULT:
        free(in->conf.name);
        in->conf.name = strdup(optarg);
        return in->conf.name ? 0 : err_set(e, ERR_NOMEM, _("out of memory"));
    case OPT_COPY:
        return take_copy(in, optarg, e);
    case OPT_IDENTITY:
    case OPT_HOST_KEY:
    case OPT_ROTATING:
    case OPT_EVERY:
    case OPT_NOT_DELETABLE:
    case OPT_LIMIT:
        return take_copy_option(in, c, e);
    case OPT_PASSPHRASE_FILE:
        in->passphrase_file = optarg;
        return 0;
    case OPT_RECOVERY_FILE:
        in->recovery_file = optarg;
        return 0;
    case OPT_KEEP:
    case OPT_NO_KEEP:
        in->keep = c == OPT_KEEP;
        in->keep_asked = true;
        return 0;
    case OPT_OFF_COPY:
        in->off_copy = true;
        return 0;
    case OPT_KIT:
        in->kit_file = optarg;
        return 0;
    default:
        return 1;
    }
}

/* 0, or an exit status after an error was shown. */
static int take_arguments(struct init *in, int argc, char **argv)
{
    static const struct option options[] = {
        CHOICE_OPTIONS,
        { "keep-recovery-key", no_argument, NULL, OPT_KEEP },
        { "no-keep-recovery-key", no_argument, NULL, OPT_NO_KEEP },
        { "recovery-off-copy", no_argument, NULL, OPT_OFF_COPY },
        { "kit", required_argument, NULL, OPT_KIT },
        { "rotating", no_argument, NULL, OPT_ROTATING },
        { "every", required_argument, NULL, OPT_EVERY },
        { "not-deletable", no_argument, NULL, OPT_NOT_DELETABLE },
        { "limit", required_argument, NULL, OPT_LIMIT },
        OPTIONS_END,
    };
    struct err e = ERR_INIT;
    int c;
    args_begin();
    while ((c = args_next(argc, argv, ":", options)) != -1) {
        int rc = take_option(in, c, &e);
        if (rc > 0)
            return args_bad(in->app, c, argv);
        if (rc < 0) {
            err_wrap(&e, "init");
            return ui_error(&in->app->ui, &e);
        }
    }
    if (optind < argc)
        return app_usage(in->app, _("\"%s\" is not expected here"), argv[optind]);
    if (!in->conf.name)
        return app_usage(in->app, _("the vault has no name: --vault NAME"));
    if (in->off_copy && !in->recovery_file)
        return app_usage(in->app,
                         _("--recovery-off-copy needs --recovery-file FILE: it would be nowhere"));
    return 0;
}

/* --- checks, before anything is written -------------------------------------------------------------- */
/* May `path`, which need not exist, be made and written to? */
static int check_writable(const char *path, struct err *e)
{
    struct stat st;
    char *part = strdup(path);
    if (!part)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    int rc = 0;
    while (stat(part, &st) < 0 && errno == ENOENT && strcmp(part, "/") != 0) {
        char *slash = strrchr(part, '/');
        while (slash > part && slash[-1] == '/')
            slash--;
        if (slash)
            slash[slash == part] = '\0';
        else
            strcpy(part, ".");
        if (!slash)
            break;
    }
    if (stat(part, &st) < 0) {
        rc = err_sys(e, "%s", part);
    } else if (!S_ISDIR(st.st_mode)) {
        err_set(e, ERR_EXISTS, _("%s is not a folder"), part);
        rc = err_wrap(e, "%s", path);
    } else if (access(part, W_OK | X_OK) < 0) {
        rc = err_sys(e, "%s", part);
        err_next(e, _("run it as a user who may write there, or name another folder"));
    }
    free(part);
    return rc;
}

static int check_empty(const char *folder, struct err *e)
{
    const struct dirent *de;
    bool empty = true, vault = false;
    DIR *d = opendir(folder);
    if (!d)
        return errno == ENOENT ? 0 : err_sys(e, "%s", folder);
    while ((de = readdir(d))) {
        const char *n = de->d_name;
        if (strcmp(n, ".") == 0 || strcmp(n, "..") == 0 || strcmp(n, "lost+found") == 0)
            continue;
        empty = false;
        vault = vault || strcmp(n, "vault") == 0;
    }
    closedir(d);
    if (empty)
        return 0;
    if (vault) {
        err_set(e, ERR_EXISTS, _("the folder already holds a vault"));
        err_next(e,
                 _("name a new or empty folder; to see what is in it: twofold snapshots --copy %s"),
                 folder);
    } else {
        err_set(e, ERR_EXISTS, _("the folder is not empty"));
        err_next(e, _("name a new or empty folder"));
    }
    return err_wrap(e, "%s", folder);
}

static int check_copies(const struct init *in, struct err *e)
{
    int rc = copies_check(in->conf.copies, in->conf.n_copies, e);
    for (size_t i = 0; rc == 0 && i < in->conf.n_copies; i++) {
        const char *url = in->conf.copies[i].url;
        const char *folder = strncmp(url, "file://", 7) == 0 ? url + 7 : url;
        if (folder[0] != '/')
            continue;
        rc = check_writable(folder, e);
        if (rc == 0)
            rc = check_empty(folder, e);
        if (rc < 0)
            err_wrap(e, _("copy \"%s\""), in->conf.copies[i].place);
    }
    return rc;
}

/* Nothing that is there is ever written over: a key that is gone is a vault that is gone. */
static int check_absent(const char *path, const char *next, struct err *e)
{
    struct stat st;
    if (!path || (lstat(path, &st) < 0 && errno == ENOENT))
        return 0;
    err_set(e, ERR_EXISTS, _("it is there already"));
    err_next(e, "%s", next);
    return err_wrap(e, "%s", path);
}

static int check_files(const struct init *in, struct err *e)
{
    const char *other_name = _("choose another name for the new vault: --vault NAME");
    const char *other_file = _("name a file that is not there yet");
    int rc = check_absent(in->conf_path, other_name, e);
    if (rc == 0)
        rc = check_absent(in->op_path, other_name, e);
    if (rc == 0)
        rc = check_absent(in->recovery_key_path, other_name, e);
    if (rc == 0)
        rc = check_writable(in->app->paths.config_dir, e);
    if (rc == 0)
        rc = check_absent(in->recovery_file, other_file, e);
    if (rc == 0)
        rc = check_absent(in->kit_file, other_file, e);
    for (int i = 0; rc == 0 && i < 2; i++) {
        const char *file = i ? in->kit_file : in->recovery_file;
        const char *slash = file ? strrchr(file, '/') : NULL;
        struct stat st;
        char *folder = slash ? strndup(file, (size_t)(slash - file) + (slash == file))
                             : strdup(".");
        if (file && folder && stat(folder, &st) < 0)
            rc = err_sys(e, "%s", folder);
        else if (file && folder)
            rc = check_writable(folder, e);
        free(folder);
    }
    return rc;
}

static int make_paths(struct init *in, struct err *e)
{
    const char *dir = in->app->paths.config_dir, *name = in->conf.name;
    if (!config_name_ok(name)) {
        err_set(e, ERR_USAGE, _("\"%s\" cannot be the name of a vault"), name);
        return err_next(
            e,
            _("a name has letters, digits, '.', '_' and '-', at most %d, and starts with a "
              "letter or a digit"),
            MAX_NAME);
    }
    in->op_path = text_print("%s/keys/%s.op", dir, name);
    in->recovery_key_path = text_print("%s/keys/%s.recovery", dir, name);
    in->conf_path = text_print("%s/vaults/%s.yaml", dir, name);
    return 0;
}

static int check_all(struct init *in, struct err *e)
{
    int rc = make_paths(in, e);
    if (rc == 0)
        rc = check_files(in, e);
    if (rc == 0)
        rc = check_copies(in, e);
    /* The key of a copy on another host may be made now: a second try uses it again. */
    for (size_t i = 0; rc == 0 && i < in->conf.n_copies; i++)
        rc = copy_prepare(in->app, in->conf.name, &in->conf.copies[i], e);
    if (rc == 0)
        rc = ui_passphrase(&in->app->ui, in->passphrase_file, true, &in->passphrase, e);
    if (rc == 0 && (rc = passphrase_check(in->passphrase, e)) < 0) {
        err_next(e,
                 _("choose 16 or more characters of three kinds (JZ-pw): lower case, upper case, "
                   "digits, others"));
        err_wrap(e, _("passphrase"));
    }
    return rc;
}

/* --- the one question ----------------------------------------------------------------------------------- */
static void ask_about_key(struct init *in)
{
    struct ui *ui = &in->app->ui;
    if (in->keep_asked)
        return;
    if (!ui->json && !ui->yes && isatty(STDIN_FILENO))
        in->keep_asked = true;
    in->keep = ui_ask(
        ui,
        _("Keep the recovery key on this machine?\n"
          "  yes: a restore, at night too, asks nobody; but whoever steals this machine\n"
          "       can read all backups.\n"
          "  no:  a restore asks for the passphrase; a stolen machine reads no backup.\n"
          "Keep it here?"),
        false);
}

/* A place whose parent is missing is often a slip, or a disk that is not mounted: the copy would land on the system's disk. */
static int ask_about_folders(struct init *in, struct err *e)
{
    for (size_t i = 0; i < in->conf.n_copies; i++) {
        const char *folder = init_url_folder(in->conf.copies[i].url);
        const char *slash = folder ? strrchr(folder, '/') : NULL;
        struct stat st;
        if (!slash || slash == folder)
            continue;
        char *parent = strndup(folder, (size_t)(slash - folder)), *question = NULL;
        if (!parent)
            return err_set(e, ERR_NOMEM, _("out of memory"));
        bool missing = lstat(parent, &st) < 0 && errno == ENOENT, yes = true;
        if (missing)
            ui_warn(&in->app->ui, _("copy \"%s\": there is no folder %s: is its disk mounted?"),
                    in->conf.copies[i].place, parent);
        if (missing && asprintf(&question, _("Make %s here?"), folder) >= 0)
            yes = ui_ask(&in->app->ui, question, true);
        free(question);
        free(parent);
        if (!yes) {
            err_set(e, ERR_REFUSED, _("nothing was made"));
            return err_next(e, _("mount the disk, or name another folder, and run it again"));
        }
    }
    return 0;
}

static void warn_same_device(const struct init *in)
{
    for (size_t i = 0; i < in->conf.n_copies; i++)
        for (size_t k = 0; k < i; k++)
            if (in->space[i].device && in->space[i].device == in->space[k].device)
                ui_warn(
                    &in->app->ui,
                    _("the copies \"%s\" and \"%s\" are on one device, which can fail as one; PY-DB-1 "
                      "asks for two places"),
                    in->conf.copies[k].place, in->conf.copies[i].place);
}

static void print_result(const struct init *in)
{
    struct ui *ui = &in->app->ui;
    if (ui->json) {
        ui_json(ui, init_kit_json(in));
        return;
    }
    char *kit = init_kit_text(in);
    ui_line(ui, "%s", kit);
    free(kit);
    if (!in->keep_asked)
        ui_line(ui,
                _("Nobody was asked, so the recovery key was not kept on this machine: a restore\n"
                  "asks for the passphrase.\n"));
    if (in->kit_file)
        ui_line(ui, _("This page is also in %s: print it, then delete it."), in->kit_file);
    ui_line(ui, _("Next: twofold policy add NAME --files PATH, then: twofold backup NAME"));
}

static void init_done(struct init *in)
{
    for (size_t i = 0; i < in->conf.n_copies; i++) {
        store_close(in->stores[i]);
        copy_conf_done(&in->conf.copies[i]);
    }
    free(in->conf.name);
    free(in->op_path);
    free(in->recovery_key_path);
    free(in->conf_path);
    secret_free(in->passphrase);
    vault_keys_done(&in->keys);
    wbuf_free(&in->vault_object);
    wbuf_free(&in->recovery);
}

int cmd_init(struct app *app, int argc, char **argv)
{
    struct init in = {
        .app = app,
        .conf = { .suite = SUITE_1, .min_copies = 1, .compression = DEFAULT_COMPRESSION }
    };
    struct err e = ERR_INIT;
    int status = take_arguments(&in, argc, argv);
    if (status == 0) {
        int rc = check_all(&in, &e);
        if (rc == 0) {
            ask_about_key(&in);
            rc = ask_about_folders(&in, &e);
        }
        if (rc == 0) {
            rc = sys_interrupted() ? err_set(&e, ERR_INTERRUPTED, _("interrupted by a signal"))
                                   : init_make(&in, &e);
        }
        if (rc == 0) {
            warn_same_device(&in);
            print_result(&in);
        } else {
            err_wrap(&e, _("init of vault \"%s\""), in.conf.name);
            status = ui_error(&app->ui, &e);
        }
    }
    init_done(&in);
    return status;
}
