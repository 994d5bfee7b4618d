/* scene.c - a data folder that is set aside before it is restored: all in it goes into a folder within it (agents/host/host.h), pg_control
 * first, so that no server starts on what is half there; tablespaces the same. */
#include "agents/host/host.h"
#include "agents/postgresql/cluster.h"
#include "agents/postgresql/place.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct room { /* a place, and where what is in it goes */
    const char *place;
    int fd;
    bool space;
    char name[NAME_MAX + 1]; /* of the scene's folder */
    struct scene scene;
};

/* PG_VERSION alone may be what was lost. */
static bool is_cluster_trace(const char *name)
{
    static const char *const known[] = { "PG_VERSION", PG_LAST, "base", "pg_wal", "pg_xact" };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i]) == 0)
            return true;
    return false;
}

static bool goes(void *ctx, const char *name)
{
    const struct room *r = ctx;
    return r->space ? pg_is_version_folder(name)
                    : strcmp(name, "lost+found") != 0 && !pg_is_ours(name);
}

/* From now on no server starts there. */
static int hide_control(struct room *r, struct err *e)
{
    int rc = sys_renameat(r->fd, PG_LAST, r->scene.fd, PG_LAST, false, e);
    if (rc == -ERR_ABSENT) {
        err_clear(e);
        rc = 0;
    }
    return rc == 0 ? sys_fsync_dir(r->fd, ".", e) : rc;
}

/* 1: it is not there, and was made. */
static int room_open(struct room *r, const struct source_host *h, const char *place, bool space,
                     struct err *e)
{
    struct stat st;
    *r = (struct room){ .place = place, .space = space, .scene = { .fd = -1 } };
    snprintf(r->name, sizeof r->name, SCENE_FOLDER "%s", h->incident);
    int rc = r->fd = sys_open_folder(place, h->resolved, e);
    if (rc == -ERR_ABSENT) {
        err_clear(e);
        rc = space ? 0 : pg_place_forgotten(-1, place, e);
        if (rc == 0)
            rc = scene_absent(h, place, e);
        return rc < 0 ? rc : 1;
    }
    if (rc >= 0)
        rc = fstat(r->fd, &st) < 0 ? err_sys(e, "%s", place) : 0;
    if (rc == 0 && !space)
        rc = pg_place_stopped(r->fd, place, e);
    if (rc == 0 && faccessat(r->fd, r->name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        rc = pg_place_kind(r->fd, place, space ? pg_is_version_folder : is_cluster_trace, e);
    if (rc == 0)
        rc = pg_place_mounts(place, space, e);
    return rc == 0 ? scene_open(r->fd, r->name, "", &st, &r->scene, e) : rc;
}

static void room_close(struct room *r)
{
    scene_close(&r->scene);
    sys_close_quiet(r->fd);
}

static int room_finish(struct room *r, const struct source_host *h, struct err *e)
{
    char *where = NULL;
    if (asprintf(&where, "%s/%s", r->place, r->name) < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    int rc = scene_move(&r->scene, r->fd, goes, r, e);
    if (rc == 0)
        rc = scene_finish(&r->scene, h, r->place, where, NULL, e);
    free(where);
    return rc < 0 ? err_wrap(e, "%s", r->place) : 0;
}

static int set_space(const struct source_host *h, const char *place, struct err *e)
{
    struct room r;
    int rc = room_open(&r, h, place, true, e);
    if (rc == 0 && r.scene.done)
        scene_tell(&r.scene, h, false);
    else if (rc == 0)
        rc = room_finish(&r, h, e);
    room_close(&r);
    return rc < 0 ? rc : 0;
}

static int set_spaces(const struct source_host *h, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < h->spec->n; i++) {
        const char *place = strchr(h->spec->v[i].value, '/');
        if (strcmp(h->spec->v[i].key, "tablespace") == 0 && place)
            rc = set_space(h, place, e);
    }
    return rc;
}

int pg_host_scene(const struct source_host *h, struct err *e)
{
    const char *data = source_spec_get(h->spec, "data");
    struct room r;
    if (!data)
        return 0;
    int rc = room_open(&r, h, data, false, e);
    if (rc == 0 && r.scene.done) {
        scene_tell(&r.scene, h, false);
        rc = set_spaces(h, e);
    } else if (rc == 0) { /* the old cluster must not start without its tablespaces */
        rc = hide_control(&r, e);
        if (rc == 0)
            rc = set_spaces(h, e);
        if (rc == 0)
            rc = room_finish(&r, h, e);
    } else if (rc == 1) {
        rc = set_spaces(h, e);
    }
    room_close(&r);
    return rc;
}

/* --- how it is ------------------------------------------------------------------------------------------ */
static void tell_programs(const struct source_host *h)
{
    const char *version = source_spec_get(h->spec, "version"),
               *programs = source_spec_get(h->spec, "verify");
    long wanted = version ? strtol(version, NULL, 10) : 0;
    char bin[PATH_MAX] = "";
    struct err why = ERR_INIT;
    if (wanted <= 0) {
        fact_tell(h->report, "programs", NULL, FACT_UNKNOWN,
                  json_pack("{s:s, s:i}", "kind", PG_ROOT, "wanted", 0),
                  _("which version of the server the backup needs is not known"));
        return;
    }
    bool there = pg_find_programs(programs ? programs : "postgres", (int)wanted, bin, &why) == 0;
    json_t *more = json_pack("{s:s, s:s, s:I, s:I}", "kind", PG_ROOT, "path", there ? bin : "",
                             "major", (json_int_t)(there ? wanted : 0), "wanted",
                             (json_int_t)wanted);
    if (there)
        fact_tell(h->report, "programs", NULL, FACT_GOOD, more, _("PostgreSQL %ld is in %s"),
                  wanted, bin);
    else
        fact_tell(h->report, "programs", NULL, FACT_BAD, more, "%s", why.why);
}

static void tell_server(const struct source_host *h, const char *data)
{
    struct err why = ERR_INIT;
    int fd = sys_open_folder(data, h->resolved, &why);
    int rc = fd == -ERR_ABSENT ? pg_place_forgotten(-1, data, &why)
             : fd < 0          ? fd
                               : pg_place_stopped(fd, data, &why);
    json_t *more = json_pack("{s:s, s:b}", "kind", PG_ROOT, "running", rc == -ERR_BUSY);
    if (rc == -ERR_BUSY)
        fact_tell(h->report, "server", data, FACT_DOUBTFUL, more, "%s", why.why);
    else if (rc < 0 && rc != -ERR_ABSENT)
        fact_tell(h->report, "server", data, FACT_UNKNOWN, more, "%s", why.why);
    else
        fact_tell(h->report, "server", data, FACT_GOOD, more, _("no server works there"));
    sys_close_quiet(fd);
}

void pg_host_facts(const struct source_host *h)
{
    const char *data = source_spec_get(h->spec, "data");
    tell_programs(h);
    if (data)
        tell_server(h, data);
}
