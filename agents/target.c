/* target.c - the target folder of a restore: whether it may be used, the marker that says which
 * restore it belongs to, and what is set aside. The marker is text: what it is, the snapshot, the
 * hash of the selection, and the token in the names of this restore's temporary files. */
#include "agents/restore_run.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MARKER_BYTES 512
#define MAX_ASIDE_TRIES 100
#define MAX_EMPTY_DEPTH 100 /* each takes two descriptors */
#define MARKER_FIRST "twofold restore 1"
#define MARKER_MADE "target made\ntoken "
#define MARKER_FOUND "target found\ntoken "
#define MARKER_DELTA "delta\n"

/* --- names ------------------------------------------------------------------------------------ */
void target_temp_name(struct run *r, char out[TEMP_NAME_BYTES])
{
    snprintf(out, TEMP_NAME_BYTES, "%s%s-%x", RESTORE_TEMP, r->t.token, r->temps++);
}

/* ".twofold-<16 hex digits>-..."; with a token only those of that restore. */
static bool is_temp(const char *name, const char *token)
{
    size_t n = strlen(RESTORE_TEMP), hex = TOKEN_BYTES - 1;
    if (strncmp(name, RESTORE_TEMP, n) != 0)
        return false;
    name += n;
    if (strspn(name, "0123456789abcdef") != hex || name[hex] != '-')
        return false;
    return !token || strncmp(name, token, hex) == 0;
}

int target_each_name(int dir_fd, int (*fn)(void *ctx, int dir_fd, const char *name, struct err *e),
                     void *ctx, struct err *e)
{
    int fd = sys_openat(dir_fd, ".", O_RDONLY | O_DIRECTORY, 0, e), r = 0;
    if (fd < 0)
        return fd;
    DIR *d = fdopendir(fd);
    if (!d) {
        sys_close_quiet(fd);
        return err_sys(e, _("list the folder"));
    }
    struct dirent *de;
    errno = 0;
    while (r == 0 && (de = readdir(d)) != NULL) {
        if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
            r = fn(ctx, dir_fd, de->d_name, e);
        errno = 0;
    }
    if (r == 0 && errno != 0)
        r = err_sys(e, _("list the folder"));
    closedir(d);
    return r;
}

static int sweep_one(void *ctx, int dir_fd, const char *name, struct err *e)
{
    struct run *r = ctx;
    struct stat st;
    if (!is_temp(name, r->t.token) || fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        S_ISDIR(st.st_mode))
        return 0;
    return sys_unlinkat(dir_fd, name, 0, e);
}

int target_sweep(struct run *r, int dir_fd, struct err *e)
{
    return target_each_name(dir_fd, sweep_one, r, e);
}

/* A marker that was being written when its restore died belongs to nobody. */
static int sweep_marker(void *ctx, int dir_fd, const char *name, struct err *e)
{
    static const char head[] = MARKER_FIRST;
    char text[sizeof head - 1];
    struct stat st;
    if (!is_temp(name, NULL))
        return 0;
    int fd = sys_openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0, NULL);
    bool ours = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid();
    if (ours && st.st_size > 0)
        ours = sys_read(fd, text, sizeof text, NULL) == (ssize_t)sizeof text &&
               memcmp(text, head, sizeof text) == 0;
    sys_close_quiet(fd);
    return ours ? sys_unlinkat(dir_fd, name, 0, e) : 0;
}

static int found_one(void *ctx, int dir_fd, const char *name, struct err *e)
{
    /* A fresh file system is as good as an empty folder. */
    return strcmp(name, "lost+found") != 0 && !is_temp(name, NULL);
}

/* --- the marker ------------------------------------------------------------------------------- */
static void selection_hash(const struct run *r, char hex[ID_HEX_BYTES])
{
    struct sha256 *sha = sha256_new();
    struct id id;
    for (size_t i = 0; i < pathset_count(r->set); i++) {
        size_t len;
        const char *p = pathset_at(r->set, i, &len);
        sha256_update(sha, p, len);
        sha256_update(sha, "", 1);
    }
    sha256_final(sha, &id);
    sha256_free(sha);
    id_hex(&id, hex);
}

/* The part of the marker that must be the same for a continuation. */
static void marker_head(const struct run *r, char out[MARKER_BYTES])
{
    char snapshot[ID_HEX_BYTES], selection[ID_HEX_BYTES];
    id_hex(&r->m->snapshot_id, snapshot);
    selection_hash(r, selection);
    snprintf(out, MARKER_BYTES,
             MARKER_FIRST ": this folder is being restored; the same command continues\n"
                          "snapshot %s\nselection %s\nstrip %d\n",
             snapshot, selection, r->m->strip_source ? 1 : 0);
}

