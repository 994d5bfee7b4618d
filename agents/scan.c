/* scan.c - the walk: which entry comes next, and what is left out. The manual is agents/scan.h; folders
 * are opened and listed in agents/scan_dir.c. */
#include "agents/scan_dir.h"
#include "lib/base/i18n.h"
#include "lib/vault/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CACHE_TAG "CACHEDIR.TAG"
#define CACHE_SIGNATURE "Signature: 8a477f597d28d172789f06886806bc55"

struct walk {
    const struct scan_opts *o;
    struct roots roots;
    bool nested; /* a root lies within another */
    struct dir_stack dirs;
};

/* What is to be done with the child that the path of the stack now names. */
struct child {
    const char *name;
    bool root;     /* it is one */
    size_t lo, hi; /* the roots within it, itself included */
    struct scan_stat st;
    int fd;
};

static int note(struct walk *w, bool problem, const char *path, size_t len, const char *text,
                struct err *e)
{
    return w->o->on_note ? w->o->on_note(w->o->ctx, problem, path, len, text, e) : 0;
}

static int note_here(struct walk *w, bool problem, const char *text, struct err *e)
{
    return note(w, problem, w->dirs.path, w->dirs.path_len, text, e);
}

static int emit(struct walk *w, const struct child *c, bool above, struct err *e)
{
    struct scan_item it = {
        .path = w->dirs.path,
        .path_len = w->dirs.path_len,
        .dir_fd = dir_stack_top(&w->dirs)->fd,
        .name = c->name,
        .fd = c->fd,
        .above = above,
        .st = &c->st,
    };
    if (c->root)
        w->roots.all[c->lo].reached = true;
    return w->o->on_entry(w->o->ctx, &it, e);
}

