/* export.c - a snapshot, or what is selected of it, as a pax archive. The manual is restore/reader.h
 * (reader_export); how entries are written is in restore/tar.c. */
#include "restore/links.h"
#include "restore/select.h"
#include "restore/tar.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"
#include "lib/crypto/crypto.h"

#include <stdlib.h>
#include <string.h>

#define CACHE_SLOTS 64
#define CACHE_BYTES (32u << 20)
#define MAX_FILE_BYTES (UINT64_C(1) << 60)
#define MAX_SHOWN 400 /* bytes of a path in an error */

/* Small files share chunks: those used last are kept. */
struct slot {
    struct id id;
    struct wbuf bytes;
    uint64_t used; /* 0: empty */
};

/* A position in the runs of a file. */
struct cursor {
    size_t run;
    uint64_t in_run; /* bytes of it that are done */
};

/* The file that is being written. */
struct file {
    const struct entry *en;
    const char *name; /* in the archive */
    size_t name_len;
    uint64_t at; /* end of the extents seen so far */
    bool begun;  /* its header is written: no way back */
    struct cursor hashed, written;
};

struct export
{
    const struct chunk_source *src;
    const struct snapshot_body *body;
    struct selection sel;
    struct reader *parts, *targets; /* opened when needed */
    struct tar *tar;
    struct sha256 *hash;
    struct paged_hash *paged;
    struct slot cache[CACHE_SLOTS];
    uint64_t clock;
    struct file file;
    struct run *runs;
    size_t n_runs, cap_runs;
    struct wbuf ahead; /* data of the file before its header is written */
    struct links links;
    gap_fn *gap;
    void *ctx;
    uint64_t lost, gaps;
    struct err *e;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, _("out of memory"));
}

static int name_it(struct err *e, const char *path, size_t len)
{
    return err_wrap(e, "/%.*s", len > MAX_SHOWN ? MAX_SHOWN : (int)len, path);
}

/* --- chunks ----------------------------------------------------------------------------------------- */

/* The bytes of a chunk, borrowed until the next call. */
static int get_chunk(struct export *x, const struct id *id, const struct wbuf **ret, struct err *e)
{
    struct slot *oldest = &x->cache[0];
    size_t total = 0;
    for (struct slot *s = x->cache; s < x->cache + CACHE_SLOTS; s++) {
        if (s->used && id_eq(&s->id, id)) {
            s->used = ++x->clock;
            *ret = &s->bytes;
            return 0;
        }
        total += s->bytes.cap;
        if (s->used < oldest->used)
            oldest = s;
    }
    if (total > CACHE_BYTES)
        for (struct slot *s = x->cache; s < x->cache + CACHE_SLOTS; s++) {
            wbuf_free(&s->bytes);
            s->used = 0;
        }
    oldest->used = 0;
    int rc = x->src->get(x->src->ctx, id, &oldest->bytes, e);
    if (rc < 0)
        return rc;
    oldest->id = *id;
    oldest->used = ++x->clock;
    *ret = &oldest->bytes;
    return 0;
}

/* --- extents ---------------------------------------------------------------------------------------- */

typedef int extent_fn(struct export *x, const struct extent *ex, struct err *e);

static int each_of(struct export *x, const struct entry *en, extent_fn *fn, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < en->n_extents; i++)
        rc = fn(x, &en->extents[i], e);
    return rc;
}

/* Calls fn for every extent of the file, in order, those of its further parts included. */
static int each_extent(struct export *x, const struct entry *en, extent_fn *fn, struct err *e)
{
    struct entry part;
    unsigned flags = en->flags;
    int rc = each_of(x, en, fn, e);
    if (rc != 0 || !(flags & ENTRY_HAS_MORE))
        return rc;
    if (!x->parts && (rc = reader_open(x->src, x->body, &x->parts, e)) < 0)
        return rc;
    if ((rc = reader_seek(x->parts, en->path, en->path_len, e)) < 0)
        return rc;
    for (enum entry_type expected = ENTRY_FILE; flags & ENTRY_HAS_MORE || expected == ENTRY_FILE;
         expected = ENTRY_MORE) {
        if ((rc = reader_next(x->parts, &part, e)) < 0)
            return rc;
        if (rc == 0 || part.type != expected ||
            path_cmp(part.path, part.path_len, en->path, en->path_len) != 0)
            return err_set(e, ERR_DAMAGED, _("a part of its list of chunks is missing"));
        flags = part.flags;
        if (expected == ENTRY_MORE && (rc = each_of(x, &part, fn, e)) != 0)
            return rc;
    }
    return 0;
}

