/* source.c - which drivers there are, and what is the same for all of them. The manual is agents/source.h. */
#include "agents/source.h"
#include "agents/log_sink.h"
#include "agents/problems.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/vault/manifest.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct source {
    const struct source_driver *driver;
    void *s;
    const char *last; /* the greatest name so far */
};

static const struct source_driver *const drivers[] = {
    &source_command, &source_mariadb, &source_postgresql, &source_sqlite, NULL,
};

const struct source_driver *source_driver(const char *kind)
{
    for (const struct source_driver *const *d = drivers; *d; d++)
        if (strcmp((*d)->kind, kind) == 0)
            return *d;
    return NULL;
}

/* --- settings --------------------------------------------------------------------------------- */
static int unknown(struct err *e)
{
    return err_next(e, _("install the same version of Twofold on both hosts"));
}

static int check_settings(const struct source_driver *d, const struct source_spec *spec,
                          bool restore, struct err *e)
{
    const struct source_setting *known = restore ? d->restore_settings : d->settings;
    for (size_t i = 0; i < spec->n; i++) {
        const struct source_setting *k = known;
        while (k && k->key && strcmp(k->key, spec->v[i].key) != 0)
            k++;
        if (!k || !k->key) {
            err_set(e, ERR_VERSION, _("this host's agent knows no setting \"%s\" of \"%s\""),
                    spec->v[i].key, spec->kind);
            return unknown(e);
        }
    }
    for (const struct source_setting *k = known; k && k->key; k++) {
        const char *v = source_spec_get(spec, k->key);
        if (k->needed && (!v || !v[0]))
            return err_set(e, ERR_CONFIG, _("\"%s\" has no \"%s\""), spec->kind, k->key);
    }
    return 0;
}

