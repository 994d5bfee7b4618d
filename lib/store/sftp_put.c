/* sftp_put.c - writing to a copy on another host: drafts, names, setting aside. See sftp.h; the order within one object is that of
 * folder.c: the draft whole and synced, then its name, then the folder.
 *
 * Each of these may be begun again in the middle, on a new connection: what is done already is found by looking. A draft
 * is continued behind the part of it that, read back, is what is to be written. */
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/store/folder.h"
#include "lib/store/sftp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DRAFT_BYTES 16
#define COMPARE_BYTES (1u << 20)

struct draft {
    char name[4 + 2 * DRAFT_BYTES + 1]; /* "tmp/…"; "" until there is one */
    const struct store_data *data;
    bool whole; /* written and synced */
};

static void new_draft(struct draft *d)
{
    uint8_t chance[DRAFT_BYTES];
    sys_random(chance, sizeof chance);
    memcpy(d->name, "tmp/", 4);
    hex_encode(chance, sizeof chance, d->name + 4);
    d->whole = false;
}

static void drop_draft(struct remote *r, struct sftp *s, struct draft *d)
{
    char path[MAX_SFTP_PATH];
    if (d->name[0] && !sftp_broken(s) && remote_path(r, d->name, path, NULL) == 0)
        (void)sftp_remove(s, path, NULL);
    d->name[0] = '\0';
}

/* --- filling it ---------------------------------------------------------------------------------------------- */
static int source_bytes(const struct store_data *data, uint64_t off, size_t n, uint8_t *buf,
                        const uint8_t **ret, struct err *e)
{
    *ret = data->p ? (const uint8_t *)data->p + off : buf;
    if (data->p)
        return 0;
    ssize_t got = sys_pread(data->fd, buf, n, off, e);
    if (got >= 0 && (size_t)got < n)
        got = err_set(e, ERR_DAMAGED, _("it ended early"));
    return got < 0 ? store_source_failed(e) : 0;
}

/* How much of the draft can be kept: only what was read back and is right. */
static int kept_part(struct sftp *s, const struct sftp_file *f, const struct draft *d,
                     uint64_t *ret, struct err *e)
{
    struct sftp_attrs a = { 0 };
    int rc = sftp_fstat(s, f, &a, e);
    uint64_t at = 0, there = rc == 0 && a.has_size ? a.size : 0;
    uint8_t *buf = malloc((size_t)2 * COMPARE_BYTES);
    if (rc == 0 && !buf)
        rc = store_out_of_memory(e);
    if (there > d->data->len)
        there = 0; /* cannot be ours */
    while (rc == 0 && buf && at < there) {
        size_t n = there - at < COMPARE_BYTES ? (size_t)(there - at) : COMPARE_BYTES;
        const uint8_t *want = NULL;
        ssize_t got = sftp_read(s, f, at, n, 0, buf, e);
        if (got < 0) {
            rc = (int)got;
            break;
        }
        rc = source_bytes(d->data, at, n, buf + COMPARE_BYTES, &want, e);
        if (rc < 0 || !want || (size_t)got < n || memcmp(buf, want, n) != 0)
            break;
        at += n;
    }
    free(buf);
    *ret = at;
    return rc;
}

static int fill(struct sftp *s, const struct sftp_file *f, struct draft *d, uint64_t from,
                struct err *e)
{
    struct sftp_source src = { .p = d->data->p ? (const uint8_t *)d->data->p + from : NULL,
                               .fd = d->data->fd };
    struct sftp_attrs a = { 0 };
    bool source = false;
    int rc = sftp_write(s, f, from, &src, d->data->len - from, &source, e);
    if (rc < 0)
        return source ? store_source_failed(e) : rc;
    if (sftp_features(s) & SFTP_FSYNC)
        rc = sftp_fsync(s, f, e);
    if (rc == 0)
        rc = sftp_fstat(s, f, &a, e);
    if (rc == 0 && a.has_size && a.size != d->data->len)
        rc = err_set(e, ERR_IO, _("%llu bytes arrived on the disk instead of %llu"),
                     (unsigned long long)a.size, (unsigned long long)d->data->len);
    d->whole = rc == 0;
    return rc;
}

