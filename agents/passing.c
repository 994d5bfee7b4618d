/* passing.c - see passing.h. */
#include "agents/passing.h"
#include "agents/tree.h"
#include "lib/base/sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define TMP "/tmp"
#define NAME "twofold-"
#define RANDOM 6 /* letters and digits behind it */
#define LOCK "lock"

/* Its lock, if nobody holds it; -1: somebody lives, or it is none of ours. */
static int take_dead(int tmp_fd, const char *name, uid_t uid)
{
    struct stat st;
    if (strncmp(name, NAME, strlen(NAME)) != 0 || strlen(name) != strlen(NAME) + RANDOM)
        return -1;
    int fd = openat(tmp_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int lock = -1;
    if (fstat(fd, &st) == 0 && (st.st_uid == geteuid() || st.st_uid == uid))
        lock = openat(fd, LOCK, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    sys_close_quiet(fd);
    if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) < 0) {
        sys_close_quiet(lock);
        lock = -1;
    }
    return lock;
}

static void sweep(uid_t uid)
{
    int fd = open(TMP, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *de; d && (de = readdir(d)) != NULL;) {
        int lock = take_dead(fd, de->d_name, uid);
        if (lock >= 0)
            (void)tree_remove(fd, de->d_name, NULL);
        sys_close_quiet(lock);
    }
    if (d)
        closedir(d);
}

int passing_new(struct passing *p, uid_t uid, struct err *e)
{
    char lock[PASSING_BYTES + 8];
    sweep(uid);
    *p = (struct passing){ .dir = TMP "/" NAME "XXXXXX", .lock_fd = -1 };
    if (!mkdtemp(p->dir))
        return err_sys(e, TMP);
    p->there = true;
    snprintf(lock, sizeof lock, "%s/" LOCK, p->dir);
    int rc = p->lock_fd = sys_openat(AT_FDCWD, lock, O_WRONLY | O_CREAT | O_EXCL, 0600, e);
    if (rc >= 0)
        rc = flock(p->lock_fd, LOCK_EX | LOCK_NB) < 0 ? err_sys(e, "%s", lock) : 0;
    if (rc < 0)
        passing_done(p);
    return rc;
}

void passing_done(struct passing *p)
{
    if (!p->there)
        return;
    (void)tree_remove(AT_FDCWD, p->dir, NULL);
    sys_close_quiet(p->lock_fd);
    p->there = false;
}
