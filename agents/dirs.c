/* dirs.c - the chain of folders from the target down to where a restore is. Each is opened from
 * the one above it, never through a symbolic link, and its metadata is set when it is left: until
 * then it is nobody else's. Only the last MAX_OPEN_DIRS are held open; one that is needed again is
 * opened from below ("..") and must be the same inode as before. */
#include "agents/restore_run.h"
#include "agents/saved_entry.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Flags that file systems give to what is made in a folder that has them. */
#define FFLAGS_INHERITED                                                             \
    ((uint32_t)(FS_SECRM_FL | FS_UNRM_FL | FS_COMPR_FL | FS_SYNC_FL | FS_NODUMP_FL | \
                FS_NOATIME_FL | FS_NOTAIL_FL | FS_DIRSYNC_FL | FS_NOCOW_FL | FS_JOURNAL_DATA_FL))

static struct dir *top(struct dirs *d)
{
    return &d->v[d->n - 1];
}

static int note_other_fs(struct run *r, const struct stat *st, int fd)
{
    if (st->st_dev == r->dirs.v[0].dev || r->n_other == MAX_OTHER_FS)
        return 0;
    for (size_t i = 0; i < r->n_other; i++) {
        if (r->other_dev[i] == st->st_dev)
            return 0;
    }
    int keep = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (keep < 0)
        return -1;
    r->other_dev[r->n_other] = st->st_dev;
    r->other_fd[r->n_other++] = keep;
    return 0;
}

static int push(struct dirs *d, const struct dir *new, const char *path, size_t len, struct err *e)
{
    if (d->n == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : 32;
        struct dir *v = realloc(d->v, cap * sizeof *v);
        if (!v)
            return err_set(e, ERR_NOMEM, _("out of memory"));
        d->v = v;
        d->cap = cap;
    }
    if (len + 1 > d->path_cap) {
        char *p = realloc(d->path, 2 * len + 256);
        if (!p)
            return err_set(e, ERR_NOMEM, _("out of memory"));
        d->path = p;
        d->path_cap = 2 * len + 256;
    }
    if (len > 0)
        memcpy(d->path, path, len);
    d->path[len] = '\0';
    d->v[d->n++] = *new;
    if (d->n - d->first_open > MAX_OPEN_DIRS) {
        sys_close_quiet(d->v[d->first_open].fd);
        d->v[d->first_open++].fd = -1;
    }
    return 0;
}

int dirs_begin(struct run *r, struct err *e)
{
    struct stat st;
    if (fstat(r->t.fd, &st) < 0)
        return err_sys(e, "%s", r->m->target);
    uint32_t unlocked = setmeta_unlock(r->t.fd);
    struct dir root = {
        .fd = r->t.fd,
        .dev = st.st_dev,
        .ino = st.st_ino,
        .fresh = r->t.empty,
        .unlocked = unlocked,
        .inherit_acl = setmeta_has_default_acl(r->t.fd),
        .inherit_flags = setmeta_get_flags(r->t.fd) & FFLAGS_INHERITED,
    };
    if (r->t.made) {
        setmeta_strip(r->t.fd, root.inherit_acl, root.inherit_flags);
        root.inherit_acl = root.inherit_flags = false;
    }
    r->dirs.first_open = 1;
    return push(&r->dirs, &root, "", 0, e);
}

void dirs_done(struct dirs *d)
{
    for (size_t i = 0; i < d->n; i++) {
        /* A folder that was there keeps its protection when the restore ends early. */
        if (d->v[i].fd >= 0 && d->v[i].unlocked)
            setmeta_relock(d->v[i].fd, d->v[i].unlocked);
        if (i > 0) /* the target's own is closed by whoever opened it */
            sys_close_quiet(d->v[i].fd);
        free(d->v[i].saved);
        extra_free(d->v[i].extra);
    }
    free(d->v);
    free(d->path);
    *d = (struct dirs){ 0 };
}

/* --- leaving ---------------------------------------------------------------------------------- */
int dirs_add_late_flags(struct run *r, const struct object *o, const char *path, size_t len,
                        uint32_t flags, struct err *e)
{
    struct wbuf b = WBUF_INIT;
    wb_u64(&b, o->st.st_dev);
    wb_u64(&b, o->st.st_ino);
    wb_u32(&b, flags);
    wb_blob(&b, path, len);
    int rc = b.failed ? err_set(e, ERR_NOMEM, _("out of memory"))
                      : spool_add(r->late_flags, b.p, b.len, e);
    wbuf_free(&b);
    return rc;
}

static int give_metadata(struct run *r, struct dir *d, struct err *e)
{
    struct object o = { .fd = d->fd, .clean = d->fresh };
    uint32_t flags = d->unlocked;
    bool unlocked = d->unlocked != 0;
    if (d->give_meta && d->saved) {
        o.path = d->saved->path;
        o.path_len = d->saved->path_len;
        flags = d->saved->fflags;
    }
    if (fstat(d->fd, &o.st) < 0)
        return 0;
    if (d->give_meta && d->saved)
        setmeta_apply(r->sm, &o, d->saved, &unlocked);
    else if (!unlocked)
        return 0;
    bool as_is = d->fresh ? flags == 0 : !unlocked && setmeta_get_flags(d->fd) == flags;
    return as_is ? 0 : dirs_add_late_flags(r, &o, r->dirs.path, d->path_len, flags, e);
}

