/* folder.c - the verbs of a copy that is a folder (disk, NAS, USB). Layout: docs/format.md, "Objects";
 * write order within one object: tmp/ file, fsync, rename, fsync of the folder. */
#include "lib/store/folder.h"
#include "lib/base/i18n.h"
#include "lib/base/id.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FILE_MODE 0600
#define DRAFT_BYTES 16
#define DRAFT_NAME_BYTES (2 * DRAFT_BYTES + 1)

static int begin_writing(const struct folder *f, struct err *e)
{
    if (!f->read_only)
        return folder_check_root(f, e);
    err_set(e, ERR_READONLY, _("the copy was opened for reading only"));
    return err_wrap(e, "%s", f->path);
}

/* --- drafts: the whole object under a random name in tmp/ --------------------------------------- */
static int fill_draft(int fd, const struct store_data *d, struct err *e)
{
    bool read_side = false;
    struct stat st;
    int r = d->p ? sys_write(fd, d->p, (size_t)d->len, e)
                 : sys_copy(d->fd, 0, fd, d->len, &read_side, e);
    if (r < 0)
        return read_side ? store_source_failed(e) : r;
    if (fstat(fd, &st) < 0)
        return err_sys(e, _("look at what was written"));
    if ((uint64_t)st.st_size != d->len)
        return err_set(e, ERR_IO, _("%lld bytes arrived on the disk instead of %llu"),
                       (long long)st.st_size, (unsigned long long)d->len);
    return sys_fsync(fd, e);
}

static int make_draft(int tmp, const struct store_data *d, char name[DRAFT_NAME_BYTES],
                      struct err *e)
{
    uint8_t chance[DRAFT_BYTES];
    sys_random(chance, sizeof chance);
    hex_encode(chance, sizeof chance, name);
    int fd = sys_openat(tmp, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, FILE_MODE, e);
    if (fd < 0)
        return fd;
    int r = fill_draft(fd, d, e);
    int closed = sys_close(fd, r == 0 ? e : NULL);
    r = r < 0 ? r : closed;
    if (r < 0)
        sys_unlinkat(tmp, name, 0, NULL);
    return r;
}