/* Opens a new draft, or the one that a broken connection left; *ret_from: where to go on. */
static int open_draft(struct remote *r, struct sftp *s, struct draft *d, struct sftp_file *f,
                      uint64_t *ret_from, struct err *e)
{
    char path[MAX_SFTP_PATH];
    int rc;
    *ret_from = 0;
    if (d->name[0]) {
        rc = remote_path(r, d->name, path, e);
        if (rc == 0)
            rc = sftp_open(s, path, SFTP_READ | SFTP_WRITE, f, e);
        if (rc == 0)
            return kept_part(s, f, d, ret_from, e);
        if (sftp_broken(s))
            return rc;
        err_clear(e);
    }
    new_draft(d);
    rc = remote_path(r, d->name, path, e);
    return rc < 0 ? rc : sftp_open(s, path, SFTP_WRITE | SFTP_CREATE | SFTP_EXCLUSIVE, f, e);
}

static int make_draft(struct remote *r, struct sftp *s, struct draft *d, struct err *e)
{
    struct sftp_file f = { .len = 0 };
    uint64_t from = 0;
    if (d->whole)
        return 0;
    int rc = open_draft(r, s, d, &f, &from, e);
    if (rc == 0)
        rc = fill(s, &f, d, from, e);
    int closed = sftp_broken(s) ? 0 : sftp_close(s, &f, rc == 0 ? e : NULL);
    rc = rc < 0 ? rc : closed;
    if (rc < 0)
        d->whole = false;
    return rc;
}

/* --- looking ------------------------------------------------------------------------------------------------------ */
/* 1: something has this name (a file of this length unless `len` is NULL); 0: nothing has. */
static int look(struct remote *r, struct sftp *s, const char *name, const uint64_t *len,
                struct err *e)
{
    char path[MAX_SFTP_PATH];
    struct sftp_attrs a = { 0 };
    int rc = remote_path(r, name, path, e);
    if (rc == 0)
        rc = sftp_lstat(s, path, &a, e);
    if (rc == -ERR_ABSENT && !sftp_broken(s)) {
        err_clear(e);
        return 0;
    }
    if (rc == 0 && len)
        rc = remote_must_be_file(&a, e);
    if (rc < 0)
        return rc;
    if (len && a.size != *len)
        return err_set(e, ERR_DAMAGED, _("an object of %llu bytes has this name, not one of %llu"),
                       (unsigned long long)a.size, (unsigned long long)*len);
    return 1;
}

static int rename_named(struct remote *r, struct sftp *s, const char *from, const char *to,
                        struct err *e)
{
    char a[MAX_SFTP_PATH], b[MAX_SFTP_PATH];
    int rc = remote_path(r, from, a, e);
    if (rc == 0)
        rc = remote_path(r, to, b, e);
    if (rc == 0)
        rc = sftp_rename(s, a, b, e);
    if (rc < 0 && rc != -ERR_ABSENT && !sftp_broken(s)) {
        /* "Failure" is also what servers say of a name that is taken. */
        struct err why = *e;
        if (look(r, s, to, NULL, e) == 1)
            return err_set(e, ERR_EXISTS, _("something has the name already"));
        if (!sftp_broken(s))
            *e = why;
    }
    return rc < 0 ? -(int)e->code : 0;
}

/* --- put -------------------------------------------------------------------------------------------------------------- */
struct putting {
    const char *name;
    const char *stamp; /* replace: aside/<stamp>/; NULL: put */
    struct draft draft;
    bool naming; /* the draft may have got its name */
    bool moved;  /* what had the name may be aside */
};

/* One who writes without the vault's lock (a database's log) may have the draft swept away: it is made again. */
static int name_draft(struct remote *r, struct sftp *s, struct putting *p, struct err *e)
{
    int rc = rename_named(r, s, p->draft.name, p->name, e);
    if (rc != -ERR_ABSENT || sftp_broken(s))
        return rc;
    err_clear(e);
    drop_draft(r, s, &p->draft);
    p->draft.whole = false;
    rc = make_draft(r, s, &p->draft, e);
    return rc < 0 ? rc : rename_named(r, s, p->draft.name, p->name, e);
}

static int prepare_folders(struct remote *r, struct sftp *s, const char *folder, struct err *e)
{
    int rc = remote_make_folder(r, s, folder, e);
    return rc < 0 ? rc : remote_make_folder(r, s, "tmp", e);
}

