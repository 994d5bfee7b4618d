/*
 * watch.h - the watch: what is wrong becomes alarms in the catalog, alarms are told to people until somebody acknowledges, and
 * what was wrong and is well again is told too (SMX-6, PY-DB-2).
 *
 *     struct watch *w;
 *     watch_new(&app->paths, &w, e);
 *     for (;;)                                     twofoldd: every few seconds; cheap when nothing has changed
 *         watch_tick(w, catalog, now_s, &done, e); raises, clears, writes the metrics, starts a process that tells
 *     watch_free(w);
 *
 * Nothing here waits for a network: telling is done by `twofold alarms tell`, a process of its own, whose every attempt has a
 * deadline and is recorded; what failed is tried again. `twofold alarms check`, by a timer that does not depend on twofoldd,
 * does all of it in one process and looks at the copies in folders besides: it is what notices that twofoldd is dead.
 *
 * Alarms and messages are in the site's language (settings.language); watch_new sets the locale of the process.
 */
#ifndef TWOFOLD_ORCHESTRATOR_WATCH_WATCH_H
#define TWOFOLD_ORCHESTRATOR_WATCH_WATCH_H

#include "orchestrator/watch/findings.h"
#include "orchestrator/watch/tell.h"

#define WATCH_EVERY_S 60    /* how often all is judged though nothing has changed: time passes */
#define WATCH_LEAST_S 5     /* and at most, whatever changes */
#define METRICS_EVERY_S 300 /* a file of metrics is written again at least so often */

struct watch;
struct watch_done {
    size_t raised, cleared, open;
    bool judged;  /* it was time to */
    bool telling; /* a process that tells people was started */
};
int watch_new(const struct config_paths *p, struct watch **ret, struct err *e);
void watch_free(struct watch *w); /* NULL-safe; a process that tells goes on */
/* The catalog must have been opened with CATALOG_WRITE. */
int watch_tick(struct watch *w, struct catalog *c, int64_t now_s, struct watch_done *ret,
               struct err *e);

/* --- the parts, for `alarms check` and the tests ---------------------------------------------------------------------- */
/* Raises what was found and clears what is no more. Nothing is cleared while a file of the configuration cannot be read, and what
 * only a look at the copies tells only after one. */
int watch_apply(const struct facts *f, const struct findings *found, struct catalog *c,
                struct watch_done *ret, struct err *e);
/* The same from the facts alone (facts_catalog has been called), after noting which policies and vaults are new. */
int watch_judge(struct facts *f, struct catalog *c, struct watch_done *ret, struct err *e);
/* Is there anybody to be told now? 1, 0 or a negative code. */
int watch_anybody_due(struct catalog *c, const struct settings *s, const struct contacts *k,
                      int64_t now_s, struct err *e);
struct tell_result {
    size_t sent, failed, alarms; /* messages, and alarms that somebody was to be told of */
};
typedef void told_fn(void *ctx, const struct recipient *r, const struct err *problem);
/* Tells whoever is to be told, one message a recipient, and records each attempt. fn (may be NULL) hears of each. -ERR_BUSY:
 * another process is telling. */
int watch_tell(struct catalog *c, const struct config_paths *p, int64_t now_s, told_fn *fn,
               void *ctx, struct tell_result *ret, struct err *e);
/* The locale of messages and pages: "zh", "en", or NULL: as it is. */
void watch_language(const char *language);

#endif
