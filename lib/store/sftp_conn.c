/* sftp_conn.c - connections to a copy on another host, ways in it, and judging what the server says. See sftp.h. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/ssh/ssh.h"
#include "lib/store/folder.h"
#include "lib/store/sftp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHILD_END_MS 3000
#define FIRST_PAUSE_MS 500
#define MAX_TRIES 6 /* pauses of half a second to 8 s between them: some 16 s */
#define MAX_LOOKS 16

/* --- connections ---------------------------------------------------------------------------------------- */
int remote_connect(struct remote *r, struct conn *c, struct err *e)
{
    struct ssh_settings set = { .host = r->host,
                                .port = r->port,
                                .user = r->user,
                                .host_key = r->host_key,
                                .identity = r->identity };
    c->fd = ssh_start(&set, -1, &c->pid, e);
    if (c->fd < 0)
        return c->fd;
    int rc = sftp_new(c->fd, 0, r->rate, &c->s, e);
    if (rc < 0)
        remote_disconnect(r, c);
    return rc;
}

void remote_disconnect(struct remote *r, struct conn *c)
{
    if (c->fd < 0)
        return;
    if (c == &r->reader)
        r->last.f.len = 0;
    sftp_free(c->s);
    c->s = NULL;
    sys_close_quiet(c->fd);
    c->fd = -1;
    (void)sys_reap(c->pid, CHILD_END_MS, NULL, NULL);
}

/* Whether another connection may do better. */
static bool may_try_again(int rc)
{
    return rc == -ERR_UNREACHABLE || rc == -ERR_TIMEOUT;
}

int remote_do(struct remote *r, struct conn *c, remote_fn *fn, void *ctx, struct err *e)
{
    int rc = 0;
    pthread_mutex_lock(&c->lock);
    for (unsigned tries = 0; tries < MAX_TRIES; tries++) {
        if (tries > 0 && (rc = rate_sleep_ms(FIRST_PAUSE_MS << (tries - 1), e)) < 0)
            break;
        err_clear(e);
        rc = c->fd < 0 ? remote_connect(r, c, e) : 0;
        bool connected = rc == 0;
        if (connected)
            rc = fn(r, c->s, ctx, e);
        if (connected && !sftp_broken(c->s))
            break;
        remote_disconnect(r, c);
        if (!may_try_again(rc))
            break;
    }
    bool lost = rc < 0 && c->fd < 0 && rc != -ERR_INTERRUPTED;
    pthread_mutex_unlock(&c->lock);
    if (lost && rc != -ERR_NOMEM && rc != -ERR_FAILED) {
        if (e->code != ERR_UNREACHABLE && e->code != ERR_TIMEOUT && !e->next[0])
            err_next(e, "%s", _(err_info(e->code)->next));
        e->code = ERR_UNREACHABLE;
        rc = err_wrap(e, "%s", r->where);
    }
    return rc;
}

/* --- errors ------------------------------------------------------------------------------------------------- */
int remote_must_be_file(const struct sftp_attrs *a, struct err *e)
{
    if (!a->has_mode || !a->has_size)
        return err_set(e, ERR_UNREACHABLE, _("the server does not say what it is, or how long"));
    if (S_ISREG(a->mode))
        return 0;
    return err_set(e, ERR_DAMAGED,
                   S_ISLNK(a->mode) ? _("a symbolic link stands in the object's place")
                                    : _("something that is not a file stands in its place"));
}

int remote_read_failed(struct remote *r, struct sftp *s, const char *name, struct err *e)
{
    if (sftp_broken(s))
        return -(int)e->code;
    if (e->code == ERR_ABSENT) {
        (void)remote_absent(r, s, name, e);
        if (sftp_broken(s))
            return -(int)e->code;
    } else if (e->code == ERR_REFUSED || e->code == ERR_IO || e->code == ERR_VERSION) {
        bool refused = e->code == ERR_REFUSED;
        e->code = ERR_UNREACHABLE; /* it may well be there */
        if (refused)
            err_next(e, _("let the user \"%s\" read the copy there"), r->user);
    }
    return err_wrap(e, "%s/%s", r->where, name);
}

/* A "failure" can be anything: what is the state of the file system there? */
static void explain_failure(struct remote *r, struct sftp *s, uint64_t need, struct err *e)
{
    struct sftp_space sp;
    struct err ignored = ERR_INIT;
    char root[MAX_SFTP_PATH];
    if (!(sftp_features(s) & SFTP_STATVFS) || remote_path(r, "", root, &ignored) < 0 ||
        sftp_statvfs(s, root, &sp, &ignored) < 0)
        return;
    if (sp.read_only)
        err_set(e, ERR_READONLY, _("the file system there is read-only"));
    else if (sp.free_bytes < need + (64u << 10))
        err_set(e, ERR_NOSPACE, _("the file system there is full"));
}

