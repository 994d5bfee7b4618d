/* scene.c - folders that what is there is set aside to, and what failed restores left; see host.h. */
#include "agents/host/host.h"
#include "agents/tree.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DONE_FILE ".twofold-scene"
#define MAX_DONE_BYTES 65536
#define LENT_FOLDER ".twofold-before-lent-" /* and what its staging was named, and a number */

/* --- a scene ---------------------------------------------------------------------------------------- */
static int read_done(struct scene *s, struct err *e)
{
    uint8_t *text = NULL;
    size_t n = 0;
    int rc = sys_read_plain(s->fd, s->tag, MAX_DONE_BYTES, &text, &n, e);
    if (rc == -ERR_ABSENT) {
        err_clear(e);
        return 0;
    }
    s->what = rc == 0 ? json_loadb((const char *)text, n, 0, NULL) : NULL;
    free(text);
    if (rc == 0 && !json_is_object(s->what))
        rc = err_set(e, ERR_DAMAGED, _("it cannot be read"));
    s->done = rc == 0;
    return rc < 0 ? err_wrap(e, "%s", s->tag) : 0;
}

int scene_open(int in_fd, const char *name, const char *tag, const struct stat *owner,
               struct scene *ret, struct err *e)
{
    struct scene s = { .fd = -1 };
    snprintf(s.tag, sizeof s.tag, DONE_FILE "%s%s.json", tag[0] ? "." : "", tag);
    s.fd = sys_make_folder(in_fd, name, e);
    s.fresh = s.fd >= 0;
    if (s.fd == -ERR_EXISTS) {
        err_clear(e);
        s.fd = sys_openat(in_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
    }
    int rc = s.fd < 0 ? s.fd : 0;
    if (s.fresh && geteuid() == 0 && fchown(s.fd, owner->st_uid, owner->st_gid) < 0)
        rc = err_sys(e, "%s", name);
    if (rc == 0 && s.fresh)
        rc = sys_fsync_dir(in_fd, ".", e);
    if (rc == 0 && !s.fresh)
        rc = read_done(&s, e);
    if (rc < 0) {
        scene_close(&s);
        return err_wrap(e, "%s", name);
    }
    *ret = s;
    return 0;
}

void scene_close(struct scene *s)
{
    sys_close_quiet(s->fd);
    s->fd = -1;
    json_decref(s->what);
    s->what = NULL;
}

int scene_move(const struct scene *s, int from_fd, bool (*goes)(void *ctx, const char *name),
               void *ctx, struct err *e)
{
    int fd = sys_openat(from_fd, ".", O_RDONLY | O_DIRECTORY, 0, e), rc = 0;
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        sys_close_quiet(fd);
        return fd < 0 ? fd : err_sys(e, "%s", _("list the folder"));
    }
    for (struct dirent *de; rc == 0 && (de = readdir(d)) != NULL;)
        if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0 && goes(ctx, de->d_name))
            rc = sys_renameat(from_fd, de->d_name, s->fd, de->d_name, false, e);
    closedir(d);
    if (rc == 0)
        rc = sys_fsync_dir(s->fd, ".", e);
    if (rc == 0)
        rc = sys_fsync_dir(from_fd, ".", e);
    if (rc == -ERR_EXISTS)
        err_next(e, _("something has come to the place since it was set aside in part: look at it, "
                      "and move it away by hand"));
    return rc;
}

struct counting {
    const char *only;
    uint64_t files, bytes;
    int64_t newest_s;
};

static int count_one(void *ctx, int dir_fd, const char *name, unsigned depth, const struct stat *st,
                     struct err *e)
{
    struct counting *c = ctx;
    (void)dir_fd;
    (void)e;
    if (depth == 0 && (strncmp(name, ".twofold-", strlen(".twofold-")) == 0 ||
                       (c->only && strncmp(name, c->only, strlen(c->only)) != 0)))
        return 1;
    if (S_ISDIR(st->st_mode))
        return 0;
    c->files++;
    c->bytes += (uint64_t)st->st_blocks * 512;
    if (st->st_mtime > c->newest_s)
        c->newest_s = st->st_mtime;
    return 0;
}