/* 1: a file stands there, of this length unless `len` is NULL; 0: nothing does. */
static int look(int dirfd, const char *base, const uint64_t *len, struct err *e)
{
    struct stat st;
    if (fstatat(dirfd, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_sys(e, _("look for it"));
    if (!len)
        return 1;
    int r = folder_must_be_file(&st, e);
    if (r < 0)
        return r;
    if ((uint64_t)st.st_size != *len)
        return err_set(e, ERR_DAMAGED, _("an object of %lld bytes has this name, not one of %llu"),
                       (long long)st.st_size, (unsigned long long)*len);
    return 1;
}

/* Gives the draft its name, durably. After a failed fsync of the folder nobody knows what is on the disk,
 * and another fsync would not tell: the name is taken back, so that the next put writes it again. */
static int publish(int tmp, const char *draft, int dirfd, const char *base, struct err *e)
{
    int r = sys_renameat(tmp, draft, dirfd, base, false, e);
    if (r < 0)
        return r;
    r = sys_fsync_dir(dirfd, ".", e);
    if (r < 0)
        sys_unlinkat(dirfd, base, 0, NULL);
    return r;
}

/* --- put --------------------------------------------------------------------------------------------- */
/* One who writes without the vault's lock (a database's log) may have the draft swept away: it is made again. */
#define DRAFTS 3
static int put_draft(int tmp, int dirfd, const char *base, const struct store_data *d,
                     struct err *e)
{
    char draft[DRAFT_NAME_BYTES];
    int r = -ERR_ABSENT;
    for (int i = 0; i < DRAFTS && r == -ERR_ABSENT; i++) {
        err_clear(e);
        r = make_draft(tmp, d, draft, e);
        if (r == 0 && (r = publish(tmp, draft, dirfd, base, e)) < 0)
            sys_unlinkat(tmp, draft, 0, NULL);
    }
    return r;
}

static int put_new(struct folder *f, int dirfd, const char *base, const struct store_data *d,
                   struct err *e)
{
    int tmp = folder_enter(f, "tmp", true, e);
    if (tmp < 0)
        return tmp;
    int r = put_draft(tmp, dirfd, base, d, e);
    if (r == -ERR_EXISTS) { /* somebody was quicker: as good, if it is the same */
        err_clear(e);
        r = look(dirfd, base, &d->len, e);
        r = r < 0 ? r : sys_fsync_dir(dirfd, ".", e);
    }
    sys_close_quiet(tmp);
    return r;
}

static int folder_put(void *d, const char *name, const struct store_data *data, struct err *e)
{
    struct folder *f = d;
    char folder[MAX_STORE_NAME + 1];
    const char *base = folder_split(name, folder);
    int r = begin_writing(f, e);
    if (r < 0)
        return r;
    int dirfd = folder_enter(f, folder, true, e);
    if (dirfd < 0)
        return folder_write_failed(f, name, e);
    r = look(dirfd, base, &data->len, e);
    /* One that is there may be of a run that was killed before its name was durable. */
    if (r == 1)
        r = sys_fsync_dir(dirfd, ".", e);
    else if (r == 0)
        r = put_new(f, dirfd, base, data, e);
    sys_close_quiet(dirfd);
    return r < 0 ? folder_write_failed(f, name, e) : 0;
}

/* --- setting aside and back ---------------------------------------------------------------------------- */
/* Moves `base` to another folder; both ends are durable afterwards, the new one first. */
static int move(int from, int to, const char *base, struct err *e)
{
    int r = sys_renameat(from, base, to, base, false, e);
    if (r < 0)
        return r;
    r = sys_fsync_dir(to, ".", e);
    return r < 0 ? r : sys_fsync_dir(from, ".", e);
}

static void aside_path(char out[2 * MAX_STORE_NAME], const char *stamp, const char *suffix,
                       const char *folder)
{
    snprintf(out, 2 * MAX_STORE_NAME, ASIDE_FOLDER "%s%s%s%s", stamp, suffix, folder[0] ? "/" : "",
             folder);
}

/* The new bytes are whole in tmp/ before anything is touched; if their name cannot be given to them, what
 * had it gets it back. */
static int swap_in(int dirfd, int aside, int tmp, const char *draft, const char *base,
                   struct err *e)
{
    int there = look(dirfd, base, NULL, e);
    if (there < 0)
        return there;
    int r = there ? move(dirfd, aside, base, e) : 0;
    if (r == 0)
        r = publish(tmp, draft, dirfd, base, e);
    if (r < 0 && r != -ERR_EXISTS && there) {
        if (sys_renameat(aside, base, dirfd, base, false, NULL) == 0)
            sys_fsync_dir(dirfd, ".", NULL);
    }
    return r;
}

static int replace_object(struct folder *f, const char *name, const struct store_data *data,
                          const char *stamp, struct err *e)
{
    char folder[MAX_STORE_NAME + 1], aside_name[2 * MAX_STORE_NAME], draft[DRAFT_NAME_BYTES];
    const char *base = folder_split(name, folder);
    int dirfd = -1, aside = -1, tmp = -1, r;
    aside_path(aside_name, stamp, "", folder);
    r = tmp = folder_enter(f, "tmp", true, e);
    if (r >= 0)
        r = dirfd = folder_enter(f, folder, true, e);
    if (r >= 0)
        r = aside = folder_enter(f, aside_name, true, e);
    if (r >= 0)
        r = make_draft(tmp, data, draft, e);
    if (r >= 0) {
        r = swap_in(dirfd, aside, tmp, draft, base, e);
        if (r < 0)
            sys_unlinkat(tmp, draft, 0, NULL);
    }
    sys_close_quiet(aside);
    sys_close_quiet(dirfd);
    sys_close_quiet(tmp);
    return r;
}

static int folder_replace(void *d, const char *name, const struct store_data *data,
                          const char *stamp, struct err *e)
{
    struct folder *f = d;
    int r = begin_writing(f, e);
    if (r < 0)
        return r;
    r = replace_object(f, name, data, stamp, e);
    if (r == -ERR_EXISTS)
        err_next(e, _("something was set aside from this name before: look into aside/%s"), stamp);
    return r < 0 ? folder_write_failed(f, name, e) : 0;
}

static int restore_one(struct folder *f, const char *stamp, const char *name, struct err *e)
{
    char folder[MAX_STORE_NAME + 1], path[2 * MAX_STORE_NAME];
    const char *base = folder_split(name, folder);
    int dirfd = -1, aside = -1, undone = -1, r;
    aside_path(path, stamp, "", folder);
    r = aside = folder_enter(f, path, false, e);
    if (r >= 0)
        r = dirfd = folder_enter(f, folder, true, e);
    if (r >= 0)
        r = look(dirfd, base, NULL, e);
    if (r == 1) {
        aside_path(path, stamp, UNDONE_SUFFIX, folder);
        if (strlen(path) > MAX_STORE_NAME)
            r = err_set(e, ERR_LIMIT, _("its name is too long to be set aside"));
        else
            r = undone = folder_enter(f, path, true, e);
        if (r >= 0)
            r = move(dirfd, undone, base, e);
    }
    if (r >= 0)
        r = move(aside, dirfd, base, e);
    sys_close_quiet(undone);
    sys_close_quiet(dirfd);
    sys_close_quiet(aside);
    return r < 0 ? folder_write_failed(f, name, e) : 0;
}

/* Names are gathered first: what is being listed must not change under the list. */
struct names {
    char **v;
    size_t n, cap;
    size_t skip; /* bytes of each name that are left out */
    struct err *e;
};

static int gather(void *ctx, const char *name, const struct stat *st)
{
    struct names *l = ctx;
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        char **grown = realloc(l->v, cap * sizeof *grown);
        if (!grown)
            return store_out_of_memory(l->e);
        l->v = grown;
        l->cap = cap;
    }
    l->v[l->n] = strdup(name + l->skip);
    return l->v[l->n++] ? 0 : store_out_of_memory(l->e);
}

static void names_done(struct names *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i]);
    free(l->v);
}

