/*
 * duties.h - the incident clock: what is to be done by when (requirements.md, "Reports and deadlines"), as a pure function of the timeline, the
 * deadlines, the working days and the time. Whoever shows, reminds or prints asks here.
 *
 *     duties_of(inc, &rules, now_s, &list, e);
 *     for (i < list.n) list.all[i] …
 *     duties_done(&list);
 *
 * Reports and what follows from them count from the opening, which is when somebody knew; how long the database is down counts from the crash
 * where that is known to be earlier. Times are this machine's: a clock that was set back makes nothing done undone.
 *
 * | id             | row          | due                                               | done by                                 |
 * |----------------|--------------|---------------------------------------------------|-----------------------------------------|
 * | hold-uploads   | PY-DB-2      | hold-uploads; only where there are units          | each unit told, or acknowledged         |
 * | first-report   | JZ-8, XJ-3.1 | first-report                                      | a report of form incident               |
 * | on-site        | PY-10 min    | on-site; attacks only                             | `crash done`                            |
 * | level          | XJ-3.2       | level                                             | a level                                 |
 * | report (N ≥ 2) | PY-6.2       | report-every after the report before, till normal | a report of form incident, number ≥ N   |
 * | daily (N ≥ 1)  | XJ-3.2       | levels I and II: daily-report after the one before | a report of form daily, or `crash done` |
 * | investigation  | PY-7.1       | down for `investigation`                          | `crash done`                            |
 * | experts        | PY-7.1       | down for `experts` working days                   | `crash done`                            |
 * | superior-help  | PY-24 h      | superior-help, if it is still down                | `crash done`                            |
 * | resume-uploads | PY-DB-2      | after recovery, where uploads are held            | each unit told, or acknowledged         |
 * | summary        | PY-6.5       | summary, after recovery                           | a report of form summary                |
 * | actions        | PY-7.3       | actions, after recovery                           | a corrective action, or `crash done`    |
 * | supplement     | PY-6.5       | the cause was noted after the summary             | a report of form supplement             |
 * | action (N)     | PY-7.3       | its date                                          | `crash action done N`                   |
 *
 * Each may be done by `crash done ID` (a duty event, state done; its `done`, where it is there, says when). What was still coming when the
 * service was back, or the incident was closed, is not needed any more; what was due before that stays until it is done, except what only helps
 * while it is down (hold-uploads, reports of every half hour and day, superior-help). After the closing only corrective actions go on. A
 * drill has none but those.
 */
#ifndef TWOFOLD_RESTORE_INCIDENT_DUTIES_H
#define TWOFOLD_RESTORE_INCIDENT_DUTIES_H

#include "policies/incident_conf.h"
#include "policies/workdays.h"
#include "restore/incident/timeline.h"

#define MAX_DUTY_ID 24
#define DUTY_TEXT_BYTES 320
#define MAX_DUTY_UNITS 256
#define CAUSE_FIELD "cause" /* of the forms: its note makes a supplement due */

enum duty_state {
    DUTY_COMING,
    DUTY_DUE, /* it is time to remind */
    DUTY_OVERDUE,
    DUTY_DONE,
    DUTY_NOT_NEEDED,
    DUTY_STATES
};
const char *duty_state_name(enum duty_state s); /* "coming" */
const char *duty_state_word(enum duty_state s); /* translated */

struct duty {
    char id[MAX_DUTY_ID];
    unsigned number;   /* 0: it is no repeated one */
    const char *row;   /* "PY-6.2" */
    const char *roles; /* of contacts.yaml, with blanks between */
    char text[DUTY_TEXT_BYTES];
    char next[DUTY_TEXT_BYTES]; /* a command that does it */
    int64_t remind_s, due_s;
    int64_t done_s; /* 0: not */
    enum duty_state state;
};
struct duty_list { /* by the time that each is due */
    struct duty *all;
    size_t n;
};
struct duty_rules {
    struct incident_conf conf;       /* duty_rules_of fills it */
    const struct workdays *calendar; /* NULL: Monday to Friday */
    const char *const *units;        /* names; NULL-terminated; may be NULL */
};
/* The deadlines that hold for it: what its opening noted ("incident" of its settings), else `site` (NULL: the plans' own). */
struct incident_conf duty_conf(const struct incident *inc, const struct incident_conf *site);

/* ret: duties_done. Fails without memory only. */
int duties_of(const struct incident *inc, const struct duty_rules *r, int64_t now_s,
              struct duty_list *ret, struct err *e);
void duties_done(struct duty_list *l);
/* The one that the words "report-3", "report" (its open one) or "level" mean; NULL: none. */
const struct duty *duties_find(const struct duty_list *l, const char *word);
/* "report-3", or "level". Returns out. */
const char *duty_word(const struct duty *d, char out[MAX_DUTY_ID + 12]);
/* When something of the list changes next by time alone; 0: never. */
int64_t duties_change_s(const struct duty_list *l, int64_t now_s);
/* Has the timeline that line (reminded, overdue, done) for the duty? */
bool duty_noted(const struct incident *inc, const char *id, unsigned number, const char *state);

#endif