static void close_child(struct child *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

/* A path that leads to roots is not there or no folder: each of them is named. */
static int roots_lost(struct walk *w, const struct child *c, int sys, struct err *e)
{
    int rc = 0;
    for (size_t i = c->lo; i < c->hi && rc == 0; i++) {
        struct root *r = &w->roots.all[i];
        r->noted = true;
        rc = note(w, true, r->path, r->len, strerror(sys), e);
    }
    return rc;
}

/* --- folders ---------------------------------------------------------------------------------- */
static bool has_cache_tag(const struct walk *w, int fd)
{
    char head[sizeof CACHE_SIGNATURE - 1];
    if (!dir_stack_find(&w->dirs, CACHE_TAG))
        return false;
    int tag = openat(fd, CACHE_TAG, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (tag < 0)
        return false;
    ssize_t n = read(tag, head, sizeof head);
    close(tag);
    return n == (ssize_t)sizeof head && memcmp(head, CACHE_SIGNATURE, sizeof head) == 0;
}

/* Goes into the folder; takes c->fd. In an `above` level the roots say what is read. */
static int enter(struct walk *w, struct child *c, bool above, struct err *e)
{
    struct level l = { .fd = c->fd,
                       .dev = c->st.dev,
                       .ino = c->st.ino,
                       .above = above,
                       .root_next = c->lo + c->root,
                       .root_hi = c->hi };
    c->fd = -1;
    if (dir_stack_push(&w->dirs, &l, e) < 0)
        return -e->code;
    bool skip = w->o->skip_ino && l.ino == w->o->skip_ino && l.dev == w->o->skip_dev;
    if (above || skip)
        return 0;
    int sys = dir_stack_list(&w->dirs, e);
    if (sys < 0)
        return sys;
    if (w->o->skip_cache_dirs && has_cache_tag(w, l.fd))
        dir_stack_keep_only(&w->dirs, CACHE_TAG);
    return sys ? note_here(w, true, strerror(sys), e) : 0;
}

/* The folder's own entry is given, what is in it is not, unless roots within it were asked for. */
static int leave_empty(struct walk *w, struct child *c, bool above, struct err *e)
{
    if (emit(w, c, above, e) < 0)
        return -e->code;
    if (c->hi - c->lo <= c->root)
        return 0;
    if (c->fd < 0)
        c->fd = dir_open(dir_stack_top(&w->dirs)->fd, c->name, false, true);
    return c->fd < 0 ? 0 : enter(w, c, true, e);
}

static int folder(struct walk *w, struct child *c, bool above, struct err *e)
{
    const struct level *parent = dir_stack_top(&w->dirs);
    bool bounded = w->o->one_file_system && !parent->above && !c->root;
    if (bounded && c->st.dev != parent->dev)
        return leave_empty(w, c, above, e);
    c->fd = dir_open(parent->fd, c->name, above && parent->above, above);
    if (c->fd < 0) {
        int sys = errno;
        if (above)
            return roots_lost(w, c, sys, e);
        if (sys == ENOENT && w->o->may_vanish)
            return 0;
        if (emit(w, c, above, e) < 0)
            return -e->code;
        return note_here(w, true, strerror(sys), e);
    }
    /* What was opened counts, should it have been replaced or mounted upon in between. */
    if (scan_stat_fd(c->fd, &c->st) < 0)
        return note_here(w, true, strerror(errno), e);
    if (bounded && c->st.dev != parent->dev)
        return leave_empty(w, c, above, e);
    if (!above && (c->st.dev != parent->dev || parent->above) && dir_is_pseudo(c->fd)) {
        if (note_here(w, false, _("kernel file system, left empty"), e) < 0)
            return -e->code;
        return leave_empty(w, c, above, e);
    }
    if (emit(w, c, above, e) < 0)
        return -e->code;
    return enter(w, c, above, e);
}

/* --- one child -------------------------------------------------------------------------------- */
static int visit(struct walk *w, struct child *c, struct err *e)
{
    const struct level *parent = dir_stack_top(&w->dirs);
    bool above = parent->above && !c->root;
    if (!above && !c->root && exclude_match(w->o->exclude, w->dirs.path, w->dirs.path_len)) {
        if (c->hi == c->lo)
            return 0;
        above = true; /* a root within it was asked for by name */
    }
    if (w->o->leave_out &&
        w->o->leave_out(w->o->leave_ctx, parent->fd, c->name, w->dirs.path, w->dirs.path_len))
        return 0;
    if (scan_stat_at(parent->fd, c->name, above && parent->above, &c->st) < 0) {
        int sys = errno;
        if (sys == ENOENT && w->o->may_vanish)
            return 0;
        if (above || c->root)
            return roots_lost(w, c, sys, e);
        return note_here(
            w, true, sys == ENOENT ? _("vanished while it was being captured") : strerror(sys), e);
    }
    if (S_ISDIR(c->st.mode))
        return folder(w, c, above, e);
    return above ? roots_lost(w, c, ENOTDIR, e) : emit(w, c, false, e);
}

/* The next child of the folder on top. 1: there is one; 0: no more. */
static int next_child(struct walk *w, struct child *c, struct err *e)
{
    struct dir_stack *d = &w->dirs;
    struct level *l = dir_stack_top(d);
    *c = (struct child){ .fd = -1 };
    if (l->above) {
        if (l->root_next >= l->root_hi)
            return 0;
        const struct root *r = &w->roots.all[l->root_next];
        size_t at = l->path_len + (l->path_len > 0);
        const char *slash = memchr(r->path + at, '/', r->len - at);
        size_t end = slash ? (size_t)(slash - r->path) : r->len;
        if (dir_stack_name(d, r->path + at, end - at, &c->name, e) < 0)
            return -e->code;
        roots_within(&w->roots, d->path, d->path_len, &c->lo, &c->hi);
        c->root = w->roots.all[c->lo].len == end;
        l->root_next = c->hi;
        return 1;
    }
    for (;;) {
        const char *name = dir_stack_next(d);
        if (!name)
            return 0;
        int rc = dir_stack_name(d, name, strlen(name), &c->name, e);
        if (rc < 0)
            return rc;
        if (rc == 0)
            break;
        if (note_here(w, true, _("the path is too long"), e) < 0)
            return -e->code;
    }
    if (w->nested) {
        roots_within(&w->roots, d->path, d->path_len, &c->lo, &c->hi);
        c->root = c->hi > c->lo && w->roots.all[c->lo].len == d->path_len;
    }
    return 1;
}

static int leave(struct walk *w, struct err *e)
{
    if (dir_stack_pop(&w->dirs) == 0)
        return 0;
    return note_here(w, true, _("was moved while it was being captured; the rest of it is missing"),
                     e);
}

/* --- the whole -------------------------------------------------------------------------------- */
static int begin(struct walk *w, struct err *e)
{
    struct child top = { .hi = w->roots.n };
    top.root = w->roots.all[0].len == 0;
    top.fd = dir_open(AT_FDCWD, "/", true, true);
    if (top.fd < 0 || scan_stat_fd(top.fd, &top.st) < 0) {
        err_sys(e, _("open \"/\""));
        close_child(&top);
        return -e->code;
    }
    w->roots.all[0].reached = top.root;
    return enter(w, &top, !top.root, e);
}

static int end(struct walk *w, struct err *e)
{
    size_t reached = 0;
    for (size_t i = 0; i < w->roots.n; i++) {
        const struct root *r = &w->roots.all[i];
        reached += r->reached;
        if (!r->reached && !r->noted &&
            note(w, true, r->path, r->len, _("could not be reached; name its real path"), e) < 0)
            return -e->code;
    }
    if (reached == 0) {
        err_set(e, ERR_ABSENT, _("none of the paths to back up is there"));
        err_next(e, _("is all of it mounted? Else correct the paths in the policy's file"));
        return err_wrap(e, "/%s", w->roots.all[0].path);
    }
    return 0;
}

int scan_run(const struct scan_opts *o, struct err *e)
{
    struct err own = ERR_INIT;
    struct walk w = { .o = o };
    e = e ? e : &own;
    int rc = roots_init(&w.roots, o->roots, o->n_roots, e);
    if (rc < 0)
        return rc;
    if (w.roots.n == 0) {
        rc = err_set(e, ERR_CONFIG, _("there is no path to back up"));
        goto out;
    }
    for (size_t i = 1; i < w.roots.n; i++)
        w.nested = w.nested || path_within(w.roots.all[i].path, w.roots.all[i].len,
                                           w.roots.all[i - 1].path, w.roots.all[i - 1].len);
    rc = dir_stack_init(&w.dirs, o->max_open ? o->max_open : SCAN_MAX_OPEN, e);
    if (rc == 0)
        rc = begin(&w, e);
    while (rc == 0 && w.dirs.depth > 0) {
        struct child c;
        int got = next_child(&w, &c, e);
        rc = got < 0 ? got : got ? visit(&w, &c, e) : leave(&w, e);
        close_child(&c);
    }
    if (rc == 0)
        rc = end(&w, e);
out:
    dir_stack_done(&w.dirs);
    roots_done(&w.roots);
    return rc;
}

/* --- one place under another name --------------------------------------------------------------- */
static int enter_place(struct walk *w, const char *place, struct err *e)
{
    struct child c = { .fd = -1 };
    if (scan_stat_at(AT_FDCWD, place, true, &c.st) < 0)
        return err_sys(e, "%s", place);
    if (S_ISDIR(c.st.mode)) {
        c.fd = dir_open(AT_FDCWD, place, true, false);
        if (c.fd < 0 || scan_stat_fd(c.fd, &c.st) < 0) {
            err_sys(e, "%s", place);
            close_child(&c);
            return -e->code;
        }
    }
    struct scan_item it = { .path = w->dirs.path,
                            .path_len = w->dirs.path_len,
                            .dir_fd = AT_FDCWD,
                            .name = place,
                            .fd = c.fd,
                            .st = &c.st };
    int rc = w->o->on_entry(w->o->ctx, &it, e);
    if (rc < 0 || c.fd < 0) {
        close_child(&c);
        return rc;
    }
    return enter(w, &c, false, e);
}

int scan_place(const struct scan_opts *o, const char *place, const char *name, struct err *e)
{
    struct err own = ERR_INIT;
    struct walk w = { .o = o };
    char *real = realpath(place, NULL);
    e = e ? e : &own;
    if (!real)
        return err_sys(e, "%s", place);
    int rc = dir_stack_init(&w.dirs, o->max_open ? o->max_open : SCAN_MAX_OPEN, e);
    if (rc == 0)
        rc = dir_stack_begin(&w.dirs, name, e);
    if (rc == 0)
        rc = enter_place(&w, real, e);
    while (rc == 0 && w.dirs.depth > 0) {
        struct child c;
        int got = next_child(&w, &c, e);
        rc = got < 0 ? got : got ? visit(&w, &c, e) : leave(&w, e);
        close_child(&c);
    }
    dir_stack_done(&w.dirs);
    free(real);
    return rc;
}
