/* sources.c - see agents/sources.h. */
#include "agents/sources.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct sources {
    struct sources_opts o;
    struct source *all[MAX_SOURCES]; /* ascending by kind */
    size_t n, next;                  /* next: the first that is not captured */
};

/* --- beginning -------------------------------------------------------------------------------- */
static int taken(const char *kind, struct err *e)
{
    err_set(
        e, ERR_CONFIG,
        _("the policy reads \"/%s\", a real path with the name under which the database is kept"),
        kind);
    return err_next(e, _("put that path, or the database, into a policy of its own"));
}

/* No path of the policy may come to lie where a virtual root is. */
static int check_names(const struct sources_opts *o, const char *kind, struct err *e)
{
    size_t n = strlen(kind);
    for (size_t i = 0; i < o->n_roots; i++) {
        const char *p = o->roots[i] + 1;
        struct stat st;
        char path[MAX_SOURCE_WORD + 2];
        snprintf(path, sizeof path, "/%s", kind);
        if (path_within(p, strlen(p), kind, n) || (p[0] == '\0' && lstat(path, &st) == 0))
            return taken(kind, e);
    }
    return 0;
}

static int by_kind(const void *a, const void *b)
{
    const struct source_spec *const *x = a, *const *y = b;
    return strcmp((*x)->kind, (*y)->kind);
}

static int begin_all(struct sources *s, struct err *e)
{
    const struct source_spec *order[MAX_SOURCES];
    struct source_env env = {
        .state_dir = s->o.state_dir, .note = s->o.on_note, .tick = s->o.on_tick, .ctx = s->o.ctx
    };
    int rc = source_specs_check(s->o.specs, s->o.n_specs, false, e);
    for (size_t i = 0; rc == 0 && i < s->o.n_specs; i++) {
        order[i] = &s->o.specs[i];
        rc = check_names(&s->o, order[i]->kind, e);
    }
    if (rc < 0)
        return rc;
    qsort(order, s->o.n_specs, sizeof(void *), by_kind);
    for (size_t i = 0; rc == 0 && i < s->o.n_specs; i++) {
        rc = source_begin(order[i], &env, &s->all[s->n], e);
        s->n += rc == 0;
    }
    return rc;
}

int sources_begin(const struct sources_opts *o, struct sources **ret, struct err *e)
{
    struct sources *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, _("no memory"));
    s->o = *o;
    int rc = begin_all(s, e);
    if (rc < 0)
        sources_free(s);
    else
        *ret = s;
    return rc;
}

void sources_free(struct sources *s)
{
    for (size_t i = 0; s && i < s->n; i++)
        source_free(s->all[i]);
    free(s);
}

/* --- capturing -------------------------------------------------------------------------------- */
/* A folder that is on no disk: one on the way to what a source names. */
static int add_folder(struct sources *s, const char *path, size_t len, struct err *e)
{
    char name[PATH_MAX];
    struct scan_stat st = { .mode = S_IFDIR | 0755, .uid = geteuid(), .gid = getegid() };
    struct scan_item it = { .path = name,
                            .path_len = len,
                            .dir_fd = AT_FDCWD,
                            .name = name,
                            .fd = -1,
                            .above = true,
                            .st = &st };
    if (len >= sizeof name)
        return err_set(e, ERR_LIMIT, _("the source has a name that is too long"));
    memcpy(name, path, len);
    name[len] = '\0';
    capture_set_root(s->o.capture, NULL);
    return s->o.on_entry(s->o.ctx, &it, e);
}

/* Those folders above `name` that are not above the one before it. */
static int add_folders(struct sources *s, const char *before, const char *name, struct err *e)
{
    for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
        size_t len = (size_t)(slash - name);
        if (before && path_within(before, strlen(before), name, len))
            continue;
        if (add_folder(s, name, len, e) < 0)
            return -e->code;
    }
    return 0;
}

/* Bytes become a file for a moment: everything that is read goes the same way. */
static int capture_bytes(struct sources *s, const struct source_root *r, struct scan_opts *o,
                         struct err *e)
{
    char *path = NULL;
    if (asprintf(&path, "%s/late-%d", s->o.state_dir, (int)getpid()) < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    int rc = sys_write_file(AT_FDCWD, path, r->bytes, r->bytes_len, 0600, e);
    if (rc == 0)
        rc = scan_place(o, path, r->name, e);
    (void)unlink(path);
    free(path);
    return rc;
}

static int capture_root(struct sources *s, const struct source_root *r, struct err *e)
{
    struct scan_opts o = { .leave_out = r->leave_out,
                           .leave_ctx = r->ctx,
                           .may_vanish = r->may_change,
                           .on_entry = s->o.on_entry,
                           .on_note = s->o.on_note,
                           .ctx = s->o.ctx };
    capture_set_root(s->o.capture, r);
    int rc = r->place  ? scan_place(&o, r->place, r->name, e)
             : r->read ? capture_stream(s->o.capture, r, e)
                       : capture_bytes(s, r, &o, e);
    capture_set_root(s->o.capture, NULL);
    if (rc == -ERR_ABSENT && r->place && r->may_be_absent && access(r->place, F_OK) < 0) {
        err_clear(e);
        rc = 0;
    }
    return rc;
}

static int capture_list(struct sources *s, struct source *x, bool late, const char **before,
                        struct err *e)
{
    const struct source_root *all = NULL;
    size_t n = 0;
    int rc = source_roots(x, late, &all, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = add_folders(s, *before, all[i].name, e);
        if (rc == 0)
            rc = capture_root(s, &all[i], e);
        *before = all[i].name;
    }
    return rc;
}

static int capture_source(struct sources *s, struct source *x, struct err *e)
{
    const char *before = NULL;
    int rc = capture_list(s, x, false, &before, e);
    if (rc == 0)
        rc = source_end(x, e);
    if (rc == 0)
        rc = capture_list(s, x, true, &before, e);
    return rc == 0 ? source_check(x, e) : rc;
}

int sources_before(struct sources *s, const char *path, size_t len, struct err *e)
{
    for (; s->next < s->n; s->next++) {
        const char *kind = source_kind(s->all[s->next]);
        if (path && path_cmp(kind, strlen(kind), path, len) > 0)
            break;
        int rc = capture_source(s, s->all[s->next], e);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; path && i < s->n; i++) {
        const char *kind = source_kind(s->all[i]);
        if (path_within(path, len, kind, strlen(kind)))
            return taken(kind, e);
    }
    return 0;
}