static int put_new(struct remote *r, struct sftp *s, struct putting *p, const char *folder,
                   struct err *e)
{
    int rc = prepare_folders(r, s, folder, e);
    if (rc == 0)
        rc = make_draft(r, s, &p->draft, e);
    if (rc == -ERR_ABSENT && !sftp_broken(s)) { /* somebody took a known folder away */
        remote_forget_folders(r);
        err_clear(e);
        rc = remote_check_root(r, s, e);
        if (rc == 0)
            rc = prepare_folders(r, s, folder, e);
        if (rc == 0)
            rc = make_draft(r, s, &p->draft, e);
    }
    if (rc == 0) {
        rc = name_draft(r, s, p, e);
        if (rc == -ERR_EXISTS) { /* somebody was quicker: as good, if it is the same */
            err_clear(e);
            rc = look(r, s, p->name, &p->draft.data->len, e);
            rc = rc < 0 ? rc : 0;
            drop_draft(r, s, &p->draft);
        }
    }
    return rc < 0 ? rc : remote_sync_folder(r, s, folder, e);
}

static int put_once(struct remote *r, struct sftp *s, void *ctx, struct err *e)
{
    struct putting *p = ctx;
    char folder[MAX_STORE_NAME + 1];
    (void)folder_split(p->name, folder);
    int rc = remote_check_root(r, s, e);
    if (rc == 0)
        rc = look(r, s, p->name, &p->draft.data->len, e);
    /* One that is there may be of a run that was killed before its name was durable. */
    if (rc == 1) {
        drop_draft(r, s, &p->draft);
        rc = remote_sync_folder(r, s, folder, e);
    } else if (rc == 0) {
        rc = put_new(r, s, p, folder, e);
    }
    if (rc < 0 && !sftp_broken(s)) {
        drop_draft(r, s, &p->draft);
        return remote_write_failed(r, s, p->name, p->draft.data->len, e);
    }
    return rc;
}

int remote_put(void *d, const char *name, const struct store_data *data, struct err *e)
{
    struct remote *r = d;
    struct putting p = { .name = name, .draft = { .data = data } };
    int rc = remote_begin_writing(r, e);
    return rc < 0 ? rc : remote_do(r, &r->writer, put_once, &p, e);
}

/* --- setting aside and back ----------------------------------------------------------------------------------------------- */
static void aside_name(char out[2 * MAX_STORE_NAME], const char *stamp, const char *suffix,
                       const char *name)
{
    snprintf(out, 2 * MAX_STORE_NAME, ASIDE_FOLDER "%s%s%s%s", stamp, suffix, name[0] ? "/" : "",
             name);
}

/* Moves to a name in another folder; both ends are durable afterwards, the new one first. */
static int move(struct remote *r, struct sftp *s, const char *from, const char *to, struct err *e)
{
    char a[2 * MAX_STORE_NAME], b[2 * MAX_STORE_NAME];
    (void)folder_split(from, a);
    (void)folder_split(to, b);
    int rc = remote_make_folder(r, s, b, e);
    if (rc == 0)
        rc = rename_named(r, s, from, to, e);
    if (rc == 0)
        rc = remote_sync_folder(r, s, b, e);
    return rc < 0 ? rc : remote_sync_folder(r, s, a, e);
}

/* Whether an earlier try, whose connection broke, got as far as giving the name. */
static int named_already(struct remote *r, struct sftp *s, struct putting *p, struct err *e)
{
    if (!p->naming)
        return 0;
    int there = look(r, s, p->draft.name, NULL, e);
    if (there != 0)
        return there < 0 ? there : 0;
    there = look(r, s, p->name, &p->draft.data->len, e);
    return there == -ERR_DAMAGED && !sftp_broken(s) ? 0 : there;
}

