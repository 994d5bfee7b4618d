/* kept.h - what the files share that bring a server's log: kept.c what is kept of it, salvage.c what survived on its host. */
#ifndef TWOFOLD_AGENTS_MARIADB_KEPT_H
#define TWOFOLD_AGENTS_MARIADB_KEPT_H

#include "agents/mariadb/events.h"
#include "agents/mariadb/restored.h"
#include "agents/mariadb/seam.h"

struct kept {
    struct my_restored *x;
    const struct source_restore *r;
    struct my_seam seam;
    uint64_t system;
    struct log_piece *v; /* owned, as the next three */
    size_t n;
    char *source, *why;
    bool damaged;             /* it ends there because a piece of it is damaged or missing */
    char *names[MAX_BINLOGS]; /* of the files that are made; owned */
    size_t n_names;
    int64_t at_us, known_ns;
    uint32_t stop_number; /* of the file that a position was asked in; 0: none was */
    uint64_t stop_at;
    int logs_fd, fd;
    uint32_t number; /* the file that is being made, and how much of it is there */
    uint64_t at;
    struct my_events events;
    uint64_t since; /* bytes behind the last transaction that was begun before the moment */
    struct my_moment moment;
    uint64_t end_at; /* of the last file that is made: so far it is replayed */
    bool beyond;     /* something is behind what was asked for */
    /* what survived on the host */
    const char *survived;    /* the folder that was named; NULL: none was */
    uint64_t salvaged_bytes; /* taken from there */
    bool complete; /* with that the log has come to the end that the server itself wrote */
    char *lost;    /* owned: what survived, and could not be taken; NULL: nothing */
};

/* The next bytes of the file that is being made; seen_s: they were there by then. */
int kept_write(struct kept *k, const uint8_t *p, size_t n, int64_t seen_s, struct err *e);
/* It has ended, and this is the next one. */
int kept_next_file(struct kept *k, const char *name, uint32_t number, struct err *e);
/* Need no more be read? */
bool kept_is_enough(const struct kept *k);

/* --- salvage.c: the folder that the setting "salvage" names has binary logs, as the host's server left them. Goes on from k->at; what cannot be taken
 * is no error: k->lost says it. */
int my_salvage(struct kept *k, struct err *e);

#endif
