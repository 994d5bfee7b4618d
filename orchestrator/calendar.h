/*
 * calendar.h - calendar expressions (systemd.time(7)), as systemd itself understands them: systemd-analyze is asked, which
 * works without a running systemd. -ERR_ABSENT: it is not installed.
 */
#ifndef TWOFOLD_ORCHESTRATOR_CALENDAR_H
#define TWOFOLD_ORCHESTRATOR_CALENDAR_H

#include "lib/base/err.h"
#include <stddef.h>
#include <stdint.h>

#define CALENDAR_BATCH 64

/* The times after from_s at which it elapses, at most CALENDAR_BATCH; *ret_n 0: never again. -ERR_CONFIG: it is no calendar
 * expression. */
int calendar_next(const char *spec, int64_t from_s, int64_t ret[CALENDAR_BATCH], size_t *ret_n,
                  struct err *e);
/* The last time at which it elapsed, now included: 1, or 0 when there was none in the last four years. Two machines whose timers fired
 * for the same event get the same time, however late each of them was. */
int calendar_last(const char *spec, int64_t now_s, int64_t *ret, struct err *e);
/* "2026-11-25T02:00:00Z" */
void calendar_slot(int64_t at_s, char out[32]);

#endif
