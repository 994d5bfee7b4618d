/*
 * page.h - one page of HTML that says all: for a screen, a telephone and a printer (A4, black and white). It needs nothing from
 * elsewhere, and nothing in it is run: styles only, everything that comes from outside is escaped.
 */
#ifndef TWOFOLD_ORCHESTRATOR_WATCH_PAGE_H
#define TWOFOLD_ORCHESTRATOR_WATCH_PAGE_H

#include "orchestrator/watch/findings.h"

#define MAX_PAGE_POLICIES 60 /* rows; those that are well beyond that are counted */
#define MAX_PAGE_FINDINGS 40

/* In the language of the process (watch_language). Owned; aborts without memory. */
char *page_html(const struct facts *f, const struct findings *fs);

#endif
