/*
 * forms.h - the papers of the plans (requirements.md, "Forms"), Chinese and English, filled from an incident's timeline, the contacts, the
 * settings and what the orchestrator knows. What nobody has said is a marked blank: nothing is made up.
 *
 *     const struct form *f = form_find("incident");
 *     struct report r = { .lang = PAPER_ZH, .now_s = …, .inc = inc, .conf = &settings->forms, .contacts = contacts, … };
 *     struct document *d = form_fill(f, &r, e);          render.h draws it
 *
 * Every field has a name, and one source:
 *   automatic   the program knows it; where it does not (yet), a blank. What a person noted under that name is added.
 *   asked       a person says it: `twofold crash note --field NAME TEXT`, or `report … --set NAME=TEXT`. A preset of `forms:` stands until then.
 *   blank       by hand, on paper: a signature, a stamp, a score
 * docs/forms.md lists them all; tests/unit/test_forms.c holds the two against each other, and every rendering against both.
 */
#ifndef TWOFOLD_RESTORE_REPORT_FORMS_H
#define TWOFOLD_RESTORE_REPORT_FORMS_H

#include "policies/contacts.h"
#include "policies/forms_conf.h"
#include "restore/incident/timeline.h"
#include "restore/report/document.h"

/* --- what a form is filled from: all borrowed; what is not known is NULL, 0 or "" ----------------------------------------- */
struct paper_policy {
    const char *name, *vault, *agent;
    int64_t whole_s; /* newest whole backup; 0: none */
    uint64_t files, bytes, rpo_s, rto_s;
    bool late; /* older than its RPO */
    int64_t run_s;
    int run_status;  /* of the last run that ended: its exit status */
    int64_t drill_s; /* the last drill that was closed; 0: none */
    uint64_t runs, good, partial, failed, bytes_stored; /* backups of the year */
};
struct paper_copy {
    const char *vault, *place, *url, *state, *text;
    const char *medium; /* where the register says that it lies */
    bool rotating, bad;
    int64_t seen_s;
    uint64_t free_bytes, total_bytes, damaged;
};
struct paper_alarm {
    const char *level, *duty, *text;
    int64_t raised_s;
};
struct paper_finding { /* of policy lint and of the watch */
    const char *duty, *text;
    bool error;
};
struct paper_answer {
    const char *field, *text;
};
struct paper_site {
    const struct paper_policy *policies;
    const struct paper_copy *copies;
    const struct paper_alarm *alarms;
    const struct paper_finding *findings;
    size_t n_policies, n_copies, n_alarms, n_findings;
    bool known; /* the catalog could be read */
};
struct report {
    enum paper_lang lang;
    int64_t now_s;
    unsigned number;            /* 第N次; 0: none */
    bool draft;                 /* it is looked at only, and not noted on the timeline */
    int year;                   /* of the annual report */
    const struct incident *inc; /* NULL: the form is of none */
    const struct incident *const *incidents; /* all that are known, newest first */
    size_t n_incidents;
    const struct forms_conf *conf; /* never NULL */
    const struct contacts *contacts;
    const struct paper_site *site; /* never NULL */
    const char *site_name, *who, *host;
    const struct paper_answer *answers; /* --set: count before what was noted */
    size_t n_answers;
};

/* --- the forms ---------------------------------------------------------------------------------------------------------------- */
struct bilingual {
    const char *zh, *en;
};
enum field_source { FIELD_AUTOMATIC, FIELD_ASKED, FIELD_BLANK };
const char *field_source_name(enum field_source s); /* "automatic" */
enum field_place { FIELD_HALF, FIELD_ROW, FIELD_MORE /* in the cell of the one before */ };
struct field {
    const char *name;
    struct bilingual label;
    enum field_source source;
    enum field_place place;
    struct bilingual
        cell; /* of a cell that several fields share: its heading; the first of them has it */
    char *(*value)(const struct report
                       *r); /* owned; NULL: not known. Of an asked one: its preset; may be NULL */
    unsigned room;          /* lines */
    struct bilingual hint;  /* what is to be put into the blank; NULL: to be filled in */
    const char *(*label_of)(
        const struct report *r); /* the site's own label; NULL, or returns NULL: `label` */
};
struct column {
    const char *name;
    struct bilingual label;
    enum field_source source;
    unsigned weight;
};
struct form_table {
    struct bilingual heading;
    struct bilingual empty; /* what stands there instead, without rows */
    const struct column *columns;
    size_t n_columns;
    /* Adds rows: doc_row, and a cell for each column. */
    void (*rows)(const struct report *r, struct document *d);
};
enum form_of {
    FORM_OF_INCIDENT,
    FORM_OF_YEAR,
    FORM_OF_SITE,
    FORM_OF_ANY /* with or without an incident */
};
#define MAX_SIGNS 4
struct form {
    const char *name;
    struct bilingual title;
    enum form_of of;
    bool looks;       /* at what the catalog and the copies say: r->site */
    bool numbered;    /* its number stands in the head: 第N次 */
    const char *duty; /* the row of the requirements */
    struct bilingual intro;
    const struct field *fields;
    size_t n_fields;
    const struct form_table *const *tables; /* NULL at the end; NULL: none */
    bool tables_first;
    struct bilingual note;                    /* the foot; NULL: none */
    char *(*note_of)(const struct report *r); /* owned; instead of it */
    struct bilingual signs[MAX_SIGNS];        /* until one is NULL */
};

extern const struct form *const forms[];        /* NULL at the end */
const struct form *form_find(const char *name); /* NULL: there is none */
/* Is there a form with a field of that name that a note can say something for (one that is not left to a pen)? */
bool form_field_known(const char *name);
/* Owned: document_free. Fails without memory, or over a document's bounds. */
int form_fill(const struct form *f, const struct report *r, struct document **ret, struct err *e);
const char *say(const struct report *r, struct bilingual w);
/* The number that the next report of that form of the incident has: one more than the highest that was noted. */
unsigned form_next_number(const struct incident *inc, const char *form);
/* What was answered for a field, by --set or on the timeline; NULL: nothing. Borrowed. */
const char *report_answer(const struct report *r, const char *field);

#endif
