/*
 * timeline.h - an incident is its timeline: a file to which lines are only ever added, each one event. What the state of the procedure is,
 * which duties are due, and what the forms say are functions of these lines (procedure.h, duties.h, restore/report/). It lies beside the
 * catalog, not in it, so that a crash can be worked on while the catalog is gone, and is sealed into the copies (record.h).
 *
 *     STATE/incidents/ID/timeline      one JSON object a line, fsynced before the call returns; 0600
 *     STATE/incidents/ID/runner        locked by the one process that takes steps
 *
 * Every line has seq (from 1), at (seconds since 1970, this machine's clock), kind, by (who: audit_who), host, prev (SHA-256 of the line
 * before, hex; zeros in the first) and, last, sum (SHA-256 of the line up to the comma before it). A last line without its end was cut
 * short by a kill or a full disk and never acknowledged: whoever appends next takes it away. Any other break is damage: `broken` says in
 * which line, everything before it is there to be read, and nothing can be added (-ERR_DAMAGED): a new incident goes on.
 * Appending takes a lock on the file for a moment; so notes, reminders and steps of several processes make one chain.
 *
 *     struct incident *inc;
 *     incident_create(paths, opening, &inc, e);          or incident_open(paths, "billing", &inc, e);
 *     incident_run_lock(inc, e);                         who takes steps; notes need none
 *     incident_add(inc, EVENT_STEP, json_pack(…), e);
 *     incident_refresh(inc, e);                          what other processes have added meanwhile
 *     incident_free(inc);
 *
 * | kind      | fields beside those of every line                                                                      |
 * |-----------|--------------------------------------------------------------------------------------------------------|
 * | opened    | policy, vault, agent, cause, strict, drill, crashed (0: not known), first_sign, settings: {…} in force  |
 * | step      | step, attempt (from 1), state: intent, done, failed, skipped, waiting; text; duty; facts: {…}            |
 * | gate      | gate, answer: yes, no, override; why; approver, through                                                  |
 * | approval  | what (the step), who, through: terminal, code, telephone; leader                                         |
 * | handover  | from, to, approver                                                                                       |
 * | level     | level (1 to 4), why                                                                                      |
 * | notice    | notice: hold-uploads, resume-uploads, told, …; to, channel, ok, detail; or acknowledged: of, to, through |
 * | note      | text; field (of docs/forms.md, when the note answers one: the newest counts)                             |
 * | duty      | duty, state: reminded, done, overdue; number; due; done (seconds; when it was, if not now)               |
 * | report    | form, number, format, sha256, path                                                                       |
 * | action    | action (number), text, owner, due, done (seconds; 0: not yet): a corrective action (PY-7.3)              |
 * | loss      | crashed, recovered_to, gap_s, text, and what the driver said: the loss statement                         |
 * | recovered | text: the service is back                                                                                |
 * | escalated | why, reason (PY-DB-6): ends the procedure with exit status 6 until somebody resumes it                   |
 * | closed    | text; undone: ids of the duties that were due and not done; through: drill, when the drill closed it     |
 */
#ifndef TWOFOLD_RESTORE_INCIDENT_TIMELINE_H
#define TWOFOLD_RESTORE_INCIDENT_TIMELINE_H

#include "lib/base/err.h"
#include "policies/config.h"
#include <jansson.h>

#define MAX_INCIDENT_ID 96
#define MAX_EVENT_BYTES ((size_t)64 << 10) /* of a line */
#define MAX_EVENTS 100000

enum event_kind {
    EVENT_OPENED,
    EVENT_STEP,
    EVENT_GATE,
    EVENT_APPROVAL,
    EVENT_HANDOVER,
    EVENT_LEVEL,
    EVENT_NOTICE,
    EVENT_NOTE,
    EVENT_DUTY,
    EVENT_REPORT,
    EVENT_ACTION,
    EVENT_LOSS,
    EVENT_RECOVERED,
    EVENT_ESCALATED,
    EVENT_CLOSED,
    EVENT_KINDS /* one that this program does not know: kept, shown, without meaning */
};
const char *event_kind_name(enum event_kind k);

enum crash_cause { CAUSE_FAULT, CAUSE_ATTACK, CAUSE_DISASTER, CAUSES };
const char *crash_cause_name(enum crash_cause c); /* "fault" */
bool crash_cause_parse(const char *name, enum crash_cause *ret);

