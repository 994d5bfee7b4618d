/*
 * pdf.h - which characters the fonts of this machine have. Inner header of pdf.c. A paper never shows an empty box: a character that no
 * font has is written as [U+1F600], and where a Chinese paper meets no Chinese font nothing is drawn at all.
 */
#ifndef TWOFOLD_RESTORE_REPORT_PDF_H
#define TWOFOLD_RESTORE_REPORT_PDF_H

#include "restore/report/document.h"

#include <stdlib.h>

struct glyphs;
/* -ERR_ABSENT, with the package to install: no font for what the paper needs. */
int glyphs_new(const struct document *d, struct glyphs **ret, struct err *e);
void glyphs_free(struct glyphs *g); /* NULL-safe */
/* The first n bytes of a text, whole characters, as they can be drawn; owned, NULL without memory. */
char *glyphs_show(const struct glyphs *g, const char *text, size_t n);

#endif
