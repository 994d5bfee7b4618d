/* init_make.c - writes a new vault to all of its copies (docs/format.md, "vault" and "recovery"), its keys and its
 * configuration; whatever fails half-way is taken back, so that nothing is left. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/copy_access.h"
#include "orchestrator/init.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_MADE_FOLDERS 256
#define MAX_MADE_FILES 8

/* What was not there before: folders in the order in which they are made. */
struct made {
    char *folders[MAX_MADE_FOLDERS];
    const char *files[MAX_MADE_FILES]; /* borrowed */
    size_t n_folders, n_files;
};

/* Notes the parts of the path that do not exist yet: they are going to be made. */
static void note_folders(struct made *m, const char *path)
{
    struct stat st;
    char *part = strdup(path);
    if (!part)
        return;
    for (char *p = part; *p;) {
        p += strspn(p, "/");
        p += strcspn(p, "/");
        char keep = *p;
        *p = '\0';
        if (lstat(part, &st) < 0 && errno == ENOENT && m->n_folders < MAX_MADE_FOLDERS) {
            char *made = strdup(part);
            if (made)
                m->folders[m->n_folders++] = made;
        }
        *p = keep;
    }
    free(part);
}

static void made_done(struct made *m)
{
    while (m->n_folders > 0)
        free(m->folders[--m->n_folders]);
}

static void take_back(struct init *in, struct made *m)
{
    for (size_t i = 0; i < in->conf.n_copies; i++)
        if (in->stores[i]) {
            store_delete(in->stores[i], VAULT_OBJECT_NAME, NULL);
            store_delete(in->stores[i], RECOVERY_OBJECT_NAME, NULL);
        }
    while (m->n_files > 0)
        sys_unlinkat(AT_FDCWD, m->files[--m->n_files], 0, NULL);
    /* Only empty ones go: what somebody else has put there in the meantime stays. */
    for (size_t i = m->n_folders; i > 0; i--)
        sys_unlinkat(AT_FDCWD, m->folders[i - 1], AT_REMOVEDIR, NULL);
}

const char *init_url_folder(const char *url)
{
    if (strncmp(url, "file://", 7) == 0)
        url += 7;
    return url[0] == '/' ? url : NULL;
}

static int make_copy(struct init *in, struct made *m, size_t i, struct err *e)
{
    const struct copy_conf *c = &in->conf.copies[i];
    const char *folder = init_url_folder(c->url);
    static const char *const inside[] = { "vault", "tmp" };
    for (size_t k = 0; folder && k < sizeof inside / sizeof *inside; k++) {
        char *path = NULL;
        if (asprintf(&path, "%s/%s", folder, inside[k]) < 0)
            return err_set(e, ERR_NOMEM, _("out of memory"));
        note_folders(m, path);
        free(path);
    }
    struct store_options o = { .identity = c->identity, .host_key = c->host_key };
    int rc = store_open_with(c->url, &o, STORE_CREATE, &in->stores[i], e);
    if (rc < 0)
        rc = copy_not_let_in(c, e);
    if (rc == 0)
        rc = store_space(in->stores[i], &in->space[i], e);
    return rc < 0 ? err_wrap(e, _("make copy \"%s\""), c->place) : 0;
}

static int fill_copy(struct init *in, size_t i, struct err *e)
{
    struct store_data vault = { .p = in->vault_object.p, .fd = -1, .len = in->vault_object.len };
    struct store_data recovery = { .p = in->recovery.p, .fd = -1, .len = in->recovery.len };
    int rc = in->off_copy ? 0 : store_put(in->stores[i], RECOVERY_OBJECT_NAME, &recovery, e);
    /* The vault object last: with it the folder is a copy. */
    if (rc == 0)
        rc = store_put(in->stores[i], VAULT_OBJECT_NAME, &vault, e);
    return rc < 0 ? err_wrap(e, _("write to copy \"%s\""), in->conf.copies[i].place) : 0;
}