/* Opens a folder of the chain again: from the one below it or, where there is none, from the
 * target. */
static void reopen(struct run *r, struct dir *d, int below)
{
    struct stat st;
    int fd = -1;
    if (below >= 0)
        fd = sys_openat(below, "..", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, NULL);
    for (int i = 0; i < 2; i++) {
        if (fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == d->dev && st.st_ino == d->ino) {
            d->fd = fd;
            return;
        }
        sys_close_quiet(fd);
        fd = i > 0 ? -1
                   : sys_open_beneath(r->t.fd, r->dirs.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
                                      NULL);
    }
    d->lost = true;
    report_problem(&r->rep, r->dirs.path, d->path_len,
                   _("the folder was moved away while it was restored"));
}

static int leave(struct run *r, struct err *e)
{
    struct dirs *d = &r->dirs;
    struct dir *old = top(d);
    int rc = extra_leave(r, old, e);
    if (rc == 0 && !old->lost)
        rc = give_metadata(r, old, e);
    free(old->saved);
    old->saved = NULL;
    d->n--;
    struct dir *now = top(d);
    d->path[now->path_len] = '\0';
    if (now->fd < 0 && !now->lost)
        reopen(r, now, old->fd);
    if (d->first_open > d->n - 1)
        d->first_open = d->n - 1 > 0 ? d->n - 1 : 1;
    sys_close_quiet(old->fd);
    return rc;
}

int dirs_leave_all(struct run *r, struct err *e)
{
    int rc = 0;
    while (rc == 0 && r->dirs.n > 1)
        rc = leave(r, e);
    return rc == 0 ? extra_leave(r, &r->dirs.v[0], e) : rc;
}

void dirs_finish_root(struct run *r, bool last)
{
    struct dir *d = &r->dirs.v[0];
    struct object o = { .fd = d->fd, .clean = r->t.made };
    uint32_t flags = d->saved ? d->saved->fflags : d->unlocked;
    if (fstat(d->fd, &o.st) < 0)
        return;
    if (d->saved) {
        o.path = d->saved->path;
        o.path_len = d->saved->path_len;
        setmeta_apply(r->sm, &o, d->saved, NULL);
    } else if (r->t.made) {
        (void)fchmod(d->fd, 0755);
    }
    if (last && (d->saved || flags))
        setmeta_flags(r->sm, &o, flags);
    if (last)
        d->unlocked = 0;
}

int dirs_late_flags(struct run *r, struct err *e)
{
    void *all;
    size_t n;
    int rc = spool_map(r->late_flags, &all, &n, e);
    if (rc < 0 || n == 0)
        return rc;
    struct rbuf in = rbuf_of(all, n);
    while (rb_left(&in) > 0 && !in.bad) {
        size_t len;
        struct object o = { 0 };
        uint64_t dev = rb_u64(&in), ino = rb_u64(&in);
        uint32_t flags = rb_u32(&in);
        const uint8_t *blob = rb_blob(&in, MAX_PATH_BYTES, &len);
        char *path = blob ? malloc(len + 1) : NULL;
        if (!path)
            return err_set(e, ERR_NOMEM, _("out of memory"));
        memcpy(path, blob, len);
        path[len] = '\0';
        o.path = path;
        o.path_len = len;
        o.fd = sys_open_beneath(r->t.fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, NULL);
        if (o.fd >= 0 && fstat(o.fd, &o.st) == 0 && o.st.st_dev == dev && o.st.st_ino == ino)
            setmeta_flags(r->sm, &o, flags);
        else
            report_problem(&r->rep, path, len,
                           _("its inode flags could not be set: it was moved away"));
        sys_close_quiet(o.fd);
        free(path);
    }
    return 0;
}

/* --- entering --------------------------------------------------------------------------------- */
/* The folder may have been there before: what about it matters to what is made in it? */
static int look_at_old(struct run *r, struct dir *d, const struct stat *st, struct err *e)
{
    d->unlocked = setmeta_unlock(d->fd);
    d->inherit_acl = setmeta_has_default_acl(d->fd);
    d->inherit_flags = setmeta_get_flags(d->fd) & FFLAGS_INHERITED;
    /* Not being root, we may have taken our own permission away already. */
    if (d->give_meta && st->st_uid == r->uid && (st->st_mode & 0700) != 0700 && r->uid != 0)
        (void)fchmod(d->fd, (st->st_mode & 07777) | 0700);
    return r->t.continuing ? target_sweep(r, d->fd, e) : 0;
}

