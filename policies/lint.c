/* lint.c - checks all vaults and policies and names the duty that each finding is about (PY-DB-1: two
 * backups in two places; SMX-6: backups in time). The manual is policies/config.h. */
#include "policies/inner.h"
#include "lib/base/i18n.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct lint {
    const struct config_paths *p;
    lint_fn *fn;
    void *ctx;
    struct err *e;
    int errors;
    const char *kind; /* of the files that are being checked */
    /* Of the vaults that could be loaded. */
    struct vault_conf **vaults;
    size_t n_vaults, n_vault_files;
};

/* --- findings ------------------------------------------------------------------------------------------ */
struct place {
    const char *file;
    int line;
    const char *duty;
};

__attribute__((format(printf, 4, 5))) static void find(struct lint *l, bool error, struct place at,
                                                       const char *fmt, ...)
{
    struct lint_finding f = { .error = error, .duty = at.duty ? at.duty : "", .line = at.line };
    size_t n = strlen(at.file), skip = n < sizeof f.file ? 0 : n - sizeof f.file + 1;
    va_list ap;
    memcpy(f.file, at.file + skip, n - skip + 1); /* the end of a path says more */
    va_start(ap, fmt);
    vsnprintf(f.text, sizeof f.text, fmt, ap);
    va_end(ap);
    l->errors += error;
    l->fn(l->ctx, &f);
}

static void find_mistake(struct lint *l, const char *file, int line, const struct err *e)
{
    struct place at = { file, line, strstr(e->why, "PY-DB-1") ? "PY-DB-1" : "" };
    if (e->next[0])
        find(l, true, at, "%s; %s", e->why, e->next);
    else
        find(l, true, at, "%s", e->why);
}

static int other_file(void *ctx, const char *name)
{
    struct lint *l = ctx;
    char path[MAX_CONF_PATH];
    size_t n = strlen(name);
    snprintf(path, sizeof path, "%s/%s/%s", l->p->config_dir, l->kind, name);
    if (n > 0 && name[n - 1] == '~')
        return 0; /* an editor's backup */
    find(l, false, (struct place){ path, 0, "" },
         _("the file is not used: its name must be a plain name and end in .yaml"));
    return 0;
}

static void check_mode(struct lint *l, const char *file)
{
    struct stat st;
    if (stat(file, &st) == 0 && (st.st_mode & S_IWOTH))
        find(l, false, (struct place){ file, 0, "" },
             _("everybody may write this file: chmod o-w"));
}

/* --- vaults ---------------------------------------------------------------------------------------------- */
static void check_devices(struct lint *l, const char *file, const struct yaml_doc *d,
                          const struct vault_conf *v)
{
    struct stat st[MAX_COPIES];
    bool there[MAX_COPIES] = { false };
    char path[64];
    for (size_t i = 0; i < v->n_copies; i++) {
        const char *folder = conf_url_folder(v->copies[i].url);
        if (!folder)
            continue;
        snprintf(path, sizeof path, "copies.%zu.url", i);
        struct place at = { file, yaml_line(d, path), "PY-DB-1" };
        there[i] = stat(folder, &st[i]) == 0;
        if (!there[i]) {
            find(l, false, at, _("the copy \"%s\" is not there: %s (is the disk mounted?)"),
                 v->copies[i].place, folder);
            continue;
        }
        for (size_t j = 0; j < i; j++)
            if (there[j] && st[j].st_dev == st[i].st_dev) {
                find(l, false, at,
                     _("the copies \"%s\" and \"%s\" are on one device, which can fail as one"),
                     v->copies[j].place, v->copies[i].place);
                break;
            }
    }
}

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

/* Reads a file; 0 with *ret NULL when it could not be and that was reported. */
static int read_file(struct lint *l, const char *file, struct yaml_doc **ret)
{
    struct err e = ERR_INIT;
    int r = yaml_read(file, ret, &e);
    if (r == -ERR_NOMEM) {
        *l->e = e;
        return r;
    }
    if (r < 0)
        find_mistake(l, file, 0, &e);
    return 0;
}

static int lint_vault(void *ctx, const char *name)
{
    struct lint *l = ctx;
    struct yaml_doc *d = NULL;
    struct vault_conf *v = NULL;
    struct err e = ERR_INIT;
    char *file = conf_file(l->p, VAULTS, name);
    if (!file)
        return conf_out_of_memory(l->e);
    l->n_vault_files++;
    int r = read_file(l, file, &d);
    if (r == 0 && d) {
        check_mode(l, file);
        r = vault_conf_parse(d, l->p, name, &v, &e);
        if (r == -ERR_NOMEM) {
            *l->e = e;
        } else if (r < 0) {
            find_mistake(l, file, yaml_mistake_line(d), &e);
            r = 0;
        } else {
            check_devices(l, file, d, v);
            r = keep_vault(l, v);
        }
    }
    yaml_close(d);
    free(file);
    return r;
}

