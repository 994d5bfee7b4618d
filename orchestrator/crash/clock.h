/*
 * clock.h - the incident clock of this site: the duties of an incident with the configuration as it is here (restore/incident/duties.h), the
 * lines that remind of them, and the words of `twofold crash` that belong to it.
 *
 *     crash_duties(&app->paths, inc, watch_now_s(), &list, e);      duties_done(&list)
 *     duties_print(app, inc, e);                                    what `crash status` shows
 */
#ifndef TWOFOLD_ORCHESTRATOR_CRASH_CLOCK_H
#define TWOFOLD_ORCHESTRATOR_CRASH_CLOCK_H

#include "orchestrator/app.h"
#include "restore/incident/duties.h"

/* A file of the configuration with a mistake, or none at all, is no reason to have no clock: then the plans' values hold. */
int crash_duties(const struct config_paths *p, const struct incident *inc, int64_t now_s,
                 struct duty_list *ret, struct err *e);
/* The open ones, the worst first, each with its command; `all`: those that are done or needless, too. JSON: one {"type":"duty",…} for each of
 * all. *ret_overdue (may be NULL): how many. */
int duties_print(struct app *app, const struct incident *inc, bool all, size_t *ret_overdue,
                 struct err *e);
/* Writes "reminded" and "overdue" on the timeline for each duty for which it is time, each once, however many processes do it. -ERR_BUSY:
 * another process is at it. Returns how many lines. */
int crash_remind(const struct config_paths *p, const char *incident, int64_t now_s, struct err *e);

/* What the settings of an opening say of the clock: "incident" of them. Owned. */
json_t *crash_deadlines_json(const struct config_paths *p, const char *policy);

/* done, level, action, ack, duties, records, tell, record: argv[0] is the word. Returns the exit status; -1: it is none of these. */
int crash_clock_word(struct app *app, int argc, char **argv);
extern const char *const crash_clock_usage[]; /* one line for each, untranslated; NULL ends it */

#endif
