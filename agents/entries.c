/* entries.c - the entries of a snapshot in path order. Manual: agents/entries.h; format:
 * docs/format.md, "Manifest". */
#include "agents/entries_impl.h"
#include "lib/base/i18n.h"

#include <stdlib.h>
#include <string.h>

static void leaf_ref_done(struct leaf_ref *l)
{
    free(l->first);
    *l = (struct leaf_ref){ 0 };
}

static int set_first(struct leaf_ref *l, const char *first, size_t len, struct err *e)
{
    l->first = malloc(len + 1);
    if (!l->first)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    memcpy(l->first, first, len);
    l->first[len] = '\0';
    l->first_len = len;
    return 0;
}

/* --- the list of leaves ----------------------------------------------------------------------- */
static int gap_ref(struct leaf_ref *ret, const struct body_index *x, const struct err *why,
                   struct err *e)
{
    *ret = (struct leaf_ref){ .gap = true, .why = *why };
    int r = set_first(ret, x->first, x->first_len, e);
    return r < 0 ? r : 1;
}

/* Is anything below index chunk i asked for? */
static bool index_wanted(const struct entries *en, size_t i)
{
    const struct body_index *x = &en->body->index[i];
    const struct body_index *next = i + 1 < en->body->n_index ? x + 1 : NULL;
    return pathset_all(en->set) ||
           pathset_touches(en->set, x->first, x->first_len, next ? next->first : NULL,
                           next ? next->first_len : 0);
}

/* Opens the next index chunk that is wanted. 1: it is there; 2: it is lost, *ret is the gap; 0:
 * the end. */
static int open_index(struct entries *en, struct leaf_ref *ret, struct err *e)
{
    struct err why = ERR_INIT;
    while (en->next_index < en->body->n_index && !index_wanted(en, en->next_index))
        en->next_index++;
    if (en->next_index >= en->body->n_index)
        return 0;
    const struct body_index *x = &en->body->index[en->next_index++];
    int r = fetch_get(en->f, &x->id, &en->index, &why);
    if (r == FETCH_GONE) {
        r = gap_ref(ret, x, &why, e);
        return r < 0 ? r : 2;
    }
    if (r < 0) {
        if (e)
            *e = why;
        return r;
    }
    en->index_at = rbuf_of(piece_bytes(en->index), piece_len(en->index));
    if (en->next_index < en->body->n_index && index_wanted(en, en->next_index))
        fetch_ahead(en->f, &en->body->index[en->next_index].id);
    return 1;
}

/* The next leaf in order, whether wanted or not. 1, 0 at the end, or negative. */
static int list_next(struct entries *en, struct leaf_ref *ret, struct err *e)
{
    for (;;) {
        struct leaf_info li;
        struct err why = ERR_INIT;
        int r = en->index ? leaf_info_read(&en->index_at, &li, &why) : 0;
        if (r > 0) {
            *ret = (struct leaf_ref){ .id = li.id };
            r = set_first(ret, li.first, li.first_len, e);
            return r < 0 ? r : 1;
        }
        fetch_put(en->f, en->index);
        en->index = NULL;
        if (r < 0)
            return gap_ref(ret, &en->body->index[en->next_index - 1], &why, e);
        r = open_index(en, ret, e);
        if (r != 1)
            return r == 2 ? 1 : r;
    }
}

/* Reads on in the list until there is a leaf in the queue that can hold something asked for. The
 * one behind it must be known, too: only then is it known where the leaf ends. */
static int queue_one(struct entries *en, struct err *e)
{
    for (;;) {
        int r = 1;
        if (!en->have_peeked)
            r = list_next(en, &en->peeked, e);
        if (r <= 0)
            return r;
        struct leaf_ref this = en->peeked;
        en->peeked = (struct leaf_ref){ 0 };
        r = list_next(en, &en->peeked, e);
        en->have_peeked = r > 0;
        if (r < 0) {
            leaf_ref_done(&this);
            return r;
        }
        const char *next = en->peeked.first;
        size_t next_len = en->peeked.first_len;
        if (pathset_all(en->set) ||
            pathset_touches(en->set, this.first, this.first_len, next, next_len)) {
            this.whole = pathset_covers(en->set, this.first, this.first_len, next, next_len);
            this.number = ++en->numbers;
            en->queue[en->queued++] = this;
            return 1;
        }
        leaf_ref_done(&this);
    }
}

static int fill_queue(struct entries *en, struct err *e)
{
    while (!en->listed && en->queued < LEAVES_AHEAD) {
        int r = queue_one(en, e);
        if (r < 0)
            return r;
        en->listed = r == 0;
    }
    return 0;
}

static void unqueue(struct entries *en)
{
    memmove(&en->queue[0], &en->queue[1], --en->queued * sizeof en->queue[0]);
}

/* --- one leaf after the other ----------------------------------------------------------------- */
static void leave_leaf(struct entries *en)
{
    leaf_reader_free(en->reader);
    en->reader = NULL;
    fetch_put(en->f, en->piece);
    en->piece = NULL;
    leaf_ref_done(&en->current);
}

