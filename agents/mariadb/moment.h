/*
 * moment.h - where a moment lies in a series of binary logs. What is written there has the time at which its statement was begun, and stands in the
 * order in which it was committed; mostly both agree. Where they do not (SET TIMESTAMP, a clock that was set), a reader that stops at the first
 * later time loses all that stands behind it. So the place is taken with the fewest transactions on its wrong side, the first of such places (what
 * is to be undone, by a restore to the moment before it, mostly stands right behind); and it is said how many these are.
 */
#ifndef TWOFOLD_AGENTS_MARIADB_MOMENT_H
#define TWOFOLD_AGENTS_MARIADB_MOMENT_H

#include "lib/base/err.h"
#include <stddef.h>
#include <stdint.h>

struct my_moment {
    size_t n_files;   /* so many of them are to be read */
    uint64_t stop;    /* and the last one of these up to there; 0: whole */
    uint64_t groups;  /* transactions before that place */
    uint64_t later;   /* of these begun at the moment or later */
    uint64_t earlier; /* behind that place, begun before the moment */
    uint64_t far;     /* of both: by more than a minute, which no usual statement takes */
};
/* The first log from `position` on; end_s: when the last one was closed: later times in them are no times. *progress grows by what is read.
 * -ERR_DAMAGED: what lies there is no binary log that can be read. */
int my_moment_find(int dir_fd, const char *const *files, size_t n, uint64_t position, int64_t at_s,
                   int64_t end_s, _Atomic uint64_t *progress, struct my_moment *ret, struct err *e);

#endif
