/*
 * screen.h - how the menu is drawn and answered. A page is a head, a title, what it explains, and numbered rows; it is drawn anew for
 * each question, never wider than the terminal, and long lists come page by page (Enter alone: the next one).
 */
#ifndef TWOFOLD_ORCHESTRATOR_MENU_SCREEN_H
#define TWOFOLD_ORCHESTRATOR_MENU_SCREEN_H

#include "orchestrator/ui.h"
#include <stddef.h>
#include <stdio.h>

#define MAX_ANSWER 4097 /* bytes of what is typed: as much as a terminal keeps of a line */

struct screen_row {
    char *text; /* owned */
    char *more; /* a second line, indented: the command, a reason; owned; or NULL */
};
struct screen_rows {
    struct screen_row *v;
    size_t n;
};
/* Takes both texts. Aborts without memory. */
void rows_add(struct screen_rows *r, char *text, char *more);
void rows_done(struct screen_rows *r);

struct screen {
    unsigned columns, lines; /* as they are now */
    char *head;              /* lines at the top of every page; owned; or NULL */
    const char *back;        /* what 0 does; NULL: "back" */
    char *notice;            /* what was wrong with the last answer; owned; or NULL */
    bool over;               /* the terminal is gone, or a signal came: everything goes back */
};
/* The number of the row that was chosen, from 1; 0: back. explain: lines below the title, or NULL. */
size_t screen_choose(struct screen *s, const char *title, const char *explain,
                     const struct screen_rows *rows);
/* A line of text; owned; NULL: back (0, or nothing typed). */
char *screen_ask(struct screen *s, const char *title, const char *explain, const char *prompt);
/* What the next page is to say of the last answer. Takes text. */
void screen_notice(struct screen *s, char *text);
/* Waits for Enter. */
void screen_pause(struct screen *s, const char *prompt);
/* Shows a text of any length, as many lines at once as fit; 0 ends it early. */
void screen_text(struct screen *s, const char *text);
void screen_clear(const struct screen *s);
void screen_done(struct screen *s);

/* The page as it is drawn, for tests: rows from `first` on, as many as fit. *ret_n: how many those are. Owned. */
char *screen_page(const struct screen *s, const char *title, const char *explain,
                  const struct screen_rows *rows, size_t first, size_t *ret_n);

#endif
