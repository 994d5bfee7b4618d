/*
 * text.h - texts of any origin made fit for a terminal: how many columns they take, cut and padded by columns, and with
 * what is not printable shown as \ooo (three octal digits, as printf %b and `ls -b` read them).
 */
#ifndef TWOFOLD_ORCHESTRATOR_TEXT_H
#define TWOFOLD_ORCHESTRATOR_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Columns of a terminal; what has no width of its own counts as one column a byte. */
size_t text_width(const char *s);
/* Bytes that the locale cannot print become \ooo. `names`: a backslash does too, so that what is shown can be turned
 * back into the bytes. Owned; aborts without memory. */
char *text_clean(const char *p, size_t n, bool names);
/* At most `columns` wide; what is too long loses its end, or with keep_end its beginning, and shows "...". Owned. */
char *text_fit(const char *s, size_t columns, bool keep_end);
/* Bytes of the first line of s when it is broken into lines of `columns`: up to a blank, or beside a wide character. What
 * cannot be broken stays whole, however wide; a twofold command, to be copied, if it fits into a line of its own. */
size_t text_break(const char *s, size_t columns);
/* s and then blanks up to `columns`; with `right` the blanks first. Longer texts stay whole. Owned. */
char *text_pad(const char *s, size_t columns, bool right);
/* Prints s as one line, or broken as text_break does where it is wider than `columns`; the next ones begin at `hang`. */
void text_put_line(FILE *f, const char *s, size_t hang, size_t columns);
/* Prints a text of several lines as a help has it: paragraphs at the margin, and entries, "  --option   what it does", that
 * may go on deeper in the next lines. One with a line wider than `columns` is broken anew; the others stay as they are. */
void text_put(FILE *f, const char *text, size_t columns);
/* Printf into owned memory; aborts without memory. */
char *text_print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* UTF-8 without NUL bytes, as JSON wants it? */
bool text_is_utf8(const char *p, size_t n);

#endif
