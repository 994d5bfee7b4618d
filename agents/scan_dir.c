/* scan_dir.c - folders of a walk; the manual is agents/scan_dir.h. A chain deeper than max_open keeps its
 * first and its last folders open; the ones between are opened again through ".." on the way back, and by
 * their names where that leads elsewhere. */
#include "agents/scan_dir.h"
#include "lib/base/i18n.h"
#include "lib/vault/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DENTS_BYTES (64u << 10)
#define DENT_NAME 19 /* struct linux_dirent64: u64 ino, s64 off, u16 reclen, u8 type, name */
#define DENT_RECLEN 16

/* Makes room for `need` elements. */
static int reserve(void *array_ptr, size_t *cap, size_t need, size_t size, struct err *e)
{
    if (need <= *cap)
        return 0;
    size_t n = *cap ? *cap : 64;
    while (n < need)
        n += n / 2;
    void **array = array_ptr, *p = realloc(*array, n * size);
    if (!p)
        return err_set(e, ERR_NOMEM, _("no memory"));
    *array = p;
    *cap = n;
    return 0;
}

int dir_stack_init(struct dir_stack *d, size_t max_open, struct err *e)
{
    *d = (struct dir_stack){ .max_open = max_open < 4 ? 4 : max_open };
    d->buffer = malloc(DENTS_BYTES);
    if (!d->buffer)
        return err_set(e, ERR_NOMEM, _("no memory"));
    return reserve(&d->path, &d->path_cap, 4096, 1, e);
}

int dir_stack_begin(struct dir_stack *d, const char *path, struct err *e)
{
    size_t len = strlen(path);
    if (reserve(&d->path, &d->path_cap, len + 1, 1, e) < 0)
        return -ERR_NOMEM;
    memcpy(d->path, path, len + 1);
    d->path_len = len;
    return 0;
}

void dir_stack_done(struct dir_stack *d)
{
    for (size_t i = 0; i < d->depth; i++)
        if (d->levels[i].fd >= 0)
            close(d->levels[i].fd);
    free(d->levels);
    free(d->path);
    free(d->names);
    free(d->slots);
    free(d->buffer);
    *d = (struct dir_stack){ 0 };
}

struct level *dir_stack_top(const struct dir_stack *d)
{
    return &d->levels[d->depth - 1];
}

int dir_stack_push(struct dir_stack *d, const struct level *l, struct err *e)
{
    if (reserve(&d->levels, &d->cap, d->depth + 1, sizeof *d->levels, e) < 0) {
        close(l->fd);
        return -ERR_NOMEM;
    }
    d->levels[d->depth++] = *l;
    struct level *top = dir_stack_top(d);
    top->path_len = d->path_len;
    top->names_at = d->names_len;
    top->slots_at = d->slots_len;
    top->n = top->next = 0;
    size_t half = d->max_open / 2, i = d->depth > half ? d->depth - 1 - half : 0;
    if (i >= half && d->levels[i].fd >= 0) {
        close(d->levels[i].fd);
        d->levels[i].fd = -1;
    }
    return 0;
}

/* --- names ------------------------------------------------------------------------------------ */
static int compare(const void *a, const void *b, void *names)
{
    return strcmp((const char *)names + *(const size_t *)a,
                  (const char *)names + *(const size_t *)b);
}

static int add_name(struct dir_stack *d, const char *name, struct err *e)
{
    if (name[0] == '\0' || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return 0;
    size_t len = strlen(name) + 1;
    if (reserve(&d->names, &d->names_cap, d->names_len + len, 1, e) < 0 ||
        reserve(&d->slots, &d->slots_cap, d->slots_len + 1, sizeof *d->slots, e) < 0)
        return -ERR_NOMEM;
    memcpy(d->names + d->names_len, name, len);
    d->slots[d->slots_len++] = d->names_len;
    d->names_len += len;
    return 0;
}

int dir_stack_list(struct dir_stack *d, struct err *e)
{
    struct level *top = dir_stack_top(d);
    int sys = 0;
    for (;;) {
        long n = syscall(SYS_getdents64, top->fd, d->buffer, DENTS_BYTES);
        if (n <= 0) {
            sys = n < 0 ? errno : 0;
            break;
        }
        for (long at = 0; at < n;) {
            uint16_t reclen;
            memcpy(&reclen, d->buffer + at + DENT_RECLEN, sizeof reclen);
            if (add_name(d, d->buffer + at + DENT_NAME, e) < 0)
                return -ERR_NOMEM;
            at += reclen;
        }
    }
    top->n = d->slots_len - top->slots_at;
    if (top->n > 1)
        qsort_r(d->slots + top->slots_at, top->n, sizeof *d->slots, compare, d->names);
    return sys;
}

static const char *name_at(const struct dir_stack *d, size_t i)
{
    return d->names + d->slots[dir_stack_top(d)->slots_at + i];
}

bool dir_stack_find(const struct dir_stack *d, const char *name)
{
    size_t lo = 0, hi = dir_stack_top(d)->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(name_at(d, mid), name);
        if (c == 0)
            return true;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}

void dir_stack_keep_only(struct dir_stack *d, const char *name)
{
    struct level *top = dir_stack_top(d);
    for (size_t i = 0; i < top->n; i++)
        if (strcmp(name_at(d, i), name) == 0)
            d->slots[top->slots_at] = d->slots[top->slots_at + i];
    top->n = top->n > 0;
}

const char *dir_stack_next(struct dir_stack *d)
{
    struct level *top = dir_stack_top(d);
    return top->next < top->n ? name_at(d, top->next++) : NULL;
}

int dir_stack_name(struct dir_stack *d, const char *name, size_t len, const char **ret_name,
                   struct err *e)
{
    size_t at = dir_stack_top(d)->path_len;
    size_t start = at + (at > 0), need = start + len;
    d->path_len = at;
    d->path[at] = '\0';
    if (need > MAX_PATH_BYTES)
        return 1;
    if (reserve(&d->path, &d->path_cap, need + 1, 1, e) < 0)
        return -ERR_NOMEM;
    if (at > 0)
        d->path[at] = '/';
    memcpy(d->path + start, name, len);
    d->path[need] = '\0';
    d->path_len = need;
    *ret_name = d->path + start;
    return 0;
}

/* --- going back ------------------------------------------------------------------------------- */
static bool same_folder(int fd, const struct level *l)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino;
}