/* First pass: the stretches that are not holes. */
static int add_run(struct export *x, const struct extent *ex, struct err *e)
{
    struct file *f = &x->file;
    struct run *last = x->n_runs ? &x->runs[x->n_runs - 1] : NULL;
    if (ex->len > f->en->size - f->at)
        return err_set(e, ERR_DAMAGED, _("its list of chunks is longer than the file"));
    if (!ex->hole && ex->len > 0 && last && last->off + last->len == f->at) {
        last->len += ex->len;
    } else if (!ex->hole && ex->len > 0) {
        if (!x->runs || x->n_runs == x->cap_runs) {
            size_t cap = x->cap_runs ? 2 * x->cap_runs : 64;
            struct run *grown = realloc(x->runs, cap * sizeof(*grown));
            if (!grown)
                return no_memory(e);
            x->runs = grown;
            x->cap_runs = cap;
        }
        x->runs[x->n_runs++] = (struct run){ .off = f->at, .len = ex->len };
    }
    f->at += ex->len;
    return 0;
}

static int find_runs(struct export *x, struct err *e)
{
    x->n_runs = 0;
    if (x->file.en->size > MAX_FILE_BYTES)
        return err_set(e, ERR_DAMAGED, _("its size is not possible"));
    int rc = each_extent(x, x->file.en, add_run, e);
    if (rc == 0 && x->file.at != x->file.en->size)
        rc = err_set(e, ERR_DAMAGED, _("its list of chunks is shorter than the file"));
    return rc;
}

/* --- the content of a file -------------------------------------------------------------------------- */

/* Where the hole before run i begins (i may be n_runs: the hole at the end). */
static uint64_t hole_before(const struct export *x, size_t i)
{
    return i ? x->runs[i - 1].off + x->runs[i - 1].len : 0;
}

static void hash_u64(struct export *x, uint64_t v)
{
    uint8_t b[8];
    for (int i = 0; i < 8; i++)
        b[i] = (uint8_t)(v >> 8 * i);
    sha256_update(x->hash, b, sizeof(b));
}

static void hash_zeros(struct export *x, uint64_t n)
{
    static const uint8_t zeros[65536];
    if (x->file.en->flags & ENTRY_PAGED) {
        paged_hash_zeros(x->paged, n);
        return;
    }
    for (; n > sizeof(zeros); n -= sizeof(zeros))
        sha256_update(x->hash, zeros, sizeof(zeros));
    sha256_update(x->hash, zeros, (size_t)n);
}

/* The next n bytes that are not in a hole, into the hash (docs/format.md: SHA-256 of a SPARSE file). */
static void hash_data(struct export *x, const uint8_t *p, size_t n)
{
    struct cursor *c = &x->file.hashed;
    while (n > 0) {
        const struct run *run = &x->runs[c->run];
        if (c->in_run == 0 && x->file.en->flags & ENTRY_SPARSE) {
            hash_u64(x, run->off);
            hash_u64(x, run->len);
        } else if (c->in_run == 0) {
            hash_zeros(x, run->off - hole_before(x, c->run));
        }
        size_t part = n < run->len - c->in_run ? n : (size_t)(run->len - c->in_run);
        if (x->file.en->flags & ENTRY_PAGED)
            paged_hash_data(x->paged, p, part);
        else
            sha256_update(x->hash, p, part);
        p += part;
        n -= part;
        c->in_run += part;
        if (c->in_run == run->len)
            *c = (struct cursor){ .run = c->run + 1 };
    }
}

/* The same into the archive, holes in between included. */
static int write_data(struct export *x, const uint8_t *p, size_t n, struct err *e)
{
    struct cursor *c = &x->file.written;
    while (n > 0) {
        const struct run *run = &x->runs[c->run];
        int rc = c->in_run ? 0 : tar_hole(x->tar, run->off - hole_before(x, c->run), e);
        size_t part = n < run->len - c->in_run ? n : (size_t)(run->len - c->in_run);
        if (rc < 0 || (rc = tar_data(x->tar, p, part, e)) < 0)
            return rc;
        p += part;
        n -= part;
        c->in_run += part;
        if (c->in_run == run->len)
            *c = (struct cursor){ .run = c->run + 1 };
    }
    return 0;
}