int remote_write_failed(struct remote *r, struct sftp *s, const char *name, uint64_t need,
                        struct err *e)
{
    if (sftp_broken(s))
        return -(int)e->code;
    if (e->code == ERR_ABSENT) {
        if (remote_check_root(r, s, e) == 0) {
            err_set(e, ERR_UNREACHABLE, _("a folder on the way is missing"));
        } else if (sftp_broken(s)) {
            return -(int)e->code;
        }
    } else if (e->code == ERR_IO) {
        explain_failure(r, s, need, e);
    } else if (e->code == ERR_REFUSED) {
        err_next(e, _("let the user \"%s\" write to the copy there"), r->user);
    }
    return err_wrap(e, "%s/%s", r->where, name);
}

int remote_begin_writing(struct remote *r, struct err *e)
{
    atomic_fetch_add(&r->changes, 1);
    if (!r->read_only)
        return 0;
    err_set(e, ERR_READONLY, _("the copy was opened for reading only"));
    return err_wrap(e, "%s", r->where);
}

/* --- the root --------------------------------------------------------------------------------------------------- */
int remote_path(const struct remote *r, const char *name, char *out, struct err *e)
{
    const char *root = name[0] || r->root[0] ? r->root : "/";
    int n = snprintf(out, MAX_SFTP_PATH, "%s%s%s", root, name[0] ? "/" : "", name);
    return n < MAX_SFTP_PATH ? 0 : err_set(e, ERR_LIMIT, _("the path is too long"));
}

/* Version 3 has no inodes. A root is the same when it holds one of the things that a copy holds and, where the server tells, when
 * it lies on the same file system; a mount point without its disk is neither. */
int remote_check_root(struct remote *r, struct sftp *s, struct err *e)
{
    static const char *const parts[] = { "vault", "tmp", "packs", "recovery", "heads" };
    enum { N = sizeof parts / sizeof *parts };
    char paths[N][MAX_SFTP_PATH];
    const char *ask[N];
    struct sftp_attrs a[N];
    int rc[N], got = 0;
    bool there = false;
    for (size_t i = 0; i < N && got == 0; i++) {
        got = remote_path(r, parts[i], paths[i], e);
        ask[i] = paths[i];
    }
    if (got == 0)
        got = sftp_lstat_all(s, ask, N, a, rc, e);
    for (size_t i = 0; i < N && got == 0; i++)
        there = there || rc[i] == 0;
    if (got == 0 && there && r->has_fsid) {
        struct sftp_space sp;
        char root[MAX_SFTP_PATH];
        got = remote_path(r, "", root, e);
        got = got < 0 ? got : sftp_statvfs(s, root, &sp, e);
        there = got == 0 && sp.fsid == r->fsid;
        got = sftp_broken(s) ? got : 0;
    }
    if (got < 0 || there)
        return got;
    err_set(e, ERR_UNREACHABLE,
            _("the folder of the copy is gone, or another one has taken its place"));
    return err_next(e,
                    _("was the disk there unmounted? mount it, then run the same command again"));
}

/* --- ways ---------------------------------------------------------------------------------------------------------- */
/* Up to MAX_LOOKS folders at a time. 1: all are folders; 0: the first that is not is absent. */
static int look_at_folders(struct sftp *s, const char *const ask[], size_t n, struct err *e)
{
    struct sftp_attrs a[MAX_LOOKS];
    int rc[MAX_LOOKS];
    int got = sftp_lstat_all(s, ask, n, a, rc, e);
    for (size_t i = 0; i < n && got == 0; i++) {
        if (rc[i] == -ERR_ABSENT)
            return 0;
        if (rc[i] < 0)
            return err_set(e, ERR_UNREACHABLE, _("a folder on the way cannot be looked at"));
        if (a[i].has_mode && !S_ISDIR(a[i].mode))
            return err_set(e, ERR_UNREACHABLE,
                           S_ISLNK(a[i].mode)
                               ? _("a folder on the way is a symbolic link, which is not followed")
                               : _("a part of the path is not a folder"));
    }
    return got < 0 ? got : 1;
}

