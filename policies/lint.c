/* lint.c - checks all configuration and names the duty that each finding is about (requirements: PY-DB-1, two backups in two
 * places; SMX-6, backups in time; …). The manual is policies/config.h; the checks are in lint_*.c. */
#include "lib/base/i18n.h"
#include "policies/lint_inner.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* --- findings ------------------------------------------------------------------------------------------ */
void lint_find(struct lint *l, enum lint_level level, struct place at, const char *fmt, ...)
{
    struct lint_finding f = { .level = level,
                              .error = level == LINT_ERROR,
                              .duty = at.duty ? at.duty : "",
                              .line = at.line };
    size_t n = strlen(at.file), skip = n < sizeof f.file ? 0 : n - sizeof f.file + 1;
    va_list ap;
    memcpy(f.file, at.file + skip, n - skip + 1); /* the end of a path says more */
    va_start(ap, fmt);
    vsnprintf(f.text, sizeof f.text, fmt, ap);
    va_end(ap);
    l->errors += f.error;
    l->fn(l->ctx, &f);
}

void lint_mistake(struct lint *l, const char *file, int line, const struct err *e)
{
    struct place at = { file, line, strstr(e->why, "PY-DB-1") ? "PY-DB-1" : "" };
    if (e->next[0])
        lint_find(l, LINT_ERROR, at, "%s; %s", e->why, e->next);
    else
        lint_find(l, LINT_ERROR, at, "%s", e->why);
}

static int other_file(void *ctx, const char *name)
{
    struct lint *l = ctx;
    char path[MAX_CONF_PATH];
    size_t n = strlen(name);
    snprintf(path, sizeof path, "%s/%s/%s", l->p->config_dir, l->kind, name);
    if (n > 0 && name[n - 1] == '~')
        return 0; /* an editor's backup */
    lint_find(l, LINT_WARNING, (struct place){ path, 0, "" },
              _("the file is not used: its name must be a plain name and end in .yaml"));
    return 0;
}

void lint_mode(struct lint *l, const char *file)
{
    struct stat st;
    if (stat(file, &st) == 0 && (st.st_mode & S_IWOTH))
        lint_find(l, LINT_WARNING, (struct place){ file, 0, "" },
                  _("everybody may write this file: chmod o-w"));
}

void lint_secret_file(struct lint *l, struct place at, const char *file, const char *what)
{
    struct stat st;
    if (stat(file, &st) < 0)
        lint_find(l, LINT_WARNING, at, _("%s cannot be read: %s: %s"), what, file, strerror(errno));
    else if (st.st_mode & (S_IRWXG | S_IRWXO))
        lint_find(l, LINT_ERROR, at, _("others may read %s: chmod 600 %s"), what, file);
}

/* --- the files one by one --------------------------------------------------------------------------------- */
int lint_read(struct lint *l, const char *file, struct yaml_doc **ret)
{
    struct err e = ERR_INIT;
    int r = yaml_read(file, ret, &e);
    if (r == -ERR_NOMEM) {
        *l->e = e;
        return r;
    }
    if (r < 0)
        lint_mistake(l, file, 0, &e);
    else
        lint_mode(l, file);
    return 0;
}

int lint_parsed(struct lint *l, const char *file, const struct yaml_doc *d, int r,
                const struct err *e)
{
    if (r == -ERR_NOMEM) {
        *l->e = *e;
        return r;
    }
    if (r < 0)
        lint_mistake(l, file, yaml_mistake_line(d), e);
    return r == 0;
}

static int lint_kind(struct lint *l, const char *kind, conf_name_fn *fn)
{
    l->kind = kind;
    return conf_each(l->p, kind, fn, other_file, l, l->e);
}

static void lint_done(struct lint *l)
{
    for (size_t i = 0; i < l->n_vaults; i++)
        vault_conf_free(l->vaults[i]);
    for (size_t i = 0; i < l->n_calendars; i++)
        free(l->calendars[i].spec);
    free(l->vaults);
    free(l->calendars);
    contacts_free(l->contacts);
    workdays_free(l->workdays);
    settings_free(l->settings);
}

int policy_lint(const struct config_paths *p, lint_fn *fn, void *ctx, struct err *e)
{
    struct err ignored = ERR_INIT;
    struct lint l = { .p = p, .fn = fn, .ctx = ctx, .e = e ? e : &ignored };
    int r = lint_kind(&l, VAULTS, lint_vault);
    if (r == 0 && l.n_vault_files == 0)
        lint_find(
            &l, LINT_WARNING, (struct place){ p->config_dir, 0, "" },
            _("there is no vault yet: twofold init --vault NAME --copy PLACE=FOLDER --copy PLACE=FOLDER"));
    if (r == 0)
        r = lint_kind(&l, AGENTS, lint_agent);
    if (r == 0)
        r = lint_site(&l);
    if (r == 0)
        r = lint_kind(&l, POLICIES, lint_policy);
    if (r == 0 && l.n_undrilled > 0)
        lint_find(&l, LINT_NOTE, (struct place){ p->config_dir, 0, "PY-8.3" },
                  P_("%zu policy has no drills (%s …): write for instance: drill: { every: 365d, "
                     "to: /srv/drill }",
                     "%zu policies have no drills (%s …): write for instance: drill: { every: "
                     "365d, to: /srv/drill }",
                     l.n_undrilled),
                  l.n_undrilled, l.undrilled);
    lint_done(&l);
    return r < 0 ? r : l.errors;
}
