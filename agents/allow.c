/* allow.c - whether what an orchestrator asks for is allowed on this host; the manual is allow.h. */
#include "agents/allow.h"
#include "agents/host/frames.h"
#include "agents/source.h"
#include "lib/base/i18n.h"
#include "lib/base/mask.h"
#include "lib/base/sys.h"
#include "lib/vault/manifest.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- where a path leads --------------------------------------------------------------------------- */
static int cannot_tell(const char *path, struct err *e)
{
    err_set(e, ERR_REFUSED, _("where it leads cannot be told: %s"), strerror(errno));
    return err_wrap(e, "\"%s\"", path);
}

static bool has_dots(const char *path)
{
    for (const char *c = path; *c;) {
        size_t n = strcspn(c, "/");
        if (n == 2 && c[0] == '.' && c[1] == '.')
            return true;
        c += n + strspn(c + n, "/");
    }
    return false;
}

/* The path with its symbolic links followed, as far as it is there; what is not there yet follows as it is written.
 * follow: also the last part. Owned. */
static int resolve(const char *path, bool follow, char **ret, struct err *e)
{
    char head[PATH_MAX], real[PATH_MAX];
    size_t len = strlen(path), cut;
    if (path[0] != '/' || len >= sizeof head || has_dots(path)) {
        err_set(e, ERR_REFUSED, _("it is not a plain absolute path"));
        return err_wrap(e, "\"%s\"", path);
    }
    while (len > 1 && path[len - 1] == '/')
        len--;
    memcpy(head, path, len);
    head[len] = '\0';
    for (bool last = true;; last = false) {
        if ((follow || !last || len == 1) && realpath(head, real))
            break;
        if ((follow || !last) && errno != ENOENT)
            return cannot_tell(path, e);
        char *slash = strrchr(head, '/');
        slash[slash == head] = '\0';
    }
    cut = strlen(head);
    while (path[cut] == '/')
        cut++;
    bool root = strcmp(real, "/") == 0, whole = cut >= len;
    if (asprintf(ret, "%s%s%.*s", root && !whole ? "" : real, whole ? "" : "/",
                 whole ? 0 : (int)(len - cut), path + cut) < 0) {
        *ret = NULL;
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    return 0;
}

static bool lies_in(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    if (n == 1)
        return true; /* "/" */
    return strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* 1: the resolved path lies in one of the allowed ones; 0: it does not. */
static int is_in(const char *path, char *const *allowed, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        char *folder = NULL;
        int rc = resolve(allowed[i], true, &folder, e);
        bool in = rc == 0 && lies_in(path, folder);
        free(folder);
        if (rc == -ERR_NOMEM || in)
            return rc < 0 ? rc : 1;
    }
    return 0;
}

static int not_allowed(const struct rules *r, const char *list, const char *asked,
                       const char *leads, struct err *e)
{
    char shown[512];
    if (!leads || strcmp(asked, leads) == 0)
        err_set(e, ERR_REFUSED, _("\"%s\" is not on the allow-list of this host's agent"),
                mask_secrets(asked, shown, sizeof shown));
    else
        err_set(e, ERR_REFUSED,
                _("\"%s\" leads to \"%s\", which is not on the allow-list of this host's agent"),
                asked, leads);
    return err_next(e,
                    _("if it should be: on that host, add it below \"%s\" of \"%s\" in the agent's "
                      "file, usually /etc/twofold/agent.yaml"),
                    list, r->name);
}

/* --- backups ----------------------------------------------------------------------------------------- */
static int check_pin(const struct rules *r, const struct id *vault, const uint8_t *pk,
                     struct err *e)
{
    const char *why = _("this host's agent has no pinned recovery key for that vault");
    for (size_t i = 0; i < r->n_pins; i++) {
        if (!id_eq(&r->pins[i].vault, vault))
            continue;
        if (!pk || memcmp(r->pins[i].recovery_pk, pk, sizeof r->pins[i].recovery_pk) == 0)
            return 0;
        why = _("the recovery key is not the one that is pinned on this host");
    }
    err_set(e, ERR_REFUSED, "%s", why);
    return err_next(
        e, _("if the vault is new or its keys were changed on purpose, enrol the agent again: "
             "twofold agent enrol; if not, find out who changed the orchestrator"));
}

/* follow: the last part, too, where what it leads to is read. */
static int check_read(const struct rules *r, const char *path, bool follow, struct err *e)
{
    char *leads = NULL;
    int rc = resolve(path, follow, &leads, e);
    if (rc == 0) {
        rc = is_in(leads, r->backup, r->n_backup, e);
        rc = rc == 0 ? not_allowed(r, "allow: backup:", path, leads, e) : rc < 0 ? rc : 0;
    }
    free(leads);
    return rc;
}

/* --- sources ------------------------------------------------------------------------------------------ */
static bool is_listed(char *const *list, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], text) == 0)
            return true;
    return false;
}

