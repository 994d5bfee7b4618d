/* scratch.c - the folder that a drill restores to: where it may lie, and how it goes; see drill.h. */
#include "orchestrator/drill/drill.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/text.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MAX_DEPTH 250 /* folders in folders: each takes a descriptor */

/* --- where it may lie ------------------------------------------------------------------------------------------ */
static bool lies_in(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    while (n > 1 && folder[n - 1] == '/')
        n--;
    return n == 1 || (strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0'));
}

/* The path without links, as far as it is there. */
static void resolve(const char *path, char out[PATH_MAX])
{
    char *copy = strdup(path);
    size_t n = copy ? strlen(copy) : 0;
    char *real = NULL;
    while (n > 1 && !(real = realpath(copy, NULL))) {
        while (n > 1 && copy[n - 1] != '/')
            n--;
        while (n > 1 && copy[n - 1] == '/')
            n--;
        copy[n] = '\0';
    }
    snprintf(out, PATH_MAX, "%s%s", real && strcmp(real, "/") != 0 ? real : "",
             path + (real && n > 1 ? n : 0));
    free(real);
    free(copy);
}

static int refuse(struct err *e, const char *to, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int refuse(struct err *e, const char *to, const char *fmt, ...)
{
    char *why = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&why, fmt, ap);
    va_end(ap);
    err_set(e, ERR_REFUSED, "%s", n < 0 ? _("no memory") : why);
    if (n >= 0)
        free(why);
    err_wrap(e, _("scratch folder \"%s\""), to);
    return err_next(e, _("name another one: drill: { to: FOLDER } in the policy, or --to FOLDER"));
}

/* A folder around it that a database server calls its own. */
static bool is_data_folder(const char *path)
{
    static const char *const marks[] = { "PG_VERSION", "ibdata1", "aria_log_control" };
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        char *file = text_print("%s/%s", path, marks[i]);
        bool there = access(file, F_OK) == 0;
        free(file);
        if (there)
            return true;
    }
    return false;
}

static int check_around(const char *to, struct err *e)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", to);
    for (char *slash; *path; *slash = '\0') {
        if (is_data_folder(path))
            return refuse(e, to, _("%s is the data folder of a database server"), path);
        if (!(slash = strrchr(path, '/')))
            break;
    }
    return 0;
}

int drill_check_folder(const struct policy *pol, const struct vault_conf *vault, const char *to,
                       bool here, struct err *e)
{
    char real[PATH_MAX], other[PATH_MAX];
    bool at_source = (strcmp(pol->agent, "local") == 0) == here;
    if (to[0] != '/' || strcmp(to, "/") == 0)
        return refuse(e, to, _("\"%s\" is not the whole path of a folder"), to);
    if (here)
        resolve(to, real);
    else
        snprintf(real, sizeof real, "%s", to);
    for (size_t i = 0; at_source && i < pol->n_paths; i++) {
        if (here)
            resolve(pol->paths[i], other);
        else
            snprintf(other, sizeof other, "%s", pol->paths[i]);
        if (lies_in(real, other))
            return refuse(e, to, _("it lies in %s, which is backed up"), other);
    }
    for (size_t i = 0; at_source && i < pol->n_sources; i++) {
        const char *data = source_spec_get(&pol->sources[i], "data");
        if (data && (lies_in(real, data) || lies_in(data, real)))
            return refuse(e, to, _("it and the database's own folder %s are one"), data);
    }
    for (size_t i = 0; vault && here && i < vault->n_copies; i++) {
        const char *url = vault->copies[i].url;
        url = strncmp(url, "file://", 7) == 0 ? url + 7 : url;
        if (url[0] != '/')
            continue;
        resolve(url, other);
        if (lies_in(real, other))
            return refuse(e, to, _("it lies in the copy %s"), other);
    }
    return here ? check_around(real, e) : 0;
}

/* --- how it goes ------------------------------------------------------------------------------------------------- */
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
    if (st.st_dev != dev)
        return err_set(e, ERR_BUSY, _("something is mounted on %s"), name);
    if ((st.st_mode & 0700) != 0700 && fchmodat(dir_fd, name, 0700, 0) < 0)
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
int drill_remove_folder(const char *folder, const char *id, bool around_too, struct err *e)
{
    struct stat st;
    const char *slash = strrchr(folder, '/');
    if (folder[0] != '/' || !slash || strcmp(slash + 1, id) != 0 || strncmp(id, "drill-", 6) != 0)
        return err_set(e, ERR_REFUSED, _("\"%s\" is no folder of the drill %s"), folder, id);
    char *around = text_print("%.*s", (int)(slash == folder ? 1 : slash - folder), folder);
    int fd = sys_open_folder(around, false, e), rc = fd < 0 ? fd : 0;
    if (fd == -ERR_ABSENT) {
        err_clear(e);
        rc = 0;
    } else if (fd >= 0 && fstat(fd, &st) < 0) {
        rc = err_sys(e, "%s", around);
    } else if (fd >= 0) {
        struct stat own;
        if (fstatat(fd, id, &own, AT_SYMLINK_NOFOLLOW) == 0)
            rc = remove_entry(fd, id, own.st_dev, 0, e);
        else if (errno != ENOENT)
            rc = err_sys(e, "%s", folder);
    }
    sys_close_quiet(fd);
    if (rc == 0 && around_too)
        (void)rmdir(around); /* not empty: others use it */
    free(around);
    return rc < 0 ? err_wrap(e, _("take away \"%s\""), folder) : 0;
}