static int folder_restore_aside(void *d, const char *stamp, struct err *e)
{
    struct folder *f = d;
    char prefix[2 * MAX_STORE_NAME];
    struct names l = { .e = e };
    int count = 0, r = begin_writing(f, e);
    if (r < 0)
        return r;
    snprintf(prefix, sizeof prefix, ASIDE_FOLDER "%s/", stamp);
    l.skip = strlen(prefix);
    r = folder_walk(f, prefix, gather, &l, e);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        r = restore_one(f, stamp, l.v[i], e);
        count += r == 0;
    }
    names_done(&l);
    return r < 0 ? r : count;
}

/* --- reading ------------------------------------------------------------------------------------------ */
/* O_NONBLOCK: a pipe or a device in an object's place must not hold the reader up. */
static int read_range(struct folder *f, const char *name, uint64_t off, size_t len, void *out,
                      struct err *e)
{
    struct stat st;
    int fd = sys_open_beneath(f->root, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, e);
    if (fd < 0)
        return fd;
    int r = fstat(fd, &st) < 0 ? err_sys(e, _("look at it")) : folder_must_be_file(&st, e);
    bool is_short = r == 0 && (off > (uint64_t)st.st_size || len > (uint64_t)st.st_size - off);
    if (r == 0 && !is_short) {
        ssize_t got = sys_pread(fd, out, len, off, e);
        r = got < 0 ? (int)got : 0;
        is_short = r == 0 && (size_t)got < len;
    }
    if (is_short)
        r = err_set(e, ERR_DAMAGED, _("it has only %lld bytes"), (long long)st.st_size);
    sys_close_quiet(fd);
    return r;
}

static int folder_get(void *d, const char *name, uint64_t off, size_t len, void *out, struct err *e)
{
    struct folder *f = d;
    int r = read_range(f, name, off, len, out, e);
    return r < 0 ? folder_read_failed(f, name, e) : 0;
}

static int folder_stat(void *d, const char *name, uint64_t *ret_len, struct err *e)
{
    struct folder *f = d;
    struct stat st;
    int fd = sys_open_beneath(f->root, name, O_PATH, 0, e);
    int r = fd < 0 ? fd : 0;
    if (fd >= 0) {
        r = fstat(fd, &st) < 0 ? err_sys(e, _("look at it")) : folder_must_be_file(&st, e);
        sys_close_quiet(fd);
    }
    if (r < 0)
        return folder_read_failed(f, name, e);
    *ret_len = (uint64_t)st.st_size;
    return 0;
}

struct listing {
    store_list_fn *fn;
    void *ctx;
};

static int list_file(void *ctx, const char *name, const struct stat *st)
{
    const struct listing *l = ctx;
    return S_ISREG(st->st_mode) ? l->fn(l->ctx, name, (uint64_t)st->st_size) : 0;
}

static int folder_list(void *d, const char *prefix, store_list_fn *fn, void *ctx, struct err *e)
{
    return folder_walk(d, prefix, list_file, &(struct listing){ .fn = fn, .ctx = ctx }, e);
}

/* --- deleting ----------------------------------------------------------------------------------------- */
static int folder_delete(void *d, const char *name, struct err *e)
{
    struct folder *f = d;
    char folder[MAX_STORE_NAME + 1];
    const char *base = folder_split(name, folder);
    int r = begin_writing(f, e);
    if (r < 0)
        return r;
    int dirfd = folder_enter(f, folder, false, e);
    if (dirfd < 0) {
        r = folder_read_failed(f, name, e);
        if (r != -ERR_ABSENT)
            return r;
        err_clear(e);
        return 0;
    }
    r = sys_unlinkat(dirfd, base, 0, e);
    if (r == -ERR_ABSENT && e->sys == ENOENT) {
        err_clear(e);
        r = folder_check_root(f, e);
    }
    /* Also when it was gone before: whoever deleted it may have been killed before this. */
    if (r == 0)
        r = sys_fsync_dir(dirfd, ".", e);
    sys_close_quiet(dirfd);
    return r < 0 ? folder_write_failed(f, name, e) : 0;
}

