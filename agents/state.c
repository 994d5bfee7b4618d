/* state.c - see agents/state.h. */
#include "agents/state.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/crypto/crypto.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAGIC "TWFS"
#define VERSION 1
#define BUFFER_BYTES (256u << 10)
#define SUMMARY_BYTES (ID_BYTES + 4 * 8u)
#define FOOT_BYTES (4 + SUMMARY_BYTES + ID_BYTES) /* the final u32 0, the summary, the hash */
#define MAX_NAME_BYTES 255
#define SUMS_MAGIC "TWFP"
#define SUMS_HEAD_BYTES ID_BYTES
#define SUMS_BUFFER 4096 /* sums */
#define SIGS_MAGIC "TWFG"
#define SIGS_HEAD_BYTES ID_BYTES
#define MIN_REGION_SUMS (REGION_BYTES >> MAX_PAGE_BITS) /* the fewest that a whole region has */

void state_name(const struct state_key *k, char ret[STATE_NAME_BYTES])
{
    struct wbuf w = WBUF_INIT;
    struct id h;
    char hex[ID_HEX_BYTES];
    wb_id(&w, k->vault_id);
    wb_str(&w, k->policy);
    wb_str(&w, k->source);
    sha256_of(w.p, w.len, &h);
    wbuf_free(&w);
    snprintf(ret, STATE_NAME_BYTES, "%.32s", id_hex(&h, hex));
}

struct names {
    char state[STATE_NAME_BYTES + 8], fresh[STATE_NAME_BYTES + 8];
    char sums[STATE_NAME_BYTES + 8], fresh_sums[STATE_NAME_BYTES + 12];
    char sigs[STATE_NAME_BYTES + 8], fresh_sigs[STATE_NAME_BYTES + 12];
};

static void file_names(const struct state_key *k, struct names *ret)
{
    char base[STATE_NAME_BYTES];
    state_name(k, base);
    snprintf(ret->state, sizeof ret->state, "%s.state", base);
    snprintf(ret->fresh, sizeof ret->fresh, "%s.new", base);
    snprintf(ret->sums, sizeof ret->sums, "%s.sums", base);
    snprintf(ret->fresh_sums, sizeof ret->fresh_sums, "%s.sums-new", base);
    snprintf(ret->sigs, sizeof ret->sigs, "%s.sigs", base);
    snprintf(ret->fresh_sigs, sizeof ret->fresh_sigs, "%s.sigs-new", base);
}

/* Where the anchors of a region are, of a file whose sums of pages begin at `at`: no region has fewer sums than MIN_REGION_SUMS,
 * so that no two files get the same place. */
static uint64_t anchors_at(uint64_t at, uint64_t region)
{
    uint64_t first = (at - SUMS_HEAD_BYTES) / sizeof(struct id) / MIN_REGION_SUMS;
    return SIGS_HEAD_BYTES + (first + region) * sizeof(struct anchor_sums);
}

static void write_head(struct wbuf *w, const struct state_key *k)
{
    wb_bytes(w, MAGIC, 4);
    wb_u8(w, VERSION);
    wb_id(w, k->vault_id);
    wb_str(w, k->policy);
    wb_str(w, k->source);
}

/* --- reading ---------------------------------------------------------------------------------- */
struct state_reader {
    int fd, sums_fd, sigs_fd; /* the latter -1 when there are none */
    bool borrowed;            /* descriptors: another's */
    uint64_t pos, end;        /* of the leaves */
    struct state_place place; /* of `at` */
    struct state_summary sum;
    struct wbuf leaf;
    struct leaf_reader *reader; /* of that leaf */
    struct entry at;            /* the entry that we are at */
    bool have;                  /* there is one */
};

