/* sys_file.c - files and folders: opening below a folder without following links, whole reads and
 * writes, durable replacement, locks. The manual is lib/base/sys.h. */
#include "lib/base/sys.h"
#include "lib/base/i18n.h"
#include "lib/base/id.h"
#include "lib/base/sys_fault.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_openat2
#define SYS_openat2 437
#endif

/* Linux moves at most this much in one call. */
#define MAX_TRANSFER_BYTES ((size_t)0x7ffff000)
#define COPY_BUFFER_BYTES ((size_t)256 * 1024)
#define FIRST_READ_BYTES ((size_t)4096)
#define MAX_LOCK_TRIES 16

/* --- opening ---------------------------------------------------------------------------------- */
static bool changes_disk(int flags)
{
    return (flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE) == O_TMPFILE;
}

static int open_retry(int dirfd, const char *path, int flags, mode_t mode)
{
    int fd;
    do {
        fd = openat(dirfd, path, flags | O_CLOEXEC, mode);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

int sys_openat(int dirfd, const char *path, int flags, mode_t mode, struct err *e)
{
    int fd = -1;
    if (!changes_disk(flags) || sys_fault_step() == 0)
        fd = open_retry(dirfd, path, flags, mode);
    return fd >= 0 ? fd : err_sys(e, _("open \"%s\""), path);
}

/* linux/openat2.h is not there on the oldest systems; the kernel's ABI is. */
struct open_how_abi {
    uint64_t flags, mode, resolve;
};
#define HOW_NO_MAGICLINKS 0x02
#define HOW_NO_SYMLINKS 0x04
#define HOW_BENEATH 0x08

static int try_openat2(int dirfd, const char *path, int flags, mode_t mode)
{
    if (sys_fault_noopenat2() || strlen(path) >= PATH_MAX) {
        errno = ENOSYS;
        return -1;
    }
    bool makes = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
    struct open_how_abi how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
        .mode = makes ? mode & 07777 : 0,
        .resolve = HOW_BENEATH | HOW_NO_SYMLINKS | HOW_NO_MAGICLINKS,
    };
    long fd;
    do {
        fd = syscall(SYS_openat2, dirfd, path, &how, sizeof how);
    } while (fd < 0 && errno == EINTR);
    return (int)fd;
}

static bool is_symlink(int dirfd, const char *name)
{
    struct stat st;
    return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

/* One component, not followed. A symlink met where a folder was wanted is ENOTDIR to the kernel;
 * here it must be told from a plain file in the way. */
static int open_component(int dirfd, const char *name, int flags, mode_t mode)
{
    int fd = open_retry(dirfd, name, flags | O_NOFOLLOW, mode);
    if (fd < 0 && errno == ENOTDIR)
        errno = is_symlink(dirfd, name) ? ELOOP : ENOTDIR;
    return fd;
}

static int walk_open(int dirfd, const char *path, int flags, mode_t mode)
{
    char name[NAME_MAX + 1];
    int at = dirfd;
    for (const char *p = path;;) {
        size_t n = strcspn(p, "/");
        const char *after = p + n + strspn(p + n, "/");
        bool last = *after == '\0', folder = p[n] == '/';
        int fd = -1;
        if (n > NAME_MAX) {
            errno = ENAMETOOLONG;
        } else if (last && folder && (flags & O_CREAT)) {
            errno = EISDIR;
        } else {
            memcpy(name, p, n);
            name[n] = '\0';
            int how = last ? flags | (folder ? O_DIRECTORY : 0) : O_PATH | O_DIRECTORY;
            fd = open_component(at, name, how, last ? mode : 0);
        }
        if (at != dirfd)
            sys_close_quiet(at);
        if (fd < 0 || last)
            return fd;
        at = fd;
        p = after;
    }
}

static int refuse(const char *path, const char *why, struct err *e)
{
    err_set(e, ERR_REFUSED, "%s", why);
    err_wrap(e, _("open \"%s\""), path);
    return -ERR_REFUSED;
}

static bool has_dotdot(const char *path)
{
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.')
            return true;
        p += n + strspn(p + n, "/");
    }
    return false;
}

int sys_open_beneath(int dirfd, const char *path, int flags, mode_t mode, struct err *e)
{
    if (path[0] == '/' || has_dotdot(path))
        return refuse(path, _("the path is absolute or holds \"..\""), e);
    int fd = -1;
    if (path[0] == '\0') {
        errno = ENOENT;
    } else if (!changes_disk(flags) || sys_fault_step() == 0) {
        fd = try_openat2(dirfd, path, flags, mode);
        /* ENOTDIR: the walk knows whether a symlink was in the way. EAGAIN: a rename raced with the
         * look-up, which the walk does not mind. */
        if (fd < 0 && (errno == ENOSYS || errno == EPERM || errno == ENOTDIR || errno == EAGAIN))
            fd = walk_open(dirfd, path, flags, mode);
    }
    if (fd >= 0)
        return fd;
    if (errno != ELOOP && errno != EXDEV)
        return err_sys(e, _("open \"%s\""), path);
    return refuse(path, _("a symbolic link is in the way"), e);
}

int sys_open_folder(const char *path, bool no_links, struct err *e)
{
    if (!no_links || path[0] != '/')
        return sys_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, e);
    int root = sys_openat(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY, 0, e);
    if (root < 0)
        return root;
    const char *rest = path + strspn(path, "/");
    int fd = sys_open_beneath(root, *rest ? rest : ".", O_RDONLY | O_DIRECTORY, 0, e);
    sys_close_quiet(root);
    return fd;
}

