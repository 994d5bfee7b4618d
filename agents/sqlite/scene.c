/* scene.c - files of databases that are set aside before they are restored: each with what SQLite keeps beside it, into a folder beside it
 * (agents/host/host.h). What is beside gets second names there before anything is taken away: no old log is ever left without its file,
 * nor beside another one. */
#include "agents/host/host.h"
#include "agents/sqlite/inner.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const beside[] = { "-journal", "-wal", "-shm" };
#define N_BESIDE (sizeof beside / sizeof *beside)

static bool same_file(int one_fd, int two_fd, const char *name)
{
    struct stat one, two;
    return fstatat(one_fd, name, &one, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstatat(two_fd, name, &two, AT_SYMLINK_NOFOLLOW) == 0 && one.st_dev == two.st_dev &&
           one.st_ino == two.st_ino;
}

static int keep(int from_fd, int to_fd, const char *name, struct err *e)
{
    if (sys_fault_step() == 0 && linkat(from_fd, name, to_fd, name, 0) == 0)
        return 0;
    if (errno == ENOENT || (errno == EEXIST && same_file(from_fd, to_fd, name)))
        return 0;
    return err_sys(e, "%s", name);
}

static int absent_is_fine(int rc, struct err *e)
{
    if (rc != -ERR_ABSENT)
        return rc;
    err_clear(e);
    return 0;
}

static int move_file(int from_fd, int to_fd, const char *name, struct err *e)
{
    char other[NAME_MAX + 16];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < N_BESIDE; i++) {
        snprintf(other, sizeof other, "%s%s", name, beside[i]);
        rc = keep(from_fd, to_fd, other, e);
    }
    if (rc == 0)
        rc = absent_is_fine(sys_renameat(from_fd, name, to_fd, name, false, e), e);
    if (rc == 0)
        rc = sys_fsync_dir(to_fd, ".", e);
    for (size_t i = 0; rc == 0 && i < N_BESIDE; i++) {
        snprintf(other, sizeof other, "%s%s", name, beside[i]);
        if (same_file(from_fd, to_fd, other))
            rc = absent_is_fine(sys_unlinkat(from_fd, other, 0, e), e);
    }
    return rc == 0 ? sys_fsync_dir(from_fd, ".", e) : rc;
}

static int set_aside(const struct source_host *h, const char *path, const char *folder,
                     const char *name, struct err *e)
{
    const struct source_restore like = {
        .spec = h->spec, .resolved = h->resolved, .report = h->report, .state_dir = h->state_dir
    };
    struct scene s = { .fd = -1 };
    struct stat st;
    char own[NAME_MAX + 1], *where = NULL;
    snprintf(own, sizeof own, SCENE_FOLDER "%s", h->incident);
    int fd = sys_open_folder(folder, h->resolved, e), rc = fd < 0 ? fd : 0;
    if (rc == 0)
        rc = sl_check_free(&like, path, e);
    if (rc == 0 && fstat(fd, &st) < 0)
        rc = err_sys(e, "%s", folder);
    if (rc == 0)
        rc = scene_open(fd, own, name, &st, &s, e);
    if (rc == 0 && s.done) {
        scene_tell(&s, h, false);
    } else if (rc == 0) {
        rc = asprintf(&where, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, own) < 0
                 ? sl_no_memory(e)
                 : move_file(fd, s.fd, name, e);
        if (rc == 0)
            rc = scene_finish(&s, h, path, where, name, e);
    }
    if (where)
        free(where);
    scene_close(&s);
    sys_close_quiet(fd);
    return rc;
}

int sl_host_scene(const struct source_host *h, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < h->spec->n; i++) {
        const char *path = h->spec->v[i].value, *end = strrchr(path, '/');
        char *folder = NULL;
        if (strcmp(h->spec->v[i].key, SL_KEY) != 0 || !end || path[0] != '/')
            continue;
        if (asprintf(&folder, "%.*s", end == path ? 1 : (int)(end - path), path) < 0)
            return sl_no_memory(e);
        rc = set_aside(h, path, folder, end + 1, e);
        free(folder);
        if (rc < 0)
            err_wrap(e, "%s", path);
    }
    return rc;
}