int source_specs_check(const struct source_spec *all, size_t n, bool restore, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        const struct source_driver *d = source_driver(all[i].kind);
        if (!d) {
            err_set(e, ERR_VERSION, _("this host's agent knows no source of the kind \"%s\""),
                    all[i].kind);
            return unknown(e);
        }
        for (size_t k = 0; k < i; k++)
            if (strcmp(all[k].kind, all[i].kind) == 0)
                return err_set(e, ERR_CONFIG, _("the source \"%s\" is there twice"), all[i].kind);
        int rc = check_settings(d, &all[i], restore, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int refuse_entry(const struct source_spec *spec, const struct entry *en, struct err *e)
{
    const struct source_driver *d = source_driver(spec->kind);
    bool link = en->type == ENTRY_SYMLINK, ok = false;
    char *path = link ? malloc(en->path_len + 1) : NULL; /* not strndup(): no NUL follows */
    if (path) {
        memcpy(path, en->path, en->path_len);
        path[en->path_len] = '\0';
    }
    if (path && d->link_ok)
        ok = d->link_ok(path, en->path_len);
    free(path);
    if (ok)
        return 0;
    err_set(e, ERR_REFUSED,
            link ? _("a symbolic link where a database's own files are: through it, what works on "
                     "these files would write elsewhere")
                 : _("neither a file nor a folder, where a database's own files are"));
    return err_next(e, _("restore an older backup: --snapshot ID"));
}

int source_entry_check(const struct source_spec *all, size_t n, const struct entry *en,
                       struct err *e)
{
    bool plain = en->type == ENTRY_FILE || en->type == ENTRY_DIR || en->type == ENTRY_HARDLINK;
    for (size_t i = 0; !plain && i < n; i++) {
        size_t len = strlen(all[i].kind);
        if (en->path_len >= len && memcmp(en->path, all[i].kind, len) == 0 &&
            (en->path_len == len || en->path[len] == '/'))
            return refuse_entry(&all[i], en, e);
    }
    return 0;
}

int source_restore_folder(const struct source_restore *r, const char *name, struct err *e)
{
    char *target = strdup(r->folder), *slash = target ? strrchr(target, '/') : NULL;
    if (!slash) {
        free(target);
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    *slash = '\0';
    int fd = sys_open_folder(target, r->resolved, e);
    const char *const names[] = { slash + 1, name };
    for (size_t i = 0; i < 2 && fd >= 0; i++) {
        int rc = sys_mkdirat(fd, names[i], i == 0 ? 0755 : 0700, e);
        if (rc == -ERR_EXISTS) {
            err_clear(e);
            rc = 0;
        }
        int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
        int next = rc < 0 ? rc : sys_openat(fd, names[i], flags, 0, e);
        sys_close_quiet(fd);
        fd = next;
    }
    free(target);
    return fd;
}

/* --- probes ----------------------------------------------------------------------------------- */
static int on_note(void *ctx, bool problem, const char *path, size_t len, const char *text,
                   struct err *e)
{
    return problems_add(ctx, problem, path, len, text, e);
}

static int send_done(struct wire *w, struct problems *p, struct err *e)
{
    struct wbuf done = WBUF_INIT;
    msg_done_write(&done, &(struct msg_done){ .failed = problems_count(p) });
    int rc = wire_send(w, FRAME_DONE, &done, NULL, 0, e);
    wbuf_free(&done);
    return rc;
}

int source_probe(struct wire *w, const struct source_spec *all, size_t n, const char *state_dir,
                 struct err *e)
{
    struct problems *p = problems_new(w);
    struct source_env env = { .state_dir = state_dir, .note = on_note, .ctx = p };
    int rc = p ? source_specs_check(all, n, false, e) : err_set(e, ERR_NOMEM, _("no memory"));
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const struct source_driver *d = source_driver(all[i].kind);
        rc = d->probe ? d->probe(&all[i], &env, e) : 0;
        if (rc < 0)
            err_wrap(e, "%s", all[i].kind);
    }
    if (rc == 0)
        rc = send_done(w, p, e);
    problems_free(p);
    return rc;
}

/* --- logs ------------------------------------------------------------------------------------- */
int source_follow(struct wire *w, const struct msg_backup *job, const struct msg_logs *start,
                  const char *state_dir, struct err *e)
{
    const struct source_spec *spec = &job->sources[0];
    struct problems *p = problems_new(w);
    struct source_env env = { .state_dir = state_dir, .note = on_note, .ctx = p };
    struct log_sink *k = NULL;
    int rc = p ? source_specs_check(spec, 1, false, e) : err_set(e, ERR_NOMEM, _("no memory"));
    const struct source_driver *d = rc == 0 ? source_driver(spec->kind) : NULL;
    if (d && !d->follow)
        rc = err_set(e, ERR_CONFIG, _("a source of this kind has no log that can be followed"));
    if (rc == 0 && start->interval_ms > 0)
        rc = log_sink_new(w, job, start, &k, e);
    if (rc == 0 && d)
        rc = d->follow(spec, &env, &start->last, start->interval_ms, k, e);
    if (rc == 0 && !k)
        rc = send_done(w, p, e);
    log_sink_free(k);
    problems_free(p);
    return rc < 0 ? err_wrap(e, "%s", spec->kind) : 0;
}

/* --- one source ------------------------------------------------------------------------------- */
int source_begin(const struct source_spec *spec, const struct source_env *env, struct source **ret,
                 struct err *e)
{
    struct source *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, _("no memory"));
    s->driver = source_driver(spec->kind);
    int rc = s->driver->begin(spec, env, &s->s, e);
    if (rc < 0) {
        free(s);
        return err_wrap(e, "%s", spec->kind);
    }
    *ret = s;
    return 0;
}

const char *source_kind(const struct source *s)
{
    return s->driver->kind;
}

int source_roots(struct source *s, bool late, const struct source_root **ret, size_t *ret_n,
                 struct err *e)
{
    int rc = s->driver->roots(s->s, late, ret, ret_n, e);
    size_t kind = strlen(s->driver->kind);
    for (size_t i = 0; rc == 0 && i < *ret_n; i++) {
        const char *name = (*ret)[i].name;
        size_t len = strlen(name);
        assert(len > kind + 1 && name[kind] == '/' && strncmp(name, s->driver->kind, kind) == 0);
        assert(path_ok(name, len));
        assert(!s->last || (path_cmp(s->last, strlen(s->last), name, len) < 0 &&
                            !path_within(name, len, s->last, strlen(s->last))));
        s->last = name;
    }
    return rc < 0 ? err_wrap(e, "%s", s->driver->kind) : 0;
}

int source_end(struct source *s, struct err *e)
{
    int rc = s->driver->end(s->s, e);
    return rc < 0 ? err_wrap(e, "%s", s->driver->kind) : 0;
}

int source_check(struct source *s, struct err *e)
{
    int rc = s->driver->check ? s->driver->check(s->s, e) : 0;
    return rc < 0 ? err_wrap(e, "%s", s->driver->kind) : 0;
}

void source_free(struct source *s)
{
    if (!s)
        return;
    s->driver->free(s->s);
    free(s);
}
