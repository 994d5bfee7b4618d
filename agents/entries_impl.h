/* entries_impl.h - the walk over the leaves that entries.c and entries_ahead.c share. */
#ifndef TWOFOLD_AGENTS_ENTRIES_IMPL_H
#define TWOFOLD_AGENTS_ENTRIES_IMPL_H

#include "agents/entries.h"

#define LEAVES_AHEAD 4

/* A leaf that is to be read, or (gap) a stretch of leaves of which nothing is known. */
struct leaf_ref {
    struct id id;
    char *first; /* owned; NULL for the end of everything */
    size_t first_len;
    bool gap, whole; /* whole: every entry is asked for */
    struct err why;  /* of a gap */
    uint64_t number; /* counts up over the walk */
};

/* The leaf that is being looked through for chunks to come. */
struct outlook {
    uint64_t number; /* which leaf; 0: none */
    struct piece *piece;
    struct leaf_reader *reader;
    const struct id *ids;
    struct id *own; /* when not all of the leaf's chunks will be used */
    size_t n, at;
};

struct entries {
    struct fetch *f;
    const struct snapshot_body *body;
    const struct pathset *set;
    /* Where the list of leaves is being read: the next index chunk, and the one at hand. */
    size_t next_index;
    struct piece *index;
    struct rbuf index_at;
    bool have_peeked;
    struct leaf_ref peeked; /* the leaf behind the last one queued */
    struct leaf_ref queue[LEAVES_AHEAD];
    size_t queued;
    uint64_t numbers;
    bool listed; /* no more leaves behind those queued */
    /* The leaf being read. */
    struct leaf_ref current;
    struct piece *piece;
    struct leaf_reader *reader;
    bool again; /* this one once more */
    struct entry unread;
    char *last; /* of the last entry returned; for entries_find */
    size_t last_len, last_cap;
    bool ahead;
    struct outlook look;
};

void outlook_reset(struct entries *en);

#endif
