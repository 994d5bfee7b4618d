/*
 * start.h - the commands that the menu shows and runs: this program itself, as a child on the same terminal.
 *
 *     struct words w = { 0 };
 *     words_add(&w, "restore");  words_add(&w, policy);  words_add(&w, "--to");  words_add(&w, folder);
 *     char *shown = words_shown(&w);          twofold restore etc --to '/srv/a b'
 *     start_here(menu, &w);
 *     words_done(&w);
 */
#ifndef TWOFOLD_ORCHESTRATOR_MENU_START_H
#define TWOFOLD_ORCHESTRATOR_MENU_START_H

#include "orchestrator/menu/screen.h"

#define MAX_WORDS 24

struct words {
    char *v[MAX_WORDS + 1]; /* owned; ends with NULL */
    size_t n;
};
/* A copy of word; aborts without memory or when there are too many. */
void words_add(struct words *w, const char *word);
/* All of them. */
#define words_put(w, ...) words_put_all((w), (const char *const[]){ __VA_ARGS__, NULL })
void words_put_all(struct words *w, const char *const words[]); /* up to a NULL */
void words_done(struct words *w);
/* As a shell would take it, with "twofold" in front. Owned. */
char *words_shown(const struct words *w);

/* Runs it on this terminal, to its end, however that comes about; says how it ended and waits for Enter. Returns its exit status. A
 * Ctrl-C is the command's, not the menu's. */
int start_here(struct screen *s, const struct words *w);
/* One that only tells: page by page. Questions (a passphrase) reach the terminal all the same. */
int start_told(struct screen *s, const struct words *w);

#endif
