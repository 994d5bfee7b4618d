/* meta.c - see agents/meta.h. xattr(7), ioctl_iflags(2). */
#include "agents/meta.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

#define LIST_BYTES (64u << 10) /* the kernel's bound, XATTR_LIST_MAX */
#define MAX_NAMES 4096
#define WORTH_RESTORING                                \
    ((uint32_t)(FS_FL_USER_MODIFIABLE | FS_NOCOW_FL) & \
     ~(uint32_t)(FS_EXTENT_FL | FS_ENCRYPT_FL | FS_INLINE_DATA_FL))

struct meta {
    char list[LIST_BYTES];
    struct xattr all[MAX_NAMES];
    struct wbuf values;
    uint64_t flagless_dev; /* a file system that answered "no such request" */
    bool have_flagless;
};

struct meta *meta_new(void)
{
    return calloc(1, sizeof(struct meta));
}

void meta_free(struct meta *m)
{
    if (!m)
        return;
    wbuf_free(&m->values);
    free(m);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct xattr *)a)->name, ((const struct xattr *)b)->name);
}

static ssize_t get(int fd, const char *via, const char *name, void *value, size_t size)
{
    return fd >= 0 ? fgetxattr(fd, name, value, size) : lgetxattr(via, name, value, size);
}

/* Appends the value; -1 with errno. */
static ssize_t read_value(struct meta *m, int fd, const char *via, const char *name)
{
    size_t room = 256;
    for (;;) {
        size_t at = m->values.len;
        if (at + room > MAX_XATTR_BYTES + LIST_BYTES) {
            errno = E2BIG;
            return -1;
        }
        uint8_t *to = wb_grow(&m->values, room);
        if (!to) {
            errno = ENOMEM;
            return -1;
        }
        ssize_t n = get(fd, via, name, to, room);
        m->values.len = at + (n > 0 ? (size_t)n : 0);
        if (n >= 0 || errno != ERANGE)
            return n;
        room *= 8;
    }
}

static bool is_nothing(int sys)
{
    return sys == ENOTSUP || sys == ENODATA || sys == EBADF || sys == ENOSYS;
}

/* Values move while they are gathered, so they are pointed to when all are there. */
static void point_at_values(struct meta *m, size_t n)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        m->all[i].value = m->values.p + at;
        at += m->all[i].len;
    }
}

int meta_xattrs(struct meta *m, int fd, int dir_fd, const char *name, const struct xattr **ret,
                size_t *ret_n)
{
    char via[64 + 256 + 1];
    size_t n = 0, total = 0;
    int sys = 0;
    *ret = m->all;
    *ret_n = 0;
    /* There is no call that reads those of a symlink relative to a descriptor. */
    if (fd < 0 && snprintf(via, sizeof via, "/proc/self/fd/%d/%s", dir_fd, name) >= (int)sizeof via)
        return ENAMETOOLONG;
    ssize_t list = fd >= 0 ? flistxattr(fd, m->list, LIST_BYTES)
                           : llistxattr(via, m->list, LIST_BYTES);
    if (list <= 0)
        return list == 0 || is_nothing(errno) ? 0 : errno;
    wbuf_reset(&m->values);
    for (const char *p = m->list; p < m->list + list; p += strlen(p) + 1) {
        ssize_t len = n == MAX_NAMES ? (errno = E2BIG, -1) : read_value(m, fd, via, p);
        if (len >= 0 && total + strlen(p) + (size_t)len > MAX_XATTR_BYTES) {
            m->values.len -= (size_t)len;
            errno = E2BIG;
            len = -1;
        }
        if (len < 0) {
            if (errno == ENOMEM)
                return -ERR_NOMEM;
            sys = is_nothing(errno) ? sys : errno; /* it may just have been removed */
            continue;
        }
        m->all[n++] = (struct xattr){ .name = p, .name_len = strlen(p), .len = (size_t)len };
        total += strlen(p) + (size_t)len;
    }
    point_at_values(m, n);
    if (n > 1)
        qsort(m->all, n, sizeof *m->all, by_name);
    *ret_n = n;
    return sys;
}

uint32_t meta_fflags(struct meta *m, int fd, uint64_t dev)
{
    int flags = 0; /* the kernel writes an int, whatever the request's number says */
    if (m->have_flagless && m->flagless_dev == dev)
        return 0;
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0)
        return (uint32_t)flags & WORTH_RESTORING;
    if (errno == ENOTTY || errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS) {
        m->flagless_dev = dev;
        m->have_flagless = true;
    }
    return 0;
}
