/*
 * notice.h - the two notices to the subordinate units of contacts.yaml: hold your uploads, and resume them (PY-DB-2). Each unit is told by
 * mail and, by the site's command, at its telephone number; in the site's language, or in both where none is set.
 *
 *     notice_send(app, inc, NOTICE_HOLD, &r, e);      at the first step; returns at once
 *
 * A process of its own does the telling, one more for each attempt, each with a deadline: a mail server that does not answer keeps nobody. What
 * failed is tried again NOTICE_TRIES times. Each attempt is a line of the timeline (EVENT_NOTICE: notice, to: the unit, channel: mail or
 * command, ok, detail); what is there with ok is not told again, so whoever is killed in between just calls it again. In a drill nobody is
 * told: the lines have the channel "drill". Before each attempt the timeline is looked at: nobody is told to hold any more once the service
 * is back or resuming is told, and after the closing only units that were told to hold are told to resume. A unit that answers, or that somebody has called, is acknowledged: notice "acknowledged", of: the
 * notice, to: the unit, through. Who is neither told nor acknowledged stands in the duties "hold-uploads" and "resume-uploads" with the number.
 */
#ifndef TWOFOLD_ORCHESTRATOR_CRASH_NOTICE_H
#define TWOFOLD_ORCHESTRATOR_CRASH_NOTICE_H

#include "orchestrator/app.h"
#include "policies/contacts.h"
#include "policies/settings.h"
#include "restore/incident/timeline.h"

#define NOTICE_TRIES 3
#define NOTICE_RETRY_S 30 /* after the first attempt; then twice as long */

enum notice_kind { NOTICE_HOLD, NOTICE_RESUME, NOTICE_KINDS };
const char *notice_name(enum notice_kind k); /* "hold-uploads" */
bool notice_parse(const char *name, enum notice_kind *ret);

struct notice_result {
    size_t units;  /* of contacts.yaml */
    size_t told;   /* already, by the timeline */
    size_t no_way; /* no mail, and no number that the site's command takes: a person has to call */
    bool telling;  /* a process has begun to tell the others */
};
/* Says who is to be told, and lets a process tell them. No contacts, no units: 0, and nothing is done. */
int notice_send(struct app *app, struct incident *inc, enum notice_kind kind,
                struct notice_result *ret, struct err *e);
/* What that process does (`twofold crash tell INCIDENT NOTICE`): returns when all are told or every attempt has failed. -ERR_BUSY: another
 * one is at it. */
int notice_tell(struct app *app, struct incident *inc, enum notice_kind kind, struct err *e);
/* One attempt, and its line of the timeline (… UNIT CHANNEL). */
int notice_try(struct app *app, struct incident *inc, enum notice_kind kind, const char *unit,
               const char *channel, struct err *e);
/* A unit has answered. -ERR_NAME: there is no such unit (next: those that there are). through: "phone", …; may be NULL. */
int notice_ack(struct app *app, struct incident *inc, enum notice_kind kind, const char *unit,
               const char *through, struct err *e);

/* The text of one, for a draft or a test; owned: message_done. s, c may be NULL. */
struct message;
void notice_message(const struct incident *inc, enum notice_kind kind, const struct settings *s,
                    const struct contacts *c, struct message *ret);

#endif