/* --- reading and writing ---------------------------------------------------------------------- */
static size_t at_most(size_t n)
{
    return n < MAX_TRANSFER_BYTES ? n : MAX_TRANSFER_BYTES;
}

ssize_t sys_read(int fd, void *p, size_t n, struct err *e)
{
    size_t done = 0;
    while (done < n) {
        ssize_t got = read(fd, (char *)p + done, at_most(n - done));
        if (got == 0)
            break;
        if (got > 0)
            done += (size_t)got;
        else if (errno != EINTR)
            return err_sys(e, _("read"));
    }
    return (ssize_t)done;
}

ssize_t sys_pread(int fd, void *p, size_t n, uint64_t off, struct err *e)
{
    size_t done = 0;
    while (done < n) {
        ssize_t got = pread(fd, (char *)p + done, at_most(n - done), (off_t)(off + done));
        if (got == 0)
            break;
        if (got > 0)
            done += (size_t)got;
        else if (errno != EINTR)
            return err_sys(e, _("read"));
    }
    return (ssize_t)done;
}

/* off < 0: at the file position. */
static int write_all(int fd, const void *p, size_t n, off_t off)
{
    size_t done = 0;
    while (done < n) {
        const char *from = (const char *)p + done;
        ssize_t put = off < 0 ? write(fd, from, at_most(n - done))
                              : pwrite(fd, from, at_most(n - done), off + (off_t)done);
        if (put > 0) {
            done += (size_t)put;
        } else if (put == 0) {
            errno = EIO; /* no progress and no reason: not to be tried for ever */
            return -1;
        } else if (errno != EINTR) {
            return -1;
        }
    }
    return 0;
}

int sys_write(int fd, const void *p, size_t n, struct err *e)
{
    if (sys_fault_step() < 0 || write_all(fd, p, n, -1) < 0)
        return err_sys(e, _("write"));
    return 0;
}

int sys_pwrite(int fd, const void *p, size_t n, uint64_t off, struct err *e)
{
    if (off > INT64_MAX)
        return err_set(e, ERR_LIMIT, _("the offset is too large for a file"));
    if (sys_fault_step() < 0 || write_all(fd, p, n, (off_t)off) < 0)
        return err_sys(e, _("write"));
    return 0;
}

/* In the kernel as far as it goes. Any failure is left to the plain copy, which meets it again and
 * then knows on which side it lies. */
static uint64_t copy_in_kernel(int in, uint64_t off, int out, uint64_t n)
{
    uint64_t done = 0;
    while (done < n) {
        off_t from = (off_t)(off + done);
        uint64_t left = n - done;
        size_t step = left < MAX_TRANSFER_BYTES ? (size_t)left : MAX_TRANSFER_BYTES;
        ssize_t got = copy_file_range(in, &from, out, NULL, step, 0);
        if (got > 0)
            done += (uint64_t)got;
        else if (got == 0 || errno != EINTR)
            break;
    }
    return done;
}

static int copy_plain(int in, uint64_t off, int out, uint64_t n, bool *read_side, struct err *e)
{
    uint8_t *buf = malloc(COPY_BUFFER_BYTES);
    int r = 0;
    if (!buf)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    while (n > 0 && r == 0) {
        size_t want = n < COPY_BUFFER_BYTES ? (size_t)n : COPY_BUFFER_BYTES;
        ssize_t got = sys_pread(in, buf, want, off, e);
        if (got < (ssize_t)want) {
            *read_side = true;
            r = got < 0 ? (int)got : err_set(e, ERR_DAMAGED, _("the file ends too early"));
        } else if (write_all(out, buf, want, -1) < 0) {
            r = err_sys(e, _("write"));
        }
        off += want;
        n -= want;
    }
    free(buf);
    return r;
}