/* The new bytes are whole in tmp/ before anything is touched; if their name cannot be given to them, what had it gets it back. */
static int swap_in(struct remote *r, struct sftp *s, struct putting *p, const char *aside,
                   struct err *e)
{
    char folder[MAX_STORE_NAME + 1];
    (void)folder_split(p->name, folder);
    int there = look(r, s, p->name, NULL, e), rc = there < 0 ? there : 0;
    if (there == 1) {
        bool again = p->moved;
        p->moved = true;
        rc = move(r, s, p->name, aside, e);
        p->moved = rc == 0 || again || sftp_broken(s);
    }
    if (rc < 0)
        return rc;
    p->naming = true;
    rc = rename_named(r, s, p->draft.name, p->name, e);
    if (rc == 0)
        return remote_sync_folder(r, s, folder, e);
    if (!sftp_broken(s) && rc != -ERR_EXISTS && p->moved) {
        struct err why = *e;
        if (move(r, s, aside, p->name, e) == 0 || !sftp_broken(s))
            *e = why;
    }
    return rc;
}

static int replace_once(struct remote *r, struct sftp *s, void *ctx, struct err *e)
{
    struct putting *p = ctx;
    char folder[MAX_STORE_NAME + 1], aside[2 * MAX_STORE_NAME];
    (void)folder_split(p->name, folder);
    aside_name(aside, p->stamp, "", p->name);
    int rc = remote_check_root(r, s, e), done = 0;
    if (rc == 0)
        rc = done = named_already(r, s, p, e);
    if (done == 1)
        return remote_sync_folder(r, s, folder, e);
    if (rc == 0)
        rc = prepare_folders(r, s, folder, e);
    if (rc == 0)
        rc = make_draft(r, s, &p->draft, e);
    if (rc == 0)
        rc = swap_in(r, s, p, aside, e);
    if (rc < 0 && !sftp_broken(s)) {
        if (rc == -ERR_EXISTS)
            err_next(e, _("something was set aside from this name before: look into aside/%s"),
                     p->stamp);
        drop_draft(r, s, &p->draft);
        return remote_write_failed(r, s, p->name, p->draft.data->len, e);
    }
    return rc;
}

int remote_replace(void *d, const char *name, const struct store_data *data, const char *stamp,
                   struct err *e)
{
    struct remote *r = d;
    struct putting p = { .name = name, .stamp = stamp, .draft = { .data = data } };
    int rc = remote_begin_writing(r, e);
    return rc < 0 ? rc : remote_do(r, &r->writer, replace_once, &p, e);
}

struct restoring {
    const char *stamp, *name; /* name: below aside/<stamp>/ */
    bool tried;
};

static int restore_once(struct remote *r, struct sftp *s, void *ctx, struct err *e)
{
    struct restoring *b = ctx;
    char from[2 * MAX_STORE_NAME], undone[2 * MAX_STORE_NAME], folder[MAX_STORE_NAME + 1];
    (void)folder_split(b->name, folder);
    aside_name(from, b->stamp, "", b->name);
    aside_name(undone, b->stamp, UNDONE_SUFFIX, b->name);
    int rc = remote_check_root(r, s, e);
    if (rc == 0 && b->tried) { /* on a connection that broke: is it back already? */
        int there = look(r, s, from, NULL, e);
        if (there <= 0)
            return there;
    }
    b->tried = true;
    if (rc == 0)
        rc = look(r, s, b->name, NULL, e);
    if (rc == 1)
        rc = strlen(undone) > MAX_STORE_NAME
                 ? err_set(e, ERR_LIMIT, _("its name is too long to be set aside"))
                 : move(r, s, b->name, undone, e);
    if (rc == 0)
        rc = move(r, s, from, b->name, e);
    if (rc < 0 && !sftp_broken(s))
        return remote_write_failed(r, s, b->name, 0, e);
    return rc;
}

int remote_restore_aside(void *d, const char *stamp, struct err *e)
{
    struct remote *r = d;
    char prefix[2 * MAX_STORE_NAME];
    struct remote_names l = { 0 };
    int count = 0, rc = remote_begin_writing(r, e);
    if (rc < 0)
        return rc;
    snprintf(prefix, sizeof prefix, ASIDE_FOLDER "%s/", stamp);
    rc = remote_gather(r, &r->writer, prefix, &l, e);
    for (size_t i = 0; i < l.n && rc == 0; i++) {
        struct restoring b = { .stamp = stamp, .name = l.v[i] + strlen(prefix) };
        rc = remote_do(r, &r->writer, restore_once, &b, e);
        count += rc == 0;
    }
    remote_names_done(&l);
    return rc < 0 ? rc : count;
}
