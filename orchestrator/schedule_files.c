/* schedule_files.c - the files of schedule.h on the disk: made, changed where they differ, taken away when nobody asks for them any
 * more. Run twice, the second run finds nothing to do. */
#include "orchestrator/schedule.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "orchestrator/text.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_UNIT_BYTES ((size_t)1 << 20)
#define WANTS "/" SCHEDULE_UNITS "/timers.target.wants"
#define SERVICES "/" SCHEDULE_UNITS "/multi-user.target.wants"

struct applying {
    const struct schedule *s;
    const char *root;
    bool dry;
    schedule_change_fn *fn;
    void *ctx;
    struct err *e;
};

/* 1: as it should be, 0: other, -ERR_ABSENT. *ret_ours: it is one of ours to change. */
static int compare(const char *path, const struct schedule_file *f, bool *ret_ours)
{
    uint8_t *text = NULL;
    size_t n = 0;
    char to[PATH_MAX];
    *ret_ours = true;
    if (f->link) {
        ssize_t len = readlink(path, to, sizeof to - 1);
        if (len < 0)
            return errno == ENOENT ? -ERR_ABSENT : 0;
        to[len] = '\0';
        return strcmp(to, f->content) == 0;
    }
    int rc = sys_read_file(AT_FDCWD, path, MAX_UNIT_BYTES, &text, &n, NULL);
    if (rc == -ERR_ABSENT)
        return rc;
    if (rc == 0)
        *ret_ours = strncmp((char *)text, SCHEDULE_MARK, strlen(SCHEDULE_MARK)) == 0;
    int same = rc == 0 && strcmp((char *)text, f->content) == 0;
    free(text);
    return same;
}

static int make_link(const char *path, const char *to, struct err *e)
{
    char *next = text_print("%s.new", path);
    int rc = 0;
    unlink(next);
    if (symlink(to, next) < 0 || rename(next, path) < 0)
        rc = err_sys(e, "%s", path);
    free(next);
    return rc;
}

static int write_one(const char *path, const struct schedule_file *f, struct err *e)
{
    char *folder = strdup(path), *slash = folder ? strrchr(folder, '/') : NULL;
    int rc = slash ? 0 : err_set(e, ERR_NOMEM, _("no memory"));
    if (rc == 0) {
        *slash = '\0';
        rc = sys_mkdir_p(folder, 0755, e);
    }
    free(folder);
    if (rc < 0)
        return rc;
    return f->link ? make_link(path, f->content, e)
                   : sys_write_file(AT_FDCWD, path, f->content, strlen(f->content), 0644, e);
}

static int apply_file(struct applying *a, const struct schedule_file *f)
{
    char *path = text_print("%s%s", a->root, f->path);
    bool ours;
    int same = compare(path, f, &ours), rc = 0;
    if (same == 0 && !ours) {
        err_set(a->e, ERR_EXISTS, _("%s was made by somebody else"), path);
        rc = err_next(
            a->e,
            _("give it another name (any name.conf beside it works), then run the same command again"));
    } else if (same != 1) {
        rc = a->dry ? 0 : write_one(path, f, a->e);
        if (rc == 0)
            a->fn(a->ctx, same < 0 ? SCHEDULE_NEW : SCHEDULE_CHANGED, f->path, f->unit);
    }
    free(path);
    return rc;
}

/* --- what is wanted no more ----------------------------------------------------------------------------------------- */
static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* "twofold-backup@x.timer" followed by `tail`: an instance that only we make. */
static bool is_instance(const char *name, const char *tail)
{
    size_t n = strlen(name), t = strlen(tail);
    return n > t && strcmp(name + n - t, tail) == 0 &&
           (starts(name, "twofold-backup@") || starts(name, "twofold-scrub@") ||
            starts(name, "twofold-prune@") || starts(name, "twofold-page.") ||
            starts(name, "twofold-logs@") || starts(name, "twofold-drill@"));
}

static bool wanted(const struct schedule *s, const char *path)
{
    for (size_t i = 0; i < s->n_files; i++)
        if (strcmp(s->files[i].path, path) == 0)
            return true;
    return false;
}

/* Takes a file away, and with `folder` (may be NULL) its folder if nothing else is in it. */
static int take_away(struct applying *a, const char *path, const char *folder, const char *unit)
{
    char *full = text_print("%s%s", a->root, path),
         *dir = text_print("%s%s", a->root, folder ? folder : "");
    int rc = 0;
    a->fn(a->ctx, SCHEDULE_GONE, path, unit);
    if (!a->dry && unlink(full) < 0 && errno != ENOENT)
        rc = err_sys(a->e, "%s", full);
    if (rc == 0 && folder && !a->dry)
        rmdir(dir);
    free(full);
    free(dir);
    return rc;
}

static bool is_ours(const char *root, const char *path)
{
    char *full = text_print("%s%s", root, path);
    struct schedule_file none = { .content = "" };
    bool ours = false;
    int there = compare(full, &none, &ours);
    free(full);
    return there >= 0 && ours;
}

static int sweep_one(struct applying *a, const char *dir, const char *name)
{
    bool service = strcmp(dir, SERVICES) == 0, in_wants = service || strcmp(dir, WANTS) == 0;
    if (service && !starts(name, "twofold-logs@"))
        return 0;
    if (!is_instance(name, service ? ".service" : in_wants ? ".timer" : ".timer.d"))
        return 0;
    char *folder = text_print("%s/%s", dir, name);
    char *path = in_wants ? text_print("%s", folder) : text_print("%s/schedule.conf", folder);
    char *unit = text_print("%.*s", (int)(strlen(name) - (in_wants ? 0 : 2)), name);
    int rc = 0;
    if (!wanted(a->s, path) && (in_wants || is_ours(a->root, path)))
        rc = take_away(a, path, in_wants ? NULL : folder, unit);
    free(folder);
    free(path);
    free(unit);
    return rc;
}

static int sweep(struct applying *a, const char *dir)
{
    char *full = text_print("%s%s", a->root, dir);
    DIR *d = opendir(full);
    int rc = !d && errno != ENOENT ? err_sys(a->e, "%s", full) : 0;
    for (struct dirent *entry; d && rc == 0 && (entry = readdir(d));)
        rc = sweep_one(a, dir, entry->d_name);
    if (d)
        closedir(d);
    free(full);
    return rc;
}

int schedule_apply(const struct schedule *s, const char *root, bool dry, schedule_change_fn *fn,
                   void *ctx, struct err *e)
{
    struct applying a = { s, root, dry, fn, ctx, e };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < s->n_files; i++)
        rc = apply_file(&a, &s->files[i]);
    if (rc == 0)
        rc = sweep(&a, WANTS);
    if (rc == 0)
        rc = sweep(&a, SERVICES);
    return rc == 0 ? sweep(&a, "/" SCHEDULE_UNITS) : rc;
}

bool schedule_enabled(const char *root, const char *unit)
{
    static const char service[] = ".service";
    size_t n = strlen(unit), k = strlen(service);
    bool is_service = n > k && strcmp(unit + n - k, service) == 0;
    char *path = text_print("%s%s/%s", root, is_service ? SERVICES : WANTS, unit);
    struct stat st;
    bool there = lstat(path, &st) == 0;
    free(path);
    return there;
}