/* Not a reason to fail: whatever is not our marker is something that is in the way. */
static void read_marker(struct run *r)
{
    char head[MARKER_BYTES], text[MARKER_BYTES + 64], token[TOKEN_BYTES];
    struct stat st;
    uint8_t bytes[(TOKEN_BYTES - 1) / 2];
    int fd = sys_openat(r->t.fd, RESTORE_MARKER, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0,
                        NULL);
    if (fd < 0)
        return;
    ssize_t n = -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == r->uid)
        n = sys_read(fd, text, sizeof text - 1, NULL);
    sys_close_quiet(fd);
    if (n < 0)
        return;
    text[n] = '\0';
    marker_head(r, head);
    if (strncmp(text, head, strlen(head)) != 0)
        return;
    const char *rest = text + strlen(head);
    bool made = strncmp(rest, MARKER_MADE, strlen(MARKER_MADE)) == 0;
    if (!made && strncmp(rest, MARKER_FOUND, strlen(MARKER_FOUND)) != 0)
        return;
    rest += strlen(made ? MARKER_MADE : MARKER_FOUND);
    if (strnlen(rest, TOKEN_BYTES) < TOKEN_BYTES)
        return;
    memcpy(token, rest, TOKEN_BYTES - 1);
    token[TOKEN_BYTES - 1] = '\0';
    if (!hex_decode(token, bytes, sizeof bytes))
        return;
    memcpy(r->t.token, token, sizeof token);
    r->t.made = made;
    r->t.continuing = true;
    r->t.since = st.st_mtime;
    r->t.was_delta = strcmp(rest + TOKEN_BYTES - 1, "\n" MARKER_DELTA) == 0;
}

bool target_is_delta(const struct run *r)
{
    return r->m->delta && r->m->n_sources > 0;
}

static int write_marker(struct run *r, struct err *e)
{
    char text[MARKER_BYTES + 64], temp[TEMP_NAME_BYTES];
    marker_head(r, text);
    size_t n = strlen(text);
    snprintf(text + n, sizeof text - n, "%s%s\n%s", r->t.made ? MARKER_MADE : MARKER_FOUND,
             r->t.token, target_is_delta(r) ? MARKER_DELTA : "");
    target_temp_name(r, temp);
    int fd = sys_openat(r->t.fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, e);
    if (fd < 0)
        return fd;
    int rc = sys_write(fd, text, strlen(text), e);
    if (rc == 0)
        rc = sys_fsync(fd, e);
    int closed = sys_close(fd, rc == 0 ? e : NULL);
    if (rc == 0)
        rc = closed;
    if (rc == 0)
        rc = sys_renameat(r->t.fd, temp, r->t.fd, RESTORE_MARKER, true, e);
    if (rc < 0) {
        sys_unlinkat(r->t.fd, temp, 0, NULL);
        return rc;
    }
    r->t.has_marker = true;
    return sys_fsync_dir(r->t.fd, ".", e);
}

/* --- opening ---------------------------------------------------------------------------------- */
/* The folder of a path without links, from the root on, one name after the other, with what is missing of it
 * (*ret_made: the last one was). A link is refused: between the check of the path and now somebody has put it there. */
static int make_unlinked(const char *path, bool *ret_made, struct err *e)
{
    char *copy = strdup(path), *rest = NULL;
    int fd = copy ? sys_openat(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY, 0, e)
                  : err_set(e, ERR_NOMEM, _("out of memory"));
    for (char *name = copy ? strtok_r(copy, "/", &rest) : NULL; fd >= 0 && name;) {
        char *after = strtok_r(NULL, "/", &rest);
        int flags = (after ? O_PATH : O_RDONLY) | O_DIRECTORY | O_NOFOLLOW;
        int next = sys_openat(fd, name, flags, 0, e);
        if (next == -ERR_ABSENT && errno == ENOENT) {
            next = sys_mkdirat(fd, name, after ? 0755 : 0700, e);
            *ret_made = next == 0;
            if (next == 0)
                next = sys_openat(fd, name, flags, 0, e);
        }
        sys_close_quiet(fd);
        fd = next;
        name = after;
    }
    free(copy);
    return fd;
}

static int make_target(struct run *r, struct err *e)
{
    char *path = strdup(r->m->target);
    int rc = 0;
    if (!path)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        path[--n] = '\0';
    char *slash = strrchr(path, '/');
    if (slash > path) {
        *slash = '\0';
        rc = sys_mkdir_p(path, 0755, e);
        *slash = '/';
    }
    if (rc == 0)
        rc = sys_mkdirat(AT_FDCWD, path, 0700, e);
    if (rc == -ERR_ABSENT)
        err_next(e, _("is the folder above it there, and mounted? Else restore elsewhere"));
    if (rc == 0) {
        r->t.fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
        rc = r->t.fd < 0 ? r->t.fd : 0;
        r->t.made = rc == 0;
    }
    free(path);
    return rc;
}

