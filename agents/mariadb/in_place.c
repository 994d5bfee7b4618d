/* in_place.c - a restored data folder takes the place of the one that is there: by one exchange of two names, so that whatever a kill leaves, one
 * of the two whole folders is where the server looks. */
#include "agents/host/host.h"
#include "agents/mariadb/restored.h"
#include "agents/report.h"
#include "agents/works_in.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE (1 << 1)
#endif

/* --- does a server work on it? ------------------------------------------------------------------- */
static int works(long pid, const char *data, struct err *e)
{
    err_set(e, ERR_BUSY, _("a server (process %ld) works on %s"), pid, data);
    return err_next(e, _("stop it first: systemctl stop mariadb"));
}

/* InnoDB and Aria hold locks on these as long as a server runs, wherever it does: in a container, too. */
static int check_lock(int data_fd, const char *name, const char *data, struct err *e)
{
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int fd = sys_openat(data_fd, name, O_RDWR | O_NOFOLLOW, 0, e);
    if (fd == -ERR_ABSENT) {
        err_clear(e);
        return 0;
    }
    if (fd < 0)
        return err_wrap(e, "%s/%s", data, name);
    int got = fcntl(fd, F_GETLK, &l), rc = 0;
    if (got < 0) {
        rc = err_sys(e, "%s/%s", data, name);
    } else if (l.l_type != F_UNLCK) {
        rc = works((long)l.l_pid, data, e);
    }
    sys_close_quiet(fd);
    return rc;
}

int my_check_stopped(const char *data, struct err *e)
{
    static const char *const programs[] = { "mariadbd", "mysqld", NULL };
    int fd = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    if (fd < 0 && errno != ENOENT)
        return err_sys(e, "%s", data);
    if (fd >= 0)
        rc = check_lock(fd, "ibdata1", data, e);
    if (rc == 0 && fd >= 0)
        rc = check_lock(fd, "aria_log_control", data, e);
    long pid = rc == 0 ? works_in(fd, data, programs) : 0; /* its files may be gone */
    sys_close_quiet(fd);
    return pid ? works(pid, data, e) : rc;
}

/* --- the place ----------------------------------------------------------------------------------- */
int my_find_seat(bool resolved, const char *data, struct my_seat *ret, struct err *e)
{
    struct stat st;
    bool there = !resolved || fstatat(AT_FDCWD, data, &st, AT_SYMLINK_NOFOLLOW) == 0;
    char *whole = !there ? NULL : resolved ? strdup(data) : realpath(data, NULL), *slash;
    int rc = 0;
    if (!whole) {
        err_sys(e, "%s", data);
        return err_next(e, _("make the folder, empty, or restore to another place: --to DIR"));
    }
    slash = strrchr(whole, '/');
    if (!slash || !slash[1] || strlen(slash + 1) > NAME_MAX - 40 || strlen(whole) >= PATH_MAX)
        rc = err_set(e, ERR_LIMIT, _("the path is too long"));
    else {
        snprintf(ret->name, sizeof ret->name, "%s", slash + 1);
        slash[slash == whole] = '\0';
        snprintf(ret->parent, sizeof ret->parent, "%s", whole);
    }
    free(whole);
    return rc;
}

