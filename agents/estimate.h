/* estimate.h - a thread that walks a source ahead of the backup and counts, so that progress has an end. */
#ifndef TWOFOLD_AGENTS_ESTIMATE_H
#define TWOFOLD_AGENTS_ESTIMATE_H

#include "agents/scan.h"

struct estimate;
/* Walks as `o` says (its callbacks are ignored; the rest is borrowed until estimate_stop). NULL: no thread or
 * memory for it, which is no reason to fail. */
struct estimate *estimate_start(const struct scan_opts *o);
void estimate_stop(struct estimate *x); /* NULL-safe */
/* Both 0 until everything is counted. */
void estimate_totals(struct estimate *x, uint64_t *ret_files, uint64_t *ret_bytes);

#endif
