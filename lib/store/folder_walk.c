/* folder_walk.c - finding the way in a copy that is a folder: entering and making folders without
 * following links, listing them, and judging what the system says. See folder.h. */
#include "lib/store/folder.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDER_MODE 0700

/* --- errors ------------------------------------------------------------------------------------- */
int folder_check_root(const struct folder *f, struct err *e)
{
    struct stat st;
    if (stat(f->path, &st) < 0) {
        err_sys(e, _("the folder of the copy"));
        e->code = ERR_UNREACHABLE;
    } else if (st.st_dev != f->dev || st.st_ino != f->ino) {
        err_set(e, ERR_UNREACHABLE, _("another folder has taken its place since it was opened"));
    } else {
        return 0;
    }
    err_wrap(e, "%s", f->path);
    return err_next(e, _("was the disk unmounted? mount it, then run the same command again"));
}

int folder_must_be_file(const struct stat *st, struct err *e)
{
    if (S_ISREG(st->st_mode))
        return 0;
    return err_set(e, ERR_DAMAGED,
                   S_ISLNK(st->st_mode) ? _("a symbolic link stands in the object's place")
                                        : _("something that is not a file stands in its place"));
}

/* sys_open_beneath refuses links; the system refuses by permission. */
static bool is_link_refusal(const struct err *e)
{
    return e->code == ERR_REFUSED && e->sys != EACCES && e->sys != EPERM;
}

static bool ends_in_link(struct folder *f, const char *name)
{
    struct stat st;
    int fd = sys_open_beneath(f->root, name, O_PATH, 0, NULL);
    if (fd < 0)
        return false;
    bool yes = fstat(fd, &st) == 0 && S_ISLNK(st.st_mode);
    sys_close_quiet(fd);
    return yes;
}

int folder_read_failed(struct folder *f, const char *name, struct err *e)
{
    if (is_link_refusal(e)) {
        bool object = ends_in_link(f, name);
        err_set(e, object ? ERR_DAMAGED : ERR_UNREACHABLE,
                object ? _("a symbolic link stands in the object's place")
                       : _("a folder on the way is a symbolic link, which is not followed"));
    } else if (e->sys == ENOTDIR) {
        err_set(e, ERR_UNREACHABLE, _("a part of the path is not a folder"));
    } else if (e->code == ERR_ABSENT) {
        if (folder_check_root(f, e) < 0)
            return -(int)e->code;
        err_set(e, ERR_ABSENT, _("there is no such object"));
    } else if (e->code == ERR_REFUSED || e->code == ERR_TIMEOUT) {
        e->code = ERR_UNREACHABLE; /* it may well be there */
        err_next(e, _("run it as a user who may read the copy"));
    }
    return err_wrap(e, "%s/%s", f->path, name);
}

int folder_write_failed(struct folder *f, const char *name, struct err *e)
{
    if (e->code == ERR_FAILED)
        return err_wrap(e, "%s/%s", f->path, name); /* the source's failure, see store_put */
    if (is_link_refusal(e)) {
        err_set(e, ERR_UNREACHABLE,
                _("a folder on the way is a symbolic link, which is not followed"));
    } else if (e->sys == ENOTDIR) {
        err_set(e, ERR_UNREACHABLE, _("a part of the path is not a folder"));
    } else if (e->code == ERR_ABSENT) {
        if (folder_check_root(f, e) < 0)
            return -(int)e->code;
        e->code = ERR_UNREACHABLE; /* nothing that a writer needs may be "absent": it made it */
    } else if (e->code == ERR_TIMEOUT) {
        e->code = ERR_UNREACHABLE;
    }
    return err_wrap(e, "%s/%s", f->path, name);
}

/* --- folders -------------------------------------------------------------------------------------- */
const char *folder_split(const char *name, char *ret_folder)
{
    const char *slash = strrchr(name, '/');
    size_t n = slash ? (size_t)(slash - name) : 0;
    memcpy(ret_folder, name, n);
    ret_folder[n] = '\0';
    return slash ? slash + 1 : name;
}

