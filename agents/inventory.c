/* inventory.c - see agents/inventory.h. Leaves and index chunks: docs/format.md, "Manifest". */
#include "agents/inventory.h"
#include "agents/line.h"
#include "lib/base/i18n.h"

#include <stdlib.h>

#define MAX_LINE_BYTES ((size_t)4 << 20)
#define INDEX_MIN_BYTES (64u << 10)
#define INDEX_MAX_BYTES (1024u << 10)
#define INDEX_CUT_BELOW 16     /* an index chunk ends behind a leaf whose id starts with less */
#define MAX_PENDING_LEAVES 64u /* a power of two */

/* A leaf that is on its way: its record can be written once it has an id. */
struct pending_leaf {
    uint64_t seq, entries;
    struct wbuf first;
};

struct inventory {
    struct pipeline *p;
    struct feed *feed;
    struct spool *reach;
    struct state_writer *state;
    struct err state_err;
    struct leaf_writer *leaf, *state_leaf;
    struct line line;
    bool advancing;
    struct wbuf scratch, scratch_first;
    struct pending_leaf pending[MAX_PENDING_LEAVES];
    unsigned pending_head, pending_tail;
    struct wbuf index; /* records of the index chunk being filled */
    struct wbuf index_first;
    struct body_index *list;
    size_t n_list, cap_list;
    uint64_t n_entries;
    struct extent extents[MAX_PART_EXTENTS];
};

int inventory_new(const struct inventory_opts *o, struct inventory **ret, struct err *e)
{
    struct inventory *x = calloc(1, sizeof *x);
    if (!x)
        return err_set(e, ERR_NOMEM, _("no memory"));
    x->p = o->p;
    x->reach = o->reach;
    x->state = o->state;
    line_init(&x->line);
    x->leaf = leaf_writer_new(false);
    x->state_leaf = leaf_writer_new(true);
    if (!x->leaf || !x->state_leaf) {
        inventory_free(x);
        return err_set(e, ERR_NOMEM, _("no memory"));
    }
    *ret = x;
    return 0;
}

void inventory_free(struct inventory *x)
{
    if (!x)
        return;
    leaf_writer_free(x->leaf);
    leaf_writer_free(x->state_leaf);
    line_done(&x->line);
    wbuf_free(&x->scratch);
    wbuf_free(&x->scratch_first);
    wbuf_free(&x->index);
    wbuf_free(&x->index_first);
    for (size_t i = 0; i < MAX_PENDING_LEAVES; i++)
        wbuf_free(&x->pending[i].first);
    for (size_t i = 0; i < x->n_list; i++)
        free(x->list[i].first);
    free(x->list);
    free(x);
}

void inventory_set_feed(struct inventory *x, struct feed *f)
{
    x->feed = f;
}

int inventory_state_error(const struct inventory *x, struct err *e)
{
    *e = x->state_err;
    return -(int)x->state_err.code;
}

/* --- index chunks ------------------------------------------------------------------------------ */
static int submit_copy(struct inventory *x, const struct wbuf *bytes, uint64_t *ret_seq,
                       struct err *e)
{
    struct chunk_buf *b = pipeline_buffer_of(x->p, bytes->len, e);
    if (!b)
        return -e->code;
    memcpy(b->p, bytes->p, bytes->len);
    b->len = bytes->len;
    *ret_seq = b->seq;
    pipeline_submit(x->p, b);
    return 0;
}

static int add_to_list(struct inventory *x, const struct id *id, struct err *e)
{
    if (x->n_list == MAX_INDEX_CHUNKS)
        return err_set(e, ERR_LIMIT, _("the source has too many entries for one snapshot"));
    if (x->n_list == x->cap_list) {
        size_t cap = x->cap_list ? 2 * x->cap_list : 16;
        struct body_index *list = realloc(x->list, cap * sizeof *list);
        if (!list)
            return err_set(e, ERR_NOMEM, _("no memory"));
        x->list = list;
        x->cap_list = cap;
    }
    struct body_index *to = &x->list[x->n_list];
    *to = (struct body_index){ .id = *id, .first_len = x->index_first.len };
    to->first = malloc(to->first_len + 1);
    if (!to->first)
        return err_set(e, ERR_NOMEM, _("no memory"));
    memcpy(to->first, x->index_first.p, to->first_len);
    to->first[to->first_len] = '\0';
    x->n_list++;
    return 0;
}

