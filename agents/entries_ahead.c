/* entries_ahead.c - looks ahead in the leaves for chunks that will be needed and asks for them.
 * Leaves name their chunks at their beginning, in the order of use, so mostly nothing needs to be
 * parsed twice. Manual: agents/entries.h. */
#include "agents/entries_impl.h"

#include <stdlib.h>

void outlook_reset(struct entries *en)
{
    struct outlook *o = &en->look;
    leaf_reader_free(o->reader);
    fetch_put(en->f, o->piece);
    free(o->own);
    *o = (struct outlook){ 0 };
}

/* The chunks of those entries that are asked for. Without memory for the list, less is asked for
 * ahead. */
static void pick(struct entries *en, struct outlook *o)
{
    struct entry at;
    size_t cap = 0;
    bool wanted = false;
    o->n = 0;
    while (leaf_next(o->reader, &at, NULL) > 0) {
        if (at.type != ENTRY_MORE || o->n == 0)
            wanted = pathset_holds(en->set, at.path, at.path_len);
        for (size_t i = 0; wanted && i < at.n_extents; i++) {
            const struct extent *x = &at.extents[i];
            if (x->hole || (o->n > 0 && id_eq(&o->own[o->n - 1], &x->chunk)))
                continue;
            if (o->n == cap) {
                cap = cap ? cap * 2 : 64;
                struct id *own = realloc(o->own, cap * sizeof *own);
                if (!own)
                    return;
                o->own = own;
            }
            o->own[o->n++] = x->chunk;
        }
    }
}

/* The leaf with this number, when it is there already. */
static bool look_into(struct entries *en, const struct leaf_ref *l)
{
    struct outlook *o = &en->look;
    struct piece *p = fetch_peek(en->f, &l->id);
    if (!p)
        return false;
    outlook_reset(en);
    o->piece = p;
    if (leaf_reader_new(piece_bytes(p), piece_len(p), false, &o->reader, NULL) < 0) {
        outlook_reset(en);
        return false;
    }
    o->number = l->number;
    o->ids = leaf_reader_chunks(o->reader, &o->n);
    if (!l->whole) {
        pick(en, o);
        o->ids = o->own;
    }
    return true;
}

void entries_ahead(struct entries *en, bool on, const struct id *from)
{
    struct outlook *o = &en->look;
    bool was = en->ahead;
    en->ahead = on;
    if (!on || was || !en->reader)
        return;
    if (o->number < en->current.number && !look_into(en, &en->current))
        return;
    /* What lies before the chunk in use is not needed any more. */
    for (size_t i = o->at; from && o->number == en->current.number && i < o->n; i++) {
        if (id_eq(&o->ids[i], from)) {
            o->at = i;
            break;
        }
    }
}

void entries_pump(struct entries *en)
{
    struct outlook *o = &en->look;
    for (size_t i = 0; i < en->queued && i < 2; i++) {
        if (!en->queue[i].gap)
            fetch_ahead(en->f, &en->queue[i].id);
    }
    if (!en->ahead || !en->reader)
        return;
    if (o->number < en->current.number && !look_into(en, &en->current))
        return;
    for (;;) {
        while (o->at < o->n) {
            if (!fetch_ahead(en->f, &o->ids[o->at]))
                return;
            o->at++;
        }
        const struct leaf_ref *next = NULL;
        for (size_t i = 0; !next && i < en->queued; i++) {
            if (en->queue[i].number > o->number && !en->queue[i].gap)
                next = &en->queue[i];
        }
        if (!next || !look_into(en, next))
            return;
    }
}
