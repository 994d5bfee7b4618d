/* diff.c - the difference of two snapshots: their entries merged in path order (restore/reader.h). What
 * lies in a gap of one side is not called added or deleted: nobody knows. */
#include "restore/select.h"
#include "lib/base/i18n.h"

#include <string.h>

/* Bits of `what`, as struct msg_diff of lib/wire/wire.h. */
enum {
    WHAT_MODE = 1,
    WHAT_OWNER = 2,
    WHAT_MTIME = 4,
    WHAT_XATTRS = 8,
    WHAT_FFLAGS = 16,
    WHAT_TARGET = 32
};
#define MAX_UNORDERED_XATTRS 64

struct side {
    const struct chunk_source *src;
    const struct snapshot_body *body;
    struct reader *r;
    struct reader *aux; /* looks up what hard links point at; opened when needed */
    struct entry en;
    bool end;
    uint64_t gaps;
    /* The paths before the current entry that this side does not know. */
    bool gap, gap_to_end;
    struct wbuf gap_from, gap_to;
};

static int note_gap(struct side *s, struct err *e)
{
    struct gap g;
    reader_gap(s->r, &g);
    s->gaps++;
    if (!s->gap) { /* several in a row hide one stretch */
        wbuf_reset(&s->gap_from);
        wb_bytes(&s->gap_from, g.from, g.from_len);
    }
    s->gap = true;
    s->gap_to_end = !g.to;
    wbuf_reset(&s->gap_to);
    if (g.to)
        wb_bytes(&s->gap_to, g.to, g.to_len);
    if (s->gap_from.failed || s->gap_to.failed)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    return 0;
}

/* Goes to the next entry, over gaps and further parts of files. */
static int advance(struct side *s, struct err *e)
{
    s->gap = false;
    for (;;) {
        struct err why = ERR_INIT;
        int rc = reader_next(s->r, &s->en, &why);
        if (rc > 0 && s->en.type != ENTRY_MORE)
            return 0;
        if (rc == 0) {
            s->end = true;
            return 0;
        }
        if (rc < 0 && !reader_lost(rc)) {
            if (e)
                *e = why;
            return rc;
        }
        if (rc < 0 && (rc = note_gap(s, e)) < 0)
            return rc;
    }
}

static bool unknown(const struct side *s, const struct entry *en)
{
    return s->gap &&
           path_cmp(en->path, en->path_len, (const char *)s->gap_from.p, s->gap_from.len) >= 0 &&
           (s->gap_to_end ||
            path_cmp(en->path, en->path_len, (const char *)s->gap_to.p, s->gap_to.len) < 0);
}

static bool same_xattr(const struct xattr *a, const struct xattr *b)
{
    return a->name_len == b->name_len && a->len == b->len &&
           !memcmp(a->name, b->name, a->name_len) && !memcmp(a->value, b->value, a->len);
}

static bool same_xattrs(const struct entry *a, const struct entry *b)
{
    if (a->n_xattrs != b->n_xattrs)
        return false;
    for (size_t i = 0; i < a->n_xattrs; i++) {
        if (same_xattr(&a->xattrs[i], &b->xattrs[i]))
            continue;
        /* A file system may list them in another order; a long list is only compared as it is. */
        bool found = false;
        for (size_t j = 0; !found && j < b->n_xattrs && b->n_xattrs <= MAX_UNORDERED_XATTRS; j++)
            found = same_xattr(&a->xattrs[i], &b->xattrs[j]);
        if (!found)
            return false;
    }
    return true;
}

static bool same_target(const struct entry *a, const struct entry *b)
{
    return a->target_len == b->target_len && !memcmp(a->target, b->target, a->target_len);
}

static unsigned compare_metadata(const struct entry *a, const struct entry *b)
{
    unsigned what = 0;
    if (a->mode != b->mode)
        what |= WHAT_MODE;
    if (a->uid != b->uid || a->gid != b->gid)
        what |= WHAT_OWNER;
    if (a->mtime_s != b->mtime_s || a->mtime_ns != b->mtime_ns)
        what |= WHAT_MTIME;
    /* A hard link's attributes stand in the file's entry. */
    if (a->type != ENTRY_HARDLINK && b->type != ENTRY_HARDLINK) {
        if (!same_xattrs(a, b))
            what |= WHAT_XATTRS;
        if (a->fflags != b->fflags)
            what |= WHAT_FFLAGS;
    }
    if (a->type == b->type && (a->type == ENTRY_SYMLINK || a->type == ENTRY_HARDLINK) &&
        !same_target(a, b))
        what |= WHAT_TARGET;
    return what;
}

/* Hashes over pages, over runs and over everything cannot be held against each other: then the times must do. */
static bool same_file(const struct entry *a, const struct entry *b)
{
    unsigned kind = (a->flags ^ b->flags) & (ENTRY_PAGED | ENTRY_SPARSE);
    if (a->size != b->size)
        return false;
    if (kind || a->page_bits != b->page_bits)
        return a->mtime_s == b->mtime_s && a->mtime_ns == b->mtime_ns;
    return a->size == 0 || id_eq(&a->hash, &b->hash);
}

