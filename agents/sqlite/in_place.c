/* in_place.c - a restored database takes the place of the one that is there. What is there (the file and what SQLite keeps beside it) gets
 * second names in a folder of its own before anything is taken away, and the new file comes last, by a rename: whatever a kill
 * leaves, nothing is lost, no old log lies beside a new file, and the same command once more ends well. */
#include "agents/report.h"
#include "agents/sqlite/inner.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define OURS ".twofold-" /* how the names of what a restore makes here begin */
#define BEFORE OURS "before-"

static const char *const beside[] = { "-journal", "-wal", "-shm" };
#define N_BESIDE (sizeof beside / sizeof *beside)

/* --- names ---------------------------------------------------------------------------------------- */
static const char *base_of(const char *path)
{
    return strrchr(path, '/') + 1;
}

/* The folder that a path lies in; owned. */
static char *folder_of(const char *path, struct err *e)
{
    const char *end = strrchr(path, '/');
    char *folder = NULL;
    if (asprintf(&folder, "%.*s", end == path ? 1 : (int)(end - path), path) < 0)
        folder = NULL;
    if (!folder)
        (void)sl_no_memory(e);
    return folder;
}

static bool is_one_name(const char *s)
{
    return s && strncmp(s, OURS, strlen(OURS)) == 0 && !strchr(s, '/') && strlen(s) <= NAME_MAX;
}

char *sl_staged(const struct source_restore *r, const char *target, struct err *e)
{
    const char *staging = source_spec_get(r->spec, "staging");
    char *folder = NULL, *place = NULL;
    if (!is_one_name(staging)) {
        (void)err_set(e, ERR_USAGE, _("a restore in place has no folder beside the file"));
        return NULL;
    }
    if (!(folder = folder_of(target, e)))
        return NULL;
    if (asprintf(&place, "%s/%s/%s", folder, staging, base_of(target)) < 0)
        place = NULL;
    if (!place)
        (void)sl_no_memory(e);
    free(folder);
    return place;
}

