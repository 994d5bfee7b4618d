/* reader.c - walks the entries of a snapshot in path order: the body names index chunks, these name
 * leaves, leaves hold entries (docs/format.md, "Manifest"). The manual is restore/reader.h. */
#include "restore/reader.h"
#include "lib/base/i18n.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define NONE SIZE_MAX
#define MAX_SHOWN 200 /* bytes of a path in an error about a gap */

struct reader {
    const struct chunk_source *src;
    const struct snapshot_body *body;
    size_t i, k;     /* index chunk and leaf in it that are read next (or now) */
    size_t index_in; /* the index chunk that is loaded, or NONE */
    size_t leaf_in;  /* the leaf of it that is loaded, or NONE */
    struct wbuf index_bytes, leaf_bytes;
    struct leaf_info *infos; /* of the index chunk loaded; point into index_bytes */
    size_t n_infos, cap_infos;
    struct leaf_reader *leaf; /* NULL between leaves */
    bool first;               /* the next entry is the leaf's first */
    struct wbuf last;         /* path of the last entry of this leaf */
    struct wbuf from;         /* what is being sought */
    bool seeking, choose_leaf, may_step_back;
    struct wbuf gap_from, gap_to;
    bool gap_to_end;
};

static void drop_leaf(struct reader *r)
{
    leaf_reader_free(r->leaf);
    r->leaf = NULL;
}

static void set_path(struct wbuf *w, const char *p, size_t len)
{
    wbuf_reset(w);
    wb_bytes(w, p, len);
}

/* True for failures that a walk can go on behind. */
static bool is_gap(int rc)
{
    return rc == -ERR_DAMAGED || rc == -ERR_ABSENT || rc == -ERR_UNREACHABLE;
}

/* The first path behind leaf k of index chunk i; *ret_end where nothing is known behind it. */
static const char *path_behind(const struct reader *r, size_t k, size_t *ret_len, bool *ret_end)
{
    *ret_end = false;
    if (r->index_in == r->i && k < r->n_infos && k + 1 < r->n_infos) {
        *ret_len = r->infos[k + 1].first_len;
        return r->infos[k + 1].first;
    }
    if (r->i + 1 < r->body->n_index) {
        *ret_len = r->body->index[r->i + 1].first_len;
        return r->body->index[r->i + 1].first;
    }
    *ret_len = 0;
    *ret_end = true;
    return "";
}

/* Notes that what starts at `first` and ends with leaf k (NONE: with the index chunk) cannot be read,
 * and puts that before the error. */
static int make_gap(struct reader *r, const char *first, size_t first_len, size_t k, int rc,
                    struct err *e)
{
    size_t len;
    const char *to = path_behind(r, k == NONE ? NONE - 1 : k, &len, &r->gap_to_end);
    set_path(&r->gap_from, first, first_len);
    set_path(&r->gap_to, to, len);
    r->may_step_back = false;
    if (r->gap_from.failed || r->gap_to.failed)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    int shown = first_len > MAX_SHOWN ? MAX_SHOWN : (int)first_len;
    if (r->gap_to_end)
        err_wrap(e, _("what lies from \"/%.*s\" on in the snapshot"), shown, first);
    else
        err_wrap(e, _("what lies from \"/%.*s\" up to (not including) \"/%.*s\" in the snapshot"),
                 shown, first, len > MAX_SHOWN ? MAX_SHOWN : (int)len, to);
    if (rc == -ERR_ABSENT) {
        if (e)
            e->code = ERR_DAMAGED; /* a chunk that no copy has is as lost as a damaged one */
        rc = -ERR_DAMAGED;
    }
    return rc;
}

static int damaged(struct err *e, const char *why)
{
    return err_set(e, ERR_DAMAGED, "%s", why);
}

