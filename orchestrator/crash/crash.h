/*
 * crash.h - the crash procedure carried out: steps are taken, gates are asked, all of it goes on the timeline (docs/crash.md). What comes
 * next is restore/incident/procedure.h's word alone; `twofold crash` and drills use this.
 *
 *     struct crash_options o = { … };
 *     struct crash *c;
 *     crash_begin(app, inc, &o, &c, e);      takes inc, also when it fails
 *     status = crash_go(c);                  to the end, or as far as it comes: an exit status
 *     crash_end(c);
 *
 * A step writes its intent, acts, and writes its outcome; each line is durable before what it says is relied on. Whoever is killed, loses the
 * terminal or is stopped by a signal leaves a timeline that is true, and `crash resume` goes on. Nothing waits for the catalog, a mail server
 * or another building: people are told by processes of their own, and rates are read from the catalog where it answers at once.
 */
#ifndef TWOFOLD_ORCHESTRATOR_CRASH_CRASH_H
#define TWOFOLD_ORCHESTRATOR_CRASH_CRASH_H

#include "lib/base/who.h"
#include "orchestrator/app.h"
#include "orchestrator/restore_run.h"
#include "policies/contacts.h"
#include "policies/settings.h"
#include "restore/incident/procedure.h"

#define MAX_GIVEN_ANSWERS 32

struct given_answer { /* on the command line; each is used once */
    enum crash_gate gate;
    enum crash_answer answer;
    bool used;
    bool may_stay; /* unused: then nobody is told */
};
struct crash_options {          /* borrowed */
    struct vault_choice choice; /* --copy: the incident's own when it says one */
    const char
        *to; /* a folder, in place of the database's own place; NULL: the incident's own word */
    const char *from;        /* only this copy */
    const char *why;         /* of overrides */
    const char *approved_by; /* for answers, and a handover */
    struct given_answer given[MAX_GIVEN_ANSWERS];
    size_t n_given;
    struct vault *vault; /* opened already, with its recovery key; NULL: opened when it is needed */
};

struct crash {
    struct app *app;
    struct incident *inc;             /* owned */
    struct crash_options o;           /* what was given, completed by the incident's settings */
    struct policy *policy;            /* owned; as it is now, or as much as is known of it */
    struct vault *vault, *own_v;      /* own: opened here */
    struct crash_snapshot *snapshots; /* owned */
    struct crash_snapshot *noted;     /* owned; the catalog's, as of asked_catalog */
    size_t n_noted;
    uint64_t catalog_bytes_s;
    const char *places[MAX_COPIES];
    struct crash_facts facts;
    struct contacts *contacts; /* NULL: none could be read */
    bool contacts_broken;      /* there is such a file */
    struct settings *settings;
    char me[AUDIT_WHO_BYTES];
    json_t
        *backup;  /* owned; what the newest backup says of its databases' places; NULL: not known */
    json_t *host; /* owned; the newest facts of the host; NULL: nobody could look */
    json_t *called; /* owned; whom crash_say_calls has named */
    int running;    /* the server: 1, 0; -1: not known */
    uint64_t
        gave_up_ms; /* when the standby that is given up was asked by this process; 0: not yet */
    bool bare;      /* the policy's file is not here */
    bool asked_places, asked_catalog;
    char no_copy[2 * ERR_TEXT_BYTES + 4]; /* why none can be read */
};

int crash_begin(struct app *app, struct incident *inc, const struct crash_options *o,
                struct crash **ret, struct err *e);
void crash_end(struct crash *c); /* NULL-safe */
/* 0: recovered; 3: it waits (for an answer, an approval); 4: recovered, but not all of it; 5: another process takes its steps; 6: escalated; 130.
 * Takes the lock of the steps. */
int crash_go(struct crash *c);
/* What comes next, with the backups where they are needed; nothing is written. */
int crash_next(struct crash *c, struct crash_next *ret, struct err *e);

/* --- what is known (known.c) ---------------------------------------------------------------------------------------- */
/* The backups of the policy, newest first; opens the vault with its recovery key. */
int crash_know_snapshots(struct crash *c, struct err *e);
/* After an attempt has failed: which of them no copy seems to have all of (usable.h); looks until one is found that seems whole. */
void crash_know_usable(struct crash *c);
/* How fast restores and steps were: from the catalog, if it answers at once, and from earlier incidents. */
void crash_know_rates(struct crash *c);
/* `twofold crash known POLICY`: what the catalog knows, as JSON: bytes a second (0: not known), and the backups. */
int crash_print_known(struct app *app, const char *policy);
/* The settings that an opening notes: crash_conf_json with incident, to, copy. */
json_t *crash_settings(struct app *app, const struct policy *p, const struct crash_options *o);
/* The newest facts of the host that are on the timeline, understood. */
void crash_know_host(struct crash *c);
bool crash_host_is_good(const struct crash *c);

