/* manifest_write.c - leaves being written. docs/format.md, "Manifest". */
#include "lib/base/i18n.h"
#include "lib/vault/manifest_impl.h"

#include <assert.h>
#include <stdlib.h>

#define MIN_SLOTS 256 /* a power of two */

/* The leaf's chunks in the order of their first use, and where to find each: slots hold ordinal
 * + 1. */
struct chunk_table {
    struct id *ids;
    size_t n, cap;
    uint32_t *slots;
    size_t n_slots;
};

struct leaf_writer {
    bool state;
    struct wbuf entries;
    size_t count;
    struct chunk_table chunks;
    struct wbuf first, prev; /* paths */
    struct open_file file;
    bool have_meta; /* an entry with mode, owner and time was written; these are its: */
    uint32_t mode, uid, gid;
    int64_t mtime_s;
    bool last_is_data; /* the extent before was not a hole; it ended there: */
    uint32_t last_ordinal;
    uint64_t last_end;
};

struct leaf_writer *leaf_writer_new(bool state)
{
    struct leaf_writer *w = calloc(1, sizeof *w);
    if (w)
        w->state = state;
    return w;
}

void leaf_writer_free(struct leaf_writer *w)
{
    if (!w)
        return;
    wbuf_free(&w->entries);
    wbuf_free(&w->first);
    wbuf_free(&w->prev);
    free(w->chunks.ids);
    free(w->chunks.slots);
    free(w);
}

/* --- the chunk table -------------------------------------------------------------------------- */
/* Chunk ids are MACs, so any eight bytes of one are a hash. */
static size_t slot_of(const struct chunk_table *t, const struct id *id)
{
    uint64_t h;
    memcpy(&h, id->b, sizeof h);
    size_t i = (size_t)h & (t->n_slots - 1);
    while (t->slots[i] != 0 && !id_eq(&t->ids[t->slots[i] - 1], id))
        i = (i + 1) & (t->n_slots - 1);
    return i;
}

/* Room for `more` new chunks, so that adding them cannot fail half-way. At most half of the
 * slots are used. */
static bool table_reserve(struct chunk_table *t, size_t more)
{
    size_t want = t->n + more;
    if (want > t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 64;
        while (cap < want)
            cap *= 2;
        struct id *ids = realloc(t->ids, cap * sizeof *ids);
        if (!ids)
            return false;
        t->ids = ids;
        t->cap = cap;
    }
    if (t->slots && want * 2 <= t->n_slots)
        return true;
    size_t n_slots = t->n_slots ? t->n_slots : MIN_SLOTS;
    while (n_slots < want * 2)
        n_slots *= 2;
    uint32_t *slots = calloc(n_slots, sizeof *slots);
    if (!slots)
        return false;
    free(t->slots);
    t->slots = slots;
    t->n_slots = n_slots;
    for (size_t i = 0; i < t->n; i++)
        t->slots[slot_of(t, &t->ids[i])] = (uint32_t)i + 1;
    return true;
}

static uint32_t table_ordinal(struct chunk_table *t, const struct id *id)
{
    size_t slot = slot_of(t, id);
    if (t->slots[slot] == 0) {
        t->ids[t->n++] = *id;
        t->slots[slot] = (uint32_t)t->n;
    }
    return t->slots[slot] - 1;
}

static void table_clear(struct chunk_table *t)
{
    if (t->n > 0)
        memset(t->slots, 0, t->n_slots * sizeof *t->slots);
    t->n = 0;
}

const struct id *leaf_chunks(const struct leaf_writer *w, size_t *ret_n)
{
    *ret_n = w->chunks.n;
    return w->chunks.ids;
}

/* --- entries ---------------------------------------------------------------------------------- */
static void put_extent(struct leaf_writer *w, const struct extent *x)
{
    struct wbuf *b = &w->entries;
    if (x->hole) {
        wb_varint(b, x->len << EXTENT_SHIFT | EXTENT_HOLE);
        w->last_is_data = false;
        return;
    }
    bool same = w->last_is_data && id_eq(&w->chunks.ids[w->last_ordinal], &x->chunk);
    if (same && x->off == w->last_end) {
        wb_varint(b, x->len << EXTENT_SHIFT | EXTENT_FOLLOWS);
    } else {
        if (!same)
            w->last_ordinal = table_ordinal(&w->chunks, &x->chunk);
        wb_varint(b, x->len << EXTENT_SHIFT);
        wb_varint(b, w->last_ordinal);
        wb_varint(b, x->off);
    }
    w->last_is_data = true;
    w->last_end = x->off + x->len;
}

