/* inner.h - what the files of the menu share: the site as it is known, lists to choose from, and the ways through them. */
#ifndef TWOFOLD_ORCHESTRATOR_MENU_INNER_H
#define TWOFOLD_ORCHESTRATOR_MENU_INNER_H

#include "orchestrator/app.h"
#include "orchestrator/menu/screen.h"
#include "orchestrator/menu/start.h"
#include "orchestrator/watch/summary.h"
#include "restore/incident/timeline.h"

struct menu {
    struct app *app;
    const char *config; /* --config, or NULL */
    struct screen screen;
    struct facts facts;
    struct findings findings;
};

/* --- the site (site.c) ---------------------------------------------------------------------------------------- */
/* Reads configuration, catalog and incidents again, and makes the head of the pages from them. Waits for no disk and no network. */
void site_read(struct menu *m);
void site_forget(struct menu *m);
bool site_is_open(const struct incident_fact *n); /* one of people, no drill */
/* The open incident of this policy, or NULL. */
const struct incident_fact *site_incident(const struct menu *m, const char *policy);
const char *cause_words(enum crash_cause c);

/* --- lists to choose from (lists.c) --------------------------------------------------------------------------------- */
enum { BACK = -1, NEXT = 1 }; /* what a question returns, for the way that asks it */
/* The name of a policy (borrowed from m->facts), or NULL: back. */
const char *choose_policy(struct menu *m, const char *title);
struct chosen_backup {
    char *snapshot; /* owned; NULL: the newest whole one */
    char *at;       /* owned; NULL: no moment was asked for */
    uint64_t bytes; /* of the newest whole one; 0: not known */
};
void chosen_backup_done(struct chosen_backup *b);
int choose_backup(struct menu *m, const char *policy, struct chosen_backup *ret);
/* A time that parse_time takes; owned; NULL: back. */
char *ask_moment(struct menu *m, const char *title, const char *explain);
/* The place of a copy; owned; NULL: back. */
char *choose_place(struct menu *m, const char *policy, const char *title);
/* A new folder for what is restored; owned; NULL: back. bytes: what is needed; 0: not known. */
char *choose_target(struct menu *m, const char *policy, uint64_t bytes);

/* --- ways (ways.c): each ends in a command, or goes back --------------------------------------------------------------- */
void way_incident(struct menu *m, const struct incident_fact *inc);
void way_crash(struct menu *m);
void way_restore(struct menu *m);
void way_drill(struct menu *m);
void way_rescue(struct menu *m);
void way_status(struct menu *m);
/* The global options that this program was started with. */
void words_begin(const struct menu *m, struct words *w);

#endif