static int close_index(struct inventory *x, struct err *e)
{
    uint64_t seq = 0;
    if (x->index.len == 0)
        return 0;
    if (submit_copy(x, &x->index, &seq, e) < 0 || pipeline_wait_hashed(x->p, seq, e) < 0)
        return -e->code;
    struct id id = *pipeline_id(x->p, seq);
    wbuf_reset(&x->index);
    if (add_to_list(x, &id, e) < 0)
        return -e->code;
    return spool_add(x->reach, &id, sizeof id, e);
}

static int index_leaf(struct inventory *x, const struct pending_leaf *pl, const struct id *id,
                      struct err *e)
{
    struct leaf_info li = { .id = *id,
                            .entries = pl->entries,
                            .first = (const char *)pl->first.p,
                            .first_len = pl->first.len };
    if (x->index.len == 0) {
        wbuf_reset(&x->index_first);
        wb_bytes(&x->index_first, pl->first.p, pl->first.len);
    }
    leaf_info_write(&x->index, &li);
    if (x->index.failed || x->index_first.failed)
        return err_set(e, ERR_NOMEM, _("no memory"));
    if (spool_add(x->reach, id, sizeof *id, e) < 0)
        return -e->code;
    if (x->index.len >= INDEX_MAX_BYTES ||
        (x->index.len >= INDEX_MIN_BYTES && id->b[0] < INDEX_CUT_BELOW))
        return close_index(x, e);
    return 0;
}

/* Writes the records of leaves that have ids; waits until at most `keep` are left without. */
static int settle_leaves(struct inventory *x, unsigned keep, struct err *e)
{
    while (x->pending_head != x->pending_tail) {
        struct pending_leaf *pl = &x->pending[x->pending_head % MAX_PENDING_LEAVES];
        bool must = x->pending_tail - x->pending_head > keep;
        if (!must && !pipeline_is_hashed(x->p, pl->seq))
            break;
        if (pipeline_wait_hashed(x->p, pl->seq, e) < 0)
            return -e->code;
        struct id id = *pipeline_id(x->p, pl->seq);
        x->pending_head++;
        if (index_leaf(x, pl, &id, e) < 0)
            return -e->code;
    }
    return 0;
}

/* --- leaves ------------------------------------------------------------------------------------ */
static int close_leaf(struct inventory *x, struct err *e)
{
    size_t n;
    if (leaf_count(x->leaf) == 0)
        return 0;
    if (settle_leaves(x, MAX_PENDING_LEAVES - 1, e) < 0)
        return -e->code;
    struct pending_leaf *pl = &x->pending[x->pending_tail % MAX_PENDING_LEAVES];
    const struct id *ids = leaf_chunks(x->leaf, &n);
    if (n > 0 && spool_add(x->reach, ids, n * sizeof *ids, e) < 0)
        return -e->code;
    pl->entries = leaf_count(x->leaf);
    x->n_entries += pl->entries;
    wbuf_reset(&pl->first);
    wbuf_reset(&x->scratch);
    if (leaf_take(x->leaf, &x->scratch, &pl->first, e) < 0 ||
        submit_copy(x, &x->scratch, &pl->seq, e) < 0)
        return -e->code;
    x->pending_tail++;
    return settle_leaves(x, MAX_PENDING_LEAVES, e);
}

/* The state is only a help for the next run: when it cannot be written, this run goes on without. */
static void give_up_state(struct inventory *x, const struct err *e)
{
    x->state_err = *e;
    x->state = NULL;
}

static void close_state_leaf(struct inventory *x)
{
    struct err e = ERR_INIT;
    if (!x->state || leaf_count(x->state_leaf) == 0)
        return;
    wbuf_reset(&x->scratch);
    wbuf_reset(&x->scratch_first);
    if (leaf_take(x->state_leaf, &x->scratch, &x->scratch_first, &e) < 0 ||
        state_add_leaf(x->state, &x->scratch, &e) < 0)
        give_up_state(x, &e);
}