/* --- policies ---------------------------------------------------------------------------------------------- */
static void check_vault_of(struct lint *l, const char *file, const struct yaml_doc *d,
                           const struct policy *pol)
{
    struct place at = { file, yaml_line(d, "vault"), "" };
    struct stat st;
    if (pol->vault[0]) {
        char *its = conf_file(l->p, VAULTS, pol->vault);
        if (its && stat(its, &st) < 0)
            find(l, true, at, _("there is no vault \"%s\": %s is not there"), pol->vault, its);
        free(its);
    } else if (l->n_vault_files > 1) {
        at.line = 0;
        find(l, true, at,
             _("it must say which vault keeps it, because there are several: vault: NAME"));
    }
}

static bool is_excluded(const struct policy *pol, const char *path)
{
    for (size_t i = 0; i < pol->n_exclude; i++)
        if (pol->exclude[i][0] == '/' && conf_path_in(path, pol->exclude[i]))
            return true;
    return false;
}

/* A backup that holds its own copies grows without end. */
static void check_copies_in(struct lint *l, struct place at, const struct policy *pol,
                            const char *path)
{
    for (size_t i = 0; i < l->n_vaults; i++)
        for (size_t j = 0; j < l->vaults[i]->n_copies; j++) {
            const char *folder = conf_url_folder(l->vaults[i]->copies[j].url);
            if (folder && conf_path_in(folder, path) && !is_excluded(pol, folder))
                find(l, false, at, _("%s holds the copy %s itself: add that to \"exclude\""), path,
                     folder);
        }
}

static void check_paths(struct lint *l, const char *file, const struct yaml_doc *d,
                        const struct policy *pol)
{
    struct stat st;
    char where[64];
    for (size_t i = 0; i < pol->n_paths; i++) {
        snprintf(where, sizeof where, "files.paths.%zu", i);
        struct place at = { file, yaml_line(d, where), "" };
        if (lstat(pol->paths[i], &st) < 0)
            find(l, false, at, _("%s is not there"), pol->paths[i]);
        check_copies_in(l, at, pol, pol->paths[i]);
        for (size_t j = 0; j < pol->n_paths; j++)
            if (i != j && conf_path_in(pol->paths[i], pol->paths[j]) &&
                (i > j || strcmp(pol->paths[i], pol->paths[j]) != 0)) {
                find(l, false, at,
                     _("%s is part of %s, which is backed up, too: one of them is enough"),
                     pol->paths[i], pol->paths[j]);
                break;
            }
    }
}

static void check_policy(struct lint *l, const char *file, const struct yaml_doc *d,
                         const struct policy *pol)
{
    struct place at = { file, yaml_line(d, "rpo"), "SMX-6" };
    check_mode(l, file);
    check_vault_of(l, file, d, pol);
    check_paths(l, file, d, pol);
    if (pol->rpo_s > DEFAULT_RPO_S)
        find(l, false, at, _("an RPO over 26 h: a nightly run could be missed without an alarm"));
}

static int lint_policy(void *ctx, const char *name)
{
    struct lint *l = ctx;
    struct yaml_doc *d = NULL;
    struct policy *pol = NULL;
    struct err e = ERR_INIT;
    char *file = conf_file(l->p, POLICIES, name);
    if (!file)
        return conf_out_of_memory(l->e);
    int r = read_file(l, file, &d);
    if (r == 0 && d) {
        r = policy_parse(d, name, &pol, &e);
        if (r == -ERR_NOMEM) {
            *l->e = e;
        } else if (r < 0) {
            find_mistake(l, file, yaml_mistake_line(d), &e);
            r = 0;
        } else {
            check_policy(l, file, d, pol);
        }
    }
    policy_free(pol);
    yaml_close(d);
    free(file);
    return r;
}

int policy_lint(const struct config_paths *p, lint_fn *fn, void *ctx, struct err *e)
{
    struct err ignored = ERR_INIT;
    struct lint l = { .p = p, .fn = fn, .ctx = ctx, .e = e ? e : &ignored, .kind = VAULTS };
    int r = conf_each(p, VAULTS, lint_vault, other_file, &l, l.e);
    if (r == 0 && l.n_vault_files == 0)
        find(
            &l, false, (struct place){ p->config_dir, 0, "" },
            _("there is no vault yet: twofold init --vault NAME --copy PLACE=FOLDER --copy PLACE=FOLDER"));
    l.kind = POLICIES;
    if (r == 0)
        r = conf_each(p, POLICIES, lint_policy, other_file, &l, l.e);
    for (size_t i = 0; i < l.n_vaults; i++)
        vault_conf_free(l.vaults[i]);
    free(l.vaults);
    return r < 0 ? r : l.errors;
}
