/* tar.c - entries of a snapshot as pax headers, by libarchive's writer. The manual is restore/tar.h; what
 * follows works around what libarchive 3.4 to 3.7 do with names, times and attributes. */
#include "restore/tar.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define OUT_BYTES (256u << 10)
#define ZERO_BYTES (64u << 20) /* of address space; pages that nobody touches */
#define ACL_VERSION 2
#define BLOCK_BYTES 512

/*
 * libarchive decides how names and attributes are written per archive, not per entry, so there are up to
 * four writers, all to the same stream; each entry is written whole by one of them.
 * - Names go as UTF-8, as POSIX says. Names that are not UTF-8, and those that libarchive's reader would
 *   compose into other bytes (NFC), go by the writer with hdrcharset=BINARY, at the price of a warning by
 *   GNU tar.
 * - Attributes go as SCHILY.xattr, which everybody reads. Names that libarchive would encode there (its
 *   own reader does not decode them) go as LIBARCHIVE.xattr instead.
 */
enum { BINARY_NAMES = 1, ENCODED_XATTRS = 2, WRITERS = 4 };

struct tar {
    int fd;
    struct archive *writers[WRITERS];
    struct archive *current; /* has an entry that was begun */
    struct archive_entry *ae;
    locale_t utf8; /* libarchive converts from the locale's charset */
    void *zeros;
    struct wbuf out, scratch;
    struct err failure; /* of writing to fd */
    bool discard;       /* nothing more goes out */
};

static int flush(struct tar *t)
{
    int rc = sys_write(t->fd, t->out.p, t->out.len, &t->failure);
    wbuf_reset(&t->out);
    return rc;
}

static la_ssize_t write_out(struct archive *a, void *ctx, const void *p, size_t n)
{
    struct tar *t = ctx;
    if (t->discard)
        return -1;
    wb_bytes(&t->out, p, n);
    if (t->out.failed)
        err_set(&t->failure, ERR_NOMEM, _("out of memory"));
    else if (t->out.len < OUT_BYTES || flush(t) == 0)
        return (la_ssize_t)n;
    archive_set_error(a, t->failure.sys, "%s", t->failure.why);
    return -1;
}

static int failed(struct tar *t, struct archive *a, struct err *e)
{
    if (t->failure.code != ERR_NONE) {
        if (e)
            *e = t->failure;
        return -(int)t->failure.code;
    }
    const char *why = archive_error_string(a);
    return err_set(e, ERR_FAILED, "%s", why ? why : _("libarchive cannot write this entry"));
}

static struct archive *writer(struct tar *t, unsigned kind, struct err *e)
{
    if (t->writers[kind])
        return t->writers[kind];
    struct archive *a = archive_write_new();
    const char *options = kind & ENCODED_XATTRS ? "pax:xattrheader=LIBARCHIVE"
                                                : "pax:xattrheader=SCHILY";
    if (!a) {
        err_set(e, ERR_NOMEM, _("out of memory"));
        return NULL;
    }
    if (archive_write_set_format_pax(a) != ARCHIVE_OK ||
        archive_write_add_filter_none(a) != ARCHIVE_OK ||
        archive_write_set_options(a, options) != ARCHIVE_OK ||
        (kind & BINARY_NAMES &&
         archive_write_set_options(a, "pax:hdrcharset=BINARY") != ARCHIVE_OK) ||
        archive_write_set_bytes_per_block(a, 0) != ARCHIVE_OK ||
        archive_write_open(a, t, NULL, write_out, NULL) != ARCHIVE_OK) {
        failed(t, a, e);
        archive_write_free(a);
        return NULL;
    }
    return t->writers[kind] = a;
}

int tar_new(int fd, struct tar **ret, struct err *e)
{
    static const char *const locales[] = { "C.UTF-8", "C.utf8", "en_US.UTF-8", "zh_CN.UTF-8" };
    struct tar *t = calloc(1, sizeof(*t));
    if (!t)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    t->fd = fd;
    t->zeros = MAP_FAILED;
    t->ae = archive_entry_new();
    for (size_t i = 0; t->utf8 == (locale_t)0 && i < sizeof(locales) / sizeof(*locales); i++)
        t->utf8 = newlocale(LC_CTYPE_MASK, locales[i], (locale_t)0);
    if (!t->ae) {
        tar_free(t);
        return err_set(e, ERR_NOMEM, _("out of memory"));
    }
    *ret = t;
    return 0;
}

