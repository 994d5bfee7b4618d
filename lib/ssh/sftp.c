/* sftp.c - SFTP's requests about files and folders. See sftp.h. */
#include "lib/ssh/sftp.h"
#include "lib/base/i18n.h"
#include "lib/ssh/sftp_impl.h"

#include <stdlib.h>
#include <string.h>

#define VERSION 3
#define FOLDER_MODE 0700
#define FILE_MODE 0600
#define ATTR_MODE 4
#define MAX_NAME_BYTES 255
#define MAX_AT_ONCE 16
#define MAX_EXTENSIONS 64
#define WRITE_OVERHEAD 1024

/* --- one question, one answer --------------------------------------------------------------------------- */
static int no_path(const char *path, struct err *e)
{
    return strlen(path) <= MAX_SFTP_PATH ? 0 : err_set(e, ERR_LIMIT, _("the path is too long"));
}

/* Sends what lies in s->out (request `id`) and takes the answer of type `want`, or the status instead: then what that says, and
 * 0 only where a status was wanted. */
static int question(struct sftp *s, uint32_t id, unsigned want, struct packet *ret, bool *ret_eof,
                    struct err *e)
{
    *ret = (struct packet){ .type = 0 };
    int rc = packet_send(s, NULL, 0, e);
    if (rc == 0)
        rc = packet_receive(s, ret, e);
    if (rc < 0)
        return rc;
    if (ret->id != id || (ret->type != want && ret->type != FXP_STATUS))
        return packet_bad(s, e);
    if (ret->type == want && want != FXP_STATUS)
        return 0;
    rc = packet_status(s, ret, ret_eof, e);
    return rc == 0 && want != FXP_STATUS ? packet_bad(s, e) : rc;
}

static int simple(struct sftp *s, uint32_t id, size_t start, struct err *e)
{
    struct packet p;
    packet_end(s, start, 0);
    return question(s, id, FXP_STATUS, &p, NULL, e);
}

static int path_request(struct sftp *s, unsigned type, const char *path, struct err *e)
{
    size_t start;
    int rc = no_path(path, e);
    if (rc < 0)
        return rc;
    uint32_t id = packet_begin(s, type, &start);
    pk_text(&s->out, path);
    return simple(s, id, start, e);
}

/* --- the greeting ------------------------------------------------------------------------------------------- */
static bool is_text(const uint8_t *p, size_t n, const char *text)
{
    return p && n == strlen(text) && memcmp(p, text, n) == 0;
}

static int take_version(struct sftp *s, bool *ret_limits, struct err *e)
{
    struct packet p;
    size_t n, m;
    int rc = packet_receive(s, &p, e);
    if (rc < 0)
        return rc;
    if (p.type != FXP_VERSION)
        return packet_bad(s, e);
    if (p.id != VERSION) {
        s->broken = true;
        return err_set(e, ERR_VERSION, _("the server speaks SFTP %u, not %u"), (unsigned)p.id,
                       VERSION);
    }
    for (int i = 0; rb_left(&p.body) > 0 && i < MAX_EXTENSIONS; i++) {
        const uint8_t *name = pk_take_string(&p.body, MAX_PACKET_BYTES, &n);
        const uint8_t *version = pk_take_string(&p.body, MAX_PACKET_BYTES, &m);
        if (p.body.bad)
            return packet_bad(s, e);
        if (is_text(name, n, "fsync@openssh.com") && is_text(version, m, "1"))
            s->features |= SFTP_FSYNC;
        if (is_text(name, n, "statvfs@openssh.com") && is_text(version, m, "2"))
            s->features |= SFTP_STATVFS;
        if (is_text(name, n, "limits@openssh.com") && is_text(version, m, "1"))
            *ret_limits = true;
    }
    return 0;
}

static size_t within(uint64_t said, size_t otherwise)
{
    return said == 0 ? otherwise : said < MAX_DATA_BYTES ? (size_t)said : MAX_DATA_BYTES;
}

