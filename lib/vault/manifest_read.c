/* manifest_read.c - leaves and index chunks being read. Nothing in them is trusted: whoever
 * writes a manifest may be hostile. docs/format.md, "Manifest". */
#include "lib/base/i18n.h"
#include "lib/vault/manifest_impl.h"

#include <stdlib.h>

/* The least that an entry needs: shared, rest, type, flags, and a continuation's extents. */
#define MIN_ENTRY_BYTES 6

struct leaf_reader {
    bool state;
    struct rbuf in;
    const struct id *chunks; /* in the leaf */
    size_t n_chunks;
    uint64_t left; /* entries to come */
    bool begun;    /* there was an entry; `path` is its */
    char *path;
    size_t path_len, path_cap;
    struct open_file file;
    bool have_meta;
    uint32_t mode, uid, gid;
    int64_t mtime_s;
    bool last_is_data;
    uint32_t last_ordinal;
    uint64_t last_end;
    struct xattr *xattrs;
    size_t xattrs_cap;
    struct extent *extents;
    size_t extents_cap;
};

static int damaged(struct err *e, const char *why)
{
    return err_set(e, ERR_DAMAGED, _("damaged list of files: %s"), why);
}

int leaf_reader_new(const void *p, size_t n, bool state, struct leaf_reader **ret, struct err *e)
{
    if (n > MAX_LEAF_BYTES)
        return damaged(e, _("a leaf is too long"));
    struct rbuf in = rbuf_of(p, n);
    bool ok = rb_u8(&in) == (state ? STATE_MAGIC : LEAF_MAGIC);
    ok = rb_u8(&in) == LEAF_VERSION && ok;
    size_t n_chunks = (size_t)rb_varint_max(&in, MAX_LEAF_BYTES / ID_BYTES);
    const uint8_t *chunks = rb_bytes(&in, n_chunks * ID_BYTES);
    uint64_t entries = rb_varint_max(&in, MAX_LEAF_BYTES);
    if (!ok || in.bad || entries == 0 || entries > rb_left(&in) / MIN_ENTRY_BYTES)
        return damaged(e, _("not a leaf"));
    struct leaf_reader *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(e, ERR_NOMEM, _("no memory for the list of files"));
    r->state = state;
    r->in = in;
    r->chunks = (const struct id *)chunks; /* both are bytes */
    r->n_chunks = n_chunks;
    r->left = entries;
    *ret = r;
    return 0;
}

void leaf_reader_free(struct leaf_reader *r)
{
    if (!r)
        return;
    free(r->path);
    free(r->xattrs);
    free(r->extents);
    free(r);
}

const struct id *leaf_reader_chunks(const struct leaf_reader *r, size_t *ret_n)
{
    *ret_n = r->n_chunks;
    return r->chunks;
}

/* Room for n members in an array that only grows; NULL: no memory, and the array is as it was. */
static void *ensure(void *array, size_t *cap, size_t n, size_t size)
{
    if (array && n <= *cap)
        return array;
    size_t want = *cap * 2 > n ? *cap * 2 : n;
    void *to = realloc(array, (want ? want : 1) * size);
    if (to)
        *cap = want;
    return to;
}

/* --- parts of an entry: NULL, or what is wrong ------------------------------------------------ */
static const char *read_path(struct leaf_reader *r, struct entry *en)
{
    size_t len, shared = (size_t)rb_varint_max(&r->in, r->path_len);
    const char *rest = (const char *)rb_blob(&r->in, MAX_PATH_BYTES - shared, &len);
    en->type = (enum entry_type)rb_u8(&r->in);
    if (r->in.bad)
        return _("bad path");
    const char *before = r->begun ? r->path + shared : "";
    size_t before_len = r->path_len - shared;
    if (r->begun && en->type == ENTRY_MORE) {
        if (!r->file.open || before_len > 0 || len > 0)
            return _("a continuation of nothing");
    } else if (r->begun && path_cmp(before, before_len, rest, len) >= 0)
        return _("the paths are not in order");
    char *path = ensure(r->path, &r->path_cap, shared + len, 1);
    if (!path)
        return _("no memory");
    r->path = path;
    memcpy(r->path + shared, rest, len);
    r->path_len = shared + len;
    en->path = r->path;
    en->path_len = r->path_len;
    return path_tail_ok(r->path, shared, r->path_len) ? NULL : _("bad path");
}