/* One pass over the file: its hash must be right before any of it is believed. */
static int check_hash(int fd, uint64_t size, struct err *e)
{
    uint8_t *buf = malloc(BUFFER_BYTES), stated[ID_BYTES];
    struct sha256 *h = sha256_new();
    struct id real;
    int rc = buf ? 0 : err_set(e, ERR_NOMEM, _("no memory"));
    uint64_t at = 0, end = size - ID_BYTES;
    while (rc == 0 && at < end) {
        size_t want = end - at < BUFFER_BYTES ? (size_t)(end - at) : BUFFER_BYTES;
        ssize_t n = sys_pread(fd, buf, want, at, e);
        if (n <= 0)
            rc = n < 0 ? (int)n : err_set(e, ERR_DAMAGED, _("it ends early"));
        else
            sha256_update(h, buf, (size_t)n);
        at += n > 0 ? (uint64_t)n : 0;
    }
    if (rc == 0 && sys_pread(fd, stated, ID_BYTES, end, e) != ID_BYTES)
        rc = err_set(e, ERR_DAMAGED, _("it ends early"));
    if (rc == 0) {
        sha256_final(h, &real);
        if (memcmp(real.b, stated, ID_BYTES) != 0)
            rc = err_set(e, ERR_DAMAGED, _("its bytes are not what was written"));
    }
    sha256_free(h);
    free(buf);
    return rc;
}

static int read_ends(struct state_reader *s, uint64_t size, const struct state_key *k,
                     struct err *e)
{
    uint8_t head[4 + 1 + ID_BYTES + 2 * (MAX_NAME_BYTES + 2)], foot[SUMMARY_BYTES];
    struct wbuf expect = WBUF_INIT;
    write_head(&expect, k);
    bool same = !expect.failed && expect.len <= sizeof head && size >= expect.len + FOOT_BYTES &&
                sys_pread(s->fd, head, expect.len, 0, e) == (ssize_t)expect.len &&
                memcmp(head, expect.p, expect.len) == 0;
    s->pos = expect.len;
    wbuf_free(&expect);
    if (!same)
        return err_set(e, ERR_DAMAGED, _("it is of another source or version"));
    s->end = size - FOOT_BYTES;
    if (sys_pread(s->fd, foot, sizeof foot, s->end + 4, e) != (ssize_t)sizeof foot)
        return err_set(e, ERR_DAMAGED, _("it ends early"));
    struct rbuf r = rbuf_of(foot, sizeof foot);
    rb_id(&r, &s->sum.snapshot);
    s->sum.started_ns = (int64_t)rb_u64(&r);
    s->sum.ended_ns = (int64_t)rb_u64(&r);
    s->sum.files = rb_u64(&r);
    s->sum.bytes = rb_u64(&r);
    return 0;
}

/* Moves to the next entry; at the end or at damage there is none. */
static void advance(struct state_reader *s)
{
    s->have = false;
    for (;;) {
        if (s->reader && leaf_next(s->reader, &s->at, NULL) == 1) {
            s->have = true;
            s->place.entry++;
            return;
        }
        leaf_reader_free(s->reader);
        s->reader = NULL;
        uint8_t len_bytes[4];
        if (s->end - s->pos < 4 || sys_pread(s->fd, len_bytes, 4, s->pos, NULL) != 4)
            return;
        struct rbuf r = rbuf_of(len_bytes, 4);
        uint32_t len = rb_u32(&r);
        if (len == 0 || len > MAX_LEAF_BYTES || len > s->end - s->pos - 4)
            return;
        wbuf_reset(&s->leaf);
        uint8_t *to = wb_grow(&s->leaf, len);
        if (!to || sys_pread(s->fd, to, len, s->pos + 4, NULL) != (ssize_t)len ||
            leaf_reader_new(to, len, true, &s->reader, NULL) < 0)
            return;
        s->place = (struct state_place){ .leaf_at = s->pos };
        s->pos += 4 + (uint64_t)len;
    }
}

int state_open(int dir_fd, const struct state_key *k, struct state_reader **ret, struct err *e)
{
    struct names names = { 0 };
    file_names(k, &names);
    *ret = NULL;
    int fd = sys_openat(dir_fd, names.state, O_RDONLY, 0, e);
    if (fd < 0)
        return fd == -ERR_ABSENT ? 0 : fd;
    struct stat st;
    struct state_reader *s = calloc(1, sizeof *s);
    int rc = s ? 0 : err_set(e, ERR_NOMEM, _("no memory"));
    if (!s) {
        sys_close_quiet(fd);
        return rc;
    }
    s->fd = fd;
    s->sums_fd = sys_openat(dir_fd, names.sums, O_RDONLY | O_NOFOLLOW, 0, NULL);
    s->sigs_fd = sys_openat(dir_fd, names.sigs, O_RDONLY | O_NOFOLLOW, 0, NULL);
    if (fstat(fd, &st) < 0)
        rc = err_sys(e, _("state of the last run"));
    if (rc == 0)
        rc = read_ends(s, (uint64_t)st.st_size, k, e);
    if (rc == 0)
        rc = check_hash(fd, (uint64_t)st.st_size, e);
    if (rc < 0) {
        state_close(s);
        return err_wrap(e, _("state of the last run"));
    }
    advance(s);
    *ret = s;
    return 0;
}

