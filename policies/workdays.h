/*
 * workdays.h - CONFIG/holidays.yaml: which days are working days (PY-7.1). Without the file Monday to Friday are. The dates are published
 * once a year, late in the year before; some weekend days are working days.
 *
 *     years: [2026]                      # that it is complete for; lint says when this year is not among them
 *     holidays:                          # days off, each with its last day where there are several
 *       - { from: 2026-10-01, to: 2026-10-07, name: 国庆节 }
 *     workdays: [2026-09-20, 2026-10-10] # weekend days on which people work
 */
#ifndef TWOFOLD_POLICIES_WORKDAYS_H
#define TWOFOLD_POLICIES_WORKDAYS_H

#include "policies/config.h"

struct workdays;
/* Without the file: Monday to Friday. -ERR_CONFIG with file and line. */
int workdays_load(const struct config_paths *p, struct workdays **ret, struct err *e);
void workdays_free(struct workdays *w); /* NULL-safe */
/* w NULL: Monday to Friday. The day, by local time, in which the moment lies. */
bool workdays_is(const struct workdays *w, int64_t at_s);
/* When `days` working days will have passed since then: one counts from its time of day to the same time on the next one; what begins on a day
 * off begins with the next working day. Ten years at most. */
int64_t workdays_after(const struct workdays *w, int64_t from_s, unsigned days);
/* Is the file complete for that (local) year? */
bool workdays_covers(const struct workdays *w, int64_t at_s);

#endif
