/*
 * render.h - draws a paper: as text of 80 columns, one HTML file, PDF, DOCX, or JSON. All A4, black and white.
 *
 * HTML holds its style and needs nothing from elsewhere. DOCX is Office Open XML (ECMA-376) with real tables, for Word and WPS. PDF
 * is drawn by the program twofold-paper (main.c here), which alone links pango and cairo: twofold hands it the JSON and takes the file,
 * so that no other command pays for loading them, and fonts are read by a process that holds nothing.
 */
#ifndef TWOFOLD_RESTORE_REPORT_RENDER_H
#define TWOFOLD_RESTORE_REPORT_RENDER_H

#include "lib/base/bytes.h"
#include "restore/report/document.h"

enum paper_format { PAPER_TEXT, PAPER_HTML, PAPER_PDF, PAPER_DOCX, PAPER_JSON, PAPER_FORMATS };
const char *paper_format_name(
    enum paper_format f); /* "pdf"; also what a file's name ends in, but for text: "txt" */
bool paper_format_parse(const char *name, enum paper_format *ret);

/* Appends the whole file to *out (wbuf_free it, also after a failure). PDF: -ERR_ABSENT, with the package to install, where
 * twofold-paper or a font for the language is missing. */
int render(const struct document *d, enum paper_format f, struct wbuf *out, struct err *e);

/* One by one; render() checks the document and the memory around them. */
void render_text(const struct document *d, struct wbuf *out);
void render_html(const struct document *d, struct wbuf *out);
int render_docx(const struct document *d, struct wbuf *out, struct err *e);
/* Only in programs that link pango and cairo: twofold-paper. -ERR_ABSENT: no font has what is to be drawn. */
int render_pdf(const struct document *d, struct wbuf *out, struct err *e);

/* Text for XML and HTML: & < > " ' become entities; a line break becomes `newline`. */
void put_xml(struct wbuf *out, const char *text, const char *newline);
void put(struct wbuf *out, const char *text); /* as it is */
void putf(struct wbuf *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
