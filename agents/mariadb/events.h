/*
 * events.h - goes along a binary log, event by event, as its bytes come in parts: where a transaction ends that is there whole, where the first
 * one is that lies too far, and where a moment lies (moment.h says how that is chosen where times do not follow each other).
 */
#ifndef TWOFOLD_AGENTS_MARIADB_EVENTS_H
#define TWOFOLD_AGENTS_MARIADB_EVENTS_H

#include "agents/mariadb/moment.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENT_TEXT_BYTES 256u /* so much of each is looked at */

struct my_tally {   /* whole transactions */
    uint64_t early; /* begun before the moment */
    uint64_t late;  /* at it, or later */
    uint64_t wild;  /* by a time that had not come yet: it says nothing */
    uint64_t far_early, far_late;
};
struct my_events {
    int64_t at_s; /* the moment; 0: none was asked for */
    int64_t
        seen_s; /* what comes was there by then: no time in it is later, whatever it says (SET TIMESTAMP, a clock that was set) */
    uint64_t stop; /* what begins there or behind it is not wanted; UINT64_MAX: all is */
    size_t file;   /* the caller's number of the file that comes, from 0 on */
    /* What was found */
    bool beyond;    /* there is something that is not wanted: the walk has ended */
    bool wrong;     /* what comes is no binary log */
    bool passed;    /* behind the moment's place something is of that moment, or later */
    uint64_t whole; /* so far each transaction is there whole */
    int64_t last_s; /* the last whole transaction before the moment was begun then; 0: none was */
    uint64_t
        unsure; /* right behind the moment's place: wild ones, which may have been committed before it */
    struct my_tally now, best; /* of all; of those before the moment's place */
    /* May be NULL: an event has come that only a server with its key can read; it is the same without it. */
    void (*encrypted)(void *ctx, uint64_t at, const uint8_t *text, size_t n);
    void *ctx;
    /* own */
    uint64_t event; /* where the one begins that is coming */
    uint32_t len;   /* its length; 0: not known yet */
    uint64_t at;    /* what comes next */
    uint8_t text[EVENT_TEXT_BYTES];
    size_t got;
    bool in_group, single, begin_said, other_kind;
    bool counts;    /* the transaction from `group` on is not counted yet */
    uint64_t group; /* where it begins */
    int64_t group_s;
    bool placed; /* the moment's place is known: */
    size_t place_file;
    uint64_t place_at;
};
/* What comes next is what lies at that place of a file; an event begins there. */
void my_events_begin(struct my_events *v, uint64_t at);
void my_events_feed(struct my_events *v, const uint8_t *p, size_t n);
/* Where the moment lies in what has come; n_files: as many as there are, where all lies before it. */
void my_events_moment(const struct my_events *v, size_t n_files, struct my_moment *ret);

#endif
