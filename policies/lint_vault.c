/* lint_vault.c - checks of vaults/NAME.yaml: two backups in two places (PY-DB-1), one of which a stolen orchestrator cannot
 * delete, and keys that nobody else reads. */
#include "lib/base/i18n.h"
#include "policies/lint_inner.h"

#include <dirent.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define FUSE_MAGIC 0x65735546
#define CEPH_MAGIC 0x00c36400

struct checked {
    struct lint *l;
    const char *file;
    const struct yaml_doc *d;
    const struct vault_conf *v;
};

static struct place at_copy(const struct checked *c, size_t i, const char *key, const char *duty)
{
    char path[64];
    snprintf(path, sizeof path, "copies.%zu%s%s", i, key[0] ? "." : "", key);
    return (struct place){ c->file, yaml_line(c->d, path), duty };
}

/* --- where copies are ------------------------------------------------------------------------------------- */
static bool is_empty(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *de;
    bool empty = true;
    while (dir && empty && (de = readdir(dir)))
        empty = de->d_name[0] == '.' || strcmp(de->d_name, "lost+found") == 0;
    if (dir)
        closedir(dir);
    return dir && empty;
}

enum whereabouts lint_where(const struct copy_conf *c)
{
    static const long network[] = { NFS_SUPER_MAGIC,        SMB_SUPER_MAGIC, (long)CIFS_SUPER_MAGIC,
                                    (long)SMB2_SUPER_MAGIC, FUSE_MAGIC,      CEPH_MAGIC };
    const char *folder = conf_url_folder(c->url);
    struct statfs fs;
    if (!folder)
        return WHERE_NETWORK;
    if (statfs(folder, &fs) < 0 || (c->rotating && is_empty(folder)))
        return WHERE_AWAY;
    for (size_t i = 0; i < sizeof network / sizeof *network; i++)
        if ((unsigned long)fs.f_type == (unsigned long)network[i])
            return WHERE_NETWORK;
    return WHERE_HERE;
}

static void check_devices(const struct checked *c)
{
    struct stat st[MAX_COPIES];
    bool there[MAX_COPIES] = { false };
    for (size_t i = 0; i < c->v->n_copies; i++) {
        const struct copy_conf *copy = &c->v->copies[i];
        const char *folder = conf_url_folder(copy->url);
        struct place at = at_copy(c, i, "url", "PY-DB-1");
        if (!folder)
            continue;
        there[i] = lint_where(copy) != WHERE_AWAY && stat(folder, &st[i]) == 0;
        if (!there[i] && !copy->rotating)
            lint_find(c->l, LINT_WARNING, at,
                      _("the copy \"%s\" is not there: %s (is the disk mounted?)"), copy->place,
                      folder);
        for (size_t j = 0; j < i && there[i]; j++)
            if (there[j] && st[j].st_dev == st[i].st_dev) {
                lint_find(
                    c->l, LINT_WARNING, at,
                    _("the copies \"%s\" and \"%s\" are on one device, which can fail as one"),
                    c->v->copies[j].place, copy->place);
                break;
            }
    }
}

static char *host_of(const char *url)
{
    struct sftp_address a;
    char *host = NULL;
    if (sftp_address_parse(url, &a, NULL) <= 0)
        return NULL;
    host = a.host;
    a.host = NULL;
    sftp_address_done(&a);
    return host;
}

static void check_hosts(const struct checked *c)
{
    char *hosts[MAX_COPIES] = { NULL };
    for (size_t i = 0; i < c->v->n_copies; i++) {
        hosts[i] = host_of(c->v->copies[i].url);
        for (size_t j = 0; j < i && hosts[i]; j++)
            if (hosts[j] && strcasecmp(hosts[i], hosts[j]) == 0) {
                lint_find(
                    c->l, LINT_WARNING, at_copy(c, i, "url", "PY-DB-1"),
                    _("the copies \"%s\" and \"%s\" are on one host (%s), which can fail as one"),
                    c->v->copies[j].place, c->v->copies[i].place, hosts[i]);
                break;
            }
    }
    for (size_t i = 0; i < c->v->n_copies; i++)
        free(hosts[i]);
}