void tar_free(struct tar *t)
{
    if (!t)
        return;
    t->discard = true; /* each writer would like to write an end of its own */
    for (size_t i = 0; i < WRITERS; i++)
        archive_write_free(t->writers[i]);
    archive_entry_free(t->ae);
    if (t->utf8 != (locale_t)0)
        freelocale(t->utf8);
    if (t->zeros != MAP_FAILED)
        munmap(t->zeros, ZERO_BYTES);
    wbuf_free(&t->out);
    wbuf_free(&t->scratch);
    free(t);
}

/* --- names ------------------------------------------------------------------------------------------ */

/* The next character of valid UTF-8; -1: it is not. Advances *p. */
static int32_t utf8_next(const uint8_t **p, const uint8_t *end)
{
    static const int32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    uint8_t c = *(*p)++;
    if (c < 0x80)
        return c;
    int n = c >= 0xc2 && c <= 0xdf   ? 2
            : c >= 0xe0 && c <= 0xef ? 3
            : c >= 0xf0 && c <= 0xf4 ? 4
                                     : 0;
    if (n == 0 || end - *p < n - 1)
        return -1;
    int32_t u = c & (0xff >> (n + 1));
    for (int i = 1; i < n; i++) {
        c = *(*p)++;
        if ((c & 0xc0) != 0x80)
            return -1;
        u = u << 6 | (c & 0x3f);
    }
    return u < least[n] || u > 0x10ffff || (u >= 0xd800 && u <= 0xdfff) ? -1 : u;
}

/* Wide of the mark on purpose: every block that holds a character which composes with the one before. */
static bool may_compose(int32_t u)
{
    return (u >= 0x300 && u <= 0x36f) || (u >= 0x590 && u <= 0x1dff) || u == 0x3099 ||
           u == 0x309a || (u >= 0x11000 && u <= 0x11fff);
}

static bool needs_binary(const struct tar *t, const char *s, size_t len)
{
    const uint8_t *p = (const uint8_t *)s, *end = p + len;
    while (p < end) {
        int32_t u = utf8_next(&p, end);
        if (u < 0 || may_compose(u) || (u >= 0x80 && t->utf8 == (locale_t)0))
            return true;
    }
    return false;
}

/* NUL-terminated copy in scratch; good until the next call. */
static const char *text(struct tar *t, const char *p, size_t len)
{
    wbuf_reset(&t->scratch);
    wb_bytes(&t->scratch, p, len);
    wb_u8(&t->scratch, 0);
    return t->scratch.failed ? NULL : (const char *)t->scratch.p;
}

/* --- metadata --------------------------------------------------------------------------------------- */

/* The kernel's form (linux/posix_acl_xattr.h): u32 version, then each u16 tag, u16 permissions, u32 id. */
static bool add_acl(struct archive_entry *ae, int type, const struct xattr *x)
{
    static const struct {
        uint16_t kernel;
        int tag;
    } tags[] = { { 0x01, ARCHIVE_ENTRY_ACL_USER_OBJ },  { 0x02, ARCHIVE_ENTRY_ACL_USER },
                 { 0x04, ARCHIVE_ENTRY_ACL_GROUP_OBJ }, { 0x08, ARCHIVE_ENTRY_ACL_GROUP },
                 { 0x10, ARCHIVE_ENTRY_ACL_MASK },      { 0x20, ARCHIVE_ENTRY_ACL_OTHER } };
    struct rbuf r = rbuf_of(x->value, x->len);
    if (rb_u32(&r) != ACL_VERSION)
        return false;
    while (rb_left(&r) > 0) {
        uint16_t kernel = rb_u16(&r), perm = rb_u16(&r);
        uint32_t id = rb_u32(&r);
        size_t i = 0;
        while (i < sizeof(tags) / sizeof(*tags) && tags[i].kernel != kernel)
            i++;
        if (r.bad || i == sizeof(tags) / sizeof(*tags))
            return false;
        bool named = tags[i].tag == ARCHIVE_ENTRY_ACL_USER ||
                     tags[i].tag == ARCHIVE_ENTRY_ACL_GROUP;
        archive_entry_acl_add_entry(ae, type, perm & 7, tags[i].tag, named ? (int)id : -1, NULL);
    }
    return !r.bad;
}

