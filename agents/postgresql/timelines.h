/*
 * timelines.h - the way from a backup's timeline to the one that is followed last: each history says where its timeline left the ones
 * before it. What an abandoned branch wrote behind that point is not of the way, even if it was kept (two servers that both took
 * themselves for the primary).
 */
#ifndef TWOFOLD_AGENTS_POSTGRESQL_TIMELINES_H
#define TWOFOLD_AGENTS_POSTGRESQL_TIMELINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_TIMELINES 256

struct timelines {
    struct timeline_step {
        uint32_t timeline;
        uint64_t end; /* the next one left here; UINT64_MAX: none did */
    } v[MAX_TIMELINES];
    size_t n; /* 1 or more */
};
/* backup_end: a timeline that left before is none that the backup leads to. */
void timelines_begin(struct timelines *t, uint32_t timeline);
/* False: it does not come from any of the way, or left before the backup's end, or before the one that it left had begun. It takes the place of what left later or lower down. */
bool timelines_add(struct timelines *t, uint32_t timeline, const char *history, size_t n,
                   uint64_t backup_end);
/* Where a timeline ended, by the history of a later one. */
/* A line of it: "7\t0/3000000\twhy". False: it is none (a comment, an empty one). */
bool history_line(const char *line, uint32_t *ret_timeline, uint64_t *ret_lsn);
bool history_left(const char *history, size_t n, uint32_t timeline, uint64_t *ret);
/* Where, by the history of timeline `its`, `timeline` ended, and which one goes on there. False: it is none of its ancestors. */
bool history_next(const char *history, uint32_t timeline, uint32_t its, uint64_t *ret_at,
                  uint32_t *ret_next);
/* Where the timeline itself began. */
bool history_last(const char *history, uint64_t *ret);

#endif