/* Writes the header and what was read ahead. */
static int begin_file(struct export *x, struct err *e)
{
    struct file *f = &x->file;
    struct tar_item item = { .en = f->en, .path = f->name, .path_len = f->name_len };
    if (x->n_runs != 1 || x->runs[0].len != f->en->size) {
        item.runs = x->runs;
        item.n_runs = x->n_runs;
        item.sparse = true;
    }
    f->begun = true;
    int rc = tar_header(x->tar, &item, e);
    if (rc == 0)
        rc = write_data(x, x->ahead.p, x->ahead.len, e);
    wbuf_reset(&x->ahead);
    return rc;
}

/* Second pass: the data themselves. */
static int take_extent(struct export *x, const struct extent *ex, struct err *e)
{
    const struct wbuf *chunk;
    struct file *f = &x->file;
    int rc;
    if (ex->hole || ex->len == 0)
        return 0;
    if (sys_interrupted())
        return err_set(e, ERR_INTERRUPTED, _("interrupted by a signal"));
    if ((rc = get_chunk(x, &ex->chunk, &chunk, e)) < 0)
        return rc;
    if (ex->off > chunk->len || ex->len > chunk->len - ex->off)
        return err_set(e, ERR_DAMAGED, _("its list of chunks points behind a chunk's end"));
    const uint8_t *p = chunk->p + ex->off;
    size_t n = (size_t)ex->len;
    hash_data(x, p, n);
    if (!f->begun && n <= EXPORT_AHEAD_BYTES - x->ahead.len) {
        wb_bytes(&x->ahead, p, n);
        return x->ahead.failed ? no_memory(e) : 0;
    }
    if (!f->begun && (rc = begin_file(x, e)) < 0)
        return rc;
    return write_data(x, p, n, e);
}

static int check_hash(struct export *x, struct err *e)
{
    struct id hash;
    const struct entry *en = x->file.en;
    if (!(en->flags & ENTRY_SPARSE))
        hash_zeros(x, en->size - hole_before(x, x->n_runs));
    if (en->flags & ENTRY_PAGED)
        paged_hash_final(x->paged, &hash);
    else
        sha256_final(x->hash, &hash);
    if (!id_eq(&hash, &en->hash))
        return err_set(e, ERR_DAMAGED,
                       _("its content is not what was backed up (SHA-256 differs)"));
    return 0;
}

static int write_file(struct export *x, struct err *e)
{
    struct file *f = &x->file;
    int rc = find_runs(x, e);
    wbuf_reset(&x->ahead);
    if (f->en->flags & ENTRY_PAGED)
        paged_hash_begin(x->paged, f->en->page_bits);
    else
        sha256_reset(x->hash);
    if (rc == 0)
        rc = each_extent(x, f->en, take_extent, e);
    if (rc == 0)
        rc = check_hash(x, e);
    if (rc == 0 && !f->begun)
        rc = begin_file(x, e);
    if (rc == 0)
        rc = tar_hole(x->tar, f->en->size - hole_before(x, x->n_runs), e);
    return rc;
}

/* --- entries ---------------------------------------------------------------------------------------- */

/* Names what is left out. `why` has no path yet. */
static void leave_out(struct export *x, const char *path, size_t len, struct err *why)
{
    name_it(why, path, len);
    x->lost++;
    if (x->gap)
        x->gap(x->ctx, why);
}

/* Writes an entry that is no hard link, under `name`. 1: written; 0: left out; negative: the end. */
static int write_entry(struct export *x, const struct entry *en, const char *name, size_t len)
{
    struct err why = ERR_INIT;
    struct tar_item item = { .en = en, .path = name, .path_len = len };
    int rc;
    if (en->type != ENTRY_FILE || en->size == 0) {
        rc = tar_header(x->tar, &item, &why);
    } else {
        x->file = (struct file){ .en = en, .name = name, .name_len = len };
        rc = write_file(x, &why);
        if (reader_lost(rc) && !x->file.begun) {
            leave_out(x, name, len, &why);
            return 0;
        }
    }
    if (rc == 0)
        return 1;
    name_it(&why, name, len);
    if (reader_lost(rc)) {
        why.code = ERR_DAMAGED;
        err_next(&why,
                 _("the archive is not complete: leave this file out, or mend it from another "
                   "copy (twofold repair), then export again"));
    }
    if (x->e)
        *x->e = why;
    return -(int)why.code;
}

/* Looks up the file that `link` is a name of. 1: *ret has it (borrowed from x->targets); 0: *why says
 * why not; negative: the end. */