static bool has_file(int dir_fd, const char *name)
{
    struct stat st;
    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

/* A folder "mysql" is in /etc and in /var/lib, too; a server's own tables are not. */
static bool has_database(int dir_fd)
{
    static const char *const known[] = { "ibdata1", "aria_log_control", "mysql.ibd" },
                             *const tables[] = { "db.frm", "global_priv.frm", "user.frm" };
    bool fine = false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        fine |= has_file(dir_fd, known[i]);
    int fd = openat(dir_fd, "mysql", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    for (size_t i = 0; fd >= 0 && i < sizeof tables / sizeof *tables; i++)
        fine |= has_file(fd, tables[i]);
    sys_close_quiet(fd);
    return fine;
}

int my_check_kind(const char *data, struct err *e)
{
    int fd = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *de;
    bool empty = true;
    if (!d) {
        err_sys(e, "%s", data);
        sys_close_quiet(fd);
        return -(int)e->code;
    }
    bool fine = has_database(fd);
    while ((de = readdir(d)) != NULL) {
        const char *n = de->d_name;
        empty &= strcmp(n, ".") == 0 || strcmp(n, "..") == 0 || strcmp(n, "lost+found") == 0 ||
                 strncmp(n, ".twofold-", strlen(".twofold-")) == 0;
    }
    closedir(d);
    if (fine || empty)
        return 0;
    err_set(e, ERR_REFUSED, _("%s has no database in it, but something else: it is not replaced"),
            data);
    return err_next(e, _("restore with --to DIR, then put the files where they belong by hand"));
}

int my_check_replaceable(const struct source_restore *r, const char *data, struct err *e)
{
    struct my_seat s = { .name = "" };
    struct stat one, two;
    char path[PATH_MAX];
    int rc = my_find_seat(r->resolved, data, &s, e);
    if (rc == 0)
        rc = my_check_stopped(data, e);
    if (rc == 0)
        rc = my_check_kind(data, e);
    if (rc < 0)
        return rc;
    if (snprintf(path, sizeof path, "%s/%s", s.parent, s.name) >= (int)sizeof path ||
        stat(s.parent, &one) < 0 || stat(path, &two) < 0)
        return err_sys(e, "%s", data);
    if (one.st_dev != two.st_dev) {
        err_set(e, ERR_REFUSED,
                _("%s is a file system of its own, which no other folder can replace"), data);
        return err_next(e, _("restore with --to %s/restored, then move the files"), data);
    }
    if (access(s.parent, W_OK) < 0)
        return err_sys(e, "%s", s.parent);
    return 0;
}

#define SHOWS "ibdata1" /* that a folder is a server's: it is lent last */
/* --- lending its files --------------------------------------------------------------------------- */
static bool lends(const char *name)
{
    return strcmp(name, SHOWS) != 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           strcmp(name, "lost+found") != 0 && strncmp(name, ".twofold-", strlen(".twofold-")) != 0;
}

/* Without its own tables, which go first, no server starts there. */
static bool is_in(int fd, const char *name)
{
    return faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int lend_one(int from_fd, int to_fd, const char *name, bool spares, struct err *e)
{
    int rc = sys_renameat(from_fd, name, to_fd, name, false, e);
    if (rc != -ERR_EXISTS || !spares)
        return rc;
    err_clear(e);
    return 0;
}

static int lend_all(int from_fd, int to_fd, bool spares, struct err *e)
{
    int rc = lend_one(from_fd, to_fd, "mysql", spares, e);
    int fd = rc < 0 && rc != -ERR_ABSENT ? rc
                                         : sys_openat(from_fd, ".", O_RDONLY | O_DIRECTORY, 0, e);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        sys_close_quiet(fd);
        return fd < 0 ? fd : err_sys(e, "%s", _("list the folder"));
    }
    err_clear(e);
    rc = sys_fsync_dir(to_fd, ".", e);
    for (struct dirent *de; rc == 0 && (de = readdir(d)) != NULL;)
        if (lends(de->d_name))
            rc = lend_one(from_fd, to_fd, de->d_name, spares, e);
    closedir(d);
    if (rc == 0 && is_in(from_fd, SHOWS))
        rc = lend_one(from_fd, to_fd, SHOWS, spares, e);
    return rc == 0 ? sys_fsync_dir(to_fd, ".", e) : rc;
}

int my_lend(const struct source_restore *r, const char *data, int to_fd, bool spares, struct err *e)
{
    int rc = my_check_stopped(data, e);
    int fd = rc < 0 ? rc : sys_open_folder(data, r->resolved, e);
    rc = fd < 0 ? fd : sys_write_file(to_fd, "../../" STAGING_LENT, "", 0, 0600, e);
    if (rc == 0)
        rc = lend_all(fd, to_fd, spares, e);
    sys_close_quiet(fd);
    return rc < 0 ? err_wrap(e, "%s", data) : 0;
}

/* --- the exchange -------------------------------------------------------------------------------- */
int my_name_before(int dir_fd, const char *name, char ret[NAME_MAX + 1], struct err *e)
{
    char stamp[32];
    struct tm tm;
    time_t now = (time_t)sys_realtime_s();
    gmtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &tm);
    for (unsigned i = 1; i < 100; i++) {
        char more[8] = "";
        if (i > 1)
            snprintf(more, sizeof more, "-%u", i);
        if (snprintf(ret, NAME_MAX + 1, "%s.twofold-before-%s%s", name, stamp, more) > NAME_MAX)
            break;
        if (faccessat(dir_fd, ret, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
            return 0;
    }
    return err_set(e, ERR_EXISTS, _("no name is free beside \"%s\""), name);
}

/* Where the file system cannot exchange names there is a moment in which no folder has the name. */
static int exchange(int parent_fd, const char *name, const char *new, struct err *e)
{
    char away[NAME_MAX + 1];
    if (sys_fault_step() == 0 && renameat2(parent_fd, name, parent_fd, new, RENAME_EXCHANGE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return err_sys(e, "%s", name);
    int rc = my_name_before(parent_fd, name, away, e);
    if (rc == 0)
        rc = sys_renameat(parent_fd, name, parent_fd, away, false, e);
    if (rc == 0)
        rc = sys_renameat(parent_fd, new, parent_fd, name, false, e);
    return rc == 0 ? sys_renameat(parent_fd, away, parent_fd, new, false, e) : rc;
}

static bool is_binlog(const char *name, const char *first)
{
    const char *dot = first ? strrchr(first, '.') : NULL;
    size_t n = dot ? (size_t)(dot + 1 - first) : 0;
    return n > 0 && strncmp(name, first, n) == 0 && name[n] &&
           strspn(name + n, "0123456789") == strlen(name + n);
}

/* It may be the only place with what was done since the last backup. */
static void say_before(struct my_restored *x, int parent_fd, const char *data,
                       const struct my_seat *s, const char *before)
{
    const char *first = json_string_value(
        json_object_get(json_object_get(x->facts, "binlog"), "file"));
    int fd = openat(parent_fd, before, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *de;
    bool logs = false;
    while (d && (de = readdir(d)) != NULL)
        logs |= is_binlog(de->d_name, first);
    if (d)
        closedir(d);
    else
        sys_close_quiet(fd);
    report_note(
        x->r->report, NULL, 0,
        x->r->delta
            ? _("what the backup does not have of %s, its binary logs too, is below %s/%s; keep it "
                "until that is not needed any more")
        : logs
            ? _("what was in %s is in %s/%s: it has the binary logs since the backup, which may be in no "
                "other place; keep it until what they have is not needed any more")
            : _("what was in %s is in %s/%s; delete it when it is not needed any more"),
        data, s->parent, before);
}

int my_put_in_place(struct my_restored *x, const char *data, struct err *e)
{
    struct my_seat s = { .name = "" };
    char before[NAME_MAX + 1];
    int parent_fd = -1, rc = my_check_replaceable(x->r, data, e);
    if (rc == 0)
        rc = my_find_seat(x->r->resolved, data, &s, e);
    if (rc == 0)
        rc = parent_fd = sys_open_folder(s.parent, x->r->resolved, e);
    if (rc >= 0)
        rc = my_name_before(parent_fd, s.name, before, e);
    if (rc == 0)
        rc = sys_renameat(x->folder_fd, "data", parent_fd, before, false, e);
    if (rc == 0)
        rc = sys_fsync_dir(parent_fd, ".", e);
    if (rc == 0)
        rc = exchange(parent_fd, s.name, before, e);
    if (rc == 0)
        rc = sys_fsync_dir(parent_fd, ".", e);
    if (rc == 0)
        say_before(x, parent_fd, data, &s, before);
    sys_close_quiet(parent_fd);
    return rc < 0 ? err_wrap(e, "%s", data) : 0;
}
