/* extra.c - what lies in a restored folder and is not in the snapshot: counted, and where that is asked for moved into a folder of its own. The
 * names in a folder are read when it is entered; those that no entry had are extra when it is left. They are moved by renames, as large a
 * part of a tree at once as there is nothing in it that stays: what backups leave out (patterns, sockets, the agent's own state), and mount points. */
#include "agents/exclude.h"
#include "agents/restore_run.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#define MAX_EXTRA_DEPTH 200 /* each takes two descriptors */
#define MAX_EXTRA_NOTES 20
#define CACHE_TAG "CACHEDIR.TAG"

struct extra {
    struct wbuf text; /* of each name: whether an entry had it, the name, '\0' */
    char **v;         /* the names in it, ascending */
    size_t n, seen;
    uint64_t entries; /* that the snapshot has of it */
    bool tag;         /* one of them marks it as a cache */
};

bool extra_wanted(const struct run *r)
{
    return r->m->delta || r->m->set_aside;
}

void extra_free(struct extra *x)
{
    if (!x)
        return;
    wbuf_free(&x->text);
    free(x->v);
    free(x);
}

/* --- which folders ------------------------------------------------------------------------------ */
static const char *root_path(const char *root)
{
    return root + (root[0] == '/');
}

static bool is_root(const struct run *r, const char *path, size_t len)
{
    for (size_t i = 0; i < r->body->n_roots; i++) {
        const char *root = root_path(r->body->roots[i]);
        if (strlen(root) == len && memcmp(root, path, len) == 0)
            return true;
    }
    return false;
}

/* A server takes whatever lies in its folders for its own: there nothing may stay that is not of the backup, asked for or not. */
static bool is_of_database(const struct run *r, const char *path, size_t len)
{
    for (size_t i = 0; i < r->m->n_sources && r->m->delta; i++) {
        const char *kind = r->m->sources[i].kind;
        if (path_within(path, len, kind, strlen(kind)) && pathset_holds(r->set, path, len))
            return true;
    }
    return false;
}

static bool is_left_out(const struct run *r, const char *path, size_t len)
{
    return !is_of_database(r, path, len) && exclude_match(r->exclude, path, len);
}

/* Does it belong to a root all of which is restored? */
static bool is_of_whole_root(const struct run *r, const char *path, size_t len)
{
    if (is_of_database(r, path, len))
        return true;
    for (size_t i = 0; i < r->body->n_roots; i++) {
        const char *root = root_path(r->body->roots[i]);
        size_t n = strlen(root);
        if (path_within(path, len, root, n) && pathset_holds(r->set, root, n))
            return true;
    }
    return false;
}

int extra_check(const struct run *r, struct err *e)
{
    for (size_t i = 0; i < r->body->n_roots; i++) {
        const char *root = root_path(r->body->roots[i]);
        if (pathset_holds(r->set, root, strlen(root)))
            return 0;
    }
    err_set(
        e, ERR_USAGE,
        _("--set-aside takes a whole folder of the policy, and only a part of one is restored"));
    return err_next(e, _("leave the paths out, or leave --set-aside out"));
}

/* Files of an overlay may have other numbers than their folder. */
static bool is_mount(const struct statx *x, dev_t dev)
{
    return x->stx_attributes & STATX_ATTR_MOUNT_ROOT ||
           (S_ISDIR(x->stx_mode) && makedev(x->stx_dev_major, x->stx_dev_minor) != dev);
}

static int look_at(int dir_fd, const char *name, struct statx *ret)
{
    int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (name[0] ? 0 : AT_EMPTY_PATH);
    return statx(dir_fd, name, flags, STATX_TYPE | STATX_INO, ret);
}