static int write_done(struct scene *s, struct err *e)
{
    char *text = s->what ? json_dumps(s->what, JSON_INDENT(1)) : NULL;
    if (!text)
        return err_set(e, ERR_NOMEM, _("no memory"));
    int rc = sys_write_file(s->fd, s->tag, text, strlen(text), 0600, e);
    free(text);
    return rc;
}

void scene_tell(const struct scene *s, const struct source_host *h, bool moved)
{
    json_t *o = json_copy(s->what);
    if (o)
        json_object_set_new(o, "moved", json_boolean(moved));
    report_facts(h->report, "scene", o);
}

int scene_finish(struct scene *s, const struct source_host *h, const char *place, const char *where,
                 const char *only, struct err *e)
{
    struct counting c = { .only = only };
    int rc = tree_each(s->fd, ".", false, count_one, &c, e);
    if (rc == 0) {
        s->what = json_pack("{s:s, s:s%, s:s%, s:I, s:I, s:I}", "kind", h->spec->kind, "place",
                            place, strlen(place), "scene", where, strlen(where), "files",
                            (json_int_t)c.files, "bytes", (json_int_t)c.bytes, "newest",
                            (json_int_t)c.newest_s);
        rc = write_done(s, e);
    }
    if (rc == 0) {
        s->done = true;
        report_note(h->report, NULL, 0, _("what was in %s is set aside in %s"), place, where);
        scene_tell(s, h, true);
    }
    return rc;
}

int scene_absent(const struct source_host *h, const char *place, struct err *e)
{
    int rc = host_check_mounted(NULL, place, e);
    if (rc < 0)
        return rc;
    rc = sys_mkdirat(AT_FDCWD, place, 0711,
                     e); /* the server's user gets through to what will be verified */
    if (rc < 0) {
        err_next(e, _("make the folder that it lies in, or mount its file system, and try again"));
        return err_wrap(e, "%s", place);
    }
    report_note(h->report, NULL, 0, _("%s was not there: it is made, empty"), place);
    report_facts(h->report, "scene",
                 json_pack("{s:s, s:s%, s:s, s:i, s:i, s:i, s:b}", "kind", h->spec->kind, "place",
                           place, strlen(place), "scene", "", "files", 0, "bytes", 0, "newest", 0,
                           "moved", 0));
    return 0;
}

/* --- places ------------------------------------------------------------------------------------------- */
static int one_place(const struct setting *s,
                     int (*fn)(void *ctx, const char *place, struct err *e), void *ctx,
                     struct err *e)
{
    const char *path = strchr(s->value, '/');
    char *folder = NULL;
    if (!path)
        return 0;
    if (strcmp(s->key, "data") == 0 || strcmp(s->key, "tablespace") == 0)
        return fn(ctx, path, e);
    if (strcmp(s->key, "files") != 0)
        return 0;
    const char *end = strrchr(path, '/');
    if (asprintf(&folder, "%.*s", end == path ? 1 : (int)(end - path), path) < 0)
        return err_set(e, ERR_NOMEM, _("no memory"));
    int rc = fn(ctx, folder, e);
    free(folder);
    return rc;
}

int host_places(const struct msg_host *m, int (*fn)(void *ctx, const char *place, struct err *e),
                void *ctx, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < m->n_sources; i++)
        for (size_t k = 0; rc == 0 && k < m->sources[i].n; k++)
            rc = one_place(&m->sources[i].v[k], fn, ctx, e);
    return rc;
}

/* --- what failed restores left ------------------------------------------------------------------------ */
struct clearing {
    const struct msg_host *m;
    struct report *report;
    const char *place;
    uint64_t bytes, folders;
};

/* "…restore-1a2b3c4d": as the orchestrator names it. */
static bool is_staging(const char *name)
{
    size_t n = strlen(STAGING_FOLDER);
    return strncmp(name, STAGING_FOLDER, n) == 0 && strlen(name + n) == STAGING_DIGITS &&
           strspn(name + n, "0123456789abcdef") == STAGING_DIGITS;
}

