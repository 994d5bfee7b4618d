/* setmeta.c - metadata of restored objects. Manual: agents/setmeta.h; inode(7), xattr(7), acl(5),
 * ioctl_iflags(2). */
#include "agents/setmeta.h"
#include "agents/meta.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"
#define CAPABILITY "security.capability"
#define NAME_BYTES 256

/* Seconds that every file system of today holds: 1980 (FAT) to 2038 (ext4 with small inodes). */
#define SAFE_TIME_FIRST INT64_C(315532800)
#define SAFE_TIME_LAST INT64_C(2147483647)

struct setmeta {
    struct report *rep;
    struct meta *meta;
    bool root;
};

struct setmeta *setmeta_new(struct report *r)
{
    struct setmeta *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->rep = r;
    s->root = geteuid() == 0;
    s->meta = meta_new();
    if (s->meta)
        return s;
    free(s);
    return NULL;
}

void setmeta_free(struct setmeta *s)
{
    if (!s)
        return;
    meta_free(s->meta);
    free(s);
}

static void problem(struct setmeta *s, const struct object *o, const char *what, int sys)
{
    report_problem(s->rep, o->path, o->path_len, "%s: %s", what, strerror(sys));
}

/* The name of an O_PATH descriptor for calls that take none. It leads to the object itself, even
 * when that is a symbolic link. */
static const char *via(int fd, char out[32])
{
    snprintf(out, 32, "/proc/self/fd/%d", fd);
    return out;
}

/* --- inode flags ------------------------------------------------------------------------------ */
static int get_flags(int fd, int *ret)
{
    *ret = 0;
    return ioctl(fd, FS_IOC_GETFLAGS, ret);
}

static int put_flags(int fd, int flags)
{
    if (sys_fault_step() < 0)
        return -1;
    return ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

uint32_t setmeta_get_flags(int fd)
{
    int flags;
    return get_flags(fd, &flags) == 0 ? (uint32_t)flags & FFLAGS_RESTORED : 0;
}

uint32_t setmeta_unlock(int fd)
{
    int flags;
    if (get_flags(fd, &flags) < 0 || !((uint32_t)flags & FFLAGS_LOCKING))
        return 0;
    uint32_t had = (uint32_t)flags & FFLAGS_RESTORED;
    return put_flags(fd, flags & ~(int)FFLAGS_LOCKING) == 0 ? had : 0;
}

void setmeta_relock(int fd, uint32_t had)
{
    int flags;
    if (had & FFLAGS_LOCKING && get_flags(fd, &flags) == 0)
        (void)put_flags(fd, flags | (int)(had & FFLAGS_LOCKING));
}

void setmeta_flags(struct setmeta *s, const struct object *o, uint32_t wanted)
{
    int now;
    if (get_flags(o->fd, &now) < 0) {
        if (wanted)
            problem(s, o, _("its inode flags could not be set"), errno);
        return;
    }
    int then = (now & ~(int)FFLAGS_RESTORED) | (int)(wanted & FFLAGS_RESTORED);
    if (then == now || put_flags(o->fd, then) == 0)
        return;
    int sys = errno;
    /* One flag that this file system does not know must not cost the others. */
    for (uint32_t bit = 1; bit && bit <= FFLAGS_RESTORED; bit <<= 1) {
        if ((uint32_t)(then ^ now) & bit && put_flags(o->fd, now ^ (int)bit) == 0)
            now ^= (int)bit;
    }
    problem(s, o, _("not all of its inode flags could be set"), sys);
}

/* --- extended attributes ---------------------------------------------------------------------- */
/* What the system itself puts on new objects. It is overwritten where the snapshot has it, and
 * neither removed nor missed where it has not. */
static bool is_label(const char *name)
{
    static const char *const labels[] = { "security.selinux", "security.SMACK64", "security.ima",
                                          "security.evm", "security.apparmor" };
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        if (strncmp(name, labels[i], strlen(labels[i])) == 0)
            return true;
    }
    return strncmp(name, "system.", 7) == 0 && strcmp(name, ACL_ACCESS) != 0 &&
           strcmp(name, ACL_DEFAULT) != 0;
}

