/* in_place.c - a restored data folder takes the place of the one that is there. All moves are renames within one file system: what is
 * there goes into a folder of its own first, pg_control before all else, and comes last of what is new; so whatever a kill
 * leaves, a server either has a whole cluster or refuses to start. */
#include "agents/host/host.h"
#include "agents/postgresql/cluster.h"
#include "agents/postgresql/place.h"
#include "agents/report.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CONTROL_BEFORE ".twofold-before"

/* --- the moves ------------------------------------------------------------------------------------ */
/* A place whose content goes into a folder within it, and is replaced by what is in another one. */
struct swap {
    const char *place;
    int fd, before_fd, new_fd;
    bool
        space; /* only what the new one has of a tablespace goes; else everything but what is ours */
    bool lends;      /* what shows that it is a database's place goes last of all */
    bool spares;     /* what has a name that is there already stays where it is */
    char before[48]; /* the name of that folder */
};

static bool goes(const struct swap *s, const char *name)
{
    if (s->space)
        return pg_is_version_folder(name) &&
               faccessat(s->new_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, PG_LAST) != 0 &&
           !pg_is_ours(name) && strcmp(name, "lost+found") != 0 &&
           !(s->lends && pg_is_cluster_entry(name));
}

/* What goes, from one folder to the other; PG_LAST, if it is there, at the end. */
static int move_entry(const struct swap *s, int from_fd, int to_fd, const char *name, struct err *e)
{
    int rc = sys_renameat(from_fd, name, to_fd, name, false, e);
    if (rc != -ERR_EXISTS || !s->spares)
        return rc;
    err_clear(e);
    return 0;
}

