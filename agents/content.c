/* content.c - extents and hashes of files. Manual: agents/content.h; docs/format.md, "Manifest". */
#include "agents/content.h"
#include "agents/restore_run.h"
#include "lib/base/bytes.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

#include <errno.h>
#include <unistd.h>

static int list_lost(struct err *e)
{
    err_set(e, ERR_DAMAGED, _("a part of the list of its pieces is lost"));
    return FAILED_HERE;
}

/* --- extents ---------------------------------------------------------------------------------- */
struct parts parts_of(struct entries *walk, struct entry *en)
{
    return (struct parts){ .walk = walk, .en = en };
}

int parts_next(struct parts *p, struct extent *ret, uint64_t *ret_off, struct err *e)
{
    *ret = (struct extent){ 0 };
    while (!p->end && p->i == p->en->n_extents) {
        if (!(p->en->flags & ENTRY_HAS_MORE)) {
            p->end = true;
            break;
        }
        int r = entries_next(p->walk, p->en, e);
        if (r < 0)
            return r;
        if (r == 1 && p->en->type != ENTRY_MORE)
            entries_unread(p->walk, p->en);
        if (r != 1 || p->en->type != ENTRY_MORE) {
            p->end = true;
            return list_lost(e);
        }
        p->i = 0;
    }
    if (p->end)
        return 0;
    *ret = p->en->extents[p->i++];
    *ret_off = p->off;
    p->off += ret->len;
    return 0;
}

int runs_begin(struct runs *u, struct entries *walk, const struct entry *en, struct err *e)
{
    *u = (struct runs){ .en = *en };
    if (en->flags & ENTRY_HAS_MORE) {
        int r = entries_find(walk, en->path, en->path_len, &u->en, e);
        if (r < 0)
            return r;
        if (r != 1)
            return list_lost(e);
    }
    u->parts = parts_of(walk, &u->en);
    return 0;
}

int runs_next(struct runs *u, uint64_t *ret_off, uint64_t *ret_len, struct err *e)
{
    struct extent x;
    uint64_t off = 0, len = 0;
    /* The structure may have been moved since it was begun. */
    u->parts.en = &u->en;
    for (;;) {
        int r = parts_next(&u->parts, &x, &off, e);
        if (r != 0)
            return r;
        if (x.len == 0 || (x.hole && len > 0))
            break;
        if (x.hole)
            continue;
        if (len == 0)
            *ret_off = off;
        len += x.len;
    }
    *ret_len = len;
    return 0;
}

/* --- the hash --------------------------------------------------------------------------------- */
int content_hash_begin(struct content_hash *h, const struct hashers *with,
                       struct entries *runs_walk, const struct entry *en, struct err *e)
{
    *h = (struct content_hash){ .with = *with,
                                .sparse = en->flags & ENTRY_SPARSE,
                                .paged = en->flags & ENTRY_PAGED };
    if (h->paged)
        paged_hash_begin(with->paged, en->page_bits);
    else
        sha256_reset(with->sha);
    return h->sparse ? runs_begin(&h->runs, runs_walk, en, e) : 0;
}

