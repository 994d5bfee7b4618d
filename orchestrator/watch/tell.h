/*
 * tell.h - whom an open alarm is told to, and when: a pure function of the alarm, of what was told before, of the contacts
 * and of the time.
 *
 * First the A person of each role of the alarm is told (B where there is no A). Who is told is told again each
 * settings.repeat_s (a notice once a day) until somebody acknowledges. After the first interval without an answer the B persons
 * are told too; after each further one the next role of the line operator, security-officer, office-head, leading-group, both
 * persons (PY-AB). An attempt that failed is repeated sooner, after 1, 2, 4 … minutes. An alarm that names no role, or none that
 * anybody has, goes to the first role of that line that somebody has.
 *
 * Each person is told by every channel that reaches them: mail, their webhook, their phone by the site's command. Besides, for
 * everybody: the webhooks that no person has as theirs (a group's robot) and the console (not for notices). When an alarm is
 * cleared, whoever was told is told so, once.
 */
#ifndef TWOFOLD_ORCHESTRATOR_WATCH_TELL_H
#define TWOFOLD_ORCHESTRATOR_WATCH_TELL_H

#include "orchestrator/catalog/catalog.h"
#include "policies/contacts.h"
#include "policies/settings.h"

#define MAX_RECIPIENTS 128
#define RECIPIENT_BYTES 256
#define TELL_CLEARED "cleared" /* begins the detail of a telling that said so */
#define TELL_FIRST_RETRY_S 60
#define TELL_CLEARED_TRIES 5
#define TELL_CLEARED_S 86400 /* how long a recovery is news */
#define NOTICE_REPEAT_S 86400

/* Somebody who can be told, by one channel. */
struct recipient {
    char channel[16];           /* "mail", "webhook", "command", "console" */
    char to[RECIPIENT_BYTES];   /* an address, a webhook's name, a number, "all" */
    char name[RECIPIENT_BYTES]; /* of the person; "" for a channel of all */
};
struct recipients {
    struct recipient all[MAX_RECIPIENTS];
    size_t n;
};

/* A person whose turn it is, for the call list. */
struct called_person {
    const char *role;
    char letter; /* 'A' or 'B' */
    const struct person *who;
};

/* How far an alarm that is not acknowledged has come: 0: the A persons; 1: B as well; 2 and more: further roles. */
unsigned tell_stage(const struct alarm *a, const struct telling *past, size_t n_past,
                    uint64_t repeat_s, int64_t now_s);
/* Up to max persons, each once; returns how many. */
size_t tell_persons(const struct contacts *c, const char *roles, unsigned stage,
                    struct called_person *ret, size_t max);
/* Whoever is to be told of this alarm now. `past`: its tellings, oldest first. */
void tell_due(const struct alarm *a, const struct telling *past, size_t n_past,
              const struct settings *s, const struct contacts *c, int64_t now_s,
              struct recipients *ret);
/* Every way to tell these roles ("": the whole site's channels alone), as `notify test` tries them. */
void tell_ways(const char *roles, unsigned stage, bool console, const struct settings *s,
               const struct contacts *c, struct recipients *ret);
/* Was anybody told of it at all, so that no call list is needed? */
bool tell_reached(const struct telling *past, size_t n_past);

#endif
