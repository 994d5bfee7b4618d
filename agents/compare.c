/* compare.c - a snapshot against the live tree: two walks in the order of paths, merged. The live
 * one drives (agents/scan.h); the snapshot's is advanced to each path that it finds. Contract:
 * agents/apply.h. */
#include "agents/compare.h"
#include "agents/content.h"
#include "agents/saved_entry.h"
#include "agents/scan.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

struct compare {
    struct run *r;
    struct pathset *roots,
        *asked; /* the snapshot's roots; those parts of them that are asked for */
    struct exclude *exclude;
    size_t prefix_len; /* of the target, in the paths of the live walk */
    int base;          /* the target */
    struct entry en;   /* the snapshot's entry that is next */
    bool have, gap;    /* there is one; before it something is not known */
    bool virtual_seen; /* the snapshot has something that is no file of this host */
    char *skip;        /* nothing below this live folder was captured */
    size_t skip_len;
};

/* --- the snapshot's side ---------------------------------------------------------------------- */
/* To the next entry that is asked for. */
static int advance(struct compare *c, struct err *e)
{
    c->have = false;
    c->gap = false;
    for (;;) {
        struct err why = ERR_INIT;
        int rc = entries_next(c->r->walk, &c->en, &why);
        if (rc == ENTRIES_GAP) {
            report_err(&c->r->rep, NULL, 0, &why);
            c->r->rep.n.failed++;
            c->gap = true;
            continue;
        }
        if (rc < 0 && e)
            *e = why;
        if (rc <= 0)
            return rc;
        entries_pump(c->r->walk);
        if (body_virtual_root(c->r->body, c->en.path, c->en.path_len)) {
            c->virtual_seen = true;
            continue;
        }
        if (c->en.type == ENTRY_MORE || !pathset_holds(c->asked, c->en.path, c->en.path_len))
            continue;
        pathset_hit(c->r->set, c->en.path, c->en.path_len);
        c->have = true;
        return 0;
    }
}

static int send_diff(struct compare *c, char change, const char *path, size_t len, unsigned what,
                     struct err *e)
{
    struct wbuf head = WBUF_INIT;
    char *full = malloc(len + 1);
    if (!full)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    full[0] = '/';
    memcpy(full + 1, path, len);
    struct msg_diff m = { .change = change, .path = full, .path_len = len + 1, .what = what };
    msg_diff_write(&head, &m);
    int rc = wire_send(c->r->w, FRAME_DIFF, &head, NULL, 0, e);
    wbuf_free(&head);
    free(full);
    return rc;
}

/* A pattern leaves this path out, or a folder above it that is not above the root. */
static bool is_excluded(const struct compare *c, const char *path, size_t len)
{
    size_t root = 0;
    for (size_t i = 0; i < pathset_count(c->roots); i++) {
        size_t n;
        const char *p = pathset_at(c->roots, i, &n);
        if (path_within(path, len, p, n))
            root = n;
    }
    for (size_t n = root + 1; n <= len; n++) {
        if ((n == len || path[n] == '/') && exclude_match(c->exclude, path, n))
            return true;
    }
    return false;
}