int remote_check_way(struct remote *r, struct sftp *s, const char *name, struct err *e)
{
    char paths[MAX_LOOKS][MAX_STORE_NAME + 1];
    size_t n = 0, len = strlen(name);
    int got = 1;
    for (size_t i = 0; i < len && got == 1; i++) {
        if (name[i] != '/')
            continue;
        memcpy(paths[n], name, i);
        paths[n++][i] = '\0';
        bool last = strchr(name + i + 1, '/') == NULL;
        if (n < MAX_LOOKS && !last)
            continue;
        char full[MAX_LOOKS][MAX_SFTP_PATH];
        const char *ask[MAX_LOOKS];
        for (size_t k = 0; k < n; k++) {
            int rc = remote_path(r, paths[k], full[k], e);
            if (rc < 0)
                return rc;
            ask[k] = full[k];
        }
        got = look_at_folders(s, ask, n, e);
        n = 0;
    }
    return got == 1 ? 0 : got < 0 ? got : err_set(e, ERR_ABSENT, _("there is no such folder"));
}

int remote_absent(struct remote *r, struct sftp *s, const char *name, struct err *e)
{
    int rc = remote_check_root(r, s, e);
    if (rc == 0)
        rc = remote_check_way(r, s, name, e);
    if (rc == 0 || rc == -ERR_ABSENT)
        return err_set(e, ERR_ABSENT, _("there is no such object"));
    return rc;
}

/* --- folders ---------------------------------------------------------------------------------------------------------- */
static bool is_known(const struct remote *r, const char *name)
{
    for (size_t i = r->n_known; i-- > 0;)
        if (strcmp(r->known[i], name) == 0)
            return true;
    return false;
}

static void know(struct remote *r, const char *name)
{
    char *own = r->n_known < MAX_KNOWN_PATHS ? strdup(name) : NULL;
    if (own)
        r->known[r->n_known++] = own;
}

void remote_forget_folders(struct remote *r)
{
    while (r->n_known > 0)
        free(r->known[--r->n_known]);
}

int remote_sync_folder(struct remote *r, struct sftp *s, const char *name, struct err *e)
{
    char path[MAX_SFTP_PATH];
    struct sftp_file f = { .len = 0 };
    if (!(sftp_features(s) & SFTP_FSYNC))
        return 0;
    int rc = remote_path(r, name, path, e);
    if (rc == 0)
        rc = sftp_open(s, path, SFTP_READ, &f, e);
    if (rc == 0)
        rc = sftp_fsync(s, &f, e);
    int closed = sftp_broken(s) ? 0 : sftp_close_later(s, &f, rc == 0 ? e : NULL);
    return rc < 0 ? rc : closed;
}

/* A folder that is there already may be one whose maker was killed before it was durable, so the folder above is synced in any
 * case. */
static int make_one(struct remote *r, struct sftp *s, const char *name, struct err *e)
{
    char path[MAX_SFTP_PATH], above[MAX_STORE_NAME + 1];
    struct sftp_attrs a = { 0 };
    struct err why = ERR_INIT;
    (void)folder_split(name, above);
    int rc = remote_path(r, name, path, e);
    if (rc < 0)
        return rc;
    rc = sftp_lstat(s, path, &a, e);
    if (rc == -ERR_ABSENT && !sftp_broken(s)) {
        rc = sftp_mkdir(s, path, &why);
        err_clear(e);
        /* Somebody was quicker? */
        if (rc < 0 && !sftp_broken(s) && sftp_lstat(s, path, &a, e) < 0)
            *e = why;
        else if (rc == 0)
            a = (struct sftp_attrs){ .has_mode = true, .mode = S_IFDIR };
        rc = rc < 0 && sftp_broken(s) ? rc : e->code ? -(int)e->code : 0;
    }
    if (rc < 0)
        return rc;
    if (a.has_mode && !S_ISDIR(a.mode))
        return err_set(e, ERR_UNREACHABLE,
                       S_ISLNK(a.mode)
                           ? _("a folder on the way is a symbolic link, which is not followed")
                           : _("a part of the path is not a folder"));
    rc = remote_sync_folder(r, s, above, e);
    if (rc == 0)
        know(r, name);
    return rc;
}

int remote_make_folder(struct remote *r, struct sftp *s, const char *name, struct err *e)
{
    char part[2 * MAX_STORE_NAME];
    size_t len = strlen(name);
    int rc = 0;
    if (len >= sizeof part)
        return err_set(e, ERR_LIMIT, _("the path is too long"));
    if (len == 0 || is_known(r, name))
        return 0;
    for (size_t i = 1; i <= len && rc == 0; i++) {
        if (name[i] != '/' && name[i] != '\0')
            continue;
        memcpy(part, name, i);
        part[i] = '\0';
        if (!is_known(r, part))
            rc = make_one(r, s, part, e);
    }
    return rc;
}