static int make_or_open(struct run *r, struct place *p, struct dir *d, struct err *e)
{
    int parent = p->dir->fd;
    for (int i = 0; i < 2; i++) {
        int rc = sys_mkdirat(parent, p->name, 0700, e);
        if (rc < 0 && rc != -ERR_EXISTS)
            return run_judge(rc);
        d->fresh = rc == 0;
        d->fd = sys_openat(parent, p->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
        if (d->fd >= 0)
            return 0;
        if (errno != ENOTDIR && errno != ELOOP)
            return run_judge(d->fd);
        rc = place_clear(r, p, e);
        if (rc != 0)
            return rc;
    }
    err_set(e, ERR_BUSY, _("its name is taken again and again"));
    return FAILED_HERE;
}

static int open_dir(struct run *r, struct place *p, struct dir *d, struct err *e)
{
    struct stat st;
    if (r->dirs.n >= MAX_DEPTH) {
        err_set(e, ERR_LIMIT, _("more than %d folders within each other"), MAX_DEPTH);
        return FAILED_HERE;
    }
    int rc = make_or_open(r, p, d, e);
    if (rc != 0)
        return rc;
    if (fstat(d->fd, &st) < 0) {
        err_sys(e, "fstat");
        return FAILED_HERE;
    }
    d->dev = st.st_dev;
    d->ino = st.st_ino;
    /* What we made is ours; anything else was put there meanwhile. */
    if (d->fresh && st.st_uid != r->uid)
        d->fresh = false;
    if (d->fresh)
        setmeta_strip(d->fd, p->dir->inherit_acl, p->dir->inherit_flags);
    else
        rc = run_judge(look_at_old(r, d, &st, e));
    note_other_fs(r, &st, d->fd);
    return rc;
}

/* Enters the folder at p; when that fails it is lost, and so is what belongs into it. */
static int enter(struct run *r, struct place *p, const struct entry *en, bool way, struct err *e)
{
    struct dir new = { .fd = -1, .path_len = p->path_len };
    struct err why = ERR_INIT;
    int rc = 0;
    new.give_meta = en && (!way || r->t.continuing);
    if (p->dir->lost)
        new.lost = true;
    else
        rc = open_dir(r, p, &new, &why);
    if (rc == 0 && !new.lost)
        rc = run_judge(extra_enter(r, p->dir, p->shown, p->shown_len, en && !way, &new, &why));
    if (rc != 0) {
        extra_free(new.extra);
        new.extra = NULL;
    }
    if (rc < 0) {
        sys_close_quiet(new.fd);
        if (e)
            *e = why;
        return rc;
    }
    if (rc == FAILED_HERE) {
        report_err(&r->rep, p->shown, p->shown_len, &why);
        sys_close_quiet(new.fd);
        new.fd = -1;
        new.lost = true;
    }
    if (en && new.fresh)
        new.give_meta = true;
    if (new.lost)
        r->rep.n.failed++;
    else if (en && !way)
        r->rep.n.dirs++;
    if (en && new.give_meta && !new.lost && (new.saved = entry_save(en)) == NULL)
        rc = err_set(e, ERR_NOMEM, _("out of memory"));
    else
        rc = push(&r->dirs, &new, p->path, p->path_len, e);
    if (rc < 0) {
        sys_close_quiet(new.fd);
        free(new.saved);
        extra_free(new.extra);
    }
    return rc;
}

static int name_of(struct place *p, size_t from, size_t to, struct err *e)
{
    if (to - from > NAME_MAX) {
        err_set(e, ERR_LIMIT, _("a name is longer than %d bytes"), NAME_MAX);
        return FAILED_HERE;
    }
    memcpy(p->name, p->path + from, to - from);
    p->name[to - from] = '\0';
    return 0;
}

static size_t parent_len(const char *path, size_t len)
{
    while (len > 0 && path[len - 1] != '/')
        len--;
    return len > 0 ? len - 1 : 0;
}

int dirs_place(struct run *r, struct place *p, struct err *e)
{
    struct dirs *d = &r->dirs;
    size_t parent = parent_len(p->path, p->path_len);
    while (!path_within(p->path, parent, d->path, top(d)->path_len)) {
        int rc = leave(r, e);
        if (rc < 0)
            return rc;
    }
    /* Folders that the snapshot names come before what is in them, so this is for lost ones. */
    while (top(d)->path_len < parent) {
        struct place missing = *p;
        size_t from = top(d)->path_len + (top(d)->path_len > 0);
        const char *slash = memchr(p->path + from, '/', parent - from);
        missing.path_len = slash ? (size_t)(slash - p->path) : parent;
        missing.shown_len = p->shown_len - (p->path_len - missing.path_len);
        missing.dir = top(d);
        int rc = name_of(&missing, from, missing.path_len, e);
        if (rc == 0)
            extra_saw(missing.dir, missing.name);
        if (rc == 0)
            rc = enter(r, &missing, NULL, true, e);
        if (rc != 0)
            return rc;
    }
    p->dir = top(d);
    int rc = name_of(p, parent + (parent > 0), p->path_len, e);
    if (rc == 0)
        extra_saw(p->dir, p->name);
    return rc;
}

int dirs_enter(struct run *r, const struct entry *en, struct place *p, bool way, struct err *e)
{
    int rc = dirs_place(r, p, e);
    return rc == 0 ? enter(r, p, en, way, e) : rc;
}