static bool named(const struct xattr *x, const char *name)
{
    return x->name_len == strlen(name) && !memcmp(x->name, name, x->name_len);
}

/* Adds attributes and ACLs; returns 0 or ENCODED_XATTRS, or a negative code. */
static int add_xattrs(struct tar *t, const struct entry *en, struct err *e)
{
    int kind = 0;
    for (size_t i = 0; i < en->n_xattrs; i++) {
        const struct xattr *x = &en->xattrs[i];
        if ((named(x, "system.posix_acl_access") &&
             add_acl(t->ae, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, x)) ||
            (named(x, "system.posix_acl_default") &&
             add_acl(t->ae, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, x)))
            continue;
        for (size_t k = 0; k < x->name_len; k++) {
            unsigned char c = (unsigned char)x->name[k];
            if (c < 33 || c > 126 || c == '%' || c == '=')
                kind = ENCODED_XATTRS;
        }
        const char *name = text(t, x->name, x->name_len);
        if (!name)
            return err_set(e, ERR_NOMEM, _("out of memory"));
        archive_entry_xattr_add_entry(t->ae, name, x->value, x->len);
    }
    return kind;
}

static mode_t file_type(enum entry_type type)
{
    switch (type) {
    case ENTRY_DIR:
        return AE_IFDIR;
    case ENTRY_SYMLINK:
        return AE_IFLNK;
    case ENTRY_FIFO:
        return AE_IFIFO;
    case ENTRY_CHAR:
        return AE_IFCHR;
    case ENTRY_BLOCK:
        return AE_IFBLK;
    default: /* files, hard links */
        return AE_IFREG;
    }
}

/* pax times are decimal numbers. libarchive writes the two parts one after the other as they are, which
 * is only right when they have the same sign. "-0.x" cannot be had that way: its fraction is dropped. */
static void set_mtime(struct archive_entry *ae, int64_t s, uint32_t ns)
{
    if (s < -1 && ns > 0)
        archive_entry_set_mtime(ae, s + 1, 1000000000L - (long)ns);
    else
        archive_entry_set_mtime(ae, s, s == -1 ? 0 : (long)ns);
}

/* GNU tar starts every stretch of data at a new block, so the stretches are widened to whole blocks; the
 * bytes of holes in them are written as zeros (tar_hole does so anyway). */
static void set_holes(struct archive_entry *ae, const struct tar_item *it)
{
    const uint64_t size = it->en->size;
    uint64_t begin = 0, end = 0;
    for (size_t i = 0; i < it->n_runs; i++) {
        uint64_t from = it->runs[i].off - it->runs[i].off % BLOCK_BYTES;
        uint64_t to = it->runs[i].off + it->runs[i].len + BLOCK_BYTES - 1;
        to = to - to % BLOCK_BYTES < size ? to - to % BLOCK_BYTES : size;
        if (from > end) {
            if (end > begin)
                archive_entry_sparse_add_entry(ae, (int64_t)begin, (int64_t)(end - begin));
            begin = from;
        }
        end = to;
    }
    if (end > begin)
        archive_entry_sparse_add_entry(ae, (int64_t)begin, (int64_t)(end - begin));
    else
        archive_entry_sparse_add_entry(ae, (int64_t)size, 0); /* nothing but a hole */
}

