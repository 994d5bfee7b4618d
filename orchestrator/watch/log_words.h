/* log_words.h - how far the log of a policy's database is kept, as `status`, `logs`, the page and the alarms judge and say it. */
#ifndef TWOFOLD_ORCHESTRATOR_WATCH_LOG_WORDS_H
#define TWOFOLD_ORCHESTRATOR_WATCH_LOG_WORDS_H

#include "orchestrator/watch/findings.h"

struct log_sum {
    bool followed; /* a keeper is at it */
    int64_t
        lag_s; /* what was committed since then is perhaps in no copy; -1: nothing has come yet */
    size_t current; /* copies that are so far */
    uint64_t ahead; /* bytes of the server's log that no copy has, as far as is known */
    bool bad;       /* not followed, or further behind than it may be */
};
/* s NULL: it has never been followed. limit_s: how far behind it may be. */
void log_sum(const struct logs_state *s, int64_t now_s, int64_t limit_s, struct log_sum *ret);
int64_t log_limit_s(const struct policy_fact *p); /* LOG_FOLLOW_S, or its RPO where that is less */
/* 0: it has all that any copy has; -1: nothing at all. */
int64_t log_copy_lag_s(const struct logs_state *s, const struct logs_copy_state *c, int64_t now_s);
/* "complete up to 3 s ago in both copies"; owned. */
char *log_words(const struct logs_state *s, int64_t now_s);
/* The command that helps where it is not followed. */
const char *log_next(const struct facts *f, const struct policy_fact *p,
                     char out[FINDING_TEXT_BYTES]);

#endif
