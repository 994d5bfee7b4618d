/*
 * events.h - goes along a binary log, event by event, as its bytes come in parts: where a transaction ends that is there whole, and where the
 * first one is that was begun too late, or lies too far.
 */
#ifndef TWOFOLD_AGENTS_MARIADB_EVENTS_H
#define TWOFOLD_AGENTS_MARIADB_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENT_TEXT_BYTES 256u /* so much of each is looked at */

struct my_events {
    int64_t at_s; /* what was begun then or later is not wanted; 0: all is */
    int64_t
        seen_s; /* what comes was there by then: no time in it is later, whatever it says (SET TIMESTAMP, a clock that was set) */
    uint64_t stop; /* nor what begins there or behind it; UINT64_MAX: all is */
    /* What was found */
    bool beyond;    /* there is something that is not wanted: the walk has ended */
    bool wrong;     /* what comes is no binary log */
    uint64_t whole; /* so far each transaction is there whole */
    uint64_t begun; /* transactions that begin before that */
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
};
/* What comes next is what lies at that place of a file; an event begins there. */
void my_events_begin(struct my_events *v, uint64_t at);
void my_events_feed(struct my_events *v, const uint8_t *p, size_t n);

#endif
