/* commands.h - the table of commands and the help that is made from it. */
#ifndef TWOFOLD_ORCHESTRATOR_COMMANDS_H
#define TWOFOLD_ORCHESTRATOR_COMMANDS_H

#include "orchestrator/app.h"

#define MAX_SUGGESTIONS 3

/* All commands; the last has no name. */
extern const struct command commands[];
const struct command *command_find(const char *name); /* NULL: none */
/* Names that `name` may be a slip for, nearest first; returns how many. */
size_t command_suggest(const char *name, const char *ret[MAX_SUGGESTIONS]);
/* On stdout: what there is, and how one command is used. */
void help_overview(struct app *app);
void help_command(struct app *app, const struct command *c);

#endif