/* The agent's own: nothing but the folder is ever captured. */
static bool is_state(const struct run *r, uint64_t dev, uint64_t ino)
{
    struct stat st;
    return fstat(r->state_fd, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

/* --- the names ---------------------------------------------------------------------------------- */
static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int take_name(void *ctx, int dir_fd, const char *name, struct err *e)
{
    struct extra *x = ctx;
    (void)dir_fd;
    wb_u8(&x->text, 0);
    wb_bytes(&x->text, name, strlen(name) + 1);
    x->n++;
    return x->text.failed ? err_set(e, ERR_NOMEM, _("out of memory")) : 0;
}

static int list(struct dir *d, struct err *e)
{
    struct extra *x = d->extra = calloc(1, sizeof *x);
    int rc = x ? target_each_name(d->fd, take_name, x, e)
               : err_set(e, ERR_NOMEM, _("out of memory"));
    if (rc == 0 && x->n > 0 && !(x->v = malloc(x->n * sizeof *x->v)))
        rc = err_set(e, ERR_NOMEM, _("out of memory"));
    char *at = rc == 0 ? (char *)x->text.p : NULL;
    for (size_t i = 0; rc == 0 && i < x->n; i++) {
        x->v[i] = at + 1;
        at += strlen(at + 1) + 2;
    }
    if (rc == 0 && x->n > 1)
        qsort(x->v, x->n, sizeof *x->v, by_name);
    return rc;
}

int extra_enter(struct run *r, const struct dir *up, const char *path, size_t len, bool mine,
                struct dir *d, struct err *e)
{
    struct statx x;
    if (!extra_wanted(r))
        return 0;
    bool root = is_root(r, path, len);
    d->stays = is_state(r, d->dev, d->ino) ||
               (!root && up && (up->stays || is_left_out(r, path, len)));
    d->elsewhere = up && (up->elsewhere || look_at(d->fd, "", &x) < 0 || is_mount(&x, up->dev));
    if (!mine || d->fresh || d->stays || !is_of_whole_root(r, path, len))
        return 0;
    return list(d, e);
}

void extra_saw(struct dir *d, const char *name)
{
    struct extra *x = d->extra;
    if (!x)
        return;
    x->entries++;
    x->tag = x->tag || strcmp(name, CACHE_TAG) == 0;
    char **at = x->n > 0 ? bsearch(&name, x->v, x->n, sizeof *x->v, by_name) : NULL;
    if (at && !(*at)[-1]) {
        (*at)[-1] = 1;
        x->seen++;
    }
}

/* Entries are lost: what they would have said of the folders that are open nobody knows. */
void extra_unsure(struct run *r)
{
    for (size_t i = 0; i < r->dirs.n; i++) {
        extra_free(r->dirs.v[i].extra);
        r->dirs.v[i].extra = NULL;
    }
}

/* --- what stays --------------------------------------------------------------------------------- */
struct walk {
    struct run *r;
    dev_t dev;        /* of the folder that is left */
    struct wbuf path; /* in the manifest's form; it holds what is looked at */
    size_t rel;       /* from there on it is relative to the target */
    bool moves;       /* else it is only counted */
    bool strict;      /* what bears a name of ours goes, too */
    unsigned depth;
};

static int push_name(struct walk *w, const char *name, struct err *e)
{
    if (w->path.len > 0)
        wb_u8(&w->path, '/');
    wb_bytes(&w->path, name, strlen(name));
    return w->path.failed ? err_set(e, ERR_NOMEM, _("out of memory")) : 0;
}

static const char *path_of(const struct walk *w)
{
    return (const char *)w->path.p;
}

/* At the top of the target. When all that is extra goes, it may be somebody's who hides behind such a name: only what this restore made stays. */
static bool is_ours(const struct walk *w, const char *name)
{
    struct statx x;
    if (w->path.len - w->rel != strlen(name))
        return false;
    if (strcmp(name, "lost+found") == 0)
        return !w->strict ||
               (look_at(w->r->t.fd, "", &x) == 0 && x.stx_attributes & STATX_ATTR_MOUNT_ROOT);
    if (w->strict || strncmp(name, RESTORE_ASIDE, strlen(RESTORE_ASIDE)) == 0 ||
        strncmp(name, RESTORE_EXTRA, strlen(RESTORE_EXTRA)) == 0)
        return target_is_own(w->r, name) || (!w->strict && restore_aside_stamp(name));
    return strncmp(name, RESTORE_TEMP, strlen(RESTORE_TEMP)) == 0;
}

static bool stays(const struct walk *w, const char *name, const struct statx *x)
{
    dev_t dev = makedev(x->stx_dev_major, x->stx_dev_minor);
    return S_ISSOCK(x->stx_mode) || is_mount(x, w->dev) || is_ours(w, name) ||
           is_state(w->r, dev, x->stx_ino) || is_left_out(w->r, path_of(w), w->path.len);
}

struct found {
    struct walk *w;
    uint64_t n; /* things that do not stay; a folder counts when nothing in it stays */
    bool whole; /* nothing stays */
    bool dir;
};

static int look_in(struct found *f, int dir_fd, const char *name, struct err *e);

static int look_at_one(void *ctx, int dir_fd, const char *name, struct err *e)
{
    struct found *f = ctx;
    struct walk *w = f->w;
    struct statx x;
    size_t len = w->path.len;
    int rc = run_check(w->r, e);
    if (rc == 0)
        rc = push_name(w, name, e);
    if (rc < 0)
        return rc;
    if (look_at(dir_fd, name, &x) < 0)
        f->whole = f->whole && errno == ENOENT; /* gone meanwhile */
    else if (stays(w, name, &x))
        f->whole = false;
    else if (S_ISDIR(x.stx_mode))
        rc = look_in(f, dir_fd, name, e);
    else
        f->n++;
    w->path.len = len;
    return rc;
}

static int open_in(const struct walk *w, int dir_fd, const char *name)
{
    return w->depth < MAX_EXTRA_DEPTH
               ? sys_openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, NULL)
               : -ERR_LIMIT;
}

/* A folder that cannot be looked into stays. */
static int look_in(struct found *f, int dir_fd, const char *name, struct err *e)
{
    struct found in = { .w = f->w, .whole = true };
    struct err why = ERR_INIT;
    int fd = open_in(f->w, dir_fd, name);
    f->dir = true;
    if (fd < 0) {
        f->whole = false;
        return 0;
    }
    f->w->depth++;
    int rc = target_each_name(fd, look_at_one, &in, &why);
    f->w->depth--;
    sys_close_quiet(fd);
    if (rc == -ERR_INTERRUPTED || rc == -ERR_NOMEM) {
        if (e)
            *e = why;
        return rc;
    }
    in.whole = in.whole && rc == 0;
    f->n += in.n + in.whole;
    f->whole = f->whole && in.whole;
    return 0;
}

/* --- what goes ---------------------------------------------------------------------------------- */
static int move_one(struct walk *w, int dir_fd, const char *name, uint64_t n, struct err *e)
{
    struct run *r = w->r;
    struct err why = ERR_INIT;
    struct dir in = { .fd = dir_fd };
    struct place p = { .dir = &in, .path = path_of(w) + w->rel, .path_len = w->path.len - w->rel };
    snprintf(p.name, sizeof p.name, "%s", name);
    int rc = run_judge(target_set_extra_aside(r, &p, &why));
    if (rc < 0) {
        if (e)
            *e = why;
        return rc;
    }
    if (rc == FAILED_HERE) {
        err_wrap(&why, _("not in the backup, and it stays"));
        report_err(&r->rep, path_of(w), w->path.len, &why);
        return 0;
    }
    r->rep.n.extra_aside += n;
    if (r->extra_notes++ < MAX_EXTRA_NOTES)
        report_note(&r->rep, path_of(w), w->path.len, _("not in the backup: set aside"));
    return 0;
}

static int take(void *ctx, int dir_fd, const char *name, struct err *e);

/* A folder in which something stays: what else is in it goes. */
static int take_parts(struct walk *w, int dir_fd, const char *name, struct err *e)
{
    struct err why = ERR_INIT;
    int fd = open_in(w, dir_fd, name), rc;
    if (fd < 0) {
        report_problem(&w->r->rep, path_of(w), w->path.len,
                       _("not in the backup, and it stays: it cannot be looked into"));
        return 0;
    }
    w->depth++;
    rc = run_judge(target_each_name(fd, take, w, &why));
    w->depth--;
    sys_close_quiet(fd);
    if (rc == FAILED_HERE)
        report_err(&w->r->rep, path_of(w), w->path.len, &why);
    else if (rc < 0 && e)
        *e = why;
    return rc < 0 ? rc : run_check(w->r, e);
}

/* One name that the snapshot does not have, or what is in such a folder. */
static int take(void *ctx, int dir_fd, const char *name, struct err *e)
{
    struct walk *w = ctx;
    struct found f = { .w = w, .whole = true };
    size_t len = w->path.len;
    int rc = look_at_one(&f, dir_fd, name, e);
    if (rc == 0)
        rc = push_name(w, name, e);
    if (rc == 0 && w->depth == 0)
        w->r->rep.n.extra += f.n;
    if (rc == 0 && w->moves && f.n > 0 && f.whole)
        rc = move_one(w, dir_fd, name, f.n, e);
    else if (rc == 0 && w->moves && f.dir)
        rc = take_parts(w, dir_fd, name, e);
    w->path.len = len;
    return rc;
}

/* All that the snapshot has of a folder that was marked as a cache is the mark. */
static bool is_only_tag(const struct extra *x)
{
    return x->entries == 1 && x->tag;
}

static int not_cleared(const char *path, size_t len, struct err *e)
{
    err_set(e, ERR_REFUSED,
            _("%.*s: something that is not of the backup stays among the database's files"),
            (int)len, path);
    return err_next(e, _("see what is said above; or restore it without --delta"));
}

static int leave(struct run *r, struct dir *d, struct err *e)
{
    const char *path = d->saved ? d->saved->path : ""; /* the target, where "/" was saved */
    size_t len = d->saved ? d->saved->path_len : 0;
    struct walk w = { .r = r, .dev = d->dev, .path = WBUF_INIT };
    uint64_t before = r->rep.n.extra, aside = r->rep.n.extra_aside;
    int rc = 0;
    bool database = is_of_database(r, path, len);
    w.moves = (r->m->set_aside || database) && !d->elsewhere;
    w.strict = r->m->set_aside && !database;
    w.rel = d->path_len > 0 ? len - d->path_len : len + (len > 0);
    wb_bytes(&w.path, path, len);
    for (size_t i = 0; rc == 0 && i < d->extra->n; i++)
        if (!d->extra->v[i][-1])
            rc = take(&w, d->fd, d->extra->v[i], e);
    wbuf_free(&w.path);
    if (rc == 0 && database && r->rep.n.extra - before > r->rep.n.extra_aside - aside)
        return not_cleared(path, len, e);
    if (rc == 0 && r->m->set_aside && d->elsewhere && r->rep.n.extra > before && !r->extra_told) {
        r->extra_told = true;
        report_problem(&r->rep, path, len,
                       _("what is here and not in the backup stays: this is another file system "
                         "than the target's"));
    }
    return rc;
}

int extra_leave(struct run *r, struct dir *d, struct err *e)
{
    struct extra *x = d->extra;
    int rc = 0;
    bool known = x && (d->saved || d->path_len == 0) && !is_only_tag(x);
    /* A mount point of which the snapshot has nothing was not gone into. */
    if (known && !d->lost && d->fd >= 0 && x->seen < x->n && !(d->elsewhere && x->entries == 0))
        rc = leave(r, d, e);
    extra_free(x);
    d->extra = NULL;
    return rc;
}
