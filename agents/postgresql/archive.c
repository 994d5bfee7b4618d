/* archive.c - see archive.h. */
#include "agents/postgresql/archive.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/crypto/crypto.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define HEX "0123456789ABCDEF"
#define COPY_BYTES (1u << 20)
#define MAX_SEGMENT_BYTES (1u << 30)
#define LONG_HEADER 40
#define FLAG_LONG 2
#define MAX_FILES 10000000

/* --- names -------------------------------------------------------------------------------------- */
static uint32_t word_at(const char *name, size_t at)
{
    char part[9] = "";
    memcpy(part, name + at, 8);
    return (uint32_t)strtoul(part, NULL, 16);
}

bool archive_name_parse(const char *name, struct archive_file *ret)
{
    size_t digits = strspn(name, HEX);
    const char *rest = name + digits;
    *ret = (struct archive_file){ .kind = ARCHIVE_FOREIGN };
    snprintf(ret->name, sizeof ret->name, "%s", name);
    if (digits == 8 && strcmp(rest, ".history") == 0)
        ret->kind = ARCHIVE_HISTORY;
    else if (digits == WAL_NAME_DIGITS && !*rest)
        ret->kind = ARCHIVE_SEGMENT;
    else if (digits == WAL_NAME_DIGITS && strcmp(rest, ".partial") == 0)
        ret->kind = ARCHIVE_PARTIAL;
    else if (digits == WAL_NAME_DIGITS && *rest == '.' && strspn(rest + 1, HEX) == 8 &&
             strcmp(rest + 9, ".backup") == 0)
        ret->kind = ARCHIVE_LABEL;
    else
        return false;
    ret->timeline = word_at(name, 0);
    if (digits == WAL_NAME_DIGITS) {
        ret->log = word_at(name, 8);
        ret->part = word_at(name, 16);
    }
    return true;
}

uint64_t archive_start(const struct archive_file *f, uint64_t segment_bytes)
{
    uint64_t per_log = UINT64_C(0x100000000) / segment_bytes;
    return f->part < per_log ? ((uint64_t)f->log << 32) + f->part * segment_bytes : UINT64_MAX;
}

void archive_segment_name(uint32_t timeline, uint64_t at, uint64_t segment_bytes, char ret[32])
{
    snprintf(ret, 32, "%08X%08X%08X", timeline, (unsigned)(at >> 32),
             (unsigned)((at & UINT32_MAX) / segment_bytes));
}

/* --- what is there ------------------------------------------------------------------------------ */
static int by_kind(const void *a, const void *b)
{
    const struct archive_file *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return strcmp(x->name, y->name); /* of a kind all digits are there: this is their order */
}

