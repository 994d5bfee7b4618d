/* feed.c - see agents/feed.h. Hashes of files: docs/format.md, "Manifest". */
#include "agents/feed_impl.h"
#include "lib/base/i18n.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#define READ_BYTES (512u << 10)
#define MAX_FILES_IN_CHUNK 4096u
#define PIECES_PER_READ 8      /* CDC_MIN_BYTES allows three cuts in READ_BYTES */
#define LARGE_BYTES (8u << 20) /* from here on the kernel is told how we read */
#define DROP_BYTES \
    (8u << 20) /* what we alone brought into the page cache is dropped in such steps */
#define SPARSE_TRIES 2

_Static_assert(PIPELINE_BUFFER_BYTES >= CDC_MAX_BYTES + MAX_CHECKED_PAGE_BYTES,
               "a chunk fits, and a whole page behind any that is not cut yet");
_Static_assert(READ_BYTES / CDC_MIN_BYTES + 3 <= PIECES_PER_READ, "pieces of one read");

int feed_new(const struct feed_opts *o, struct feed **ret, struct err *e)
{
    struct feed *f = calloc(1, sizeof *f);
    if (!f)
        return err_set(e, ERR_NOMEM, _("no memory"));
    f->p = o->p;
    f->on_chunk = o->on_chunk;
    f->ctx = o->ctx;
    f->cdc = cdc_new(o->cdc_key);
    f->hash = sha256_new();
    f->paged = paged_hash_new();
    f->spilled = spool_new(o->dir_fd);
    if (!f->cdc || !f->paged || !f->spilled) {
        feed_free(f);
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    *ret = f;
    return 0;
}

void feed_free(struct feed *f)
{
    if (!f)
        return;
    if (f->buf)
        pipeline_discard(f->p, f->buf);
    if (f->literals)
        pipeline_discard(f->p, f->literals);
    cdc_free(f->cdc);
    sha256_free(f->hash);
    paged_hash_free(f->paged);
    anchors_free(f->anchors);
    spool_free(f->spilled);
    free(f);
}

uint64_t feed_bytes_read(const struct feed *f)
{
    return f->bytes_read;
}

uint64_t feed_bytes_sent(const struct feed *f)
{
    return pipeline_bytes_sent(f->p);
}

void feed_set_check(struct feed *f, struct page_check *check, const char *path, size_t len)
{
    f->check = check;
    f->check_path = path;
    f->check_path_len = len;
}

/* --- chunks ------------------------------------------------------------------------------------ */
/* Ids are kept for so many chunks only: what is filled slowly must not be overtaken by too many. */
static int cut_old_literals(struct feed *f, uint64_t seq, struct err *e)
{
    bool old = f->literals && (int64_t)(seq - f->literals->seq) > (int64_t)PIPELINE_WINDOW / 4;
    return old ? feed_cut_chunk(f, f->literals->seq, e) : 0;
}

int feed_submit(struct feed *f, struct chunk_buf *full, struct err *e)
{
    uint64_t seq = full->seq;
    pipeline_submit(f->p, full);
    int rc = f->on_chunk ? f->on_chunk(f->ctx, e) : 0;
    return rc < 0 ? rc : cut_old_literals(f, seq, e);
}

/* Hands the full buffer on; `next` is what is filled from now on. */
static int hand_on(struct feed *f, struct chunk_buf *next, struct err *e)
{
    struct chunk_buf *full = f->buf;
    f->buf = next;
    f->files_in_chunk = 0;
    return feed_submit(f, full, e);
}

int feed_cut(struct feed *f, struct err *e)
{
    cdc_reset(f->cdc);
    if (!f->buf || f->buf->len == 0)
        return 0;
    return hand_on(f, NULL, e);
}

int feed_cut_chunk(struct feed *f, uint64_t seq, struct err *e)
{
    if (f->buf && f->buf->seq == seq)
        return feed_cut(f, e);
    if (!f->literals || f->literals->seq != seq)
        return 0;
    struct chunk_buf *full = f->literals;
    f->literals = NULL;
    return feed_submit(f, full, e);
}

/* --- pieces and parts --------------------------------------------------------------------------- */
struct part_head {
    uint64_t extents, sums;
};

static int resolve(struct feed *f, const struct piece *pc, struct extent *ret, struct err *e)
{
    memset(ret, 0, sizeof *ret);
    ret->len = pc->len;
    ret->off = pc->off;
    ret->hole = pc->seq == PIECE_HOLE;
    if (pc->seq == PIECE_KNOWN)
        ret->chunk = pc->chunk;
    if (!piece_waits(pc))
        return 0;
    if (feed_cut_chunk(f, pc->seq, e) < 0 || pipeline_wait_hashed(f->p, pc->seq, e) < 0)
        return -e->code;
    ret->chunk = *pipeline_id(f->p, pc->seq);
    return 0;
}

int feed_spill(struct feed *f, size_t n, struct err *e)
{
    struct part_head h = { n, f->n_sums };
    for (size_t i = 0; i < n; i++)
        if (resolve(f, &f->pieces[i], &f->part[i], e) < 0)
            return -e->code;
    if (spool_add(f->spilled, &h, sizeof h, e) < 0 ||
        spool_add(f->spilled, f->part, n * sizeof *f->part, e) < 0 ||
        spool_add(f->spilled, f->sums, f->n_sums * sizeof *f->sums, e) < 0)
        return -e->code;
    f->n_spilled++;
    f->n_sums = 0;
    f->n_pieces -= n;
    memmove(f->pieces, f->pieces + n, f->n_pieces * sizeof *f->pieces);
    return 0;
}

static int next_spilled(struct feed *f, struct feed_part *ret, struct err *e)
{
    struct part_head h;
    uint64_t at = f->next_spilled;
    if (spool_read(f->spilled, at, &h, sizeof h, e) < 0)
        return -e->code;
    at += sizeof h;
    if (spool_read(f->spilled, at, f->part, h.extents * sizeof *f->part, e) < 0)
        return -e->code;
    at += h.extents * sizeof *f->part;
    if (spool_read(f->spilled, at, f->part_sums, h.sums * sizeof *f->sums, e) < 0)
        return -e->code;
    f->next_spilled = at + h.sums * sizeof *f->sums;
    *ret = (struct feed_part){
        .extents = f->part, .n = h.extents, .sums = f->part_sums, .n_sums = h.sums
    };
    return 0;
}

int feed_next_part(struct feed *f, struct feed_part *ret, struct err *e)
{
    uint64_t spilled = f->n_spilled ? spool_len(f->spilled) : 0;
    size_t left = f->n_pieces - f->given;
    if (f->last_given)
        return 0;
    if (f->next_spilled < spilled) {
        if (next_spilled(f, ret, e) < 0)
            return -e->code;
    } else {
        *ret = (struct feed_part){ .pieces = f->pieces + f->given,
                                   .n = left < MAX_PART_EXTENTS ? left : MAX_PART_EXTENTS,
                                   .sums = f->sums,
                                   .n_sums = f->n_sums };
        f->given += ret->n;
    }
    ret->last = f->next_spilled == spilled && f->given == f->n_pieces;
    f->last_given = ret->last;
    return 1;
}

void feed_add_piece(struct feed *f, const struct piece *pc, bool may_join)
{
    struct piece *last = f->n_pieces ? &f->pieces[f->n_pieces - 1] : NULL;
    bool follows = may_join && last && last->seq == pc->seq &&
                   (pc->seq != PIECE_KNOWN || id_eq(&last->chunk, &pc->chunk)) &&
                   (pc->seq == PIECE_HOLE || last->off + last->len == pc->off);
    if (follows) {
        last->len += pc->len;
        return;
    }
    assert(f->n_pieces < MAX_PIECES);
    f->pieces[f->n_pieces++] = *pc;
}

static void add_piece(struct feed *f, uint64_t seq, uint32_t off, uint64_t len)
{
    feed_add_piece(f, &(struct piece){ .len = len, .seq = seq, .off = off }, true);
}

/* Room for the pieces of one read or hole, and a buffer. Nothing is half done here, so a chunk may be cut. */
static int make_room(struct feed *f, struct err *e)
{
    if (f->n_pieces + PIECES_PER_READ > MAX_PIECES && feed_spill(f, MAX_PART_EXTENTS, e) < 0)
        return -e->code;
    if (f->buf && f->buf->len == 0)
        pipeline_renumber(f->p, f->buf);
    if (!f->buf && !(f->buf = pipeline_buffer(f->p, e)))
        return -e->code;
    return 0;
}

/* n bytes were read to the end of the buffer: they are hashed, cut and made pieces of the file. */
static int take(struct feed *f, size_t n, struct err *e)
{
    sha256_update(f->hash, f->buf->p + f->buf->len, n);
    f->bytes_read += n;
    while (n > 0) {
        struct chunk_buf *b = f->buf, *next = NULL;
        bool cut = false;
        size_t took = cdc_feed(f->cdc, b->p + b->len, n, &cut);
        add_piece(f, b->seq, (uint32_t)b->len, took);
        b->len += took;
        n -= took;
        if (!cut)
            continue;
        if (n > 0) {
            if (!(next = pipeline_buffer(f->p, e)))
                return -e->code;
            memcpy(next->p, b->p + b->len, n);
        }
        if (hand_on(f, next, e) < 0)
            return -e->code;
    }
    return 0;
}

/* --- reading ----------------------------------------------------------------------------------- */
void feed_advise(struct feed *f, int fd, uint64_t size)
{
    f->drop = false;
    f->dropped = 0;
    if (size < LARGE_BYTES)
        return;
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    f->drop = true;
    for (unsigned i = 1; i <= 3 && f->drop; i++) {
        char byte;
        struct iovec v = { &byte, 1 };
        f->drop = preadv2(fd, &v, 1, (off_t)(size / 4 * i), RWF_NOWAIT) < 0 && errno == EAGAIN;
    }
}

void feed_drop_behind(struct feed *f, int fd, uint64_t pos, bool last)
{
    if (!f->drop || (!last && pos - f->dropped < DROP_BYTES))
        return;
    posix_fadvise(fd, (off_t)f->dropped, (off_t)(pos - f->dropped), POSIX_FADV_DONTNEED);
    f->dropped = pos;
}

ssize_t feed_read_part(struct feed *f, int fd, uint8_t *p, size_t want, uint64_t pos)
{
    size_t page = f->check ? f->check->page_bytes : 1, got = 0;
    if (want > page)
        want -= want % page;
    do {
        ssize_t n = pread(fd, p + got, want - got, (off_t)(pos + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return n;
        if (n == 0)
            break;
        got += (size_t)n;
    } while (got % page != 0 || got == 0);
    return (ssize_t)got;
}

/* Reads [*pos, end) as far as it is there. *pos is how far it came; *ret_sys an errno or 0. */
static int read_run(struct feed *f, int fd, uint64_t *pos, uint64_t end, int *ret_sys,
                    struct err *e)
{
    *ret_sys = 0;
    while (*pos < end) {
        if (make_room(f, e) < 0)
            return -e->code;
        size_t want = f->buf->cap - f->buf->len;
        want = want < READ_BYTES ? want : READ_BYTES;
        want = want < end - *pos ? want : (size_t)(end - *pos);
        uint8_t *p = f->buf->p + f->buf->len;
        ssize_t n = feed_read_part(f, fd, p, want, *pos);
        if (n <= 0) {
            *ret_sys = n < 0 ? errno : 0;
            return 0;
        }
        if (f->check && f->check->check(f->check->ctx, f->check_path, f->check_path_len, fd, *pos,
                                        p, (size_t)n, e) < 0)
            return -e->code;
        if (take(f, (size_t)n, e) < 0)
            return -e->code;
        *pos += (uint64_t)n;
        feed_drop_behind(f, fd, *pos, false);
    }
    return 0;
}

static int add_hole(struct feed *f, uint64_t len, struct err *e)
{
    if (len == 0)
        return 0;
    if (make_room(f, e) < 0)
        return -e->code;
    add_piece(f, PIECE_HOLE, 0, len);
    return 0;
}

static void hash_run(struct feed *f, uint64_t off, uint64_t len)
{
    uint8_t head[16];
    for (size_t i = 0; i < 8; i++) {
        head[i] = (uint8_t)(off >> (8 * i));
        head[8 + i] = (uint8_t)(len >> (8 * i));
    }
    sha256_update(f->hash, head, sizeof head);
}

uint64_t feed_still_there(int fd, uint64_t size)
{
    off_t end = lseek(fd, 0, SEEK_END);
    return end >= 0 && (uint64_t)end < size ? (uint64_t)end : size;
}

bool feed_next_run(int fd, uint64_t pos, uint64_t size, uint64_t *ret_from, uint64_t *ret_to)
{
    off_t from = lseek(fd, (off_t)pos, SEEK_DATA);
    if (from < 0 && errno == ENXIO)
        from = (off_t)size;
    if (from < 0)
        return false;
    *ret_from = (uint64_t)from < size ? (uint64_t)from : size;
    off_t to = *ret_from < size ? lseek(fd, from, SEEK_HOLE) : (off_t)size;
    *ret_to = to >= 0 && (uint64_t)to < size ? (uint64_t)to : size;
    return true;
}

static bool has_holes(int fd, const struct scan_stat *st)
{
    uint64_t from, to;
    if (st->blocks * 512 >= st->size || !feed_next_run(fd, 0, st->size, &from, &to))
        return false;
    return from > 0 || to < st->size;
}

/* 1: the file changes under us, so that its hash cannot be right. */
static int read_sparse(struct feed *f, int fd, uint64_t size, struct feed_result *ret,
                       struct err *e)
{
    uint64_t pos = 0;
    while (pos < size) {
        uint64_t from = pos, to = size;
        if (!feed_next_run(fd, pos, size, &from, &to) || from < pos || to < from) {
            ret->sys = EIO;
            return 0;
        }
        /* The hole behind the last run has just been filled: the two are one run, hashed as two. */
        if (pos > 0 && from == pos)
            return 1;
        /* What seems to be a hole at the end may be no file any more. */
        if (from == size && feed_still_there(fd, size) < size)
            return 1;
        if (add_hole(f, from - pos, e) < 0)
            return -e->code;
        pos = from;
        if (to > from)
            hash_run(f, from, to - from);
        if (read_run(f, fd, &pos, to, &ret->sys, e) < 0)
            return -e->code;
        if (ret->sys)
            return 0;
        if (pos < to)
            return 1;
    }
    ret->size = size;
    ret->sparse = true;
    return 0;
}

int feed_start_file(struct feed *f, struct err *e)
{
    f->n_pieces = f->n_sums = 0;
    f->next_spilled = 0;
    f->given = 0;
    f->last_given = false;
    sha256_reset(f->hash);
    if (f->n_spilled > 0 && spool_reset(f->spilled, e) < 0)
        return -e->code;
    f->n_spilled = 0;
    return 0;
}

static int read_file(struct feed *f, int fd, const struct scan_stat *st, struct feed_result *ret,
                     struct err *e)
{
    feed_advise(f, fd, st->size);
    /* Pages that are checked are read whole, though a hole may begin in the middle of one. */
    for (int i = 0; !f->check && i < SPARSE_TRIES && has_holes(fd, st); i++) {
        int rc = read_sparse(f, fd, feed_still_there(fd, st->size), ret, e);
        if (rc <= 0)
            return rc;
        if (feed_start_file(f, e) < 0)
            return -e->code;
    }
    ret->size = 0;
    return read_run(f, fd, &ret->size, st->size, &ret->sys, e);
}

int feed_read(struct feed *f, int fd, const struct scan_stat *st, struct feed_result *ret,
              struct err *e)
{
    bool own = st->size >= FEED_OWN_BYTES;
    *ret = (struct feed_result){ 0 };
    if (feed_start_file(f, e) < 0)
        return -e->code;
    if (st->size == 0)
        return 0;
    if ((own || f->files_in_chunk >= MAX_FILES_IN_CHUNK) && feed_cut(f, e) < 0)
        return -e->code;
    f->files_in_chunk++;
    if (read_file(f, fd, st, ret, e) < 0)
        return -e->code;
    feed_drop_behind(f, fd, st->size, true);
    if (own && feed_cut(f, e) < 0)
        return -e->code;
    if (ret->size > 0)
        sha256_final(f->hash, &ret->hash);
    return 0;
}

int feed_read_stream(struct feed *f, ssize_t (*read)(void *ctx, void *p, size_t n, struct err *e),
                     void *ctx, struct feed_result *ret, struct err *e)
{
    *ret = (struct feed_result){ 0 };
    if (feed_start_file(f, e) < 0 || feed_cut(f, e) < 0)
        return -e->code;
    for (;;) {
        if (make_room(f, e) < 0)
            return -e->code;
        size_t want = f->buf->cap - f->buf->len;
        ssize_t n = read(ctx, f->buf->p + f->buf->len, want < READ_BYTES ? want : READ_BYTES, e);
        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        if (take(f, (size_t)n, e) < 0)
            return -e->code;
        ret->size += (uint64_t)n;
    }
    if (feed_cut(f, e) < 0)
        return -e->code;
    if (ret->size > 0)
        sha256_final(f->hash, &ret->hash);
    return 0;
}