/* Takes apart the index chunk in index_bytes. The leaves must be in order and begin where the body says. */
static int read_infos(struct reader *r, struct err *e)
{
    struct rbuf in = rbuf_of(r->index_bytes.p, r->index_bytes.len);
    const struct body_index *bi = &r->body->index[r->i];
    struct leaf_info li;
    int rc;

    r->n_infos = 0;
    while ((rc = leaf_info_read(&in, &li, e)) > 0) {
        const char *before = r->n_infos ? r->infos[r->n_infos - 1].first : bi->first;
        size_t before_len = r->n_infos ? r->infos[r->n_infos - 1].first_len : bi->first_len;
        int cmp = path_cmp(li.first, li.first_len, before, before_len);
        if (cmp < 0 || (r->n_infos == 0 && cmp != 0))
            return damaged(e, _("the list of its leaves is not in order"));
        if (r->n_infos == r->cap_infos) {
            size_t cap = r->cap_infos ? 2 * r->cap_infos : 256;
            struct leaf_info *grown = realloc(r->infos, cap * sizeof(*grown));
            if (!grown)
                return err_set(e, ERR_NOMEM, _("out of memory"));
            r->infos = grown;
            r->cap_infos = cap;
        }
        r->infos[r->n_infos++] = li;
    }
    if (rc < 0)
        return rc;
    if (r->n_infos == 0)
        return damaged(e, _("the list of its leaves is empty"));
    return 0;
}

static int load_index(struct reader *r, struct err *e)
{
    const struct body_index *bi = &r->body->index[r->i];
    r->index_in = r->leaf_in = NONE;
    int rc = r->src->get(r->src->ctx, &bi->id, &r->index_bytes, e);
    if (rc == 0)
        rc = read_infos(r, e);
    if (rc < 0)
        return is_gap(rc) ? make_gap(r, bi->first, bi->first_len, NONE, rc, e) : rc;
    r->index_in = r->i;
    return 0;
}