int sys_copy(int in, uint64_t off_in, int out, uint64_t n, bool *ret_read_side, struct err *e)
{
    bool read_side = false;
    int r = 0;
    if (off_in > INT64_MAX || n > INT64_MAX - off_in) {
        r = err_set(e, ERR_LIMIT, _("the offset is too large for a file"));
    } else if (sys_fault_step() < 0) {
        r = err_sys(e, _("write"));
    } else if (n > 0) {
        /* A pipe has no end to go to; its failure here means nothing. */
        (void)lseek(out, 0, SEEK_END);
        uint64_t done = copy_in_kernel(in, off_in, out, n);
        if (done < n)
            r = copy_plain(in, off_in + done, out, n - done, &read_side, e);
    }
    if (ret_read_side)
        *ret_read_side = read_side;
    return r;
}

/* --- durability ------------------------------------------------------------------------------- */
static int fsync_retry(int fd)
{
    int r;
    do {
        r = fsync(fd);
    } while (r < 0 && errno == EINTR);
    return r;
}

int sys_truncate(int fd, uint64_t n, struct err *e)
{
    if (n > INT64_MAX)
        return err_set(e, ERR_LIMIT, _("the offset is too large for a file"));
    if (sys_fault_step() < 0 || ftruncate(fd, (off_t)n) < 0)
        return err_sys(e, _("truncate"));
    return 0;
}

int sys_fsync(int fd, struct err *e)
{
    if (sys_fault_step() < 0 || fsync_retry(fd) < 0)
        return err_sys(e, _("write to disk (fsync)"));
    return 0;
}

int sys_syncfs(int fd, struct err *e)
{
    if (sys_fault_step() < 0 || syncfs(fd) < 0)
        return err_sys(e, _("write to disk (syncfs)"));
    return 0;
}

int sys_fsync_dir(int dirfd, const char *path, struct err *e)
{
    int fd = open_retry(dirfd, path, O_RDONLY | O_DIRECTORY, 0);
    int r = 0;
    if (fd < 0)
        return err_sys(e, _("open folder \"%s\""), path);
    /* Some network file systems cannot sync a folder and say EINVAL: nothing more can be done. */
    if (sys_fault_step() < 0 || (fsync_retry(fd) < 0 && errno != EINVAL))
        r = err_sys(e, _("write folder \"%s\" to disk (fsync)"), path);
    sys_close_quiet(fd);
    return r;
}

int sys_close(int fd, struct err *e)
{
    /* Linux has let go of the descriptor even when it says EINTR. */
    if (fd < 0 || close(fd) == 0 || errno == EINTR)
        return 0;
    return err_sys(e, _("close"));
}

void sys_close_quiet(int fd)
{
    int keep = errno;
    if (fd >= 0)
        (void)close(fd);
    errno = keep;
}

/* --- names ------------------------------------------------------------------------------------ */
/* For file systems without RENAME_NOREPLACE: a hard link is refused where something is already.
 * Where there are no hard links either (folders, VFAT), only looking first is left. */
static int rename_noreplace(int od, const char *op, int nd, const char *np)
{
    if (renameat2(od, op, nd, np, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (linkat(od, op, nd, np, 0) == 0)
        return unlinkat(od, op, 0);
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS)
        return -1;
    struct stat st;
    if (fstatat(nd, np, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return -1;
    }
    return errno == ENOENT ? renameat(od, op, nd, np) : -1;
}

int sys_renameat(int od, const char *op, int nd, const char *np, bool replace, struct err *e)
{
    int r = sys_fault_step();
    if (r == 0)
        r = replace ? renameat(od, op, nd, np) : rename_noreplace(od, op, nd, np);
    return r == 0 ? 0 : err_sys(e, _("rename \"%s\" to \"%s\""), op, np);
}

int sys_unlinkat(int dirfd, const char *path, int flags, struct err *e)
{
    if (sys_fault_step() < 0 || unlinkat(dirfd, path, flags) < 0)
        return err_sys(e, _("delete \"%s\""), path);
    return 0;
}

int sys_mkdirat(int dirfd, const char *path, mode_t mode, struct err *e)
{
    if (sys_fault_step() < 0 || mkdirat(dirfd, path, mode) < 0)
        return err_sys(e, _("make folder \"%s\""), path);
    return 0;
}

int sys_make_folder(int dirfd, const char *name, struct err *e)
{
    struct stat st;
    int rc = sys_mkdirat(dirfd, name, 0700, e);
    int fd = rc < 0 ? rc : openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (rc < 0)
        return rc;
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 07077) == 0)
        return fd;
    if (fd < 0 && errno != ELOOP && errno != ENOTDIR && errno != ENOENT)
        return err_sys(e, "%s", name);
    sys_close_quiet(fd);
    return err_set(e, ERR_REFUSED, _("somebody has put something else in the place of \"%s\""),
                   name);
}