static const char *read_xattrs(struct leaf_reader *r, struct entry *en)
{
    size_t n = (size_t)rb_varint_max(&r->in, MAX_XATTRS);
    if (n == 0 || n > rb_left(&r->in) / 3)
        return _("bad number of extended attributes");
    struct xattr *array = ensure(r->xattrs, &r->xattrs_cap, n, sizeof *array);
    if (!array)
        return _("no memory");
    r->xattrs = array;
    for (size_t i = 0; i < n; i++) {
        struct xattr *x = &r->xattrs[i];
        x->name = (const char *)rb_blob(&r->in, MAX_XATTR_NAME_BYTES, &x->name_len);
        x->value = rb_blob(&r->in, MAX_XATTR_BYTES, &x->len);
    }
    en->xattrs = r->xattrs;
    en->n_xattrs = n;
    return r->in.bad ? _("bad extended attribute") : NULL;
}

static const char *read_meta(struct leaf_reader *r, struct entry *en)
{
    if (!(en->flags & ENTRY_SAME)) {
        r->mode = (uint32_t)rb_varint_max(&r->in, 07777);
        r->uid = (uint32_t)rb_varint_max(&r->in, UINT32_MAX);
        r->gid = (uint32_t)rb_varint_max(&r->in, UINT32_MAX);
    } else if (!r->have_meta)
        return _("there is no entry before whose owner could be the same");
    r->have_meta = true;
    r->mtime_s = (int64_t)((uint64_t)r->mtime_s + (uint64_t)rb_zigzag(&r->in));
    en->mode = r->mode;
    en->uid = r->uid;
    en->gid = r->gid;
    en->mtime_s = r->mtime_s;
    en->mtime_ns = (uint32_t)rb_varint_max(&r->in, MAX_MTIME_NS);
    if (en->flags & ENTRY_FFLAGS) {
        en->fflags = (uint32_t)rb_varint_max(&r->in, UINT32_MAX);
        if (en->fflags == 0)
            return _("bad flags of a file");
    }
    return en->flags & ENTRY_XATTRS ? read_xattrs(r, en) : NULL;
}

static const char *read_extent(struct leaf_reader *r, struct extent *x)
{
    uint64_t v = rb_varint_max(&r->in, MAX_FILE_BYTES << EXTENT_SHIFT | 3);
    *x = (struct extent){ .len = v >> EXTENT_SHIFT, .hole = v & EXTENT_HOLE };
    if (x->hole) {
        r->last_is_data = false;
        return v & EXTENT_FOLLOWS ? _("bad extent") : NULL;
    }
    if (v & EXTENT_FOLLOWS) {
        if (!r->last_is_data)
            return _("there is no extent before that could be followed");
    } else {
        r->last_ordinal = (uint32_t)rb_varint_max(&r->in, UINT32_MAX);
        r->last_end = rb_varint_max(&r->in, UINT32_MAX);
        if (r->in.bad || r->last_ordinal >= r->n_chunks)
            return _("an extent names no chunk");
        r->last_is_data = true;
    }
    /* entry_check sees to it that the extent ends within a chunk, so this cannot be cut short. */
    if (r->last_end > UINT32_MAX)
        return _("bad extent");
    x->chunk = r->chunks[r->last_ordinal];
    x->off = (uint32_t)r->last_end;
    r->last_end += x->len;
    return NULL;
}

static const char *read_extents(struct leaf_reader *r, struct entry *en)
{
    size_t n = (size_t)rb_varint_max(&r->in, MAX_PART_EXTENTS);
    if (r->in.bad || n > rb_left(&r->in))
        return _("bad number of extents");
    struct extent *array = ensure(r->extents, &r->extents_cap, n, sizeof *array);
    if (!array)
        return _("no memory");
    r->extents = array;
    for (size_t i = 0; i < n; i++) {
        const char *why = read_extent(r, &r->extents[i]);
        if (why)
            return why;
    }
    en->extents = r->extents;
    en->n_extents = n;
    if (en->flags & ENTRY_PAGED) {
        en->n_sums = paged_sums_of(en->extents, n, NULL);
        en->sums = (const struct id *)rb_bytes(&r->in, en->n_sums * ID_BYTES); /* both are bytes */
    }
    return r->in.bad ? _("bad extent") : NULL;
}

