/* timeline_inner.h - what timeline.c (files) and events.c (lines) share. */
#ifndef TWOFOLD_RESTORE_INCIDENT_TIMELINE_INNER_H
#define TWOFOLD_RESTORE_INCIDENT_TIMELINE_INNER_H

#include "lib/base/bytes.h"
#include "restore/incident/timeline.h"

#define MAX_TIMELINE_BYTES ((size_t)256 << 20)

struct incident_file {
    char *dir;       /* STATE/incidents/ID; NULL: from bytes, cannot be added to */
    int run_fd;      /* -1: not ours */
    struct wbuf raw; /* the whole lines that were read */
    size_t cap;      /* of the events */
    struct id last;  /* SHA-256 of the last line */
};

struct incident *incident_new(const char *id); /* NULL without memory */
/* Forgets all events. */
void incident_reset(struct incident *inc);
/* Takes the whole lines of p; *ret_used: how many bytes they are. A bad line is noted in `broken` and ends it. */
int incident_take(struct incident *inc, const void *p, size_t n, size_t *ret_used, struct err *e);
/* One line with its end, as it is to be written behind the last one. Takes body. */
int incident_line(const struct incident *inc, enum event_kind kind, json_t *body, struct wbuf *ret,
                  struct err *e);

#endif