static int ensure_dir(const char *path, mode_t mode, struct err *e)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    int r = sys_mkdirat(AT_FDCWD, path, mode, e);
    if (r == -ERR_EXISTS && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        err_clear(e); /* another process was quicker */
        return 0;
    }
    /* The kernel's "not a directory" would read as "absent". */
    if (r == -ERR_ABSENT && errno == ENOTDIR) {
        r = err_set(e, ERR_EXISTS, _("something that is not a folder is in the way"));
        err_wrap(e, _("make folder \"%s\""), path);
    }
    return r;
}

int sys_mkdir_p(const char *path, mode_t mode, struct err *e)
{
    char *part = strdup(path);
    int r = 0;
    if (!part)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    for (char *p = part; r == 0 && *p;) {
        p += strspn(p, "/");
        p += strcspn(p, "/");
        char keep = *p;
        *p = '\0';
        if (*part)
            r = ensure_dir(part, mode, e);
        *p = keep;
        if (p[strspn(p, "/")] == '\0')
            break;
    }
    free(part);
    return r;
}

/* --- whole small files ------------------------------------------------------------------------ */
/* The file may hold a secret: what is given up is wiped. */
static uint8_t *bigger(uint8_t *old, size_t len, size_t cap)
{
    uint8_t *p = malloc(cap + 1);
    if (p && old)
        memcpy(p, old, len);
    if (old)
        explicit_bzero(old, len);
    free(old);
    return p;
}

static int read_whole(int fd, size_t max, uint8_t **ret, size_t *ret_len, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(e, _("read"));
    bool sized = S_ISREG(st.st_mode) && st.st_size > 0;
    if (sized && (uint64_t)st.st_size > max)
        return err_set(e, ERR_LIMIT, _("the file is larger than %zu bytes"), max);
    /* One more than its size, so that the end is seen in the first read. */
    size_t cap = sized ? (size_t)st.st_size + 1 : FIRST_READ_BYTES, len = 0;
    uint8_t *p = bigger(NULL, 0, cap);
    while (p) {
        ssize_t got = sys_read(fd, p + len, cap - len, e);
        int r = got < 0 ? (int)got : 0;
        len += got > 0 ? (size_t)got : 0;
        if (r == 0 && len > max)
            r = err_set(e, ERR_LIMIT, _("the file is larger than %zu bytes"), max);
        if (r < 0) {
            explicit_bzero(p, len);
            free(p);
            return r;
        }
        if (len < cap) {
            p[len] = '\0';
            *ret = p;
            *ret_len = len;
            return 0;
        }
        cap *= 2;
        p = bigger(p, len, cap);
    }
    return err_set(e, ERR_NOMEM, _("out of memory"));
}

int sys_read_file(int dirfd, const char *path, size_t max, uint8_t **ret, size_t *ret_len,
                  struct err *e)
{
    int fd = sys_openat(dirfd, path, O_RDONLY | O_NOCTTY, 0, e);
    if (fd < 0)
        return fd;
    int r = read_whole(fd, max, ret, ret_len, e);
    sys_close_quiet(fd);
    if (r < 0)
        err_wrap(e, _("read \"%s\""), path);
    return r;
}

int sys_read_plain(int dirfd, const char *path, size_t max, uint8_t **ret, size_t *ret_len,
                   struct err *e)
{
    const int flags = O_RDONLY | O_NOCTTY | O_NONBLOCK;
    struct stat st;
    int fd = dirfd == AT_FDCWD ? sys_openat(dirfd, path, flags | O_NOFOLLOW, 0, e)
                               : sys_open_beneath(dirfd, path, flags, 0, e);
    if (fd < 0)
        return fd;
    int r = fstat(fd, &st) < 0 ? err_sys(e, "fstat") : 0;
    if (r == 0 && (!S_ISREG(st.st_mode) || st.st_nlink > 1))
        r = err_set(e, ERR_REFUSED, _("it is not a plain file with this name alone"));
    if (r == 0)
        r = read_whole(fd, max, ret, ret_len, e);
    sys_close_quiet(fd);
    return r < 0 ? err_wrap(e, _("read \"%s\""), path) : 0;
}

