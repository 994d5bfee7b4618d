/* tree.c - see tree.h. */
#include "agents/tree.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MAX_TREE_DEPTH 250 /* each takes a descriptor */

bool tree_is_mount(int dir_fd, const char *name)
{
    struct statx x;
    int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
    return statx(dir_fd, name, flags, STATX_TYPE, &x) == 0 &&
           (x.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

struct walk {
    bool after;
    tree_fn fn;
    void *ctx;
    dev_t dev;
};

static int walk_folder(const struct walk *w, int dir_fd, const char *name, unsigned depth,
                       struct err *e);

static int walk_entry(const struct walk *w, int dir_fd, const char *name, unsigned depth,
                      struct err *e)
{
    struct stat st;
    int rc = 0;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_sys(e, "%s", name);
    if (!w->after)
        rc = w->fn(w->ctx, dir_fd, name, depth, &st, e);
    if (rc == 1)
        return 0;
    if (rc == 0 && S_ISDIR(st.st_mode) && st.st_dev == w->dev && !tree_is_mount(dir_fd, name))
        rc = walk_folder(w, dir_fd, name, depth + 1, e);
    if (rc == 0 && w->after)
        rc = w->fn(w->ctx, dir_fd, name, depth, &st, e);
    return rc;
}

/* The names are gathered by the system call's buffer: what is removed on the way does not disturb it. */
static int walk_folder(const struct walk *w, int dir_fd, const char *name, unsigned depth,
                       struct err *e)
{
    if (depth > MAX_TREE_DEPTH)
        return err_set(e, ERR_LIMIT, _("folders are nested too deep"));
    int fd = sys_openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e), rc = 0;
    if (fd == -ERR_ABSENT) {
        err_clear(e);
        return 0;
    }
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        sys_close_quiet(fd);
        return fd < 0 ? fd : err_sys(e, "%s", name);
    }
    errno = 0;
    for (struct dirent *de; rc == 0 && (de = readdir(d)) != NULL; errno = 0)
        if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
            rc = walk_entry(w, dirfd(d), de->d_name, depth, e);
    if (rc == 0 && errno != 0)
        rc = err_sys(e, "%s", name);
    closedir(d);
    return rc;
}

int tree_each(int dir_fd, const char *folder, bool after, tree_fn fn, void *ctx, struct err *e)
{
    struct walk w = { .after = after, .fn = fn, .ctx = ctx };
    struct stat st;
    if (fstatat(dir_fd, folder, &st, 0) < 0)
        return err_sys(e, "%s", folder);
    w.dev = st.st_dev;
    return walk_folder(&w, dir_fd, folder, 0, e);
}

static int remove_one(void *ctx, int dir_fd, const char *name, unsigned depth,
                      const struct stat *st, struct err *e)
{
    (void)ctx;
    (void)depth;
    return sys_unlinkat(dir_fd, name, S_ISDIR(st->st_mode) ? AT_REMOVEDIR : 0, e);
}

int tree_remove(int dir_fd, const char *folder, struct err *e)
{
    struct stat st;
    if (fstatat(dir_fd, folder, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_sys(e, "%s", folder);
    if (!S_ISDIR(st.st_mode))
        return err_set(e, ERR_EXISTS, _("\"%s\" is no folder"), folder);
    int rc = tree_each(dir_fd, folder, true, remove_one, NULL, e);
    return rc == 0 ? sys_unlinkat(dir_fd, folder, AT_REMOVEDIR, e) : rc;
}

static int give_one(void *ctx, int dir_fd, const char *name, unsigned depth, const struct stat *st,
                    struct err *e)
{
    const struct stat *owner = ctx;
    (void)depth;
    if (st->st_uid == owner->st_uid && st->st_gid == owner->st_gid)
        return 0;
    return fchownat(dir_fd, name, owner->st_uid, owner->st_gid, AT_SYMLINK_NOFOLLOW) < 0
               ? err_sys(e, "%s", name)
               : 0;
}

int tree_give(int dir_fd, const char *folder, const struct stat *owner, struct err *e)
{
    struct stat to = *owner;
    if (geteuid() != 0)
        return 0;
    int rc = tree_each(dir_fd, folder, false, give_one, &to, e);
    if (rc == 0 && fchownat(dir_fd, folder, owner->st_uid, owner->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        rc = err_sys(e, "%s", folder);
    return rc;
}
