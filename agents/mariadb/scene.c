/* scene.c - a data folder that is set aside before it is restored: as a whole, under another name beside its place (agents/host/host.h), and
 * an empty one takes its place. Where it is a file system of its own, what is in it goes into a folder within it. */
#include "agents/host/host.h"
#include "agents/mariadb/restored.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct room {
    const struct source_host *h;
    const char *data;
    struct my_seat seat;
    int parent_fd;
    struct stat st;          /* of the data folder, or what was it */
    char name[NAME_MAX + 1]; /* of the scene: beside it, or in it */
    bool there, inside;
    struct scene scene;
};

/* Where it would be. */
static int find_absent(struct room *r, struct err *e)
{
    char *parent = strdup(r->data), *slash = parent ? strrchr(parent, '/') : NULL, *real = NULL;
    int rc = 0;
    if (!slash || slash == parent || strlen(slash + 1) > NAME_MAX)
        rc = err_set(e, ERR_USAGE, _("\"%s\" is not an absolute path"), r->data);
    if (rc == 0) {
        *slash = '\0';
        real = r->h->resolved ? strdup(parent) : realpath(parent, NULL);
        if (!real)
            rc = err_sys(e, "%s", parent);
    }
    if (rc == 0) {
        snprintf(r->seat.parent, sizeof r->seat.parent, "%s", real);
        snprintf(r->seat.name, sizeof r->seat.name, "%s", slash + 1);
    }
    free(real);
    free(parent);
    return rc;
}

static int look(struct room *r, struct err *e)
{
    struct stat parent;
    int rc = my_find_seat(r->h->resolved, r->data, &r->seat, e);
    r->there = rc == 0;
    if (rc == -ERR_ABSENT) {
        err_clear(e);
        rc = find_absent(r, e);
    }
    if (rc == 0)
        rc = r->parent_fd = sys_open_folder(r->seat.parent, r->h->resolved, e);
    if (rc >= 0 && (fstat(r->parent_fd, &parent) < 0 ||
                    (r->there && fstatat(r->parent_fd, r->seat.name, &r->st, 0) < 0)))
        rc = err_sys(e, "%s", r->data);
    if (rc < 0)
        return rc;
    r->inside = r->there && parent.st_dev != r->st.st_dev;
    int n = r->inside ? snprintf(r->name, sizeof r->name, SCENE_FOLDER "%s", r->h->incident)
                      : snprintf(r->name, sizeof r->name, "%s" SCENE_BESIDE "%s", r->seat.name,
                                 r->h->incident);
    return n < (int)sizeof r->name ? 0 : err_set(e, ERR_LIMIT, _("the path is too long"));
}

