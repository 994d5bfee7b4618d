/*
 * menu.h - `twofold` alone on a terminal: a numbered menu for people who have never read the manual, at any hour, on a screen of 80 × 24.
 * Numbers and Enter only. Each item shows the command that it runs, which is shown again before it is run; it is this program itself, so
 * nothing can be done here that a command does not do. 0 goes back by one question; what was not understood is asked again, and nothing
 * that was chosen is lost. Open incidents come first.
 */
#ifndef TWOFOLD_ORCHESTRATOR_MENU_MENU_H
#define TWOFOLD_ORCHESTRATOR_MENU_MENU_H

#include "orchestrator/app.h"

/* Does a person sit before a terminal that both shows and asks? */
bool menu_wanted(const struct app *app);
/* config: what --config said, or NULL. Returns the exit status. */
int menu_run(struct app *app, const char *config);

#endif
