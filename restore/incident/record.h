/*
 * record.h - an incident made into its record, and back (lib/vault/record_object.h, docs/format.md "record"): the timeline as it is, and the
 * papers that it names (EVENT_REPORT: path, sha256), the newest first, as many as there is room for.
 *
 *     record_make(inc, before, n_before, &o, e);       record_object_seal(&v->keys, o, &bytes, e); record_made_free(o)
 *     record_adopt(paths, o, e);                       after record_object_open: the incident is on this machine
 */
#ifndef TWOFOLD_RESTORE_INCIDENT_RECORD_H
#define TWOFOLD_RESTORE_INCIDENT_RECORD_H

#include "lib/vault/record_object.h"
#include "restore/incident/timeline.h"

#define MAX_RECORD_PAPER ((size_t)4 << 20)  /* one paper */
#define MAX_RECORD_PAPERS ((size_t)8 << 20) /* all of them */

/* before: earlier records of it, newest first; what is not of this timeline, or not before it, is left out. */
int record_make(struct incident *inc, const struct record_before *before, size_t n_before,
                struct record_object **ret, struct err *e);
void record_made_free(
    struct record_object *o); /* NULL-safe; what record_make gave, and what it points to */
/* Puts timeline and papers in their place; papers that are there stay. As incident_adopt. -ERR_DAMAGED: the timeline is not the one that the
 * record says. */
int record_adopt(const struct config_paths *p, const struct record_object *o, struct err *e);
/* The hash of line `number` (from 1) of a timeline; false: it has no such line. */
bool record_line_hash(const void *timeline, size_t n, uint64_t number, struct id *ret);

#endif
