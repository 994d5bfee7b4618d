/* users.c - who works on a file, and what a restore to another folder meets there. */
#include "agents/tree.h"
#include "agents/report.h"
#include "agents/sqlite/inner.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A descriptor of this process, "PID/fd/N", is of that file. */
static bool process_has(int proc_fd, const char *pid, const struct stat *file, bool *ret_hidden)
{
    char path[NAME_MAX + 16];
    struct stat st;
    bool has = false;
    snprintf(path, sizeof path, "%s/fd", pid);
    int fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *ret_hidden |= fd < 0 && (errno == EACCES || errno == EPERM);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *de;
    while (d && !has && (de = readdir(d)) != NULL)
        has = isdigit((unsigned char)de->d_name[0]) && fstatat(dirfd(d), de->d_name, &st, 0) == 0 &&
              st.st_dev == file->st_dev && st.st_ino == file->st_ino;
    if (d)
        closedir(d);
    return has;
}

/* The number of a process that has the file open, or 0. hidden: there are some that we may not look at. */
static long who_has(const struct stat *file, bool *ret_hidden)
{
    int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *de;
    long pid = 0;
    *ret_hidden = d == NULL;
    while (d && pid == 0 && (de = readdir(d)) != NULL)
        if (isdigit((unsigned char)de->d_name[0]) &&
            process_has(dirfd(d), de->d_name, file, ret_hidden))
            pid = strtol(de->d_name, NULL, 10);
    if (d)
        closedir(d);
    return pid;
}

/* In WAL mode a program holds locks on the file, and on that beside it, as long as it has it open, whoever's it is. *ret: it is locked; its
 * process, or -1. Nobody in this process may have the file open: to close it drops the locks. */
static long who_locks(int dir_fd, const char *name)
{
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    bool locked = fd >= 0 && fcntl(fd, F_GETLK, &l) == 0 && l.l_type != F_UNLCK;
    sys_close_quiet(fd);
    return !locked ? 0 : l.l_pid > 0 ? (long)l.l_pid : -1;
}

static int in_use(long pid, const char *shown, struct err *e)
{
    if (pid > 0)
        err_set(e, ERR_BUSY, _("a program (process %ld) has %s open"), pid, shown);
    else
        err_set(e, ERR_BUSY, _("a program has %s open"), shown);
    return err_next(e, _("stop that program first; start it again after the restore"));
}

static int look_for_users(int dir_fd, const char *name, const char *shown, bool *ret_hidden,
                          struct err *e)
{
    char beside[NAME_MAX + 8];
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
        return 0;
    long pid = who_has(&st, ret_hidden);
    snprintf(beside, sizeof beside, "%s-shm", name);
    if (pid == 0)
        pid = who_locks(dir_fd, name);
    if (pid == 0)
        pid = who_locks(dir_fd, beside);
    return pid == 0 ? 0 : in_use(pid, shown, e);
}

int sl_check_unused(const struct source_restore *r, int dir_fd, const char *name, const char *shown,
                    struct err *e)
{
    bool hidden = false;
    int rc = look_for_users(dir_fd, name, shown, &hidden, e);
    if (rc == 0 && hidden && source_spec_get(r->spec, "stage"))
        report_note(r->report, NULL, 0,
                    _("whether programs of other users have %s open cannot be seen as user %u, "
                      "but for those in WAL mode"),
                    shown, (unsigned)geteuid());
    return rc;
}

/* --- what lies in a target ------------------------------------------------------------------------ */
struct found {
    const char *folder;
    bool more, beside;
};

static bool is_beside(const char *name)
{
    static const char *const tails[] = { "-journal", "-wal", "-shm" };
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        size_t k = strlen(tails[i]);
        if (n > k && strcmp(name + n - k, tails[i]) == 0)
            return true;
    }
    return false;
}

static int look_at(void *ctx, int dir_fd, const char *name, unsigned depth, const struct stat *st,
                   struct err *e)
{
    struct found *f = ctx;
    bool hidden;
    f->more |= depth > 0 || strcmp(name, SL_FACTS) != 0;
    if (!S_ISREG(st->st_mode))
        return 0;
    f->beside |= is_beside(name);
    int rc = look_for_users(dir_fd, name, name, &hidden, e);
    return rc < 0 ? err_wrap(e, "%s", f->folder) : 0;
}

int sl_restore_over(const struct source_restore *r, bool continuing, struct err *e)
{
    struct found f = { .folder = r->folder };
    if (source_spec_get(r->spec, SL_KEY)) /* in place: a folder of ours */
        return 0;
    int fd = sys_open_folder(r->folder, r->resolved, e);
    if (fd == -ERR_ABSENT) {
        err_clear(e);
        return 0;
    }
    if (fd < 0)
        return err_wrap(e, "%s", r->folder);
    int rc = tree_each(fd, ".", false, look_at, &f, e);
    sys_close_quiet(fd);
    if (rc == -ERR_LIMIT) { /* deeper than can be looked into */
        err_clear(e);
        return 1;
    }
    return rc < 0 ? rc : (continuing ? f.beside : f.more);
}
