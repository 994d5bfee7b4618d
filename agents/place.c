/* place.c - what is in the way of a restore, and everything that is neither folder nor regular
 * file: links, pipes, devices. An object is only touched through a descriptor that was checked to
 * be the one just made. */
#include "agents/restore_run.h"
#include "agents/saved_entry.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* --- what is in the way ----------------------------------------------------------------------- */
int place_look(struct run *r, const struct place *p, mode_t type, enum way *ret, struct stat *st,
               struct err *e)
{
    *ret = WAY_FREE;
    if (p->dir->fresh)
        return 0;
    if (fstatat(p->dir->fd, p->name, st, AT_SYMLINK_NOFOLLOW) == 0)
        *ret = (st->st_mode & S_IFMT) == type ? WAY_SAME_TYPE : WAY_OTHER;
    else if (errno != ENOENT)
        return run_judge(err_sys(e, _("look at what is there")));
    if (*ret != WAY_OTHER || r->m->overwrite)
        return 0;
    err_set(e, ERR_EXISTS, _("something else has its name"));
    return FAILED_HERE;
}

int place_clear(struct run *r, const struct place *p, struct err *e)
{
    bool keep = false;
    if (r->m->overwrite)
        return run_judge(target_set_aside(r, p, &keep, e));
    err_set(e, ERR_EXISTS, _("something else has its name"));
    return FAILED_HERE;
}

int place_rename(struct run *r, const struct place *p, const char *temp, enum way way,
                 struct err *e)
{
    bool replace = way == WAY_SAME_TYPE;
    if (way != WAY_FREE && r->m->overwrite) {
        replace = true;
        int rc = target_set_aside(r, p, &replace, e);
        if (rc < 0)
            return run_judge(rc);
    }
    int rc = sys_renameat(p->dir->fd, temp, p->dir->fd, p->name, replace, e);
    return run_judge(rc);
}

/* --- links, pipes, devices -------------------------------------------------------------------- */
/* What has just been made under `name`, or is there already, as a descriptor of itself. */
static int open_self(const struct place *p, const char *name, struct object *ret, struct err *e)
{
    *ret = (struct object){
        .fd = sys_openat(p->dir->fd, name, O_PATH | O_NOFOLLOW, 0, e),
        .o_path = true,
        .dir_fd = p->dir->fd,
        .name = name,
        .clean = p->dir->fresh,
        .path = p->shown,
        .path_len = p->shown_len,
    };
    if (ret->fd < 0)
        return run_judge(ret->fd);
    if (fstat(ret->fd, &ret->st) == 0)
        return 0;
    err_sys(e, "fstat");
    sys_close_quiet(ret->fd);
    return FAILED_HERE;
}

static mode_t type_of(enum entry_type t)
{
    switch (t) {
    case ENTRY_SYMLINK:
        return S_IFLNK;
    case ENTRY_FIFO:
        return S_IFIFO;
    case ENTRY_CHAR:
        return S_IFCHR;
    case ENTRY_BLOCK:
        return S_IFBLK;
    default:
        return S_IFREG;
    }
}

/* Is the object what the entry says, but for its metadata? */
static bool is_same(const struct entry *en, const struct object *o)
{
    if ((o->st.st_mode & S_IFMT) != type_of(en->type))
        return false;
    if (en->type == ENTRY_CHAR || en->type == ENTRY_BLOCK)
        return major(o->st.st_rdev) == en->dev_major && minor(o->st.st_rdev) == en->dev_minor;
    if (en->type != ENTRY_SYMLINK)
        return true;
    char target[PATH_MAX + 1];
    ssize_t n = readlinkat(o->fd, "", target, sizeof target);
    return n >= 0 && (size_t)n == en->target_len && memcmp(target, en->target, en->target_len) == 0;
}

static int make_object(const struct entry *en, const struct place *p, const char *name,
                       struct err *e)
{
    int rc = sys_fault_step();
    if (en->type == ENTRY_SYMLINK) {
        char target[PATH_MAX];
        if (en->target_len >= sizeof target) {
            err_set(e, ERR_LIMIT, _("the target of the link is too long for this system"));
            return FAILED_HERE;
        }
        memcpy(target, en->target, en->target_len);
        target[en->target_len] = '\0';
        rc = rc == 0 ? symlinkat(target, p->dir->fd, name) : rc;
    } else if (rc == 0) {
        rc = mknodat(p->dir->fd, name, type_of(en->type) | 0600,
                     makedev(en->dev_major, en->dev_minor));
    }
    return rc == 0 ? 0 : run_judge(err_sys(e, _("make it")));
}

