/*
 * setmeta.h - gives an object of a target exactly the metadata that the snapshot has of it, and
 * tells in what an object differs. Works on descriptors only, so that a name that is swapped
 * meanwhile changes nothing.
 *
 * What cannot be set is reported and the rest goes on. Not being root, owners are left as they are
 * and said once, and set-user-id bits are not given to another owner. Times that the file system
 * cannot hold are a note.
 */
#ifndef TWOFOLD_AGENTS_SETMETA_H
#define TWOFOLD_AGENTS_SETMETA_H

#include "agents/report.h"
#include "lib/vault/manifest.h"
#include <sys/stat.h>

/* Flags of an inode that are worth restoring (ioctl_iflags(2)); the same that are captured. */
#define FFLAGS_RESTORED UINT32_C(0x008380ff)
#define FFLAGS_LOCKING \
    UINT32_C(0x00000030) /* immutable, append only: nothing can be changed while set */

struct setmeta;
/* The report is borrowed. For one thread. */
struct setmeta *setmeta_new(struct report *r);
void setmeta_free(struct setmeta *s);

struct object {
    int fd;      /* open for reading or writing, or O_PATH */
    bool o_path; /* then its name is needed, too, to list extended attributes */
    int dir_fd;
    const char *name;
    bool clean;       /* just made, and nothing was inherited from its folder */
    struct stat st;   /* as it is now */
    const char *path; /* for notes; manifest's form, borrowed */
    size_t path_len;
};

/* Owner, mode, extended attributes and times. Immutable and append-only flags are taken away first
 * (then *ret_unlocked, which may be NULL, is set: the caller sets the flags again). */
void setmeta_apply(struct setmeta *s, const struct object *o, const struct entry *en,
                   bool *ret_unlocked);
/* The inode flags: those of `wanted`, and of those worth restoring no others. */
void setmeta_flags(struct setmeta *s, const struct object *o, uint32_t wanted);
/* Takes immutable and append-only away; returns the flags that it had (0: nothing was done). */
uint32_t setmeta_unlock(int fd);
/* Gives back what setmeta_unlock took. */
void setmeta_relock(int fd, uint32_t had);
/* Flags worth restoring that it has now; 0 where the file system has none. */
uint32_t setmeta_get_flags(int fd);
/* Takes away what a new object got from its folder: ACLs, and inherited flags. */
void setmeta_strip(int fd, bool acl, bool flags);
/* Would a new object in this folder get an ACL? Flags? */
bool setmeta_has_default_acl(int dir_fd);

/* Bits of struct msg_diff.what (but for the link target), 0: all as in the snapshot. */
enum {
    DIFF_MODE = 1,
    DIFF_OWNER = 2,
    DIFF_MTIME = 4,
    DIFF_XATTRS = 8,
    DIFF_FLAGS = 16,
    DIFF_TARGET = 32
};
unsigned setmeta_diff(struct setmeta *s, const struct object *o, const struct entry *en);

#endif
