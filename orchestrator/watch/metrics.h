/*
 * metrics.h - the facts as Prometheus text (format 0.0.4), for `twofold metrics`, and for a file that a node exporter reads
 * (settings.metrics). Times are timestamps, not ages, so that the text changes only when something has happened.
 */
#ifndef TWOFOLD_ORCHESTRATOR_WATCH_METRICS_H
#define TWOFOLD_ORCHESTRATOR_WATCH_METRICS_H

#include "orchestrator/watch/findings.h"

/* Owned; aborts without memory. */
char *metrics_text(const struct facts *f, const struct findings *found);
/* Replaces the file at once, readable by all (mode 0644). */
int metrics_write(const char *path, const char *text, struct err *e);
/* A sum over all lines but the time of writing. */
uint64_t metrics_sum(const char *text);

#endif