/* Down from the nearest open folder, component by component. The path still holds all names. */
static int open_by_names(const struct dir_stack *d, size_t k)
{
    size_t from = k;
    while (d->levels[from].fd < 0)
        if (from-- == 0)
            return -1;
    int fd = d->levels[from].fd;
    for (size_t i = from + 1; i <= k; i++) {
        char name[NAME_MAX + 1];
        size_t at = d->levels[i - 1].path_len, end = d->levels[i].path_len;
        at += at > 0;
        if (end - at >= sizeof name)
            return -1;
        memcpy(name, d->path + at, end - at);
        name[end - at] = '\0';
        int flags = O_PATH | O_DIRECTORY | O_CLOEXEC | (d->levels[i].above ? 0 : O_NOFOLLOW);
        int next = openat(fd, name, flags);
        if (i > from + 1)
            close(fd);
        if (next < 0)
            return -1;
        fd = next;
    }
    return fd;
}

/* Opens level k again; below_fd is the folder in it that is being left, or -1. */
static int open_again(const struct dir_stack *d, size_t k, int below_fd)
{
    const struct level *l = &d->levels[k];
    int fd = below_fd < 0 ? -1 : openat(below_fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && same_folder(fd, l))
        return fd;
    if (fd >= 0)
        close(fd);
    fd = open_by_names(d, k);
    if (fd >= 0 && same_folder(fd, l))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool has_more(const struct level *l)
{
    return l->above ? l->root_next < l->root_hi : l->next < l->n;
}

int dir_stack_pop(struct dir_stack *d)
{
    struct level left = *dir_stack_top(d);
    int moved = 0;
    d->depth--;
    d->names_len = left.names_at;
    d->slots_len = left.slots_at;
    if (d->depth > 0) {
        struct level *top = dir_stack_top(d);
        if (top->fd < 0 && has_more(top))
            top->fd = open_again(d, d->depth - 1, left.fd);
        moved = top->fd < 0 && has_more(top);
        if (moved) {
            top->next = top->n;
            top->root_next = top->root_hi;
        }
        d->path_len = top->path_len;
        d->path[d->path_len] = '\0';
    }
    if (left.fd >= 0)
        close(left.fd);
    return moved;
}

/* --- one folder ------------------------------------------------------------------------------- */
int dir_open(int dir_fd, const char *name, bool follow, bool path_only)
{
    int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW);
    int fd = openat(dir_fd, name, flags | O_NOATIME);
    if (fd < 0 && errno == EPERM)
        fd = openat(dir_fd, name, flags);
    if (fd < 0 && errno == EACCES && path_only)
        fd = openat(dir_fd, name, flags | O_PATH);
    return fd;
}

bool dir_is_pseudo(int fd)
{
    static const uint32_t magic[] = {
        PROC_SUPER_MAGIC, SYSFS_MAGIC,        CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
        DEBUGFS_MAGIC,    TRACEFS_MAGIC,      SECURITYFS_MAGIC,   BPF_FS_MAGIC,
        PSTOREFS_MAGIC,   DEVPTS_SUPER_MAGIC, SELINUX_MAGIC,      EFIVARFS_MAGIC,
        BINFMTFS_MAGIC,   NSFS_MAGIC,         0x62656570, /* configfs */
        0x65735543,                                       /* fusectl */
        0x19800202,                                       /* mqueue */
    };
    struct statfs fs;
    if (fstatfs(fd, &fs) < 0)
        return false;
    for (size_t i = 0; i < sizeof magic / sizeof magic[0]; i++)
        if ((uint32_t)fs.f_type == magic[i])
            return true;
    return false;
}

static int stat_any(int dir_fd, const char *name, int flags, struct scan_stat *ret)
{
    struct statx x;
    if (statx(dir_fd, name, flags | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_BTIME, &x) < 0)
        return -1;
    *ret = (struct scan_stat){
        .dev = makedev(x.stx_dev_major, x.stx_dev_minor),
        .ino = x.stx_ino,
        .size = x.stx_size,
        .blocks = x.stx_blocks,
        .mode = x.stx_mode,
        .uid = x.stx_uid,
        .gid = x.stx_gid,
        .nlink = x.stx_nlink,
        .rdev_major = x.stx_rdev_major,
        .rdev_minor = x.stx_rdev_minor,
        .mtime_s = x.stx_mtime.tv_sec,
        .ctime_s = x.stx_ctime.tv_sec,
        .mtime_ns = x.stx_mtime.tv_nsec,
        .ctime_ns = x.stx_ctime.tv_nsec,
    };
    if (x.stx_mask & STATX_BTIME) {
        ret->birth_s = x.stx_btime.tv_sec;
        ret->birth_ns = x.stx_btime.tv_nsec;
    }
    return 0;
}

int scan_stat_at(int dir_fd, const char *name, bool follow, struct scan_stat *ret)
{
    return stat_any(dir_fd, name, follow ? 0 : AT_SYMLINK_NOFOLLOW, ret);
}

int scan_stat_fd(int fd, struct scan_stat *ret)
{
    return stat_any(fd, "", AT_EMPTY_PATH, ret);
}