/* --- does somebody work on it? -------------------------------------------------------------------- */
static int check_entry(const struct source_restore *r, int fd, const char *target, struct err *e)
{
    struct stat st;
    if (fstatat(fd, base_of(target), &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_sys(e, "%s", target);
    if (!S_ISREG(st.st_mode)) {
        err_set(e, ERR_REFUSED, _("it is not a file, but a link or something else"));
        err_next(e, _("restore it to another place (--to DIR), and put it there by hand"));
        return err_wrap(e, "%s", target);
    }
    return sl_check_unused(r, fd, base_of(target), target, e);
}

int sl_check_free(const struct source_restore *r, const char *target, struct err *e)
{
    char *folder = target[0] == '/' ? folder_of(target, e) : NULL;
    if (!folder)
        return err_set(e, ERR_USAGE, _("\"%s\" is not an absolute path"), target);
    int fd = sys_open_folder(folder, r->resolved, e), rc = fd;
    if (fd < 0) {
        err_next(e, _("make the folder, empty, or restore to another place: --to DIR"));
        err_wrap(e, "%s", folder);
    } else {
        rc = check_entry(r, fd, target, e);
    }
    sys_close_quiet(fd);
    free(folder);
    return rc;
}

/* --- the exchange --------------------------------------------------------------------------------- */
struct swap {
    const char *target, *name; /* name: its last part */
    char *folder;
    int fd, staging_fd, before_fd;
    char before[64]; /* the name of that folder */
};

/* A folder for what is there, with the time in its name. */
static int make_before(struct swap *s, struct err *e)
{
    struct tm tm;
    time_t now = time(NULL);
    int fd = -ERR_EXISTS;
    gmtime_r(&now, &tm);
    size_t n = strftime(s->before, sizeof s->before, BEFORE "%Y%m%dT%H%M%SZ", &tm);
    for (unsigned i = 2; i < 1000 && fd == -ERR_EXISTS; i++) {
        err_clear(e);
        fd = sys_make_folder(s->fd, s->before, e);
        if (fd == -ERR_EXISTS)
            snprintf(s->before + n, sizeof s->before - n, "-%u", i);
    }
    s->before_fd = fd;
    return fd < 0 ? fd : 0;
}

static void name_beside(const struct swap *s, size_t i, char out[NAME_MAX + 16])
{
    snprintf(out, NAME_MAX + 16, "%s%s", s->name, beside[i]);
}

/* A second name for what belongs to the old file; 0 also when there is none. */
static int keep(struct swap *s, const char *name, struct err *e)
{
    if (sys_fault_step() == 0 && linkat(s->fd, name, s->before_fd, name, 0) == 0)
        return 0;
    return errno == ENOENT ? 0 : err_sys(e, "%s/%s", s->folder, name);
}

static int absent_is_fine(int rc, struct err *e)
{
    if (rc != -ERR_ABSENT)
        return rc;
    err_clear(e);
    return 0;
}

static int exchange(struct swap *s, struct err *e)
{
    char name[NAME_MAX + 16];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < N_BESIDE; i++) {
        name_beside(s, i, name);
        rc = keep(s, name, e);
    }
    if (rc == 0)
        rc = absent_is_fine(sys_renameat(s->fd, s->name, s->before_fd, s->name, false, e), e);
    if (rc == 0)
        rc = sys_fsync_dir(s->before_fd, ".", e);
    if (rc == 0)
        rc = sys_fsync_dir(s->fd, ".", e);
    for (size_t i = 0; rc == 0 && i < N_BESIDE; i++) {
        name_beside(s, i, name);
        rc = absent_is_fine(sys_unlinkat(s->fd, name, 0, e), e);
    }
    if (rc == 0)
        rc = sys_fsync_dir(s->fd, ".", e);
    if (rc == 0)
        rc = sys_renameat(s->staging_fd, s->name, s->fd, s->name, false, e);
    return rc == 0 ? sys_fsync_dir(s->fd, ".", e) : rc;
}

static int swap_begin(struct swap *s, const struct source_restore *r, const char *target,
                      struct err *e)
{
    *s = (struct swap){ .target = target, .fd = -1, .staging_fd = -1, .before_fd = -1 };
    s->name = base_of(target);
    if (!(s->folder = folder_of(target, e)))
        return -(int)e->code;
    int rc = s->fd = sys_open_folder(s->folder, r->resolved, e);
    if (rc >= 0)
        rc = s->staging_fd = sys_openat(s->fd, source_spec_get(r->spec, "staging"),
                                        O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
    if (rc >= 0)
        rc = sl_check_free(r, target, e);
    return rc < 0 ? rc : make_before(s, e);
}

static void swap_done(struct swap *s)
{
    sys_close_quiet(s->before_fd);
    sys_close_quiet(s->staging_fd);
    sys_close_quiet(s->fd);
    free(s->folder);
}

static int put_one(struct swap *s, const struct source_restore *r, const char *target,
                   struct err *e)
{
    int rc = swap_begin(s, r, target, e);
    if (rc == 0)
        rc = exchange(s, e);
    return rc < 0 ? err_wrap(e, "%s", target) : 0;
}

static void say_done(const struct swap *s, const struct source_restore *r)
{
    if (unlinkat(s->fd, s->before, AT_REMOVEDIR) == 0)
        report_note(r->report, NULL, 0, _("%s is in place; nothing was there before"), s->target);
    else
        report_note(
            r->report, NULL, 0,
            _("%s is in place; what was there is in %s/%s; delete it when it is not needed any more"),
            s->target, s->folder, s->before);
}

/* What else the restore brought beside the first file lies with what was set aside; the other folders are empty now. */
static int put_staging_away(const struct swap *first, const struct source_restore *r, struct err *e)
{
    return absent_is_fine(sys_renameat(first->fd, source_spec_get(r->spec, "staging"),
                                       first->before_fd, "restored", false, e),
                          e);
}

int sl_put_in_place(const struct source_restore *r, struct err *e)
{
    struct swap first = { .fd = -1, .staging_fd = -1, .before_fd = -1 };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->spec->n; i++) {
        struct swap s;
        const char *target = r->spec->v[i].value;
        if (strcmp(r->spec->v[i].key, SL_KEY) != 0)
            continue;
        if (!first.target) {
            rc = put_one(&first, r, target, e);
            continue;
        }
        rc = put_one(&s, r, target, e);
        if (rc == 0) {
            (void)unlinkat(s.fd, source_spec_get(r->spec, "staging"), AT_REMOVEDIR);
            say_done(&s, r);
        }
        swap_done(&s);
    }
    if (rc == 0 && first.target)
        rc = put_staging_away(&first, r, e);
    if (rc == 0 && first.target)
        say_done(&first, r);
    swap_done(&first);
    return rc;
}