/* --- acting (steps.c, restore.c) --------------------------------------------------------------------------------------- */
struct step_result {
    bool failed, cut; /* cut: by a signal; no outcome is written but that */
    char text[ERR_TEXT_BYTES];
    char next[ERR_TEXT_BYTES]; /* what a person can do */
    json_t *facts;             /* owned by whoever takes it; may be NULL */
};
void crash_do(struct crash *c, const struct crash_next *n, struct step_result *ret);
void crash_do_restore(struct crash *c, const struct crash_next *n, struct step_result *ret);
/* Of a restore that came to its end: up to when the data came back, and what can be missing. received_s: of its backup, where its facts
 * (restore_run.h) say nothing of a log. */
int crash_write_loss(struct crash *c, const json_t *facts, int64_t received_s, struct err *e);
/* Borrowed: what was set aside, of the last scene that was; one that was tried again and failed leaves it there. NULL: nothing was. */
const json_t *crash_scene_places(const struct incident *inc);
/* Of an error: "what: why", and what to do next. */
void step_failed(struct step_result *r, const struct err *e);
struct host_job;
/* Where the database's files lie, from its newest backup that can tell. Without the key nothing can be restored either: -ERR_KEY; what a person can do
 * nothing about at once is said, and is no failure. */
int crash_know_places(struct crash *c, struct err *e);
/* With the places that the newest backup knows, where the vault can be opened. */
struct host_job crash_host_job(struct crash *c);
/* What could not be reached may be there now: the vault is opened anew when it is needed next. */
void crash_forget_vault(struct crash *c);

/* Who is told that it has crashed. */
#define CRASH_ROLES_TOLD "security-officer office-head operator"
/* Reports the incident to the security officer (PY-DB-2), the head of the office, and the roles of the policy, by a process of its own. */
int crash_report_to(struct crash *c, struct err *e);
/* What that process does: `twofold crash report-to ID`. */
int crash_tell_persons(struct app *app, struct incident *inc, struct err *e);

/* --- words (say.c) ------------------------------------------------------------------------------------------------------- */
void crash_say_opening(struct crash *c);
void crash_say_step(struct crash *c, const struct crash_next *n);
void crash_say_outcome(struct crash *c, const struct crash_next *n, const struct step_result *r,
                       uint64_t ms);
void crash_say_gate(struct crash *c, const struct crash_next *n, bool waits);
/* The security officer's numbers: a message may be read late. */
void crash_say_officer(struct crash *c);
/* Whom to call (calls.c): whom no program reaches, and whose messages have failed, as far as the timeline knows it; each of them once. */
void crash_say_calls(struct crash *c);
void crash_say_approval(struct crash *c, const struct crash_next *n);
void crash_say_host(struct crash *c);
void crash_say_escalated(struct crash *c);
void crash_say_end(struct crash *c);
/* start: the command that begins it, to be copied. */
void crash_say_plan(struct crash *c, enum crash_cause cause, const char *start);
int crash_say_status(struct crash *c, struct err *e);
/* One indented line of the story, broken at the terminal's width. */
void crash_line(struct crash *c, size_t indent, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
const char *crash_span(uint64_t s, char out[64]); /* "4 h 10 min" */

/* --- people (ask.c, approve.c) --------------------------------------------------------------------------------------------- */
/* The answer of a gate: from the command line, by --yes where facts support it, or asked on the terminal; 0: nobody answers, it waits. */
int crash_ask(struct crash *c, const struct crash_next *n, enum crash_answer *ret, struct err *e);
/* Writes an answer down. */
int crash_answer_gate(struct crash *c, const struct crash_next *n, enum crash_answer a,
                      const char *why, const char *through, struct err *e);
/* A line from the terminal, trimmed; false: there is none, or a signal came. */
bool crash_read_line(struct crash *c, const char *prompt, char *out, size_t max);
struct approval {
    const char *what;   /* a step, "all"; NULL: that which waits */
    const char *leader; /* --approved-by */
    bool by_telephone, by_code;
    const char *code_file;
};
int crash_approve(struct crash *c, const struct approval *a, struct err *e);
/* Makes n one-time codes, prints them once, and keeps their hashes in CONFIG/keys/approval-codes. */
int crash_make_codes(struct app *app, unsigned n, struct err *e);
/* 0: it was one that is now used up. -ERR_KEY. */
int crash_use_code(const struct config_paths *p, const char *code, struct err *e);

#endif