static int make_and_name(struct run *r, const struct entry *en, const struct place *p, enum way way,
                         struct err *e)
{
    char temp[TEMP_NAME_BYTES];
    const char *name = p->name;
    struct object o;
    if (way != WAY_FREE) {
        target_temp_name(r, temp);
        name = temp;
    }
    int rc = make_object(en, p, name, e);
    if (rc != 0)
        return rc;
    rc = open_self(p, name, &o, e);
    if (rc != 0)
        return rc;
    if (o.st.st_uid != r->uid || !is_same(en, &o)) {
        err_set(e, ERR_REFUSED, _("it was replaced by another while it was made"));
        rc = FAILED_HERE;
    } else {
        setmeta_apply(r->sm, &o, en, NULL);
        rc = way == WAY_FREE ? 0 : place_rename(r, p, temp, way, e);
        if (rc == 0)
            rc = place_remember(r, en, p, &o.st, e);
    }
    sys_close_quiet(o.fd);
    if (rc != 0 && way != WAY_FREE)
        sys_unlinkat(p->dir->fd, temp, 0, NULL);
    return rc;
}

/* The same object is there already: only its metadata may need care. An object with other names is
 * not touched, since those may be somebody else's. */
static int keep_object(struct run *r, const struct entry *en, const struct place *p, bool *ret_kept,
                       struct err *e)
{
    struct object o;
    *ret_kept = false;
    int rc = open_self(p, p->name, &o, e);
    if (rc != 0)
        return rc;
    if (is_same(en, &o)) {
        unsigned diff = setmeta_diff(r->sm, &o, en);
        *ret_kept = diff == 0 || o.st.st_nlink == 1;
        if (diff && *ret_kept)
            setmeta_apply(r->sm, &o, en, NULL);
        if (*ret_kept)
            rc = place_remember(r, en, p, &o.st, e);
    }
    sys_close_quiet(o.fd);
    return rc;
}

static int place_object(struct run *r, const struct entry *en, const struct place *p, struct err *e)
{
    struct stat st;
    enum way way;
    bool kept = false;
    int rc = place_look(r, p, type_of(en->type), &way, &st, e);
    if (rc == 0 && way == WAY_SAME_TYPE)
        rc = keep_object(r, en, p, &kept, e);
    if (rc == 0 && !kept)
        rc = make_and_name(r, en, p, way, e);
    if (rc == 0)
        r->rep.n.others++;
    return rc;
}

int place_symlink(struct run *r, const struct entry *en, const struct place *p, struct err *e)
{
    return place_object(r, en, p, e);
}

int place_node(struct run *r, const struct entry *en, const struct place *p, struct err *e)
{
    return place_object(r, en, p, e);
}

/* --- hard links ------------------------------------------------------------------------------- */
/* What the table holds: device and inode (never leaves this host), then the path below the target. */
#define INODE_HEX_BYTES 32

/* A path of the snapshot as the key of the table. Two paths with the same 128 bits will not be
 * met. */
static void key_of(const char *path, size_t len, uint64_t key[2])
{
    struct id hash;
    sha256_of(path, len, &hash);
    memcpy(key, hash.b, 2 * sizeof *key);
}

int place_remember(struct run *r, const struct entry *en, const struct place *p,
                   const struct stat *st, struct err *e)
{
    uint64_t key[2];
    const char *old;
    size_t old_len;
    if (!(en->flags & ENTRY_LINKED))
        return 0;
    key_of(en->path, en->path_len, key);
    int rc = linktable_find(r->links, key[0], key[1], &old, &old_len, e);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    char *text = malloc(p->path_len + INODE_HEX_BYTES + 1);
    if (!text)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    uint64_t inode[2] = { st->st_dev, st->st_ino };
    hex_encode(inode, sizeof inode, text);
    memcpy(text + INODE_HEX_BYTES, p->path, p->path_len);
    rc = linktable_add(r->links, key[0], key[1], text, INODE_HEX_BYTES + p->path_len, e);
    free(text);
    return rc;
}

/* The object that stands for a path of the snapshot, as O_PATH descriptor; -1 when this run has
 * made none, or when another is in its place now. */
static int find_linked(struct run *r, const struct entry *en, struct stat *st,
                       const char **ret_path, struct err *e)
{
    uint64_t key[2], inode[2];
    char hex[INODE_HEX_BYTES + 1];
    const char *text;
    size_t len;
    key_of(en->target, en->target_len, key);
    int rc = linktable_find(r->links, key[0], key[1], &text, &len, e);
    if (rc < 0)
        return rc;
    if (rc == 0 || len <= INODE_HEX_BYTES)
        return -1;
    memcpy(hex, text, INODE_HEX_BYTES);
    hex[INODE_HEX_BYTES] = '\0';
    if (!hex_decode(hex, inode, sizeof inode))
        return -1;
    *ret_path = text + INODE_HEX_BYTES;
    int fd = sys_open_beneath(r->t.fd, *ret_path, O_PATH, 0, NULL);
    if (fd >= 0 && fstat(fd, st) == 0 && st->st_dev == inode[0] && st->st_ino == inode[1])
        return fd;
    sys_close_quiet(fd);
    return -1;
}

