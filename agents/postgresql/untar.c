/* untar.c - see untar.h. The form: POSIX.1-1988 (ustar), and for large numbers GNU tar's: the first bit set, then a number to the base 256. */
#include "agents/postgresql/untar.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 512u
#define NAME_BYTES 100u
#define MAX_FOLDERS (1u << 20)
#define MAX_FILE_BYTES (UINT64_C(1) << 50)
enum { AT_MODE = 100, AT_UID = 108, AT_GID = 116, AT_SIZE = 124, AT_MTIME = 136 };
enum { AT_SUM = 148, AT_TYPE = 156, AT_PREFIX = 345, PREFIX_BYTES = 155 };

struct folder {
    char *name; /* owned */
    mode_t mode;
    int64_t mtime_s;
};

struct untar {
    int dir_fd, fd; /* fd: of the file that is being written, else -1 */
    uint8_t head[BLOCK];
    size_t have;        /* of the header */
    uint64_t left, pad; /* of the entry's content; zeros behind it */
    int64_t mtime_s;
    bool has_owner;
    uint32_t uid, gid;
    struct folder *folders;
    size_t n_folders, cap_folders;
};

int untar_new(int dir_fd, struct untar **ret, struct err *e)
{
    struct untar *u = calloc(1, sizeof *u);
    if (!u)
        return err_set(e, ERR_NOMEM, _("no memory"));
    u->dir_fd = dir_fd;
    u->fd = -1;
    *ret = u;
    return 0;
}

void untar_free(struct untar *u)
{
    if (!u)
        return;
    sys_close_quiet(u->fd);
    for (size_t i = 0; i < u->n_folders; i++)
        free(u->folders[i].name);
    free(u->folders);
    free(u);
}

bool untar_owner(const struct untar *u, uint32_t *ret_uid, uint32_t *ret_gid)
{
    *ret_uid = u->uid;
    *ret_gid = u->gid;
    return u->has_owner;
}

/* --- headers ------------------------------------------------------------------------------------ */
static int strange(struct err *e)
{
    return err_set(e, ERR_PROTOCOL, _("the server sent an archive of an unknown form"));
}

static bool number(const uint8_t *p, size_t n, uint64_t *ret)
{
    uint64_t v = 0;
    size_t i = 0;
    if (p[0] & 0x80) {
        v = p[0] & 0x3F;
        for (i = 1; i < n; i++) {
            if (v >> 55)
                return false;
            v = v << 8 | p[i];
        }
        *ret = v;
        return !(p[0] & 0x40); /* less than 0 */
    }
    while (i < n && p[i] == ' ')
        i++;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++)
        v = v << 3 | (uint64_t)(p[i] - '0');
    *ret = v;
    return i == n || p[i] == ' ' || p[i] == '\0';
}

/* Its sum is that of all bytes, those of itself as spaces. */
static bool sum_is_right(const uint8_t *h)
{
    uint64_t is = 0, wanted;
    for (size_t i = 0; i < BLOCK; i++)
        is += i >= AT_SUM && i < AT_SUM + 8 ? ' ' : h[i];
    return number(h + AT_SUM, 8, &wanted) && is == wanted;
}

static bool is_zero(const uint8_t *p, size_t n)
{
    while (n > 0 && p[n - 1] == 0)
        n--;
    return n == 0;
}

/* Relative, and each part the name of something: it then leads to what was made here, and there are no links among that. */
static bool name_ok(const char *name)
{
    for (const char *p = name;; p++) {
        size_t n = strcspn(p, "/");
        if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        p += n;
        if (!*p)
            return true;
    }
}

/* --- entries ------------------------------------------------------------------------------------ */
static int add_folder(struct untar *u, const char *name, mode_t mode, struct err *e)
{
    if (u->n_folders == MAX_FOLDERS)
        return err_set(e, ERR_LIMIT, _("the server sent too many folders"));
    if (u->n_folders == u->cap_folders) {
        size_t cap = u->cap_folders ? 2 * u->cap_folders : 64;
        struct folder *grown = realloc(u->folders, cap * sizeof *grown);
        if (!grown)
            return err_set(e, ERR_NOMEM, _("no memory"));
        u->folders = grown;
        u->cap_folders = cap;
    }
    struct folder *f = &u->folders[u->n_folders];
    *f = (struct folder){ .name = strdup(name), .mode = mode | 0700, .mtime_s = u->mtime_s };
    if (!f->name)
        return err_set(e, ERR_NOMEM, _("no memory"));
    u->n_folders++;
    int rc = sys_mkdirat(u->dir_fd, name, 0700, e);
    if (rc == -ERR_EXISTS) {
        err_clear(e);
        rc = 0;
    }
    return rc;
}