static int make_keys(struct init *in, struct err *e)
{
    in->created_s = sys_realtime_s();
    int rc = vault_keys_generate(&in->keys, e);
    if (rc == 0)
        rc = vault_object_write(&in->keys, in->conf.name, in->created_s, &in->vault_object, e);
    if (rc == 0)
        rc = recovery_write(&in->keys, in->passphrase, &in->recovery, e);
    if (rc == 0 && (in->vault_object.failed || in->recovery.failed))
        rc = err_set(e, ERR_NOMEM, _("out of memory"));
    if (rc < 0)
        return rc;
    in->conf.id = in->keys.vault_id;
    memcpy(in->conf.recovery_pk, in->keys.recovery_pk, PUBLIC_KEY_BYTES);
    memcpy(in->conf.signing_pk, in->keys.sign_pk, PUBLIC_KEY_BYTES);
    memcpy(in->conf.root_pk, in->keys.root_pk, PUBLIC_KEY_BYTES);
    return 0;
}

static int save_keys(struct init *in, struct made *m, struct err *e)
{
    char *folder = NULL;
    if (asprintf(&folder, "%s/keys", in->app->paths.config_dir) < 0)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    note_folders(m, folder);
    char *slash = strrchr(folder, '/');
    *slash = '\0';
    int rc = sys_mkdir_p(folder, 0755, e);
    *slash = '/';
    if (rc == 0)
        rc = sys_mkdir_p(folder, 0700, e);
    free(folder);
    if (rc == 0) {
        m->files[m->n_files++] = in->op_path;
        rc = op_key_save(in->op_path, &in->keys, e);
    }
    if (rc == 0 && in->keep) {
        m->files[m->n_files++] = in->recovery_key_path;
        rc = recovery_key_save(in->recovery_key_path, &in->keys, e);
    }
    if (rc == 0 && in->recovery_file) {
        m->files[m->n_files++] = in->recovery_file;
        rc = sys_write_file(AT_FDCWD, in->recovery_file, in->recovery.p, in->recovery.len, 0600, e);
    }
    return rc;
}

static int save_kit(struct init *in, struct made *m, struct err *e)
{
    if (!in->kit_file)
        return 0;
    char *text = init_kit_text(in);
    m->files[m->n_files++] = in->kit_file;
    int rc = sys_write_file(AT_FDCWD, in->kit_file, text, strlen(text), 0600, e);
    free(text);
    return rc < 0 ? err_wrap(e, _("recovery kit")) : 0;
}

static int save_conf(struct init *in, struct made *m, struct err *e)
{
    char *folder = NULL;
    if (asprintf(&folder, "%s/vaults", in->app->paths.config_dir) < 0)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    note_folders(m, folder);
    free(folder);
    int rc = vault_conf_write(&in->app->paths, &in->conf, e);
    /* A failure after the rename may have left it there. */
    if (rc < 0 && rc != -ERR_EXISTS)
        m->files[m->n_files++] = in->conf_path;
    return rc;
}

static int make_all(struct init *in, struct made *m, struct err *e)
{
    int rc = make_keys(in, e);
    for (size_t i = 0; rc == 0 && i < in->conf.n_copies; i++)
        rc = make_copy(in, m, i, e);
    if (rc == 0)
        rc = save_keys(in, m, e);
    for (size_t i = 0; rc == 0 && i < in->conf.n_copies; i++)
        rc = fill_copy(in, i, e);
    if (rc == 0)
        rc = save_kit(in, m, e);
    if (rc == 0 && sys_interrupted())
        rc = err_set(e, ERR_INTERRUPTED, _("interrupted by a signal"));
    if (rc == 0)
        rc = save_conf(in, m, e);
    return rc;
}

int init_make(struct init *in, struct err *e)
{
    struct made m = { .n_folders = 0 };
    int rc = make_all(in, &m, e);
    if (rc < 0)
        take_back(in, &m);
    made_done(&m);
    return rc;
}