static int add_file(struct archive_list *l, size_t *cap, int folder, const char *name,
                    struct err *e)
{
    if (l->n == *cap) {
        size_t more = *cap ? 2 * *cap : 64;
        struct archive_file *grown = more <= MAX_FILES ? realloc(l->v, more * sizeof *grown) : NULL;
        if (!grown)
            return err_set(e, ERR_NOMEM, _("no memory"));
        l->v = grown;
        *cap = more;
    }
    struct archive_file *f = &l->v[l->n];
    archive_name_parse(name, f);
    if (fstatat(folder, name, &f->st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_sys(e, "%s", name);
    if (!S_ISREG(f->st.st_mode))
        f->kind = ARCHIVE_FOREIGN;
    if (f->kind != ARCHIVE_FOREIGN)
        l->bytes += (uint64_t)f->st.st_size;
    l->n++;
    return 0;
}

int archive_list(int folder, struct archive_list *ret, struct err *e)
{
    int fd = sys_openat(folder, ".", O_RDONLY | O_DIRECTORY, 0, e), rc = 0;
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    size_t cap = 0;
    const struct dirent *de;
    *ret = (struct archive_list){ 0 };
    if (!d) {
        sys_close_quiet(fd);
        return fd < 0 ? fd : err_set(e, ERR_NOMEM, _("no memory"));
    }
    for (errno = 0; rc == 0 && (de = readdir(d)); errno = 0)
        if (de->d_name[0] != '.')
            rc = add_file(ret, &cap, folder, de->d_name, e);
    if (rc == 0 && errno)
        rc = err_sys(e, "readdir");
    closedir(d);
    if (ret->n > 1)
        qsort(ret->v, ret->n, sizeof *ret->v, by_kind);
    if (rc < 0)
        archive_list_done(ret);
    return rc;
}

void archive_list_done(struct archive_list *l)
{
    free(l->v);
    *l = (struct archive_list){ 0 };
}

/* --- what a segment says of itself (access/xlog_internal.h: XLogLongPageHeaderData) -------------- */
static uint64_t get(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = n; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

static int check_head(const struct archive_file *f, const uint8_t *p, uint64_t system,
                      uint64_t *ret_system, uint64_t *ret_bytes, struct err *e)
{
    uint64_t bytes = get(p + 32, 4), its = get(p + 24, 8);
    if (!(get(p + 2, 2) & FLAG_LONG) || bytes < (1u << 20) || bytes > MAX_SEGMENT_BYTES ||
        bytes & (bytes - 1) || !its)
        return err_set(e, ERR_DAMAGED, _("it does not begin as a segment of the log does"));
    if (ret_system)
        *ret_system = its;
    if (ret_bytes)
        *ret_bytes = bytes;
    if (system && its != system)
        return err_set(e, ERR_CONFIG, _("it is of another database system (%llu, not %llu)"),
                       (unsigned long long)its, (unsigned long long)system);
    if (get(p + 8, 8) != archive_start(f, bytes) || get(p + 4, 4) > f->timeline)
        return err_set(e, ERR_DAMAGED, _("it is another segment than its name says"));
    if ((uint64_t)f->st.st_size != bytes)
        return err_set(e, ERR_DAMAGED, _("it is %llu bytes long, a segment has %llu"),
                       (unsigned long long)f->st.st_size, (unsigned long long)bytes);
    return 0;
}

int archive_check(int folder, const struct archive_file *f, uint64_t system, uint64_t *ret_system,
                  uint64_t *ret_segment_bytes, struct err *e)
{
    uint8_t head[LONG_HEADER];
    int fd = sys_openat(folder, f->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, e);
    ssize_t n = fd < 0 ? fd : sys_pread(fd, head, sizeof head, 0, e);
    sys_close_quiet(fd);
    int rc = n < 0 ? (int)n
             : n == LONG_HEADER
                 ? check_head(f, head, system, ret_system, ret_segment_bytes, e)
                 : err_set(e, ERR_DAMAGED, _("it does not begin as a segment of the log does"));
    return rc < 0 ? err_wrap(e, "%s", f->name) : 0;
}

/* --- archive_command ---------------------------------------------------------------------------- */
static bool is_named(int folder, const char *name, int fd)
{
    struct stat have, named;
    return fstat(fd, &have) == 0 && fstatat(folder, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           have.st_ino == named.st_ino && have.st_dev == named.st_dev;
}

/* The name under which it is written. What a process left there that is gone is thrown away; nobody writes into what another has
 * begun. */
static int open_new(int folder, const char *temporary, struct err *e)
{
    for (int i = 0; i < 3; i++) {
        int fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
            return fd;
        if (fd < 0 && errno != EEXIST)
            return err_sys(e, "%s", temporary);
        sys_close_quiet(fd);
        fd = openat(folder, temporary, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        bool busy = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0;
        if (fd >= 0 && !busy && is_named(folder, temporary, fd)) /* not what came in its place */
            unlinkat(folder, temporary, 0);
        sys_close_quiet(fd);
        if (busy)
            break;
    }
    return err_set(e, ERR_BUSY, _("another process writes it just now"));
}

static int copy_all(int from, int to, struct err *e)
{
    uint8_t *p = malloc(COPY_BYTES);
    ssize_t n = 1;
    int rc = p ? 0 : err_set(e, ERR_NOMEM, _("no memory"));
    while (rc == 0 && n > 0) {
        n = sys_read(from, p, COPY_BYTES, e);
        rc = n < 0 ? (int)n : n > 0 ? sys_write(to, p, (size_t)n, e) : 0;
    }
    free(p);
    return rc < 0 ? rc : sys_fsync(to, e);
}

/* 1: the same; 0: not. */
static int is_same(int a, int b, struct err *e)
{
    uint8_t *p = malloc(2 * (size_t)COPY_BYTES);
    uint64_t at = 0;
    ssize_t n = 1, m = 1;
    bool same = true;
    if (!p)
        return err_set(e, ERR_NOMEM, _("no memory"));
    while (same && n > 0) {
        n = sys_pread(a, p, COPY_BYTES, at, e);
        m = n < 0 ? n : sys_pread(b, p + COPY_BYTES, COPY_BYTES, at, e);
        same = n == m && n >= 0 && memcmp(p, p + COPY_BYTES, (size_t)n) == 0;
        at += n > 0 ? (uint64_t)n : 0;
    }
    free(p);
    return n < 0 ? (int)n : m < 0 ? (int)m : same;
}

/* The server asks again for what it does not know to be done. */
static int check_there(int folder, int from, const char *name, struct err *e)
{
    int fd = sys_openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, e);
    if (fd < 0)
        return fd;
    int rc = is_same(from, fd, e);
    sys_close_quiet(fd);
    if (rc == 0) {
        err_set(e, ERR_EXISTS, _("a file of that name with other content is there already"));
        return err_next(
            e, _("two servers must not have the same folder; has this one been put back to an "
                 "earlier state? Look at both files, and move the one in the folder away"));
    }
    return rc < 0 ? rc : 1;
}

static int put(int folder, int from, const char *name, struct err *e)
{
    char temporary[ARCHIVE_TEMPORARY_BYTES];
    struct stat st;
    if (fstat(from, &st) < 0 || !S_ISREG(st.st_mode))
        return err_set(e, ERR_FAILED, _("it is no file"));
    if (faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return check_there(folder, from, name, e);
    snprintf(temporary, sizeof temporary, ".%s.new", name);
    int to = open_new(folder, temporary, e);
    if (to < 0)
        return to;
    int rc = copy_all(from, to, e);
    if (rc == 0)
        rc = sys_renameat(folder, temporary, folder, name, false, e);
    if (rc < 0)
        unlinkat(folder, temporary, 0);
    if (rc == -ERR_EXISTS) { /* somebody was faster */
        err_clear(e);
        rc = check_there(folder, from, name, e);
    }
    int closed = sys_close(to, rc < 0 ? NULL : e);
    return rc < 0 ? rc : closed;
}

int archive_put(const char *folder, const char *path, const char *name, struct err *e)
{
    struct archive_file f;
    if (!archive_name_parse(name, &f)) {
        err_set(e, ERR_USAGE, _("\"%s\" is no name of a file of a server's log"), name);
        return err_next(e, "archive_command = 'twofold-agent archive %s %%p %%f'", folder);
    }
    int dir = sys_openat(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY, 0, e);
    if (dir < 0) {
        err_wrap(e, "%s", folder);
        return err_next(
            e, _("make it, for the user that the server runs as: install -d -o postgres -m 700 %s"),
            folder);
    }
    int from = sys_openat(AT_FDCWD, path, O_RDONLY, 0, e), rc = from;
    if (rc >= 0)
        rc = put(dir, from, name, e);
    if (rc >= 0)
        rc = sys_fsync(dir, e);
    sys_close_quiet(from);
    sys_close_quiet(dir);
    return rc < 0 ? err_wrap(e, _("archive %s in %s"), name, folder) : 0;
}

/* --- the agent's own files ---------------------------------------------------------------------- */
char *archive_state_file(const char *state_dir, const char *folder, const char *what)
{
    struct id sum;
    char hex[17], *path = NULL;
    sha256_of(folder, strlen(folder), &sum);
    hex_encode(&sum, 8, hex);
    return asprintf(&path, "%s/archive-%s.%s", state_dir, hex, what) < 0 ? NULL : path;
}

int archive_hold(const char *state_dir, const char *folder, struct err *e)
{
    char *path = archive_state_file(state_dir, folder, "hold");
    int rc = path ? sys_mkdir_p(state_dir, 0700, e) : err_set(e, ERR_NOMEM, _("no memory"));
    if (rc == 0)
        rc = sys_lock_file(path, e);
    free(path);
    return rc;
}

bool archive_held(const char *state_dir, const char *folder)
{
    char *path = archive_state_file(state_dir, folder, "hold");
    bool held = !path || sys_lock_held(path);
    free(path);
    return held;
}