struct event { /* borrowed from the incident until incident_refresh, _add or _free */
    uint64_t seq;
    int64_t at_s;
    enum event_kind kind;
    const char *by, *host;
    const json_t *body; /* the whole line */
};
/* A text or a number of it; "" or 0 where it has none. */
const char *event_text(const struct event *ev, const char *key);
int64_t event_int(const struct event *ev, const char *key);
/* A JSON string of any text, for a body: what is not printable UTF-8, or steers a terminal, is shown as \ooo, and of more than max bytes (0: 4000) the rest is
 * "…". NULL as text is "". */
json_t *event_json(const char *text, size_t max);

struct incident {
    char id[MAX_INCIDENT_ID]; /* POLICY-YYYYMMDD-hhhh; of a drill drill-POLICY-… */
    struct event *events;
    size_t n;
    /* from the first line */
    const char *policy, *vault, *agent; /* borrowed from it */
    enum crash_cause cause;
    bool strict, drill;
    int64_t opened_s, crashed_s,
        first_sign_s; /* 0: not known; crashed_s: the newest that a loss event or note says */
    /* from all of them */
    unsigned level; /* 1 to 4; 0: not judged yet */
    int64_t recovered_s, escalated_s,
        closed_s;               /* 0: not; escalated_s is 0 again once steps follow it */
    struct err broken;          /* code ERR_NONE: the chain is whole; else damage, and which line */
    struct incident_file *file; /* its own */
};

struct incident_opening {
    const char *policy, *vault, *agent;
    enum crash_cause cause;
    bool strict, drill;
    int64_t crashed_s, first_sign_s;
    json_t *settings; /* what of the configuration is in force; taken; may be NULL */
};
int incident_create(const struct config_paths *p, const struct incident_opening *o,
                    struct incident **ret, struct err *e);
/* Only in memory, for a plan: nothing is added to it. */
int incident_paper(const struct incident_opening *o, struct incident **ret, struct err *e);
/* name: an id, the beginning of one, or a policy (its newest open one, else its newest; drills have to be named by their ids); NULL: the
 * only open one. -ERR_NAME, and -ERR_USAGE when several fit: both name those that there are. Nothing is locked. */
int incident_open(const struct config_paths *p, const char *name, struct incident **ret,
                  struct err *e);
/* From the bytes of a timeline, wherever they come from (a record, a test). Cannot be added to. A line that is cut short is no part of it.
 * -ERR_DAMAGED when not even the first line is one. */
int incident_parse(const char *id, const void *p, size_t n, struct incident **ret, struct err *e);
/* The bytes as they are; owned. */
int incident_bytes(struct incident *inc, void **ret, size_t *ret_n, struct err *e);
/* Puts one that came from a record in its place on this machine. -ERR_EXISTS when another one of that id is there that is no beginning of
 * it; a shorter one that is becomes this, a longer one stays. Only a whole chain is taken (-ERR_DAMAGED). */
int incident_adopt(const struct config_paths *p, const char *id, const void *bytes, size_t n,
                   struct err *e);
void incident_free(struct incident *inc); /* NULL-safe */

/* -ERR_BUSY: another process takes its steps (who and since when). Held until incident_free. */
int incident_run_lock(struct incident *inc, struct err *e);
/* Takes body, also when it fails; NULL is -ERR_NOMEM: what json_pack gives without memory, or for text that is not UTF-8 (event_json).
 * Durable when it returns 0; else it is not there. -ERR_LIMIT: over MAX_EVENT_BYTES. Borrowed events end. */
int incident_add(struct incident *inc, enum event_kind kind, json_t *body, struct err *e);
int incident_refresh(struct incident *inc, struct err *e);
/* The folder for what belongs to it (drafts, captured output): STATE/incidents/ID/files; made when it is not there. Owned. */
int incident_folder(struct incident *inc, char **ret, struct err *e);

/* Newest first. Of a broken one `broken` is the error, and inc what can be read, NULL when that is nothing. A return other than 0 ends it. */
typedef int incident_fn(void *ctx, const char *id, const struct incident *inc,
                        const struct err *broken);
int incidents_each(const struct config_paths *p, bool open_only, incident_fn *fn, void *ctx,
                   struct err *e);

/* What was written from this moment on is not wanted: the first sign of an attack or a mistake; of an attack else the time of the crash. 0: all is. */
int64_t incident_sign_s(const struct incident *inc);
/* The newest event of that kind whose text `key` is `value` (key NULL: any), or NULL. */
const struct event *incident_last(const struct incident *inc, enum event_kind kind, const char *key,
                                  const char *value);
/* What was answered for a field of a form: the text of the newest note with that field, or NULL. */
const char *incident_field(const struct incident *inc, const char *field);

#endif