static int move_entries(const struct swap *s, int from_fd, int to_fd, struct err *e)
{
    int fd = sys_openat(from_fd, ".", O_RDONLY | O_DIRECTORY, 0, e), rc = 0;
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *de;
    bool has_last = !s->space && faccessat(from_fd, PG_LAST, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    if (!d) {
        sys_close_quiet(fd);
        return fd < 0 ? fd : err_sys(e, "%s", _("list the folder"));
    }
    while (rc == 0 && (de = readdir(d)) != NULL)
        if (goes(s, de->d_name))
            rc = move_entry(s, from_fd, to_fd, de->d_name, e);
    closedir(d);
    if (rc == 0)
        rc = sys_fsync_dir(to_fd, ".", e);
    if (rc == 0 && has_last)
        rc = move_entry(s, from_fd, to_fd, PG_LAST, e);
    return rc == 0 ? sys_fsync_dir(to_fd, ".", e) : rc;
}

/* A folder for what is there, with the time in its name. The folder around it belongs to the server's user. */
static int make_before(int place_fd, char ret[48], struct err *e)
{
    struct tm tm;
    time_t now = time(NULL);
    int fd = -ERR_EXISTS;
    gmtime_r(&now, &tm);
    size_t n = strftime(ret, 48, PG_BEFORE "%Y%m%dT%H%M%SZ", &tm);
    for (unsigned i = 2; i < 100 && fd == -ERR_EXISTS; i++) {
        err_clear(e);
        fd = sys_make_folder(place_fd, ret, e);
        if (fd == -ERR_EXISTS)
            snprintf(ret + n, 48 - n, "-%u", i);
    }
    return fd;
}

static int swap_begin(struct swap *s, struct pg_cluster *c, const char *place, struct err *e)
{
    *s = (struct swap){ .place = place, .before_fd = -1, .new_fd = -1 };
    int rc = s->fd = sys_open_folder(place, c->r->resolved, e);
    if (rc >= 0)
        s->before_fd = rc = make_before(s->fd, s->before, e);
    if (rc >= 0 && geteuid() == 0 && fchown(s->before_fd, c->owner.st_uid, c->owner.st_gid) < 0)
        rc = err_sys(e, "%s", s->before); /* the server's own tools walk through everything */
    return rc < 0 ? err_wrap(e, "%s", place) : 0;
}

/* From now on no server starts there. */
static int swap_disable(struct swap *s, struct err *e)
{
    int rc = 0;
    if (faccessat(s->fd, PG_LAST, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        rc = sys_renameat(s->fd, PG_LAST, s->before_fd, PG_LAST, false, e);
    if (rc == 0)
        rc = sys_fsync_dir(s->fd, ".", e);
    return rc < 0 ? err_wrap(e, "%s", s->place) : 0;
}

static int swap_do(struct swap *s, struct err *e)
{
    int rc = move_entries(s, s->fd, s->before_fd, e);
    if (rc == 0)
        rc = move_entries(s, s->new_fd, s->fd, e);
    return rc < 0 ? err_wrap(e, "%s", s->place) : 0;
}

static void swap_done(struct swap *s)
{
    sys_close_quiet(s->before_fd);
    sys_close_quiet(s->fd);
}

/* Facts, configuration and what else the restore brought lies with what was set aside. */
static int put_staging_away(const struct swap *s, const char *staging, struct err *e)
{
    int rc = sys_renameat(s->fd, staging, s->before_fd, "restored", false, e);
    if (rc == -ERR_ABSENT) {
        err_clear(e);
        rc = 0;
    }
    return rc;
}

int pg_staging_name(const char *folder, char out[NAME_MAX + 1], struct err *e)
{
    const char *end = strrchr(folder, '/'), *from = end;
    while (from && from > folder && from[-1] != '/')
        from--;
    size_t n = from ? (size_t)(end - from) : 0;
    if (n <= strlen(PG_OURS) || n > NAME_MAX || strncmp(from, PG_OURS, strlen(PG_OURS)) != 0)
        return err_set(e, ERR_USAGE, _("\"%s\" does not lie in a folder of a restore in place"),
                       folder);
    memcpy(out, from, n);
    out[n] = '\0';
    return 0;
}

static int swap_space(struct pg_cluster *c, const char *place, const char *staging, struct err *e)
{
    struct swap s;
    int rc = swap_begin(&s, c, place, e);
    s.space = true;
    if (rc == 0)
        rc = s.new_fd = sys_openat(s.fd, staging, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
    if (rc >= 0)
        rc = swap_do(&s, e);
    if (rc == 0)
        rc = put_staging_away(&s, staging, e);
    if (rc == 0)
        report_note(c->r->report, NULL, 0, _("what the server had in %s is in %s/%s"), place, place,
                    s.before);
    sys_close_quiet(s.new_fd);
    swap_done(&s);
    return rc;
}

/* Is there what would be put in its place? */
static int look_at_space(struct pg_cluster *c, const char *place, const char *staging,
                         struct err *e)
{
    int fd = sys_open_folder(place, c->r->resolved, e), rc = fd;
    if (fd >= 0 && faccessat(fd, staging, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        rc = err_set(e, ERR_ABSENT, _("the backup brought nothing for this tablespace"));
    sys_close_quiet(fd);
    return rc < 0 ? err_wrap(e, "%s", place) : 0;
}

static int each_space(struct pg_cluster *c, const char *staging,
                      int (*fn)(struct pg_cluster *, const char *, const char *, struct err *),
                      struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->r->spec->n; i++) {
        const struct setting *s = &c->r->spec->v[i];
        const char *equals = strchr(s->value, '=');
        if (strcmp(s->key, "tablespace") == 0 && equals)
            rc = fn(c, equals + 1, staging, e);
    }
    return rc;
}

int pg_put_in_place(struct pg_cluster *c, const char *data, struct err *e)
{
    char staging[NAME_MAX + 1];
    struct swap s;
    int rc = pg_staging_name(c->r->folder, staging, e);
    if (rc == 0)
        rc = pg_check_replaceable(c->r, data, e);
    if (rc == 0) /* before anything is moved */
        rc = each_space(c, staging, look_at_space, e);
    if (rc < 0)
        return rc;
    rc = swap_begin(&s, c, data, e);
    s.new_fd = c->data_fd;
    /* The old cluster must not start with the new one's tablespaces, so it goes first, and the new one comes last. */
    if (rc == 0)
        rc = swap_disable(&s, e);
    if (rc == 0)
        rc = each_space(c, staging, swap_space, e);
    if (rc == 0 && (fchown(s.fd, c->owner.st_uid, c->owner.st_gid) < 0 ||
                    fchmod(s.fd, c->owner.st_mode & 07777) < 0))
        rc = err_sys(e, "%s", data);
    if (rc == 0)
        rc = swap_do(&s, e);
    if (rc == 0)
        rc = put_staging_away(&s, staging, e);
    if (rc == 0)
        report_note(c->r->report, NULL, 0,
                    c->r->delta
                        ? _("what the backup does not have of %s is below %s/%s; delete it when "
                            "it is not needed any more")
                        : _("what was in %s is in %s/%s; delete it when it is not needed "
                            "any more"),
                    data, data, s.before);
    swap_done(&s);
    return rc;
}

/* --- what lies there from before ------------------------------------------------------------------- */
/* Is there an entry of which this is true? */
static int has_entry(int fd, bool (*is)(const char *), bool *ret, struct err *e)
{
    int own = sys_openat(fd, ".", O_RDONLY | O_DIRECTORY, 0, e);
    DIR *d = own < 0 ? NULL : fdopendir(own);
    if (!d) {
        sys_close_quiet(own);
        return own < 0 ? own : err_sys(e, "%s", _("list the folder"));
    }
    *ret = false;
    for (struct dirent *de; !*ret && (de = readdir(d)) != NULL;)
        *ret = is(de->d_name);
    closedir(d);
    return 0;
}

static bool is_more_than_facts(const char *name)
{
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, "facts.json") != 0;
}

/* Files of a tablespace are of one cluster alone, which may be running, and finds them by the folder's name. */
static int check_free_space(const struct source_restore *r, int fd, struct err *e)
{
    bool taken = false;
    int rc = has_entry(fd, pg_is_version_folder, &taken, e);
    if (rc < 0 || !taken)
        return rc;
    err_set(e, ERR_REFUSED, _("a tablespace of a cluster lies in %s already"), r->folder);
    return err_next(e, _("give an empty folder; if that is what an earlier restore left, and no "
                         "server uses it, remove PG_… in it"));
}

/* From now on no server starts there; what the backup has not is set aside with the rest. */
static int hide_control(int data_fd, struct err *e)
{
    int fd = sys_openat(data_fd, PG_LAST, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
    int rc = fd < 0 ? fd : sys_renameat(fd, "pg_control", fd, "pg_control" CONTROL_BEFORE, true, e);
    if (rc == 0)
        rc = sys_fsync_dir(fd, ".", e);
    sys_close_quiet(fd);
    if (rc == -ERR_ABSENT) { /* it did not start before */
        err_clear(e);
        rc = 0;
    }
    return rc;
}

/* What is in the place goes to where the backup's files come; an earlier try may have done a part of it. */
int pg_lend(const struct source_restore *r, bool continuing, struct err *e)
{
    const char *data = source_spec_get(r->spec, "data");
    if (!data || source_spec_get(r->spec, "stage"))
        return 0;
    struct swap s = { .place = data, .lends = true, .spares = continuing };
    s.fd = sys_open_folder(data, r->resolved, e);
    int rc = s.fd < 0 ? s.fd : pg_place_stopped(s.fd, data, e);
    int to_fd = rc < 0 ? rc : source_restore_folder(r, "data", e);
    if (to_fd >= 0)
        rc = hide_control(to_fd, e);
    else if (rc == 0)
        rc = to_fd;
    if (rc == 0)
        rc = sys_write_file(to_fd, "../../" STAGING_LENT, "", 0, 0600, e);
    if (rc == 0)
        rc = hide_control(s.fd, e);
    if (rc == 0)
        rc = move_entries(&s, s.fd, to_fd, e);
    if (rc == 0 && faccessat(s.fd, "PG_VERSION", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        rc = move_entry(&s, s.fd, to_fd, "PG_VERSION", e);
    if (rc == 0)
        report_note(r->report, NULL, 0,
                    _("the server's own files are in %s/%s now, and become those of the backup; "
                      "until that is done no server starts: if it breaks off, run the same again"),
                    r->folder, "data");
    sys_close_quiet(to_fd);
    sys_close_quiet(s.fd);
    return rc < 0 ? err_wrap(e, "%s", data) : 0;
}

/* A server that was started on an earlier restore has written there: maps that say which rows all may see, tables that the backup has not.
 * What this restore itself has brought so far may stay, until pg_control came with it, which is the last. */
int pg_restore_over(const struct source_restore *r, bool continuing, struct err *e)
{
    const char *stage = source_spec_get(r->spec, "stage"), *in = source_spec_get(r->spec, "data");
    bool more = false;
    if (r->delta && in && !stage && continuing)
        return 0;
    if (stage && strcmp(stage, "space") != 0)
        return 0;
    int fd = sys_open_folder(r->folder, r->resolved, e), rc = 0;
    if (fd < 0) {
        if (fd == -ERR_ABSENT)
            err_clear(e);
        return fd == -ERR_ABSENT ? 0 : err_wrap(e, "%s", r->folder);
    }
    if (stage) {
        rc = continuing ? 0 : check_free_space(r, fd, e);
        sys_close_quiet(fd);
        return rc;
    }
    int data = sys_openat(fd, "data", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, NULL);
    if (data >= 0)
        rc = pg_place_stopped(data, r->folder, e);
    if (rc == 0 && r->delta && !in)
        rc = data >= 0 ? hide_control(data, e) : 0;
    else if (rc == 0 && continuing)
        more = data >= 0 && faccessat(data, PG_LAST "/pg_control", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    else if (rc == 0)
        rc = has_entry(fd, is_more_than_facts, &more, e);
    sys_close_quiet(data);
    sys_close_quiet(fd);
    return rc < 0 ? rc : more;
}

/* pg_control begins with the identifier, as the server's host writes numbers. */
static int check_same(int data_fd, const char *place, const char *system, struct err *e)
{
    uint64_t its = 0;
    char text[24];
    int fd = sys_openat(data_fd, PG_LAST "/pg_control", O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0,
                        NULL);
    ssize_t n = fd < 0 ? -1 : sys_pread(fd, &its, sizeof its, 0, NULL);
    sys_close_quiet(fd);
    snprintf(text, sizeof text, "%" PRIu64, its);
    if (n != (ssize_t)sizeof its || strcmp(text, system) == 0)
        return 0;
    err_set(e, ERR_REFUSED, _("another database lies in %s (system %s; the backup is of %s)"),
            place, text, system);
    return err_next(e, _("--delta would make the backup's out of it; without --delta it is set "
                         "aside as a whole"));
}

int pg_check_same(const struct source_restore *r, struct err *e)
{
    const char *in = source_spec_get(r->spec, "data"), *system = source_spec_get(r->spec, "system");
    if (!system)
        return 0;
    int fd = sys_open_folder(in ? in : r->folder, r->resolved, NULL), rc = 0;
    int data = fd < 0 || in ? fd : sys_openat(fd, "data", O_RDONLY | O_DIRECTORY, 0, NULL);
    if (data >= 0)
        rc = check_same(data, in ? in : r->folder, system, e);
    if (data != fd)
        sys_close_quiet(data);
    sys_close_quiet(fd);
    return rc;
}

int pg_check_stopped(const struct source_restore *r, struct err *e)
{
    int fd = sys_open_folder(r->folder, r->resolved, e);
    int data = fd < 0 ? fd : sys_openat(fd, "data", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
    int rc = data < 0 ? data : pg_place_stopped(data, r->folder, e);
    sys_close_quiet(data);
    sys_close_quiet(fd);
    if (rc == -ERR_ABSENT) {
        err_clear(e);
        rc = 0;
    }
    return rc;
}