static int find_target(struct export *x, const struct entry *link, struct entry *ret,
                       struct err *why)
{
    int rc = 0;
    *ret = (struct entry){ 0 };
    if (!x->targets)
        rc = reader_open(x->src, x->body, &x->targets, why);
    if (rc == 0)
        rc = reader_seek(x->targets, link->target, link->target_len, why);
    if (rc == 0)
        rc = reader_next(x->targets, ret, why);
    if (rc > 0 && path_cmp(ret->path, ret->path_len, link->target, link->target_len) == 0 &&
        ret->type != ENTRY_HARDLINK && ret->type != ENTRY_DIR && ret->type != ENTRY_MORE)
        return 1;
    if (rc >= 0)
        rc = err_set(why, ERR_DAMAGED,
                     _("the file that it is another name of is not in the snapshot"));
    if (!reader_lost(rc)) {
        if (x->e)
            *x->e = *why;
        return rc;
    }
    return 0;
}

static int write_link(struct export *x, const struct entry *en, const char *target, size_t len)
{
    struct tar_item item = {
        .en = en, .path = en->path, .path_len = en->path_len, .target = target, .target_len = len
    };
    int rc = tar_header(x->tar, &item, x->e);
    return rc < 0 ? name_it(x->e, en->path, en->path_len) : 0;
}

/* A hard link whose file is not in the archive becomes a file itself, and links after it point there. */
static int write_hard_link(struct export *x, const struct entry *en)
{
    struct err why = ERR_INIT;
    struct entry target;
    const struct link *known = links_find(&x->links, en->target, en->target_len);
    if (known && known->name)
        return write_link(x, en, known->name, known->name_len);
    if (known) {
        err_set(&why, ERR_DAMAGED, _("the file that it is another name of could not be read"));
        leave_out(x, en->path, en->path_len, &why);
        return 0;
    }
    bool selected = selection_has(&x->sel, en->target, en->target_len);
    if (selected && x->gaps == 0)
        return write_link(x, en, en->target, en->target_len);
    int rc = find_target(x, en, &target, &why);
    if (rc > 0 && selected)
        return write_link(x, en, en->target, en->target_len);
    if (rc == 0)
        leave_out(x, en->path, en->path_len, &why);
    if (rc > 0)
        rc = write_entry(x, &target, en->path, en->path_len);
    if (rc < 0)
        return rc;
    return links_add(&x->links, en->target, en->target_len, rc > 0 ? en->path : NULL, en->path_len,
                     x->e);
}

static int export_entry(void *ctx, const struct entry *en)
{
    struct export *x = ctx;
    if (sys_interrupted())
        return err_set(x->e, ERR_INTERRUPTED, _("interrupted by a signal"));
    if (en->type == ENTRY_HARDLINK)
        return write_hard_link(x, en);
    int rc = write_entry(x, en, en->path, en->path_len);
    if (rc == 0 && en->flags & ENTRY_LINKED)
        return links_add(&x->links, en->path, en->path_len, NULL, 0, x->e);
    return rc < 0 ? rc : 0;
}

static void export_gap(void *ctx, const struct err *why)
{
    struct export *x = ctx;
    x->gaps++;
    x->lost++;
    if (x->gap)
        x->gap(x->ctx, why);
}

static void export_done(struct export *x)
{
    reader_close(x->parts);
    reader_close(x->targets);
    tar_free(x->tar);
    sha256_free(x->hash);
    paged_hash_free(x->paged);
    for (size_t i = 0; i < CACHE_SLOTS; i++)
        wbuf_free(&x->cache[i].bytes);
    wbuf_free(&x->ahead);
    free(x->runs);
    links_done(&x->links);
    selection_done(&x->sel);
}

int reader_export(const struct chunk_source *src, const struct snapshot_body *body,
                  const struct select *sel, int fd, gap_fn *gap, void *ctx, uint64_t *ret_lost,
                  struct err *e)
{
    struct export x = { .src = src, .body = body, .gap = gap, .ctx = ctx, .e = e };
    int rc = selection_init(&x.sel, sel, e);
    if (rc == 0 && (!(x.hash = sha256_new()) || !(x.paged = paged_hash_new())))
        rc = no_memory(e);
    if (rc == 0)
        rc = tar_new(fd, &x.tar, e);
    if (rc == 0)
        rc = reader_each(src, body, sel, export_entry, export_gap, &x, NULL, e);
    if (rc == 0)
        rc = tar_finish(x.tar, e);
    if (ret_lost)
        *ret_lost = x.lost;
    export_done(&x);
    return rc;
}