/* Fills t->ae. Returns which writer is to take it, or a negative code. */
static int fill(struct tar *t, const struct tar_item *it, struct err *e)
{
    const struct entry *en = it->en;
    struct archive_entry *ae = archive_entry_clear(t->ae);
    int kind = needs_binary(t, it->path, it->path_len) ? BINARY_NAMES : 0;
    const char *s = text(t, it->path, it->path_len);

    if (!s)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    archive_entry_copy_pathname(ae, s);
    archive_entry_set_mode(ae, file_type(en->type) | (en->mode & 07777));
    archive_entry_set_uid(ae, en->uid);
    archive_entry_set_gid(ae, en->gid);
    set_mtime(ae, en->mtime_s, en->mtime_ns);
    archive_entry_set_size(ae, en->type == ENTRY_FILE ? (int64_t)en->size : 0);
    if (en->type == ENTRY_HARDLINK || en->type == ENTRY_SYMLINK) {
        const char *target = en->type == ENTRY_HARDLINK ? it->target : en->target;
        size_t len = en->type == ENTRY_HARDLINK ? it->target_len : en->target_len;
        if (needs_binary(t, target, len))
            kind |= BINARY_NAMES;
        if (!(s = text(t, target, len)))
            return err_set(e, ERR_NOMEM, _("out of memory"));
        if (en->type == ENTRY_HARDLINK) {
            archive_entry_copy_hardlink(ae, s);
            return kind; /* everything else stands in the file's own entry */
        }
        archive_entry_copy_symlink(ae, s);
    }
    if (en->type == ENTRY_CHAR || en->type == ENTRY_BLOCK) {
        archive_entry_set_rdevmajor(ae, en->dev_major);
        archive_entry_set_rdevminor(ae, en->dev_minor);
    }
    if (it->sparse && en->type == ENTRY_FILE && en->size > 0)
        set_holes(ae, it);
    if (en->fflags)
        archive_entry_set_fflags(ae, en->fflags, 0);
    int more = add_xattrs(t, en, e);
    return more < 0 ? more : kind | more;
}

/* --- the stream ------------------------------------------------------------------------------------- */

static int end_entry(struct tar *t, struct err *e)
{
    struct archive *a = t->current;
    t->current = NULL;
    if (a && archive_write_finish_entry(a) < ARCHIVE_WARN)
        return failed(t, a, e);
    return 0;
}

int tar_header(struct tar *t, const struct tar_item *item, struct err *e)
{
    int rc = end_entry(t, e);
    if (rc < 0 || (rc = fill(t, item, e)) < 0)
        return rc;
    struct archive *a = writer(t, (unsigned)rc, e);
    if (!a)
        return -ERR_FAILED;
    locale_t before = t->utf8 != (locale_t)0 ? uselocale(t->utf8) : (locale_t)0;
    rc = archive_write_header(a, t->ae);
    if (before != (locale_t)0)
        uselocale(before);
    if (rc < ARCHIVE_WARN)
        return failed(t, a, e);
    t->current = a;
    return 0;
}

int tar_data(struct tar *t, const void *p, size_t n, struct err *e)
{
    const uint8_t *in = p;
    while (n > 0) {
        la_ssize_t done = archive_write_data(t->current, in, n);
        if (done <= 0)
            return failed(t, t->current, e);
        in += done;
        n -= (size_t)done;
    }
    return 0;
}

int tar_hole(struct tar *t, uint64_t n, struct err *e)
{
    if (n > 0 && t->zeros == MAP_FAILED) {
        t->zeros = mmap(NULL, ZERO_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                        -1, 0);
        if (t->zeros == MAP_FAILED)
            return err_set(e, ERR_NOMEM, _("out of memory"));
    }
    while (n > 0) {
        size_t part = n < ZERO_BYTES ? (size_t)n : ZERO_BYTES;
        int rc = tar_data(t, t->zeros, part, e);
        if (rc < 0)
            return rc;
        n -= part;
    }
    return 0;
}

int tar_finish(struct tar *t, struct err *e)
{
    int rc = end_entry(t, e);
    if (rc < 0)
        return rc;
    struct archive *a = writer(t, 0, e);
    if (!a)
        return -ERR_FAILED;
    if (archive_write_close(a) < ARCHIVE_WARN || flush(t) < 0)
        return failed(t, a, e);
    return 0;
}