void state_close(struct state_reader *s)
{
    if (!s)
        return;
    leaf_reader_free(s->reader);
    wbuf_free(&s->leaf);
    if (!s->borrowed) {
        sys_close_quiet(s->fd);
        sys_close_quiet(s->sums_fd);
        sys_close_quiet(s->sigs_fd);
    }
    free(s);
}

const struct state_summary *state_summary(const struct state_reader *s)
{
    return &s->sum;
}

const struct entry *state_seek(struct state_reader *s, const char *path, size_t len)
{
    while (s->have) {
        int c = path_cmp(s->at.path, s->at.path_len, path, len);
        if (c == 0 && s->at.type != ENTRY_MORE)
            return &s->at;
        if (c > 0)
            return NULL;
        advance(s);
    }
    return NULL;
}

const struct entry *state_more(struct state_reader *s)
{
    advance(s);
    return s->have && s->at.type == ENTRY_MORE ? &s->at : NULL;
}

bool state_page_sums(const struct state_reader *s, uint64_t at, struct id *ret, size_t n)
{
    size_t bytes = n * sizeof *ret;
    return s->sums_fd >= 0 && at >= SUMS_HEAD_BYTES &&
           sys_pread(s->sums_fd, ret, bytes, at, NULL) == (ssize_t)bytes;
}

size_t state_anchors(const struct state_reader *s, uint64_t at, uint64_t region,
                     struct anchor_sums *ret, size_t n)
{
    ssize_t got = 0;
    if (s->sigs_fd >= 0 && at >= SUMS_HEAD_BYTES)
        got = sys_pread(s->sigs_fd, ret, n * sizeof *ret, anchors_at(at, region), NULL);
    return got > 0 ? (size_t)got / sizeof *ret : 0;
}

struct state_place state_place(const struct state_reader *s)
{
    return s->place;
}

struct state_reader *state_again(const struct state_reader *s, struct state_place place,
                                 const struct entry **ret)
{
    struct state_reader *n = calloc(1, sizeof *n);
    if (!n)
        return NULL;
    n->fd = s->fd;
    n->sums_fd = s->sums_fd;
    n->sigs_fd = s->sigs_fd;
    n->borrowed = true;
    n->pos = place.leaf_at;
    n->end = s->end;
    n->sum = s->sum;
    do
        advance(n);
    while (n->have && n->place.leaf_at == place.leaf_at && n->place.entry < place.entry);
    if (n->have && n->place.leaf_at == place.leaf_at) {
        *ret = &n->at;
        return n;
    }
    state_close(n);
    return NULL;
}

/* --- writing ---------------------------------------------------------------------------------- */
struct sums_writer {
    int fd; /* -1: none was needed yet, or it failed */
    bool failed;
    uint64_t at; /* where what is buffered begins */
    struct id buffer[SUMS_BUFFER];
    size_t n;
};

struct state_writer {
    int dir_fd, fd;
    struct names names;
    struct wbuf out;
    struct sha256 *hash;
    struct sums_writer sums;
    int sigs_fd; /* -1: none were needed yet, or there can be none */
    bool no_sigs;
    bool committed;
};

static void flush_sums(struct state_writer *s)
{
    struct sums_writer *w = &s->sums;
    size_t bytes = w->n * sizeof *w->buffer;
    if (!w->failed && bytes > 0 && sys_pwrite(w->fd, w->buffer, bytes, w->at, NULL) < 0)
        w->failed = true;
    w->at += bytes;
    w->n = 0;
}

