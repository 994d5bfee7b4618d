/* said.h - what the program wrote on the timeline beside the facts is in the language of whoever ran it. Here it is said anew, from the facts of
 * the event, in the language of the paper. What people wrote stays as it is; what has no facts (an error, the output of a command) is quoted as
 * an original where it is in the other language. Inner header of the forms; what is returned is owned, NULL: there is nothing to say. */
#ifndef TWOFOLD_RESTORE_REPORT_SAID_H
#define TWOFOLD_RESTORE_REPORT_SAID_H

#include "restore/report/words.h"

char *said_of_step(const struct report *r, const struct event *ev);
char *said_of_gate(const struct report *r, const struct event *ev); /* why it was answered so */
char *said_of_loss(const struct report *r, const struct event *ev);
char *said_of_escalation(const struct report *r, const struct event *ev); /* why */
char *said_of_end(const struct report *r, const struct event *ev);        /* of the closing */
/* Why a drill did not pass: of the step that judges it. */
char *said_of_drill(const struct report *r, const struct event *ev);
/* An object of a restore's `checks`: its name, and what was found. */
char *said_of_check(const struct report *r, const json_t *check);
char *said_check_name(const struct report *r, const json_t *check);
/* A text of a program: as it is, or 原文“…” on a paper of the other language. */
char *said_original(const struct report *r, const char *text);

#endif