static bool is_in(int fd, const char *name)
{
    return faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* --- beside it ---------------------------------------------------------------------------------------- */
/* An empty folder of the same owner, where the whole one was. */
static int make_empty(struct room *r, struct err *e)
{
    if (is_in(r->parent_fd, r->seat.name))
        return 0;
    int rc = sys_mkdirat(r->parent_fd, r->seat.name, 0700, e);
    int fd = rc < 0 ? rc
                    : sys_openat(r->parent_fd, r->seat.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
                                 e);
    if (fd < 0)
        return fd;
    if ((geteuid() == 0 && fchown(fd, r->st.st_uid, r->st.st_gid) < 0) ||
        fchmod(fd, r->st.st_mode & 07777) < 0)
        rc = err_sys(e, "%s", r->data);
    sys_close_quiet(fd);
    return rc == 0 ? sys_fsync_dir(r->parent_fd, ".", e) : rc;
}

static int set_beside(struct room *r, struct err *e)
{
    int rc = 0;
    if (!is_in(r->parent_fd, r->name)) {
        rc = my_check_kind(r->data, e);
        if (rc == 0)
            rc = sys_renameat(r->parent_fd, r->seat.name, r->parent_fd, r->name, false, e);
        if (rc == 0)
            rc = sys_fsync_dir(r->parent_fd, ".", e);
    }
    if (rc == 0 && fstatat(r->parent_fd, r->name, &r->st, AT_SYMLINK_NOFOLLOW) < 0)
        rc = err_sys(e, "%s", r->name);
    if (rc == 0)
        rc = make_empty(r, e);
    return rc == 0 ? scene_open(r->parent_fd, r->name, "", &r->st, &r->scene, e) : rc;
}

/* --- in it -------------------------------------------------------------------------------------------- */
static bool goes(void *ctx, const char *name)
{
    (void)ctx;
    return strcmp(name, "lost+found") != 0 && strncmp(name, ".twofold-", strlen(".twofold-")) != 0;
}

static int set_inside(struct room *r, struct err *e)
{
    int fd = sys_open_folder(r->data, r->h->resolved, e), rc = fd < 0 ? fd : 0;
    if (rc == 0 && !is_in(fd, r->name))
        rc = my_check_kind(r->data, e);
    if (rc == 0)
        rc = scene_open(fd, r->name, "", &r->st, &r->scene, e);
    if (rc == 0 && !r->scene.done) /* without its own tables no server starts */
        rc = sys_renameat(fd, "mysql", r->scene.fd, "mysql", false, e);
    if (rc == -ERR_ABSENT) {
        err_clear(e);
        rc = 0;
    }
    if (rc == 0 && !r->scene.done)
        rc = scene_move(&r->scene, fd, goes, NULL, e);
    sys_close_quiet(fd);
    return rc;
}

/* ------------------------------------------------------------------------------------------------------ */
static int finish(struct room *r, struct err *e)
{
    char *where = NULL;
    if (r->scene.done) {
        scene_tell(&r->scene, r->h, false);
        return 0;
    }
    if (asprintf(&where, "%s/%s", r->inside ? r->data : r->seat.parent, r->name) < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    int rc = scene_finish(&r->scene, r->h, r->data, where, NULL, e);
    free(where);
    return rc;
}

int my_host_scene(const struct source_host *h, struct err *e)
{
    struct room r = {
        .h = h, .data = source_spec_get(h->spec, "data"), .parent_fd = -1, .scene = { .fd = -1 }
    };
    if (!r.data)
        return 0;
    int rc = look(&r, e);
    if (rc == 0)
        rc = my_check_stopped(r.data, e);
    if (rc == 0 && !r.there && !is_in(r.parent_fd, r.name))
        rc = scene_absent(h, r.data, e);
    else if (rc == 0) {
        rc = r.inside ? set_inside(&r, e) : set_beside(&r, e);
        if (rc == 0)
            rc = finish(&r, e);
    }
    scene_close(&r.scene);
    sys_close_quiet(r.parent_fd);
    return rc < 0 ? err_wrap(e, "%s", r.data) : 0;
}

/* --- how it is ------------------------------------------------------------------------------------------ */
static void tell_program(const struct source_host *h, enum my_tool tool, const char *folder)
{
    const char *version = source_spec_get(h->spec, "version");
    char path[PATH_MAX] = "";
    struct err why = ERR_INIT;
    int rc = prog_find(tool, folder, path, &why);
    bool there = rc == 0;
    if (rc == 0 && version)
        rc = prog_check_version(path, version, h->state_dir, &why);
    json_t *more = json_pack("{s:s, s:s, s:s}", "kind", MY_ROOT, "path", there ? path : "",
                             "wanted", version ? version : "");
    if (rc == 0)
        fact_tell(h->report, "programs", NULL, version ? FACT_GOOD : FACT_UNKNOWN, more,
                  version ? _("%s fits the backup (%s)") : _("%s is there"), path, version);
    else
        fact_tell(h->report, "programs", NULL, FACT_BAD, more, "%s", why.why);
}

static void tell_server(const struct source_host *h, const char *data)
{
    struct err why = ERR_INIT;
    int rc = my_check_stopped(data, &why);
    json_t *more = json_pack("{s:s, s:b}", "kind", MY_ROOT, "running", rc == -ERR_BUSY);
    if (rc == 0)
        fact_tell(h->report, "server", data, FACT_GOOD, more, _("no server works there"));
    else
        fact_tell(h->report, "server", data, rc == -ERR_BUSY ? FACT_DOUBTFUL : FACT_UNKNOWN, more,
                  "%s", why.why);
}

void my_host_facts(const struct source_host *h)
{
    const char *data = source_spec_get(h->spec, "data"),
               *programs = source_spec_get(h->spec, "verify"),
               *binaries = source_spec_get(h->spec, "binaries");
    tell_program(h, TOOL_SERVER, programs && programs[0] == '/' ? programs : NULL);
    tell_program(h, TOOL_BACKUP, binaries);
    if (data)
        tell_server(h, data);
}