static bool is_in(int fd, const char *folder, const char *name)
{
    char path[2 * NAME_MAX];
    return snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path &&
           faccessat(fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool goes(const struct clearing *c, int fd, const char *name)
{
    if (is_in(fd, name, STAGING_TRIED))
        return true;
    return strcmp(c->m->name, HOST_TRIED) != 0 && strcmp(c->m->name, name) != 0;
}

static int add_bytes(void *ctx, int dir_fd, const char *name, unsigned depth, const struct stat *st,
                     struct err *e)
{
    struct clearing *c = ctx;
    (void)dir_fd;
    (void)name;
    (void)depth;
    (void)e;
    c->bytes += (uint64_t)st->st_blocks * 512;
    c->report->n.bytes_read++;
    return 0;
}

/* What a restore has made of the server's own files, which may lie nowhere else: out of the way, with a name that is never taken away. */
static int keep_lent(const struct clearing *c, int fd, const char *name, struct err *e)
{
    char to[NAME_MAX + 1];
    int rc = -ERR_EXISTS;
    for (unsigned i = 1; i < 100 && rc == -ERR_EXISTS; i++) {
        err_clear(e);
        if (snprintf(to, sizeof to, LENT_FOLDER "%s-%u", name + strlen(STAGING_FOLDER), i) >=
            (int)sizeof to)
            return err_set(e, ERR_LIMIT, _("the path is too long"));
        rc = sys_renameat(fd, name, fd, to, false, e);
    }
    if (rc == 0)
        rc = sys_fsync_dir(fd, ".", e);
    if (rc == 0)
        report_note(c->report, NULL, 0,
                    _("%s/%s has the server's own files, as a restore that broke off has left "
                      "them: keep it until what they have is not needed any more"),
                    c->place, to);
    return rc;
}

static int clear_one(struct clearing *c, int fd, const char *name, struct err *e)
{
    struct stat st;
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
        return 0;
    if (is_in(fd, name, STAGING_LENT))
        return keep_lent(c, fd, name, e);
    int rc = tree_each(fd, name, false, add_bytes, c, e);
    if (rc == 0)
        rc = tree_remove(fd, name, e);
    c->folders += rc == 0;
    return rc;
}

static int clear_place(void *ctx, const char *place, struct err *e)
{
    struct clearing *c = ctx;
    c->place = place;
    int fd = sys_open_folder(place, c->m->resolved, e), rc = 0;
    if (fd == -ERR_ABSENT) {
        err_clear(e);
        return 0;
    }
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        sys_close_quiet(fd);
        return fd < 0 ? err_wrap(e, "%s", place) : err_sys(e, "%s", place);
    }
    rc = sys_lock_open(dirfd(d), e); /* as a restore into this place does, as long as it works */
    if (rc == -ERR_BUSY) {
        err_set(e, ERR_BUSY, _("another restore works on %s"), place);
        err_next(e, _("wait until it is done, or end it (twofold, or twofold-agent on that host)"));
    }
    for (struct dirent *de; rc == 0 && (de = readdir(d)) != NULL;)
        if (is_staging(de->d_name) && goes(c, dirfd(d), de->d_name))
            rc = clear_one(c, dirfd(d), de->d_name, e);
    closedir(d);
    return rc < 0 ? err_wrap(e, "%s", place) : 0;
}

int host_clear_places(struct report *r, const struct msg_host *m, struct err *e)
{
    struct clearing c = { .m = m, .report = r };
    int rc = host_places(m, clear_place, &c, e);
    for (size_t i = 0; rc == 0 && i < m->n_roots; i++)
        rc = clear_place(&c, m->roots[i], e);
    if (rc == 0)
        report_facts(r, "cleared",
                     json_pack("{s:I, s:I}", "folders", (json_int_t)c.folders, "bytes",
                               (json_int_t)c.bytes));
    return rc;
}
