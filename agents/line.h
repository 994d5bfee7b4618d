/*
 * line.h - entries that wait for the ids of their chunks, first in, first out. They are kept in blocks that
 * are used again, so that an entry costs no allocation. For agents/inventory.c.
 */
#ifndef TWOFOLD_AGENTS_LINE_H
#define TWOFOLD_AGENTS_LINE_H

#include "agents/feed.h"

struct waiting { /* all pointers go into the line's own memory */
    struct entry en;
    const struct piece *pieces; /* NULL: en.extents are final */
    size_t n_pieces;
    size_t bytes; /* of memory that it takes */
};

struct line_block;
struct line {
    struct line_block *head, *tail, *spare;
    size_t bytes;
};

void line_init(struct line *l);
void line_done(struct line *l);
int line_push(struct line *l, const struct entry *en, const struct piece *pieces, size_t n,
              struct err *e);
struct waiting *line_front(const struct line *l); /* NULL: empty */
void line_pop(struct line *l);
size_t line_bytes(const struct line *l);

#endif
