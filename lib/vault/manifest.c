/* manifest.c - order and form of paths, and what makes an entry valid. docs/format.md,
 * "Manifest". */
#include "lib/vault/manifest_impl.h"
#include "lib/base/i18n.h"
#include "lib/vault/chunk.h"

/* --- paths ------------------------------------------------------------------------------------ */
size_t common_prefix(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t n = a_len < b_len ? a_len : b_len, i = 0;
    while (n - i >= 8 && memcmp(a + i, b + i, 8) == 0)
        i += 8;
    while (i < n && a[i] == b[i])
        i++;
    return i;
}

/* '/' sorts below every other byte, so that a folder's content follows it at once. */
static int rank(char c)
{
    return c == '/' ? -1 : (unsigned char)c;
}

int path_cmp(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t i = common_prefix(a, a_len, b, b_len);
    if (i == a_len || i == b_len)
        return (a_len > b_len) - (a_len < b_len);
    return rank(a[i]) < rank(b[i]) ? -1 : 1;
}

bool path_within(const char *path, size_t path_len, const char *dir, size_t dir_len)
{
    if (dir_len == 0)
        return true;
    if (path_len < dir_len || memcmp(path, dir, dir_len) != 0)
        return false;
    return path_len == dir_len || path[dir_len] == '/';
}

static bool component_ok(const char *p, size_t len)
{
    return len > 2 || (len == 1 && p[0] != '.') || (len == 2 && (p[0] != '.' || p[1] != '.'));
}

bool path_tail_ok(const char *path, size_t known, size_t len)
{
    if (len == 0 || len > MAX_PATH_BYTES)
        return false;
    /* A component that has three bytes already cannot be empty, "." or "..", whatever comes. */
    size_t at = known;
    while (at > 0 && known - at < 3 && path[at - 1] != '/')
        at--;
    if (memchr(path + at, '\0', len - at))
        return false;
    for (;;) {
        const char *slash = memchr(path + at, '/', len - at);
        size_t end = slash ? (size_t)(slash - path) : len;
        if (!component_ok(path + at, end - at))
            return false;
        if (!slash)
            return true;
        at = end + 1;
    }
}

bool path_ok(const char *path, size_t len)
{
    return path_tail_ok(path, 0, len);
}

/* --- entries ---------------------------------------------------------------------------------- */
unsigned entry_allowed_flags(enum entry_type type)
{
    unsigned meta = ENTRY_XATTRS | ENTRY_FFLAGS | ENTRY_SAME;
    switch (type) {
    case ENTRY_FILE:
        return meta | ENTRY_HAS_MORE | ENTRY_LINKED | ENTRY_SPARSE | ENTRY_PAGED;
    case ENTRY_DIR:
        return meta | ENTRY_ABOVE;
    case ENTRY_SYMLINK:
    case ENTRY_FIFO:
    case ENTRY_CHAR:
    case ENTRY_BLOCK:
        return meta | ENTRY_LINKED;
    case ENTRY_HARDLINK:
        return meta;
    case ENTRY_MORE:
        return ENTRY_HAS_MORE | ENTRY_PAGED;
    case ENTRY_SOCKET:
        break;
    }
    return 0;
}

static const char *check_xattrs(const struct entry *en)
{
    size_t total = 0;
    if (en->n_xattrs > MAX_XATTRS)
        return _("too many extended attributes");
    for (size_t i = 0; i < en->n_xattrs; i++) {
        const struct xattr *x = &en->xattrs[i];
        if (x->name_len == 0 || x->name_len > MAX_XATTR_NAME_BYTES ||
            memchr(x->name, '\0', x->name_len))
            return _("bad name of an extended attribute");
        if (x->len > MAX_XATTR_BYTES || (total += x->name_len + x->len) > MAX_XATTR_BYTES)
            return _("the extended attributes are too long");
    }
    return NULL;
}

/* Adds up the extents of one part; each must be possible in itself. */
static const char *sum_extents(const struct entry *en, uint64_t *ret_sum)
{
    uint64_t sum = 0;
    if (en->n_extents > MAX_PART_EXTENTS)
        return _("too many extents in one part");
    for (size_t i = 0; i < en->n_extents; i++) {
        const struct extent *x = &en->extents[i];
        if (x->len == 0 || x->len > MAX_FILE_BYTES - sum)
            return _("bad length of an extent");
        sum += x->len;
        if (!x->hole && (x->len > MAX_CHUNK_BYTES || x->off > MAX_CHUNK_BYTES - x->len))
            return _("an extent reaches beyond its chunk");
    }
    *ret_sum = sum;
    return NULL;
}