/* One fire, one flood: are all of them here? And what if all the disks are out? */
static void check_places(const struct checked *c)
{
    size_t here = 0, always = 0, kept = 0;
    struct place at = { c->file, yaml_line(c->d, "copies"), "PY-DB-1" };
    for (size_t i = 0; i < c->v->n_copies; i++) {
        const struct copy_conf *copy = &c->v->copies[i];
        here += !copy->rotating && lint_where(copy) == WHERE_HERE;
        always += !copy->rotating;
        kept += !copy->deletable;
    }
    if (here == c->v->n_copies)
        lint_find(
            c->l, LINT_WARNING, at,
            _("all copies are in this machine: one of them belongs in another safe building"));
    if (always == 0)
        lint_find(c->l, LINT_WARNING, at,
                  _("all copies are carried away: while they are, nothing is backed up"));
    else if (c->v->min_copies > always)
        lint_find(
            c->l, LINT_WARNING, (struct place){ c->file, yaml_line(c->d, "min-copies"), "PY-DB-1" },
            _("min-copies is %u, but only %zu are there when the carried ones are away: runs fail then"),
            c->v->min_copies, always);
    at.duty = "3-2-1-1-0";
    if (kept == 0)
        lint_find(
            c->l, LINT_WARNING, at,
            _("whoever steals this machine can delete every copy: carry one away, or make one "
              "append-only or locked, and write deletable: false there"));
}

/* --- keys --------------------------------------------------------------------------------------------------- */
static void check_access(const struct checked *c)
{
    for (size_t i = 0; i < c->v->n_copies; i++) {
        const struct copy_conf *copy = &c->v->copies[i];
        char what[MAX_NAME + 64];
        if (strncmp(copy->url, "sftp://", 7) != 0)
            continue;
        if (!copy->host_key)
            lint_find(
                c->l, LINT_WARNING, at_copy(c, i, "", "LY-2.2"),
                _("the host of the copy \"%s\" is not known by its key: twofold copy trust %s"),
                copy->place, copy->place);
        snprintf(what, sizeof what, _("the private key of the copy \"%s\""), copy->place);
        if (copy->identity)
            lint_secret_file(c->l, at_copy(c, i, "identity", "LY-2.2"), copy->identity, what);
    }
}

static void check_keys(const struct checked *c)
{
    char path[MAX_CONF_PATH];
    struct stat st;
    snprintf(path, sizeof path, "%s/keys/%s.op", c->l->p->config_dir, c->v->name);
    lint_secret_file(c->l, (struct place){ c->file, 0, "" }, path, _("the operational key"));
    snprintf(path, sizeof path, "%s/keys/%s.recovery", c->l->p->config_dir, c->v->name);
    if (stat(path, &st) == 0)
        lint_secret_file(c->l, (struct place){ c->file, 0, "" }, path, _("the recovery key"));
}

/* --- the file ------------------------------------------------------------------------------------------------- */
static int keep_vault(struct lint *l, struct vault_conf *v)
{
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers it is */
    struct vault_conf **grown = realloc(l->vaults, (l->n_vaults + 1) * sizeof *grown);
    if (!grown) {
        vault_conf_free(v);
        return conf_out_of_memory(l->e);
    }
    l->vaults = grown;
    l->vaults[l->n_vaults++] = v;
    return 0;
}

int lint_vault(void *ctx, const char *name)
{
    struct lint *l = ctx;
    struct yaml_doc *d = NULL;
    struct vault_conf *v = NULL;
    struct err e = ERR_INIT;
    char *file = conf_file(l->p, VAULTS, name);
    if (!file)
        return conf_out_of_memory(l->e);
    l->n_vault_files++;
    int r = lint_read(l, file, &d);
    if (r == 0 && d) {
        r = vault_conf_parse(d, l->p, name, &v, &e);
        r = lint_parsed(l, file, d, r, &e);
        if (r > 0) {
            struct checked c = { l, file, d, v };
            check_devices(&c);
            check_hosts(&c);
            check_places(&c);
            check_access(&c);
            check_keys(&c);
            r = keep_vault(l, v);
        }
    }
    yaml_close(d);
    free(file);
    return r;
}