uint64_t state_page_sums_at(struct state_writer *s)
{
    static const uint8_t head[SUMS_HEAD_BYTES] = SUMS_MAGIC;
    struct sums_writer *w = &s->sums;
    if (w->fd < 0 && !w->failed) {
        int flags = O_CREAT | O_TRUNC | O_WRONLY | O_NOFOLLOW;
        w->fd = sys_openat(s->dir_fd, s->names.fresh_sums, flags, 0600, NULL);
        w->failed = w->fd < 0 || sys_pwrite(w->fd, head, sizeof head, 0, NULL) < 0;
        w->at = SUMS_HEAD_BYTES;
    }
    static const struct id none = { 0 };
    while (!w->failed && (w->at / sizeof none + w->n - 1) % MIN_REGION_SUMS != 0)
        state_add_page_sums(s, &none, 1);
    return w->failed ? 0 : w->at + w->n * sizeof *w->buffer;
}

void state_add_page_sums(struct state_writer *s, const struct id *sums, size_t n)
{
    struct sums_writer *w = &s->sums;
    for (size_t i = 0; i < n && !w->failed; i++) {
        w->buffer[w->n++] = sums[i];
        if (w->n == SUMS_BUFFER)
            flush_sums(s);
    }
}

void state_skip_page_sums(struct state_writer *s, uint64_t n)
{
    flush_sums(s);
    s->sums.at += n * sizeof *s->sums.buffer;
}

/* [*in, end) of one file to `out` of the other, as far as it goes; *in is how far. */
static bool copy_range(int from_fd, off_t *in, off_t end, int to_fd, off_t out)
{
    while (*in < end) {
        ssize_t got = copy_file_range(from_fd, in, to_fd, &out, (size_t)(end - *in), 0);
        if (got <= 0 && !(got < 0 && errno == EINTR))
            return false;
    }
    return true;
}

void state_copy_page_sums(struct state_writer *s, const struct state_reader *r, uint64_t from,
                          uint64_t n)
{
    struct sums_writer *w = &s->sums;
    off_t in = (off_t)from, end = in + (off_t)(n * sizeof *w->buffer);
    flush_sums(s);
    while (!w->failed && in < end) {
        off_t data = lseek(r->sums_fd, in, SEEK_DATA);
        if (data < 0 || data >= end)
            break;
        off_t hole = lseek(r->sums_fd, data, SEEK_HOLE);
        in = data;
        if (!copy_range(r->sums_fd, &in, hole > data && hole < end ? hole : end, w->fd,
                        (off_t)w->at + (data - (off_t)from)))
            break;
    }
    /* What could not be copied stays a hole: it is found not to be right. */
    w->at += n * sizeof *w->buffer;
}

static bool have_sigs(struct state_writer *s)
{
    static const uint8_t head[SIGS_HEAD_BYTES] = SIGS_MAGIC;
    if (s->sigs_fd < 0 && !s->no_sigs) {
        int flags = O_CREAT | O_TRUNC | O_WRONLY | O_NOFOLLOW;
        s->sigs_fd = sys_openat(s->dir_fd, s->names.fresh_sigs, flags, 0600, NULL);
        s->no_sigs = s->sigs_fd < 0 || sys_pwrite(s->sigs_fd, head, sizeof head, 0, NULL) < 0;
    }
    return !s->no_sigs;
}

void state_put_anchors(struct state_writer *s, uint64_t at, uint64_t region,
                       const struct anchor_sums *sums)
{
    if (at >= SUMS_HEAD_BYTES && have_sigs(s) &&
        sys_pwrite(s->sigs_fd, sums, sizeof *sums, anchors_at(at, region), NULL) < 0)
        s->no_sigs = true;
}

void state_copy_anchors(struct state_writer *s, const struct state_reader *r, uint64_t from,
                        uint64_t at, uint64_t n)
{
    if (r->sigs_fd < 0 || from < SUMS_HEAD_BYTES || at < SUMS_HEAD_BYTES || !have_sigs(s))
        return;
    off_t in = (off_t)anchors_at(from, 0), end = (off_t)anchors_at(from, n);
    (void)copy_range(r->sigs_fd, &in, end, s->sigs_fd, (off_t)anchors_at(at, 0));
}

/* Puts them in the place of the old ones. Not synced: what a crash tears is found out by its sum, and what becomes of anchors matters
 * little. */
