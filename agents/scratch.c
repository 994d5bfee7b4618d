/* scratch.c - see agents/scratch.h. */
#include "agents/scratch.h"
#include "agents/tree.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MIDDLE "-scratch-"
#define LOCK_NAME "lock"
#define MAKER_TRIES 100 /* who clears away or makes one is soon through */
#define MAKER_WAIT_MS 50
#define ROOM_SLACK_BYTES (16u << 20)

struct scratch {
    char *dir;
    int lock_fd;
};

const char *scratch_dir(const struct scratch *s)
{
    return s->dir;
}

/* --- removing --------------------------------------------------------------------------------- */
static void remove_dir(const char *path)
{
    (void)tree_remove(AT_FDCWD, path, NULL);
}

/* What dead agents left. Under the makers' lock, so that none of them is one that is about to be locked. */
static void clear_dead(const char *state_dir, const char *prefix)
{
    DIR *d = opendir(state_dir);
    struct dirent *de;
    while (d && (de = readdir(d)) != NULL) {
        char *dir = NULL, *lock = NULL;
        if (strncmp(de->d_name, prefix, strlen(prefix)) != 0)
            continue;
        if (asprintf(&dir, "%s/%s", state_dir, de->d_name) < 0)
            dir = NULL;
        if (dir && asprintf(&lock, "%s/" LOCK_NAME, dir) < 0)
            lock = NULL;
        if (lock && sys_lock_held(lock) == 0)
            remove_dir(dir);
        free(lock);
        free(dir);
    }
    if (d)
        closedir(d);
}

/* --- making ----------------------------------------------------------------------------------- */
static int lock_makers(const char *state_dir, const char *kind, struct err *e)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s-scratch.lock", state_dir, kind) < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    int fd = sys_lock_file(path, e);
    for (int i = 0; fd == -ERR_BUSY && i < MAKER_TRIES && !sys_interrupted(); i++) {
        poll(NULL, 0, MAKER_WAIT_MS);
        err_clear(e);
        fd = sys_lock_file(path, e);
    }
    free(path);
    return fd;
}

static int make(struct scratch *s, struct err *e)
{
    char *lock = NULL;
    if (!mkdtemp(s->dir))
        return err_sys(e, "%s", s->dir);
    if (asprintf(&lock, "%s/" LOCK_NAME, s->dir) < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    s->lock_fd = sys_lock_file(lock, e);
    free(lock);
    return s->lock_fd < 0 ? s->lock_fd : 0;
}

int scratch_new(const char *state_dir, const char *kind, struct scratch **ret, struct err *e)
{
    char prefix[64];
    struct scratch *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, _("no memory"));
    s->lock_fd = -1;
    snprintf(prefix, sizeof prefix, "%s" MIDDLE, kind);
    if (asprintf(&s->dir, "%s/%sXXXXXX", state_dir, prefix) < 0) {
        free(s);
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    int makers_fd = lock_makers(state_dir, kind, e), rc = makers_fd;
    if (rc >= 0) {
        clear_dead(state_dir, prefix);
        rc = make(s, e);
    }
    sys_close_quiet(makers_fd);
    if (rc < 0)
        scratch_free(s);
    else
        *ret = s;
    return rc < 0 ? err_wrap(e, _("the agent's state folder")) : 0;
}

void scratch_free(struct scratch *s)
{
    if (!s)
        return;
    remove_dir(s->dir);
    sys_close_quiet(s->lock_fd);
    free(s->dir);
    free(s);
}

int scratch_room(const char *dir, uint64_t bytes, struct err *e)
{
    struct statvfs v;
    if (statvfs(dir, &v) < 0)
        return err_sys(e, "%s", dir);
    uint64_t there = (uint64_t)v.f_bavail * v.f_frsize;
    if (there >= bytes && there - bytes >= ROOM_SLACK_BYTES)
        return 0;
    err_set(e, ERR_NOSPACE, _("%llu MiB are needed for a moment, and %llu MiB are free"),
            (unsigned long long)((bytes + ROOM_SLACK_BYTES) >> 20),
            (unsigned long long)(there >> 20));
    err_next(e, _("make room there, or put the agent's state folder on a larger disk"));
    return err_wrap(e, "%s", dir);
}