static int folder_sweep_tmp(void *d, struct err *e)
{
    struct folder *f = d;
    struct names l = { .skip = strlen("tmp/"), .e = e };
    int tmp = -1, r = begin_writing(f, e);
    if (r < 0)
        return r;
    r = folder_walk(f, "tmp/", gather, &l, e);
    if (r == 0 && l.n > 0) {
        r = tmp = folder_enter(f, "tmp", false, e);
        for (size_t i = 0; i < l.n && r >= 0; i++)
            if (!strchr(l.v[i], '/'))
                r = sys_unlinkat(tmp, l.v[i], 0, e);
        r = r < 0 ? folder_write_failed(f, "tmp", e) : 0;
    }
    sys_close_quiet(tmp);
    names_done(&l);
    return r;
}

/* --- the store as a whole -------------------------------------------------------------------------------- */
static int folder_space(void *d, struct store_space *ret, struct err *e)
{
    const struct folder *f = d;
    struct statvfs v;
    int r = folder_check_root(f, e);
    if (r < 0)
        return r;
    if (fstatvfs(f->root, &v) < 0)
        return err_sys(e, "%s", f->path);
    ret->free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
    ret->total_bytes = (uint64_t)v.f_blocks * v.f_frsize;
    ret->device = (uint64_t)f->dev;
    ret->durable = true;
    return 0;
}

static void folder_close(void *d)
{
    struct folder *f = d;
    sys_close_quiet(f->root);
    while (f->n_known > 0)
        free(f->known[--f->n_known]);
    free(f->path);
    free(f);
}

static int not_there(const char *path, struct err *e)
{
    bool refused = e->code == ERR_REFUSED;
    e->code = ERR_UNREACHABLE;
    if (refused)
        return err_next(e, _("run it as a user who may read %s"), path);
    return err_next(e, _("is the disk mounted? the folder of the copy must be at %s"), path);
}

/* An empty folder that is not just being made into a copy is the place where a disk is to be mounted. */
static int check_content(struct folder *f, unsigned flags, struct err *e)
{
    int empty = folder_is_empty(f->root, e);
    if (empty < 0 || (empty == 1) == ((flags & STORE_CREATE) != 0))
        return empty < 0 ? err_wrap(e, "%s", f->path) : 0;
    if (flags & STORE_CREATE) {
        err_set(e, ERR_EXISTS, _("the folder is not empty"));
        return err_wrap(e, "%s", f->path);
    }
    err_set(e, ERR_UNREACHABLE, _("the folder is empty: no copy is in it"));
    err_wrap(e, "%s", f->path);
    return not_there(f->path, e);
}

static int open_root(struct folder *f, unsigned flags, struct err *e)
{
    struct stat st;
    int r = flags & STORE_CREATE ? folder_make_root(f->path, e) : 0;
    if (r < 0)
        return r;
    f->root = sys_openat(AT_FDCWD, f->path, O_RDONLY | O_DIRECTORY, 0, e);
    if (f->root < 0)
        return e->sys == EMFILE || e->sys == ENFILE ? -(int)e->code : not_there(f->path, e);
    if (fstat(f->root, &st) < 0)
        return err_sys(e, "%s", f->path);
    f->dev = st.st_dev;
    f->ino = st.st_ino;
    return check_content(f, flags, e);
}

int folder_open(const char *path, const char *url, unsigned flags, struct store **ret,
                struct err *e)
{
    static const struct store_ops ops = {
        .put = folder_put,
        .replace = folder_replace,
        .restore_aside = folder_restore_aside,
        .get = folder_get,
        .stat = folder_stat,
        .list = folder_list,
        .del = folder_delete,
        .space = folder_space,
        .sweep_tmp = folder_sweep_tmp,
        .close = folder_close,
    };
    struct folder *f = calloc(1, sizeof *f);
    if (!f)
        return store_out_of_memory(e);
    f->root = -1;
    f->read_only = flags & STORE_READ_ONLY;
    f->path = strdup(path);
    for (size_t n = f->path ? strlen(f->path) : 0; n > 1 && f->path[n - 1] == '/'; n--)
        f->path[n - 1] = '\0';
    int r = f->path ? open_root(f, flags, e) : store_out_of_memory(e);
    if (r < 0) {
        folder_close(f);
        return r;
    }
    return store_new(&ops, f, url, ret, e);
}
