/* notice_inner.h - what notice.c (texts, one attempt) and notice_tell.c (all of them) share. */
#ifndef TWOFOLD_ORCHESTRATOR_CRASH_NOTICE_INNER_H
#define TWOFOLD_ORCHESTRATOR_CRASH_NOTICE_INNER_H

#include "orchestrator/crash/notice.h"

/* Is the unit told by that channel (NULL: by any), or acknowledged? */
bool notice_done(const struct incident *inc, enum notice_kind kind, const char *unit,
                 const char *channel);
/* Is it still right to tell it? Nobody is told to hold once the service is back, resuming is told, or the incident is closed; and after
 * the closing only a unit that was told to hold is told that it may go on. */
bool notice_wanted(const struct incident *inc, enum notice_kind kind, const char *unit);
/* Can it be told by "mail" or "command"? */
bool notice_way(const struct settings *s, const struct unit_contact *u, const char *channel);
const struct unit_contact *notice_unit(const struct contacts *c, const char *name); /* or NULL */
int notice_failed(struct incident *inc, enum notice_kind kind, const char *unit,
                  const char *channel, const struct err *problem, struct err *e);

#endif