static int not_empty(const struct run *r, struct err *e)
{
    err_set(e, ERR_EXISTS, _("the folder is not empty"));
    err_wrap(e, _("restore to \"%s\""), r->m->target);
    return err_next(
        e, _("give another folder, or --overwrite to restore on top of what is there (it is "
             "set aside); a restore that was interrupted is continued by the same command"));
}

/* The slower of two would go on with files of which the other has made a server's. */
static int lock(int fd, const char *place, struct err *e)
{
    int rc = sys_lock_open(fd, e);
    if (rc == 0)
        return 0;
    err_set(e, ERR_BUSY, _("another restore works on %s"), place);
    return err_next(e,
                    _("wait until it is done, or end it (twofold, or twofold-agent on that host)"));
}

static int lock_place(struct run *r, struct err *e)
{
    const char *place = NULL;
    for (size_t i = 0; i < r->m->n_sources && !place; i++)
        place = source_spec_get(&r->m->sources[i], "data");
    if (!place)
        return 0;
    r->t.place_fd = sys_open_folder(place, r->m->resolved, e);
    return r->t.place_fd < 0 ? err_wrap(e, "%s", place) : lock(r->t.place_fd, place, e);
}

int target_open(struct run *r, struct err *e)
{
    struct target *t = &r->t;
    uint8_t token[(TOKEN_BYTES - 1) / 2];
    int rc = 0;
    if (r->m->target[0] != '/')
        return err_set(e, ERR_USAGE, _("the target \"%s\" is not an absolute path"), r->m->target);
    sys_random(token, sizeof token);
    hex_encode(token, sizeof token, t->token);
    t->fd = r->m->resolved ? make_unlinked(r->m->target, &t->made, e)
                           : sys_open_folder(r->m->target, false, e);
    if (!r->m->resolved && t->fd == -ERR_ABSENT && errno == ENOENT)
        rc = make_target(r, e);
    else if (t->fd < 0)
        rc = t->fd;
    if (rc == 0)
        rc = lock(t->fd, r->m->target, e);
    if (rc == 0)
        rc = lock_place(r, e);
    if (rc < 0)
        return rc;
    read_marker(r);
    rc = t->continuing ? 1 : target_each_name(t->fd, found_one, NULL, e);
    if (rc < 0)
        return err_wrap(e, "%s", r->m->target);
    t->empty = rc == 0;
    if (!t->empty && !t->continuing && !r->m->overwrite)
        return not_empty(r, e);
    t->has_marker = t->continuing;
    return 0;
}

int target_begin(struct run *r, struct err *e)
{
    if (r->t.continuing && r->t.was_delta == target_is_delta(r))
        return target_sweep(r, r->t.fd, e);
    int rc = r->t.continuing ? target_sweep(r, r->t.fd, e)
                             : target_each_name(r->t.fd, sweep_marker, NULL, e);
    return rc == 0 ? write_marker(r, e) : rc;
}

int target_finish(struct run *r, struct err *e)
{
    int rc = sys_unlinkat(r->t.fd, RESTORE_MARKER, 0, e);
    if (rc == 0)
        r->t.has_marker = false;
    return rc == -ERR_ABSENT ? 0 : rc;
}

/* Removes a folder that holds nothing but such folders; anything else stays. ctx: how deep it lies. */
static int remove_empty(void *ctx, int dir_fd, const char *name, struct err *e)
{
    unsigned depth = *(const unsigned *)ctx + 1;
    int fd = depth > MAX_EMPTY_DEPTH
                 ? -1
                 : sys_openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, NULL);
    (void)e;
    if (fd < 0)
        return 0;
    target_each_name(fd, remove_empty, &depth, NULL);
    sys_close_quiet(fd);
    sys_unlinkat(dir_fd, name, AT_REMOVEDIR, NULL);
    return 0;
}

void target_undo(struct run *r)
{
    unsigned depth = 0;
    if (!r->t.empty || r->t.continuing)
        return;
    target_each_name(r->t.fd, remove_empty, &depth, NULL);
    target_finish(r, NULL);
    if (r->t.made && !r->m->resolved)
        sys_unlinkat(AT_FDCWD, r->m->target, AT_REMOVEDIR, NULL);
}

void target_close(struct run *r)
{
    sys_close_quiet(r->t.aside.fd);
    sys_close_quiet(r->t.extra.fd);
    sys_close_quiet(r->t.fd);
    sys_close_quiet(r->t.place_fd);
    r->t.fd = r->t.place_fd = r->t.aside.fd = r->t.extra.fd = -1;
}