static void commit_sums(struct state_writer *s)
{
    struct sums_writer *w = &s->sums;
    flush_sums(s);
    if (w->fd < 0 || w->failed)
        sys_unlinkat(s->dir_fd, s->names.sums, 0, NULL);
    else
        sys_renameat(s->dir_fd, s->names.fresh_sums, s->dir_fd, s->names.sums, true, NULL);
    if (s->sigs_fd < 0 || s->no_sigs)
        sys_unlinkat(s->dir_fd, s->names.sigs, 0, NULL);
    else
        sys_renameat(s->dir_fd, s->names.fresh_sigs, s->dir_fd, s->names.sigs, true, NULL);
}

static int flush(struct state_writer *s, struct err *e)
{
    if (s->out.failed)
        return err_set(e, ERR_NOMEM, _("no memory"));
    sha256_update(s->hash, s->out.p, s->out.len);
    int rc = sys_write(s->fd, s->out.p, s->out.len, e);
    wbuf_reset(&s->out);
    return rc < 0 ? err_wrap(e, _("state of this run")) : 0;
}

int state_create(int dir_fd, const struct state_key *k, struct state_writer **ret, struct err *e)
{
    struct state_writer *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, _("no memory"));
    file_names(k, &s->names);
    s->dir_fd = dir_fd;
    s->sums.fd = s->sigs_fd = -1;
    s->hash = sha256_new();
    s->fd = sys_openat(dir_fd, s->names.fresh, O_CREAT | O_TRUNC | O_WRONLY | O_NOFOLLOW, 0600, e);
    if (s->fd < 0) {
        sha256_free(s->hash);
        free(s);
        return err_wrap(e, _("state of this run"));
    }
    write_head(&s->out, k);
    *ret = s;
    return 0;
}

int state_add_leaf(struct state_writer *s, const struct wbuf *leaf, struct err *e)
{
    wb_u32(&s->out, (uint32_t)leaf->len);
    wb_bytes(&s->out, leaf->p, leaf->len);
    return s->out.len >= BUFFER_BYTES ? flush(s, e) : 0;
}

int state_sync(struct state_writer *s, struct err *e)
{
    if (flush(s, e) < 0 || sys_fsync(s->fd, e) < 0)
        return err_wrap(e, _("state of this run"));
    return 0;
}

int state_commit(struct state_writer *s, const struct state_summary *sum, struct err *e)
{
    struct id h;
    wb_u32(&s->out, 0);
    wb_id(&s->out, &sum->snapshot);
    wb_u64(&s->out, (uint64_t)sum->started_ns);
    wb_u64(&s->out, (uint64_t)sum->ended_ns);
    wb_u64(&s->out, sum->files);
    wb_u64(&s->out, sum->bytes);
    if (flush(s, e) < 0)
        return -e->code;
    sha256_final(s->hash, &h);
    int rc = sys_write(s->fd, h.b, ID_BYTES, e);
    if (rc == 0)
        rc = sys_fsync(s->fd, e);
    int fd = s->fd;
    s->fd = -1;
    int closed = sys_close(fd, rc == 0 ? e : NULL);
    rc = rc < 0 ? rc : closed;
    if (rc == 0)
        rc = sys_renameat(s->dir_fd, s->names.fresh, s->dir_fd, s->names.state, true, e);
    if (rc == 0)
        rc = sys_fsync_dir(s->dir_fd, ".", e);
    s->committed = rc == 0;
    if (rc == 0)
        commit_sums(s);
    return rc < 0 ? err_wrap(e, _("state of this run")) : 0;
}

void state_abort(struct state_writer *s)
{
    if (!s)
        return;
    sys_close_quiet(s->fd);
    if (!s->committed)
        sys_unlinkat(s->dir_fd, s->names.fresh, 0, NULL);
    if (s->sums.fd >= 0) {
        sys_close_quiet(s->sums.fd);
        if (!s->committed || s->sums.failed)
            sys_unlinkat(s->dir_fd, s->names.fresh_sums, 0, NULL);
    }
    if (s->sigs_fd >= 0) {
        sys_close_quiet(s->sigs_fd);
        if (!s->committed || s->no_sigs)
            sys_unlinkat(s->dir_fd, s->names.fresh_sigs, 0, NULL);
    }
    sha256_free(s->hash);
    wbuf_free(&s->out);
    free(s);
}