/* All ids are known. */
static int write_entry(struct inventory *x, const struct entry *en, struct err *e)
{
    struct err se = ERR_INIT;
    if (leaf_is_full(x->leaf, en->path, en->path_len) && close_leaf(x, e) < 0)
        return -e->code;
    if (leaf_add(x->leaf, en, e) < 0)
        return err_wrap(e, "/%.*s", (int)(en->path_len < 4096 ? en->path_len : 4096), en->path);
    if (!x->state)
        return 0;
    if (leaf_is_full(x->state_leaf, en->path, en->path_len))
        close_state_leaf(x);
    if (x->state && leaf_add(x->state_leaf, en, &se) < 0)
        give_up_state(x, &se);
    return 0;
}

/* --- the line ---------------------------------------------------------------------------------- */
static bool is_ready(const struct inventory *x, const struct piece *pieces, size_t n)
{
    /* The last one is the most likely not to be. */
    for (size_t i = n; i-- > 0;)
        if (piece_waits(&pieces[i]) && !pipeline_is_hashed(x->p, pieces[i].seq))
            return false;
    return true;
}

static int wait_ready(struct inventory *x, const struct piece *pieces, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        if (!piece_waits(&pieces[i]))
            continue;
        if (x->feed && feed_cut_chunk(x->feed, pieces[i].seq, e) < 0)
            return -e->code;
        if (pipeline_wait_hashed(x->p, pieces[i].seq, e) < 0)
            return -e->code;
    }
    return 0;
}

static int write_resolved(struct inventory *x, const struct entry *en, const struct piece *pieces,
                          size_t n, struct err *e)
{
    struct entry full = *en;
    if (!pieces)
        return write_entry(x, en, e);
    for (size_t i = 0; i < n; i++) {
        struct extent *to = &x->extents[i];
        to->len = pieces[i].len;
        to->hole = pieces[i].seq == PIECE_HOLE;
        to->off = pieces[i].off;
        if (!to->hole)
            to->chunk = piece_waits(&pieces[i]) ? *pipeline_id(x->p, pieces[i].seq)
                                                : pieces[i].chunk;
    }
    full.extents = x->extents;
    full.n_extents = n;
    return write_entry(x, &full, e);
}

/* Takes from the front of the line until at most `keep` bytes are left; beyond that, what is ready. */
static int advance_to(struct inventory *x, size_t keep, struct err *e)
{
    int rc = 0;
    /* Cutting a chunk comes back here through feed_opts.on_chunk. */
    if (x->advancing)
        return 0;
    x->advancing = true;
    for (struct waiting *w; rc == 0 && (w = line_front(&x->line));) {
        if (!is_ready(x, w->pieces, w->n_pieces)) {
            if (line_bytes(&x->line) <= keep)
                break;
            rc = wait_ready(x, w->pieces, w->n_pieces, e);
        }
        if (rc == 0)
            rc = write_resolved(x, &w->en, w->pieces, w->n_pieces, e);
        line_pop(&x->line);
    }
    x->advancing = false;
    return rc;
}

int inventory_advance(struct inventory *x, struct err *e)
{
    return advance_to(x, MAX_LINE_BYTES, e);
}

int inventory_add(struct inventory *x, const struct entry *en, const struct piece *pieces,
                  size_t n_pieces, struct err *e)
{
    if (line_front(&x->line) && inventory_advance(x, e) < 0)
        return -e->code;
    if (!line_front(&x->line) && is_ready(x, pieces, n_pieces))
        return write_resolved(x, en, pieces, n_pieces, e);
    return line_push(&x->line, en, pieces, n_pieces, e);
}

int inventory_finish(struct inventory *x, const struct body_index **ret_index, size_t *ret_n,
                     uint64_t *ret_entries, struct err *e)
{
    if (advance_to(x, 0, e) < 0)
        return -e->code;
    close_state_leaf(x);
    if (close_leaf(x, e) < 0 || settle_leaves(x, 0, e) < 0 || close_index(x, e) < 0)
        return -e->code;
    *ret_index = x->list;
    *ret_n = x->n_list;
    *ret_entries = x->n_entries;
    return 0;
}