/* --- setting aside ---------------------------------------------------------------------------- */
static void stamp_of(time_t t, char ret[ASIDE_STAMP_LEN + 1])
{
    struct tm tm;
    gmtime_r(&t, &tm);
    if (strftime(ret, ASIDE_STAMP_LEN + 1, "%Y%m%dT%H%M%SZ", &tm) == 0)
        ret[0] = '\0';
}

/* Of an interrupted run of it: what was set aside since its marker. */
bool target_is_own(const struct run *r, const char *name)
{
    char since[ASIDE_STAMP_LEN + 1];
    const char *stamp = restore_aside_stamp(name);
    if (strcmp(name, RESTORE_MARKER) == 0 || is_temp(name, r->t.token))
        return true;
    if ((r->t.aside.fd >= 0 && strcmp(name, r->t.aside.name) == 0) ||
        (r->t.extra.fd >= 0 && strcmp(name, r->t.extra.name) == 0))
        return true;
    stamp_of(r->t.since, since);
    return r->t.continuing && stamp && strncmp(stamp, since, ASIDE_STAMP_LEN) >= 0;
}

/* With the time in its name, and the snapshot, for which something was in the way. */
static int make_aside(struct run *r, struct aside *a, struct err *e)
{
    char hex[ID_HEX_BYTES], stamp[ASIDE_STAMP_LEN + 1], base[sizeof a->name - 4];
    stamp_of((time_t)sys_realtime_s(), stamp);
    id_hex(&r->m->snapshot_id, hex);
    if (a == &r->t.extra)
        snprintf(base, sizeof base, "%s%s", RESTORE_EXTRA, stamp);
    else
        snprintf(base, sizeof base, "%s%.8s-%s", RESTORE_ASIDE, hex, stamp);
    int rc = -ERR_EXISTS;
    for (int i = 0; rc == -ERR_EXISTS && i < MAX_ASIDE_TRIES; i++) {
        snprintf(a->name, sizeof a->name, i ? "%s-%d" : "%s", base, i);
        rc = sys_mkdirat(r->t.fd, a->name, 0700, e);
    }
    if (rc < 0)
        return rc;
    a->fd = sys_openat(r->t.fd, a->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
    return a->fd < 0 ? a->fd : 0;
}

/* The folder in the aside folder for a path of this place: opened, made where it is missing. */
static int aside_parent(const struct aside *a, const struct place *p, struct err *e)
{
    int at = a->fd;
    const char *from = p->path, *end = p->path + p->path_len - strlen(p->name);
    while (from < end) {
        char name[NAME_MAX + 1];
        const char *slash = memchr(from, '/', (size_t)(end - from));
        size_t n = (size_t)(slash - from);
        memcpy(name, from, n);
        name[n] = '\0';
        int rc = sys_mkdirat(at, name, 0700, e);
        int fd = rc == 0 || rc == -ERR_EXISTS
                     ? sys_openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e)
                     : rc;
        if (at != a->fd)
            sys_close_quiet(at);
        if (fd < 0)
            return fd;
        at = fd;
        from = slash + 1;
    }
    return at;
}

/* An immutable object can neither be linked nor renamed: its flags are taken away meanwhile. */
static int move_locked(const struct place *p, int to, struct err *e)
{
    int rc = sys_renameat(p->dir->fd, p->name, to, p->name, false, e);
    if (rc == 0 || (errno != EPERM && errno != EACCES))
        return rc;
    int fd = sys_openat(p->dir->fd, p->name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY, 0,
                        NULL);
    uint32_t had = fd < 0 ? 0 : setmeta_unlock(fd);
    if (had) {
        rc = sys_renameat(p->dir->fd, p->name, to, p->name, false, e);
        setmeta_relock(fd, had);
    }
    sys_close_quiet(fd);
    return rc;
}

static int set_aside(struct run *r, struct aside *a, const struct place *p, bool *keep,
                     struct err *e)
{
    bool kept = false;
    int rc = a->fd < 0 ? make_aside(r, a, e) : 0;
    int to = rc == 0 ? aside_parent(a, p, e) : rc;
    if (to < 0)
        return err_wrap(e, _("set aside \"%s\""), p->name);
    if (*keep && sys_fault_step() == 0)
        kept = linkat(p->dir->fd, p->name, to, p->name, 0) == 0;
    if (!kept)
        rc = move_locked(p, to, e);
    if (to != a->fd)
        sys_close_quiet(to);
    if (rc < 0)
        return err_wrap(e, _("set aside \"%s\""), p->name);
    *keep = kept;
    return 0;
}

int target_set_aside(struct run *r, const struct place *p, bool *keep, struct err *e)
{
    int rc = set_aside(r, &r->t.aside, p, keep, e);
    if (rc == 0)
        r->rep.n.set_aside++;
    return rc;
}

int target_set_extra_aside(struct run *r, const struct place *p, struct err *e)
{
    bool keep = false;
    return set_aside(r, &r->t.extra, p, &keep, e);
}
