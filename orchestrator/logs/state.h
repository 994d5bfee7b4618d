/*
 * state.h - what a keeper of a log leaves in the state folder, in logs/POLICY.json: how far the stream is, for the next keeper (the copies
 * that it sees may not be all), and how far each copy is, for whoever asks.
 */
#ifndef TWOFOLD_ORCHESTRATOR_LOGS_STATE_H
#define TWOFOLD_ORCHESTRATOR_LOGS_STATE_H

#include "lib/vault/log.h"
#include "policies/config.h"

#define LOGS_STATE_MS 2000 /* it is written so often */
#define LOGS_STALE_S 30    /* older than that: the keeper does not run */

struct logs_copy_state {
    char place[MAX_NAME + 1];
    bool joined;     /* gets what comes; else it is away or being caught up */
    uint64_t seq;    /* that it has, with all before */
    int64_t time_ns; /* of that piece */
    int64_t
        complete_s; /* it has all that the database had written by then, by our clock; 0: not known */
    char why[ERR_TEXT_BYTES]; /* not joined: why */
};
struct logs_state {
    char policy[MAX_NAME + 1], kind[MAX_SOURCE_WORD + 1], vault[MAX_FORMAT_NAME + 1];
    struct log_piece last;      /* durable in at least one copy; seq 0: none */
    int64_t written_s, since_s; /* this file; the keeper began */
    bool running;               /* it had not ended */
    uint32_t head_timeline;
    uint64_t head;           /* how far the server is */
    int64_t head_time_ns;    /* when it said so */
    uint64_t objects, bytes; /* of the stream */
    int64_t complete_s;      /* as in the copies: up to when nothing is missing in at least one */
    /* The stream does not go on from anything before: a restore to a moment since then needs a backup that was begun since. */
    int64_t epoch_s;
    char epoch_why[ERR_TEXT_BYTES]; /* "": it is the first one */
    char why[ERR_TEXT_BYTES];       /* not running: what ended it, or keeps it from beginning */
    struct logs_copy_state copies[MAX_COPIES];
    size_t n_copies;
};
int logs_state_write(const struct config_paths *p, const struct logs_state *s, struct err *e);
/* -ERR_ABSENT: there is none; -ERR_DAMAGED. */
int logs_state_read(const struct config_paths *p, const char *policy, struct logs_state *ret,
                    struct err *e);
/* Does a keeper follow it now? */
bool logs_running(const struct logs_state *s, int64_t now_s);

#endif