static void put_extents(struct leaf_writer *w, const struct entry *en)
{
    wb_varint(&w->entries, en->n_extents);
    for (size_t i = 0; i < en->n_extents; i++)
        put_extent(w, &en->extents[i]);
    if (en->flags & ENTRY_PAGED)
        wb_bytes(&w->entries, en->sums, en->n_sums * ID_BYTES);
}

static void put_file(struct leaf_writer *w, const struct entry *en)
{
    struct wbuf *b = &w->entries;
    wb_varint(b, en->size);
    if (en->size > 0) {
        wb_id(b, &en->hash);
        if (en->flags & ENTRY_PAGED)
            wb_u8(b, (uint8_t)en->page_bits);
        put_extents(w, en);
    }
    if (w->state) {
        wb_zigzag(b, (int64_t)((uint64_t)en->ctime_s - (uint64_t)en->mtime_s));
        wb_varint(b, en->ctime_ns);
        wb_varint(b, en->ino);
        if (en->flags & ENTRY_PAGED)
            wb_varint(b, en->page_sums_at);
    }
}

static void put_meta(struct leaf_writer *w, const struct entry *en, unsigned flags)
{
    struct wbuf *b = &w->entries;
    if (!(flags & ENTRY_SAME)) {
        wb_varint(b, en->mode);
        wb_varint(b, en->uid);
        wb_varint(b, en->gid);
    }
    /* Times may be as far apart as they like: the difference wraps, and so does the sum. */
    uint64_t before = w->have_meta ? (uint64_t)w->mtime_s : 0;
    wb_zigzag(b, (int64_t)((uint64_t)en->mtime_s - before));
    wb_varint(b, en->mtime_ns);
    if (flags & ENTRY_FFLAGS)
        wb_varint(b, en->fflags);
    if (flags & ENTRY_XATTRS) {
        wb_varint(b, en->n_xattrs);
        for (size_t i = 0; i < en->n_xattrs; i++) {
            wb_blob(b, en->xattrs[i].name, en->xattrs[i].name_len);
            wb_blob(b, en->xattrs[i].value, en->xattrs[i].len);
        }
    }
    w->have_meta = true;
    w->mode = en->mode;
    w->uid = en->uid;
    w->gid = en->gid;
    w->mtime_s = en->mtime_s;
}

static void put_by_type(struct leaf_writer *w, const struct entry *en)
{
    switch (en->type) {
    case ENTRY_FILE:
        put_file(w, en);
        break;
    case ENTRY_MORE:
        put_extents(w, en);
        break;
    case ENTRY_SYMLINK:
    case ENTRY_HARDLINK:
        wb_blob(&w->entries, en->target, en->target_len);
        break;
    case ENTRY_CHAR:
    case ENTRY_BLOCK:
        wb_varint(&w->entries, en->dev_major);
        wb_varint(&w->entries, en->dev_minor);
        break;
    case ENTRY_DIR:
    case ENTRY_FIFO:
    case ENTRY_SOCKET:
        break;
    }
}

static unsigned flags_of(const struct leaf_writer *w, const struct entry *en)
{
    unsigned flags = en->flags & ~(unsigned)(ENTRY_XATTRS | ENTRY_FFLAGS | ENTRY_SAME);
    if (en->n_xattrs > 0)
        flags |= ENTRY_XATTRS;
    if (en->fflags != 0)
        flags |= ENTRY_FFLAGS;
    if (w->have_meta && en->mode == w->mode && en->uid == w->uid && en->gid == w->gid)
        flags |= ENTRY_SAME;
    return flags & (entry_allowed_flags(en->type) | (w->state ? ENTRY_REWRITTEN : 0));
}

/* A continuation has the path of the part before it; every other entry comes behind the one
 * before. */