static const char *read_file(struct leaf_reader *r, struct entry *en)
{
    en->size = rb_varint_max(&r->in, MAX_FILE_BYTES);
    if (en->size > 0) {
        rb_id(&r->in, &en->hash);
        if (en->flags & ENTRY_PAGED)
            en->page_bits = rb_u8(&r->in);
        const char *why = read_extents(r, en);
        if (why)
            return why;
    }
    if (r->state) {
        en->ctime_s = (int64_t)((uint64_t)en->mtime_s + (uint64_t)rb_zigzag(&r->in));
        en->ctime_ns = (uint32_t)rb_varint_max(&r->in, MAX_MTIME_NS);
        en->ino = rb_varint(&r->in);
        if (en->flags & ENTRY_PAGED)
            en->page_sums_at = rb_varint(&r->in);
    }
    return NULL;
}

static const char *read_by_type(struct leaf_reader *r, struct entry *en)
{
    switch (en->type) {
    case ENTRY_FILE:
        return read_file(r, en);
    case ENTRY_MORE:
        return read_extents(r, en);
    case ENTRY_SYMLINK:
    case ENTRY_HARDLINK:
        en->target = (const char *)rb_blob(&r->in, MAX_PATH_BYTES, &en->target_len);
        return NULL;
    case ENTRY_CHAR:
    case ENTRY_BLOCK:
        en->dev_major = (uint32_t)rb_varint_max(&r->in, UINT32_MAX);
        en->dev_minor = (uint32_t)rb_varint_max(&r->in, UINT32_MAX);
        return NULL;
    case ENTRY_DIR:
    case ENTRY_FIFO:
    case ENTRY_SOCKET:
        break;
    }
    return NULL;
}

static const char *read_entry(struct leaf_reader *r, struct entry *en)
{
    const char *why = read_path(r, en);
    if (why)
        return why;
    en->flags = (unsigned)rb_varint_max(&r->in, 511);
    unsigned rewritten = r->state && en->type == ENTRY_FILE ? en->flags & ENTRY_REWRITTEN : 0;
    en->flags &= ~rewritten;
    /* Before anything that the flags bring is looked at. */
    if (r->in.bad || (en->flags & ~entry_allowed_flags(en->type)))
        return _("an entry has flags that its type cannot have");
    if (en->type != ENTRY_MORE)
        why = read_meta(r, en);
    if (!why)
        why = read_by_type(r, en);
    if (!why && r->in.bad)
        why = _("an entry is cut short");
    if (!why)
        why = entry_check(en, &r->file);
    en->flags &= ~(unsigned)ENTRY_SAME; /* of no use to anybody else */
    en->flags |= rewritten;
    return why;
}

int leaf_next(struct leaf_reader *r, struct entry *ret, struct err *e)
{
    if (r->left == 0) {
        if (!rb_done(&r->in))
            return damaged(e, _("a leaf has bytes left over"));
        return 0;
    }
    struct entry en = { 0 };
    const char *why = read_entry(r, &en);
    if (why) {
        rb_fail(&r->in); /* and so is every entry behind it */
        return damaged(e, why);
    }
    r->begun = true;
    r->left--;
    *ret = en;
    return 1;
}

/* --- index chunks ----------------------------------------------------------------------------- */
void leaf_info_write(struct wbuf *w, const struct leaf_info *li)
{
    wb_id(w, &li->id);
    wb_varint(w, li->entries);
    wb_blob(w, li->first, li->first_len);
}

int leaf_info_read(struct rbuf *r, struct leaf_info *ret, struct err *e)
{
    if (rb_done(r))
        return 0;
    struct leaf_info li;
    rb_id(r, &li.id);
    li.entries = rb_varint(r);
    li.first = (const char *)rb_blob(r, MAX_PATH_BYTES, &li.first_len);
    if (r->bad || li.entries == 0 || !path_ok(li.first, li.first_len)) {
        rb_fail(r);
        return damaged(e, _("bad index of the leaves"));
    }
    *ret = li;
    return 1;
}