static int check_named(const struct rules *r, const char *kind, const char *value, struct err *e)
{
    char *text = NULL;
    if (asprintf(&text, "%s %s", kind, value) < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    int rc = is_listed(r->sources, r->n_sources, text)
                 ? 0
                 : not_allowed(r, "allow: sources:", text, text, e);
    free(text);
    return rc;
}

static int check_program(const struct rules *r, const char *path, struct err *e)
{
    return is_listed(r->commands, r->n_commands, path)
               ? 0
               : not_allowed(r, "allow: commands:", path, path, e);
}

/* As for a target, what was checked is what is used. */
static int check_written(const struct rules *r, struct setting *s, struct err *e)
{
    char *leads = NULL, *value = NULL;
    const char *path = strchr(s->value, '/');
    int rc = path ? resolve(path, true, &leads, e)
                  : err_set(e, ERR_REFUSED, _("\"%s\" is not an absolute path"), s->value);
    if (rc == 0) {
        rc = is_in(leads, r->restore, r->n_restore, e);
        rc = rc == 0 ? not_allowed(r, "allow: restore:", path, leads, e) : rc < 0 ? rc : 0;
    }
    if (rc == 0 && asprintf(&value, "%.*s%s", (int)(path - s->value), s->value, leads) < 0)
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    if (rc == 0) {
        free(s->value);
        s->value = value;
    }
    free(leads);
    return rc;
}

static int check_setting(const struct rules *r, const char *kind, enum setting_rule rule,
                         struct setting *s, struct err *e)
{
    switch (rule) {
    case SETTING_NAMES:
        return check_named(r, kind, s->value, e);
    case SETTING_READS:
        return check_read(r, s->value, true, e);
    case SETTING_WRITES:
        return check_written(r, s, e);
    case SETTING_RUNS:
        return check_program(r, s->value, e);
    case SETTING_PLAIN:
        break;
    }
    return 0;
}

/* What a setting may say depends on what its driver does with it. */
static int check_source(const struct rules *r, struct source_spec *s, bool restore, struct err *e)
{
    const struct source_driver *d = source_driver(s->kind);
    int rc = source_specs_check(s, 1, restore, e);
    for (size_t i = 0; rc == 0 && i < s->n; i++)
        for (const struct source_setting *k = restore ? d->restore_settings : d->settings;
             rc == 0 && k && k->key; k++)
            if (strcmp(k->key, s->v[i].key) == 0)
                rc = check_setting(r, s->kind, k->rule, &s->v[i], e);
    return rc;
}

int allow_hook(const struct rules *r, char *const *words, size_t n, struct err *e)
{
    if (n == 0)
        return 0;
    char *line = hook_line(words, n);
    int rc = line ? check_program(r, line, e) : err_set(e, ERR_NOMEM, _("no memory"));
    free(line);
    return rc;
}

int allow_backup(const struct rules *r, const struct msg_backup *m, struct err *e)
{
    int rc = check_pin(r, &m->vault_id, m->recovery_pk, e);
    for (size_t i = 0; rc == 0 && i < m->n_roots; i++)
        rc = check_read(r, m->roots[i], false, e);
    for (size_t i = 0; rc == 0 && i < m->n_sources; i++)
        rc = check_source(r, &m->sources[i], false, e);
    if (rc == 0)
        rc = allow_hook(r, m->hooks.before, m->hooks.n_before, e);
    return rc == 0 ? allow_hook(r, m->hooks.after, m->hooks.n_after, e) : rc;
}

/* --- restores and comparisons --------------------------------------------------------------------------- */
static int check_target(const struct rules *r, struct msg_restore *m, struct err *e)
{
    char *leads = NULL;
    int rc = resolve(m->target, true, &leads, e);
    if (rc == 0) {
        rc = is_in(leads, r->restore, r->n_restore, e);
        rc = rc == 0 ? not_allowed(r, "allow: restore:", m->target, leads, e) : rc < 0 ? rc : 0;
    }
    if (rc < 0) {
        free(leads);
        return rc;
    }
    /* What was checked is what is used: should a link come to lie on this path meanwhile, it is not followed. */
    free(m->target);
    m->target = leads;
    m->resolved = true;
    return 0;
}

/* Without a list of paths everything is compared: that is the roots, and nothing that a list of entries may name beside them. */
static int restrict_to_roots(struct msg_restore *m, struct err *e)
{
    struct snapshot_body *b = NULL;
    size_t none = 0;
    int rc = snapshot_body_read(m->body, m->body_len, &b, e);
    if (rc < 0)
        return rc;
    m->paths = calloc(b->n_roots + 1, sizeof *m->paths);
    for (size_t i = 0; m->paths && i < b->n_roots; i++)
        if (body_root_is_virtual(b->roots[i]))
            none++;
        else if ((m->paths[m->n_paths] = strdup(b->roots[i])))
            m->n_paths++;
    if (!m->paths || m->n_paths + none < b->n_roots)
        rc = err_set(e, ERR_NOMEM, _("no memory"));
    else if (m->n_paths == 0)
        rc = err_set(e, ERR_REFUSED, _("the snapshot names no folder"));
    snapshot_body_free(b);
    return rc;
}

/* What was restored, and nobody else's: it may be read to be compared. */
static bool is_restored(const struct rules *r, const char *path)
{
    char *leads = NULL;
    bool in = resolve(path, false, &leads, NULL) == 0 &&
              is_in(leads, r->restore, r->n_restore, NULL) == 1;
    free(leads);
    return in;
}

static int check_compared(const struct rules *r, struct msg_restore *m, struct err *e)
{
    int rc = is_in("/", r->backup, r->n_backup, e);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    if (m->n_paths == 0)
        rc = restrict_to_roots(m, e);
    for (size_t i = 0; rc == 0 && i < m->n_paths; i++) {
        char *path = NULL;
        if (asprintf(&path, "%s%s", strcmp(m->target, "/") == 0 ? "" : m->target, m->paths[i]) < 0)
            return err_set(e, ERR_NOMEM, _("no memory"));
        rc = is_restored(r, path) ? 0 : check_read(r, path, false, e);
        free(path);
    }
    return rc;
}

int allow_restore(const struct rules *r, struct msg_restore *m, struct err *e)
{
    int rc = check_pin(r, &m->vault_id, NULL, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < m->n_sources; i++)
        rc = check_source(r, &m->sources[i], true, e);
    if (rc < 0)
        return rc;
    rc = allow_hook(r, m->scan, m->n_scan, e);
    if (rc < 0)
        return rc;
    return m->mode == RESTORE_COMPARE ? check_compared(r, m, e) : check_target(r, m, e);
}

/* What may be restored to may be taken away again; what was checked is what is used. */
static int check_dropped(const struct rules *r, char **root, struct err *e)
{
    char *leads = NULL;
    int rc = resolve(*root, false, &leads, e);
    if (rc == 0) {
        rc = is_in(leads, r->restore, r->n_restore, e);
        rc = rc == 0 ? not_allowed(r, "allow: restore:", *root, leads, e) : rc < 0 ? rc : 0;
    }
    if (rc < 0) {
        free(leads);
        return rc;
    }
    free(*root);
    *root = leads;
    return 0;
}

/* --- what is done on this host itself ------------------------------------------------------------------------ */
static enum setting_rule rule_of(const struct source_spec *s, const char *key)
{
    const struct source_driver *d = source_driver(s->kind);
    for (const struct source_setting *k = d->restore_settings; k && k->key; k++)
        if (strcmp(k->key, key) == 0)
            return k->rule;
    return SETTING_NAMES;
}

/* 1: it may be looked at, and is where it leads to now. */
static int may_look(const struct rules *r, const struct source_spec *spec, struct setting *s,
                    struct err *e)
{
    enum setting_rule rule = rule_of(spec, s->key);
    struct err ignored = ERR_INIT;
    int rc = check_setting(r, spec->kind, rule, s, &ignored);
    const char *path = strchr(s->value, '/');
    if (rc == -ERR_REFUSED && rule == SETTING_WRITES && path)
        rc = check_read(r, path, true, &ignored);
    if (rc == -ERR_NOMEM)
        return err_set(e, ERR_NOMEM, _("no memory"));
    return rc == 0;
}

static int keep_visible(const struct rules *r, struct msg_host *m, struct err *e)
{
    size_t roots = 0;
    int rc = source_specs_check(m->sources, m->n_sources, true, e);
    for (size_t i = 0; rc >= 0 && i < m->n_sources; i++) {
        struct source_spec *s = &m->sources[i];
        size_t kept = 0;
        for (size_t k = 0; rc >= 0 && k < s->n; k++) {
            struct setting one = s->v[k];
            rc = may_look(r, s, &one, e);
            s->v[k] = (struct setting){ NULL, NULL };
            if (rc == 1) {
                s->v[kept++] = one;
            } else {
                free(one.key);
                free(one.value);
            }
        }
        s->n = rc < 0 ? s->n : kept;
    }
    for (size_t i = 0; rc >= 0 && i < m->n_roots; i++) {
        char *root = m->roots[i];
        bool fine = check_read(r, root, true, NULL) == 0;
        m->roots[i] = NULL;
        if (fine)
            m->roots[roots++] = root;
        else
            free(root);
    }
    m->n_roots = rc < 0 ? m->n_roots : roots;
    return rc < 0 ? rc : 0;
}

int allow_host(const struct rules *r, struct msg_host *m, struct err *e)
{
    int rc = 0;
    if (m->what == HOST_FACTS)
        return keep_visible(r, m, e);
    if (m->what == HOST_RUN)
        return allow_hook(r, m->words, m->n_words, e);
    for (size_t i = 0; rc == 0 && i < m->n_sources; i++)
        rc = check_source(r, &m->sources[i], true, e);
    for (size_t i = 0; rc == 0 && m->what == HOST_DROP && i < m->n_roots; i++)
        rc = check_dropped(r, &m->roots[i], e);
    for (size_t i = 0; rc == 0 && m->what == HOST_CLEAR && i < m->n_roots; i++) {
        struct setting root = { .value = m->roots[i] };
        rc = check_written(r, &root, e);
        m->roots[i] = root.value;
    }
    m->resolved = rc == 0;
    return rc;
}