static bool order_ok(const struct leaf_writer *w, const struct entry *en, size_t shared)
{
    if (w->count == 0)
        return true;
    const char *prev = (const char *)w->prev.p;
    if (en->type == ENTRY_MORE)
        return w->file.open && shared == w->prev.len && shared == en->path_len;
    return path_cmp(prev + shared, w->prev.len - shared, en->path + shared, en->path_len - shared) <
           0;
}

static bool remember_path(struct leaf_writer *w, const struct entry *en, size_t shared)
{
    if (w->count == 0) {
        wbuf_reset(&w->first);
        wb_bytes(&w->first, en->path, en->path_len);
    }
    w->prev.len = shared;
    wb_bytes(&w->prev, en->path + shared, en->path_len - shared);
    return !w->prev.failed && !w->first.failed;
}

int leaf_add(struct leaf_writer *w, const struct entry *en, struct err *e)
{
    if (!path_ok(en->path, en->path_len))
        return err_set(e, ERR_LIMIT, _("the path is too long or has parts that no path can have"));
    size_t shared = w->count == 0 ? 0
                                  : common_prefix((const char *)w->prev.p, w->prev.len, en->path,
                                                  en->path_len);
    if (!order_ok(w, en, shared))
        return err_set(e, ERR_FAILED, _("the entries of a snapshot must come in order of path"));
    struct entry put = *en;
    put.flags = flags_of(w, en);
    struct open_file file = w->file;
    unsigned flags = put.flags;
    put.flags &= ~(unsigned)ENTRY_REWRITTEN;
    const char *why = entry_check(&put, &file);
    put.flags = flags;
    if (why)
        return err_set(e, ERR_LIMIT, "%s", why);
    if (!table_reserve(&w->chunks, en->n_extents) || !remember_path(w, en, shared))
        goto nomem;
    w->file = file;
    struct wbuf *b = &w->entries;
    wb_varint(b, shared);
    wb_blob(b, en->path + shared, en->path_len - shared);
    wb_u8(b, (uint8_t)en->type);
    wb_varint(b, put.flags);
    if (en->type != ENTRY_MORE)
        put_meta(w, en, put.flags);
    put_by_type(w, en);
    w->count++;
    if (!b->failed)
        return 0;
nomem:
    /* What is written now may lack a part; it must not be taken. */
    w->entries.failed = true;
    return err_set(e, ERR_NOMEM, _("no memory for the list of files"));
}

/* --- leaves ----------------------------------------------------------------------------------- */
/* FNV-1a, and then the finaliser of MurmurHash3, as the low bits of the former are weak. */
static uint64_t path_hash(const char *path, size_t len)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)path[i]) * UINT64_C(0x100000001b3);
    h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ h >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ h >> 33;
}

bool leaf_is_full(const struct leaf_writer *w, const char *next_path, size_t len)
{
    size_t bytes = w->entries.len + w->chunks.n * ID_BYTES;
    if (bytes >= LEAF_MAX_BYTES)
        return true;
    return bytes >= LEAF_MIN_BYTES && path_hash(next_path, len) % 256 == 0;
}

size_t leaf_count(const struct leaf_writer *w)
{
    return w->count;
}

static void start_anew(struct leaf_writer *w)
{
    wbuf_reset(&w->entries);
    wbuf_reset(&w->first);
    wbuf_reset(&w->prev);
    table_clear(&w->chunks);
    w->count = 0;
    w->file = (struct open_file){ 0 };
    w->have_meta = w->last_is_data = false;
}

int leaf_take(struct leaf_writer *w, struct wbuf *out, struct wbuf *first, struct err *e)
{
    assert(w->count > 0);
    if (w->entries.failed || w->prev.failed || w->first.failed)
        return err_set(e, ERR_NOMEM, _("no memory for the list of files"));
    wb_u8(out, w->state ? STATE_MAGIC : LEAF_MAGIC);
    wb_u8(out, LEAF_VERSION);
    wb_varint(out, w->chunks.n);
    wb_bytes(out, w->chunks.ids, w->chunks.n * ID_BYTES);
    wb_varint(out, w->count);
    wb_bytes(out, w->entries.p, w->entries.len);
    wb_bytes(first, w->first.p, w->first.len);
    if (out->failed || first->failed)
        return err_set(e, ERR_NOMEM, _("no memory for the list of files"));
    start_anew(w);
    return 0;
}