static bool is_known(const struct folder *f, const char *path)
{
    for (size_t i = f->n_known; i-- > 0;)
        if (strcmp(f->known[i], path) == 0)
            return true;
    return false;
}

static void know(struct folder *f, const char *path)
{
    if (f->n_known == MAX_KNOWN_FOLDERS)
        return; /* costs an fsync more each time, nothing else */
    char *own = strdup(path);
    if (own)
        f->known[f->n_known++] = own;
}

static void forget_all(struct folder *f)
{
    while (f->n_known > 0)
        free(f->known[--f->n_known]);
}

static int open_folder(struct folder *f, const char *path, struct err *e)
{
    return sys_open_beneath(f->root, path[0] ? path : ".", O_RDONLY | O_DIRECTORY, 0, e);
}

/* A folder that is there already may be one whose maker was killed before it was durable, so the folder
 * above it is synced in any case. After a failed fsync nothing is known: what was made is taken away. */
static int make_one(struct folder *f, const char *path, struct err *e)
{
    char above[MAX_STORE_NAME + 1];
    const char *base = folder_split(path, above);
    int fd = open_folder(f, above, e);
    if (fd < 0)
        return fd;
    int r = sys_mkdirat(fd, base, FOLDER_MODE, e);
    bool made = r == 0;
    if (made || r == -ERR_EXISTS) {
        err_clear(e);
        r = sys_fsync_dir(fd, ".", e);
        if (r < 0 && made)
            (void)unlinkat(fd, base, AT_REMOVEDIR);
    }
    sys_close_quiet(fd);
    if (r == 0)
        know(f, path);
    return r;
}

static int make_path(struct folder *f, const char *path, struct err *e)
{
    char part[MAX_STORE_NAME + 1];
    size_t len = strlen(path);
    int r = 0;
    if (is_known(f, path))
        return 0;
    for (size_t i = 1; i <= len && r == 0; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (!is_known(f, part))
            r = make_one(f, part, e);
    }
    return r;
}

int folder_enter(struct folder *f, const char *path, bool make, struct err *e)
{
    int r = make ? make_path(f, path, e) : 0;
    if (r == 0)
        r = open_folder(f, path, e);
    if (r == -ERR_ABSENT && e->sys == ENOENT && make) { /* somebody took a known folder away */
        forget_all(f);
        err_clear(e);
        r = make_path(f, path, e);
        if (r == 0)
            r = open_folder(f, path, e);
    }
    return r;
}

int folder_is_empty(int dirfd, struct err *e)
{
    static const char *const ignored[] = { ".", "..", "lost+found" };
    int fd = sys_openat(dirfd, ".", O_RDONLY | O_DIRECTORY, 0, e), empty = 1;
    if (fd < 0)
        return fd;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        empty = err_sys(e, _("read the folder"));
        sys_close_quiet(fd);
        return empty;
    }
    const struct dirent *de;
    while ((errno = 0, de = readdir(dir)) != NULL) {
        bool counts = true;
        for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
            counts = counts && strcmp(de->d_name, ignored[i]) != 0;
        if (counts) {
            empty = 0;
            break;
        }
    }
    if (!de && errno)
        empty = err_sys(e, _("read the folder"));
    closedir(dir);
    return empty;
}

int folder_make_root(const char *path, struct err *e)
{
    struct stat st;
    char *part = strdup(path);
    int r;
    if (!part)
        return store_out_of_memory(e);
    /* The deepest folder that is there already; all below it are new and need their entry synced. */
    size_t len = strlen(part);
    while (len > 1 && part[len - 1] == '/')
        part[--len] = '\0';
    size_t there = len;
    while (stat(part, &st) < 0 && errno == ENOENT && there > 0) {
        while (there > 0 && part[there - 1] != '/')
            there--;
        while (there > 1 && part[there - 1] == '/')
            there--;
        strcpy(part, path);
        part[there] = '\0';
    }
    strcpy(part, path);
    part[len] = '\0';
    r = sys_mkdir_p(part, FOLDER_MODE, e);
    while (r == 0 && len > there) {
        while (len > 0 && part[len - 1] != '/')
            len--;
        while (len > 1 && part[len - 1] == '/')
            len--;
        part[len] = '\0';
        r = sys_fsync_dir(AT_FDCWD, part, e);
    }
    free(part);
    return r;
}