/* "<folder>/.tmp-<random>", beside `path`; *ret_dir_len counts its "<folder>/". Caller frees. */
static char *temp_name(const char *path, size_t *ret_dir_len)
{
    const char *slash = strrchr(path, '/');
    size_t dir_len = slash ? (size_t)(slash - path) + 1 : 0;
    char *name = malloc(dir_len + sizeof ".tmp-" + 16), hex[17];
    uint8_t chance[8];
    if (!name)
        return NULL;
    sys_random(chance, sizeof chance);
    hex_encode(chance, sizeof chance, hex);
    memcpy(name, path, dir_len);
    strcpy(name + dir_len, ".tmp-");
    strcat(name + dir_len, hex);
    *ret_dir_len = dir_len;
    return name;
}

/* Everything but the rename: when it fails, nothing but the temporary file may be there. */
static int write_temp(int dirfd, const char *temp, const void *p, size_t n, mode_t mode,
                      struct err *e)
{
    int fd = sys_openat(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL, mode, e);
    if (fd < 0)
        return fd;
    int r = sys_write(fd, p, n, e);
    if (r == 0)
        r = sys_fsync(fd, e);
    int closed = sys_close(fd, r == 0 ? e : NULL);
    if (r == 0)
        r = closed;
    if (r < 0)
        sys_unlinkat(dirfd, temp, 0, NULL);
    return r;
}

int sys_write_file(int dirfd, const char *path, const void *p, size_t n, mode_t mode, struct err *e)
{
    size_t dir_len;
    char *temp = temp_name(path, &dir_len);
    if (!temp)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    int r = write_temp(dirfd, temp, p, n, mode, e);
    if (r == 0) {
        r = sys_renameat(dirfd, temp, dirfd, path, true, e);
        if (r < 0)
            sys_unlinkat(dirfd, temp, 0, NULL);
    }
    if (r == 0) {
        temp[dir_len] = '\0';
        r = sys_fsync_dir(dirfd, dir_len ? temp : ".", e);
    }
    free(temp);
    if (r < 0)
        err_wrap(e, _("write file \"%s\""), path);
    return r;
}

/* --- locks ------------------------------------------------------------------------------------ */
/* A lock on a file that was deleted meanwhile excludes nobody. */
static bool still_named(int fd, const char *path)
{
    struct stat have, named;
    return fstat(fd, &have) == 0 && stat(path, &named) == 0 && have.st_ino == named.st_ino &&
           have.st_dev == named.st_dev;
}

int sys_lock_file(const char *path, struct err *e)
{
    for (int i = 0; i < MAX_LOCK_TRIES; i++) {
        int fd = sys_openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_NOCTTY, 0600, e), r;
        if (fd < 0)
            return fd;
        do {
            r = flock(fd, LOCK_EX | LOCK_NB);
        } while (r < 0 && errno == EINTR);
        if (r == 0 && still_named(fd, path))
            return fd;
        bool busy = r < 0 && errno == EWOULDBLOCK;
        if (r < 0 && !busy)
            r = err_sys(e, _("lock \"%s\""), path);
        sys_close_quiet(fd);
        if (busy)
            break;
        if (r < 0)
            return r;
    }
    err_set(e, ERR_BUSY, _("another process holds the lock"));
    err_wrap(e, _("lock \"%s\""), path);
    return -ERR_BUSY;
}

int sys_lock_open(int fd, struct err *e)
{
    int r;
    do {
        r = flock(fd, LOCK_EX | LOCK_NB);
    } while (r < 0 && errno == EINTR);
    return r < 0 && errno == EWOULDBLOCK ? err_set(e, ERR_BUSY, _("another process holds the lock"))
                                         : 0;
}

/* Shared, so that several who ask do not take each other for the holder. */
int sys_lock_held(const char *path)
{
    int fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_NOCTTY, 0, NULL), r;
    if (fd < 0)
        return fd == -ERR_ABSENT ? 0 : 1;
    do {
        r = flock(fd, LOCK_SH | LOCK_NB);
    } while (r < 0 && errno == EINTR);
    sys_close_quiet(fd);
    return r < 0;
}