size_t paged_sums_of(const struct extent *extents, size_t n, bool *ret_bad)
{
    uint64_t off = 0, counted = 0; /* regions before `counted` are */
    size_t sums = 0;
    bool bad = false;
    for (size_t i = 0; i < n; off += extents[i++].len) {
        uint64_t region = off / REGION_BYTES;
        if (extents[i].hole)
            continue;
        bad = bad || extents[i].len > REGION_BYTES - off % REGION_BYTES;
        sums += region >= counted;
        counted = region + 1;
    }
    if (ret_bad)
        *ret_bad = bad;
    return sums;
}

/* `sum` is the length of the part. */
static const char *check_paged(const struct entry *en, uint64_t sum)
{
    bool bad;
    if (en->type == ENTRY_FILE &&
        (en->size == 0 || en->page_bits < MIN_PAGE_BITS || en->page_bits > MAX_PAGE_BITS))
        return _("bad size of pages");
    if (en->flags & ENTRY_SPARSE || (en->flags & ENTRY_HAS_MORE && sum % REGION_BYTES != 0))
        return _("a file in pages that is not in regions");
    if (paged_sums_of(en->extents, en->n_extents, &bad) != en->n_sums || bad)
        return _("a file in pages that is not in regions");
    return NULL;
}

static const char *check_extents(const struct entry *en, struct open_file *of)
{
    uint64_t sum = 0;
    const char *why = sum_extents(en, &sum);
    if (!why && en->flags & ENTRY_PAGED)
        why = check_paged(en, sum);
    if (!why && en->type == ENTRY_MORE && of->left_known &&
        of->paged != !!(en->flags & ENTRY_PAGED))
        why = _("a continuation of another kind");
    if (why)
        return why;
    if (en->type == ENTRY_FILE) {
        if (en->size > MAX_FILE_BYTES)
            return _("the file is too long");
        *of = (struct open_file){ .left_known = true,
                                  .left = en->size,
                                  .paged = en->flags & ENTRY_PAGED };
    } else if (en->n_extents == 0)
        return _("a continuation without extents");
    bool more = en->flags & ENTRY_HAS_MORE;
    if (more && en->n_extents == 0)
        return _("a part without extents");
    if (of->left_known) {
        if (sum > of->left || (sum == of->left) == more)
            return _("the extents do not cover the file");
        of->left -= sum;
    }
    of->open = more;
    return NULL;
}

static const char *check_by_type(const struct entry *en, struct open_file *of)
{
    switch (en->type) {
    case ENTRY_FILE:
    case ENTRY_MORE:
        return check_extents(en, of);
    case ENTRY_SYMLINK:
        if (en->target_len == 0 || en->target_len > MAX_PATH_BYTES ||
            memchr(en->target, '\0', en->target_len))
            return _("bad target of a symbolic link");
        return NULL;
    case ENTRY_HARDLINK:
        if (!path_ok(en->target, en->target_len) ||
            path_cmp(en->target, en->target_len, en->path, en->path_len) >= 0)
            return _("a hard link must name a file before it");
        return NULL;
    case ENTRY_DIR:
    case ENTRY_FIFO:
    case ENTRY_CHAR:
    case ENTRY_BLOCK:
        return NULL;
    case ENTRY_SOCKET:
        break;
    }
    return _("bad type of an entry");
}

const char *entry_check(const struct entry *en, struct open_file *of)
{
    if (of->open && en->type != ENTRY_MORE)
        return _("the rest of a file's extents is missing");
    if (en->flags & ~entry_allowed_flags(en->type))
        return _("an entry has flags that its type cannot have");
    if (en->type != ENTRY_MORE) {
        if (en->mode > 07777)
            return _("bad mode");
        if (en->mtime_ns > MAX_MTIME_NS || en->ctime_ns > MAX_MTIME_NS)
            return _("bad time");
        const char *why = check_xattrs(en);
        if (why)
            return why;
    }
    return check_by_type(en, of);
}
