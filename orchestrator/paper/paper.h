/*
 * paper.h - gathers what a form is filled from (restore/report/forms.h): the incident, the contacts and settings, and, for papers about the site,
 * what the catalog and the copies in folders say. An incident's papers need neither catalog nor copies.
 *
 *     struct paper p;
 *     rc = paper_gather(app, form, &wish, &p, e);
 *     form_fill(form, &p.r, &document, e);
 *     paper_done(&p);                              also after a failure
 */
#ifndef TWOFOLD_ORCHESTRATOR_PAPER_PAPER_H
#define TWOFOLD_ORCHESTRATOR_PAPER_PAPER_H

#include "orchestrator/app.h"
#include "orchestrator/watch/findings.h"
#include "restore/report/forms.h"

#define MAX_PAPER_ANSWERS 64

struct paper_wish {
    const char *what; /* ID, policy or YEAR; NULL: the only open incident, this year */
    const char *lang; /* "zh", "en"; NULL: the site's, else the locale's */
    unsigned number;  /* 0: the next */
    bool draft;
    bool
        noted; /* it will be noted on the timeline: until paper_done nobody else takes its number */
    struct paper_answer answers[MAX_PAPER_ANSWERS];
    size_t n_answers;
};
struct paper {
    struct report r;
    struct incident *inc;  /* that it is of */
    struct incident **all; /* newest first; of annual, status and duties */
    size_t n_all;
    /* Behind r: */
    struct paper_site site;
    struct settings *settings;
    struct contacts *contacts;
    struct facts facts;
    struct findings findings;
    bool has_facts;
    struct paper_policy *policies;
    struct paper_copy *copies;
    struct paper_alarm *alarms;
    struct paper_finding *lint; /* owned texts */
    size_t n_lint;
    char who[160], host[256];
    int lock_fd; /* of the numbers; -1: not taken */
};
/* Of a paper about the site the process takes the language: what the program says of it stands there. */
int paper_gather(struct app *app, const struct form *f, const struct paper_wish *w,
                 struct paper *ret, struct err *e);
void paper_done(struct paper *p);

#endif