static bool same_name(const struct xattr *x, const char *name)
{
    return x->name_len == strlen(name) && memcmp(x->name, name, x->name_len) == 0;
}

static const struct xattr *find_xattr(const struct xattr *v, size_t n, const struct xattr *like)
{
    for (size_t i = 0; i < n; i++) {
        if (v[i].name_len == like->name_len && memcmp(v[i].name, like->name, like->name_len) == 0)
            return &v[i];
    }
    return NULL;
}

static void list_xattrs(struct setmeta *s, const struct object *o, const struct xattr **ret,
                        size_t *n)
{
    if (o->o_path)
        (void)meta_xattrs(s->meta, -1, o->dir_fd, o->name, ret, n);
    else
        (void)meta_xattrs(s->meta, o->fd, -1, NULL, ret, n);
}

static void remove_extras(struct setmeta *s, const struct object *o, const struct entry *en)
{
    const struct xattr *have;
    size_t n;
    list_xattrs(s, o, &have, &n);
    for (size_t i = 0; i < n; i++) {
        char path[32];
        if (is_label(have[i].name) || find_xattr(en->xattrs, en->n_xattrs, &have[i]))
            continue;
        int r = sys_fault_step();
        if (r == 0)
            r = o->o_path ? removexattr(via(o->fd, path), have[i].name)
                          : fremovexattr(o->fd, have[i].name);
        if (r < 0 && errno != ENODATA)
            report_problem(s->rep, o->path, o->path_len,
                           _("extended attribute \"%s\" could not be removed: %s"), have[i].name,
                           strerror(errno));
    }
}

static void set_xattr(struct setmeta *s, const struct object *o, const struct xattr *x)
{
    char name[NAME_BYTES], path[32];
    if (x->name_len >= sizeof name)
        return;
    memcpy(name, x->name, x->name_len);
    name[x->name_len] = '\0';
    int r = sys_fault_step();
    if (r == 0)
        r = o->o_path ? setxattr(via(o->fd, path), name, x->value, x->len, 0)
                      : fsetxattr(o->fd, name, x->value, x->len, 0);
    if (r < 0)
        report_problem(s->rep, o->path, o->path_len,
                       _("extended attribute \"%s\" could not be set: %s"), name, strerror(errno));
}

/* ACLs are set when the mode is, which they refine; a capability when nothing follows that would
 * clear it. */
static bool is_late(const struct xattr *x)
{
    return same_name(x, ACL_ACCESS) || same_name(x, ACL_DEFAULT) || same_name(x, CAPABILITY);
}

static void set_xattrs(struct setmeta *s, const struct object *o, const struct entry *en, bool late)
{
    for (size_t i = 0; i < en->n_xattrs; i++) {
        if (is_late(&en->xattrs[i]) == late)
            set_xattr(s, o, &en->xattrs[i]);
    }
}

bool setmeta_has_default_acl(int dir_fd)
{
    return fgetxattr(dir_fd, ACL_DEFAULT, NULL, 0) > 0;
}

void setmeta_strip(int fd, bool acl, bool flags)
{
    int now;
    if (acl) {
        (void)fremovexattr(fd, ACL_DEFAULT);
        (void)fremovexattr(fd, ACL_ACCESS);
    }
    if (flags && get_flags(fd, &now) == 0 && (uint32_t)now & FFLAGS_RESTORED)
        (void)put_flags(fd, now & ~(int)FFLAGS_RESTORED);
}