static void put_u64(uint8_t *p, uint64_t v)
{
    for (size_t i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static void hash_run(struct sha256 *sha, uint64_t off, uint64_t len)
{
    uint8_t head[16];
    put_u64(head, off);
    put_u64(head + 8, len);
    sha256_update(sha, head, sizeof head);
}

int content_hash_data(struct content_hash *h, uint64_t off, const void *p, size_t n, struct err *e)
{
    if (h->sparse && h->left == 0) {
        uint64_t run_off;
        int r = runs_next(&h->runs, &run_off, &h->left, e);
        if (r != 0)
            return r;
        if (h->left == 0 || run_off != off)
            return list_lost(e);
        hash_run(h->with.sha, run_off, h->left);
    }
    if (h->sparse) {
        if (n > h->left)
            return list_lost(e);
        h->left -= n;
    }
    if (h->paged)
        paged_hash_data(h->with.paged, p, n);
    else
        sha256_update(h->with.sha, p, n);
    return 0;
}

void content_hash_hole(struct content_hash *h, uint64_t n)
{
    static const uint8_t zeros[4096];
    if (h->sparse)
        return;
    if (h->paged) {
        paged_hash_zeros(h->with.paged, n);
        return;
    }
    for (; n > 0; n -= n < sizeof zeros ? n : sizeof zeros)
        sha256_update(h->with.sha, zeros, n < sizeof zeros ? (size_t)n : sizeof zeros);
}

void content_hash_final(struct content_hash *h, struct id *ret)
{
    if (h->paged)
        paged_hash_final(h->with.paged, ret);
    else
        sha256_final(h->with.sha, ret);
}

/* --- what is on disk -------------------------------------------------------------------------- */
static int unreadable(int code, struct err *e)
{
    if (code >= 0)
        err_set(e, ERR_FAILED, _("it became shorter while it was read"));
    return FAILED_HERE;
}

/* Feeds [off, off + len) of the file to the hash. */
static int hash_disk(const struct disk_check *c, struct content_hash *h, int fd, uint64_t off,
                     uint64_t len, struct err *e)
{
    while (len > 0) {
        size_t n = len < IO_BYTES ? (size_t)len : IO_BYTES;
        ssize_t got = sys_pread(fd, c->io, n, off, e);
        if (got < (ssize_t)n)
            return unreadable((int)got, e);
        int rc = content_hash_data(h, off, c->io, n, e);
        if (rc != 0)
            return rc;
        off += n;
        len -= n;
        if (c->stop && c->stop(c->ctx, n)) {
            err_set(e, ERR_INTERRUPTED, _("interrupted"));
            return FAILED_HERE;
        }
    }
    return 0;
}

/* What is a hole in the snapshot must read as zeros; only what the file system calls data is
 * read. */
static int hole_on_disk(const struct disk_check *c, int fd, uint64_t off, uint64_t end,
                        bool *ret_zero, struct err *e)
{
    *ret_zero = true;
    while (off < end) {
        off_t data = lseek(fd, (off_t)off, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            return 0;
        if (data > (off_t)off)
            off = (uint64_t)data;
        if (off >= end)
            return 0;
        size_t n = end - off < IO_BYTES ? (size_t)(end - off) : IO_BYTES;
        ssize_t got = sys_pread(fd, c->io, n, off, e);
        if (got < (ssize_t)n)
            return unreadable((int)got, e);
        *ret_zero = bytes_all_zero(c->io, n);
        if (!*ret_zero)
            return 0;
        off += n;
        if (c->stop && c->stop(c->ctx, n)) {
            err_set(e, ERR_INTERRUPTED, _("interrupted"));
            return FAILED_HERE;
        }
    }
    return 0;
}

static int sparse_on_disk(const struct disk_check *c, struct content_hash *h, int fd,
                          const struct entry *en, bool *ret_zero, struct err *e)
{
    struct runs u = h->runs;
    uint64_t at = 0, off = 0, len = 1;
    int r = 0;
    *ret_zero = true;
    h->sparse = false; /* the runs are followed here */
    while (r == 0 && len > 0 && *ret_zero) {
        r = runs_next(&u, &off, &len, e);
        if (r == 0)
            r = hole_on_disk(c, fd, at, len > 0 ? off : en->size, ret_zero, e);
        if (r == 0 && len > 0 && *ret_zero) {
            hash_run(c->with.sha, off, len);
            r = hash_disk(c, h, fd, off, len, e);
        }
        at = off + len;
    }
    return r;
}

/* Only what the file system calls data is read; the rest is zeros. */
static int paged_on_disk(const struct disk_check *c, struct content_hash *h, int fd, uint64_t size,
                         struct err *e)
{
    int r = 0;
    for (uint64_t at = 0; r == 0 && at < size;) {
        off_t data = lseek(fd, (off_t)at, SEEK_DATA), hole = (off_t)size;
        if (data < 0)
            data = errno == ENXIO ? (off_t)size : (off_t)at;
        if ((uint64_t)data < size)
            hole = lseek(fd, data, SEEK_HOLE);
        uint64_t from = (uint64_t)data < size ? (uint64_t)data : size;
        uint64_t to = hole >= data && (uint64_t)hole < size ? (uint64_t)hole : size;
        content_hash_hole(h, from - at);
        r = hash_disk(c, h, fd, from, to - from, e);
        at = to;
    }
    return r;
}

int content_on_disk(const struct disk_check *c, int fd, const struct entry *en, bool *ret_same,
                    struct err *e)
{
    bool zero = true;
    struct id hash;
    struct content_hash h;
    *ret_same = en->size == 0;
    if (en->size == 0)
        return 0;
    int r = content_hash_begin(&h, &c->with, c->runs_walk, en, e);
    if (r == 0 && h.sparse)
        r = sparse_on_disk(c, &h, fd, en, &zero, e);
    else if (r == 0 && h.paged)
        r = paged_on_disk(c, &h, fd, en->size, e);
    else if (r == 0)
        r = hash_disk(c, &h, fd, 0, en->size, e);
    if (r != 0)
        return r;
    content_hash_final(&h, &hash);
    *ret_same = zero && id_eq(&hash, &en->hash);
    return 0;
}