/* Linking needs no name of the object, so none can be swapped. Not everybody may do without; then
 * the descriptor's own name in /proc serves. */
static int link_fd(int fd, int dir_fd, const char *name)
{
    char via[32];
    if (sys_fault_step() < 0)
        return -1;
    if (linkat(fd, "", dir_fd, name, AT_EMPTY_PATH) == 0)
        return 0;
    if (errno != ENOENT && errno != EPERM && errno != EINVAL)
        return -1;
    snprintf(via, sizeof via, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, via, dir_fd, name, AT_SYMLINK_FOLLOW);
}

/* An immutable file takes no further name; it may be one that an earlier run had finished. */
static int link_unlocked(struct run *r, int fd, const char *from, const struct place *p,
                         const char *name, const struct stat *st, struct err *e)
{
    if (link_fd(fd, p->dir->fd, name) == 0)
        return 0;
    int sys = errno, rc = FAILED_HERE;
    int real = sys == EPERM && S_ISREG(st->st_mode)
                   ? sys_open_beneath(r->t.fd, from, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, NULL)
                   : -1;
    struct object o = { .fd = real };
    uint32_t had = 0;
    if (real >= 0 && fstat(real, &o.st) == 0 && o.st.st_ino == st->st_ino)
        had = setmeta_unlock(real);
    if (had) {
        rc = link_fd(fd, p->dir->fd, name) == 0 ? 0 : FAILED_HERE;
        int late = dirs_add_late_flags(r, &o, from, strlen(from), had, e);
        rc = late < 0 ? late : rc;
    }
    sys_close_quiet(real);
    errno = sys;
    return rc == FAILED_HERE ? run_judge(err_sys(e, _("make the hard link"))) : rc;
}

static int make_link(struct run *r, int fd, const char *from, const struct stat *linked,
                     const struct place *p, struct err *e)
{
    struct stat st;
    enum way way;
    char temp[TEMP_NAME_BYTES];
    int rc = place_look(r, p, linked->st_mode & S_IFMT, &way, &st, e);
    if (rc != 0)
        return rc;
    if (way == WAY_SAME_TYPE && st.st_dev == linked->st_dev && st.st_ino == linked->st_ino)
        return 0;
    if (way != WAY_FREE)
        target_temp_name(r, temp);
    rc = link_unlocked(r, fd, from, p, way == WAY_FREE ? p->name : temp, linked, e);
    if (rc == 0 && way != WAY_FREE) {
        rc = place_rename(r, p, temp, way, e);
        if (rc != 0)
            sys_unlinkat(p->dir->fd, temp, 0, NULL);
    }
    return rc;
}

/* There is nothing to link to, or it cannot be linked: the content under this name, too. */
static int copy_instead(struct run *r, const struct entry *en, const struct place *p, struct err *e)
{
    struct entry found;
    int rc = entries_find(r->links_walk, en->target, en->target_len, &found, e);
    if (rc < 0)
        return rc;
    if (rc == 1 && found.type == ENTRY_FILE)
        return place_file(r, r->links_walk, &found, p, e);
    if (rc == 1 && found.type != ENTRY_DIR && found.type != ENTRY_HARDLINK)
        return place_object(r, &found, p, e);
    err_set(e, ERR_DAMAGED,
            _("the snapshot has nothing under \"/%.300s\" that it could be a link to"), en->target);
    return FAILED_HERE;
}

int place_hardlink(struct run *r, const struct entry *given, const struct place *p, struct err *e)
{
    struct err why = ERR_INIT;
    struct stat st;
    const char *from = NULL;
    struct entry *en = entry_save(given);
    if (!en)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    int rc = 0, fd = find_linked(r, en, &st, &from, e);
    if (fd < -1) {
        rc = fd;
        goto out;
    }
    if (fd >= 0) {
        rc = make_link(r, fd, from, &st, p, &why);
        if (rc == 0 && S_ISREG(st.st_mode))
            r->rep.n.files++;
        else if (rc == 0)
            r->rep.n.others++;
        if (rc == FAILED_HERE && why.code == ERR_EXISTS) {
            if (e)
                *e = why;
            goto out;
        }
        if (rc < 0 && e)
            *e = why;
        if (rc == FAILED_HERE)
            report_note(&r->rep, p->shown, p->shown_len,
                        _("written as a file of its own, not as another name of one: %s"), why.why);
    }
    if (fd < 0 || rc == FAILED_HERE)
        rc = copy_instead(r, en, p, e);
out:
    if (fd >= 0)
        sys_close_quiet(fd);
    free(en);
    return rc;
}
