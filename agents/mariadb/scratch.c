/* scratch.c - where mariadb-backup writes to: PLACE/twofold-mariadb, with a lock beside it that also the program holds which writes there. It is
 * removed when the run ends, and by the next run where one was killed. */
#include "agents/mariadb/inner.h"
#include "agents/tree.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SCRATCH_NAME "twofold-mariadb"

static int lock(struct my_scratch *s, struct err *e)
{
    char *path = NULL;
    if (asprintf(&path, "%s.lock", s->run) < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    s->lock_fd = sys_lock_file(path, e);
    free(path);
    if (s->lock_fd == -ERR_BUSY) {
        err_set(e, ERR_BUSY, _("another backup uses the scratch folder %s"), s->place);
        err_next(e, _("wait for it, or give this policy another folder: scratch: below mariadb:"));
    }
    return s->lock_fd < 0 ? s->lock_fd : 0;
}

int my_scratch_open(struct my_scratch *s, const char *place, const char *state_dir, struct err *e)
{
    struct stat st;
    *s = (struct my_scratch){ .lock_fd = -1 };
    if (asprintf(&s->place, "%s%s", place ? place : state_dir, place ? "" : "/mariadb") < 0)
        s->place = NULL;
    if (!s->place || asprintf(&s->run, "%s/" SCRATCH_NAME, s->place) < 0) {
        s->run = NULL;
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    int rc = place ? 0 : sys_mkdir_p(s->place, 0700, e);
    if (rc == 0 && stat(s->place, &st) < 0) {
        rc = err_sys(e, "%s", s->place);
        err_next(e, _("make the folder of scratch: below mariadb: in the policy, or mount it"));
    }
    /* Who may rename what is in it could have us write, or remove, elsewhere. */
    if (rc == 0 && (st.st_mode & S_IWOTH)) {
        rc = err_set(e, ERR_REFUSED, _("everybody may write to the scratch folder %s"), s->place);
        err_next(e, _("name a folder of its own: scratch: below mariadb: in the policy"));
    }
    if (rc == 0)
        rc = lock(s, e);
    if (rc == 0)
        rc = tree_remove(AT_FDCWD, s->run, e);
    return rc == 0 ? sys_mkdirat(AT_FDCWD, s->run, 0700, e) : rc;
}

static uint64_t available(const struct my_scratch *s)
{
    struct statvfs v;
    if (statvfs(s->run, &v) < 0)
        return UINT64_MAX;
    return (uint64_t)(geteuid() == 0 ? v.f_bfree : v.f_bavail) * v.f_frsize;
}

int my_scratch_room(const struct my_scratch *s, uint64_t bytes, struct err *e)
{
    uint64_t there = available(s);
    if (there >= bytes)
        return 0;
    err_set(e, ERR_NOSPACE,
            _("the scratch folder %s has room for %llu MiB, but a copy of the data takes %llu MiB"),
            s->place, (unsigned long long)(there >> 20), (unsigned long long)(bytes >> 20));
    return err_next(
        e,
        _("free space there, or name a folder with more: scratch: below mariadb: in the policy"));
}

bool my_scratch_full(const struct my_scratch *s)
{
    return available(s) < (1u << 20);
}

void my_scratch_close(struct my_scratch *s)
{
    if (s->lock_fd >= 0)
        (void)tree_remove(AT_FDCWD, s->run, NULL);
    sys_close_quiet(s->lock_fd);
    free(s->run);
    free(s->place);
    *s = (struct my_scratch){ .lock_fd = -1 };
}