static int file_done(struct untar *u, struct err *e)
{
    const struct timespec times[2] = { { .tv_sec = u->mtime_s }, { .tv_sec = u->mtime_s } };
    if (u->fd < 0)
        return 0;
    int rc = futimens(u->fd, times) < 0 ? err_sys(e, "%.100s", (const char *)u->head) : 0;
    int closed = sys_close(u->fd, rc == 0 ? e : NULL);
    u->fd = -1;
    return rc < 0 ? rc : closed;
}

static int begin_file(struct untar *u, const char *name, mode_t mode, struct err *e)
{
    u->fd = sys_openat(u->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, e);
    if (u->fd < 0)
        return err_wrap(e, "%s", name);
    if (fchmod(u->fd, mode) < 0)
        return err_sys(e, "%s", name);
    return u->left == 0 ? file_done(u, e) : 0;
}

/* A header is whole. */
static int begin_entry(struct untar *u, struct err *e)
{
    char whole[NAME_BYTES + 1] = "", *name = whole;
    uint64_t mode, uid, gid, mtime;
    const uint8_t *h = u->head;
    if (is_zero(h, BLOCK)) /* the end of an archive has two of them, or none */
        return 0;
    if (!sum_is_right(h) || !number(h + AT_MODE, 8, &mode) || !number(h + AT_UID, 8, &uid) ||
        !number(h + AT_GID, 8, &gid) || !number(h + AT_SIZE, 12, &u->left) ||
        !number(h + AT_MTIME, 12, &mtime) || u->left > MAX_FILE_BYTES || mtime > INT64_MAX ||
        uid > UINT32_MAX || gid > UINT32_MAX || !is_zero(h + AT_PREFIX, PREFIX_BYTES))
        return strange(e);
    memcpy(whole, h, NAME_BYTES);
    if (strncmp(whole, "./", 2) == 0 && whole[2]) /* of one folder the server says so */
        name += 2;
    size_t n = strlen(name);
    bool folder = h[AT_TYPE] == '5', link = h[AT_TYPE] == '2';
    bool file = h[AT_TYPE] == '0' || h[AT_TYPE] == '\0';
    if ((folder || link) && n > 0 && name[n - 1] == '/')
        name[--n] = '\0';
    if (!name_ok(name))
        return strange(e);
    if (!u->has_owner) {
        u->has_owner = true;
        u->uid = (uint32_t)uid;
        u->gid = (uint32_t)gid;
    }
    u->mtime_s = (int64_t)mtime;
    u->pad = (BLOCK - u->left % BLOCK) % BLOCK;
    if (folder)
        return u->left == 0 ? add_folder(u, name, mode & 0777, e) : strange(e);
    if (file)
        return begin_file(u, name, mode & 0777, e);
    return link && u->left == 0 ? 0 : strange(e);
}

/* How many of the n bytes at p belong together; they are taken. */
static ssize_t take(struct untar *u, const uint8_t *p, size_t n, struct err *e)
{
    size_t part;
    if (u->left > 0) {
        part = u->left < n ? (size_t)u->left : n;
        if (sys_write(u->fd, p, part, e) < 0)
            return err_wrap(e, "%.100s", (const char *)u->head);
        u->left -= part;
        return u->left == 0 && file_done(u, e) < 0 ? -(ssize_t)e->code : (ssize_t)part;
    }
    if (u->pad > 0) {
        part = u->pad < n ? (size_t)u->pad : n;
        u->pad -= part;
        return (ssize_t)part;
    }
    part = BLOCK - u->have < n ? BLOCK - u->have : n;
    memcpy(u->head + u->have, p, part);
    u->have += part;
    if (u->have < BLOCK)
        return (ssize_t)part;
    u->have = 0;
    int rc = begin_entry(u, e);
    return rc < 0 ? rc : (ssize_t)part;
}

int untar_feed(struct untar *u, const uint8_t *p, size_t n, struct err *e)
{
    struct err own = ERR_INIT;
    e = e ? e : &own;
    while (n > 0) {
        ssize_t part = take(u, p, n, e);
        if (part < 0)
            return (int)part;
        p += part;
        n -= (size_t)part;
    }
    return 0;
}

int untar_end(struct untar *u, struct err *e)
{
    if (u->left > 0 || u->pad > 0 || u->have > 0)
        return err_set(e, ERR_PROTOCOL, _("the server's archive ends in the middle of a file"));
    /* What was made in them has changed their times. */
    for (size_t i = u->n_folders; i > 0; i--) {
        const struct folder *f = &u->folders[i - 1];
        const struct timespec times[2] = { { .tv_sec = f->mtime_s }, { .tv_sec = f->mtime_s } };
        if (fchmodat(u->dir_fd, f->name, f->mode, 0) < 0 ||
            utimensat(u->dir_fd, f->name, times, AT_SYMLINK_NOFOLLOW) < 0)
            return err_sys(e, "%s", f->name);
    }
    return 0;
}