static int ask_limits(struct sftp *s, struct err *e)
{
    size_t start;
    struct packet p;
    struct err ignored = ERR_INIT;
    uint32_t id = packet_begin(s, FXP_EXTENDED, &start);
    pk_text(&s->out, "limits@openssh.com");
    packet_end(s, start, 0);
    int rc = question(s, id, FXP_EXTENDED_REPLY, &p, NULL, &ignored);
    if (rc < 0 && s->broken && e)
        *e = ignored;
    if (rc < 0)
        return s->broken ? rc : 0;
    uint64_t packet = pk_take_u64(&p.body), most_read = pk_take_u64(&p.body),
             most_write = pk_take_u64(&p.body);
    if (p.body.bad)
        return packet_bad(s, e);
    s->max_read = within(most_read, DEFAULT_DATA_BYTES);
    s->max_write = within(most_write, DEFAULT_DATA_BYTES);
    if (packet > 0 && (packet < WRITE_OVERHEAD * 2 || packet - WRITE_OVERHEAD < s->max_write))
        s->max_write = DEFAULT_DATA_BYTES;
    return 0;
}

static int greet(struct sftp *s, struct err *e)
{
    bool limits = false;
    pk_u32(&s->out, 1 + 4);
    wb_u8(&s->out, FXP_INIT);
    pk_u32(&s->out, VERSION);
    int rc = packet_send(s, NULL, 0, e);
    if (rc == 0)
        rc = take_version(s, &limits, e);
    return rc == 0 && limits ? ask_limits(s, e) : rc;
}