/* --- listings --------------------------------------------------------------------------------------- */
struct walk {
    struct folder *f;
    folder_walk_fn *fn;
    void *ctx;
    struct err *e;
    bool failed; /* the negative code is ours, not fn's */
    char name[MAX_STORE_NAME + 2];
};

static int walk_failed(struct walk *w, int r)
{
    w->failed = true;
    return r;
}

/* Appends a component to w->name; false where the whole could not be an object's name. */
static bool extend(struct walk *w, size_t len, const char *component)
{
    size_t n = strlen(component), slash = len > 0;
    if (len + slash + n > MAX_STORE_NAME || strchr(component, '/'))
        return false;
    if (slash)
        w->name[len] = '/';
    memcpy(w->name + len + slash, component, n + 1);
    return store_name_ok(w->name);
}

static int walk_folder(struct walk *w, int fd, size_t len);

/* The recursion is as deep as a name has components. */
static int walk_entry(struct walk *w, int dirfd, const struct dirent *de, size_t len)
{
    struct stat st;
    if (!extend(w, len, de->d_name))
        return 0;
    if (len == 0 && (strcmp(w->name, "tmp") == 0 || strcmp(w->name, "aside") == 0))
        return 0;
    if (de->d_type != DT_DIR) {
        if (fstatat(dirfd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return errno == ENOENT ? 0
                                   : walk_failed(w, err_sys(w->e, _("look at \"%s\""), w->name));
        if (!S_ISDIR(st.st_mode))
            return w->fn(w->ctx, w->name, &st);
    }
    int fd = sys_openat(dirfd, de->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, w->e);
    if (fd < 0 && w->e->sys == ENOENT) {
        err_clear(w->e);
        return 0;
    }
    return fd < 0 ? walk_failed(w, fd) : walk_folder(w, fd, strlen(w->name));
}

/* Takes fd. */
static int walk_folder(struct walk *w, int fd, size_t len)
{
    DIR *dir = fdopendir(fd);
    int r = 0;
    if (!dir) {
        r = walk_failed(w, err_sys(w->e, _("read the folder")));
        sys_close_quiet(fd);
        return r;
    }
    const struct dirent *de;
    while (r == 0 && (errno = 0, de = readdir(dir)) != NULL)
        r = walk_entry(w, fd, de, len);
    if (r == 0 && errno)
        r = walk_failed(w, err_sys(w->e, _("read the folder")));
    w->name[len] = '\0';
    closedir(dir);
    return r;
}

static int walk_prefix(struct walk *w, const char *prefix)
{
    struct stat st;
    size_t len = store_prefix_len(prefix);
    memcpy(w->name, prefix, len);
    w->name[len] = '\0';
    if (len > 0 && prefix[len] == '\0') { /* it may be an object's own name */
        int fd = sys_open_beneath(w->f->root, w->name, O_PATH, 0, w->e);
        if (fd < 0)
            return walk_failed(w, fd);
        int r = fstat(fd, &st) < 0 ? walk_failed(w, err_sys(w->e, _("look at it"))) : 0;
        sys_close_quiet(fd);
        if (r < 0 || !S_ISDIR(st.st_mode))
            return r < 0 ? r : w->fn(w->ctx, w->name, &st);
    }
    int fd = folder_enter(w->f, w->name, false, w->e);
    return fd < 0 ? walk_failed(w, fd) : walk_folder(w, fd, len);
}

int folder_walk(struct folder *f, const char *prefix, folder_walk_fn *fn, void *ctx, struct err *e)
{
    struct walk w = { .f = f, .fn = fn, .ctx = ctx, .e = e };
    int r = walk_prefix(&w, prefix);
    if (w.failed) {
        r = folder_read_failed(f, w.name, e);
        if (r == -ERR_ABSENT) {
            err_clear(e);
            return 0;
        }
        return r;
    }
    /* A list also says of everything else that it is absent. */
    return r != 0 ? r : folder_check_root(f, e);
}