/* What is lost goes from the first path of the leaf to that of the next. */
static int gap(struct entries *en, const struct err *why, struct err *e)
{
    const char *next = en->queued ? en->queue[0].first : NULL;
    err_set(e, why->code, "%s", why->why);
    if (next)
        err_wrap(e, _("the list of files from \"/%.200s\" up to \"/%.200s\" is lost"),
                 en->current.first, next);
    else
        err_wrap(e, _("the list of files from \"/%.200s\" on is lost"), en->current.first);
    leave_leaf(en);
    return ENTRIES_GAP;
}

static int enter_leaf(struct entries *en, struct err *e)
{
    struct err why = ERR_INIT;
    int r = fill_queue(en, e);
    if (r < 0 || en->queued == 0)
        return r;
    en->current = en->queue[0];
    unqueue(en);
    r = fill_queue(en, e);
    if (r < 0)
        return r;
    if (en->current.gap) {
        why = en->current.why;
        return gap(en, &why, e);
    }
    r = fetch_get(en->f, &en->current.id, &en->piece, &why);
    if (r == FETCH_GONE)
        return gap(en, &why, e);
    if (r == 0) {
        r = leaf_reader_new(piece_bytes(en->piece), piece_len(en->piece), false, &en->reader, &why);
        if (r == -ERR_DAMAGED)
            return gap(en, &why, e);
    }
    if (r < 0) {
        if (e)
            *e = why;
        return r;
    }
    entries_pump(en);
    return 1;
}

void entries_unread(struct entries *en, const struct entry *at)
{
    en->again = true;
    en->unread = *at;
}

int entries_next(struct entries *en, struct entry *ret, struct err *e)
{
    if (en->again) {
        en->again = false;
        *ret = en->unread;
        return 1;
    }
    for (;;) {
        struct err why = ERR_INIT;
        int r = 1;
        if (!en->reader)
            r = enter_leaf(en, e);
        if (r != 1)
            return r;
        r = leaf_next(en->reader, ret, &why);
        if (r > 0)
            return 1;
        if (r == -ERR_DAMAGED)
            return gap(en, &why, e);
        if (r < 0) {
            if (e)
                *e = why;
            return r;
        }
        leave_leaf(en);
    }
}

/* --- finding one ------------------------------------------------------------------------------ */
static int remember(struct entries *en, const struct entry *at, struct err *e)
{
    if (at->path_len + 1 > en->last_cap) {
        char *p = realloc(en->last, at->path_len * 2 + 64);
        if (!p)
            return err_set(e, ERR_NOMEM, _("out of memory"));
        en->last = p;
        en->last_cap = at->path_len * 2 + 64;
    }
    memcpy(en->last, at->path, at->path_len);
    en->last_len = at->path_len;
    return 0;
}

/* Starts anew with the last index chunk that begins before the path: one that begins with it may
 * do so with a continuation. */
static void rewind_to(struct entries *en, const char *path, size_t len)
{
    leave_leaf(en);
    en->again = false;
    for (size_t i = 0; i < en->queued; i++)
        leaf_ref_done(&en->queue[i]);
    en->queued = 0;
    leaf_ref_done(&en->peeked);
    en->have_peeked = en->listed = false;
    fetch_put(en->f, en->index);
    en->index = NULL;
    en->last_len = 0;
    outlook_reset(en);
    size_t low = 0, high = en->body->n_index;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct body_index *x = &en->body->index[mid];
        if (path_cmp(x->first, x->first_len, path, len) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    en->next_index = low > 0 ? low - 1 : 0;
}

/* Drops queued leaves that end before the path. */
static int skip_leaves(struct entries *en, const char *path, size_t len, struct err *e)
{
    for (;;) {
        int r = fill_queue(en, e);
        if (r < 0)
            return r;
        if (en->queued < 2 || path_cmp(en->queue[1].first, en->queue[1].first_len, path, len) >= 0)
            return 0;
        leaf_ref_done(&en->queue[0]);
        unqueue(en);
    }
}

int entries_find(struct entries *en, const char *path, size_t len, struct entry *ret, struct err *e)
{
    bool on = en->reader && en->last_len > 0 && path_cmp(en->last, en->last_len, path, len) < 0 &&
              en->queued > 0 && path_cmp(path, len, en->queue[0].first, en->queue[0].first_len) < 0;
    int r = 0;
    if (!on) {
        rewind_to(en, path, len);
        r = skip_leaves(en, path, len, e);
    }
    while (r >= 0) {
        r = entries_next(en, ret, e);
        if (r != 1)
            return r;
        int c = path_cmp(ret->path, ret->path_len, path, len);
        if (c > 0) {
            entries_unread(en, ret);
            return 0;
        }
        r = remember(en, ret, e);
        if (r == 0 && c == 0 && ret->type != ENTRY_MORE)
            return 1;
    }
    return r;
}

/* --- beginning and end ------------------------------------------------------------------------ */
int entries_open(struct fetch *f, const struct snapshot_body *body, const struct pathset *set,
                 struct entries **ret, struct err *e)
{
    struct entries *en = calloc(1, sizeof *en);
    if (!en)
        return err_set(e, ERR_NOMEM, _("out of memory"));
    en->f = f;
    en->body = body;
    en->set = set;
    *ret = en;
    return 0;
}

void entries_close(struct entries *en)
{
    if (!en)
        return;
    rewind_to(en, "", 0);
    free(en->last);
    free(en);
}
