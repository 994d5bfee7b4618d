/*
 * report.h - what a restore or comparison tells the orchestrator while it works: counts, notes,
 * and a PROGRESS frame every second from a thread of its own (a long syncfs must not look like a
 * dead agent). All functions may be called from several threads; a note that cannot be sent is
 * only counted: the broken wire shows elsewhere.
 */
#ifndef TWOFOLD_AGENTS_REPORT_H
#define TWOFOLD_AGENTS_REPORT_H

#include "lib/wire/wire.h"
#include <jansson.h>
#include <stdatomic.h>

struct counts {
    atomic_uint_fast64_t files, dirs, others; /* in place at the end, or compared */
    atomic_uint_fast64_t bytes;               /* content written */
    atomic_uint_fast64_t bytes_read;          /* content read from the target */
    atomic_uint_fast64_t already; /* files that were there already (compare: found equal) */
    atomic_uint_fast64_t failed;  /* entries that could not be restored or compared */
    atomic_uint_fast64_t
        away; /* of these: what they need may lie in a copy that cannot be reached */
    atomic_uint_fast64_t set_aside;
    atomic_uint_fast64_t extra, extra_aside; /* not in the snapshot; of these: set aside */
    atomic_uint_fast64_t problems;           /* notes with `problem` */
};

struct report {
    struct counts n;
    atomic_bool owner_told;
    struct report_thread *thread; /* the module's own */
};

/* phase as in struct msg_progress. total_files: 0 when not known. */
int report_begin(struct report *r, struct wire *w, unsigned phase, uint64_t total_files,
                 struct err *e);
void report_end(struct report *r); /* ends the thread; NULL-safe for a report never begun */
void report_phase(struct report *r, unsigned phase);
/* The path (manifest's form, no leading '/') that is worked on. */
void report_at(struct report *r, const char *path, size_t len);

/* Notes about a path in the manifest's form (sent with its leading '/'); NULL: about the whole. */
void report_problem(struct report *r, const char *path, size_t len, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void report_note(struct report *r, const char *path, size_t len, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* A problem from an error: "<what>: <why>". */
void report_err(struct report *r, const char *path, size_t len, const struct err *why);
/* The note that owners are not set because we are not root; sent once. */
void report_owner_once(struct report *r);
/* Something for programs (FACTS); takes o, also when it is NULL. */
void report_facts(struct report *r, const char *name, json_t *o);
/* A check of what was restored (FACTS "check"). */
void report_check(struct report *r, const char *kind, const char *name, bool ok, const char *fmt,
                  ...) __attribute__((format(printf, 5, 6)));
/* The closing frame with the counts. */
int report_done(struct report *r, struct err *e);

#endif