int sftp_new(int fd, unsigned deadline_ms, struct rate *rate, struct sftp **ret, struct err *e)
{
    struct sftp *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, _("no memory"));
    s->fd = fd;
    s->deadline_ms = deadline_ms ? deadline_ms : SFTP_ANSWER_MS;
    s->rate = rate;
    s->max_read = s->max_write = DEFAULT_DATA_BYTES;
    s->cap = 2 * MAX_PACKET_BYTES;
    s->in = malloc(s->cap);
    s->scratch = malloc(MAX_DATA_BYTES);
    int rc = s->in && s->scratch ? greet(s, e) : err_set(e, ERR_NOMEM, _("no memory"));
    if (rc < 0) {
        sftp_free(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void sftp_free(struct sftp *s)
{
    if (!s)
        return;
    wbuf_free(&s->out);
    free(s->in);
    free(s->scratch);
    free(s);
}

bool sftp_broken(const struct sftp *s)
{
    return s->broken;
}

unsigned sftp_features(const struct sftp *s)
{
    return s->features;
}

/* --- files ------------------------------------------------------------------------------------------------------ */
static int copy_handle(struct sftp *s, struct packet *p, struct sftp_file *ret, struct err *e)
{
    size_t n = 0;
    const uint8_t *handle = pk_take_string(&p->body, MAX_SFTP_HANDLE, &n);
    if (!handle || n == 0)
        return packet_bad(s, e);
    memcpy(ret->handle, handle, n);
    ret->len = n;
    return 0;
}

static int take_handle(struct sftp *s, uint32_t id, size_t start, struct sftp_file *ret,
                       struct err *e)
{
    struct packet p;
    packet_end(s, start, 0);
    int rc = question(s, id, FXP_HANDLE, &p, NULL, e);
    return rc < 0 ? rc : copy_handle(s, &p, ret, e);
}

int sftp_open(struct sftp *s, const char *path, unsigned flags, struct sftp_file *ret,
              struct err *e)
{
    size_t start;
    int rc = no_path(path, e);
    if (rc < 0)
        return rc;
    uint32_t id = packet_begin(s, FXP_OPEN, &start);
    pk_text(&s->out, path);
    pk_u32(&s->out, flags);
    pk_u32(&s->out, flags & SFTP_CREATE ? ATTR_MODE : 0);
    if (flags & SFTP_CREATE)
        pk_u32(&s->out, FILE_MODE);
    return take_handle(s, id, start, ret, e);
}

int sftp_close(struct sftp *s, struct sftp_file *f, struct err *e)
{
    size_t start;
    if (f->len == 0)
        return 0;
    uint32_t id = packet_begin(s, FXP_CLOSE, &start);
    pk_string(&s->out, f->handle, f->len);
    f->len = 0;
    return simple(s, id, start, e);
}

int sftp_close_later(struct sftp *s, struct sftp_file *f, struct err *e)
{
    size_t start;
    if (f->len == 0)
        return 0;
    packet_ignore(s, packet_begin(s, FXP_CLOSE, &start));
    pk_string(&s->out, f->handle, f->len);
    packet_end(s, start, 0);
    f->len = 0;
    return packet_send(s, NULL, 0, e);
}

int sftp_fsync(struct sftp *s, const struct sftp_file *f, struct err *e)
{
    size_t start;
    uint32_t id = packet_begin(s, FXP_EXTENDED, &start);
    pk_text(&s->out, "fsync@openssh.com");
    pk_string(&s->out, f->handle, f->len);
    return simple(s, id, start, e);
}

static int take_attrs(struct sftp *s, uint32_t id, struct sftp_attrs *ret, struct err *e)
{
    struct packet p;
    int rc = question(s, id, FXP_ATTRS, &p, NULL, e);
    if (rc < 0)
        return rc;
    return packet_attrs(&p.body, ret) ? 0 : packet_bad(s, e);
}

int sftp_fstat(struct sftp *s, const struct sftp_file *f, struct sftp_attrs *ret, struct err *e)
{
    size_t start;
    uint32_t id = packet_begin(s, FXP_FSTAT, &start);
    pk_string(&s->out, f->handle, f->len);
    packet_end(s, start, 0);
    return take_attrs(s, id, ret, e);
}

/* --- paths --------------------------------------------------------------------------------------------------------- */
int sftp_lstat(struct sftp *s, const char *path, struct sftp_attrs *ret, struct err *e)
{
    size_t start;
    int rc = no_path(path, e);
    if (rc < 0)
        return rc;
    uint32_t id = packet_begin(s, FXP_LSTAT, &start);
    pk_text(&s->out, path);
    packet_end(s, start, 0);
    return take_attrs(s, id, ret, e);
}

/* The answer to one of n questions whose ids follow each other. */
static int take_one_of(struct sftp *s, uint32_t first, size_t n, bool *seen,
                       struct sftp_attrs ret[], int rc[], struct err *e)
{
    struct packet p;
    struct err said = ERR_INIT;
    int got = packet_receive(s, &p, e);
    if (got < 0)
        return got;
    size_t i = p.id - first;
    if (i >= n || seen[i] || (p.type != FXP_ATTRS && p.type != FXP_STATUS))
        return packet_bad(s, e);
    seen[i] = true;
    if (p.type == FXP_ATTRS) {
        rc[i] = 0;
        return packet_attrs(&p.body, &ret[i]) ? 0 : packet_bad(s, e);
    }
    rc[i] = packet_status(s, &p, NULL, &said);
    return rc[i] == 0 || s->broken ? packet_bad(s, e) : 0;
}

int sftp_lstat_all(struct sftp *s, const char *const paths[], size_t n, struct sftp_attrs ret[],
                   int rc[], struct err *e)
{
    bool seen[MAX_AT_ONCE] = { false };
    int got = n <= MAX_AT_ONCE ? 0 : err_set(e, ERR_LIMIT, _("too much at once"));
    for (size_t i = 0; i < n && got == 0; i++)
        got = no_path(paths[i], e);
    if (got < 0)
        return got;
    uint32_t first = s->last_id + 1;
    for (size_t i = 0; i < n; i++) {
        size_t start;
        packet_begin(s, FXP_LSTAT, &start);
        pk_text(&s->out, paths[i]);
        packet_end(s, start, 0);
    }
    got = packet_send(s, NULL, 0, e);
    for (size_t i = 0; i < n && got == 0; i++)
        got = take_one_of(s, first, n, seen, ret, rc, e);
    return got;
}

int sftp_mkdir(struct sftp *s, const char *path, struct err *e)
{
    size_t start;
    int rc = no_path(path, e);
    if (rc < 0)
        return rc;
    uint32_t id = packet_begin(s, FXP_MKDIR, &start);
    pk_text(&s->out, path);
    pk_u32(&s->out, ATTR_MODE);
    pk_u32(&s->out, FOLDER_MODE);
    return simple(s, id, start, e);
}

int sftp_rename(struct sftp *s, const char *from, const char *to, struct err *e)
{
    size_t start;
    int rc = no_path(from, e);
    if (rc == 0)
        rc = no_path(to, e);
    if (rc < 0)
        return rc;
    uint32_t id = packet_begin(s, FXP_RENAME, &start);
    pk_text(&s->out, from);
    pk_text(&s->out, to);
    return simple(s, id, start, e);
}

int sftp_remove(struct sftp *s, const char *path, struct err *e)
{
    return path_request(s, FXP_REMOVE, path, e);
}

/* --- folders ------------------------------------------------------------------------------------------------------- */
/* The names of one answer. *budget: how many may still come. */
static int take_names(struct sftp *s, struct packet *p, sftp_entry_fn *fn, void *ctx,
                      size_t *budget, struct err *e)
{
    uint32_t count = pk_take_u32(&p->body);
    if (count == 0)
        return packet_bad(s, e);
    for (uint32_t i = 0; i < count; i++) {
        char name[MAX_NAME_BYTES + 1];
        struct sftp_attrs a;
        size_t n = 0, ignored = 0;
        const uint8_t *text = pk_take_string(&p->body, MAX_PACKET_BYTES, &n);
        pk_take_string(&p->body, MAX_PACKET_BYTES, &ignored); /* as ls -l shows it */
        if (!packet_attrs(&p->body, &a) || !text)
            return packet_bad(s, e);
        if ((*budget)-- == 0)
            return err_set(e, ERR_LIMIT, _("the folder has more than %d entries"),
                           MAX_SFTP_ENTRIES);
        if (n == 0 || n > MAX_NAME_BYTES || memchr(text, '\0', n) || is_text(text, n, ".") ||
            is_text(text, n, ".."))
            continue;
        memcpy(name, text, n);
        name[n] = '\0';
        int rc = fn(ctx, name, &a);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int read_folder(struct sftp *s, const struct sftp_file *f, sftp_entry_fn *fn, void *ctx,
                       struct err *e)
{
    size_t start, budget = MAX_SFTP_ENTRIES;
    for (;;) {
        struct packet p;
        bool eof = false;
        uint32_t id = packet_begin(s, FXP_READDIR, &start);
        pk_string(&s->out, f->handle, f->len);
        packet_end(s, start, 0);
        int rc = question(s, id, FXP_NAME, &p, &eof, e);
        if (rc < 0 && eof) {
            err_clear(e);
            return 0;
        }
        if (rc == 0)
            rc = take_names(s, &p, fn, ctx, &budget, e);
        if (rc != 0)
            return rc;
    }
}

int sftp_list(struct sftp *s, const char *path, sftp_entry_fn *fn, void *ctx, struct err *e)
{
    struct sftp_file f = { .len = 0 };
    size_t start;
    int rc = no_path(path, e);
    if (rc < 0)
        return rc;
    uint32_t id = packet_begin(s, FXP_OPENDIR, &start);
    pk_text(&s->out, path);
    rc = take_handle(s, id, start, &f, e);
    if (rc < 0)
        return rc;
    rc = read_folder(s, &f, fn, ctx, e);
    int closed = s->broken ? 0 : sftp_close(s, &f, rc == 0 ? e : NULL);
    return rc != 0 ? rc : closed;
}

int sftp_statvfs(struct sftp *s, const char *path, struct sftp_space *ret, struct err *e)
{
    size_t start;
    struct packet p;
    uint64_t v[11];
    int rc = no_path(path, e);
    if (rc < 0)
        return rc;
    uint32_t id = packet_begin(s, FXP_EXTENDED, &start);
    pk_text(&s->out, "statvfs@openssh.com");
    pk_text(&s->out, path);
    packet_end(s, start, 0);
    rc = question(s, id, FXP_EXTENDED_REPLY, &p, NULL, e);
    if (rc < 0)
        return rc;
    /* bsize, frsize, blocks, bfree, bavail, files, ffree, favail, fsid, flag, namemax */
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        v[i] = pk_take_u64(&p.body);
    uint64_t total = 0, avail = 0;
    if (p.body.bad || __builtin_mul_overflow(v[2], v[1], &total) ||
        __builtin_mul_overflow(v[4], v[1], &avail))
        return packet_bad(s, e);
    *ret = (struct sftp_space){
        .free_bytes = avail, .total_bytes = total, .fsid = v[8], .read_only = v[9] & 1
    };
    return 0;
}