static bool same_content(const struct entry *a, const struct entry *b)
{
    if (a->type == ENTRY_FILE)
        return same_file(a, b);
    if (a->type == ENTRY_CHAR || a->type == ENTRY_BLOCK)
        return a->dev_major == b->dev_major && a->dev_minor == b->dev_minor;
    return true;
}

/* Reads the entry that a hard link points at. 1: found. */
static int resolve(struct side *s, const struct entry *link, struct entry *ret, struct err *e)
{
    int rc;
    if (!s->aux && (rc = reader_open(s->src, s->body, &s->aux, e)) < 0)
        return rc;
    if ((rc = reader_seek(s->aux, link->target, link->target_len, e)) < 0)
        return rc;
    rc = reader_next(s->aux, ret, e);
    if (rc < 0)
        return reader_lost(rc) ? 0 : rc;
    return rc > 0 && path_cmp(ret->path, ret->path_len, link->target, link->target_len) == 0;
}

/* Which name of a file comes first may differ though the file does not: a hard link on one side is
 * compared by what it stands for. *ret: 0, 'M' or 'T'. */
static int compare_content(struct side *sa, struct side *sb, char *ret, struct err *e)
{
    struct entry ra, rb;
    const struct entry *a = &sa->en, *b = &sb->en;
    *ret = 0;
    if (a->type == ENTRY_HARDLINK && b->type == ENTRY_HARDLINK)
        return 0; /* its content is reported at the file's own name */
    if (a->type == ENTRY_HARDLINK) {
        int rc = resolve(sa, a, &ra, e);
        if (rc < 0)
            return rc;
        a = rc > 0 ? &ra : NULL;
    } else if (b->type == ENTRY_HARDLINK) {
        int rc = resolve(sb, b, &rb, e);
        if (rc < 0)
            return rc;
        b = rc > 0 ? &rb : NULL;
    }
    if (!a || !b)
        *ret = 'M'; /* cannot be told; better said once too often */
    else if (a->type != b->type)
        *ret = 'T';
    else if (!same_content(a, b))
        *ret = 'M';
    return 0;
}

static int compare(struct side *sa, struct side *sb, diff_fn *fn, void *ctx, struct err *e)
{
    const struct entry *a = &sa->en, *b = &sb->en;
    char change;
    if ((a->flags | b->flags) & ENTRY_ABOVE)
        return 0;
    int rc = compare_content(sa, sb, &change, e);
    if (rc < 0)
        return rc;
    unsigned what = compare_metadata(a, b);
    if (!change && what)
        change = 'm';
    return change ? fn(ctx, change, what, a, b) : 0;
}

static int merge(struct side *a, struct side *b, diff_fn *fn, void *ctx, struct err *e)
{
    int rc;
    if ((rc = advance(a, e)) < 0 || (rc = advance(b, e)) < 0)
        return rc;
    while (!a->end || !b->end) {
        int cmp = a->end   ? 1
                  : b->end ? -1
                           : path_cmp(a->en.path, a->en.path_len, b->en.path, b->en.path_len);
        rc = 0;
        if (cmp == 0)
            rc = compare(a, b, fn, ctx, e);
        else if (cmp < 0 && !(a->en.flags & ENTRY_ABOVE) && !unknown(b, &a->en))
            rc = fn(ctx, 'D', 0, &a->en, NULL);
        else if (cmp > 0 && !(b->en.flags & ENTRY_ABOVE) && !unknown(a, &b->en))
            rc = fn(ctx, 'A', 0, NULL, &b->en);
        if (rc != 0)
            return rc;
        if ((cmp <= 0 && (rc = advance(a, e)) < 0) || (cmp >= 0 && (rc = advance(b, e)) < 0))
            return rc;
    }
    return 0;
}

static void side_done(struct side *s)
{
    reader_close(s->r);
    reader_close(s->aux);
    wbuf_free(&s->gap_from);
    wbuf_free(&s->gap_to);
}

int reader_diff(const struct chunk_source *sa, const struct snapshot_body *a,
                const struct chunk_source *sb, const struct snapshot_body *b, diff_fn *fn,
                void *ctx, uint64_t *ret_gaps, struct err *e)
{
    struct side x = { .src = sa, .body = a }, y = { .src = sb, .body = b };
    int rc = reader_open(sa, a, &x.r, e);
    if (rc == 0)
        rc = reader_open(sb, b, &y.r, e);
    if (rc == 0)
        rc = merge(&x, &y, fn, ctx, e);
    if (ret_gaps)
        *ret_gaps = x.gaps + y.gaps;
    side_done(&x);
    side_done(&y);
    return rc;
}
