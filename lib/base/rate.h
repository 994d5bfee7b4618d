/*
 * rate.h - a bound on bytes a second. Whoever moves bytes asks first and waits as long as it takes; any number of threads, and with
 * a file any number of processes, share one bound. Bursts are at most a fifth of a second's worth.
 *
 *     struct rate *r;
 *     rate_new(20 << 20, "/var/lib/twofold/limits/main-b", &r, e);
 *     if (rate_take(r, n, e) < 0) …            interrupted by a signal
 *
 * Shared by a file: it holds one time, of the clock that all processes since the boot share, changed by compare-and-swap in shared
 * memory; so a process that is killed leaves nothing locked. A time that lies too far ahead (of before a boot) is ignored.
 */
#ifndef TWOFOLD_BASE_RATE_H
#define TWOFOLD_BASE_RATE_H

#include "lib/base/err.h"
#include <stdint.h>

struct rate;
/* bytes_s 0: *ret is NULL, which means no bound everywhere. path NULL: for this process alone; else the file is made (0600) where it
 * is missing. */
int rate_new(uint64_t bytes_s, const char *path, struct rate **ret, struct err *e);
void rate_free(struct rate *r); /* NULL-safe */
/* Waits until n bytes may pass. -ERR_INTERRUPTED by a signal (sys_catch_signals). NULL: 0 at once. */
int rate_take(struct rate *r, uint64_t n, struct err *e);
/* Sleeps so long, but not through a signal: -ERR_INTERRUPTED. */
int rate_sleep_ms(uint64_t ms, struct err *e);

#endif