/* Everything in the snapshot before the path (NULL: to the end) is not there any more. */
static int gone_before(struct compare *c, const char *path, size_t len, struct err *e)
{
    while (c->have && (!path || path_cmp(c->en.path, c->en.path_len, path, len) < 0)) {
        int rc = 0;
        if (!is_excluded(c, c->en.path, c->en.path_len))
            rc = send_diff(c, 'D', c->en.path, c->en.path_len, 0, e);
        if (rc == 0)
            rc = advance(c, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- one object ------------------------------------------------------------------------------- */
static mode_t type_of(const struct entry *en)
{
    static const mode_t types[] = {
        [ENTRY_FILE] = S_IFREG, [ENTRY_DIR] = S_IFDIR,  [ENTRY_SYMLINK] = S_IFLNK,
        [ENTRY_FIFO] = S_IFIFO, [ENTRY_CHAR] = S_IFCHR, [ENTRY_BLOCK] = S_IFBLK,
    };
    return (size_t)en->type < sizeof types / sizeof *types ? types[en->type] : 0;
}

static int open_for_reading(const struct scan_item *it, struct err *e)
{
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    int fd = sys_openat(it->dir_fd, it->name, flags | O_NOATIME, 0, e);
    return fd < 0 && errno == EPERM ? sys_openat(it->dir_fd, it->name, flags, 0, e) : fd;
}

/* *ret_change: 0, 'M' or 'm'. FAILED_HERE: it could not be read. */
static int compare_file(struct compare *c, const struct entry *en, const struct scan_item *it,
                        char *ret_change, unsigned *ret_what, struct err *e)
{
    struct run *r = c->r;
    struct disk_check check = {
        .with = r->with, .runs_walk = r->runs_walk, .io = r->io, .stop = run_stop, .ctx = r
    };
    bool same = false;
    struct object o = { .fd = open_for_reading(it, e), .path = en->path, .path_len = en->path_len };
    if (o.fd < 0)
        return FAILED_HERE;
    int rc = 0;
    if (fstat(o.fd, &o.st) < 0) {
        err_sys(e, "fstat");
        rc = FAILED_HERE;
    } else if (S_ISREG(o.st.st_mode) && (uint64_t)o.st.st_size == en->size) {
        rc = content_on_disk(&check, o.fd, en, &same, e);
    }
    if (rc == 0) {
        *ret_what = setmeta_diff(r->sm, &o, en);
        *ret_change = !same ? 'M' : *ret_what ? 'm' : 0;
    }
    sys_close_quiet(o.fd);
    return rc;
}

static int compare_special(struct compare *c, const struct entry *en, const struct scan_item *it,
                           char *ret_change, unsigned *ret_what, struct err *e)
{
    char target[PATH_MAX + 1];
    struct object o = { .fd = sys_openat(it->dir_fd, it->name, O_PATH | O_NOFOLLOW, 0, e),
                        .o_path = true,
                        .dir_fd = it->dir_fd,
                        .name = it->name };
    if (o.fd < 0)
        return FAILED_HERE;
    bool same = true;
    if (fstat(o.fd, &o.st) < 0) {
        err_sys(e, "fstat");
        sys_close_quiet(o.fd);
        return FAILED_HERE;
    }
    *ret_what = setmeta_diff(c->r->sm, &o, en);
    if (en->type == ENTRY_SYMLINK) {
        ssize_t n = readlinkat(o.fd, "", target, sizeof target);
        if (n < 0 || (size_t)n != en->target_len || memcmp(target, en->target, en->target_len) != 0)
            *ret_what |= DIFF_TARGET;
    } else if (en->type != ENTRY_FIFO) {
        same = major(o.st.st_rdev) == en->dev_major && minor(o.st.st_rdev) == en->dev_minor;
    }
    sys_close_quiet(o.fd);
    *ret_change = !same ? 'M' : *ret_what ? 'm' : 0;
    return 0;
}

/* Still another name of the same object? Else what counts is whether the content is the same. */
static int compare_hardlink(struct compare *c, const struct entry *en, const struct scan_item *it,
                            char *ret_change, unsigned *ret_what, struct err *e)
{
    struct entry found, *link = entry_save(en);
    struct stat st;
    if (!link)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    int fd = sys_open_beneath(c->base, link->target, O_PATH, 0, NULL), rc = 0;
    bool same = fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == it->st->dev &&
                st.st_ino == it->st->ino;
    sys_close_quiet(fd);
    if (!same) {
        rc = entries_find(c->r->links_walk, link->target, link->target_len, &found, e);
        if (rc == ENTRIES_GAP)
            rc = FAILED_HERE;
        else if (rc == 0 || (rc == 1 && type_of(&found) != (it->st->mode & S_IFMT)))
            *ret_change = 'T', rc = 0;
        else if (rc == 1 && found.type == ENTRY_FILE)
            rc = compare_file(c, &found, it, ret_change, ret_what, e);
        else if (rc == 1)
            rc = compare_special(c, &found, it, ret_change, ret_what, e);
        if (rc == 0 && *ret_change != 'T') {
            *ret_what |= DIFF_TARGET;
            *ret_change = *ret_change ? *ret_change : 'm';
        }
    }
    free(link);
    return rc;
}

static void compare_dir(struct compare *c, const struct entry *en, const struct scan_item *it,
                        char *ret_change, unsigned *ret_what)
{
    struct object o = { .fd = it->fd, .path = en->path, .path_len = en->path_len };
    if (en->flags & ENTRY_ABOVE || it->fd < 0 || fstat(it->fd, &o.st) < 0)
        return;
    *ret_what = setmeta_diff(c->r->sm, &o, en);
    *ret_change = *ret_what ? 'm' : 0;
}

static int compare_entry(struct compare *c, const struct scan_item *it, struct err *e)
{
    const struct entry *en = &c->en;
    struct counts *n = &c->r->rep.n;
    char change = 0;
    unsigned what = 0;
    int rc = 0;
    mode_t type = it->st->mode & S_IFMT;
    if (en->type == ENTRY_HARDLINK && type != S_IFDIR && type != S_IFSOCK)
        rc = compare_hardlink(c, en, it, &change, &what, e);
    else if (type_of(en) != type)
        change = 'T';
    else if (type == S_IFREG)
        rc = compare_file(c, en, it, &change, &what, e);
    else if (type == S_IFDIR)
        compare_dir(c, en, it, &change, &what);
    else
        rc = compare_special(c, en, it, &change, &what, e);
    if (rc != 0)
        return rc;
    if (type == S_IFREG) {
        n->files++;
        n->already += change == 0;
    } else if (type == S_IFDIR) {
        n->dirs++;
    } else {
        n->others++;
    }
    return change ? send_diff(c, change, en->path, en->path_len, what, e) : 0;
}

/* --- what was never captured ------------------------------------------------------------------ */
static bool next_within(const struct compare *c, const char *path, size_t len)
{
    return c->have && path_within(c->en.path, c->en.path_len, path, len);
}

static bool next_is_tag(const struct compare *c, const char *path, size_t len)
{
    static const char tag[] = "/CACHEDIR.TAG";
    return next_within(c, path, len) && c->en.path_len == len + sizeof tag - 1 &&
           memcmp(c->en.path + len, tag, sizeof tag - 1) == 0;
}

/* A mount point of which the snapshot has nothing was not gone into; nor was a folder that is
 * marked as a cache, when all that the snapshot has of it is the mark. */
static int see_what_to_skip(struct compare *c, const struct scan_item *it, const char *path,
                            size_t len, struct err *e)
{
    struct stat parent;
    bool mount = fstat(it->dir_fd, &parent) == 0 && parent.st_dev != it->st->dev;
    bool unknown = mount && !c->gap && !next_within(c, path, len);
    if (!unknown && !next_is_tag(c, path, len))
        return 0;
    char *copy = malloc(len + 1);
    if (!copy)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    memcpy(copy, path, len);
    free(c->skip);
    c->skip = copy;
    c->skip_len = len;
    return 0;
}

/* --- the live side ---------------------------------------------------------------------------- */
static int on_entry(void *ctx, const struct scan_item *it, struct err *e)
{
    struct compare *c = ctx;
    struct err why = ERR_INIT;
    int rc = run_check(c->r, e);
    if (rc < 0)
        return rc;
    if (it->path_len <= c->prefix_len)
        return 0;
    size_t from = c->prefix_len + (c->prefix_len > 0);
    const char *path = it->path + from;
    size_t len = it->path_len - from;
    if (it->above || !pathset_holds(c->asked, path, len))
        return 0;
    /* The live walk knows the patterns only where its paths are those of the snapshot. */
    if (c->prefix_len > 0 && is_excluded(c, path, len))
        return 0;
    report_at(&c->r->rep, path, len);
    rc = gone_before(c, path, len, e);
    if (rc < 0)
        return rc;
    if (!c->have || path_cmp(c->en.path, c->en.path_len, path, len) != 0) {
        bool known = !c->gap && (it->st->mode & S_IFMT) != S_IFSOCK;
        bool skipped = c->skip && path_within(path, len, c->skip, c->skip_len);
        return known && !skipped ? send_diff(c, 'A', path, len, 0, e) : 0;
    }
    rc = compare_entry(c, it, &why);
    if (rc == FAILED_HERE && (rc = run_check(c->r, &why)) == 0) {
        report_err(&c->r->rep, path, len, &why);
        c->r->rep.n.failed++;
    } else if (rc < 0) {
        if (e)
            *e = why;
        return rc;
    }
    rc = advance(c, e);
    if (rc == 0 && (it->st->mode & S_IFMT) == S_IFDIR)
        rc = see_what_to_skip(c, it, path, len, e);
    return rc;
}

static int on_note(void *ctx, bool problem, const char *path, size_t len, const char *text,
                   struct err *e)
{
    struct compare *c = ctx;
    if (problem) {
        report_problem(&c->r->rep, path, len, "%s", text);
        c->r->rep.n.failed++;
    } else {
        report_note(&c->r->rep, path, len, "%s", text);
    }
    return 0;
}

/* --- the whole -------------------------------------------------------------------------------- */
/* The roots of the live walk: what is asked for, below the target. Owned, each and the array. */
static char **live_roots(const struct compare *c, size_t *ret_n, struct err *e)
{
    size_t n = pathset_count(c->asked), target_len = strlen(c->r->m->target);
    char **v = calloc(n + 1, sizeof *v);
    while (target_len > 0 && c->r->m->target[target_len - 1] == '/')
        target_len--;
    *ret_n = 0;
    for (size_t i = 0; v && i < n + (n == 0); i++) {
        size_t len = 0;
        const char *p = n > 0 ? pathset_at(c->asked, i, &len) : "";
        v[i] = malloc(target_len + len + 2);
        if (!v[i])
            break;
        memcpy(v[i], c->r->m->target, target_len);
        v[i][target_len] = '/';
        memcpy(v[i] + target_len + 1, p, len);
        v[i][target_len + 1 + len] = '\0';
        ++*ret_n;
    }
    if (v && *ret_n == n + (n == 0))
        return v;
    for (size_t i = 0; v && i < *ret_n; i++)
        free(v[i]);
    free(v);
    err_set(e, ERR_NOMEM, _("out of memory"));
    return NULL;
}

static int walk_live(struct compare *c, struct err *e)
{
    struct err why = ERR_INIT;
    struct scan_opts o = { .exclude = c->prefix_len ? NULL : c->exclude,
                           .on_entry = on_entry,
                           .on_note = on_note,
                           .ctx = c };
    size_t n;
    char **roots = live_roots(c, &n, e);
    if (!roots)
        return -ERR_NOMEM;
    o.roots = roots;
    o.n_roots = n;
    /* Where nothing is left of the roots, everything is gone: that is an answer, too. */
    int rc = scan_run(&o, &why);
    if (rc == -ERR_ABSENT)
        rc = 0;
    else if (rc < 0 && e)
        *e = why;
    for (size_t i = 0; i < n; i++)
        free(roots[i]);
    free(roots);
    return rc == 0 ? gone_before(c, NULL, 0, e) : rc;
}

static int open_base(struct compare *c, struct err *e)
{
    const char *target = c->r->m->target;
    size_t len = strlen(target);
    if (target[0] != '/')
        return err_set(e, ERR_USAGE, _("the target \"%s\" is not an absolute path"), target);
    while (len > 0 && target[len - 1] == '/')
        len--;
    c->prefix_len = len > 0 ? len - 1 : 0;
    c->base = sys_openat(AT_FDCWD, target, O_PATH | O_DIRECTORY, 0, e);
    return c->base < 0 ? c->base : 0;
}

static void report_missed(struct run *r)
{
    size_t at = 0, len;
    const char *path;
    while ((path = pathset_missed(r->set, &at, &len)) != NULL)
        report_note(&r->rep, path, len, _("not in the snapshot"));
}

/* Those roots that are places on a disk. */
static int live_set(struct run *r, struct pathset **ret, struct err *e)
{
    char **real = calloc(r->body->n_roots + 1, sizeof *real);
    size_t n = 0;
    if (!real)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    for (size_t i = 0; i < r->body->n_roots; i++)
        if (!body_root_is_virtual(r->body->roots[i]))
            real[n++] = r->body->roots[i];
    int rc = n > 0 ? pathset_new(real, n, ret, e)
                   : err_set(e, ERR_ABSENT,
                             _("this backup holds a database and no files that could be compared"));
    free(real);
    if (n == 0)
        err_next(e, _("compare it with another backup: twofold diff SNAPSHOT SNAPSHOT"));
    return rc;
}

int compare_run(struct run *r, struct err *e)
{
    struct compare c = { .r = r, .base = -1 };
    int rc = open_base(&c, e);
    if (rc == 0)
        rc = live_set(r, &c.roots, e);
    if (rc == 0)
        rc = pathset_meet(c.roots, r->set, &c.asked, e);
    if (rc == 0 && pathset_none(c.asked)) {
        err_set(e, ERR_ABSENT, _("nothing of what was asked for belongs to this snapshot"));
        rc = err_next(e, _("see what it holds: twofold ls SNAPSHOT"));
    }
    if (rc == 0)
        rc = exclude_new(r->m->exclude, r->m->n_exclude, &c.exclude, e);
    if (rc == 0)
        rc = advance(&c, e);
    if (rc == 0)
        rc = walk_live(&c, e);
    if (rc == 0)
        report_missed(r);
    if (rc == 0 && c.virtual_seen)
        report_note(&r->rep, NULL, 0, _("databases in the backup were not compared"));
    pathset_free(c.roots);
    pathset_free(c.asked);
    exclude_free(c.exclude);
    free(c.skip);
    sys_close_quiet(c.base);
    return rc;
}
