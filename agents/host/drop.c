/* drop.c - the folder that a drill was restored to goes, with all that is in it; see host.h. */
#include "agents/host/host.h"
#include "agents/tree.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MAX_DEPTH 250 /* folders in folders: each takes a descriptor */

/* What was restored may be immutable, as it was; both it and its folder may be in the way. */
static void make_mutable(int dir_fd, const char *name)
{
    int flags, fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
        flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
        (void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
    }
    sys_close_quiet(fd);
}

static int unlink_hard(int dir_fd, const char *name, int flags, struct err *e)
{
    int rc = sys_unlinkat(dir_fd, name, flags, e);
    if (rc == 0 || errno != EPERM)
        return rc;
    make_mutable(dir_fd, name);
    make_mutable(dir_fd, ".");
    err_clear(e);
    return sys_unlinkat(dir_fd, name, flags, e);
}

static int empty_folder(int fd, dev_t dev, unsigned depth, struct err *e);

static int remove_entry(int dir_fd, const char *name, dev_t dev, unsigned depth, struct err *e)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_sys(e, "%s", name);
    if (!S_ISDIR(st.st_mode))
        return unlink_hard(dir_fd, name, 0, e);
    if (st.st_dev != dev || tree_is_mount(dir_fd, name))
        return err_set(e, ERR_BUSY, _("something is mounted on %s"), name);
    if ((st.st_mode & 0700) != 0700 && fchmodat(dir_fd, name, 0700, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(e, "%s", name); /* a folder as it was may not let us in */
    int fd = sys_openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
    if (fd < 0)
        return fd;
    int rc = empty_folder(fd, dev, depth + 1, e);
    return rc == 0 ? unlink_hard(dir_fd, name, AT_REMOVEDIR, e) : err_wrap(e, "%s", name);
}

/* Takes fd. */
static int empty_folder(int fd, dev_t dev, unsigned depth, struct err *e)
{
    DIR *d = depth < MAX_DEPTH ? fdopendir(fd) : NULL;
    int rc = 0;
    if (!d) {
        rc = depth < MAX_DEPTH ? err_sys(e, _("read a folder"))
                               : err_set(e, ERR_LIMIT, _("folders are nested too deep"));
        sys_close_quiet(fd);
        return rc;
    }
    for (struct dirent *de; rc == 0 && (de = readdir(d)) != NULL;)
        if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
            rc = remove_entry(dirfd(d), de->d_name, dev, depth, e);
    closedir(d);
    return rc;
}

/* Only what bears the drill's own name is ever taken away. */
int host_drop_folder(const char *folder, const char *id, bool resolved, struct err *e)
{
    struct stat st;
    const char *slash = strrchr(folder, '/');
    if (folder[0] != '/' || !slash || !host_name_ok(id) || strcmp(slash + 1, id) != 0 ||
        strncmp(id, DRILL_NAME, strlen(DRILL_NAME)) != 0)
        return err_set(e, ERR_REFUSED, _("\"%s\" is no folder of the drill %s"), folder, id);
    char *around = strndup(folder, slash == folder ? 1 : (size_t)(slash - folder));
    if (!around)
        return err_set(e, ERR_NOMEM, _("no memory"));
    int fd = sys_open_folder(around, resolved, e), rc = fd < 0 ? fd : 0;
    if (fd == -ERR_ABSENT) {
        err_clear(e);
        rc = 0;
    } else if (fd >= 0 && fstatat(fd, id, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        rc = remove_entry(fd, id, st.st_dev, 0, e);
    } else if (fd >= 0 && errno != ENOENT) {
        rc = err_sys(e, "%s", folder);
    }
    sys_close_quiet(fd);
    free(around);
    return rc < 0 ? err_wrap(e, _("take away \"%s\""), folder) : 0;
}

int host_drop_all(const struct msg_host *m, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < m->n_roots; i++)
        rc = host_drop_folder(m->roots[i], m->name, m->resolved, e);
    return rc;
}