/* The last leaf that begins at or before the path that is sought. */
static size_t leaf_for(const struct reader *r)
{
    size_t lo = 0, hi = r->n_infos;
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (path_cmp(r->infos[mid].first, r->infos[mid].first_len, (const char *)r->from.p,
                     r->from.len) <= 0)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

static int load_leaf(struct reader *r, struct err *e)
{
    const struct leaf_info *li = &r->infos[r->k];
    int rc = 0;
    if (r->leaf_in != r->k) {
        r->leaf_in = NONE;
        rc = r->src->get(r->src->ctx, &li->id, &r->leaf_bytes, e);
    }
    if (rc == 0)
        rc = leaf_reader_new(r->leaf_bytes.p, r->leaf_bytes.len, false, &r->leaf, e);
    if (rc < 0)
        return is_gap(rc) ? make_gap(r, li->first, li->first_len, r->k, rc, e) : rc;
    r->leaf_in = r->k;
    r->first = true;
    wbuf_reset(&r->last);
    return 0;
}

/* Makes r->leaf the leaf that is to be read next. 1: it is; 0: the end of the snapshot; negative: a gap
 * (already stepped over) or a failure. */
static int open_next(struct reader *r, struct err *e)
{
    int rc;
    for (;;) {
        if (r->i >= r->body->n_index)
            return 0;
        if (r->index_in != r->i && (rc = load_index(r, e)) < 0) {
            if (is_gap(rc)) {
                r->i++;
                r->k = 0;
                r->choose_leaf = false;
            }
            return rc;
        }
        if (r->choose_leaf)
            r->k = r->k == NONE ? r->n_infos - 1 : leaf_for(r);
        r->choose_leaf = false;
        if (r->k < r->n_infos)
            break;
        r->i++;
        r->k = 0;
    }
    rc = load_leaf(r, e);
    if (rc < 0) {
        if (is_gap(rc))
            r->k++;
        return rc;
    }
    return 1;
}

/* A leaf may begin with a further part of the file that is sought: then the file is in the one before. */
static bool step_back(struct reader *r)
{
    if (!r->may_step_back || (r->i == 0 && r->k == 0))
        return false;
    if (r->k > 0) {
        r->k--;
    } else {
        r->i--;
        r->k = NONE; /* its last leaf, once it is loaded */
        r->choose_leaf = true;
    }
    return true;
}

/* Entries must lie in the stretch that the index promises; else seeking and merging would go wrong. */
static bool in_its_place(const struct reader *r, const struct entry *en)
{
    size_t len;
    bool end;
    const struct leaf_info *li = &r->infos[r->k];
    if (r->first && path_cmp(en->path, en->path_len, li->first, li->first_len) != 0)
        return false;
    const char *to = path_behind(r, r->k, &len, &end);
    return end || path_cmp(en->path, en->path_len, to, len) <= 0;
}

static int leave_damaged_leaf(struct reader *r, int rc, struct err *e)
{
    const struct leaf_info *li = &r->infos[r->k];
    size_t k = r->k++;
    drop_leaf(r);
    r->leaf_in = NONE;
    if (r->last.len)
        return make_gap(r, (const char *)r->last.p, r->last.len, k, rc, e);
    return make_gap(r, li->first, li->first_len, k, rc, e);
}

int reader_next(struct reader *r, struct entry *ret, struct err *e)
{
    for (;;) {
        int rc;
        if (!r->leaf && (rc = open_next(r, e)) <= 0)
            return rc;
        rc = leaf_next(r->leaf, ret, e);
        if (rc > 0 && !in_its_place(r, ret))
            rc = damaged(e, _("an entry is not where the list of leaves says"));
        if (rc < 0)
            return is_gap(rc) ? leave_damaged_leaf(r, rc, e) : rc;
        if (rc == 0) {
            drop_leaf(r);
            r->k++;
            continue;
        }
        bool first = r->first;
        r->first = false;
        set_path(&r->last, ret->path, ret->path_len);
        if (r->last.failed)
            return err_set(e, ERR_NOMEM, _("out of memory"));
        if (r->seeking) {
            int cmp = path_cmp(ret->path, ret->path_len, (const char *)r->from.p, r->from.len);
            if (cmp < 0)
                continue;
            if (cmp == 0 && first && ret->type == ENTRY_MORE && step_back(r)) {
                drop_leaf(r);
                continue;
            }
            r->seeking = false;
        }
        return 1;
    }
}

int reader_seek(struct reader *r, const char *path, size_t len, struct err *e)
{
    drop_leaf(r);
    set_path(&r->from, path, len);
    if (r->from.failed)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    size_t lo = 0, hi = r->body->n_index;
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (path_cmp(r->body->index[mid].first, r->body->index[mid].first_len, path, len) <= 0)
            lo = mid;
        else
            hi = mid;
    }
    r->i = lo;
    r->k = 0;
    r->seeking = r->choose_leaf = r->may_step_back = true;
    return 0;
}

int reader_open(const struct chunk_source *src, const struct snapshot_body *body,
                struct reader **ret, struct err *e)
{
    struct reader *r = calloc(1, sizeof(*r));
    if (!r)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    r->src = src;
    r->body = body;
    r->index_in = r->leaf_in = NONE;
    *ret = r;
    return 0;
}

void reader_gap(const struct reader *r, struct gap *ret)
{
    ret->from = (const char *)r->gap_from.p;
    ret->from_len = r->gap_from.len;
    ret->to = r->gap_to_end ? NULL : (const char *)r->gap_to.p;
    ret->to_len = r->gap_to.len;
}

void reader_close(struct reader *r)
{
    if (!r)
        return;
    drop_leaf(r);
    wbuf_free(&r->index_bytes);
    wbuf_free(&r->leaf_bytes);
    wbuf_free(&r->last);
    wbuf_free(&r->from);
    wbuf_free(&r->gap_from);
    wbuf_free(&r->gap_to);
    free(r->infos);
    free(r);
}