/* --- owner, mode, times ----------------------------------------------------------------------- */
static bool set_owner(struct setmeta *s, const struct object *o, const struct entry *en)
{
    if (o->st.st_uid == en->uid && o->st.st_gid == en->gid)
        return true;
    if (!s->root) {
        /* The group may be one of ours. */
        if (o->st.st_uid == en->uid &&
            fchownat(o->fd, "", (uid_t)-1, en->gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) == 0)
            return true;
        report_owner_once(s->rep);
        return false;
    }
    int r = sys_fault_step();
    if (r == 0)
        r = fchownat(o->fd, "", en->uid, en->gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
    if (r < 0)
        problem(s, o, _("its owner could not be set"), errno);
    return r == 0;
}

static void set_mode(struct setmeta *s, const struct object *o, const struct entry *en, bool owned)
{
    char path[32];
    mode_t mode = en->mode & 07777;
    if (S_ISLNK(o->st.st_mode))
        return;
    if (!owned && !S_ISDIR(o->st.st_mode))
        mode &= 01777;
    bool chowned = o->st.st_uid != en->uid || o->st.st_gid != en->gid;
    if ((o->st.st_mode & 07777) == mode && !(chowned && mode & 06000))
        return;
    int r = sys_fault_step();
    if (r == 0)
        r = o->o_path ? chmod(via(o->fd, path), mode) : fchmod(o->fd, mode);
    if (r < 0)
        problem(s, o, _("its mode could not be set"), errno);
}

static int put_times(const struct object *o, const struct timespec ts[2])
{
    char path[32];
    if (sys_fault_step() < 0)
        return -1;
    if (!o->o_path)
        return futimens(o->fd, ts);
    /* Kernels before 5.8 do not take an O_PATH descriptor. */
    if (utimensat(o->fd, "", ts, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    return utimensat(AT_FDCWD, via(o->fd, path), ts, 0);
}

static void set_times(struct setmeta *s, const struct object *o, const struct entry *en)
{
    struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT },
                              { .tv_sec = en->mtime_s, .tv_nsec = en->mtime_ns } };
    struct stat st;
    if (put_times(o, ts) < 0) {
        problem(s, o, _("its time could not be set"), errno);
        return;
    }
    if (en->mtime_s >= SAFE_TIME_FIRST && en->mtime_s <= SAFE_TIME_LAST)
        return;
    if (fstat(o->fd, &st) == 0 && st.st_mtim.tv_sec != en->mtime_s)
        report_note(s->rep, o->path, o->path_len,
                    _("the file system cannot hold its time of modification"));
}

void setmeta_apply(struct setmeta *s, const struct object *o, const struct entry *en,
                   bool *ret_unlocked)
{
    if (!o->clean && !o->o_path && setmeta_unlock(o->fd) && ret_unlocked)
        *ret_unlocked = true;
    bool owned = set_owner(s, o, en);
    if (!o->clean)
        remove_extras(s, o, en);
    if (en->n_xattrs)
        set_xattrs(s, o, en, false);
    set_mode(s, o, en, owned);
    if (en->n_xattrs)
        set_xattrs(s, o, en, true);
    set_times(s, o, en);
}

/* --- differences ------------------------------------------------------------------------------ */
static bool same_xattrs(struct setmeta *s, const struct object *o, const struct entry *en)
{
    const struct xattr *have;
    size_t n, matched = 0, extra = 0;
    list_xattrs(s, o, &have, &n);
    for (size_t i = 0; i < n; i++) {
        const struct xattr *x = find_xattr(en->xattrs, en->n_xattrs, &have[i]);
        if (x && x->len == have[i].len && memcmp(x->value, have[i].value, x->len) == 0)
            matched++;
        else if (x || !is_label(have[i].name))
            extra++;
    }
    return extra == 0 && matched == en->n_xattrs;
}

unsigned setmeta_diff(struct setmeta *s, const struct object *o, const struct entry *en)
{
    unsigned bits = 0;
    const struct stat *st = &o->st;
    if (!S_ISLNK(st->st_mode) && (st->st_mode & 07777) != en->mode)
        bits |= DIFF_MODE;
    if (st->st_uid != en->uid || st->st_gid != en->gid)
        bits |= DIFF_OWNER;
    if (st->st_mtim.tv_sec != en->mtime_s || (uint32_t)st->st_mtim.tv_nsec != en->mtime_ns)
        bits |= DIFF_MTIME;
    if (!same_xattrs(s, o, en))
        bits |= DIFF_XATTRS;
    if (!o->o_path && setmeta_get_flags(o->fd) != (en->fflags & FFLAGS_RESTORED))
        bits |= DIFF_FLAGS;
    return bits;
}
